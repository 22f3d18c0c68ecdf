/* fp_host_x87.h - x87 primitives on an x86-64 host: the host's x87 executes the guest's operation.
 *
 * Each function loads the guest's control word and operands into the (empty) host stack, executes
 * one instruction, and returns the status word: exceptions in bits 5:0, condition codes. The
 * guest's real masks are in effect, so that unmasked responses (biased results, no result) are the
 * processor's own; only instructions that do not wait follow until the flags are cleared, so nothing
 * traps. If an unmasked exception (or C2, for FPTAN and FSINCOS) kept the instruction from
 * pushing or popping, the host stack is not empty: call x87_host_reset.
 *
 * The compiler keeps nothing in x87 registers here: baseline x86-64 computes in SSE. */
#ifndef SOFT_FP_HOST_X87_H
#define SOFT_FP_HOST_X87_H

#include "engine/soft/cpu.h"

static const uint16_t x87_host_cw = 0x037f;

static inline void x87_host_reset(void) { __asm__ volatile("fninit"); }

#define X87_BEFORE "fldcw %[cw]\n\t"
#define X87_AFTER "\n\tfnstsw %%ax\n\ttestb $0x3f, %%al\n\tjz 1f\n\tfnclex\n1:\tfldcw %[def]\n\t"

/* r = a op b, on registers: a is ST(0), b is ST(1) */
#define X87_BINARY(name, insn) \
	static inline uint16_t x87_##name(uint16_t cw, const struct x87_reg *a, const struct x87_reg *b, struct x87_reg *r) \
	{ \
		uint16_t sw; \
		__asm__ volatile(X87_BEFORE "fldt %[b]\n\tfldt %[a]\n\t" insn X87_AFTER "fstpt %[r]\n\tfstp %%st(0)" \
		                 : [r] "=m"(*r), "=&a"(sw) \
		                 : [a] "m"(*a), [b] "m"(*b), [cw] "m"(cw), [def] "m"(x87_host_cw) : "cc"); \
		return sw; \
	}
X87_BINARY(FADD, "fadd %%st(1), %%st")
X87_BINARY(FMUL, "fmul %%st(1), %%st")
X87_BINARY(FSUB, "fsub %%st(1), %%st")
X87_BINARY(FSUBR, "fsubr %%st(1), %%st")
X87_BINARY(FDIV, "fdiv %%st(1), %%st")
X87_BINARY(FDIVR, "fdivr %%st(1), %%st")
X87_BINARY(FCOM, "fcom %%st(1)")
X87_BINARY(FUCOM, "fucom %%st(1)")
X87_BINARY(FPREM, "fprem")
X87_BINARY(FPREM1, "fprem1")
X87_BINARY(FSCALE, "fscale")
#undef X87_BINARY

/* r = a op m, m in memory; FCOM leaves r = a */
#define X87_MEM(name, suffix, type, insn) \
	static inline uint16_t x87_##name##_##suffix(uint16_t cw, const struct x87_reg *a, uint64_t bits, struct x87_reg *r) \
	{ \
		uint16_t sw; \
		type m = (type)bits; \
		__asm__ volatile(X87_BEFORE "fldt %[a]\n\t" insn " %[m]" X87_AFTER "fstpt %[r]" \
		                 : [r] "=m"(*r), "=&a"(sw) \
		                 : [a] "m"(*a), [m] "m"(m), [cw] "m"(cw), [def] "m"(x87_host_cw) : "cc"); \
		return sw; \
	}
#define X87_MEMS(name, op) \
	X87_MEM(name, f32, uint32_t, "f" op "s") \
	X87_MEM(name, f64, uint64_t, "f" op "l") \
	X87_MEM(name, i16, uint16_t, "fi" op "s") \
	X87_MEM(name, i32, uint32_t, "fi" op "l")
X87_MEMS(FADD, "add")
X87_MEMS(FMUL, "mul")
X87_MEMS(FSUB, "sub")
X87_MEMS(FSUBR, "subr")
X87_MEMS(FDIV, "div")
X87_MEMS(FDIVR, "divr")
X87_MEMS(FCOM, "com")
#undef X87_MEMS
#undef X87_MEM

/* Comparison into ZF, PF, CF, given as RFLAGS bits 6, 2, 0 */
#define X87_COMI(name, insn) \
	static inline uint16_t x87_##name(uint16_t cw, const struct x87_reg *a, const struct x87_reg *b, uint32_t *flags) \
	{ \
		uint16_t sw; \
		uint8_t z, p, cf; \
		__asm__ volatile(X87_BEFORE "fldt %[b]\n\tfldt %[a]\n\t" insn " %%st(1), %%st\n\t" \
		                 "setz %[z]\n\tsetp %[p]\n\tsetc %[cf]" X87_AFTER "fstp %%st(0)\n\tfstp %%st(0)" \
		                 : "=&a"(sw), [z] "=&q"(z), [p] "=&q"(p), [cf] "=&q"(cf) \
		                 : [a] "m"(*a), [b] "m"(*b), [cw] "m"(cw), [def] "m"(x87_host_cw) : "cc"); \
		*flags = (uint32_t)(z << 6 | p << 2 | cf); \
		return sw; \
	}
X87_COMI(FCOMI, "fcomi")
X87_COMI(FUCOMI, "fucomi")
#undef X87_COMI

