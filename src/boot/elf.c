/* elf.c - reads ELF kernels: what to load where, where to enter, and the PVH note. */
#include "boot/elf.h"

#include <elf.h>
#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"

/* Any kernel's header tables have fewer entries */
#define PHDRS_MAX 256

#define PVH_NOTE_NAME "Xen"
#define PVH_NOTE_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */

struct phdr {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

/* Offsets of a field in the two classes of ELF */
#define F(h, f) (is64 ? offsetof(Elf64_##h, f) : offsetof(Elf32_##h, f))

static uint64_t elf_word(const uint8_t *p, bool is64)
{
	return is64 ? le64_load(p) : le32_load(p);
}

static void elf_read_phdr(const uint8_t *p, bool is64, struct phdr *out)
{
	out->type = le32_load(p + F(Phdr, p_type));
	out->offset = elf_word(p + F(Phdr, p_offset), is64);
	out->vaddr = elf_word(p + F(Phdr, p_vaddr), is64);
	out->paddr = elf_word(p + F(Phdr, p_paddr), is64);
	out->filesz = elf_word(p + F(Phdr, p_filesz), is64);
	out->memsz = elf_word(p + F(Phdr, p_memsz), is64);
	out->align = elf_word(p + F(Phdr, p_align), is64);
}

static bool elf_inside(const struct elf_image *elf, uint64_t off, uint64_t len)
{
	return off <= elf->len && len <= elf->len - off;
}

/* Looks for the PVH entry in a note segment: name length, description length, type, then both
 * strings, each padded to 4 bytes. A malformed note ends the search; it is not an error. */
static void elf_read_notes(struct elf_image *elf, uint64_t off, uint64_t len)
{
	while (len >= 12) {
		const uint8_t *p = elf->data + off;
		uint64_t name_len = align_up(le32_load(p), 4), desc_len = align_up(le32_load(p + 4), 4);
		uint64_t all = 12 + name_len + desc_len;
		if (all > len)
			return;
		if (le32_load(p + 8) == PVH_NOTE_ENTRY && le32_load(p) == sizeof(PVH_NOTE_NAME) && desc_len >= 4 &&
		    !memcmp(p + 12, PVH_NOTE_NAME, sizeof(PVH_NOTE_NAME))) {
			elf->pvh_entry = le32_load(p + 12 + name_len);
			elf->has_pvh = true;
			return;
		}
		off += all;
		len -= all;
	}
}

static int elf_add_segment(struct elf_image *elf, const struct phdr *ph, unsigned i, struct err *e)
{
	uint64_t end;

	if (!elf_inside(elf, ph->offset, ph->filesz))
		return err_set(e, -ENOEXEC, "segment %u lies beyond the end of the file: it is truncated", i);
	if (ph->filesz > ph->memsz)
		return err_set(e, -ENOEXEC, "segment %u is larger in the file than in memory", i);
	if (__builtin_add_overflow(ph->paddr, ph->memsz, &end) || end > 1ull << 52)
		return err_set(e, -ENOEXEC, "segment %u reaches beyond all memory (physical address %#llx)", i,
			       (unsigned long long)ph->paddr);
	if (!ph->memsz)
		return 0;
	for (unsigned k = 0; k < elf->n; k++)
		if (ranges_overlap(ph->paddr, ph->memsz, elf->seg[k].paddr, elf->seg[k].mem_len))
			return err_set(e, -ENOEXEC, "segment %u overlaps another at physical address %#llx", i,
				       (unsigned long long)ph->paddr);
	if (elf->n == ELF_SEGMENTS_MAX)
		return err_set(e, -ENOEXEC, "it has more than %u segments to load", ELF_SEGMENTS_MAX);
	elf->seg[elf->n++] = (struct elf_segment){ph->offset, ph->filesz, ph->vaddr, ph->paddr, ph->memsz};
	elf->low = ph->paddr < elf->low ? ph->paddr : elf->low;
	elf->high = end > elf->high ? end : elf->high;
	return 0;
}

/* Section headers serve only to find the file's end: what is odd about them is ignored */
static void elf_measure(struct elf_image *elf)
{
	const uint8_t *h = elf->data;
	bool is64 = elf->is64;
	uint64_t off = elf_word(h + F(Ehdr, e_shoff), is64);
	uint64_t size = le16_load(h + F(Ehdr, e_shentsize)), n = le16_load(h + F(Ehdr, e_shnum));

	if (!off || size < (is64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)) || !elf_inside(elf, off, size * n))
		return;
	if (off + size * n > elf->end)
		elf->end = off + size * n;
	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *s = h + off + i * size;
		uint32_t type = le32_load(s + F(Shdr, sh_type));
		uint64_t s_off = elf_word(s + F(Shdr, sh_offset), is64), s_len = elf_word(s + F(Shdr, sh_size), is64);
		if (type != SHT_NOBITS && type != SHT_NULL && elf_inside(elf, s_off, s_len) && s_off + s_len > elf->end)
			elf->end = s_off + s_len;
	}
}

