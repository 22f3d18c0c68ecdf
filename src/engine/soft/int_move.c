/* int_move.c - data movement: MOV and its extending, exchanging, conditional and byte-swapping
 * relatives, LEA, and the stack (SDM 1 7.3.1, 7.3.1.5). */

#include "engine/soft/cond.h"
#include "engine/soft/int_form.h"
#include "engine/soft/stack.h"

/* --- MOV, MOVNTI --- */

static const struct insn *mov_slow(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;

	if (i->o[0].kind == O_GPR)
		reg_st(c, i->o[0].reg, size, mem_ld(c, i, insn_lin(c, i, size, false), size));
	else
		mem_st(c, i, insn_lin(c, i, size, true), size, opnd_lds(c, i, 1, size));
	NEXT(i);
}

INL const struct insn *mov(struct cpu *c, const struct insn *i, enum form form, unsigned size)
{
	const void *r;
	void *w;

	switch (form) {
	case FORM_RR: reg_st(c, i->o[0].reg, size, reg_ld(c, i->o[1].reg, size)); break;
	case FORM_RI: reg_st(c, i->o[0].reg, size, (uint64_t)i->imm); break;
	case FORM_RM:
	case FORM_RMF:
		r = fast_r(c, i, size, form == FORM_RMF);
		if (unlikely(!r))
			return mov_slow(c, i);
		reg_st(c, i->o[0].reg, size, host_ld(r, size));
		break;
	default:
		w = fast_w(c, i, size, form == FORM_MRF || form == FORM_MIF);
		if (unlikely(!w))
			return mov_slow(c, i);
		host_st(w, size, form == FORM_MR || form == FORM_MRF ? reg_ld(c, i->o[1].reg, size) : (uint64_t)i->imm);
		break;
	}
	NEXT(i);
}

#define FORM_FN(name, form, size)                                                                                      \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return name(c, i, FORM_##form, size);                                                                  \
	}
SIZES_DEF(FORM_FN, mov, RR)
SIZES_DEF(FORM_FN, mov, RI)
SIZES_DEF(FORM_FN, mov, RM)
SIZES_DEF(FORM_FN, mov, RMF)
SIZES_DEF(FORM_FN, mov, MR)
SIZES_DEF(FORM_FN, mov, MRF)
SIZES_DEF(FORM_FN, mov, MI)
SIZES_DEF(FORM_FN, mov, MIF)

static insn_fn mov_bind(const struct insn *i)
{
	static const insn_fn fns[FORM_COUNT][4] = {
		[FORM_RR] = SIZES_ROW(mov, RR),   [FORM_RI] = SIZES_ROW(mov, RI),   [FORM_RM] = SIZES_ROW(mov, RM),
		[FORM_RMF] = SIZES_ROW(mov, RMF), [FORM_MR] = SIZES_ROW(mov, MR),   [FORM_MRF] = SIZES_ROW(mov, MRF),
		[FORM_MI] = SIZES_ROW(mov, MI),   [FORM_MIF] = SIZES_ROW(mov, MIF),
	};
	int form = form_of(i);
	return form < 0 ? NULL : fns[form][size_log2(i->o[0].size)];
}

/* --- MOVZX MOVSX MOVSXD: from size `from` to the operand's size --- */

static const struct insn *extend_slow(struct cpu *c, const struct insn *i)
{
	unsigned from = i->o[1].size;
	uint64_t v = mem_ld(c, i, insn_lin(c, i, from, false), from);

	reg_st(c, i->o[0].reg, i->o[0].size, i->op == OP_MOVZX ? v : (uint64_t)SX(v, from));
	NEXT(i);
}

INL const struct insn *extend(struct cpu *c, const struct insn *i, bool sign, enum form form, unsigned from,
			      unsigned size)
{
	uint64_t v;

	if (form == FORM_RR) {
		v = reg_ld(c, i->o[1].reg, from);
	} else {
		const void *r = fast_r(c, i, from, form == FORM_RMF);
		if (unlikely(!r))
			return extend_slow(c, i);
		v = host_ld(r, from);
	}
	reg_st(c, i->o[0].reg, size, sign ? (uint64_t)SX(v, from) : v);
	NEXT(i);
}

