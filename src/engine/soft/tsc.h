/* tsc.h - time stamps: the host's counter, its frequency, and the guest's view of it.
 *
 * On x86 hosts guests count with the host's TSC plus an offset, elsewhere nanoseconds. The
 * frequency is found once per process: told by the host's CPUID, or measured against
 * CLOCK_MONOTONIC between tsc_init and the first question for it (10 ms at least).
 * Functions without a cpu argument: any thread. */
#ifndef SOFT_TSC_H
#define SOFT_TSC_H

#include "base/clock.h"
#include "engine/soft/cpu.h"

/* Takes the first sample; calls after the first do nothing. */
void tsc_init(void);

/* The host's counter now */
static inline uint64_t tsc_host(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return clock_now_ns();
#endif
}

/* Its frequency, which is the guests' too */
uint64_t tsc_khz(void);

/* Lengths of time */
uint64_t tsc_to_ns(uint64_t ticks);
uint64_t tsc_from_ns(uint64_t ns);

/* The counter at tsc_init: where TSCs of new guests start from zero */
uint64_t tsc_base(void);

/* How KVM's clock page converts: ns = ((ticks << shift) * mul) >> 32, a negative shift to the right */
void tsc_pvclock_scale(uint32_t *mul, int8_t *shift);

static inline uint64_t tsc_guest(const struct cpu *c) { return tsc_host() + (uint64_t)c->tsc_offset; }

/* Offset for a guest whose counter shall read `guest` now. Processors of one machine are set up one after
 * the other: a value within a second of what the last such call's offset gives means the same offset, so
 * that their counters agree exactly; so does 0, the value after RESET. */
int64_t tsc_offset_for(uint64_t guest);

#endif
