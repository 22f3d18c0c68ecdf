/* tlb.c - filling, flushing and selecting the software TLB. */
#include "engine/soft/tlb.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/soft/block.h"
#include "engine/soft/smp.h"
#include "engine/soft/soft.h"

/* An empty slot must never match its own addresses. Slot n serves pages with those index
 * bits, so the address of a page with other index bits is a tag that nothing hits. */
static uint64_t empty_tag(unsigned n) { return (uint64_t)(n ^ 1) << 12; }

static void entries_clear(struct tlb_entry *e, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		e[n].tag = empty_tag(n);
}

static void bank_clear(struct tlb_bank *b)
{
	entries_clear(b->t.r, TLB_SIZE);
	entries_clear(b->t.w, TLB_SIZE);
	entries_clear(b->x, TLB_XSIZE);
	b->used = false;
}

static void set_clear(struct cpu *c, struct tlb_set *s)
{
	for (unsigned b = 0; b < BANK_COUNT; b++)
		if (s->bank[b].used)
			bank_clear(&s->bank[b]);
	memset(s->large, 0, sizeof(s->large));
	s->low_global = s->huge = false;
	s->gen = ++c->mmu->gens;
}

int mmu_init(struct cpu *c)
{
	struct tlb_state *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return -ENOMEM;
	c->mmu = m;
	bank_clear(&m->empty);
	for (unsigned n = 0; n < TLB_SETS; n++) {
		for (unsigned b = 0; b < BANK_COUNT; b++)
			m->set[n].bank[b].used = true;
		set_clear(c, &m->set[n]);
	}
	mmu_select_bank(c);
	return 0;
}

void mmu_fini(struct cpu *c)
{
	if (c->mmu)
		munmap(c->mmu, sizeof(*c->mmu));
	c->mmu = NULL;
}

void mmu_select_bank(struct cpu *c)
{
	struct tlb_state *m = c->mmu;
	/* data breakpoints: a length/type field that is not "instruction" with its enable bits set */
	bool watch = (c->cr0 & CR0_AM) && (c->rflags & FL_AC) && c->cpl == 3;
	if (unlikely(c->dr7 & 0xff)) {
		for (unsigned n = 0; n < 4; n++)
			if ((c->dr7 >> (2 * n) & 3) && (c->dr7 >> (16 + 4 * n) & 3))
				watch = true;
	}
	m->watch = watch;
	c->tlb = watch ? &m->empty.t : &tlb_bank(c, cpu_view(c))->t;
	block_context_changed(c);
}

void mmu_pkru_written(struct cpu *c, uint32_t old)
{
	uint32_t changed = old ^ c->pkru;
	bool used = false;

	for (unsigned key = 0; key < 16; key++)
		used |= (changed >> 2 * key & 3) && (c->mmu->keys >> key & 1);
	if (used && (c->cr4 & CR4_PKE))
		mmu_flush_all(c);
}

void mmu_flush_all(struct cpu *c)
{
	c->mmu->keys = 0;
	for (unsigned n = 0; n < TLB_SETS; n++)
		set_clear(c, &c->mmu->set[n]);
	tlb_cur(c)->cr3 = c->cr3;
	mmu_select_bank(c);
}

/* The set that caches PCID `pcid`, or the least recently used one */
static struct tlb_set *set_of(struct cpu *c, uint64_t pcid)
{
	struct tlb_state *m = c->mmu;
	struct tlb_set *old = &m->set[0];
	for (unsigned n = 0; n < TLB_SETS; n++) {
		struct tlb_set *s = &m->set[n];
		if (s->last_use && (s->cr3 & 0xfff) == pcid)
			return s;
		if (s->last_use < old->last_use)
			old = s;
	}
	return old;
}

void mmu_cr3_written(struct cpu *c, uint64_t old, bool noflush)
{
	struct tlb_state *m = c->mmu;
	if (!(c->cr4 & CR4_PCIDE)) {
		set_clear(c, tlb_cur(c));
		tlb_cur(c)->cr3 = c->cr3;
	} else {
		/* the old set is named by its own CR3, which mmu_flush_all may have left unset */
		tlb_cur(c)->cr3 = old;
		tlb_cur(c)->last_use = ++m->uses;
		struct tlb_set *s = set_of(c, c->cr3 & 0xfff);
		if (!noflush || s->cr3 != c->cr3 || !s->last_use)
			set_clear(c, s);
		s->cr3 = c->cr3;
		s->last_use = ++m->uses;
		m->cur = (unsigned)(s - m->set);
	}
	mmu_select_bank(c);
}

static void drop_page(struct tlb_set *s, uint64_t lin)
{
	uint64_t page = lin & ~0xfffull;
	for (unsigned b = 0; b < BANK_COUNT; b++) {
		struct tlb_bank *k = &s->bank[b];
		unsigned n = tlb_index(lin);
		if (!k->used)
			continue;
		if (k->t.r[n].tag == page)
			k->t.r[n].tag = empty_tag(n);
		if (k->t.w[n].tag == page)
			k->t.w[n].tag = empty_tag(n);
		n &= TLB_XSIZE - 1;
		if (k->x[n].tag == page)
			k->x[n].tag = empty_tag(n);
	}
}

