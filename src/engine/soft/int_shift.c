/* int_shift.c - shifts and rotates (SDM 1 7.3.6), and their flagless BMI2 forms.
 *
 * Counts are taken modulo 32, or modulo 64 for 64-bit operands; a count of zero changes no flag
 * (but a 32-bit destination still has its upper half cleared). Flags that the SDM calls
 * undefined for counts other than 1 get what the formula for 1 gives. */

#include "engine/soft/int_form.h"

/* How many bits the count of a size-byte operand keeps */
INL unsigned count_mask(unsigned size) { return size == 8 ? 63 : 31; }

/* v << n, n >= 1, as the sum of the last step: CF and OF are those of that addition. */
INL struct ccval shl(uint64_t v, unsigned n, unsigned size)
{
	uint64_t half = (uint64_t)SX(v << (n - 1), size);
	return (struct ccval){ half, half, (uint64_t)SX(half << 1, size), CC_ADD, false };
}

/* v >> n, v zero-extended: OF is the old sign, which the kept operands carry, with AF clear */
INL struct ccval shr(uint64_t v, unsigned n, unsigned size)
{
	uint64_t half = v >> (n - 1), r = half >> 1, a = (uint64_t)(SX(v, size) >> 63);
	return (struct ccval){ a, a ^ r, r, CC_INC, half & 1 };
}

INL struct ccval sar(uint64_t v, unsigned n, unsigned size)
{
	uint64_t half = (uint64_t)(SX(v, size) >> (n - 1)), r = (uint64_t)((int64_t)half >> 1);
	return (struct ccval){ r, 0, r, CC_INC, half & 1 };
}

/* Rotates change CF and OF alone: the result and the two flags */
struct rotated {
	uint64_t r;
	bool cf, of;
};

INL struct rotated rol(uint64_t v, unsigned n, unsigned size)
{
	unsigned bits = size * 8, k = n & (bits - 1);
	uint64_t r = k ? v << k | v >> (bits - k) : v;
	return (struct rotated){ r, r & 1, ((r >> (bits - 1)) ^ r) & 1 };
}

INL struct rotated ror(uint64_t v, unsigned n, unsigned size)
{
	unsigned bits = size * 8, k = n & (bits - 1);
	uint64_t r = k ? v >> k | v << (bits - k) : v;
	return (struct rotated){ r, (r >> (bits - 1)) & 1, ((r >> (bits - 1)) ^ (r >> (bits - 2))) & 1 };
}

/* Through carry: a rotation of bits + 1 bits. n is below 32 or 64; a rotation by bits + 1 is none. */
INL struct rotated rcl(uint64_t v, unsigned n, bool cf, unsigned size)
{
	unsigned bits = size * 8, k = size >= 4 ? n : n % (bits + 1);
	uint64_t r = v;
	if (k) {
		r = (k == bits ? 0 : v << k) | (uint64_t)cf << (k - 1) | (k == 1 ? 0 : v >> (bits + 1 - k));
		cf = (v >> (bits - k)) & 1;
	}
	return (struct rotated){ r, cf, ((r >> (bits - 1)) & 1) ^ cf };
}

INL struct rotated rcr(uint64_t v, unsigned n, bool cf, unsigned size)
{
	unsigned bits = size * 8, k = size >= 4 ? n : n % (bits + 1);
	uint64_t r = v;
	if (k) {
		r = (k == bits ? 0 : v >> k) | (uint64_t)cf << (bits - k) | (k == 1 ? 0 : v << (bits + 1 - k));
		cf = (v >> (k - 1)) & 1;
	}
	return (struct rotated){ r, cf, ((r >> (bits - 1)) ^ (r >> (bits - 2))) & 1 };
}

INL bool is_rotate(enum op op) { return op == OP_ROL || op == OP_ROR || op == OP_RCL || op == OP_RCR; }

/* Result of shifting v (zero-extended) by n >= 1, and the flags to commit: for rotates, *rot */
INL uint64_t shift(const struct cpu *c, enum op op, uint64_t v, unsigned n, unsigned size, struct ccval *cc,
		   struct rotated *rot)
{
	switch (op) {
	case OP_SHL: *cc = shl(v, n, size); return cc->r;
	case OP_SHR: *cc = shr(v, n, size); return cc->r;
	case OP_SAR: *cc = sar(v, n, size); return cc->r;
	case OP_ROL: *rot = rol(v, n, size); return rot->r;
	case OP_ROR: *rot = ror(v, n, size); return rot->r;
	case OP_RCL: *rot = rcl(v, n, cc_cf(c), size); return rot->r;
	default: *rot = rcr(v, n, cc_cf(c), size); return rot->r;
	}
}

