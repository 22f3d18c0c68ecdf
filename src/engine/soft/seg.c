/* seg.c - descriptors and segment registers: reading tables, loading with all checks (SDM 3A
 * chapters 3 and 5), and the checks of accesses through segments that are not flat. */
#include "engine/soft/sys.h"

static bool desc_place(const struct cpu *c, uint16_t sel, unsigned size, uint64_t *lin)
{
	uint64_t base = c->gdt.base;
	uint32_t limit = c->gdt.limit, off = sel & 0xfff8u;

	if (sel & 4) {
		if (c->ldtr.attr & SEG_UNUSABLE)
			return false;
		base = c->ldtr.base;
		limit = c->ldtr.limit;
	}
	*lin = (base + off) & (long_mode(c) ? ~0ull : 0xffffffff);
	return off + size - 1 <= limit;
}

bool desc_read(struct cpu *c, const struct insn *i, uint16_t sel, struct desc *d)
{
	if (!desc_place(c, sel, 8, &d->lin))
		return false;
	d->lo = mmu_sys_ld(c, i, d->lin, 8);
	d->hi = 0;
	return true;
}

bool desc_read_system(struct cpu *c, const struct insn *i, uint16_t sel, struct desc *d)
{
	if (!long_mode(c))
		return desc_read(c, i, sel, d);
	if (!desc_place(c, sel, 16, &d->lin))
		return false;
	d->lo = mmu_sys_ld(c, i, d->lin, 8);
	d->hi = mmu_sys_ld(c, i, d->lin + 8, 8);
	return true;
}

struct x86_seg desc_load(struct cpu *c, const struct insn *i, uint16_t sel, const struct desc *d)
{
	uint64_t lo = d->lo;

	if ((lo >> 44 & 1) && !(lo >> 40 & 1)) { /* S, and not yet accessed */
		lo |= 1ull << 40;
		mmu_sys_st(c, i, d->lin + 5, 1, (uint8_t)(lo >> 40));
	}
	return (struct x86_seg){ .base = desc_base(lo), .limit = desc_limit(lo), .attr = desc_attr(lo), .sel = sel };
}

uint16_t far_ptr_ld(struct cpu *c, const struct insn *i, uint64_t *off)
{
	uint64_t mask = i->asz == 8 ? ~0ull : i->asz == 4 ? 0xffffffff : 0xffff, ea = insn_ea(c, i);
	uint64_t at = seg_lin(c, i, i->seg, ea, i->osz, false), at_sel = seg_lin(c, i, i->seg, (ea + i->osz) & mask, 2, false);

	*off = i->osz == 8 ? mem_ld(c, i, at, 8) : i->osz == 4 ? mem_ld(c, i, at, 4) : mem_ld(c, i, at, 2);
	return (uint16_t)mem_ld(c, i, at_sel, 2);
}

struct x86_seg seg_null(uint16_t sel, unsigned dpl)
{
	return (struct x86_seg){ .sel = sel, .attr = SEG_UNUSABLE | dpl << SEG_DPL_SHIFT };
}

struct x86_seg seg_real(uint16_t sel, bool code)
{
	return (struct x86_seg){ .base = (uint64_t)sel << 4, .limit = 0xffff, .sel = sel,
	                         .attr = (code ? 0xbu : 3u) | SEG_S | SEG_P | 3u << SEG_DPL_SHIFT };
}

/* A selector for SS, which has to fit the privilege level exactly */
static void check_stack(struct cpu *c, const struct insn *i, uint16_t sel, uint32_t attr, unsigned cpl, int bad,
                        uint32_t ext)
{
	if (SEL_RPL(sel) != cpl || !attr_writable(attr) || attr_dpl(attr) != cpl)
		cpu_raise(c, i, bad, SEL_ERR(sel) | ext);
	if (!(attr & SEG_P))
		cpu_raise(c, i, EXC_SS, SEL_ERR(sel) | ext);
}

static void check_data(struct cpu *c, const struct insn *i, uint16_t sel, uint32_t attr, unsigned cpl, int bad,
                       uint32_t ext)
{
	unsigned dpl = attr_dpl(attr);

	if (!(attr & SEG_S) || (attr_code(attr) && !(attr & 2)))
		cpu_raise(c, i, bad, SEL_ERR(sel) | ext);
	if (!attr_conforming(attr) && (SEL_RPL(sel) > dpl || cpl > dpl))
		cpu_raise(c, i, bad, SEL_ERR(sel) | ext);
	if (!(attr & SEG_P))
		cpu_raise(c, i, EXC_NP, SEL_ERR(sel) | ext);
}

