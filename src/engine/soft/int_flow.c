/* int_flow.c - near control transfer: JMP Jcc CALL RET, the LOOP family, ENTER LEAVE (SDM 1 7.3.8, 6.4).
 * In 64-bit code near branches are 64 bits wide whatever the prefixes. */

#include "engine/soft/block.h"
#include "engine/soft/cond.h"
#include "engine/soft/int_form.h"
#include "engine/soft/stack.h"

/* SDM 1 3.3.7.1, for 48-bit linear addresses */
INL bool is_canonical(uint64_t v) { return likely((uint64_t)((int64_t)(v << 16) >> 16) == v); }

void stack_check_canonical(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size)
{
	if (c->code == CODE_64 && !(is_canonical(lin) && is_canonical(lin + size - 1)))
		cpu_raise(c, i, EXC_SS, 0);
}

uint64_t flow_target(struct cpu *c, const struct insn *i, uint64_t rip, unsigned osz)
{
	rip = osz == 8 ? rip : osz == 4 ? (uint32_t)rip : (uint16_t)rip;
	if (c->code == CODE_64 ? !is_canonical(rip) : rip > c->seg[CS].limit)
		raise_gp(c, i, 0);
	return rip;
}

static unsigned flow_osz(const struct insn *i) { return i->code == CODE_64 ? 8 : i->osz; }

static uint64_t rel_any(struct cpu *c, const struct insn *i)
{
	return flow_target(c, i, insn_next_rip(c, i) + (uint64_t)i->imm, flow_osz(i));
}

/* Target of a relative branch in 64-bit code, not checked */
INL uint64_t rel64(const struct cpu *c, const struct insn *i) { return c->gpr[REG_IP] + (uint64_t)i->disp; }

/* --- JMP CALL RET: the 64-bit ones go the short way when the jump cache knows the target, and otherwise
 * leave everything to their general twin --- */

static uint64_t near_target(struct cpu *c, const struct insn *i)
{
	unsigned osz = flow_osz(i);
	return i->o[0].kind == O_REL ? rel_any(c, i) : flow_target(c, i, opnd_lds(c, i, 0, osz), osz);
}

static const struct insn *jmp_any(struct cpu *c, const struct insn *i) { JUMP(c, i, near_target(c, i)); }

INL const struct insn *jmp64(struct cpu *c, const struct insn *i, uint64_t rip)
{
	const struct insn *n = block_find64(c, rip);
	if (unlikely(!n))
		return jmp_any(c, i);
	c->gpr[REG_IP] = rip;
	CONTINUE(c, n);
}
static const struct insn *jmp64_rel(struct cpu *c, const struct insn *i) { return jmp64(c, i, rel64(c, i)); }
static const struct insn *jmp64_r(struct cpu *c, const struct insn *i) { return jmp64(c, i, R64(c, i->o[0].reg)); }

static insn_fn jmp_bind(const struct insn *i)
{
	if (i->code != CODE_64 || i->o[0].kind == O_MEM)
		return jmp_any;
	return i->o[0].kind == O_REL ? jmp64_rel : jmp64_r;
}

/* The target is checked before the push (SDM 2, CALL). */
static const struct insn *call_any(struct cpu *c, const struct insn *i)
{
	uint64_t rip = near_target(c, i);
	stack_push(c, i, flow_osz(i), insn_next_rip(c, i));
	JUMP(c, i, rip);
}

INL const struct insn *call64(struct cpu *c, const struct insn *i, uint64_t rip)
{
	uint64_t sp = c->gpr[RSP] - 8;
	void *w = tlb_hit(c->tlb->w, sp, 8);
	const struct insn *n = block_find64(c, rip);

	if (unlikely(!w || !n))
		return call_any(c, i);
	host_st(w, 8, c->gpr[REG_IP] + i->off + i->len);
	c->gpr[RSP] = sp;
	c->gpr[REG_IP] = rip;
	CONTINUE(c, n);
}
static const struct insn *call64_rel(struct cpu *c, const struct insn *i) { return call64(c, i, rel64(c, i)); }
static const struct insn *call64_r(struct cpu *c, const struct insn *i) { return call64(c, i, R64(c, i->o[0].reg)); }

static insn_fn call_bind(const struct insn *i)
{
	if (i->code != CODE_64 || i->o[0].kind == O_MEM)
		return call_any;
	return i->o[0].kind == O_REL ? call64_rel : call64_r;
}

static const struct insn *ret_any(struct cpu *c, const struct insn *i)
{
	unsigned osz = flow_osz(i);
	uint64_t rip = flow_target(c, i, stack_peek(c, i, osz, 0), osz);
	stack_add_sp(c, (int64_t)osz + (i->o[0].kind == O_IMM ? (uint16_t)i->imm : 0));
	JUMP(c, i, rip);
}

