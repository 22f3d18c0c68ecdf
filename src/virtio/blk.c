/* blk.c - the block device: requests of the driver become requests of the image.
 *
 *      out-part:  type 4 | reserved 4 | sector 8 | data to write ...
 *      in-part:   data to read ...                              | status 1
 *
 * Nothing waits here: the loop's thread takes requests from the rings and submits them, and whichever thread
 * finds one done gives the buffer back. */
#include "virtio/blk.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "dev/devstate.h"
#include "host/block/block.h"

#define SECTOR     512u
#define HEADER_LEN 16u
#define QUEUE_SIZE 256u
#define SEG_MAX    (QUEUE_SIZE - 2) /* header and status take one each */

/* Features (5.2.3) */
#define F_SEG_MAX      (1ull << 2)
#define F_RO           (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_TOPOLOGY     (1ull << 10)
#define F_CONFIG_WCE   (1ull << 11)
#define F_MQ           (1ull << 12)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

/* Request types and status (5.2.6) */
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

/* Configuration (5.2.4) */
enum {
	CFG_CAPACITY = 0,
	CFG_SEG_MAX = 12,
	CFG_BLK_SIZE = 20,
	CFG_PHYSICAL_EXP = 24,
	CFG_MIN_IO = 26,
	CFG_WRITEBACK = 32,
	CFG_QUEUES = 34,
	CFG_MAX_DISCARD_SECTORS = 36,
	CFG_MAX_DISCARD_SEG = 40,
	CFG_DISCARD_ALIGN = 44,
	CFG_MAX_ZEROES_SECTORS = 48,
	CFG_MAX_ZEROES_SEG = 52,
	CFG_ZEROES_MAY_UNMAP = 56,
	CFG_LEN = 60,
};

/* A range of DISCARD and WRITE_ZEROES: sector 8 | sectors 4 | flags 4 */
#define RANGE_LEN         16u
#define RANGE_UNMAP       1u
#define RANGES_MAX        16u
#define RANGE_SECTORS_MAX (1u << 21) /* 1 GiB: a request has to end in time */

struct blk;

/* A request on its way */
struct blk_req {
	struct blk_req *next; /* in the list of unused ones */
	struct blk *blk;
	struct virtq *queue;
	struct vq_chain chain;
	struct block_req io;
	struct iovec data[VQ_SEGS_MAX]; /* the chain's without header and status */
	unsigned range, nranges;        /* DISCARD, WRITE_ZEROES: the one under way */
	uint8_t ranges[RANGES_MAX * RANGE_LEN];
};

struct blk {
	struct virtio_dev *vdev;
	struct block *block;
	unsigned nqueues;
	char serial[VIRTIO_BLK_SERIAL_MAX];
	uint8_t config[CFG_LEN];   /* constant but for the byte at CFG_WRITEBACK, see writeback */
	_Atomic bool writeback;    /* the driver may change it (5.2.5.1) */
	_Atomic uint64_t features; /* negotiated */

	pthread_mutex_t lock; /* guards what follows; a leaf */
	struct blk_req *unused;
	unsigned inflight;
	bool resetting; /* the last one done ends a reset */

	struct blk_req *reqs; /* as many as fit into the queues */
};

/* The device whose queue this thread is emptying: what is done meanwhile is told to the driver at the end */
static __thread struct blk *batching;

/* --- requests come and go --- */

static struct blk_req *enter(struct blk *b)
{
	struct blk_req *q;

	pthread_mutex_lock(&b->lock);
	q = b->unused;
	if (q) {
		b->unused = q->next;
		b->inflight++;
	}
	pthread_mutex_unlock(&b->lock);
	return q;
}

static void leave(struct blk *b, struct blk_req *q)
{
	bool ended;

	pthread_mutex_lock(&b->lock);
	q->next = b->unused;
	b->unused = q;
	ended = !--b->inflight && b->resetting;
	if (ended)
		b->resetting = false;
	pthread_mutex_unlock(&b->lock);
	if (ended)
		virtio_reset_done(b->vdev);
}

