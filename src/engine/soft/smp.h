/* smp.h - what the processors of one virtual machine have to agree on.
 *
 * Pages that hold decoded code. A store through the W arrays of a TLB is seen by nobody, so a page may
 * be decoded only when no processor can make one:
 *
 *   decoding cpu                          storing cpu
 *   sets the granules and PAGE_CODE       sets its bit in `writers`
 *   looks at `writers`          <--->     looks at PAGE_CODE, enters W only if clear
 *
 * both sequentially consistent, so at least one sees the other. A processor in `writers` is asked to drop
 * its W entries; it does so between two blocks, or has it done while it is not running, and clears its bit.
 * Nobody waits: until the bits are gone, code from the page is executed uncached, one instruction at a time.
 * Stores that miss the W arrays look at the granules after they have stored.
 *
 * Exclusive sections serve locked accesses that no host atomic can do (across cache lines, to MMIO, to
 * decoded code): all other processors are between two blocks, not running, or waiting for the same. */
#ifndef SOFT_SMP_H
#define SOFT_SMP_H

#include "engine/soft/soft.h"

void smp_vm_init(struct soft_vm *);
void smp_vm_fini(struct soft_vm *);
void smp_cpu_init(struct cpu *); /* parked */
void smp_cpu_fini(struct cpu *);

/* Brackets of run(): between them the cpu has to come to smp_safe_point when asked to. */
void smp_enter(struct cpu *);
void smp_leave(struct cpu *);

/* Between two blocks, when EXITREQ_SAFE is set: drops what it was asked to, lets exclusive sections pass,
 * forgets blocks that were flushed. */
void smp_safe_point(struct cpu *);

/* Announces a page about to be decoded. True if no processor can store to it unseen any more. The code
 * lock is held. */
bool smp_page_claim(struct cpu *, uint64_t gpa);

/* Announces that c is about to hold a way to store to the page unseen (a W entry, a host pointer until the
 * next safe point). False: it must not, the page holds decoded code. */
bool smp_page_write(struct cpu *, uint64_t gpa);

/* True once every processor has passed a safe point, or stood outside run(), since epoch began */
bool smp_epoch_passed(struct soft_vm *, uint32_t epoch);
/* Begins a new epoch and asks all processors to a safe point. Returns its number. */
uint32_t smp_epoch_begin(struct soft_vm *);

/* Not nested. May be called in the middle of an instruction. */
void smp_exclusive_begin(struct cpu *);
void smp_exclusive_end(struct cpu *);

#endif
