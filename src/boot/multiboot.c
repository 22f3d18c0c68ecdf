/* multiboot.c - loads Multiboot 1 kernels (Multiboot Specification 0.6.96): ELF files, or any file whose
 * header says itself where it goes.
 *
 *   LAYOUT_ZERO_PAGE: information (88 bytes) | +80h: loader's name | +a0h: module list | +200h: memory map
 *                     | +500h: the module's string */
#include "boot/multiboot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/cmdline.h"
#include "boot/elf.h"
#include "boot/files.h"
#include "boot/loader.h"
#include "boot/start.h"
#include "core/layout.h"
#include "core/memmap.h"

#define HEADER_MAGIC  0x1badb002u
#define LOADER_MAGIC  0x2badb002u
#define HEADER_SEARCH 8192u
#define MODULE_MAX    0xffffffffull

/* Flags 0 (modules on pages) and 1 (memory information) are always obeyed. Flag 2 asks for a video mode: there is
 * no screen, and the information says so by leaving it out. The others up to 15 are requirements that nobody knows. */
#define FLAGS_UNKNOWN 0xfff8u

/* Flags of the information structure: which of its fields are valid */
enum {
	INFO_MEMORY = 1 << 0,
	INFO_CMDLINE = 1 << 2,
	INFO_MODULES = 1 << 3,
	INFO_MEMMAP = 1 << 6,
	INFO_LOADER_NAME = 1 << 9,
};

#define NAME_OFF     0x80u
#define MODULES_OFF  0xa0u
#define MEMMAP_OFF   0x200u
#define MEMMAP_ENTRY 24u
#define STRING_OFF   0x500u

_Static_assert(MEMMAP_OFF + E820_MAX * MEMMAP_ENTRY <= STRING_OFF, "the memory map ends before the string");

static const char loader_name[] = "vibevmm";
static const struct start_selectors multiboot_selectors = { .code = 0x08, .data = 0x10, .task = 0x18 };

bool multiboot_find(const uint8_t *data, size_t len, struct multiboot_header *out)
{
	size_t end = len < HEADER_SEARCH ? len : HEADER_SEARCH;

	for (size_t at = 0; at + 12 <= end; at += 4) {
		const uint8_t *h = data + at;
		uint32_t flags = le32_load(h + 4);
		if (le32_load(h) != HEADER_MAGIC || HEADER_MAGIC + flags + le32_load(h + 8) != 0)
			continue;
		*out = (struct multiboot_header){ .offset = (uint32_t)at, .flags = flags };
		if (!(flags & MULTIBOOT_ADDRESSES))
			return true;
		if (at + 32 > end)
			continue;
		out->header_addr = le32_load(h + 12);
		out->load_addr = le32_load(h + 16);
		out->load_end_addr = le32_load(h + 20);
		out->bss_end_addr = le32_load(h + 24);
		out->entry_addr = le32_load(h + 28);
		return true;
	}
	return false;
}

/* Takes [low, high) for the kernel and then room for the module */
static int multiboot_place(struct loader *l, uint64_t low, uint64_t high, struct err *e)
{
	l->info.load_gpa = low;
	l->info.load_len = high - low;
	int rc = place_take(&l->place, low, high - low);
	if (rc == -EEXIST)
		return err_set(e, -ENOEXEC,
			       "it wants to be loaded at %#llx; below 1 MiB there is no room, because the boot tables "
			       "are there",
			       (unsigned long long)low);
	if (rc || loader_place_initrd(l, MODULE_MAX))
		return loader_no_room(l, high - low, e);
	return 0;
}

/* As the header's addresses say (3.1.3). File offsets and addresses run in parallel, the header's own as origin. */
static int multiboot_load_addresses(struct loader *l, const struct buf *file, const struct multiboot_header *h,
				    struct err *e)
{
	uint32_t before = h->header_addr - h->load_addr;

	if (h->load_addr > h->header_addr || before > h->offset)
		return err_set(e, -ENOEXEC, "its Multiboot header says that the kernel begins before the file does");
	uint64_t off = h->offset - before, len = file->len - off, high;
	if (h->load_end_addr) {
		if (h->load_end_addr <= h->load_addr || h->load_end_addr - h->load_addr > len)
			return err_set(e, -ENOEXEC,
				       "its Multiboot header asks for %#x to %#x, which the file does not have: it "
				       "is truncated",
				       h->load_addr, h->load_end_addr);
		len = h->load_end_addr - h->load_addr;
	}
	high = h->load_addr + len;
	if (h->bss_end_addr && h->bss_end_addr < high)
		return err_set(e, -ENOEXEC, "its Multiboot header ends the BSS at %#x, within the loaded part",
			       h->bss_end_addr);
	if (h->bss_end_addr)
		high = h->bss_end_addr;
	if (h->entry_addr < h->load_addr || h->entry_addr >= high)
		return err_set(e, -ENOEXEC, "its entry point %#x lies outside of what is loaded", h->entry_addr);
	int rc = multiboot_place(l, h->load_addr, high, e);
	if (rc)
		return rc;
	if (mem_write(l->mem, h->load_addr, file->data + off, len))
		return loader_no_room(l, high - h->load_addr, e);
	place_zero(&l->place, h->load_addr + len, high - h->load_addr - len);
	l->info.entry_gpa = h->entry_addr;
	return 0;
}

