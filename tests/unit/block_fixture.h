/* block_fixture.h - images for the tests of host/block: made in a directory that goes away, used through
 * requests that are waited for, and a file in memory that records, fails and loses writes. */
#ifndef UNIT_BLOCK_FIXTURE_H
#define UNIT_BLOCK_FIXTURE_H

#include "unit/cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "host/block/image.h"
#include "host/block/qcow2.h"

/* --- files --- */

struct dir {
	char path[64];
	char name[16][128]; /* of files made */
	unsigned n;
};

static inline int dir_setup(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	snprintf(d->path, sizeof(d->path), "/tmp/vibe-block.XXXXXX");
	if (!mkdtemp(d->path))
		return -1;
	*state = d;
	return 0;
}

static inline int dir_teardown(void **state)
{
	struct dir *d = *state;

	for (unsigned i = 0; i < d->n; i++)
		unlink(d->name[i]);
	rmdir(d->path);
	free(d);
	return 0;
}

static inline const char *dir_file(struct dir *d, const char *name)
{
	char whole[128];

	snprintf(whole, sizeof(whole), "%s/%s", d->path, name);
	return memcpy(d->name[d->n++], whole, sizeof(whole));
}

static inline const char *make_file(struct dir *d, const char *name, const void *data, size_t len, uint64_t size)
{
	const char *path = dir_file(d, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, 0), (ssize_t)len);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
	return path;
}

/* --- an empty qcow2 image, as qemu-img create makes it --- */

struct qcow2_make {
	uint64_t size;
	unsigned version, cluster_bits, refcount_order;
	const char *backing, *backing_format;
};

/* Fills *len bytes at the result, which is the caller's */
static inline uint8_t *qcow2_build(const struct qcow2_make *m, size_t *len)
{
	uint64_t cs = 1ull << m->cluster_bits, per_l1 = cs * (cs / 8), l1 = (m->size + per_l1 - 1) / per_l1;
	uint64_t l1_clusters = (l1 * 8 + cs - 1) / cs, n = 3 + l1_clusters; /* header, refcount table, block, L1 */
	uint8_t *d = calloc(1, n * cs), *block;
	size_t at = 104;

	memcpy(d, "QFI\xfb", 4);
	be32_store(d + 4, m->version);
	be32_store(d + 20, m->cluster_bits);
	be64_store(d + 24, m->size);
	be32_store(d + 36, (uint32_t)l1);
	be64_store(d + 40, 3 * cs);
	be64_store(d + 48, cs);
	be32_store(d + 56, 1);
	be32_store(d + 96, m->version < 3 ? 0 : m->refcount_order);
	be32_store(d + 100, m->version < 3 ? 0 : 104);
	if (m->version < 3)
		at = 72;
	if (m->backing_format) {
		be32_store(d + at, 0xe2792acau);
		be32_store(d + at + 4, (uint32_t)strlen(m->backing_format));
		memcpy(d + at + 8, m->backing_format, strlen(m->backing_format));
		at += 8 + align_up(strlen(m->backing_format), 8);
	}
	at += 8;
	if (m->backing) {
		be64_store(d + 8, at);
		be32_store(d + 16, (uint32_t)strlen(m->backing));
		memcpy(d + at, m->backing, strlen(m->backing));
	}
	be64_store(d + cs, 2 * cs);
	block = d + 2 * cs;
	for (uint64_t i = 0; i < n; i++) {
		unsigned w = 1u << m->refcount_order;

		if (w < 8)
			block[i * w / 8] |= (uint8_t)(1u << i * w % 8);
		else
			block[(i + 1) * (w / 8) - 1] = 1;
	}
	*len = n * cs;
	return d;
}

static inline const char *make_qcow2(struct dir *d, const char *name, const struct qcow2_make *m)
{
	size_t len;
	uint8_t *data = qcow2_build(m, &len);
	const char *path = make_file(d, name, data, len, len);

	free(data);
	return path;
}

/* --- requests that are waited for --- */

struct waited {
	struct block_req req;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
	int result;
};

static inline void waited_done(struct block_req *q, int result)
{
	struct waited *w = q->ctx;

	pthread_mutex_lock(&w->lock);
	w->result = result;
	w->over = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static inline int request(struct block *b, enum block_op op, uint64_t off, void *buf, uint64_t len, bool unmap)
{
	/* in up to three pieces, so that lists are exercised */
	struct iovec iov[3];
	unsigned n = 0;
	struct waited w = {
		.req = { .op = op, .off = off, .len = len, .unmap = unmap, .iov = iov, .done = waited_done }
	};

	if (buf) {
		uint64_t cut = len > 4096 ? (len / 3) & ~511ull : 0;

		if (cut) {
			iov[n++] = (struct iovec){ .iov_base = buf, .iov_len = cut };
			iov[n++] = (struct iovec){ .iov_base = (char *)buf + cut, .iov_len = 512 };
			cut += 512;
		}
		iov[n++] = (struct iovec){ .iov_base = (char *)buf + cut, .iov_len = len - cut };
	}
	w.req.niov = n;
	w.req.ctx = &w;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	block_submit(b, &w.req);
	block_commit(b);
	pthread_mutex_lock(&w.lock);
	while (!w.over)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return w.result;
}

/* --- numbers --- */

static inline uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static inline void fill_random(void *buf, size_t len, uint64_t *s)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t v = next_random(s);

		memcpy((char *)buf + i, &v, 8);
	}
}

