/* balloon.c - the memory balloon: inflating, free-page reporting, statistics. */
#include "virtio/balloon.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "core/memmap.h"
#include "dev/devstate.h"

#define F_STATS          (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_FREE_PAGE_HINT (1ull << 3)
#define F_REPORTING      (1ull << 5)

/* Queues (5.5.2). Linux leaves no gap for a queue whose feature is not there, the specification does: with
 * all three features offered both agree, and `hints` tells when a driver has not taken the one in between. */
enum { Q_INFLATE, Q_DEFLATE, Q_STATS, Q_HINT, Q_REPORTING, QUEUES };
#define QUEUE_SIZE 128u

/* Configuration (5.5.4) */
enum { CFG_TARGET = 0, CFG_ACTUAL = 4, CFG_HINT_COMMAND = 8, CFG_POISON = 12, CFG_LEN = 16 };

#define PFN_SHIFT 12
#define PFNS_MAX 65536u /* of one buffer: what is beyond is not given back, which is no harm */
#define STAT_LEN 10u    /* tag, value */

struct balloon {
	struct memmap *mem;
	struct virtio_dev *vdev;
	_Atomic uint32_t target, actual; /* pages */
	_Atomic uint64_t returned;

	pthread_mutex_t lock;            /* guards what follows; taken before the queue's */
	struct balloon_stats stats;
	struct vq_chain held;            /* the statistics' buffer, which goes back when we ask for new ones */
	bool holding;
	struct log_limit log;
};

/* --- giving back --- */

static void give_back(struct balloon *b, void *p, uint64_t len)
{
	if (!mem_discard(b->mem, p, len))
		atomic_fetch_add(&b->returned, len);
}

/* Pages that lie side by side go in one call */
struct run {
	uint64_t first, n; /* page frame numbers */
};

static void run_end(struct balloon *b, struct run *r)
{
	void *p = r->n ? mem_ptr(b->mem, r->first << PFN_SHIFT, r->n << PFN_SHIFT) : NULL;

	if (p)
		give_back(b, p, r->n << PFN_SHIFT);
	r->n = 0;
}

static void run_add(struct balloon *b, struct run *r, uint32_t pfn)
{
	/* what is not RAM is not ours to give back, and must not keep its neighbours from it */
	if (!mem_ptr(b->mem, (uint64_t)pfn << PFN_SHIFT, 1u << PFN_SHIFT))
		return;
	if (r->n && r->first && pfn == r->first - 1) {
		r->first--;
		r->n++;
	} else if (r->n && pfn == r->first + r->n && mem_ptr(b->mem, r->first << PFN_SHIFT, (r->n + 1) << PFN_SHIFT)) {
		r->n++;
	} else {
		run_end(b, r);
		*r = (struct run){ pfn, 1 };
	}
}

static void inflate(struct balloon *b, const struct vq_chain *c)
{
	struct run r = { 0, 0 };
	uint8_t pfns[1024];

	for (size_t off = 0; off < PFNS_MAX * 4ull;) {
		size_t n = vq_chain_read(c, off, pfns, sizeof(pfns));

		for (size_t i = 0; i + 4 <= n; i += 4)
			run_add(b, &r, le32_load(pfns + i));
		off += n;
		if (n < sizeof(pfns))
			break;
	}
	run_end(b, &r);
}

/* The buffers themselves are what is free (5.5.6.7) */
static void report(struct balloon *b, const struct vq_chain *c)
{
	for (unsigned i = c->nout; i < c->nout + c->nin; i++)
		give_back(b, c->iov[i].iov_base, c->iov[i].iov_len);
}

/* --- statistics (5.5.6.3) --- */

static void stats_read(struct balloon *b, const struct vq_chain *c)
{
	uint8_t s[STAT_LEN];

	/* a sane driver gives each once; 64 entries are more than there are tags */
	for (unsigned i = 0; i < 64 && vq_chain_read(c, i * STAT_LEN, s, STAT_LEN) == STAT_LEN; i++) {
		unsigned tag = le16_load(s);

		if (tag >= BALLOON_STATS)
			continue;
		b->stats.value[tag] = le64_load(s + 2);
		b->stats.known |= 1u << tag;
	}
	b->stats.updates++;
	log_limited(&b->log, LOG_DEBUG, "virtio-balloon: the guest has %llu KB of memory, %llu KB of it free",
		    (unsigned long long)b->stats.value[BALLOON_TOTAL] >> 10,
		    (unsigned long long)b->stats.value[BALLOON_FREE] >> 10);
}

/* A driver has one buffer for this; of more, the last stays with us */
static void stats_queue(struct balloon *b, struct virtq *q)
{
	struct vq_chain c;

	while (vq_pop(q, &c) == 1) {
		pthread_mutex_lock(&b->lock);
		if (b->holding)
			vq_push(q, &b->held, 0);
		stats_read(b, &c);
		b->held = c;
		b->holding = true;
		pthread_mutex_unlock(&b->lock);
	}
	vq_notify(q);
}

void virtio_balloon_stats(struct balloon *b, bool ask, struct balloon_stats *out)
{
	pthread_mutex_lock(&b->lock);
	*out = b->stats;
	if (ask && b->holding) {
		struct virtq *q = virtio_queue(b->vdev, Q_STATS);

		b->holding = false;
		vq_push(q, &b->held, 0);
		vq_notify(q);
	}
	pthread_mutex_unlock(&b->lock);
}

