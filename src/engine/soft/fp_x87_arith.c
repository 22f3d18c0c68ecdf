/* fp_x87_arith.c - x87 arithmetic: basic operations, comparisons, transcendentals. */
#include "engine/soft/fp_x87.h"

#define HANDLER(name) static const struct insn *name(struct cpu *c, const struct insn *i)
#define BIND(name) static insn_fn bind_##name(const struct insn *i) { return name; }
#define HOT static inline __attribute__((always_inline))

typedef uint16_t binary_fn(uint16_t, const struct x87_reg *, const struct x87_reg *, struct x87_reg *);
typedef uint16_t memory_fn(uint16_t, const struct x87_reg *, uint64_t, struct x87_reg *);
typedef uint16_t unary_fn(uint16_t, const struct x87_reg *, struct x87_reg *);
typedef uint16_t comi_fn(uint16_t, const struct x87_reg *, const struct x87_reg *, uint32_t *);

/* --- add, subtract, multiply, divide --- */
/* ST(d) = ST(d) op ST(s), popping ST(0) afterwards */
HOT const struct insn *arith_st(struct cpu *c, const struct insn *i, binary_fn *op, bool pop)
{
	struct fpu *f = &c->fpu;
	unsigned d = i->o[0].reg, s = i->o[1].reg;
	struct x87_reg r = x87_indefinite;
	x87_check(c, i);
	x87_note(c, i);
	if (st_full(f, d) && st_full(f, s) ? x87_done(f, op(f->fcw, st_reg(f, d), st_reg(f, s), &r), 0)
	                                   : x87_stack_fault(f, 0)) {
		st_put(f, d, &r);
		if (pop)
			st_pop(f);
	}
	NEXT(i);
}
HOT const struct insn *arith_mem(struct cpu *c, const struct insn *i, unsigned bytes, memory_fn *op)
{
	struct fpu *f = &c->fpu;
	struct x87_reg r = x87_indefinite;
	uint64_t m;
	x87_check(c, i);
	m = mem_ld(c, i, insn_lin(c, i, bytes, false), bytes);
	x87_note(c, i);
	if (st_full(f, 0) ? x87_done(f, op(f->fcw, st_reg(f, 0), m, &r), 0) : x87_stack_fault(f, 0))
		st_put(f, 0, &r);
	NEXT(i);
}
#define ARITH(op) \
	HANDLER(F##op##_st) { return arith_st(c, i, x87_F##op, false); } \
	HANDLER(F##op##P) { return arith_st(c, i, x87_F##op, true); } \
	HANDLER(F##op##_f32) { return arith_mem(c, i, 4, x87_F##op##_f32); } \
	HANDLER(F##op##_f64) { return arith_mem(c, i, 8, x87_F##op##_f64); } \
	HANDLER(F##op##_i16) { return arith_mem(c, i, 2, x87_F##op##_i16); } \
	HANDLER(F##op##_i32) { return arith_mem(c, i, 4, x87_F##op##_i32); } \
	static insn_fn bind_F##op(const struct insn *i) \
	{ \
		return i->o[0].kind == O_ST ? F##op##_st : i->o[0].size == 4 ? F##op##_f32 : F##op##_f64; \
	} \
	static insn_fn bind_FI##op(const struct insn *i) { return i->o[0].size == 2 ? F##op##_i16 : F##op##_i32; } \
	BIND(F##op##P)
ARITH(ADD)
ARITH(MUL)
ARITH(SUB)
ARITH(SUBR)
ARITH(DIV)
ARITH(DIVR)

/* --- comparisons into C3, C2, C0 --- */
HOT void pops(struct fpu *f, unsigned n)
{
	while (n--)
		st_pop(f);
}
/* The condition codes are set whether or not the exception is masked; only popping depends on it */
static bool compare_empty(struct fpu *f)
{
	f->fsw |= FSW_C0 | FSW_C2 | FSW_C3;
	return x87_stack_fault(f, 0);
}
HOT const struct insn *compare_st(struct cpu *c, const struct insn *i, unsigned n, binary_fn *op, unsigned npop)
{
	struct fpu *f = &c->fpu;
	struct x87_reg r;
	bool done;
	x87_check(c, i);
	x87_note(c, i);
	if (st_full(f, 0) && st_full(f, n))
		done = x87_done(f, op(f->fcw, st_reg(f, 0), st_reg(f, n), &r), FSW_CC);
	else
		done = compare_empty(f);
	if (done)
		pops(f, npop);
	NEXT(i);
}
HOT const struct insn *compare_mem(struct cpu *c, const struct insn *i, unsigned bytes, memory_fn *op, unsigned npop)
{
	struct fpu *f = &c->fpu;
	struct x87_reg r;
	uint64_t m;
	bool done;
	x87_check(c, i);
	m = mem_ld(c, i, insn_lin(c, i, bytes, false), bytes);
	x87_note(c, i);
	if (st_full(f, 0))
		done = x87_done(f, op(f->fcw, st_reg(f, 0), m, &r), FSW_CC);
	else
		done = compare_empty(f);
	if (done)
		pops(f, npop);
	NEXT(i);
}
#define COMPARE(name, npop) \
	HANDLER(name##_st) { return compare_st(c, i, i->o[i->nopnd - 1].reg, x87_FCOM, npop); } \
	HANDLER(name##_f32) { return compare_mem(c, i, 4, x87_FCOM_f32, npop); } \
	HANDLER(name##_f64) { return compare_mem(c, i, 8, x87_FCOM_f64, npop); } \
	HANDLER(name##_i16) { return compare_mem(c, i, 2, x87_FCOM_i16, npop); } \
	HANDLER(name##_i32) { return compare_mem(c, i, 4, x87_FCOM_i32, npop); } \
	static insn_fn bind_##name(const struct insn *i) \
	{ \
		return i->o[0].kind == O_ST ? name##_st : i->o[0].size == 4 ? name##_f32 : name##_f64; \
	} \
	static insn_fn bind_i##name(const struct insn *i) { return i->o[0].size == 2 ? name##_i16 : name##_i32; }
COMPARE(FCOM, 0)
COMPARE(FCOMP, 1)
HANDLER(FCOMPP) { return compare_st(c, i, 1, x87_FCOM, 2); }
HANDLER(FUCOM) { return compare_st(c, i, i->o[i->nopnd - 1].reg, x87_FUCOM, 0); }
HANDLER(FUCOMP) { return compare_st(c, i, i->o[i->nopnd - 1].reg, x87_FUCOM, 1); }
HANDLER(FUCOMPP) { return compare_st(c, i, 1, x87_FUCOM, 2); }
BIND(FCOMPP)
BIND(FUCOM)
BIND(FUCOMP)
BIND(FUCOMPP)

HANDLER(FTST)
{
	struct fpu *f = &c->fpu;
	struct x87_reg r;
	x87_check(c, i);
	x87_note(c, i);
	if (st_full(f, 0))
		x87_done(f, x87_FTST(f->fcw, st_reg(f, 0), &r), FSW_CC);
	else
		compare_empty(f);
	NEXT(i);
}
/* Classifies an empty register too: C3 and C0, with its sign in C1. No exceptions. */
HANDLER(FXAM)
{
	struct fpu *f = &c->fpu;
	struct x87_reg r;
	uint16_t cc;
	x87_check(c, i);
	x87_note(c, i);
	cc = x87_FXAM(f->fcw, st_reg(f, 0), &r) & FSW_CC;
	if (!st_full(f, 0))
		cc = (uint16_t)((cc & FSW_C1) | FSW_C3 | FSW_C0);
	f->fsw = (uint16_t)((f->fsw & ~FSW_CC) | cc);
	NEXT(i);
}
BIND(FTST)
BIND(FXAM)

/* --- comparisons into RFLAGS --- */
HOT const struct insn *comi(struct cpu *c, const struct insn *i, comi_fn *op, unsigned npop)
{
	struct fpu *f = &c->fpu;
	unsigned n = i->o[i->nopnd - 1].reg;
	uint32_t flags = FL_ZF | FL_PF | FL_CF;
	bool done;
	x87_check(c, i);
	x87_note(c, i);
	if (st_full(f, 0) && st_full(f, n))
		done = x87_done(f, op(f->fcw, st_reg(f, 0), st_reg(f, n), &flags), 0);
	else
		done = x87_stack_fault(f, 0);
	cc_flags(c, flags);
	if (done)
		pops(f, npop);
	NEXT(i);
}
HANDLER(FCOMI) { return comi(c, i, x87_FCOMI, 0); }
HANDLER(FCOMIP) { return comi(c, i, x87_FCOMI, 1); }
HANDLER(FUCOMI) { return comi(c, i, x87_FUCOMI, 0); }
HANDLER(FUCOMIP) { return comi(c, i, x87_FUCOMI, 1); }
BIND(FCOMI)
BIND(FCOMIP)
BIND(FUCOMI)
BIND(FUCOMIP)

/* --- sign --- */
HOT const struct insn *sign(struct cpu *c, const struct insn *i, uint16_t and_mask, uint16_t xor_mask)
{
	struct fpu *f = &c->fpu;
	x87_check(c, i);
	x87_note(c, i);
	if (st_full(f, 0)) {
		st_reg(f, 0)->exp = (st_reg(f, 0)->exp & and_mask) ^ xor_mask;
		x87_c1(f, 0);
	} else if (x87_stack_fault(f, 0)) {
		st_put(f, 0, &x87_indefinite);
	}
	NEXT(i);
}
HANDLER(FCHS) { return sign(c, i, 0xffff, 0x8000); }
HANDLER(FABS) { return sign(c, i, 0x7fff, 0); }
BIND(FCHS)
BIND(FABS)

/* --- one operand, one result --- */
HOT const struct insn *unary(struct cpu *c, const struct insn *i, unary_fn *op, unsigned cc_mask)
{
	struct fpu *f = &c->fpu;
	struct x87_reg r = x87_indefinite;
	x87_check(c, i);
	x87_note(c, i);
	f->fsw &= (uint16_t)~cc_mask;
	if (st_full(f, 0) ? x87_done(f, op(f->fcw, st_reg(f, 0), &r), cc_mask) : x87_stack_fault(f, 0))
		st_put(f, 0, &r);
	NEXT(i);
}
#define UNARY(name, cc_mask) HANDLER(name) { return unary(c, i, x87_##name, cc_mask); } BIND(name)
UNARY(FSQRT, 0)
UNARY(FRNDINT, 0)
UNARY(F2XM1, 0)
UNARY(FSIN, FSW_C2)
UNARY(FCOS, FSW_C2)

/* --- ST(0) and ST(1) --- */
HOT const struct insn *binary(struct cpu *c, const struct insn *i, binary_fn *op, unsigned cc_mask, bool pop)
{
	struct fpu *f = &c->fpu;
	struct x87_reg r = x87_indefinite;
	x87_check(c, i);
	x87_note(c, i);
	if (st_full(f, 0) && st_full(f, 1) ? x87_done(f, op(f->fcw, st_reg(f, 0), st_reg(f, 1), &r), cc_mask)
	                                   : x87_stack_fault(f, 0)) {
		if (pop)
			st_pop(f);
		st_put(f, 0, &r);
	}
	NEXT(i);
}
#define BINARY(name, cc_mask, pop) HANDLER(name) { return binary(c, i, x87_##name, cc_mask, pop); } BIND(name)
static bool is_nan(const struct x87_reg *r) { return (r->exp & 0x7fff) == 0x7fff && r->mant << 1; }
/* The quotient's bits go to C0, C3, C1; NaNs and invalid operations clear only C2 and C1 */
HOT const struct insn *prem(struct cpu *c, const struct insn *i, binary_fn *op)
{
	struct fpu *f = &c->fpu;
	struct x87_reg r = x87_indefinite;
	uint16_t sw;
	x87_check(c, i);
	x87_note(c, i);
	f->fsw &= (uint16_t)~FSW_C2;
	if (!st_full(f, 0) || !st_full(f, 1)) {
		if (x87_stack_fault(f, 0))
			st_put(f, 0, &r);
		NEXT(i);
	}
	sw = op(f->fcw, st_reg(f, 0), st_reg(f, 1), &r);
	if (x87_done(f, sw, sw & 1 || is_nan(&r) ? FSW_C2 : FSW_CC))
		st_put(f, 0, &r);
	NEXT(i);
}
HANDLER(FPREM) { return prem(c, i, x87_FPREM); }
HANDLER(FPREM1) { return prem(c, i, x87_FPREM1); }
BIND(FPREM)
BIND(FPREM1)
BINARY(FSCALE, 0, false)
BINARY(FPATAN, 0, true)
BINARY(FYL2X, 0, true)
BINARY(FYL2XP1, 0, true)

/* --- one operand, two results --- */
typedef uint16_t push_fn(uint16_t, const struct x87_reg *, struct x87_reg *, struct x87_reg *);
HOT const struct insn *two_results(struct cpu *c, const struct insn *i, push_fn *op, unsigned cc_mask)
{
	struct fpu *f = &c->fpu;
	struct x87_reg r = x87_indefinite, t = x87_indefinite;
	uint16_t sw;
	x87_check(c, i);
	x87_note(c, i);
	f->fsw &= (uint16_t)~cc_mask;
	if (!st_full(f, 0) || st_full(f, 7)) {
		if (x87_stack_fault(f, st_full(f, 0))) {
			st_put(f, 0, &r);
			st_push(f, &t);
		}
		NEXT(i);
	}
	sw = op(f->fcw, st_reg(f, 0), &r, &t);
	if (!x87_done(f, sw, cc_mask))
		NEXT(i);
	if (sw & cc_mask & FSW_C2) { /* out of range: nothing happened, on the host's stack neither */
		x87_host_reset();
		NEXT(i);
	}
	st_put(f, 0, &r);
	st_push(f, &t);
	NEXT(i);
}
HANDLER(FPTAN) { return two_results(c, i, x87_FPTAN, FSW_C2); }
HANDLER(FSINCOS) { return two_results(c, i, x87_FSINCOS, FSW_C2); }
HANDLER(FXTRACT) { return two_results(c, i, x87_FXTRACT, 0); }
BIND(FPTAN)
BIND(FSINCOS)
BIND(FXTRACT)

#define ARITH_ROWS(op) { OP_F##op, bind_F##op }, { OP_F##op##P, bind_F##op##P }, { OP_FI##op, bind_FI##op }
const struct op_bind fp_x87_arith_ops[] = {
	ARITH_ROWS(ADD),
	ARITH_ROWS(MUL),
	ARITH_ROWS(SUB),
	ARITH_ROWS(SUBR),
	ARITH_ROWS(DIV),
	ARITH_ROWS(DIVR),
	{ OP_FCOM, bind_FCOM },
	{ OP_FCOMP, bind_FCOMP },
	{ OP_FICOM, bind_iFCOM },
	{ OP_FICOMP, bind_iFCOMP },
	{ OP_FCOMPP, bind_FCOMPP },
	{ OP_FUCOM, bind_FUCOM },
	{ OP_FUCOMP, bind_FUCOMP },
	{ OP_FUCOMPP, bind_FUCOMPP },
	{ OP_FTST, bind_FTST },
	{ OP_FXAM, bind_FXAM },
	{ OP_FCOMI, bind_FCOMI },
	{ OP_FCOMIP, bind_FCOMIP },
	{ OP_FUCOMI, bind_FUCOMI },
	{ OP_FUCOMIP, bind_FUCOMIP },
	{ OP_FCHS, bind_FCHS },
	{ OP_FABS, bind_FABS },
	{ OP_FSQRT, bind_FSQRT },
	{ OP_FRNDINT, bind_FRNDINT },
	{ OP_F2XM1, bind_F2XM1 },
	{ OP_FSIN, bind_FSIN },
	{ OP_FCOS, bind_FCOS },
	{ OP_FPREM, bind_FPREM },
	{ OP_FPREM1, bind_FPREM1 },
	{ OP_FSCALE, bind_FSCALE },
	{ OP_FPATAN, bind_FPATAN },
	{ OP_FYL2X, bind_FYL2X },
	{ OP_FYL2XP1, bind_FYL2XP1 },
	{ OP_FPTAN, bind_FPTAN },
	{ OP_FSINCOS, bind_FSINCOS },
	{ OP_FXTRACT, bind_FXTRACT },
	{ OP_INVALID, NULL },
};
