/* test_virtqueue.c - split and packed rings, from the device's side of a driver that is right, and of ones that are not. */
#include "unit/cmocka_all.h"
#include "unit/vq_driver.h"

#include <errno.h>
#include <stdlib.h>

#define RAM (1ull << 20)
#define RINGS 0x10000ull
#define BUF 0x20000ull

static struct memmap mem;
static struct virtq q;
static struct driver d;
static struct vq_chain *c;
static unsigned broken, interrupts, again, written;

static void on_broken(void *ctx, struct virtq *vq, const char *why)
{
	broken++;
	vq_stop(vq);
}

static void on_interrupt(void *ctx, struct virtq *vq) { interrupts++; }
static void on_again(void *ctx, struct virtq *vq) { again++; }
static void on_written(void *ctx, uint64_t gpa, uint64_t len) { written += gpa >= BUF ? (unsigned)len : 0; }

static int setup(void **state)
{
	static const struct vq_callbacks cb = { on_broken, on_interrupt, on_again, NULL };

	mem = (struct memmap){ .nslots = 0 };
	c = malloc(sizeof(*c));
	broken = interrupts = again = written = 0;
	if (!c || mem_add_ram(&mem, 0, RAM, NULL))
		return -1;
	mem.written = on_written;
	vq_init(&q, &mem, 0, &cb);
	return 0;
}

static int teardown(void **state)
{
	vq_fini(&q);
	mem_fini(&mem);
	free(c);
	return 0;
}

static void start(bool packed, uint16_t size, bool event_idx)
{
	driver_init(&d, &mem, RINGS, size, packed);
	d.set.event_idx = event_idx;
	d.set.indirect = true;
	assert_int_equal(vq_start(&q, &d.set), 0);
}

/* --- drivers that are right --- */

static void chains(bool packed)
{
	const struct seg s[] = { { BUF, 16, false }, { BUF + 0x100, 0, false }, { BUF + 0x1000, 100, true }, { BUF + 0x2000, 50, true } };
	uint8_t buf[256];
	uint32_t len;

	start(packed, 8, false);
	assert_int_equal(vq_pop(&q, c), 0);
	for (unsigned round = 0; round < 300; round++) { /* many times around the ring, also of an odd length */
		unsigned n = 1 + round % 4, id;

		memset(mem_ptr(&mem, BUF, 16), (int)round, 16);
		id = offer(&d, s, n);
		vq_refill_budget(&q);
		assert_int_equal(vq_pop(&q, c), 1);
		assert_int_equal(c->nout, 1);
		assert_int_equal(c->out_len, 16);
		assert_int_equal(c->nin, n < 3 ? 0 : n - 2);
		assert_int_equal(c->in_len, n < 3 ? 0 : n < 4 ? 100 : 150);
		assert_int_equal(vq_chain_read(c, 4, buf, sizeof(buf)), 12);
		assert_int_equal(buf[0], round & 0xff);
		assert_int_equal(take(&d, &len), -1);
		vq_push(&q, c, (uint32_t)c->in_len);
		assert_int_equal(take(&d, &len), id);
		assert_int_equal(len, c->in_len);
		assert_int_equal(vq_pop(&q, c), 0);
	}
	assert_int_equal(broken, 0);
}

static void split_chains(void **state) { chains(false); }
static void packed_chains(void **state) { chains(true); }

static void copies(void **state)
{
	const struct seg s[] = { { BUF, 3, false }, { BUF + 10, 4, false }, { BUF + 20, 5, true }, { BUF + 30, 6, true } };
	uint8_t buf[32];

	start(false, 8, false);
	memcpy(mem_ptr(&mem, BUF, 32), "abc.......defg..................", 32);
	offer(&d, s, 4);
	assert_int_equal(vq_pop(&q, c), 1);
	assert_int_equal(vq_chain_read(c, 0, buf, 32), 7);
	assert_memory_equal(buf, "abcdefg", 7);
	assert_int_equal(vq_chain_read(c, 2, buf, 3), 3);
	assert_memory_equal(buf, "cde", 3);
	assert_int_equal(vq_chain_read(c, 7, buf, 3), 0);
	assert_int_equal(vq_chain_write(c, 3, "0123456789", 10), 8);
	assert_memory_equal(mem_ptr(&mem, BUF + 20, 16), "...01.....234567", 16);
	vq_push(&q, c, 9);
	assert_int_equal(written, 9); /* engines hear of exactly what was said to be written */
}