/* Gives the buffer back. The status is its last byte; all of it counts as written, for a read that failed may
 * have got anywhere. */
static void complete(struct blk *b, struct blk_req *q, uint8_t status)
{
	struct virtq *queue = q->queue;

	vq_chain_write(&q->chain, q->chain.in_len - 1, &status, 1);
	vq_push(queue, &q->chain, (uint32_t)q->chain.in_len);
	if (batching != b)
		vq_notify(queue);
	leave(b, q);
}

static bool set_range(struct blk_req *q, unsigned i);

static void on_done(struct block_req *io, int result)
{
	struct blk_req *q = io->ctx;
	struct blk *b = q->blk;

	if (!result && q->range + 1 < q->nranges && set_range(q, q->range + 1)) {
		block_submit(b->block, &q->io);
		return;
	}
	complete(b, q, result < 0 ? S_IOERR : S_OK);
}

/* --- what a request asks for --- */

/* Lets q->io be [sector, sector + len / 512); false: not in sectors, or not within the disk */
static bool place(struct blk_req *q, uint64_t sector, uint64_t len)
{
	uint64_t size = block_size(q->blk->block);

	if (len % SECTOR || sector > size / SECTOR || len > size - sector * SECTOR)
		return false;
	q->io.off = sector * SECTOR;
	q->io.len = len;
	return true;
}

/* Without FLUSH, or with the write cache off, a write is done when it is on the disk (5.2.6.2) */
static bool writes_through(struct blk *b)
{
	uint64_t f = atomic_load(&b->features);

	if (f & F_CONFIG_WCE)
		return !atomic_load(&b->writeback);
	return !(f & F_FLUSH);
}

/* [off, off+len) of the iovecs into q->data */
static void slice(struct blk_req *q, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n && len; i++) {
		uint64_t part = iov[i].iov_len;

		if (off >= part) {
			off -= part;
			continue;
		}
		part = part - off < len ? part - off : len;
		q->data[k++] = (struct iovec){ .iov_base = (char *)iov[i].iov_base + off, .iov_len = part };
		len -= part;
		off = 0;
	}
	q->io.iov = q->data;
	q->io.niov = k;
}

static uint8_t start_data(struct blk_req *q, uint64_t sector, bool write)
{
	struct vq_chain *c = &q->chain;

	if (!place(q, sector, write ? c->out_len - HEADER_LEN : c->in_len - 1))
		return S_IOERR;
	q->io.op = write ? BLOCK_WRITE : BLOCK_READ;
	q->io.fua = write && writes_through(q->blk);
	if (write)
		slice(q, c->iov, c->nout, HEADER_LEN, q->io.len);
	else
		slice(q, c->iov + c->nout, c->nin, 0, q->io.len);
	return S_OK;
}

/* Lets q->io be range @i; false: it is not within the disk */
static bool set_range(struct blk_req *q, unsigned i)
{
	const uint8_t *r = q->ranges + (size_t)i * RANGE_LEN;

	q->range = i;
	q->io.unmap = le32_load(r + 12) & RANGE_UNMAP;
	return place(q, le64_load(r), (uint64_t)le32_load(r + 8) * SECTOR);
}

static uint8_t start_ranges(struct blk_req *q, bool zeroes)
{
	uint64_t len = q->chain.out_len - HEADER_LEN;
	unsigned n = (unsigned)(len / RANGE_LEN);

	if (!len || len % RANGE_LEN || len > sizeof(q->ranges))
		return S_UNSUPP;
	vq_chain_read(&q->chain, HEADER_LEN, q->ranges, len);
	q->io.op = zeroes ? BLOCK_ZERO : BLOCK_DISCARD;
	q->io.fua = zeroes && writes_through(q->blk);
	q->nranges = n;
	/* all of them are checked before the first one is carried out */
	for (unsigned i = n; i-- > 0;) {
		const uint8_t *r = q->ranges + (size_t)i * RANGE_LEN;

		/* unmap is for zeroes only; the other bits are reserved (5.2.6.2) */
		if (le32_load(r + 12) & ~(zeroes ? RANGE_UNMAP : 0u))
			return S_UNSUPP;
		if (le32_load(r + 8) > RANGE_SECTORS_MAX || !set_range(q, i))
			return S_IOERR;
	}
	return S_OK;
}

