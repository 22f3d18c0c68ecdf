/* apic_fixture.h - an irqchip of three CPUs, and short names for what is done to it. */
#ifndef TESTS_APIC_FIXTURE_H
#define TESTS_APIC_FIXTURE_H

#include "unit/cmocka_all.h"
#include "unit/dev_fixture.h"

#include "dev/irqchip.h"
#include "dev/lapic.h"

#include <errno.h>
#include <stdio.h>

#define NCPUS 3
#define BASE LAYOUT_LAPIC

static struct irqchip *chip;
static unsigned notified[NCPUS];
static char starts[64]; /* "I1 S1:9f " */
static uint64_t tsc_skew;

static inline void notify(void *ctx, unsigned cpu) { notified[cpu]++; }
static inline uint64_t tsc_now(void *ctx, unsigned cpu) { return fake_now * 2 + tsc_skew; }

static inline void start(void *ctx, unsigned cpu, enum lapic_start what, uint8_t vector)
{
	size_t n = strlen(starts);

	if (what == LAPIC_INIT)
		snprintf(starts + n, sizeof(starts) - n, "I%u ", cpu);
	else
		snprintf(starts + n, sizeof(starts) - n, "S%u:%02x ", cpu, vector);
}

static inline int setup(void **state)
{
	struct lapics_config cfg = { .ncpus = NCPUS, .tsc_khz = 2000000, .timer_hz = 1000000000, .tsc_now = tsc_now,
				     .notify = notify, .start = start };

	buses_create();
	memset(notified, 0, sizeof(notified));
	starts[0] = 0;
	tsc_skew = 0;
	return irqchip_create(pio, mmio, &cfg, &chip, NULL);
}

static inline int teardown(void **state)
{
	irqchip_ops.destroy(chip);
	buses_destroy();
	return 0;
}

static inline uint32_t rd(unsigned cpu, unsigned off)
{
	uint64_t v = 0xdead;

	assert_true(irqchip_mmio_read(chip, cpu, BASE + off, 4, &v));
	return (uint32_t)v;
}

static inline void wr(unsigned cpu, unsigned off, uint32_t val)
{
	assert_true(irqchip_mmio_write(chip, cpu, BASE + off, 4, val));
}

static inline int wrmsr(unsigned cpu, uint32_t msr, uint64_t val) { return irqchip_msr_write(chip, cpu, msr, val); }

static inline uint64_t rdmsr(unsigned cpu, uint32_t msr)
{
	uint64_t v = 0;

	assert_int_equal(irqchip_msr_read(chip, cpu, msr, &v), 0);
	return v;
}

static inline bool msr_faults(unsigned cpu, uint32_t msr)
{
	uint64_t v;

	return irqchip_msr_read(chip, cpu, msr, &v) == -EINVAL;
}

static inline void enable_all(void)
{
	for (unsigned i = 0; i < NCPUS; i++)
		wr(i, 0xf0, 0x1ff);
}

static inline void x2_all(void)
{
	for (unsigned i = 0; i < NCPUS; i++) {
		assert_int_equal(wrmsr(i, 0x1b, BASE | 0xc00), 0);
		assert_int_equal(wrmsr(i, 0x80f, 0x1ff), 0);
	}
}

static inline int ack(unsigned cpu)
{
	bool pending = irqchip_intr_pending(chip, cpu);
	int v = irqchip_intr_ack(chip, cpu);

	assert_int_equal(pending, v >= 0);
	return v;
}

static inline void msi(uint64_t addr, uint32_t data, int rc)
{
	const struct irq_router *r = irqchip_router(chip);

	assert_int_equal(r->msi(r->ctx, addr, data), rc);
}

static inline void gsi(unsigned n, bool level)
{
	const struct irq_router *r = irqchip_router(chip);

	r->set(r->ctx, n, level);
}

static inline void rte(unsigned pin, uint64_t val)
{
	bus_write(mmio, LAYOUT_IOAPIC, 4, 0x11 + 2 * pin);
	bus_write(mmio, LAYOUT_IOAPIC + 0x10, 4, val >> 32);
	bus_write(mmio, LAYOUT_IOAPIC, 4, 0x10 + 2 * pin);
	bus_write(mmio, LAYOUT_IOAPIC + 0x10, 4, (uint32_t)val);
}

static inline uint32_t rte_low(unsigned pin)
{
	bus_write(mmio, LAYOUT_IOAPIC, 4, 0x10 + 2 * pin);
	return (uint32_t)bus_read(mmio, LAYOUT_IOAPIC + 0x10, 4);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
