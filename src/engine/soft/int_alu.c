/* int_alu.c - two's complement arithmetic, logic, and compare-and-exchange (SDM 1 7.3.2, 7.3.3, 7.3.8). */

#include "engine/soft/int_form.h"

void *lock_get_slow(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size)
{
	void *p = mmu_w_ptr_slow(c, i, lin, size);

	if (p && !((uintptr_t)p & (size - 1)))
		return p;
	mmu_probe_w(c, i, lin, size);
	cpu_lock_begin(c);
	return NULL;
}

/* --- ADD OR ADC SBB AND SUB XOR CMP TEST, and on one operand INC DEC NEG NOT --- */

/* a op b, both sign-extended */
INL struct ccval alu(const struct cpu *c, enum op op, uint64_t a, uint64_t b, unsigned size)
{
	uint64_t r, carry;

	switch (op) {
	case OP_ADD: return (struct ccval){ a, b, (uint64_t)SX(a + b, size), CC_ADD, false };
	case OP_ADC:
		carry = cc_cf(c);
		r = (uint64_t)SX(a + b + carry, size);
		return (struct ccval){ a, b, r, CC_INC, r < a || (carry && r == a) };
	case OP_SUB:
	case OP_CMP: return (struct ccval){ a, b, (uint64_t)SX(a - b, size), CC_SUB, false };
	case OP_SBB:
		carry = cc_cf(c);
		r = (uint64_t)SX(a - b - carry, size);
		return (struct ccval){ a, b, r, CC_DEC, a < b || (carry && a == b) };
	case OP_OR: r = a | b; break;
	case OP_XOR: r = a ^ b; break;
	default: r = a & b; break;
	}
	return (struct ccval){ r, 0, r, CC_SUB, false };
}

/* op a; NOT leaves the flags to its caller */
INL struct ccval alu1(const struct cpu *c, enum op op, uint64_t a, unsigned size)
{
	switch (op) {
	case OP_INC: return (struct ccval){ a, 1, (uint64_t)SX(a + 1, size), CC_INC, cc_cf(c) };
	case OP_DEC: return (struct ccval){ a, 1, (uint64_t)SX(a - 1, size), CC_DEC, cc_cf(c) };
	case OP_NEG: return (struct ccval){ 0, a, (uint64_t)SX(-a, size), CC_SUB, false };
	default: return (struct ccval){ 0, 0, ~a, CC_SUB, false };
	}
}

static bool alu_writes(enum op op) { return op != OP_CMP && op != OP_TEST; }

/* Any form with a memory operand, sizes and operation by the instruction */
static const struct insn *alu_slow(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	enum op op = i->op;
	struct ccval v;
	struct rmw m;

	if (i->o[0].kind == O_GPR) {
		v = alu(c, op, reg_lds(c, i->o[0].reg, size), opnd_lds(c, i, 1, size), size);
		if (alu_writes(op))
			reg_st(c, i->o[0].reg, size, v.r);
	} else {
		uint64_t b = opnd_lds(c, i, 1, size), lin = insn_lin(c, i, size, alu_writes(op));
		if (alu_writes(op)) {
			v = alu(c, op, (uint64_t)SX(mem_rmw_ld(c, i, lin, size, &m), size), b, size);
			mem_rmw_st(c, i, &m, size, v.r);
		} else {
			v = alu(c, op, (uint64_t)SX(mem_ld(c, i, lin, size), size), b, size);
		}
	}
	cc_commit(c, &v);
	NEXT(i);
}

static const struct insn *alu1_slow(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	struct rmw m;
	uint64_t lin = insn_lin(c, i, size, true);
	struct ccval v = alu1(c, i->op, (uint64_t)SX(mem_rmw_ld(c, i, lin, size, &m), size), size);

	mem_rmw_st(c, i, &m, size, v.r);
	if (i->op != OP_NOT)
		cc_commit(c, &v);
	NEXT(i);
}

