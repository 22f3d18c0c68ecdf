/* test_rtc.c - the MC146818: time in its formats, setting it, alarm, periodic and update interrupts, CMOS. */
#include "unit/cmocka_all.h"
#include "unit/dev_fixture.h"

#include "dev/mc146818.h"

static struct mc146818 *rtc;

static int setup(void **state)
{
	fake_now = 1000000000000ull;
	fake_wall_minus_now = 1700001000ull * 1000000000ull - fake_now; /* 2023-11-14 22:30:00 UTC, a Tuesday */
	buses_create();
	return mc146818_create(pio, line(8), NULL, &rtc, NULL);
}

static int teardown(void **state)
{
	mc146818_ops.destroy(rtc);
	buses_destroy();
	return 0;
}

static unsigned rd(unsigned idx)
{
	outb(0x70, idx);
	return inb(0x71);
}

static void wr(unsigned idx, unsigned val)
{
	outb(0x70, idx);
	outb(0x71, val);
}

static void expect_time(unsigned year, unsigned mon, unsigned day, unsigned hour, unsigned min, unsigned sec)
{
	assert_int_equal(rd(9), year);
	assert_int_equal(rd(8), mon);
	assert_int_equal(rd(7), day);
	assert_int_equal(rd(4), hour);
	assert_int_equal(rd(2), min);
	assert_int_equal(rd(0), sec);
}

static void tells_time(void **state)
{
	expect_time(0x23, 0x11, 0x14, 0x22, 0x30, 0x00);
	assert_int_equal(rd(6), 3);
	assert_int_equal(rd(0x32), 0x20);
	assert_int_equal(rd(0x0d), 0x80);
	fake_advance(5400ull * 1000000000);
	expect_time(0x23, 0x11, 0x15, 0x00, 0x00, 0x00);
	wr(0x0b, 0x06); /* binary */
	expect_time(23, 11, 15, 0, 0, 0);
	wr(0x0b, 0x04); /* 12 hours */
	assert_int_equal(rd(4), 12);
	fake_advance(13 * 3600ull * 1000000000);
	assert_int_equal(rd(4), 0x81);
	wr(0x0b, 0x00);
	assert_int_equal(rd(4), 0x81);
}

static void update_flag(void **state)
{
	unsigned up = 0;

	for (unsigned i = 0; i < 100000; i++) {
		fake_advance(10000);
		up += rd(0x0a) >> 7;
	}
	assert_in_range(up, 20, 30); /* 244 us of a second */
}

static void set_all(void)
{
	wr(0, 0x59);
	wr(2, 0x59);
	wr(4, 0x23);
	wr(7, 0x28);
	wr(8, 0x02);
	wr(9, 0x00);
	wr(0x32, 0x20);
}

static void is_set(void **state)
{
	wr(0x0b, 0x82);
	set_all();
	fake_advance(3000000000u);
	expect_time(0x00, 0x02, 0x28, 0x23, 0x59, 0x59); /* stands still */
	wr(0x0b, 0x02);
	expect_time(0x00, 0x02, 0x28, 0x23, 0x59, 0x59);
	fake_advance(1000000000u);
	expect_time(0x00, 0x02, 0x29, 0x00, 0x00, 0x00); /* a leap year */
}

/* As Linux does: SET and divider reset; the next second comes half a second after the release */
static void divider_reset(void **state)
{
	fake_advance(300000000);
	wr(0x0b, 0x82);
	wr(0x0a, 0x76);
	set_all();
	wr(0x0b, 0x02);
	wr(0x0a, 0x26);
	fake_advance(499000000);
	assert_int_equal(rd(0), 0x59);
	fake_advance(2000000);
	assert_int_equal(rd(0), 0x00);
}

static void nonsense_is_survived(void **state)
{
	for (unsigned v = 0; v < 256; v += 5) {
		wr(0x0b, v & 4 ? 0x82 : 0x86);
		for (unsigned i = 0; i < 10; i++)
			wr(i, 255 - v);
		wr(0x32, v);
		wr(0x0b, 0x02);
		fake_advance(1000000000u);
		rd(0);
		rd(0x0c);
	}
}

static void alarm(void **state)
{
	wr(1, 0x05);
	wr(3, 0x31);
	wr(5, 0xff);
	wr(0x0b, 0x22);
	fake_advance(64999000000ull);
	assert_false(lines.level[8]);
	fake_advance(2000000);
	assert_true(lines.level[8]);
	assert_int_equal(rd(0x0c) & 0xa0, 0xa0);
	assert_false(lines.level[8]);
	fake_advance(3600000000000ull); /* any hour: once more an hour later */
	assert_int_equal(lines.rises[8], 2);
}

static void alarm_that_never_comes(void **state)
{
	wr(1, 0x99);
	wr(0x0b, 0x22);
	assert_false(fake_armed());
}

static void periodic(void **state)
{
	unsigned n = 0;

	wr(0x0a, 0x26); /* 1024 Hz */
	wr(0x0b, 0x42);
	rd(0x0c);
	for (unsigned i = 0; i < 10000; i++) {
		fake_advance(100000);
		if (lines.level[8]) {
			assert_int_equal(rd(0x0c) & 0xc0, 0xc0);
			n++;
		}
	}
	assert_in_range(n, 1022, 1025);
	fake_advance(100000000);
	n = fake_fired;
	fake_advance(1000000000);
	assert_int_equal(fake_fired, n); /* nobody reads C: nothing more to do */
	wr(0x0b, 0x02);
	rd(0x0c);
	fake_advance(1000000);
	assert_int_equal(rd(0x0c), 0x40); /* the flag without its interrupt */
}

static void update_ended(void **state)
{
	wr(0x0b, 0x12);
	fake_advance(1000000);
	assert_int_equal(lines.rises[8], 0);
	fake_advance(1000000000);
	assert_int_equal(rd(0x0c), 0xd0);
	fake_advance(1000000000);
	assert_int_equal(lines.rises[8], 2);
}

static void cmos_keeps(void **state)
{
	mc146818_set_cmos(rtc, 0x14, 0x0f);
	mc146818_set_cmos(rtc, 0, 0x33); /* not RAM */
	wr(0x0f, 0x0a);
	mc146818_ops.reset(rtc);
	assert_int_equal(rd(0x0f), 0x0a);
	assert_int_equal(rd(0x14), 0x0f);
	assert_int_equal(rd(0x8f), 0x0a);
	assert_int_equal(inb(0x70), 0xff);
}

static void saves(void **state)
{
	wr(0x0b, 0x82);
	set_all();
	wr(0x0b, 0x12);
	wr(0x20, 0x77);
	/* Reset takes the interrupt enables away, so that what comes back has been loaded */
	assert_int_equal(state_round_trip(&mc146818_ops, rtc), 0);
	assert_int_equal(rd(0x0b), 0x12);
	assert_int_equal(rd(2), 0x59);
	fake_advance(1000000000);
	assert_true(lines.level[8]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_time, setup, teardown),
		cmocka_unit_test_setup_teardown(update_flag, setup, teardown),
		cmocka_unit_test_setup_teardown(is_set, setup, teardown),
		cmocka_unit_test_setup_teardown(divider_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(alarm, setup, teardown),
		cmocka_unit_test_setup_teardown(alarm_that_never_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(periodic, setup, teardown),
		cmocka_unit_test_setup_teardown(update_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(cmos_keeps, setup, teardown),
		cmocka_unit_test_setup_teardown(saves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
