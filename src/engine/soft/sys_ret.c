/* sys_ret.c - far RET and IRET: to the same or an outer privilege level, to virtual-8086 mode, to
 * the previous task (SDM 2A RET, IRET). */
#include "engine/soft/sys.h"

/* Data segments that code of the new privilege level may not use become null. */
static void drop_inner_segments(struct cpu *c)
{
	static const uint8_t data[] = { ES, DS, FS, GS };

	for (unsigned n = 0; n < ARRAY_LEN(data); n++) {
		struct x86_seg *s = &c->seg[data[n]];
		if ((s->attr & SEG_UNUSABLE) || attr_conforming(s->attr) || attr_dpl(s->attr) >= c->cpl)
			continue;
		*s = seg_null(0, 0);
		seg_changed(c, data[n]);
	}
}

/* SS for a return to the code segment cs */
static struct x86_seg return_ss(struct cpu *c, const struct insn *i, const struct x86_seg *cs, uint16_t sel)
{
	unsigned rpl = SEL_RPL(cs->sel);

	if (SEL_NULL(sel)) {
		if (!seg_is_code64(c, cs) || rpl == 3 || SEL_RPL(sel) != rpl)
			raise_gp(c, i, 0);
		return seg_null(sel, rpl);
	}
	return seg_checked(c, i, SS, sel, rpl, EXC_GP, 0);
}

/* Commits CS, SS and rSP of a return that popped SS:rSP */
static void return_commit(struct cpu *c, const struct x86_seg *cs, const struct x86_seg *ss, uint64_t sp)
{
	unsigned old = c->cpl;

	c->seg[SS] = *ss;
	cs_commit(c, cs, SEL_RPL(cs->sel));
	stack_set_sp(c, sp);
	if (c->cpl > old)
		drop_inner_segments(c);
}

/* CS of a return in real or virtual-8086 mode */
static struct x86_seg return_cs_real(const struct cpu *c, uint16_t sel)
{
	struct x86_seg cs = vm86_mode(c) ? seg_real(sel, true) : c->seg[CS];

	cs.sel = sel;
	cs.base = (uint64_t)sel << 4;
	return cs;
}

const struct insn *sys_retf(struct cpu *c, const struct insn *i)
{
	unsigned osz = i->osz;
	uint64_t extra = i->o[0].kind == O_IMM ? (uint16_t)i->imm : 0;
	uint64_t rip = stack_peek(c, i, osz, 0), sp;
	uint16_t sel = (uint16_t)stack_peek(c, i, osz, osz);
	struct x86_seg cs, ss;

	if (!protected_mode(c) || vm86_mode(c)) {
		cs = return_cs_real(c, sel);
		cs_check_rip(c, i, &cs, rip, 0);
		stack_add_sp(c, (int64_t)(2 * osz + extra));
		cs_commit(c, &cs, c->cpl);
		return sys_go(c, i, rip, false);
	}
	cs = cs_checked(c, i, sel, CS_RETURN);
	cs_check_rip(c, i, &cs, rip, 0);
	if (SEL_RPL(sel) == c->cpl) {
		stack_add_sp(c, (int64_t)(2 * osz + extra));
		cs_commit(c, &cs, c->cpl);
		return sys_go(c, i, rip, false);
	}
	sp = stack_peek(c, i, osz, 2 * osz + extra);
	ss = return_ss(c, i, &cs, (uint16_t)stack_peek(c, i, osz, 3 * osz + extra));
	return_commit(c, &cs, &ss, sp + extra);
	return sys_go(c, i, rip, false);
}

/* --- IRET --- */

static void set_flags(struct cpu *c, uint64_t image, uint64_t mask)
{
	uint64_t v = (rflags_get(c) & ~mask) | (image & mask);

	cc_flags(c, v);
	c->rflags = (v & ~(uint64_t)FL_ARITH) | 2; /* the caller recomputes modes */
}

static const struct insn *iret_real(struct cpu *c, const struct insn *i)
{
	unsigned osz = i->osz;
	uint64_t rip = stack_peek(c, i, osz, 0), image = stack_peek(c, i, osz, 2 * osz);
	struct x86_seg cs = return_cs_real(c, (uint16_t)stack_peek(c, i, osz, osz));

	cs_check_rip(c, i, &cs, rip, 0);
	stack_add_sp(c, 3 * (int64_t)osz);
	set_flags(c, image, rflags_mask(c, osz) | (osz > 2 ? FL_RF : 0));
	cs_commit(c, &cs, c->cpl);
	return sys_go(c, i, rip, true);
}

/* EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS: nine words */
static const struct insn *iret_to_vm86(struct cpu *c, const struct insn *i, uint64_t rip, uint64_t image)
{
	static const uint8_t order[] = { SS, ES, DS, FS, GS };
	uint64_t sp = stack_peek(c, i, 4, 12);
	struct x86_seg seg[SEG_COUNT];

	seg[CS] = seg_real((uint16_t)stack_peek(c, i, 4, 4), true);
	for (unsigned n = 0; n < ARRAY_LEN(order); n++)
		seg[order[n]] = seg_real((uint16_t)stack_peek(c, i, 4, 16 + 4 * n), false);
	cs_check_rip(c, i, &seg[CS], rip, 0);
	memcpy(c->seg, seg, sizeof(seg));
	set_flags(c, image, rflags_mask(c, 4) | FL_RF | FL_VM);
	cs_commit(c, &seg[CS], 3);
	c->gpr[RSP] = (uint32_t)sp;
	return sys_go(c, i, rip, true);
}

const struct insn *sys_iret(struct cpu *c, const struct insn *i)
{
	unsigned osz = i->osz;
	bool look = c->nmi_masked, if_was = c->rflags & FL_IF;
	uint64_t rip, image, sp;
	uint16_t sel;
	struct x86_seg cs, ss;

	/* NMIs are let in even if the return faults (SDM 3A 6.7.1) */
	c->nmi_masked = false;
	if (vm86_mode(c) && (c->rflags & FL_IOPL) != FL_IOPL)
		raise_gp(c, i, 0);
	if (!protected_mode(c) || vm86_mode(c))
		return iret_real(c, i);
	if (c->rflags & FL_NT) {
		if (long_mode(c))
			raise_gp(c, i, 0);
		task_switch(c, i, (uint16_t)mmu_sys_ld(c, i, c->tr.base & 0xffffffff, 2), TASK_IRET, insn_next_rip(c, i), 0);
		return NULL;
	}
	rip = stack_peek(c, i, osz, 0);
	sel = (uint16_t)stack_peek(c, i, osz, osz);
	image = stack_peek(c, i, osz, 2 * osz);
	if ((image & FL_VM) && osz == 4 && c->cpl == 0 && !long_mode(c))
		return iret_to_vm86(c, i, rip, image);
	cs = cs_checked(c, i, sel, CS_RETURN);
	cs_check_rip(c, i, &cs, rip, 0);
	if (c->code == CODE_64 || SEL_RPL(sel) > c->cpl) {
		sp = stack_peek(c, i, osz, 3 * osz);
		ss = return_ss(c, i, &cs, (uint16_t)stack_peek(c, i, osz, 4 * osz));
		set_flags(c, image, rflags_mask(c, osz) | (osz > 2 ? FL_RF : 0));
		return_commit(c, &cs, &ss, sp);
	} else {
		stack_add_sp(c, 3 * (int64_t)osz);
		set_flags(c, image, rflags_mask(c, osz) | (osz > 2 ? FL_RF : 0));
		cs_commit(c, &cs, c->cpl);
	}
	return sys_go(c, i, rip, look || (!if_was && (c->rflags & FL_IF)));
}