INL const struct insn *alu_form(struct cpu *c, const struct insn *i, enum op op, enum form form, unsigned size)
{
	uint64_t b;
	struct ccval v;
	void *w;
	const void *r;

	switch (form) {
	case FORM_RR: v = alu(c, op, reg_lds(c, i->o[0].reg, size), reg_lds(c, i->o[1].reg, size), size); break;
	case FORM_RI: v = alu(c, op, reg_lds(c, i->o[0].reg, size), (uint64_t)i->imm, size); break;
	case FORM_RM:
	case FORM_RMF:
		r = fast_r(c, i, size, form == FORM_RMF);
		if (unlikely(!r))
			return alu_slow(c, i);
		v = alu(c, op, reg_lds(c, i->o[0].reg, size), host_lds(r, size), size);
		break;
	default:
		b = form == FORM_MR || form == FORM_MRF ? reg_lds(c, i->o[1].reg, size) : (uint64_t)i->imm;
		if (alu_writes(op)) {
			w = fast_w(c, i, size, form == FORM_MRF || form == FORM_MIF);
			if (unlikely(!w))
				return alu_slow(c, i);
			v = alu(c, op, host_lds(w, size), b, size);
			host_st(w, size, v.r);
		} else {
			r = fast_r(c, i, size, form == FORM_MRF || form == FORM_MIF);
			if (unlikely(!r))
				return alu_slow(c, i);
			v = alu(c, op, host_lds(r, size), b, size);
		}
		cc_commit(c, &v);
		NEXT(i);
	}
	if (alu_writes(op))
		reg_st(c, i->o[0].reg, size, v.r);
	cc_commit(c, &v);
	NEXT(i);
}

INL const struct insn *alu1_form(struct cpu *c, const struct insn *i, enum op op, enum form1 form, unsigned size)
{
	struct ccval v;

	if (form == FORM1_R) {
		v = alu1(c, op, reg_lds(c, i->o[0].reg, size), size);
		reg_st(c, i->o[0].reg, size, v.r);
	} else {
		void *w = fast_w(c, i, size, form == FORM1_MF);
		if (unlikely(!w))
			return alu1_slow(c, i);
		v = alu1(c, op, host_lds(w, size), size);
		host_st(w, size, v.r);
	}
	if (op != OP_NOT)
		cc_commit(c, &v);
	NEXT(i);
}

/* LOCK: the operation itself as one host atomic on what p points to; returns the old value */
INL uint64_t alu_atomic(const struct cpu *c, enum op op, void *p, uint64_t b, unsigned size)
{
	uint64_t old;

	switch (op) {
	case OP_ADD: return atomic_add(p, b, size);
	case OP_ADC: return atomic_add(p, b + cc_cf(c), size);
	case OP_SUB: return atomic_sub(p, b, size);
	case OP_SBB: return atomic_sub(p, b + cc_cf(c), size);
	case OP_OR: return atomic_or(p, b, size);
	case OP_XOR: return atomic_xor(p, b, size);
	case OP_AND: return atomic_and(p, b, size);
	case OP_INC: return atomic_add(p, 1, size);
	case OP_DEC: return atomic_sub(p, 1, size);
	case OP_NOT: return atomic_xor(p, ~0ull, size);
	default: /* NEG */
		old = host_ld(p, size);
		for (;;) {
			uint64_t seen = atomic_cas(p, old, -old, size);
			if (seen == old)
				return old;
			old = seen;
		}
	}
}

INL const struct insn *alu_locked(struct cpu *c, const struct insn *i, enum op op, bool unary, unsigned size)
{
	uint64_t b = unary ? 0 : opnd_lds(c, i, 1, size), lin = insn_lin(c, i, size, true), a;
	void *p = lock_get(c, i, lin, size);
	struct ccval v;

	if (likely(p != NULL)) {
		a = (uint64_t)SX(alu_atomic(c, op, p, b, size), size);
		v = unary ? alu1(c, op, a, size) : alu(c, op, a, b, size);
	} else {
		struct rmw m;
		a = (uint64_t)SX(mem_rmw_ld(c, i, lin, size, &m), size);
		v = unary ? alu1(c, op, a, size) : alu(c, op, a, b, size);
		mem_rmw_st(c, i, &m, size, v.r);
		lock_put(c);
	}
	if (op != OP_NOT)
		cc_commit(c, &v);
	NEXT(i);
}

