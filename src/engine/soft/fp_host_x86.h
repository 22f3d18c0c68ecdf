/* fp_host_x86.h - SIMD primitives on an x86-64 host: one host instruction per guest operation.
 *
 * Inline assembly, not C arithmetic: operand order decides which NaN survives, and nothing may
 * be reordered against MXCSR (hence volatile for what obeys it). No target attributes are
 * needed: the assembler knows every instruction, and CPUID offers the guest only what
 * fp_host_features() finds. A port to another host gives the same functions. */
#ifndef SOFT_FP_HOST_X86_H
#define SOFT_FP_HOST_X86_H

#include <stdint.h>

typedef uint64_t v128 __attribute__((vector_size(16)));
typedef uint64_t v128u __attribute__((vector_size(16), aligned(1), may_alias)); /* in guest memory */
typedef uint32_t v128d __attribute__((vector_size(16)));
typedef uint16_t v128w __attribute__((vector_size(16)));
typedef uint8_t v128b __attribute__((vector_size(16)));

static inline void host_mxcsr_set(uint32_t v) { __asm__ volatile("ldmxcsr %0" : : "m"(v)); }
static inline uint32_t host_mxcsr_get(void)
{
	uint32_t v;
	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

/* simd_NAME(d, s) for every row of fp_simd.def, and mmx_NAME(d, s) for those with an MMX form */
#define SIMD2(qual, name, mnem) \
	static inline v128 simd_##name(v128 d, v128 s) \
	{ \
		__asm__ qual(mnem " %1, %0" : "+x"(d) : "x"(s)); \
		return d; \
	}
#define MMX_ASM(body, d, s) \
	__asm__ volatile("movq %1, %%mm1\n\tmovq %0, %%mm0\n\t" body "\n\tmovq %%mm0, %0\n\temms" \
	                 : "+r"(d) : "r"(s) : "mm0", "mm1")
#define XM(name, mnem, xbytes, mbytes) \
	SIMD2(, name, mnem) \
	static inline uint64_t mmx_##name(uint64_t d, uint64_t s) \
	{ \
		MMX_ASM(mnem " %%mm1, %%mm0", d, s); \
		return d; \
	}
#define X(name, mnem, bytes) SIMD2(, name, mnem)
#define FP(name, mnem, bytes, result) SIMD2(volatile, name, mnem)
#include "engine/soft/fp_simd.def"
#undef XM
#undef X
#undef FP

/* The third source is XMM0 */
#define SIMD3_XMM0(name, mnem) \
	static inline v128 simd_##name(v128 d, v128 s, v128 xmm0) \
	{ \
		__asm__(mnem " %2, %1, %0" : "+x"(d) : "x"(s), "Yz"(xmm0)); \
		return d; \
	}
SIMD3_XMM0(PBLENDVB, "pblendvb")
SIMD3_XMM0(BLENDVPS, "blendvps")
SIMD3_XMM0(BLENDVPD, "blendvpd")
SIMD3_XMM0(SHA256RNDS2, "sha256rnds2")
#undef SIMD3_XMM0

/* --- immediates: the host wants them as constants --- */
#define IMM_CASE(qual, mnem, n, d, s) case n: __asm__ qual(mnem " $" #n ", %1, %0" : "+x"(d) : "x"(s)); break;
#define SIMD_IMM4(qual, name, mnem) \
	static inline v128 simd_##name(v128 d, v128 s, unsigned imm) \
	{ \
		switch (imm & 3) { \
		IMM_CASE(qual, mnem, 0, d, s) IMM_CASE(qual, mnem, 1, d, s) \
		IMM_CASE(qual, mnem, 2, d, s) IMM_CASE(qual, mnem, 3, d, s) \
		} \
		return d; \
	}
#define SIMD_IMM8(qual, name, mnem) \
	static inline v128 simd_##name(v128 d, v128 s, unsigned imm) \
	{ \
		switch (imm & 7) { \
		IMM_CASE(qual, mnem, 0, d, s) IMM_CASE(qual, mnem, 1, d, s) \
		IMM_CASE(qual, mnem, 2, d, s) IMM_CASE(qual, mnem, 3, d, s) \
		IMM_CASE(qual, mnem, 4, d, s) IMM_CASE(qual, mnem, 5, d, s) \
		IMM_CASE(qual, mnem, 6, d, s) IMM_CASE(qual, mnem, 7, d, s) \
		} \
		return d; \
	}
#define SIMD_IMM16(qual, name, mnem) \
	static inline v128 simd_##name(v128 d, v128 s, unsigned imm) \
	{ \
		switch (imm & 15) { \
		IMM_CASE(qual, mnem, 0, d, s) IMM_CASE(qual, mnem, 1, d, s) \
		IMM_CASE(qual, mnem, 2, d, s) IMM_CASE(qual, mnem, 3, d, s) \
		IMM_CASE(qual, mnem, 4, d, s) IMM_CASE(qual, mnem, 5, d, s) \
		IMM_CASE(qual, mnem, 6, d, s) IMM_CASE(qual, mnem, 7, d, s) \
		IMM_CASE(qual, mnem, 8, d, s) IMM_CASE(qual, mnem, 9, d, s) \
		IMM_CASE(qual, mnem, 10, d, s) IMM_CASE(qual, mnem, 11, d, s) \
		IMM_CASE(qual, mnem, 12, d, s) IMM_CASE(qual, mnem, 13, d, s) \
		IMM_CASE(qual, mnem, 14, d, s) IMM_CASE(qual, mnem, 15, d, s) \
		} \
		return d; \
	}
SIMD_IMM4(, SHA1RNDS4, "sha1rnds4")
SIMD_IMM8(, MPSADBW, "mpsadbw")
SIMD_IMM8(volatile, CMPPS, "cmpps")
SIMD_IMM8(volatile, CMPPD, "cmppd")
SIMD_IMM8(volatile, CMPSS, "cmpss")
SIMD_IMM8(volatile, CMPSD, "cmpsd")
SIMD_IMM16(volatile, ROUNDPS, "roundps")
SIMD_IMM16(volatile, ROUNDPD, "roundpd")
SIMD_IMM16(volatile, ROUNDSS, "roundss")
SIMD_IMM16(volatile, ROUNDSD, "roundsd")
#undef SIMD_IMM4
#undef SIMD_IMM8
#undef SIMD_IMM16

/* Dot products: the factor selection is imm[7:4]; every element of the result gets the sum */
#define DP_CASE(mnem, n, k, d, s) case n: __asm__ volatile(mnem " $" #k ", %1, %0" : "+x"(d) : "x"(s)); break;
static inline v128 simd_DPPS(v128 d, v128 s, unsigned sel)
{
	switch (sel & 15) {
	DP_CASE("dpps", 0, 0x0f, d, s) DP_CASE("dpps", 1, 0x1f, d, s) DP_CASE("dpps", 2, 0x2f, d, s)
	DP_CASE("dpps", 3, 0x3f, d, s) DP_CASE("dpps", 4, 0x4f, d, s) DP_CASE("dpps", 5, 0x5f, d, s)
	DP_CASE("dpps", 6, 0x6f, d, s) DP_CASE("dpps", 7, 0x7f, d, s) DP_CASE("dpps", 8, 0x8f, d, s)
	DP_CASE("dpps", 9, 0x9f, d, s) DP_CASE("dpps", 10, 0xaf, d, s) DP_CASE("dpps", 11, 0xbf, d, s)
	DP_CASE("dpps", 12, 0xcf, d, s) DP_CASE("dpps", 13, 0xdf, d, s) DP_CASE("dpps", 14, 0xef, d, s)
	DP_CASE("dpps", 15, 0xff, d, s)
	}
	return d;
}
static inline v128 simd_DPPD(v128 d, v128 s, unsigned sel)
{
	switch (sel & 3) {
	DP_CASE("dppd", 0, 0x03, d, s) DP_CASE("dppd", 1, 0x13, d, s) DP_CASE("dppd", 2, 0x23, d, s)
	DP_CASE("dppd", 3, 0x33, d, s)
	}
	return d;
}
#undef DP_CASE
#undef IMM_CASE

static inline v128 simd_PCLMUL_LL(v128 d, v128 s)
{
	__asm__("pclmulqdq $0, %1, %0" : "+x"(d) : "x"(s));
	return d;
}
static inline v128 simd_AESKEYGEN0(v128 s)
{
	v128 d;
	__asm__("aeskeygenassist $0, %1, %0" : "=x"(d) : "x"(s));
	return d;
}

/* --- between vector and general registers --- */
static inline uint32_t simd_PMOVMSKB(v128 s)
{
	uint32_t r;
	__asm__("pmovmskb %1, %0" : "=r"(r) : "x"(s));
	return r;
}
static inline uint32_t simd_MOVMSKPS(v128 s)
{
	uint32_t r;
	__asm__("movmskps %1, %0" : "=r"(r) : "x"(s));
	return r;
}
static inline uint32_t simd_MOVMSKPD(v128 s)
{
	uint32_t r;
	__asm__("movmskpd %1, %0" : "=r"(r) : "x"(s));
	return r;
}

/* v is already cut and sign-extended for the 32-bit forms, whose rounding is that of the 64-bit ones */
static inline v128 simd_CVTSI2SS(v128 d, int64_t v)
{
	__asm__ volatile("cvtsi2ssq %1, %0" : "+x"(d) : "r"(v));
	return d;
}
static inline v128 simd_CVTSI2SD(v128 d, int64_t v)
{
	__asm__ volatile("cvtsi2sdq %1, %0" : "+x"(d) : "r"(v));
	return d;
}
#define CVT_TO_INT(name, mnem) \
	static inline uint32_t simd_##name##_32(v128 s) \
	{ \
		uint32_t r; \
		__asm__ volatile(mnem " %1, %0" : "=r"(r) : "x"(s)); \
		return r; \
	} \
	static inline uint64_t simd_##name##_64(v128 s) \
	{ \
		uint64_t r; \
		__asm__ volatile(mnem " %1, %0" : "=r"(r) : "x"(s)); \
		return r; \
	}
CVT_TO_INT(CVTSS2SI, "cvtss2si")
CVT_TO_INT(CVTTSS2SI, "cvttss2si")
CVT_TO_INT(CVTSD2SI, "cvtsd2si")
CVT_TO_INT(CVTTSD2SI, "cvttsd2si")
#undef CVT_TO_INT

/* MMX side of the conversions */
#define CVT_FROM_MMX(name, mnem) \
	static inline v128 simd_##name(v128 d, uint64_t s) \
	{ \
		__asm__ volatile("movq %1, %%mm0\n\t" mnem " %%mm0, %0\n\temms" : "+x"(d) : "r"(s) : "mm0"); \
		return d; \
	}
CVT_FROM_MMX(CVTPI2PS, "cvtpi2ps")
CVT_FROM_MMX(CVTPI2PD, "cvtpi2pd")
#undef CVT_FROM_MMX
#define CVT_TO_MMX(name, mnem) \
	static inline uint64_t simd_##name(v128 s) \
	{ \
		uint64_t r; \
		__asm__ volatile(mnem " %1, %%mm0\n\tmovq %%mm0, %0\n\temms" : "=r"(r) : "x"(s) : "mm0"); \
		return r; \
	}
CVT_TO_MMX(CVTPS2PI, "cvtps2pi")
CVT_TO_MMX(CVTTPS2PI, "cvttps2pi")
CVT_TO_MMX(CVTPD2PI, "cvtpd2pi")
CVT_TO_MMX(CVTTPD2PI, "cvttpd2pi")
#undef CVT_TO_MMX

/* Comparisons that write RFLAGS: ZF, PF, CF as bits 6, 2, 0 */
#define COMPARE(name, mnem) \
	static inline uint32_t simd_##name(v128 a, v128 b) \
	{ \
		uint8_t z, p, cf; \
		__asm__ volatile(mnem " %4, %3" : "=@ccz"(z), "=@ccp"(p), "=@ccc"(cf) : "x"(a), "x"(b)); \
		return (uint32_t)(z << 6 | p << 2 | cf); \
	}
COMPARE(COMISS, "comiss")
COMPARE(COMISD, "comisd")
COMPARE(UCOMISS, "ucomiss")
COMPARE(UCOMISD, "ucomisd")
#undef COMPARE

#endif