struct x86_seg seg_checked(struct cpu *c, const struct insn *i, unsigned seg, uint16_t sel, unsigned cpl, int bad,
                           uint32_t ext)
{
	struct desc d;

	if (SEL_NULL(sel)) {
		/* a null SS is for 64-bit code of the inner levels only */
		if (seg == SS && (c->code != CODE_64 || cpl == 3 || SEL_RPL(sel) != cpl))
			cpu_raise(c, i, bad, ext);
		return seg_null(sel, seg == SS ? cpl : 0);
	}
	if (!desc_read(c, i, sel, &d))
		cpu_raise(c, i, bad, SEL_ERR(sel) | ext);
	if (seg == SS)
		check_stack(c, i, sel, desc_attr(d.lo), cpl, bad, ext);
	else
		check_data(c, i, sel, desc_attr(d.lo), cpl, bad, ext);
	return desc_load(c, i, sel, &d);
}

void seg_load(struct cpu *c, const struct insn *i, unsigned seg, uint16_t sel)
{
	if (!protected_mode(c)) { /* limit and rights stay: "unreal mode" rests on it */
		c->seg[seg].sel = sel;
		c->seg[seg].base = (uint64_t)sel << 4;
		c->seg[seg].attr &= ~SEG_UNUSABLE;
	} else if (vm86_mode(c)) {
		c->seg[seg] = seg_real(sel, false);
	} else {
		c->seg[seg] = seg_checked(c, i, seg, sel, c->cpl, EXC_GP, 0);
	}
	seg_changed(c, seg);
}

struct x86_seg cs_checked(struct cpu *c, const struct insn *i, uint16_t sel, enum cs_rule rule)
{
	struct desc d;
	uint32_t attr;
	unsigned rpl = SEL_RPL(sel), dpl, cpl = rule == CS_RETURN ? rpl : c->cpl;

	if (SEL_NULL(sel))
		raise_gp(c, i, 0);
	if (!desc_read(c, i, sel, &d))
		raise_gp(c, i, SEL_ERR(sel));
	attr = desc_attr(d.lo);
	dpl = attr_dpl(attr);
	if (!attr_code(attr) || (rule == CS_RETURN && rpl < c->cpl))
		raise_gp(c, i, SEL_ERR(sel));
	if (attr_conforming(attr) ? dpl > cpl : dpl != cpl || (rule == CS_JUMP && rpl > cpl))
		raise_gp(c, i, SEL_ERR(sel));
	if (long_mode(c) && (attr & SEG_L) && (attr & SEG_DB))
		raise_gp(c, i, SEL_ERR(sel));
	if (!(attr & SEG_P))
		cpu_raise(c, i, EXC_NP, SEL_ERR(sel));
	return desc_load(c, i, (uint16_t)((sel & ~3u) | cpl), &d);
}

void cs_check_rip(struct cpu *c, const struct insn *i, const struct x86_seg *cs, uint64_t rip, uint32_t ext)
{
	if (seg_is_code64(c, cs) ? !is_canonical48(rip) : rip > cs->limit)
		cpu_raise(c, i, EXC_GP, ext);
}

void seg_check_slow(struct cpu *c, const struct insn *i, unsigned seg, uint64_t ea, unsigned size, bool write)
{
	const struct x86_seg *s = &c->seg[seg];
	uint64_t last = ea + size - 1;
	int vector = seg == SS ? EXC_SS : EXC_GP;
	bool inside;

	if (c->code == CODE_64)
		return;
	if (protected_mode(c) && !vm86_mode(c)) {
		if (s->attr & SEG_UNUSABLE)
			cpu_raise(c, i, vector, 0);
		/* rights: writable data; for reading, not execute-only code */
		if (write ? !attr_writable(s->attr) : attr_code(s->attr) && !(s->attr & 2))
			raise_gp(c, i, 0);
	}
	if (attr_data(s->attr) && (s->attr & 4)) /* expands down: what is above the limit */
		inside = ea > s->limit && last <= (s->attr & SEG_DB ? 0xffffffffu : 0xffffu);
	else
		inside = last <= s->limit;
	if (unlikely(!inside))
		cpu_raise(c, i, vector, 0);
}