#define ALU_FN(name, form, size)                                                                                       \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return alu_form(c, i, OP_##name, FORM_##form, size);                                                   \
	}
#define ALU_LOCK_FN(name, form, size)                                                                                  \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return alu_locked(c, i, OP_##name, false, size);                                                       \
	}
#define ALU_READ_DEF(name)                                                                                             \
	SIZES_DEF(ALU_FN, name, RR)                                                                                    \
	SIZES_DEF(ALU_FN, name, RI)                                                                                    \
	SIZES_DEF(ALU_FN, name, RM) SIZES_DEF(ALU_FN, name, RMF) SIZES_DEF(ALU_FN, name, MR)                           \
		SIZES_DEF(ALU_FN, name, MRF) SIZES_DEF(ALU_FN, name, MI) SIZES_DEF(ALU_FN, name, MIF)
#define ALU_ROWS(name)                                                                                                 \
	[FORM_RR] = SIZES_ROW(name, RR), [FORM_RI] = SIZES_ROW(name, RI), [FORM_RM] = SIZES_ROW(name, RM),             \
	[FORM_RMF] = SIZES_ROW(name, RMF), [FORM_MR] = SIZES_ROW(name, MR), [FORM_MRF] = SIZES_ROW(name, MRF),         \
	[FORM_MI] = SIZES_ROW(name, MI), [FORM_MIF] = SIZES_ROW(name, MIF)
#define ALU_BIND(name, ...)                                                                                            \
	static insn_fn name##_bind(const struct insn *i)                                                               \
	{                                                                                                              \
		static const insn_fn fns[FORM_COUNT][4] = { ALU_ROWS(name), __VA_ARGS__ };                             \
		int form = form_of(i);                                                                                 \
		return form < 0 ? NULL : fns[form][size_log2(i->o[0].size)];                                           \
	}
#define ALU_DEF(name)                                                                                                  \
	ALU_READ_DEF(name) SIZES_DEF(ALU_LOCK_FN, name, LOCK) ALU_BIND(name, [FORM_LOCK] = SIZES_ROW(name, LOCK))

ALU_DEF(ADD)
ALU_DEF(OR)
ALU_DEF(ADC)
ALU_DEF(SBB)
ALU_DEF(AND)
ALU_DEF(SUB)
ALU_DEF(XOR)
ALU_READ_DEF(CMP)
ALU_BIND(CMP, [FORM_LOCK] = { NULL })
ALU_READ_DEF(TEST)
ALU_BIND(TEST, [FORM_LOCK] = { NULL })

#define ALU1_FN(name, form, size)                                                                                      \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return alu1_form(c, i, OP_##name, FORM1_##form, size);                                                 \
	}
#define ALU1_LOCK_FN(name, form, size)                                                                                 \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return alu_locked(c, i, OP_##name, true, size);                                                        \
	}
#define ALU1_DEF(name)                                                                                                 \
	SIZES_DEF(ALU1_FN, name, R)                                                                                    \
	SIZES_DEF(ALU1_FN, name, M)                                                                                    \
	SIZES_DEF(ALU1_FN, name, MF)                                                                                   \
		SIZES_DEF(ALU1_LOCK_FN, name, LOCK) static insn_fn name##_bind(const struct insn *i)                   \
	{                                                                                                              \
		static const insn_fn fns[FORM1_COUNT][4] = {                                                           \
			[FORM1_R] = SIZES_ROW(name, R),                                                                \
			[FORM1_M] = SIZES_ROW(name, M),                                                                \
			[FORM1_MF] = SIZES_ROW(name, MF),                                                              \
			[FORM1_LOCK] = SIZES_ROW(name, LOCK),                                                          \
		};                                                                                                     \
		int form = form1_of(i);                                                                                \
		return form < 0 ? NULL : fns[form][size_log2(i->o[0].size)];                                           \
	}

ALU1_DEF(INC)
ALU1_DEF(DEC)
ALU1_DEF(NEG)
ALU1_DEF(NOT)

/* --- XADD --- */

