/* fp_sse_mov.c - SSE data movement: MOVAPS to MASKMOVDQU, and the moves between register files. */
#include "engine/soft/avx.h"

/* --- whole registers --- */
HANDLER(mov_rr)
{
	SSE_CHECK(c, i);
	XREG(c, i, 0) = XREG(c, i, 1);
	NEXT(i);
}
FP_SLOW_HANDLER(mova_rm_slow)
{
	SSE_CHECK(c, i);
	XREG(c, i, 0) = fp_ld16a(c, i);
	NEXT(i);
}
HANDLER(mova_rm)
{
	void *p = fp_fast(c, i, c->tlb->r, 16, 16);
	if (unlikely(!p || c->fp_sse_trap))
		return mova_rm_slow(c, i);
	XREG(c, i, 0) = *(const v128u *)p;
	NEXT(i);
}
FP_SLOW_HANDLER(movu_rm_slow)
{
	SSE_CHECK(c, i);
	XREG(c, i, 0) = fp_ld16u(c, i);
	NEXT(i);
}
HANDLER(movu_rm)
{
	void *p = fp_fast(c, i, c->tlb->r, 16, 1);
	if (unlikely(!p || c->fp_sse_trap))
		return movu_rm_slow(c, i);
	XREG(c, i, 0) = *(const v128u *)p;
	NEXT(i);
}
FP_SLOW_HANDLER(mova_mr_slow)
{
	SSE_CHECK(c, i);
	fp_st16(c, i, XREG(c, i, 1), true);
	NEXT(i);
}
HANDLER(mova_mr)
{
	void *p = fp_fast(c, i, c->tlb->w, 16, 16);
	if (unlikely(!p || c->fp_sse_trap))
		return mova_mr_slow(c, i);
	*(v128u *)p = XREG(c, i, 1);
	NEXT(i);
}
FP_SLOW_HANDLER(movu_mr_slow)
{
	SSE_CHECK(c, i);
	fp_st16(c, i, XREG(c, i, 1), false);
	NEXT(i);
}
HANDLER(movu_mr)
{
	void *p = fp_fast(c, i, c->tlb->w, 16, 1);
	if (unlikely(!p || c->fp_sse_trap))
		return movu_mr_slow(c, i);
	*(v128u *)p = XREG(c, i, 1);
	NEXT(i);
}
static insn_fn bind_aligned(const struct insn *i)
{
	return OPERAND_IS_MEM(i, 0) ? mova_mr : OPERAND_IS_MEM(i, 1) ? mova_rm : mov_rr;
}
static insn_fn bind_unaligned(const struct insn *i)
{
	return OPERAND_IS_MEM(i, 0) ? movu_mr : OPERAND_IS_MEM(i, 1) ? movu_rm : mov_rr;
}
static insn_fn bind_load_unaligned(const struct insn *i) { return movu_rm; }
static insn_fn bind_load_aligned(const struct insn *i) { return mova_rm; }
static insn_fn bind_store_aligned(const struct insn *i) { return mova_mr; }

