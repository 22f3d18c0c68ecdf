/* loader.h - what the parts of one boot_load share. Internal to src/boot. */
#ifndef BOOT_LOADER_H
#define BOOT_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot.h"
#include "boot/e820.h"
#include "boot/place.h"
#include "engine/x86/state.h"

struct buf;
struct bzimage;
struct elf_image;
struct err;

/* First address that a kernel or initrd may have: all below belongs to the tables of layout.h */
#define LOADER_LOW_END 0x100000ull

struct loader {
	const struct boot_config *cfg;
	const char *cmdline; /* never NULL */
	struct memmap *mem;
	struct place place;
	int initrd_fd; /* -1 without one */
	uint64_t initrd_len;
	struct x86_state bsp; /* the results */
	struct boot_info info;
};

int raw_load(struct loader *l, struct err *e);

/* A whole kernel file in @file. Errors do not name the file: the caller does. */
int linux_load(struct loader *l, const struct buf *file, struct err *e);
int elf_load(struct loader *l, const struct buf *file, struct err *e);

/* The start of an ELF kernel by PVH, once all is in place */
int pvh_start(struct loader *l, uint32_t entry, struct err *e);

/* Copies all segments, each @shift bytes above its physical address, and zeroes what the file
 * does not fill. The ranges must be RAM. */
int loader_copy_segments(struct loader *l, const struct elf_image *elf, uint64_t shift, struct err *e);

/* Finds the highest room for the initrd, its last byte at most at @max. 0 without one; -ENOMEM. */
int loader_place_initrd(struct loader *l, uint64_t max);
/* Reads it there */
int loader_read_initrd(struct loader *l, struct err *e);

/* The sentence for -ENOMEM of a placement: what is needed, what is there */
int loader_no_room(const struct loader *l, uint64_t kernel_len, struct err *e);

/* Command line, ACPI, MP table, and the memory map into *map */
int loader_write_tables(struct loader *l, uint32_t cmdline_max, struct e820 *map, struct err *e);

/* Zero page and the start state of Linux's 64-bit or 32-bit protocol; @image NULL for ELF */
int loader_start_linux(struct loader *l, const struct bzimage *image, const struct e820 *map, struct err *e);

#endif
