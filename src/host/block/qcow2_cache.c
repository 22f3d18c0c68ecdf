/* qcow2_cache.c - tables in memory, and the order in which they go to the disk. */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "host/block/qcow2.h"

void *qcow2_alloc_buffer(size_t len)
{
	void *p;

	/* in whole pages, so that it serves direct I/O */
	len = align_up(len, 4096);
	if (posix_memalign(&p, 4096, len))
		return NULL;
	memset(p, 0, len);
	return p;
}

int qcache_init(struct qcache *c, struct qcow2 *q, size_t bytes)
{
	size_t n = bytes / q->cluster;

	c->n = n < 8 ? 8 : n > 256 ? 256 : (unsigned)n;
	c->t = calloc(c->n, sizeof(*c->t));
	return c->t ? 0 : -ENOMEM;
}

void qcache_fini(struct qcache *c)
{
	for (unsigned i = 0; c->t && i < c->n; i++)
		free(c->t[i].data);
	free(c->t);
}

struct qtable *qcache_peek(struct qcache *c, uint64_t off)
{
	for (unsigned i = 0; off && i < c->n; i++) {
		if (c->t[i].off == off) {
			c->t[i].used = ++c->clock;
			return &c->t[i];
		}
	}
	return NULL;
}

static struct qtable *oldest_clean(struct qcache *c)
{
	struct qtable *best = NULL;

	for (unsigned i = 0; i < c->n; i++) {
		struct qtable *t = &c->t[i];

		if (!t->dirty_hi && (!best || t->used < best->used))
			best = t;
	}
	return best;
}

int qcache_get(struct qcow2 *q, struct qcache *c, uint64_t off, bool fresh, struct qtable **out)
{
	struct qtable *t = qcache_peek(c, off);
	int r;

	if (t && fresh)
		memset(t->data, 0, q->cluster);
	if (t) {
		*out = t;
		return 0;
	}
	t = oldest_clean(c);
	if (!t) {
		r = qcow2_flush_tables(q);
		if (r < 0)
			return r;
		t = oldest_clean(c);
	}
	/* counting down the freed clusters may have made all of them dirty once more */
	if (!t)
		return -EIO;
	if (!t->data)
		t->data = qcow2_alloc_buffer(q->cluster);
	if (!t->data)
		return -ENOMEM;
	t->off = 0;
	if (fresh) {
		memset(t->data, 0, q->cluster);
	} else {
		r = image_read_buf(q->file, off, t->data, q->cluster);
		if (r < 0)
			return r;
	}
	t->off = off;
	t->used = ++c->clock;
	*out = t;
	return 0;
}

void qcache_dirty(struct qcow2 *q, struct qcache *c, struct qtable *t, uint32_t lo, uint32_t hi)
{
	uint32_t piece = QCOW2_PIECE(q);

	lo = (uint32_t)align_down(lo, piece);
	hi = (uint32_t)align_up(hi, piece);
	if (!t->dirty_hi) {
		c->ndirty++;
		t->dirty_lo = lo;
		t->dirty_hi = hi;
		return;
	}
	if (lo < t->dirty_lo)
		t->dirty_lo = lo;
	if (hi > t->dirty_hi)
		t->dirty_hi = hi;
}

static void clean(struct qcache *c, struct qtable *t)
{
	if (t->dirty_hi)
		c->ndirty--;
	t->dirty_lo = t->dirty_hi = 0;
}

void qcache_forget(struct qcache *c, uint64_t off)
{
	struct qtable *t = qcache_peek(c, off);

	if (!t)
		return;
	clean(c, t);
	t->off = 0;
	t->used = 0;
}

static int write_dirty(struct qcow2 *q, struct qcache *c)
{
	for (unsigned i = 0; i < c->n && c->ndirty; i++) {
		struct qtable *t = &c->t[i];
		int r;

		if (!t->dirty_hi)
			continue;
		r = image_write_buf(q->file, t->off + t->dirty_lo, t->data + t->dirty_lo, t->dirty_hi - t->dirty_lo);
		if (r < 0)
			return r;
		clean(c, t);
	}
	return 0;
}

static int write_l1(struct qcow2 *q)
{
	uint32_t piece = QCOW2_PIECE(q), per = piece / 8;
	uint8_t *buf = qcow2_alloc_buffer(piece);
	int r = buf ? 0 : -ENOMEM;

	for (uint32_t i = 0; !r && i * per < q->l1_size; i++) {
		if (!q->l1_dirty[i])
			continue;
		for (uint32_t k = 0; k < per; k++)
			be64_store(buf + 8 * k, i * per + k < q->l1_size ? q->l1[i * per + k] : 0);
		r = image_write_buf(q->file, q->l1_off + (uint64_t)i * piece, buf, piece);
		if (!r)
			q->l1_dirty[i] = 0;
	}
	if (!r)
		q->l1_is_dirty = false;
	free(buf);
	return r;
}

bool qcow2_tables_dirty(const struct qcow2 *q) { return q->l2s.ndirty || q->blocks.ndirty || q->l1_is_dirty; }

int qcow2_flush_tables(struct qcow2 *q)
{
	struct image *file = q->file;
	int r = write_dirty(q, &q->blocks);

	if (!r && (q->l2s.ndirty || q->l1_is_dirty))
		r = file->ops->flush(file);
	if (!r)
		r = write_dirty(q, &q->l2s);
	if (!r && q->l1_is_dirty) {
		r = file->ops->flush(file);
		if (!r)
			r = write_l1(q);
	}
	if (!r)
		r = file->ops->flush(file);
	if (!r && q->nfreed)
		r = qcow2_apply_freed(q);
	return r;
}