static int elf_check_header(struct elf_image *elf, struct err *e)
{
	const uint8_t *h = elf->data;

	if (!elf_is(h, elf->len))
		return err_set(e, -ENOEXEC, "it is not an ELF file");
	if (elf->len < sizeof(Elf32_Ehdr) || (h[EI_CLASS] == ELFCLASS64 && elf->len < sizeof(Elf64_Ehdr)))
		return err_set(e, -ENOEXEC, "its ELF header is truncated");
	if (h[EI_CLASS] != ELFCLASS64 && h[EI_CLASS] != ELFCLASS32)
		return err_set(e, -ENOEXEC, "it is an ELF file of unknown class %u", h[EI_CLASS]);
	elf->is64 = h[EI_CLASS] == ELFCLASS64;
	if (h[EI_DATA] != ELFDATA2LSB)
		return err_set(e, -ENOEXEC, "it is a big-endian ELF file; this machine is x86-64");
	unsigned machine = le16_load(h + offsetof(Elf64_Ehdr, e_machine));
	if (machine != EM_X86_64 && machine != EM_386)
		return err_set(e, -ENOEXEC, "it is an ELF file for %s; this machine is x86-64",
			       machine == EM_AARCH64 ? "ARM64" : machine == EM_ARM ? "ARM" :
			       machine == EM_RISCV ? "RISC-V" : "another machine");
	if (elf->is64 && machine != EM_X86_64)
		return err_set(e, -ENOEXEC, "its ELF header contradicts itself (64-bit, but for the i386)");
	unsigned type = le16_load(h + offsetof(Elf64_Ehdr, e_type));
	if (type != ET_EXEC && type != ET_DYN)
		return err_set(e, -ENOEXEC, "it is an ELF file, but not an executable (type %u)", type);
	return 0;
}

int elf_parse(const uint8_t *data, size_t len, struct elf_image *out, struct err *e)
{
	struct elf_image elf = {.data = data, .len = len, .low = UINT64_MAX};
	struct phdr ph;

	int rc = elf_check_header(&elf, e);
	if (rc)
		return rc;
	bool is64 = elf.is64;
	elf.entry = elf_word(data + F(Ehdr, e_entry), is64);
	uint64_t off = elf_word(data + F(Ehdr, e_phoff), is64);
	unsigned size = le16_load(data + F(Ehdr, e_phentsize)), n = le16_load(data + F(Ehdr, e_phnum));
	if (!n || n > PHDRS_MAX || size < (is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return err_set(e, -ENOEXEC, "its table of %u program headers of %u bytes makes no sense", n, size);
	if (!elf_inside(&elf, off, (uint64_t)size * n))
		return err_set(e, -ENOEXEC, "its program headers lie beyond the end of the file: it is truncated");
	elf.end = off + (uint64_t)size * n;
	for (unsigned i = 0; i < n; i++) {
		elf_read_phdr(data + off + (uint64_t)size * i, is64, &ph);
		if (ph.type == PT_LOAD) {
			rc = elf_add_segment(&elf, &ph, i, e);
			if (rc)
				return rc;
		}
		if (!elf_inside(&elf, ph.offset, ph.filesz))
			continue;
		if (ph.type == PT_NOTE && !elf.has_pvh)
			elf_read_notes(&elf, ph.offset, ph.filesz);
		if (ph.offset + ph.filesz > elf.end)
			elf.end = ph.offset + ph.filesz;
	}
	if (!elf.n)
		return err_set(e, -ENOEXEC, "it is an ELF file with nothing to load");
	elf_measure(&elf);
	*out = elf;
	return 0;
}

int elf_entry_paddr(const struct elf_image *elf, uint64_t *out, struct err *e)
{
	for (unsigned i = 0; i < elf->n; i++) {
		const struct elf_segment *s = &elf->seg[i];
		if (elf->entry >= s->paddr && elf->entry - s->paddr < s->mem_len) {
			*out = elf->entry;
			return 0;
		}
	}
	for (unsigned i = 0; i < elf->n; i++) {
		const struct elf_segment *s = &elf->seg[i];
		if (elf->entry >= s->vaddr && elf->entry - s->vaddr < s->mem_len) {
			*out = elf->entry - s->vaddr + s->paddr;
			return 0;
		}
	}
	return err_set(e, -ENOEXEC, "its entry point %#llx lies in none of its segments", (unsigned long long)elf->entry);
}
