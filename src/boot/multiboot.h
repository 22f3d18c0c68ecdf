/* multiboot.h - recognises and loads Multiboot 1 kernels (Multiboot Specification 0.6.96). */
#ifndef BOOT_MULTIBOOT_H
#define BOOT_MULTIBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct loader;

/* The Multiboot header (3.1): the last five count with MULTIBOOT_ADDRESSES only */
struct multiboot_header {
	uint32_t offset; /* in the file */
	uint32_t flags;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

#define MULTIBOOT_ADDRESSES 0x10000u /* flag 16: the file is loaded as these addresses say ("a.out kludge") */

/* Finds a whole header with a good checksum in the file's first 8192 bytes */
bool multiboot_find(const uint8_t *data, size_t len, struct multiboot_header *out);

/* Loads such a kernel, the initrd as its module, and fills the start state: 32-bit protected mode, EBX at
 * the information structure (3.2, 3.3). As the other loaders of loader.h. */
int multiboot_load(struct loader *l, const struct buf *file, struct err *e);

#endif