#define EXTEND_FN(name, sign, form, from, size)                                                                        \
	static const struct insn *name##_##form##from##size(struct cpu *c, const struct insn *i)                       \
	{                                                                                                              \
		return extend(c, i, sign, FORM_##form, from, size);                                                    \
	}
#define EXTEND_FORMS(name, sign, from, size)                                                                           \
	EXTEND_FN(name, sign, RR, from, size)                                                                          \
	EXTEND_FN(name, sign, RM, from, size) EXTEND_FN(name, sign, RMF, from, size)
#define EXTEND_SIZES(name, sign, from)                                                                                 \
	EXTEND_FORMS(name, sign, from, 2) EXTEND_FORMS(name, sign, from, 4) EXTEND_FORMS(name, sign, from, 8)
#define EXTEND_ROW(name, form, from)                                                                                   \
	{                                                                                                              \
		NULL, name##_##form##from##2, name##_##form##from##4, name##_##form##from##8                           \
	}
#define EXTEND_DEF(name, sign)                                                                                         \
	EXTEND_SIZES(name, sign, 1)                                                                                    \
	EXTEND_SIZES(name, sign, 2) EXTEND_SIZES(name, sign, 4) static insn_fn name##_bind(const struct insn *i)       \
	{                                                                                                              \
		static const insn_fn fns[3][3][4] = {                                                                  \
			{ EXTEND_ROW(name, RR, 1), EXTEND_ROW(name, RR, 2), EXTEND_ROW(name, RR, 4) },                 \
			{ EXTEND_ROW(name, RM, 1), EXTEND_ROW(name, RM, 2), EXTEND_ROW(name, RM, 4) },                 \
			{ EXTEND_ROW(name, RMF, 1), EXTEND_ROW(name, RMF, 2), EXTEND_ROW(name, RMF, 4) },              \
		};                                                                                                     \
		unsigned from = size_log2(i->o[1].size);                                                               \
		if (i->o[0].kind != O_GPR || from > 2 || (i->o[1].kind != O_GPR && i->o[1].kind != O_MEM))             \
			return NULL;                                                                                   \
		return fns[i->o[1].kind == O_GPR ? 0 : form_flat(i) ? 2 : 1][from][size_log2(i->o[0].size)];           \
	}

EXTEND_DEF(zero_extend, false)
EXTEND_DEF(sign_extend, true)

/* --- LEA --- */

INL const struct insn *lea(struct cpu *c, const struct insn *i, unsigned kind, unsigned size)
{
	uint64_t ea = kind == 0   ? c->gpr[i->base] + (uint64_t)i->disp
		      : kind == 1 ? c->gpr[i->base] + (c->gpr[i->index] << i->scale) + (uint64_t)i->disp
				  : insn_ea(c, i);
	reg_st(c, i->o[0].reg, size, ea);
	NEXT(i);
}
#define LEA_FN(name, kind, size)                                                                                       \
	static const struct insn *name##_##kind##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return lea(c, i, kind, size);                                                                          \
	}
SIZES_DEF_WDQ(LEA_FN, lea, 0)
SIZES_DEF_WDQ(LEA_FN, lea, 1)
SIZES_DEF_WDQ(LEA_FN, lea, 2)

static insn_fn lea_bind(const struct insn *i)
{
	static const insn_fn fns[3][4] = { SIZES_ROW_WDQ(lea, 0), SIZES_ROW_WDQ(lea, 1), SIZES_ROW_WDQ(lea, 2) };
	if (i->o[0].kind != O_GPR || i->o[1].kind != O_MEM)
		return NULL;
	return fns[i->asz != 8 ? 2 : i->index != REG_ZERO][size_log2(i->o[0].size)];
}

/* --- XCHG: with memory always locked, whatever the prefixes --- */

INL const struct insn *xchg_rr(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t a = reg_ld(c, i->o[0].reg, size), b = reg_ld(c, i->o[1].reg, size);
	reg_st(c, i->o[0].reg, size, b);
	reg_st(c, i->o[1].reg, size, a);
	NEXT(i);
}

INL const struct insn *xchg_mem(struct cpu *c, const struct insn *i, unsigned size)
{
	unsigned reg = i->o[0].kind == O_GPR ? i->o[0].reg : i->o[1].reg;
	uint64_t lin = insn_lin(c, i, size, true), old;
	void *p = lock_get(c, i, lin, size);

	if (likely(p != NULL)) {
		old = atomic_swap(p, reg_ld(c, reg, size), size);
	} else {
		struct rmw m;
		old = mem_rmw_ld(c, i, lin, size, &m);
		mem_rmw_st(c, i, &m, size, reg_ld(c, reg, size));
		lock_put(c);
	}
	reg_st(c, reg, size, old);
	NEXT(i);
}

