/* task.c - hardware task switches (SDM 3A 8.3) and the I/O permission bitmap in the TSS. */
#include "engine/soft/sys.h"

#define TSS_BUSY 2u

/* Where fields stand in the 32-bit and the 16-bit TSS (SDM 3A figures 8-2, 8-10) */
struct tss_layout {
	uint8_t size;   /* of a register field */
	uint8_t limit;  /* the least */
	uint8_t ip, flags, gpr, seg, ldt;
	uint8_t nseg;
	uint8_t segstep;
};
static const struct tss_layout LAYOUT32 = { 4, 0x67, 0x20, 0x24, 0x28, 0x48, 0x60, 6, 4 };
static const struct tss_layout LAYOUT16 = { 2, 0x2b, 0x0e, 0x10, 0x12, 0x22, 0x2a, 4, 2 };

static const struct tss_layout *layout_of(uint32_t attr) { return attr & 8 ? &LAYOUT32 : &LAYOUT16; }

/* What a task's TSS holds */
struct task {
	uint64_t gpr[8], rip, rflags, cr3;
	uint16_t sel[SEG_COUNT], ldt, link;
	bool trap;
};

static uint64_t tss_ld(struct cpu *c, const struct insn *i, uint64_t base, unsigned off, unsigned size)
{
	return mmu_sys_ld(c, i, (base + off) & 0xffffffff, size);
}
static void tss_st(struct cpu *c, const struct insn *i, uint64_t base, unsigned off, unsigned size, uint64_t v)
{
	mmu_sys_st(c, i, (base + off) & 0xffffffff, size, v);
}

static void task_read(struct cpu *c, const struct insn *i, uint64_t base, const struct tss_layout *l, struct task *t)
{
	*t = (struct task){ .link = (uint16_t)tss_ld(c, i, base, 0, 2) };
	for (unsigned n = 0; n < 8; n++)
		t->gpr[n] = tss_ld(c, i, base, l->gpr + n * l->size, l->size);
	for (unsigned n = 0; n < l->nseg; n++)
		t->sel[n] = (uint16_t)tss_ld(c, i, base, l->seg + n * l->segstep, 2);
	t->rip = tss_ld(c, i, base, l->ip, l->size);
	t->rflags = tss_ld(c, i, base, l->flags, l->size);
	t->ldt = (uint16_t)tss_ld(c, i, base, l->ldt, 2);
	if (l->size == 4) {
		t->cr3 = tss_ld(c, i, base, 0x1c, 4);
		t->trap = tss_ld(c, i, base, 0x64, 2) & 1;
	}
}

/* Saves the running task; rSP, the segments and flags as they are now */
static void task_write(struct cpu *c, const struct insn *i, uint64_t rip, uint64_t rflags)
{
	const struct tss_layout *l = layout_of(c->tr.attr);

	tss_st(c, i, c->tr.base, l->ip, l->size, rip);
	tss_st(c, i, c->tr.base, l->flags, l->size, rflags);
	for (unsigned n = 0; n < 8; n++)
		tss_st(c, i, c->tr.base, l->gpr + n * l->size, l->size, c->gpr[n]);
	for (unsigned n = 0; n < l->nseg; n++)
		tss_st(c, i, c->tr.base, l->seg + n * l->segstep, 2, c->seg[n].sel);
}

/* Sets or clears the busy bit of a TSS descriptor */
static void set_busy(struct cpu *c, const struct insn *i, uint16_t sel, bool busy)
{
	uint64_t lin = (c->gdt.base + (sel & 0xfff8u) + 5) & 0xffffffff, type = mmu_sys_ld(c, i, lin, 1);

	mmu_sys_st(c, i, lin, 1, busy ? type | TSS_BUSY : type & ~(uint64_t)TSS_BUSY);
}

static void load_ldt(struct cpu *c, uint16_t sel, uint32_t ext)
{
	struct desc d;
	uint32_t attr;

	c->ldtr = seg_null(sel, 0);
	if (SEL_NULL(sel))
		return;
	if ((sel & 4) || !desc_read(c, NULL, sel, &d))
		cpu_raise(c, NULL, EXC_TS, SEL_ERR(sel) | ext);
	attr = desc_attr(d.lo);
	if ((attr & (SEG_S | SEG_TYPE)) != SYS_LDT || !(attr & SEG_P))
		cpu_raise(c, NULL, EXC_TS, SEL_ERR(sel) | ext);
	c->ldtr = desc_load(c, NULL, sel, &d);
}

static void load_cs(struct cpu *c, uint16_t sel, uint32_t ext)
{
	struct desc d;
	struct x86_seg cs;
	uint32_t attr;
	unsigned rpl = SEL_RPL(sel);

	if (SEL_NULL(sel) || !desc_read(c, NULL, sel, &d))
		cpu_raise(c, NULL, EXC_TS, SEL_ERR(sel) | ext);
	attr = desc_attr(d.lo);
	if (!attr_code(attr) || (attr_conforming(attr) ? attr_dpl(attr) > rpl : attr_dpl(attr) != rpl))
		cpu_raise(c, NULL, EXC_TS, SEL_ERR(sel) | ext);
	if (!(attr & SEG_P))
		cpu_raise(c, NULL, EXC_NP, SEL_ERR(sel) | ext);
	cs = desc_load(c, NULL, sel, &d);
	cs_commit(c, &cs, rpl);
}

