/* soft.h - one virtual machine of the software CPU: what its processors share. */
#ifndef SOFT_SOFT_H
#define SOFT_SOFT_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/memmap.h"
#include "engine/engine.h"
#include "engine/soft/cpu.h"

#define SOFT_CPUS_MAX 64

/* Per page of guest RAM, guarded by code_lock except where said */
struct code_page {
	struct block *blocks;      /* blocks with bytes in this page */
	_Atomic uint32_t granules; /* bit n: bytes [128 n, 128 n + 127] were decoded. Read without the lock
	                              by stores; set before the bytes are read (partner: W_HELD). */
	_Atomic uint8_t flags;     /* PAGE_*, read without the lock */
};
#define PAGE_CODE 1   /* has granules: never in a W array */
#define PAGE_W_HELD 2 /* may be in some W array */

struct soft_vm {
	struct memmap *mem;
	const struct vm_host *host;
	unsigned ncpus;
	struct cpu *cpus[SOFT_CPUS_MAX];

	struct code_page *pages; /* by gpa >> 12, [0, npages) */
	uint64_t npages;

	pthread_mutex_t code_lock; /* guards blocks, their lists and the arena */
	struct block **hash;
	uint8_t *arena;
	size_t arena_used;
	uint64_t blocks_made, blocks_killed, arena_flushes;

	pthread_mutex_t split_lock; /* locked operations that no host atomic can do */
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
