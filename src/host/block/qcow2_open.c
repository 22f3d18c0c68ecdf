/* qcow2_open.c - the header of a qcow2 image: reading it, checking it, opening what it names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/err.h"
#include "host/block/qcow2.h"

#define L1_BYTES_MAX      (32u << 20) /* as in QEMU: 2 TiB with clusters of 64 KiB is 32 KiB */
#define NAME_MAX_LEN      1023u
#define TABLE_CACHE_BYTES (8u << 20)
#define BLOCK_CACHE_BYTES (2u << 20)

/* Header extensions (qcow2 spec, "Header extensions") */
#define EXT_END            0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_FEATURE_NAMES  0x6803f857u

#define HEADER_V2 72u
#define HEADER_V3 104u

struct header {
	uint64_t backing_off, size, l1_off, rt_off, incompat;
	uint32_t backing_len, l1_size, rt_clusters, length, crypt;
	uint8_t compression;
	char backing[NAME_MAX_LEN + 1];
	char backing_format[16];
	char feature[48]; /* what the image calls the first feature that we do not know */
};

/* Features that we know, dirty and corrupt ones included */
#define KNOWN_INCOMPAT (QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT | QCOW2_INCOMPAT_COMPRESS)

static int bad(const struct qcow2 *q, struct err *e, const char *what)
{
	return err_set(e, -EINVAL, "disk '%s' is not a valid qcow2 image: %s", q->path, what);
}

static int parse_fixed(struct qcow2 *q, struct header *h, const uint8_t *d, struct err *e)
{
	if (memcmp(d, "QFI\xfb", 4) != 0)
		return err_set(e, -EINVAL, "disk '%s' is not a qcow2 image: leave out format=qcow2", q->path);
	q->version = be32_load(d + 4);
	if (q->version != 2 && q->version != 3)
		return err_set(e, -ENOTSUP, "disk '%s' is a qcow2 image of version %u: only 2 and 3 are known", q->path,
			       q->version);
	h->backing_off = be64_load(d + 8);
	h->backing_len = be32_load(d + 16);
	q->cluster_bits = be32_load(d + 20);
	h->size = be64_load(d + 24);
	h->crypt = be32_load(d + 32);
	h->l1_size = be32_load(d + 36);
	h->l1_off = be64_load(d + 40);
	h->rt_off = be64_load(d + QCOW2_HDR_RT_OFFSET);
	h->rt_clusters = be32_load(d + 56);
	h->length = HEADER_V2;
	q->refcount_order = 4;
	if (q->version >= 3) {
		h->incompat = be64_load(d + QCOW2_HDR_INCOMPAT);
		q->refcount_order = be32_load(d + 96);
		h->length = be32_load(d + 100);
		if (h->length < HEADER_V3)
			return bad(q, e, "its header is too short");
		if (h->length > HEADER_V3)
			h->compression = d[HEADER_V3];
	}
	if (q->cluster_bits < 9 || q->cluster_bits > 21)
		return bad(q, e, "its cluster size is not one of 512 bytes to 2 MiB");
	q->cluster = 1ull << q->cluster_bits;
	q->l2_bits = q->cluster_bits - 3;
	if (h->length > q->cluster)
		return bad(q, e, "its header is longer than a cluster");
	if (q->refcount_order > 6)
		return bad(q, e, "its refcounts are wider than 64 bits");
	if (h->crypt)
		return err_set(e, -ENOTSUP,
			       "disk '%s' is encrypted, which is not offered: convert it with qemu-img convert",
			       q->path);
	return 0;
}

static void copy_name(char *to, size_t room, const uint8_t *from, size_t len)
{
	len = len < room ? len : room - 1;
	memcpy(to, from, len);
	to[len] = 0;
}

/* Extensions: type, length, data padded to 8 bytes; between the header and the backing file's name */
static int parse_extensions(struct qcow2 *q, struct header *h, const uint8_t *d, uint64_t have, struct err *e)
{
	uint64_t unknown = h->incompat & ~(uint64_t)KNOWN_INCOMPAT, at = h->length;
	uint64_t end = h->backing_off && h->backing_off < have ? h->backing_off : have;

	while (at + 8 <= end) {
		uint32_t type = be32_load(d + at), len = be32_load(d + at + 4);

		at += 8;
		if (type == EXT_END)
			break;
		if (len > end - at)
			return bad(q, e, "a header extension reaches beyond its place");
		if (type == EXT_BACKING_FORMAT)
			copy_name(h->backing_format, sizeof(h->backing_format), d + at, len);
		for (uint32_t i = 0; type == EXT_FEATURE_NAMES && i + 48 <= len; i += 48) {
			const uint8_t *f = d + at + i;

			if (f[0] == 0 && f[1] < 64 && (unknown >> f[1] & 1) && !h->feature[0])
				copy_name(h->feature, sizeof(h->feature), f + 2, 46);
		}
		at += align_up(len, 8);
	}
	for (char *p = h->feature; *p; p++) {
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	}
	return 0;
}

