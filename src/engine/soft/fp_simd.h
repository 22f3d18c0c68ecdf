/* fp_simd.h - what the handlers of the SSE families share: operands, checks, tables. */
#ifndef SOFT_FP_SIMD_H
#define SOFT_FP_SIMD_H

#include "engine/soft/fp.h"
#include "engine/soft/fp_host_x86.h"
#include "engine/soft/interp.h"

/* Handlers of one operation, by the kind of its second operand */
struct fp_forms {
	insn_fn rr, rm;
};
static inline insn_fn fp_pick(const struct fp_forms *f, const struct insn *i)
{
	return OPERAND_IS_MEM(i, 1) ? f->rm : f->rr;
}

/* fp_mmx.c: the handler of an MMX form, for operations that exist for XMM and MMX registers */
insn_fn fp_mmx_bind(const struct insn *);

/* Register operand n */
#define XREG(c, i, n) (*(v128 *)&(c)->fpu.v[(i)->o[n].reg])
#define VREG(c, i, n) ((c)->fpu.v[(i)->o[n].reg])
#define MREG(c, i, n) ((c)->fpu.r[(i)->o[n].reg & 7].mant)

_Noreturn void fp_sse_raise(struct cpu *, const struct insn *);
_Noreturn void fp_mmx_raise(struct cpu *, const struct insn *);
/* #GP(0) for a misaligned operand, or #SS(0) for one that is not canonical either */
_Noreturn void fp_misaligned(struct cpu *, const struct insn *, uint64_t lin);
v128 fp_ld16_slow(struct cpu *, const struct insn *, uint64_t lin);
void fp_st16_slow(struct cpu *, const struct insn *, uint64_t lin, v128 v); /* by value: NEXT stays a tail call */

/* #UD (CR0.EM, no CR4.OSFXSR) or #NM (CR0.TS); before the operands are looked at */
#define SSE_CHECK(c, i) \
	do { \
		if (unlikely((c)->fp_sse_trap)) \
			fp_sse_raise((c), (i)); \
	} while (0)

/* The usual case of a memory operand: flat 64-bit addressing, a TLB hit, aligned by @align (a power of two).
 * NULL otherwise: the handler goes on in its NAME_slow, in tail position, so that it needs no stack
 * frame for what hardly ever happens. Looks at no trap. */
static inline __attribute__((always_inline)) void *
fp_fast(const struct cpu *c, const struct insn *i, const struct tlb_entry *e, unsigned size, unsigned align)
{
	uint64_t lin = c->gpr[i->base] + (c->gpr[i->index] << i->scale) + (uint64_t)i->disp;
	if (unlikely(!(i->flags & IF_FLAT64) || i->asz != 8 || (lin & (align - 1))))
		return NULL;
	return tlb_hit(e, lin, size);
}
#define FP_SLOW_HANDLER(name) \
	static __attribute__((noinline, cold)) const struct insn *name(struct cpu *c, const struct insn *i)
/* The value there: bytes is a constant, 2, 4, 8 (zero-extended) or 16 */
static inline __attribute__((always_inline)) v128 fp_fast_get(const void *p, unsigned bytes)
{
	switch (bytes) {
	case 2: { uint16_t v; memcpy(&v, p, 2); return (v128){ v, 0 }; }
	case 4: { uint32_t v; memcpy(&v, p, 4); return (v128){ v, 0 }; }
	case 8: { uint64_t v; memcpy(&v, p, 8); return (v128){ v, 0 }; }
	default: return *(const v128u *)p;
	}
}

