/* qcow2.h - the inside of the qcow2 format; only qcow2_*.c include it. ("qcow2 spec" is docs/interop/qcow2.txt of
 * the QEMU project, which names the fields and bits that are used here.)
 *
 *      guest offset:  | L1 index | L2 index | offset in cluster |
 *      L1 table (in memory) ──► L2 table (a cluster) ──► data cluster
 *      refcount table (in memory) ──► refcount block (a cluster) ──► how often a cluster is used
 *
 * Order of writing, so that neither the end of this process nor of the host does more than leak clusters:
 * refcounts and data, then L2 tables that point to them, then L1; with a sync between. What becomes free is
 * counted down only after nothing on the disk points to it any more. Between flushes all this waits in memory.
 *
 * Locks: `ranges` for guest clusters: shared to read or to overwrite in place, exclusive to change what an L2
 * entry says. `lock` for everything else, taken after ranges; it is held while tables are read and written,
 * not while data is. */
#ifndef HOST_BLOCK_QCOW2_H
#define HOST_BLOCK_QCOW2_H

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "host/block/image.h"

static inline uint16_t be16_load(const void *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return be16toh(v);
}
static inline uint32_t be32_load(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return be32toh(v);
}
static inline uint64_t be64_load(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return be64toh(v);
}
static inline void be16_store(void *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, 2);
}
static inline void be32_store(void *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
}
static inline void be64_store(void *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, 8);
}

/* Bits of L1 and L2 entries */
#define QCOW2_COPIED     (1ull << 63) /* its refcount is exactly 1: may be written in place */
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO       1ull /* version 3: reads as zeroes whatever is allocated */
#define QCOW2_OFFSET     0x00fffffffffffe00ull

/* Offsets of header fields that are rewritten */
#define QCOW2_HDR_RT_OFFSET 48
#define QCOW2_HDR_INCOMPAT  72
#define QCOW2_HDR_AUTOCLEAR 88

#define QCOW2_INCOMPAT_DIRTY    (1ull << 0)
#define QCOW2_INCOMPAT_CORRUPT  (1ull << 1)
#define QCOW2_INCOMPAT_COMPRESS (1ull << 3) /* the compression type is not zlib */

enum qcow2_compression { QCOW2_ZLIB, QCOW2_ZSTD };

/* A table in memory: an L2 table or a refcount block, one cluster */
struct qtable {
	uint64_t off;                /* in the file; 0: not in use */
	uint8_t *data;               /* big-endian as in the file */
	uint32_t dirty_lo, dirty_hi; /* bytes [lo, hi) differ from the file's; none: 0, 0 */
	uint64_t used;               /* when */
};

struct qcache {
	struct qtable *t;
	unsigned n, ndirty;
	uint64_t clock;
};

struct qcow2 {
	struct image img;
	struct image *file, *backing;
	char *path;
	unsigned version, cluster_bits, l2_bits, refcount_order;
	uint64_t cluster;     /* bytes */
	unsigned compression; /* enum qcow2_compression */
	struct range_lock ranges;

	pthread_mutex_t lock; /* guards all that follows */
	uint64_t *l1;
	uint32_t l1_size; /* entries */
	uint64_t l1_off;
	uint8_t *l1_dirty; /* a byte for each piece of QCOW2_PIECE bytes */
	bool l1_is_dirty;
	uint64_t *rt;
	uint32_t rt_size; /* entries: whole clusters */
	uint64_t rt_off;
	struct qcache l2s, blocks;
	uint64_t free_hint;  /* no cluster below is free */
	uint64_t clean_from; /* bytes: the file holds nothing but zeroes from here */
	uint64_t *freed;     /* cluster indices to count down once the tables are on the disk */
	size_t nfreed, freed_cap;
	bool corrupt; /* tables contradict each other: no more writes */
	struct log_limit log;

	pthread_mutex_t zlock; /* guards the last cluster that was unpacked; a leaf */
	uint64_t zentry;       /* its L2 entry; 0: none */
	uint8_t *zdata;
};

#define QCOW2_FREED_MAX 65536u /* freed clusters that may wait for a flush by the guest */
#define QCOW2_PIECE(q)  ((q)->cluster < 4096 ? (uint32_t)(q)->cluster : 4096u) /* tables are written in these */

static inline struct qcow2 *qcow2_of(struct image *img) { return (struct qcow2 *)img; }

/* The tables contradict each other: says so and returns -EIO. With q->lock held. */
void qcow2_note_corrupt(struct qcow2 *q, const char *what, uint64_t value);
static inline int qcow2_corrupt(struct qcow2 *q, const char *what, uint64_t value)
{
	qcow2_note_corrupt(q, what, value);
	return -EIO;
}

