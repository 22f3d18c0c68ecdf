/* kaslr.h - relocates an unpacked x86-64 Linux kernel to a random virtual address, as its own
 * decompressor would have done (arch/x86/boot/compressed/misc.c documents the format).
 *
 * Behind the ELF file, a payload has the addresses of all words to change. Each is a 32-bit word
 * that sign-extends to a kernel virtual address; a zero word begins each list:
 *
 *   0 | 64-bit words ... | 0 | 32-bit words to change inversely ... | 0 | 32-bit words ...  (end)
 *
 * Kernels from 6.15 on have no inverse list, and so only two zero words. */
#ifndef BOOT_KASLR_H
#define BOOT_KASLR_H

#include <stddef.h>
#include <stdint.h>

struct err;

#define KERNEL_MAP_BASE 0xffffffff80000000ull /* __START_KERNEL_map */
#define KERNEL_MAP_LEN  (1ull << 30)          /* KERNEL_IMAGE_SIZE with KASLR */

struct relocs {
	const uint8_t *list64, *list32, *inverse32; /* in the caller's memory */
	size_t n64, n32, n_inverse;                 /* words */
};

/* Splits the table [t, t+len). -EILSEQ when it has not that form. */
int relocs_parse(const uint8_t *t, size_t len, struct relocs *out, struct err *e);

/* A kernel linked to run at virtual address KERNEL_MAP_BASE + link_paddr lies in [image,
 * image+len): changes it to run delta bytes higher. -EILSEQ when a word lies outside. */
int relocs_apply(const struct relocs *r, uint8_t *image, uint64_t len, uint64_t link_paddr, uint64_t delta,
		 struct err *e);

/* How far above its link address a kernel of @len bytes goes: random, a multiple of @align */
uint64_t kaslr_virtual_delta(uint64_t link_paddr, uint64_t len, uint64_t align);

#endif
