/* sys_seg.c - segment registers, descriptor-table registers and what asks about selectors. */
#include "engine/soft/sys.h"

/* Instructions that exist in protected mode only (not in virtual-8086 mode) */
static void need_protected(struct cpu *c, const struct insn *i)
{
	if (!protected_mode(c) || vm86_mode(c))
		raise_ud(c, i);
}

/* CR4.UMIP keeps user code from looking at system tables */
static void check_umip(struct cpu *c, const struct insn *i)
{
	if ((c->cr4 & CR4_UMIP) && c->cpl == 3)
		raise_gp(c, i, 0);
}

/* Stores a 16-bit value: two bytes in memory, zero-extended to the register's size */
static void store16(struct cpu *c, const struct insn *i, uint16_t v)
{
	if (i->o[0].kind == O_GPR)
		sys_gpr_st(c, i->o[0].reg, i->o[0].size, v);
	else
		mem_st(c, i, insn_lin(c, i, 2, true), 2, v);
}

/* --- MOV, PUSH, POP, LDS and its kin --- */

static const struct insn *mov_from_sreg(struct cpu *c, const struct insn *i)
{
	store16(c, i, c->seg[i->o[1].reg].sel);
	NEXT(i);
}

/* A load of SS holds events back for one instruction, by way of the run loop. */
static const struct insn *after_load(struct cpu *c, const struct insn *i, unsigned seg)
{
	if (seg != SS)
		NEXT(i);
	c->shadow = SHADOW_MOV_SS;
	END(c, i);
}

static const struct insn *mov_to_sreg(struct cpu *c, const struct insn *i)
{
	unsigned seg = i->o[0].reg;

	seg_load(c, i, seg, (uint16_t)sys_opnd_ld(c, i, 1, 2));
	return after_load(c, i, seg);
}

static const struct insn *push_sreg(struct cpu *c, const struct insn *i)
{
	stack_push(c, i, i->osz, c->seg[i->o[0].reg].sel);
	NEXT(i);
}

static const struct insn *pop_sreg(struct cpu *c, const struct insn *i)
{
	uint16_t sel = (uint16_t)stack_peek(c, i, i->osz, 0);
	uint64_t old = c->gpr[RSP], sp;
	unsigned seg = i->o[0].reg;

	/* rSP moves by the size of the stack that was popped from, and only if the load succeeds */
	stack_add_sp(c, i->osz);
	sp = c->gpr[RSP];
	c->gpr[RSP] = old;
	seg_load(c, i, seg, sel);
	c->gpr[RSP] = sp;
	return after_load(c, i, seg);
}

static const struct insn *load_far(struct cpu *c, const struct insn *i, unsigned seg)
{
	uint64_t off;
	uint16_t sel = far_ptr_ld(c, i, &off);

	seg_load(c, i, seg, sel);
	sys_gpr_st(c, i->o[0].reg, i->osz, off);
	NEXT(i);
}
static const struct insn *les(struct cpu *c, const struct insn *i) { return load_far(c, i, ES); }
static const struct insn *lds(struct cpu *c, const struct insn *i) { return load_far(c, i, DS); }
static const struct insn *lss(struct cpu *c, const struct insn *i) { return load_far(c, i, SS); }
static const struct insn *lfs(struct cpu *c, const struct insn *i) { return load_far(c, i, FS); }
static const struct insn *lgs(struct cpu *c, const struct insn *i) { return load_far(c, i, GS); }

/* --- GDTR, IDTR, LDTR, TR --- */

static const struct insn *load_table(struct cpu *c, const struct insn *i, struct x86_table *t)
{
	unsigned size = i->code == CODE_64 ? 8 : 4;
	uint64_t ea = insn_ea(c, i), mask = i->asz == 8 ? ~0ull : i->asz == 4 ? 0xffffffff : 0xffff, base;
	uint16_t limit;

	need_cpl0(c, i);
	limit = (uint16_t)mem_ld(c, i, seg_lin(c, i, i->seg, ea, 2, false), 2);
	ea = seg_lin(c, i, i->seg, (ea + 2) & mask, size, false);
	base = size == 8 ? mem_ld(c, i, ea, 8) : mem_ld(c, i, ea, 4);
	if (size == 4 && i->osz == 2)
		base &= 0xffffff;
	if (!is_canonical48(base))
		raise_gp(c, i, 0);
	*t = (struct x86_table){ .base = base, .limit = limit };
	NEXT(i);
}
static const struct insn *lgdt(struct cpu *c, const struct insn *i) { return load_table(c, i, &c->gdt); }
static const struct insn *lidt(struct cpu *c, const struct insn *i) { return load_table(c, i, &c->idt); }

