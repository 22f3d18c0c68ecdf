/* exc_frame.c - stack frames of events and gates: on the present stack or on the one that the
 * TSS holds for an inner privilege level. Nothing but memory changes until frame_commit. */
#include "engine/soft/sys.h"

void frame_present(struct frame *f, struct cpu *c, const struct insn *i, unsigned size, uint32_t error)
{
	*f = (struct frame){ .c = c, .i = i, .ss = c->seg[SS], .sp = c->gpr[RSP], .mask = c->sp_mask, .size = size,
	                     .cpl = c->cpl, .flat = c->code == CODE_64, .error = error };
}

void frame_inner(struct frame *f, struct cpu *c, const struct insn *i, unsigned dpl, unsigned size, uint32_t ext)
{
	bool tss32 = c->tr.attr & 8;
	uint32_t off = tss32 ? dpl * 8 + 4 : dpl * 4 + 2, words = tss32 ? 4 : 2;
	uint64_t sp;
	uint16_t sel;

	if ((c->tr.attr & SEG_UNUSABLE) || off + words + 1 > c->tr.limit)
		cpu_raise(c, i, EXC_TS, SEL_ERR(c->tr.sel) | ext);
	sp = mmu_sys_ld(c, i, (c->tr.base + off) & 0xffffffff, words);
	sel = (uint16_t)mmu_sys_ld(c, i, (c->tr.base + off + words) & 0xffffffff, 2);
	if (SEL_NULL(sel))
		cpu_raise(c, i, EXC_TS, ext);
	*f = (struct frame){ .c = c, .i = i, .sp = sp, .size = size, .cpl = dpl };
	f->ss = seg_checked(c, i, SS, sel, dpl, EXC_TS, ext);
	f->mask = f->ss.attr & SEG_DB ? 0xffffffff : 0xffff;
	f->error = SEL_ERR(sel) | ext;
}

void frame_inner64(struct frame *f, struct cpu *c, const struct insn *i, unsigned dpl, unsigned off, uint32_t ext)
{
	if ((c->tr.attr & SEG_UNUSABLE) || off + 7 > c->tr.limit)
		cpu_raise(c, i, EXC_TS, SEL_ERR(c->tr.sel) | ext);
	*f = (struct frame){ .c = c, .i = i, .ss = seg_null((uint16_t)dpl, dpl), .mask = ~0ull, .size = 8, .cpl = dpl,
	                     .flat = true, .error = ext };
	f->sp = mmu_sys_ld(c, i, c->tr.base + off, 8);
}

/* Whether [off, off+size) lies in the stack segment */
static bool fits(const struct frame *f, uint64_t off)
{
	const struct x86_seg *s = &f->ss;
	uint64_t last = off + f->size - 1;

	if (f->flat)
		return is_canonical48(off) && is_canonical48(last);
	if ((s->attr & SEG_UNUSABLE) && protected_mode(f->c))
		return false;
	if (attr_data(s->attr) && (s->attr & 4))
		return off > s->limit && last <= (s->attr & SEG_DB ? 0xffffffffu : 0xffffu);
	return last <= s->limit;
}

void frame_push(struct frame *f, uint64_t v)
{
	struct cpu *c = f->c;
	uint64_t off = (f->sp - f->size) & f->mask, lin;

	if (unlikely(!fits(f, off)))
		cpu_raise(c, f->i, EXC_SS, f->error);
	lin = f->flat ? off : (f->ss.base + off) & 0xffffffff;
	if (f->cpl != 3)
		mmu_sys_st(c, f->i, lin, f->size, v);
	else
		mmu_st_slow(c, f->i, lin, f->size, v);
	f->sp = (f->sp & ~f->mask) | off;
}

void frame_commit(const struct frame *f, bool new_ss)
{
	struct cpu *c = f->c;

	if (new_ss) {
		c->seg[SS] = f->ss;
		seg_changed(c, SS);
	}
	if (f->mask == 0xffff)
		c->gpr[RSP] = (c->gpr[RSP] & ~0xffffull) | (uint16_t)f->sp;
	else
		c->gpr[RSP] = f->flat ? f->sp : (uint32_t)f->sp;
}
