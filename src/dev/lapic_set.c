/* lapic_set.c - all local APICs of a machine: creation, reset, saving and loading. */
#include "base/clock.h"
#include "base/err.h"
#include "core/layout.h"
#include "dev/devstate.h"
#include "dev/lapic_priv.h"

#include <errno.h>
#include <stdlib.h>

#define CPUS_MAX 255 /* 8-bit APIC ids, FFh being everybody */

struct lapic *lapics_get(struct lapics *ls, unsigned cpu)
{
	return &ls->cpu[cpu];
}

void lapic_regs_reset(struct lapic *l)
{
	for (unsigned i = 0; i < 8; i++) {
		atomic_store(&l->irr[i], 0);
		atomic_store(&l->isr[i], 0);
		atomic_store(&l->tmr[i], 0);
	}
	atomic_store(&l->tpr, 0);
	atomic_store(&l->svr, 0xff);
	atomic_store(&l->dfr, 0xffffffffu);
	atomic_store(&l->ldr, lapic_x2(atomic_load(&l->base)) ? (l->id >> 4) << 16 | 1u << (l->id & 15) : 0);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		atomic_store(&l->lvt[i], LVT_MASKED);
	atomic_store(&l->errors, 0);
	l->esr = l->icr_lo = l->icr_hi = 0;
	l->dcr = 0;
	lapic_timer_stop(l);
	atomic_fetch_and(&l->events, ~(LAPIC_EV_INTR | LAPIC_EV_EXTMSG | LAPIC_EV_NMI));
}

void lapic_cpu_init(struct lapic *l)
{
	pthread_mutex_lock(&l->lock);
	lapic_regs_reset(l);
	lapic_lint_update(l);
	pthread_mutex_unlock(&l->lock);
}

/* Power-on, and then what firmware does for the boot processor: virtual wire mode, the PIC's
 * interrupts through LINT0 (MultiProcessor Specification 1.4, 3.6.2.2) */
static void lapics_reset(void *dev)
{
	struct lapics *ls = dev;

	for (unsigned i = 0; i < ls->cfg.ncpus; i++) {
		struct lapic *l = &ls->cpu[i];

		pthread_mutex_lock(&l->lock);
		atomic_store(&l->base, LAYOUT_LAPIC | BASE_ENABLE | (i ? 0 : BASE_BSP));
		lapic_regs_reset(l);
		if (!i) {
			atomic_store(&l->svr, SVR_ENABLE | 0xff);
			atomic_store(&l->lvt[LVT_LINT0], APIC_EXTINT << 8);
			atomic_store(&l->lvt[LVT_LINT1], APIC_NMI << 8);
		}
		lapic_lint_update(l);
		pthread_mutex_unlock(&l->lock);
	}
}

static void lapics_destroy(void *dev)
{
	struct lapics *ls = dev;

	if (!ls)
		return;
	for (unsigned i = 0; i < ls->cfg.ncpus; i++) {
		loop_timer_fini(&ls->cpu[i].timer);
		pthread_mutex_destroy(&ls->cpu[i].lock);
	}
	free(ls);
}

int lapics_create(const struct lapics_config *cfg, struct lapics **out, struct err *e)
{
	struct lapics *ls;

	if (!cfg->ncpus || cfg->ncpus > CPUS_MAX)
		return err_set(e, -EINVAL, "%u CPUs: local APICs are there for 1 to %u", cfg->ncpus, CPUS_MAX);
	ls = calloc(1, sizeof(*ls) + cfg->ncpus * sizeof(ls->cpu[0]));
	if (!ls)
		return err_set(e, -ENOMEM, "lapic: out of memory");
	ls->cfg = *cfg;
	if (!ls->cfg.phys_bits)
		ls->cfg.phys_bits = 46;
	if (!ls->cfg.tsc_khz)
		ls->cfg.tsc_khz = 1000000u;
	if (!ls->cfg.timer_hz)
		ls->cfg.timer_hz = ls->cfg.tsc_khz * 1000;
	for (unsigned i = 0; i < cfg->ncpus; i++) {
		struct lapic *l = &ls->cpu[i];

		l->all = ls;
		l->id = i;
		pthread_mutex_init(&l->lock, NULL);
		loop_timer_init(&l->timer, cfg->loop, lapic_timer_expired, l);
	}
	lapics_reset(ls);
	*out = ls;
	return 0;
}

/* A local APIC's state without its atomics and locks */
struct image {
	uint64_t base, start_ns, due_ns, deadline;
	uint32_t events, irr[8], isr[8], tmr[8], lvt[LVT_COUNT];
	uint32_t tpr, svr, ldr, dfr, errors, esr, icr_lo, icr_hi, ict, dcr;
	bool lint[2];
};

