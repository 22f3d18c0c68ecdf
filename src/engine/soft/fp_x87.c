/* fp_x87.c - x87 data movement: loads, stores, constants, exchange, conditional moves. */
#include "engine/soft/fp_x87.h"

#define HANDLER(name) static const struct insn *name(struct cpu *c, const struct insn *i)
#define HOT static inline __attribute__((always_inline))
#define BIND(name) static insn_fn bind_##name(const struct insn *i) { return name; }

void x87_raise(struct cpu *c, const struct insn *i)
{
	cpu_raise(c, i, c->cr0 & (CR0_EM | CR0_TS) ? EXC_NM : EXC_MF, 0);
}

/* --- loads --- */
/* Pushes what load() makes of the operand */
typedef uint16_t load_fn(uint16_t, const union x87_mem *, struct x87_reg *);
HOT const struct insn *push_mem(struct cpu *c, const struct insn *i, unsigned bytes, load_fn *load)
{
	struct fpu *f = &c->fpu;
	union x87_mem m;
	struct x87_reg r;
	x87_check(c, i);
	mem_ldn(c, i, insn_lin(c, i, bytes, false), m.b, bytes);
	x87_note(c, i);
	if (st_full(f, 7)) {
		if (x87_stack_fault(f, 1))
			st_push(f, &x87_indefinite);
	} else if (x87_done(f, load(f->fcw, &m, &r), 0)) {
		st_push(f, &r);
	}
	NEXT(i);
}
#define LOAD(name, bytes) HANDLER(name) { return push_mem(c, i, bytes, x87_##name); }
LOAD(FLD_f32, 4)
LOAD(FLD_f64, 8)
LOAD(FILD_i16, 2)
LOAD(FILD_i32, 4)
LOAD(FILD_i64, 8)
LOAD(FBLD_m, 10)

static uint16_t load_m80(uint16_t cw, const union x87_mem *m, struct x87_reg *r)
{
	r->mant = le64_load(m->b);
	r->exp = le16_load(m->b + 8);
	return 0;
}
HANDLER(FLD_m80) { return push_mem(c, i, 10, load_m80); }

HANDLER(FLD_st)
{
	struct fpu *f = &c->fpu;
	struct x87_reg v;
	x87_check(c, i);
	x87_note(c, i);
	if (!st_full(f, i->o[0].reg) || st_full(f, 7)) {
		if (x87_stack_fault(f, st_full(f, i->o[0].reg)))
			st_push(f, &x87_indefinite);
		NEXT(i);
	}
	v = *st_reg(f, i->o[0].reg);
	st_push(f, &v);
	x87_c1(f, 0);
	NEXT(i);
}
static insn_fn bind_FLD(const struct insn *i)
{
	if (i->o[0].kind == O_ST)
		return FLD_st;
	return i->o[0].size == 4 ? FLD_f32 : i->o[0].size == 8 ? FLD_f64 : FLD_m80;
}
static insn_fn bind_FILD(const struct insn *i)
{
	return i->o[0].size == 2 ? FILD_i16 : i->o[0].size == 4 ? FILD_i32 : FILD_i64;
}
static insn_fn bind_FBLD(const struct insn *i) { return FBLD_m; }

#define CONSTANT(name) \
	HANDLER(name) \
	{ \
		struct fpu *f = &c->fpu; \
		struct x87_reg r; \
		x87_check(c, i); \
		x87_note(c, i); \
		if (st_full(f, 7)) { \
			if (x87_stack_fault(f, 1)) \
				st_push(f, &x87_indefinite); \
			NEXT(i); \
		} \
		x87_##name(f->fcw, &r); \
		st_push(f, &r); \
		x87_c1(f, 0); \
		NEXT(i); \
	} \
	BIND(name)
CONSTANT(FLD1)
CONSTANT(FLDL2T)
CONSTANT(FLDL2E)
CONSTANT(FLDPI)
CONSTANT(FLDLG2)
CONSTANT(FLDLN2)
CONSTANT(FLDZ)

/* --- stores --- */
/* Stores what store() makes of ST(0). Overflow and underflow, unmasked, store and pop nothing
 * (SDM 1 8.5.4); memory faults come before any change of state. */