/* --- the device --- */

static void balloon_queue(void *dev, unsigned index)
{
	struct balloon *b = dev;
	struct virtq *q = virtio_queue(b->vdev, index);
	bool hints = virtio_features(b->vdev) & F_FREE_PAGE_HINT;
	struct vq_chain c;

	if (index == Q_STATS) {
		stats_queue(b, q);
		return;
	}
	if (index == Q_HINT && !hints)
		index = Q_REPORTING;
	while (vq_pop(q, &c) == 1) {
		if (index == Q_INFLATE)
			inflate(b, &c);
		else if (index == Q_REPORTING)
			report(b, &c);
		/* deflated pages come back from the host as they are touched; hints we never ask for */
		vq_push(q, &c, 0);
	}
	vq_notify(q);
}

void virtio_balloon_set_target(struct balloon *b, uint64_t bytes)
{
	uint64_t pages = bytes >> PFN_SHIFT;

	atomic_store(&b->target, pages > UINT32_MAX ? UINT32_MAX : (uint32_t)pages);
	virtio_config_changed(b->vdev);
}

uint64_t virtio_balloon_actual(struct balloon *b) { return (uint64_t)atomic_load(&b->actual) << PFN_SHIFT; }
uint64_t virtio_balloon_returned(struct balloon *b) { return atomic_load(&b->returned); }

/* The command for hints stays 0, "stop", and the poison value is not negotiated */
static void config_image(struct balloon *b, uint8_t cfg[CFG_LEN])
{
	memset(cfg, 0, CFG_LEN);
	le32_store(cfg + CFG_TARGET, atomic_load(&b->target));
	le32_store(cfg + CFG_ACTUAL, atomic_load(&b->actual));
}

static void balloon_config_read(void *dev, unsigned off, void *buf, unsigned len)
{
	uint8_t cfg[CFG_LEN];

	config_image(dev, cfg);
	memcpy(buf, cfg + off, len);
}

static void balloon_config_write(void *dev, unsigned off, const void *buf, unsigned len)
{
	struct balloon *b = dev;

	if (off == CFG_ACTUAL && len == 4)
		atomic_store(&b->actual, le32_load(buf));
}

/* The pages are the next driver's again (5.5.5.1); what we want of it stays */
static int balloon_reset(void *dev)
{
	struct balloon *b = dev;

	pthread_mutex_lock(&b->lock);
	b->holding = false;
	b->stats = (struct balloon_stats){ .updates = 0 };
	pthread_mutex_unlock(&b->lock);
	atomic_store(&b->actual, 0);
	return 0;
}

/* The buffer that is held goes back into the ring, so that a snapshot's device can take it out again */
static void balloon_drain(void *dev)
{
	struct balloon *b = dev;

	pthread_mutex_lock(&b->lock);
	if (b->holding) {
		vq_unpop(virtio_queue(b->vdev, Q_STATS), &b->held);
		b->holding = false;
		virtio_kick(b->vdev, Q_STATS);
	}
	pthread_mutex_unlock(&b->lock);
}

static void balloon_attach(void *dev, struct virtio_dev *vdev) { ((struct balloon *)dev)->vdev = vdev; }

static void balloon_destroy(void *dev)
{
	struct balloon *b = dev;

	pthread_mutex_destroy(&b->lock);
	free(b);
}

static void sync_state(struct devstate *s, uint32_t *target, uint32_t *actual)
{
	ds_u32(s, target);
	ds_u32(s, actual);
}

static size_t balloon_save(void *dev, void *buf, size_t cap)
{
	struct balloon *b = dev;
	struct devstate s = devstate_saver(buf, cap);
	uint32_t target = b->target, actual = b->actual;

	sync_state(&s, &target, &actual);
	return s.pos;
}

static int balloon_load(void *dev, const void *buf, size_t len)
{
	struct balloon *b = dev;
	struct devstate s = devstate_loader(buf, len);
	uint32_t target = 0, actual = 0;

	sync_state(&s, &target, &actual);
	if (ds_finish(&s))
		return -EINVAL;
	atomic_store(&b->target, target);
	atomic_store(&b->actual, actual);
	return 0;
}

static const struct virtio_ops balloon_ops = {
	.name = "virtio-balloon", .id = VIRTIO_ID_BALLOON, .pci_class = 0x00ff00,
	.attach = balloon_attach, .queue = balloon_queue, .reset = balloon_reset, .drain = balloon_drain,
	.config_read = balloon_config_read, .config_write = balloon_config_write, .destroy = balloon_destroy,
	.save = balloon_save, .load = balloon_load,
};

int virtio_balloon_create(struct memmap *mem, struct virtio_model *out, struct balloon **handle, struct err *e)
{
	struct balloon *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, -ENOMEM, "virtio-balloon: out of memory");
	b->mem = mem;
	pthread_mutex_init(&b->lock, NULL);
	*out = (struct virtio_model){
		.ops = &balloon_ops, .dev = b, .config_len = CFG_LEN, .nqueues = QUEUES, .queue_size = QUEUE_SIZE,
		.features = F_STATS | F_DEFLATE_ON_OOM | F_FREE_PAGE_HINT | F_REPORTING,
	};
	*handle = b;
	return 0;
}
