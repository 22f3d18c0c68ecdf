/* qcow2_refcount.c - which clusters of the file are in use: counting, allocating, freeing. */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/err.h"
#include "host/block/qcow2.h"

#define RT_BYTES_MAX  (8u << 20)
#define GROW_BYTES    (1u << 20)   /* the file grows in steps: fewer system calls */
#define FILE_SIZE_MAX (1ull << 56) /* entries have no more bits */

static uint64_t per_block(const struct qcow2 *q) { return 1ull << (q->cluster_bits + 3 - q->refcount_order); }

/* Entry @i of a refcount block; below 8 bits they are packed from the least significant bit up */
static uint64_t entry_get(const struct qcow2 *q, const uint8_t *d, uint64_t i)
{
	unsigned width = 1u << q->refcount_order;

	switch (q->refcount_order) {
	case 3: return d[i];
	case 4: return be16_load(d + 2 * i);
	case 5: return be32_load(d + 4 * i);
	case 6: return be64_load(d + 8 * i);
	default: return d[i * width / 8] >> i * width % 8 & ((1u << width) - 1);
	}
}

static int entry_set(const struct qcow2 *q, uint8_t *d, uint64_t i, uint64_t v)
{
	unsigned width = 1u << q->refcount_order, shift = i * width % 8;

	if (width < 64 && v >> width)
		return -ERANGE;
	switch (q->refcount_order) {
	case 3: d[i] = (uint8_t)v; break;
	case 4: be16_store(d + 2 * i, (uint16_t)v); break;
	case 5: be32_store(d + 4 * i, (uint32_t)v); break;
	case 6: be64_store(d + 8 * i, v); break;
	default:
		d[i * width / 8] &= (uint8_t) ~(((1u << width) - 1) << shift);
		d[i * width / 8] |= (uint8_t)(v << shift);
	}
	return 0;
}

int qcow2_load_refcounts(struct qcow2 *q, uint64_t off, uint32_t clusters, struct err *e)
{
	uint64_t bytes = (uint64_t)clusters * q->cluster;
	uint8_t *raw;
	int r;

	if (!clusters || bytes > RT_BYTES_MAX || off % q->cluster || !off || off > q->file->size)
		return err_set(e, -EINVAL, "disk '%s': the qcow2 image's refcount table is not valid", q->path);
	raw = qcow2_alloc_buffer(bytes);
	q->rt = malloc(bytes);
	if (!raw || !q->rt) {
		free(raw);
		return err_set(e, -ENOMEM, "disk '%s': out of memory", q->path);
	}
	r = image_read_buf(q->file, off, raw, bytes);
	q->rt_size = (uint32_t)(bytes / 8);
	for (uint32_t i = 0; i < q->rt_size; i++)
		q->rt[i] = be64_load(raw + 8 * (size_t)i) & ~0x1ffull;
	q->rt_off = off;
	free(raw);
	return r < 0 ? err_set(e, r, "disk '%s' cannot be read: %s", q->path, strerror(-r)) : 0;
}

/* The block that counts @cluster: -ENOENT where there is none yet */
static int block_of(struct qcow2 *q, uint64_t cluster, struct qtable **t)
{
	uint64_t i = cluster / per_block(q);

	if (i >= q->rt_size || !q->rt[i])
		return -ENOENT;
	if (q->rt[i] % q->cluster || q->rt[i] >= q->file->size)
		return qcow2_corrupt(q, "a refcount block is at", q->rt[i]);
	return qcache_get(q, &q->blocks, q->rt[i], false, t);
}

int qcow2_refcount(struct qcow2 *q, uint64_t cluster, uint64_t *out)
{
	struct qtable *t;
	int r = block_of(q, cluster, &t);

	*out = 0;
	if (!r)
		*out = entry_get(q, t->data, cluster % per_block(q));
	return r == -ENOENT ? 0 : r;
}