typedef uint16_t store_fn(uint16_t, const struct x87_reg *, union x87_mem *);
HOT const struct insn *store_mem(struct cpu *c, const struct insn *i, unsigned bytes, bool pop, store_fn *store)
{
	struct fpu *f = &c->fpu;
	union x87_mem m;
	uint64_t lin;
	uint16_t sw;
	bool write;
	memset(&m, 0, sizeof(m));
	x87_check(c, i);
	lin = insn_lin(c, i, bytes, true);
	if (!st_full(f, 0)) {
		if (f->fcw & 1) {
			store(f->fcw | 0x3f, &x87_indefinite, &m);
			mem_stn(c, i, lin, m.b, bytes);
		} else {
			mmu_probe_w(c, i, lin, bytes);
		}
		x87_note(c, i);
		if (x87_stack_fault(f, 0) && pop)
			st_pop(f);
		NEXT(i);
	}
	sw = store(f->fcw, st_reg(f, 0), &m);
	write = (sw & ~f->fcw & 0x1f) == 0;
	if (unlikely(sw & ~f->fcw & 0x3f))
		x87_host_reset();
	if (write)
		mem_stn(c, i, lin, m.b, bytes);
	else
		mmu_probe_w(c, i, lin, bytes);
	x87_note(c, i);
	x87_done(f, sw, 0);
	if (write && pop)
		st_pop(f);
	NEXT(i);
}
#define STORE(name, bytes, pop, fn) HANDLER(name) { return store_mem(c, i, bytes, pop, fn); }
STORE(FST_f32, 4, false, x87_FST_f32)
STORE(FST_f64, 8, false, x87_FST_f64)
STORE(FSTP_f32, 4, true, x87_FST_f32)
STORE(FSTP_f64, 8, true, x87_FST_f64)
STORE(FIST_i16, 2, false, x87_FIST_i16)
STORE(FIST_i32, 4, false, x87_FIST_i32)
STORE(FISTP_i16, 2, true, x87_FIST_i16)
STORE(FISTP_i32, 4, true, x87_FIST_i32)
STORE(FISTP_i64, 8, true, x87_FIST_i64)
STORE(FISTTP_i16, 2, true, x87_FISTTP_i16)
STORE(FISTTP_i32, 4, true, x87_FISTTP_i32)
STORE(FISTTP_i64, 8, true, x87_FISTTP_i64)
STORE(FBSTP_m, 10, true, x87_FBSTP_m)

static uint16_t store_m80(uint16_t cw, const struct x87_reg *a, union x87_mem *m)
{
	le64_store(m->b, a->mant);
	le16_store(m->b + 8, a->exp);
	return 0;
}
STORE(FSTP_m80, 10, true, store_m80)

static const struct insn *store_st(struct cpu *c, const struct insn *i, bool pop)
{
	struct fpu *f = &c->fpu;
	struct x87_reg v = x87_indefinite;
	x87_check(c, i);
	x87_note(c, i);
	if (pop && i->cc == 1 && !st_full(f, 0)) {
		/* D9 D8+i, the alias that ignores an empty register */
		st_rotate(f, 1);
		x87_c1(f, 0);
		NEXT(i);
	}
	if (st_full(f, 0)) {
		v = *st_reg(f, 0);
		x87_c1(f, 0);
	} else if (!x87_stack_fault(f, 0)) {
		NEXT(i);
	}
	st_put(f, i->o[0].reg, &v);
	if (pop)
		st_pop(f);
	NEXT(i);
}
HANDLER(FST_st) { return store_st(c, i, false); }
HANDLER(FSTP_st) { return store_st(c, i, true); }

static insn_fn bind_FST(const struct insn *i)
{
	return i->o[0].kind == O_ST ? FST_st : i->o[0].size == 4 ? FST_f32 : FST_f64;
}
static insn_fn bind_FSTP(const struct insn *i)
{
	if (i->o[0].kind == O_ST)
		return FSTP_st;
	return i->o[0].size == 4 ? FSTP_f32 : i->o[0].size == 8 ? FSTP_f64 : FSTP_m80;
}
static insn_fn bind_FIST(const struct insn *i) { return i->o[0].size == 2 ? FIST_i16 : FIST_i32; }
static insn_fn bind_FISTP(const struct insn *i)
{
	return i->o[0].size == 2 ? FISTP_i16 : i->o[0].size == 4 ? FISTP_i32 : FISTP_i64;
}
static insn_fn bind_FISTTP(const struct insn *i)
{
	return i->o[0].size == 2 ? FISTTP_i16 : i->o[0].size == 4 ? FISTTP_i32 : FISTTP_i64;
}
static insn_fn bind_FBSTP(const struct insn *i) { return FBSTP_m; }

