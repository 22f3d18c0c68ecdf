/* test_pm.c - ACPI's fixed hardware, the reset ports and the panic port. */
#include "unit/cmocka_all.h"
#include "unit/dev_fixture.h"

#include "dev/acpi_pm.h"
#include "dev/pvpanic.h"
#include "dev/reset.h"

static struct acpi_pm *pm;
static struct reset_port *reset;
static struct pvpanic *panic;

static int setup(void **state)
{
	buses_create();
	return acpi_pm_create(pio, line(9), NULL, &power, &pm, NULL) || reset_create(pio, &power, &reset, NULL) ||
	       pvpanic_create(pio, &power, &panic, NULL);
}

static int teardown(void **state)
{
	acpi_pm_ops.destroy(pm);
	reset_ops.destroy(reset);
	pvpanic_ops.destroy(panic);
	buses_destroy();
	return 0;
}

static unsigned in(unsigned port, unsigned size) { return (unsigned)bus_read(pio, port, size); }
static void out(unsigned port, unsigned size, unsigned val) { bus_write(pio, port, size, val); }

static void timer(void **state)
{
	unsigned a = in(0x608, 4), b;

	fake_advance(1000000000);
	b = in(0x608, 4);
	assert_in_range(b - a, ACPI_PM_TIMER_HZ - 1, ACPI_PM_TIMER_HZ + 1);
	out(0x608, 4, 0);
	assert_int_equal(in(0x608, 4), b);
	assert_int_equal(in(0x608, 1), b & 0xff);
	assert_int_equal(in(0x60a, 2), b >> 16);
}

static void timer_status(void **state)
{
	out(0x602, 2, 1);
	fake_advance(599ull * 1000000000); /* the top bit changes every 599.93 s */
	assert_false(lines.level[9]);
	fake_advance(1000000000);
	assert_true(lines.level[9]);
	assert_int_equal(in(0x600, 2), 1);
	out(0x600, 2, 1);
	assert_false(lines.level[9]);
	assert_int_equal(in(0x600, 2), 0);
	fake_advance(600ull * 1000000000);
	assert_int_equal(lines.rises[9], 2);
	out(0x602, 2, 0);
	out(0x600, 2, 1);
	assert_false(fake_armed());
}

static void power_button(void **state)
{
	acpi_pm_power_button(pm);
	assert_false(lines.level[9]);
	assert_int_equal(in(0x600, 2), 0x100);
	out(0x602, 2, 0x120);
	assert_true(lines.level[9]);
	out(0x600, 1, 0xff); /* the other byte */
	assert_true(lines.level[9]);
	out(0x601, 1, 0x01);
	assert_false(lines.level[9]);
	assert_int_equal(in(0x600, 4), 0x01200000);
}

static void soft_off(void **state)
{
	assert_int_equal(in(0x604, 2), 1);
	out(0x604, 2, 0x1c00);
	out(0x604, 2, 0x2000 | 3 << 10); /* S3: not offered */
	assert_int_equal(power_last, 0);
	out(0x604, 2, 0x2000 | 5 << 10);
	assert_int_equal(power_last, POWER_OFF);
	assert_int_equal(in(0x604, 2), 5 << 10 | 1); /* SLP_EN reads 0 */
}

static void general_events(void **state)
{
	acpi_pm_gpe(pm, 3);
	assert_int_equal(in(0x620, 4), 8);
	out(0x622, 1, 0x0c);
	assert_true(lines.level[9]);
	out(0x620, 2, 8);
	assert_false(lines.level[9]);
	acpi_pm_gpe(pm, 9);
	assert_int_equal(in(0x621, 1), 2);
}

static void resets(void **state)
{
	out(0xcf9, 1, 0x02);
	assert_int_equal(power_last, 0);
	assert_int_equal(in(0xcf9, 1), 2);
	out(0xcf9, 1, 0x06);
	assert_int_equal(power_last, POWER_RESET);
	power_last = 0;
	assert_int_equal(in(0x92, 1), 2);
	out(0x92, 1, 0x03);
	assert_int_equal(power_last, POWER_RESET);
}

static void panics(void **state)
{
	assert_int_equal(in(0x505, 1), 3);
	out(0x505, 1, 2);
	assert_int_equal(power_last, 0);
	out(0x505, 1, 1);
	assert_int_equal(power_last, POWER_PANIC);
}

static void saves(void **state)
{
	unsigned t;

	acpi_pm_power_button(pm);
	acpi_pm_gpe(pm, 1);
	out(0x602, 2, 0x100);
	fake_advance(12345678);
	t = in(0x608, 4);
	assert_int_equal(state_round_trip(&acpi_pm_ops, pm), 0);
	assert_int_equal(in(0x608, 4), t);
	assert_true(lines.level[9]);
	out(0xcf9, 1, 2);
	assert_int_equal(state_round_trip(&reset_ops, reset), 0);
	assert_int_equal(in(0xcf9, 1), 2);
	assert_int_equal(state_round_trip(&pvpanic_ops, panic), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timer, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_status, setup, teardown),
		cmocka_unit_test_setup_teardown(power_button, setup, teardown),
		cmocka_unit_test_setup_teardown(soft_off, setup, teardown),
		cmocka_unit_test_setup_teardown(general_events, setup, teardown),
		cmocka_unit_test_setup_teardown(resets, setup, teardown),
		cmocka_unit_test_setup_teardown(panics, setup, teardown),
		cmocka_unit_test_setup_teardown(saves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
