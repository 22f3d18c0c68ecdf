/* test_bus.c - regions and their overlaps, split accesses, and a table that changes under its readers. */
#include "unit/cmocka_all.h"

#include "base/err.h"
#include "core/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

static struct { uint64_t off, val; unsigned size; char dev; } last[8];
static unsigned nlast;

static void note(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	last[nlast % 8].dev = *(char *)dev;
	last[nlast % 8].off = off;
	last[nlast % 8].size = size;
	last[nlast++ % 8].val = val;
}

static uint64_t rd(void *dev, uint64_t off, unsigned size)
{
	note(dev, off, size, 0);
	return 0x8877665544332211ull >> 8 * off;
}

static const struct device_ops any_ops = { .name = "any", .read = rd, .write = note };
static const struct device_ops byte_ops = { .name = "byte", .max_size = 1, .read = rd, .write = note };
static const struct device_ops dword_ops = { .name = "dword", .max_size = 4, .read = rd, .write = note };
static const struct device_ops mute_ops = { .name = "mute" };

static int setup(void **state)
{
	nlast = 0;
	return bus_create((struct bus **)state, 0x10000);
}

static int teardown(void **state)
{
	bus_destroy(*state);
	return 0;
}

static void dispatches(void **state)
{
	struct bus *b = *state;
	char x = 'x', y = 'y';

	assert_int_equal(bus_add(b, 0x200, 8, &any_ops, &y, NULL), 0);
	assert_int_equal(bus_add(b, 0x100, 8, &any_ops, &x, NULL), 0);
	assert_int_equal(bus_read(b, 0x102, 2), 0x4433);
	assert_int_equal(last[0].dev, 'x');
	assert_int_equal(last[0].off, 2);
	bus_write(b, 0x200, 8, 0x1122334455667788ull);
	assert_int_equal(last[1].dev, 'y');
	assert_true(last[1].val == 0x1122334455667788ull);
	bus_write(b, 0x200, 1, 0x1234);
	assert_int_equal(last[2].val, 0x34);
	assert_int_equal(bus_read(b, 0x300, 4), 0xffffffffu);
	assert_true(bus_read(b, 0x300, 8) == ~0ull);
	assert_int_equal(bus_read(b, 0xffff, 2), 0xffff);
	bus_write(b, 0x300, 4, 1);
	assert_int_equal(nlast, 3);
	bus_remove(b, 0x100);
	bus_remove(b, 0x101);
	assert_int_equal(bus_read(b, 0x102, 1), 0xff);
	assert_int_equal(bus_read(b, 0x200, 1), 0x11);
	assert_int_equal(bus_add(b, 0x100, 8, &mute_ops, &x, NULL), 0);
	assert_int_equal(bus_read(b, 0x100, 2), 0xffff);
	bus_write(b, 0x100, 2, 1);
}

static void overlaps(void **state)
{
	struct bus *b = *state;
	char x = 'x';
	struct err e = { "" };

	assert_int_equal(bus_add(b, 0x100, 8, &any_ops, &x, NULL), 0);
	assert_int_equal(bus_add(b, 0x107, 1, &byte_ops, &x, &e), -EEXIST);
	assert_non_null(strstr(e.msg, "byte"));
	assert_non_null(strstr(e.msg, "any"));
	assert_non_null(strstr(e.msg, "0x100"));
	assert_int_equal(bus_add(b, 0xf0, 0x11, &byte_ops, &x, NULL), -EEXIST);
	assert_int_equal(bus_add(b, 0xf0, 0x100, &byte_ops, &x, NULL), -EEXIST);
	assert_int_equal(bus_add(b, 0xf0, 0x10, &byte_ops, &x, NULL), 0);
	assert_int_equal(bus_add(b, 0x108, 1, &byte_ops, &x, NULL), 0);
	assert_int_equal(bus_add(b, 0xffff, 2, &byte_ops, &x, NULL), -EINVAL);
	assert_int_equal(bus_add(b, 0x10000, 1, &byte_ops, &x, NULL), -EINVAL);
	assert_int_equal(bus_add(b, 5, 0, &byte_ops, &x, NULL), -EINVAL);
	assert_int_equal(bus_add(b, 5, ~0ull, &byte_ops, &x, NULL), -EINVAL);
}

static void splits(void **state)
{
	struct bus *b = *state;
	char x = 'x', y = 'y';

	bus_add(b, 0x100, 4, &byte_ops, &x, NULL);
	bus_add(b, 0x104, 8, &dword_ops, &y, NULL);
	assert_int_equal(bus_read(b, 0x100, 4), 0x44332211);
	assert_int_equal(nlast, 4);
	assert_int_equal(last[3].off, 3);
	bus_write(b, 0x104, 8, 0x1122334455667788ull);
	assert_int_equal(nlast, 6);
	assert_int_equal(last[4].val, 0x55667788);
	assert_int_equal(last[5].val, 0x11223344);
	assert_int_equal(last[5].off, 4);
	assert_int_equal(bus_read(b, 0x102, 4), 0x22114433); /* into the neighbour */
	assert_int_equal(bus_read(b, 0xfe, 4), 0x2211ffff);  /* from nowhere into one */
	assert_int_equal(bus_read(b, 0x10a, 4), 0xffff8877);
}

static void many(void **state)
{
	struct bus *b = *state;
	char x = 'x';

	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(bus_add(b, (i * 37 % 200) * 16, 8, &any_ops, &x, NULL), 0);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(bus_read(b, i * 16 + 1, 1), 0x22);
		assert_int_equal(bus_read(b, i * 16 + 8, 1), 0xff);
	}
}

static struct bus *shared;
static _Atomic bool stop;
static _Atomic unsigned wrong;

static uint64_t stable(void *dev, uint64_t off, unsigned size) { return off ^ (uintptr_t)dev; }
static const struct device_ops stable_ops = { .name = "stable", .read = stable };

static void *reader(void *arg)
{
	while (!stop) {
		if (bus_read(shared, 0x8004, 4) != (4 ^ 0x1000))
			wrong++;
		bus_read(shared, 0x1004, 4);
	}
	return NULL;
}

/* A BAR that moves while others are used: readers never miss what stays */
static void changes_under_readers(void **state)
{
	pthread_t t;

	shared = *state;
	stop = false;
	bus_add(shared, 0x8000, 16, &stable_ops, (void *)0x1000, NULL);
	pthread_create(&t, NULL, reader, NULL);
	for (unsigned i = 0; i < 3000; i++) {
		assert_int_equal(bus_add(shared, 0x1000 + i % 50 * 16, 16, &stable_ops, (void *)0x2000, NULL), 0);
		if (i >= 40)
			bus_remove(shared, 0x1000 + (i - 40) % 50 * 16);
	}
	stop = true;
	pthread_join(t, NULL);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(dispatches, setup, teardown),
		cmocka_unit_test_setup_teardown(overlaps, setup, teardown),
		cmocka_unit_test_setup_teardown(splits, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_under_readers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
