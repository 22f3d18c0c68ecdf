/* sys_ctl.c - processor control: flags and interrupts, halting, MSRs, time stamps, CPUID, TLB
 * and cache maintenance. */
#include "engine/soft/cpuid.h"
#include "engine/soft/msr.h"
#include "engine/soft/sys.h"
#include "engine/soft/tsc.h"

/* --- flags --- */

static void need_iopl_vm86(struct cpu *c, const struct insn *i)
{
	if (vm86_mode(c) && (c->rflags & FL_IOPL) != FL_IOPL)
		raise_gp(c, i, 0);
}

static const struct insn *pushf(struct cpu *c, const struct insn *i)
{
	need_iopl_vm86(c, i);
	stack_push(c, i, i->osz, rflags_get(c) & ~(uint64_t)(FL_VM | FL_RF));
	NEXT(i);
}

static const struct insn *popf(struct cpu *c, const struct insn *i)
{
	uint64_t v, mask;
	bool if_was = c->rflags & FL_IF;

	need_iopl_vm86(c, i);
	v = stack_pop(c, i, i->osz);
	mask = rflags_mask(c, i->osz);
	rflags_set(c, (rflags_get(c) & ~mask & ~(uint64_t)FL_RF) | (v & mask));
	if (!if_was && (c->rflags & FL_IF))
		END(c, i);
	NEXT(i);
}

static void need_iopl(struct cpu *c, const struct insn *i)
{
	if (c->cpl > (c->rflags & FL_IOPL) >> 12)
		raise_gp(c, i, 0);
}

static const struct insn *cli(struct cpu *c, const struct insn *i)
{
	need_iopl(c, i);
	c->rflags &= ~(uint64_t)FL_IF;
	NEXT(i);
}

/* Interrupts stay out for one more instruction, so that STI HLT cannot miss one. */
static const struct insn *sti(struct cpu *c, const struct insn *i)
{
	need_iopl(c, i);
	if (c->rflags & FL_IF)
		NEXT(i);
	c->rflags |= FL_IF;
	c->shadow = SHADOW_STI;
	END(c, i);
}

static const struct insn *set_ac(struct cpu *c, const struct insn *i, uint64_t v)
{
	if (c->cpl)
		raise_ud(c, i);
	c->rflags = (c->rflags & ~(uint64_t)FL_AC) | v;
	mmu_select_bank(c);
	NEXT(i);
}
static const struct insn *clac(struct cpu *c, const struct insn *i) { return set_ac(c, i, 0); }
static const struct insn *stac(struct cpu *c, const struct insn *i) { return set_ac(c, i, FL_AC); }

static const struct insn *hlt(struct cpu *c, const struct insn *i)
{
	need_cpl0(c, i);
	c->halted = true;
	END(c, i);
}

/* --- CPUID, time stamps, MSRs --- */

static void put_edx_eax(struct cpu *c, uint64_t v)
{
	c->gpr[RAX] = (uint32_t)v;
	c->gpr[RDX] = v >> 32;
}

static const struct insn *cpuid(struct cpu *c, const struct insn *i)
{
	uint32_t r[4];

	cpuid_get(c, (uint32_t)c->gpr[RAX], (uint32_t)c->gpr[RCX], r);
	c->gpr[RAX] = r[0];
	c->gpr[RBX] = r[1];
	c->gpr[RCX] = r[2];
	c->gpr[RDX] = r[3];
	NEXT(i);
}

static void need_tsc(struct cpu *c, const struct insn *i)
{
	if ((c->cr4 & CR4_TSD) && c->cpl)
		raise_gp(c, i, 0);
}
static const struct insn *rdtsc(struct cpu *c, const struct insn *i)
{
	need_tsc(c, i);
	put_edx_eax(c, tsc_guest(c));
	NEXT(i);
}
static const struct insn *rdtscp(struct cpu *c, const struct insn *i)
{
	need_tsc(c, i);
	put_edx_eax(c, tsc_guest(c));
	c->gpr[RCX] = (uint32_t)c->tsc_aux;
	NEXT(i);
}
/* CPUID offers no performance counters, so no index is valid. */
static const struct insn *rdpmc(struct cpu *c, const struct insn *i) { raise_gp(c, i, 0); }

static const struct insn *rdmsr(struct cpu *c, const struct insn *i)
{
	uint64_t v;

	need_cpl0(c, i);
	if (msr_read(c, (uint32_t)c->gpr[RCX], &v) < 0)
		raise_gp(c, i, 0);
	put_edx_eax(c, v);
	NEXT(i);
}
/* Goes by way of the run loop: an APIC register may have let an interrupt in. */
static const struct insn *wrmsr(struct cpu *c, const struct insn *i)
{
	need_cpl0(c, i);
	if (msr_write(c, (uint32_t)c->gpr[RCX], c->gpr[RDX] << 32 | (uint32_t)c->gpr[RAX]) < 0)
		raise_gp(c, i, 0);
	END(c, i);
}

