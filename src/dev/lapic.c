/* lapic.c - one local APIC: priorities, registers in xAPIC and x2APIC dress, IA32_APIC_BASE. */
#include "base/bytes.h"
#include "base/clock.h"
#include "dev/lapic_priv.h"

#include <errno.h>

/* Version 14h, six LVT entries, EOI broadcasts can be suppressed */
#define VERSION (0x14u | (LVT_COUNT - 1) << 16 | 1u << 24)

const uint32_t lapic_lvt_bits[LVT_COUNT] = {
	[LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,
};

/* Highest bit set of a 256-bit register, or -1 */
static int highest(const _Atomic uint32_t *v)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t w = atomic_load_explicit(&v[i], memory_order_acquire);

		if (w)
			return i * 32 + 31 - __builtin_clz(w);
	}
	return -1;
}

unsigned lapic_ppr(const struct lapic *l)
{
	unsigned tpr = atomic_load(&l->tpr);
	int serving = highest(l->isr);

	if (serving < 0 || tpr >> 4 >= (unsigned)serving >> 4)
		return tpr;
	return (unsigned)serving & 0xf0;
}

/* The request that would be taken now, or -1 */
static int deliverable(const struct lapic *l)
{
	int v = highest(l->irr);

	return v >= 0 && (unsigned)v >> 4 > lapic_ppr(l) >> 4 ? v : -1;
}

const _Atomic uint32_t *lapic_events(const struct lapic *l)
{
	return &l->events;
}

void lapic_event(struct lapic *l, uint32_t ev)
{
	if (atomic_fetch_or(&l->events, ev) & ev)
		return;
	if (l->all->cfg.notify)
		l->all->cfg.notify(l->all->cfg.ctx, l->id);
}

/*
 * LAPIC_EV_INTR is a hint that never misses anything: whoever makes something deliverable sets it
 * after having done so (accept: the request bit; the vcpu: TPR, ISR), and it is cleared before
 * the look that finds nothing.
 */
bool lapic_intr_slow(struct lapic *l)
{
	if (deliverable(l) >= 0)
		return true;
	atomic_fetch_and(&l->events, ~LAPIC_EV_INTR);
	if (deliverable(l) < 0)
		return false;
	atomic_fetch_or(&l->events, LAPIC_EV_INTR);
	return true;
}

bool lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
	uint32_t bit = 1u << (vector & 31);

	if (!(atomic_load(&l->base) & BASE_ENABLE) || !(atomic_load(&l->svr) & SVR_ENABLE))
		return false;
	if (vector < 16) {
		lapic_error(l, ESR_RECV_ILLEGAL);
		return true;
	}
	if (level)
		atomic_fetch_or(&l->tmr[vector >> 5], bit);
	else
		atomic_fetch_and(&l->tmr[vector >> 5], ~bit);
	if (!(atomic_fetch_or(&l->irr[vector >> 5], bit) & bit)) {
		/* The hint may be up for a request that is held back by priority: the vcpu must look again */
		atomic_fetch_or(&l->events, LAPIC_EV_INTR);
		if (l->all->cfg.notify)
			l->all->cfg.notify(l->all->cfg.ctx, l->id);
	}
	return true;
}

void lapic_error(struct lapic *l, uint32_t esr_bit)
{
	/* Only a write to ESR arms the error interrupt again (SDM 3A 11.5.3), so this cannot recurse twice */
	if (!atomic_fetch_or(&l->errors, esr_bit))
		lapic_lvt_raise(l, LVT_ERROR);
}

int lapic_ack(struct lapic *l)
{
	int v = deliverable(l);

	if (v < 0)
		return -1;
	atomic_fetch_or(&l->isr[v >> 5], 1u << (v & 31));
	atomic_fetch_and(&l->irr[v >> 5], ~(1u << (v & 31)));
	return v;
}

bool lapic_extint_ack(struct lapic *l)
{
	return atomic_fetch_and(&l->events, ~LAPIC_EV_EXTMSG) & (LAPIC_EV_EXTMSG | LAPIC_EV_EXTINT);
}

