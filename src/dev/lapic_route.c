/* lapic_route.c - messages between APICs, MSIs, and the local interrupt pins (SDM 3A 11.5, 11.6, 11.11). */
#include "dev/lapic_priv.h"

#include <errno.h>

#define SHORTHAND_NONE 0u
#define SHORTHAND_SELF 1u
#define SHORTHAND_ALL 2u /* 3: all but self */

static bool enabled(const struct lapic *l)
{
	return (atomic_load(&l->base) & BASE_ENABLE) && (atomic_load(&l->svr) & SVR_ENABLE);
}

static bool matches(const struct lapic *l, uint32_t dest, bool logical)
{
	uint64_t base = atomic_load(&l->base);
	uint32_t ldr = atomic_load(&l->ldr);

	if (!(base & BASE_ENABLE))
		return false;
	if (dest == APIC_DEST_ALL)
		return true;
	if (!logical)
		return dest == l->id;
	if (base & BASE_X2)
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	if (dest > 0xff)
		return false;
	ldr >>= 24;
	if (atomic_load(&l->dfr) >> 28 == 0xf)
		return dest & ldr;
	/* Cluster model: the high digit names the cluster, 15 all */
	return (dest >> 4 == 0xf || dest >> 4 == ldr >> 4) && (dest & ldr & 0xf);
}

static void start(struct lapic *l, enum lapic_start what, uint8_t vector)
{
	if (l->all->cfg.start)
		l->all->cfg.start(l->all->cfg.ctx, l->id, what, vector);
}

static bool take(struct lapic *l, const struct apic_msg *m)
{
	switch (m->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return lapic_accept(l, m->vector, m->level);
	case APIC_NMI:
		lapic_event(l, LAPIC_EV_NMI);
		return true;
	case APIC_INIT:
		start(l, LAPIC_INIT, 0);
		return true;
	case APIC_SIPI:
		start(l, LAPIC_SIPI, m->vector);
		return true;
	case APIC_EXTINT:
		lapic_event(l, LAPIC_EV_EXTMSG);
		return true;
	default: /* SMI: there is no SMM to enter. Remote read: gone since the Pentium 4 */
		return false;
	}
}

/* The destination that is least busy */
static unsigned deliver_lowest(struct lapics *ls, const struct apic_msg *m)
{
	unsigned n = ls->cfg.ncpus, from = atomic_fetch_add(&ls->next, 1) % n, best_ppr = 256;
	struct lapic *best = NULL;

	for (unsigned i = 0; i < n; i++) {
		struct lapic *l = &ls->cpu[(from + i) % n];

		if (matches(l, m->dest, m->logical) && enabled(l) && lapic_ppr(l) < best_ppr) {
			best_ppr = lapic_ppr(l);
			best = l;
		}
	}
	return best && take(best, m);
}

unsigned lapics_deliver(struct lapics *ls, const struct apic_msg *m)
{
	unsigned took = 0;

	if (m->mode == APIC_LOWEST)
		return deliver_lowest(ls, m);
	if (!m->logical && m->dest != APIC_DEST_ALL) {
		if (m->dest < ls->cfg.ncpus && matches(&ls->cpu[m->dest], m->dest, false))
			took = take(&ls->cpu[m->dest], m);
		return took;
	}
	for (unsigned i = 0; i < ls->cfg.ncpus; i++) {
		if (matches(&ls->cpu[i], m->dest, m->logical))
			took += take(&ls->cpu[i], m);
	}
	return took;
}

/* 8-bit destinations have a broadcast of their own */
static uint32_t dest8(uint32_t dest, bool logical)
{
	return dest == 0xff && !logical ? APIC_DEST_ALL : dest;
}

int lapics_msi(struct lapics *ls, uint64_t addr, uint32_t data)
{
	bool logical = (addr & 0xc) == 0xc; /* redirection hint and destination mode */
	struct apic_msg m = {
		.vector = (uint8_t)data, .mode = data >> 8 & 7, .level = data & 0x8000,
		.logical = logical, .dest = dest8(addr >> 12 & 0xff, logical),
	};

	if (addr >> 20 != 0xfee)
		return -EINVAL;
	return lapics_deliver(ls, &m) ? 0 : -EINVAL;
}

