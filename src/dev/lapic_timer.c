/* lapic_timer.c - the local APIC's timer: one-shot, periodic and TSC deadline (SDM 3A 11.5.4).
 *
 * due_ns is kept whether the entry is masked or not; the loop is asked to wake only when
 * an interrupt would come of it. A periodic timer interrupts at most every 100 us, since
 * the I/O thread has more to do than one guest's timer; ticks in between are merged, as
 * they would be in the request register. */
#include "base/clock.h"
#include "dev/lapic_priv.h"

#define PERIOD_MIN_NS 100000u
#define FAR_NS (1ull << 60) /* 36 years: as good as never, and safe to add to a time */

static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c, bool up)
{
	unsigned __int128 v = ((unsigned __int128)a * b + (up ? c - 1 : 0)) / c;

	return v > FAR_NS ? FAR_NS : (uint64_t)v;
}

static unsigned divider(const struct lapic *l)
{
	unsigned code = (l->dcr & 3) | (l->dcr >> 1 & 4);

	return 1u << ((code + 1) & 7); /* 000 is 2, 110 is 128, 111 is 1 */
}

static uint64_t count_to_ns(const struct lapic *l, uint64_t count)
{
	return mul_div(count * divider(l), 1000000000u, l->all->cfg.timer_hz, true);
}

static uint64_t ns_to_count(const struct lapic *l, uint64_t ns)
{
	return mul_div(ns, l->all->cfg.timer_hz, 1000000000ull * divider(l), false);
}

static unsigned mode(const struct lapic *l)
{
	return atomic_load(&l->lvt[LVT_TIMER]) & LVT_TIMER_MODE;
}

/* Moves an expiry that has passed to the next one, or to none */
static void advance(struct lapic *l, uint64_t now)
{
	uint64_t period;

	if (l->due_ns > now)
		return;
	if (mode(l) == LVT_PERIODIC && l->ict) {
		period = count_to_ns(l, l->ict);
		period = period ? period : 1;
		l->due_ns += ((now - l->due_ns) / period + 1) * period;
	} else {
		l->due_ns = UINT64_MAX;
		l->deadline = 0;
	}
}

void lapic_timer_arm(struct lapic *l, uint64_t now)
{
	uint64_t when = l->due_ns;

	/* Masked, the expiry is not looked for; but a deadline goes away when it has passed */
	if ((atomic_load(&l->lvt[LVT_TIMER]) & LVT_MASKED) && mode(l) != LVT_DEADLINE)
		when = UINT64_MAX;
	else if (mode(l) == LVT_PERIODIC && when < now + PERIOD_MIN_NS && count_to_ns(l, l->ict) < PERIOD_MIN_NS)
		when = now + PERIOD_MIN_NS;
	loop_timer_set(&l->timer, when);
}

void lapic_timer_expired(void *ctx)
{
	struct lapic *l = ctx;
	uint64_t now;

	pthread_mutex_lock(&l->lock);
	now = clock_now_ns();
	if (l->due_ns <= now) {
		advance(l, now);
		lapic_lvt_raise(l, LVT_TIMER);
	}
	if (l->due_ns != UINT64_MAX)
		lapic_timer_arm(l, now);
	pthread_mutex_unlock(&l->lock);
}

void lapic_timer_stop(struct lapic *l)
{
	l->ict = 0;
	l->deadline = 0;
	l->due_ns = UINT64_MAX;
	loop_timer_set(&l->timer, UINT64_MAX);
}

void lapic_timer_lvt_write(struct lapic *l, uint32_t old, uint32_t lvt)
{
	uint64_t now;

	if (((old & LVT_TIMER_MODE) == LVT_DEADLINE) != ((lvt & LVT_TIMER_MODE) == LVT_DEADLINE)) {
		lapic_timer_stop(l);
		return;
	}
	if (l->due_ns == UINT64_MAX)
		return;
	now = clock_now_ns();
	if (old & LVT_MASKED)
		advance(l, now); /* what expired while masked is lost */
	lapic_timer_arm(l, now);
}

void lapic_timer_ict_write(struct lapic *l, uint32_t val)
{
	uint64_t now = clock_now_ns();

	if (mode(l) == LVT_DEADLINE)
		return;
	l->ict = val;
	l->start_ns = now;
	l->due_ns = val ? now + count_to_ns(l, val) : UINT64_MAX;
	lapic_timer_arm(l, now);
}

uint32_t lapic_timer_count(const struct lapic *l, uint64_t now)
{
	uint64_t n;

	if (mode(l) == LVT_DEADLINE || !l->ict)
		return 0;
	n = ns_to_count(l, now > l->start_ns ? now - l->start_ns : 0);
	if (mode(l) == LVT_PERIODIC)
		return l->ict - (uint32_t)(n % l->ict);
	return n < l->ict ? l->ict - (uint32_t)n : 0;
}

/* The count goes on from where it is, at the new rate */
void lapic_timer_dcr_write(struct lapic *l, uint32_t val)
{
	uint64_t now = clock_now_ns(), passed;
	uint32_t left = lapic_timer_count(l, now);

	l->dcr = val;
	if (!l->ict || l->due_ns == UINT64_MAX)
		return;
	passed = count_to_ns(l, l->ict - left);
	l->start_ns = now > passed ? now - passed : 0;
	l->due_ns = now + count_to_ns(l, left);
	lapic_timer_arm(l, now);
}

void lapic_timer_deadline(struct lapic *l, uint64_t tsc)
{
	const struct lapics_config *cfg = &l->all->cfg;
	uint64_t now, tsc_now;

	if (mode(l) != LVT_DEADLINE)
		return;
	l->deadline = tsc;
	l->due_ns = UINT64_MAX;
	if (tsc) {
		now = clock_now_ns();
		tsc_now = cfg->tsc_now ? cfg->tsc_now(cfg->ctx, l->id) : now;
		if (tsc <= tsc_now) {
			l->deadline = 0;
			lapic_lvt_raise(l, LVT_TIMER);
		} else {
			/* Rounded up: the guest must not find its TSC before the deadline */
			l->due_ns = now + mul_div(tsc - tsc_now, 1000000, cfg->tsc_khz, true);
		}
	}
	loop_timer_set(&l->timer, l->due_ns);
}

void lapic_tsc_changed(struct lapic *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->deadline)
		lapic_timer_deadline(l, l->deadline);
	pthread_mutex_unlock(&l->lock);
}
