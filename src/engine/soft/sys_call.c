/* sys_call.c - SYSCALL, SYSRET, SYSENTER, SYSEXIT, as Intel's processors have them (SDM 3A 5.8.7,
 * 5.8.8). They build flat segments without a look at descriptors. */
#include "engine/soft/sys.h"

static struct x86_seg flat_code(unsigned sel, unsigned dpl, bool is64)
{
	return (struct x86_seg){ .limit = 0xffffffff, .sel = (uint16_t)sel,
	                         .attr = 0xb | SEG_S | SEG_P | SEG_G | (is64 ? SEG_L : SEG_DB) | dpl << SEG_DPL_SHIFT };
}
static struct x86_seg flat_stack(unsigned sel, unsigned dpl)
{
	return (struct x86_seg){ .limit = 0xffffffff, .sel = (uint16_t)sel,
	                         .attr = 3 | SEG_S | SEG_P | SEG_G | SEG_DB | dpl << SEG_DPL_SHIFT };
}

static void enter_flat(struct cpu *c, const struct x86_seg *cs, const struct x86_seg *ss, unsigned cpl)
{
	c->seg[SS] = *ss;
	cs_commit(c, cs, cpl);
}

/* With TF masked no trap follows: the handler finds TF clear. */
const struct insn *sys_syscall(struct cpu *c, const struct insn *i)
{
	unsigned sel = (unsigned)(c->star >> 32) & 0xfffc;
	struct x86_seg cs = flat_code(sel, 0, true), ss = flat_stack(sel + 8, 0);
	uint64_t flags;

	if (!(c->efer & EFER_SCE) || c->code != CODE_64)
		raise_ud(c, i);
	flags = rflags_get(c) & ~(uint64_t)FL_RF;
	c->gpr[RCX] = insn_next_rip(c, i);
	c->gpr[R11] = flags;
	flags &= ~c->fmask;
	cc_flags(c, flags);
	c->rflags = (flags & ~(uint64_t)FL_ARITH) | 2;
	enter_flat(c, &cs, &ss, 0);
	return sys_go(c, i, c->lstar, false);
}

const struct insn *sys_sysret(struct cpu *c, const struct insn *i)
{
	unsigned sel = (unsigned)(c->star >> 48);
	bool is64 = i->osz == 8, if_was = c->rflags & FL_IF;
	struct x86_seg cs = flat_code(is64 ? (sel + 16) | 3 : sel | 3, 3, is64), ss = flat_stack((sel + 8) | 3, 3);
	uint64_t rip = is64 ? c->gpr[RCX] : (uint32_t)c->gpr[RCX], flags = c->gpr[R11] & 0x3c7fd7;

	if (!(c->efer & EFER_SCE) || c->code != CODE_64)
		raise_ud(c, i);
	need_cpl0(c, i);
	if (!is_canonical48(rip))
		raise_gp(c, i, 0);
	/* VIF and VIP (bits 19, 20) do not exist here */
	flags &= FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_ID;
	cc_flags(c, flags);
	c->rflags = (flags & ~(uint64_t)FL_ARITH) | 2;
	enter_flat(c, &cs, &ss, 3);
	return sys_go(c, i, rip, !if_was && (c->rflags & FL_IF));
}

const struct insn *sys_sysenter(struct cpu *c, const struct insn *i)
{
	unsigned sel = (unsigned)c->sysenter_cs & 0xfffc;
	bool is64 = long_mode(c);
	struct x86_seg cs = flat_code(sel, 0, is64), ss = flat_stack(sel + 8, 0);

	if (!protected_mode(c) || !sel)
		raise_gp(c, i, 0);
	c->rflags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
	enter_flat(c, &cs, &ss, 0);
	c->gpr[RSP] = is64 ? c->sysenter_esp : (uint32_t)c->sysenter_esp;
	return sys_go(c, i, is64 ? c->sysenter_eip : (uint32_t)c->sysenter_eip, false);
}

const struct insn *sys_sysexit(struct cpu *c, const struct insn *i)
{
	unsigned sel = (unsigned)c->sysenter_cs & 0xfffc;
	bool is64 = i->osz == 8;
	struct x86_seg cs = flat_code((sel + (is64 ? 32 : 16)) | 3, 3, is64), ss = flat_stack((sel + (is64 ? 40 : 24)) | 3, 3);
	uint64_t rip = c->gpr[RDX], rsp = c->gpr[RCX];

	if (!protected_mode(c) || !sel)
		raise_gp(c, i, 0);
	need_cpl0(c, i);
	if (is64 && (!is_canonical48(rip) || !is_canonical48(rsp)))
		raise_gp(c, i, 0);
	enter_flat(c, &cs, &ss, 3);
	c->gpr[RSP] = is64 ? rsp : (uint32_t)rsp;
	return sys_go(c, i, is64 ? rip : (uint32_t)rip, false);
}