bool lapic_nmi_ack(struct lapic *l)
{
	if (!(atomic_load_explicit(&l->events, memory_order_acquire) & LAPIC_EV_NMI))
		return false;
	return atomic_fetch_and(&l->events, ~LAPIC_EV_NMI) & LAPIC_EV_NMI;
}

static void eoi(struct lapic *l)
{
	int v = highest(l->isr);
	uint32_t bit;

	if (v < 0)
		return;
	bit = 1u << (v & 31);
	atomic_fetch_and(&l->isr[v >> 5], ~bit);
	atomic_fetch_or(&l->events, LAPIC_EV_INTR);
	if (!(atomic_load(&l->tmr[v >> 5]) & bit))
		return;
	lapic_lint_eoi(l, (uint8_t)v);
	if (!(atomic_load(&l->svr) & SVR_NO_EOI_BROADCAST) && l->all->cfg.eoi)
		l->all->cfg.eoi(l->all->cfg.eoi_ctx, (uint8_t)v);
}

static void tpr_write(struct lapic *l, uint32_t val)
{
	atomic_store(&l->tpr, val & 0xff);
	atomic_fetch_or(&l->events, LAPIC_EV_INTR);
}

uint64_t lapic_cr8_read(struct lapic *l)
{
	return atomic_load(&l->tpr) >> 4;
}

void lapic_cr8_write(struct lapic *l, uint64_t val)
{
	tpr_write(l, (uint32_t)(val & 15) << 4);
}

static void svr_write(struct lapic *l, uint32_t val)
{
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->svr, val & SVR_BITS);
	if (!(val & SVR_ENABLE)) { /* SDM 3A 11.4.7.2: all entries become masked */
		for (unsigned i = 0; i < LVT_COUNT; i++)
			atomic_fetch_or(&l->lvt[i], LVT_MASKED);
		lapic_timer_arm(l, clock_now_ns());
	}
	lapic_lint_update(l);
	pthread_mutex_unlock(&l->lock);
}

static void lvt_write(struct lapic *l, unsigned which, uint32_t val)
{
	uint32_t old, new = val & lapic_lvt_bits[which];

	pthread_mutex_lock(&l->lock);
	old = atomic_load(&l->lvt[which]);
	if (!(atomic_load(&l->svr) & SVR_ENABLE))
		new |= LVT_MASKED;
	if (new & LVT_LEVEL)
		new |= old & LVT_REMOTE_IRR;
	atomic_store(&l->lvt[which], new);
	if (which == LVT_TIMER)
		lapic_timer_lvt_write(l, old, new);
	else if (which == LVT_LINT0 || which == LVT_LINT1)
		lapic_lint_update(l);
	pthread_mutex_unlock(&l->lock);
}

static uint32_t timer_read(struct lapic *l, unsigned reg)
{
	uint32_t v;

	pthread_mutex_lock(&l->lock);
	v = reg == REG_ICT ? l->ict : reg == REG_DCR ? l->dcr : lapic_timer_count(l, clock_now_ns());
	pthread_mutex_unlock(&l->lock);
	return v;
}

static void timer_write(struct lapic *l, unsigned reg, uint32_t val)
{
	pthread_mutex_lock(&l->lock);
	if (reg == REG_ICT)
		lapic_timer_ict_write(l, val);
	else
		lapic_timer_dcr_write(l, val & DCR_BITS);
	pthread_mutex_unlock(&l->lock);
}

