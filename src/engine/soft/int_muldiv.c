/* int_muldiv.c - multiplication, division, and decimal adjustment (SDM 1 7.3.2, 7.3.4, 7.3.5). */

#include "engine/soft/int_form.h"

/* --- MUL IMUL: CF = OF = the product does not fit into its low half --- */

static void mul_flags(struct cpu *c, uint64_t low, bool overflow)
{
	struct ccval cc = cc_result(low, overflow, overflow);
	cc_commit(c, &cc);
}

/* rDX:rAX (AX) = rAX * operand */
INL const struct insn *mul_wide(struct cpu *c, const struct insn *i, bool sign, unsigned size)
{
	uint64_t b = opnd_lds(c, i, 0, size), a = reg_lds(c, gpr_off(RAX), size), low, high;
	bool overflow;

	if (size == 8) {
		unsigned __int128 p =
			sign ? (unsigned __int128)((__int128)(int64_t)a * (int64_t)b) : (unsigned __int128)a * b;
		low = (uint64_t)p;
		high = (uint64_t)(p >> 64);
		overflow = high != (sign ? (uint64_t)((int64_t)low >> 63) : 0);
	} else {
		uint64_t mask = (1ull << (8 * size)) - 1;
		uint64_t p = sign ? a * b : (a & mask) * (b & mask);
		low = (uint64_t)SX(p, size);
		high = p >> (8 * size);
		overflow = sign ? low != p : (high & mask) != 0;
	}
	if (size == 1) {
		R16(c, gpr_off(RAX)) = (uint16_t)((high << 8) | (uint8_t)low);
	} else {
		reg_st(c, gpr_off(RAX), size, low);
		reg_st(c, gpr_off(RDX), size, high);
	}
	mul_flags(c, low, overflow);
	NEXT(i);
}

/* Two operands: o0 *= o1; three: o0 = o1 * imm */
INL const struct insn *imul(struct cpu *c, const struct insn *i, bool three, unsigned size)
{
	uint64_t a = three ? opnd_lds(c, i, 1, size) : reg_lds(c, i->o[0].reg, size);
	uint64_t b = three ? (uint64_t)i->imm : opnd_lds(c, i, 1, size), low;
	bool overflow;

	if (size == 8) {
		int64_t p;
		overflow = __builtin_mul_overflow((int64_t)a, (int64_t)b, &p);
		low = (uint64_t)p;
	} else {
		uint64_t p = a * b;
		low = (uint64_t)SX(p, size);
		overflow = low != p;
	}
	reg_st(c, i->o[0].reg, size, low);
	mul_flags(c, low, overflow);
	NEXT(i);
}

/* MULX: o0:o1 = rDX * o2, no flags; where o0 and o1 are the same register it gets the high half */
static const struct insn *mulx(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	uint64_t b = opnd_lds(c, i, 2, size);

	if (size == 4) {
		uint64_t p = (uint64_t)(uint32_t)c->gpr[RDX] * (uint32_t)b;
		W32(c, i->o[1].reg, p);
		W32(c, i->o[0].reg, p >> 32);
	} else {
		unsigned __int128 p = (unsigned __int128)c->gpr[RDX] * b;
		R64(c, i->o[1].reg) = (uint64_t)p;
		R64(c, i->o[0].reg) = (uint64_t)(p >> 64);
	}
	NEXT(i);
}

/* --- DIV IDIV: flags stay (undefined) --- */

static _Noreturn void raise_de(struct cpu *c, const struct insn *i) { cpu_raise(c, i, EXC_DE, 0); }

