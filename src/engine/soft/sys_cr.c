/* sys_cr.c - control and debug registers: which values are legal, and what a change sets off
 * (SDM 3A 2.5, 4.1, 10.8.5; SDM 3B 17.2). */
#include "engine/soft/cpuid.h"
#include "engine/soft/soft.h"
#include "engine/soft/sys.h"

#define CR0_DEFINED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
/* What translations depend on */
#define CR0_PAGING (CR0_PG | CR0_WP | CR0_PE)
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define CR3_NOFLUSH (1ull << 63)

/* PDPTEs: bits 2:1, 8:5 and those above the physical address are reserved (SDM 3A 4.4.1) */
#define PDPTE_RSVD (0x1e6ull | ~((1ull << CPUID_PHYS_BITS) - 1))

bool cr3_peek_pdptes(struct cpu *c, uint64_t cr3, uint64_t e[4])
{
	uint64_t v[4] = { 0 };
	const uint8_t *p = soft_phys(c->vm, cr3 & 0xffffffe0, 32);

	for (unsigned n = 0; n < 4 && p; n++) {
		v[n] = le64_load(p + 8 * n);
		if ((v[n] & 1) && (v[n] & PDPTE_RSVD))
			return false;
	}
	memcpy(e, v, sizeof(v));
	return true;
}

void cr3_load_pdptes(struct cpu *c, const struct insn *i, uint64_t cr3)
{
	if (!cr3_peek_pdptes(c, cr3, c->pdpte))
		raise_gp(c, i, 0);
}

/* 32-bit PAE paging with these control registers? */
static bool pae_paging(const struct cpu *c, uint64_t cr0, uint64_t cr4)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(c->efer & EFER_LME);
}

