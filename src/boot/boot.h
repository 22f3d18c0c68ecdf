/* boot.h - puts a guest's first program into memory and says where its first CPU starts.
 *
 * Kinds of program: a raw binary at an address of the user's choice, a Linux bzImage, an
 * ELF kernel with a 64-bit entry, an ELF kernel with a PVH entry, a Multiboot 1 kernel. All firmware tables that
 * such a kernel looks for (E820, ACPI, MP) are written too.
 *
 * boot_load may be called again for a reboot, with all vcpus stopped: files are read anew,
 * random choices are made anew, and what the program expects to be zero is zeroed. */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct memmap;
struct x86_state;

enum boot_mode { BOOT_LONG, BOOT_PROTECTED, BOOT_REAL };

#define BOOT_ENTRY_DEFAULT 0x1000ull

struct boot_config {
	/* Exactly one of these two is a path, the other NULL */
	const char *kernel;
	const char *binary;

	/* With kernel only */
	const char *initrd;  /* path, or NULL */
	const char *cmdline; /* NULL counts as empty */
	bool cmdline_is_default; /* the user gave none: it is meant for Linux, and for no other kernel */

	/* With binary only */
	uint64_t entry; /* load address and first instruction */
	enum boot_mode mode;

	unsigned ncpus; /* 1 to 254; their APIC ids are 0 to ncpus-1 */
};

enum boot_protocol {
	BOOT_PROTO_RAW,
	BOOT_PROTO_LINUX64,
	BOOT_PROTO_LINUX32,
	BOOT_PROTO_ELF64,
	BOOT_PROTO_PVH,
	BOOT_PROTO_MULTIBOOT,
};

/* What was decided, for logs and tests. Plain data. */
struct boot_info {
	enum boot_protocol protocol;
	char version[128];  /* the kernel's own words, "" where the file has none */
	const char *format; /* the payload's compression ("xz"), "none" for ELF and raw */
	bool unpacked;      /* the payload was unpacked by us: the guest starts in the kernel proper */
	uint64_t unpack_ns; /* how long that took */
	uint64_t load_gpa;  /* where the program lies, and how much memory it was promised */
	uint64_t load_len;
	uint64_t entry_gpa; /* its first instruction */
	bool kaslr;         /* placed at random; the next two say how far from the link address */
	uint64_t kaslr_phys;
	uint64_t kaslr_virt;
	uint64_t initrd_gpa, initrd_len; /* 0, 0 without one */
	uint64_t rsdp_gpa;               /* ACPI's root, 0 for a raw binary */
};

/* Fills guest memory and the start state of CPU 0 (the others wait for a SIPI). `bsp` and
 * `info` are untouched on failure; guest memory may then hold parts.
 * Errors: -errno with a sentence in e: -ENOENT -EACCES -EISDIR .. from the files, -EINVAL or
 * -ENOEXEC for what is not such a program, -EILSEQ for a corrupt payload, -EFBIG or -ENOMEM
 * for what does not fit into the guest's memory or ours, -E2BIG for a command line too long. */
int boot_load(const struct boot_config *cfg, struct memmap *mem, struct x86_state *bsp, struct boot_info *info,
	      struct err *e);

/* One line on what was loaded, for the log: returns buf. */
const char *boot_info_describe(const struct boot_info *info, char *buf, size_t len);

#endif
