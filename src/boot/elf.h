/* elf.h - reads ELF kernels: what to load where, where to enter, and the PVH note.
 *
 * Everything is checked against the file's length before use: the file may be hostile. */
#ifndef BOOT_ELF_H
#define BOOT_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define ELF_SEGMENTS_MAX 32

struct elf_segment {
	uint64_t offset, file_len; /* in the file */
	uint64_t vaddr, paddr, mem_len;
};

struct elf_image {
	const uint8_t *data; /* the caller's */
	size_t len;
	bool is64;
	uint64_t entry; /* e_entry as it stands */
	unsigned n;     /* loadable segments that occupy memory, as they stand */
	struct elf_segment seg[ELF_SEGMENTS_MAX];
	uint64_t low, high; /* [low, high): all segments' physical addresses */
	bool has_pvh;
	uint32_t pvh_entry; /* physical, 32-bit protected mode */
	uint64_t end;       /* where the ELF file ends; a bzImage's payload has relocations behind */
};

static inline bool elf_is(const uint8_t *data, size_t len)
{
	return len >= 4 && data[0] == 0x7f && data[1] == 'E' && data[2] == 'L' && data[3] == 'F';
}

/* Fills *out, which keeps pointing into @data. -ENOEXEC for what is not an executable of this
 * machine (its segments truncated, overlapping, too many, ...). */
int elf_parse(const uint8_t *data, size_t len, struct elf_image *out, struct err *e);

/* It is a sound ELF kernel with a PVH entry */
static inline bool elf_has_pvh(const uint8_t *data, size_t len)
{
	struct elf_image elf;

	return elf_is(data, len) && !elf_parse(data, len, &elf, NULL) && elf.has_pvh;
}

/* The physical address of e_entry, which linkers give as physical or virtual. -ENOEXEC when it
 * lies in no segment. */
int elf_entry_paddr(const struct elf_image *elf, uint64_t *out, struct err *e);

#endif
