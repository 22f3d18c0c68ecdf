/* insn.h - one decoded instruction, and the decoder's interface.
 *
 * The decoder knows encodings, not semantics: opcodes.def (data) says which bytes make
 * which operation with which operands; decode.c interprets that table. Interpreter,
 * translator, tracer and tests share it.
 *
 * Operands stand in Intel order (destination first) and are explicit: an implicit
 * operand that the assembler syntax shows (the CL of a shift, the AL of `add al, imm8`)
 * is an operand like any other; what the syntax hides (RDX:RAX of MUL, RSI/RDI of
 * string instructions, the stack) is the operation's own business. */
#ifndef SOFT_INSN_H
#define SOFT_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct insn;

/* Executes one instruction and returns the next one to execute, or NULL (see interp.h). */
typedef const struct insn *(*insn_fn)(struct cpu *, const struct insn *);

enum { INSN_LEN_MAX = 15 };

enum code_size { CODE_16, CODE_32, CODE_64 };

/* Operation ids: OP_ADD, OP_MOV, ... one per mnemonic that differs in semantics; the operand
 * forms say the rest. Generated from opcodes.def and opnames.def. */
enum op {
	OP_INVALID = 0, /* raises #UD */
#define OP(name, ...) OP_##name,
#include "engine/soft/opnames.def"
#undef OP
	OP_COUNT
};

enum opnd_kind {
	O_NONE,
	O_GPR,  /* general register; reg is the byte offset into the register file: see gpr_off */
	O_MEM,  /* memory at the insn's address, size bytes (0 where the size is not the decoder's: fxsave, lea) */
	O_IMM,  /* insn.imm, sign-extended to 64 bits; zero-extended where it is unsigned by nature: shift
	         * counts, vector and port numbers, RET's and ENTER's sizes, selectors of shuffles and the
	         * like, a far pointer's offset. size: bytes in the encoding. ENTER's second one is imm2; a far
	         * pointer is one operand, its selector in imm2 */
	O_REL,  /* branch displacement in insn.imm, relative to the next instruction */
	O_SREG, /* segment register, reg = ES..GS */
	O_CR, O_DR,
	O_ST,   /* x87 register ST(reg) */
	O_MMX,
	O_XMM,  /* vector register; size 4, 8, 16, 32, 64 says how much of it the operand is */
	O_MASK, /* AVX-512 k register */
};

struct opnd {
	uint8_t kind; /* enum opnd_kind */
	uint8_t reg;
	uint8_t size; /* bytes: 1, 2, 4, 6 (m16:32), 8, 10 (m80, m16:64), 16, 32, 64; 0 unknown */
	uint8_t rw;   /* OPND_R | OPND_W */
};
#define OPND_R 1
#define OPND_W 2

/* Byte offset of a general register's operand in cpu.gpr: number * 8, and AH, CH, DH, BH
 * are byte 1 of registers 0..3 (host is little-endian). gpr_num() gives the number back. */
static inline uint8_t gpr_off(unsigned num) { return (uint8_t)(num * 8); }
static inline unsigned gpr_num(uint8_t off) { return off >> 3; }

/* Pseudo registers of the address calculation */
enum { REG_ZERO = 16, REG_IP = 17, REG_FILE = 18 };

/* Prefix and property bits of an instruction */
#define IF_LOCK   (1u << 0)
#define IF_REP    (1u << 1) /* string instructions: F3 (REP, REPE), or F2 where it means the same (MOVS, STOS, LODS, INS, OUTS) */
#define IF_REPNE  (1u << 2) /* CMPS, SCAS: F2 */
#define IF_MEM    (1u << 3) /* has a memory operand (or an address, as LEA) */
#define IF_FLAT64 (1u << 4) /* 64-bit code and a segment (insn.seg) whose base is zero: linear = effective address */
#define IF_RIPREL (1u << 5) /* base is REG_IP, disp still counts from the END of this instruction */
#define IF_ENDS   (1u << 6) /* ends a block: control transfer, or a change of mode, mapping or interrupts */
#define IF_OSZ    (1u << 7) /* a 66 prefix was there (and is not part of the opcode) */
#define IF_ASZ    (1u << 8) /* a 67 prefix was there */
#define IF_VEX    (1u << 9)
#define IF_EVEX   (1u << 10)
#define IF_PRIV   (1u << 11) /* #GP unless CPL 0 (the operation still checks what the table cannot say) */
#define IF_SEGOVR (1u << 12) /* a segment override prefix was in effect */
#define IF_BRANCH (1u << 13) /* transfers control (a subset of IF_ENDS) */
#define IF_REXW   (1u << 14)
#define IF_FEATURE_SHIFT 26 /* enum feature in the top bits: insn_feature() */

