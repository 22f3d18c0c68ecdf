/* decode_table.h - the rows of opcodes*.def as a table, and what their columns mean: for decode.c only. */
#ifndef SOFT_DECODE_TABLE_H
#define SOFT_DECODE_TABLE_H

#include "engine/soft/insn.h"

enum map { ONE, T0F, T38, T3A, V0F, V38, V3A, MAPS };
enum pfx_row { np, p66, pF3, pF2, any, n6 }; /* the first four are an index too */
enum access { NA, R, RWR, W, RW, XX, WW, GATHER };

/* A row's ModRM condition: kind << 8 | value */
enum { NO = 0, ANY = 1 << 8, MEM = 2 << 8, REG = 3 << 8, MK_D = 4 << 8, MK_M = 5 << 8, MK_G = 6 << 8, MK_X = 7 << 8,
       RSET = 8 << 8 };
#define D(n) (MK_D | (n))
#define M(n) (MK_M | (n))
#define G(n) (MK_G | (n))
#define X(b) (MK_X | (b))

/* Attributes. The first eight are conditions: what a row needs, and an instruction has. */
enum {
	O64 = 1 << 0, I64 = 1 << 1, W0 = 1 << 2, W1 = 1 << 3, L0 = 1 << 4, L1 = 1 << 5, B0 = 1 << 6,
	CONDITIONS = 0xff,
	D64 = 1 << 8, F64 = 1 << 9, LK = 1 << 10, R8 = 1 << 11, CC = 1 << 12, STR = 1 << 13, STRC = 1 << 14,
	SEG = 1 << 15, VSIB = 1 << 16, ENDS = 1 << 17, BRANCHES = 1 << 18, PRIV = 1 << 19, BR = BRANCHES | ENDS,
};

/* Where an operand comes from */
enum source {
	S_RM,    /* ModRM.rm: register or memory */
	S_REG,   /* ModRM.reg */
	S_RMREG, /* ModRM.rm as a register whatever mod says */
	S_VVVV,  /* VEX.vvvv */
	S_OPC,   /* the opcode's low three bits */
	S_FIXED, /* register number in the list below */
	S_IMM, S_UIMM, S_UIMM2, S_REL, S_ONE, S_FAR, S_MOFFS, S_IS4, S_STRING,
};
/* Sizes beyond plain byte counts */
enum {
	Z_V = 100, /* operand size */
	Z_Z,       /* operand size, at most 4 */
	Z_Y,       /* 8 with W in 64-bit mode, else 4 */
	Z_M,       /* 8 in 64-bit mode, else 4 */
	Z_P,       /* far pointer: operand size + 2 */
	Z_S,       /* descriptor table: 10 in 64-bit mode, else 6 */
	Z_A,       /* twice the operand size */
	Z_X,       /* VEX vector length */
	Z_H, Z_Q, Z_E, /* half, quarter, eighth of it */
};

/* O(name, source, kind, register, size in a register, size in memory).
 * E: rm, general register or memory; G: general register; M: memory; Q, P: MMX; W, V: XMM; H: vvvv;
 * I signed and U unsigned immediates; sizes as in SDM 2D A.2, with o = 16 bytes, 0 = none of ours. */
