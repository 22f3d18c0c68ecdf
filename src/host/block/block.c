/* block.c - opens chains of images, and sends each request to the ring or to a worker. */
#include "host/block/block.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "host/block/image.h"

#define SECTOR      512u
#define QCOW2_MAGIC "QFI\xfb"

struct block {
	struct image *img;
	struct io *io;
	uint64_t size;
	/* The format was not given and turned out to be raw: a guest must not write what the next start would
	 * take for another format, one that could name any file of the host as its backing image. */
	bool guard;
	const char *format;
	char *path;
	struct log_limit errors, guarded;

	pthread_mutex_t lock; /* guards inflight */
	pthread_cond_t idle;
	unsigned inflight;
};

/* --- helpers for all images --- */

int image_read_padded(struct image *img, const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len)
{
	uint64_t have = off >= img->size ? 0 : img->size - off;
	struct iovec *part;
	int r;

	if (have >= len)
		return img->ops->read(img, iov, niov, off, len);
	iov_zero(iov, niov, have, len - have);
	if (!have)
		return 0;
	part = malloc(niov * sizeof(*part));
	if (!part)
		return -ENOMEM;
	r = img->ops->read(img, part, iov_slice(iov, niov, 0, have, part), off, have);
	free(part);
	return r;
}

int image_read_buf(struct image *img, uint64_t off, void *buf, uint64_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };

	return img->ops->read(img, &iov, 1, off, len);
}

int image_write_buf(struct image *img, uint64_t off, const void *buf, uint64_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };

	return img->ops->write(img, &iov, 1, off, len);
}

/* --- requests --- */

static const char *const op_names[] = { "read", "write", "flush", "discard", "zeroing" };

static void finish(struct block_req *q, int result)
{
	struct block *b = q->block;

	free(q->split);
	q->split = NULL;
	if (result < 0 && result != -EPERM)
		log_limited(&b->errors, LOG_WARN, "disk '%s': %s of %llu bytes at %llu failed: %s", b->path,
			    op_names[q->op], (unsigned long long)q->len, (unsigned long long)q->off, strerror(-result));
	q->done(q, result);
	pthread_mutex_lock(&b->lock);
	if (!--b->inflight)
		pthread_cond_broadcast(&b->idle);
	pthread_mutex_unlock(&b->lock);
}

static void on_worker(struct io_work *w)
{
	struct block_req *q = (struct block_req *)((char *)w - offsetof(struct block_req, work));
	struct image *img = q->block->img;
	int r = -EINVAL;

	switch (q->op) {
	case BLOCK_READ: r = img->ops->read(img, q->iov, q->niov, q->off, q->len); break;
	case BLOCK_WRITE: r = img->ops->write(img, q->iov, q->niov, q->off, q->len); break;
	case BLOCK_ZERO: r = img->ops->zero(img, q->off, q->len, q->unmap); break;
	case BLOCK_DISCARD: r = img->ops->discard(img, q->off, q->len); break;
	case BLOCK_FLUSH: r = img->ops->flush(img); break;
	}
	if (!r && q->fua)
		r = img->ops->flush(img);
	finish(q, r);
}

static void extent_over(struct block_req *q)
{
	struct image *img = q->block->img;

	if (atomic_fetch_sub(&q->pending, 1) != 1)
		return;
	if (img->ops->unmap)
		img->ops->unmap(img, q);
	if (atomic_load(&q->failed)) {
		free(q->split);
		q->split = NULL;
		io_run(q->block->io, &q->work);
		return;
	}
	finish(q, 0);
}

static void extent_done(struct io_rw *rw, int result)
{
	struct block_req *q = rw->ctx;

	if (result < 0 || (uint64_t)result != iov_len(rw->iov, rw->niov))
		atomic_store(&q->failed, 1);
	extent_over(q);
}

/* Hands the pieces to the ring; what it does not take is left to a worker */
static bool to_ring(struct block_req *q)
{
	struct image *img = q->block->img;
	struct mapping m;
	struct iovec *iov;
	uint64_t at = 0;

	if (!img->ops->map || !img->ops->map(img, q->op == BLOCK_WRITE, q->off, q->len, &m, q))
		return false;
	if (m.n > 1)
		q->split = malloc((q->niov + m.n) * sizeof(*q->split));
	if (m.n > 1 && !q->split) {
		if (img->ops->unmap)
			img->ops->unmap(img, q);
		return false;
	}
	atomic_store(&q->pending, 1); /* ours, so that it does not end before all are queued */
	iov = q->split;
	for (unsigned i = 0; i < m.n; i++) {
		struct io_rw *rw = &q->rw[i];

		if (m.e[i].fd < 0) {
			iov_zero(q->iov, q->niov, at, m.e[i].len);
			at += m.e[i].len;
			continue;
		}
		*rw = (struct io_rw){ .op = q->op == BLOCK_READ ? IO_READV : IO_WRITEV,
				      .fd = m.e[i].fd,
				      .iov = q->iov,
				      .niov = q->niov,
				      .off = m.e[i].off,
				      .done = extent_done,
				      .ctx = q };
		if (m.n > 1) {
			rw->iov = iov;
			rw->niov = iov_slice(q->iov, q->niov, at, m.e[i].len, iov);
			iov += rw->niov;
		}
		at += m.e[i].len;
		atomic_fetch_add(&q->pending, 1);
		if (io_rw_queue(q->block->io, rw) < 0) {
			atomic_store(&q->failed, 1);
			atomic_fetch_sub(&q->pending, 1);
		}
	}
	extent_over(q);
	return true;
}

