/* qcow2_io.c - reading, writing, zeroing, discarding and flushing a qcow2 image. */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "host/block/qcow2.h"

static uint64_t in_cluster(const struct qcow2 *q, uint64_t off) { return off & (q->cluster - 1); }

static uint64_t clusters_of(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	return ((off + len - 1) >> q->cluster_bits) - (off >> q->cluster_bits) + 1;
}

/* Bytes from @off to the end of @n clusters, at most @len */
static uint64_t bytes_of(const struct qcow2 *q, uint64_t off, uint64_t n, uint64_t len)
{
	uint64_t run = (n << q->cluster_bits) - in_cluster(q, off);

	return run < len ? run : len;
}

static int lookup(struct qcow2 *q, uint64_t off, uint64_t len, struct qcow2_run *run)
{
	int r;

	pthread_mutex_lock(&q->lock);
	r = qcow2_lookup(q, off >> q->cluster_bits, clusters_of(q, off, len), false, run);
	pthread_mutex_unlock(&q->lock);
	return r;
}

/* --- reading --- */

/* What a run says of [off, off+len), which lies in it; the run's first cluster holds @first */
static int read_run(struct qcow2 *q, const struct qcow2_run *run, uint64_t first, const struct iovec *iov,
		    unsigned niov, uint64_t off, uint64_t len)
{
	switch (run->kind) {
	case QK_NONE:
		if (q->backing)
			return image_read_padded(q->backing, iov, niov, off, len);
		break;
	case QK_ZERO: break;
	case QK_DATA:
		return q->file->ops->read(q->file, iov, niov, run->host + (off - align_down(first, q->cluster)), len);
	case QK_PACKED: return qcow2_read_packed(q, run->entry, in_cluster(q, off), iov, niov, len);
	}
	iov_zero(iov, niov, 0, len);
	return 0;
}

static int qcow2_read(struct image *img, const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(img);
	struct iovec *part = malloc(niov * sizeof(*part));
	struct range hold;
	uint64_t at = 0, n;
	int r = 0;

	if (!part)
		return -ENOMEM;
	range_take(&q->ranges, &hold, off, off + len, false);
	for (; at < len && !r; at += n) {
		struct qcow2_run run;

		r = lookup(q, off + at, len - at, &run);
		if (r < 0)
			break;
		n = bytes_of(q, off + at, run.n, len - at);
		r = read_run(q, &run, off + at, part, iov_slice(iov, niov, at, n, part), off + at, n);
	}
	range_release(&q->ranges, &hold);
	free(part);
	return r;
}

/* --- writing --- */

/* New clusters for a write, and what it leaves of the old ones at both ends */
struct fill {
	uint64_t host, n;    /* clusters */
	bool fresh, reused;  /* they read as zeroes; they were there already */
	uint64_t head, tail; /* bytes before and after the data */
	uint8_t *buf;        /* head, then tail */
};

static bool reads_zero(const struct qcow2 *q, const struct qcow2_run *run, uint64_t off)
{
	return run->kind == QK_ZERO ||
	       (run->kind == QK_NONE && (!q->backing || align_down(off, q->cluster) >= q->backing->size));
}

static int fetch_ends(struct qcow2 *q, const struct qcow2_run *run, struct fill *f, uint64_t off, uint64_t len)
{
	struct iovec iov;
	int r = 0;

	f->head = in_cluster(q, off);
	f->tail = (f->n << q->cluster_bits) - f->head - len;
	if (f->fresh && reads_zero(q, run, off))
		f->head = f->tail = 0;
	if (!f->head && !f->tail)
		return 0;
	f->buf = qcow2_alloc_buffer(f->head + f->tail);
	if (!f->buf)
		return -ENOMEM;
	if (f->head) {
		iov = (struct iovec){ .iov_base = f->buf, .iov_len = f->head };
		r = read_run(q, run, off, &iov, 1, off - f->head, f->head);
	}
	if (f->tail && !r) {
		iov = (struct iovec){ .iov_base = f->buf + f->head, .iov_len = f->tail };
		r = read_run(q, run, off, &iov, 1, off + len, f->tail);
	}
	return r;
}

