/* qcow2_map.c - from guest clusters to clusters of the file: looking up and changing L2 entries. */
#include <errno.h>
#include <stdlib.h>

#include "host/block/qcow2.h"

void qcow2_note_corrupt(struct qcow2 *q, const char *what, uint64_t value)
{
	log_limited(&q->log, LOG_ERROR,
		    "disk '%s' is damaged: %s 0x%llx; it takes no more writes, "
		    "try qemu-img check -r all",
		    q->path, what, (unsigned long long)value);
	q->corrupt = true;
}

/* Does a table or a data cluster lie where an entry says? */
static bool valid_offset(const struct qcow2 *q, uint64_t off)
{
	return !(off & (q->cluster - 1)) && off && off < q->file->size;
}

static uint64_t l2_mask(const struct qcow2 *q) { return (1ull << q->l2_bits) - 1; }

static uint64_t entry_host(const struct qcow2 *q, uint64_t entry)
{
	enum qcow2_kind kind = qcow2_entry_kind(q, entry);

	return kind == QK_DATA || kind == QK_ZERO ? entry & QCOW2_OFFSET : 0;
}

int qcow2_lookup(struct qcow2 *q, uint64_t index, uint64_t max, bool cached, struct qcow2_run *out)
{
	uint64_t l1i = index >> q->l2_bits, l2i = index & l2_mask(q), l1e, n = 1;
	struct qcow2_run run = { .kind = QK_NONE };
	struct qtable *t;
	int r;

	if (l1i >= q->l1_size)
		return qcow2_corrupt(q, "its L1 table is too short for cluster", index);
	if (max > l2_mask(q) + 1 - l2i)
		max = l2_mask(q) + 1 - l2i;
	l1e = q->l1[l1i];
	if (!(l1e & QCOW2_OFFSET)) {
		run.n = max;
		*out = run;
		return 0;
	}
	if (!valid_offset(q, l1e & QCOW2_OFFSET))
		return qcow2_corrupt(q, "an L2 table is at", l1e & QCOW2_OFFSET);
	if (cached) {
		t = qcache_peek(&q->l2s, l1e & QCOW2_OFFSET);
		if (!t)
			return -EAGAIN;
	} else {
		r = qcache_get(q, &q->l2s, l1e & QCOW2_OFFSET, false, &t);
		if (r < 0)
			return r;
	}
	run.entry = be64_load(t->data + 8 * l2i);
	run.kind = qcow2_entry_kind(q, run.entry);
	run.host = entry_host(q, run.entry);
	if (run.host && !valid_offset(q, run.host))
		return qcow2_corrupt(q, "a data cluster is at", run.host);
	run.inplace = run.host && (run.entry & QCOW2_COPIED) && (l1e & QCOW2_COPIED);
	for (; n < max && run.kind != QK_PACKED; n++) {
		uint64_t e = be64_load(t->data + 8 * (l2i + n)), host = entry_host(q, e);

		if (qcow2_entry_kind(q, e) != run.kind || ((e ^ run.entry) & QCOW2_COPIED) ||
		    host != (run.host ? run.host + (n << q->cluster_bits) : 0) || (host && !valid_offset(q, host)))
			break;
	}
	run.n = n;
	*out = run;
	return 0;
}

static void set_l1(struct qcow2 *q, uint64_t i, uint64_t entry)
{
	q->l1[i] = entry;
	q->l1_dirty[8 * i / QCOW2_PIECE(q)] = 1;
	q->l1_is_dirty = true;
}

/* A table of our own for L1 entry @l1i: empty, or with what the shared one says */
static int new_l2(struct qcow2 *q, uint64_t l1i, struct qtable **out)
{
	uint64_t old = q->l1[l1i] & QCOW2_OFFSET, off, got;
	uint8_t *copy = NULL;
	struct qtable *t;
	bool fresh;
	int r = qcow2_alloc(q, 1, &off, &got, &fresh);

	if (r < 0)
		return r;
	if (old) {
		copy = qcow2_alloc_buffer(q->cluster);
		r = copy ? qcache_get(q, &q->l2s, old, false, &t) : -ENOMEM;
		if (!r)
			memcpy(copy, t->data, q->cluster);
	}
	if (!r)
		r = qcache_get(q, &q->l2s, off, true, &t);
	if (r) {
		free(copy);
		qcow2_unalloc(q, off, 1);
		return r;
	}
	if (copy)
		memcpy(t->data, copy, q->cluster);
	free(copy);
	qcache_dirty(q, &q->l2s, t, 0, (uint32_t)q->cluster);
	set_l1(q, l1i, off | QCOW2_COPIED);
	if (old) {
		qcache_forget(&q->l2s, old);
		(void)!qcow2_free(q, old, q->cluster);
	}
	*out = t;
	return 0;
}

int qcow2_l2_for_write(struct qcow2 *q, uint64_t index, struct qtable **out)
{
	uint64_t l1i = index >> q->l2_bits, off;

	if (q->corrupt)
		return -EIO;
	if (l1i >= q->l1_size)
		return qcow2_corrupt(q, "its L1 table is too short for cluster", index);
	off = q->l1[l1i] & QCOW2_OFFSET;
	if (off && !valid_offset(q, off))
		return qcow2_corrupt(q, "an L2 table is at", off);
	if (!off || !(q->l1[l1i] & QCOW2_COPIED))
		return new_l2(q, l1i, out);
	return qcache_get(q, &q->l2s, off, false, out);
}

int qcow2_set_entry(struct qcow2 *q, uint64_t index, uint64_t entry)
{
	uint64_t i = index & l2_mask(q), old, off, len;
	struct qtable *t;
	int r = qcow2_l2_for_write(q, index, &t);

	if (r)
		return r;
	old = be64_load(t->data + 8 * i);
	if (old == entry)
		return 0;
	be64_store(t->data + 8 * i, entry);
	qcache_dirty(q, &q->l2s, t, (uint32_t)(8 * i), (uint32_t)(8 * i + 8));
	/* where the list of freed clusters cannot grow they leak */
	if (qcow2_entry_kind(q, old) == QK_PACKED) {
		qcow2_packed_place(q, old, &off, &len);
		qcow2_forget_packed(q);
		(void)!qcow2_free(q, off, len);
	} else if (entry_host(q, old) && entry_host(q, old) != entry_host(q, entry)) {
		(void)!qcow2_free(q, entry_host(q, old), q->cluster);
	}
	return 0;
}