static int check_features(struct qcow2 *q, const struct header *h, bool readonly, struct err *e)
{
	uint64_t unknown = h->incompat & ~(uint64_t)KNOWN_INCOMPAT;

	if (unknown)
		return err_set(e, -ENOTSUP,
			       "disk '%s' needs the qcow2 feature '%s' (bit %d), which is not offered: convert it "
			       "with qemu-img convert",
			       q->path, h->feature[0] ? h->feature : "unknown", __builtin_ctzll(unknown));
	if ((h->incompat & QCOW2_INCOMPAT_CORRUPT) && !readonly)
		return err_set(e, -EINVAL,
			       "disk '%s' is marked as damaged: repair it with qemu-img check -r all, or attach it "
			       "with ,ro",
			       q->path);
	if (h->incompat & QCOW2_INCOMPAT_COMPRESS) {
		if (h->compression != QCOW2_ZSTD)
			return err_set(e, -ENOTSUP, "disk '%s' is compressed in a way that is not known (%u)", q->path,
				       h->compression);
	} else if (h->compression != QCOW2_ZLIB) {
		return bad(q, e, "its compression type and its features contradict each other");
	}
	q->compression = h->compression;
	return 0;
}

static int load_l1(struct qcow2 *q, const struct header *h, struct err *e)
{
	uint64_t per_l1 = q->cluster << q->l2_bits; /* at most 2^39 bytes */
	uint64_t need = h->size / per_l1 + (h->size % per_l1 != 0), bytes = 8ull * h->l1_size;
	uint8_t *raw;
	int r;

	if (!h->size)
		return err_set(e, -EINVAL, "disk '%s' is empty: give it a size first", q->path);
	if (h->size >> 56 || need > h->l1_size)
		return bad(q, e, "its L1 table is too small for its size");
	if (bytes > L1_BYTES_MAX)
		return bad(q, e, "its L1 table is larger than 32 MiB");
	if (!h->l1_off || h->l1_off % q->cluster || h->l1_off >= q->file->size)
		return bad(q, e, "its L1 table is not in the file");
	raw = qcow2_alloc_buffer(bytes);
	q->l1 = malloc(bytes);
	q->l1_dirty = calloc(1, bytes / QCOW2_PIECE(q) + 1);
	if (!raw || !q->l1 || !q->l1_dirty) {
		free(raw);
		return err_set(e, -ENOMEM, "disk '%s': out of memory", q->path);
	}
	q->l1_off = h->l1_off;
	q->l1_size = h->l1_size;
	r = image_read_buf(q->file, h->l1_off, raw, bytes);
	for (uint32_t i = 0; i < q->l1_size; i++)
		q->l1[i] = be64_load(raw + 8 * (size_t)i);
	free(raw);
	return r < 0 ? err_set(e, r, "disk '%s' cannot be read: %s", q->path, strerror(-r)) : 0;
}

/* Where the name in @path's header leads: relative names start from @path's directory */
static int resolve(const struct qcow2 *q, const char *name, char *out, size_t room, struct err *e)
{
	const char *slash = strrchr(q->path, '/');
	size_t colon = strcspn(name, ":/");
	int n;

	if (!strncmp(name, "file:", 5))
		name += 5;
	else if (name[colon] == ':')
		return err_set(e, -ENOTSUP,
			       "disk '%s': its backing image '%s' is not a plain file, which is not offered", q->path,
			       name);
	n = snprintf(out, room, "%.*s%s", name[0] == '/' || !slash ? 0 : (int)(slash - q->path + 1), q->path, name);
	if (n < 0 || (size_t)n >= room)
		return err_set(e, -ENAMETOOLONG, "disk '%s': the name of its backing image is too long", q->path);
	return 0;
}

static int open_backing(struct qcow2 *q, const struct header *h, const struct block_options *o, unsigned depth,
			struct err *e)
{
	struct block_options lower = { .cache = o->cache, .readonly = true };
	char path[4096];
	bool guard;
	int r;

	if (!h->backing[0])
		return 0;
	if (depth + 1 >= IMAGE_DEPTH_MAX)
		return err_set(e, -ELOOP, "disk '%s': more than %d backing images, or a circle of them", q->path,
			       IMAGE_DEPTH_MAX);
	if (!strcmp(h->backing_format, "raw"))
		lower.format = BLOCK_RAW;
	else if (!strcmp(h->backing_format, "qcow2"))
		lower.format = BLOCK_QCOW2;
	else if (h->backing_format[0])
		return err_set(e, -ENOTSUP,
			       "disk '%s': its backing image's format is not offered, only raw and qcow2 are", q->path);
	r = resolve(q, h->backing, path, sizeof(path), e);
	if (r < 0)
		return r;
	lower.path = path;
	if (lower.format == BLOCK_PROBE)
		log_warn("disk '%s' does not say which format its backing image has: qemu-img rebase -u -F FORMAT -b "
			 "'%s' sets it",
			 q->path, h->backing);
	return image_open(&lower, depth + 1, &guard, &q->backing, e);
}