/* r = op(a) */
#define X87_UNARY(name, insn) \
	static inline uint16_t x87_##name(uint16_t cw, const struct x87_reg *a, struct x87_reg *r) \
	{ \
		uint16_t sw; \
		__asm__ volatile(X87_BEFORE "fldt %[a]\n\t" insn X87_AFTER "fstpt %[r]" \
		                 : [r] "=m"(*r), "=&a"(sw) : [a] "m"(*a), [cw] "m"(cw), [def] "m"(x87_host_cw) : "cc"); \
		return sw; \
	}
X87_UNARY(FSQRT, "fsqrt")
X87_UNARY(FRNDINT, "frndint")
X87_UNARY(F2XM1, "f2xm1")
X87_UNARY(FSIN, "fsin")
X87_UNARY(FCOS, "fcos")
X87_UNARY(FTST, "ftst")
X87_UNARY(FXAM, "fxam")
#undef X87_UNARY

/* ST(1) op ST(0), popped: a is ST(0), b is ST(1) */
#define X87_POP(name, insn) \
	static inline uint16_t x87_##name(uint16_t cw, const struct x87_reg *a, const struct x87_reg *b, struct x87_reg *r) \
	{ \
		uint16_t sw; \
		__asm__ volatile(X87_BEFORE "fldt %[b]\n\tfldt %[a]\n\t" insn X87_AFTER "fstpt %[r]" \
		                 : [r] "=m"(*r), "=&a"(sw) \
		                 : [a] "m"(*a), [b] "m"(*b), [cw] "m"(cw), [def] "m"(x87_host_cw) : "cc"); \
		return sw; \
	}
X87_POP(FPATAN, "fpatan")
X87_POP(FYL2X, "fyl2x")
X87_POP(FYL2XP1, "fyl2xp1")
#undef X87_POP

/* Two results: r replaces ST(0), then t is pushed */
#define X87_PUSH(name, insn) \
	static inline uint16_t x87_##name(uint16_t cw, const struct x87_reg *a, struct x87_reg *r, struct x87_reg *t) \
	{ \
		uint16_t sw; \
		__asm__ volatile(X87_BEFORE "fldt %[a]\n\t" insn X87_AFTER "fstpt %[t]\n\tfstpt %[r]" \
		                 : [r] "=m"(*r), [t] "=m"(*t), "=&a"(sw) \
		                 : [a] "m"(*a), [cw] "m"(cw), [def] "m"(x87_host_cw) : "cc"); \
		return sw; \
	}
X87_PUSH(FPTAN, "fptan")
X87_PUSH(FSINCOS, "fsincos")
X87_PUSH(FXTRACT, "fxtract")
#undef X87_PUSH

/* Constants, rounded as RC says */
#define X87_CONST(name, insn) \
	static inline uint16_t x87_##name(uint16_t cw, struct x87_reg *r) \
	{ \
		uint16_t sw; \
		__asm__ volatile(X87_BEFORE insn X87_AFTER "fstpt %[r]" \
		                 : [r] "=m"(*r), "=&a"(sw) : [cw] "m"(cw), [def] "m"(x87_host_cw) : "cc"); \
		return sw; \
	}
X87_CONST(FLD1, "fld1")
X87_CONST(FLDL2T, "fldl2t")
X87_CONST(FLDL2E, "fldl2e")
X87_CONST(FLDPI, "fldpi")
X87_CONST(FLDLG2, "fldlg2")
X87_CONST(FLDLN2, "fldln2")
X87_CONST(FLDZ, "fldz")
#undef X87_CONST

/* The bytes of a memory operand, any format */
union x87_mem {
	uint8_t b[16];
	uint64_t q[2];
};
#define X87_LOAD(name, insn) \
	static inline uint16_t x87_##name(uint16_t cw, const union x87_mem *m, struct x87_reg *r) \
	{ \
		uint16_t sw; \
		__asm__ volatile(X87_BEFORE insn " %[m]" X87_AFTER "fstpt %[r]" \
		                 : [r] "=m"(*r), "=&a"(sw) : [m] "m"(*m), [cw] "m"(cw), [def] "m"(x87_host_cw) : "cc"); \
		return sw; \
	}
X87_LOAD(FLD_f32, "flds")
X87_LOAD(FLD_f64, "fldl")
X87_LOAD(FILD_i16, "filds")
X87_LOAD(FILD_i32, "fildl")
X87_LOAD(FILD_i64, "fildll")
X87_LOAD(FBLD_m, "fbld")
#undef X87_LOAD

#define X87_STORE(name, insn) \
	static inline uint16_t x87_##name(uint16_t cw, const struct x87_reg *a, union x87_mem *m) \
	{ \
		uint16_t sw; \
		__asm__ volatile(X87_BEFORE "fldt %[a]\n\t" insn " %[m]" X87_AFTER \
		                 : [m] "+m"(*m), "=&a"(sw) : [a] "m"(*a), [cw] "m"(cw), [def] "m"(x87_host_cw) : "cc"); \
		return sw; \
	}
X87_STORE(FST_f32, "fstps")
X87_STORE(FST_f64, "fstpl")
X87_STORE(FIST_i16, "fistps")
X87_STORE(FIST_i32, "fistpl")
X87_STORE(FIST_i64, "fistpll")
X87_STORE(FISTTP_i16, "fisttps")
X87_STORE(FISTTP_i32, "fisttpl")
X87_STORE(FISTTP_i64, "fisttpll")
X87_STORE(FBSTP_m, "fbstp")
#undef X87_STORE
#undef X87_BEFORE
#undef X87_AFTER

#endif