/* --- TLB and caches --- */

static const struct insn *invlpg(struct cpu *c, const struct insn *i)
{
	uint64_t lin = (c->sbase[i->seg] + insn_ea(c, i)) & c->lin_mask;

	need_cpl0(c, i);
	if (c->code != CODE_64 || is_canonical48(lin))
		mmu_invlpg(c, lin);
	NEXT(i);
}

static const struct insn *invpcid(struct cpu *c, const struct insn *i)
{
	uint64_t type = i->code == CODE_64 ? R64(c, i->o[0].reg) : R32(c, i->o[0].reg), lin, d[2];

	need_cpl0(c, i);
	lin = insn_lin(c, i, 16, false);
	mem_ldn(c, i, lin, d, sizeof(d));
	if (type > 3 || d[0] >> 12)
		raise_gp(c, i, 0);
	if (type < 2 && d[0] && !(c->cr4 & CR4_PCIDE))
		raise_gp(c, i, 0);
	if (type == 0 && !is_canonical48(d[1]))
		raise_gp(c, i, 0);
	mmu_invpcid(c, (unsigned)type, d[0], d[1]);
	NEXT(i);
}

/* Guest memory is coherent with everything: there is nothing to write back. */
static const struct insn *wbinvd(struct cpu *c, const struct insn *i)
{
	need_cpl0(c, i);
	NEXT(i);
}

/* --- hypercalls --- */

/* KVM's interface, which the CPUID leaves at 40000000h announce: the call exists, but no function does. */
#define KVM_ENOSYS 1000
#define KVM_EPERM 1

static const struct insn *vmcall(struct cpu *c, const struct insn *i)
{
	int64_t r = c->cpl ? -KVM_EPERM : -KVM_ENOSYS;

	if (!protected_mode(c))
		raise_ud(c, i);
	c->gpr[RAX] = c->code == CODE_64 ? (uint64_t)r : (uint32_t)r;
	NEXT(i);
}

SYS_BIND(pushf)
SYS_BIND(popf)
SYS_BIND(cli)
SYS_BIND(sti)
SYS_BIND(clac)
SYS_BIND(stac)
SYS_BIND(hlt)
SYS_BIND(cpuid)
SYS_BIND(rdtsc)
SYS_BIND(rdtscp)
SYS_BIND(rdpmc)
SYS_BIND(rdmsr)
SYS_BIND(wrmsr)
SYS_BIND(invlpg)
SYS_BIND(invpcid)
SYS_BIND(wbinvd)
SYS_BIND(vmcall)
SYS_BIND(sys_mov_to_cr)
SYS_BIND(sys_mov_from_cr)
SYS_BIND(sys_mov_to_dr)
SYS_BIND(sys_mov_from_dr)
SYS_BIND(sys_lmsw)
SYS_BIND(sys_smsw)
SYS_BIND(sys_clts)

/* VMMCALL is AMD's, RSM belongs to system management mode, MONITOR and MWAIT are not offered: #UD,
 * as for every operation without a row. */
const struct op_bind sys_ctl_ops[] = {
	{ OP_PUSHF, bind_pushf }, { OP_POPF, bind_popf }, { OP_CLI, bind_cli }, { OP_STI, bind_sti },
	{ OP_CLAC, bind_clac }, { OP_STAC, bind_stac }, { OP_HLT, bind_hlt },
	{ OP_CPUID, bind_cpuid }, { OP_RDTSC, bind_rdtsc }, { OP_RDTSCP, bind_rdtscp }, { OP_RDPMC, bind_rdpmc },
	{ OP_RDMSR, bind_rdmsr }, { OP_WRMSR, bind_wrmsr },
	{ OP_INVLPG, bind_invlpg }, { OP_INVPCID, bind_invpcid }, { OP_INVD, bind_wbinvd }, { OP_WBINVD, bind_wbinvd },
	{ OP_VMCALL, bind_vmcall },
	{ OP_MOV_TO_CR, bind_sys_mov_to_cr }, { OP_MOV_FROM_CR, bind_sys_mov_from_cr },
	{ OP_MOV_TO_DR, bind_sys_mov_to_dr }, { OP_MOV_FROM_DR, bind_sys_mov_from_dr },
	{ OP_LMSW, bind_sys_lmsw }, { OP_SMSW, bind_sys_smsw }, { OP_CLTS, bind_sys_clts },
	{ OP_INVALID, NULL },
};
