/* test_apic.c - the local APICs and the IOAPIC, joined by the irqchip: delivery, priorities, EOI, timer,
 * modes of the APIC, and everything that is to give #GP. */
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

static void notify(void *ctx, unsigned cpu) { notified[cpu]++; }
static uint64_t tsc_now(void *ctx, unsigned cpu) { return fake_now * 2 + tsc_skew; }

static void start(void *ctx, unsigned cpu, enum lapic_start what, uint8_t vector)
{
	size_t n = strlen(starts);

	if (what == LAPIC_INIT)
		snprintf(starts + n, sizeof(starts) - n, "I%u ", cpu);
	else
		snprintf(starts + n, sizeof(starts) - n, "S%u:%02x ", cpu, vector);
}

static int setup(void **state)
{
	struct lapics_config cfg = { .ncpus = NCPUS, .tsc_khz = 2000000, .timer_hz = 1000000000, .tsc_now = tsc_now,
				     .notify = notify, .start = start };

	buses_create();
	memset(notified, 0, sizeof(notified));
	starts[0] = 0;
	tsc_skew = 0;
	return irqchip_create(pio, mmio, &cfg, &chip, NULL);
}

static int teardown(void **state)
{
	irqchip_ops.destroy(chip);
	buses_destroy();
	return 0;
}

static uint32_t rd(unsigned cpu, unsigned off)
{
	uint64_t v = 0xdead;

	assert_true(irqchip_mmio_read(chip, cpu, BASE + off, 4, &v));
	return (uint32_t)v;
}

static void wr(unsigned cpu, unsigned off, uint32_t val)
{
	assert_true(irqchip_mmio_write(chip, cpu, BASE + off, 4, val));
}

static int wrmsr(unsigned cpu, uint32_t msr, uint64_t val) { return irqchip_msr_write(chip, cpu, msr, val); }

static uint64_t rdmsr(unsigned cpu, uint32_t msr)
{
	uint64_t v = 0;

	assert_int_equal(irqchip_msr_read(chip, cpu, msr, &v), 0);
	return v;
}

static bool msr_faults(unsigned cpu, uint32_t msr)
{
	uint64_t v;

	return irqchip_msr_read(chip, cpu, msr, &v) == -EINVAL;
}

static void enable_all(void)
{
	for (unsigned i = 0; i < NCPUS; i++)
		wr(i, 0xf0, 0x1ff);
}

static void x2_all(void)
{
	for (unsigned i = 0; i < NCPUS; i++) {
		assert_int_equal(wrmsr(i, 0x1b, BASE | 0xc00), 0);
		assert_int_equal(wrmsr(i, 0x80f, 0x1ff), 0);
	}
}

static int ack(unsigned cpu)
{
	bool pending = irqchip_intr_pending(chip, cpu);
	int v = irqchip_intr_ack(chip, cpu);

	assert_int_equal(pending, v >= 0);
	return v;
}

static void msi(uint64_t addr, uint32_t data, int rc)
{
	const struct irq_router *r = irqchip_router(chip);

	assert_int_equal(r->msi(r->ctx, addr, data), rc);
}

static void gsi(unsigned n, bool level)
{
	const struct irq_router *r = irqchip_router(chip);

	r->set(r->ctx, n, level);
}

static void rte(unsigned pin, uint64_t val)
{
	bus_write(mmio, LAYOUT_IOAPIC, 4, 0x11 + 2 * pin);
	bus_write(mmio, LAYOUT_IOAPIC + 0x10, 4, val >> 32);
	bus_write(mmio, LAYOUT_IOAPIC, 4, 0x10 + 2 * pin);
	bus_write(mmio, LAYOUT_IOAPIC + 0x10, 4, (uint32_t)val);
}

static uint32_t rte_low(unsigned pin)
{
	bus_write(mmio, LAYOUT_IOAPIC, 4, 0x10 + 2 * pin);
	return (uint32_t)bus_read(mmio, LAYOUT_IOAPIC + 0x10, 4);
}

/* --- the local APIC --- */