/* --- qcow2_cache.c; with q->lock held --- */

int qcache_init(struct qcache *, struct qcow2 *, size_t bytes);
void qcache_fini(struct qcache *);
/* The table at @off, read from the file unless @fresh (zeroed then). Valid until the next call that may make
 * room in the same cache. */
int qcache_get(struct qcow2 *, struct qcache *, uint64_t off, bool fresh, struct qtable **out);
struct qtable *qcache_peek(struct qcache *, uint64_t off); /* NULL when it is not in memory */
void qcache_dirty(struct qcow2 *, struct qcache *, struct qtable *, uint32_t lo, uint32_t hi);
void qcache_forget(struct qcache *, uint64_t off); /* the cluster holds no table any more */
/* All tables to the file, in order, and synced; then the freed clusters are counted down (in memory). */
int qcow2_flush_tables(struct qcow2 *);
bool qcow2_tables_dirty(const struct qcow2 *);
void *qcow2_alloc_buffer(size_t len); /* page-aligned, zeroed; free() it */

/* --- qcow2_refcount.c; with q->lock held --- */

int qcow2_load_refcounts(struct qcow2 *, uint64_t off, uint32_t clusters, struct err *e);
int qcow2_refcount(struct qcow2 *, uint64_t cluster, uint64_t *out); /* 0 where there is no block */
int qcow2_set_refcount(struct qcow2 *, uint64_t cluster, uint64_t count);
/* Up to @want clusters one after another; *fresh: they read as zeroes. They are counted, not yet used. */
int qcow2_alloc(struct qcow2 *, uint64_t want, uint64_t *off, uint64_t *got, bool *fresh);
void qcow2_unalloc(struct qcow2 *, uint64_t off, uint64_t n); /* what was never pointed to */
/* Nothing in memory points to the clusters of [off, off+len) any more: they are counted down in time. */
int qcow2_free(struct qcow2 *, uint64_t off, uint64_t len);
int qcow2_apply_freed(struct qcow2 *);

/* --- qcow2_map.c; with q->lock held --- */

enum qcow2_kind { QK_NONE, QK_ZERO, QK_DATA, QK_PACKED };
struct qcow2_run {
	enum qcow2_kind kind;
	uint64_t entry; /* the first one */
	uint64_t host;  /* DATA, or a ZERO that has a cluster: where it is; else 0 */
	bool inplace;   /* the cluster at host is ours alone */
	uint64_t n;     /* clusters alike, one after another on the host as well */
};

static inline enum qcow2_kind qcow2_entry_kind(const struct qcow2 *q, uint64_t entry)
{
	if (entry & QCOW2_COMPRESSED)
		return QK_PACKED;
	if (q->version >= 3 && (entry & QCOW2_ZERO))
		return QK_ZERO;
	return entry & QCOW2_OFFSET ? QK_DATA : QK_NONE;
}

/* What stands at guest cluster @index and up to @max-1 after it. @cached: -EAGAIN where a table would have to
 * be read. */
int qcow2_lookup(struct qcow2 *, uint64_t index, uint64_t max, bool cached, struct qcow2_run *out);
/* The L2 table of guest cluster @index, ours alone; made where it is missing */
int qcow2_l2_for_write(struct qcow2 *, uint64_t index, struct qtable **out);
/* Sets the entry of guest cluster @index, and frees what the old one pointed to unless the new one does */
int qcow2_set_entry(struct qcow2 *, uint64_t index, uint64_t entry);

/* --- qcow2_packed.c --- */

/* Where a compressed cluster's bytes are in the file */
void qcow2_packed_place(const struct qcow2 *, uint64_t entry, uint64_t *off, uint64_t *len);
/* Copies [off, off+len) of the unpacked cluster into the iovecs. Without q->lock. */
int qcow2_read_packed(struct qcow2 *, uint64_t entry, uint64_t off, const struct iovec *, unsigned niov, uint64_t len);
void qcow2_forget_packed(struct qcow2 *);

/* --- qcow2_io.c --- */

extern const struct image_ops qcow2_ops;

/* --- qcow2_check.c --- */

struct qcow2_findings {
	uint64_t leaks;  /* clusters counted more often than they are used */
	uint64_t errors; /* counted less often, or wrong in another way */
};

/* Compares the refcounts with what the tables use; @repair: makes them agree. With q->lock held or before
 * anyone else uses the image, and no table dirty. */
int qcow2_check(struct qcow2 *, bool repair, struct qcow2_findings *out);

#endif
