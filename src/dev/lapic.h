/* lapic.h - local APICs (SDM 3A chapter 11): one per vcpu, xAPIC and x2APIC.
 *
 * struct lapics holds them all and delivers messages between them; CPU n has APIC id n.
 * Threads: functions marked [vcpu] are for the vcpu's own thread (or while it is stopped),
 * all others for any thread. The request register is atomic, so delivering takes no lock;
 * each APIC's mutex guards its local vector table, timer and LINT pins.
 * Lock order: any device -> i8259 or ioapic -> lapic -> loop. Callbacks are made with
 * device locks held and must not call back into devices. */
#ifndef DEV_LAPIC_H
#define DEV_LAPIC_H

#include "core/device.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct lapic;
struct lapics;
struct loop;

/* Delivery modes, as in ICR, redirection entries and MSI data */
enum apic_mode {
	APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_REMOTE_READ, APIC_NMI, APIC_INIT, APIC_SIPI, APIC_EXTINT
};

#define APIC_DEST_ALL 0xffffffffu /* broadcast, from 8-bit senders too */

struct apic_msg {
	uint32_t dest;
	uint8_t vector;
	uint8_t mode;    /* enum apic_mode */
	bool logical;    /* destination mode */
	bool level;      /* trigger mode */
};

enum lapic_start { LAPIC_INIT, LAPIC_SIPI };

struct lapics_config {
	unsigned ncpus;
	struct loop *loop;
	unsigned phys_bits; /* MAXPHYADDR as CPUID 80000008h says it; 0: 46 */
	uint64_t tsc_khz;   /* the guest's TSC; 0: 1 GHz */
	uint64_t timer_hz;  /* the APIC timer's clock before its divider, which CPUID leaves 15h (crystal)
			     * and 40000010h tell the guest; 0: as the TSC */
	/* The guest's TSC on that vcpu, now. Called on the vcpu's thread or while it is stopped. NULL: ns */
	uint64_t (*tsc_now)(void *ctx, unsigned cpu);
	/* Something became pending on @cpu (interrupt, NMI): wake it or have it look. Any thread, at once. */
	void (*notify)(void *ctx, unsigned cpu);
	/* INIT or SIPI (start page @vector) for @cpu; the machine has it obey on its own thread, with
	 * lapic_cpu_init() for INIT. Any thread, also @cpu's own. May be NULL. */
	void (*start)(void *ctx, unsigned cpu, enum lapic_start what, uint8_t vector);
	/* End of a level-triggered interrupt, for the IOAPIC. [vcpu]. May be NULL. */
	void (*eoi)(void *eoi_ctx, uint8_t vector);
	void *ctx, *eoi_ctx;
};

int lapics_create(const struct lapics_config *, struct lapics **out, struct err *e);
extern const struct device_ops lapics_ops; /* reset, destroy, save, load; not on a bus */

struct lapic *lapics_get(struct lapics *, unsigned cpu); /* cpu < ncpus */

/* Delivers a message to every APIC it names. Number of APICs that took it. */
unsigned lapics_deliver(struct lapics *, const struct apic_msg *);
/* An MSI write (SDM 3A 11.11). 0, or -EINVAL when @addr is none or nobody is there. */
int lapics_msi(struct lapics *, uint64_t addr, uint32_t data);

/* Sets a local interrupt pin (0 or 1). The PIC's output is on everybody's LINT0. */
void lapic_set_lint(struct lapic *, unsigned pin, bool level);

/* What is pending, as bits: a hint that may be checked without a call */
#define LAPIC_EV_INTR   1u /* the request register may hold something deliverable */
#define LAPIC_EV_EXTINT 2u /* the PIC asks, and this APIC lets it through */
#define LAPIC_EV_NMI    4u
#define LAPIC_EV_EXTMSG 8u /* an ExtINT message has come */
const _Atomic uint32_t *lapic_events(const struct lapic *);

bool lapic_intr_slow(struct lapic *); /* does the request register hold a deliverable interrupt? */
/* An interrupt (APIC's or PIC's) could be taken now. One load when nothing is pending. [vcpu] */
static inline bool lapic_intr_pending(struct lapic *l)
{
	uint32_t ev = atomic_load_explicit(lapic_events(l), memory_order_acquire);

	if (!(ev & (LAPIC_EV_INTR | LAPIC_EV_EXTINT | LAPIC_EV_EXTMSG)))
		return false;
	return (ev & (LAPIC_EV_EXTINT | LAPIC_EV_EXTMSG)) || lapic_intr_slow(l);
}
/* Takes the highest deliverable interrupt of the APIC itself: vector, or -1. [vcpu] */
int lapic_ack(struct lapic *);
/* True if an ExtINT request was there: the PIC is to be asked for its vector. [vcpu] */
bool lapic_extint_ack(struct lapic *);
bool lapic_nmi_ack(struct lapic *); /* takes a pending NMI. [vcpu] */

uint64_t lapic_cr8_read(struct lapic *);
void lapic_cr8_write(struct lapic *, uint64_t val); /* [vcpu]; val <= 15 */

/* IA32_APIC_BASE (1Bh), IA32_TSC_DEADLINE (6E0h), x2APIC 800h-8FFh. 0, or -EINVAL for #GP. [vcpu] */
int lapic_msr_read(struct lapic *, uint32_t msr, uint64_t *val);
int lapic_msr_write(struct lapic *, uint32_t msr, uint64_t val);

/* Accesses to the register page where this vcpu's APIC decodes it: true if it was one. [vcpu] */
bool lapic_mmio_read(struct lapic *, uint64_t gpa, unsigned size, uint64_t *val);
bool lapic_mmio_write(struct lapic *, uint64_t gpa, unsigned size, uint64_t val);

/* The effect of INIT on the APIC itself (SDM 3A 11.4.7.3). [vcpu] */
void lapic_cpu_init(struct lapic *);
/* The guest wrote its TSC: an armed deadline moves in time. [vcpu] */
void lapic_tsc_changed(struct lapic *);

#endif