/* The new task's segments. Faults belong to the new task, whose selectors are in place already. */
static void load_segments(struct cpu *c, const struct task *t, uint32_t ext)
{
	static const uint8_t order[] = { SS, DS, ES, FS, GS };

	load_ldt(c, t->ldt, ext);
	if (vm86_mode(c)) {
		for (unsigned n = 0; n < SEG_COUNT; n++)
			c->seg[n] = seg_real(t->sel[n], n == CS);
		c->cpl = 3;
		cpu_mode_changed(c);
		return;
	}
	load_cs(c, t->sel[CS], ext);
	for (unsigned n = 0; n < ARRAY_LEN(order); n++) {
		unsigned seg = order[n];
		if (seg == SS && SEL_NULL(t->sel[SS]))
			cpu_raise(c, NULL, EXC_TS, ext);
		c->seg[seg] = seg_checked(c, NULL, seg, t->sel[seg], c->cpl, EXC_TS, ext);
		seg_changed(c, seg);
	}
}

void task_switch(struct cpu *c, const struct insn *i, uint16_t sel, enum task_reason why, uint64_t rip, uint32_t ext)
{
	uint16_t old_sel = c->tr.sel;
	uint64_t old_flags = rflags_get(c) & ~(uint64_t)(why == TASK_IRET ? FL_NT : 0);
	int bad = why == TASK_IRET ? EXC_TS : EXC_GP;
	const struct tss_layout *l;
	struct x86_seg tss;
	struct desc d;
	struct task t;
	uint32_t attr;

	if (SEL_NULL(sel) || (sel & 4) || !desc_read(c, i, sel, &d))
		cpu_raise(c, i, bad, SEL_ERR(sel) | ext);
	attr = desc_attr(d.lo);
	/* available, or busy where the switch goes back */
	if ((attr & (SEG_S | 5)) != 1 || !(attr & TSS_BUSY) == (why == TASK_IRET))
		cpu_raise(c, i, bad, SEL_ERR(sel) | ext);
	if (!(attr & SEG_P))
		cpu_raise(c, i, EXC_NP, SEL_ERR(sel) | ext);
	l = layout_of(attr);
	if (desc_limit(d.lo) < l->limit)
		cpu_raise(c, i, EXC_TS, SEL_ERR(sel) | ext);
	tss = desc_load(c, i, sel, &d);
	task_read(c, i, tss.base, l, &t);
	task_write(c, i, rip, old_flags);
	if (why == TASK_JMP || why == TASK_IRET)
		set_busy(c, i, old_sel, false);
	if (why == TASK_CALL || why == TASK_EVENT) {
		tss_st(c, i, tss.base, 0, 2, old_sel);
		t.rflags |= FL_NT;
	}
	if (why != TASK_IRET)
		set_busy(c, i, sel, true);

	/* from here on in the new task */
	tss.attr |= TSS_BUSY;
	c->tr = tss;
	c->cr0 |= CR0_TS;
	c->dr7 &= ~0x155ull; /* local breakpoint enables */
	c->rip = t.rip;
	for (unsigned n = 0; n < 8; n++)
		c->gpr[n] = l->size == 4 ? t.gpr[n] : (c->gpr[n] & 0xffff0000) | t.gpr[n];
	for (unsigned n = 0; n < SEG_COUNT; n++)
		c->seg[n] = seg_null(t.sel[n], 0);
	if (l->size == 4 && (c->cr0 & CR0_PG)) {
		uint64_t old = c->cr3;
		c->cr3 = t.cr3;
		if (c->cr4 & CR4_PAE)
			cr3_load_pdptes(c, NULL, t.cr3);
		mmu_cr3_written(c, old, false);
	}
	c->cpl = t.rflags & FL_VM && l->size == 4 ? 3 : (uint8_t)SEL_RPL(t.sel[CS]);
	rflags_set(c, l->size == 4 ? t.rflags : t.rflags & 0xffff);
	cpu_mode_changed(c);
	load_segments(c, &t, ext);
	if (c->rip > c->seg[CS].limit)
		cpu_raise(c, NULL, EXC_GP, ext);
	if (t.trap) {
		c->dr6 |= DR6_BT;
		exc_trap_db(c);
	}
}

bool task_io_allowed(struct cpu *c, const struct insn *i, uint16_t port, unsigned size)
{
	uint64_t mask = long_mode(c) ? ~0ull : 0xffffffff;
	uint32_t off, bits;

	/* only the TSS of 32-bit and long mode has a map */
	if ((c->tr.attr & SEG_UNUSABLE) || !(c->tr.attr & 8) || c->tr.limit < 0x67)
		return false;
	off = (uint32_t)mmu_sys_ld(c, i, (c->tr.base + 0x66) & mask, 2) + port / 8;
	if (off + 1 > c->tr.limit) /* two bytes are read always */
		return false;
	bits = (uint32_t)mmu_sys_ld(c, i, (c->tr.base + off) & mask, 2) >> (port & 7);
	return !(bits & ((1u << size) - 1));
}