static void rotated_commit(struct cpu *c, const struct rotated *rot)
{
	cc_flags(c, (cc_get(c) & ~(uint64_t)(FL_CF | FL_OF)) | (rot->cf ? FL_CF : 0) | (rot->of ? FL_OF : 0));
}

/* by_imm: the count is an immediate and, masked, not zero */
INL const struct insn *shift_reg(struct cpu *c, const struct insn *i, enum op op, bool by_imm, unsigned size)
{
	unsigned n = (unsigned)(by_imm ? (uint64_t)i->imm : c->gpr[RCX]) & count_mask(size), reg = i->o[0].reg;
	struct ccval cc;
	struct rotated rot;

	if (!by_imm && unlikely(!n)) {
		if (size == 4)
			W32(c, reg, R32(c, reg));
		NEXT(i);
	}
	reg_st(c, reg, size, shift(c, op, reg_ld(c, reg, size), n, size, &cc, &rot));
	if (is_rotate(op))
		rotated_commit(c, &rot);
	else
		cc_commit(c, &cc);
	NEXT(i);
}

/* Everything else: memory, and counts of zero */
INL const struct insn *shift_any(struct cpu *c, const struct insn *i, enum op op, unsigned size)
{
	unsigned n = (unsigned)(i->o[1].kind == O_GPR ? c->gpr[RCX] : (uint64_t)i->imm) & count_mask(size);
	struct ccval cc;
	struct rotated rot = { 0, false, false };
	struct rmw m = { NULL, 0 };
	uint64_t v;

	if (i->o[0].kind == O_GPR)
		v = reg_ld(c, i->o[0].reg, size);
	else
		v = mem_rmw_ld(c, i, insn_lin(c, i, size, true), size, &m);
	if (n)
		v = shift(c, op, v, n, size, &cc, &rot);
	if (i->o[0].kind == O_GPR)
		reg_st(c, i->o[0].reg, size, v);
	else
		mem_rmw_st(c, i, &m, size, v);
	if (!n)
		NEXT(i);
	if (is_rotate(op))
		rotated_commit(c, &rot);
	else
		cc_commit(c, &cc);
	NEXT(i);
}

#define SHIFT_FN(name, form, size)                                                                                     \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return SHIFT_##form(c, i, OP_##name, size);                                                            \
	}
#define SHIFT_RI(c, i, op, size)  shift_reg(c, i, op, true, size)
#define SHIFT_RC(c, i, op, size)  shift_reg(c, i, op, false, size)
#define SHIFT_ANY(c, i, op, size) shift_any(c, i, op, size)
#define SHIFT_DEF(name)                                                                                                \
	SIZES_DEF(SHIFT_FN, name, RI)                                                                                  \
	SIZES_DEF(SHIFT_FN, name, RC) SIZES_DEF(SHIFT_FN, name, ANY) static insn_fn name##_bind(const struct insn *i)  \
	{                                                                                                              \
		static const insn_fn fns[3][4] = { SIZES_ROW(name, RI), SIZES_ROW(name, RC), SIZES_ROW(name, ANY) };   \
		return fns[shift_form(i)][size_log2(i->o[0].size)];                                                    \
	}

static unsigned shift_form(const struct insn *i)
{
	if (i->o[0].kind != O_GPR)
		return 2;
	if (i->o[1].kind == O_GPR)
		return 1;
	return (unsigned)i->imm & count_mask(i->o[0].size) ? 0 : 2;
}

SHIFT_DEF(SHL)
SHIFT_DEF(SHR)
SHIFT_DEF(SAR)
SHIFT_DEF(ROL)
SHIFT_DEF(ROR)
SHIFT_DEF(RCL)
SHIFT_DEF(RCR)

/* --- SHLD SHRD: v and the filling operand f side by side. Counts above 16 of 16-bit operands are
 * undefined; they shift in v again, as a 48-bit v:f:v does. --- */

