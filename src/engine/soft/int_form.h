/* int_form.h - what the integer families share: operand forms, operand access by size, and the
 * host atomics behind LOCK.
 *
 * Handlers are generated: a function marked INL takes the operand form and size as constants, and a
 * macro instantiates it for each pair into a table that the family's bind function indexes. Sizes are
 * 1, 2, 4, 8 bytes throughout. Private to int_*.c. */
#ifndef SOFT_INT_FORM_H
#define SOFT_INT_FORM_H

#include "engine/soft/interp.h"

#define INL static inline __attribute__((always_inline))

/* Operand forms of two-operand instructions. The F forms have an address that is one register plus a
 * displacement, in 64-bit code, in a segment with base zero. */
enum form { FORM_RR, FORM_RI, FORM_RM, FORM_RMF, FORM_MR, FORM_MRF, FORM_MI, FORM_MIF, FORM_LOCK, FORM_COUNT };

/* Operand forms of one-operand instructions */
enum form1 { FORM1_R, FORM1_M, FORM1_MF, FORM1_LOCK, FORM1_COUNT };

static inline bool form_flat(const struct insn *i)
{
	return (i->flags & IF_FLAT64) && i->asz == 8 && i->index == REG_ZERO;
}

/* enum form of i, or -1 */
static inline int form_of(const struct insn *i)
{
	if (i->o[0].kind == O_GPR) {
		switch (i->o[1].kind) {
		case O_GPR: return FORM_RR;
		case O_IMM: return FORM_RI;
		case O_MEM: return form_flat(i) ? FORM_RMF : FORM_RM;
		default: return -1;
		}
	}
	if (i->o[0].kind != O_MEM)
		return -1;
	if (i->o[1].kind != O_GPR && i->o[1].kind != O_IMM)
		return -1;
	if (i->flags & IF_LOCK)
		return FORM_LOCK;
	if (i->o[1].kind == O_GPR)
		return form_flat(i) ? FORM_MRF : FORM_MR;
	return form_flat(i) ? FORM_MIF : FORM_MI;
}

/* enum form1 of i, by its first operand, or -1 */
static inline int form1_of(const struct insn *i)
{
	if (i->o[0].kind == O_GPR)
		return FORM1_R;
	if (i->o[0].kind != O_MEM)
		return -1;
	return i->flags & IF_LOCK ? FORM1_LOCK : form_flat(i) ? FORM1_MF : FORM1_M;
}

/* 1, 2, 4, 8 -> 0, 1, 2, 3: the last index of handler tables */
static inline unsigned size_log2(unsigned size) { return (unsigned)__builtin_ctz(size | 8) & 3; }

/* Instantiates X(name, form, size) for the four sizes, or without bytes; and the row of a table */
#define SIZES_DEF(X, name, form)     X(name, form, 1) X(name, form, 2) X(name, form, 4) X(name, form, 8)
#define SIZES_DEF_WDQ(X, name, form) X(name, form, 2) X(name, form, 4) X(name, form, 8)
#define SIZES_ROW(name, form)                                                                                          \
	{                                                                                                              \
		name##_##form##1, name##_##form##2, name##_##form##4, name##_##form##8                                 \
	}
#define SIZES_ROW_WDQ(name, form)                                                                                      \
	{                                                                                                              \
		NULL, name##_##form##2, name##_##form##4, name##_##form##8                                             \
	}

/* Register operands, zero-extended, sign-extended, written */
INL uint64_t reg_ld(const struct cpu *c, unsigned off, unsigned size)
{
	switch (size) {
	case 1: return R8(c, off);
	case 2: return R16(c, off);
	case 4: return R32(c, off);
	default: return R64(c, off);
	}
}
INL uint64_t reg_lds(const struct cpu *c, unsigned off, unsigned size)
{
	return (uint64_t)SX(reg_ld(c, off, size), size);
}
INL void reg_st(struct cpu *c, unsigned off, unsigned size, uint64_t v)
{
	switch (size) {
	case 1: R8(c, off) = (uint8_t)v; break;
	case 2: R16(c, off) = (uint16_t)v; break;
	case 4: W32(c, off, v); break;
	default: R64(c, off) = v; break;
	}
}

/* Linear address of the memory operand without the checks that can raise: false where those are needed.
 * flat is a constant (form_flat). */
INL bool fast_lin(const struct cpu *c, const struct insn *i, bool flat, uint64_t *lin)
{
	if (flat) {
		*lin = c->gpr[i->base] + (uint64_t)i->disp;
		return true;
	}
	*lin = insn_ea(c, i);
	if (likely(i->flags & IF_FLAT64))
		return true;
	*lin = (c->sbase[i->seg] + *lin) & c->lin_mask;
	return !c->scheck[i->seg];
}

/* Host pointers of the memory operand for reading or writing, or NULL: the handler then leaves the work to
 * its slow twin by a tail call. So the fast ones call nothing and save no registers. */
INL const void *fast_r(const struct cpu *c, const struct insn *i, unsigned size, bool flat)
{
	uint64_t lin;
	return likely(fast_lin(c, i, flat, &lin)) ? tlb_hit(c->tlb->r, lin, size) : NULL;
}
INL void *fast_w(const struct cpu *c, const struct insn *i, unsigned size, bool flat)
{
	uint64_t lin;
	return likely(fast_lin(c, i, flat, &lin)) ? tlb_hit(c->tlb->w, lin, size) : NULL;
}

