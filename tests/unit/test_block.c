/* test_block.c - disks as devices see them: requests, formats by probing, the ring and the workers, locks,
 * throw-away writes, ranges. */
#include "unit/block_fixture.h"

#include <signal.h>
#include <sys/resource.h>

#define SIZE (2u << 20)

static struct block *open_block(const struct block_options *o)
{
	struct err e = { "" };
	struct block *b = NULL;
	int r = block_open(o, &b, &e);

	if (r < 0)
		fail_msg("%s", e.msg);
	return b;
}

static void refuses(const struct block_options *o, int code, const char *word)
{
	struct err e = { "" };
	struct block *b = NULL;

	assert_int_equal(block_open(o, &b, &e), code);
	if (!strstr(e.msg, word))
		fail_msg("'%s' lacks '%s'", e.msg, word);
	assert_null(b);
}

/* Random requests against a model. Page-aligned buffers, so that direct I/O takes part. */
static void run_requests(const struct block_options *o, const uint8_t *start, unsigned steps)
{
	struct block *b = open_block(o);
	uint64_t seed = 7, size = block_size(b);
	uint8_t *model = calloc(1, size), *buf = qcow2_alloc_buffer(1 << 20);

	if (start)
		memcpy(model, start, size);
	for (unsigned i = 0; i < steps; i++) {
		uint64_t off = next_random(&seed) % size & ~511ull, len = (next_random(&seed) % 200000 & ~511ull) + 512;
		unsigned what = next_random(&seed) % 8;

		if (next_random(&seed) & 1) {
			off = align_down(off, 4096);
			len = align_up(len, 4096);
		}
		if (len > size - off)
			len = size - off;
		if (what < 3) {
			fill_random(buf, len, &seed);
			assert_int_equal(request(b, BLOCK_WRITE, off, buf, len, false), 0);
			memcpy(model + off, buf, len);
		} else if (what == 3) {
			assert_int_equal(request(b, BLOCK_ZERO, off, NULL, len, next_random(&seed) & 1), 0);
			memset(model + off, 0, len);
		} else if (what == 4) {
			assert_int_equal(request(b, BLOCK_DISCARD, off, NULL, len, false), 0);
			assert_int_equal(request(b, BLOCK_READ, off, buf, len, false), 0);
			memcpy(model + off, buf, len);
		} else if (what == 5) {
			assert_int_equal(request(b, BLOCK_FLUSH, 0, NULL, 0, false), 0);
		} else {
			assert_int_equal(request(b, BLOCK_READ, off, buf, len, false), 0);
			assert_memory_equal(buf, model + off, len);
		}
	}
	block_close(b);
	if (!o->ephemeral) {
		b = open_block(o);
		for (uint64_t at = 0; at < size; at += 65536) {
			assert_int_equal(request(b, BLOCK_READ, at, buf, size - at < 65536 ? size - at : 65536, false),
					 0);
			assert_memory_equal(buf, model + at, size - at < 65536 ? size - at : 65536);
		}
		block_close(b);
	}
	free(buf);
	free(model);
}

static const enum io_kind kinds[] = { IO_THREADS, IO_AUTO };

static void test_raw(void **state)
{
	struct dir *d = *state;
	const char *path = make_file(d, "raw", "", 0, SIZE);

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		assert_int_equal(truncate(path, 0), 0);
		assert_int_equal(truncate(path, SIZE), 0);
		run_requests(&(struct block_options){ .path = path, .format = BLOCK_RAW, .io = kinds[i] }, NULL, 1000);
	}
}

static void test_raw_direct(void **state)
{
	struct dir *d = *state;
	const char *path = make_file(d, "raw", "", 0, SIZE);
	int fd = open(path, O_RDWR | O_DIRECT);

	if (fd < 0)
		skip();
	close(fd);
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		assert_int_equal(truncate(path, 0), 0);
		assert_int_equal(truncate(path, SIZE), 0);
		run_requests(
			&(struct block_options){
				.path = path, .format = BLOCK_RAW, .cache = BLOCK_CACHE_NONE, .io = kinds[i] },
			NULL, 500);
	}
}

static void test_qcow2(void **state)
{
	struct dir *d = *state;

	for (unsigned i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
		struct qcow2_make m = { .size = SIZE, .version = 3, .cluster_bits = 12, .refcount_order = 4 };
		const char *path = make_qcow2(d, i & 1 ? "a.qcow2" : "b.qcow2", &m);
		int fd = open(path, O_RDWR | O_DIRECT);
		bool direct = fd >= 0;

		close(fd);
		run_requests(
			&(struct block_options){ .path = path,
						 .io = kinds[i / 2],
						 .cache = i & 1 && direct ? BLOCK_CACHE_NONE : BLOCK_CACHE_WRITEBACK },
			NULL, 700);
	}
}

