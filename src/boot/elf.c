/* elf.c - reads ELF kernels: what to load where, where to enter, and the PVH note. */
#include "boot/elf.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"

/* Any kernel's header tables have fewer entries */
#define PHDRS_MAX 256

#define PVH_NOTE_NAME  "Xen"
#define PVH_NOTE_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */

/* The few values of the ELF specification that matter here; not every host has an <elf.h> */
enum {
	EI_CLASS = 4,
	EI_DATA = 5,
	ELFCLASS32 = 1,
	ELFCLASS64 = 2,
	ELFDATA2LSB = 1,
	ET_EXEC = 2,
	ET_DYN = 3,
	EM_386 = 3,
	EM_ARM = 40,
	EM_X86_64 = 62,
	EM_AARCH64 = 183,
	EM_RISCV = 243,
	PT_LOAD = 1,
	PT_NOTE = 4,
	SHT_NULL = 0,
	SHT_NOBITS = 8,
	E_TYPE = 16,
	E_MACHINE = 18,
	E_ENTRY = 24,
	P_TYPE = 0,
	SH_TYPE = 4, /* offsets equal in both classes */
};

/* Lengths and offsets that differ between the classes */
struct elf_class {
	uint8_t ehdr_len, e_phoff, e_shoff, e_phentsize, e_phnum, e_shentsize, e_shnum;
	uint8_t phdr_len, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz;
	uint8_t shdr_len, sh_offset, sh_size;
};

static const struct elf_class classes[2] = {
	{ 52, 28, 32, 42, 44, 46, 48, 32, 4, 8, 12, 16, 20, 40, 16, 20 },
	{ 64, 32, 40, 54, 56, 58, 60, 56, 8, 16, 24, 32, 40, 64, 24, 32 },
};

struct phdr {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz;
};

static const struct elf_class *elf_class(const struct elf_image *elf) { return &classes[elf->is64]; }

static uint64_t elf_word(const struct elf_image *elf, const uint8_t *p)
{
	return elf->is64 ? le64_load(p) : le32_load(p);
}

static void elf_read_phdr(const struct elf_image *elf, const uint8_t *p, struct phdr *out)
{
	const struct elf_class *c = elf_class(elf);

	out->type = le32_load(p + P_TYPE);
	out->offset = elf_word(elf, p + c->p_offset);
	out->vaddr = elf_word(elf, p + c->p_vaddr);
	out->paddr = elf_word(elf, p + c->p_paddr);
	out->filesz = elf_word(elf, p + c->p_filesz);
	out->memsz = elf_word(elf, p + c->p_memsz);
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
	elf->seg[elf->n++] = (struct elf_segment){ ph->offset, ph->filesz, ph->vaddr, ph->paddr, ph->memsz };
	elf->low = ph->paddr < elf->low ? ph->paddr : elf->low;
	elf->high = end > elf->high ? end : elf->high;
	return 0;
}

/* Section headers serve only to find the file's end: what is odd about them is ignored */
static void elf_measure(struct elf_image *elf)
{
	const struct elf_class *c = elf_class(elf);
	const uint8_t *h = elf->data;
	uint64_t off = elf_word(elf, h + c->e_shoff), size = le16_load(h + c->e_shentsize),
		 n = le16_load(h + c->e_shnum);

	if (!off || size < c->shdr_len || !elf_inside(elf, off, size * n))
		return;
	if (off + size * n > elf->end)
		elf->end = off + size * n;
	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *s = h + off + i * size;
		uint32_t type = le32_load(s + SH_TYPE);
		uint64_t s_off = elf_word(elf, s + c->sh_offset), s_len = elf_word(elf, s + c->sh_size);
		if (type != SHT_NOBITS && type != SHT_NULL && elf_inside(elf, s_off, s_len) && s_off + s_len > elf->end)
			elf->end = s_off + s_len;
	}
}

static const char *elf_machine_name(unsigned machine)
{
	switch (machine) {
	case EM_AARCH64: return "ARM64";
	case EM_ARM: return "ARM";
	case EM_RISCV: return "RISC-V";
	default: return "another machine";
	}
}

static int elf_check_header(struct elf_image *elf, struct err *e)
{
	const uint8_t *h = elf->data;

	if (!elf_is(h, elf->len))
		return err_set(e, -ENOEXEC, "it is not an ELF file");
	if (elf->len < classes[0].ehdr_len || (h[EI_CLASS] == ELFCLASS64 && elf->len < classes[1].ehdr_len))
		return err_set(e, -ENOEXEC, "its ELF header is truncated");
	if (h[EI_CLASS] != ELFCLASS64 && h[EI_CLASS] != ELFCLASS32)
		return err_set(e, -ENOEXEC, "it is an ELF file of unknown class %u", h[EI_CLASS]);
	elf->is64 = h[EI_CLASS] == ELFCLASS64;
	if (h[EI_DATA] != ELFDATA2LSB)
		return err_set(e, -ENOEXEC, "it is a big-endian ELF file; this machine is x86-64");
	unsigned machine = le16_load(h + E_MACHINE), type = le16_load(h + E_TYPE);
	if (machine != EM_X86_64 && machine != EM_386)
		return err_set(e, -ENOEXEC, "it is an ELF file for %s; this machine is x86-64",
			       elf_machine_name(machine));
	if (elf->is64 && machine != EM_X86_64)
		return err_set(e, -ENOEXEC, "its ELF header contradicts itself (64-bit, but for the i386)");
	if (type != ET_EXEC && type != ET_DYN)
		return err_set(e, -ENOEXEC, "it is an ELF file, but not an executable (type %u)", type);
	return 0;
}

int elf_parse(const uint8_t *data, size_t len, struct elf_image *out, struct err *e)
{
	struct elf_image elf = { .data = data, .len = len, .low = UINT64_MAX };
	struct phdr ph;

	int rc = elf_check_header(&elf, e);
	if (rc)
		return rc;
	const struct elf_class *c = elf_class(&elf);
	elf.entry = elf_word(&elf, data + E_ENTRY);
	uint64_t off = elf_word(&elf, data + c->e_phoff);
	unsigned size = le16_load(data + c->e_phentsize), n = le16_load(data + c->e_phnum);
	if (!n || n > PHDRS_MAX || size < c->phdr_len)
		return err_set(e, -ENOEXEC, "its table of %u program headers of %u bytes makes no sense", n, size);
	if (!elf_inside(&elf, off, (uint64_t)size * n))
		return err_set(e, -ENOEXEC, "its program headers lie beyond the end of the file: it is truncated");
	elf.end = off + (uint64_t)size * n;
	for (unsigned i = 0; i < n; i++) {
		elf_read_phdr(&elf, data + off + (uint64_t)size * i, &ph);
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
	return err_set(e, -ENOEXEC, "its entry point %#llx lies in none of its segments",
		       (unsigned long long)elf->entry);
}
