/* test_apic.c - the local APICs: delivery, priorities, EOI, IPIs, errors, the modes of the APIC, and everything
 * that is to give #GP. */
#include "unit/apic_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_values), T(priorities), T(notifies_once), T(messages_to_nowhere), T(broadcasts),
		T(logical_flat_and_cluster), T(lowest_priority), T(ipis), T(errors), T(page_accesses),
		T(software_disable_masks), T(base_transitions), T(x2_registers), T(x2_ipis), T(cpu_init),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