static void test_ephemeral(void **state)
{
	struct dir *d = *state;
	uint64_t seed = 3;
	/* not whole granules */
	size_t size = SIZE - 1024;
	uint8_t *data = malloc(size), *after = malloc(size);
	const char *path;
	int fd;

	fill_random(data, size, &seed);
	path = make_file(d, "base", data, size, size);
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		run_requests(
			&(struct block_options){ .path = path, .format = BLOCK_RAW, .ephemeral = true, .io = kinds[i] },
			data, 1500);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, after, size), (ssize_t)size);
	close(fd);
	assert_memory_equal(data, after, size);
	free(data);
	free(after);
}

static void test_limits(void **state)
{
	struct dir *d = *state;
	const char *path = make_file(d, "raw", "abc", 3, 1000); /* no whole sectors */
	struct block *b = open_block(&(struct block_options){ .path = path });
	uint8_t buf[1024];

	assert_int_equal(block_size(b), 1024);
	assert_int_equal(request(b, BLOCK_READ, 512, buf, 512, false), 0);
	assert_int_equal(request(b, BLOCK_READ, 512, buf, 1024, false), -EINVAL);
	assert_int_equal(request(b, BLOCK_READ, ~511ull, buf, 512, false), -EINVAL);
	assert_int_equal(request(b, BLOCK_WRITE, 1024, buf, 512, false), -EINVAL);
	assert_int_equal(request(b, BLOCK_ZERO, 0, NULL, 1536, true), -EINVAL);
	assert_int_equal(request(b, BLOCK_READ, 1024, buf, 0, false), 0);
	block_close(b);
	b = open_block(&(struct block_options){ .path = path, .readonly = true });
	assert_true(block_readonly(b));
	assert_int_equal(request(b, BLOCK_WRITE, 0, buf, 512, false), -EROFS);
	assert_int_equal(request(b, BLOCK_DISCARD, 0, NULL, 512, false), -EROFS);
	assert_int_equal(request(b, BLOCK_READ, 0, buf, 512, false), 0);
	assert_memory_equal(buf, "abc", 3);
	block_close(b);
}

static void test_probing_is_safe(void **state)
{
	struct dir *d = *state;
	const char *path = make_file(d, "raw", "", 0, SIZE);
	struct block *b = open_block(&(struct block_options){ .path = path });
	uint8_t buf[1024] = "QFI\xfb";

	assert_string_equal(block_format_name(b), "raw");
	assert_int_equal(request(b, BLOCK_WRITE, 0, buf, 512, false), -EPERM);
	assert_int_equal(request(b, BLOCK_WRITE, 1, buf, 512, false), -EPERM);
	assert_int_equal(request(b, BLOCK_WRITE, 512, buf, 512, false), 0);
	block_close(b);
	b = open_block(&(struct block_options){ .path = path, .format = BLOCK_RAW });
	assert_int_equal(request(b, BLOCK_WRITE, 0, buf, 512, false), 0);
	block_close(b);
	refuses(&(struct block_options){ .path = path }, -ENOTSUP, "qcow2");
}

static void test_refused(void **state)
{
	struct dir *d = *state;
	const char *empty = make_file(d, "empty", "", 0, 0);

	refuses(&(struct block_options){ .path = empty }, -EINVAL, "empty");
	refuses(&(struct block_options){ .path = "/tmp" }, -EISDIR, "directory");
	refuses(&(struct block_options){ .path = "/dev/null" }, -EINVAL, "neither");
	refuses(&(struct block_options){ .path = "/does/not/exist" }, -ENOENT, "No such file");
	refuses(&(struct block_options){ .path = empty, .format = BLOCK_QCOW2 }, -EINVAL, "too short");
}

static void test_circle_of_backing_images(void **state)
{
	struct dir *d = *state;
	struct qcow2_make m = { .size = SIZE,
				.version = 3,
				.cluster_bits = 16,
				.refcount_order = 4,
				.backing = "circle",
				.backing_format = "qcow2" };

	refuses(&(struct block_options){ .path = make_qcow2(d, "circle", &m), .readonly = true }, -ELOOP, "circle");
}