static const struct insn *store_table(struct cpu *c, const struct insn *i, const struct x86_table *t)
{
	unsigned size = i->code == CODE_64 ? 8 : 4;
	uint64_t ea = insn_ea(c, i), mask = i->asz == 8 ? ~0ull : i->asz == 4 ? 0xffffffff : 0xffff, at, at_base;
	struct x86_table v = *t;

	check_umip(c, i);
	at = seg_lin(c, i, i->seg, ea, 2, true);
	at_base = seg_lin(c, i, i->seg, (ea + 2) & mask, size, true);
	mmu_probe_w(c, i, at, 2);
	mmu_probe_w(c, i, at_base, size);
	mem_st(c, i, at, 2, v.limit);
	if (size == 8)
		mem_st(c, i, at_base, 8, v.base);
	else
		mem_st(c, i, at_base, 4, v.base);
	NEXT(i);
}
static const struct insn *sgdt(struct cpu *c, const struct insn *i) { return store_table(c, i, &c->gdt); }
static const struct insn *sidt(struct cpu *c, const struct insn *i) { return store_table(c, i, &c->idt); }

/* Reads a system descriptor for LLDT and LTR */
static void system_desc(struct cpu *c, const struct insn *i, uint16_t sel, struct desc *d)
{
	if ((sel & 4) || !desc_read_system(c, i, sel, d))
		raise_gp(c, i, SEL_ERR(sel));
}

static struct x86_seg system_seg(struct cpu *c, const struct insn *i, uint16_t sel, const struct desc *d)
{
	struct x86_seg s = desc_load(c, i, sel, d);

	if (long_mode(c)) {
		s.base |= d->hi << 32;
		if (!is_canonical48(s.base))
			raise_gp(c, i, SEL_ERR(sel));
	}
	return s;
}

static const struct insn *lldt(struct cpu *c, const struct insn *i)
{
	struct desc d;
	uint16_t sel;

	need_protected(c, i);
	need_cpl0(c, i);
	sel = (uint16_t)sys_opnd_ld(c, i, 0, 2);
	if (SEL_NULL(sel)) {
		c->ldtr = seg_null(sel, 0);
		NEXT(i);
	}
	system_desc(c, i, sel, &d);
	if ((desc_attr(d.lo) & (SEG_S | SEG_TYPE)) != SYS_LDT)
		raise_gp(c, i, SEL_ERR(sel));
	if (!(desc_attr(d.lo) & SEG_P))
		cpu_raise(c, i, EXC_NP, SEL_ERR(sel));
	c->ldtr = system_seg(c, i, sel, &d);
	NEXT(i);
}

static const struct insn *ltr(struct cpu *c, const struct insn *i)
{
	struct desc d;
	struct x86_seg tr;
	uint16_t sel;
	unsigned type;

	need_protected(c, i);
	need_cpl0(c, i);
	sel = (uint16_t)sys_opnd_ld(c, i, 0, 2);
	if (SEL_NULL(sel))
		raise_gp(c, i, 0);
	system_desc(c, i, sel, &d);
	type = desc_attr(d.lo) & (SEG_S | SEG_TYPE);
	if (type != SYS_TSS32 && (type != SYS_TSS16 || long_mode(c)))
		raise_gp(c, i, SEL_ERR(sel));
	if (!(desc_attr(d.lo) & SEG_P))
		cpu_raise(c, i, EXC_NP, SEL_ERR(sel));
	tr = system_seg(c, i, sel, &d);
	tr.attr |= 2; /* busy */
	mmu_sys_st(c, i, d.lin + 5, 1, (uint8_t)tr.attr);
	c->tr = tr;
	NEXT(i);
}

