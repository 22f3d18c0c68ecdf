/* test_console.c - the console device, with a terminal that may be slow. */
#include "unit/cmocka_all.h"
#include "unit/virtio_fixture.h"

#include "virtio/console.h"

enum { RX, TX };

static struct console *con;
static char out[4096];
static size_t out_len, out_room;
static unsigned rooms;

static size_t take_out(void *ctx, const uint8_t *buf, size_t n)
{
	if (n > out_room)
		n = out_room;
	memcpy(out + out_len, buf, n);
	out_len += n;
	out_room -= n;
	return n;
}

static void note_room(void *ctx) { rooms++; }

static int setup(void **state)
{
	struct virtio_model m;
	struct console_config cfg = { .out = take_out, .room = note_room };

	out_len = rooms = 0;
	out_room = 1000;
	return bus_only() || virtio_console_create(&cfg, &m, &con, NULL) || device_add(&m);
}

static int teardown(void **state)
{
	device_remove();
	return 0;
}

static void output(void **state)
{
	const struct seg s[] = { { FIX_BUF, 6, false }, { FIX_BUF + 16, 6, false } };
	uint32_t len;

	assert_true(bring_up(0, 2));
	memcpy(mem_ptr(&mem, FIX_BUF, 32), "hello,..........world!..........", 32);
	offer(&driver[TX], s, 2);
	kick(TX);
	assert_int_equal(out_len, 12);
	assert_memory_equal(out, "hello,world!", 12);
	assert_true(take(&driver[TX], &len) >= 0);
	assert_int_equal(len, 0);
	/* a slow reader: the rest comes by itself */
	out_room = 8;
	offer(&driver[TX], s, 2);
	kick(TX);
	assert_int_equal(out_len, 20);
	assert_int_equal(take(&driver[TX], &len), -1);
	fake_advance(10000000);
	assert_int_equal(out_len, 20);
	out_room = 100;
	fake_advance(10000000);
	assert_int_equal(out_len, 24);
	assert_memory_equal(out + 12, "hello,world!", 12);
	assert_true(take(&driver[TX], &len) >= 0);
	assert_false(fake_armed());
}

static void output_is_forgotten_by_reset(void **state)
{
	const struct seg s = { FIX_BUF, 6, false };

	assert_true(bring_up(0, 2));
	memcpy(mem_ptr(&mem, FIX_BUF, 6), "abcdef", 6);
	out_room = 3;
	offer(&driver[TX], &s, 1);
	kick(TX);
	set(0x14, 1, 0);
	run();
	out_room = 1000;
	assert_true(bring_up(0, 2));
	fake_advance(100000000);
	offer(&driver[TX], &s, 1);
	kick(TX);
	assert_int_equal(out_len, 9);
	assert_memory_equal(out, "abcabcdef", 9);
}

static void input(void **state)
{
	const struct seg s = { FIX_BUF, 4, true }, t = { FIX_BUF + 16, 4, true };
	uint32_t len;

	assert_false(virtio_console_ready(con));
	assert_int_equal(virtio_console_input(con, (const uint8_t *)"x", 1), 0);
	assert_true(bring_up(0, 2));
	assert_true(virtio_console_ready(con));
	assert_int_equal(rooms, 1); /* a driver is there: what waits is wanted */
	assert_int_equal(virtio_console_input(con, (const uint8_t *)"x", 1), 0);
	offer(&driver[RX], &s, 1);
	offer(&driver[RX], &t, 1);
	kick(RX);
	assert_int_equal(rooms, 2);
	assert_int_equal(virtio_console_input(con, (const uint8_t *)"abcdefghij", 10), 8);
	assert_true(take(&driver[RX], &len) >= 0);
	assert_int_equal(len, 4);
	assert_true(take(&driver[RX], &len) >= 0);
	assert_memory_equal(mem_ptr(&mem, FIX_BUF, 4), "abcd", 4);
	assert_memory_equal(mem_ptr(&mem, FIX_BUF + 16, 4), "efgh", 4);
	offer(&driver[RX], &s, 1);
	kick(RX);
	assert_int_equal(rooms, 3);
	assert_int_equal(virtio_console_input(con, (const uint8_t *)"ij", 2), 2);
	offer(&driver[RX], &t, 1);
	kick(RX);
	assert_int_equal(rooms, 3); /* nobody waits */
}

static void window_size(void **state)
{
	assert_true(bring_up(1, 2));
	assert_int_equal(reg(0x2000, 4), 0);
	virtio_console_resize(con, 132, 43);
	assert_int_equal(reg(0x2000, 4), 43 << 16 | 132);
	assert_int_equal(reg(0x1000, 1), 2);
	virtio_console_resize(con, 132, 43);
	assert_int_equal(reg(0x1000, 1), 0);
	assert_int_equal(reg(0x2004, 4), 1);
}

static void emergency(void **state)
{
	for (const char *p = "oops"; *p; p++)
		set(0x2008, 4, (uint8_t)*p);
	run();
	assert_int_equal(out_len, 4);
	assert_memory_equal(out, "oops", 4);
	out_room = 0;
	for (unsigned i = 0; i < 1000; i++) /* more than is kept */
		set(0x2008, 4, 'x');
	out_room = 2000;
	fake_advance(100000000);
	assert_in_range(out_len, 5, 4 + 256);
}

static void saves(void **state)
{
	const struct seg s = { FIX_BUF, 6, false };
	uint32_t len;

	assert_true(bring_up(VIRTIO_F_RING_PACKED, 2));
	memcpy(mem_ptr(&mem, FIX_BUF, 6), "abcdef", 6);
	out_room = 3;
	offer(&driver[TX], &s, 1);
	kick(TX);
	assert_int_equal(snapshot_round_trip(), 0);
	out_room = 100;
	fake_advance(10000000);
	assert_int_equal(out_len, 6);
	assert_memory_equal(out, "abcdef", 6);
	assert_true(take(&driver[TX], &len) >= 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(output), T(output_is_forgotten_by_reset), T(input), T(window_size), T(emergency), T(saves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
