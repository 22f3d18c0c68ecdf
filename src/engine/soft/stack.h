/* stack.h - pushes and pops through SS:rSP with the present stack address size.
 *
 * Two kinds of functions: stack_push and stack_pop do the whole thing; stack_ld and stack_st
 * access the stack at a stack pointer that the caller computes, for frames of several words,
 * where rSP is written (stack_set_sp) only when nothing can fault any more. In both, an access
 * that faults leaves rSP as it was.
 *
 * In 64-bit mode SS has base 0 and no limit, and a non-canonical address is #SS(0) instead of
 * the #GP(0) of other segments (SDM 3A 6.15, SDM 1 3.3.7.1). The memory slow path judges by the
 * instruction's own segment, which does not name the stack here, so accesses that miss the TLB
 * are checked by stack_check_canonical first. */
#ifndef SOFT_STACK_H
#define SOFT_STACK_H

#include "engine/soft/cpu.h"
#include "engine/soft/exc.h"
#include "engine/soft/mmu.h"

/* Raises #SS(0) where a byte of [lin, lin+size) is not canonical in 64-bit mode (int_flow.c). */
void stack_check_canonical(struct cpu *, const struct insn *i, uint64_t lin, unsigned size);

/* The stack pointer as an offset in SS */
static inline uint64_t stack_sp(const struct cpu *c) { return c->gpr[RSP] & c->sp_mask; }

/* Sets rSP by the stack address size: SP keeps the upper bits, ESP clears them. */
static inline void stack_set_sp(struct cpu *c, uint64_t sp)
{
	if (likely(c->sp_mask == ~0ull))
		c->gpr[RSP] = sp;
	else if (c->sp_mask == 0xffffffff)
		c->gpr[RSP] = (uint32_t)sp;
	else
		c->gpr[RSP] = (c->gpr[RSP] & ~0xffffull) | (uint16_t)sp;
}

/* Adds n (negative: pushes) to rSP */
static inline void stack_add_sp(struct cpu *c, int64_t n) { stack_set_sp(c, c->gpr[RSP] + (uint64_t)n); }

/* Linear address of SS:sp, sp wrapped to the stack address size, after SS's checks */
static inline uint64_t stack_lin(struct cpu *c, const struct insn *i, uint64_t sp, unsigned size, bool write)
{
	return seg_lin(c, i, SS, sp & c->sp_mask, size, write);
}

/* Reads or writes size (1, 2, 4, 8) bytes at SS:sp; rSP stays as it is. */
static inline __attribute__((always_inline)) uint64_t stack_ld(struct cpu *c, const struct insn *i, uint64_t sp,
							       unsigned size)
{
	uint64_t lin = stack_lin(c, i, sp, size, false);
	if (unlikely(!tlb_hit(c->tlb->r, lin, size)))
		stack_check_canonical(c, i, lin, size);
	return mem_ld(c, i, lin, size);
}
static inline __attribute__((always_inline)) void stack_st(struct cpu *c, const struct insn *i, uint64_t sp,
							   unsigned size, uint64_t v)
{
	uint64_t lin = stack_lin(c, i, sp, size, true);
	if (unlikely(!tlb_hit(c->tlb->w, lin, size)))
		stack_check_canonical(c, i, lin, size);
	mem_st(c, i, lin, size, v);
}

/* Raises what pushing `words` values of size bytes each would raise, stores nothing. Word by word, so that
 * a frame may wrap around a 16-bit stack. */
static inline void stack_probe(struct cpu *c, const struct insn *i, unsigned words, unsigned size)
{
	uint64_t sp = c->gpr[RSP];
	unsigned n;

	for (n = 1; n <= words; n++) {
		uint64_t lin = stack_lin(c, i, sp - (uint64_t)n * size, size, true);
		if (unlikely(!tlb_hit(c->tlb->w, lin, size))) {
			stack_check_canonical(c, i, lin, size);
			mmu_probe_w(c, i, lin, size);
		}
	}
}

/* Pushes the low size (2, 4, 8) bytes of v. */
static inline __attribute__((always_inline)) void stack_push(struct cpu *c, const struct insn *i, unsigned size,
							     uint64_t v)
{
	uint64_t sp = c->gpr[RSP] - size;
	stack_st(c, i, sp, size, v);
	stack_set_sp(c, sp);
}

/* The value `off` bytes above the top of the stack; rSP stays. Pair with stack_add_sp. */
static inline __attribute__((always_inline)) uint64_t stack_peek(struct cpu *c, const struct insn *i, unsigned size,
								 uint64_t off)
{
	return stack_ld(c, i, c->gpr[RSP] + off, size);
}

static inline __attribute__((always_inline)) uint64_t stack_pop(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t v = stack_peek(c, i, size, 0);
	stack_add_sp(c, (int64_t)size);
	return v;
}

/* The same for 64-bit code, where SS is flat and rSP is whole: size 2 or 8 */
static inline __attribute__((always_inline)) void stack_push64(struct cpu *c, const struct insn *i, unsigned size,
							       uint64_t v)
{
	uint64_t sp = c->gpr[RSP] - size;
	if (unlikely(!tlb_hit(c->tlb->w, sp, size)))
		stack_check_canonical(c, i, sp, size);
	mem_st(c, i, sp, size, v);
	c->gpr[RSP] = sp;
}
static inline __attribute__((always_inline)) uint64_t stack_peek64(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t sp = c->gpr[RSP];
	if (unlikely(!tlb_hit(c->tlb->r, sp, size)))
		stack_check_canonical(c, i, sp, size);
	return mem_ld(c, i, sp, size);
}

#endif
