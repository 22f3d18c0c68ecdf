/* zero_page.c - struct boot_params of Linux: what its boot loader tells an x86 kernel. */
#include "boot/zero_page.h"

#include <errno.h>

#include "base/bytes.h"
#include "boot/bzimage.h"
#include "boot/e820.h"
#include "boot/random.h"
#include "core/layout.h"
#include "core/memmap.h"

/* Fields outside the setup header */
enum {
	BP_EXT_MEM_K = 0x002,
	BP_RSDP = 0x070,
	BP_EXT_RAMDISK_IMAGE = 0x0c0,
	BP_EXT_RAMDISK_SIZE = 0x0c4,
	BP_EXT_CMD_LINE_PTR = 0x0c8,
	BP_ALT_MEM_K = 0x1e0,
	BP_E820_ENTRIES = 0x1e8,
	BP_E820_TABLE = 0x2d0,
	BP_E820_TABLE_MAX = 128,
	BP_E820_ENTRY_LEN = 20,
};

#define LOADER_UNDEFINED 0xff
#define ALIGNMENT_ELF    0x1000000u
#define PROTOCOL_ELF     0x020c

/* struct setup_data: next, type, length, data */
#define SETUP_RNG_SEED  9
#define SEED_GPA        (LAYOUT_CMDLINE + 0x10000ull)
#define SEED_LEN        32u
#define SETUP_DATA_HEAD 16u

static void zero_page_header(uint8_t *page, const struct zero_page *z)
{
	if (z->image) {
		memcpy(page + HDR_SETUP_SECTS, z->image->data + HDR_SETUP_SECTS,
		       z->image->header_end - HDR_SETUP_SECTS);
	} else {
		le16_store(page + HDR_BOOT_FLAG, 0xaa55);
		le32_store(page + HDR_MAGIC, HDR_MAGIC_WORD);
		le16_store(page + HDR_VERSION, PROTOCOL_ELF);
		le32_store(page + HDR_KERNEL_ALIGNMENT, ALIGNMENT_ELF);
		page[HDR_LOADFLAGS] = LOADFLAG_HIGH;
	}
	page[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	page[HDR_LOADFLAGS] &= (uint8_t)~LOADFLAG_KASLR;
	if (z->kaslr)
		page[HDR_LOADFLAGS] |= LOADFLAG_KASLR;
	le32_store(page + HDR_CODE32_START, (uint32_t)z->load_gpa);
	le32_store(page + HDR_CMD_LINE_PTR, (uint32_t)z->cmdline_gpa);
	le32_store(page + BP_EXT_CMD_LINE_PTR, (uint32_t)(z->cmdline_gpa >> 32));
	le32_store(page + HDR_RAMDISK_IMAGE, (uint32_t)z->initrd_gpa);
	le32_store(page + BP_EXT_RAMDISK_IMAGE, (uint32_t)(z->initrd_gpa >> 32));
	le32_store(page + HDR_RAMDISK_SIZE, (uint32_t)z->initrd_len);
	le32_store(page + BP_EXT_RAMDISK_SIZE, (uint32_t)(z->initrd_len >> 32));
}

static void zero_page_memory(uint8_t *page, const struct e820 *m)
{
	uint64_t above_1m = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < m->n && n < BP_E820_TABLE_MAX; i++, n++) {
		uint8_t *p = page + BP_E820_TABLE + n * BP_E820_ENTRY_LEN;
		le64_store(p, m->e[i].base);
		le64_store(p + 8, m->e[i].len);
		le32_store(p + 16, m->e[i].type);
		if (m->e[i].base == 0x100000)
			above_1m = m->e[i].len;
	}
	page[BP_E820_ENTRIES] = (uint8_t)n;
	/* For those that look at the older counts, in KiB */
	le32_store(page + BP_ALT_MEM_K, (uint32_t)(above_1m >> 10));
	le16_store(page + BP_EXT_MEM_K, (uint16_t)(above_1m >> 10 < 0xffff ? above_1m >> 10 : 0xffff));
}

/* Random numbers at once, without waiting for noise. Kernels that do not know the type skip it. */
static int zero_page_seed(struct memmap *mem, uint8_t *page)
{
	uint8_t d[SETUP_DATA_HEAD + SEED_LEN] = { 0 };

	if (random_bytes(d + SETUP_DATA_HEAD, SEED_LEN))
		return 0;
	le32_store(d + 8, SETUP_RNG_SEED);
	le32_store(d + 12, SEED_LEN);
	le64_store(page + HDR_SETUP_DATA, SEED_GPA);
	return mem_write(mem, SEED_GPA, d, sizeof(d));
}

int zero_page_write(struct memmap *mem, const struct zero_page *z)
{
	uint8_t page[PAGE_SIZE_4K] = { 0 };

	zero_page_header(page, z);
	zero_page_memory(page, z->e820);
	le64_store(page + BP_RSDP, z->rsdp_gpa);
	/* The list of setup data begins with protocol 2.09 */
	if (!z->image || z->image->version >= 0x0209) {
		le64_store(page + HDR_SETUP_DATA, 0);
		if (zero_page_seed(mem, page))
			return -EFAULT;
	}
	return mem_write(mem, LAYOUT_ZERO_PAGE, page, sizeof(page));
}
