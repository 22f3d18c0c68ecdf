/* e820.h - the map of memory that firmware gives to a kernel (ACPI 15, INT 15h E820h). */
#ifndef BOOT_E820_H
#define BOOT_E820_H

#include <stdint.h>

struct memmap;

enum { E820_RAM = 1, E820_RESERVED = 2 };

#define E820_MAX 24

struct e820_entry {
	uint64_t base, len;
	uint32_t type;
};

struct e820 {
	unsigned n;
	struct e820_entry e[E820_MAX]; /* ascending, no overlap */
};

/* All RAM slots of @mem, with the firmware's parts cut out below 1 MiB:
 *
 *   0 .. 9FC00 RAM | 9FC00 .. A0000 EBDA, reserved | hole | E0000 .. 100000 tables, reserved | RAM */
void e820_build(const struct memmap *mem, struct e820 *out);

#endif
