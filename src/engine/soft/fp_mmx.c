/* fp_mmx.c - the MMX forms of the SIMD integer operations, and EMMS. */
#include "engine/soft/fp_simd.h"

#define HANDLER(name) static const struct insn *name(struct cpu *c, const struct insn *i)

/* Handlers of every row with an MMX form: register, memory and immediate source */
#define X(...)
#define FP(...)
#define XM(name, mnem, xbytes, mbytes) \
	HANDLER(name##_rr) \
	{ \
		MMX_CHECK(c, i); \
		mmx_touch(c); \
		mmx_write(c, i->o[0].reg, mmx_##name(MREG(c, i, 0), MREG(c, i, 1))); \
		NEXT(i); \
	} \
	HANDLER(name##_rm) \
	{ \
		uint64_t s; \
		MMX_CHECK(c, i); \
		s = mem_ld(c, i, insn_lin(c, i, mbytes, false), mbytes); \
		mmx_touch(c); \
		mmx_write(c, i->o[0].reg, mmx_##name(MREG(c, i, 0), s)); \
		NEXT(i); \
	}
#include "engine/soft/fp_simd.def"
#undef XM

static const struct fp_forms forms[OP_COUNT] = {
#define XM(name, ...) [OP_##name] = { name##_rr, name##_rm },
#include "engine/soft/fp_simd.def"
#undef XM
#undef X
#undef FP
};

#define SHIFT_IMM(name) \
	HANDLER(name##_imm) \
	{ \
		MMX_CHECK(c, i); \
		mmx_touch(c); \
		mmx_write(c, i->o[0].reg, mmx_##name(MREG(c, i, 0), (uint8_t)i->imm)); \
		NEXT(i); \
	}
SHIFT_IMM(PSLLW)
SHIFT_IMM(PSLLD)
SHIFT_IMM(PSLLQ)
SHIFT_IMM(PSRLW)
SHIFT_IMM(PSRLD)
SHIFT_IMM(PSRLQ)
SHIFT_IMM(PSRAW)
SHIFT_IMM(PSRAD)

static insn_fn bind_shift_imm(const struct insn *i)
{
	switch (i->op) {
	case OP_PSLLW: return PSLLW_imm;
	case OP_PSLLD: return PSLLD_imm;
	case OP_PSLLQ: return PSLLQ_imm;
	case OP_PSRLW: return PSRLW_imm;
	case OP_PSRLD: return PSRLD_imm;
	case OP_PSRLQ: return PSRLQ_imm;
	case OP_PSRAW: return PSRAW_imm;
	case OP_PSRAD: return PSRAD_imm;
	default: return NULL;
	}
}

/* --- moves --- */
HANDLER(movq_mm)
{
	MMX_CHECK(c, i);
	mmx_touch(c);
	mmx_write(c, i->o[0].reg, MREG(c, i, 1));
	NEXT(i);
}
HANDLER(ld4)
{
	uint64_t s;
	MMX_CHECK(c, i);
	s = mem_ld(c, i, insn_lin(c, i, 4, false), 4);
	mmx_touch(c);
	mmx_write(c, i->o[0].reg, s);
	NEXT(i);
}
HANDLER(ld8)
{
	uint64_t s;
	MMX_CHECK(c, i);
	s = mem_ld(c, i, insn_lin(c, i, 8, false), 8);
	mmx_touch(c);
	mmx_write(c, i->o[0].reg, s);
	NEXT(i);
}
HANDLER(st4)
{
	MMX_CHECK(c, i);
	mem_st(c, i, insn_lin(c, i, 4, true), 4, (uint32_t)MREG(c, i, 1));
	mmx_touch(c);
	NEXT(i);
}
HANDLER(st8)
{
	MMX_CHECK(c, i);
	mem_st(c, i, insn_lin(c, i, 8, true), 8, MREG(c, i, 1));
	mmx_touch(c);
	NEXT(i);
}
HANDLER(movd_mr)
{
	MMX_CHECK(c, i);
	mmx_touch(c);
	mmx_write(c, i->o[0].reg, R32(c, i->o[1].reg));
	NEXT(i);
}
HANDLER(movq_mr)
{
	MMX_CHECK(c, i);
	mmx_touch(c);
	mmx_write(c, i->o[0].reg, R64(c, i->o[1].reg));
	NEXT(i);
}
HANDLER(movd_rm)
{
	MMX_CHECK(c, i);
	mmx_touch(c);
	W32(c, i->o[0].reg, MREG(c, i, 1));
	NEXT(i);
}
HANDLER(movq_rm)
{
	MMX_CHECK(c, i);
	mmx_touch(c);
	R64(c, i->o[0].reg) = MREG(c, i, 1);
	NEXT(i);
}
static insn_fn bind_move(const struct insn *i, bool q)
{
	switch (i->o[0].kind) {
	case O_MEM: return q ? st8 : st4;
	case O_GPR: return q ? movq_rm : movd_rm;
	case O_MMX: break;
	default: return NULL;
	}
	switch (i->o[1].kind) {
	case O_MEM: return q ? ld8 : ld4;
	case O_GPR: return q ? movq_mr : movd_mr;
	case O_MMX: return movq_mm;
	default: return NULL;
	}
}

/* --- with an immediate --- */
static uint64_t shuffle_words(uint64_t s, unsigned imm)
{
	uint64_t r = 0;
	for (unsigned n = 0; n < 4; n++)
		r |= (s >> ((imm >> 2 * n & 3) * 16) & 0xffff) << 16 * n;
	return r;
}
/* Bytes imm.. of d:s */
static uint64_t align_right(uint64_t d, uint64_t s, unsigned imm)
{
	if (imm >= 16)
		return 0;
	return (uint64_t)(imm >= 8 ? d >> (imm - 8) * 8 : imm ? s >> imm * 8 | d << (64 - imm * 8) : s);
}
#define IMM(name, expr) \
	HANDLER(name##_rr) \
	{ \
		uint64_t d = MREG(c, i, 0), s = MREG(c, i, 1); \
		unsigned imm = (uint8_t)i->imm; \
		MMX_CHECK(c, i); \
		mmx_touch(c); \
		mmx_write(c, i->o[0].reg, expr); \
		(void)d; \
		NEXT(i); \
	} \
	HANDLER(name##_rm) \
	{ \
		uint64_t d = MREG(c, i, 0), s; \
		unsigned imm = (uint8_t)i->imm; \
		MMX_CHECK(c, i); \
		s = mem_ld(c, i, insn_lin(c, i, 8, false), 8); \
		mmx_touch(c); \
		mmx_write(c, i->o[0].reg, expr); \
		(void)d; \
		NEXT(i); \
	}
IMM(PSHUFW, shuffle_words(s, imm))
IMM(PALIGNR, align_right(d, s, imm))

HANDLER(pinsrw_r)
{
	unsigned sh = (unsigned)(i->imm & 3) * 16;
	MMX_CHECK(c, i);
	mmx_touch(c);
	mmx_write(c, i->o[0].reg, (MREG(c, i, 0) & ~(0xffffull << sh)) | (uint64_t)R16(c, i->o[1].reg) << sh);
	NEXT(i);
}
HANDLER(pinsrw_m)
{
	unsigned sh = (unsigned)(i->imm & 3) * 16;
	uint64_t s;
	MMX_CHECK(c, i);
	s = mem_ld(c, i, insn_lin(c, i, 2, false), 2);
	mmx_touch(c);
	mmx_write(c, i->o[0].reg, (MREG(c, i, 0) & ~(0xffffull << sh)) | s << sh);
	NEXT(i);
}
HANDLER(pextrw)
{
	MMX_CHECK(c, i);
	mmx_touch(c);
	W32(c, i->o[0].reg, MREG(c, i, 1) >> (i->imm & 3) * 16 & 0xffff);
	NEXT(i);
}
HANDLER(pmovmskb)
{
	MMX_CHECK(c, i);
	mmx_touch(c);
	W32(c, i->o[0].reg, simd_PMOVMSKB((v128){ MREG(c, i, 1), 0 }));
	NEXT(i);
}

insn_fn fp_mmx_bind(const struct insn *i)
{
	switch (i->op) {
	case OP_MOVD: return bind_move(i, false);
	case OP_MOVQ: return bind_move(i, true);
	case OP_PALIGNR: return OPERAND_IS_MEM(i, 1) ? PALIGNR_rm : PALIGNR_rr;
	case OP_PINSRW: return OPERAND_IS_MEM(i, 1) ? pinsrw_m : pinsrw_r;
	case OP_PEXTRW: return pextrw;
	case OP_PMOVMSKB: return pmovmskb;
	default: return i->o[1].kind == O_IMM ? bind_shift_imm(i) : fp_pick(&forms[i->op], i);
	}
}

HANDLER(emms)
{
	MMX_CHECK(c, i);
	c->fpu.ftw = 0;
	c->fpu.fsw &= (uint16_t)~0x3800;
	NEXT(i);
}
static insn_fn bind_emms(const struct insn *i) { return emms; }
static insn_fn bind_pshufw(const struct insn *i) { return OPERAND_IS_MEM(i, 1) ? PSHUFW_rm : PSHUFW_rr; }
static insn_fn bind_movntq(const struct insn *i) { return st8; }

/* The operations shared with XMM registers are bound by way of fp_sse_int_ops and fp_sse_mov_ops */
const struct op_bind fp_mmx_ops[] = {
	{ OP_EMMS, bind_emms },
	{ OP_PSHUFW, bind_pshufw },
	{ OP_MOVNTQ, bind_movntq },
	{ OP_INVALID, NULL },
};
