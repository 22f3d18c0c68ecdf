/* avx_cvt.c - VEX instructions between vectors, general registers and RFLAGS: conversions of scalars,
 * comparisons, tests; and the dot products and half-precision stores, whose exceptions are their own. */
#include "engine/soft/avx.h"

#define FP_SLOW_AVX(c, i) ({ \
	unsigned slow_ = (c)->fp_avx_slow; \
	if (unlikely(slow_)) \
		AVX_CHECK(c, i); \
	slow_; })

/* The last source, operand n, of bytes 4, 8 (zero-extended) */
HOT v128 scalar_src(struct cpu *c, const struct insn *i, unsigned n, unsigned bytes)
{
	if (OPERAND_IS_MEM(i, n))
		return (v128){ mem_ld(c, i, insn_lin(c, i, bytes, false), bytes), 0 };
	return XREG(c, i, n);
}

/* --- integers to scalars --- */
#define FROM_INT(name) \
	HANDLER(name) \
	{ \
		v128 r; \
		int64_t v; \
		bool wide = i->o[2].size == 8; \
		unsigned slow = FP_SLOW_AVX(c, i); \
		if (OPERAND_IS_MEM(i, 2)) \
			v = wide ? (int64_t)mem_ld(c, i, insn_lin(c, i, 8, false), 8) : \
			           (int32_t)mem_ld(c, i, insn_lin(c, i, 4, false), 4); \
		else \
			v = wide ? (int64_t)R64(c, i->o[2].reg) : (int32_t)R32(c, i->o[2].reg); \
		FP_BEGIN(c, slow); \
		r = simd_##name(XREG(c, i, 1), v); \
		FP_END(c, i, slow, r); \
		avx_set128(&VREG(c, i, 0), r); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return name; }
FROM_INT(CVTSI2SS)
FROM_INT(CVTSI2SD)

/* --- scalars to integers --- */
#define TO_INT(name, bytes) \
	HANDLER(name) \
	{ \
		uint64_t r; \
		unsigned slow = FP_SLOW_AVX(c, i); \
		v128 s = scalar_src(c, i, 1, bytes); \
		FP_BEGIN(c, slow); \
		r = i->o[0].size == 8 ? simd_##name##_64(s) : simd_##name##_32(s); \
		FP_END(c, i, slow, s); \
		R64(c, i->o[0].reg) = r; \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return name; }
TO_INT(CVTSS2SI, 4)
TO_INT(CVTTSS2SI, 4)
TO_INT(CVTSD2SI, 8)
TO_INT(CVTTSD2SI, 8)

/* --- comparisons into RFLAGS --- */
#define COMPARE(name, bytes) \
	HANDLER(name) \
	{ \
		uint32_t f; \
		unsigned slow = FP_SLOW_AVX(c, i); \
		v128 s = scalar_src(c, i, 1, bytes); \
		FP_BEGIN(c, slow); \
		f = simd_##name(XREG(c, i, 0), s); \
		FP_END(c, i, slow, s); \
		cc_flags(c, f); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return name; }
COMPARE(COMISS, 4)
COMPARE(UCOMISS, 4)
COMPARE(COMISD, 8)
COMPARE(UCOMISD, 8)

#define TEST_DO(mnem, L, end) \
	__asm__ volatile("vmovdqu %2, " AVX_R_##L "0\n\t" mnem " %3, " AVX_R_##L "0" end \
	                 : "=@ccz"(z), "=@ccc"(cf) : AVX_IN_FULL(&VREG(c, i, 0), L), AVX_IN_FULL(p, L) : "xmm0")
