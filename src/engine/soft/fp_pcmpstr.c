/* fp_pcmpstr.c - PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM 2B 4.1).
 *
 * imm[1:0] element: unsigned byte, unsigned word, signed byte, signed word; imm[3:2] aggregation;
 * imm[5:4] polarity; imm[6] which end (index) or what mask. */
#include "engine/soft/avx.h"

enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

static int element(const union vreg *v, unsigned n, unsigned imm)
{
	switch (imm & 3) {
	case 0: return v->b[n];
	case 1: return v->w[n];
	case 2: return (int8_t)v->b[n];
	default: return (int16_t)v->w[n];
	}
}

/* Elements before the first zero */
static unsigned length_implicit(const union vreg *v, unsigned imm)
{
	unsigned n = 0, max = imm & 1 ? 8 : 16;
	while (n < max && (imm & 1 ? v->w[n] : v->b[n]))
		n++;
	return n;
}

/* The absolute value of EAX or EDX (RAX, RDX with REX.W), saturated */
static unsigned length_explicit(uint64_t reg, bool wide, unsigned imm)
{
	unsigned max = imm & 1 ? 8 : 16;
	int64_t v = wide ? (int64_t)reg : (int32_t)reg;
	uint64_t mag = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	return mag > max ? max : (unsigned)mag;
}

/* IntRes1: bit n says how element n of b compares with a */
static unsigned aggregate(const union vreg *a, unsigned la, const union vreg *b, unsigned lb, unsigned imm)
{
	unsigned max = imm & 1 ? 8 : 16, res = 0, j, k;
	switch (imm >> 2 & 3) {
	case EQUAL_ANY:
		for (j = 0; j < lb; j++)
			for (k = 0; k < la; k++)
				if (element(a, k, imm) == element(b, j, imm)) {
					res |= 1u << j;
					break;
				}
		return res;
	case RANGES:
		for (j = 0; j < lb; j++)
			for (k = 0; k + 1 < la; k += 2) {
				int v = element(b, j, imm);
				if (element(a, k, imm) <= v && v <= element(a, k + 1, imm)) {
					res |= 1u << j;
					break;
				}
			}
		return res;
	case EQUAL_EACH: /* two elements behind their ends are equal */
		for (j = 0; j < max; j++)
			if (j < la && j < lb ? element(a, j, imm) == element(b, j, imm) : j >= la && j >= lb)
				res |= 1u << j;
		return res;
	default: /* EQUAL_ORDERED: a is found at j, as far as b reaches in the register */
		for (j = 0; j < max; j++) {
			for (k = 0; k < la && j + k < max; k++)
				if (j + k >= lb || element(a, k, imm) != element(b, j + k, imm))
					break;
			if (k == la || j + k == max)
				res |= 1u << j;
		}
		return res;
	}
}

static unsigned compare(struct cpu *c, const union vreg *a, unsigned la, const union vreg *b, unsigned lb, unsigned imm)
{
	unsigned max = imm & 1 ? 8 : 16, all = (1u << max) - 1, res = aggregate(a, la, b, lb, imm);
	switch (imm >> 4 & 3) {
	case 1: res ^= all; break;
	case 3: res ^= (1u << lb) - 1; break;
	}
	res &= all;
	cc_flags(c, (res ? FL_CF : 0) | (lb < max ? FL_ZF : 0) | (la < max ? FL_SF : 0) | (res & 1 ? FL_OF : 0));
	return res;
}

static void put_index(struct cpu *c, unsigned res, unsigned imm)
{
	unsigned index = imm & 1 ? 8 : 16;
	if (res)
		index = imm & 0x40 ? 31 - (unsigned)__builtin_clz(res) : (unsigned)__builtin_ctz(res);
	c->gpr[RCX] = index;
}

static void put_mask(struct cpu *c, const struct insn *i, unsigned res)
{
	union vreg *d = &c->fpu.v[0];
	unsigned imm = (uint8_t)i->imm;
	if (i->flags & IF_VEX)
		d->q[2] = d->q[3] = 0;
	if (!(imm & 0x40)) {
		d->q[0] = res;
		d->q[1] = 0;
	} else if (imm & 1) {
		for (unsigned n = 0; n < 8; n++)
			d->w[n] = res >> n & 1 ? 0xffff : 0;
	} else {
		for (unsigned n = 0; n < 16; n++)
			d->b[n] = res >> n & 1 ? 0xff : 0;
	}
}

/* The memory operand needs no alignment */
static unsigned run(struct cpu *c, const struct insn *i, bool explicit_length)
{
	const union vreg *a = &VREG(c, i, 0);
	union vreg b;
	unsigned imm = (uint8_t)i->imm;
	bool wide = i->osz == 8;
	if (i->flags & IF_VEX)
		AVX_CHECK(c, i);
	else
		SSE_CHECK(c, i);
	*(v128 *)&b = OPERAND_IS_MEM(i, 1) ? fp_ld16u(c, i) : XREG(c, i, 1);
	if (explicit_length)
		return compare(c, a, length_explicit(c->gpr[RAX], wide, imm), &b, length_explicit(c->gpr[RDX], wide, imm), imm);
	return compare(c, a, length_implicit(a, imm), &b, length_implicit(&b, imm), imm);
}
HANDLER(pcmpestri)
{
	put_index(c, run(c, i, true), (unsigned)i->imm);
	NEXT(i);
}
HANDLER(pcmpestrm)
{
	put_mask(c, i, run(c, i, true));
	NEXT(i);
}
HANDLER(pcmpistri)
{
	put_index(c, run(c, i, false), (unsigned)i->imm);
	NEXT(i);
}
HANDLER(pcmpistrm)
{
	put_mask(c, i, run(c, i, false));
	NEXT(i);
}
static insn_fn bind_pcmpestri(const struct insn *i) { return pcmpestri; }
static insn_fn bind_pcmpestrm(const struct insn *i) { return pcmpestrm; }
static insn_fn bind_pcmpistri(const struct insn *i) { return pcmpistri; }
static insn_fn bind_pcmpistrm(const struct insn *i) { return pcmpistrm; }

const struct op_bind fp_pcmpstr_ops[] = {
	{ OP_PCMPESTRI, bind_pcmpestri },
	{ OP_PCMPESTRM, bind_pcmpestrm },
	{ OP_PCMPISTRI, bind_pcmpistri },
	{ OP_PCMPISTRM, bind_pcmpistrm },
	{ OP_VPCMPESTRI, bind_pcmpestri },
	{ OP_VPCMPESTRM, bind_pcmpestrm },
	{ OP_VPCMPISTRI, bind_pcmpistri },
	{ OP_VPCMPISTRM, bind_pcmpistrm },
	{ OP_INVALID, NULL },
};