static int set_in_block(struct qcow2 *q, struct qtable *t, uint64_t cluster, uint64_t count)
{
	uint64_t i = cluster % per_block(q);
	uint64_t byte = (i << q->refcount_order) / 8, width = 1u << q->refcount_order;
	int r = entry_set(q, t->data, i, count);

	if (!r)
		qcache_dirty(q, &q->blocks, t, (uint32_t)byte, (uint32_t)(byte + (width < 8 ? 1 : width / 8)));
	return r;
}

int qcow2_set_refcount(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	struct qtable *t;
	int r = block_of(q, cluster, &t);

	if (r < 0)
		return r;
	r = set_in_block(q, t, cluster, count);
	if (!r && !count && cluster < q->free_hint)
		q->free_hint = cluster;
	return r;
}

/* The file has to be at least @end bytes long */
static int grow_file(struct qcow2 *q, uint64_t end)
{
	int r;

	if (end > FILE_SIZE_MAX)
		return -EFBIG;
	if (end <= q->file->size)
		return 0;
	r = q->file->ops->resize(q->file, align_up(end, GROW_BYTES));
	/* near a limit the step may be too much */
	return r < 0 ? q->file->ops->resize(q->file, end) : r;
}

/* Notes that clusters up to @end have been handed out, and makes the file reach that far */
static int use_until(struct qcow2 *q, uint64_t end)
{
	int r = grow_file(q, end);

	if (!r && end > q->clean_from)
		q->clean_from = end;
	return r;
}

static int write_rt_entry(struct qcow2 *q, uint32_t i)
{
	uint32_t piece = QCOW2_PIECE(q), per = piece / 8, first = i / per * per;
	uint8_t *buf = qcow2_alloc_buffer(piece);
	int r;

	if (!buf)
		return -ENOMEM;
	for (uint32_t k = 0; k < per; k++)
		be64_store(buf + 8 * (size_t)k, q->rt[first + k]);
	r = image_write_buf(q->file, q->rt_off + 8ull * first, buf, piece);
	free(buf);
	return r;
}

/* The header and the tables in memory are never free, whatever the refcounts say */
static bool is_metadata(const struct qcow2 *q, uint64_t off)
{
	if (off < q->cluster || ranges_overlap(off, q->cluster, q->l1_off, 8ull * q->l1_size) ||
	    ranges_overlap(off, q->cluster, q->rt_off, 8ull * q->rt_size))
		return true;
	for (unsigned i = 0; i < q->l2s.n; i++) {
		if (q->l2s.t[i].off == off)
			return true;
	}
	for (uint64_t i = 0; i < q->rt_size && i <= (q->file->size >> q->cluster_bits) / per_block(q); i++) {
		if (q->rt[i] == off)
			return true;
	}
	return false;
}

/* A block for the part of the file that @cluster, which is free, lies in: it takes that cluster */
static int add_block(struct qcow2 *q, uint64_t cluster)
{
	uint32_t i = (uint32_t)(cluster / per_block(q));
	struct qtable *t;
	int r;

	if (is_metadata(q, cluster << q->cluster_bits))
		return qcow2_corrupt(q, "no refcount block counts the table at", cluster << q->cluster_bits);
	r = use_until(q, (cluster + 1) << q->cluster_bits);
	if (!r)
		r = qcache_get(q, &q->blocks, cluster << q->cluster_bits, true, &t);
	if (r)
		return r;
	r = set_in_block(q, t, cluster, 1);
	if (!r)
		r = image_write_buf(q->file, t->off, t->data, q->cluster);
	/* the table points to it only once it is there */
	if (!r)
		r = q->file->ops->flush(q->file);
	if (!r) {
		q->rt[i] = t->off;
		r = write_rt_entry(q, i);
		if (r < 0)
			q->rt[i] = 0;
	}
	if (r < 0)
		qcache_forget(&q->blocks, cluster << q->cluster_bits);
	return r;
}

/* New refcount blocks and after them a new table, from the first cluster that the old table cannot count */
struct layout {
	uint64_t first, nblocks, nrt;
};