/* --- a file in memory --- */

struct written {
	uint64_t off, len; /* len 0: a sync */
	uint8_t *data;
};

struct memfile {
	struct image img;
	pthread_mutex_t lock;
	uint8_t *data;
	size_t cap;
	struct written *log; /* with `record`: all writes since */
	size_t nlog, log_cap;
	bool record;
	int fail_write, fail_flush; /* the result of those to come, or 0 */
	unsigned fail_after;        /* writes that still succeed */
	uint64_t limit;             /* bytes that it may grow to; 0: any */
	bool keep;                  /* close leaves it */
};

static inline struct memfile *memfile_of(struct image *img) { return (struct memfile *)img; }

static inline void memfile_log(struct memfile *f, uint64_t off, const void *data, uint64_t len)
{
	if (!f->record)
		return;
	if (f->nlog == f->log_cap) {
		f->log_cap = f->log_cap ? 2 * f->log_cap : 256;
		f->log = realloc(f->log, f->log_cap * sizeof(*f->log));
	}
	f->log[f->nlog] = (struct written){ .off = off, .len = len, .data = malloc(len + 1) };
	if (len)
		memcpy(f->log[f->nlog].data, data, len);
	f->nlog++;
}

static inline void memfile_reach(struct memfile *f, uint64_t end)
{
	if (end > f->cap) {
		size_t cap = align_up(end + f->cap / 2, 1 << 14);

		f->data = realloc(f->data, cap);
		memset(f->data + f->cap, 0, cap - f->cap);
		f->cap = cap;
	}
	if (end > f->img.size)
		f->img.size = end;
}

static inline int memfile_read(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	struct memfile *f = memfile_of(img);
	uint64_t have = off < img->size ? img->size - off : 0;

	pthread_mutex_lock(&f->lock);
	if (have > len)
		have = len;
	if (have)
		iov_fill(iov, n, 0, f->data + off, have);
	iov_zero(iov, n, have, len - have);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static inline int memfile_write(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	struct memfile *f = memfile_of(img);

	pthread_mutex_lock(&f->lock);
	if (f->fail_write && !f->fail_after) {
		pthread_mutex_unlock(&f->lock);
		return f->fail_write;
	}
	f->fail_after -= f->fail_after > 0;
	if (f->limit && off + len > f->limit) {
		pthread_mutex_unlock(&f->lock);
		return -ENOSPC;
	}
	memfile_reach(f, off + len);
	iov_fetch(iov, n, 0, f->data + off, len);
	memfile_log(f, off, f->data + off, len);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static inline int memfile_flush(struct image *img)
{
	struct memfile *f = memfile_of(img);

	pthread_mutex_lock(&f->lock);
	memfile_log(f, 0, NULL, 0);
	pthread_mutex_unlock(&f->lock);
	return f->fail_flush;
}

/* What is freed is destroyed, so that a use of it shows */
static inline int memfile_discard(struct image *img, uint64_t off, uint64_t len)
{
	struct memfile *f = memfile_of(img);

	pthread_mutex_lock(&f->lock);
	if (off + len <= f->img.size)
		memset(f->data + off, 0xdd, len);
	memfile_log(f, off, f->data + off, len);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static inline int memfile_resize(struct image *img, uint64_t size)
{
	struct memfile *f = memfile_of(img);

	if (f->limit && size > f->limit)
		return -ENOSPC;
	pthread_mutex_lock(&f->lock);
	memfile_reach(f, size);
	img->size = size;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static inline void memfile_free(struct memfile *f)
{
	for (size_t i = 0; i < f->nlog; i++)
		free(f->log[i].data);
	free(f->log);
	free(f->data);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static inline void memfile_close(struct image *img)
{
	if (!memfile_of(img)->keep)
		memfile_free(memfile_of(img));
}

static const struct image_ops memfile_ops = {
	.name = "memory",
	.read = memfile_read,
	.write = memfile_write,
	.flush = memfile_flush,
	.discard = memfile_discard,
	.resize = memfile_resize,
	.close = memfile_close,
};

static inline struct memfile *memfile_new(const void *data, size_t len)
{
	struct memfile *f = calloc(1, sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	f->img.ops = &memfile_ops;
	f->img.granularity = 4096;
	memfile_reach(f, len);
	if (len)
		memcpy(f->data, data, len);
	return f;
}

static inline struct image *memfile_qcow2(struct memfile *f, bool readonly)
{
	struct block_options o = { .path = "memory", .readonly = readonly };
	struct err e = { "" };
	struct image *img;
	int r = qcow2_open(&f->img, &o, 0, &img, &e);

	if (r < 0)
		fail_msg("%s", e.msg);
	return img;
}

#endif