static void reset_values(void **state)
{
	assert_int_equal(rdmsr(0, 0x1b), BASE | 0x900);
	assert_int_equal(rdmsr(1, 0x1b), BASE | 0x800);
	assert_int_equal(rd(1, 0x20), 1 << 24);
	assert_int_equal(rd(0, 0x30) & 0xff00ff, 0x050014);
	assert_int_equal(rd(1, 0xf0), 0xff);
	assert_int_equal(rd(1, 0xe0), 0xffffffff);
	assert_int_equal(rd(1, 0x320), 0x10000);
	assert_int_equal(rd(1, 0x350), 0x10000);
	assert_int_equal(rd(0, 0x350), 0x700); /* virtual wire */
	assert_int_equal(rd(0, 0x360), 0x400);
}

static void priorities(void **state)
{
	enable_all();
	msi(0xfee00000, 0x41, 0);
	msi(0xfee00000, 0x45, 0);
	msi(0xfee00000, 0x62, 0);
	assert_int_equal(rd(0, 0x220), 0x22); /* requests 40h-5Fh */
	assert_int_equal(ack(0), 0x62);
	assert_int_equal(ack(0), -1);
	assert_int_equal(rd(0, 0xa0), 0x60);
	assert_int_equal(rd(0, 0x130), 4);
	msi(0xfee00000, 0x71, 0);
	assert_int_equal(ack(0), 0x71);
	wr(0, 0xb0, 0);
	assert_int_equal(ack(0), -1);
	wr(0, 0xb0, 0);
	assert_int_equal(ack(0), 0x45);
	wr(0, 0xb0, 0);
	irqchip_cr8_write(chip, 0, 4);
	assert_int_equal(rd(0, 0x80), 0x40);
	assert_int_equal(ack(0), -1);
	wr(0, 0x80, 0x3f);
	assert_int_equal(irqchip_cr8_read(chip, 0), 3);
	assert_int_equal(ack(0), 0x41);
	wr(0, 0xb0, 0);
	wr(0, 0xb0, 0); /* one too many */
	assert_int_equal(rd(0, 0xa0), 0x3f);
}

static void notifies_once(void **state)
{
	enable_all();
	msi(0xfee01000, 0x41, 0);
	msi(0xfee01000, 0x41, 0);
	assert_int_equal(notified[1], 1);
	assert_int_equal(ack(1), 0x41);
	msi(0xfee01000, 0x41, 0); /* while in service */
	assert_int_equal(notified[1], 2);
	assert_int_equal(ack(1), -1);
	wr(1, 0xb0, 0);
	assert_int_equal(ack(1), 0x41);
}

static void messages_to_nowhere(void **state)
{
	enable_all();
	msi(0xfee07000, 0x41, -EINVAL);
	msi(0xfef00000, 0x41, -EINVAL);
	msi(0x1fee00000, 0x41, -EINVAL);
	wr(1, 0xf0, 0xff); /* disabled by software: fixed ones are refused, NMIs are not */
	msi(0xfee01000, 0x41, -EINVAL);
	msi(0xfee01000, 0x400, 0);
	assert_true(irqchip_nmi_ack(chip, 1));
	assert_false(irqchip_nmi_ack(chip, 1));
}

static void broadcasts(void **state)
{
	enable_all();
	msi(0xfeeff000, 0x55, 0);
	for (unsigned i = 0; i < NCPUS; i++)
		assert_int_equal(ack(i), 0x55);
}

static void logical_flat_and_cluster(void **state)
{
	enable_all();
	for (unsigned i = 0; i < NCPUS; i++)
		wr(i, 0xd0, 0x01000000u << i);
	msi(0xfee0500c, 0x51, 0); /* 0 and 2 */
	assert_int_equal(ack(0), 0x51);
	assert_int_equal(ack(1), -1);
	assert_int_equal(ack(2), 0x51);
	for (unsigned i = 0; i < NCPUS; i++) {
		wr(i, 0xb0, 0);
		wr(i, 0xe0, 0x0fffffff);
		wr(i, 0xd0, (i < 2 ? 0x10000000u : 0x20000000u) | 0x01000000u << i);
	}
	msi(0xfee1f00c, 0x52, 0);
	assert_int_equal(ack(0), 0x52);
	assert_int_equal(ack(1), 0x52);
	assert_int_equal(ack(2), -1);
	for (unsigned i = 0; i < NCPUS; i++)
		wr(i, 0xb0, 0);
	msi(0xfeeff00c, 0x53, 0);
	for (unsigned i = 0; i < NCPUS; i++)
		assert_int_equal(ack(i), 0x53);
}

