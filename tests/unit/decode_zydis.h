/* decode_zydis.h - compares our decoder with Zydis, an independent one (tests only).
 *
 * zy_compare() decodes the same bytes with both and describes the first difference. What is not
 * counted as one is listed here, explicitly: instruction sets that we do not have, and the few
 * places where the two follow different documents. */
#ifndef DECODE_ZYDIS_H
#define DECODE_ZYDIS_H

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/soft/insn.h"

struct zy {
	ZydisDecoder dec[3];
	unsigned long both, only_zydis[ZYDIS_ISA_SET_MAX_VALUE + 1], neither;
};

/* What we do not offer, in no guest's CPUID */
static const ZydisISASet zy_unsupported[] = {
	/* AMD's and VIA's own */
	ZYDIS_ISA_SET_AMD3DNOW,
	ZYDIS_ISA_SET_AMD_INVLPGB,
	ZYDIS_ISA_SET_CLZERO,
	ZYDIS_ISA_SET_LWP,
	ZYDIS_ISA_SET_FMA4,
	ZYDIS_ISA_SET_MCOMMIT,
	ZYDIS_ISA_SET_MONITORX,
	ZYDIS_ISA_SET_RDPRU,
	ZYDIS_ISA_SET_SNP,
	ZYDIS_ISA_SET_SSE4A,
	ZYDIS_ISA_SET_SVM,
	ZYDIS_ISA_SET_TBM,
	ZYDIS_ISA_SET_XOP,
	ZYDIS_ISA_SET_PADLOCK_ACE,
	ZYDIS_ISA_SET_PADLOCK_PHE,
	ZYDIS_ISA_SET_PADLOCK_PMM,
	ZYDIS_ISA_SET_PADLOCK_RNG,
	/* Virtualisation, enclaves, trusted execution, tracing, transactions, shadow stacks, user interrupts */
	ZYDIS_ISA_SET_VTX,
	ZYDIS_ISA_SET_VMFUNC,
	ZYDIS_ISA_SET_SGX,
	ZYDIS_ISA_SET_SGX_ENCLV,
	ZYDIS_ISA_SET_SMX,
	ZYDIS_ISA_SET_TDX,
	ZYDIS_ISA_SET_PCONFIG,
	ZYDIS_ISA_SET_PT,
	ZYDIS_ISA_SET_RTM,
	ZYDIS_ISA_SET_TSX_LDTRK,
	ZYDIS_ISA_SET_CET,
	ZYDIS_ISA_SET_UINTR,
	ZYDIS_ISA_SET_KEYLOCKER,
	ZYDIS_ISA_SET_KEYLOCKER_WIDE,
	ZYDIS_ISA_SET_ENQCMD,
	ZYDIS_ISA_SET_MOVDIR,
	ZYDIS_ISA_SET_SERIALIZE,
	ZYDIS_ISA_SET_HRESET,
	ZYDIS_ISA_SET_WAITPKG,
	/* Vector extensions beyond AVX2 with FMA and F16C, and Knights Corner's */
	ZYDIS_ISA_SET_GFNI,
	ZYDIS_ISA_SET_AVX_GFNI,
	ZYDIS_ISA_SET_AVX_VNNI,
	ZYDIS_ISA_SET_AMX_BF16,
	ZYDIS_ISA_SET_AMX_INT8,
	ZYDIS_ISA_SET_AMX_TILE,
	ZYDIS_ISA_SET_KNCE,
	ZYDIS_ISA_SET_KNCJKBR,
	ZYDIS_ISA_SET_KNCSTREAM,
	ZYDIS_ISA_SET_KNCV,
	ZYDIS_ISA_SET_KNC_MISC,
	ZYDIS_ISA_SET_KNC_PF_HINT,
};

static inline bool zy_isa_unsupported(ZydisISASet isa)
{
	/* AVX-512 comes in many parts, neighbours in the enumeration */
	if (isa >= ZYDIS_ISA_SET_AVX512BW_128 && isa <= ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_512)
		return true;
	for (size_t k = 0; k < ARRAY_LEN(zy_unsupported); k++)
		if (zy_unsupported[k] == isa)
			return true;
	return false;
}

