/* int_misc.c - flag bits, no-operations, fences, cache hints, random numbers, and the instructions
 * that are there to fail. */

#include "engine/soft/int_form.h"
#include "engine/soft/soft.h"

#include <sched.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/random.h>
#endif

static const struct insn *nop(struct cpu *c, const struct insn *i) { NEXT(i); }
/* A processor that spins may be waiting for one that the host is not running: there can be more of them than
 * host cores. A system call for every PAUSE would cost more than it gives. */
#define PAUSES_PER_YIELD 32

static const struct insn *pause_insn(struct cpu *c, const struct insn *i)
{
	if (c->vm->ncpus > 1 && ++c->pauses % PAUSES_PER_YIELD == 0)
		sched_yield();
	NEXT(i);
}

static const struct insn *ud(struct cpu *c, const struct insn *i) { raise_ud(c, i); }

static const struct insn *clc(struct cpu *c, const struct insn *i)
{
	cc_put_cf(c, false);
	NEXT(i);
}
static const struct insn *stc(struct cpu *c, const struct insn *i)
{
	cc_put_cf(c, true);
	NEXT(i);
}
static const struct insn *cmc(struct cpu *c, const struct insn *i)
{
	cc_put_cf(c, !cc_cf(c));
	NEXT(i);
}
static const struct insn *cld(struct cpu *c, const struct insn *i)
{
	c->rflags &= ~(uint64_t)FL_DF;
	NEXT(i);
}
static const struct insn *std(struct cpu *c, const struct insn *i)
{
	c->rflags |= FL_DF;
	NEXT(i);
}

static const struct insn *salc(struct cpu *c, const struct insn *i)
{
	R8(c, gpr_off(RAX)) = cc_cf(c) ? 0xff : 0;
	NEXT(i);
}

/* Guest memory is the host's, so a full fence is the host's too; LFENCE and SFENCE order what nothing
 * here reorders. */
static const struct insn *mfence(struct cpu *c, const struct insn *i)
{
	atomic_thread_fence(memory_order_seq_cst);
	NEXT(i);
}

/* CLFLUSH and its kin fault like a load of one byte, and read nothing. */
static const struct insn *cache_line(struct cpu *c, const struct insn *i)
{
	uint64_t lin = insn_lin(c, i, 1, false);
	if (!tlb_hit(c->tlb->r, lin, 1))
		mmu_r_ptr_slow(c, i, lin, 1);
	NEXT(i);
}

/* BOUND: #BR unless lower <= index <= upper, signed */
static const struct insn *bound(struct cpu *c, const struct insn *i)
{
	unsigned size = i->osz;
	uint64_t ea = insn_ea(c, i), mask = i->asz == 2 ? 0xffff : 0xffffffff;
	int64_t index = (int64_t)reg_lds(c, i->o[0].reg, size);
	int64_t lower = SX(mem_ld(c, i, seg_lin(c, i, i->seg, ea, size, false), size), size);
	int64_t upper = SX(mem_ld(c, i, seg_lin(c, i, i->seg, (ea + size) & mask, size, false), size), size);

	if (index < lower || index > upper)
		cpu_raise(c, i, EXC_BR, 0);
	NEXT(i);
}

/* The next 8 bytes of the host's random source, taken from it in larger portions: false if it has none. */
static bool random_u64(uint64_t *v)
{
	static _Thread_local uint64_t pool[32];
	static _Thread_local unsigned left;

	if (!left) {
#ifdef __linux__
		if (getrandom(pool, sizeof(pool), GRND_NONBLOCK) != sizeof(pool))
			return false;
#else
		arc4random_buf(pool, sizeof(pool));
#endif
		left = ARRAY_LEN(pool);
	}
	*v = pool[--left];
	pool[left] = 0; /* what a guest was given is not kept */
	return true;
}

static const struct insn *rdrand(struct cpu *c, const struct insn *i)
{
	uint64_t v = 0;
	bool ok = random_u64(&v);
	reg_st(c, i->o[0].reg, i->o[0].size, v);
	cc_flags(c, ok ? FL_CF : 0);
	NEXT(i);
}

static const struct insn *rdpid(struct cpu *c, const struct insn *i)
{
	reg_st(c, i->o[0].reg, i->code == CODE_64 ? 8 : 4, (uint32_t)c->tsc_aux);
	NEXT(i);
}

#define BIND(fn)                                                                                                       \
	static insn_fn fn##_bind(const struct insn *i) { return fn; }
BIND(nop)
BIND(pause_insn)
BIND(ud)
BIND(clc)
BIND(stc)
BIND(cmc)
BIND(cld)
BIND(std)
BIND(salc)
BIND(mfence)
static insn_fn cache_line_bind(const struct insn *i) { return i->o[0].kind == O_MEM ? cache_line : NULL; }
static insn_fn bound_bind(const struct insn *i) { return i->o[1].kind == O_MEM ? bound : NULL; }
static insn_fn rdrand_bind(const struct insn *i) { return i->o[0].kind == O_GPR ? rdrand : NULL; }
static insn_fn rdpid_bind(const struct insn *i) { return i->o[0].kind == O_GPR ? rdpid : NULL; }

const struct op_bind int_misc_ops[] = {
	{ OP_NOP, nop_bind },
	{ OP_PAUSE, pause_insn_bind },
	{ OP_PREFETCH, nop_bind },
	{ OP_UD0, ud_bind },
	{ OP_UD1, ud_bind },
	{ OP_UD2, ud_bind },
	{ OP_CLC, clc_bind },
	{ OP_STC, stc_bind },
	{ OP_CMC, cmc_bind },
	{ OP_CLD, cld_bind },
	{ OP_STD, std_bind },
	{ OP_SALC, salc_bind },
	{ OP_LFENCE, nop_bind },
	{ OP_SFENCE, nop_bind },
	{ OP_MFENCE, mfence_bind },
	{ OP_CLFLUSH, cache_line_bind },
	{ OP_CLFLUSHOPT, cache_line_bind },
	{ OP_CLWB, cache_line_bind },
	{ OP_BOUND, bound_bind },
	{ OP_RDRAND, rdrand_bind },
	{ OP_RDSEED, rdrand_bind },
	{ OP_RDPID, rdpid_bind },
	{ OP_INVALID, NULL },
};
