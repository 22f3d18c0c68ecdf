/* fake_time.h - a clock and loop timers under the test's control, in place of base/clock.c and host/loop.c.
 * The library's own are not linked, since everything they define is defined here. */
#ifndef TESTS_FAKE_TIME_H
#define TESTS_FAKE_TIME_H

#include "base/clock.h"
#include "host/loop.h"

#include <stddef.h>

static uint64_t fake_now = 1000000000000ull;
static uint64_t fake_wall_minus_now = 1700000000ull * 1000000000ull; /* wall clock: 2023-11-14 22:30:00 at the start */
static struct loop_timer *fake_timers[64];
static unsigned fake_fired; /* timer callbacks, ever */

uint64_t clock_now_ns(void) { return fake_now; }
uint64_t clock_wall_ns(void) { return fake_now + fake_wall_minus_now; }

void loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	*t = (struct loop_timer){ .loop = l, .fn = fn, .ctx = ctx, .when_ns = UINT64_MAX };
	for (unsigned i = 0; i < 64; i++) {
		if (!fake_timers[i]) {
			fake_timers[i] = t;
			return;
		}
	}
	__builtin_trap();
}

void loop_timer_set(struct loop_timer *t, uint64_t when_ns) { t->when_ns = when_ns; }

void loop_timer_fini(struct loop_timer *t)
{
	for (unsigned i = 0; i < 64; i++) {
		if (fake_timers[i] == t)
			fake_timers[i] = NULL;
	}
}

static inline struct loop_timer *fake_next(void)
{
	struct loop_timer *t = NULL;

	for (unsigned i = 0; i < 64; i++) {
		if (fake_timers[i] && fake_timers[i]->when_ns != UINT64_MAX &&
		    (!t || fake_timers[i]->when_ns < t->when_ns))
			t = fake_timers[i];
	}
	return t;
}

static inline bool fake_armed(void) { return fake_next(); }

/* Lets time pass, with every timer firing at its time */
static inline void fake_advance(uint64_t ns)
{
	uint64_t end = fake_now + ns;
	struct loop_timer *t;

	while ((t = fake_next()) && t->when_ns <= end) {
		if (t->when_ns > fake_now)
			fake_now = t->when_ns;
		t->when_ns = UINT64_MAX;
		fake_fired++;
		t->fn(t->ctx);
	}
	fake_now = end;
}

#endif
