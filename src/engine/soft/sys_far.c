/* sys_far.c - far JMP and CALL with call gates, task gates and TSSs, and software interrupts
 * (SDM 2A CALL, INT n, JMP; SDM 3A 5.8). */
#include "engine/soft/sys.h"

/* The far pointer operand: memory or immediate */
static void far_operand(struct cpu *c, const struct insn *i, uint64_t *off, uint16_t *sel)
{
	if (i->o[0].kind == O_IMM) {
		*off = i->osz == 2 ? (uint16_t)i->imm : (uint32_t)i->imm;
		*sel = (uint16_t)i->imm2;
		return;
	}
	*sel = far_ptr_ld(c, i, off);
}

/* Real and virtual-8086 mode: no descriptors */
static const struct insn *far_real(struct cpu *c, const struct insn *i, bool call, uint16_t sel, uint64_t off)
{
	struct x86_seg cs = c->seg[CS];

	if (vm86_mode(c))
		cs = seg_real(sel, true);
	cs.sel = sel;
	cs.base = (uint64_t)sel << 4;
	cs_check_rip(c, i, &cs, off, 0);
	if (call) {
		struct frame f;
		frame_present(&f, c, i, i->osz, 0);
		frame_push(&f, c->seg[CS].sel);
		frame_push(&f, insn_next_rip(c, i));
		frame_commit(&f, false);
	}
	cs_commit(c, &cs, c->cpl);
	return sys_go(c, i, off, false);
}

static const struct insn *far_code(struct cpu *c, const struct insn *i, bool call, uint16_t sel, uint64_t off)
{
	struct x86_seg cs = cs_checked(c, i, sel, CS_JUMP);

	cs_check_rip(c, i, &cs, off, 0);
	if (call) {
		struct frame f;
		frame_present(&f, c, i, i->osz, 0);
		frame_push(&f, c->seg[CS].sel);
		frame_push(&f, insn_next_rip(c, i));
		frame_commit(&f, false);
	}
	cs_commit(c, &cs, c->cpl);
	return sys_go(c, i, off, false);
}

/* The code segment behind a call gate; *cpl is the privilege it runs at. */
static struct x86_seg gate_cs(struct cpu *c, const struct insn *i, uint16_t sel, bool call, unsigned *cpl)
{
	struct desc d;
	uint32_t attr;

	if (SEL_NULL(sel))
		raise_gp(c, i, 0);
	if (!desc_read(c, i, sel, &d))
		raise_gp(c, i, SEL_ERR(sel));
	attr = desc_attr(d.lo);
	if (!attr_code(attr) || attr_dpl(attr) > c->cpl)
		raise_gp(c, i, SEL_ERR(sel));
	if (!call && !attr_conforming(attr) && attr_dpl(attr) != c->cpl)
		raise_gp(c, i, SEL_ERR(sel));
	if (long_mode(c) && (!(attr & SEG_L) || (attr & SEG_DB)))
		raise_gp(c, i, SEL_ERR(sel));
	if (!(attr & SEG_P))
		cpu_raise(c, i, EXC_NP, SEL_ERR(sel));
	*cpl = attr_conforming(attr) ? c->cpl : attr_dpl(attr);
	return desc_load(c, i, (uint16_t)((sel & ~3u) | *cpl), &d);
}

/* The parameters on the caller's stack, the first one last */
static void push_params(struct frame *f, unsigned count)
{
	struct cpu *c = f->c;

	while (count--)
		frame_push(f, stack_ld(c, f->i, c->gpr[RSP] + (uint64_t)count * f->size, f->size));
}

static const struct insn *far_gate(struct cpu *c, const struct insn *i, bool call, const struct desc *g)
{
	uint32_t attr = desc_attr(g->lo);
	bool is64 = long_mode(c), inner;
	unsigned size = is64 ? 8 : attr & 8 ? 4 : 2, cpl;
	uint64_t rip = (g->lo & 0xffff) | (size > 2 ? g->lo >> 32 & 0xffff0000 : 0) | (is64 ? g->hi << 32 : 0);
	struct x86_seg cs = gate_cs(c, i, (uint16_t)(g->lo >> 16), call, &cpl);
	struct frame f;

	inner = call && cpl < c->cpl;
	cs_check_rip(c, i, &cs, rip, 0);
	if (!call) {
		cs_commit(c, &cs, c->cpl);
		return sys_go(c, i, rip, false);
	}
	if (!inner) {
		frame_present(&f, c, i, size, 0);
		if (is64) {
			f.flat = true;
			f.mask = ~0ull;
		}
	} else {
		if (is64)
			frame_inner64(&f, c, i, cpl, 4 + 8 * cpl, 0);
		else
			frame_inner(&f, c, i, cpl, size, 0);
		frame_push(&f, c->seg[SS].sel);
		frame_push(&f, c->gpr[RSP]);
		if (!is64)
			push_params(&f, g->lo >> 32 & 31);
	}
	frame_push(&f, c->seg[CS].sel);
	frame_push(&f, insn_next_rip(c, i));
	cs_commit(c, &cs, cpl);
	frame_commit(&f, inner);
	return sys_go(c, i, rip, false);
}