static void lowest_priority(void **state)
{
	unsigned got[NCPUS] = { 0 };

	enable_all();
	for (unsigned i = 0; i < NCPUS; i++)
		wr(i, 0xd0, 0xff000000u);
	irqchip_cr8_write(chip, 1, 8);
	for (unsigned n = 0; n < 20; n++) {
		msi(0xfeeff00c, 0x140 + n, 0);
		for (unsigned i = 0; i < NCPUS; i++) {
			while (ack(i) >= 0) {
				got[i]++;
				wr(i, 0xb0, 0);
			}
		}
	}
	assert_int_equal(got[0] + got[2], 20);
	assert_int_equal(got[1], 0);
	assert_in_range(got[0], 5, 15); /* equals take turns */
}

static void ipis(void **state)
{
	enable_all();
	wr(0, 0x310, 2 << 24);
	wr(0, 0x300, 0x61);
	assert_int_equal(ack(2), 0x61);
	assert_int_equal(rd(0, 0x300), 0x61);
	wr(0, 0x300, 0x40000 | 0x62); /* self */
	assert_int_equal(ack(0), 0x62);
	wr(1, 0x300, 0xc0000 | 0x71); /* all but self */
	assert_int_equal(ack(0), 0x71);
	assert_int_equal(ack(1), -1);
	assert_int_equal(ack(2), 0x71);
	wr(1, 0x300, 0x80000 | 0x72);
	assert_int_equal(ack(1), 0x72);
	wr(0, 0x310, 1 << 24);
	wr(0, 0x300, 0x4500);
	wr(0, 0x300, 0x8500); /* de-assert: nothing */
	wr(0, 0x300, 0x469f);
	wr(0, 0x300, 0xc4500);
	assert_string_equal(starts, "I1 S1:9f I1 I2 ");
	wr(0, 0x300, 0x400);
	assert_true(irqchip_nmi_ack(chip, 1));
}

static void errors(void **state)
{
	enable_all();
	wr(0, 0x370, 0xfe);
	wr(0, 0x300, 0x40000 | 0x05); /* vectors below 16 */
	assert_int_equal(rd(0, 0x280), 0);
	assert_int_equal(ack(0), 0xfe);
	wr(0, 0xb0, 0);
	msi(0xfee00000, 0x0f, 0);
	assert_int_equal(ack(0), -1); /* not armed again yet */
	wr(0, 0x280, 0);
	assert_int_equal(rd(0, 0x280), 0x60);
	rd(0, 0x2f0);
	assert_int_equal(ack(0), 0xfe);
	wr(0, 0x280, 0);
	assert_int_equal(rd(0, 0x280), 0x80);
	wr(0, 0x280, 0);
	assert_int_equal(rd(0, 0x280), 0);
}

static void page_accesses(void **state)
{
	uint64_t v;

	enable_all();
	assert_false(irqchip_mmio_read(chip, 0, BASE + 0x1000, 4, &v));
	assert_false(irqchip_mmio_write(chip, 0, BASE - 4, 4, 0));
	assert_true(irqchip_mmio_read(chip, 2, BASE + 0x23, 1, &v));
	assert_int_equal(v, 2);
	assert_true(irqchip_mmio_read(chip, 2, BASE + 0x28, 4, &v));
	assert_int_equal(v, 0);
	assert_true(irqchip_mmio_read(chip, 2, BASE + 0x30, 8, &v));
	assert_true(v >> 32 == 0);
	assert_true(irqchip_mmio_write(chip, 2, BASE + 0x80, 1, 0x50)); /* only whole registers are written */
	assert_int_equal(rd(2, 0x80), 0);
	wrmsr(2, 0x1b, 0x10000000 | 0x800); /* moved */
	assert_false(irqchip_mmio_read(chip, 2, BASE + 0x20, 4, &v));
	assert_true(irqchip_mmio_read(chip, 2, 0x10000020, 4, &v));
}

