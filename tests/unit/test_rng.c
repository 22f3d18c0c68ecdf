/* test_rng.c - the entropy device. */
#include "unit/cmocka_all.h"
#include "unit/virtio_fixture.h"

#include "virtio/rng.h"

static int setup(void **state)
{
	struct virtio_model m;

	return bus_only() || virtio_rng_create(&m, NULL) || device_add(&m);
}

static int teardown(void **state)
{
	device_remove();
	return 0;
}

static bool all_zero(uint64_t gpa, unsigned len)
{
	const uint8_t *p = mem_ptr(&mem, gpa, len);

	for (unsigned i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void fills(void **state)
{
	const struct seg s[] = { { FIX_BUF + 0x1000, 8, false }, { FIX_BUF, 40, true }, { FIX_BUF + 0x100, 24, true } };
	uint32_t len;

	assert_int_equal(cfg_read(0, 4), 0x10441af4);
	for (unsigned packed = 0; packed < 2; packed++) {
		memset(mem_ptr(&mem, FIX_BUF, 0x200), 0, 0x200);
		assert_true(bring_up(packed ? VIRTIO_F_RING_PACKED : 0, 1));
		offer(&driver[0], s, 3);
		kick(0);
		assert_true(take(&driver[0], &len) >= 0);
		assert_int_equal(len, 64);
		assert_false(all_zero(FIX_BUF, 40));
		assert_false(all_zero(FIX_BUF + 0x100, 24));
		assert_true(all_zero(FIX_BUF + 40, 0x100 - 40));
		assert_true(all_zero(FIX_BUF + 0x118, 0x100 - 24));
	}
}

static void is_bounded(void **state)
{
	const struct seg s[] = { { FIX_BUF, 0x100000, true }, { 0, 0x80000, true } };
	const struct seg none = { FIX_BUF, 8, false };
	uint32_t len;

	assert_true(bring_up(0, 1));
	offer(&driver[0], s, 2);
	offer(&driver[0], &none, 1);
	kick(0);
	assert_true(take(&driver[0], &len) >= 0);
	assert_int_equal(len, 65536);
	assert_true(take(&driver[0], &len) >= 0);
	assert_int_equal(len, 0);
}

static void saves(void **state)
{
	assert_true(bring_up(0, 1));
	assert_int_equal(snapshot_round_trip(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fills, setup, teardown),
		cmocka_unit_test_setup_teardown(is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(saves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
