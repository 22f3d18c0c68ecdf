/* power.c - how the machine learns that it is to end. */
#include <stdarg.h>
#include <stdio.h>

#include "host/loop.h"
#include "host/term.h"
#include "machine/internal.h"
#include "machine/vcpu.h"

void machine_power(struct machine *m, enum power_event ev)
{
	int none = 0;

	if (ev == POWER_QUIT)
		atomic_store(&m->event, POWER_QUIT);
	else if (!atomic_compare_exchange_strong(&m->event, &none, (int)ev))
		return;
	cpus_request_stop(m);
	loop_stop(m->loop);
}

void machine_fail(struct machine *m, const char *fmt, ...)
{
	if (!atomic_flag_test_and_set(&m->failed)) {
		va_list ap;

		va_start(ap, fmt);
		vsnprintf(m->failure.msg, sizeof(m->failure.msg), fmt, ap);
		va_end(ap);
	}
	machine_power(m, POWER_FAIL);
}

void machine_quit(struct machine *m)
{
	/* the CPUs are stopped by machine_run, once the loop has returned: their locks are not for signal handlers */
	atomic_store(&m->event, POWER_QUIT);
	term_hurry(m->term); /* nobody is to wait for a reader any more */
	loop_stop(m->loop);
}
