/* vmlinux.c - loads an ELF kernel where it was linked to be: by PVH where its note is there, else
 * by Linux's 64-bit protocol at its entry point. */
#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/elf.h"
#include "boot/files.h"
#include "boot/loader.h"

/* Limits that a bzImage's header would state */
#define ELF_CMDLINE_MAX 2047u
#define ELF_INITRD_MAX  0x7fffffffull

static const char banner[] = "Linux version ";

/* The kernel's own banner without its first words, to the first blank behind the release name */
static void elf_find_version(const struct buf *file, char *out, size_t cap)
{
	const uint8_t *p = memmem(file->data, file->len, banner, sizeof(banner) - 1), *end = file->data + file->len;
	size_t n = 0;

	if (!p)
		return;
	for (p += sizeof(banner) - 1; p<end && * p> 0x20 && *p < 0x7f && n < cap - 1; p++)
		out[n++] = (char)*p;
	out[n] = 0;
	/* The first find may be a format string: "%s (%s@%s)" */
	if (*out == '%')
		*out = 0;
}

static int elf_choose_entry(struct loader *l, const struct elf_image *elf, struct err *e)
{
	if (elf->has_pvh) {
		if (elf->pvh_entry < elf->low || elf->pvh_entry >= elf->high)
			return err_set(e, -ENOEXEC, "its PVH entry point %#x lies outside its segments",
				       elf->pvh_entry);
		l->info.entry_gpa = elf->pvh_entry;
		l->info.protocol = BOOT_PROTO_PVH;
		return 0;
	}
	if (!elf->is64)
		return err_set(e, -ENOEXEC,
			       "it is a 32-bit ELF file without a PVH note or a Multiboot header; only 64-bit kernels "
			       "can be entered without");
	l->info.protocol = BOOT_PROTO_ELF64;
	return elf_entry_paddr(elf, &l->info.entry_gpa, e);
}

int elf_load(struct loader *l, const struct buf *file, struct err *e)
{
	struct elf_image elf;
	struct e820 map;

	int rc = elf_parse(file->data, file->len, &elf, e);
	if (!rc)
		rc = elf_choose_entry(l, &elf, e);
	if (rc)
		return rc;
	l->info.format = "none";
	l->info.load_gpa = elf.low;
	l->info.load_len = elf.high - elf.low;
	rc = place_take(&l->place, elf.low, l->info.load_len);
	if (rc == -EEXIST)
		return err_set(e, -ENOEXEC,
			       "it wants to be loaded at %#llx; below 1 MiB there is no room, because "
			       "the boot tables are there",
			       (unsigned long long)elf.low);
	if (rc || loader_place_initrd(l, ELF_INITRD_MAX))
		return loader_no_room(l, l->info.load_len, e);
	elf_find_version(file, l->info.version, sizeof(l->info.version));
	rc = loader_copy_segments(l, &elf, 0, e);
	if (!rc)
		rc = loader_write_tables(l, ELF_CMDLINE_MAX, &map, e);
	if (!rc)
		rc = loader_read_initrd(l, e);
	if (rc)
		return rc;
	return elf.has_pvh ? pvh_start(l, elf.pvh_entry, e) : loader_start_linux(l, NULL, &map, e);
}