static void software_disable_masks(void **state)
{
	wr(0, 0x320, 0x30);
	wr(0, 0xf0, 0xff);
	assert_int_equal(rd(0, 0x320), 0x10030);
	wr(0, 0x320, 0x30);
	assert_int_equal(rd(0, 0x320), 0x10030);
}

/* --- x2APIC --- */

static void base_transitions(void **state)
{
	static const struct { uint64_t from, to; bool ok; } moves[] = {
		{ 0x800, 0xc00, true }, { 0xc00, 0x800, false }, { 0xc00, 0x400, false }, { 0xc00, 0xc00, true },
		{ 0xc00, 0x000, true }, { 0x000, 0xc00, false }, { 0x000, 0x400, false }, { 0x000, 0x800, true },
		{ 0x800, 0x400, false }, { 0x800, 0x801, false }, { 0x800, 0xa00, false }, { 0x800, 0x000, true },
	};

	for (unsigned i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		wrmsr(1, 0x1b, BASE);
		wrmsr(1, 0x1b, BASE | 0x800);
		wrmsr(1, 0x1b, BASE | moves[i].from);
		assert_int_equal(rdmsr(1, 0x1b), BASE | moves[i].from);
		assert_int_equal(wrmsr(1, 0x1b, BASE | moves[i].to), moves[i].ok ? 0 : -EINVAL);
		assert_int_equal(rdmsr(1, 0x1b), BASE | (moves[i].ok ? moves[i].to : moves[i].from));
	}
	assert_int_equal(wrmsr(0, 0x1b, 1ull << 46 | 0x800), -EINVAL);
	assert_int_equal(wrmsr(0, 0x1b, BASE | 0x800), 0);
	assert_int_equal(rdmsr(0, 0x1b), BASE | 0x900); /* the BSP stays the BSP */
}

static void x2_registers(void **state)
{
	uint64_t v;

	assert_true(msr_faults(1, 0x802));
	assert_int_equal(wrmsr(1, 0x80b, 0), -EINVAL);
	x2_all();
	assert_false(irqchip_mmio_read(chip, 1, BASE + 0x20, 4, &v));
	assert_int_equal(rdmsr(1, 0x802), 1);
	assert_int_equal(rdmsr(1, 0x80d), 2);
	assert_true(msr_faults(1, 0x80b));
	assert_true(msr_faults(1, 0x80e));
	assert_true(msr_faults(1, 0x831));
	assert_true(msr_faults(1, 0x83f));
	assert_true(msr_faults(1, 0x82f));
	assert_true(msr_faults(1, 0x8ff));
	assert_int_equal(wrmsr(1, 0x802, 1), -EINVAL);
	assert_int_equal(wrmsr(1, 0x80d, 1), -EINVAL);
	assert_int_equal(wrmsr(1, 0x80b, 1), -EINVAL);
	assert_int_equal(wrmsr(1, 0x80b, 0), 0);
	assert_int_equal(wrmsr(1, 0x808, 0x100), -EINVAL);
	assert_int_equal(wrmsr(1, 0x828, 1), -EINVAL);
	assert_int_equal(wrmsr(1, 0x832, 0x30 | 1 << 19), -EINVAL);
	assert_int_equal(wrmsr(1, 0x835, 0x4000), 0);
	assert_int_equal(rdmsr(1, 0x835), 0);
	assert_int_equal(wrmsr(1, 0x838, 1ull << 32), -EINVAL);
	assert_int_equal(wrmsr(1, 0x83e, 4), -EINVAL);
	assert_int_equal(wrmsr(1, 0x830, 1 << 20), -EINVAL);
	assert_int_equal(wrmsr(1, 0x83f, 0x100), -EINVAL);
}