static void out_of_order(bool packed)
{
	const struct seg s[] = { { BUF, 8, false }, { BUF + 64, 8, true } };
	struct vq_chain *c2 = malloc(sizeof(*c2));
	unsigned a, b;
	uint32_t len;

	assert_non_null(c2);
	start(packed, 8, false);
	a = offer(&d, s, 2);
	b = offer(&d, s + 1, 1);
	assert_int_equal(vq_pop(&q, c), 1);
	assert_int_equal(vq_pop(&q, c2), 1);
	vq_push(&q, c2, 8);
	assert_int_equal(take(&d, &len), b);
	vq_push(&q, c, 0);
	assert_int_equal(take(&d, &len), a);
	vq_push(&q, c, 0); /* nothing is in flight: not ours to give */
	assert_int_equal(take(&d, &len), -1);
	free(c2);
}

static void split_out_of_order(void **state) { out_of_order(false); }
static void packed_out_of_order(void **state) { out_of_order(true); }

static void put_back(bool packed)
{
	const struct seg s[] = { { BUF, 8, false }, { BUF + 64, 8, true }, { BUF + 128, 8, true } };
	uint32_t len;

	start(packed, 4, false);
	for (unsigned i = 0; i < 9; i++) {
		unsigned id = offer(&d, s, 3);

		assert_int_equal(vq_pop(&q, c), 1);
		vq_unpop(&q, c);
		assert_int_equal(vq_pop(&q, c), 1);
		vq_push(&q, c, 1);
		assert_int_equal(take(&d, &len), id);
	}
}

static void split_put_back(void **state) { put_back(false); }
static void packed_put_back(void **state) { put_back(true); }

static void indirect(bool packed)
{
	unsigned id;
	uint32_t len;

	start(packed, 4, false);
	/* split tables are walked by `next`, packed ones are not */
	for (unsigned i = 0; i < 100; i++)
		desc_put(&d, 0x30000 + 16 * i, BUF + 0x100 * i, 16, (i < 60 ? 0 : F_WRITE) | (packed ? 0 : F_NEXT), i + 1);
	desc_put(&d, 0x30000 + 16 * 99, BUF, 16, F_WRITE, 0);
	for (unsigned round = 0; round < 5; round++) {
		const struct seg s[] = { { 0x30000, 1600, false } };

		id = offer(&d, s, 1);
		le16_store(guest(&d, desc_at(&d, id) + (packed ? 14 : 12)),
			   (uint16_t)(le16_load(guest(&d, desc_at(&d, id) + (packed ? 14 : 12))) | F_INDIRECT));
		assert_int_equal(vq_pop(&q, c), 1);
		assert_int_equal(c->nout, 60);
		assert_int_equal(c->nin, 40);
		vq_push(&q, c, 640);
		assert_int_equal(take(&d, &len), id);
	}
}

static void split_indirect(void **state) { indirect(false); }
static void packed_indirect(void **state) { indirect(true); }

/* --- notifications --- */

static void done(unsigned n)
{
	const struct seg s[] = { { BUF, 8, true } };

	while (n--) {
		offer(&d, s, 1);
		assert_int_equal(vq_pop(&q, c), 1);
		vq_push(&q, c, 8);
	}
	vq_notify(&q);
}

static void split_flags(void **state)
{
	start(false, 8, false);
	assert_int_equal(le16_load(guest(&d, d.set.device)), 0);
	done(1);
	assert_int_equal(interrupts, 1);
	assert_int_equal(le16_load(guest(&d, d.set.device)), 1); /* no notifications: we are at work */
	assert_int_equal(vq_pop(&q, c), 0);
	assert_int_equal(le16_load(guest(&d, d.set.device)), 0);
	vq_notify(&q); /* nothing new */
	assert_int_equal(interrupts, 1);
	le16_store(guest(&d, d.set.driver), 1);
	done(3);
	assert_int_equal(interrupts, 1);
}

static void split_events(void **state)
{
	start(false, 8, true);
	done(1);
	assert_int_equal(interrupts, 1); /* the first time always */
	le16_store(guest(&d, d.set.driver + 4 + 16), 3); /* used_event: after the fourth */
	done(2);
	assert_int_equal(interrupts, 1);
	done(1);
	assert_int_equal(interrupts, 2);
	done(4);
	assert_int_equal(interrupts, 2);
	assert_int_equal(vq_pop(&q, c), 0);
	assert_int_equal(le16_load(guest(&d, d.set.device + 4 + 64)), 8); /* avail_event */
}

