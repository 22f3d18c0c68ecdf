/* exc_gate.c - events through the IDT: 16- and 32-bit gates of protected mode, also out of
 * virtual-8086 mode, and 64-bit gates (SDM 3A 6.12, 6.14, 21.3). */
#include "engine/soft/sys.h"

/* Reads the vector's gate and checks type, privilege and presence. */
static void read_gate(struct cpu *c, int vector, unsigned size, enum event_kind kind, struct desc *g)
{
	uint32_t off = (uint32_t)vector * size, ext = kind != EV_SOFT, attr;
	unsigned type;
	bool ok;

	if (off + size - 1 > c->idt.limit)
		cpu_raise(c, NULL, EXC_GP, IDT_ERR(vector, ext));
	g->lin = (c->idt.base + off) & (size == 16 ? ~0ull : 0xffffffff);
	g->lo = mmu_sys_ld(c, NULL, g->lin, 8);
	g->hi = size == 16 ? mmu_sys_ld(c, NULL, g->lin + 8, 8) : 0;
	attr = desc_attr(g->lo);
	type = attr & (SEG_S | SEG_TYPE);
	ok = type == SYS_INT32 || type == SYS_TRAP32 ||
	     (size == 8 && (type == SYS_TASK_GATE || type == SYS_INT16 || type == SYS_TRAP16));
	if (!ok || (kind == EV_SOFT && attr_dpl(attr) < c->cpl))
		cpu_raise(c, NULL, EXC_GP, IDT_ERR(vector, ext));
	if (!(attr & SEG_P))
		cpu_raise(c, NULL, EXC_NP, IDT_ERR(vector, ext));
}

/* The handler's code segment; *cpl becomes the privilege it runs at. */
static struct x86_seg handler_cs(struct cpu *c, uint16_t sel, uint32_t ext, unsigned *cpl)
{
	struct desc d;
	struct x86_seg cs;
	uint32_t attr;

	if (SEL_NULL(sel))
		cpu_raise(c, NULL, EXC_GP, ext);
	if (!desc_read(c, NULL, sel, &d))
		cpu_raise(c, NULL, EXC_GP, SEL_ERR(sel) | ext);
	attr = desc_attr(d.lo);
	if (!attr_code(attr) || attr_dpl(attr) > c->cpl)
		cpu_raise(c, NULL, EXC_GP, SEL_ERR(sel) | ext);
	if (long_mode(c) && (!(attr & SEG_L) || (attr & SEG_DB)))
		cpu_raise(c, NULL, EXC_GP, SEL_ERR(sel) | ext);
	*cpl = attr_conforming(attr) ? c->cpl : attr_dpl(attr);
	if (vm86_mode(c) && *cpl != 0)
		cpu_raise(c, NULL, EXC_GP, SEL_ERR(sel) | ext);
	if (!(attr & SEG_P))
		cpu_raise(c, NULL, EXC_NP, SEL_ERR(sel) | ext);
	cs = desc_load(c, NULL, (uint16_t)((sel & ~3u) | *cpl), &d);
	return cs;
}

/* Flags as the handler finds them; a trap gate (odd type) leaves IF alone. */
static void handler_flags(struct cpu *c, uint32_t gate_type)
{
	c->rflags &= ~(uint64_t)(FL_TF | FL_NT | FL_RF | FL_VM | (gate_type & 1 ? 0 : FL_IF));
}

void exc_deliver_protected(struct cpu *c, int vector, enum event_kind kind, bool has_error, uint32_t error, uint64_t rip)
{
	uint32_t ext = kind != EV_SOFT, attr;
	bool vm86 = vm86_mode(c), inner;
	struct desc g;
	struct frame f;
	struct x86_seg cs;
	uint16_t sel;
	uint64_t target;
	unsigned cpl, size;

	read_gate(c, vector, 8, kind, &g);
	attr = desc_attr(g.lo);
	sel = (uint16_t)(g.lo >> 16);
	if ((attr & SEG_TYPE) == SYS_TASK_GATE) {
		task_switch(c, NULL, sel, TASK_EVENT, rip, ext);
		if (has_error) {
			frame_present(&f, c, NULL, c->tr.attr & 8 ? 4 : 2, ext);
			frame_push(&f, error);
			frame_commit(&f, false);
		}
		return;
	}
	size = attr & 8 ? 4 : 2;
	target = (g.lo & 0xffff) | (size == 4 ? g.lo >> 32 & 0xffff0000 : 0);
	cs = handler_cs(c, sel, ext, &cpl);
	inner = cpl < c->cpl;
	if (inner)
		frame_inner(&f, c, NULL, cpl, size, ext);
	else
		frame_present(&f, c, NULL, size, ext);
	if (vm86) {
		frame_push(&f, c->seg[GS].sel);
		frame_push(&f, c->seg[FS].sel);
		frame_push(&f, c->seg[DS].sel);
		frame_push(&f, c->seg[ES].sel);
	}
	if (inner) {
		frame_push(&f, c->seg[SS].sel);
		frame_push(&f, c->gpr[RSP]);
	}
	frame_push(&f, exc_rflags(c, vector, kind));
	frame_push(&f, c->seg[CS].sel);
	frame_push(&f, rip);
	if (has_error)
		frame_push(&f, error);
	cs_check_rip(c, NULL, &cs, target, ext);

	handler_flags(c, attr & SEG_TYPE);
	if (vm86) {
		static const uint8_t data[] = { ES, DS, FS, GS };
		for (unsigned n = 0; n < ARRAY_LEN(data); n++)
			c->seg[data[n]] = seg_null(0, 0);
	}
	cs_commit(c, &cs, cpl);
	frame_commit(&f, inner);
	c->rip = target;
}

void exc_deliver_long(struct cpu *c, int vector, enum event_kind kind, bool has_error, uint32_t error, uint64_t rip)
{
	uint32_t ext = kind != EV_SOFT;
	struct desc g;
	struct frame f;
	struct x86_seg cs;
	uint64_t target;
	unsigned cpl, ist;
	bool inner;

	read_gate(c, vector, 16, kind, &g);
	cs = handler_cs(c, (uint16_t)(g.lo >> 16), ext, &cpl);
	target = (g.lo & 0xffff) | (g.lo >> 32 & 0xffff0000) | g.hi << 32;
	ist = g.lo >> 32 & 7;
	inner = cpl < c->cpl;
	if (ist || inner) {
		/* IST1 stands at 24h of the TSS, RSP0 at 4 (SDM 3A 8.7) */
		frame_inner64(&f, c, NULL, cpl, ist ? 0x1c + 8 * ist : 4 + 8 * cpl, ext);
	} else {
		frame_present(&f, c, NULL, 8, ext);
		f.flat = true;
		f.mask = ~0ull;
	}
	f.sp &= ~15ull;
	frame_push(&f, c->seg[SS].sel);
	frame_push(&f, c->gpr[RSP]);
	frame_push(&f, exc_rflags(c, vector, kind));
	frame_push(&f, c->seg[CS].sel);
	frame_push(&f, rip);
	if (has_error)
		frame_push(&f, error);
	cs_check_rip(c, NULL, &cs, target, ext);

	handler_flags(c, desc_attr(g.lo) & SEG_TYPE);
	cs_commit(c, &cs, cpl);
	frame_commit(&f, inner);
	c->rip = target;
}