static int write_fill(struct qcow2 *q, const struct fill *f, const struct iovec *iov, unsigned niov, uint64_t at,
		      uint64_t off, uint64_t len)
{
	struct iovec *all = malloc((niov + 2) * sizeof(*all));
	unsigned n = 0;
	int r;

	if (!all)
		return -ENOMEM;
	if (f->head)
		all[n++] = (struct iovec){ .iov_base = f->buf, .iov_len = f->head };
	n += iov_slice(iov, niov, at, len, all + n);
	if (f->tail)
		all[n++] = (struct iovec){ .iov_base = f->buf + f->head, .iov_len = f->tail };
	r = q->file->ops->write(q->file, all, n, f->host + in_cluster(q, off) - f->head, f->head + len + f->tail);
	free(all);
	return r;
}

/* Where the run's clusters cannot be written in place: others for as many as can be had at once */
static int choose_clusters(struct qcow2 *q, const struct qcow2_run *run, struct fill *f)
{
	if (run->kind == QK_ZERO && run->inplace) {
		*f = (struct fill){ .host = run->host, .n = run->n, .reused = true };
		return 0;
	}
	*f = (struct fill){ .host = 0 };
	return qcow2_alloc(q, run->n, &f->host, &f->n, &f->fresh);
}

static int link_clusters(struct qcow2 *q, const struct fill *f, uint64_t index, int r)
{
	uint64_t i = 0;

	pthread_mutex_lock(&q->lock);
	while (!r && i < f->n) {
		r = qcow2_set_entry(q, index + i, (f->host + (i << q->cluster_bits)) | QCOW2_COPIED);
		i += !r;
	}
	if (r < 0 && !f->reused)
		qcow2_unalloc(q, f->host + (i << q->cluster_bits), f->n - i);
	pthread_mutex_unlock(&q->lock);
	return r;
}

/* Writes the first *done bytes of [off, off+len), from iov at @at: what one run holds. Its clusters are held
 * exclusively, unless @inplace: then nothing but what can be overwritten is, and *done may be 0. */
static int write_run(struct qcow2 *q, const struct iovec *iov, unsigned niov, uint64_t at, uint64_t off, uint64_t len,
		     bool inplace, uint64_t *done)
{
	uint64_t index = off >> q->cluster_bits;
	struct qcow2_run run;
	struct fill f = { .n = 0 };
	int r;

	pthread_mutex_lock(&q->lock);
	r = q->corrupt ? -EIO : qcow2_lookup(q, index, clusters_of(q, off, len), false, &run);
	if (!r && run.kind == QK_DATA && run.inplace) {
		pthread_mutex_unlock(&q->lock);
		*done = bytes_of(q, off, run.n, len);
		f.host = run.host;
		return write_fill(q, &f, iov, niov, at, off, *done);
	}
	*done = 0;
	if (!r && !inplace)
		r = choose_clusters(q, &run, &f);
	pthread_mutex_unlock(&q->lock);
	if (r < 0 || inplace)
		return r;
	*done = bytes_of(q, off, f.n, len);
	r = fetch_ends(q, &run, &f, off, *done);
	if (!r)
		r = write_fill(q, &f, iov, niov, at, off, *done);
	free(f.buf);
	return link_clusters(q, &f, index, r);
}

/* The clusters of [off, off+len) are held exclusively */
static int write_held(struct qcow2 *q, const struct iovec *iov, unsigned niov, uint64_t at, uint64_t off, uint64_t len)
{
	uint64_t n;
	int r = 0;

	for (; len && !r; off += n, at += n, len -= n)
		r = write_run(q, iov, niov, at, off, len, false, &n);
	return r;
}

static void take_clusters(struct qcow2 *q, struct range *hold, uint64_t off, uint64_t len)
{
	range_take(&q->ranges, hold, align_down(off, q->cluster), align_up(off + len, q->cluster), true);
}

/* Lets go of the clusters; when very many have become free they are counted down now */
static int release_clusters(struct qcow2 *q, struct range *hold, int r)
{
	int f = 0;

	pthread_mutex_lock(&q->lock);
	if (q->nfreed > QCOW2_FREED_MAX)
		f = qcow2_flush_tables(q);
	pthread_mutex_unlock(&q->lock);
	range_release(&q->ranges, hold);
	return r < 0 ? r : f;
}