/* A system descriptor as the target: gates, and tasks outside long mode */
static const struct insn *far_system(struct cpu *c, const struct insn *i, bool call, uint16_t sel)
{
	struct desc d;
	uint32_t attr;
	unsigned type, dpl;
	bool task;

	if (!desc_read_system(c, i, sel, &d))
		raise_gp(c, i, SEL_ERR(sel));
	attr = desc_attr(d.lo);
	type = attr & SEG_TYPE;
	dpl = attr_dpl(attr);
	task = type == SYS_TSS16 || type == SYS_TSS32 || type == SYS_TASK_GATE;
	if (!(type == SYS_CALL32 || (!long_mode(c) && (task || type == SYS_CALL16))))
		raise_gp(c, i, SEL_ERR(sel));
	if (dpl < c->cpl || dpl < SEL_RPL(sel) || (d.hi >> 40 & 0x1f))
		raise_gp(c, i, SEL_ERR(sel));
	if (!(attr & SEG_P))
		cpu_raise(c, i, EXC_NP, SEL_ERR(sel));
	if (!task)
		return far_gate(c, i, call, &d);
	task_switch(c, i, type == SYS_TASK_GATE ? (uint16_t)(d.lo >> 16) : sel, call ? TASK_CALL : TASK_JMP,
	            insn_next_rip(c, i), 0);
	return NULL;
}

static const struct insn *far_transfer(struct cpu *c, const struct insn *i, bool call)
{
	struct desc d;
	uint64_t off;
	uint16_t sel;

	far_operand(c, i, &off, &sel);
	if (!protected_mode(c) || vm86_mode(c))
		return far_real(c, i, call, sel, off);
	if (SEL_NULL(sel))
		raise_gp(c, i, 0);
	if (!desc_read(c, i, sel, &d))
		raise_gp(c, i, SEL_ERR(sel));
	if (desc_attr(d.lo) & SEG_S)
		return far_code(c, i, call, sel, off);
	return far_system(c, i, call, sel);
}

static const struct insn *jmpf(struct cpu *c, const struct insn *i) { return far_transfer(c, i, false); }
static const struct insn *callf(struct cpu *c, const struct insn *i) { return far_transfer(c, i, true); }

/* --- software interrupts --- */

/* c->rip names the instruction meanwhile: a fault of the delivery is a fault of the instruction. */
static const struct insn *soft_event(struct cpu *c, const struct insn *i, int vector, enum event_kind kind)
{
	uint64_t next = insn_next_rip(c, i);

	c->rip = insn_rip(c, i);
	exc_deliver_at(c, vector, kind, false, 0, next);
	return sys_go(c, i, c->rip, false);
}

static const struct insn *int_n(struct cpu *c, const struct insn *i)
{
	if (vm86_mode(c) && (c->rflags & FL_IOPL) != FL_IOPL)
		raise_gp(c, i, 0);
	return soft_event(c, i, (uint8_t)i->imm, EV_SOFT);
}
static const struct insn *int3(struct cpu *c, const struct insn *i) { return soft_event(c, i, EXC_BP, EV_SOFT); }
static const struct insn *into(struct cpu *c, const struct insn *i)
{
	if (!cc_of(c))
		NEXT(i);
	return soft_event(c, i, EXC_OF, EV_SOFT);
}
/* No software interrupt: gate privilege does not matter (SDM 2A INT1) */
static const struct insn *int1(struct cpu *c, const struct insn *i) { return soft_event(c, i, EXC_DB, EV_INTR); }

SYS_BIND(jmpf)
SYS_BIND(callf)
SYS_BIND(sys_retf)
SYS_BIND(sys_iret)
SYS_BIND(int_n)
SYS_BIND(int3)
SYS_BIND(into)
SYS_BIND(int1)
SYS_BIND(sys_syscall)
SYS_BIND(sys_sysret)
SYS_BIND(sys_sysenter)
SYS_BIND(sys_sysexit)

const struct op_bind sys_far_ops[] = {
	{ OP_JMPF, bind_jmpf }, { OP_CALLF, bind_callf }, { OP_RETF, bind_sys_retf }, { OP_IRET, bind_sys_iret },
	{ OP_INT, bind_int_n }, { OP_INT3, bind_int3 }, { OP_INTO, bind_into }, { OP_INT1, bind_int1 },
	{ OP_SYSCALL, bind_sys_syscall }, { OP_SYSRET, bind_sys_sysret },
	{ OP_SYSENTER, bind_sys_sysenter }, { OP_SYSEXIT, bind_sys_sysexit },
	{ OP_INVALID, NULL },
};