static struct layout plan_table(const struct qcow2 *q)
{
	uint64_t per = per_block(q), per_rt = 1ull << q->l2_bits; /* entries of a cluster */
	struct layout l = { .first = q->rt_size * per, .nblocks = 1 };

	for (;;) {
		uint64_t entries = q->rt_size + l.nblocks + q->rt_size / 2;

		l.nrt = (entries + per_rt - 1) / per_rt;
		if (l.nblocks * per >= l.nblocks + l.nrt)
			return l;
		l.nblocks++;
	}
}

static int write_table(struct qcow2 *q, const struct layout *l, const uint64_t *rt)
{
	uint64_t base = l->first << q->cluster_bits;
	uint8_t *buf = qcow2_alloc_buffer((l->nblocks + l->nrt) * q->cluster);
	uint64_t left = l->nblocks + l->nrt, used = 0;
	int r = buf ? 0 : -ENOMEM;

	for (uint64_t b = 0; !r && b < l->nblocks; b++) {
		for (uint64_t k = 0; !r && k < per_block(q) && used < left; k++, used++)
			r = entry_set(q, buf + b * q->cluster, k, 1);
	}
	for (uint64_t i = 0; !r && i < l->nrt * q->cluster / 8; i++)
		be64_store(buf + l->nblocks * q->cluster + 8 * i, rt[i]);
	if (!r)
		r = image_write_buf(q->file, base, buf, left * q->cluster);
	if (!r)
		r = q->file->ops->flush(q->file);
	free(buf);
	return r;
}

static int grow_table(struct qcow2 *q)
{
	struct layout l = plan_table(q);
	uint64_t entries = l.nrt * q->cluster / 8, old_off = q->rt_off, old_len = 8ull * q->rt_size;
	uint8_t field[12];
	uint64_t *rt;
	int r;

	if (entries * 8 > RT_BYTES_MAX || entries <= q->rt_size)
		return -EFBIG;
	rt = calloc(entries, sizeof(*rt));
	if (!rt)
		return -ENOMEM;
	memcpy(rt, q->rt, 8ull * q->rt_size);
	for (uint64_t b = 0; b < l.nblocks; b++)
		rt[q->rt_size + b] = (l.first + b) << q->cluster_bits;
	r = use_until(q, (l.first + l.nblocks + l.nrt) << q->cluster_bits);
	if (!r)
		r = write_table(q, &l, rt);
	if (!r) {
		be64_store(field, (l.first + l.nblocks) << q->cluster_bits);
		be32_store(field + 8, (uint32_t)l.nrt);
		r = image_write_buf(q->file, QCOW2_HDR_RT_OFFSET, field, sizeof(field));
	}
	if (!r)
		r = q->file->ops->flush(q->file);
	if (r < 0) {
		free(rt);
		return r;
	}
	free(q->rt);
	q->rt = rt;
	q->rt_size = (uint32_t)entries;
	q->rt_off = (l.first + l.nblocks) << q->cluster_bits;
	return qcow2_free(q, old_off, old_len);
}

/* The first free cluster from the hint on; makes what is missing to count it */
static int find_free(struct qcow2 *q, uint64_t *out)
{
	uint64_t c = q->free_hint;

	for (;;) {
		struct qtable *t;
		int r;

		if (c >> (56 - q->cluster_bits))
			return -EFBIG;
		if (c / per_block(q) >= q->rt_size) {
			r = grow_table(q);
			if (r < 0)
				return r;
		}
		r = block_of(q, c, &t);
		if (r == -ENOENT) {
			r = add_block(q, c);
			if (r < 0)
				return r;
			continue;
		}
		if (r < 0)
			return r;
		do {
			if (!entry_get(q, t->data, c % per_block(q))) {
				q->free_hint = c;
				*out = c;
				return 0;
			}
		} while (++c % per_block(q));
	}
}