static void x2_ipis(void **state)
{
	x2_all();
	assert_int_equal(wrmsr(0, 0x830, 2ull << 32 | 0x61), 0);
	assert_int_equal(ack(2), 0x61);
	assert_true(rdmsr(0, 0x830) == (2ull << 32 | 0x61));
	assert_int_equal(wrmsr(1, 0x83f, 0x62), 0);
	assert_int_equal(ack(1), 0x62);
	wrmsr(0, 0x830, 6ull << 32 | 0x871); /* logical, cluster 0, members 1 and 2 */
	assert_int_equal(ack(0), -1);
	assert_int_equal(ack(1), 0x71);
	assert_int_equal(ack(2), 0x71);
	wrmsr(0, 0x830, 0xffffffffull << 32 | 0x82);
	assert_int_equal(ack(0), 0x82);
	assert_int_equal(ack(1), 0x82);
	wrmsr(0, 0x830, 0x10002ull << 32 | 0x893); /* another cluster */
	wrmsr(0, 0x830, 0xffull << 32 | 0x93);     /* not a broadcast here */
	assert_int_equal(ack(1), -1);
}

/* --- timer --- */

static void timer_one_shot(void **state)
{
	enable_all();
	wr(0, 0x3e0, 0x3); /* by 16: 62.5 MHz */
	wr(0, 0x320, 0x40);
	wr(0, 0x380, 62500);
	fake_advance(400000);
	assert_int_equal(rd(0, 0x390), 37500);
	fake_advance(599999);
	assert_int_equal(ack(0), -1);
	fake_advance(2);
	assert_int_equal(rd(0, 0x390), 0);
	assert_int_equal(ack(0), 0x40);
	fake_advance(10000000);
	wr(0, 0xb0, 0);
	assert_int_equal(ack(0), -1);
	wr(0, 0x380, 1000);
	wr(0, 0x380, 0); /* stops */
	assert_false(fake_armed());
}

static void timer_periodic(void **state)
{
	unsigned n = 0;

	enable_all();
	wr(1, 0x3e0, 0xb); /* by 1 */
	wr(1, 0x320, 0x20040);
	wr(1, 0x380, 1000000);
	for (unsigned i = 0; i < 1000; i++) {
		fake_advance(100000);
		if (ack(1) == 0x40) {
			n++;
			wr(1, 0xb0, 0);
		}
	}
	assert_in_range(n, 99, 100);
	assert_in_range(rd(1, 0x390), 1, 1000000);
	wr(1, 0x3e0, 0x0); /* by 2: half as fast from here */
	fake_advance(2000000);
	wr(1, 0x320, 0x30040);
	assert_false(fake_armed()); /* masked: not even looked for */
	wr(1, 0x320, 0x20040);
	assert_true(fake_armed());
	n = fake_fired;
	wr(1, 0x380, 1); /* 2 ns */
	fake_advance(1000000);
	assert_in_range(fake_fired - n, 8, 11);
}

static void timer_deadline(void **state)
{
	enable_all();
	assert_int_equal(wrmsr(0, 0x6e0, 1000), 0); /* not the mode */
	assert_int_equal(rdmsr(0, 0x6e0), 0);
	wr(0, 0x320, 0x40040);
	wrmsr(0, 0x6e0, tsc_now(NULL, 0) + 2000000);
	assert_int_equal(rdmsr(0, 0x6e0), tsc_now(NULL, 0) + 2000000);
	fake_advance(999999);
	assert_int_equal(ack(0), -1);
	fake_advance(1);
	assert_int_equal(ack(0), 0x40);
	assert_int_equal(rdmsr(0, 0x6e0), 0);
	wr(0, 0xb0, 0);
	wrmsr(0, 0x6e0, 1); /* past: at once */
	assert_int_equal(ack(0), 0x40);
	wr(0, 0xb0, 0);
	wrmsr(0, 0x6e0, ~0ull);
	assert_int_equal(ack(0), -1);
	wrmsr(0, 0x6e0, 0);
	assert_false(fake_armed());
	wrmsr(0, 0x6e0, tsc_now(NULL, 0) + 2000000);
	tsc_skew = 1000000; /* the guest sets its TSC ahead */
	lapic_tsc_changed(irqchip_lapic(chip, 0));
	fake_advance(500000);
	assert_int_equal(ack(0), 0x40);
	wr(0, 0xb0, 0);
	wrmsr(0, 0x6e0, tsc_now(NULL, 0) + 2000000);
	wr(0, 0x320, 0x00040); /* another mode disarms */
	assert_false(fake_armed());
	wr(0, 0x320, 0x40040);
	wr(0, 0x380, 100);
	assert_int_equal(rd(0, 0x390), 0);
	assert_false(fake_armed());
}

