/* loader.c - what all kinds of kernels need: segments, initrd, tables, Linux's entry state. */
#include "boot/loader.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/acpi.h"
#include "boot/bzimage.h"
#include "boot/cmdline.h"
#include "boot/elf.h"
#include "boot/files.h"
#include "boot/mptable.h"
#include "boot/start.h"
#include "boot/zero_page.h"
#include "core/layout.h"
#include "core/memmap.h"

/* What page tables at entry map: the protocol asks for kernel, zero page and command line */
#define MAPPED_END (1ull << 32)

/* Linux's __BOOT_CS and __BOOT_DS (boot.rst, "64-bit boot protocol") */
static const struct start_selectors linux_selectors = { .code = 0x10, .data = 0x18, .task = 0x20 };

int loader_copy_segments(struct loader *l, const struct elf_image *elf, uint64_t shift, struct err *e)
{
	for (unsigned i = 0; i < elf->n; i++) {
		const struct elf_segment *s = &elf->seg[i];
		uint8_t *to = mem_ptr(l->mem, s->paddr + shift, s->mem_len);
		if (!to)
			return err_set(e, -ENOMEM,
				       "its segment at %#llx is outside the guest's memory; give more with --mem",
				       (unsigned long long)s->paddr);
		memcpy(to, elf->data + s->offset, s->file_len);
		place_zero(&l->place, s->paddr + shift + s->file_len, s->mem_len - s->file_len);
	}
	return 0;
}

int loader_place_initrd(struct loader *l, uint64_t max)
{
	l->info.initrd_gpa = 0;
	l->info.initrd_len = 0;
	if (l->initrd_fd < 0)
		return 0;
	int rc = place_highest(&l->place, align_up(l->initrd_len, PAGE_SIZE_4K), PAGE_SIZE_4K, LOADER_LOW_END, max + 1,
			       &l->info.initrd_gpa);
	if (!rc)
		l->info.initrd_len = l->initrd_len;
	return rc;
}

int loader_read_initrd(struct loader *l, struct err *e)
{
	uint64_t len = l->info.initrd_len, pad = align_up(len, PAGE_SIZE_4K) - len;

	if (!len)
		return 0;
	uint8_t *to = mem_ptr(l->mem, l->info.initrd_gpa, len + pad);
	if (!to)
		return err_set(e, -ENOMEM, "the initrd lies outside the guest's memory");
	/* Kernels free whole pages: nothing of the RAM's past in the last one */
	memset(to + len, 0, pad);
	return file_read(l->initrd_fd, l->cfg->initrd, "initrd", to, len, e);
}

static unsigned long long mib(uint64_t len) { return (len + (1u << 20) - 1) >> 20; }

int loader_no_room(const struct loader *l, uint64_t kernel_len, struct err *e)
{
	if (l->initrd_fd < 0)
		return err_set(e, -ENOMEM,
			       "it needs %llu MiB above its load address, and the guest's low memory ends at "
			       "%llu MiB; give more with --mem",
			       mib(kernel_len), mib(l->place.end));
	return err_set(e, -ENOMEM,
		       "it needs %llu MiB above its load address and the initrd %llu MiB, and the guest's low "
		       "memory ends at %llu MiB; give more with --mem",
		       mib(kernel_len), mib(l->initrd_len), mib(l->place.end));
}

int loader_write_tables(struct loader *l, uint32_t cmdline_max, struct e820 *map, struct err *e)
{
	int rc = cmdline_write(l->mem, l->cmdline, cmdline_max, e);

	if (!rc)
		rc = acpi_write(l->mem, l->cfg->ncpus, &l->info.rsdp_gpa, e);
	if (!rc)
		rc = mptable_write(l->mem, l->cfg->ncpus, e);
	if (!rc)
		e820_build(l->mem, map);
	return rc;
}

int loader_start_linux(struct loader *l, const struct bzimage *image, const struct e820 *map, struct err *e)
{
	bool long_mode = !image || image->entry64;
	struct zero_page z = {
		.image = image,
		.e820 = map,
		.load_gpa = l->info.load_gpa,
		.cmdline_gpa = LAYOUT_CMDLINE,
		.initrd_gpa = l->info.initrd_gpa,
		.initrd_len = l->info.initrd_len,
		.rsdp_gpa = l->info.rsdp_gpa,
		.kaslr = l->info.kaslr,
	};

	if (zero_page_write(l->mem, &z) || start_write_gdt(l->mem, LAYOUT_GDT, &linux_selectors, long_mode) ||
	    (long_mode && start_write_tables(l->mem, LAYOUT_PAGE_TABLES, MAPPED_END)))
		return err_set(e, -ENOMEM, "the guest's memory is too small for boot tables; give more with --mem");
	if (long_mode)
		start_long(&l->bsp, &linux_selectors, LAYOUT_GDT, LAYOUT_PAGE_TABLES, l->info.entry_gpa);
	else
		start_protected(&l->bsp, &linux_selectors, LAYOUT_GDT, (uint32_t)l->info.entry_gpa);
	l->bsp.gpr[RSI] = LAYOUT_ZERO_PAGE;
	l->bsp.gpr[RSP] = LAYOUT_BOOT_STACK;
	return 0;
}
