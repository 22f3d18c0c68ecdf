/* block.h - decoded blocks: guest code as arrays of bound instructions, cached by
 * physical page.
 *
 * A block is a run of instructions inside one page (one that crosses into the next page
 * is a block of its own), ended by a control transfer, by an instruction after which the
 * run loop has to look at the machine, or by length. Blocks know no linear address: RIP
 * at the first instruction stands in cpu.gpr[REG_IP] while one runs, so processes share
 * them.
 *
 * Stores to bytes that were decoded kill the blocks over them: each instruction's handler
 * is replaced by one that goes back to the run loop, so that even the running block stops
 * behind the store. The arena has two halves: when one is full, all blocks are killed and the other is filled; by the
 * time that is full too, every processor has long left the first (smp.h, epochs). */
#ifndef SOFT_BLOCK_H
#define SOFT_BLOCK_H

#include "engine/soft/interp.h"
#include "engine/soft/soft.h"

#define BLOCK_INSNS_MAX 48

struct block {
	uint64_t gpa;   /* of the first byte */
	uint64_t gpa2;  /* of the second page's first byte, for one that crosses; else 0 */
	uint16_t len;   /* bytes */
	uint16_t ninsn; /* without the closing pseudo instruction */
	uint8_t code;   /* enum code_size */
	bool dead;
	struct block *hash_next;
	struct block *page_next[2]; /* in the lists of gpa's and gpa2's pages */
	struct insn insn[] __attribute__((aligned(64)));
};

int block_vm_init(struct soft_vm *);  /* 0 or -ENOMEM */
void block_vm_fini(struct soft_vm *);
int block_cpu_init(struct cpu *);
void block_cpu_fini(struct cpu *);

/* The jump cache maps a linear address to its block while ctx (address space contents,
 * code size, privilege) is the same as when the entry was made. */
#define JUMP_BITS 13
#define JUMP_SIZE (1u << JUMP_BITS)
struct jump_entry {
	uint64_t lin;
	uint64_t ctx; /* never 0 in cpu.jump_ctx */
	struct block *block;
};

static inline struct jump_entry *jump_slot(const struct cpu *c, uint64_t lin)
{
	return &c->jump_cache[(lin ^ lin >> JUMP_BITS) & (JUMP_SIZE - 1)];
}

/* The host's stack pointer, near enough */
static inline uintptr_t host_sp(void)
{
#if defined(__x86_64__)
	uintptr_t sp;
	__asm__("mov %%rsp, %0" : "=r"(sp));
	return sp;
#else
	return (uintptr_t)__builtin_frame_address(0);
#endif
}

/* The block at rip in 64-bit code when the jump cache has it and nothing is requested: its first instruction,
 * to be gone to with gpr[REG_IP] set to rip. NULL: take the long way (checks, interp_jump). What the cache
 * has was fetched before, so it is canonical. Handlers that could not end in a tail call (CONTINUE in interp.h)
 * have left frames on the stack: when those reach cpu.sp_low, the long way by the run loop takes them away. */
static inline __attribute__((always_inline)) const struct insn *block_find64(const struct cpu *c, uint64_t rip)
{
	const struct jump_entry *e = jump_slot(c, rip);
	if (likely(e->lin == rip && e->ctx == c->jump_ctx && host_sp() > c->sp_low && !atomic_load_explicit(&c->exitreq, memory_order_relaxed)))
		return e->block->insn;
	return NULL;
}

/* First instruction of the block at c->rip, decoding it if need be; gpr[REG_IP] is set. Where the page cannot be
 * cached now (another processor may store to it), that is a block of one instruction. Raises fetch faults. */
const struct insn *block_lookup(struct cpu *);

/* The one instruction at c->rip, for stepping; never shared, overwritten by the next call. */
const struct insn *block_single(struct cpu *);

/* Kills the blocks with bytes in [gpa, gpa+len), one page at most */
void block_written(struct soft_vm *, uint64_t gpa, unsigned len);

/* True if a store to [gpa, gpa+len) in one page needs block_written */
static inline bool block_covers(const struct soft_vm *vm, uint64_t gpa, unsigned len)
{
	uint64_t page = gpa >> 12;
	if (page >= vm->npages)
		return false;
	uint32_t g = atomic_load_explicit(&vm->pages[page].granules, memory_order_relaxed);
	if (likely(!g))
		return false;
	unsigned first = (gpa & 4095) >> 7, last = ((gpa & 4095) + len - 1) >> 7;
	return (g >> first) & (~0u >> (31 - (last - first)));
}

/* Empties c's jump cache: what it holds may have been flushed. */
void block_forget(struct cpu *);

/* Entries of the jump cache that were made before are void: mappings or modes have changed. */
void block_context_changed(struct cpu *);

#endif
