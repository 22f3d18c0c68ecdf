/* test_block_qcow2.c - qcow2 against a model: all cluster sizes, backing images, failing and crashing hosts. */
#include "unit/block_fixture.h"

#define SIZE (3u << 20)

/* The image and what it should hold */
struct pair {
	struct image *img;
	uint8_t *model, *buf;
	uint64_t size, seed;
	uint8_t *touched; /* by 4 KiB: changed since it was cleared; or NULL */
};

static void check_range(struct pair *p, uint64_t off, uint64_t len)
{
	memset(p->buf, 0xee, len);
	assert_int_equal(image_read_buf(p->img, off, p->buf, len), 0);
	for (uint64_t i = 0; i < len; i++) {
		if (p->buf[i] != p->model[off + i])
			fail_msg("byte %llu is %#x instead of %#x", (unsigned long long)(off + i), p->buf[i],
				 p->model[off + i]);
	}
}

static void check_all(struct pair *p)
{
	for (uint64_t at = 0; at < p->size; at += 65536)
		check_range(p, at, p->size - at < 65536 ? p->size - at : 65536);
}

static void random_place(struct pair *p, uint64_t *off, uint64_t *len)
{
	uint64_t max = next_random(&p->seed) % 4 ? 8192 : 300000;

	*off = next_random(&p->seed) % p->size & ~511ull;
	*len = (next_random(&p->seed) % max & ~511ull) + 512;
	if (*len > p->size - *off)
		*len = p->size - *off;
}

/* One random change or check; -errno of a change that failed, when the model is not changed */
static int step(struct pair *p)
{
	uint64_t off, len, what;
	int r = 0;

	random_place(p, &off, &len);
	what = next_random(&p->seed) % 10;
	for (uint64_t i = off / 4096; p->touched && what < 6 && i <= (off + len - 1) / 4096; i++)
		p->touched[i] = 1;
	switch (what) {
	case 0:
	case 1:
	case 2:
	case 3:
		fill_random(p->buf, len, &p->seed);
		r = image_write_buf(p->img, off, p->buf, len);
		if (!r)
			memcpy(p->model + off, p->buf, len);
		break;
	case 4:
		r = p->img->ops->zero(p->img, off, len, next_random(&p->seed) & 1);
		if (!r)
			memset(p->model + off, 0, len);
		break;
	case 5:
		r = p->img->ops->discard(p->img, off, len);
		/* whatever is there now stays */
		if (!r)
			assert_int_equal(image_read_buf(p->img, off, p->model + off, len), 0);
		break;
	case 6: r = p->img->ops->flush(p->img); break;
	default: check_range(p, off, len);
	}
	return r;
}

static void assert_sound(struct image *img, uint64_t leaks)
{
	struct qcow2 *q = qcow2_of(img);
	struct qcow2_findings found;

	assert_int_equal(qcow2_check(q, false, &found), 0);
	assert_int_equal(found.errors, 0);
	assert_true(found.leaks <= leaks);
}

static void settle(struct pair *p)
{
	for (int i = 0; i < 8; i++)
		assert_int_equal(p->img->ops->flush(p->img), 0);
}

static struct pair pair_make(struct image *img, uint64_t size)
{
	struct pair p = {
		.img = img, .size = size, .seed = 88172645463325252ull, .model = calloc(1, size), .buf = malloc(1 << 20)
	};

	return p;
}

static void pair_free(struct pair *p)
{
	image_close(p->img);
	free(p->model);
	free(p->buf);
}

static void run_model(const struct qcow2_make *m, unsigned steps)
{
	size_t len;
	uint8_t *data = qcow2_build(m, &len);
	struct memfile *f = memfile_new(data, len);
	struct pair p = pair_make(memfile_qcow2(f, false), m->size);
	struct image *img;

	free(data);
	f->keep = true;
	for (unsigned i = 0; i < steps; i++)
		assert_int_equal(step(&p), 0);
	check_all(&p);
	settle(&p);
	assert_sound(p.img, 0);
	image_close(p.img);
	/* and what another reader finds */
	img = memfile_qcow2(f, true);
	p.img = img;
	check_all(&p);
	assert_sound(img, 0);
	pair_free(&p);
	memfile_free(f);
}

static void test_model_64k(void **state)
{
	run_model(&(struct qcow2_make){ .size = SIZE, .version = 3, .cluster_bits = 16, .refcount_order = 4 }, 3000);
}

static void test_model_small_clusters(void **state)
{
	/* many L2 tables, and a refcount table that has to grow */
	run_model(&(struct qcow2_make){ .size = 3 * SIZE + 512, .version = 3, .cluster_bits = 9, .refcount_order = 4 },
		  6000);
}