static void get_id(struct blk_req *q)
{
	uint64_t room = q->chain.in_len - 1, len = sizeof(q->blk->serial);

	vq_chain_write(&q->chain, 0, q->blk->serial, room < len ? room : len);
}

/* Finds out what to do, and begins it or is done with it */
static void start(struct blk *b, struct blk_req *q, const uint8_t *header)
{
	uint64_t sector = le64_load(header + 8);
	uint8_t status = S_OK;
	bool submit = true;

	q->io = (struct block_req){ .done = on_done, .ctx = q };
	q->range = q->nranges = 0;
	switch (le32_load(header)) {
	case T_IN: status = start_data(q, sector, false); break;
	case T_OUT: status = start_data(q, sector, true); break;
	case T_FLUSH: q->io.op = BLOCK_FLUSH; break;
	case T_DISCARD: status = start_ranges(q, false); break;
	case T_WRITE_ZEROES: status = start_ranges(q, true); break;
	case T_GET_ID:
		get_id(q);
		submit = false;
		break;
	default: status = S_UNSUPP;
	}
	if (status == S_OK && submit)
		block_submit(b->block, &q->io);
	else
		complete(b, q, status);
}

static void blk_queue(void *dev, unsigned index)
{
	struct blk *b = dev;
	struct virtq *queue = virtio_queue(b->vdev, index);
	uint8_t header[HEADER_LEN];

	batching = b;
	for (;;) {
		struct blk_req *q = enter(b);

		if (!q) {
			virtio_broken(b->vdev, "more requests than its queues hold");
			break;
		}
		q->queue = queue;
		if (vq_pop(queue, &q->chain) != 1) {
			leave(b, q);
			break;
		}
		if (!q->chain.in_len || vq_chain_read(&q->chain, 0, header, HEADER_LEN) != HEADER_LEN) {
			leave(b, q);
			virtio_broken(b->vdev, "a request without header or status");
			break;
		}
		start(b, q, header);
	}
	block_commit(b->block);
	batching = NULL;
	vq_notify(queue);
}

/* --- life --- */

static void blk_attach(void *dev, struct virtio_dev *vdev) { ((struct blk *)dev)->vdev = vdev; }

static void blk_start(void *dev, uint64_t features)
{
	struct blk *b = dev;

	atomic_store(&b->features, features);
}

static int blk_reset(void *dev)
{
	struct blk *b = dev;
	bool busy;

	atomic_store(&b->writeback, true);
	atomic_store(&b->features, 0);
	pthread_mutex_lock(&b->lock);
	busy = b->resetting = b->inflight > 0;
	pthread_mutex_unlock(&b->lock);
	return busy ? -EINPROGRESS : 0;
}

static void blk_drain(void *dev) { block_drain(((struct blk *)dev)->block); }

static void blk_config_read(void *dev, unsigned off, void *buf, unsigned len)
{
	struct blk *b = dev;

	memcpy(buf, b->config + off, len);
	if (off <= CFG_WRITEBACK && CFG_WRITEBACK - off < len)
		((uint8_t *)buf)[CFG_WRITEBACK - off] = atomic_load(&b->writeback);
}

static void blk_config_write(void *dev, unsigned off, const void *buf, unsigned len)
{
	struct blk *b = dev;

	if (off == CFG_WRITEBACK && len == 1)
		atomic_store(&b->writeback, *(const uint8_t *)buf & 1);
}

static void blk_destroy(void *dev)
{
	struct blk *b = dev;

	block_close(b->block);
	pthread_mutex_destroy(&b->lock);
	free(b->reqs);
	free(b);
}

