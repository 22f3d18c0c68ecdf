/* boot.c - puts a guest's first program into memory: what kind it is, and the order of things. */
#include "boot/boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/bzimage.h"
#include "boot/cmdline.h"
#include "boot/elf.h"
#include "boot/files.h"
#include "boot/loader.h"
#include "boot/multiboot.h"
#include "core/memmap.h"

#define KERNEL_FILE_MAX (2ull << 30) /* a vmlinux with all its debug information has less */

/* Smallest memory in which the tables of layout.h have their places */
#define KERNEL_MEM_MIN (2ull << 20)

static int kernel_load_file(struct loader *l, const struct buf *file, struct err *e)
{
	struct multiboot_header multiboot;

	if (bzimage_is(file->data, file->len))
		return linux_load(l, file, e);
	/* Which of its own entries is entered is the ELF loader's to say where PVH is offered too: it passes more */
	if (multiboot_find(file->data, file->len, &multiboot) && !elf_has_pvh(file->data, file->len))
		return multiboot_load(l, file, e);
	if (elf_is(file->data, file->len))
		return elf_load(l, file, e);
	if (file->len >= 0x3c && !memcmp(file->data + 0x38, "ARM\x64", 4))
		return err_set(e, -ENOEXEC, "it is a kernel for ARM64; this machine is x86-64");
	return err_set(e, -ENOEXEC, "it is neither a Linux bzImage nor an ELF file; a raw binary is run with --binary");
}

static int kernel_load(struct loader *l, struct err *e)
{
	const struct boot_config *c = l->cfg;
	struct err inner = { 0 };
	struct buf file = { 0 };

	if (l->place.end < KERNEL_MEM_MIN)
		return err_set(e, -ENOMEM,
			       "the guest's memory is too small for a kernel; give at least %llu MiB with --mem",
			       (unsigned long long)(KERNEL_MEM_MIN >> 20));
	uint64_t limit = align_down(cmdline_mem_limit(l->cmdline), PAGE_SIZE_4K);
	if (limit >= KERNEL_MEM_MIN && limit < l->place.end)
		l->place.end = limit;
	int rc = place_take(&l->place, 0, LOADER_LOW_END);
	if (!rc && c->initrd)
		rc = file_open(c->initrd, "initrd", &l->initrd_fd, &l->initrd_len, e);
	if (!rc)
		rc = file_load(c->kernel, "kernel", KERNEL_FILE_MAX, &file, e);
	if (!rc) {
		rc = kernel_load_file(l, &file, &inner);
		if (rc)
			err_set(e, rc, "cannot boot the kernel '%s': %s", c->kernel, inner.msg);
	}
	buf_free(&file);
	if (l->initrd_fd >= 0)
		close(l->initrd_fd);
	return rc;
}

int boot_load(const struct boot_config *cfg, struct memmap *mem, struct x86_state *bsp, struct boot_info *info,
	      struct err *e)
{
	/* Too large for a stack that may be a thread's */
	struct loader *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, -ENOMEM, "not enough memory to load the guest");
	l->cfg = cfg;
	l->cmdline = cfg->cmdline ? cfg->cmdline : "";
	l->mem = mem;
	l->initrd_fd = -1;
	l->info.format = "none";
	int rc = place_init(&l->place, mem, e);
	if (!rc) {
		if (cfg->binary && !cfg->kernel)
			rc = raw_load(l, e);
		else if (cfg->kernel && !cfg->binary)
			rc = kernel_load(l, e);
		else
			rc = err_set(e, -EINVAL, "give exactly one of --kernel and --binary");
	}
	if (!rc) {
		*bsp = l->bsp;
		*info = l->info;
	}
	free(l);
	return rc;
}

const char *boot_info_describe(const struct boot_info *i, char *buf, size_t len)
{
	static const char *const names[] = {
		[BOOT_PROTO_RAW] = "raw binary",
		[BOOT_PROTO_LINUX64] = "Linux bzImage",
		[BOOT_PROTO_LINUX32] = "Linux bzImage (32-bit entry)",
		[BOOT_PROTO_ELF64] = "ELF kernel",
		[BOOT_PROTO_PVH] = "ELF kernel (PVH)",
		[BOOT_PROTO_MULTIBOOT] = "Multiboot kernel",
	};
	char pack[64] = "", rand[96] = "", initrd[64] = "";

	if (i->unpacked)
		snprintf(pack, sizeof(pack), ", unpacked (%s) in %llu ms", i->format,
			 (unsigned long long)(i->unpack_ns / 1000000));
	else if (i->protocol == BOOT_PROTO_LINUX64 || i->protocol == BOOT_PROTO_LINUX32)
		snprintf(pack, sizeof(pack), ", to be unpacked (%s) by the guest", i->format);
	if (i->kaslr)
		snprintf(rand, sizeof(rand), ", KASLR physical +%#llx virtual +%#llx",
			 (unsigned long long)i->kaslr_phys, (unsigned long long)i->kaslr_virt);
	if (i->initrd_len)
		snprintf(initrd, sizeof(initrd), ", initrd %llu KiB at %#llx",
			 (unsigned long long)(i->initrd_len >> 10), (unsigned long long)i->initrd_gpa);
	snprintf(buf, len, "%s%s%s at %#llx, entry %#llx%s%s%s", names[i->protocol], *i->version ? " " : "", i->version,
		 (unsigned long long)i->load_gpa, (unsigned long long)i->entry_gpa, pack, rand, initrd);
	return buf;
}