INL const struct insn *xadd(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t b = reg_lds(c, i->o[1].reg, size), a, lin;
	struct ccval v;
	struct rmw m;

	if (i->o[0].kind == O_GPR) {
		a = reg_lds(c, i->o[0].reg, size);
		v = alu(c, OP_ADD, a, b, size);
		reg_st(c, i->o[1].reg, size, a);
		reg_st(c, i->o[0].reg, size, v.r);
		cc_commit(c, &v);
		NEXT(i);
	}
	lin = insn_lin(c, i, size, true);
	if (i->flags & IF_LOCK) {
		void *p = lock_get(c, i, lin, size);
		if (likely(p != NULL)) {
			a = (uint64_t)SX(atomic_add(p, b, size), size);
			v = alu(c, OP_ADD, a, b, size);
		} else {
			a = (uint64_t)SX(mem_rmw_ld(c, i, lin, size, &m), size);
			v = alu(c, OP_ADD, a, b, size);
			mem_rmw_st(c, i, &m, size, v.r);
			lock_put(c);
		}
	} else {
		a = (uint64_t)SX(mem_rmw_ld(c, i, lin, size, &m), size);
		v = alu(c, OP_ADD, a, b, size);
		mem_rmw_st(c, i, &m, size, v.r);
	}
	reg_st(c, i->o[1].reg, size, a);
	cc_commit(c, &v);
	NEXT(i);
}

/* --- CMPXCHG: memory is always written, with its own value where it did not compare equal; a register
 * and, where it did, the accumulator are then left alone, upper halves included. --- */

INL const struct insn *cmpxchg(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t acc = reg_lds(c, gpr_off(RAX), size), val = reg_lds(c, i->o[1].reg, size), a, lin;
	struct ccval v;
	struct rmw m;

	if (i->o[0].kind == O_GPR) {
		a = reg_lds(c, i->o[0].reg, size);
		if (a == acc)
			reg_st(c, i->o[0].reg, size, val);
	} else {
		lin = insn_lin(c, i, size, true);
		void *p = i->flags & IF_LOCK ? lock_get(c, i, lin, size) : NULL;
		if (p) {
			a = (uint64_t)SX(atomic_cas(p, acc, val, size), size);
		} else {
			a = (uint64_t)SX(mem_rmw_ld(c, i, lin, size, &m), size);
			mem_rmw_st(c, i, &m, size, a == acc ? val : a);
			if (i->flags & IF_LOCK)
				lock_put(c);
		}
	}
	v = alu(c, OP_CMP, acc, a, size);
	if (a != acc)
		reg_st(c, gpr_off(RAX), size, a);
	cc_commit(c, &v);
	NEXT(i);
}

#define SIZE_FN(name, form, size)                                                                                      \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i) { return name(c, i, size); }

SIZES_DEF(SIZE_FN, xadd, RM)
static insn_fn xadd_bind(const struct insn *i)
{
	static const insn_fn fns[4] = SIZES_ROW(xadd, RM);
	return i->o[1].kind == O_GPR ? fns[size_log2(i->o[0].size)] : NULL;
}

SIZES_DEF(SIZE_FN, cmpxchg, RM)
static insn_fn cmpxchg_bind(const struct insn *i)
{
	static const insn_fn fns[4] = SIZES_ROW(cmpxchg, RM);
	return i->o[1].kind == O_GPR ? fns[size_log2(i->o[0].size)] : NULL;
}

/* --- CMPXCHG8B, CMPXCHG16B: only ZF changes --- */

static void put_zf(struct cpu *c, bool zf) { cc_flags(c, (cc_get(c) & ~(uint64_t)FL_ZF) | (zf ? FL_ZF : 0)); }

