/* walk.c - guest page-table walks: 4-level, PAE and 32-bit paging, permissions, accessed and
 * dirty bits. */
#include "engine/soft/walk.h"

#include "engine/soft/cpuid.h"
#include "engine/soft/soft.h"

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_U (1ull << 2)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_G (1ull << 8)
#define PTE_NX (1ull << 63)
#define PTE_KEY_SHIFT 59
#define PTE_ADDR 0x000ffffffffff000ull

/* Bits [51:width] of a physical address are reserved (SDM 3A 4.4.4, 4.5.4) */
#define PTE_RSVD_ADDR (PTE_ADDR & ~((1ull << CPUID_PHYS_BITS) - 1))

/* One entry on the way, to set A and D in once the walk has succeeded */
struct step {
	void *host;
	uint64_t val;
};

struct way {
	struct step s[4];
	unsigned n;
	bool wide; /* 8-byte entries */
};

static bool load_entry(struct cpu *c, struct way *way, uint64_t gpa, uint64_t *val)
{
	/* a table outside memory reads as not present */
	void *p = soft_phys(c->vm, gpa, way->wide ? 8 : 4);
	if (!p)
		return false;
	*val = way->wide ? __atomic_load_n((uint64_t *)p, __ATOMIC_RELAXED) : __atomic_load_n((uint32_t *)p, __ATOMIC_RELAXED);
	way->s[way->n++] = (struct step){ p, *val };
	return true;
}

/* Sets `bits` in a step's entry; false if the entry is no longer what was read. */
static bool mark(struct cpu *c, const struct way *way, unsigned n, uint64_t bits)
{
	const struct step *s = &way->s[n];
	if ((s->val & bits) == bits)
		return true;
	if (way->wide) {
		uint64_t old = s->val;
		return __atomic_compare_exchange_n((uint64_t *)s->host, &old, old | bits, false, __ATOMIC_SEQ_CST,
		                                   __ATOMIC_RELAXED);
	}
	uint32_t old = (uint32_t)s->val;
	return __atomic_compare_exchange_n((uint32_t *)s->host, &old, old | (uint32_t)bits, false, __ATOMIC_SEQ_CST,
	                                   __ATOMIC_RELAXED);
}

/* Error codes of a walk: 0 not present, PF_RSVD | PF_P; -1 found */
static int walk_tables(struct cpu *c, uint64_t lin, struct way *way, struct walk *w)
{
	bool nxe = c->efer & EFER_NXE;
	uint64_t e, rsvd = PTE_RSVD_ADDR | (nxe ? 0 : PTE_NX);
	uint64_t rights = PTE_W | PTE_U, nx = 0;
	uint64_t table;
	unsigned level;

	way->n = 0;
	w->global = false;
	w->key = 0;
	if (!(c->cr0 & CR0_PG)) {
		*w = (struct walk){ .gpa = lin, .shift = 12, .user = true, .write = true, .exec = true, .dirty = true };
		return -1;
	}
	if (!(c->cr4 & CR4_PAE)) {
		way->wide = false;
		if (!load_entry(c, way, (c->cr3 & 0xfffff000) + ((lin >> 22) & 1023) * 4, &e) || !(e & PTE_P))
			return 0;
		rights &= e;
		if ((e & PTE_PS) && (c->cr4 & CR4_PSE)) {
			/* PSE-36: bits 20:13 are address bits 39:32, bit 21 is reserved */
			if (e & (1u << 21))
				return PF_P | PF_RSVD;
			w->gpa = (e & 0xffc00000) | ((e >> 13) & 0xff) << 32 | (lin & 0x3fffff);
			w->shift = 22;
		} else {
			if (!load_entry(c, way, (e & 0xfffff000) + ((lin >> 12) & 1023) * 4, &e) || !(e & PTE_P))
				return 0;
			rights &= e;
			w->gpa = (e & 0xfffff000) | (lin & 0xfff);
			w->shift = 12;
		}
	} else {
		way->wide = true;
		if (c->efer & EFER_LMA) {
			table = c->cr3 & PTE_ADDR;
			level = 4;
		} else {
			/* PAE: the four PDPTEs were loaded with CR3 and carry no rights */
			e = c->pdpte[(lin >> 30) & 3];
			if (!(e & PTE_P))
				return 0;
			table = e & PTE_ADDR;
			level = 2;
		}
		for (;; level--) {
			unsigned shift = 12 + 9 * (level - 1);
			if (!load_entry(c, way, table + ((lin >> shift) & 511) * 8, &e) || !(e & PTE_P))
				return 0;
			if (e & rsvd)
				return PF_P | PF_RSVD;
			rights &= e;
			nx |= e & PTE_NX;
			if (level == 1 || ((e & PTE_PS) && level < 4)) {
				uint64_t mask = (1ull << shift) - 1;
				/* of a large page's low address bits only bit 12 (PAT) may be set */
				if (level > 1 && (e & mask & PTE_ADDR & ~(1ull << 12)))
					return PF_P | PF_RSVD;
				w->gpa = (e & PTE_ADDR & ~mask) | (lin & mask);
				w->shift = (uint8_t)shift;
				break;
			}
			if (e & PTE_PS) /* in a PML4 entry */
				return PF_P | PF_RSVD;
			table = e & PTE_ADDR;
		}
	}
	w->user = rights & PTE_U;
	w->write = rights & PTE_W;
	w->exec = !nx;
	w->dirty = e & PTE_D;
	w->global = (e & PTE_G) && (c->cr4 & CR4_PGE);
	w->key = (c->cr4 & CR4_PKE) && (c->efer & EFER_LMA) ? e >> PTE_KEY_SHIFT & 15 : 0;
	return -1;
}

