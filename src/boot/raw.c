/* raw.c - loads a raw binary at an address of the user's choice and starts it there.
 *
 * Long mode: all RAM and everything below 4 GiB mapped to itself, CS 08h, all others 10h,
 * RSP 2000h. Protected mode: the same, 32-bit, without paging. Real mode: all segments 0,
 * SP 2000h; an entry that IP cannot reach gives CS:IP = entry/16 : entry%16. GDT and page tables
 * are at the top of low memory, or below the file when that is there. */
#include <errno.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/files.h"
#include "boot/loader.h"
#include "boot/start.h"
#include "core/layout.h"
#include "core/memmap.h"

#define RAW_STACK     0x2000ull
#define REAL_MODE_END 0x100000ull

static const struct start_selectors raw_selectors = { .code = 0x08, .data = 0x10, .task = 0x18 };

/* Everything that a CPU of this machine can reach by its own memory map */
static uint64_t raw_mapped_end(const struct memmap *mem)
{
	uint64_t end = LAYOUT_HIGH_RAM;

	for (unsigned i = 0; i < mem->nslots; i++)
		if (mem->slots[i].gpa + mem->slots[i].len > end)
			end = mem->slots[i].gpa + mem->slots[i].len;
	return end;
}

static int raw_read(struct loader *l, int fd, uint64_t len, struct err *e)
{
	const struct boot_config *c = l->cfg;
	uint64_t end = c->mode == BOOT_REAL ? REAL_MODE_END : LAYOUT_HIGH_RAM;

	if (c->mode != BOOT_LONG && c->entry >= end)
		return err_set(e, -EINVAL, "--entry %#llx cannot be reached in %s mode; give an address below %#llx",
			       (unsigned long long)c->entry, c->mode == BOOT_REAL ? "real" : "protected",
			       (unsigned long long)end);
	const struct mem_slot *s = mem_slot_find(l->mem, c->entry);
	if (!s || s->readonly)
		return err_set(e, -EINVAL,
			       "--entry %#llx lies outside the guest's memory; give an address below %#llx, or "
			       "more memory with --mem",
			       (unsigned long long)c->entry, (unsigned long long)l->place.end);
	uint64_t slot_end = s->gpa + s->len;
	void *to = mem_ptr(l->mem, c->entry, len);
	if (!to)
		return err_set(e, -EFBIG,
			       "the binary '%s' (%llu bytes) does not fit between --entry %#llx and the end of the "
			       "guest's memory at %#llx",
			       c->binary, (unsigned long long)len, (unsigned long long)c->entry,
			       (unsigned long long)slot_end);
	if (c->entry < l->place.end && place_take(&l->place, c->entry, len))
		return err_set(e, -EFBIG, "the binary '%s' does not fit at %#llx", c->binary,
			       (unsigned long long)c->entry);
	return file_read(fd, c->binary, "binary", to, len, e);
}

static int raw_start(struct loader *l, struct err *e)
{
	const struct boot_config *c = l->cfg;
	uint64_t mapped = raw_mapped_end(l->mem), tables_len = c->mode == BOOT_LONG ? start_tables_len(mapped) : 0, at;

	if (c->mode == BOOT_REAL) {
		bool near = c->entry < 0x10000;
		start_real(&l->bsp, near ? 0 : (uint16_t)(c->entry >> 4), (uint16_t)(near ? c->entry : c->entry & 0xf));
		l->bsp.gpr[RSP] = RAW_STACK;
		return 0;
	}
	/* Tables first, so that they are page aligned; the GDT in a page of its own behind them */
	if (place_highest(&l->place, tables_len + PAGE_SIZE_4K, PAGE_SIZE_4K, RAW_STACK, UINT64_MAX, &at))
		return err_set(e, -ENOMEM,
			       "the guest's memory has no room for %llu KiB of page tables beside the binary; give "
			       "more with --mem",
			       (unsigned long long)((tables_len + PAGE_SIZE_4K) >> 10));
	uint64_t gdt = at + tables_len;
	if (start_write_gdt(l->mem, gdt, &raw_selectors, c->mode == BOOT_LONG) ||
	    (tables_len && start_write_tables(l->mem, at, mapped)))
		return err_set(e, -ENOMEM, "the guest has too much memory for its page tables");
	if (c->mode == BOOT_LONG)
		start_long(&l->bsp, &raw_selectors, gdt, at, c->entry);
	else
		start_protected(&l->bsp, &raw_selectors, gdt, (uint32_t)c->entry);
	l->bsp.gpr[RSP] = RAW_STACK;
	return 0;
}

int raw_load(struct loader *l, struct err *e)
{
	uint64_t len;
	int fd;

	int rc = file_open(l->cfg->binary, "binary", &fd, &len, e);
	if (rc)
		return rc;
	rc = raw_read(l, fd, len, e);
	close(fd);
	if (!rc)
		rc = raw_start(l, e);
	l->info.protocol = BOOT_PROTO_RAW;
	l->info.format = "none";
	l->info.load_gpa = l->info.entry_gpa = l->cfg->entry;
	l->info.load_len = len;
	return rc;
}