INL const struct insn *div_u(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t d = opnd_lds(c, i, 0, size), n, q;

	if (size == 8) {
		uint64_t high = c->gpr[RDX], low = c->gpr[RAX];
		if (unlikely(high >= d))
			raise_de(c, i); /* division by zero too */
		if (likely(!high)) {
			c->gpr[RAX] = low / d;
			c->gpr[RDX] = low % d;
		} else {
			unsigned __int128 wide = (unsigned __int128)high << 64 | low;
			c->gpr[RAX] = (uint64_t)(wide / d);
			c->gpr[RDX] = (uint64_t)(wide % d);
		}
		NEXT(i);
	}
	uint64_t mask = (1ull << (8 * size)) - 1;
	d &= mask;
	n = size == 1 ? R16(c, gpr_off(RAX))
		      : reg_ld(c, gpr_off(RDX), size) << (8 * size) | reg_ld(c, gpr_off(RAX), size);
	if (unlikely(!d))
		raise_de(c, i);
	q = n / d;
	if (unlikely(q > mask))
		raise_de(c, i);
	if (size == 1) {
		R16(c, gpr_off(RAX)) = (uint16_t)((n % d) << 8 | q);
	} else {
		reg_st(c, gpr_off(RAX), size, q);
		reg_st(c, gpr_off(RDX), size, n % d);
	}
	NEXT(i);
}

/* 128 by 64 bits: by magnitudes, which cannot overflow in C */
static const struct insn *idiv_wide(struct cpu *c, const struct insn *i, int64_t d)
{
	unsigned __int128 n = (unsigned __int128)c->gpr[RDX] << 64 | c->gpr[RAX], q;
	bool neg_n = (int64_t)c->gpr[RDX] < 0, neg_q = neg_n != (d < 0);
	uint64_t dm = d < 0 ? -(uint64_t)d : (uint64_t)d, r;

	if (neg_n)
		n = -n;
	if ((uint64_t)(n >> 64) >= dm)
		raise_de(c, i);
	q = n / dm;
	r = (uint64_t)(n % dm);
	if (q > (neg_q ? 1ull << 63 : ~0ull >> 1))
		raise_de(c, i);
	c->gpr[RAX] = neg_q ? -(uint64_t)q : (uint64_t)q;
	c->gpr[RDX] = neg_n ? -r : r;
	NEXT(i);
}

INL const struct insn *div_s(struct cpu *c, const struct insn *i, unsigned size)
{
	int64_t d = (int64_t)opnd_lds(c, i, 0, size), n, q;

	if (size == 8) {
		n = (int64_t)c->gpr[RAX];
		if (unlikely(c->gpr[RDX] != (uint64_t)(n >> 63) || d == 0 || (d == -1 && n == INT64_MIN)))
			return idiv_wide(c, i, d);
		c->gpr[RAX] = (uint64_t)(n / d);
		c->gpr[RDX] = (uint64_t)(n % d);
		NEXT(i);
	}
	if (size == 1)
		n = (int16_t)c->gpr[RAX];
	else
		n = (int64_t)(reg_lds(c, gpr_off(RDX), size) << (8 * size) | reg_ld(c, gpr_off(RAX), size));
	if (unlikely(d == 0 || (d == -1 && n == INT64_MIN)))
		raise_de(c, i);
	q = n / d;
	if (unlikely(q != SX(q, size)))
		raise_de(c, i);
	if (size == 1) {
		R16(c, gpr_off(RAX)) = (uint16_t)((uint64_t)(n % d) << 8 | (uint8_t)q);
	} else {
		reg_st(c, gpr_off(RAX), size, (uint64_t)q);
		reg_st(c, gpr_off(RDX), size, (uint64_t)(n % d));
	}
	NEXT(i);
}

#define MUL_FN(name, form, size)                                                                                       \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return name##_##form(c, i, size);                                                                      \
	}
#define mul_U(c, i, size) mul_wide(c, i, false, size)
#define mul_S(c, i, size) mul_wide(c, i, true, size)
#define mul_2(c, i, size) imul(c, i, false, size)
#define mul_3(c, i, size) imul(c, i, true, size)
#define div_U(c, i, size) div_u(c, i, size)
#define div_S(c, i, size) div_s(c, i, size)
SIZES_DEF(MUL_FN, mul, U)
SIZES_DEF(MUL_FN, mul, S)
SIZES_DEF_WDQ(MUL_FN, mul, 2)
SIZES_DEF_WDQ(MUL_FN, mul, 3)
SIZES_DEF(MUL_FN, div, U)
SIZES_DEF(MUL_FN, div, S)