static void test_model_wide_refcounts(void **state)
{
	run_model(&(struct qcow2_make){ .size = 9 * SIZE, .version = 3, .cluster_bits = 9, .refcount_order = 6 }, 3000);
}

static void test_model_narrow_refcounts(void **state)
{
	run_model(&(struct qcow2_make){ .size = SIZE, .version = 3, .cluster_bits = 12, .refcount_order = 0 }, 3000);
	run_model(&(struct qcow2_make){ .size = SIZE, .version = 3, .cluster_bits = 12, .refcount_order = 2 }, 1000);
}

static void test_model_large_clusters(void **state)
{
	run_model(&(struct qcow2_make){ .size = 3 * SIZE, .version = 3, .cluster_bits = 21, .refcount_order = 4 }, 500);
}

static void test_model_version_2(void **state)
{
	run_model(&(struct qcow2_make){ .size = SIZE, .version = 2, .cluster_bits = 16, .refcount_order = 4 }, 2000);
	run_model(&(struct qcow2_make){ .size = SIZE, .version = 2, .cluster_bits = 12, .refcount_order = 4 }, 2000);
}

/* A chain of three: raw, qcow2, qcow2, each longer than what it stands upon */
static void test_model_backing(void **state)
{
	for (unsigned version = 2; version <= 3; version++) {
		struct dir *d = *state;
		uint64_t seed = 42, raw_size = 700 * 512;
		uint8_t *raw = malloc(raw_size);
		struct block_options o = { .readonly = false };
		struct err e = { "" };
		struct pair p;
		struct image *img;
		bool guard;

		fill_random(raw, raw_size, &seed);
		make_file(d, "base.raw", raw, raw_size, raw_size);
		make_qcow2(d, "mid.qcow2",
			   &(struct qcow2_make){ .size = SIZE / 2,
						 .version = version,
						 .cluster_bits = 12,
						 .refcount_order = 4,
						 .backing = "base.raw",
						 .backing_format = "raw" });
		o.path = make_qcow2(d, "top.qcow2",
				    &(struct qcow2_make){ .size = SIZE,
							  .version = version,
							  .cluster_bits = 14,
							  .refcount_order = 4,
							  .backing = "mid.qcow2",
							  .backing_format = "qcow2" });
		assert_int_equal(image_open(&o, 0, &guard, &img, &e), 0);
		p = pair_make(img, SIZE);
		memcpy(p.model, raw, raw_size);
		check_all(&p);
		for (int i = 0; i < 2000; i++)
			assert_int_equal(step(&p), 0);
		check_all(&p);
		settle(&p);
		assert_sound(img, 0);
		image_close(p.img);
		assert_int_equal(image_open(&o, 0, &guard, &p.img, &e), 0);
		check_all(&p);
		pair_free(&p);
		free(raw);
		dir_teardown(state);
		dir_setup(state);
	}
}

/* --- hosts that fail --- */

/* After errors the image goes on as soon as the host does, and is sound */
static void test_write_errors(void **state)
{
	static const int errors[] = { -ENOSPC, -EIO };
	size_t len;
	uint8_t *data = qcow2_build(
		&(struct qcow2_make){ .size = SIZE, .version = 3, .cluster_bits = 12, .refcount_order = 4 }, &len);
	struct memfile *f = memfile_new(data, len);
	struct pair p = pair_make(memfile_qcow2(f, false), SIZE);
	unsigned failed = 0;

	free(data);
	for (unsigned i = 0; i < 6000; i++) {
		int r;

		if (next_random(&p.seed) % 16 == 0) {
			f->fail_write = errors[i & 1];
			f->fail_after = (unsigned)(next_random(&p.seed) % 6);
		} else if (next_random(&p.seed) % 4 == 0) {
			f->fail_write = 0;
		}
		uint64_t seed = p.seed, off, n;
		r = step(&p);
		if (!r)
			continue;
		failed++;
		assert_true(r == -ENOSPC || r == -EIO);
		/* what a failed write leaves is undefined: look */
		p.seed = seed;
		random_place(&p, &off, &n);
		assert_int_equal(image_read_buf(p.img, off, p.model + off, n), 0);
	}
	assert_true(failed > 100);
	f->fail_write = 0;
	check_all(&p);
	settle(&p);
	/* a cluster whose refcount could not be taken back leaks, no more */
	assert_sound(p.img, 64);
	pair_free(&p);
}

static void test_flush_error_is_reported(void **state)
{
	size_t len;
	uint8_t *data = qcow2_build(
		&(struct qcow2_make){ .size = SIZE, .version = 3, .cluster_bits = 16, .refcount_order = 4 }, &len);
	struct memfile *f = memfile_new(data, len);
	struct pair p = pair_make(memfile_qcow2(f, false), SIZE);

	free(data);
	assert_int_equal(image_write_buf(p.img, 0, p.buf, 4096), 0);
	f->fail_flush = -EIO;
	assert_int_equal(p.img->ops->flush(p.img), -EIO);
	f->fail_flush = 0;
	assert_int_equal(p.img->ops->flush(p.img), 0);
	pair_free(&p);
}

