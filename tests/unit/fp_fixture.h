/* fp_fixture.h - one struct cpu on which test_fp*.c execute single floating-point instructions.
 *
 * Stands alone: its own TLB over a scratch buffer at its host addresses, its own cpu_raise and mmu_*; of
 * the library, only the decoder and the handlers are linked. */
#ifndef FP_FIXTURE_H
#define FP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/soft/fp_image.h"
#include "engine/soft/interp.h"
#include "fp_host.h"

#define SCRATCH_LEN 8192u /* then a page that faults */

static struct cpu *c;
static uint8_t *scratch;
static sigjmp_buf unwind;
static insn_fn (*binds[OP_COUNT])(const struct insn *);

/* --- what the handlers need from the rest of the CPU --- */
_Noreturn void cpu_raise(struct cpu *cpu, const struct insn *i, int vector, uint32_t error)
{
	siglongjmp(unwind, vector + 1);
}
static void check_range(uint64_t lin, unsigned len)
{
	if (lin < (uintptr_t)scratch || lin + len > (uintptr_t)scratch + SCRATCH_LEN)
		cpu_raise(c, NULL, EXC_PF, 0);
}
void mmu_ldn(struct cpu *cpu, const struct insn *i, uint64_t lin, void *buf, unsigned len)
{
	check_range(lin, len);
	memcpy(buf, (void *)(uintptr_t)lin, len);
}
void mmu_stn(struct cpu *cpu, const struct insn *i, uint64_t lin, const void *buf, unsigned len)
{
	check_range(lin, len);
	memcpy((void *)(uintptr_t)lin, buf, len);
}
void mmu_probe_w(struct cpu *cpu, const struct insn *i, uint64_t lin, unsigned len) { check_range(lin, len); }
uint64_t mmu_ld_slow(struct cpu *cpu, const struct insn *i, uint64_t lin, unsigned size)
{
	uint64_t v = 0;
	mmu_ldn(cpu, i, lin, &v, size);
	return v;
}
void mmu_st_slow(struct cpu *cpu, const struct insn *i, uint64_t lin, unsigned size, uint64_t val)
{
	mmu_stn(cpu, i, lin, &val, size);
}
void mmu_pkru_written(struct cpu *cpu, uint32_t old) {}
void seg_check_slow(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t ea, unsigned size, bool write) {}
const struct insn *interp_end(struct cpu *cpu, const struct insn *i) { return NULL; }

static void collect(const struct op_bind *b)
{
	for (; b->bind; b++)
		binds[b->op] = b->bind;
}

static int setup(void **state)
{
	scratch = mmap(NULL, SCRATCH_LEN + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(scratch + SCRATCH_LEN, 4096, PROT_NONE);
	c = aligned_alloc(64, (sizeof(*c) + 63) & ~63ul);
	memset(c, 0, sizeof(*c));
	c->tlb = calloc(1, sizeof(*c->tlb));
	for (unsigned n = 0; n < TLB_SIZE; n++)
		c->tlb->r[n].tag = c->tlb->w[n].tag = 1;
	for (unsigned p = 0; p < SCRATCH_LEN; p += 4096) {
		uint64_t page = (uintptr_t)scratch + p;
		c->tlb->r[tlb_index(page)].tag = c->tlb->w[tlb_index(page)].tag = page;
	}
	c->code = CODE_64;
	c->lin_mask = ~0ull;
	c->cr0 = CR0_PE | CR0_NE | CR0_MP | CR0_ET | CR0_PG;
	c->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PAE;
	c->efer = EFER_LMA | EFER_LME;
	c->features = ~0ull & ~(1ull << F_PKU);
	c->xcr0 = fp_xcr0_supported(c);
	c->cpl = 3;
	collect(fp_x87_ops);
	collect(fp_x87_arith_ops);
	collect(fp_x87_ctl_ops);
	collect(fp_pcmpstr_ops);
	collect(fp_mmx_ops);
	collect(fp_sse_mov_ops);
	collect(fp_sse_arith_ops);
	collect(fp_sse_int_ops);
	collect(fp_state_ops);
	collect(avx_int_ops);
	collect(avx_fp_ops);
	collect(avx_mov_ops);
	collect(avx_mem_ops);
	collect(avx_cvt_ops);
	return 0;
}
static int teardown(void **state)
{
	free(c->tlb);
	free(c);
	munmap(scratch, SCRATCH_LEN + 4096);
	return 0;
}

/* Stands behind the instruction: NEXT comes here */
static const struct insn *stop(struct cpu *cpu, const struct insn *i) { return NULL; }

/* Runs the instruction on c; the vector it raised, or -1 */
static int soft_run(const uint8_t *bytes, unsigned len)
{
	static struct insn in[2];
	insn_fn fn;
	int vector;
	if (insn_decode(bytes, len, (enum code_size)c->code, in) != (int)len || !binds[in->op] || !(fn = binds[in->op](in)))
		return EXC_UD;
	in[1].fn = stop;
	fp_mode_changed(c);
	fp_enter(c);
	vector = sigsetjmp(unwind, 0);
	if (!vector)
		fn(c, in);
	fp_leave(c);
	return vector - 1;
}

static __attribute__((unused)) void to_cpu(const struct host_state *s)
{
	memset(&c->fpu, 0, sizeof(c->fpu));
	memcpy(c->gpr, s->gpr, sizeof(s->gpr));
	cc_flags(c, s->flags);
	fx_get_x87(&c->fpu, s->fx, true);
	fx_get_xmm(&c->fpu, s->fx, 16);
	c->fpu.mxcsr = le32_load(s->fx + FX_MXCSR);
}
static __attribute__((unused)) void from_cpu(struct host_state *s)
{
	memcpy(s->gpr, c->gpr, sizeof(s->gpr));
	s->flags = cc_get(c);
	fx_put_x87(&c->fpu, s->fx, true);
	fx_put_xmm(&c->fpu, s->fx, 16);
	le32_store(s->fx + FX_MXCSR, c->fpu.mxcsr);
}

static uint64_t seed = 0x9e3779b97f4a7c15u;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1du;
}
static __attribute__((unused)) unsigned rnd_n(unsigned n) { return (unsigned)(rnd() >> 33) % n; }

#endif