/* Guest memory through a host pointer: zero-extended, sign-extended, stored */
INL uint64_t host_ld(const void *p, unsigned size)
{
	switch (size) {
	case 1: return *(const uint8_t *)p;
	case 2: {
		uint16_t v;
		memcpy(&v, p, 2);
		return v;
	}
	case 4: {
		uint32_t v;
		memcpy(&v, p, 4);
		return v;
	}
	default: {
		uint64_t v;
		memcpy(&v, p, 8);
		return v;
	}
	}
}
INL uint64_t host_lds(const void *p, unsigned size) { return (uint64_t)SX(host_ld(p, size), size); }
INL void host_st(void *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1: *(uint8_t *)p = (uint8_t)v; break;
	case 2: memcpy(p, &v, 2); break;
	case 4: memcpy(p, &v, 4); break;
	default: memcpy(p, &v, 8); break;
	}
}

/* Value of operand n, whatever it is, sign-extended; for handlers where a call does not matter */
INL uint64_t opnd_lds(struct cpu *c, const struct insn *i, unsigned n, unsigned size)
{
	switch (i->o[n].kind) {
	case O_GPR: return reg_lds(c, i->o[n].reg, size);
	case O_IMM: return (uint64_t)i->imm;
	default: return (uint64_t)SX(mem_ld(c, i, insn_lin(c, i, size, false), size), size);
	}
}

/* What an operation leaves in cc_*; computed before a store that may fault, committed after it */
struct ccval {
	uint64_t a, b, r;
	uint8_t kind;
	bool cf; /* of CC_INC and CC_DEC */
};
INL void cc_commit(struct cpu *c, const struct ccval *v)
{
	if (v->kind == CC_INC || v->kind == CC_DEC)
		c->cc_cf = v->cf;
	cc_set(c, v->kind, v->a, v->b, v->r);
}

/* Replaces the carry flag and keeps the others: CC_SUB and CC_ADD turn into the kinds with the same
 * formulas but for CF */
INL void cc_put_cf(struct cpu *c, bool cf)
{
	if (c->cc_kind == CC_FLAGS) {
		c->cc_r = (c->cc_r & ~(uint64_t)FL_CF) | cf;
		return;
	}
	c->cc_cf = cf;
	if (c->cc_kind == CC_SUB)
		c->cc_kind = CC_DEC;
	else if (c->cc_kind == CC_ADD)
		c->cc_kind = CC_INC;
}

/* ZF, SF, PF by the sign-extended result r, CF and OF as given; AF is undefined */
INL struct ccval cc_result(uint64_t r, bool cf, bool of)
{
	uint64_t a = r ^ -(uint64_t)of;
	return (struct ccval){ a, a, r, CC_INC, cf };
}

/* A host pointer, aligned to size, that host atomics may work on; or NULL: the access is to be done by
 * mem_rmw_ld and mem_rmw_st, the lock of cpu_lock_begin is held, and lock_put must follow. Faults as a
 * write before anything is locked. */
void *lock_get_slow(struct cpu *, const struct insn *i, uint64_t lin, unsigned size); /* int_alu.c */
INL void *lock_get(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size)
{
	void *p = tlb_hit(c->tlb->w, lin, size);
	if (likely(p && !((uintptr_t)p & (size - 1))))
		return p;
	return lock_get_slow(c, i, lin, size);
}
INL void lock_put(struct cpu *c) { cpu_lock_end(c); }

#define ATOMIC_DEF(name, builtin)                                                                                      \
	INL uint64_t name(void *p, uint64_t v, unsigned size)                                                          \
	{                                                                                                              \
		switch (size) {                                                                                        \
		case 1: return builtin((uint8_t *)p, (uint8_t)v, __ATOMIC_SEQ_CST);                                    \
		case 2: return builtin((uint16_t *)p, (uint16_t)v, __ATOMIC_SEQ_CST);                                  \
		case 4: return builtin((uint32_t *)p, (uint32_t)v, __ATOMIC_SEQ_CST);                                  \
		default: return builtin((uint64_t *)p, v, __ATOMIC_SEQ_CST);                                           \
		}                                                                                                      \
	}
ATOMIC_DEF(atomic_add, __atomic_fetch_add)
ATOMIC_DEF(atomic_sub, __atomic_fetch_sub)
ATOMIC_DEF(atomic_and, __atomic_fetch_and)
ATOMIC_DEF(atomic_or, __atomic_fetch_or)
ATOMIC_DEF(atomic_xor, __atomic_fetch_xor)
ATOMIC_DEF(atomic_swap, __atomic_exchange_n)

/* Compares *p with old and stores new if equal; returns what was there */
#define CAS_CASE(type)                                                                                                 \
	{                                                                                                              \
		type expect = (type)old;                                                                               \
		__atomic_compare_exchange_n((type *)p, &expect, (type)val, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
		return expect;                                                                                         \
	}
INL uint64_t atomic_cas(void *p, uint64_t old, uint64_t val, unsigned size)
{
	switch (size) {
	case 1: CAS_CASE(uint8_t)
	case 2: CAS_CASE(uint16_t)
	case 4: CAS_CASE(uint32_t)
	default: CAS_CASE(uint64_t)
	}
}

#endif
