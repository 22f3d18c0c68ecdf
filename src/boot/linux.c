/* linux.c - loads a Linux bzImage: unpacks and relocates its kernel here, so that the guest does
 * not spend its first seconds on it; or else enters the kernel's own decompressor.
 *
 *   payload --unpack--> ELF vmlinux | relocations --copy--> [load, load + size) --relocate--> entry
 */
#include <errno.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "boot/bzimage.h"
#include "boot/cmdline.h"
#include "boot/decompress.h"
#include "boot/elf.h"
#include "boot/files.h"
#include "boot/kaslr.h"
#include "boot/loader.h"
#include "core/memmap.h"

/* A 64-bit kernel's own mapping has 2 MiB pages: it cannot run between them */
#define ALIGN_64 (2ull << 20)

/* 64-bit entry of the protected-mode part */
#define ENTRY_64 0x200

/* The order of the two placements: an initrd on top leaves the kernel the widest choice; where
 * that fails in a small memory, the kernel comes first and the initrd may go below it. */
static int linux_place(struct loader *l, const struct bzimage *b, uint64_t size, uint64_t align, bool random,
		       struct err *e)
{
	const struct place before = l->place;
	uint64_t pref = align_up(b->pref_address, align);

	if (random && !loader_place_initrd(l, b->initrd_max) &&
	    !place_random(&l->place, size, align, pref, UINT64_MAX, &l->info.load_gpa))
		goto placed;
	l->place = before;
	if (!b->relocatable) {
		if (place_take(&l->place, b->pref_address, size))
			return loader_no_room(l, size, e);
		l->info.load_gpa = b->pref_address;
	} else if (place_lowest(&l->place, size, align, pref, UINT64_MAX, &l->info.load_gpa)) {
		return loader_no_room(l, size, e);
	}
	if (loader_place_initrd(l, b->initrd_max))
		return loader_no_room(l, size, e);
placed:
	l->info.load_len = size;
	return 0;
}

/* The kernel's own decompressor runs: it also does KASLR */
static int linux_load_packed(struct loader *l, const struct bzimage *b, struct err *e)
{
	int rc = linux_place(l, b, align_up(b->init_size, 4096), b->alignment, false, e);
	uint8_t *to = rc ? NULL : mem_ptr(l->mem, l->info.load_gpa, b->pm_len);

	if (rc)
		return rc;
	if (!to)
		return loader_no_room(l, b->init_size, e);
	memcpy(to, b->pm, b->pm_len);
	place_zero(&l->place, l->info.load_gpa + b->pm_len, l->info.load_len - b->pm_len);
	l->info.entry_gpa = l->info.load_gpa + (b->entry64 ? ENTRY_64 : 0);
	return 0;
}

static int linux_load_unpacked(struct loader *l, const struct bzimage *b, const struct buf *payload,
			       const struct elf_image *elf, struct err *e)
{
	uint64_t size = elf->high - b->pref_address, align = b->alignment > ALIGN_64 ? b->alignment : ALIGN_64;
	const uint8_t *table = payload->data + elf->end;
	size_t table_len = payload->len - elf->end;
	struct relocs relocs;
	uint64_t entry;

	size = align_up(size > b->init_size ? size : b->init_size, 4096);
	int rc = elf_entry_paddr(elf, &entry, e);
	if (rc)
		return rc;
	/* Without a table the kernel was built without KASLR: it may move, but has nowhere to say so */
	bool kaslr = b->relocatable && table_len >= 4 && !cmdline_has(l->cmdline, "nokaslr");
	if (kaslr && (rc = relocs_parse(table, table_len, &relocs, e)))
		return rc;
	/* "memmap=" and large pages reserved early carve memory up in ways not followed here */
	bool random =
		kaslr && !cmdline_has_prefix(l->cmdline, "memmap=") && !cmdline_has_prefix(l->cmdline, "hugepages");
	rc = linux_place(l, b, size, align, random, e);
	if (rc)
		return rc;
	uint64_t shift = l->info.load_gpa - b->pref_address;
	rc = loader_copy_segments(l, elf, shift, e);
	if (rc)
		return rc;
	if (kaslr) {
		uint64_t len = elf->high - b->pref_address;
		l->info.kaslr = true;
		l->info.kaslr_phys = shift;
		l->info.kaslr_virt = kaslr_virtual_delta(b->pref_address, size, align);
		rc = relocs_apply(&relocs, mem_ptr(l->mem, l->info.load_gpa, len), len, b->pref_address,
				  l->info.kaslr_virt, e);
	}
	l->info.entry_gpa = entry + shift;
	l->info.unpacked = true;
	return rc;
}

/* 0: loaded; -ENOTSUP: the guest has to unpack it; or an error */
static int linux_unpack(struct loader *l, const struct bzimage *b, struct err *e)
{
	struct buf payload = { 0 };
	struct elf_image elf;
	uint64_t start = clock_now_ns();

	enum packing packing = b->payload ? packing_identify(b->payload, b->payload_len) : PACK_UNKNOWN;
	if (!b->entry64 || !packing_known(packing))
		return -ENOTSUP;
	if (!packing_has_checksum(packing) && !bzimage_is_intact(b))
		return err_set(e, -EILSEQ, "its %s payload is corrupt: the file's checksum is wrong",
			       packing_name(packing));
	int rc = unpack_payload(b->payload, b->payload_len, &payload, e);
	if (rc)
		return rc;
	l->info.unpack_ns = clock_now_ns() - start;
	/* What is sound but not the kernel that the protocol promises is its own decompressor's business */
	if (elf_parse(payload.data, payload.len, &elf, NULL) || !elf.is64 || elf.low < b->pref_address ||
	    elf.end > payload.len || elf.high - b->pref_address > KERNEL_MAP_LEN)
		rc = -ENOTSUP;
	else
		rc = linux_load_unpacked(l, b, &payload, &elf, e);
	buf_free(&payload);
	return rc;
}

int linux_load(struct loader *l, const struct buf *file, struct err *e)
{
	struct bzimage b;
	struct e820 map;

	int rc = bzimage_parse(file->data, file->len, &b, e);
	if (rc)
		return rc;
	memcpy(l->info.version, b.kernel_version, sizeof(l->info.version));
	l->info.protocol = b.entry64 ? BOOT_PROTO_LINUX64 : BOOT_PROTO_LINUX32;
	l->info.format = b.payload ? packing_name(packing_identify(b.payload, b.payload_len)) : "unknown";
	/* What costs little is checked before what costs much */
	rc = loader_write_tables(l, b.cmdline_max, &map, e);
	if (!rc)
		rc = linux_unpack(l, &b, e);
	if (rc == -ENOTSUP)
		rc = linux_load_packed(l, &b, e);
	if (!rc)
		rc = loader_read_initrd(l, e);
	if (!rc)
		rc = loader_start_linux(l, &b, &map, e);
	return rc;
}