static void test_locks(void **state)
{
	struct dir *d = *state;
	const char *path = make_file(d, "raw", "", 0, SIZE);
	struct block_options rw = { .path = path }, ro = { .path = path, .readonly = true };
	struct block *a = open_block(&rw), *b;

	refuses(&rw, -EAGAIN, "in use");
	refuses(&ro, -EAGAIN, "in use");
	block_close(a);
	a = open_block(&ro);
	b = open_block(&ro);
	refuses(&rw, -EAGAIN, "in use");
	block_close(a);
	block_close(b);
	block_close(open_block(&rw));
}

/* A limit on the size of files stands for a full disk */
static void test_full_host(void **state)
{
	struct dir *d = *state;
	const char *path = make_qcow2(
		d, "q", &(struct qcow2_make){ .size = SIZE, .version = 3, .cluster_bits = 16, .refcount_order = 4 });
	struct block *b = open_block(&(struct block_options){ .path = path });
	struct rlimit old, small;
	uint8_t *buf = calloc(1, SIZE);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){ .rlim_cur = (rlim_t)st.st_size + 65536 + 100, .rlim_max = old.rlim_max };
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(request(b, BLOCK_WRITE, 0, buf, SIZE / 2, false), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	memset(buf, 0x11, SIZE);
	assert_int_equal(request(b, BLOCK_WRITE, 0, buf, SIZE, false), 0);
	assert_int_equal(request(b, BLOCK_FLUSH, 0, NULL, 0, false), 0);
	block_close(b);
	free(buf);
}

/* --- many at a time --- */

struct many {
	struct block_req req;
	struct iovec iov;
	_Atomic unsigned *left;
	uint8_t *buf;
	int result;
};

static void many_done(struct block_req *q, int result)
{
	struct many *m = q->ctx;

	m->result = result;
	atomic_fetch_sub(m->left, 1);
}

/* Writes of one cluster's parts, all at once, must not lose one another */
static void test_parallel_writes(void **state)
{
	struct dir *d = *state;
	const unsigned n = 512; /* more than the ring holds */
	struct many *m = calloc(n, sizeof(*m));
	uint8_t buf[4096];

	for (unsigned k = 0; k < 4; k++) {
		struct block_options o = { .io = kinds[k & 1] };
		_Atomic unsigned left = n;
		struct block *b;

		o.path = k < 2 ? make_qcow2(
					 d, "q",
					 &(struct qcow2_make){
						 .size = SIZE, .version = 3, .cluster_bits = 16, .refcount_order = 4 })
			       : make_file(d, "r", "", 0, SIZE);
		o.ephemeral = k >= 2;
		b = open_block(&o);
		for (unsigned i = 0; i < n; i++) {
			unsigned at = i * 211 % n; /* in another order */

			m[i].buf = malloc(1536);
			memset(m[i].buf, (int)(at % 251 + 1), 1536);
			m[i].left = &left;
			m[i].iov = (struct iovec){ .iov_base = m[i].buf, .iov_len = 1536 };
			m[i].req = (struct block_req){ .op = BLOCK_WRITE,
						       .off = at * 1536ull,
						       .len = 1536,
						       .iov = &m[i].iov,
						       .niov = 1,
						       .done = many_done,
						       .ctx = &m[i] };
			block_submit(b, &m[i].req);
			if (i % 7 == 0)
				block_commit(b);
		}
		block_drain(b);
		assert_int_equal(left, 0);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(m[i].result, 0);
			assert_int_equal(request(b, BLOCK_READ, m[i].req.off, buf, 1536, false), 0);
			assert_memory_equal(buf, m[i].buf, 1536);
			free(m[i].buf);
		}
		block_close(b);
	}
	free(m);
}

static void test_ranges(void **state)
{
	struct range_lock l;
	struct range a, b, c;

	range_lock_init(&l);
	assert_true(range_try(&l, &a, 0, 10, false));
	assert_true(range_try(&l, &b, 5, 15, false));
	assert_false(range_try(&l, &c, 14, 20, true));
	assert_true(range_try(&l, &c, 15, 20, true));
	range_release(&l, &b);
	range_release(&l, &a);
	assert_false(range_try(&l, &a, 19, 21, false));
	range_release(&l, &c);
	range_release(&l, &c);
	range_take(&l, &a, 19, 21, true);
	range_release(&l, &a);
	range_lock_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_raw, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_raw_direct, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_qcow2, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_ephemeral, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_limits, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_probing_is_safe, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_refused, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_circle_of_backing_images, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_locks, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_full_host, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_parallel_writes, dir_setup, dir_teardown),
		cmocka_unit_test(test_ranges),
	};

	log_level = LOG_NONE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
