/* machine.h - a whole PC: memory, buses, devices, processors, and its life from boot to end.
 *
 * Threads: the caller's thread runs the I/O loop inside machine_run; every vcpu has one of its own. */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "core/power.h"

struct config;
struct engine_ops;
struct err;
struct machine;

/* Builds everything that @cfg (which outlives the machine and has been checked) asks for, on @engine.
 * 0, or -errno with a sentence: the host could not provide something. */
int machine_create(const struct config *cfg, const struct engine_ops *engine, struct machine **out, struct err *e);
void machine_destroy(struct machine *); /* accepts NULL; machine_run has returned */

/* Opens the configuration's disks and attaches them. Errors are the images'. Once, before machine_boot. */
int machine_attach_disks(struct machine *, struct err *e);

/* Loads the guest's program. Errors are the input files' (see boot/boot.h). */
int machine_boot(struct machine *, struct err *e);

/* Runs the guest after machine_boot until something ends it; resets in between where the configuration
 * says so. POWER_FAIL has filled @e. */
enum power_event machine_run(struct machine *, struct err *e);

/* What the process is to exit with after POWER_EXIT */
int machine_exit_status(const struct machine *);

/* Ends machine_run with POWER_QUIT, now or when it is entered. Async-signal-safe. */
void machine_quit(struct machine *);

#endif