static const struct insn *cmpxchg8b(struct cpu *c, const struct insn *i)
{
	uint64_t acc = (uint64_t)(uint32_t)c->gpr[RDX] << 32 | (uint32_t)c->gpr[RAX];
	uint64_t val = (uint64_t)(uint32_t)c->gpr[RCX] << 32 | (uint32_t)c->gpr[RBX];
	uint64_t lin = insn_lin(c, i, 8, true), old;
	void *p = i->flags & IF_LOCK ? lock_get(c, i, lin, 8) : NULL;

	if (p) {
		old = atomic_cas(p, acc, val, 8);
	} else {
		struct rmw m;
		old = mem_rmw_ld(c, i, lin, 8, &m);
		mem_rmw_st(c, i, &m, 8, old == acc ? val : old);
		if (i->flags & IF_LOCK)
			lock_put(c);
	}
	put_zf(c, old == acc);
	if (old != acc) {
		c->gpr[RDX] = old >> 32;
		c->gpr[RAX] = (uint32_t)old;
	}
	NEXT(i);
}

/* A full 16-byte compare and swap of the host; p is aligned. Compilers for x86-64 want the instruction for
 * granted in the whole program before their builtin stands for it. */
static unsigned __int128 cas16(void *p, unsigned __int128 old, unsigned __int128 val)
{
#ifdef __x86_64__
	uint64_t low = (uint64_t)old, high = (uint64_t)(old >> 64);
	__asm__ volatile("lock cmpxchg16b %0"
			 : "+m"(*(unsigned __int128 *)p), "+a"(low), "+d"(high)
			 : "b"((uint64_t)val), "c"((uint64_t)(val >> 64))
			 : "cc", "memory");
	return (unsigned __int128)high << 64 | low;
#else
	return __sync_val_compare_and_swap((unsigned __int128 *)p, old, val);
#endif
}

static const struct insn *cmpxchg16b(struct cpu *c, const struct insn *i)
{
	uint64_t lin = insn_lin(c, i, 16, true), old[2];
	void *p = tlb_hit(c->tlb->w, lin, 16);

	if (lin & 15)
		raise_gp(c, i, 0);
	if (unlikely(!p))
		p = mmu_w_ptr_slow(c, i, lin, 16);
	if (likely(p != NULL)) {
		unsigned __int128 was = cas16(p, (unsigned __int128)c->gpr[RDX] << 64 | c->gpr[RAX],
					      (unsigned __int128)c->gpr[RCX] << 64 | c->gpr[RBX]);
		old[0] = (uint64_t)was;
		old[1] = (uint64_t)(was >> 64);
	} else {
		cpu_lock_begin(c);
		mmu_ldn(c, i, lin, old, 16);
		bool equal = old[0] == c->gpr[RAX] && old[1] == c->gpr[RDX];
		uint64_t val[2] = { equal ? c->gpr[RBX] : old[0], equal ? c->gpr[RCX] : old[1] };
		mmu_stn(c, i, lin, val, 16);
		cpu_lock_end(c);
	}
	bool equal = old[0] == c->gpr[RAX] && old[1] == c->gpr[RDX];
	put_zf(c, equal);
	if (!equal) {
		c->gpr[RAX] = old[0];
		c->gpr[RDX] = old[1];
	}
	NEXT(i);
}

static insn_fn cmpxchg8b_bind(const struct insn *i) { return i->o[0].kind == O_MEM ? cmpxchg8b : NULL; }
static insn_fn cmpxchg16b_bind(const struct insn *i) { return i->o[0].kind == O_MEM ? cmpxchg16b : NULL; }

const struct op_bind int_alu_ops[] = {
	{ OP_ADD, ADD_bind },
	{ OP_OR, OR_bind },
	{ OP_ADC, ADC_bind },
	{ OP_SBB, SBB_bind },
	{ OP_AND, AND_bind },
	{ OP_SUB, SUB_bind },
	{ OP_XOR, XOR_bind },
	{ OP_CMP, CMP_bind },
	{ OP_TEST, TEST_bind },
	{ OP_INC, INC_bind },
	{ OP_DEC, DEC_bind },
	{ OP_NEG, NEG_bind },
	{ OP_NOT, NOT_bind },
	{ OP_XADD, xadd_bind },
	{ OP_CMPXCHG, cmpxchg_bind },
	{ OP_CMPXCHG8B, cmpxchg8b_bind },
	{ OP_CMPXCHG16B, cmpxchg16b_bind },
	{ OP_INVALID, NULL },
};
