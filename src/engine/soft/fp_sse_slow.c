/* fp_sse_slow.c - SSE instructions while the guest has unmasked an exception: executed with everything masked,
 * then the flags are looked at before the destination is written. */
#include "engine/soft/fp_host_x87.h"
#include "engine/soft/fp_simd.h"

/* Operands are loaded: from here to fp_arith_end only the instruction itself runs. The host's flags are
 * put away so that those of this instruction can be seen. FTZ has no effect while underflow is
 * unmasked (SDM 1 10.2.3.3), and the masked host would obey it. */
void fp_arith_begin(struct cpu *c)
{
	uint32_t host;
	c->fpu.mxcsr |= host_mxcsr_get() & MXCSR_FLAGS;
	host = (c->fpu.mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS;
	host_mxcsr_set(c->fpu.mxcsr & MXCSR_UM ? host : host & ~MXCSR_FTZ);
}

static bool tiny_s(uint32_t v) { return !(v & 0x7f800000u) && (v & 0x007fffffu); }
static bool tiny_d(uint64_t v) { return !(v & 0x7ff0000000000000u) && (v & 0x000fffffffffffffu); }

bool fp_any_tiny(v128 r, enum fp_tiny tiny)
{
	v128d d = (v128d)r;
	switch (tiny) {
	case TINY_PS: return tiny_s(d[0]) || tiny_s(d[1]) || tiny_s(d[2]) || tiny_s(d[3]);
	case TINY_SS: return tiny_s(d[0]);
	case TINY_PD: return tiny_d(r[0]) || tiny_d(r[1]);
	case TINY_SD: return tiny_d(r[0]);
	default: return false;
	}
}

/* How an operation pairs elements and what it does to them; count 0: it cannot over- or underflow */
enum pairing { VERTICAL, ADDSUB, HORIZONTAL, CONVERT };
struct shape {
	uint8_t pairing, count;
	bool dbl; /* of the result */
	uint16_t (*op)(uint16_t, const struct x87_reg *, const struct x87_reg *, struct x87_reg *);
};
static struct shape shape_of(unsigned op)
{
#define ROW(name, ...) case OP_##name: return (struct shape){ __VA_ARGS__ };
#define ROWS(name, fn) \
	ROW(name##PS, VERTICAL, 4, false, fn) ROW(name##PD, VERTICAL, 2, true, fn) \
	ROW(name##SS, VERTICAL, 1, false, fn) ROW(name##SD, VERTICAL, 1, true, fn)
	switch (op) {
	ROWS(ADD, x87_FADD)
	ROWS(SUB, x87_FSUB)
	ROWS(MUL, x87_FMUL)
	ROWS(DIV, x87_FDIV)
	ROW(ADDSUBPS, ADDSUB, 4, false, x87_FADD)
	ROW(ADDSUBPD, ADDSUB, 2, true, x87_FADD)
	ROW(HADDPS, HORIZONTAL, 4, false, x87_FADD)
	ROW(HADDPD, HORIZONTAL, 2, true, x87_FADD)
	ROW(HSUBPS, HORIZONTAL, 4, false, x87_FSUB)
	ROW(HSUBPD, HORIZONTAL, 2, true, x87_FSUB)
	ROW(CVTPD2PS, CONVERT, 2, false, x87_FMUL)
	ROW(CVTSD2SS, CONVERT, 1, false, x87_FMUL)
	default: return (struct shape){ 0 };
	}
#undef ROWS
#undef ROW
}

static void load_element(struct x87_reg *r, v128 v, unsigned n, bool dbl, bool daz)
{
	union x87_mem m = { .q = { dbl ? v[n & 1] : ((v128d)v)[n & 3] } };
	if (daz && (dbl ? tiny_d(m.q[0]) : tiny_s((uint32_t)m.q[0])))
		m.q[0] = 0;
	if (dbl)
		x87_FLD_f64(FCW_INIT, &m, r);
	else
		x87_FLD_f32(FCW_INIT, &m, r);
}

/* Whether PE is set when an overflow or underflow is unmasked: an element that signals one is judged as
 * rounded with unbounded exponent (IEEE 754-2008 7.4, 7.5), which the x87 with its wide exponent shows. */
bool fp_inexact(uint32_t mxcsr, unsigned op, v128 d, v128 s)
{
	struct shape sh = shape_of(op);
	uint16_t cw = (uint16_t)((mxcsr >> 13 & 3) << 10 | (sh.dbl ? 0x200 : 0) | 0x7f);
	unsigned min = sh.dbl ? 0x3fff - 1022 : 0x3fff - 126;
	bool in_dbl = sh.dbl || sh.pairing == CONVERT, daz = mxcsr & MXCSR_DAZ, any = false;
	for (unsigned n = 0; n < sh.count; n++) {
		struct x87_reg a, b = { 1ull << 63, 0x3fff }, r;
		union x87_mem m;
		uint16_t sw, st;
		bool tiny;
		if (sh.pairing == HORIZONTAL) {
			unsigned half = sh.count / 2;
			load_element(&a, n < half ? d : s, n % half * 2, in_dbl, daz);
			load_element(&b, n < half ? d : s, n % half * 2 + 1, in_dbl, daz);
		} else {
			load_element(&a, sh.pairing == CONVERT ? s : d, n, in_dbl, daz);
			if (sh.pairing != CONVERT)
				load_element(&b, s, n, in_dbl, daz);
		}
		if (sh.pairing == ADDSUB && !(n & 1))
			sw = x87_FSUB(cw, &a, &b, &r);
		else
			sw = sh.op(cw, &a, &b, &r);
		st = sh.dbl ? x87_FST_f64(cw, &r, &m) : x87_FST_f32(cw, &r, &m);
		tiny = r.mant && (r.exp & 0x7fff) < min;
		if ((tiny && !(mxcsr & MXCSR_UM)) || ((st & 8) && !(mxcsr & MXCSR_OM)))
			st = 0;
		any |= (sw | st) & 0x20 || (tiny && (mxcsr & (MXCSR_UM | MXCSR_FTZ)) == (MXCSR_UM | MXCSR_FTZ));
	}
	return any;
}

/* SDM 1 11.5.3: conditions found before the computation (invalid, denormal, divide by zero) of any
 * element come first; if one of them is unmasked, those found after it are not reported. Unmasked
 * underflow is signalled for exact tiny results too, which masked execution does not show. */
void fp_arith_judge(struct cpu *c, const struct insn *i, bool any_tiny, fp_inexact_fn *inexact, const void *arg)
{
	uint32_t flags = host_mxcsr_get() & MXCSR_FLAGS, unmasked = ~c->fpu.mxcsr >> 7 & MXCSR_FLAGS;
	if (flags & unmasked & 7)
		flags &= 7;
	else if ((unmasked & 0x10) && any_tiny)
		flags |= 0x10;
	if ((flags & unmasked & 0x18) && !(flags & unmasked & 7) && inexact)
		flags = (flags & ~0x20u) | (inexact(c->fpu.mxcsr, arg) ? 0x20 : 0);
	c->fpu.mxcsr |= flags;
	fp_enter(c);
	if (flags & unmasked)
		cpu_raise(c, i, c->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD, 0);
}

struct pair {
	unsigned op;
	v128 d, s;
};
static bool pair_inexact(uint32_t mxcsr, const void *arg)
{
	const struct pair *p = arg;
	return fp_inexact(mxcsr, p->op, p->d, p->s);
}

void fp_arith_end(struct cpu *c, const struct insn *i, v128 result, enum fp_tiny tiny, unsigned op, v128 d, v128 s)
{
	struct pair p = { op, d, s };
	fp_arith_judge(c, i, fp_any_tiny(result, tiny), tiny == TINY_NO ? NULL : pair_inexact, &p);
}
