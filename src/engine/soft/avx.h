/* avx.h - what the handlers of VEX instructions share: checks, operands, the host's instructions.
 *
 * A core, NAME_128 or NAME_256, executes one instruction on the host: from the guest's registers and the
 * last source at p (a register of the guest's, guest memory, or cpu.fp_tmp) to a register's 32 bytes at
 * out. VEX instructions clear what lies above their result (SDM 1 14.4), and so does the host's in its
 * YMM register: storing all of that does both. The cores use XMM0 to XMM2 by name and clear the upper
 * halves they made (VZEROUPPER), so that code around them is compiled for any x86-64 processor; CPUID
 * offers the guest only what fp_host_features() finds. */
#ifndef SOFT_AVX_H
#define SOFT_AVX_H

#include "engine/soft/fp_simd.h"

#define HANDLER(name) static const struct insn *name(struct cpu *c, const struct insn *i)
#define HOT static inline __attribute__((always_inline))

/* Memory of n bytes at p, as an operand of inline assembly */
struct avx_m1 { uint8_t b[1]; };
struct avx_m2 { uint8_t b[2]; };
struct avx_m4 { uint8_t b[4]; };
struct avx_m8 { uint8_t b[8]; };
struct avx_m16 { uint8_t b[16]; };
struct avx_m32 { uint8_t b[32]; };
#define AVX_IN(p, n) "m"(*(const struct avx_m##n *)(p))
#define AVX_OUT(p, n) "=m"(*(struct avx_m##n *)(p))

/* By vector length: names of registers, bytes, whether the upper halves have to be cleared */
#define AVX_R_128 "%%xmm"
#define AVX_R_256 "%%ymm"
#define AVX_END_128 "\n\tvmovdqu %%ymm0, %0"
#define AVX_END_256 "\n\tvmovdqu %%ymm0, %0\n\tvzeroupper"
#define AVX_BYTES_128 16
#define AVX_BYTES_256 32
#define AVX_FULL_128 16
#define AVX_FULL_256 32

/* #UD or #NM of VEX instructions; before the operands are looked at */
_Noreturn void avx_raise(struct cpu *, const struct insn *);
#define AVX_CHECK(c, i) \
	do { \
		if (unlikely((c)->fp_avx_trap)) \
			avx_raise((c), (i)); \
	} while (0)

/* Address of the memory operand's bytes, where the fast path has no answer: guest memory, or a copy in cpu.fp_tmp */
const void *avx_src_slow(struct cpu *, const struct insn *, unsigned bytes);
/* The usual case, as fp_fast: NULL without */
#define AVX_FAST(c, i, bytes) fp_fast((c), (i), (c)->tlb->r, (bytes), 1)
/* 32 or 16 bytes of a register to memory */
void avx_st_slow(struct cpu *, const struct insn *, const union vreg *, unsigned bytes, bool aligned);

/* A register written by a 128-bit VEX instruction in C */
static inline __attribute__((always_inline)) void avx_set128(union vreg *r, v128 v)
{
	*(v128 *)r = v;
	((v128 *)r)[1] = (v128){ 0, 0 };
}

/* Handlers of one operation by vector length and kind of the last source; scalars have both lengths the same */
struct avx_forms {
	insn_fn rr[2], rm[2];
};
static inline bool avx_has_mem(const struct insn *i)
{
	return i->flags & IF_MEM;
}
static inline insn_fn avx_pick(const struct avx_forms *f, const struct insn *i)
{
	return avx_has_mem(i) ? f->rm[i->vl == 32] : f->rr[i->vl == 32];
}