static void packed_events(void **state)
{
	start(true, 8, true);
	le16_store(guest(&d, d.set.driver + 2), 2);
	le16_store(guest(&d, d.set.driver), 0x8000 | 3);
	done(1);
	assert_int_equal(interrupts, 1);
	done(2);
	assert_int_equal(interrupts, 1);
	done(1);
	assert_int_equal(interrupts, 2);
	le16_store(guest(&d, d.set.driver), 1); /* slot 1 of the next lap */
	done(5);
	assert_int_equal(interrupts, 2);
	done(1);
	assert_int_equal(interrupts, 3);
	le16_store(guest(&d, d.set.driver + 2), 1); /* none at all */
	done(7);
	assert_int_equal(interrupts, 3);
	le16_store(guest(&d, d.set.driver + 2), 0);
	done(1);
	assert_int_equal(interrupts, 4);
	assert_int_equal(vq_pop(&q, c), 0);
	assert_int_equal(le16_load(guest(&d, d.set.device)), 2 | 0x8000); /* 18 buffers: slot 2 of the third lap */
	assert_int_equal(le16_load(guest(&d, d.set.device + 2)), 2);
}

static void budget(void **state)
{
	start(false, 8, false);
	done(VQ_BUDGET);
	assert_int_equal(again, 0);
	offer(&d, (const struct seg[]){ { BUF, 8, true } }, 1);
	assert_int_equal(vq_pop(&q, c), 0);
	assert_int_equal(again, 1);
	vq_refill_budget(&q);
	assert_int_equal(vq_pop(&q, c), 1);
}

static void stopped(void **state)
{
	const struct seg s[] = { { BUF, 8, true } };
	uint32_t len;

	start(false, 8, false);
	offer(&d, s, 1);
	assert_int_equal(vq_pop(&q, c), 1);
	vq_stop(&q);
	assert_false(vq_enabled(&q));
	assert_int_equal(vq_pop(&q, c), 0);
	start(false, 8, false);
	vq_push(&q, c, 8); /* a buffer of before the reset */
	vq_notify(&q);
	assert_int_equal(take(&d, &len), -1);
	assert_int_equal(interrupts, 0);
}

