/* avx_mov.c - VEX data movement: whole registers, scalars, halves, single elements, lanes, general registers. */
#include "engine/soft/avx.h"

/* --- whole registers --- */
#define COPY(L, from, to) \
	__asm__ volatile("vmovdqu %1, " AVX_R_##L "0" AVX_END_##L : AVX_OUT(to, 32) : AVX_IN_FULL(from, L) : "xmm0")
#define STORE_ASM_128 "vmovdqu %1, %%xmm0\n\tvmovdqu %%xmm0, %0"
#define STORE_ASM_256 "vmovdqu %1, %%ymm0\n\tvmovdqu %%ymm0, %0\n\tvzeroupper"
#define STORE_OUT_128(p) AVX_OUT(p, 16)
#define STORE_OUT_256(p) AVX_OUT(p, 32)

#define MOVES(L, bytes) \
	HANDLER(mov_rr##L) \
	{ \
		AVX_CHECK(c, i); \
		COPY(L, &VREG(c, i, 1), &VREG(c, i, 0)); \
		NEXT(i); \
	} \
	LOAD(movu_rm##L, L, bytes, 1) \
	LOAD(mova_rm##L, L, bytes, bytes) \
	STORE(movu_mr##L, L, bytes, 1) \
	STORE(mova_mr##L, L, bytes, bytes)
#define LOAD(name, L, bytes, align) \
	FP_SLOW_HANDLER(name##_slow) \
	{ \
		const void *p; \
		AVX_CHECK(c, i); \
		if (align > 1) { \
			uint64_t lin = insn_lin(c, i, bytes, false); \
			if (lin & (align - 1)) \
				fp_misaligned(c, i, lin); \
		} \
		p = avx_src_slow(c, i, bytes); \
		COPY(L, p, &VREG(c, i, 0)); \
		NEXT(i); \
	} \
	HANDLER(name) \
	{ \
		const void *p = fp_fast(c, i, c->tlb->r, bytes, align); \
		if (unlikely(!p || c->fp_avx_trap)) \
			return name##_slow(c, i); \
		COPY(L, p, &VREG(c, i, 0)); \
		NEXT(i); \
	}
#define STORE(name, L, bytes, align) \
	FP_SLOW_HANDLER(name##_slow) \
	{ \
		AVX_CHECK(c, i); \
		avx_st_slow(c, i, &VREG(c, i, 1), bytes, align > 1); \
		NEXT(i); \
	} \
	HANDLER(name) \
	{ \
		void *p = fp_fast(c, i, c->tlb->w, bytes, align); \
		if (unlikely(!p || c->fp_avx_trap)) \
			return name##_slow(c, i); \
		__asm__ volatile(STORE_ASM_##L : STORE_OUT_##L(p) : AVX_IN_FULL(&VREG(c, i, 1), L) : "xmm0"); \
		NEXT(i); \
	}
MOVES(128, 16)
MOVES(256, 32)

#define BY_LENGTH(i, name) ((i)->vl == 32 ? name##256 : name##128)
static insn_fn bind_aligned(const struct insn *i)
{
	if (OPERAND_IS_MEM(i, 0))
		return BY_LENGTH(i, mova_mr);
	return OPERAND_IS_MEM(i, 1) ? BY_LENGTH(i, mova_rm) : BY_LENGTH(i, mov_rr);
}
static insn_fn bind_unaligned(const struct insn *i)
{
	if (OPERAND_IS_MEM(i, 0))
		return BY_LENGTH(i, movu_mr);
	return OPERAND_IS_MEM(i, 1) ? BY_LENGTH(i, movu_rm) : BY_LENGTH(i, mov_rr);
}

/* --- scalars and halves. Each handler's memory operand, if any, is the last source or the destination. --- */
HOT uint64_t src_ld(struct cpu *c, const struct insn *i, unsigned bytes)
{
	return mem_ld(c, i, insn_lin(c, i, bytes, false), bytes);
}
#define STORE_PART(name, bytes, value) \
	HANDLER(name) \
	{ \
		AVX_CHECK(c, i); \
		mem_st(c, i, insn_lin(c, i, bytes, true), bytes, value); \
		NEXT(i); \
	}
#define LOW128(name, ...) \
	HANDLER(name) \
	{ \
		AVX_CHECK(c, i); \
		avx_set128(&VREG(c, i, 0), __VA_ARGS__); \
		NEXT(i); \
	}
STORE_PART(st4, 4, VREG(c, i, 1).d[0])
STORE_PART(st8, 8, VREG(c, i, 1).q[0])
STORE_PART(st8h, 8, VREG(c, i, 1).q[1])
LOW128(ld4, (v128){ src_ld(c, i, 4), 0 })
LOW128(ld8, (v128){ src_ld(c, i, 8), 0 })
LOW128(movss_rrr, (v128)(v128d){ VREG(c, i, 2).d[0], VREG(c, i, 1).d[1], VREG(c, i, 1).d[2], VREG(c, i, 1).d[3] })
LOW128(movsd_rrr, (v128){ VREG(c, i, 2).q[0], VREG(c, i, 1).q[1] })
LOW128(movl_rm, (v128){ src_ld(c, i, 8), VREG(c, i, 1).q[1] })
LOW128(movh_rm, (v128){ VREG(c, i, 1).q[0], src_ld(c, i, 8) })
LOW128(movhlps, (v128){ VREG(c, i, 2).q[1], VREG(c, i, 1).q[1] })
LOW128(movlhps, (v128){ VREG(c, i, 1).q[0], VREG(c, i, 2).q[0] })
LOW128(movd_xr, (v128){ R32(c, i->o[1].reg), 0 })
LOW128(movq_xr, (v128){ R64(c, i->o[1].reg), 0 })
LOW128(movq_xx, (v128){ VREG(c, i, 1).q[0], 0 })
HANDLER(movd_rx)
{
	AVX_CHECK(c, i);
	W32(c, i->o[0].reg, VREG(c, i, 1).d[0]);
	NEXT(i);
}
HANDLER(movq_rx)
{
	AVX_CHECK(c, i);
	R64(c, i->o[0].reg) = VREG(c, i, 1).q[0];
	NEXT(i);
}
static insn_fn bind_movss(const struct insn *i)
{
	return OPERAND_IS_MEM(i, 0) ? st4 : OPERAND_IS_MEM(i, 1) ? ld4 : movss_rrr;
}
static insn_fn bind_movsd(const struct insn *i)
{
	return OPERAND_IS_MEM(i, 0) ? st8 : OPERAND_IS_MEM(i, 1) ? ld8 : movsd_rrr;
}
static insn_fn bind_movl(const struct insn *i) { return OPERAND_IS_MEM(i, 0) ? st8 : movl_rm; }
static insn_fn bind_movh(const struct insn *i) { return OPERAND_IS_MEM(i, 0) ? st8h : movh_rm; }
static insn_fn bind_movhlps(const struct insn *i) { return movhlps; }
static insn_fn bind_movlhps(const struct insn *i) { return movlhps; }
static insn_fn bind_movd(const struct insn *i)
{
	if (i->o[0].kind == O_XMM)
		return OPERAND_IS_MEM(i, 1) ? ld4 : movd_xr;
	return OPERAND_IS_MEM(i, 0) ? st4 : movd_rx;
}
static insn_fn bind_movq(const struct insn *i)
{
	if (i->o[0].kind == O_XMM)
		return OPERAND_IS_MEM(i, 1) ? ld8 : i->o[1].kind == O_GPR ? movq_xr : movq_xx;
	return OPERAND_IS_MEM(i, 0) ? st8 : movq_rx;
}

/* --- single elements --- */
#define EXTRACT(name, bytes, elem, count) \
	HANDLER(name##_r) \
	{ \
		AVX_CHECK(c, i); \
		R64(c, i->o[0].reg) = VREG(c, i, 1).elem[i->imm & (count - 1)]; \
		NEXT(i); \
	} \
	STORE_PART(name##_m, bytes, VREG(c, i, 1).elem[i->imm & (count - 1)]) \
	static insn_fn bind_##name(const struct insn *i) { return OPERAND_IS_MEM(i, 0) ? name##_m : name##_r; }
EXTRACT(pextrb, 1, b, 16)
EXTRACT(pextrw, 2, w, 8)
EXTRACT(pextrd, 4, d, 4)
EXTRACT(pextrq, 8, q, 2)

#define INSERT(name, bytes, elem, count, GPR) \
	HOT void name##_do(struct cpu *c, const struct insn *i, uint64_t v) \
	{ \
		union vreg *d = &VREG(c, i, 0); \
		avx_set128(d, XREG(c, i, 1)); \
		d->elem[i->imm & (count - 1)] = (__typeof__(d->elem[0]))v; \
	} \
	HANDLER(name##_r) \
	{ \
		AVX_CHECK(c, i); \
		name##_do(c, i, GPR(c, i->o[2].reg & 0xf8)); \
		NEXT(i); \
	} \
	HANDLER(name##_m) \
	{ \
		AVX_CHECK(c, i); \
		name##_do(c, i, src_ld(c, i, bytes)); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return OPERAND_IS_MEM(i, 2) ? name##_m : name##_r; }
INSERT(pinsrb, 1, b, 16, R8)
INSERT(pinsrw, 2, w, 8, R16)
INSERT(pinsrd, 4, d, 4, R32)
INSERT(pinsrq, 8, q, 2, R64)

/* imm: source element 7:6 (registers only), destination element 5:4, elements to clear 3:0 */
HANDLER(insertps)
{
	union vreg *d = &VREG(c, i, 0);
	unsigned imm = (uint8_t)i->imm;
	uint32_t v;

	AVX_CHECK(c, i);
	v = OPERAND_IS_MEM(i, 2) ? (uint32_t)src_ld(c, i, 4) : VREG(c, i, 2).d[imm >> 6];
	avx_set128(d, XREG(c, i, 1));
	d->d[imm >> 4 & 3] = v;
	for (unsigned n = 0; n < 4; n++)
		if (imm & (1u << n))
			d->d[n] = 0;
	NEXT(i);
}
static insn_fn bind_insertps(const struct insn *i) { return insertps; }

/* --- lanes of 128 bits --- */
HANDLER(extract128_r)
{
	AVX_CHECK(c, i);
	avx_set128(&VREG(c, i, 0), ((v128 *)&VREG(c, i, 1))[i->imm & 1]);
	NEXT(i);
}
HANDLER(extract128_m)
{
	AVX_CHECK(c, i);
	fp_st16(c, i, ((v128 *)&VREG(c, i, 1))[i->imm & 1], false);
	NEXT(i);
}
HOT void insert128(struct cpu *c, const struct insn *i, v128 v)
{
	union vreg *d = &VREG(c, i, 0);

	COPY(256, &VREG(c, i, 1), d);
	((v128 *)d)[i->imm & 1] = v;
}
HANDLER(insert128_r)
{
	AVX_CHECK(c, i);
	insert128(c, i, XREG(c, i, 2));
	NEXT(i);
}
HANDLER(insert128_m)
{
	AVX_CHECK(c, i);
	insert128(c, i, fp_ld16u(c, i));
	NEXT(i);
}
HANDLER(broadcast128)
{
	v128 v;
	AVX_CHECK(c, i);
	v = fp_ld16u(c, i);
	((v128 *)&VREG(c, i, 0))[0] = ((v128 *)&VREG(c, i, 0))[1] = v;
	NEXT(i);
}
static insn_fn bind_extract128(const struct insn *i) { return OPERAND_IS_MEM(i, 0) ? extract128_m : extract128_r; }
static insn_fn bind_insert128(const struct insn *i) { return OPERAND_IS_MEM(i, 2) ? insert128_m : insert128_r; }
static insn_fn bind_broadcast128(const struct insn *i) { return broadcast128; }

/* --- sign bits into a general register --- */
#define MOVMSK(name, mnem) \
	HANDLER(name) \
	{ \
		uint32_t r; \
		AVX_CHECK(c, i); \
		if (i->vl == 32) \
			__asm__ volatile("vmovdqu %1, %%ymm0\n\t" mnem " %%ymm0, %0\n\tvzeroupper" \
			                 : "=r"(r) : AVX_IN(&VREG(c, i, 1), 32) : "xmm0"); \
		else \
			__asm__ volatile("vmovdqu %1, %%xmm0\n\t" mnem " %%xmm0, %0" \
			                 : "=r"(r) : AVX_IN(&VREG(c, i, 1), 16) : "xmm0"); \
		W32(c, i->o[0].reg, r); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return name; }
MOVMSK(vpmovmskb, "vpmovmskb")
MOVMSK(vmovmskps, "vmovmskps")
MOVMSK(vmovmskpd, "vmovmskpd")

/* --- VZEROUPPER, VZEROALL: registers 0 to 7 only outside 64-bit mode --- */
HANDLER(vzeroupper)
{
	AVX_CHECK(c, i);
	for (unsigned n = 0, end = c->code == CODE_64 ? 16 : 8; n < end; n++)
		((v128 *)&c->fpu.v[n])[1] = (v128){ 0, 0 };
	NEXT(i);
}
HANDLER(vzeroall)
{
	AVX_CHECK(c, i);
	for (unsigned n = 0, end = c->code == CODE_64 ? 16 : 8; n < end; n++)
		avx_set128(&c->fpu.v[n], (v128){ 0, 0 });
	NEXT(i);
}
static insn_fn bind_vzeroupper(const struct insn *i) { return vzeroupper; }
static insn_fn bind_vzeroall(const struct insn *i) { return vzeroall; }

const struct op_bind avx_mov_ops[] = {
	{ OP_VMOVAPS, bind_aligned },
	{ OP_VMOVAPD, bind_aligned },
	{ OP_VMOVDQA, bind_aligned },
	{ OP_VMOVNTPS, bind_aligned },
	{ OP_VMOVNTPD, bind_aligned },
	{ OP_VMOVNTDQ, bind_aligned },
	{ OP_VMOVNTDQA, bind_aligned },
	{ OP_VMOVUPS, bind_unaligned },
	{ OP_VMOVUPD, bind_unaligned },
	{ OP_VMOVDQU, bind_unaligned },
	{ OP_VLDDQU, bind_unaligned },
	{ OP_VMOVSS, bind_movss },
	{ OP_VMOVSD, bind_movsd },
	{ OP_VMOVLPS, bind_movl },
	{ OP_VMOVLPD, bind_movl },
	{ OP_VMOVHPS, bind_movh },
	{ OP_VMOVHPD, bind_movh },
	{ OP_VMOVHLPS, bind_movhlps },
	{ OP_VMOVLHPS, bind_movlhps },
	{ OP_VMOVD, bind_movd },
	{ OP_VMOVQ, bind_movq },
	{ OP_VPEXTRB, bind_pextrb },
	{ OP_VPEXTRW, bind_pextrw },
	{ OP_VPEXTRD, bind_pextrd },
	{ OP_VPEXTRQ, bind_pextrq },
	{ OP_VEXTRACTPS, bind_pextrd },
	{ OP_VPINSRB, bind_pinsrb },
	{ OP_VPINSRW, bind_pinsrw },
	{ OP_VPINSRD, bind_pinsrd },
	{ OP_VPINSRQ, bind_pinsrq },
	{ OP_VINSERTPS, bind_insertps },
	{ OP_VEXTRACTF128, bind_extract128 },
	{ OP_VEXTRACTI128, bind_extract128 },
	{ OP_VINSERTF128, bind_insert128 },
	{ OP_VINSERTI128, bind_insert128 },
	{ OP_VBROADCASTF128, bind_broadcast128 },
	{ OP_VBROADCASTI128, bind_broadcast128 },
	{ OP_VPMOVMSKB, bind_vpmovmskb },
	{ OP_VMOVMSKPS, bind_vmovmskps },
	{ OP_VMOVMSKPD, bind_vmovmskpd },
	{ OP_VZEROUPPER, bind_vzeroupper },
	{ OP_VZEROALL, bind_vzeroall },
	{ OP_INVALID, NULL },
};
