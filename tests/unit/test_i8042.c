/* test_i8042.c - the keyboard controller: what Linux's i8042 and atkbd drivers do with it, reset, Ctrl-Alt-Del. */
#include "unit/cmocka_all.h"
#include "unit/dev_fixture.h"

#include "dev/i8042.h"

static struct i8042 *kbd;

static int setup(void **state)
{
	buses_create();
	return i8042_create(pio, line(1), &power, &kbd, NULL);
}

static int teardown(void **state)
{
	i8042_ops.destroy(kbd);
	buses_destroy();
	return 0;
}

static bool full(void) { return inb(0x64) & 1; }

static unsigned take(void)
{
	assert_true(full());
	return inb(0x60);
}

static unsigned command(unsigned cmd)
{
	outb(0x64, cmd);
	return take();
}

static void controller(void **state)
{
	assert_false(full());
	assert_int_equal(command(0xaa), 0x55);
	assert_int_equal(command(0xab), 0x00);
	outb(0x64, 0x60);
	outb(0x60, 0x74);
	assert_int_equal(command(0x20), 0x74);
	assert_int_equal(inb(0x64) & 0x0c, 0x0c);
	outb(0x64, 0xa8);
	assert_int_equal(command(0x20), 0x54);
	outb(0x64, 0xa7);
	assert_int_equal(command(0x20), 0x74);
	assert_int_equal(command(0xd0), 0x03);
	outb(0x64, 0xdd);
	assert_int_equal(command(0xd0), 0x01);
	outb(0x64, 0xd1);
	outb(0x60, 0x03);
	assert_int_equal(command(0xd0), 0x03);
	assert_int_equal(power_last, 0);
	assert_false(full());
}

/* i8042_check_aux: the loop's answer is not the mouse port's, and the port's test fails at once */
static void no_mouse(void **state)
{
	outb(0x64, 0xd3);
	outb(0x60, 0x5a);
	assert_int_equal(inb(0x64) & 0x21, 0x01);
	assert_int_equal(command(0xa9), 0x01); /* replaces what was not read */
	assert_false(full());
	outb(0x64, 0xd4);
	outb(0x60, 0xf2);
	assert_false(full());
}

static void keyboard(void **state)
{
	static const struct { uint8_t out[2], in[4]; } talks[] = {
		{ { 0xff }, { 2, 0xfa, 0xaa } }, { { 0xf4 }, { 1, 0xfa } }, { { 0xed, 7 }, { 2, 0xfa, 0xfa } },
		{ { 0xf3, 0x20 }, { 2, 0xfa, 0xfa } }, { { 0xee }, { 1, 0xee } }, { { 0xf0, 0 }, { 3, 0xfa, 0xfa, 2 } },
		{ { 0xf2 }, { 3, 0xfa, 0xab, 0x83 } }, { { 0xfe }, { 1, 0x83 } }, { { 0x55 }, { 1, 0xfe } },
	};

	outb(0x64, 0x60);
	outb(0x60, 0x05); /* untranslated, with interrupts */
	for (unsigned i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		unsigned rises = lines.rises[1];

		outb(0x60, talks[i].out[0]);
		if (talks[i].in[0] == 2 && talks[i].out[1])
			assert_int_equal(take(), talks[i].in[1]);
		if (talks[i].out[1])
			outb(0x60, talks[i].out[1]);
		else if (talks[i].out[0] == 0xf0)
			outb(0x60, 0);
		for (unsigned k = talks[i].in[0] == 2 && talks[i].out[1] ? 2 : 1; k <= talks[i].in[0]; k++)
			assert_int_equal(take(), talks[i].in[k]);
		assert_false(full());
		assert_false(lines.level[1]);
		assert_int_equal(lines.rises[1] - rises, talks[i].in[0]); /* an edge a byte */
	}
}

static void disabled_keyboard_waits(void **state)
{
	outb(0x60, 0xee);
	outb(0x64, 0xad);
	assert_false(full());
	outb(0x64, 0xae);
	assert_int_equal(take(), 0xee);
}

static void resets(void **state)
{
	outb(0x64, 0xff);
	assert_int_equal(power_last, 0);
	outb(0x64, 0xfe);
	assert_int_equal(power_last, POWER_RESET);
	power_last = 0;
	outb(0x64, 0xd1);
	outb(0x60, 0xfe);
	assert_int_equal(power_last, POWER_RESET);
}

static void ctrl_alt_del(void **state)
{
	static const uint8_t set1[] = { 0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d };

	i8042_ctrl_alt_del(kbd);
	for (unsigned i = 0; i < sizeof(set1); i++) {
		assert_true(lines.level[1]);
		assert_int_equal(take(), set1[i]);
	}
	for (unsigned i = 0; i < 100; i++)
		i8042_ctrl_alt_del(kbd); /* nobody reads: the queue is bounded */
	for (unsigned i = 0; full(); i++) {
		assert_in_range(i, 0, 32);
		inb(0x60);
	}
}

static void saves(void **state)
{
	outb(0x60, 0xf2);
	outb(0x64, 0x60);
	outb(0x60, 0x25);
	assert_int_equal(state_round_trip(&i8042_ops, kbd), 0);
	assert_int_equal(take(), 0xfa);
	assert_int_equal(take(), 0xab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(controller, setup, teardown),
		cmocka_unit_test_setup_teardown(no_mouse, setup, teardown),
		cmocka_unit_test_setup_teardown(keyboard, setup, teardown),
		cmocka_unit_test_setup_teardown(disabled_keyboard_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(resets, setup, teardown),
		cmocka_unit_test_setup_teardown(ctrl_alt_del, setup, teardown),
		cmocka_unit_test_setup_teardown(saves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