static void set_cr0(struct cpu *c, const struct insn *i, uint64_t v)
{
	uint64_t old = c->cr0, changed;

	if (v >> 32)
		raise_gp(c, i, 0);
	v = (v & CR0_DEFINED) | CR0_ET;
	changed = old ^ v;
	if (((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
		raise_gp(c, i, 0);
	if (changed & v & CR0_PG) {
		/* on, into long mode: not from a 64-bit code segment or a 16-bit task */
		if ((c->efer & EFER_LME) && (!(c->cr4 & CR4_PAE) || (c->seg[CS].attr & SEG_L) ||
		    (!(c->tr.attr & SEG_UNUSABLE) && !(c->tr.attr & 8))))
			raise_gp(c, i, 0);
	} else if (changed & CR0_PG) {
		if (c->code == CODE_64 || (c->cr4 & CR4_PCIDE))
			raise_gp(c, i, 0);
	}
	if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && pae_paging(c, v, c->cr4))
		cr3_load_pdptes(c, i, c->cr3);

	c->cr0 = v;
	if (changed & CR0_PG) {
		if ((v & CR0_PG) && (c->efer & EFER_LME))
			c->efer |= EFER_LMA;
		else
			c->efer &= ~(uint64_t)EFER_LMA;
	}
	if (changed & CR0_PAGING)
		mmu_flush_all(c);
	cpu_mode_changed(c);
}

static void set_cr3(struct cpu *c, const struct insn *i, uint64_t v)
{
	uint64_t old = c->cr3;
	bool noflush = false;

	if (long_mode(c)) {
		if (c->cr4 & CR4_PCIDE) {
			noflush = v & CR3_NOFLUSH;
			v &= ~CR3_NOFLUSH;
		}
		if (v >> CPUID_PHYS_BITS)
			raise_gp(c, i, 0);
	} else if (pae_paging(c, c->cr0, c->cr4)) {
		cr3_load_pdptes(c, i, v);
	}
	c->cr3 = v;
	mmu_cr3_written(c, old, noflush);
}

static void set_cr4(struct cpu *c, const struct insn *i, uint64_t v)
{
	uint64_t changed = c->cr4 ^ v;

	if (v & ~cpuid_cr4_mask(c))
		raise_gp(c, i, 0);
	if (long_mode(c) && !(v & CR4_PAE))
		raise_gp(c, i, 0);
	if ((changed & v & CR4_PCIDE) && (!long_mode(c) || (c->cr3 & 0xfff)))
		raise_gp(c, i, 0);
	if ((changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP)) && pae_paging(c, c->cr0, v))
		cr3_load_pdptes(c, i, c->cr3);
	c->cr4 = v;
	if (changed & CR4_PAGING)
		mmu_flush_all(c);
	cpu_mode_changed(c);
}

const struct insn *sys_mov_to_cr(struct cpu *c, const struct insn *i)
{
	uint64_t v = i->code == CODE_64 ? R64(c, i->o[1].reg) : R32(c, i->o[1].reg);
	unsigned n = i->o[0].reg;

	if (n > 4 ? n != 8 : n == 1)
		raise_ud(c, i);
	need_cpl0(c, i);
	switch (n) {
	case 0:
		set_cr0(c, i, v);
		break;
	case 2:
		c->cr2 = v;
		break;
	case 3:
		set_cr3(c, i, v);
		break;
	case 4:
		set_cr4(c, i, v);
		break;
	default:
		if (v > 15)
			raise_gp(c, i, 0);
		c->host->cr8_write(c->host->ctx, c->id, v);
		END(c, i); /* a lower priority may let an interrupt in */
	}
	NEXT(i);
}

const struct insn *sys_mov_from_cr(struct cpu *c, const struct insn *i)
{
	unsigned n = i->o[1].reg;
	uint64_t v;

	if (n > 4 ? n != 8 : n == 1)
		raise_ud(c, i);
	need_cpl0(c, i);
	switch (n) {
	case 0: v = c->cr0; break;
	case 2: v = c->cr2; break;
	case 3: v = c->cr3; break;
	case 4: v = c->cr4; break;
	default: v = c->host->cr8_read(c->host->ctx, c->id); break;
	}
	sys_gpr_st(c, i->o[0].reg, i->code == CODE_64 ? 8 : 4, v);
	NEXT(i);
}

/* LMSW can set PE, but not clear it (SDM 2A) */
const struct insn *sys_lmsw(struct cpu *c, const struct insn *i)
{
	uint64_t v;

	need_cpl0(c, i);
	v = sys_opnd_ld(c, i, 0, 2);
	set_cr0(c, i, (c->cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) | (v & (CR0_PE | CR0_MP | CR0_EM | CR0_TS)));
	NEXT(i);
}

const struct insn *sys_smsw(struct cpu *c, const struct insn *i)
{
	if ((c->cr4 & CR4_UMIP) && c->cpl == 3)
		raise_gp(c, i, 0);
	if (i->o[0].kind == O_GPR)
		sys_gpr_st(c, i->o[0].reg, i->o[0].size, c->cr0);
	else
		mem_st(c, i, insn_lin(c, i, 2, true), 2, c->cr0);
	NEXT(i);
}

const struct insn *sys_clts(struct cpu *c, const struct insn *i)
{
	need_cpl0(c, i);
	c->cr0 &= ~(uint64_t)CR0_TS;
	cpu_mode_changed(c);
	NEXT(i);
}

/* --- debug registers --- */

/* Number of the register meant, DR4 and DR5 being other names of DR6 and DR7 unless CR4.DE is set */
static unsigned debug_register(struct cpu *c, const struct insn *i, unsigned n)
{
	if (n > 7 || ((n == 4 || n == 5) && (c->cr4 & CR4_DE)))
		raise_ud(c, i);
	need_cpl0(c, i);
	if (c->dr7 & DR7_GD) {
		c->dr6 |= DR6_BD;
		cpu_raise(c, i, EXC_DB, 0);
	}
	return n == 4 || n == 5 ? n + 2 : n;
}

const struct insn *sys_mov_to_dr(struct cpu *c, const struct insn *i)
{
	uint64_t v = i->code == CODE_64 ? R64(c, i->o[1].reg) : R32(c, i->o[1].reg);
	unsigned n = debug_register(c, i, i->o[0].reg);

	if (n < 4) {
		c->dr[n] = v;
	} else {
		if (v >> 32)
			raise_gp(c, i, 0);
		if (n == 6)
			c->dr6 = (v & 0xe00f) | DR6_FIXED;
		else
			c->dr7 = (v & 0xffff23ff) | DR7_FIXED;
	}
	cpu_mode_changed(c);
	NEXT(i);
}

const struct insn *sys_mov_from_dr(struct cpu *c, const struct insn *i)
{
	unsigned n = debug_register(c, i, i->o[1].reg);

	sys_gpr_st(c, i->o[0].reg, i->code == CODE_64 ? 8 : 4, n < 4 ? c->dr[n] : n == 6 ? c->dr6 : c->dr7);
	NEXT(i);
}