/* Registers as both modes have them. 0, or -EINVAL where there is none. */
static int reg_read(struct lapic *l, unsigned reg, uint32_t *out)
{
	switch (reg) {
	case REG_ID:
		*out = lapic_x2(atomic_load(&l->base)) ? l->id : l->id << 24;
		return 0;
	case REG_VERSION:
		*out = VERSION;
		return 0;
	case REG_TPR:
		*out = atomic_load(&l->tpr);
		return 0;
	case REG_PPR:
		*out = lapic_ppr(l);
		return 0;
	case REG_LDR:
		*out = atomic_load(&l->ldr);
		return 0;
	case REG_SVR:
		*out = atomic_load(&l->svr);
		return 0;
	case REG_ISR ... REG_ISR + 7:
		*out = atomic_load(&l->isr[reg - REG_ISR]);
		return 0;
	case REG_TMR ... REG_TMR + 7:
		*out = atomic_load(&l->tmr[reg - REG_TMR]);
		return 0;
	case REG_IRR ... REG_IRR + 7:
		*out = atomic_load(&l->irr[reg - REG_IRR]);
		return 0;
	case REG_ESR:
		*out = l->esr;
		return 0;
	case REG_ICR:
		*out = l->icr_lo;
		return 0;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		*out = atomic_load(&l->lvt[reg - REG_LVT]);
		return 0;
	case REG_ICT:
	case REG_CCT:
	case REG_DCR:
		*out = timer_read(l, reg);
		return 0;
	default:
		return -EINVAL;
	}
}

static int reg_write(struct lapic *l, unsigned reg, uint32_t val)
{
	switch (reg) {
	case REG_TPR:
		tpr_write(l, val);
		return 0;
	case REG_EOI:
		eoi(l);
		return 0;
	case REG_SVR:
		svr_write(l, val);
		return 0;
	case REG_ESR: /* the value is of no interest: a write shows what has been collected */
		l->esr = atomic_exchange(&l->errors, 0);
		return 0;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		lvt_write(l, reg - REG_LVT, val);
		return 0;
	case REG_ICT:
	case REG_DCR:
		timer_write(l, reg, val);
		return 0;
	default:
		return -EINVAL;
	}
}

/* The registers that only the memory page has, or has in another shape */

static int page_read(struct lapic *l, unsigned reg, uint32_t *out)
{
	switch (reg) {
	case REG_APR: /* arbitration went away with the APIC bus; EOI is for writing */
	case REG_RRD:
	case REG_EOI:
		*out = 0;
		return 0;
	case REG_DFR:
		*out = atomic_load(&l->dfr);
		return 0;
	case REG_ICR_HI:
		*out = l->icr_hi;
		return 0;
	default:
		return reg_read(l, reg, out);
	}
}

static int page_write(struct lapic *l, unsigned reg, uint32_t val)
{
	switch (reg) {
	case REG_ID: /* the id is wired */
	case REG_VERSION:
		return 0;
	case REG_LDR:
		atomic_store(&l->ldr, val & 0xff000000u);
		return 0;
	case REG_DFR:
		atomic_store(&l->dfr, val | 0x0fffffffu);
		return 0;
	case REG_ICR_HI:
		l->icr_hi = val & 0xff000000u;
		return 0;
	case REG_ICR:
		l->icr_lo = val & 0x000ccfffu;
		lapic_icr_send(l, l->icr_lo, l->icr_hi >> 24);
		return 0;
	default:
		return reg_write(l, reg, val);
	}
}

/* The register page is there for this vcpu, and gpa lies in it */
static bool in_page(const struct lapic *l, uint64_t gpa)
{
	uint64_t base = atomic_load_explicit(&l->base, memory_order_acquire);

	return !((gpa ^ base) & ~0xfffull) && (base & (BASE_X2 | BASE_ENABLE)) == BASE_ENABLE;
}

bool lapic_mmio_read(struct lapic *l, uint64_t gpa, unsigned size, uint64_t *val)
{
	unsigned off = gpa & 0xfff, in = off & 15;
	uint32_t v = 0;

	if (!in_page(l, gpa))
		return false;
	/* Registers are 32 bits wide, 16 bytes apart; bytes of one are read by some guests, the rest is void */
	if (in < 4 && page_read(l, off >> 4, &v) < 0)
		lapic_error(l, ESR_REGISTER);
	*val = in < 4 ? v >> 8 * in : 0;
	if (size < 4)
		*val &= (1ull << 8 * size) - 1;
	return true;
}

bool lapic_mmio_write(struct lapic *l, uint64_t gpa, unsigned size, uint64_t val)
{
	unsigned off = gpa & 0xfff;

	if (!in_page(l, gpa))
		return false;
	if (size >= 4 && !(off & 15) && page_write(l, off >> 4, (uint32_t)val) < 0)
		lapic_error(l, ESR_REGISTER);
	return true;
}