/* --- scalars: a load clears the rest of the register, a register move keeps it --- */
HANDLER(movss_rr)
{
	SSE_CHECK(c, i);
	VREG(c, i, 0).d[0] = VREG(c, i, 1).d[0];
	NEXT(i);
}
HANDLER(movsd_rr)
{
	SSE_CHECK(c, i);
	VREG(c, i, 0).q[0] = VREG(c, i, 1).q[0];
	NEXT(i);
}
FP_SLOW_HANDLER(ld4_slow)
{
	SSE_CHECK(c, i);
	XREG(c, i, 0) = fp_ld(c, i, 4);
	NEXT(i);
}
HANDLER(ld4)
{
	void *p = fp_fast(c, i, c->tlb->r, 4, 1);
	if (unlikely(!p || c->fp_sse_trap))
		return ld4_slow(c, i);
	XREG(c, i, 0) = fp_fast_get(p, 4);
	NEXT(i);
}
FP_SLOW_HANDLER(ld8_slow)
{
	SSE_CHECK(c, i);
	XREG(c, i, 0) = fp_ld(c, i, 8);
	NEXT(i);
}
HANDLER(ld8)
{
	void *p = fp_fast(c, i, c->tlb->r, 8, 1);
	if (unlikely(!p || c->fp_sse_trap))
		return ld8_slow(c, i);
	XREG(c, i, 0) = fp_fast_get(p, 8);
	NEXT(i);
}
FP_SLOW_HANDLER(st4_slow)
{
	SSE_CHECK(c, i);
	mem_st(c, i, insn_lin(c, i, 4, true), 4, VREG(c, i, 1).d[0]);
	NEXT(i);
}
HANDLER(st4)
{
	void *p = fp_fast(c, i, c->tlb->w, 4, 1);
	if (unlikely(!p || c->fp_sse_trap))
		return st4_slow(c, i);
	memcpy(p, &VREG(c, i, 1), 4);
	NEXT(i);
}
FP_SLOW_HANDLER(st8_slow)
{
	SSE_CHECK(c, i);
	mem_st(c, i, insn_lin(c, i, 8, true), 8, VREG(c, i, 1).q[0]);
	NEXT(i);
}
HANDLER(st8)
{
	void *p = fp_fast(c, i, c->tlb->w, 8, 1);
	if (unlikely(!p || c->fp_sse_trap))
		return st8_slow(c, i);
	memcpy(p, &VREG(c, i, 1), 8);
	NEXT(i);
}
static insn_fn bind_movss(const struct insn *i)
{
	return OPERAND_IS_MEM(i, 0) ? st4 : OPERAND_IS_MEM(i, 1) ? ld4 : movss_rr;
}
static insn_fn bind_movsd(const struct insn *i)
{
	return OPERAND_IS_MEM(i, 0) ? st8 : OPERAND_IS_MEM(i, 1) ? ld8 : movsd_rr;
}

/* --- halves --- */
FP_SLOW_HANDLER(movl_rm_slow)
{
	SSE_CHECK(c, i);
	VREG(c, i, 0).q[0] = mem_ld(c, i, insn_lin(c, i, 8, false), 8);
	NEXT(i);
}
HANDLER(movl_rm)
{
	void *p = fp_fast(c, i, c->tlb->r, 8, 1);
	if (unlikely(!p || c->fp_sse_trap))
		return movl_rm_slow(c, i);
	memcpy(&VREG(c, i, 0).q[0], p, 8);
	NEXT(i);
}
FP_SLOW_HANDLER(movh_rm_slow)
{
	SSE_CHECK(c, i);
	VREG(c, i, 0).q[1] = mem_ld(c, i, insn_lin(c, i, 8, false), 8);
	NEXT(i);
}
HANDLER(movh_rm)
{
	void *p = fp_fast(c, i, c->tlb->r, 8, 1);
	if (unlikely(!p || c->fp_sse_trap))
		return movh_rm_slow(c, i);
	memcpy(&VREG(c, i, 0).q[1], p, 8);
	NEXT(i);
}
FP_SLOW_HANDLER(movh_mr_slow)
{
	SSE_CHECK(c, i);
	mem_st(c, i, insn_lin(c, i, 8, true), 8, VREG(c, i, 1).q[1]);
	NEXT(i);
}
HANDLER(movh_mr)
{
	void *p = fp_fast(c, i, c->tlb->w, 8, 1);
	if (unlikely(!p || c->fp_sse_trap))
		return movh_mr_slow(c, i);
	memcpy(p, &VREG(c, i, 1).q[1], 8);
	NEXT(i);
}
HANDLER(movhlps)
{
	SSE_CHECK(c, i);
	VREG(c, i, 0).q[0] = VREG(c, i, 1).q[1];
	NEXT(i);
}
HANDLER(movlhps)
{
	SSE_CHECK(c, i);
	VREG(c, i, 0).q[1] = VREG(c, i, 1).q[0];
	NEXT(i);
}
static insn_fn bind_movl(const struct insn *i)
{
	return OPERAND_IS_MEM(i, 0) ? st8 : OPERAND_IS_MEM(i, 1) ? movl_rm : NULL;
}
static insn_fn bind_movh(const struct insn *i)
{
	return OPERAND_IS_MEM(i, 0) ? movh_mr : OPERAND_IS_MEM(i, 1) ? movh_rm : NULL;
}
static insn_fn bind_movhlps(const struct insn *i) { return movhlps; }
static insn_fn bind_movlhps(const struct insn *i) { return movlhps; }

