/* virtqueue.h - the rings between a driver and a device (virtio 1.2, 2.6 to 2.8): split and packed.
 *
 * Split (2.7): three areas in guest memory.
 *
 *      descriptor area          driver area: avail            device area: used
 *      ┌────────────────┐       ┌───────┬───────┐             ┌───────┬───────┐
 *    0 │addr len flg nxt│◄──┐   │ flags │ idx ──┼─► next free │ flags │ idx ──┼─► next free
 *    1 │                │   │   ├───────┴───────┤             ├───────┴───────┤
 *    2 │      ...       │   └───┤ head          │ ring[size]  │ head, len     │ ring[size]
 *      │                │       │ ...           │             │ ...           │
 *      └────────────────┘       │ used_event    │             │ avail_event   │
 *                               └───────────────┘             └───────────────┘
 *      the driver writes        the driver writes             the device writes
 *
 * Packed (2.8): one ring that both write, and two event structures of 4 bytes.
 *
 *      descriptor area: addr len id flags[AVAIL 7, USED 15]     driver area       device area
 *      ┌──┬──┬──┬──┬──┬──┬──┬──┐  AVAIL != USED: available      ┌────────────┐    ┌────────────┐
 *      │  │  │  │  │  │  │  │  │  AVAIL == USED: used           │ desc flags │    │ desc flags │
 *      └──┴──┴──┴──┴──┴──┴──┴──┘  (in terms of wrap counters)   └────────────┘    └────────────┘
 *
 * Everything in these areas is the guest's to forge: each index and address is checked, each loop is
 * bounded by the queue's size, and what is read is read once. */
#ifndef VIRTIO_VIRTQUEUE_H
#define VIRTIO_VIRTQUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct memmap;

#define VQ_SIZE_MAX 256u
#define VQ_SEGS_MAX VQ_SIZE_MAX /* a chain has no more descriptors than its queue (2.7.5.3.1) */

/* One buffer of the driver's: first what the device may read, then what it may write. The pointers are
 * into guest RAM and stay valid for the machine's life. A class may copy what it needs of the iovecs. */
struct vq_chain {
	uint64_t out_len, in_len;  /* bytes to read, bytes to write; each below 4 GiB */
	unsigned nout, nin;        /* iov[0..nout) to read, iov[nout..nout+nin) to write; empty ones are left out */
	uint32_t generation;       /* of the queue, so that a push after a reset is recognised */
	uint16_t id;               /* split: the head's index; packed: the buffer's id */
	uint16_t ndescs;           /* packed: slots of the ring that it takes */
	struct iovec iov[VQ_SEGS_MAX];
};

struct virtq;

/* 1: *c is filled. 0: nothing there (notifications are on again, so ops->queue will be called when there
 * is), or this call of ops->queue has done its share (it will be called again). -EPROTO: the driver broke
 * the ring, the device now needs a reset; treat it as 0. A class that stops popping before it saw 0 has to
 * pop again by itself, as notifications may be off. */
int vq_pop(struct virtq *, struct vq_chain *c);

/* Gives the buffer back with the first @written bytes of its in-part written. In any order. */
void vq_push(struct virtq *, const struct vq_chain *c, uint32_t written);

/* Puts back the chain that was popped last, before any other vq_pop or vq_push of this queue */
void vq_unpop(struct virtq *, const struct vq_chain *c);

/* Interrupts the driver if it wants to know of what was pushed since the last call */
void vq_notify(struct virtq *);

bool vq_enabled(struct virtq *); /* false: the driver does not use this queue, or not yet */

/* Copies between a chain and a buffer, from @off bytes into the chain's out- or in-part; how many bytes
 * that were: less than @len where the chain ends. */
size_t vq_chain_read(const struct vq_chain *c, size_t off, void *buf, size_t len);
size_t vq_chain_write(const struct vq_chain *c, size_t off, const void *buf, size_t len);

/* --- for the transport --- */

struct vq_callbacks {
	void (*broken)(void *ctx, struct virtq *, const char *why); /* without the queue's lock */
	void (*interrupt)(void *ctx, struct virtq *);               /* without the queue's lock */
	void (*again)(void *ctx, struct virtq *);                   /* the budget is used up; with the lock */
	void *ctx;
};

/* How a driver has set a queue up */
struct vq_setup {
	uint64_t desc, driver, device; /* guest-physical */
	uint16_t size;
	bool packed, event_idx, indirect;
};

#define VQ_BUDGET 256u /* chains popped in one call of ops->queue: a busy queue does not starve the loop */

struct virtq {
	pthread_mutex_t lock;      /* guards all that follows; a leaf but for `again` */
	struct memmap *mem;
	struct vq_callbacks cb;
	unsigned index;

	bool enabled;
	struct vq_setup set;
	uint8_t *desc, *driver, *device; /* host addresses of the three areas */
	uint32_t generation;       /* moves when the queue is stopped */
	uint32_t budget;
	uint16_t next_avail;       /* split: free-running; packed: slot in the ring */
	uint16_t next_used;
	bool avail_wrap, used_wrap; /* packed: wrap counters */
	uint16_t inflight;         /* slots popped and not yet pushed */
	uint16_t signalled;        /* next_used at the last decision to interrupt */
	bool signalled_wrap, signalled_valid;
	bool pushed;               /* something was since then */
	bool kicks_off;            /* we told the driver not to notify us */
};

void vq_init(struct virtq *, struct memmap *, unsigned index, const struct vq_callbacks *);
void vq_fini(struct virtq *);

/* Begins to use the queue. 0, or -EPROTO: the areas are not in RAM, or misaligned, or the size is impossible. */
int vq_start(struct virtq *, const struct vq_setup *);
void vq_stop(struct virtq *);
void vq_refill_budget(struct virtq *);

/* The part of a queue's state that snapshots need besides its setup: after vq_start */
struct vq_position {
	uint16_t next_avail, next_used;
	bool avail_wrap, used_wrap;
};
void vq_position_get(struct virtq *, struct vq_position *);
int vq_position_set(struct virtq *, const struct vq_position *); /* 0, or -EINVAL */

#endif
