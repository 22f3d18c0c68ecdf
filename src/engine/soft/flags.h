/* flags.h - lazy arithmetic flags.
 *
 * An operation leaves operands and result, sign-extended to 64 bits, and how they relate:
 *   CC_SUB  r = a - b   (also CMP; logic operations store a = r, b = 0: CF = OF = AF = 0)
 *   CC_ADD  r = a + b
 *   CC_INC  as CC_ADD, but CF is cc_cf; CC_DEC as CC_SUB likewise: INC and DEC (b = 1), ADC and SBB,
 *           shifts and other operations whose CF no formula gives (int_form.h)
 *   CC_FLAGS  cc_r holds the six flags as RFLAGS bits
 * Sign extension makes every formula independent of the operand size. */
#ifndef SOFT_FLAGS_H
#define SOFT_FLAGS_H

#include "engine/soft/cpu.h"

#define SX(v, size) ((size) == 1 ? (int64_t)(int8_t)(v) : (size) == 2 ? (int64_t)(int16_t)(v) : \
                     (size) == 4 ? (int64_t)(int32_t)(v) : (int64_t)(v))

/* a, b, r must be sign-extended already */
static inline void cc_set(struct cpu *c, uint8_t kind, uint64_t a, uint64_t b, uint64_t r)
{
	c->cc_a = a;
	c->cc_b = b;
	c->cc_r = r;
	c->cc_kind = kind;
}
static inline void cc_logic(struct cpu *c, uint64_t r) { cc_set(c, CC_SUB, r, 0, r); }
/* flags: any RFLAGS value; only the six arithmetic flags are taken */
static inline void cc_flags(struct cpu *c, uint64_t flags) { cc_set(c, CC_FLAGS, 0, 0, flags & FL_ARITH); }

static inline bool cc_cf(const struct cpu *c)
{
	switch (c->cc_kind) {
	case CC_SUB: return c->cc_a < c->cc_b;
	case CC_ADD: return c->cc_r < c->cc_a;
	case CC_FLAGS: return c->cc_r & FL_CF;
	default: return c->cc_cf;
	}
}
static inline bool cc_zf(const struct cpu *c) { return c->cc_kind == CC_FLAGS ? (c->cc_r & FL_ZF) != 0 : c->cc_r == 0; }
static inline bool cc_sf(const struct cpu *c) { return c->cc_kind == CC_FLAGS ? (c->cc_r & FL_SF) != 0 : (int64_t)c->cc_r < 0; }
static inline bool cc_pf(const struct cpu *c)
{
	return c->cc_kind == CC_FLAGS ? (c->cc_r & FL_PF) != 0 : !__builtin_parity((uint8_t)c->cc_r);
}
static inline bool cc_af(const struct cpu *c)
{
	return c->cc_kind == CC_FLAGS ? (c->cc_r & FL_AF) != 0 : ((c->cc_a ^ c->cc_b ^ c->cc_r) & 0x10) != 0;
}
static inline bool cc_of(const struct cpu *c)
{
	uint64_t a = c->cc_a, b = c->cc_b, r = c->cc_r;
	switch (c->cc_kind) {
	case CC_SUB: case CC_DEC: return (int64_t)((a ^ b) & (a ^ r)) < 0;
	case CC_ADD: case CC_INC: return (int64_t)((a ^ r) & (b ^ r)) < 0;
	default: return r & FL_OF;
	}
}

/* All six as RFLAGS bits */
static inline uint64_t cc_get(const struct cpu *c)
{
	if (c->cc_kind == CC_FLAGS)
		return c->cc_r;
	return (cc_cf(c) ? FL_CF : 0) | (cc_pf(c) ? FL_PF : 0) | (cc_af(c) ? FL_AF : 0) | (cc_zf(c) ? FL_ZF : 0) |
	       (cc_sf(c) ? FL_SF : 0) | (cc_of(c) ? FL_OF : 0);
}

/* The whole of RFLAGS */
static inline uint64_t rflags_get(const struct cpu *c) { return c->rflags | cc_get(c); }

/* Condition cc (0..15) of Jcc, SETcc, CMOVcc: SDM 2 appendix B.1.4.7 */
static inline bool cc_test(const struct cpu *c, unsigned cc)
{
	bool v;
	switch (cc >> 1) {
	case 0: v = cc_of(c); break;
	case 1: v = cc_cf(c); break;
	case 2: v = cc_zf(c); break;
	case 3: v = cc_cf(c) || cc_zf(c); break;
	case 4: v = cc_sf(c); break;
	case 5: v = cc_pf(c); break;
	case 6: v = cc_sf(c) != cc_of(c); break;
	default: v = cc_zf(c) || cc_sf(c) != cc_of(c); break;
	}
	return v != (cc & 1);
}

/* Sets RFLAGS, all bits; the caller has applied privilege rules. Recomputes modes. */
void rflags_set(struct cpu *, uint64_t v);

#endif