static insn_fn wide_bind(const struct insn *i)
{
	static const insn_fn fns[4][4] = { SIZES_ROW(mul, U), SIZES_ROW(mul, S), SIZES_ROW(div, U), SIZES_ROW(div, S) };
	unsigned n = i->op == OP_MUL ? 0 : i->op == OP_IMUL1 ? 1 : i->op == OP_DIV ? 2 : 3;
	return fns[n][size_log2(i->o[0].size)];
}
static insn_fn imul_bind(const struct insn *i)
{
	static const insn_fn fns[2][4] = { SIZES_ROW_WDQ(mul, 2), SIZES_ROW_WDQ(mul, 3) };
	return fns[i->nopnd == 3][size_log2(i->o[0].size)];
}
static insn_fn mulx_bind(const struct insn *i) { return mulx; }

/* --- AAA AAS AAM AAD DAA DAS: the pseudocode of SDM 2, with ZF, SF, PF by AL --- */

static uint8_t al(const struct cpu *c) { return (uint8_t)c->gpr[RAX]; }
static uint8_t ah(const struct cpu *c) { return (uint8_t)(c->gpr[RAX] >> 8); }
static void ax_put(struct cpu *c, uint8_t high, uint8_t low) { R16(c, gpr_off(RAX)) = (uint16_t)(high << 8 | low); }

static void decimal_flags(struct cpu *c, uint8_t r, bool af, bool cf)
{
	cc_flags(c, (cf ? FL_CF : 0) | (af ? FL_AF : 0) | (r ? 0 : FL_ZF) | (r & 0x80 ? FL_SF : 0) |
			    (__builtin_parity(r) ? 0 : FL_PF));
}

static const struct insn *aaa_aas(struct cpu *c, const struct insn *i)
{
	bool adjust = (al(c) & 15) > 9 || cc_af(c);
	uint16_t ax = (uint16_t)c->gpr[RAX];

	if (adjust)
		ax = (uint16_t)(i->op == OP_AAA ? ax + 0x106 : ax - 0x106);
	R16(c, gpr_off(RAX)) = ax & 0xff0f;
	decimal_flags(c, al(c), adjust, adjust);
	NEXT(i);
}

static const struct insn *daa_das(struct cpu *c, const struct insn *i)
{
	uint8_t old = al(c), v = old;
	bool old_cf = cc_cf(c), af = (old & 15) > 9 || cc_af(c), cf = false;
	bool add = i->op == OP_DAA;

	if (af) {
		cf = old_cf || (add ? v > 0xff - 6 : v < 6);
		v = (uint8_t)(add ? v + 6 : v - 6);
	}
	if (old > 0x99 || old_cf) {
		v = (uint8_t)(add ? v + 0x60 : v - 0x60);
		cf = true;
	} else if (add) {
		cf = false;
	}
	R8(c, gpr_off(RAX)) = v;
	decimal_flags(c, v, af, cf);
	NEXT(i);
}

static const struct insn *aam(struct cpu *c, const struct insn *i)
{
	uint8_t base = (uint8_t)i->imm;

	if (!base)
		raise_de(c, i);
	ax_put(c, al(c) / base, al(c) % base);
	decimal_flags(c, al(c), false, false);
	NEXT(i);
}

static const struct insn *aad(struct cpu *c, const struct insn *i)
{
	ax_put(c, 0, (uint8_t)(al(c) + ah(c) * (uint8_t)i->imm));
	decimal_flags(c, al(c), false, false);
	NEXT(i);
}

static insn_fn aaa_aas_bind(const struct insn *i) { return aaa_aas; }
static insn_fn daa_das_bind(const struct insn *i) { return daa_das; }
static insn_fn aam_bind(const struct insn *i) { return aam; }
static insn_fn aad_bind(const struct insn *i) { return aad; }

const struct op_bind int_muldiv_ops[] = {
	{ OP_MUL, wide_bind },    { OP_IMUL1, wide_bind },  { OP_DIV, wide_bind },    { OP_IDIV, wide_bind },
	{ OP_IMUL, imul_bind },   { OP_MULX, mulx_bind },   { OP_AAA, aaa_aas_bind }, { OP_AAS, aaa_aas_bind },
	{ OP_DAA, daa_das_bind }, { OP_DAS, daa_das_bind }, { OP_AAM, aam_bind },     { OP_AAD, aad_bind },
	{ OP_INVALID, NULL },
};