static void sync_state(struct devstate *s, uint64_t *features, bool *writeback)
{
	ds_tag(s, 0x6b6c6276, 1);
	ds_u64(s, features);
	ds_bool(s, writeback);
}

static size_t blk_save(void *dev, void *buf, size_t cap)
{
	struct blk *b = dev;
	struct devstate s = devstate_saver(buf, cap);
	uint64_t features = atomic_load(&b->features);
	bool writeback = atomic_load(&b->writeback);

	sync_state(&s, &features, &writeback);
	return s.pos;
}

static int blk_load(void *dev, const void *buf, size_t len)
{
	struct blk *b = dev;
	struct devstate s = devstate_loader(buf, len);
	uint64_t features = 0;
	bool writeback = true;

	sync_state(&s, &features, &writeback);
	if (ds_finish(&s) < 0)
		return -EINVAL;
	atomic_store(&b->features, features);
	atomic_store(&b->writeback, writeback);
	return 0;
}

static const struct virtio_ops blk_ops = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.pci_class = 0x010000,
	.attach = blk_attach,
	.start = blk_start,
	.queue = blk_queue,
	.reset = blk_reset,
	.drain = blk_drain,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.destroy = blk_destroy,
	.save = blk_save,
	.load = blk_load,
};

static void fill_config(struct blk *b)
{
	uint8_t *c = b->config;
	uint32_t granularity = block_granularity(b->block) / SECTOR;

	le64_store(c + CFG_CAPACITY, block_size(b->block) / SECTOR);
	le32_store(c + CFG_SEG_MAX, SEG_MAX);
	le32_store(c + CFG_BLK_SIZE, SECTOR);
	c[CFG_PHYSICAL_EXP] = 3; /* 4096 bytes: what the host's page cache and file systems like best */
	le16_store(c + CFG_MIN_IO, 8);
	le16_store(c + CFG_QUEUES, (uint16_t)b->nqueues);
	le32_store(c + CFG_MAX_DISCARD_SECTORS, RANGE_SECTORS_MAX);
	le32_store(c + CFG_MAX_DISCARD_SEG, RANGES_MAX);
	le32_store(c + CFG_DISCARD_ALIGN, granularity);
	le32_store(c + CFG_MAX_ZEROES_SECTORS, RANGE_SECTORS_MAX);
	le32_store(c + CFG_MAX_ZEROES_SEG, RANGES_MAX);
	c[CFG_ZEROES_MAY_UNMAP] = 1;
}

int virtio_blk_create(const struct virtio_blk_config *cfg, struct virtio_model *out, struct err *e)
{
	struct blk *b = calloc(1, sizeof(*b));
	unsigned total = cfg->nqueues * QUEUE_SIZE + 1; /* one more, to find a queue empty with */
	uint64_t features = F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY | F_FLUSH | F_CONFIG_WCE;

	if (b)
		b->reqs = calloc(total, sizeof(*b->reqs));
	if (!b || !b->reqs) {
		free(b);
		return err_set(e, -ENOMEM, "virtio-blk: out of memory");
	}
	pthread_mutex_init(&b->lock, NULL);
	for (unsigned i = 0; i < total; i++) {
		b->reqs[i].blk = b;
		b->reqs[i].next = b->unused;
		b->unused = &b->reqs[i];
	}
	b->block = cfg->block;
	b->nqueues = cfg->nqueues;
	atomic_store(&b->writeback, true);
	if (cfg->serial)
		memcpy(b->serial, cfg->serial, strnlen(cfg->serial, sizeof(b->serial)));
	fill_config(b);
	features |= block_readonly(b->block) ? F_RO : F_DISCARD | F_WRITE_ZEROES;
	if (cfg->nqueues > 1)
		features |= F_MQ;
	*out = (struct virtio_model){ .ops = &blk_ops,
				      .dev = b,
				      .features = features,
				      .config_len = CFG_LEN,
				      .nqueues = cfg->nqueues,
				      .queue_size = QUEUE_SIZE };
	return 0;
}
