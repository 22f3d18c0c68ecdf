/* test_balloon.c - the balloon: what is given up reads as zeroes, targets, statistics. */
#include "unit/cmocka_all.h"
#include "unit/virtio_fixture.h"

#include "virtio/balloon.h"

#define HINT (1ull << 3)
#define STATS (1ull << 1)
#define REPORTING (1ull << 5)
enum { INFLATE, DEFLATE, STATQ, HINTQ, REPORTQ };

static struct balloon *balloon;

static int setup(void **state)
{
	struct virtio_model m;

	return bus_only() || virtio_balloon_create(&mem, &m, &balloon, NULL) || device_add(&m);
}

static int teardown(void **state)
{
	device_remove();
	return 0;
}

static bool done(unsigned q)
{
	uint32_t len;

	return take(&driver[q], &len) >= 0;
}

static void inflating(void **state)
{
	static const uint32_t pfns[] = { 0x301, 0x302, 0x303, 0x310, 0x30f, 0x30e, 0x3ff, 0x400, 0xffffffff, 0x320, 0x320 };
	const struct seg s = { FIX_BUF, sizeof(pfns), false };
	unsigned gone = 0;

	assert_true(bring_up(STATS | HINT | REPORTING, 5));
	for (unsigned i = 0; i < ARRAY_LEN(pfns); i++)
		le32_store(mem_ptr(&mem, FIX_BUF + 4 * i, 4), pfns[i]);
	memset(mem_ptr(&mem, 0x300000, 0x100000), 0xaa, 0x100000);
	offer(&driver[INFLATE], &s, 1);
	kick(INFLATE);
	assert_true(done(INFLATE));
	for (unsigned pfn = 0x300; pfn < 0x400; pfn++) {
		uint8_t first = *(uint8_t *)mem_ptr(&mem, (uint64_t)pfn << 12, 1);
		uint8_t last = *(uint8_t *)mem_ptr(&mem, ((uint64_t)pfn << 12) + 4095, 1);

		assert_int_equal(first, last);
		gone += first == 0;
	}
	assert_int_equal(gone, 8);
	assert_int_equal(virtio_balloon_returned(balloon), 9 * 4096); /* one of them twice */
	offer(&driver[DEFLATE], &s, 1);
	kick(DEFLATE);
	assert_true(done(DEFLATE));
	assert_int_equal(*(uint8_t *)mem_ptr(&mem, 0x300000, 1), 0xaa);
}

static void reporting_on(unsigned q, uint64_t features)
{
	const struct seg s[] = { { 0x300000, 0x10000, true }, { 0x320800, 0x1800, true }, { 0x330010, 0x800, true } };

	memset(mem_ptr(&mem, 0x300000, 0x100000), 0xbb, 0x100000);
	assert_true(bring_up(features, q + 1));
	offer(&driver[q], s, 3);
	kick(q);
	assert_true(done(q));
	assert_int_equal(*(uint8_t *)mem_ptr(&mem, 0x30ffff, 1), 0);
	assert_int_equal(*(uint8_t *)mem_ptr(&mem, 0x310000, 1), 0xbb);
	assert_int_equal(*(uint8_t *)mem_ptr(&mem, 0x320fff, 1), 0xbb); /* whole pages only */
	assert_int_equal(*(uint8_t *)mem_ptr(&mem, 0x321000, 1), 0);
	assert_int_equal(*(uint8_t *)mem_ptr(&mem, 0x330010, 1), 0xbb);
}

static void reporting(void **state)
{
	reporting_on(REPORTQ, STATS | HINT | REPORTING);
	reporting_on(HINTQ, STATS | REPORTING); /* a driver that leaves no gap */
}

static void targets(void **state)
{
	assert_true(bring_up(STATS | HINT | REPORTING, 5));
	virtio_balloon_set_target(balloon, 1 << 20);
	assert_int_equal(reg(0x2000, 4), 256);
	assert_int_equal(reg(0x1000, 1), 2);
	set(0x2004, 4, 200);
	set(0x2000, 4, 1); /* not the driver's */
	assert_int_equal(virtio_balloon_actual(balloon), 200 * 4096);
	assert_int_equal(reg(0x2000, 4), 256);
	set(0x14, 1, 0);
	run();
	assert_int_equal(virtio_balloon_actual(balloon), 0);
	assert_int_equal(reg(0x2000, 4), 256);
}

static void stat(unsigned i, unsigned tag, uint64_t v)
{
	uint8_t *p = mem_ptr(&mem, FIX_BUF + 10 * i, 10);

	le16_store(p, (uint16_t)tag);
	le64_store(p + 2, v);
}

static void statistics(void **state)
{
	const struct seg s = { FIX_BUF, 35, false };
	struct balloon_stats st;

	assert_true(bring_up(STATS | HINT | REPORTING, 5));
	virtio_balloon_stats(balloon, true, &st);
	assert_int_equal(st.updates, 0);
	stat(0, BALLOON_FREE, 12345);
	stat(1, 77, 1);
	stat(2, BALLOON_TOTAL, 1ull << 40);
	offer(&driver[STATQ], &s, 1);
	kick(STATQ);
	assert_false(done(STATQ)); /* kept until somebody asks */
	virtio_balloon_stats(balloon, true, &st);
	assert_int_equal(st.updates, 1);
	assert_int_equal(st.known, 1u << BALLOON_FREE | 1u << BALLOON_TOTAL);
	assert_int_equal(st.value[BALLOON_TOTAL], 1ull << 40);
	assert_true(done(STATQ));
	assert_int_equal(snapshot_round_trip(), 0);
	stat(0, BALLOON_FREE, 54321);
	offer(&driver[STATQ], &s, 1);
	kick(STATQ);
	assert_int_equal(snapshot_round_trip(), 0);
	run(); /* the buffer comes out of the ring once more */
	virtio_balloon_stats(balloon, true, &st);
	assert_int_equal(st.value[BALLOON_FREE], 54321);
	assert_true(done(STATQ));
	offer(&driver[STATQ], &s, 1);
	offer(&driver[STATQ], &s, 1); /* one too many: the first goes back */
	kick(STATQ);
	assert_true(done(STATQ));
	assert_false(done(STATQ));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(inflating), T(reporting), T(targets), T(statistics) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
