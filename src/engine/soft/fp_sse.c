/* fp_sse.c - what all SSE instructions share: faults, and the way to memory where the TLB does not help. */
#include "engine/soft/fp_host_x87.h"
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
	x87_host_reset(); /* a flag that host code left would be raised by the first unmasked control word */
	host_mxcsr_set((c->fpu.mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS);
}

void fp_leave(struct cpu *c)
{
	c->fpu.mxcsr |= host_mxcsr_get() & MXCSR_FLAGS;
	host_mxcsr_set(MXCSR_INIT);
}
