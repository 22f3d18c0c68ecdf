/* mmu.h - guest-linear memory: the software TLB, its fast path, and everything behind it.
 *
 * A bank caches translations for one privilege view (user, or supervisor); a bank that is
 * always empty serves modes that must look at every access (alignment checks, data
 * breakpoints). Entries of the R array allow loads, of the W array stores; pages that hold
 * decoded code, MMIO, ROM and not-dirty pages never enter W.
 *
 * An entry holds the page's linear address in `tag` and `delta` = host address - linear
 * address. (lin ^ tag) <= 4096 - size is true exactly when the page matches and the access
 * does not leave it, so straddling accesses take the slow path by the same test. */
#ifndef SOFT_MMU_H
#define SOFT_MMU_H

#include "engine/soft/cpu.h"
#include "engine/soft/exc.h"

#define TLB_BITS 10
#define TLB_SIZE (1u << TLB_BITS)

struct tlb_entry {
	uint64_t tag;   /* linear page address; 1 = empty */
	uint64_t delta; /* host = linear + delta */
};
struct tlb {
	struct tlb_entry r[TLB_SIZE], w[TLB_SIZE];
};

static inline unsigned tlb_index(uint64_t lin) { return (lin >> 12) & (TLB_SIZE - 1); }

static inline void *tlb_hit(const struct tlb_entry *e, uint64_t lin, unsigned size)
{
	e += tlb_index(lin);
	if (unlikely((lin ^ e->tag) > 4096 - size))
		return NULL;
	void *p = (void *)(uintptr_t)(lin + e->delta);
	if (!p)
		__builtin_unreachable(); /* saves callers a second test */
	return p;
}

/* --- addresses --- */

/* Effective address of i's memory operand (offset in its segment), wrapped to the address size */
static inline uint64_t insn_ea(const struct cpu *c, const struct insn *i)
{
	uint64_t ea = c->gpr[i->base] + (c->gpr[i->index] << i->scale) + (uint64_t)i->disp;
	return likely(i->asz == 8) ? ea : i->asz == 4 ? (uint32_t)ea : (uint16_t)ea;
}

/* Limit, rights and canonical checks: raises #GP(0) or #SS(0). Out of line. */
void seg_check_slow(struct cpu *, const struct insn *i, unsigned seg, uint64_t ea, unsigned size, bool write);

/* Linear address of offset ea in segment seg, after that segment's checks */
static inline uint64_t seg_lin(struct cpu *c, const struct insn *i, unsigned seg, uint64_t ea, unsigned size, bool write)
{
	if (unlikely(c->scheck[seg]))
		seg_check_slow(c, i, seg, ea, size, write);
	return (c->sbase[seg] + ea) & c->lin_mask;
}

/* Linear address of i's memory operand for an access of size bytes */
static inline uint64_t insn_lin(struct cpu *c, const struct insn *i, unsigned size, bool write)
{
	uint64_t ea = insn_ea(c, i);
	if (likely(i->flags & IF_FLAT64))
		return ea;
	return seg_lin(c, i, i->seg, ea, size, write);
}

/* --- slow paths (mmu.c): walk, fault, MMIO, straddles, code pages. i may be NULL (implicit). --- */
uint64_t mmu_ld_slow(struct cpu *, const struct insn *i, uint64_t lin, unsigned size);
void mmu_st_slow(struct cpu *, const struct insn *i, uint64_t lin, unsigned size, uint64_t val);
/* Any length up to 4096; straddles; checks all pages before touching any byte */
void mmu_ldn(struct cpu *, const struct insn *i, uint64_t lin, void *buf, unsigned len);
void mmu_stn(struct cpu *, const struct insn *i, uint64_t lin, const void *buf, unsigned len);
/* Raises what a store of len bytes at lin would raise, stores nothing */
void mmu_probe_w(struct cpu *, const struct insn *i, uint64_t lin, unsigned len);
/* Writable host pointer for len bytes within one page after a full walk, or NULL where bytes must go
 * through mmu_st_slow (MMIO, ROM, code page, straddle). Raises faults. */
void *mmu_w_ptr_slow(struct cpu *, const struct insn *i, uint64_t lin, unsigned len);
const void *mmu_r_ptr_slow(struct cpu *, const struct insn *i, uint64_t lin, unsigned len);

/* Supervisor accesses that ignore CPL: descriptor tables, TSS (SDM 3A 4.6: implicit) */
uint64_t mmu_sys_ld(struct cpu *, const struct insn *i, uint64_t lin, unsigned size);
void mmu_sys_st(struct cpu *, const struct insn *i, uint64_t lin, unsigned size, uint64_t val);