static int parse(struct qcow2 *q, struct header *h, struct err *e)
{
	uint64_t have = q->file->size < 4096 ? q->file->size : 4096;
	uint8_t *d;
	int r;

	if (have < HEADER_V3)
		return bad(q, e, "the file is too short");
	d = qcow2_alloc_buffer(4096);
	if (!d)
		return err_set(e, -ENOMEM, "disk '%s': out of memory", q->path);
	r = image_read_buf(q->file, 0, d, have);
	if (!r)
		r = parse_fixed(q, h, d, e);
	/* all of the first cluster may be header */
	if (!r && q->cluster > have) {
		free(d);
		have = q->file->size < q->cluster ? q->file->size : q->cluster;
		d = qcow2_alloc_buffer(have);
		r = d ? image_read_buf(q->file, 0, d, have) : -ENOMEM;
	}
	if (!r)
		r = parse_extensions(q, h, d, have, e);
	if (!r && h->backing_off) {
		if (h->backing_len > NAME_MAX_LEN || h->backing_off > have || h->backing_len > have - h->backing_off)
			r = bad(q, e, "its backing image's name is not in the first cluster");
		else
			copy_name(h->backing, sizeof(h->backing), d + h->backing_off, h->backing_len);
	}
	free(d);
	return r < 0 ? err_set(e, r, "disk '%s' cannot be read: %s", q->path, strerror(-r)) : 0;
}

static int write_header_field(struct qcow2 *q, unsigned at, uint64_t value)
{
	uint8_t field[8];
	int r;

	be64_store(field, value);
	r = image_write_buf(q->file, at, field, sizeof(field));
	return r < 0 ? r : q->file->ops->flush(q->file);
}

/* Before the first write: refcounts that a crash left behind are put right, and features that our writing
 * makes invalid (bitmaps) are taken back, as the specification asks */
static int prepare_writing(struct qcow2 *q, const struct header *h, struct err *e)
{
	struct qcow2_findings found;
	int r = 0;

	if (h->incompat & QCOW2_INCOMPAT_DIRTY) {
		log_warn("disk '%s' was not closed after its last use: its refcounts are made anew", q->path);
		r = qcow2_check(q, true, &found);
		if (!r && found.errors)
			return err_set(e, -EINVAL, "disk '%s' is damaged: repair it with qemu-img check -r all",
				       q->path);
		if (!r)
			r = qcow2_flush_tables(q);
		if (!r)
			r = write_header_field(q, QCOW2_HDR_INCOMPAT, h->incompat & ~QCOW2_INCOMPAT_DIRTY);
	}
	if (!r && q->version >= 3)
		r = write_header_field(q, QCOW2_HDR_AUTOCLEAR, 0);
	return r < 0 ? err_set(e, r, "disk '%s' cannot be written: %s", q->path, strerror(-r)) : 0;
}

int qcow2_open(struct image *file, const struct block_options *o, unsigned depth, struct image **out, struct err *e)
{
	struct qcow2 *q = calloc(1, sizeof(*q));
	struct header *h = calloc(1, sizeof(*h));
	int r = 0;

	if (!q || !h || !(q->path = strdup(o->path))) {
		free(q);
		free(h);
		return err_set(e, -ENOMEM, "disk '%s': out of memory", o->path);
	}
	pthread_mutex_init(&q->lock, NULL);
	pthread_mutex_init(&q->zlock, NULL);
	range_lock_init(&q->ranges);
	q->file = file;
	q->img = (struct image){ .ops = &qcow2_ops, .readonly = o->readonly };
	r = parse(q, h, e);
	if (!r)
		r = check_features(q, h, o->readonly, e);
	if (!r) {
		q->img.size = h->size;
		q->img.granularity = (uint32_t)q->cluster;
		q->clean_from = align_up(file->size, q->cluster);
		r = load_l1(q, h, e);
	}
	if (!r)
		r = qcow2_load_refcounts(q, h->rt_off, h->rt_clusters, e);
	if (!r && (qcache_init(&q->l2s, q, TABLE_CACHE_BYTES) || qcache_init(&q->blocks, q, BLOCK_CACHE_BYTES)))
		r = err_set(e, -ENOMEM, "disk '%s': out of memory", o->path);
	if (!r)
		r = open_backing(q, h, o, depth, e);
	if (!r && !o->readonly)
		r = prepare_writing(q, h, e);
	free(h);
	if (r < 0) {
		q->img.readonly = true; /* write nothing */
		q->file = NULL;         /* the caller's */
		qcow2_ops.close(&q->img);
		return r;
	}
	*out = &q->img;
	return 0;
}
