/* qcow2_packed.c - reads compressed clusters (deflate and zstd). They are never written: a write to one makes
 * it an ordinary cluster. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"
#include "host/block/qcow2.h"

#define SECTOR 512u

/* qcow2 spec, "Compressed Clusters Descriptor": the offset below bit x, the sectors after the first above */
void qcow2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint64_t *len)
{
	unsigned x = 62 - (q->cluster_bits - 8);
	uint64_t sectors = (entry & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> x;

	*off = entry & ((1ull << x) - 1);
	*len = (sectors + 1) * SECTOR - *off % SECTOR;
}

static int inflate_cluster(uint8_t *in, uint64_t in_len, uint8_t *out, uint64_t out_len)
{
	z_stream z = { .next_in = in, .avail_in = (uInt)in_len, .next_out = out, .avail_out = (uInt)out_len };
	int r;

	if (inflateInit2(&z, -15) != Z_OK)
		return -ENOMEM;
	r = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* the input is rounded up to sectors, so it may not end where the stream does */
	return (r == Z_STREAM_END || r == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

static int zstd_cluster(const uint8_t *in, uint64_t in_len, uint8_t *out, uint64_t out_len)
{
	ZSTD_inBuffer from = { .src = in, .size = in_len };
	ZSTD_outBuffer to = { .dst = out, .size = out_len };
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t r = 0;

	if (!ctx)
		return -ENOMEM;
	while (to.pos < to.size && from.pos < from.size) {
		size_t before = from.pos + to.pos;

		r = ZSTD_decompressStream(ctx, &to, &from);
		if (ZSTD_isError(r) || from.pos + to.pos == before)
			break;
	}
	ZSTD_freeDCtx(ctx);
	return !ZSTD_isError(r) && to.pos == to.size ? 0 : -EIO;
}

/* Fills q->zdata; with q->zlock held */
static int unpack(struct qcow2 *q, uint64_t entry)
{
	struct iovec iov;
	uint64_t off, len;
	uint8_t *in;
	int r;

	qcow2_packed_place(q, entry, &off, &len);
	if (!q->zdata)
		q->zdata = qcow2_alloc_buffer(q->cluster);
	in = malloc(len);
	if (!q->zdata || !in) {
		free(in);
		return -ENOMEM;
	}
	q->zentry = 0;
	iov = (struct iovec){ .iov_base = in, .iov_len = len };
	r = q->file->ops->read(q->file, &iov, 1, off, len);
	if (!r && q->compression == QCOW2_ZSTD)
		r = zstd_cluster(in, len, q->zdata, q->cluster);
	else if (!r)
		r = inflate_cluster(in, len, q->zdata, q->cluster);
	free(in);
	if (!r)
		q->zentry = entry;
	return r;
}

int qcow2_read_packed(struct qcow2 *q, uint64_t entry, uint64_t off, const struct iovec *iov, unsigned niov,
		      uint64_t len)
{
	int r = 0;

	pthread_mutex_lock(&q->zlock);
	if (q->zentry != entry)
		r = unpack(q, entry);
	if (!r)
		iov_fill(iov, niov, 0, q->zdata + off, len);
	pthread_mutex_unlock(&q->zlock);
	return r;
}

void qcow2_forget_packed(struct qcow2 *q)
{
	pthread_mutex_lock(&q->zlock);
	q->zentry = 0;
	pthread_mutex_unlock(&q->zlock);
}