static inline void zy_init(struct zy *z)
{
	static const ZydisMachineMode mode[3] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32,
						  ZYDIS_MACHINE_MODE_LONG_64 };
	static const ZydisStackWidth stack[3] = { ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_64 };
	memset(z, 0, sizeof(*z));
	for (int k = 0; k < 3; k++) {
		ZydisDecoderInit(&z->dec[k], mode[k], stack[k]);
		/* Without these extensions their encodings are hint NOPs, as for us */
		ZydisDecoderEnableMode(&z->dec[k], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		ZydisDecoderEnableMode(&z->dec[k], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
		ZydisDecoderEnableMode(&z->dec[k], ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	}
}

/* Our mnemonic in Zydis' spelling, where it follows a rule: conditions, size suffixes */
static inline void zy_spell(const struct insn *i, char *name, size_t size)
{
	static const char *const cond[16] = { "o", "no", "b", "nb", "z", "nz", "be", "nbe",
					      "s", "ns", "p", "np", "l", "nl", "le", "nle" };
	static const char *const suffix[9] = { [1] = "b", [2] = "w", [4] = "d", [8] = "q" };
	int o = i->osz == 2 ? 0 : i->osz == 4 ? 1 : 2, a = i->asz == 2 ? 0 : i->asz == 4 ? 1 : 2;
	const char *base = op_info[i->op].name, *s = "";
	switch (i->op) {
	case OP_JCC:
	case OP_SETCC:
	case OP_CMOVCC: s = cond[i->cc]; break;
	case OP_MOVS:
	case OP_CMPS:
	case OP_STOS:
	case OP_LODS:
	case OP_SCAS:
	case OP_INS:
	case OP_OUTS: s = suffix[i->o[0].size]; break;
	case OP_CBW: base = ((const char *const[]){ "cbw", "cwde", "cdqe" })[o]; break;
	case OP_CWD: base = ((const char *const[]){ "cwd", "cdq", "cqo" })[o]; break;
	case OP_PUSHF:
	case OP_POPF:
	case OP_IRET:
	case OP_PUSHA:
	case OP_POPA: s = ((const char *const[]){ "", "d", "q" })[o]; break;
	case OP_JMPF: base = "jmp"; break;
	case OP_CALLF: base = "call"; break;
	case OP_RETF: base = "ret"; break;
	case OP_JRCXZ: base = ((const char *const[]){ "jcxz", "jecxz", "jrcxz" })[a]; break;
	}
	snprintf(name, size, "%s%s", base, s);
}

/* Other names for the same thing */
static const struct {
	uint16_t op;
	const char *zydis;
} zy_alias[] = {
	{ OP_FXSAVE, "fxsave64" },      { OP_FXRSTOR, "fxrstor64" },    { OP_XSAVE, "xsave64" },
	{ OP_XSAVEC, "xsavec64" },      { OP_XSAVEOPT, "xsaveopt64" },  { OP_XSAVES, "xsaves64" },
	{ OP_XRSTOR, "xrstor64" },      { OP_XRSTORS, "xrstors64" },    { OP_PREFETCH, "prefetchw" },
	{ OP_PREFETCH, "prefetchwt1" }, { OP_PREFETCH, "prefetchnta" }, { OP_PREFETCH, "prefetcht0" },
	{ OP_PREFETCH, "prefetcht1" },  { OP_PREFETCH, "prefetcht2" },  { OP_FNOP, "fdisi8087_nop" },
	{ OP_FNOP, "feni8087_nop" },    { OP_FNOP, "fsetpm287_nop" },   { OP_FSTP, "fstpnce" },
};

/* Where operands may differ, and why */
enum {
	ZY_ARITH = ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF | ZYDIS_CPUFLAG_AF | ZYDIS_CPUFLAG_ZF | ZYDIS_CPUFLAG_SF |
		   ZYDIS_CPUFLAG_OF
};
enum { ZY_SIZE = 1, ZY_RW = 2, ZY_OPERANDS = 4 };
static const struct {
	uint16_t op;
	uint8_t what;
} zy_lenient[] = {
	/* Operands of no effect */
	{ OP_NOP, ZY_OPERANDS },
	{ OP_UD0, ZY_OPERANDS },
	{ OP_UD1, ZY_OPERANDS },
	{ OP_FFREE, ZY_RW },
	{ OP_FFREEP, ZY_RW },
	/* Areas whose size is the operation's business, and addresses without an access */
	{ OP_FXSAVE, ZY_SIZE },
	{ OP_FXRSTOR, ZY_SIZE },
	{ OP_XSAVE, ZY_SIZE },
	{ OP_XSAVEC, ZY_SIZE },
	{ OP_XSAVEOPT, ZY_SIZE },
	{ OP_XSAVES, ZY_SIZE },
	{ OP_XRSTOR, ZY_SIZE },
	{ OP_XRSTORS, ZY_SIZE },
	{ OP_FNSAVE, ZY_SIZE },
	{ OP_FRSTOR, ZY_SIZE },
	{ OP_FNSTENV, ZY_SIZE },
	{ OP_FLDENV, ZY_SIZE },
	{ OP_CLFLUSH, ZY_SIZE | ZY_RW },
	{ OP_CLFLUSHOPT, ZY_SIZE | ZY_RW },
	{ OP_CLWB, ZY_SIZE | ZY_RW },
	{ OP_PREFETCH, ZY_SIZE | ZY_RW },
	{ OP_INVLPG, ZY_SIZE | ZY_RW },
	{ OP_LEA, ZY_SIZE },
	/* The destination keeps its value sometimes, so ours is read too */
	{ OP_CMOVCC, ZY_RW },
	{ OP_BSF, ZY_RW },
	{ OP_BSR, ZY_RW },
	{ OP_LAR, ZY_RW },
	{ OP_FCMOVB, ZY_RW },
	{ OP_FCMOVE, ZY_RW },
	{ OP_FCMOVBE, ZY_RW },
	{ OP_FCMOVU, ZY_RW },
	{ OP_FCMOVNB, ZY_RW },
	{ OP_FCMOVNE, ZY_RW },
	{ OP_FCMOVNBE, ZY_RW },
	{ OP_FCMOVNU, ZY_RW },
	/* Ours name the part that is written, so nothing is read */
	{ OP_CVTSI2SS, ZY_RW },
	{ OP_CVTSI2SD, ZY_RW },
	/* Zydis counts the bytes used, we those accessed (and checked for alignment), or the register */
	{ OP_PUNPCKLBW, ZY_SIZE },
	{ OP_PUNPCKLWD, ZY_SIZE },
	{ OP_PUNPCKLDQ, ZY_SIZE },
	{ OP_PUNPCKLQDQ, ZY_SIZE },
	{ OP_PUNPCKHBW, ZY_SIZE },
	{ OP_PUNPCKHWD, ZY_SIZE },
	{ OP_PUNPCKHDQ, ZY_SIZE },
	{ OP_PUNPCKHQDQ, ZY_SIZE },
	{ OP_UNPCKLPS, ZY_SIZE },
	{ OP_UNPCKLPD, ZY_SIZE },
	{ OP_UNPCKHPS, ZY_SIZE },
	{ OP_UNPCKHPD, ZY_SIZE },
	{ OP_MOVHLPS, ZY_SIZE },
	{ OP_MOVHPS, ZY_SIZE | ZY_RW },
	{ OP_MOVHPD, ZY_SIZE | ZY_RW },
	{ OP_MOVLHPS, ZY_SIZE | ZY_RW },
	{ OP_VMOVHPS, ZY_SIZE },
	{ OP_VMOVHPD, ZY_SIZE },
	{ OP_VMOVLHPS, ZY_SIZE },
	{ OP_VUCOMISS, ZY_SIZE },
	{ OP_VUCOMISD, ZY_SIZE },
	{ OP_VPSRLW, ZY_SIZE },
	{ OP_VPSRLD, ZY_SIZE },
	{ OP_VPSRLQ, ZY_SIZE },
	{ OP_VPSRAW, ZY_SIZE },
	{ OP_VPSRAD, ZY_SIZE },
	{ OP_VPSLLW, ZY_SIZE },
	{ OP_VPSLLD, ZY_SIZE },
	{ OP_VPSLLQ, ZY_SIZE },
	{ OP_VBROADCASTSS, ZY_SIZE },
	{ OP_VBROADCASTSD, ZY_SIZE },
	{ OP_VEXTRACTF128, ZY_SIZE },
	/* MOVSXD r16 reads 16 bits by the SDM, 32 by older documents */
	{ OP_MOVSXD, ZY_SIZE },
	/* LSL r64 reads a selector: 16 bits of a 32-bit or 64-bit register */
	{ OP_LSL, ZY_SIZE | ZY_RW },
};

static inline unsigned zy_leniency(unsigned op)
{
	for (size_t k = 0; k < ARRAY_LEN(zy_lenient); k++)
		if (zy_lenient[k].op == op)
			return zy_lenient[k].what;
	return 0;
}

static inline bool zy_name_ok(const struct insn *i, const char *zydis)
{
	char name[32];
	zy_spell(i, name, sizeof(name));
	if (!strcmp(name, zydis))
		return true;
	for (size_t k = 0; k < ARRAY_LEN(zy_alias); k++)
		if (zy_alias[k].op == i->op && !strcmp(zy_alias[k].zydis, zydis))
			return true;
	return false;
}

static inline int zy_reg(ZydisRegister r)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(r);
	if (r == ZYDIS_REGISTER_NONE)
		return REG_ZERO;
	if (class == ZYDIS_REGCLASS_IP)
		return REG_IP;
	return ZydisRegisterGetId(r);
}

static inline const char *zy_operand(const struct insn *i, const struct opnd *o, const ZydisDecodedOperand *z,
				     bool second_imm)
{
	static char why[96];
	unsigned kind = O_NONE, reg = 0;
	ZydisRegisterClass class =
		z->type == ZYDIS_OPERAND_TYPE_REGISTER ? ZydisRegisterGetClass(z->reg.value) : ZYDIS_REGCLASS_INVALID;
	switch (z->type) {
	case ZYDIS_OPERAND_TYPE_MEMORY: kind = O_MEM; break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE: kind = z->imm.is_relative ? O_REL : O_IMM; break;
	case ZYDIS_OPERAND_TYPE_POINTER: kind = O_IMM; break;
	case ZYDIS_OPERAND_TYPE_REGISTER:
		reg = (unsigned)ZydisRegisterGetId(z->reg.value);
		switch (class) {
		case ZYDIS_REGCLASS_GPR8:
			kind = O_GPR;
			/* ids run AL CL DL BL, AH CH DH BH, SPL .. DIL, R8B ..; ZydisRegisterGetId gives 4 for AH and
			 * SPL */
			reg = z->reg.value >= ZYDIS_REGISTER_AH && z->reg.value <= ZYDIS_REGISTER_BH
				      ? (unsigned)(z->reg.value - ZYDIS_REGISTER_AH) * 8 + 1
			      : z->reg.value >= ZYDIS_REGISTER_SPL
				      ? (unsigned)(z->reg.value - ZYDIS_REGISTER_SPL + 4) * 8
				      : (unsigned)(z->reg.value - ZYDIS_REGISTER_AL) * 8;
			break;
		case ZYDIS_REGCLASS_GPR16:
		case ZYDIS_REGCLASS_GPR32:
		case ZYDIS_REGCLASS_GPR64:
			kind = O_GPR;
			reg *= 8;
			break;
		case ZYDIS_REGCLASS_SEGMENT: kind = O_SREG; break;
		case ZYDIS_REGCLASS_CONTROL: kind = O_CR; break;
		case ZYDIS_REGCLASS_DEBUG: kind = O_DR; break;
		case ZYDIS_REGCLASS_X87: kind = O_ST; break;
		case ZYDIS_REGCLASS_MMX: kind = O_MMX; break;
		case ZYDIS_REGCLASS_XMM:
		case ZYDIS_REGCLASS_YMM: kind = O_XMM; break;
		default: break;
		}
		break;
	default: break;
	}
	if (o->kind != kind)
		return snprintf(why, sizeof(why), "kind %u, not %u", o->kind, kind), why;
	switch (kind) {
	case O_MEM:
		/* SIB without base (mod 0, base 101b) ignores REX.B (SDM 2A table 2-5); Zydis 4.0 makes it R13D,
		 * without a displacement, when addresses have 32 bits. Processors do as we do. */
		if (i->base == REG_ZERO && z->mem.base == ZYDIS_REGISTER_R13D && i->asz == 4 && i->code == CODE_64)
			break;
		if (i->base != zy_reg(z->mem.base) || i->index != zy_reg(z->mem.index))
			return "base or index";
		if (i->index != REG_ZERO && 1u << i->scale != z->mem.scale)
			return "scale";
		if ((uint64_t)(i->disp ^ z->mem.disp.value) << (64 - 8 * i->asz)) /* moffs: extended either way */
			return snprintf(why, sizeof(why), "disp %llx not %llx", (long long)i->disp,
					(long long)z->mem.disp.value),
			       why;
		if (i->seg != ZydisRegisterGetId(z->mem.segment))
			return snprintf(why, sizeof(why), "segment %u not %d", i->seg,
					ZydisRegisterGetId(z->mem.segment)),
			       why;
		break;
	case O_IMM:
		if (z->type == ZYDIS_OPERAND_TYPE_POINTER) {
			if ((uint32_t)i->imm != z->ptr.offset || i->imm2 != z->ptr.segment)
				return "far pointer";
			return NULL;
		}
		if (second_imm ? i->imm2 != z->imm.value.u : (uint64_t)i->imm != z->imm.value.u)
			return snprintf(why, sizeof(why), "immediate %llx not %llx", (long long)i->imm,
					(long long)z->imm.value.u),
			       why;
		break;
	case O_REL:
		if (i->imm != z->imm.value.s)
			return "displacement";
		break;
	default:
		if (o->reg != reg)
			return snprintf(why, sizeof(why), "register %u not %u", o->reg, reg), why;
		break;
	}
	unsigned lenient = zy_leniency(i->op);
	if (o->size * 8 != z->size && !(lenient & ZY_SIZE))
		return snprintf(why, sizeof(why), "size %u not %u", o->size, z->size / 8), why;
	unsigned rw = (z->actions & (ZYDIS_OPERAND_ACTION_READ | ZYDIS_OPERAND_ACTION_CONDREAD) ? OPND_R : 0u) |
		      (z->actions & (ZYDIS_OPERAND_ACTION_WRITE | ZYDIS_OPERAND_ACTION_CONDWRITE) ? OPND_W : 0u);
	if (o->rw != rw && !(lenient & ZY_RW))
		return snprintf(why, sizeof(why), "rw %u not %u", o->rw, rw), why;
	return NULL;
}

/* Is op_info's view of the flags the same? A flag undefined for some operands only is written and
 * undefined in ours. Where Zydis leaves the SDM, ours is taken as it is. */
static inline bool zy_flags_ok(const struct insn *i, const ZydisAccessedFlags *z)
{
	const struct op_info *f = &op_info[i->op];
	unsigned read = z->tested & ZY_ARITH, undef = z->undefined & ZY_ARITH;
	unsigned write = (z->modified | z->set_0 | z->set_1) & ZY_ARITH;
	switch (i->op) {
	case OP_JCC:
	case OP_SETCC:
	case OP_CMOVCC: /* any condition */
	case OP_INT:
	case OP_INT1:
	case OP_INT3:
	case OP_INTO:
	case OP_SYSCALL: /* RFLAGS is saved */
		if (read & ~(unsigned)f->flags_read)
			return false;
		break;
	case OP_CMPS:
	case OP_SCAS: /* REPE looks at the ZF just made */ break;
	default:
		if (read != f->flags_read)
			return false;
	}
	switch (i->op) {
	case OP_SBB:
	case OP_VMCALL:
	case OP_VPTEST:
	case OP_VTESTPS:
	case OP_VTESTPD:
	case OP_BEXTR:
	case OP_MOV_TO_CR:
	case OP_MOV_FROM_CR:
	case OP_MOV_TO_DR:
	case OP_MOV_FROM_DR: return true;
	}
	return (write | undef) == (unsigned)(f->flags_write | f->flags_undef) && !(undef & ~(unsigned)f->flags_undef);
}

/* Zydis' instruction sets and our features. Those not listed are part of every x86-64 processor. */
static const struct {
	uint8_t isa, feature;
} zy_features[] = {
	{ ZYDIS_ISA_SET_X87, F_X87 },           { ZYDIS_ISA_SET_FCMOV, F_X87 },
	{ ZYDIS_ISA_SET_PENTIUMMMX, F_MMX },    { ZYDIS_ISA_SET_SSE, F_SSE },
	{ ZYDIS_ISA_SET_SSEMXCSR, F_SSE },      { ZYDIS_ISA_SET_FXSAVE, F_SSE },
	{ ZYDIS_ISA_SET_FXSAVE64, F_SSE },      { ZYDIS_ISA_SET_SSE2, F_SSE2 },
	{ ZYDIS_ISA_SET_SSE2MMX, F_SSE2 },      { ZYDIS_ISA_SET_SSE3, F_SSE3 },
	{ ZYDIS_ISA_SET_SSE3X87, F_SSE3 },      { ZYDIS_ISA_SET_SSSE3, F_SSSE3 },
	{ ZYDIS_ISA_SET_SSSE3MMX, F_SSSE3 },    { ZYDIS_ISA_SET_SSE4, F_SSE41 },
	{ ZYDIS_ISA_SET_SSE42, F_SSE42 },       { ZYDIS_ISA_SET_POPCNT, F_POPCNT },
	{ ZYDIS_ISA_SET_CMPXCHG16B, F_CX16 },   { ZYDIS_ISA_SET_RDWRFSGS, F_FSGSBASE },
	{ ZYDIS_ISA_SET_XSAVE, F_XSAVE },       { ZYDIS_ISA_SET_XSAVEC, F_XSAVEC },
	{ ZYDIS_ISA_SET_XSAVEOPT, F_XSAVEOPT }, { ZYDIS_ISA_SET_XSAVES, F_XSAVES },
	{ ZYDIS_ISA_SET_RDTSCP, F_RDTSCP },     { ZYDIS_ISA_SET_INVPCID, F_INVPCID },
	{ ZYDIS_ISA_SET_MOVBE, F_MOVBE },       { ZYDIS_ISA_SET_BMI1, F_BMI1 },
	{ ZYDIS_ISA_SET_BMI2, F_BMI2 },         { ZYDIS_ISA_SET_LZCNT, F_LZCNT },
	{ ZYDIS_ISA_SET_ADOX_ADCX, F_ADX },     { ZYDIS_ISA_SET_AES, F_AES },
	{ ZYDIS_ISA_SET_AVXAES, F_AES },        { ZYDIS_ISA_SET_PCLMULQDQ, F_PCLMUL },
	{ ZYDIS_ISA_SET_SHA, F_SHA },           { ZYDIS_ISA_SET_RDRAND, F_RDRAND },
	{ ZYDIS_ISA_SET_RDSEED, F_RDSEED },     { ZYDIS_ISA_SET_CLFLUSHOPT, F_CLFLUSHOPT },
	{ ZYDIS_ISA_SET_CLWB, F_CLWB },         { ZYDIS_ISA_SET_CLFSH, F_CLFLUSH },
	{ ZYDIS_ISA_SET_SMAP, F_SMAP },         { ZYDIS_ISA_SET_AVX, F_AVX },
	{ ZYDIS_ISA_SET_AVX2, F_AVX2 },         { ZYDIS_ISA_SET_AVX2GATHER, F_AVX2 },
	{ ZYDIS_ISA_SET_FMA, F_FMA },           { ZYDIS_ISA_SET_F16C, F_F16C },
	{ ZYDIS_ISA_SET_PKU, F_PKU },           { ZYDIS_ISA_SET_RDPID, F_RDPID },
	{ ZYDIS_ISA_SET_MONITOR, F_MONITOR },   { ZYDIS_ISA_SET_VAES, F_VAES },
};

/* Prefixes, branches, features */
static inline const char *zy_attributes(const struct insn *i, const ZydisDecodedInstruction *z,
					const ZydisDecodedOperand *zo)
{
	unsigned feature = F_BASE;
	for (size_t k = 0; k < ARRAY_LEN(zy_features); k++)
		if (zy_features[k].isa == z->meta.isa_set)
			feature = zy_features[k].feature;
	/* MMX operations that came with SSE count as MMX for Zydis; FCOMI and company need no flag but x87's;
	 * the VEX form of PCLMULQDQ needs PCLMULQDQ and AVX */
	if (insn_feature(i) != feature && !(z->meta.isa_set == ZYDIS_ISA_SET_PENTIUMMMX && insn_feature(i) == F_SSE) &&
	    !(z->meta.isa_set == ZYDIS_ISA_SET_PPRO && insn_feature(i) == F_X87) && i->op != OP_VPCLMULQDQ)
		return "feature";
	if (!(i->flags & IF_LOCK) != !(z->attributes & ZYDIS_ATTRIB_HAS_LOCK))
		return "LOCK";
	if (z->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && !(i->flags & IF_BRANCH))
		return "not a branch";
	if (!(i->flags & IF_VEX) != (z->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX))
		return "VEX";
	if (i->flags & IF_VEX && i->vl * 8 != z->avx.vector_length && z->avx.vector_length)
		return "vector length";
	if (i->flags & IF_PRIV && !(z->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) && i->op != OP_LGDT)
		return "privileged";
	switch (i->op) {
	case OP_MOVS:
	case OP_STOS:
	case OP_LODS:
	case OP_INS:
	case OP_OUTS:
		if (!(i->flags & IF_REP) != !(z->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPNE)) ||
		    i->flags & IF_REPNE)
			return "REP";
		break;
	case OP_CMPS:
	case OP_SCAS:
		if (!(i->flags & IF_REP) != !(z->attributes & ZYDIS_ATTRIB_HAS_REPE) ||
		    !(i->flags & IF_REPNE) != !(z->attributes & ZYDIS_ATTRIB_HAS_REPNE))
			return "REPE or REPNE";
		break;
	}
	/* implicit sources: RSI, and RBX of XLAT */
	if (!(i->flags & IF_MEM) && !(z->attributes & ZYDIS_ATTRIB_HAS_MODRM))
		for (unsigned k = 0; k < z->operand_count; k++)
			if (zo[k].type == ZYDIS_OPERAND_TYPE_MEMORY && zo[k].mem.segment != ZYDIS_REGISTER_ES &&
			    zo[k].mem.segment != ZYDIS_REGISTER_SS && ZydisRegisterGetId(zo[k].mem.segment) != i->seg)
				return "segment";
	return NULL;
}