static const struct insn *sldt(struct cpu *c, const struct insn *i)
{
	need_protected(c, i);
	check_umip(c, i);
	store16(c, i, c->ldtr.sel);
	NEXT(i);
}
static const struct insn *str(struct cpu *c, const struct insn *i)
{
	need_protected(c, i);
	check_umip(c, i);
	store16(c, i, c->tr.sel);
	NEXT(i);
}

/* --- VERR VERW LAR LSL ARPL --- */

static void put_zf(struct cpu *c, bool v)
{
	cc_flags(c, (cc_get(c) & ~(uint64_t)FL_ZF) | (v ? FL_ZF : 0));
}

/* The descriptor of a selector that code of this privilege may know of */
static bool visible(struct cpu *c, const struct insn *i, uint16_t sel, struct desc *d)
{
	uint32_t attr;

	if (SEL_NULL(sel) || !desc_read(c, i, sel, d))
		return false;
	attr = desc_attr(d->lo);
	return attr_conforming(attr) || (c->cpl <= attr_dpl(attr) && SEL_RPL(sel) <= attr_dpl(attr));
}

static const struct insn *verr(struct cpu *c, const struct insn *i)
{
	struct desc d;
	uint16_t sel;

	need_protected(c, i);
	sel = (uint16_t)sys_opnd_ld(c, i, 0, 2);
	put_zf(c, visible(c, i, sel, &d) && (desc_attr(d.lo) & SEG_S) &&
	          (attr_data(desc_attr(d.lo)) || (desc_attr(d.lo) & 2)));
	NEXT(i);
}
static const struct insn *verw(struct cpu *c, const struct insn *i)
{
	struct desc d;
	uint16_t sel;

	need_protected(c, i);
	sel = (uint16_t)sys_opnd_ld(c, i, 0, 2);
	put_zf(c, visible(c, i, sel, &d) && attr_writable(desc_attr(d.lo)));
	NEXT(i);
}

/* System types (as bits) that LAR and LSL know, outside and in long mode (SDM 2A) */
#define LAR_TYPES 0x1a3eu
#define LAR_TYPES64 0x1a04u
#define LSL_TYPES 0x0a0eu
#define LSL_TYPES64 0x0a04u

static bool known_type(const struct cpu *c, uint32_t attr, unsigned types, unsigned types64)
{
	return (attr & SEG_S) || ((long_mode(c) ? types64 : types) >> (attr & SEG_TYPE) & 1);
}

static const struct insn *lar(struct cpu *c, const struct insn *i)
{
	struct desc d;
	uint16_t sel;
	bool ok;

	need_protected(c, i);
	sel = (uint16_t)sys_opnd_ld(c, i, 1, 2);
	ok = visible(c, i, sel, &d) && known_type(c, desc_attr(d.lo), LAR_TYPES, LAR_TYPES64);
	if (ok)
		sys_gpr_st(c, i->o[0].reg, i->osz, d.lo >> 32 & 0xf0ff00);
	put_zf(c, ok);
	NEXT(i);
}
static const struct insn *lsl(struct cpu *c, const struct insn *i)
{
	struct desc d;
	uint16_t sel;
	bool ok;

	need_protected(c, i);
	sel = (uint16_t)sys_opnd_ld(c, i, 1, 2);
	ok = visible(c, i, sel, &d) && known_type(c, desc_attr(d.lo), LSL_TYPES, LSL_TYPES64);
	if (ok)
		sys_gpr_st(c, i->o[0].reg, i->osz, desc_limit(d.lo));
	put_zf(c, ok);
	NEXT(i);
}

static const struct insn *arpl(struct cpu *c, const struct insn *i)
{
	uint16_t src, dst;
	struct rmw m;
	bool less;

	need_protected(c, i);
	src = R16(c, i->o[1].reg);
	if (i->o[0].kind == O_GPR) {
		dst = R16(c, i->o[0].reg);
		less = SEL_RPL(dst) < SEL_RPL(src);
		if (less)
			R16(c, i->o[0].reg) = (uint16_t)((dst & ~3u) | SEL_RPL(src));
	} else {
		dst = (uint16_t)mem_rmw_ld(c, i, insn_lin(c, i, 2, true), 2, &m);
		less = SEL_RPL(dst) < SEL_RPL(src);
		if (less)
			mem_rmw_st(c, i, &m, 2, (uint16_t)((dst & ~3u) | SEL_RPL(src)));
	}
	put_zf(c, less);
	NEXT(i);
}

