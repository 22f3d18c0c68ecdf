/* test_pic.c - the 8259 pair: priorities, cascade, EOI in all forms, special modes, ELCR, spurious interrupts. */
#include "unit/cmocka_all.h"
#include "unit/dev_fixture.h"

#include "dev/i8259.h"

static struct i8259 *pic;
static bool intr;

static void on_intr(void *ctx, bool level) { intr = level; }

static void init(unsigned icw4)
{
	outb(0x20, 0x11);
	outb(0x21, 0x30);
	outb(0x21, 0x04);
	outb(0x21, icw4);
	outb(0xa0, 0x11);
	outb(0xa1, 0x38);
	outb(0xa1, 0x02);
	outb(0xa1, 0x01);
	outb(0x21, 0);
	outb(0xa1, 0);
}

static int setup(void **state)
{
	int rc;

	buses_create();
	intr = false;
	rc = i8259_create(pio, on_intr, NULL, &pic, NULL);
	init(1);
	return rc;
}

static int teardown(void **state)
{
	i8259_ops.destroy(pic);
	buses_destroy();
	return 0;
}

static void pulse(unsigned irq)
{
	i8259_set(pic, irq, false);
	i8259_set(pic, irq, true);
}

static void probe(void **state)
{
	outb(0x21, 0xfb); /* Linux looks for a PIC in this way */
	assert_int_equal(inb(0x21), 0xfb);
	outb(0x21, 0xff);
	assert_int_equal(inb(0x21), 0xff);
	assert_int_equal(bus_read(pio, 0x20, 2), 0xff00);
}

static void priorities(void **state)
{
	pulse(4);
	assert_true(intr);
	pulse(1);
	assert_int_equal(i8259_ack(pic), 0x31);
	assert_false(intr); /* 4 waits */
	pulse(0);
	assert_true(intr); /* 0 does not */
	assert_int_equal(i8259_ack(pic), 0x30);
	outb(0x20, 0x0b);
	assert_int_equal(inb(0x20), 0x03);
	outb(0x20, 0x20);
	outb(0x20, 0x0b);
	assert_int_equal(inb(0x20), 0x02);
	outb(0x20, 0x61); /* specific */
	assert_int_equal(inb(0x20), 0);
	assert_int_equal(i8259_ack(pic), 0x34);
}

static void masks(void **state)
{
	outb(0x21, 0x10);
	pulse(4);
	assert_false(intr);
	outb(0x20, 0x0a);
	assert_int_equal(inb(0x20), 0x10); /* requested all the same */
	outb(0x21, 0);
	assert_true(intr);
}

static void cascade(void **state)
{
	pulse(12);
	pulse(8);
	assert_int_equal(i8259_ack(pic), 0x38);
	assert_false(intr);
	outb(0xa0, 0x20);
	assert_false(intr); /* the master's is still in service */
	outb(0x20, 0x20);
	assert_true(intr);
	assert_int_equal(i8259_ack(pic), 0x3c);
	pulse(8); /* higher, but the master holds its input 2 back */
	assert_false(intr);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	assert_int_equal(i8259_ack(pic), 0x38);
}

static void special_fully_nested(void **state)
{
	init(0x11);
	pulse(12);
	assert_int_equal(i8259_ack(pic), 0x3c);
	pulse(8);
	assert_true(intr);
	assert_int_equal(i8259_ack(pic), 0x38);
}

static void spurious(void **state)
{
	pulse(5);
	i8259_set(pic, 5, false); /* gone before INTA */
	assert_false(intr);
	assert_int_equal(i8259_ack(pic), 0x37);
	outb(0x20, 0x0b);
	assert_int_equal(inb(0x20), 0); /* nothing is in service: handlers know it by this */
}

static void auto_eoi_and_rotation(void **state)
{
	init(3);
	pulse(3);
	assert_int_equal(i8259_ack(pic), 0x33);
	outb(0x20, 0x0b);
	assert_int_equal(inb(0x20), 0);
	outb(0x20, 0x80); /* rotate at automatic EOI */
	pulse(3);
	assert_int_equal(i8259_ack(pic), 0x33);
	pulse(3);
	pulse(4);
	assert_int_equal(i8259_ack(pic), 0x34); /* 3 is the lowest now */
	assert_int_equal(i8259_ack(pic), 0x33);
	init(1);
	outb(0x20, 0xc4); /* 4 is the lowest: 5 the highest */
	pulse(0);
	pulse(6);
	assert_int_equal(i8259_ack(pic), 0x36);
	outb(0x20, 0xa0); /* rotating EOI */
	assert_int_equal(i8259_ack(pic), 0x30);
	outb(0x20, 0x20);
}

static void special_mask(void **state)
{
	pulse(2 + 1);
	assert_int_equal(i8259_ack(pic), 0x33);
	pulse(5);
	assert_false(intr);
	outb(0x21, 0x08);
	outb(0x20, 0x68); /* special mask mode: the masked one in service does not count */
	assert_true(intr);
	assert_int_equal(i8259_ack(pic), 0x35);
	outb(0x20, 0x20); /* ends 5, not 3 */
	outb(0x20, 0x0b);
	assert_int_equal(inb(0x20), 0x08);
}

static void poll(void **state)
{
	pulse(6);
	outb(0x20, 0x0c);
	assert_int_equal(inb(0x20), 0x86);
	assert_false(intr);
	outb(0x20, 0x0c);
	assert_int_equal(inb(0x20), 0x00);
}

static void level_inputs(void **state)
{
	outb(0x4d0, 0xff);
	outb(0x4d1, 0xff);
	assert_int_equal(inb(0x4d0), 0xf8);
	assert_int_equal(inb(0x4d1), 0xde);
	i8259_set(pic, 9, true);
	assert_int_equal(i8259_ack(pic), 0x39);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	assert_true(intr); /* still up */
	assert_int_equal(i8259_ack(pic), 0x39);
	i8259_set(pic, 9, false);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	assert_false(intr);
}

static void init_keeps_nothing(void **state)
{
	pulse(4);
	outb(0x20, 0x11);
	outb(0x21, 0x40);
	assert_false(intr);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	assert_int_equal(inb(0x21), 0);
	pulse(4);
	assert_int_equal(i8259_ack(pic), 0x44);
}

static void saves(void **state)
{
	pulse(4);
	pulse(14);
	i8259_ack(pic);
	outb(0x21, 0x55);
	outb(0x4d1, 0x0e);
	assert_int_equal(state_round_trip(&i8259_ops, pic), 0);
	assert_int_equal(inb(0x21), 0x55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(probe, setup, teardown),
		cmocka_unit_test_setup_teardown(priorities, setup, teardown),
		cmocka_unit_test_setup_teardown(masks, setup, teardown),
		cmocka_unit_test_setup_teardown(cascade, setup, teardown),
		cmocka_unit_test_setup_teardown(special_fully_nested, setup, teardown),
		cmocka_unit_test_setup_teardown(spurious, setup, teardown),
		cmocka_unit_test_setup_teardown(auto_eoi_and_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(special_mask, setup, teardown),
		cmocka_unit_test_setup_teardown(poll, setup, teardown),
		cmocka_unit_test_setup_teardown(level_inputs, setup, teardown),
		cmocka_unit_test_setup_teardown(init_keeps_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(saves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
