/* test_blk.c - the block device: its requests, those that a hostile driver makes, resets on the way. */
#include "unit/cmocka_all.h"
#include "unit/virtio_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "host/block/block.h"
#include "virtio/blk.h"

#define SIZE    (1u << 20)
#define SECTORS (SIZE / 512)
#define HEADER  FIX_BUF
#define STATUS  (FIX_BUF + 0x100)
#define DATA    (FIX_BUF + 0x1000)
#define CONFIG  0x2000

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, UNTOUCHED = 0xaa };
#define F_FLUSH (1ull << 9)
#define F_WCE   (1ull << 11)

static struct block *block;
static char path[] = "/tmp/vibe-blk.XXXXXX";

static int setup_with(bool readonly, unsigned nqueues)
{
	struct block_options o = { .path = path, .format = BLOCK_RAW, .readonly = readonly };
	struct virtio_blk_config cfg = { .serial = "serial-1", .nqueues = nqueues };
	struct virtio_model m;
	int fd;

	snprintf(path, sizeof(path), "/tmp/vibe-blk.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, SIZE))
		return -1;
	close(fd);
	if (bus_only() || block_open(&o, &block, NULL))
		return -1;
	cfg.block = block;
	return virtio_blk_create(&cfg, &m, NULL) || device_add(&m);
}

static int setup(void **state) { return setup_with(false, 1); }
static int setup_ro(void **state) { return setup_with(true, 1); }
static int setup_mq(void **state) { return setup_with(false, 4); }

static int teardown(void **state)
{
	device_remove();
	unlink(path);
	return 0;
}

static void header(uint32_t type, uint64_t sector)
{
	uint8_t *h = mem_ptr(&mem, HEADER, 16);

	le32_store(h, type);
	le32_store(h + 4, 0);
	le64_store(h + 8, sector);
	memset(mem_ptr(&mem, STATUS, 1), UNTOUCHED, 1);
}

static unsigned status(void) { return *(uint8_t *)mem_ptr(&mem, STATUS, 1); }

/* One request with data of @len bytes at DATA, in two pieces when there is enough; its status */
static unsigned request_on(unsigned q, uint32_t type, uint64_t sector, uint32_t len, bool in)
{
	struct seg s[4] = { { HEADER, 16, false } };
	unsigned n = 1;
	uint32_t got;

	header(type, sector);
	if (len > 512)
		s[n++] = (struct seg){ DATA, 512, in };
	if (len)
		s[n++] = (struct seg){ DATA + (len > 512 ? 512 : 0), len > 512 ? len - 512 : len, in };
	s[n++] = (struct seg){ STATUS, 1, true };
	offer(&driver[q], s, n);
	kick(q);
	block_drain(block);
	assert_true(take(&driver[q], &got) >= 0);
	assert_int_equal(got, in ? len + 1 : 1);
	return status();
}

static unsigned request(uint32_t type, uint64_t sector, uint32_t len, bool in)
{
	return request_on(0, type, sector, len, in);
}

static void fill(uint8_t byte, uint32_t len) { memset(mem_ptr(&mem, DATA, len), byte, len); }

static bool holds(uint8_t byte, uint32_t len)
{
	const uint8_t *p = mem_ptr(&mem, DATA, len);

	for (uint32_t i = 0; i < len; i++) {
		if (p[i] != byte)
			return false;
	}
	return true;
}

static void range(unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
	uint8_t *p = mem_ptr(&mem, DATA + 16ull * i, 16);

	le64_store(p, sector);
	le32_store(p + 8, n);
	le32_store(p + 12, flags);
}

static void identity(void **state)
{
	assert_int_equal(cfg_read(0, 4), 0x10421af4);
	assert_int_equal(reg(CONFIG, 4), SECTORS);
	assert_int_equal(reg(CONFIG + 12, 4), 254);
	assert_int_equal(reg(CONFIG + 20, 4), 512);
	assert_int_equal(reg(CONFIG + 32, 1), 1);
	assert_int_equal(reg(CONFIG + 34, 2), 1);
	assert_true(bring_up(F_FLUSH, 1));
	fill(0xee, 64);
	assert_int_equal(request(GET_ID, 0, 20, true), OK);
	assert_memory_equal(mem_ptr(&mem, DATA, 20), "serial-1\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	/* less room than the id takes */
	fill(0xee, 64);
	assert_int_equal(request(GET_ID, 0, 4, true), OK);
	assert_memory_equal(mem_ptr(&mem, DATA, 5), "seri\xee", 5);
}

static void reads_and_writes(void **state)
{
	for (unsigned packed = 0; packed < 2; packed++) {
		assert_true(bring_up(F_FLUSH | (packed ? VIRTIO_F_RING_PACKED : 0), 1));
		fill(0x5a, 8192);
		assert_int_equal(request(OUT, 8, 8192, false), OK);
		assert_int_equal(request(OUT, SECTORS - 1, 512, false), OK);
		assert_int_equal(request(FLUSH, 0, 0, false), OK);
		fill(0, 8192);
		assert_int_equal(request(IN, 8, 8192, true), OK);
		assert_true(holds(0x5a, 8192));
		assert_int_equal(request(IN, SECTORS - 1, 512, true), OK);
		range(0, 8, 8, 1);
		range(1, 16, 8, 0);
		assert_int_equal(request(ZEROES, 0, 32, false), OK);
		assert_int_equal(request(IN, 8, 8192, true), OK);
		assert_true(holds(0, 8192));
		range(0, 0, 64, 0);
		assert_int_equal(request(DISCARD, 0, 16, false), OK);
	}
}

static void refuses(void **state)
{
	assert_true(bring_up(F_FLUSH, 1));
	assert_int_equal(request(IN, SECTORS, 512, true), IOERR);
	assert_int_equal(request(IN, SECTORS - 1, 1024, true), IOERR);
	assert_int_equal(request(OUT, ~0ull, 512, false), IOERR);
	assert_int_equal(request(OUT, 1ull << 55, 512, false), IOERR);
	assert_int_equal(request(OUT, 0, 511, false), IOERR);
	assert_int_equal(request(IN, 0, 100, true), IOERR);
	assert_int_equal(request(99, 0, 0, false), UNSUPP);
	range(0, SECTORS - 1, 2, 0);
	assert_int_equal(request(DISCARD, 0, 16, false), IOERR);
	range(0, ~0ull, 1, 0);
	assert_int_equal(request(ZEROES, 0, 16, false), IOERR);
	range(0, 0, ~0u, 0);
	assert_int_equal(request(ZEROES, 0, 16, false), IOERR);
	range(0, 0, 1, 1);
	assert_int_equal(request(DISCARD, 0, 16, false), UNSUPP);
	range(0, 0, 1, 2);
	assert_int_equal(request(ZEROES, 0, 16, false), UNSUPP);
	assert_int_equal(request(ZEROES, 0, 15, false), UNSUPP);
	assert_int_equal(request(ZEROES, 0, 0, false), UNSUPP);
	fill(0, 4096);
	assert_int_equal(request(ZEROES, 0, 17 * 16, false), UNSUPP);
	/* nothing of it has been done, and the device goes on */
	assert_int_equal(request(IN, 0, 512, true), OK);
}

static void breaks_without_header_or_status(void **state)
{
	const struct seg short_header[] = { { HEADER, 15, false }, { STATUS, 1, true } };
	const struct seg no_status[] = { { HEADER, 16, false } };

	assert_true(bring_up(F_FLUSH, 1));
	offer(&driver[0], short_header, 2);
	kick(0);
	assert_true(reg(0x14, 1) & VIRTIO_NEEDS_RESET);
	assert_true(bring_up(F_FLUSH, 1));
	offer(&driver[0], no_status, 1);
	kick(0);
	assert_true(reg(0x14, 1) & VIRTIO_NEEDS_RESET);
	assert_true(bring_up(F_FLUSH, 1));
	assert_int_equal(request(IN, 0, 512, true), OK);
}

static void read_only(void **state)
{
	assert_true(offered() & 1ull << 5);
	assert_false(offered() & 1ull << 13);
	assert_true(bring_up(F_FLUSH, 1));
	assert_int_equal(request(OUT, 0, 512, false), IOERR);
	range(0, 0, 8, 0);
	assert_int_equal(request(ZEROES, 0, 16, false), IOERR);
	assert_int_equal(request(IN, 0, 512, true), OK);
}

static void write_cache(void **state)
{
	assert_true(bring_up(F_FLUSH | F_WCE, 1));
	set(CONFIG + 32, 1, 0);
	assert_int_equal(reg(CONFIG + 32, 1), 0);
	assert_int_equal(request(OUT, 0, 512, false), OK);
	assert_int_equal(snapshot_round_trip(), 0);
	assert_int_equal(reg(CONFIG + 32, 1), 0);
	/* nothing else there can be written */
	set(CONFIG, 4, 0);
	assert_int_equal(reg(CONFIG, 4), SECTORS);
	assert_true(bring_up(0, 1));
	assert_int_equal(reg(CONFIG + 32, 1), 1);
	assert_int_equal(request(OUT, 0, 512, false), OK);
}

static void many_queues(void **state)
{
	assert_int_equal(reg(CONFIG + 34, 2), 4);
	assert_true(bring_up(F_FLUSH | 1ull << 12, 4));
	for (unsigned q = 0; q < 4; q++) {
		fill((uint8_t)(q + 1), 4096);
		assert_int_equal(request_on(q, OUT, 8 * q, 4096, false), OK);
	}
	for (unsigned q = 0; q < 4; q++) {
		assert_int_equal(request_on(3 - q, IN, 8 * q, 4096, true), OK);
		assert_true(holds((uint8_t)(q + 1), 4096));
	}
}

/* Resets while requests are under way: the driver sees the end of a reset only when none is */
static void resets(void **state)
{
	const struct seg s[] = { { HEADER, 16, false }, { DATA, 65536, true }, { STATUS, 1, true } };

	for (unsigned i = 0; i < 200; i++) {
		unsigned n = 0;

		assert_true(bring_up(F_FLUSH, 1));
		header(i % 3 ? IN : FLUSH, 0);
		for (unsigned k = 0; k < 5; k++)
			offer(&driver[0], s, 3);
		kick(0);
		set(0x14, 1, 0);
		run();
		while (reg(0x14, 1) && n++ < 5000)
			usleep(1000);
		assert_int_equal(reg(0x14, 1), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(identity, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_and_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(breaks_without_header_or_status, setup, teardown),
		cmocka_unit_test_setup_teardown(read_only, setup_ro, teardown),
		cmocka_unit_test_setup_teardown(write_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(many_queues, setup_mq, teardown),
		cmocka_unit_test_setup_teardown(resets, setup, teardown),
	};

	log_level = LOG_NONE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