/* --- bases of FS and GS --- */

static const struct insn *swapgs(struct cpu *c, const struct insn *i)
{
	uint64_t v = c->seg[GS].base;

	need_cpl0(c, i);
	c->seg[GS].base = c->sbase[GS] = c->kernel_gs_base;
	c->kernel_gs_base = v;
	NEXT(i);
}

static const struct insn *rd_base(struct cpu *c, const struct insn *i, unsigned seg)
{
	if (!(c->cr4 & CR4_FSGSBASE))
		raise_ud(c, i);
	sys_gpr_st(c, i->o[0].reg, i->o[0].size, c->seg[seg].base);
	NEXT(i);
}
static const struct insn *wr_base(struct cpu *c, const struct insn *i, unsigned seg)
{
	uint64_t v = sys_opnd_ld(c, i, 0, i->o[0].size);

	if (!(c->cr4 & CR4_FSGSBASE))
		raise_ud(c, i);
	if (!is_canonical48(v))
		raise_gp(c, i, 0);
	c->seg[seg].base = c->sbase[seg] = v;
	NEXT(i);
}
static const struct insn *rdfsbase(struct cpu *c, const struct insn *i) { return rd_base(c, i, FS); }
static const struct insn *rdgsbase(struct cpu *c, const struct insn *i) { return rd_base(c, i, GS); }
static const struct insn *wrfsbase(struct cpu *c, const struct insn *i) { return wr_base(c, i, FS); }
static const struct insn *wrgsbase(struct cpu *c, const struct insn *i) { return wr_base(c, i, GS); }

SYS_BIND(mov_from_sreg)
static insn_fn bind_mov_to_sreg(const struct insn *i) { return i->o[0].reg == CS ? NULL : mov_to_sreg; }
SYS_BIND(push_sreg)
SYS_BIND(pop_sreg)
SYS_BIND(les)
SYS_BIND(lds)
SYS_BIND(lss)
SYS_BIND(lfs)
SYS_BIND(lgs)
SYS_BIND(lgdt)
SYS_BIND(lidt)
SYS_BIND(sgdt)
SYS_BIND(sidt)
SYS_BIND(lldt)
SYS_BIND(ltr)
SYS_BIND(sldt)
SYS_BIND(str)
SYS_BIND(verr)
SYS_BIND(verw)
SYS_BIND(lar)
SYS_BIND(lsl)
SYS_BIND(arpl)
SYS_BIND(swapgs)
SYS_BIND(rdfsbase)
SYS_BIND(rdgsbase)
SYS_BIND(wrfsbase)
SYS_BIND(wrgsbase)

const struct op_bind sys_seg_ops[] = {
	{ OP_MOV_FROM_SREG, bind_mov_from_sreg }, { OP_MOV_TO_SREG, bind_mov_to_sreg },
	{ OP_PUSH_SREG, bind_push_sreg }, { OP_POP_SREG, bind_pop_sreg },
	{ OP_LES, bind_les }, { OP_LDS, bind_lds }, { OP_LSS, bind_lss }, { OP_LFS, bind_lfs }, { OP_LGS, bind_lgs },
	{ OP_LGDT, bind_lgdt }, { OP_LIDT, bind_lidt }, { OP_SGDT, bind_sgdt }, { OP_SIDT, bind_sidt },
	{ OP_LLDT, bind_lldt }, { OP_LTR, bind_ltr }, { OP_SLDT, bind_sldt }, { OP_STR, bind_str },
	{ OP_VERR, bind_verr }, { OP_VERW, bind_verw }, { OP_LAR, bind_lar }, { OP_LSL, bind_lsl }, { OP_ARPL, bind_arpl },
	{ OP_SWAPGS, bind_swapgs }, { OP_RDFSBASE, bind_rdfsbase }, { OP_RDGSBASE, bind_rdgsbase },
	{ OP_WRFSBASE, bind_wrfsbase }, { OP_WRGSBASE, bind_wrgsbase },
	{ OP_INVALID, NULL },
};