static void positions(bool packed)
{
	struct vq_position p;
	uint32_t len;

	start(packed, 8, false);
	done(5);
	assert_int_equal(vq_pop(&q, c), 0);
	vq_position_get(&q, &p);
	vq_stop(&q);
	assert_int_equal(vq_start(&q, &d.set), 0);
	assert_int_equal(vq_position_set(&q, &p), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_true(take(&d, &len) >= 0);
	for (unsigned i = 0; i < 20; i++) {
		done(1);
		assert_true(take(&d, &len) >= 0);
	}
	p.next_used = 8;
	assert_int_equal(vq_position_set(&q, &p), packed ? -EINVAL : 0);
}

static void split_positions(void **state) { positions(false); }
static void packed_positions(void **state) { positions(true); }

/* --- drivers that are not right --- */

static void refused_setups(void **state)
{
	static const struct vq_setup bad[] = {
		{ .desc = RAM, .driver = 0x2000, .device = 0x3000, .size = 8 },
		{ .desc = RAM - 64, .driver = 0x2000, .device = 0x3000, .size = 8 },
		{ .desc = 0x1000, .driver = RAM - 4, .device = 0x3000, .size = 8 },
		{ .desc = 0x1000, .driver = 0x2000, .device = RAM - 4, .size = 8 },
		{ .desc = 0x1000, .driver = 0x2000, .device = ~0ull - 3, .size = 8 },
		{ .desc = 0x1008, .driver = 0x2000, .device = 0x3000, .size = 8 },
		{ .desc = 0x1000, .driver = 0x2001, .device = 0x3000, .size = 8 },
		{ .desc = 0x1000, .driver = 0x2000, .device = 0x3002, .size = 8 },
		{ .desc = 0x1000, .driver = 0x2002, .device = 0x3000, .size = 8, .packed = true },
		{ .desc = 0x1000, .driver = 0x2000, .device = 0x3000, .size = 0 },
		{ .desc = 0x1000, .driver = 0x2000, .device = 0x3000, .size = 6 },
		{ .desc = 0x1000, .driver = 0x2000, .device = 0x3000, .size = 512 },
		{ .desc = 0x1000, .driver = 0x2000, .device = 0x3000, .size = 512, .packed = true },
	};

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(vq_start(&q, &bad[i]), -EPROTO);
	mem.slots[0].readonly = true;
	assert_int_equal(vq_start(&q, &(struct vq_setup){ 0x1000, 0x2000, 0x3000, 8, false, false, false }), -EPROTO);
	mem.slots[0].readonly = false;
	assert_false(vq_enabled(&q));
}

static void refused(void)
{
	assert_int_equal(vq_pop(&q, c), -EPROTO);
	assert_int_equal(broken, 1);
	assert_int_equal(vq_pop(&q, c), 0); /* the transport has stopped it */
	broken = 0;
}

/* One bad descriptor as a buffer, in a fresh ring */
static void refused_desc(bool packed, uint64_t addr, uint32_t len, unsigned flags, unsigned word)
{
	start(packed, 8, false);
	desc_put(&d, desc_at(&d, 0), addr, len, flags | (packed ? F_AVAIL : 0), word);
	if (!packed)
		split_offer(&d, 0);
	refused();
}

static void malformed(bool packed)
{
	const struct seg backwards[] = { { BUF, 8, true }, { BUF, 8, false } };

	refused_desc(packed, RAM, 8, 0, 0);
	refused_desc(packed, RAM - 4, 8, F_WRITE, 0);
	refused_desc(packed, ~0ull - 3, 8, 0, 0);
	refused_desc(packed, BUF, 0xffffffff, F_WRITE, 0);
	refused_desc(packed, 0x30000, 16, F_INDIRECT | F_NEXT, 0);
	refused_desc(packed, 0x30000, 0, F_INDIRECT, 0);
	refused_desc(packed, 0x30000, 24, F_INDIRECT, 0);
	refused_desc(packed, RAM - 16, 32, F_INDIRECT, 0);
	desc_put(&d, 0x30000, 0x30000, 16, F_INDIRECT, 0);
	refused_desc(packed, 0x30000, 16, F_INDIRECT, 0);

	start(packed, 8, false);
	offer(&d, backwards, 2);
	refused();

	start(packed, 8, false);
	vq_stop(&q);
	d.set.indirect = false;
	assert_int_equal(vq_start(&q, &d.set), 0);
	desc_put(&d, 0x30000, BUF, 16, 0, 0);
	desc_put(&d, desc_at(&d, 0), 0x30000, 16, F_INDIRECT | (packed ? F_AVAIL : 0), 0);
	if (!packed)
		split_offer(&d, 0);
	refused();
}

static void split_malformed(void **state)
{
	malformed(false);
	refused_desc(false, BUF, 8, F_NEXT, 0);  /* a loop */
	refused_desc(false, BUF, 8, F_NEXT, 8);  /* beyond the table */
	start(false, 8, false);
	split_offer(&d, 8);
	refused();
	start(false, 8, false);
	d.avail = 8; /* nine buffers of eight descriptors */
	split_offer(&d, 0);
	refused();
	desc_put(&d, 0x30000, BUF, 16, F_NEXT, 0);
	refused_desc(false, 0x30000, 16, F_INDIRECT, 0);
	desc_put(&d, 0x30000, BUF, 16, F_NEXT, 1);
	refused_desc(false, 0x30000, 16, F_INDIRECT, 0);
	/* the same buffer again and again without waiting for it */
	start(false, 8, false);
	desc_put(&d, desc_at(&d, 0), BUF, 8, 0, 0);
	for (unsigned i = 0; i < 8; i++) {
		split_offer(&d, 0);
		assert_int_equal(vq_pop(&q, c), 1);
	}
	split_offer(&d, 0);
	refused();
}

static void packed_malformed(void **state)
{
	malformed(true);
	start(true, 8, false);
	for (unsigned i = 0; i < 8; i++) /* a chain without an end */
		desc_put(&d, desc_at(&d, i), BUF, 8, F_NEXT | F_AVAIL, 0);
	refused();
	/* a table that is longer than a chain may be */
	for (unsigned i = 0; i < 300; i++)
		desc_put(&d, 0x30000 + 16 * i, BUF, 8, 0, 0);
	refused_desc(true, 0x30000, 16 * 300, F_INDIRECT, 0);
	refused_desc(true, 0x30000, 16 * 257, F_INDIRECT, 0);
	/* into what cannot be written */
	start(true, 8, false);
	mem.slots[0].readonly = true;
	desc_put(&d, desc_at(&d, 0), BUF, 8, F_WRITE | F_AVAIL, 0);
	refused();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(split_chains), T(packed_chains), T(copies), T(split_out_of_order), T(packed_out_of_order),
		T(split_put_back), T(packed_put_back), T(split_indirect), T(packed_indirect), T(split_flags),
		T(split_events), T(packed_events), T(budget), T(stopped), T(split_positions), T(packed_positions),
		T(refused_setups), T(split_malformed), T(packed_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