INL uint64_t shld(uint64_t v, uint64_t f, unsigned n, unsigned size, bool *cf)
{
	uint64_t r, w;

	switch (size) {
	case 2:
		w = v << 32 | f << 16 | v;
		*cf = (w >> (48 - n)) & 1;
		return (uint16_t)(w >> (32 - n));
	case 4: *cf = (v >> (32 - n)) & 1; return (uint32_t)((v << 32 | f) >> (32 - n));
	default:
		*cf = (v >> (64 - n)) & 1;
		r = v << n | f >> (64 - n);
		return r;
	}
}

INL uint64_t shrd(uint64_t v, uint64_t f, unsigned n, unsigned size, bool *cf)
{
	uint64_t w;

	switch (size) {
	case 2:
		w = v << 32 | f << 16 | v;
		*cf = (w >> (n - 1)) & 1;
		return (uint16_t)(w >> n);
	case 4: *cf = (v >> (n - 1)) & 1; return (uint32_t)((f << 32 | v) >> n);
	default: *cf = (v >> (n - 1)) & 1; return v >> n | f << (64 - n);
	}
}

INL const struct insn *shift_double(struct cpu *c, const struct insn *i, bool left, unsigned size)
{
	unsigned n = (unsigned)(i->o[2].kind == O_GPR ? c->gpr[RCX] : (uint64_t)i->imm) & count_mask(size);
	uint64_t f = reg_ld(c, i->o[1].reg, size), v, r;
	struct rmw m = { NULL, 0 };
	bool cf = false;

	if (i->o[0].kind == O_GPR)
		v = reg_ld(c, i->o[0].reg, size);
	else
		v = mem_rmw_ld(c, i, insn_lin(c, i, size, true), size, &m);
	r = !n ? v : left ? shld(v, f, n, size, &cf) : shrd(v, f, n, size, &cf);
	if (i->o[0].kind == O_GPR)
		reg_st(c, i->o[0].reg, size, r);
	else
		mem_rmw_st(c, i, &m, size, r);
	if (n) {
		struct ccval cc = cc_result((uint64_t)SX(r, size), cf, ((v ^ r) >> (size * 8 - 1)) & 1);
		cc_commit(c, &cc);
	}
	NEXT(i);
}

#define DOUBLE_FN(name, left, size)                                                                                    \
	static const struct insn *name##_##left##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return shift_double(c, i, left, size);                                                                 \
	}
SIZES_DEF_WDQ(DOUBLE_FN, double, 0)
SIZES_DEF_WDQ(DOUBLE_FN, double, 1)
static insn_fn double_bind(const struct insn *i)
{
	static const insn_fn fns[2][4] = { SIZES_ROW_WDQ(double, 0), SIZES_ROW_WDQ(double, 1) };
	return fns[i->op == OP_SHLD][size_log2(i->o[0].size)];
}

/* --- RORX SARX SHLX SHRX: no flags --- */

static const struct insn *shift_x(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	uint64_t v = opnd_lds(c, i, 1, size);
	unsigned n =
		(unsigned)(i->o[2].kind == O_GPR ? reg_ld(c, i->o[2].reg, size) : (uint64_t)i->imm) & count_mask(size);

	switch (i->op) {
	case OP_SARX: v = (uint64_t)((int64_t)v >> n); break;
	case OP_SHLX: v <<= n; break;
	case OP_SHRX: v = (size == 4 ? (uint32_t)v : v) >> n; break;
	default: v = size == 4 ? ror((uint32_t)v, n, 4).r : ror(v, n, 8).r; break;
	}
	reg_st(c, i->o[0].reg, size, v);
	NEXT(i);
}
static insn_fn shift_x_bind(const struct insn *i) { return i->o[0].kind == O_GPR ? shift_x : NULL; }

const struct op_bind int_shift_ops[] = {
	{ OP_SHL, SHL_bind },      { OP_SHR, SHR_bind },      { OP_SAR, SAR_bind },      { OP_ROL, ROL_bind },
	{ OP_ROR, ROR_bind },      { OP_RCL, RCL_bind },      { OP_RCR, RCR_bind },      { OP_SHLD, double_bind },
	{ OP_SHRD, double_bind },  { OP_RORX, shift_x_bind }, { OP_SARX, shift_x_bind }, { OP_SHLX, shift_x_bind },
	{ OP_SHRX, shift_x_bind }, { OP_INVALID, NULL },
};
