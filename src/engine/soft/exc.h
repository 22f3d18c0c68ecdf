/* exc.h - raising and delivering exceptions and interrupts.
 *
 * cpu_raise* never return: they unwind to the run loop, which delivers. All architectural
 * state must be as before the instruction (i names it; NULL: c->rip does), except where
 * the SDM says otherwise (REP iterations done). */
#ifndef SOFT_EXC_H
#define SOFT_EXC_H

#include "engine/soft/cpu.h"

/* A fault of instruction i: RIP of i is pushed. Error code pushed where the vector has one. */
_Noreturn void cpu_raise(struct cpu *, const struct insn *i, int vector, uint32_t error);
static inline _Noreturn void raise_ud(struct cpu *c, const struct insn *i) { cpu_raise(c, i, EXC_UD, 0); }
static inline _Noreturn void raise_gp(struct cpu *c, const struct insn *i, uint32_t error) { cpu_raise(c, i, EXC_GP, error); }

/* #PF with CR2 set to lin */
_Noreturn void cpu_raise_pf(struct cpu *, const struct insn *i, uint64_t lin, uint32_t error);

/* Delivers vector at c->rip. Called by the run loop, and by INT n, INT3, INTO, INT1 (soft: DPL checks).
 * kind: EV_FAULT (exceptions, hardware error codes), EV_INTR (external, NMI), EV_SOFT (INT n, INT3, INTO).
 * May raise (unwinds) for faults during delivery: the run loop turns them into double faults. */
enum event_kind { EV_FAULT, EV_INTR, EV_SOFT };
void exc_deliver(struct cpu *, int vector, enum event_kind kind, bool has_error, uint32_t error);

/* Vector to deliver when @second arises while @first is being delivered: @second itself, EXC_DF, or -1:
 * triple fault, the processor shuts down (SDM 3A table 6-5). */
int exc_combine(int first, int second);

/* A debug trap behind the instruction that ended at c->rip; the caller has set DR6. May raise. */
void exc_trap_db(struct cpu *);

/* True if the vector pushes an error code: 8, 10-14, 17 (SDM 3A table 6-1) */
bool exc_has_error(int vector);

#endif