/* --- pins, PIC, IOAPIC --- */

static void pic_init(void)
{
	outb(0x20, 0x11);
	outb(0x21, 0x30);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0x21, 0);
}

static void virtual_wire(void **state)
{
	pic_init();
	gsi(4, true);
	assert_true(notified[0]);
	assert_int_equal(ack(0), 0x34);
	assert_int_equal(ack(1), -1);
	outb(0x20, 0x20);
	gsi(4, false);
	wr(0, 0x350, 0x10700); /* masked */
	gsi(4, true);
	assert_int_equal(ack(0), -1);
	wr(0, 0x350, 0x700);
	assert_int_equal(ack(0), 0x34);
	outb(0x20, 0x20);
	gsi(4, false);
	wrmsr(0, 0x1b, BASE); /* without the APIC, the PIC is wired to the CPU */
	gsi(4, true);
	assert_int_equal(ack(0), 0x34);
	gsi(4, false);
	assert_int_equal(ack(0), -1);
}

/* Linux's check_timer tries these one after the other */
static void timer_wirings(void **state)
{
	pic_init();
	wr(0, 0x350, 0x10000);
	rte(2, 0x31);
	gsi(0, true);
	assert_int_equal(ack(0), 0x31);
	wr(0, 0xb0, 0);
	gsi(0, false);
	outb(0x20, 0x0c); /* poll: ends what the PIC saw of it */
	inb(0x20);
	outb(0x20, 0x20);
	rte(2, 0x10000);
	rte(0, 0x700); /* ExtINT through IOAPIC pin 0 */
	gsi(0, true);
	assert_int_equal(ack(0), 0x30);
	outb(0x20, 0x20);
	gsi(0, false);
	rte(0, 0x10000);
	wr(0, 0x350, 0x35); /* fixed, on LINT0 */
	gsi(0, true);
	assert_int_equal(ack(0), 0x35);
	wr(0, 0xb0, 0);
	gsi(0, false);
}

static void lint1_is_nmi(void **state)
{
	lapic_set_lint(irqchip_lapic(chip, 0), 1, true);
	assert_true(irqchip_nmi_ack(chip, 0));
	lapic_set_lint(irqchip_lapic(chip, 0), 1, true);
	assert_false(irqchip_nmi_ack(chip, 0));
}

static void lint_level(void **state)
{
	struct lapic *l = irqchip_lapic(chip, 0);

	wr(0, 0x350, 0x8044);
	lapic_set_lint(l, 0, true);
	assert_int_equal(ack(0), 0x44);
	assert_int_equal(rd(0, 0x350), 0xc044);
	wr(0, 0xb0, 0);
	assert_int_equal(ack(0), 0x44);
	lapic_set_lint(l, 0, false);
	wr(0, 0xb0, 0);
	assert_int_equal(ack(0), -1);
	assert_int_equal(rd(0, 0x350), 0x8044);
}

static void ioapic_edge(void **state)
{
	enable_all();
	bus_write(mmio, LAYOUT_IOAPIC, 4, 1);
	assert_int_equal(bus_read(mmio, LAYOUT_IOAPIC + 0x10, 4), 0x170020);
	gsi(20, true); /* masked: lost */
	rte(20, 1ull << 56 | 0x51);
	assert_int_equal(ack(1), -1);
	gsi(20, true); /* no edge */
	assert_int_equal(ack(1), -1);
	gsi(20, false);
	gsi(20, true);
	assert_int_equal(ack(1), 0x51);
	wr(1, 0xb0, 0);
	assert_int_equal(ack(1), -1);
	gsi(31, true); /* no such pin */
	rte(20, 0xffull << 56 | 0x52);
	gsi(20, false);
	gsi(20, true);
	assert_int_equal(ack(0), 0x52);
	assert_int_equal(ack(2), 0x52);
}