/* --- within the stack --- */
HANDLER(FXCH)
{
	struct fpu *f = &c->fpu;
	unsigned n = i->o[0].reg;
	struct x87_reg a, b;
	x87_check(c, i);
	x87_note(c, i);
	a = st_full(f, 0) ? *st_reg(f, 0) : x87_indefinite;
	b = st_full(f, n) ? *st_reg(f, n) : x87_indefinite;
	if (st_full(f, 0) && st_full(f, n))
		x87_c1(f, 0);
	else if (!x87_stack_fault(f, 0))
		NEXT(i);
	st_put(f, 0, &b);
	st_put(f, n, &a);
	NEXT(i);
}
BIND(FXCH)

/* The last operand is ST(i), whether or not ST(0) is shown. An empty register is an underflow
 * even where the condition does not hold. */
static const struct insn *fcmov(struct cpu *c, const struct insn *i, bool cond)
{
	struct fpu *f = &c->fpu;
	unsigned n = i->o[i->nopnd - 1].reg;
	x87_note(c, i);
	if (!st_full(f, 0) || !st_full(f, n)) {
		if (x87_stack_fault(f, 0))
			st_put(f, 0, &x87_indefinite);
		NEXT(i);
	}
	if (cond)
		st_put(f, 0, st_reg(f, n));
	NEXT(i);
}
#define FCMOV(name, cc) \
	HANDLER(name) \
	{ \
		x87_check(c, i); \
		return fcmov(c, i, cc_test(c, cc)); \
	} \
	BIND(name)
FCMOV(FCMOVB, 2)
FCMOV(FCMOVNB, 3)
FCMOV(FCMOVE, 4)
FCMOV(FCMOVNE, 5)
FCMOV(FCMOVBE, 6)
FCMOV(FCMOVNBE, 7)
FCMOV(FCMOVU, 10)
FCMOV(FCMOVNU, 11)

/* --- the stack itself --- */
HANDLER(FFREE)
{
	x87_check(c, i);
	x87_note(c, i);
	st_free(&c->fpu, i->o[0].reg);
	NEXT(i);
}
HANDLER(FFREEP)
{
	x87_check(c, i);
	x87_note(c, i);
	st_free(&c->fpu, i->o[0].reg);
	st_pop(&c->fpu);
	NEXT(i);
}
HANDLER(FINCSTP)
{
	x87_check(c, i);
	x87_note(c, i);
	st_rotate(&c->fpu, 1);
	x87_c1(&c->fpu, 0);
	NEXT(i);
}
HANDLER(FDECSTP)
{
	x87_check(c, i);
	x87_note(c, i);
	st_rotate(&c->fpu, 7);
	x87_c1(&c->fpu, 0);
	NEXT(i);
}
BIND(FFREE)
BIND(FFREEP)
BIND(FINCSTP)
BIND(FDECSTP)

const struct op_bind fp_x87_ops[] = {
	{ OP_FLD, bind_FLD },
	{ OP_FILD, bind_FILD },
	{ OP_FBLD, bind_FBLD },
	{ OP_FLD1, bind_FLD1 },
	{ OP_FLDL2T, bind_FLDL2T },
	{ OP_FLDL2E, bind_FLDL2E },
	{ OP_FLDPI, bind_FLDPI },
	{ OP_FLDLG2, bind_FLDLG2 },
	{ OP_FLDLN2, bind_FLDLN2 },
	{ OP_FLDZ, bind_FLDZ },
	{ OP_FST, bind_FST },
	{ OP_FSTP, bind_FSTP },
	{ OP_FIST, bind_FIST },
	{ OP_FISTP, bind_FISTP },
	{ OP_FISTTP, bind_FISTTP },
	{ OP_FBSTP, bind_FBSTP },
	{ OP_FXCH, bind_FXCH },
	{ OP_FCMOVB, bind_FCMOVB },
	{ OP_FCMOVNB, bind_FCMOVNB },
	{ OP_FCMOVE, bind_FCMOVE },
	{ OP_FCMOVNE, bind_FCMOVNE },
	{ OP_FCMOVBE, bind_FCMOVBE },
	{ OP_FCMOVNBE, bind_FCMOVNBE },
	{ OP_FCMOVU, bind_FCMOVU },
	{ OP_FCMOVNU, bind_FCMOVNU },
	{ OP_FFREE, bind_FFREE },
	{ OP_FFREEP, bind_FFREEP },
	{ OP_FINCSTP, bind_FINCSTP },
	{ OP_FDECSTP, bind_FDECSTP },
	{ OP_INVALID, NULL },
};