/* --- fast paths; size is a compile-time constant 1, 2, 4, 8 --- */
static inline __attribute__((always_inline)) uint64_t mem_ld(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size)
{
	const void *p = tlb_hit(c->tlb->r, lin, size);
	if (unlikely(!p))
		return mmu_ld_slow(c, i, lin, size);
	switch (size) {
	case 1: return *(const uint8_t *)p;
	case 2: { uint16_t v; memcpy(&v, p, 2); return v; }
	case 4: { uint32_t v; memcpy(&v, p, 4); return v; }
	default: { uint64_t v; memcpy(&v, p, 8); return v; }
	}
}
static inline __attribute__((always_inline)) void mem_st(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size, uint64_t v)
{
	void *p = tlb_hit(c->tlb->w, lin, size);
	if (unlikely(!p)) {
		mmu_st_slow(c, i, lin, size, v);
		return;
	}
	switch (size) {
	case 1: *(uint8_t *)p = (uint8_t)v; break;
	case 2: memcpy(p, &v, 2); break;
	case 4: memcpy(p, &v, 4); break;
	default: memcpy(p, &v, 8); break;
	}
}
static inline __attribute__((always_inline)) void mem_ldn(struct cpu *c, const struct insn *i, uint64_t lin, void *buf, unsigned len)
{
	const void *p = tlb_hit(c->tlb->r, lin, len);
	if (likely(p != NULL))
		memcpy(buf, p, len);
	else
		mmu_ldn(c, i, lin, buf, len);
}
static inline __attribute__((always_inline)) void mem_stn(struct cpu *c, const struct insn *i, uint64_t lin, const void *buf, unsigned len)
{
	void *p = tlb_hit(c->tlb->w, lin, len);
	if (likely(p != NULL))
		memcpy(p, buf, len);
	else
		mmu_stn(c, i, lin, buf, len);
}

/* Read-modify-write: one translation, faults as a write. Use:
 *   struct rmw m; uint64_t d = mem_rmw_ld(c, i, lin, 4, &m); ... mem_rmw_st(c, i, &m, 4, r);
 * Between the two nothing may raise. A LOCK prefix takes m.host (aligned: m.host is non-NULL and
 * size-aligned) for the host's own atomics; otherwise the plain pair under cpu_lock_begin/end. */
struct rmw { void *host; uint64_t lin; };
uint64_t mmu_rmw_ld_slow(struct cpu *, const struct insn *i, uint64_t lin, unsigned size, struct rmw *m);

static inline __attribute__((always_inline)) uint64_t mem_rmw_ld(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size, struct rmw *m)
{
	void *p = tlb_hit(c->tlb->w, lin, size);
	m->lin = lin;
	m->host = p;
	if (unlikely(!p))
		return mmu_rmw_ld_slow(c, i, lin, size, m);
	switch (size) {
	case 1: return *(uint8_t *)p;
	case 2: { uint16_t v; memcpy(&v, p, 2); return v; }
	case 4: { uint32_t v; memcpy(&v, p, 4); return v; }
	default: { uint64_t v; memcpy(&v, p, 8); return v; }
	}
}
static inline __attribute__((always_inline)) void mem_rmw_st(struct cpu *c, const struct insn *i, struct rmw *m, unsigned size, uint64_t v)
{
	if (unlikely(!m->host)) {
		mmu_st_slow(c, i, m->lin, size, v);
		return;
	}
	switch (size) {
	case 1: *(uint8_t *)m->host = (uint8_t)v; break;
	case 2: memcpy(m->host, &v, 2); break;
	case 4: memcpy(m->host, &v, 4); break;
	default: memcpy(m->host, &v, 8); break;
	}
}

/* Locked operations that cannot use a host atomic (MMIO, straddles, code pages) run between these. */
void cpu_lock_begin(struct cpu *);
void cpu_lock_end(struct cpu *);

/* --- control --- */
int mmu_init(struct cpu *); /* 0 or -ENOMEM */
void mmu_fini(struct cpu *);
void mmu_flush_all(struct cpu *);           /* CR0/CR4/EFER changes, everything */
void mmu_cr3_written(struct cpu *, uint64_t old, bool noflush); /* c->cr3 holds the new value, bit 63 removed */
void mmu_invlpg(struct cpu *, uint64_t lin);
void mmu_invpcid(struct cpu *, unsigned type, uint64_t pcid, uint64_t lin);
void mmu_pkru_written(struct cpu *, uint32_t old); /* c->pkru holds the new value */
void mmu_select_bank(struct cpu *);         /* CPL, AC, AM, DR7 changed: sets c->tlb (cpu_mode_changed calls it) */

/* Walks without side effects for a debugger or a dump: gpa or -EFAULT */
int mmu_translate_debug(struct cpu *, uint64_t lin, uint64_t *gpa);

/* Instruction fetch: gpa of lin for the present mode with permission checks (raises #PF on behalf of
 * c->rip). *host is a readable pointer to it, NULL where code lies in no RAM. */
uint64_t mmu_fetch(struct cpu *, uint64_t lin, const uint8_t **host);

#endif