static inline __attribute__((always_inline)) v128 fp_ld16u(struct cpu *c, const struct insn *i)
{
	uint64_t lin = insn_lin(c, i, 16, false);
	const void *p = tlb_hit(c->tlb->r, lin, 16);
	if (unlikely(!p))
		return fp_ld16_slow(c, i, lin);
	return *(const v128u *)p;
}
static inline __attribute__((always_inline)) v128 fp_ld16a(struct cpu *c, const struct insn *i)
{
	uint64_t lin = insn_lin(c, i, 16, false);
	const void *p;
	if (unlikely(lin & 15))
		fp_misaligned(c, i, lin);
	p = tlb_hit(c->tlb->r, lin, 16);
	if (unlikely(!p))
		return fp_ld16_slow(c, i, lin);
	return *(const v128u *)p;
}
static inline __attribute__((always_inline)) void fp_st16(struct cpu *c, const struct insn *i, v128 v, bool aligned)
{
	uint64_t lin = insn_lin(c, i, 16, true);
	void *p;
	if (aligned && unlikely(lin & 15))
		fp_misaligned(c, i, lin);
	p = tlb_hit(c->tlb->w, lin, 16);
	if (likely(p != NULL))
		*(v128u *)p = v;
	else
		fp_st16_slow(c, i, lin, v);
}
/* Memory source of bytes 2, 4, 8 (zero-extended) or 16 (aligned); bytes is a constant */
static inline __attribute__((always_inline)) v128 fp_ld(struct cpu *c, const struct insn *i, unsigned bytes)
{
	if (bytes == 16)
		return fp_ld16a(c, i);
	return (v128){ mem_ld(c, i, insn_lin(c, i, bytes, false), bytes), 0 };
}

/* --- MMX --- */
#define MMX_CHECK(c, i) \
	do { \
		if (unlikely((c)->fp_x87_trap | ((c)->fpu.fsw & FSW_ES))) \
			fp_mmx_raise((c), (i)); \
	} while (0)
/* What every MMX instruction does to the x87 state (SDM 1 9.5.1); after its faults */
static inline void mmx_touch(struct cpu *c)
{
	c->fpu.fsw &= (uint16_t)~0x3800;
	c->fpu.ftw = 0xff;
}
static inline void mmx_write(struct cpu *c, unsigned reg, uint64_t v)
{
	c->fpu.r[reg & 7].mant = v;
	c->fpu.r[reg & 7].exp = 0xffff;
}

/* --- instructions that obey MXCSR --- */
enum fp_tiny { TINY_NO, TINY_PS, TINY_PD, TINY_SS, TINY_SD };
/* The three steps of the slow way (fp_sse_slow.c). Use: slow = FP_SLOW(c, i); load the operands; FP_BEGIN;
 * execute; FP_END, which raises #XM before the destination is written. op, d, s say what gave the
 * result; they matter only where a result may underflow (tiny). */
void fp_arith_begin(struct cpu *);
void fp_arith_end(struct cpu *, const struct insn *, v128 result, enum fp_tiny tiny, unsigned op, v128 d, v128 s);
/* What it consists of, for wider vectors. inexact (NULL: cannot over- or underflow) says whether PE is set
 * when an overflow or underflow is unmasked; it may execute host instructions. */
typedef bool fp_inexact_fn(uint32_t mxcsr, const void *arg);
void fp_arith_judge(struct cpu *, const struct insn *, bool any_tiny, fp_inexact_fn *inexact, const void *arg);
bool fp_any_tiny(v128 result, enum fp_tiny tiny);
bool fp_inexact(uint32_t mxcsr, unsigned op, v128 d, v128 s);
/* DPPS, DPPD with exceptions unmasked: the multiplication and each addition signal for themselves. @d and @s, up
 * to two lanes, have zeros where nothing is selected, which signal nothing. Raises, or returns. */
void fp_dp_signal(struct cpu *, const struct insn *, const v128 *d, const v128 *s, unsigned lanes, bool pd);
#define FP_SLOW(c, i) ({ \
	unsigned slow_ = (c)->fp_arith_slow; \
	if (unlikely(slow_)) \
		SSE_CHECK(c, i); \
	slow_; })
#define FP_BEGIN(c, slow) \
	do { \
		if (unlikely(slow)) \
			fp_arith_begin(c); \
	} while (0)
#define FP_END_OP(c, i, slow, result, tiny, op, d, s) \
	do { \
		if (unlikely(slow)) \
			fp_arith_end((c), (i), (result), (tiny), (op), (d), (s)); \
	} while (0)
#define FP_END(c, i, slow, result) FP_END_OP(c, i, slow, result, TINY_NO, OP_INVALID, (result), (result))

#endif