/* Handlers NAME_rrL and NAME_rmL of an instruction that does not look at MXCSR; src: number of the last source */
#define AVX_HANDLERS(name, L, src, bytes) \
	HANDLER(name##_rr##L) \
	{ \
		AVX_CHECK(c, i); \
		name##_##L(c, i, &VREG(c, i, src), &VREG(c, i, 0)); \
		NEXT(i); \
	} \
	FP_SLOW_HANDLER(name##_rm##L##_slow) \
	{ \
		const void *p; \
		AVX_CHECK(c, i); \
		p = avx_src_slow(c, i, bytes); \
		name##_##L(c, i, p, &VREG(c, i, 0)); \
		NEXT(i); \
	} \
	HANDLER(name##_rm##L) \
	{ \
		const void *p = AVX_FAST(c, i, bytes); \
		if (unlikely(!p || c->fp_avx_trap)) \
			return name##_rm##L##_slow(c, i); \
		name##_##L(c, i, p, &VREG(c, i, 0)); \
		NEXT(i); \
	}

/* --- instructions that obey MXCSR: as above, and the slow way of fp_simd.h while an exception is unmasked --- */
typedef void avx_core(struct cpu *, const struct insn *, const void *p, union vreg *out);
struct avx_fp {
	avx_core *core;
	uint8_t bytes; /* of the last source */
	uint8_t tiny;  /* enum fp_tiny */
	uint8_t halves;
	uint16_t op;   /* the SSE operation that does the same, or the FMA one, or OP_INVALID */
};
/* Executes it with exceptions as the guest has unmasked them: raises, or writes operand 0 */
void avx_fp_slow(struct cpu *, const struct insn *, const void *p, const struct avx_fp *);

#define AVX_FP_HANDLERS(name, L, src, nbytes, ntiny, nhalves, nop) \
	static const struct avx_fp name##_##L##_fp = { name##_##L, nbytes, ntiny, nhalves, nop }; \
	FP_SLOW_HANDLER(name##_rr##L##_slow) \
	{ \
		AVX_CHECK(c, i); \
		avx_fp_slow(c, i, &VREG(c, i, src), &name##_##L##_fp); \
		NEXT(i); \
	} \
	FP_SLOW_HANDLER(name##_rm##L##_slow) \
	{ \
		const void *p; \
		AVX_CHECK(c, i); \
		p = avx_src_slow(c, i, nbytes); \
		if (c->fp_avx_slow) \
			avx_fp_slow(c, i, p, &name##_##L##_fp); \
		else \
			name##_##L(c, i, p, &VREG(c, i, 0)); \
		NEXT(i); \
	} \
	HANDLER(name##_rr##L) \
	{ \
		if (unlikely(c->fp_avx_slow)) \
			return name##_rr##L##_slow(c, i); \
		name##_##L(c, i, &VREG(c, i, src), &VREG(c, i, 0)); \
		NEXT(i); \
	} \
	HANDLER(name##_rm##L) \
	{ \
		const void *p = AVX_FAST(c, i, nbytes); \
		if (unlikely(!p || c->fp_avx_slow)) \
			return name##_rm##L##_slow(c, i); \
		name##_##L(c, i, p, &VREG(c, i, 0)); \
		NEXT(i); \
	}

/* --- cores; mnem is the host's mnemonic, n the bytes of the last source --- */

/* out = op(operand 1, p) */
#define AVX_CORE3(name, mnem, L, n) \
	HOT void name##_##L(struct cpu *c, const struct insn *i, const void *p, union vreg *out) \
	{ \
		__asm__ volatile("vmovdqu %1, " AVX_R_##L "0\n\t" \
		                 mnem " %2, " AVX_R_##L "0, " AVX_R_##L "0" AVX_END_##L \
		                 : AVX_OUT(out, 32) \
		                 : AVX_IN_FULL(&VREG(c, i, 1), L), AVX_IN(p, n) \
		                 : "xmm0"); \
	}
#define AVX_IN_FULL(p, L) AVX_IN_FULL_##L(p)
#define AVX_IN_FULL_128(p) AVX_IN(p, 16)
#define AVX_IN_FULL_256(p) AVX_IN(p, 32)

/* out = op(p) */
#define AVX_CORE2(name, mnem, L, n) \
	HOT void name##_##L(struct cpu *c, const struct insn *i, const void *p, union vreg *out) \
	{ \
		__asm__ volatile(mnem " %1, " AVX_R_##L "0" AVX_END_##L \
		                 : AVX_OUT(out, 32) \
		                 : AVX_IN(p, n) \
		                 : "xmm0"); \
	}
/* out = op(p), the result half as wide as the source, whose length the mnemonic says */
#define AVX_CORE2N(name, mnem, L, n) \
	HOT void name##_##L(struct cpu *c, const struct insn *i, const void *p, union vreg *out) \
	{ \
		__asm__ volatile(mnem " %1, %%xmm0" AVX_END_##L \
		                 : AVX_OUT(out, 32) \
		                 : AVX_IN(p, n) \
		                 : "xmm0"); \
	}
/* out = op(operand 0, operand 1, p) */
#define AVX_CORE_FMA(name, mnem, L, n) \
	HOT void name##_##L(struct cpu *c, const struct insn *i, const void *p, union vreg *out) \
	{ \
		__asm__ volatile("vmovdqu %1, " AVX_R_##L "0\n\tvmovdqu %2, " AVX_R_##L "1\n\t" \
		                 mnem " %3, " AVX_R_##L "1, " AVX_R_##L "0" AVX_END_##L \
		                 : AVX_OUT(out, 32) \
		                 : AVX_IN_FULL(&VREG(c, i, 0), L), AVX_IN_FULL(&VREG(c, i, 1), L), AVX_IN(p, n) \
		                 : "xmm0", "xmm1"); \
	}
/* out = op(operand 1, p, operand 3) */
#define AVX_CORE4(name, mnem, L, n) \
	HOT void name##_##L(struct cpu *c, const struct insn *i, const void *p, union vreg *out) \
	{ \
		__asm__ volatile("vmovdqu %1, " AVX_R_##L "0\n\tvmovdqu %3, " AVX_R_##L "1\n\t" \
		                 mnem " " AVX_R_##L "1, %2, " AVX_R_##L "0, " AVX_R_##L "0" AVX_END_##L \
		                 : AVX_OUT(out, 32) \
		                 : AVX_IN_FULL(&VREG(c, i, 1), L), AVX_IN(p, n), AVX_IN_FULL(&VREG(c, i, 3), L) \
		                 : "xmm0", "xmm1"); \
	}

/* --- immediates: the host wants them as constants, so there are 256 stubs of 8 bytes for each operation ---
 * A stub computes xmm0 or ymm0 from the registers 0 and 1 and goes on at rcx. A jump, not a call: the red zone is
 * in use. */
#define AVX_STUBS(name, body) \
	extern const uint8_t avx_stub_##name[] __attribute__((visibility("hidden"))); \
	__asm__(".pushsection .text\n\t.balign 64\navx_stub_" #name ":\n" \
	        ".irp hi,0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f\n.irp lo,0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f\n\t.balign 8\n\t" \
	        body "\n\tjmp *%rcx\n.endr\n.endr\n\t.balign 8\n.popsection\n")
#define AVX_IMM "$0x\\hi\\lo"
#define AVX_STUB_AT(name, i) (avx_stub_##name + (uint8_t)(i)->imm * 8)

/* out = op(operand 1, p, imm) */
#define AVX_CORE3I(name, mnem, L, n, load, R) \
	AVX_STUBS(name##_##L, mnem " " AVX_IMM ", %" R "1, %" R "0, %" R "0"); \
	HOT void name##_##L(struct cpu *c, const struct insn *i, const void *p, union vreg *out) \
	{ \
		const uint8_t *stub = AVX_STUB_AT(name##_##L, i); \
		__asm__ volatile("vmovdqu %1, " AVX_R_##L "0\n\t" load "\n\t" \
		                 "lea 1f(%%rip), %%rcx\n\tjmp *%3\n1:" AVX_END_##L \
		                 : AVX_OUT(out, 32) \
		                 : AVX_IN_FULL(&VREG(c, i, 1), L), AVX_IN(p, n), "r"(stub) \
		                 : "xmm0", "xmm1", "rcx"); \
	}
/* out = op(p, imm) */
#define AVX_CORE2I(name, mnem, L, n, load, R, RO) \
	AVX_STUBS(name##_##L, mnem " " AVX_IMM ", %" R "1, %" RO "0"); \
	HOT void name##_##L(struct cpu *c, const struct insn *i, const void *p, union vreg *out) \
	{ \
		const uint8_t *stub = AVX_STUB_AT(name##_##L, i); \
		__asm__ volatile(load "\n\tlea 1f(%%rip), %%rcx\n\tjmp *%2\n1:" AVX_END_##L \
		                 : AVX_OUT(out, 32) \
		                 : AVX_IN(p, n), "r"(stub) \
		                 : "xmm0", "xmm1", "rcx"); \
	}

#endif
