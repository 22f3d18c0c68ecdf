/* test_pit.c - the 8254: modes, latching, read-back, the gate of channel 2, ticks and their lateness. */
#include "unit/cmocka_all.h"
#include "unit/dev_fixture.h"

#include "dev/i8254.h"

#define CLOCKS(n) ((n) * 1000000000ull / I8254_HZ + 1)

static struct i8254 *pit;

static int setup(void **state)
{
	buses_create();
	return i8254_create(pio, line(0), NULL, &pit, NULL);
}

static int teardown(void **state)
{
	i8254_ops.destroy(pit);
	buses_destroy();
	return 0;
}

static void program(unsigned ch, unsigned mode, unsigned count)
{
	outb(0x43, ch << 6 | 0x30 | mode << 1);
	outb(0x40 + ch, count & 0xff);
	outb(0x40 + ch, count >> 8);
}

static unsigned count(unsigned ch)
{
	unsigned lo;

	outb(0x43, ch << 6);
	lo = inb(0x40 + ch);
	return lo | inb(0x40 + ch) << 8;
}

/* What differs by a clock or two is a matter of rounding */
static void near(unsigned is, unsigned wanted)
{
	assert_in_range(is + 2, wanted, wanted + 4);
}

static void rate_generator(void **state)
{
	program(0, 2, 11932); /* 100 Hz */
	assert_int_equal(lines.rises[0], 0);
	fake_advance(1000000000 + 5000);
	assert_in_range(lines.rises[0], 99, 100);
	fake_advance(1000000000);
	assert_in_range(lines.rises[0], 199, 200);
}

static void square_wave(void **state)
{
	program(0, 3, 1000);
	fake_advance(CLOCKS(250));
	near(count(0), 500);
	fake_advance(CLOCKS(500));
	near(count(0), 500);
	assert_int_equal(lines.rises[0], 0);
	fake_advance(CLOCKS(260));
	assert_int_equal(lines.rises[0], 1);
}

static void one_shot(void **state)
{
	program(0, 0, 1000);
	fake_advance(CLOCKS(400));
	near(count(0), 600);
	assert_int_equal(lines.rises[0], 0);
	fake_advance(CLOCKS(700));
	assert_int_equal(lines.rises[0], 1);
	near(count(0), 0x10000 - 100); /* goes on counting */
	fake_advance(1000000000);
	assert_int_equal(lines.rises[0], 1);
	program(0, 4, 100);
	fake_advance(CLOCKS(102));
	assert_int_equal(lines.rises[0], 2);
	assert_false(fake_armed());
}

static void new_count_after_period(void **state)
{
	program(0, 2, 2000);
	fake_advance(CLOCKS(5000)); /* in the middle of the third period */
	assert_int_equal(lines.rises[0], 2);
	outb(0x40, 0xe8);
	outb(0x40, 0x03); /* 1000 from the next period on */
	near(count(0), 1000);
	fake_advance(CLOCKS(1000));
	assert_int_equal(lines.rises[0], 3);
	fake_advance(CLOCKS(1000));
	assert_int_equal(lines.rises[0], 4);
	fake_advance(CLOCKS(1000));
	assert_int_equal(lines.rises[0], 5);
}

static void bcd(void **state)
{
	outb(0x43, 0x35);
	outb(0x40, 0x00);
	outb(0x40, 0x10); /* 1000 decimal */
	assert_int_equal(count(0), 0x1000);
	fake_advance(CLOCKS(1));
	assert_in_range(count(0), 0x998, 0x999);
	fake_advance(CLOCKS(1000));
	assert_int_equal(lines.rises[0], 1);
}

static void latch_and_read_back(void **state)
{
	unsigned lo, hi, st;

	program(0, 2, 0x8000);
	fake_advance(CLOCKS(0x10));
	outb(0x43, 0x00); /* latch; a second one and time change nothing */
	fake_advance(CLOCKS(0x100));
	outb(0x43, 0x00);
	lo = inb(0x40);
	hi = inb(0x40);
	near(lo | hi << 8, 0x7ff0);
	outb(0x43, 0xc2); /* count and status of channel 0 */
	st = inb(0x40);
	assert_int_equal(st, 0x80 | 0x34);
	lo = inb(0x40);
	hi = inb(0x40);
	near(lo | hi << 8, 0x7ef0);
	outb(0x43, 0x34); /* control word without a count: null count */
	outb(0x43, 0xe2);
	assert_int_equal(inb(0x40), 0x80 | 0x40 | 0x34);
}