#define TEST(name, mnem) \
	HOT const struct insn *name##_do(struct cpu *c, const struct insn *i, const void *p) \
	{ \
		uint8_t z, cf; \
		if (i->vl == 32) \
			TEST_DO(mnem, 256, "\n\tvzeroupper"); \
		else \
			TEST_DO(mnem, 128, ""); \
		cc_flags(c, (z ? FL_ZF : 0) | (cf ? FL_CF : 0)); \
		NEXT(i); \
	} \
	HANDLER(name##_rr) \
	{ \
		AVX_CHECK(c, i); \
		return name##_do(c, i, &VREG(c, i, 1)); \
	} \
	FP_SLOW_HANDLER(name##_rm_slow) \
	{ \
		AVX_CHECK(c, i); \
		return name##_do(c, i, avx_src_slow(c, i, i->vl)); \
	} \
	HANDLER(name##_rm) \
	{ \
		const void *p = AVX_FAST(c, i, i->vl); \
		if (unlikely(!p || c->fp_avx_trap)) \
			return name##_rm_slow(c, i); \
		return name##_do(c, i, p); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return OPERAND_IS_MEM(i, 1) ? name##_rm : name##_rr; }
TEST(vptest, "vptest")
TEST(vtestps, "vtestps")
TEST(vtestpd, "vtestpd")

/* --- dot products --- */
AVX_CORE3I(VDPPS, "vdpps", 128, 16, "vmovdqu %2, %%xmm1", "xmm")
AVX_CORE3I(VDPPS, "vdpps", 256, 32, "vmovdqu %2, %%ymm1", "ymm")
AVX_CORE3I(VDPPD, "vdppd", 128, 16, "vmovdqu %2, %%xmm1", "xmm")

static void dp_slow(struct cpu *c, const struct insn *i, const void *p, bool pd)
{
	unsigned imm = (uint8_t)i->imm, lanes = i->vl / 16;
	const v128d bit = { 16, 32, 64, 128 };
	v128 sel = pd ? (v128){ imm & 16 ? ~0ull : 0, imm & 32 ? ~0ull : 0 } :
	                (v128)(v128d)(((v128d){ imm, imm, imm, imm } & bit) == bit);
	const v128 *a = (const v128 *)&VREG(c, i, 1);
	v128 d[2], s[2];

	for (unsigned n = 0; n < lanes; n++) {
		d[n] = a[n] & sel;
		s[n] = ((const v128u *)p)[n] & sel;
	}
	fp_dp_signal(c, i, d, s, lanes, pd);
}
#define DP(name, L, pd) \
	HANDLER(name##_##L##_dp) \
	{ \
		const void *p; \
		unsigned slow = FP_SLOW_AVX(c, i); \
		p = OPERAND_IS_MEM(i, 2) ? avx_src_slow(c, i, AVX_BYTES_##L) : &VREG(c, i, 2); \
		if (unlikely(slow)) \
			dp_slow(c, i, p, pd); \
		name##_##L(c, i, p, &VREG(c, i, 0)); \
		if (unlikely(slow)) \
			fp_enter(c); /* its flags are in already */ \
		NEXT(i); \
	}
DP(VDPPS, 128, false)
DP(VDPPS, 256, false)
DP(VDPPD, 128, true)
static insn_fn bind_vdpps(const struct insn *i) { return i->vl == 32 ? VDPPS_256_dp : VDPPS_128_dp; }
static insn_fn bind_vdppd(const struct insn *i) { return VDPPD_128_dp; }

/* --- VCVTPS2PH: the destination may be memory --- */
AVX_CORE2I(VCVTPS2PH, "vcvtps2ph", 128, 16, "vmovdqu %1, %%xmm1", "xmm", "xmm")
AVX_CORE2I(VCVTPS2PH, "vcvtps2ph", 256, 32, "vmovdqu %1, %%ymm1", "ymm", "xmm")

static bool tiny_h(uint16_t v) { return !(v & 0x7c00) && (v & 0x3ff); }

/* PE while overflow or underflow is unmasked: elements that signal them are judged as if exponents had no
 * bounds, as those of 11 significant bits; the others by the conversion alone. */
struct halves_of {
	const union vreg *src;
	const union vreg *result;
	unsigned count;
};
static bool ph_inexact(uint32_t mxcsr, const void *arg)
{
	const struct halves_of *h = arg;
	bool any = false;

	for (unsigned n = 0; n < h->count; n++) {
		uint32_t v = h->src->d[n], exp = v >> 23 & 0xff, frac = v & 0x7fffff;
		bool in_range = exp >= 127 - 14 && exp <= 127 + 15;

		if (exp == 255 || !(v << 1) || (!exp && (mxcsr & MXCSR_DAZ)))
			continue;
		if (!exp)
			any |= (mxcsr & MXCSR_UM) || (frac << (__builtin_clz(frac) - 8) & 0x1fff);
		else if (in_range || (exp < 127 - 14 ? !(mxcsr & MXCSR_UM) : !(mxcsr & MXCSR_OM)))
			any |= (frac & 0x1fff) != 0;
		else if (exp < 127 - 14) /* a denormal keeps fewer bits */
			any |= 127 - 14 - exp > 10 || ((frac | 0x800000) & ((0x2000u << (127 - 14 - exp)) - 1));
		else
			any = true;
	}
	return any;
}
static void ps2ph(struct cpu *c, const struct insn *i, union vreg *r)
{
	unsigned slow = FP_SLOW_AVX(c, i), count = i->vl / 4;
	bool tiny = false;

	FP_BEGIN(c, slow);
	if (i->vl == 32)
		VCVTPS2PH_256(c, i, &VREG(c, i, 1), r);
	else
		VCVTPS2PH_128(c, i, &VREG(c, i, 1), r);
	if (unlikely(slow)) {
		struct halves_of h = { &VREG(c, i, 1), r, count };
		for (unsigned n = 0; n < count; n++)
			tiny |= tiny_h(r->w[n]);
		fp_arith_judge(c, i, tiny, ph_inexact, &h);
	}
}
HANDLER(vcvtps2ph_r)
{
	ps2ph(c, i, &c->fp_tmp);
	memcpy(&VREG(c, i, 0), &c->fp_tmp, 32);
	NEXT(i);
}
HANDLER(vcvtps2ph_m)
{
	unsigned bytes = i->vl / 2;
	uint64_t lin;

	AVX_CHECK(c, i);
	lin = insn_lin(c, i, bytes, true);
	if (unlikely(!tlb_hit(c->tlb->w, lin, bytes)))
		mmu_probe_w(c, i, lin, bytes); /* page faults come before exceptions of the conversion */
	ps2ph(c, i, &c->fp_tmp);
	if (bytes == 16)
		mem_stn(c, i, lin, &c->fp_tmp, 16);
	else
		mem_stn(c, i, lin, &c->fp_tmp, 8);
	NEXT(i);
}
static insn_fn bind_vcvtps2ph(const struct insn *i) { return OPERAND_IS_MEM(i, 0) ? vcvtps2ph_m : vcvtps2ph_r; }

const struct op_bind avx_cvt_ops[] = {
	{ OP_VCVTSI2SS, bind_CVTSI2SS },
	{ OP_VCVTSI2SD, bind_CVTSI2SD },
	{ OP_VCVTSS2SI, bind_CVTSS2SI },
	{ OP_VCVTTSS2SI, bind_CVTTSS2SI },
	{ OP_VCVTSD2SI, bind_CVTSD2SI },
	{ OP_VCVTTSD2SI, bind_CVTTSD2SI },
	{ OP_VCOMISS, bind_COMISS },
	{ OP_VUCOMISS, bind_UCOMISS },
	{ OP_VCOMISD, bind_COMISD },
	{ OP_VUCOMISD, bind_UCOMISD },
	{ OP_VPTEST, bind_vptest },
	{ OP_VTESTPS, bind_vtestps },
	{ OP_VTESTPD, bind_vtestpd },
	{ OP_VDPPS, bind_vdpps },
	{ OP_VDPPD, bind_vdppd },
	{ OP_VCVTPS2PH, bind_vcvtps2ph },
	{ OP_INVALID, NULL },
};
