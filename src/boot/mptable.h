/* mptable.h - the Intel MultiProcessor table (MP specification 1.4), for kernels without ACPI.
 *
 * It says the same as the MADT. */
#ifndef BOOT_MPTABLE_H
#define BOOT_MPTABLE_H

struct err;
struct memmap;

/* Writes the floating pointer at LAYOUT_MPTABLE (in the EBDA, where the BIOS data area, also
 * written, points), and the table in the upper half of the area of LAYOUT_ACPI. */
int mptable_write(struct memmap *mem, unsigned ncpus, struct err *e);

#endif
