/* test_uart.c - the 16550A: registers, interrupts, FIFOs, flow of input, and what Linux's probe looks at. */
#include "unit/cmocka_all.h"
#include "unit/dev_fixture.h"

#include "dev/ns16550.h"

static struct ns16550 *uart;
static char sent[256];
static size_t nsent;
static unsigned rooms;

static void out(void *ctx, const uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n && nsent < sizeof(sent); i++)
		sent[nsent++] = (char)buf[i];
}

static void room(void *ctx) { rooms++; }

static int setup(void **state)
{
	struct ns16550_config cfg = { .port = 0x3f8, .irq = line(4), .out = out, .room = room };

	buses_create();
	nsent = rooms = 0;
	return ns16550_create(pio, &cfg, &uart, NULL);
}

static int teardown(void **state)
{
	ns16550_ops.destroy(uart);
	buses_destroy();
	return 0;
}

static void sends(void **state)
{
	outb(0x3f8, 'h');
	outb(0x3f8, 'i');
	assert_int_equal(nsent, 2);
	assert_memory_equal(sent, "hi", 2);
	assert_int_equal(inb(0x3fd), 0x60);
	outb(0x3fb, 0x83); /* DLAB: data is the divisor */
	outb(0x3f8, 1);
	outb(0x3f9, 2);
	assert_int_equal(inb(0x3f8), 1);
	assert_int_equal(inb(0x3f9), 2);
	outb(0x3fb, 0x03);
	assert_int_equal(nsent, 2);
}

/* Linux 8250_port.c, autoconfig: what it reads must say 16550A and nothing more */
static void probes_as_16550a(void **state)
{
	outb(0x3f9, 0);
	assert_int_equal(inb(0x3f9), 0);
	outb(0x3f9, 0xff);
	assert_int_equal(inb(0x3f9), 0x0f);
	outb(0x3f9, 0);
	outb(0x3fc, 0x1a); /* loopback, RTS, OUT2 */
	assert_int_equal(inb(0x3fe) & 0xf0, 0x90);
	outb(0x3fc, 0);
	outb(0x3fb, 0xbf);
	outb(0x3fa, 0);
	outb(0x3fb, 0);
	outb(0x3fa, 1);
	assert_int_equal(inb(0x3fa) >> 6, 3);
	outb(0x3fa, 0x21); /* 64-byte FIFOs of a 16750 */
	assert_int_equal(inb(0x3fa) >> 5, 6);
	outb(0x3ff, 0x5a);
	assert_int_equal(inb(0x3ff), 0x5a);
}

static void transmit_interrupt(void **state)
{
	outb(0x3fc, 8);
	assert_int_equal(inb(0x3fa), 1);
	outb(0x3f9, 2);
	assert_true(lines.level[4]);
	assert_int_equal(inb(0x3fa), 2); /* reading takes it away */
	assert_false(lines.level[4]);
	assert_int_equal(inb(0x3fa), 1);
	outb(0x3f9, 0);
	outb(0x3f9, 2); /* enabling raises it again: Linux tests this */
	assert_int_equal(inb(0x3fa), 2);
	outb(0x3f8, 'x');
	assert_true(lines.level[4]);
}

static void line_needs_out2(void **state)
{
	outb(0x3f9, 2);
	assert_false(lines.level[4]);
	outb(0x3fc, 8);
	assert_true(lines.level[4]);
}