static void ioapic_level(void **state)
{
	enable_all();
	rte(9, 0x8059);
	gsi(9, true);
	assert_int_equal(rte_low(9), 0xc059);
	assert_int_equal(ack(0), 0x59);
	wr(0, 0xb0, 0); /* still up: again */
	assert_int_equal(ack(0), 0x59);
	gsi(9, false);
	wr(0, 0xb0, 0);
	assert_int_equal(ack(0), -1);
	assert_int_equal(rte_low(9), 0x8059);
	rte(9, 0x18059);
	gsi(9, true);
	assert_int_equal(ack(0), -1);
	rte(9, 0x8059); /* unmasked while up */
	assert_int_equal(ack(0), 0x59);
	gsi(9, false);
	rte(9, 0x0059); /* to edge: the remote IRR goes */
	assert_int_equal(rte_low(9), 0x0059);
}

static void directed_eoi(void **state)
{
	enable_all();
	wr(0, 0xf0, 0x11ff); /* no broadcast */
	rte(9, 0x8059);
	gsi(9, true);
	assert_int_equal(ack(0), 0x59);
	gsi(9, false);
	wr(0, 0xb0, 0);
	assert_int_equal(rte_low(9), 0xc059);
	bus_write(mmio, LAYOUT_IOAPIC + 0x40, 4, 0x59);
	assert_int_equal(rte_low(9), 0x8059);
}

static void level_to_nobody(void **state)
{
	rte(9, 1ull << 56 | 0x8059); /* CPU 1 is not enabled: it must not stay stuck */
	gsi(9, true);
	assert_int_equal(rte_low(9), 0x8059);
	wr(1, 0xf0, 0x1ff);
	rte(9, 1ull << 56 | 0x8059);
	assert_int_equal(ack(1), 0x59);
}

static void cpu_init(void **state)
{
	x2_all();
	wrmsr(1, 0x808, 0x50);
	msi(0xfee01000, 0x41, 0);
	irqchip_cpu_init(chip, 1);
	assert_int_equal(rdmsr(1, 0x808), 0);
	assert_int_equal(rdmsr(1, 0x80f), 0xff);
	assert_int_equal(rdmsr(1, 0x80d), 2);
	assert_int_equal(ack(1), -1);
}

static void saves(void **state)
{
	enable_all();
	wr(0, 0x320, 0x40040);
	wrmsr(0, 0x6e0, tsc_now(NULL, 0) + 2000000);
	wrmsr(2, 0x1b, BASE | 0xc00);
	msi(0xfee01000, 0x41, 0);
	msi(0xfee01000, 0x400, 0);
	rte(9, 0x8059);
	gsi(9, true);
	assert_int_equal(state_round_trip(&irqchip_ops, chip), 0);
	assert_int_equal(ack(1), 0x41);
	assert_true(irqchip_nmi_ack(chip, 1));
	assert_int_equal(ack(0), 0x59);
	gsi(9, false);
	wr(0, 0xb0, 0);
	fake_advance(1000000);
	assert_int_equal(ack(0), 0x40);
	assert_int_equal(rdmsr(2, 0x802), 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_values), T(priorities), T(notifies_once), T(messages_to_nowhere), T(broadcasts),
		T(logical_flat_and_cluster), T(lowest_priority), T(ipis), T(errors), T(page_accesses),
		T(software_disable_masks), T(base_transitions), T(x2_registers), T(x2_ipis), T(timer_one_shot),
		T(timer_periodic), T(timer_deadline), T(virtual_wire), T(timer_wirings), T(lint1_is_nmi), T(lint_level),
		T(ioapic_edge), T(ioapic_level), T(directed_eoi), T(level_to_nobody), T(cpu_init), T(saves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