static void sync_image(struct devstate *s, struct image *m, uint64_t now)
{
	uint32_t *const words[] = { &m->events, &m->tpr, &m->svr, &m->ldr, &m->dfr, &m->errors, &m->esr, &m->icr_lo,
				    &m->icr_hi, &m->ict, &m->dcr };

	ds_tag(s, 0x4350414c, 1);
	ds_u64(s, &m->base);
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		ds_u32(s, words[i]);
	for (unsigned i = 0; i < 8; i++) {
		ds_u32(s, &m->irr[i]);
		ds_u32(s, &m->isr[i]);
		ds_u32(s, &m->tmr[i]);
	}
	for (unsigned i = 0; i < LVT_COUNT; i++)
		ds_u32(s, &m->lvt[i]);
	ds_bool(s, &m->lint[0]);
	ds_bool(s, &m->lint[1]);
	ds_time(s, &m->start_ns, now);
	ds_time(s, &m->due_ns, now);
	ds_u64(s, &m->deadline);
}

static void image_take(struct image *m, struct lapic *l)
{
	pthread_mutex_lock(&l->lock);
	*m = (struct image){ .base = l->base, .start_ns = l->start_ns, .due_ns = l->due_ns, .deadline = l->deadline,
			     .events = l->events & (LAPIC_EV_NMI | LAPIC_EV_EXTMSG), .tpr = l->tpr, .svr = l->svr,
			     .ldr = l->ldr, .dfr = l->dfr, .errors = l->errors, .esr = l->esr, .icr_lo = l->icr_lo,
			     .icr_hi = l->icr_hi, .ict = l->ict, .dcr = l->dcr, .lint = { l->lint[0], l->lint[1] } };
	for (unsigned i = 0; i < 8; i++) {
		m->irr[i] = l->irr[i];
		m->isr[i] = l->isr[i];
		m->tmr[i] = l->tmr[i];
	}
	for (unsigned i = 0; i < LVT_COUNT; i++)
		m->lvt[i] = l->lvt[i];
	pthread_mutex_unlock(&l->lock);
}

static bool image_ok(const struct image *m, unsigned phys_bits)
{
	if ((m->base & 0x2ff) || m->base >> phys_bits || (m->base & (BASE_X2 | BASE_ENABLE)) == BASE_X2 ||
	    (m->events & ~(LAPIC_EV_NMI | LAPIC_EV_EXTMSG)) || m->tpr > 0xff || (m->svr & ~SVR_BITS) ||
	    (m->dcr & ~DCR_BITS) || (m->start_ns != UINT64_MAX && m->start_ns > UINT64_MAX / 2))
		return false;
	if ((m->irr[0] | m->isr[0]) & 0xffff)
		return false;
	for (unsigned i = 0; i < LVT_COUNT; i++) {
		if (m->lvt[i] & ~(lapic_lvt_bits[i] | LVT_REMOTE_IRR))
			return false;
	}
	return true;
}

static void image_give(const struct image *m, struct lapic *l, uint64_t now)
{
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->base, m->base);
	for (unsigned i = 0; i < 8; i++) {
		atomic_store(&l->irr[i], m->irr[i]);
		atomic_store(&l->isr[i], m->isr[i]);
		atomic_store(&l->tmr[i], m->tmr[i]);
	}
	for (unsigned i = 0; i < LVT_COUNT; i++)
		atomic_store(&l->lvt[i], m->lvt[i]);
	atomic_store(&l->tpr, m->tpr);
	atomic_store(&l->svr, m->svr);
	atomic_store(&l->ldr, m->ldr);
	atomic_store(&l->dfr, m->dfr);
	atomic_store(&l->errors, m->errors);
	l->esr = m->esr;
	l->icr_lo = m->icr_lo;
	l->icr_hi = m->icr_hi;
	l->ict = m->ict;
	l->dcr = m->dcr;
	l->start_ns = m->start_ns;
	l->due_ns = m->due_ns;
	l->deadline = m->deadline;
	l->lint[0] = m->lint[0];
	l->lint[1] = m->lint[1];
	atomic_store(&l->events, m->events | LAPIC_EV_INTR);
	lapic_lint_update(l);
	lapic_timer_arm(l, now);
	pthread_mutex_unlock(&l->lock);
}

static size_t lapics_save(void *dev, void *buf, size_t cap)
{
	struct lapics *ls = dev;
	struct devstate s = devstate_saver(buf, cap);
	uint64_t now = clock_now_ns();

	for (unsigned i = 0; i < ls->cfg.ncpus; i++) {
		struct image m;

		image_take(&m, &ls->cpu[i]);
		sync_image(&s, &m, now);
	}
	return s.pos;
}

static int lapics_load(void *dev, const void *buf, size_t len)
{
	struct lapics *ls = dev;
	struct devstate s = devstate_loader(buf, len);
	struct image *m = calloc(ls->cfg.ncpus, sizeof(*m));
	uint64_t now = clock_now_ns();
	bool ok = m;

	if (!m)
		return -ENOMEM;
	for (unsigned i = 0; i < ls->cfg.ncpus; i++) {
		sync_image(&s, &m[i], now);
		ok = ok && image_ok(&m[i], ls->cfg.phys_bits);
	}
	ok = ok && !ds_finish(&s);
	for (unsigned i = 0; ok && i < ls->cfg.ncpus; i++)
		image_give(&m[i], &ls->cpu[i], now);
	free(m);
	return ok ? 0 : -EINVAL;
}

const struct device_ops lapics_ops = {
	.name = "lapic", .reset = lapics_reset, .destroy = lapics_destroy, .save = lapics_save, .load = lapics_load,
};