/* --- duplicating moves --- */
#define DUP(name, bytes, ...) \
	HANDLER(name##_rr) \
	{ \
		SSE_CHECK(c, i); \
		v128 s = XREG(c, i, 1); \
		XREG(c, i, 0) = __VA_ARGS__; \
		NEXT(i); \
	} \
	HANDLER(name##_rm) \
	{ \
		SSE_CHECK(c, i); \
		v128 s = fp_ld(c, i, bytes); \
		XREG(c, i, 0) = __VA_ARGS__; \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return OPERAND_IS_MEM(i, 1) ? name##_rm : name##_rr; }
#define DW(s, n) ((v128d)(s))[n]
DUP(movddup, 8, (v128){ s[0], s[0] })
DUP(movsldup, 16, (v128)(v128d){ DW(s, 0), DW(s, 0), DW(s, 2), DW(s, 2) })
DUP(movshdup, 16, (v128)(v128d){ DW(s, 1), DW(s, 1), DW(s, 3), DW(s, 3) })

/* --- general registers, MMX registers --- */
HANDLER(movd_xr)
{
	SSE_CHECK(c, i);
	XREG(c, i, 0) = (v128){ R32(c, i->o[1].reg), 0 };
	NEXT(i);
}
HANDLER(movq_xr)
{
	SSE_CHECK(c, i);
	XREG(c, i, 0) = (v128){ R64(c, i->o[1].reg), 0 };
	NEXT(i);
}
HANDLER(movd_rx)
{
	SSE_CHECK(c, i);
	W32(c, i->o[0].reg, VREG(c, i, 1).d[0]);
	NEXT(i);
}
HANDLER(movq_rx)
{
	SSE_CHECK(c, i);
	R64(c, i->o[0].reg) = VREG(c, i, 1).q[0];
	NEXT(i);
}
HANDLER(movq_xx)
{
	SSE_CHECK(c, i);
	XREG(c, i, 0) = (v128){ VREG(c, i, 1).q[0], 0 };
	NEXT(i);
}
static insn_fn bind_movd(const struct insn *i)
{
	if (i->o[0].kind == O_MMX || i->o[1].kind == O_MMX)
		return fp_mmx_bind(i);
	switch (i->o[0].kind) {
	case O_XMM: return i->o[1].kind == O_MEM ? ld4 : i->o[1].kind == O_GPR ? movd_xr : NULL;
	case O_GPR: return movd_rx;
	case O_MEM: return st4;
	default: return NULL;
	}
}
static insn_fn bind_movq(const struct insn *i)
{
	if (i->o[0].kind == O_MMX || i->o[1].kind == O_MMX)
		return fp_mmx_bind(i);
	switch (i->o[0].kind) {
	case O_XMM: return i->o[1].kind == O_MEM ? ld8 : i->o[1].kind == O_GPR ? movq_xr : movq_xx;
	case O_GPR: return movq_rx;
	case O_MEM: return st8;
	default: return NULL;
	}
}
HANDLER(movmskps)
{
	SSE_CHECK(c, i);
	W32(c, i->o[0].reg, simd_MOVMSKPS(XREG(c, i, 1)));
	NEXT(i);
}
HANDLER(movmskpd)
{
	SSE_CHECK(c, i);
	W32(c, i->o[0].reg, simd_MOVMSKPD(XREG(c, i, 1)));
	NEXT(i);
}
static insn_fn bind_movmskps(const struct insn *i) { return movmskps; }
static insn_fn bind_movmskpd(const struct insn *i) { return movmskpd; }

/* Both check both register files; the MMX side makes the usual transition */
HANDLER(movq2dq)
{
	SSE_CHECK(c, i);
	MMX_CHECK(c, i);
	mmx_touch(c);
	XREG(c, i, 0) = (v128){ MREG(c, i, 1), 0 };
	NEXT(i);
}
HANDLER(movdq2q)
{
	SSE_CHECK(c, i);
	MMX_CHECK(c, i);
	mmx_touch(c);
	mmx_write(c, i->o[0].reg, VREG(c, i, 1).q[0]);
	NEXT(i);
}
static insn_fn bind_movq2dq(const struct insn *i) { return movq2dq; }
static insn_fn bind_movdq2q(const struct insn *i) { return movdq2q; }

/* Bytes of v whose mask bytes have bit 7 set, to DS:RDI (i->seg). The whole range is checked first,
 * for a mask of zero too (SDM 2: implementation-specific). */
static void masked_store(struct cpu *c, const struct insn *i, const uint8_t *v, const uint8_t *mask, unsigned len)
{
	uint64_t ea = c->gpr[RDI], lin;
	ea = i->asz == 8 ? ea : i->asz == 4 ? (uint32_t)ea : (uint16_t)ea;
	lin = seg_lin(c, i, i->seg, ea, len, true);
	mmu_probe_w(c, i, lin, len);
	for (unsigned n = 0; n < len; n++)
		if (mask[n] & 0x80)
			mem_st(c, i, (lin + n) & c->lin_mask, 1, v[n]);
}
HANDLER(maskmovdqu)
{
	SSE_CHECK(c, i);
	masked_store(c, i, VREG(c, i, 0).b, VREG(c, i, 1).b, 16);
	NEXT(i);
}
HANDLER(vmaskmovdqu)
{
	AVX_CHECK(c, i);
	masked_store(c, i, VREG(c, i, 0).b, VREG(c, i, 1).b, 16);
	NEXT(i);
}
HANDLER(maskmovq)
{
	MMX_CHECK(c, i);
	masked_store(c, i, (const uint8_t *)&MREG(c, i, 0), (const uint8_t *)&MREG(c, i, 1), 8);
	mmx_touch(c);
	NEXT(i);
}
static insn_fn bind_maskmovdqu(const struct insn *i) { return maskmovdqu; }
static insn_fn bind_vmaskmovdqu(const struct insn *i) { return vmaskmovdqu; }
static insn_fn bind_maskmovq(const struct insn *i) { return maskmovq; }

const struct op_bind fp_sse_mov_ops[] = {
	{ OP_MOVAPS, bind_aligned },
	{ OP_MOVAPD, bind_aligned },
	{ OP_MOVDQA, bind_aligned },
	{ OP_MOVUPS, bind_unaligned },
	{ OP_MOVUPD, bind_unaligned },
	{ OP_MOVDQU, bind_unaligned },
	{ OP_LDDQU, bind_load_unaligned },
	{ OP_MOVNTDQA, bind_load_aligned },
	{ OP_MOVNTPS, bind_store_aligned },
	{ OP_MOVNTPD, bind_store_aligned },
	{ OP_MOVNTDQ, bind_store_aligned },
	{ OP_MOVSS, bind_movss },
	{ OP_MOVSD, bind_movsd },
	{ OP_MOVLPS, bind_movl },
	{ OP_MOVLPD, bind_movl },
	{ OP_MOVHPS, bind_movh },
	{ OP_MOVHPD, bind_movh },
	{ OP_MOVHLPS, bind_movhlps },
	{ OP_MOVLHPS, bind_movlhps },
	{ OP_MOVDDUP, bind_movddup },
	{ OP_MOVSLDUP, bind_movsldup },
	{ OP_MOVSHDUP, bind_movshdup },
	{ OP_MOVD, bind_movd },
	{ OP_MOVQ, bind_movq },
	{ OP_MOVMSKPS, bind_movmskps },
	{ OP_MOVMSKPD, bind_movmskpd },
	{ OP_MOVQ2DQ, bind_movq2dq },
	{ OP_MOVDQ2Q, bind_movdq2q },
	{ OP_MASKMOVDQU, bind_maskmovdqu },
	{ OP_VMASKMOVDQU, bind_vmaskmovdqu },
	{ OP_MASKMOVQ, bind_maskmovq },
	{ OP_INVALID, NULL },
};