/* --- crashes --- */

/* The file as a crash leaves it: the first @n writes, and of those after the last sync only some when the host
 * crashes too */
static struct memfile *crashed(const struct memfile *f, const uint8_t *start, size_t len, size_t n, bool host,
			       uint64_t *seed)
{
	struct memfile *g = memfile_new(start, len);
	size_t synced = 0;

	for (size_t i = 0; i < n; i++) {
		if (!f->log[i].len)
			synced = i;
	}
	for (size_t i = 0; i < n; i++) {
		const struct written *w = &f->log[i];

		if (!w->len || (host && i > synced && next_random(seed) & 1))
			continue;
		memfile_reach(g, w->off + w->len);
		memcpy(g->data + w->off, w->data, w->len);
	}
	memfile_reach(g, f->img.size);
	return g;
}

struct flushed {
	size_t at; /* writes when it was done */
	uint8_t *model;
	uint8_t *touched; /* what changed after it */
};

/* After writes of the file, a hundred points of time in all: whatever was flushed is there unless changed since, and nothing but leaks */
static void run_crashes(const struct qcow2_make *m, unsigned steps, bool host)
{
	size_t len;
	uint8_t *start = qcow2_build(m, &len);
	struct memfile *f = memfile_new(start, len);
	struct pair p = pair_make(memfile_qcow2(f, false), m->size);
	struct flushed fl[512];
	uint8_t *buf = malloc(4096);
	unsigned nfl = 0, flushes = 0;
	uint64_t seed = 99;

	f->record = true;
	fl[nfl++] = (struct flushed){ .model = calloc(1, m->size), .touched = calloc(1, m->size / 4096 + 1) };
	p.touched = fl[0].touched;
	for (unsigned i = 0; i < steps; i++) {
		assert_int_equal(step(&p), 0);
		if (next_random(&p.seed) % 5 == 0 && nfl < ARRAY_LEN(fl)) {
			assert_int_equal(p.img->ops->flush(p.img), 0);
			fl[nfl].at = f->nlog;
			fl[nfl].model = malloc(m->size);
			fl[nfl].touched = p.touched = calloc(1, m->size / 4096 + 1);
			memcpy(fl[nfl++].model, p.model, m->size);
			flushes++;
		}
	}
	assert_true(flushes > 5 && f->nlog > 50);
	for (size_t n = 0; n <= f->nlog; n += 1 + f->nlog / 100) {
		struct memfile *g = crashed(f, start, len, n, host, &seed);
		struct image *img = memfile_qcow2(g, true);
		struct qcow2_findings found;
		unsigned last = 0;

		assert_int_equal(qcow2_check(qcow2_of(img), false, &found), 0);
		if (found.errors)
			fail_msg("%llu errors after %zu of %zu writes", (unsigned long long)found.errors, n, f->nlog);
		while (last + 1 < nfl && fl[last + 1].at <= n)
			last++;
		/* what nothing changed since must be as it was flushed */
		for (uint64_t off = 0; off < m->size; off += 4096) {
			if (fl[last].touched[off / 4096])
				continue;
			assert_int_equal(image_read_buf(img, off, buf, 4096), 0);
			if (memcmp(buf, fl[last].model + off, 4096))
				fail_msg("flushed data at %llu is gone after %zu of %zu writes",
					 (unsigned long long)off, n, f->nlog);
		}
		image_close(img);
	}
	for (unsigned i = 0; i < nfl; i++) {
		free(fl[i].model);
		free(fl[i].touched);
	}
	free(buf);
	free(start);
	pair_free(&p);
}

static void test_crash_of_process(void **state)
{
	run_crashes(&(struct qcow2_make){ .size = 1 << 20, .version = 3, .cluster_bits = 12, .refcount_order = 4 }, 150,
		    false);
	run_crashes(&(struct qcow2_make){ .size = 1 << 20, .version = 3, .cluster_bits = 9, .refcount_order = 4 }, 100,
		    false);
}

static void test_crash_of_host(void **state)
{
	run_crashes(&(struct qcow2_make){ .size = 1 << 20, .version = 3, .cluster_bits = 12, .refcount_order = 4 }, 150,
		    true);
	run_crashes(&(struct qcow2_make){ .size = 1 << 20, .version = 3, .cluster_bits = 9, .refcount_order = 4 }, 100,
		    true);
}

/* --- images that are refused --- */