static void sync_done(struct io_rw *rw, int result)
{
	struct block_req *q = rw->ctx;
	struct image *img = q->block->img;

	if (img->ops->flushed)
		img->ops->flushed(img, result);
	finish(q, result < 0 ? result : 0);
}

static bool sync_to_ring(struct block_req *q)
{
	struct image *img = q->block->img;
	int fd = img->ops->flush_fd ? img->ops->flush_fd(img) : -1;

	if (fd < 0)
		return false;
	q->rw[0] = (struct io_rw){ .op = IO_FDATASYNC, .fd = fd, .done = sync_done, .ctx = q };
	return io_rw_queue(q->block->io, &q->rw[0]) == 0;
}

/* See struct block */
static bool would_change_format(const struct block_req *q)
{
	char magic[4];

	if (q->off >= sizeof(magic) || q->op != BLOCK_WRITE)
		return false;
	if (q->off || q->len < sizeof(magic))
		return true;
	iov_fetch(q->iov, q->niov, 0, magic, sizeof(magic));
	return !memcmp(magic, QCOW2_MAGIC, sizeof(magic));
}

static int check(struct block *b, const struct block_req *q)
{
	if (q->op == BLOCK_FLUSH)
		return 0;
	if (q->off > b->size || q->len > b->size - q->off)
		return -EINVAL;
	if (q->op != BLOCK_READ && b->img->readonly)
		return -EROFS;
	if (b->guard && would_change_format(q)) {
		log_limited(&b->guarded, LOG_WARN,
			    "disk '%s': the guest may not write a qcow2 header to a raw image whose "
			    "format was not given: add format=raw to allow it",
			    b->path);
		return -EPERM;
	}
	return 0;
}

void block_submit(struct block *b, struct block_req *q)
{
	int r = check(b, q);

	q->block = b;
	q->work.fn = on_worker;
	q->split = NULL;
	q->hold[0].held = q->hold[1].held = false;
	atomic_store(&q->failed, 0);
	pthread_mutex_lock(&b->lock);
	b->inflight++;
	pthread_mutex_unlock(&b->lock);
	if (r < 0 || (!q->len && q->op != BLOCK_FLUSH)) {
		finish(q, r);
		return;
	}
	if (io_has_ring(b->io)) {
		if ((q->op == BLOCK_READ || (q->op == BLOCK_WRITE && !q->fua)) && to_ring(q))
			return;
		if (q->op == BLOCK_FLUSH && sync_to_ring(q))
			return;
	}
	io_run(b->io, &q->work);
}

void block_commit(struct block *b) { io_commit(b->io); }

void block_drain(struct block *b)
{
	io_commit(b->io);
	pthread_mutex_lock(&b->lock);
	while (b->inflight)
		pthread_cond_wait(&b->idle, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

/* --- opening --- */

int image_open(const struct block_options *o, unsigned depth, bool *guard, struct image **out, struct err *e)
{
	enum block_format format = o->format;
	struct image *file;
	char magic[4];
	int r = raw_open(o, &file, e);

	if (r < 0)
		return r;
	*guard = false;
	if (format == BLOCK_PROBE) {
		format = BLOCK_RAW;
		if (file->size >= sizeof(magic)) {
			r = image_read_buf(file, 0, magic, sizeof(magic));
			if (r < 0) {
				image_close(file);
				return err_set(e, r, "disk '%s' cannot be read: %s", o->path, strerror(-r));
			}
			if (!memcmp(magic, QCOW2_MAGIC, sizeof(magic)))
				format = BLOCK_QCOW2;
		}
		*guard = format == BLOCK_RAW && !o->readonly;
	}
	if (format == BLOCK_RAW) {
		*out = file;
		return 0;
	}
	r = qcow2_open(file, o, depth, out, e);
	if (r < 0)
		image_close(file);
	return r;
}

static int open_chain(struct block *b, const struct block_options *o, struct err *e)
{
	struct block_options lower = *o;
	int r;

	lower.readonly = o->readonly || o->ephemeral;
	r = image_open(&lower, 0, &b->guard, &b->img, e);
	if (r < 0)
		return r;
	b->format = b->img->ops->name;
	b->size = align_up(b->img->size, SECTOR);
	if (!b->size)
		return err_set(e, -EINVAL, "disk '%s' is empty: give it a size first", o->path);
	if (o->ephemeral && !o->readonly) {
		struct image *top;

		r = overlay_open(b->img, &top, e);
		if (r < 0)
			return r;
		b->img = top;
	}
	return 0;
}

int block_open(const struct block_options *o, struct block **out, struct err *e)
{
	struct block *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return err_set(e, -ENOMEM, "disk '%s': out of memory", o->path);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->idle, NULL);
	b->path = strdup(o->path);
	r = b->path ? open_chain(b, o, e) : err_set(e, -ENOMEM, "disk '%s': out of memory", o->path);
	if (!r)
		r = io_create(o->io, &b->io, e);
	if (r < 0) {
		block_close(b);
		return r;
	}
	*out = b;
	return 0;
}

void block_close(struct block *b)
{
	if (!b)
		return;
	if (b->io)
		block_drain(b);
	image_close(b->img);
	io_destroy(b->io);
	pthread_cond_destroy(&b->idle);
	pthread_mutex_destroy(&b->lock);
	free(b->path);
	free(b);
}

uint64_t block_size(const struct block *b) { return b->size; }
bool block_readonly(const struct block *b) { return b->img->readonly; }
uint32_t block_granularity(const struct block *b) { return b->img->granularity; }
const char *block_format_name(const struct block *b) { return b->format; }
const char *block_io_name(const struct block *b) { return io_has_ring(b->io) ? "io_uring" : "threads"; }