/* As Linux and others calibrate: gate on, mode 0, wait for bit 5 */
static void channel2_gate(void **state)
{
	outb(0x61, 0);
	program(2, 0, 1000);
	fake_advance(CLOCKS(5000));
	assert_int_equal(inb(0x61) & 0x20, 0);
	near(count(2), 1000);
	outb(0x61, 1);
	fake_advance(CLOCKS(600));
	near(count(2), 400);
	outb(0x61, 0); /* holds */
	fake_advance(CLOCKS(600));
	near(count(2), 400);
	outb(0x61, 1);
	assert_int_equal(inb(0x61) & 0x21, 1);
	fake_advance(CLOCKS(402));
	assert_int_equal(inb(0x61) & 0x21, 0x21);
	program(2, 1, 100); /* hardware one-shot: high until triggered */
	assert_int_equal(inb(0x61) & 0x20, 0x20);
	outb(0x61, 0);
	outb(0x61, 1);
	assert_int_equal(inb(0x61) & 0x20, 0);
	fake_advance(CLOCKS(102));
	assert_int_equal(inb(0x61) & 0x20, 0x20);
	assert_int_equal(lines.rises[0], 0);
}

static void refresh_toggles(void **state)
{
	unsigned changes = 0, last = inb(0x61) & 0x10;

	for (unsigned i = 0; i < 1000; i++) {
		unsigned now;

		fake_advance(1000);
		now = inb(0x61) & 0x10;
		changes += now != last;
		last = now;
	}
	assert_in_range(changes, 65, 67); /* 1 ms / 15.085 us */
}

/* Runs the timer as a host that is late does: everything stands still for a while */
static void stall(uint64_t ns)
{
	fake_now += ns;
}

static void catches_up(void **state)
{
	unsigned before;

	program(0, 2, 1193); /* 1 kHz */
	fake_advance(10000000);
	before = lines.rises[0];
	stall(100000000);
	fake_advance(50000000); /* 100 late, at twice the rate: half of them by now */
	assert_in_range(lines.rises[0] - before, 98, 102);
	fake_advance(150000000);
	assert_in_range(lines.rises[0] - before, 298, 302); /* none lost */
	before = lines.rises[0];
	stall(5000000000);
	fake_advance(1000000000);
	assert_in_range(lines.rises[0] - before, 990, 2100); /* dropped, not repeated 5000 times */
}

static void rate_is_limited(void **state)
{
	program(0, 2, 2); /* 600 kHz */
	fake_advance(10000000);
	assert_in_range(lines.rises[0], 50, 101);
}

static void saves(void **state)
{
	unsigned c;

	program(0, 2, 5000);
	program(2, 0, 300);
	fake_advance(CLOCKS(1000));
	c = count(0);
	inb(0x40);
	assert_int_equal(state_round_trip(&i8254_ops, pit), 0);
	inb(0x40);
	assert_int_equal(count(0), c);
	fake_advance(CLOCKS(4003));
	assert_int_equal(lines.rises[0], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rate_generator, setup, teardown),
		cmocka_unit_test_setup_teardown(square_wave, setup, teardown),
		cmocka_unit_test_setup_teardown(one_shot, setup, teardown),
		cmocka_unit_test_setup_teardown(new_count_after_period, setup, teardown),
		cmocka_unit_test_setup_teardown(bcd, setup, teardown),
		cmocka_unit_test_setup_teardown(latch_and_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(channel2_gate, setup, teardown),
		cmocka_unit_test_setup_teardown(refresh_toggles, setup, teardown),
		cmocka_unit_test_setup_teardown(catches_up, setup, teardown),
		cmocka_unit_test_setup_teardown(rate_is_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(saves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