void lapic_icr_send(struct lapic *l, uint32_t icr, uint32_t dest)
{
	struct lapics *ls = l->all;
	unsigned shorthand = icr >> 18 & 3;
	struct apic_msg m = { .vector = (uint8_t)icr, .mode = icr >> 8 & 7, .logical = icr >> 11 & 1 };

	/* INIT de-assert only ever synchronised arbitration ids */
	if (m.mode == APIC_INIT && (icr & 1u << 15) && !(icr & 1u << 14))
		return;
	if (m.mode == APIC_EXTINT)
		return;
	if ((m.mode == APIC_FIXED || m.mode == APIC_LOWEST) && m.vector < 16) {
		lapic_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	if (shorthand == SHORTHAND_SELF) {
		take(l, &m);
	} else if (shorthand == SHORTHAND_NONE) {
		m.dest = lapic_x2(atomic_load(&l->base)) ? dest : dest8(dest, m.logical);
		lapics_deliver(ls, &m);
	} else {
		if (m.mode == APIC_LOWEST)
			m.mode = APIC_FIXED;
		for (unsigned i = 0; i < ls->cfg.ncpus; i++) {
			if ((shorthand == SHORTHAND_ALL || &ls->cpu[i] != l) &&
			    matches(&ls->cpu[i], APIC_DEST_ALL, false))
				take(&ls->cpu[i], &m);
		}
	}
}

void lapic_lvt_raise(struct lapic *l, unsigned which)
{
	uint32_t lvt = atomic_load(&l->lvt[which]);
	/* The timer's and the error's entries have no delivery mode */
	struct apic_msg m = { .vector = (uint8_t)lvt, .mode = lapic_lvt_bits[which] & 0x700 ? lvt >> 8 & 7 : APIC_FIXED };

	if (lvt & LVT_MASKED)
		return;
	if (m.mode == APIC_FIXED || m.mode == APIC_NMI || m.mode == APIC_INIT)
		take(l, &m);
}

/* A pin with a level-triggered entry: asks until its EOI, then again if it is still up */
static void lint_level_check(struct lapic *l, unsigned pin)
{
	uint32_t lvt = atomic_load(&l->lvt[LVT_LINT0 + pin]);

	if (!l->lint[pin] || !(lvt & LVT_LEVEL) || (lvt & (LVT_MASKED | LVT_REMOTE_IRR | 0x700)))
		return;
	if (lapic_accept(l, (uint8_t)lvt, true))
		atomic_fetch_or(&l->lvt[LVT_LINT0 + pin], LVT_REMOTE_IRR);
}

void lapic_lint_update(struct lapic *l)
{
	bool off = !(atomic_load(&l->base) & BASE_ENABLE), extint = off && l->lint[0];

	for (unsigned pin = 0; pin < 2; pin++) {
		uint32_t lvt = atomic_load(&l->lvt[LVT_LINT0 + pin]);

		if (!off && l->lint[pin] && !(lvt & LVT_MASKED) && (lvt >> 8 & 7) == APIC_EXTINT)
			extint = true;
		lint_level_check(l, pin);
	}
	if (extint)
		lapic_event(l, LAPIC_EV_EXTINT);
	else
		atomic_fetch_and(&l->events, ~LAPIC_EV_EXTINT);
}

void lapic_set_lint(struct lapic *l, unsigned pin, bool level)
{
	uint32_t lvt;
	bool rose;

	pthread_mutex_lock(&l->lock);
	rose = level && !l->lint[pin & 1];
	l->lint[pin & 1] = level;
	lvt = atomic_load(&l->lvt[LVT_LINT0 + (pin & 1)]);
	if (!(atomic_load(&l->base) & BASE_ENABLE)) {
		if (rose && (pin & 1)) /* without an APIC the pins are INTR and NMI */
			lapic_event(l, LAPIC_EV_NMI);
	} else if (rose && ((lvt & 0x700) || !(lvt & LVT_LEVEL))) {
		lapic_lvt_raise(l, LVT_LINT0 + (pin & 1));
	}
	lapic_lint_update(l);
	pthread_mutex_unlock(&l->lock);
}

void lapic_lint_eoi(struct lapic *l, uint8_t vector)
{
	pthread_mutex_lock(&l->lock);
	for (unsigned pin = 0; pin < 2; pin++) {
		uint32_t lvt = atomic_load(&l->lvt[LVT_LINT0 + pin]);

		if ((uint8_t)lvt != vector || !(lvt & LVT_REMOTE_IRR))
			continue;
		atomic_fetch_and(&l->lvt[LVT_LINT0 + pin], ~LVT_REMOTE_IRR);
		lint_level_check(l, pin);
	}
	pthread_mutex_unlock(&l->lock);
}
