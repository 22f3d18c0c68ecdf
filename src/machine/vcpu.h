/* vcpu.h - the threads that run the vcpus.
 *
 * Each thread creates its engine vcpu, then alternates between stopped and running as the
 * machine says, and sleeps without using the host while its guest is halted. */
#ifndef MACHINE_VCPU_H
#define MACHINE_VCPU_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct machine;

/* All threads of @m, stopped. On failure those already made are gone again. */
int cpus_create(struct machine *, struct err *e);
void cpus_destroy(struct machine *); /* stopped before; accepts none */

/* CPU 0 starts from m->start, the others wait for a SIPI */
void cpus_start(struct machine *);
void cpus_stop(struct machine *);         /* returns when no vcpu runs any more */
void cpus_request_stop(struct machine *); /* returns at once; any thread */

/* Something became pending for @cpu. Any thread, device locks may be held. */
void cpu_notify(struct machine *, unsigned cpu);
/* INIT or SIPI (enum lapic_start) for @cpu. Any thread, device locks may be held. */
void cpu_start_message(struct machine *, unsigned cpu, int what, uint8_t vector);
/* The guest's TSC on @cpu, on its thread or while it is stopped */
uint64_t cpu_tsc_now(struct machine *, unsigned cpu);

#endif
