/* test_irqchip.c - the APIC timer, the local pins, and the PIC and the IOAPIC joined to the local APICs. */
#include "unit/apic_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(timer_one_shot), T(timer_periodic), T(timer_deadline), T(virtual_wire), T(timer_wirings),
		T(lint1_is_nmi), T(lint_level), T(ioapic_edge), T(ioapic_level), T(directed_eoi), T(level_to_nobody),
		T(saves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
