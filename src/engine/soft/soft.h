/* soft.h - one virtual machine of the software CPU: what its processors share. */
#ifndef SOFT_SOFT_H
#define SOFT_SOFT_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/memmap.h"
#include "engine/engine.h"
#include "engine/soft/cpu.h"

#define SOFT_CPUS_MAX 64

/* Per page of guest RAM. smp.h says how the atomics go together. */
struct code_page {
	struct block *blocks;      /* blocks with bytes in this page; guarded by code_lock */
	_Atomic uint64_t writers;  /* bit per processor that may store to it without looking */
	_Atomic uint32_t granules; /* bit n: bytes [128 n, 128 n + 127] were decoded */
	_Atomic uint8_t flags;     /* PAGE_CODE */
};
#define PAGE_CODE 1 /* has granules: in nobody's W array, or about to be */

struct soft_vm {
	struct memmap *mem;
	const struct vm_host *host;
	unsigned ncpus;
	uint64_t features;       /* bit n: CPUID offers enum feature n */
	struct cpu *cpus[SOFT_CPUS_MAX];

	struct code_page *pages; /* by gpa >> 12, [0, npages) */
	uint64_t npages;

	pthread_mutex_t code_lock; /* guards blocks, their lists and the arena */
	struct block **hash;
	uint8_t *arena;           /* two halves, filled in turn */
	unsigned arena_half;
	size_t arena_used;        /* of the present half */
	uint32_t arena_epoch;     /* when this has passed, nobody is in the other half any more */
	uint64_t blocks_made, blocks_killed, arena_flushes;

	/* smp.c */
	_Atomic uint32_t epoch;     /* counts flushes of blocks */
	pthread_mutex_t excl_lock;  /* guards excl_owner and running */
	pthread_cond_t excl_cond;
	struct cpu *excl_owner;     /* in an exclusive section, or about to be */
	_Atomic bool excl_wanted;   /* excl_owner is not NULL */
	unsigned running;           /* processors inside run() and not waiting */
};

/* Host address of [gpa, gpa+len) in RAM or ROM, NULL elsewhere; len <= 4096 */
static inline uint8_t *soft_phys(const struct soft_vm *vm, uint64_t gpa, unsigned len)
{
	const struct mem_slot *s = vm->mem->slots;
	for (unsigned n = vm->mem->nslots; n; n--, s++) {
		uint64_t off = gpa - s->gpa;
		if (likely(off < s->len && s->len - off >= len))
			return s->hva + off;
	}
	return NULL;
}
static inline bool soft_phys_readonly(const struct soft_vm *vm, uint64_t gpa)
{
	const struct mem_slot *s = mem_slot_find(vm->mem, gpa);
	return s && s->readonly;
}

/* --- state.c --- */
int soft_get_state(struct cpu *, struct x86_state *out);
int soft_set_state(struct cpu *, const struct x86_state *);

#endif
