/* kaslr.c - relocates an unpacked x86-64 Linux kernel to a random virtual address. */
#include "boot/kaslr.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/random.h"

#define LISTS_MAX 3

int relocs_parse(const uint8_t *t, size_t len, struct relocs *out, struct err *e)
{
	const uint8_t *list[LISTS_MAX], *end = t + len;
	size_t n[LISTS_MAX];
	unsigned lists = 0;

	/* What pads the ELF file's end is shorter than a word */
	const uint8_t *begin = t + len % 4;
	for (const uint8_t *p = end; p > begin; p -= 4) {
		if (le32_load(p - 4))
			continue;
		if (lists == LISTS_MAX)
			break;
		list[lists] = p;
		n[lists++] = (size_t)(end - p) / 4;
		end = p - 4;
	}
	/* No kernel is without 64-bit words: such an empty list is padding in front of two lists */
	if (lists == LISTS_MAX && !n[LISTS_MAX - 1])
		lists--;
	if (lists < 2)
		return err_set(e, -EILSEQ, "its relocation table is damaged");
	struct relocs r = { .list32 = list[0], .n32 = n[0], .list64 = list[lists - 1], .n64 = n[lists - 1] };
	if (lists == LISTS_MAX) {
		r.inverse32 = list[1];
		r.n_inverse = n[1];
	}
	*out = r;
	return 0;
}

/* The place of the word that @entry names, or NULL when it is not wholly in the image */
static uint8_t *reloc_place(const uint8_t *entry, uint8_t *image, uint64_t len, uint64_t link_paddr, unsigned size)
{
	uint64_t off = (uint64_t)(int64_t)(int32_t)le32_load(entry) - (KERNEL_MAP_BASE + link_paddr);

	return off <= len && size <= len - off ? image + off : NULL;
}

static int relocs_apply_32(const uint8_t *list, size_t n, uint8_t *image, uint64_t len, uint64_t link_paddr,
			   uint32_t delta)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = reloc_place(list + 4 * i, image, len, link_paddr, 4);
		if (!p)
			return -EILSEQ;
		le32_store(p, le32_load(p) + delta);
	}
	return 0;
}

static int relocs_apply_64(const uint8_t *list, size_t n, uint8_t *image, uint64_t len, uint64_t link_paddr,
			   uint64_t delta)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = reloc_place(list + 4 * i, image, len, link_paddr, 8);
		if (!p)
			return -EILSEQ;
		le64_store(p, le64_load(p) + delta);
	}
	return 0;
}

int relocs_apply(const struct relocs *r, uint8_t *image, uint64_t len, uint64_t link_paddr, uint64_t delta,
		 struct err *e)
{
	if (relocs_apply_32(r->list32, r->n32, image, len, link_paddr, (uint32_t)delta) ||
	    relocs_apply_32(r->inverse32, r->n_inverse, image, len, link_paddr, -(uint32_t)delta) ||
	    relocs_apply_64(r->list64, r->n64, image, len, link_paddr, delta))
		return err_set(e, -EILSEQ, "its relocation table points outside the kernel");
	return 0;
}

uint64_t kaslr_virtual_delta(uint64_t link_paddr, uint64_t len, uint64_t align)
{
	if (len > KERNEL_MAP_LEN || link_paddr > KERNEL_MAP_LEN - len)
		return 0;
	return random_below((KERNEL_MAP_LEN - link_paddr - len) / align + 1) * align;
}