#define SIZE_FN(name, form, size)                                                                                      \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i) { return name(c, i, size); }
SIZES_DEF(SIZE_FN, xchg_rr, F)
SIZES_DEF(SIZE_FN, xchg_mem, F)

static insn_fn xchg_bind(const struct insn *i)
{
	static const insn_fn fns[2][4] = { SIZES_ROW(xchg_rr, F), SIZES_ROW(xchg_mem, F) };
	return fns[i->o[0].kind == O_MEM || i->o[1].kind == O_MEM][size_log2(i->o[0].size)];
}

/* --- PUSH POP: the operand size is the insn's (64 or 16 bits in 64-bit code) --- */

static const struct insn *push_any(struct cpu *c, const struct insn *i)
{
	stack_push(c, i, i->osz, opnd_lds(c, i, 0, i->osz));
	NEXT(i);
}

/* POP to memory addresses it with rSP as it is after the pop (SDM 2, POP). */
static const struct insn *pop_any(struct cpu *c, const struct insn *i)
{
	unsigned size = i->osz;
	uint64_t v = stack_peek(c, i, size, 0), old = c->gpr[RSP], popped, ea;

	stack_add_sp(c, (int64_t)size);
	if (i->o[0].kind == O_GPR) {
		reg_st(c, i->o[0].reg, size, v);
		NEXT(i);
	}
	ea = insn_ea(c, i);
	popped = c->gpr[RSP];
	c->gpr[RSP] = old; /* for what raises below */
	mem_st(c, i, seg_lin(c, i, i->seg, ea, size, true), size, v);
	c->gpr[RSP] = popped;
	NEXT(i);
}

/* The common ones: whole registers and immediates in 64-bit code */
static const struct insn *push64_r(struct cpu *c, const struct insn *i)
{
	uint64_t sp = c->gpr[RSP] - 8;
	void *w = tlb_hit(c->tlb->w, sp, 8);

	if (unlikely(!w))
		return push_any(c, i);
	host_st(w, 8, R64(c, i->o[0].reg));
	c->gpr[RSP] = sp;
	NEXT(i);
}

static const struct insn *push64_i(struct cpu *c, const struct insn *i)
{
	uint64_t sp = c->gpr[RSP] - 8;
	void *w = tlb_hit(c->tlb->w, sp, 8);

	if (unlikely(!w))
		return push_any(c, i);
	host_st(w, 8, (uint64_t)i->imm);
	c->gpr[RSP] = sp;
	NEXT(i);
}

static const struct insn *pop64_r(struct cpu *c, const struct insn *i)
{
	uint64_t sp = c->gpr[RSP];
	const void *r = tlb_hit(c->tlb->r, sp, 8);

	if (unlikely(!r))
		return pop_any(c, i);
	c->gpr[RSP] = sp + 8;
	R64(c, i->o[0].reg) = host_ld(r, 8);
	NEXT(i);
}

static insn_fn push_bind(const struct insn *i)
{
	if (i->code == CODE_64 && i->osz == 8 && i->o[0].kind != O_MEM)
		return i->o[0].kind == O_GPR ? push64_r : push64_i;
	return push_any;
}

static insn_fn pop_bind(const struct insn *i)
{
	return i->code == CODE_64 && i->osz == 8 && i->o[0].kind == O_GPR ? pop64_r : pop_any;
}

static const struct insn *pusha(struct cpu *c, const struct insn *i)
{
	uint64_t sp = c->gpr[RSP];
	unsigned n;

	stack_probe(c, i, 8, i->osz);
	for (n = 0; n < 8; n++)
		stack_st(c, i, sp - (n + 1) * i->osz, i->osz, c->gpr[n]);
	stack_add_sp(c, -8 * (int64_t)i->osz);
	NEXT(i);
}

static const struct insn *popa(struct cpu *c, const struct insn *i)
{
	uint64_t v[8];
	unsigned n;

	for (n = 0; n < 8; n++)
		v[n] = stack_peek(c, i, i->osz, (uint64_t)n * i->osz);
	for (n = 0; n < 8; n++)
		if (7 - n != RSP)
			reg_st(c, gpr_off(7 - n), i->osz, v[n]);
	stack_add_sp(c, 8 * (int64_t)i->osz);
	NEXT(i);
}