struct insn {
	insn_fn fn;       /* bound by the interpreter; the decoder leaves it NULL */
	int64_t imm;
	int64_t disp;     /* sign-extended displacement, or the moffs address; of O_REL: see decode_bound in block.c */
	uint32_t flags;   /* IF_* */
	uint16_t op;      /* enum op */
	uint16_t off;     /* bytes from the start of its block; set by the block builder */
	uint8_t len;      /* bytes, 1..15 */
	uint8_t osz;      /* effective operand size: 2, 4, 8 (what `v` means in the SDM's tables) */
	uint8_t asz;      /* effective address size: 2, 4, 8 */
	uint8_t base, index; /* register numbers 0..15, REG_ZERO, REG_IP; a vector register as index of gathers */
	uint8_t scale;    /* shift count 0..3 */
	uint8_t seg;      /* segment of the memory operand (also of string sources): ES..GS, default or override */
	uint8_t nopnd;
	struct opnd o[4];
	uint8_t cc;       /* condition number 0..15 of Jcc, SETcc, CMOVcc; low 3 bits of an x87 instruction's D8..DF */
	uint8_t code;     /* enum code_size it was decoded for */
	uint8_t vl;       /* VEX/EVEX vector length in bytes, 0 without */
	uint8_t modrm;    /* the ModRM byte, for x87 and groups */
	uint32_t imm2;    /* ENTER's level, a far pointer's selector */
};

/* Decodes the instruction at bytes[0..len). Returns its length (1..15) and fills *out.
 * An encoding that no processor of ours accepts gives op OP_INVALID and the length of what
 * was looked at: executing it raises #UD. Never reads beyond len.
 *   0: the bytes end before the instruction does (fetch more; if 15 bytes were given, it is
 *      longer than 15: #GP).
 * Thread-safe. LOCK where it is not allowed gives OP_INVALID. */
int insn_decode(const uint8_t *bytes, size_t len, enum code_size code, struct insn *out);

/* Static facts of an operation, from opnames.def */
struct op_info {
	const char *name;     /* mnemonic in lower case */
	uint16_t flags_read;  /* arithmetic RFLAGS bits (FL_CF ...) */
	uint16_t flags_write; /* bits given a defined value (or left as they were, for shifts by zero) */
	uint16_t flags_undef; /* bits left undefined by the SDM */
};
extern const struct op_info op_info[OP_COUNT];

/* The most CPUID-like fact about an encoding: which feature set it belongs to. See opcodes.def.
 * Encodings whose feature the guest's CPUID does not offer are made OP_INVALID by the block builder. */
enum feature {
	F_BASE, F_X87, F_MMX, F_SSE, F_SSE2, F_SSE3, F_SSSE3, F_SSE41, F_SSE42, F_POPCNT, F_CX16, F_FSGSBASE,
	F_XSAVE, F_XSAVEOPT, F_XSAVEC, F_XSAVES, F_RDTSCP, F_INVPCID, F_MOVBE, F_BMI1, F_BMI2, F_LZCNT, F_ADX,
	F_AES, F_PCLMUL, F_SHA, F_RDRAND, F_RDSEED, F_CLFLUSHOPT, F_CLWB, F_CLFLUSH, F_SMAP, F_AVX, F_AVX2, F_FMA, F_F16C,
	F_AVX512F, F_AVX512BW, F_AVX512CD, F_AVX512DQ, F_AVX512VL, F_PKU, F_RDPID, F_MONITOR, F_3DNOWPREFETCH, F_VAES, F_VPCLMUL,
	/* no instructions of their own: for CPUID and control bits */
	F_PCID, F_SMEP, F_UMIP, F_ERMS, F_FSRM,
	F_COUNT
};
_Static_assert(F_COUNT <= 64, "a feature has six bits of insn.flags");
static inline enum feature insn_feature(const struct insn *i) { return (enum feature)(i->flags >> IF_FEATURE_SHIFT); }

/* Makes *i what its bytes mean on a processor without its feature: TZCNT is BSF there, LZCNT is BSR
 * (F3 is ignored); anything else becomes OP_INVALID. */
void insn_drop_feature(struct insn *i);

#endif