static int x2_write(struct lapic *l, unsigned reg, uint64_t val)
{
	uint64_t allowed;

	switch (reg) {
	case REG_ICR: /* SDM 3A 11.12.9; the delivery status bit is gone, and tolerated */
		if (val & 0xfff32000u)
			return -EINVAL;
		l->icr_lo = (uint32_t)val & ~(1u << 12);
		l->icr_hi = (uint32_t)(val >> 32);
		lapic_icr_send(l, l->icr_lo, l->icr_hi);
		return 0;
	case REG_SELF:
		if (val & ~0xffull)
			return -EINVAL;
		lapic_icr_send(l, 1u << 18 | (uint32_t)val, 0);
		return 0;
	case REG_TPR:
		allowed = 0xff;
		break;
	case REG_EOI:
	case REG_ESR:
		allowed = 0;
		break;
	case REG_SVR:
		allowed = SVR_BITS;
		break;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		/* Delivery status, and the pins' remote IRR, may be written back as they were read */
		allowed = lapic_lvt_bits[reg - REG_LVT] | 1u << 12;
		if (allowed & LVT_LEVEL)
			allowed |= LVT_REMOTE_IRR;
		break;
	case REG_ICT:
		allowed = 0xffffffffu;
		break;
	case REG_DCR:
		allowed = DCR_BITS;
		break;
	default:
		return -EINVAL;
	}
	return val & ~allowed ? -EINVAL : reg_write(l, reg, (uint32_t)val);
}

static int x2_read(struct lapic *l, unsigned reg, uint64_t *val)
{
	uint32_t v;
	int rc;

	if (reg == REG_ICR) {
		*val = (uint64_t)l->icr_hi << 32 | l->icr_lo;
		return 0;
	}
	rc = reg_read(l, reg, &v);
	if (!rc)
		*val = v;
	return rc;
}

/* Moves between off, xAPIC and x2APIC, as SDM 3A 11.12.5 draws them */
static int base_write(struct lapic *l, uint64_t val)
{
	uint64_t old = atomic_load(&l->base);
	unsigned bits = l->all->cfg.phys_bits;

	if ((val & 0x2ff) || val >> bits || ((val & BASE_X2) && !(val & BASE_ENABLE)))
		return -EINVAL;
	if (lapic_x2(old) && (val & BASE_ENABLE) && !lapic_x2(val))
		return -EINVAL;
	if (!(old & BASE_ENABLE) && lapic_x2(val))
		return -EINVAL;
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->base, val);
	if (!(val & BASE_ENABLE)) {
		lapic_regs_reset(l);
	} else if (lapic_x2(val) && !lapic_x2(old)) {
		atomic_store(&l->ldr, (l->id >> 4) << 16 | 1u << (l->id & 15));
		l->icr_hi = 0;
	}
	lapic_lint_update(l);
	pthread_mutex_unlock(&l->lock);
	return 0;
}

int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val)
{
	if (msr == MSR_APIC_BASE) {
		*val = atomic_load(&l->base);
		return 0;
	}
	if (msr == MSR_TSC_DEADLINE) {
		pthread_mutex_lock(&l->lock);
		*val = l->deadline;
		pthread_mutex_unlock(&l->lock);
		return 0;
	}
	if (msr - MSR_X2APIC > 0xff || !lapic_x2(atomic_load(&l->base)))
		return -EINVAL;
	return x2_read(l, msr - MSR_X2APIC, val);
}

int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val)
{
	if (msr == MSR_APIC_BASE)
		return base_write(l, (val & ~BASE_BSP) | (atomic_load(&l->base) & BASE_BSP));
	if (msr == MSR_TSC_DEADLINE) {
		pthread_mutex_lock(&l->lock);
		lapic_timer_deadline(l, val);
		pthread_mutex_unlock(&l->lock);
		return 0;
	}
	if (msr - MSR_X2APIC > 0xff || !lapic_x2(atomic_load(&l->base)))
		return -EINVAL;
	return x2_write(l, msr - MSR_X2APIC, val);
}