/* All 4 KiB pieces in lin's 4 MiB region (the largest page but 1 GiB) */
static void drop_region(struct tlb_set *s, uint64_t lin)
{
	uint64_t first = lin & ~0x3fffffull;
	for (unsigned n = 0; n < 1024; n++)
		drop_page(s, first + n * 4096ull);
}

static unsigned large_bit(uint64_t lin) { return (lin >> 21) % LARGE_BITS; }

static void set_invlpg(struct cpu *c, struct tlb_set *s, uint64_t lin)
{
	if (s->huge) {
		set_clear(c, s);
		return;
	}
	unsigned n = large_bit(lin & ~0x3fffffull); /* even: both halves of a 4 MiB page are looked at */
	if ((s->large[n / 64] >> (n % 64)) & 3)
		drop_region(s, lin);
	else
		drop_page(s, lin);
	s->gen = ++c->mmu->gens;
}

void mmu_invlpg(struct cpu *c, uint64_t lin)
{
	struct tlb_state *m = c->mmu;
	for (unsigned n = 0; n < TLB_SETS; n++) {
		struct tlb_set *s = &m->set[n];
		if (n == m->cur || (s->last_use && ((int64_t)lin < 0 || s->low_global)))
			set_invlpg(c, s, lin);
	}
	block_context_changed(c);
}

void mmu_invpcid(struct cpu *c, unsigned type, uint64_t pcid, uint64_t lin)
{
	struct tlb_state *m = c->mmu;
	tlb_cur(c)->last_use = ++m->uses;
	for (unsigned n = 0; n < TLB_SETS; n++) {
		struct tlb_set *s = &m->set[n];
		bool match = s->last_use && ((n == m->cur ? c->cr3 : s->cr3) & 0xfff) == pcid;
		if (type == 0 && match)
			set_invlpg(c, s, lin);
		else if ((type == 1 && match) || type >= 2) /* 3 keeps global pages; dropping them is allowed */
			set_clear(c, s);
	}
	block_context_changed(c);
}

void tlb_drop_writable(struct cpu *c, uint64_t gpa)
{
	uint64_t host = (uint64_t)(uintptr_t)soft_phys(c->vm, gpa & ~0xfffull, 1);
	for (unsigned n = 0; n < TLB_SETS; n++) {
		for (unsigned b = 0; b < BANK_COUNT; b++) {
			struct tlb_bank *k = &c->mmu->set[n].bank[b];
			if (!k->used)
				continue;
			for (unsigned e = 0; e < TLB_SIZE; e++)
				if (k->t.w[e].tag + k->t.w[e].delta == host)
					k->t.w[e].tag = empty_tag(e);
		}
	}
}

void tlb_drop_all_writable(struct cpu *c)
{
	for (unsigned n = 0; n < TLB_SETS; n++)
		for (unsigned b = 0; b < BANK_COUNT; b++)
			entries_clear(c->mmu->set[n].bank[b].t.w, TLB_SIZE);
}

/* Caches the page of a walk in the arrays that it allows */
static void enter(struct cpu *c, struct tlb_bank *k, uint64_t lin, enum access a, struct view v, const struct walk *w)
{
	struct tlb_set *s = tlb_cur(c);
	struct soft_vm *vm = c->vm;
	uint64_t page = lin & ~0xfffull, gpa = w->gpa & ~0xfffull;
	uint8_t *host = soft_phys(vm, gpa, 4096);
	unsigned n = tlb_index(lin);

	if (!host)
		return;
	k->used = true;
	if (w->shift > 12) {
		unsigned bit = large_bit(lin);
		s->large[bit / 64] |= 1ull << (bit % 64);
		s->huge |= w->shift == 30;
	}
	if (w->global && (int64_t)lin >= 0)
		s->low_global = true;
	if (a == ACC_X) {
		k->x[n & (TLB_XSIZE - 1)] = (struct tlb_entry){ page, gpa - page };
		return;
	}
	c->mmu->keys |= (uint16_t)(1u << w->key);
	uint64_t delta = (uint64_t)(uintptr_t)host - page;
	if (a == ACC_R || walk_allowed(c, w, ACC_R, v))
		k->t.r[n] = (struct tlb_entry){ page, delta };
	if (!(w->dirty || !(c->cr0 & CR0_PG)) || !walk_allowed(c, w, ACC_W, v) || soft_phys_readonly(vm, gpa))
		return;
	if (smp_page_write(c, gpa))
		k->t.w[n] = (struct tlb_entry){ page, delta };
}

uint64_t tlb_translate(struct cpu *c, const struct insn *i, uint64_t lin, enum access a, struct view v)
{
	struct tlb_bank *k = tlb_bank(c, v);
	struct walk w;
	int err = walk_page(c, lin, a, v, &w);
	if (unlikely(err >= 0))
		cpu_raise_pf(c, i, lin, (uint32_t)err);
	enter(c, k, lin, a, v, &w);
	return w.gpa;
}
