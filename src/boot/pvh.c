/* pvh.c - the start of an ELF kernel by PVH: 32-bit protected mode, paging off, and EBX at
 * struct hvm_start_info (Xen's docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h).
 *
 *   LAYOUT_ZERO_PAGE: start info (56 bytes) | +100h: module list | +200h: memory map */
#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/e820.h"
#include "boot/loader.h"
#include "boot/start.h"
#include "core/layout.h"
#include "core/memmap.h"

#define PVH_MAGIC    0x336ec578u
#define PVH_VERSION  1 /* with a memory map */
#define MODULES_OFF  0x100u
#define MEMMAP_OFF   0x200u
#define MEMMAP_ENTRY 24u

_Static_assert(MEMMAP_OFF + E820_MAX * MEMMAP_ENTRY <= PAGE_SIZE_4K, "the memory map fits into the page");

static const struct start_selectors pvh_selectors = { .code = 0x08, .data = 0x10, .task = 0x18 };

int pvh_start(struct loader *l, uint32_t entry, struct err *e)
{
	uint8_t page[PAGE_SIZE_4K] = { 0 };
	struct e820 map;

	e820_build(l->mem, &map);
	le32_store(page, PVH_MAGIC);
	le32_store(page + 4, PVH_VERSION);
	if (l->info.initrd_len) {
		le32_store(page + 12, 1);
		le64_store(page + 16, LAYOUT_ZERO_PAGE + MODULES_OFF);
		le64_store(page + MODULES_OFF, l->info.initrd_gpa);
		le64_store(page + MODULES_OFF + 8, l->info.initrd_len);
	}
	le64_store(page + 24, LAYOUT_CMDLINE);
	le64_store(page + 32, l->info.rsdp_gpa);
	le64_store(page + 40, LAYOUT_ZERO_PAGE + MEMMAP_OFF);
	le32_store(page + 48, map.n);
	for (unsigned i = 0; i < map.n; i++) {
		uint8_t *p = page + MEMMAP_OFF + i * MEMMAP_ENTRY;
		le64_store(p, map.e[i].base);
		le64_store(p + 8, map.e[i].len);
		le32_store(p + 16, map.e[i].type);
	}
	if (mem_write(l->mem, LAYOUT_ZERO_PAGE, page, sizeof(page)) ||
	    start_write_gdt(l->mem, LAYOUT_GDT, &pvh_selectors, false))
		return err_set(e, -ENOMEM, "the guest's memory is too small for boot tables; give more with --mem");
	start_protected(&l->bsp, &pvh_selectors, LAYOUT_GDT, entry);
	l->bsp.gpr[RBX] = LAYOUT_ZERO_PAGE;
	return 0;
}
