/* fp_sse_arith.c - SSE floating-point instructions: those that obey and report to MXCSR. */
#include "engine/soft/fp_simd.h"

#define HANDLER(name) static const struct insn *name(struct cpu *c, const struct insn *i)
#define HOT static inline __attribute__((always_inline))

/* --- d = op(d, s): the rows of fp_simd.def --- */
#define X(...)
#define XM(...)
#define FP(name, mnem, bytes, tiny) \
	HOT void name##_do(struct cpu *c, const struct insn *i, v128 s, unsigned slow) \
	{ \
		v128 r; \
		FP_BEGIN(c, slow); \
		r = simd_##name(XREG(c, i, 0), s); \
		FP_END_OP(c, i, slow, r, tiny, OP_##name, XREG(c, i, 0), s); \
		XREG(c, i, 0) = r; \
	} \
	FP_SLOW_HANDLER(name##_rr_slow) \
	{ \
		SSE_CHECK(c, i); \
		name##_do(c, i, XREG(c, i, 1), c->fp_arith_slow); \
		NEXT(i); \
	} \
	FP_SLOW_HANDLER(name##_rm_slow) \
	{ \
		SSE_CHECK(c, i); \
		name##_do(c, i, fp_ld(c, i, bytes), c->fp_arith_slow); \
		NEXT(i); \
	} \
	HANDLER(name##_rr) \
	{ \
		if (unlikely(c->fp_arith_slow)) \
			return name##_rr_slow(c, i); \
		name##_do(c, i, XREG(c, i, 1), 0); \
		NEXT(i); \
	} \
	HANDLER(name##_rm) \
	{ \
		const void *p = fp_fast(c, i, c->tlb->r, bytes, bytes == 16 ? 16 : 1); \
		if (unlikely(!p || c->fp_arith_slow)) \
			return name##_rm_slow(c, i); \
		name##_do(c, i, fp_fast_get(p, bytes), 0); \
		NEXT(i); \
	}
#include "engine/soft/fp_simd.def"
#undef FP
static const struct fp_forms forms[OP_COUNT] = {
#define FP(name, ...) [OP_##name] = { name##_rr, name##_rm },
#include "engine/soft/fp_simd.def"
#undef FP
};
static insn_fn bind_fp(const struct insn *i) { return fp_pick(&forms[i->op], i); }

/* --- dot products --- */
/* Which elements get the sum is imm's low half; the others become +0 */
HOT v128 simd_dpps_imm(v128 d, v128 s, unsigned imm)
{
	const v128d bit = { 1, 2, 4, 8 };
	v128d mask = (v128d)(((v128d){ imm, imm, imm, imm } & bit) == bit);
	return simd_DPPS(d, s, imm >> 4) & (v128)mask;
}
HOT v128 simd_dppd_imm(v128 d, v128 s, unsigned imm)
{
	const v128 mask = { imm & 1 ? ~0ull : 0, imm & 2 ? ~0ull : 0 };
	return simd_DPPD(d, s, imm >> 4) & mask;
}
struct dp_step {
	unsigned op, lanes;
	const v128 *d, *s;
};
static bool dp_inexact(uint32_t mxcsr, const void *arg)
{
	const struct dp_step *t = arg;
	bool any = false;
	for (unsigned n = 0; n < t->lanes; n++)
		any |= fp_inexact(mxcsr, t->op, t->d[n], t->s[n]);
	return any;
}
void fp_dp_signal(struct cpu *c, const struct insn *i, const v128 *d, const v128 *s, unsigned lanes, bool pd)
{
	enum fp_tiny tiny = pd ? TINY_PD : TINY_PS;
	v128 from[2], r[2];
	for (unsigned step = 0; step < (pd ? 2 : 3); step++) {
		struct dp_step t = { step ? pd ? OP_HADDPD : OP_HADDPS : pd ? OP_MULPD : OP_MULPS, lanes, step ? from : d,
		                     step ? from : s };
		bool any_tiny = false;
		fp_arith_begin(c);
		for (unsigned n = 0; n < lanes; n++) {
			if (!step)
				r[n] = pd ? simd_MULPD(d[n], s[n]) : simd_MULPS(d[n], s[n]);
			else
				r[n] = pd ? simd_HADDPD(from[n], from[n]) : simd_HADDPS(from[n], from[n]);
			any_tiny |= fp_any_tiny(r[n], tiny);
		}
		fp_arith_judge(c, i, any_tiny, dp_inexact, &t);
		memcpy(from, r, lanes * sizeof(from[0]));
	}
}
static v128 dp(struct cpu *c, const struct insn *i, v128 s, bool pd, unsigned slow)
{
	v128 d = XREG(c, i, 0), r;
	unsigned imm = (uint8_t)i->imm;
	if (unlikely(slow)) {
		const v128d bit = { 16, 32, 64, 128 };
		v128 sel = pd ? (v128){ imm & 16 ? ~0ull : 0, imm & 32 ? ~0ull : 0 } :
		                (v128)(v128d)(((v128d){ imm, imm, imm, imm } & bit) == bit);
		v128 a = d & sel, b = s & sel;
		fp_dp_signal(c, i, &a, &b, 1, pd);
	}
	r = pd ? simd_dppd_imm(d, s, imm) : simd_dpps_imm(d, s, imm);
	if (unlikely(slow))
		fp_enter(c); /* its flags are in already */
	return r;
}
#define DP(name, pd) \
	HANDLER(name##_rr) \
	{ \
		unsigned slow = FP_SLOW(c, i); \
		XREG(c, i, 0) = dp(c, i, XREG(c, i, 1), pd, slow); \
		NEXT(i); \
	} \
	HANDLER(name##_rm) \
	{ \
		unsigned slow = FP_SLOW(c, i); \
		v128 s = fp_ld16a(c, i); \
		XREG(c, i, 0) = dp(c, i, s, pd, slow); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return OPERAND_IS_MEM(i, 1) ? name##_rm : name##_rr; }
DP(DPPS, false)
DP(DPPD, true)

/* --- comparisons into a mask, rounding --- */
#define FP_IMM(name, fn, bytes) \
	HANDLER(name##_rr) \
	{ \
		v128 r; \
		unsigned slow = FP_SLOW(c, i); \
		FP_BEGIN(c, slow); \
		r = fn(XREG(c, i, 0), XREG(c, i, 1), (uint8_t)i->imm); \
		FP_END(c, i, slow, r); \
		XREG(c, i, 0) = r; \
		NEXT(i); \
	} \
	HANDLER(name##_rm) \
	{ \
		v128 s, r; \
		unsigned slow = FP_SLOW(c, i); \
		s = fp_ld(c, i, bytes); \
		FP_BEGIN(c, slow); \
		r = fn(XREG(c, i, 0), s, (uint8_t)i->imm); \
		FP_END(c, i, slow, r); \
		XREG(c, i, 0) = r; \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return OPERAND_IS_MEM(i, 1) ? name##_rm : name##_rr; }
FP_IMM(CMPPS, simd_CMPPS, 16)
FP_IMM(CMPPD, simd_CMPPD, 16)
FP_IMM(CMPSS, simd_CMPSS, 4)
FP_IMM(CMPSD, simd_CMPSD, 8)
FP_IMM(ROUNDPS, simd_ROUNDPS, 16)
FP_IMM(ROUNDPD, simd_ROUNDPD, 16)
FP_IMM(ROUNDSS, simd_ROUNDSS, 4)
FP_IMM(ROUNDSD, simd_ROUNDSD, 8)

/* --- comparisons into RFLAGS --- */
#define COMPARE(name, bytes) \
	HOT const struct insn *name##_do(struct cpu *c, const struct insn *i, v128 s, unsigned slow) \
	{ \
		uint32_t f; \
		FP_BEGIN(c, slow); \
		f = simd_##name(XREG(c, i, 0), s); \
		FP_END(c, i, slow, s); \
		cc_flags(c, f); \
		NEXT(i); \
	} \
	HANDLER(name##_rr) \
	{ \
		unsigned slow = FP_SLOW(c, i); \
		return name##_do(c, i, XREG(c, i, 1), slow); \
	} \
	HANDLER(name##_rm) \
	{ \
		unsigned slow = FP_SLOW(c, i); \
		return name##_do(c, i, fp_ld(c, i, bytes), slow); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return OPERAND_IS_MEM(i, 1) ? name##_rm : name##_rr; }
COMPARE(COMISS, 4)
COMPARE(UCOMISS, 4)
COMPARE(COMISD, 8)
COMPARE(UCOMISD, 8)

/* --- integers to scalars --- */
typedef v128 from_int_fn(v128, int64_t);
HOT const struct insn *from_int(struct cpu *c, const struct insn *i, int64_t v, unsigned slow, from_int_fn *op)
{
	v128 r;
	FP_BEGIN(c, slow);
	r = op(XREG(c, i, 0), v);
	FP_END(c, i, slow, r);
	XREG(c, i, 0) = r;
	NEXT(i);
}
#define FROM_INT(name) \
	HANDLER(name##_r32) \
	{ \
		unsigned slow = FP_SLOW(c, i); \
		return from_int(c, i, (int32_t)R32(c, i->o[1].reg), slow, simd_##name); \
	} \
	HANDLER(name##_r64) \
	{ \
		unsigned slow = FP_SLOW(c, i); \
		return from_int(c, i, (int64_t)R64(c, i->o[1].reg), slow, simd_##name); \
	} \
	HANDLER(name##_m32) \
	{ \
		unsigned slow = FP_SLOW(c, i); \
		return from_int(c, i, (int32_t)mem_ld(c, i, insn_lin(c, i, 4, false), 4), slow, simd_##name); \
	} \
	HANDLER(name##_m64) \
	{ \
		unsigned slow = FP_SLOW(c, i); \
		return from_int(c, i, (int64_t)mem_ld(c, i, insn_lin(c, i, 8, false), 8), slow, simd_##name); \
	} \
	static insn_fn bind_##name(const struct insn *i) \
	{ \
		if (OPERAND_IS_MEM(i, 1)) \
			return i->o[1].size == 8 ? name##_m64 : name##_m32; \
		return i->o[1].size == 8 ? name##_r64 : name##_r32; \
	}
FROM_INT(CVTSI2SS)
FROM_INT(CVTSI2SD)

/* --- scalars to integers --- */
#define TO_INT_FORM(name, form, load, conv) \
	HANDLER(name##_##form) \
	{ \
		v128 s; \
		uint64_t r; \
		unsigned slow = FP_SLOW(c, i); \
		s = load; \
		FP_BEGIN(c, slow); \
		r = conv(s); \
		FP_END(c, i, slow, s); \
		R64(c, i->o[0].reg) = r; \
		NEXT(i); \
	}
#define TO_INT(name, bytes) \
	TO_INT_FORM(name, r32, XREG(c, i, 1), simd_##name##_32) \
	TO_INT_FORM(name, r64, XREG(c, i, 1), simd_##name##_64) \
	TO_INT_FORM(name, m32, fp_ld(c, i, bytes), simd_##name##_32) \
	TO_INT_FORM(name, m64, fp_ld(c, i, bytes), simd_##name##_64) \
	static insn_fn bind_##name(const struct insn *i) \
	{ \
		if (OPERAND_IS_MEM(i, 1)) \
			return i->o[0].size == 8 ? name##_m64 : name##_m32; \
		return i->o[0].size == 8 ? name##_r64 : name##_r32; \
	}
TO_INT(CVTSS2SI, 4)
TO_INT(CVTTSS2SI, 4)
TO_INT(CVTSD2SI, 8)
TO_INT(CVTTSD2SI, 8)

/* --- conversions with an MMX operand --- */
/* From memory they leave the x87 state alone. The transition comes before #XM. */
HOT const struct insn *from_mmx(struct cpu *c, const struct insn *i, v128 (*op)(v128, uint64_t))
{
	bool mem = OPERAND_IS_MEM(i, 1);
	uint64_t s;
	v128 r;
	unsigned slow = FP_SLOW(c, i);
	if (mem) {
		s = mem_ld(c, i, insn_lin(c, i, 8, false), 8);
	} else {
		MMX_CHECK(c, i);
		s = MREG(c, i, 1);
		mmx_touch(c);
	}
	FP_BEGIN(c, slow);
	r = op(XREG(c, i, 0), s);
	FP_END(c, i, slow, r);
	XREG(c, i, 0) = r;
	NEXT(i);
}
HANDLER(cvtpi2ps) { return from_mmx(c, i, simd_CVTPI2PS); }
HANDLER(cvtpi2pd) { return from_mmx(c, i, simd_CVTPI2PD); }
static insn_fn bind_cvtpi2ps(const struct insn *i) { return cvtpi2ps; }
static insn_fn bind_cvtpi2pd(const struct insn *i) { return cvtpi2pd; }

HOT const struct insn *to_mmx(struct cpu *c, const struct insn *i, unsigned bytes, uint64_t (*op)(v128))
{
	v128 s;
	uint64_t r;
	unsigned slow = FP_SLOW(c, i);
	MMX_CHECK(c, i);
	s = OPERAND_IS_MEM(i, 1) ? fp_ld(c, i, bytes) : XREG(c, i, 1);
	mmx_touch(c);
	FP_BEGIN(c, slow);
	r = op(s);
	FP_END(c, i, slow, s);
	mmx_write(c, i->o[0].reg, r);
	NEXT(i);
}
#define TO_MMX(name, bytes) \
	HANDLER(name) { return to_mmx(c, i, bytes, simd_##name); } \
	static insn_fn bind_##name(const struct insn *i) { return name; }
TO_MMX(CVTPS2PI, 8)
TO_MMX(CVTTPS2PI, 8)
TO_MMX(CVTPD2PI, 16)
TO_MMX(CVTTPD2PI, 16)

const struct op_bind fp_sse_arith_ops[] = {
#define FP(name, ...) { OP_##name, bind_fp },
#include "engine/soft/fp_simd.def"
#undef FP
	{ OP_CMPPS, bind_CMPPS },
	{ OP_CMPPD, bind_CMPPD },
	{ OP_CMPSS, bind_CMPSS },
	{ OP_CMPSD, bind_CMPSD },
	{ OP_ROUNDPS, bind_ROUNDPS },
	{ OP_ROUNDPD, bind_ROUNDPD },
	{ OP_ROUNDSS, bind_ROUNDSS },
	{ OP_ROUNDSD, bind_ROUNDSD },
	{ OP_DPPS, bind_DPPS },
	{ OP_DPPD, bind_DPPD },
	{ OP_COMISS, bind_COMISS },
	{ OP_UCOMISS, bind_UCOMISS },
	{ OP_COMISD, bind_COMISD },
	{ OP_UCOMISD, bind_UCOMISD },
	{ OP_CVTSI2SS, bind_CVTSI2SS },
	{ OP_CVTSI2SD, bind_CVTSI2SD },
	{ OP_CVTSS2SI, bind_CVTSS2SI },
	{ OP_CVTTSS2SI, bind_CVTTSS2SI },
	{ OP_CVTSD2SI, bind_CVTSD2SI },
	{ OP_CVTTSD2SI, bind_CVTTSD2SI },
	{ OP_CVTPI2PS, bind_cvtpi2ps },
	{ OP_CVTPI2PD, bind_cvtpi2pd },
	{ OP_CVTPS2PI, bind_CVTPS2PI },
	{ OP_CVTTPS2PI, bind_CVTTPS2PI },
	{ OP_CVTPD2PI, bind_CVTPD2PI },
	{ OP_CVTTPD2PI, bind_CVTTPD2PI },
	{ OP_INVALID, NULL },
};