int qcow2_alloc(struct qcow2 *q, uint64_t want, uint64_t *off, uint64_t *got, bool *fresh)
{
	uint64_t first, n = 0, count, clean;
	int r;

	if (q->corrupt)
		return -EIO;
	r = find_free(q, &first);
	if (r < 0)
		return r;
	clean = q->clean_from;
	for (; n < want; n++) {
		struct qtable *t;

		if (n && (qcow2_refcount(q, first + n, &count) < 0 || count))
			break;
		if (is_metadata(q, (first + n) << q->cluster_bits)) {
			qcow2_unalloc(q, first << q->cluster_bits, n);
			return qcow2_corrupt(q, "the refcounts say free of the table at",
					     (first + n) << q->cluster_bits);
		}
		r = block_of(q, first + n, &t);
		if (!r)
			r = set_in_block(q, t, first + n, 1);
		if (r == -ENOENT && n)
			break; /* the rest is for the next call, which makes the block */
		if (r < 0) {
			qcow2_unalloc(q, first << q->cluster_bits, n);
			return r;
		}
		/* do not mix clusters that are clean with others: the caller treats them alike */
		if (n && ((first + n) << q->cluster_bits >= clean) != (first << q->cluster_bits >= clean)) {
			qcow2_unalloc(q, (first + n) << q->cluster_bits, 1);
			break;
		}
	}
	r = use_until(q, (first + n) << q->cluster_bits);
	if (r < 0) {
		qcow2_unalloc(q, first << q->cluster_bits, n);
		return r;
	}
	q->free_hint = first + n;
	*off = first << q->cluster_bits;
	*got = n;
	*fresh = *off >= clean;
	return 0;
}

void qcow2_unalloc(struct qcow2 *q, uint64_t off, uint64_t n)
{
	/* where this fails a cluster leaks */
	for (uint64_t i = 0; i < n; i++)
		(void)!qcow2_set_refcount(q, (off >> q->cluster_bits) + i, 0);
}

int qcow2_free(struct qcow2 *q, uint64_t off, uint64_t len)
{
	uint64_t first = off >> q->cluster_bits, last = (off + len - 1) >> q->cluster_bits;

	for (uint64_t c = first; len && c <= last; c++) {
		if (q->nfreed == q->freed_cap) {
			size_t cap = q->freed_cap ? 2 * q->freed_cap : 64;
			uint64_t *p = realloc(q->freed, cap * sizeof(*p));

			if (!p)
				return -ENOMEM;
			q->freed = p;
			q->freed_cap = cap;
		}
		q->freed[q->nfreed++] = c;
	}
	return 0;
}

/* The space of the free clusters [first, first+n) goes back to the host; where it will not, that is no error */
static void give_back(struct qcow2 *q, uint64_t first, uint64_t n)
{
	if (n)
		(void)!q->file->ops->discard(q->file, first << q->cluster_bits, n << q->cluster_bits);
}

int qcow2_apply_freed(struct qcow2 *q)
{
	unsigned room = q->blocks.n / 2;
	uint64_t first = 0, n = 0; /* a run of clusters that are free now */
	int r = 0;

	/* no more blocks than the cache holds at a time: this runs while room is made in it, too */
	while (q->nfreed && q->blocks.ndirty < room) {
		uint64_t c = q->freed[q->nfreed - 1], count;

		r = qcow2_refcount(q, c, &count);
		if (r < 0)
			break;
		q->nfreed--;
		if (!count) {
			r = qcow2_corrupt(q, "a cluster is used that is counted free:", c << q->cluster_bits);
			break;
		}
		r = qcow2_set_refcount(q, c, count - 1);
		if (r < 0)
			break;
		if (count != 1)
			continue;
		/* usually they come in descending order: the list is taken from its end */
		if (n && c == first - 1) {
			first = c;
			n++;
		} else if (n && c == first + n) {
			n++;
		} else {
			give_back(q, first, n);
			first = c;
			n = 1;
		}
	}
	give_back(q, first, n);
	return r;
}