static void receives_with_priorities(void **state)
{
	static const uint8_t text[] = "0123456789abcdefghij";

	outb(0x3fc, 8);
	outb(0x3fa, 0x87); /* FIFOs, trigger at 8 */
	outb(0x3f9, 0x0f);
	inb(0x3fa);
	inb(0x3fe);
	assert_int_equal(ns16550_input(uart, text, 3), 3);
	assert_int_equal(inb(0x3fa), 0xcc); /* timeout: below the trigger */
	assert_int_equal(ns16550_input(uart, text + 3, 17), 13);
	assert_int_equal(inb(0x3fa), 0xc4);
	assert_int_equal(inb(0x3fd), 0x61);
	for (unsigned i = 0; i < 15; i++)
		assert_int_equal(inb(0x3f8), text[i]);
	assert_int_equal(rooms, 0);
	assert_int_equal(inb(0x3f8), text[15]);
	assert_int_equal(rooms, 1); /* something was refused: asked for at the last byte */
	assert_int_equal(ns16550_input(uart, text + 16, 4), 4);
	for (unsigned i = 16; i < 20; i++)
		assert_int_equal(inb(0x3f8), text[i]);
	assert_int_equal(rooms, 1);
	assert_false(lines.level[4]);
	ns16550_break(uart);
	assert_int_equal(inb(0x3fa), 0xc6); /* line status is the highest */
	assert_int_equal(inb(0x3fd), 0x71);
	assert_int_equal(inb(0x3fd), 0x61);
	assert_int_equal(inb(0x3f8), 0);
}

static void loopback(void **state)
{
	outb(0x3fa, 1);
	outb(0x3fc, 0x10);
	for (unsigned i = 0; i < 17; i++)
		outb(0x3f8, i);
	assert_int_equal(nsent, 0);
	assert_int_equal(inb(0x3fd), 0x63); /* overrun */
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(inb(0x3f8), i);
	assert_int_equal(ns16550_input(uart, (const uint8_t *)"x", 1), 0); /* the line is cut */
	outb(0x3fc, 0);
	assert_int_equal(rooms, 1);
	inb(0x3fe);
	outb(0x3fc, 0x13);
	outb(0x3fc, 0);
	assert_int_equal(inb(0x3fe), 0xb8); /* carrier came; CTS and DSR were there all the time */
	assert_int_equal(inb(0x3fe), 0xb0);
}

static void without_fifo(void **state)
{
	assert_int_equal(ns16550_input(uart, (const uint8_t *)"ab", 2), 1);
	assert_int_equal(inb(0x3f8), 'a');
	assert_int_equal(rooms, 1);
	ns16550_input(uart, (const uint8_t *)"bc", 2);
	outb(0x3fa, 1); /* turning FIFOs on empties */
	assert_int_equal(inb(0x3fd), 0x60);
	assert_int_equal(rooms, 2);
}

static void saves(void **state)
{
	outb(0x3fa, 1);
	outb(0x3f9, 5);
	outb(0x3fc, 0x0b);
	ns16550_input(uart, (const uint8_t *)"abc", 3);
	assert_int_equal(state_round_trip(&ns16550_ops, uart), 0);
	assert_true(lines.level[4]);
	assert_int_equal(inb(0x3f8), 'a');
}

/* Input that came early waits for the driver to listen, also while a probe plays with the registers */
static void holds_input(void **state)
{
	ns16550_hold_input(uart, true);
	assert_int_equal(ns16550_input(uart, (const uint8_t *)"ab", 2), 0);
	outb(0x3f9, 0x0f);
	outb(0x3f9, 0);
	outb(0x3fc, 8);
	outb(0x3f9, 1); /* as Linux does before it turns the FIFOs on, which empties them */
	assert_int_equal(rooms, 0);
	assert_int_equal(inb(0x3fd) & 1, 0);
	outb(0x3fa, 7);
	assert_int_equal(rooms, 1);
	assert_int_equal(ns16550_input(uart, (const uint8_t *)"ab", 2), 2);
	assert_true(lines.level[4]);
	assert_int_equal(inb(0x3f8), 'a');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sends, setup, teardown),
		cmocka_unit_test_setup_teardown(probes_as_16550a, setup, teardown),
		cmocka_unit_test_setup_teardown(transmit_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(line_needs_out2, setup, teardown),
		cmocka_unit_test_setup_teardown(receives_with_priorities, setup, teardown),
		cmocka_unit_test_setup_teardown(loopback, setup, teardown),
		cmocka_unit_test_setup_teardown(without_fifo, setup, teardown),
		cmocka_unit_test_setup_teardown(holds_input, setup, teardown),
		cmocka_unit_test_setup_teardown(saves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