static int multiboot_load_elf(struct loader *l, const struct buf *file, struct err *e)
{
	struct elf_image elf;

	if (!elf_is(file->data, file->len))
		return err_set(e, -ENOEXEC, "it has a Multiboot header without addresses, and is no ELF file");
	int rc = elf_parse(file->data, file->len, &elf, e);
	if (!rc)
		rc = elf_entry_paddr(&elf, &l->info.entry_gpa, e);
	if (!rc)
		rc = multiboot_place(l, elf.low, elf.high, e);
	return rc ? rc : loader_copy_segments(l, &elf, 0, e);
}

/* "FILE words": boot loaders put the kernel's name first */
static int multiboot_write_cmdline(struct loader *l, struct err *e)
{
	const char *words = l->cfg->cmdline_is_default ? "" : l->cmdline;
	char *text;

	if (asprintf(&text, "%s%s%s", l->cfg->kernel, *words ? " " : "", words) < 0)
		return err_set(e, -ENOMEM, "not enough memory for the command line");
	int rc = cmdline_write(l->mem, text, CMDLINE_MAX, e);
	free(text);
	return rc;
}

static void fill_memory(uint8_t *page, const struct e820 *map)
{
	for (unsigned i = 0; i < map->n; i++) {
		const struct e820_entry *m = &map->e[i];
		uint8_t *p = page + MEMMAP_OFF + i * MEMMAP_ENTRY;
		le32_store(p, MEMMAP_ENTRY - 4); /* the size does not count itself */
		le64_store(p + 4, m->base);
		le64_store(p + 12, m->len);
		le32_store(p + 20, m->type);
		/* In KiB: what begins at 0, and what begins at 1 MiB up to the first hole */
		if (m->type == E820_RAM && m->base == 0)
			le32_store(page + 4, (uint32_t)(m->len >> 10));
		if (m->type == E820_RAM && m->base == LOADER_LOW_END)
			le32_store(page + 8, (uint32_t)(m->len >> 10));
	}
	le32_store(page + 44, map->n * MEMMAP_ENTRY);
	le32_store(page + 48, LAYOUT_ZERO_PAGE + MEMMAP_OFF);
}

static void fill_module(uint8_t *page, const struct loader *l)
{
	uint8_t *m = page + MODULES_OFF;

	if (!l->info.initrd_len)
		return;
	le32_store(page + 20, 1);
	le32_store(page + 24, LAYOUT_ZERO_PAGE + MODULES_OFF);
	le32_store(m, (uint32_t)l->info.initrd_gpa);
	le32_store(m + 4, (uint32_t)(l->info.initrd_gpa + l->info.initrd_len));
	le32_store(m + 8, LAYOUT_ZERO_PAGE + STRING_OFF);
	snprintf((char *)page + STRING_OFF, PAGE_SIZE_4K - STRING_OFF, "%s", l->cfg->initrd ? l->cfg->initrd : "");
}

static int multiboot_start(struct loader *l, const struct e820 *map, struct err *e)
{
	uint8_t page[PAGE_SIZE_4K] = { 0 };

	le32_store(page, INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MEMMAP | INFO_LOADER_NAME);
	le32_store(page + 16, LAYOUT_CMDLINE);
	le32_store(page + 64, LAYOUT_ZERO_PAGE + NAME_OFF);
	memcpy(page + NAME_OFF, loader_name, sizeof(loader_name));
	fill_memory(page, map);
	fill_module(page, l);
	if (mem_write(l->mem, LAYOUT_ZERO_PAGE, page, sizeof(page)) ||
	    start_write_gdt(l->mem, LAYOUT_GDT, &multiboot_selectors, false))
		return err_set(e, -ENOMEM, "the guest's memory is too small for boot tables; give more with --mem");
	start_protected(&l->bsp, &multiboot_selectors, LAYOUT_GDT, (uint32_t)l->info.entry_gpa);
	l->bsp.gpr[RAX] = LOADER_MAGIC;
	l->bsp.gpr[RBX] = LAYOUT_ZERO_PAGE;
	return 0;
}

int multiboot_load(struct loader *l, const struct buf *file, struct err *e)
{
	struct multiboot_header h;
	struct e820 map;

	if (!multiboot_find(file->data, file->len, &h))
		return err_set(e, -ENOEXEC, "it has no Multiboot header");
	if (h.flags & FLAGS_UNKNOWN)
		return err_set(e, -ENOEXEC, "its Multiboot header requires what is not known here (flags %#x)", h.flags);
	l->info.protocol = BOOT_PROTO_MULTIBOOT;
	l->info.format = "none";
	int rc = h.flags & MULTIBOOT_ADDRESSES ? multiboot_load_addresses(l, file, &h, e) :
						 multiboot_load_elf(l, file, e);
	if (!rc)
		rc = loader_write_tables(l, CMDLINE_MAX, &map, e);
	if (!rc)
		rc = multiboot_write_cmdline(l, e); /* over the bare one */
	if (!rc)
		rc = loader_read_initrd(l, e);
	return rc ? rc : multiboot_start(l, &map, e);
}