/* NULL if both agree, else what differs (static text). *out gets our result if not NULL. */
static inline const char *zy_compare(struct zy *z, const uint8_t *bytes, size_t len, enum code_size code,
				     struct insn *i)
{
	static char why[160];
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
	int n = insn_decode(bytes, len, code, i);
	ZyanStatus st = ZydisDecoderDecodeFull(&z->dec[code], bytes, len, &zi, zo);
	if (!ZYAN_SUCCESS(st)) {
		if (n == 0 || i->op == OP_INVALID) {
			z->neither++;
			return NULL;
		}
		return snprintf(why, sizeof(why), "only we accept %s (%08x)", op_info[i->op].name, st), why;
	}
	const char *name = ZydisMnemonicGetString(zi.mnemonic);
	if (n == 0)
		return snprintf(why, sizeof(why), "incomplete for us: %s", name), why;
	if (i->op == OP_INVALID) {
		z->only_zydis[zi.meta.isa_set]++;
		if (zy_isa_unsupported(zi.meta.isa_set))
			return NULL;
		return snprintf(why, sizeof(why), "only Zydis accepts %s of %s", name,
				ZydisISASetGetString(zi.meta.isa_set)),
		       why;
	}
	z->both++;
	if (n != zi.length || n != i->len)
		return snprintf(why, sizeof(why), "%s: length %d not %d", name, n, zi.length), why;
	if (!zy_name_ok(i, name))
		return snprintf(why, sizeof(why), "we say %s, Zydis %s", op_info[i->op].name, name), why;
	if (zi.cpu_flags && !zy_flags_ok(i, zi.cpu_flags))
		return snprintf(why, sizeof(why), "%s: flags", name), why;
	if (i->asz * 8 != zi.address_width)
		return snprintf(why, sizeof(why), "%s: address size", name), why;
	const char *attr = zy_attributes(i, &zi, zo);
	if (attr)
		return snprintf(why, sizeof(why), "%s: %s", name, attr), why;
	if (zy_leniency(i->op) & ZY_OPERANDS)
		return NULL;
	const ZydisDecodedOperand *op = zo;
	unsigned visible = zi.operand_count_visible, ours = i->nopnd;
	if (ours == visible + 1 && ours == 3 && i->o[2].kind == O_XMM && i->o[2].reg == 0) /* XMM0 of PBLENDVB */
		ours--;
	if (visible == ours + 1 && i->o[0].kind == O_ST && op[0].encoding == ZYDIS_OPERAND_ENCODING_NONE) {
		op++;
		visible--;
	}
	if (visible != ours)
		return snprintf(why, sizeof(why), "%s: %u operands not %u", name, ours, visible), why;
	for (unsigned k = 0; k < visible; k++) {
		const char *diff = zy_operand(i, &i->o[k], &op[k], k && i->o[0].kind == O_IMM && i->o[k].kind == O_IMM);
		if (diff)
			return snprintf(why, sizeof(why), "%s operand %u (kind %u): %s", name, k + 1, i->o[k].kind,
					diff),
			       why;
	}
	return NULL;
}

#endif