/* Protection keys (SDM 3A 4.6.2): data in user pages, whoever asks */
static bool key_allows(const struct cpu *c, const struct walk *w, enum access a, struct view v)
{
	unsigned rights = c->pkru >> 2 * w->key & 3;

	if (!rights || a == ACC_X || !w->user || !(c->cr4 & CR4_PKE) || !(c->efer & EFER_LMA))
		return true;
	return !(rights & 1) && !(a == ACC_W && (v.user || (c->cr0 & CR0_WP)));
}

bool walk_allowed(const struct cpu *c, const struct walk *w, enum access a, struct view v)
{
	if (!(c->cr0 & CR0_PG))
		return true;
	if (v.user) {
		if (!w->user)
			return false;
	} else if (w->user) {
		if (a == ACC_X ? (c->cr4 & CR4_SMEP) != 0 : (c->cr4 & CR4_SMAP) && !v.smap_off)
			return false;
	}
	if (!key_allows(c, w, a, v))
		return false;
	if (a == ACC_W)
		return w->write || (!v.user && !(c->cr0 & CR0_WP));
	return a != ACC_X || w->exec;
}

int walk_page(struct cpu *c, uint64_t lin, enum access a, struct view v, struct walk *w)
{
	struct way way;
	int err;

	for (;;) {
		err = walk_tables(c, lin, &way, w);
		if (err < 0 && !walk_allowed(c, w, a, v))
			err = PF_P | (key_allows(c, w, a, v) ? 0 : PF_PK);
		if (err >= 0)
			break;
		bool stable = true;
		for (unsigned n = 0; stable && n < way.n; n++)
			stable = mark(c, &way, n, n + 1 == way.n && a == ACC_W ? PTE_A | PTE_D : PTE_A);
		if (stable) {
			w->dirty |= a == ACC_W;
			return -1;
		}
	}
	bool fetch_bit = a == ACC_X && ((c->cr4 & CR4_SMEP) || ((c->cr4 & CR4_PAE) && (c->efer & EFER_NXE)));
	return err | (a == ACC_W ? PF_W : 0) | (v.user ? PF_U : 0) | (fetch_bit ? PF_I : 0);
}

int walk_peek(struct cpu *c, uint64_t lin, struct walk *w)
{
	struct way way;
	return walk_tables(c, lin, &way, w);
}
