/* bzimage.h - reads the header of a Linux bzImage (Documentation/arch/x86/boot.rst, protocol 2.06 on).
 *
 *   0        1F1            200+x   setup_end            pm_len
 *   | boot | setup header ...| real-mode code | protected-mode code: decompressor and payload | padding */
#ifndef BOOT_BZIMAGE_H
#define BOOT_BZIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Offsets of the setup header's fields, in the file and in the zero page alike */
enum {
	HDR_SETUP_SECTS = 0x1f1,
	HDR_SYSSIZE = 0x1f4,
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP = 0x200, /* the byte behind is the header's length from 0x202 on */
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_KERNEL_VERSION = 0x20e,
	HDR_TYPE_OF_LOADER = 0x210,
	HDR_LOADFLAGS = 0x211,
	HDR_CODE32_START = 0x214,
	HDR_RAMDISK_IMAGE = 0x218,
	HDR_RAMDISK_SIZE = 0x21c,
	HDR_CMD_LINE_PTR = 0x228,
	HDR_INITRD_ADDR_MAX = 0x22c,
	HDR_KERNEL_ALIGNMENT = 0x230,
	HDR_RELOCATABLE = 0x234,
	HDR_XLOADFLAGS = 0x236,
	HDR_CMDLINE_SIZE = 0x238,
	HDR_PAYLOAD_OFFSET = 0x248,
	HDR_PAYLOAD_LENGTH = 0x24c,
	HDR_SETUP_DATA = 0x250,
	HDR_PREF_ADDRESS = 0x258,
	HDR_INIT_SIZE = 0x260,
	HDR_END_MAX = 0x290, /* the zero page has another thing here */
};

#define HDR_MAGIC_WORD 0x53726448u /* "HdrS" */
#define LOADFLAG_HIGH  0x01
#define LOADFLAG_KASLR 0x02
#define XLOADFLAG_64   0x0001 /* XLF_KERNEL_64: has a 64-bit entry at 200h */

struct bzimage {
	const uint8_t *data; /* the caller's file */
	size_t len;
	unsigned version; /* protocol, 0x020f = 2.15 */
	bool entry64;
	unsigned header_end; /* offset behind the setup header */
	const uint8_t *pm;   /* protected-mode part */
	uint64_t pm_len;
	const uint8_t *payload; /* NULL when the protocol is too old to tell */
	uint64_t payload_len;
	bool relocatable;
	uint64_t alignment, pref_address, init_size; /* where it wants to run, and the room it needs there */
	uint64_t initrd_max;                         /* highest address of an initrd's last byte */
	uint32_t cmdline_max;                        /* without the final 0 */
	char kernel_version[128];                    /* "" when the header has none */
};

/* A file that begins like a bzImage, sound or not */
bool bzimage_is(const uint8_t *data, size_t len);

/* -ENOEXEC when it is damaged, truncated or too old. *out keeps pointing into @data. */
int bzimage_parse(const uint8_t *data, size_t len, struct bzimage *out, struct err *e);

/* False when the file's own checksum says that it is damaged. Kernels have one from protocol 2.08 to
 * Linux 6.14; signing a kernel for UEFI changes a few bytes of its PE header, which are allowed for. */
bool bzimage_is_intact(const struct bzimage *b);

#endif