static const struct insn *ret64(struct cpu *c, const struct insn *i)
{
	uint64_t sp = c->gpr[RSP], rip;
	const void *r = tlb_hit(c->tlb->r, sp, 8);
	const struct insn *n;

	if (unlikely(!r))
		return ret_any(c, i);
	rip = host_ld(r, 8);
	n = block_find64(c, rip);
	if (unlikely(!n))
		return ret_any(c, i);
	c->gpr[RSP] = sp + 8;
	c->gpr[REG_IP] = rip;
	CONTINUE(c, n);
}
static insn_fn ret_bind(const struct insn *i) { return i->code == CODE_64 && i->o[0].kind != O_IMM ? ret64 : ret_any; }

/* --- Jcc --- */

static const struct insn *jcc_any(struct cpu *c, const struct insn *i)
{
	if (!cc_test(c, i->cc))
		NEXT(i);
	JUMP(c, i, rel_any(c, i));
}

#define JCC_FN(cc)                                                                                                     \
	static const struct insn *jcc64_##cc(struct cpu *c, const struct insn *i)                                      \
	{                                                                                                              \
		if (!cond_test(c, cc))                                                                                 \
			NEXT(i);                                                                                       \
		return jmp64(c, i, rel64(c, i));                                                                       \
	}
COND_EACH(JCC_FN)

static insn_fn jcc_bind(const struct insn *i)
{
#define JCC_ROW(cc) jcc64_##cc,
	static const insn_fn fns[16] = { COND_EACH(JCC_ROW) };
	return i->code == CODE_64 ? fns[i->cc & 15] : jcc_any;
}

/* --- LOOP LOOPE LOOPNE JRCXZ: the counter has the address size --- */

static const struct insn *loop(struct cpu *c, const struct insn *i)
{
	uint64_t count = reg_ld(c, gpr_off(RCX), i->asz) - 1, rip;
	bool more = i->asz == 8 ? count != 0 : i->asz == 4 ? (uint32_t)count != 0 : (uint16_t)count != 0;

	if (!more || (i->op == OP_LOOPE && !cc_zf(c)) || (i->op == OP_LOOPNE && cc_zf(c))) {
		reg_st(c, gpr_off(RCX), i->asz, count);
		NEXT(i);
	}
	rip = rel_any(c, i);
	reg_st(c, gpr_off(RCX), i->asz, count);
	JUMP(c, i, rip);
}

static const struct insn *jrcxz(struct cpu *c, const struct insn *i)
{
	if (reg_ld(c, gpr_off(RCX), i->asz))
		NEXT(i);
	JUMP(c, i, rel_any(c, i));
}

static insn_fn loop_bind(const struct insn *i) { return loop; }
static insn_fn jrcxz_bind(const struct insn *i) { return jrcxz; }

/* --- ENTER LEAVE --- */

static const struct insn *leave(struct cpu *c, const struct insn *i)
{
	uint64_t bp = c->gpr[RBP], v = stack_ld(c, i, bp, i->osz);
	stack_set_sp(c, bp + i->osz);
	reg_st(c, gpr_off(RBP), i->osz, v);
	NEXT(i);
}

/* Accesses come in the order of SDM 2, ENTER, each word of the outer frame just before it is pushed, and
 * at the end a write with the final stack pointer is tried. A fault leaves words behind below rSP,
 * as on a processor; the registers are as before. */
static const struct insn *enter(struct cpu *c, const struct insn *i)
{
	unsigned osz = i->osz, level = i->imm2 & 31, n;
	uint64_t sp = c->gpr[RSP], bp = c->gpr[RBP], frame = sp - osz, last, lin;

	stack_st(c, i, frame, osz, bp);
	for (n = 1; n < level; n++)
		stack_st(c, i, frame - (uint64_t)n * osz, osz, stack_ld(c, i, bp - (uint64_t)n * osz, osz));
	if (level)
		stack_st(c, i, frame - (uint64_t)level * osz, osz, frame & c->sp_mask);
	last = sp - (uint64_t)(level + 1) * osz - (uint16_t)i->imm;
	lin = stack_lin(c, i, last, osz, true);
	if (!tlb_hit(c->tlb->w, lin, osz)) {
		stack_check_canonical(c, i, lin, osz);
		mmu_probe_w(c, i, lin, osz);
	}
	reg_st(c, gpr_off(RBP), osz, frame & c->sp_mask);
	stack_set_sp(c, last);
	NEXT(i);
}

static insn_fn leave_bind(const struct insn *i) { return leave; }
static insn_fn enter_bind(const struct insn *i) { return enter; }

const struct op_bind int_flow_ops[] = {
	{ OP_JMP, jmp_bind },     { OP_CALL, call_bind },   { OP_RET, ret_bind },     { OP_JCC, jcc_bind },
	{ OP_LOOP, loop_bind },   { OP_LOOPE, loop_bind },  { OP_LOOPNE, loop_bind }, { OP_JRCXZ, jrcxz_bind },
	{ OP_LEAVE, leave_bind }, { OP_ENTER, enter_bind }, { OP_INVALID, NULL },
};
