/* zero_page.h - struct boot_params of Linux (Documentation/arch/x86/zero-page.rst): what its boot
 * loader tells an x86 kernel. */
#ifndef BOOT_ZERO_PAGE_H
#define BOOT_ZERO_PAGE_H

#include <stdbool.h>
#include <stdint.h>

struct bzimage;
struct e820;
struct err;
struct memmap;

struct zero_page {
	const struct bzimage *image; /* its setup header is copied; NULL: one is made up, for an ELF kernel */
	const struct e820 *e820;
	uint64_t load_gpa; /* where the protected-mode part lies */
	uint64_t cmdline_gpa;
	uint64_t initrd_gpa, initrd_len; /* 0, 0 without one */
	uint64_t rsdp_gpa;
	bool kaslr; /* the kernel was moved at random: it may do the same with its own regions */
};

/* Writes the page at LAYOUT_ZERO_PAGE and a seed for the kernel's random numbers behind the
 * command line's room. 0 or -EFAULT when there is no RAM. */
int zero_page_write(struct memmap *mem, const struct zero_page *z);

#endif