static insn_fn pusha_bind(const struct insn *i) { return pusha; }
static insn_fn popa_bind(const struct insn *i) { return popa; }

/* --- BSWAP MOVBE --- */

INL uint64_t swap_bytes(uint64_t v, unsigned size)
{
	return size == 2   ? __builtin_bswap16((uint16_t)v)
	       : size == 4 ? __builtin_bswap32((uint32_t)v)
			   : __builtin_bswap64(v);
}

/* BSWAP of a 16-bit register is undefined; processors clear it. */
static const struct insn *bswap(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size, reg = i->o[0].reg;
	reg_st(c, reg, size, size == 2 ? 0 : swap_bytes(reg_ld(c, reg, size), size));
	NEXT(i);
}
static insn_fn bswap_bind(const struct insn *i) { return i->o[0].kind == O_GPR ? bswap : NULL; }

static const struct insn *movbe(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	if (i->o[0].kind == O_GPR)
		reg_st(c, i->o[0].reg, size, swap_bytes(mem_ld(c, i, insn_lin(c, i, size, false), size), size));
	else
		mem_st(c, i, insn_lin(c, i, size, true), size, swap_bytes(reg_ld(c, i->o[1].reg, size), size));
	NEXT(i);
}
static insn_fn movbe_bind(const struct insn *i)
{
	return (i->o[0].kind == O_MEM) != (i->o[1].kind == O_MEM) ? movbe : NULL;
}

/* --- CMOVcc SETcc: a 32-bit CMOVcc clears the upper half and memory is read, moved or not --- */

static const struct insn *cmov_slow(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	uint64_t v = mem_ld(c, i, insn_lin(c, i, size, false), size);

	reg_st(c, i->o[0].reg, size, cc_test(c, i->cc) ? v : reg_ld(c, i->o[0].reg, size));
	NEXT(i);
}

INL const struct insn *cmov(struct cpu *c, const struct insn *i, bool mem, unsigned cc, unsigned size)
{
	uint64_t v;

	if (mem) {
		const void *r = fast_r(c, i, size, false);
		if (unlikely(!r))
			return cmov_slow(c, i);
		v = host_ld(r, size);
	} else {
		v = reg_ld(c, i->o[1].reg, size);
	}
	if (!cond_test(c, cc))
		v = reg_ld(c, i->o[0].reg, size);
	reg_st(c, i->o[0].reg, size, v);
	NEXT(i);
}

INL const struct insn *setcc(struct cpu *c, const struct insn *i, unsigned cc)
{
	R8(c, i->o[0].reg) = cond_test(c, cc);
	NEXT(i);
}

static const struct insn *setcc_mem(struct cpu *c, const struct insn *i)
{
	mem_st(c, i, insn_lin(c, i, 1, true), 1, cc_test(c, i->cc));
	NEXT(i);
}

#define CMOV_FN(cc, size)                                                                                              \
	static const struct insn *cmov_r_##cc##_##size(struct cpu *c, const struct insn *i)                            \
	{                                                                                                              \
		return cmov(c, i, false, cc, size);                                                                    \
	}                                                                                                              \
	static const struct insn *cmov_m_##cc##_##size(struct cpu *c, const struct insn *i)                            \
	{                                                                                                              \
		return cmov(c, i, true, cc, size);                                                                     \
	}
#define COND_FNS(cc)                                                                                                   \
	CMOV_FN(cc, 2)                                                                                                 \
	CMOV_FN(cc, 4) CMOV_FN(cc, 8) static const struct insn *setcc_##cc(struct cpu *c, const struct insn *i)        \
	{                                                                                                              \
		return setcc(c, i, cc);                                                                                \
	}
COND_EACH(COND_FNS)

static insn_fn cmov_bind(const struct insn *i)
{
#define CMOV_ROW_R(cc) { NULL, cmov_r_##cc##_2, cmov_r_##cc##_4, cmov_r_##cc##_8 },
#define CMOV_ROW_M(cc) { NULL, cmov_m_##cc##_2, cmov_m_##cc##_4, cmov_m_##cc##_8 },
	static const insn_fn fns[2][16][4] = { { COND_EACH(CMOV_ROW_R) }, { COND_EACH(CMOV_ROW_M) } };
	return fns[i->o[1].kind == O_MEM][i->cc & 15][size_log2(i->o[0].size)];
}