static void refused(void (*change)(uint8_t *), bool readonly, int code, const char *word)
{
	size_t len;
	uint8_t *data = qcow2_build(
		&(struct qcow2_make){ .size = SIZE, .version = 3, .cluster_bits = 16, .refcount_order = 4 }, &len);
	struct block_options o = { .path = "x.qcow2", .readonly = readonly };
	struct memfile *f;
	struct image *img;
	struct err e = { "" };
	int r;

	change(data);
	f = memfile_new(data, len);
	r = qcow2_open(&f->img, &o, 0, &img, &e);
	assert_int_equal(r, code);
	if (r < 0) {
		assert_non_null(strstr(e.msg, word));
		memfile_free(f);
	} else {
		image_close(img);
	}
	free(data);
}

static void unknown_feature(uint8_t *d) { be64_store(d + 72, 1ull << 17); }
static void data_file(uint8_t *d) { be64_store(d + 72, 4); }
static void marked_corrupt(uint8_t *d) { be64_store(d + 72, 2); }
static void huge_clusters(uint8_t *d) { be32_store(d + 20, 22); }
static void encrypted(uint8_t *d) { be32_store(d + 32, 2); }
static void short_l1(uint8_t *d) { be32_store(d + 36, 0); }
static void huge(uint8_t *d) { be64_store(d + 24, ~0ull); }
static void l1_away(uint8_t *d) { be64_store(d + 40, 1ull << 50); }
static void no_refcounts(uint8_t *d) { be32_store(d + 56, 0); }
static void long_name(uint8_t *d)
{
	be64_store(d + 8, 200);
	be32_store(d + 16, 5000);
}
static void network(uint8_t *d)
{
	be64_store(d + 8, 200);
	be32_store(d + 16, 9);
	memcpy(d + 200, "nbd://h:1", 9);
}
static void version_4(uint8_t *d) { be32_store(d + 4, 4); }
static void other_magic(uint8_t *d) { d[0] = 'X'; }

static void test_refused(void **state)
{
	refused(unknown_feature, true, -ENOTSUP, "bit 17");
	refused(data_file, true, -ENOTSUP, "bit 2");
	refused(marked_corrupt, false, -EINVAL, "damaged");
	refused(marked_corrupt, true, 0, "");
	refused(huge_clusters, true, -EINVAL, "cluster size");
	refused(encrypted, true, -ENOTSUP, "encrypted");
	refused(short_l1, true, -EINVAL, "L1");
	refused(huge, true, -EINVAL, "L1");
	refused(l1_away, true, -EINVAL, "L1");
	refused(no_refcounts, true, -EINVAL, "refcount");
	refused(long_name, true, -EINVAL, "backing");
	refused(network, true, -ENOTSUP, "nbd:");
	refused(version_4, true, -ENOTSUP, "version 4");
	refused(other_magic, true, -EINVAL, "not a qcow2");
}

/* An image that QEMU left with lazy refcounts: cluster 4 and 5 are used and not counted, 6 is counted in vain */
static void test_dirty_image_is_repaired(void **state)
{
	size_t len;
	uint8_t *data = qcow2_build(
		&(struct qcow2_make){ .size = SIZE, .version = 3, .cluster_bits = 16, .refcount_order = 4 }, &len);
	struct memfile *f;
	struct image *img;
	uint8_t buf[512];

	data = realloc(data, 7 << 16);
	memset(data + len, 0, (7 << 16) - len);
	be64_store(data + 72, QCOW2_INCOMPAT_DIRTY);
	be64_store(data + (3 << 16), (4ull << 16) | QCOW2_COPIED);
	be64_store(data + (4 << 16), (5ull << 16) | QCOW2_COPIED);
	memset(data + (5 << 16), 0x5a, 1 << 16);
	be16_store(data + (2 << 16) + 2 * 6, 1);
	f = memfile_new(data, 7 << 16);
	f->keep = true;
	img = memfile_qcow2(f, false);
	assert_int_equal(be64_load(f->data + 72), 0);
	assert_int_equal(image_read_buf(img, 0, buf, 512), 0);
	assert_int_equal(buf[0], 0x5a);
	assert_sound(img, 0);
	image_close(img);
	memfile_free(f);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model_64k),
		cmocka_unit_test(test_model_small_clusters),
		cmocka_unit_test(test_model_wide_refcounts),
		cmocka_unit_test(test_model_narrow_refcounts),
		cmocka_unit_test(test_model_large_clusters),
		cmocka_unit_test(test_model_version_2),
		cmocka_unit_test_setup_teardown(test_model_backing, dir_setup, dir_teardown),
		cmocka_unit_test(test_write_errors),
		cmocka_unit_test(test_flush_error_is_reported),
		cmocka_unit_test(test_crash_of_process),
		cmocka_unit_test(test_crash_of_host),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_dirty_image_is_repaired),
	};

	log_level = LOG_NONE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
