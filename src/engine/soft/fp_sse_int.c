/* fp_sse_int.c - SIMD operations on XMM registers that do not look at MXCSR: integers, logic,
 * shuffles, AES, SHA. MMX forms are handed to fp_mmx.c. */
#include "engine/soft/fp_simd.h"

#define HANDLER(name) static const struct insn *name(struct cpu *c, const struct insn *i)

/* --- d = op(d, s): the rows of fp_simd.def --- */
#define FP(...)
#define XM(name, mnem, xbytes, mbytes) X(name, mnem, xbytes)
#define X(name, mnem, bytes) \
	HANDLER(name##_rr) \
	{ \
		SSE_CHECK(c, i); \
		XREG(c, i, 0) = simd_##name(XREG(c, i, 0), XREG(c, i, 1)); \
		NEXT(i); \
	} \
	FP_SLOW_HANDLER(name##_rm_slow) \
	{ \
		v128 s; \
		SSE_CHECK(c, i); \
		s = fp_ld(c, i, bytes); \
		XREG(c, i, 0) = simd_##name(XREG(c, i, 0), s); \
		NEXT(i); \
	} \
	HANDLER(name##_rm) \
	{ \
		const void *p = fp_fast(c, i, c->tlb->r, bytes, bytes == 16 ? 16 : 1); \
		if (unlikely(!p || c->fp_sse_trap)) \
			return name##_rm_slow(c, i); \
		XREG(c, i, 0) = simd_##name(XREG(c, i, 0), fp_fast_get(p, bytes)); \
		NEXT(i); \
	}
#include "engine/soft/fp_simd.def"
#undef X
#undef XM

static const struct fp_forms forms[OP_COUNT] = {
#define X(name, ...) [OP_##name] = { name##_rr, name##_rm },
#define XM(name, ...) [OP_##name] = { name##_rr, name##_rm },
#include "engine/soft/fp_simd.def"
#undef X
#undef XM
};

static insn_fn bind_simd(const struct insn *i)
{
	return i->o[0].kind == O_MMX ? fp_mmx_bind(i) : fp_pick(&forms[i->op], i);
}

/* --- shifts by an immediate: the register form with the count in a register --- */
#define SHIFT_IMM(name) \
	HANDLER(name##_imm) \
	{ \
		SSE_CHECK(c, i); \
		XREG(c, i, 0) = simd_##name(XREG(c, i, 0), (v128){ (uint8_t)i->imm, 0 }); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) \
	{ \
		return i->o[0].kind == O_XMM && i->o[1].kind == O_IMM ? name##_imm : bind_simd(i); \
	}
SHIFT_IMM(PSLLW)
SHIFT_IMM(PSLLD)
SHIFT_IMM(PSLLQ)
SHIFT_IMM(PSRLW)
SHIFT_IMM(PSRLD)
SHIFT_IMM(PSRLQ)
SHIFT_IMM(PSRAW)
SHIFT_IMM(PSRAD)

typedef unsigned __int128 u128;
static inline u128 to_u128(v128 v) { return (u128)v[1] << 64 | v[0]; }
static inline v128 from_u128(u128 v) { return (v128){ (uint64_t)v, (uint64_t)(v >> 64) }; }

HANDLER(pslldq)
{
	unsigned n = (uint8_t)i->imm;
	SSE_CHECK(c, i);
	XREG(c, i, 0) = from_u128(n > 15 ? 0 : to_u128(XREG(c, i, 0)) << n * 8);
	NEXT(i);
}
HANDLER(psrldq)
{
	unsigned n = (uint8_t)i->imm;
	SSE_CHECK(c, i);
	XREG(c, i, 0) = from_u128(n > 15 ? 0 : to_u128(XREG(c, i, 0)) >> n * 8);
	NEXT(i);
}
static insn_fn bind_pslldq(const struct insn *i) { return pslldq; }
static insn_fn bind_psrldq(const struct insn *i) { return psrldq; }

/* --- d = op(d, s, imm) --- */
static inline v128 do_pshufd(v128 d, v128 s, unsigned imm)
{
	v128d v = (v128d)s;
	return (v128)(v128d){ v[imm & 3], v[imm >> 2 & 3], v[imm >> 4 & 3], v[imm >> 6] };
}
static inline uint64_t shuffle_words(uint64_t s, unsigned imm)
{
	return (s >> (imm & 3) * 16 & 0xffff) | (s >> (imm >> 2 & 3) * 16 & 0xffff) << 16 |
	       (s >> (imm >> 4 & 3) * 16 & 0xffff) << 32 | s >> (imm >> 6) * 16 << 48;
}
static inline v128 do_pshuflw(v128 d, v128 s, unsigned imm) { return (v128){ shuffle_words(s[0], imm), s[1] }; }
static inline v128 do_pshufhw(v128 d, v128 s, unsigned imm) { return (v128){ s[0], shuffle_words(s[1], imm) }; }
static inline v128 do_shufps(v128 d, v128 s, unsigned imm)
{
	v128d a = (v128d)d, b = (v128d)s;
	return (v128)(v128d){ a[imm & 3], a[imm >> 2 & 3], b[imm >> 4 & 3], b[imm >> 6] };
}
static inline v128 do_shufpd(v128 d, v128 s, unsigned imm) { return (v128){ d[imm & 1], s[imm >> 1 & 1] }; }
static inline v128 do_palignr(v128 d, v128 s, unsigned imm)
{
	u128 hi = to_u128(d), lo = to_u128(s);
	if (imm >= 32)
		return (v128){ 0, 0 };
	return from_u128(imm >= 16 ? hi >> (imm - 16) * 8 : imm ? lo >> imm * 8 | hi << (128 - imm * 8) : lo);
}
static inline v128 select_v128(v128 d, v128 s, v128 mask) { return (d & ~mask) | (s & mask); }
static inline v128 do_pblendw(v128 d, v128 s, unsigned imm)
{
	const v128w bit = { 1, 2, 4, 8, 16, 32, 64, 128 };
	uint16_t m = (uint16_t)imm;
	return select_v128(d, s, (v128)(((v128w){ m, m, m, m, m, m, m, m } & bit) == bit));
}
static inline v128 do_blendps(v128 d, v128 s, unsigned imm)
{
	const v128d bit = { 1, 2, 4, 8 };
	return select_v128(d, s, (v128)(((v128d){ imm, imm, imm, imm } & bit) == bit));
}
static inline v128 do_blendpd(v128 d, v128 s, unsigned imm)
{
	return (v128){ imm & 1 ? s[0] : d[0], imm & 2 ? s[1] : d[1] };
}
static inline v128 do_mpsadbw(v128 d, v128 s, unsigned imm) { return simd_MPSADBW(d, s, imm); }
static inline v128 do_sha1rnds4(v128 d, v128 s, unsigned imm) { return simd_SHA1RNDS4(d, s, imm); }
static inline v128 do_pclmulqdq(v128 d, v128 s, unsigned imm)
{
	return simd_PCLMUL_LL((v128){ d[imm & 1], 0 }, (v128){ s[imm >> 4 & 1], 0 });
}
static inline v128 do_aeskeygenassist(v128 d, v128 s, unsigned imm)
{
	return simd_AESKEYGEN0(s) ^ (v128){ (uint64_t)imm << 32, (uint64_t)imm << 32 };
}

#define IMM_RR(name) \
	HANDLER(name##_rr) \
	{ \
		SSE_CHECK(c, i); \
		XREG(c, i, 0) = do_##name(XREG(c, i, 0), XREG(c, i, 1), (uint8_t)i->imm); \
		NEXT(i); \
	}
#define IMM_OP(name) \
	IMM_RR(name) \
	HANDLER(name##_rm) \
	{ \
		v128 s; \
		SSE_CHECK(c, i); \
		s = fp_ld16a(c, i); \
		XREG(c, i, 0) = do_##name(XREG(c, i, 0), s, (uint8_t)i->imm); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) \
	{ \
		return i->o[0].kind == O_MMX ? fp_mmx_bind(i) : OPERAND_IS_MEM(i, 1) ? name##_rm : name##_rr; \
	}
IMM_OP(pshufd)
IMM_OP(pshuflw)
IMM_OP(pshufhw)
IMM_OP(shufps)
IMM_OP(shufpd)
IMM_OP(palignr)
IMM_OP(pblendw)
IMM_OP(blendps)
IMM_OP(blendpd)
IMM_OP(mpsadbw)
IMM_OP(sha1rnds4)
IMM_OP(pclmulqdq)
IMM_OP(aeskeygenassist)

/* --- d = op(d, s, XMM0) --- */
#define XMM0_OP(name) \
	HANDLER(name##_rr) \
	{ \
		SSE_CHECK(c, i); \
		XREG(c, i, 0) = simd_##name(XREG(c, i, 0), XREG(c, i, 1), *(v128 *)&c->fpu.v[0]); \
		NEXT(i); \
	} \
	HANDLER(name##_rm) \
	{ \
		v128 s; \
		SSE_CHECK(c, i); \
		s = fp_ld16a(c, i); \
		XREG(c, i, 0) = simd_##name(XREG(c, i, 0), s, *(v128 *)&c->fpu.v[0]); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return OPERAND_IS_MEM(i, 1) ? name##_rm : name##_rr; }
XMM0_OP(PBLENDVB)
XMM0_OP(BLENDVPS)
XMM0_OP(BLENDVPD)
XMM0_OP(SHA256RNDS2)

/* --- PTEST --- */
static void ptest(struct cpu *c, v128 d, v128 s)
{
	v128 a = d & s, n = ~d & s;
	cc_flags(c, ((a[0] | a[1]) ? 0 : FL_ZF) | ((n[0] | n[1]) ? 0 : FL_CF));
}
HANDLER(ptest_rr)
{
	SSE_CHECK(c, i);
	ptest(c, XREG(c, i, 0), XREG(c, i, 1));
	NEXT(i);
}
HANDLER(ptest_rm)
{
	SSE_CHECK(c, i);
	ptest(c, XREG(c, i, 0), fp_ld16a(c, i));
	NEXT(i);
}
static insn_fn bind_ptest(const struct insn *i) { return OPERAND_IS_MEM(i, 1) ? ptest_rm : ptest_rr; }

/* --- single elements --- */
HANDLER(pmovmskb)
{
	SSE_CHECK(c, i);
	W32(c, i->o[0].reg, simd_PMOVMSKB(XREG(c, i, 1)));
	NEXT(i);
}
static insn_fn bind_pmovmskb(const struct insn *i) { return i->o[1].kind == O_MMX ? fp_mmx_bind(i) : pmovmskb; }

#define EXTRACT(name, bytes, elem, count) \
	HANDLER(name##_r) \
	{ \
		SSE_CHECK(c, i); \
		R64(c, i->o[0].reg) = VREG(c, i, 1).elem[i->imm & (count - 1)]; \
		NEXT(i); \
	} \
	HANDLER(name##_m) \
	{ \
		SSE_CHECK(c, i); \
		mem_st(c, i, insn_lin(c, i, bytes, true), bytes, VREG(c, i, 1).elem[i->imm & (count - 1)]); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) \
	{ \
		return i->o[1].kind == O_MMX ? fp_mmx_bind(i) : OPERAND_IS_MEM(i, 0) ? name##_m : name##_r; \
	}
EXTRACT(pextrb, 1, b, 16)
EXTRACT(pextrw, 2, w, 8)
EXTRACT(pextrd, 4, d, 4)
EXTRACT(pextrq, 8, q, 2)

#define INSERT(name, bytes, elem, count, GPR) \
	HANDLER(name##_r) \
	{ \
		SSE_CHECK(c, i); \
		VREG(c, i, 0).elem[i->imm & (count - 1)] = GPR(c, i->o[1].reg & 0xf8); \
		NEXT(i); \
	} \
	HANDLER(name##_m) \
	{ \
		uint64_t v; \
		SSE_CHECK(c, i); \
		v = mem_ld(c, i, insn_lin(c, i, bytes, false), bytes); \
		VREG(c, i, 0).elem[i->imm & (count - 1)] = (__typeof__(VREG(c, i, 0).elem[0]))v; \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) \
	{ \
		return i->o[0].kind == O_MMX ? fp_mmx_bind(i) : OPERAND_IS_MEM(i, 1) ? name##_m : name##_r; \
	}
INSERT(pinsrb, 1, b, 16, R8)
INSERT(pinsrw, 2, w, 8, R16)
INSERT(pinsrd, 4, d, 4, R32)
INSERT(pinsrq, 8, q, 2, R64)

/* imm: source element 7:6 (registers only), destination element 5:4, elements to clear 3:0 */
static inline void insertps(union vreg *d, uint32_t v, unsigned imm)
{
	d->d[imm >> 4 & 3] = v;
	for (unsigned n = 0; n < 4; n++)
		if (imm & (1u << n))
			d->d[n] = 0;
}
HANDLER(insertps_rr)
{
	SSE_CHECK(c, i);
	insertps(&VREG(c, i, 0), VREG(c, i, 1).d[i->imm >> 6 & 3], (uint8_t)i->imm);
	NEXT(i);
}
HANDLER(insertps_rm)
{
	SSE_CHECK(c, i);
	insertps(&VREG(c, i, 0), (uint32_t)mem_ld(c, i, insn_lin(c, i, 4, false), 4), (uint8_t)i->imm);
	NEXT(i);
}
static insn_fn bind_insertps(const struct insn *i) { return OPERAND_IS_MEM(i, 1) ? insertps_rm : insertps_rr; }

const struct op_bind fp_sse_int_ops[] = {
#define X(name, ...) { OP_##name, bind_simd },
#define XM(name, ...) { OP_##name, bind_simd },
#include "engine/soft/fp_simd.def"
#undef X
#undef XM
	/* These override the rows above */
	{ OP_PSLLW, bind_PSLLW },
	{ OP_PSLLD, bind_PSLLD },
	{ OP_PSLLQ, bind_PSLLQ },
	{ OP_PSRLW, bind_PSRLW },
	{ OP_PSRLD, bind_PSRLD },
	{ OP_PSRLQ, bind_PSRLQ },
	{ OP_PSRAW, bind_PSRAW },
	{ OP_PSRAD, bind_PSRAD },

	{ OP_PSLLDQ, bind_pslldq },
	{ OP_PSRLDQ, bind_psrldq },
	{ OP_PSHUFD, bind_pshufd },
	{ OP_PSHUFLW, bind_pshuflw },
	{ OP_PSHUFHW, bind_pshufhw },
	{ OP_SHUFPS, bind_shufps },
	{ OP_SHUFPD, bind_shufpd },
	{ OP_PALIGNR, bind_palignr },
	{ OP_PBLENDW, bind_pblendw },
	{ OP_BLENDPS, bind_blendps },
	{ OP_BLENDPD, bind_blendpd },
	{ OP_PBLENDVB, bind_PBLENDVB },
	{ OP_BLENDVPS, bind_BLENDVPS },
	{ OP_BLENDVPD, bind_BLENDVPD },
	{ OP_MPSADBW, bind_mpsadbw },
	{ OP_PTEST, bind_ptest },
	{ OP_PMOVMSKB, bind_pmovmskb },
	{ OP_PEXTRB, bind_pextrb },
	{ OP_PEXTRW, bind_pextrw },
	{ OP_PEXTRD, bind_pextrd },
	{ OP_PEXTRQ, bind_pextrq },
	{ OP_EXTRACTPS, bind_pextrd },
	{ OP_PINSRB, bind_pinsrb },
	{ OP_PINSRW, bind_pinsrw },
	{ OP_PINSRD, bind_pinsrd },
	{ OP_PINSRQ, bind_pinsrq },
	{ OP_INSERTPS, bind_insertps },
	{ OP_SHA1RNDS4, bind_sha1rnds4 },
	{ OP_SHA256RNDS2, bind_SHA256RNDS2 },
	{ OP_PCLMULQDQ, bind_pclmulqdq },
	{ OP_AESKEYGENASSIST, bind_aeskeygenassist },
	{ OP_INVALID, NULL },
};
