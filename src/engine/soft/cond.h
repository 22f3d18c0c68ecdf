/* cond.h - the conditions of Jcc, SETcc and CMOVcc by lazy flags, for a condition known at compile time.
 *
 * Most conditions follow a CMP, SUB, TEST or logic operation (CC_SUB), where they are one comparison of
 * the operands; everything else goes through cc_test. */
#ifndef SOFT_COND_H
#define SOFT_COND_H

#include "engine/soft/flags.h"

/* Applies X to each condition number */
#define COND_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

/* The same as cc_test; cc is a constant */
static inline __attribute__((always_inline)) bool cond_test(const struct cpu *c, unsigned cc)
{
	bool v;

	switch (cc >> 1) {
	case 2:
	case 4:
	case 5: /* Z, S, P: the same for all kinds but one */
		if (unlikely(c->cc_kind == CC_FLAGS))
			return cc_test(c, cc);
		v = cc >> 1 == 2   ? c->cc_r == 0
		    : cc >> 1 == 4 ? (int64_t)c->cc_r < 0
				   : !__builtin_parity((uint8_t)c->cc_r);
		return v != (cc & 1);
	case 1:
	case 3:
	case 6:
	case 7: /* B, BE, L, LE */
		if (unlikely(c->cc_kind != CC_SUB))
			return cc_test(c, cc);
		v = cc >> 1 == 1   ? c->cc_a < c->cc_b
		    : cc >> 1 == 3 ? c->cc_a <= c->cc_b
		    : cc >> 1 == 6 ? (int64_t)c->cc_a < (int64_t)c->cc_b
				   : (int64_t)c->cc_a <= (int64_t)c->cc_b;
		return v != (cc & 1);
	default: /* O */ return cc_test(c, cc);
	}
}

#endif