#define OPERANDS \
	O(Eb, S_RM, O_GPR, 0, 1, 1) O(Ew, S_RM, O_GPR, 0, 2, 2) O(Ed, S_RM, O_GPR, 0, 4, 4) O(Eq, S_RM, O_GPR, 0, 8, 8) \
	O(Ev, S_RM, O_GPR, 0, Z_V, Z_V) O(Ez, S_RM, O_GPR, 0, Z_Z, Z_Z) O(Ey, S_RM, O_GPR, 0, Z_Y, Z_Y) \
	O(MwRv, S_RM, O_GPR, 0, Z_V, 2) O(MwRd, S_RM, O_GPR, 0, 4, 2) O(MbRd, S_RM, O_GPR, 0, 4, 1) \
	O(Gb, S_REG, O_GPR, 0, 1, 0) O(Gw, S_REG, O_GPR, 0, 2, 0) O(Gd, S_REG, O_GPR, 0, 4, 0) O(Gv, S_REG, O_GPR, 0, Z_V, 0) \
	O(Gy, S_REG, O_GPR, 0, Z_Y, 0) O(Gm, S_REG, O_GPR, 0, Z_M, 0) O(Rm, S_RMREG, O_GPR, 0, Z_M, 0) \
	O(By, S_VVVV, O_GPR, 0, Z_Y, 0) \
	O(M0, S_RM, O_NONE, 0, 0, 0) O(Mw, S_RM, O_NONE, 0, 0, 2) O(Md, S_RM, O_NONE, 0, 0, 4) \
	O(Mq, S_RM, O_NONE, 0, 0, 8) O(Mdq, S_RM, O_NONE, 0, 0, 16) O(Mo, S_RM, O_NONE, 0, 0, 16) \
	O(Mt, S_RM, O_NONE, 0, 0, 10) O(Mv, S_RM, O_NONE, 0, 0, Z_V) O(My, S_RM, O_NONE, 0, 0, Z_Y) \
	O(Mp, S_RM, O_NONE, 0, 0, Z_P) O(Ms, S_RM, O_NONE, 0, 0, Z_S) O(Ma, S_RM, O_NONE, 0, 0, Z_A) \
	O(Mx, S_RM, O_NONE, 0, 0, Z_X) \
	O(Ob, S_MOFFS, O_MEM, 0, 1, 1) O(Ov, S_MOFFS, O_MEM, 0, Z_V, Z_V) \
	O(Zb, S_OPC, O_GPR, 0, 1, 0) O(Zv, S_OPC, O_GPR, 0, Z_V, 0) \
	O(AL, S_FIXED, O_GPR, 0, 1, 0) O(AX, S_FIXED, O_GPR, 0, 2, 0) O(rAX, S_FIXED, O_GPR, 0, Z_V, 0) \
	O(zAX, S_FIXED, O_GPR, 0, Z_Z, 0) O(CL, S_FIXED, O_GPR, 1, 1, 0) O(DX, S_FIXED, O_GPR, 2, 2, 0) \
	O(sES, S_FIXED, O_SREG, 0, 2, 0) O(sCS, S_FIXED, O_SREG, 1, 2, 0) O(sSS, S_FIXED, O_SREG, 2, 2, 0) \
	O(sDS, S_FIXED, O_SREG, 3, 2, 0) O(sFS, S_FIXED, O_SREG, 4, 2, 0) O(sGS, S_FIXED, O_SREG, 5, 2, 0) \
	O(Sw, S_REG, O_SREG, 0, 2, 0) O(Sl, S_REG, O_SREG, 1, 2, 0) O(Cm, S_REG, O_CR, 0, Z_M, 0) O(Dm, S_REG, O_DR, 0, Z_M, 0) \
	O(Ib, S_IMM, O_IMM, 0, 1, 0) O(Iz, S_IMM, O_IMM, 0, Z_Z, 0) O(Iv, S_IMM, O_IMM, 0, Z_V, 0) \
	O(Ub, S_UIMM, O_IMM, 0, 1, 0) O(Uw, S_UIMM, O_IMM, 0, 2, 0) O(Ub2, S_UIMM2, O_IMM, 0, 1, 0) \
	O(One, S_ONE, O_IMM, 0, 1, 0) O(Jb, S_REL, O_REL, 0, 1, 0) O(Jz, S_REL, O_REL, 0, Z_Z, 0) \
	O(Ap, S_FAR, O_IMM, 0, Z_Z, 0) \
	O(ST0, S_FIXED, O_ST, 0, 10, 0) O(STi, S_RM, O_ST, 0, 10, 0) \
	O(Pq, S_REG, O_MMX, 0, 8, 0) O(Pd, S_REG, O_MMX, 0, 4, 0) O(Qq, S_RM, O_MMX, 0, 8, 8) O(Qd, S_RM, O_MMX, 0, 4, 4) \
	O(Vo, S_REG, O_XMM, 0, 16, 0) O(Vd, S_REG, O_XMM, 0, 4, 0) O(Vq, S_REG, O_XMM, 0, 8, 0) \
	O(Vx, S_REG, O_XMM, 0, Z_X, 0) O(Vh, S_REG, O_XMM, 0, Z_H, 0) \
	O(Wo, S_RM, O_XMM, 0, 16, 16) O(Ww, S_RM, O_XMM, 0, 2, 2) O(Wd, S_RM, O_XMM, 0, 4, 4) \
	O(Wq, S_RM, O_XMM, 0, 8, 8) O(Wqo, S_RM, O_XMM, 0, 16, 8) O(WoMd, S_RM, O_XMM, 0, 16, 4) O(Wb, S_RM, O_XMM, 0, 1, 1) \
	O(Wx, S_RM, O_XMM, 0, Z_X, Z_X) O(Wh, S_RM, O_XMM, 0, Z_H, Z_H) O(Wf, S_RM, O_XMM, 0, Z_Q, Z_Q) \
	O(We, S_RM, O_XMM, 0, Z_E, Z_E) \
	O(Ho, S_VVVV, O_XMM, 0, 16, 0) O(Hd, S_VVVV, O_XMM, 0, 4, 0) O(Hq, S_VVVV, O_XMM, 0, 8, 0) \
	O(Hx, S_VVVV, O_XMM, 0, Z_X, 0) O(Hh, S_VVVV, O_XMM, 0, Z_H, 0) \
	O(Lx, S_IS4, O_XMM, 0, Z_X, 0) O(XMM0, S_FIXED, O_XMM, 0, 16, 0) \
	O(Strb, S_STRING, O_NONE, 0, 1, 0) O(Strv, S_STRING, O_NONE, 0, Z_V, 0) O(Strz, S_STRING, O_NONE, 0, Z_Z, 0)

enum operand {
	NONE,
#define O(name, ...) name,
	OPERANDS
#undef O
};
static const struct { uint8_t source, kind, fixed, rsize, msize; } operand_spec[] = {
	{ 0 },
#define O(name, source, kind, fixed, rsize, msize) { source, kind, fixed, rsize, msize },
	OPERANDS
#undef O
};

struct row {
	uint16_t op, modrm;
	uint8_t map, opcode, pfx, feature, access;
	uint8_t opnd[4];
	uint32_t attr;
};
static const struct row rows[] = {
	{ 0 },
#define I(map, opcode, pfx, modrm, op, feature, access, attr, ...) \
	{ OP_##op, modrm, map, opcode, pfx, F_##feature, access, { __VA_ARGS__ }, attr },
#include "engine/soft/opcodes.def"
#include "engine/soft/opcodes_simd.def"
#include "engine/soft/opcodes_vex.def"
#undef I
};

#endif