static int qcow2_write(struct image *img, const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(img);
	struct range hold;
	uint64_t at = 0, n = 1;
	int r = 0;

	range_take(&q->ranges, &hold, off, off + len, false);
	for (; at < len && n && !r; at += n)
		r = write_run(q, iov, niov, at, off + at, len - at, true, &n);
	range_release(&q->ranges, &hold);
	if (r < 0 || at == len)
		return r;
	take_clusters(q, &hold, off + at, len - at);
	r = write_held(q, iov, niov, at, off + at, len - at);
	return release_clusters(q, &hold, r);
}

/* --- zeroing and discarding --- */

/* A part of a cluster, or whole ones where an entry cannot say zero */
static int write_zeroes(struct qcow2 *q, uint64_t off, uint64_t len)
{
	static const uint8_t zeroes[64 << 10];
	int r = 0;

	while (len && !r) {
		struct iovec iov = { .iov_base = (uint8_t *)(uintptr_t)zeroes,
				     .iov_len = len < sizeof(zeroes) ? len : sizeof(zeroes) };
		struct qcow2_run run;

		r = lookup(q, off, len, &run);
		if (!r && reads_zero(q, &run, off))
			iov.iov_len = bytes_of(q, off, run.n, len);
		else if (!r)
			r = write_held(q, &iov, 1, 0, off, iov.iov_len);
		off += iov.iov_len;
		len -= iov.iov_len;
	}
	return r;
}

