/* fp_x87.h - what the x87 handlers share: the stack, faults, exceptions. SDM 1 chapter 8. */
#ifndef SOFT_FP_X87_H
#define SOFT_FP_X87_H

#include "engine/soft/fp_host_x87.h"
#include "engine/soft/fp_image.h"
#include "engine/soft/interp.h"

#define FSW_SF 0x0040u
#define FSW_C0 0x0100u
#define FSW_C1 0x0200u
#define FSW_C2 0x0400u
#define FSW_C3 0x4000u
#define FSW_CC (FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3)
#define FSW_TOP 0x3800u
#define FSW_PRE 0x0007u /* invalid, denormal, divide by zero: found before the operation */

static const struct x87_reg x87_indefinite = { 0xc000000000000000u, 0xffff };

static inline unsigned st_phys(const struct fpu *f, unsigned n) { return ((f->fsw >> 11) + n) & 7; }
static inline struct x87_reg *st_reg(struct fpu *f, unsigned n) { return &f->r[st_phys(f, n)]; }
static inline bool st_full(const struct fpu *f, unsigned n) { return f->ftw >> st_phys(f, n) & 1; }
/* Writes ST(n) and marks it valid */
static inline void st_put(struct fpu *f, unsigned n, const struct x87_reg *v)
{
	unsigned p = st_phys(f, n);
	f->r[p].mant = v->mant;
	f->r[p].exp = v->exp;
	f->ftw |= (uint8_t)(1u << p);
}
static inline void st_free(struct fpu *f, unsigned n) { f->ftw &= (uint8_t)~(1u << st_phys(f, n)); }
static inline void st_rotate(struct fpu *f, unsigned by)
{
	f->fsw = (uint16_t)((f->fsw & ~FSW_TOP) | ((f->fsw + by * 0x800u) & FSW_TOP));
}
static inline void st_pop(struct fpu *f)
{
	st_free(f, 0);
	st_rotate(f, 1);
}
static inline void st_push(struct fpu *f, const struct x87_reg *v)
{
	st_rotate(f, 7);
	st_put(f, 0, v);
}

/* #NM by CR0, #MF for an exception of an earlier instruction. Before operands are looked at.
 * Without CR0.NE the processor would assert FERR# and wait for IGNNE#: here IGNNE# is asserted. */
_Noreturn void x87_raise(struct cpu *, const struct insn *);
static inline void x87_check(struct cpu *c, const struct insn *i)
{
	if (unlikely((c->cr0 & (CR0_EM | CR0_TS)) || ((c->fpu.fsw & FSW_ES) && (c->cr0 & CR0_NE))))
		x87_raise(c, i);
}
static inline void x87_check_nowait(struct cpu *c, const struct insn *i)
{
	if (unlikely(c->cr0 & (CR0_EM | CR0_TS)))
		cpu_raise(c, i, EXC_NM, 0);
}

/* FOP, FIP, FDP: every instruction but the control ones, once nothing can fault any more */
static inline void x87_note(struct cpu *c, const struct insn *i)
{
	struct fpu *f = &c->fpu;
	f->fop = (uint16_t)((i->cc & 7) << 8 | i->modrm);
	f->fip = insn_rip(c, i);
	f->fcs = c->seg[CS].sel;
	if (i->flags & IF_MEM) {
		f->fdp = insn_ea(c, i);
		f->fds = c->seg[i->seg].sel;
	}
}

static inline void x87_c1(struct fpu *f, unsigned c1)
{
	f->fsw = (uint16_t)((f->fsw & ~FSW_C1) | (c1 ? FSW_C1 : 0));
}

/* Stack overflow (c1 = 1) or underflow (0). True: masked, the caller delivers the indefinite. */
static inline bool x87_stack_fault(struct fpu *f, unsigned c1)
{
	f->fsw |= FSW_SF | 1;
	x87_c1(f, c1);
	fsw_update_es(f);
	return f->fcw & 1;
}

/* Takes the exceptions of status word sw, and its condition codes in cc_mask (C1 always). False: an
 * unmasked exception found before the operation left the destination and the stack as they were. */
static inline bool x87_done(struct fpu *f, uint16_t sw, unsigned cc_mask)
{
	unsigned unmasked = sw & ~f->fcw & 0x3f;
	cc_mask |= FSW_C1;
	f->fsw = (uint16_t)((f->fsw & ~cc_mask) | (sw & (cc_mask | 0x3f)));
	if (likely(!unmasked))
		return true;
	f->fsw |= FSW_ES | FSW_B;
	x87_host_reset();
	return !(unmasked & FSW_PRE);
}

#endif
