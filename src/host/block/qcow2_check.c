/* qcow2_check.c - counts what the tables use, and compares it with the refcounts. Repairs an image whose
 * refcounts were left behind (lazy refcounts: the dirty bit), and serves the tests. */
#include <errno.h>
#include <stdlib.h>

#include "host/block/qcow2.h"

#define SNAPSHOT_MAX 65536u
#define COUNTS_MAX   (1ull << 28) /* clusters: more than any image within the refcount table's limit needs */

struct count {
	uint16_t *n; /* how often each cluster of the file is used */
	uint64_t total;
	uint64_t errors;
};

static void use(struct qcow2 *q, struct count *c, uint64_t off, uint64_t len)
{
	if (!len)
		return;
	for (uint64_t i = off >> q->cluster_bits; i <= (off + len - 1) >> q->cluster_bits; i++) {
		if (i >= c->total || c->n[i] == UINT16_MAX) {
			c->errors++;
			return;
		}
		c->n[i]++;
	}
}

static int use_l2(struct qcow2 *q, struct count *c, uint64_t table)
{
	uint8_t *d = qcow2_alloc_buffer(q->cluster);
	int r = d ? image_read_buf(q->file, table, d, q->cluster) : -ENOMEM;

	for (uint64_t i = 0; !r && i < q->cluster / 8; i++) {
		uint64_t e = be64_load(d + 8 * i), off, len;

		switch (qcow2_entry_kind(q, e)) {
		case QK_PACKED:
			qcow2_packed_place(q, e, &off, &len);
			use(q, c, off, len);
			break;
		case QK_DATA:
		case QK_ZERO:
			if (!(e & QCOW2_OFFSET))
				break;
			if ((e & QCOW2_OFFSET) & (q->cluster - 1))
				c->errors++;
			else
				use(q, c, e & QCOW2_OFFSET, q->cluster);
			break;
		case QK_NONE: break;
		}
	}
	free(d);
	return r;
}

static int use_l1(struct qcow2 *q, struct count *c, uint64_t off, const uint64_t *l1, uint32_t size)
{
	int r = 0;

	use(q, c, off, 8ull * size);
	for (uint32_t i = 0; i < size && !r; i++) {
		uint64_t table = l1[i] & QCOW2_OFFSET;

		if (!table)
			continue;
		if (table & (q->cluster - 1) || table >= q->file->size) {
			c->errors++;
			continue;
		}
		use(q, c, table, q->cluster);
		r = use_l2(q, c, table);
	}
	return r;
}

/* qcow2 spec, "Snapshots": each entry names an L1 table of its own */
static int use_snapshots(struct qcow2 *q, struct count *c)
{
	uint8_t head[72], *raw;
	uint64_t table, at;
	uint32_t n;
	int r = image_read_buf(q->file, 0, head, sizeof(head));

	if (r < 0)
		return r;
	n = be32_load(head + 60);
	table = at = be64_load(head + 64);
	if (n > SNAPSHOT_MAX)
		return -EINVAL;
	for (uint32_t s = 0; s < n && !r; s++) {
		uint8_t d[40];
		uint64_t off;
		uint32_t size;
		uint64_t *l1;

		if (at >= q->file->size)
			return -EINVAL;
		r = image_read_buf(q->file, at, d, sizeof(d));
		if (r < 0)
			break;
		off = be64_load(d);
		size = be32_load(d + 8);
		at += 40ull + be32_load(d + 36) + be16_load(d + 12) + be16_load(d + 14);
		at = (at + 7) & ~7ull;
		if (size > (4u << 20) || off >= q->file->size)
			return -EINVAL;
		l1 = malloc(8 * (size_t)size + 8);
		raw = qcow2_alloc_buffer(8 * (size_t)size + 8);
		r = l1 && raw ? image_read_buf(q->file, off, raw, 8ull * size) : -ENOMEM;
		for (uint32_t i = 0; !r && i < size; i++)
			l1[i] = be64_load(raw + 8 * (size_t)i);
		if (!r)
			r = use_l1(q, c, off, l1, size);
		free(raw);
		free(l1);
	}
	use(q, c, table, at - table);
	return r;
}

static void use_refcounts(struct qcow2 *q, struct count *c)
{
	use(q, c, q->rt_off, 8ull * q->rt_size);
	for (uint32_t i = 0; i < q->rt_size; i++) {
		if (q->rt[i])
			use(q, c, q->rt[i], q->cluster);
	}
}

static int compare(struct qcow2 *q, const struct count *c, bool repair, struct qcow2_findings *f)
{
	for (uint64_t i = 0; i < c->total; i++) {
		uint64_t is;
		int r = qcow2_refcount(q, i, &is);

		if (r < 0)
			return r;
		if (is == c->n[i])
			continue;
		if (!repair || (r = qcow2_set_refcount(q, i, c->n[i])) < 0) {
			*(is > c->n[i] ? &f->leaks : &f->errors) += 1;
			/* what has no block to be counted in stays as it is */
			if (r < 0 && r != -ENOENT)
				return r;
		}
	}
	return 0;
}

/* A cluster of the active tables is marked as ours alone exactly where its count is 1 */
static int check_copied(struct qcow2 *q, const struct count *c, struct qcow2_findings *f)
{
	uint8_t *d = qcow2_alloc_buffer(q->cluster);
	int r = d ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < q->l1_size && !r; i++) {
		uint64_t table = q->l1[i] & QCOW2_OFFSET;

		if (!table || table & (q->cluster - 1) || table >> q->cluster_bits >= c->total)
			continue;
		f->errors += !!(q->l1[i] & QCOW2_COPIED) != (c->n[table >> q->cluster_bits] == 1);
		r = image_read_buf(q->file, table, d, q->cluster);
		for (uint64_t k = 0; !r && k < q->cluster / 8; k++) {
			uint64_t e = be64_load(d + 8 * k), host = e & QCOW2_OFFSET;
			enum qcow2_kind kind = qcow2_entry_kind(q, e);

			if ((kind != QK_DATA && kind != QK_ZERO) || !host || host >> q->cluster_bits >= c->total)
				continue;
			f->errors += !!(e & QCOW2_COPIED) != (c->n[host >> q->cluster_bits] == 1);
		}
	}
	free(d);
	return r;
}

int qcow2_check(struct qcow2 *q, bool repair, struct qcow2_findings *out)
{
	struct count c = { .total = (q->file->size + q->cluster - 1) >> q->cluster_bits };
	struct qcow2_findings f = { .leaks = 0 };
	int r;

	if (c.total > COUNTS_MAX)
		return -EFBIG;
	c.n = calloc(c.total, sizeof(*c.n));
	if (!c.n)
		return -ENOMEM;
	use(q, &c, 0, q->cluster);
	r = use_l1(q, &c, q->l1_off, q->l1, q->l1_size);
	if (!r)
		r = use_snapshots(q, &c);
	use_refcounts(q, &c);
	f.errors = c.errors;
	if (!r)
		r = compare(q, &c, repair, &f);
	if (!r)
		r = check_copied(q, &c, &f);
	free(c.n);
	if (!r)
		*out = f;
	return r;
}