/* Makes whole clusters read as zeroes by their entries alone; @keep: what is allocated stays so */
static int zero_clusters(struct qcow2 *q, uint64_t off, uint64_t len, bool keep)
{
	uint64_t index = off >> q->cluster_bits, n = len >> q->cluster_bits;
	int r = 0;

	pthread_mutex_lock(&q->lock);
	while (n && !r) {
		struct qcow2_run run;

		r = q->corrupt ? -EIO : qcow2_lookup(q, index, n, false, &run);
		if (r < 0)
			break;
		for (uint64_t i = 0; i < run.n && !r; i++) {
			uint64_t host = run.host ? run.host + (i << q->cluster_bits) : 0, entry;

			if (keep && run.inplace)
				entry = host | QCOW2_COPIED | QCOW2_ZERO;
			else if (!q->backing || ((index + i) << q->cluster_bits) >= q->backing->size)
				entry = 0;
			else
				entry = QCOW2_ZERO;
			/* where no table is, and none is needed */
			if (run.kind == QK_NONE && !entry)
				break;
			r = qcow2_set_entry(q, index + i, entry);
		}
		index += run.n;
		n -= run.n;
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

static int qcow2_zero(struct image *img, uint64_t off, uint64_t len, bool unmap)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t from = align_up(off, q->cluster), to = align_down(off + len, q->cluster);
	struct range hold;
	int r = 0;

	/* the last cluster may be cut by the disk's end */
	if (off + len == align_up(img->size, 512))
		to = align_up(off + len, q->cluster);
	take_clusters(q, &hold, off, len);
	/* version 2 has no zero clusters; without a backing image no cluster at all is one */
	if (from >= to || (q->version < 3 && (q->backing || !unmap))) {
		r = write_zeroes(q, off, len);
	} else {
		if (from > off)
			r = write_zeroes(q, off, from - off);
		if (!r)
			r = zero_clusters(q, from, to - from, !unmap);
		if (!r && off + len > to)
			r = write_zeroes(q, to, off + len - to);
	}
	return release_clusters(q, &hold, r);
}

static int qcow2_discard(struct image *img, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t from = align_up(off, q->cluster), to = align_down(off + len, q->cluster);
	struct range hold;
	int r;

	/* a version 2 image cannot hide its backing image */
	if (from >= to || (q->version < 3 && q->backing))
		return 0;
	take_clusters(q, &hold, from, to - from);
	r = zero_clusters(q, from, to - from, false);
	return release_clusters(q, &hold, r);
}

/* --- the rest --- */

static int qcow2_flush(struct image *img)
{
	struct qcow2 *q = qcow2_of(img);
	int r = 0;
	bool dirty;

	pthread_mutex_lock(&q->lock);
	dirty = qcow2_tables_dirty(q);
	if (dirty)
		r = qcow2_flush_tables(q);
	pthread_mutex_unlock(&q->lock);
	return dirty ? r : q->file->ops->flush(q->file);
}

static int qcow2_flush_fd(struct image *img)
{
	struct qcow2 *q = qcow2_of(img);
	bool clean;

	if (!q->file->ops->flush_fd || pthread_mutex_trylock(&q->lock))
		return -1;
	clean = !qcow2_tables_dirty(q);
	pthread_mutex_unlock(&q->lock);
	return clean ? q->file->ops->flush_fd(q->file) : -1;
}

static void qcow2_flushed(struct image *img, int result)
{
	struct qcow2 *q = qcow2_of(img);

	q->file->ops->flushed(q->file, result);
}

/* One run of the mapping, as the file has it */
static bool map_run(struct qcow2 *q, const struct qcow2_run *run, bool write, uint64_t off, uint64_t len,
		    struct mapping *m, struct block_req *req)
{
	struct mapping one;

	if (m->n == BLOCK_EXTENTS_MAX)
		return false;
	if (!write && reads_zero(q, run, off)) {
		m->e[m->n++] = (struct extent){ .fd = -1, .len = len };
		return true;
	}
	/* the file can hold one range only */
	if (run->kind != QK_DATA || (write && !run->inplace) || req->hold[0].held || !q->file->ops->map ||
	    !q->file->ops->map(q->file, write, run->host + in_cluster(q, off), len, &one, req) || one.n != 1)
		return false;
	m->e[m->n++] = one.e[0];
	return true;
}

static void qcow2_unmap(struct image *img, struct block_req *req)
{
	struct qcow2 *q = qcow2_of(img);

	if (q->file->ops->unmap)
		q->file->ops->unmap(q->file, req);
	range_release(&q->ranges, &req->hold[1]);
}

static bool qcow2_map(struct image *img, bool write, uint64_t off, uint64_t len, struct mapping *m,
		      struct block_req *req)
{
	struct qcow2 *q = qcow2_of(img);
	bool ok = true;

	if (!range_try(&q->ranges, &req->hold[1], off, off + len, false))
		return false;
	m->n = 0;
	if (pthread_mutex_trylock(&q->lock)) {
		range_release(&q->ranges, &req->hold[1]);
		return false;
	}
	while (len && ok) {
		struct qcow2_run run;
		uint64_t n;

		ok = !(write && q->corrupt) &&
		     !qcow2_lookup(q, off >> q->cluster_bits, clusters_of(q, off, len), true, &run);
		if (!ok)
			break;
		n = bytes_of(q, off, run.n, len);
		ok = map_run(q, &run, write, off, n, m, req);
		off += n;
		len -= n;
	}
	pthread_mutex_unlock(&q->lock);
	if (!ok)
		qcow2_unmap(img, req);
	return ok;
}

static void qcow2_close(struct image *img)
{
	struct qcow2 *q = qcow2_of(img);

	if (!img->readonly && q->l1) {
		size_t before;
		int r;

		/* freed clusters are counted down after the first flush, maybe some at a time */
		do {
			before = q->nfreed;
			r = qcow2_tables_dirty(q) || q->nfreed ? qcow2_flush_tables(q) : 0;
		} while (!r && (q->nfreed < before || qcow2_tables_dirty(q)));
		if (r < 0)
			log_error("disk '%s': its tables could not be written at the end: %s", q->path, strerror(-r));
		if (q->file->size > q->clean_from)
			(void)!q->file->ops->resize(q->file, q->clean_from);
	}
	image_close(q->backing);
	image_close(q->file);
	qcache_fini(&q->l2s);
	qcache_fini(&q->blocks);
	range_lock_fini(&q->ranges);
	pthread_mutex_destroy(&q->lock);
	pthread_mutex_destroy(&q->zlock);
	free(q->l1);
	free(q->l1_dirty);
	free(q->rt);
	free(q->freed);
	free(q->zdata);
	free(q->path);
	free(q);
}

const struct image_ops qcow2_ops = {
	.name = "qcow2",
	.read = qcow2_read,
	.write = qcow2_write,
	.zero = qcow2_zero,
	.discard = qcow2_discard,
	.flush = qcow2_flush,
	.map = qcow2_map,
	.unmap = qcow2_unmap,
	.flush_fd = qcow2_flush_fd,
	.flushed = qcow2_flushed,
	.close = qcow2_close,
};
