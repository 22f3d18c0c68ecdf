/* fp_sse.c - what all SSE instructions share: faults, slow loads, and the way of instructions
 * whose exceptions the guest has unmasked. */
#include "engine/soft/fp_simd.h"

void fp_sse_raise(struct cpu *c, const struct insn *i)
{
	cpu_raise(c, i, c->fp_sse_trap == FP_TRAP_NM ? EXC_NM : EXC_UD, 0);
}

void fp_mmx_raise(struct cpu *c, const struct insn *i)
{
	cpu_raise(c, i, c->fp_x87_trap == FP_OK ? EXC_MF : c->fp_x87_trap == FP_TRAP_NM ? EXC_NM : EXC_UD, 0);
}

void fp_misaligned(struct cpu *c, const struct insn *i, uint64_t lin)
{
	bool canonical = c->code != CODE_64 || (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
	cpu_raise(c, i, canonical || i->seg != SS ? EXC_GP : EXC_SS, 0);
}

v128 fp_ld16_slow(struct cpu *c, const struct insn *i, uint64_t lin)
{
	v128 v;
	mmu_ldn(c, i, lin, &v, 16);
	return v;
}

void fp_st16_slow(struct cpu *c, const struct insn *i, uint64_t lin, v128 v)
{
	mmu_stn(c, i, lin, &v, 16);
}

void fp_enter(struct cpu *c)
{
	host_mxcsr_set((c->fpu.mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS);
}

void fp_leave(struct cpu *c)
{
	c->fpu.mxcsr |= host_mxcsr_get() & MXCSR_FLAGS;
	host_mxcsr_set(MXCSR_INIT);
}

/* Operands are loaded: from here to fp_arith_end only the instruction itself runs. The host's flags are
 * put away so that those of this instruction can be seen. FTZ has no effect while underflow is
 * unmasked (SDM 1 10.2.3.3), and the masked host would obey it. */
void fp_arith_begin(struct cpu *c)
{
	uint32_t host;
	c->fpu.mxcsr |= host_mxcsr_get() & MXCSR_FLAGS;
	host = (c->fpu.mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS;
	host_mxcsr_set(c->fpu.mxcsr & MXCSR_UM ? host : host & ~MXCSR_FTZ);
}

static bool tiny_s(uint32_t v) { return !(v & 0x7f800000u) && (v & 0x007fffffu); }
static bool tiny_d(uint64_t v) { return !(v & 0x7ff0000000000000u) && (v & 0x000fffffffffffffu); }

static bool any_tiny(v128 r, enum fp_tiny tiny)
{
	v128d d = (v128d)r;
	switch (tiny) {
	case TINY_PS: return tiny_s(d[0]) || tiny_s(d[1]) || tiny_s(d[2]) || tiny_s(d[3]);
	case TINY_SS: return tiny_s(d[0]);
	case TINY_PD: return tiny_d(r[0]) || tiny_d(r[1]);
	case TINY_SD: return tiny_d(r[0]);
	default: return false;
	}
}

/* SDM 1 11.5.3: conditions found before the computation (invalid, denormal, divide by zero) of any
 * element come first; if one of them is unmasked, those found after it are not reported. Unmasked
 * underflow is signalled for exact tiny results too, which masked execution does not show. (PE then
 * says that the denormalised result is inexact; a processor judges the result before that.) */
void fp_arith_end(struct cpu *c, const struct insn *i, v128 result, enum fp_tiny tiny)
{
	uint32_t flags = host_mxcsr_get() & MXCSR_FLAGS, unmasked = ~c->fpu.mxcsr >> 7 & MXCSR_FLAGS;
	if (flags & unmasked & 7)
		flags &= 7;
	else if ((unmasked & 0x10) && any_tiny(result, tiny))
		flags |= 0x10;
	c->fpu.mxcsr |= flags;
	fp_enter(c);
	if (flags & unmasked)
		cpu_raise(c, i, c->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD, 0);
}
