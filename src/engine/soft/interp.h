/* interp.h - how instruction families hang together.
 *
 * Each family (int_*.c, fp_*.c, sys_*.c) exports one table of struct op_bind: for an
 * operation id, a function that looks at a decoded instruction and returns the handler for
 * exactly that form (or NULL: the form does not exist, #UD). interp.c collects the tables.
 *
 * A handler executes the instruction and returns the one to run next:
 *   NEXT(i)             the one behind it in the block
 *   JUMP(c, i, rip)     control transfer: ends the block, goes on at rip
 *   END(c, i)           modes, mappings or interrupt state changed: ends the block, by way of
 *                       the run loop, which looks at events and goes on behind i
 * The loop is `while (i) i = i->fn(c, i);`, and handlers are plain functions. In optimised
 * builds NEXT calls the next handler in tail position, so that most instructions run without
 * coming back to the loop (measured: 1.5 to 2 times as fast); whoever wants to execute just one has
 * a request pending in cpu.exitreq and a block of one (block_single), whose end comes back then.
 * A handler raises through exc.h, before it has changed any state.
 */
#ifndef SOFT_INTERP_H
#define SOFT_INTERP_H

#include "engine/soft/cpu.h"
#include "engine/soft/exc.h"
#include "engine/soft/flags.h"
#include "engine/soft/mmu.h"

struct op_bind {
	uint16_t op;
	insn_fn (*bind)(const struct insn *);
};

/* Tables end in { OP_INVALID, NULL } */
extern const struct op_bind int_move_ops[], int_alu_ops[], int_shift_ops[], int_muldiv_ops[], int_bit_ops[];
extern const struct op_bind int_string_ops[], int_flow_ops[], int_misc_ops[];
extern const struct op_bind avx_int_ops[], avx_fp_ops[], avx_mov_ops[], avx_mem_ops[], avx_cvt_ops[];
extern const struct op_bind sys_seg_ops[], sys_far_ops[], sys_ctl_ops[], sys_io_ops[];
extern const struct op_bind fp_x87_ops[], fp_x87_arith_ops[], fp_x87_ctl_ops[], fp_pcmpstr_ops[];
extern const struct op_bind fp_mmx_ops[], fp_sse_mov_ops[], fp_sse_arith_ops[], fp_sse_int_ops[], fp_state_ops[];

/* Handler for a decoded instruction; never NULL (op_ud for what does not exist). */
insn_fn interp_bind(const struct insn *);
const struct insn *op_ud(struct cpu *, const struct insn *);

/* Goes on at instruction n: by calling its handler where compilers turn that into a jump, else by returning
 * it to the loop. A call and its return cost several times what a short handler does. Callers have a
 * variable c; where a handler cannot end in a tail call (locals whose address is known elsewhere),
 * the stack grows by one frame, and block_find64 sees to it that these stay few. */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CONTINUE(c, n) do { const struct insn *next_ = (n); return next_->fn((c), next_); } while (0)
#else
#define CONTINUE(c, n) return (n)
#endif
#define NEXT(i) CONTINUE(c, (i) + 1)
/* Sets c->rip and returns the next block's first instruction, or NULL: back to the run loop. rip is
 * already truncated to the code size and checked against CS's limit or for being canonical: see
 * flow_target() for near transfers. */
const struct insn *interp_jump(struct cpu *, const struct insn *, uint64_t rip);
#define JUMP(c, i, rip) return interp_jump((c), (i), (rip))
/* c->rip = behind i; returns NULL */
const struct insn *interp_end(struct cpu *, const struct insn *);
#define END(c, i) return interp_end((c), (i))

/* Raises #GP(0) for a near branch target outside CS's limit or not canonical; returns it truncated
 * to the operand size osz (2, 4, 8). */
uint64_t flow_target(struct cpu *, const struct insn *, uint64_t rip, unsigned osz);

#define OPERAND_IS_MEM(i, n) ((i)->o[n].kind == O_MEM)

#endif
