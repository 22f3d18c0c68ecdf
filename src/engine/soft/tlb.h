/* tlb.h - the software TLB behind mmu.h: banks by privilege view, sets by address space.
 *
 *   set (one per recently used PCID)        bank: R, W arrays (mmu.h) and X, the fetch array
 *   +-- BANK_USER    CPL 3
 *   +-- BANK_SUP     CPL 0-2, and implicit accesses of the processor
 *   +-- BANK_SUP_AC  CPL 0-2 with RFLAGS.AC, where CR4.SMAP makes a difference
 *
 * plus one bank for all that is always empty (cpu.tlb points to it while every access has
 * to be looked at). All entries are for 4 KiB; a large page is entered piece by piece, and
 * `large` remembers in which 2 MiB regions, so that INVLPG finds all its pieces. */
#ifndef SOFT_TLB_H
#define SOFT_TLB_H

#include "engine/soft/mmu.h"
#include "engine/soft/walk.h"

#define TLB_SETS 8
#define TLB_XSIZE 256
#define LARGE_BITS 4096

enum { BANK_USER, BANK_SUP, BANK_SUP_AC, BANK_COUNT };

struct tlb_bank {
	struct tlb t;                      /* first: cpu.tlb points here */
	struct tlb_entry x[TLB_XSIZE];     /* delta: guest-physical - linear */
	bool used;                         /* since the last flush */
};

struct tlb_set {
	struct tlb_bank bank[BANK_COUNT];
	uint64_t cr3;                      /* table address and PCID this set caches */
	uint64_t last_use;
	uint32_t gen;                      /* unique number of this set's contents, for the jump cache */
	bool low_global;                   /* a global page below the canonical hole was entered */
	bool huge;                         /* a piece of a 1 GiB page was entered */
	uint64_t large[LARGE_BITS / 64];   /* by linear address >> 21 */
};

struct tlb_state {
	struct tlb_set set[TLB_SETS];
	struct tlb_bank empty;
	unsigned cur;
	uint64_t uses;
	uint32_t gens;
	uint16_t keys; /* protection keys of pages in data arrays, since they were all cleared; bit 0 may stand for none */
	bool watch; /* every access takes the slow path: alignment checks or data breakpoints are on */
};

static inline struct tlb_set *tlb_cur(struct cpu *c) { return &c->mmu->set[c->mmu->cur]; }

/* The bank for view v in the current set */
static inline struct tlb_bank *tlb_bank(struct cpu *c, struct view v)
{
	return &tlb_cur(c)->bank[v.user ? BANK_USER : v.smap_off && (c->cr4 & CR4_SMAP) ? BANK_SUP_AC : BANK_SUP];
}

/* The view of explicit accesses at the present CPL */
static inline struct view cpu_view(const struct cpu *c)
{
	return (struct view){ .user = c->cpl == 3, .smap_off = (c->rflags & FL_AC) != 0 };
}

/* Page translation with all checks for `a`; enters the bank. Raises #PF. Returns the guest-physical address. */
uint64_t tlb_translate(struct cpu *, const struct insn *i, uint64_t lin, enum access a, struct view v);

/* Drops the W entries of the page at gpa, or of all pages, from every bank of this cpu */
void tlb_drop_writable(struct cpu *, uint64_t gpa);
void tlb_drop_all_writable(struct cpu *);

#endif