static insn_fn setcc_bind(const struct insn *i)
{
#define SETCC_ROW(cc) setcc_##cc,
	static const insn_fn fns[16] = { COND_EACH(SETCC_ROW) };
	return i->o[0].kind == O_GPR ? fns[i->cc & 15] : setcc_mem;
}

/* --- CBW CWDE CDQE, CWD CDQ CQO --- */

static const struct insn *cbw2(struct cpu *c, const struct insn *i)
{
	R16(c, gpr_off(RAX)) = (uint16_t)(int8_t)c->gpr[RAX];
	NEXT(i);
}
static const struct insn *cbw4(struct cpu *c, const struct insn *i)
{
	c->gpr[RAX] = (uint32_t)(int16_t)c->gpr[RAX];
	NEXT(i);
}
static const struct insn *cbw8(struct cpu *c, const struct insn *i)
{
	c->gpr[RAX] = (uint64_t)(int32_t)c->gpr[RAX];
	NEXT(i);
}
static const struct insn *cwd2(struct cpu *c, const struct insn *i)
{
	R16(c, gpr_off(RDX)) = (uint16_t)((int16_t)c->gpr[RAX] >> 15);
	NEXT(i);
}
static const struct insn *cwd4(struct cpu *c, const struct insn *i)
{
	c->gpr[RDX] = (uint32_t)((int32_t)c->gpr[RAX] >> 31);
	NEXT(i);
}
static const struct insn *cwd8(struct cpu *c, const struct insn *i)
{
	c->gpr[RDX] = (uint64_t)((int64_t)c->gpr[RAX] >> 63);
	NEXT(i);
}
static insn_fn cbw_bind(const struct insn *i) { return i->osz == 2 ? cbw2 : i->osz == 4 ? cbw4 : cbw8; }
static insn_fn cwd_bind(const struct insn *i) { return i->osz == 2 ? cwd2 : i->osz == 4 ? cwd4 : cwd8; }

/* --- XLAT: AL = [rBX + AL] --- */

static const struct insn *xlat(struct cpu *c, const struct insn *i)
{
	uint64_t ea = c->gpr[RBX] + (uint8_t)c->gpr[RAX];

	ea = i->asz == 8 ? ea : i->asz == 4 ? (uint32_t)ea : (uint16_t)ea;
	R8(c, gpr_off(RAX)) = (uint8_t)mem_ld(c, i, seg_lin(c, i, i->seg, ea, 1, false), 1);
	NEXT(i);
}
static insn_fn xlat_bind(const struct insn *i) { return xlat; }

/* --- LAHF SAHF --- */

static const struct insn *lahf(struct cpu *c, const struct insn *i)
{
	R8(c, 1) = (uint8_t)(cc_get(c) | 2);
	NEXT(i);
}
static const struct insn *sahf(struct cpu *c, const struct insn *i)
{
	cc_flags(c, (cc_of(c) ? FL_OF : 0) | R8(c, 1));
	NEXT(i);
}
static insn_fn lahf_bind(const struct insn *i) { return lahf; }
static insn_fn sahf_bind(const struct insn *i) { return sahf; }

const struct op_bind int_move_ops[] = {
	{ OP_MOV, mov_bind },
	{ OP_MOVNTI, mov_bind },
	{ OP_MOVZX, zero_extend_bind },
	{ OP_MOVSX, sign_extend_bind },
	{ OP_MOVSXD, sign_extend_bind },
	{ OP_LEA, lea_bind },
	{ OP_XCHG, xchg_bind },
	{ OP_PUSH, push_bind },
	{ OP_POP, pop_bind },
	{ OP_PUSHA, pusha_bind },
	{ OP_POPA, popa_bind },
	{ OP_BSWAP, bswap_bind },
	{ OP_MOVBE, movbe_bind },
	{ OP_CMOVCC, cmov_bind },
	{ OP_SETCC, setcc_bind },
	{ OP_CBW, cbw_bind },
	{ OP_CWD, cwd_bind },
	{ OP_XLAT, xlat_bind },
	{ OP_LAHF, lahf_bind },
	{ OP_SAHF, sahf_bind },
	{ OP_INVALID, NULL },
};
