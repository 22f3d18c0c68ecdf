/* mode.c - what follows from CR0, CR4, EFER, RFLAGS, CPL and the segment registers: code and
 * stack size, segment bases and checks in effect, the TLB bank, stepping. */
#include "engine/soft/fp.h"
#include "engine/soft/sys.h"

/* Nonzero where an access through the segment could fail for another reason than paging. A writable
 * segment of 4 GiB needs no look; real mode knows limits, but no rights. */
static uint8_t check_needed(const struct cpu *c, const struct x86_seg *s)
{
	if (s->limit != 0xffffffff)
		return 1;
	if (!protected_mode(c))
		return 0;
	return (s->attr & SEG_UNUSABLE) || !attr_writable(s->attr) || (s->attr & 4); /* 4: expands down */
}

void seg_changed(struct cpu *c, unsigned seg)
{
	const struct x86_seg *s = &c->seg[seg];

	if (c->code == CODE_64) {
		c->sbase[seg] = seg >= FS ? s->base : 0;
		c->scheck[seg] = 0;
	} else {
		c->sbase[seg] = s->base;
		c->scheck[seg] = check_needed(c, s);
	}
	if (seg == SS)
		c->sp_mask = c->code == CODE_64 ? ~0ull : s->attr & SEG_DB ? 0xffffffff : 0xffff;
}

/* TF and breakpoints have the run loop go by single instructions. */
static void update_step(struct cpu *c)
{
	bool want = (c->rflags & FL_TF) || (c->dr7 & 0xff);
	bool have = atomic_load_explicit(&c->exitreq, memory_order_relaxed) & EXITREQ_STEP;

	if (want && !have)
		atomic_fetch_or_explicit(&c->exitreq, EXITREQ_STEP, memory_order_relaxed);
	else if (!want && have)
		atomic_fetch_and_explicit(&c->exitreq, ~EXITREQ_STEP, memory_order_relaxed);
}

void cpu_mode_changed(struct cpu *c)
{
	const struct x86_seg *cs = &c->seg[CS];

	c->code = seg_is_code64(c, cs) ? CODE_64 : cs->attr & SEG_DB ? CODE_32 : CODE_16;
	c->lin_mask = c->code == CODE_64 ? ~0ull : 0xffffffff;
	for (unsigned n = 0; n < SEG_COUNT; n++)
		seg_changed(c, n);
	update_step(c);
	fp_mode_changed(c);
	mmu_select_bank(c);
}

void cs_commit(struct cpu *c, const struct x86_seg *cs, unsigned cpl)
{
	c->seg[CS] = *cs;
	c->cpl = (uint8_t)cpl;
	cpu_mode_changed(c);
}

/* Flags that this processor has; bit 1 is always set, VIF and VIP stay clear without CR4.VME and PVI. */
#define RFLAGS_VALID (FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | FL_ID)
/* Flags that something outside the flags themselves depends on */
#define RFLAGS_MODE (FL_TF | FL_VM | FL_AC)

void rflags_set(struct cpu *c, uint64_t v)
{
	uint64_t old = c->rflags;

	cc_flags(c, v);
	c->rflags = (v & RFLAGS_VALID & ~(uint64_t)FL_ARITH) | 2;
	if ((old ^ c->rflags) & RFLAGS_MODE)
		cpu_mode_changed(c);
}

uint64_t rflags_mask(const struct cpu *c, unsigned size)
{
	uint64_t m = FL_ARITH | FL_TF | FL_DF | FL_NT;

	if (size > 2)
		m |= FL_AC | FL_ID;
	if (c->cpl <= ((c->rflags & FL_IOPL) >> 12))
		m |= FL_IF;
	if (c->cpl == 0)
		m |= FL_IOPL;
	return m;
}
