/* virtio.h - what a virtio device is: the interface between a device class (rng, blk, ...) and the
 * transport that carries it (virtio/virtio_pci.h). Virtio 1.2; section numbers are that document's.
 *
 *      guest's driver                    transport                         device class
 *      ──────────────                    ─────────                         ────────────
 *      adds buffers to the ring
 *      notifies ───── vcpu's thread ───► virtio_kick: sets a bit,
 *                                        wakes the loop ── loop's thread ─► ops->queue(dev, index)
 *                                                                             vq_pop   takes a buffer
 *                                                                             ...      (any thread from here on)
 *      sees the used buffer ◄─────────────────────────────────────────────── vq_push   gives it back
 *      interrupt ◄─────────────────────  MSI-X or INTx ◄──────────────────── vq_notify once a batch
 *
 * A class has one file, with a create function
 *     int virtio_NAME_create(const struct NAME_config *, struct virtio_model *out, struct err *e);
 * The transport then owns the class's device and calls ops->destroy in the end.
 *
 * Threads. queue, start and reset are called on the loop's thread, one at a time, so a class that stays
 * there needs no lock. config_read and config_write are called on vcpus' threads, at any time: what they
 * share with the rest needs atomics or a lock of the class. Functions of the transport and of queues may
 * be called on any thread; they take their own locks and call nothing of the class. */
#ifndef VIRTIO_VIRTIO_H
#define VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/virtqueue.h"

struct virtio_dev;   /* the transport's side of a device */

/* Device ids (section 5) */
enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5,
};

/* Feature bits that belong to transport and rings (section 6); the transport offers them itself */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)
#define VIRTIO_F_RING_PACKED   (1ull << 34)

#define VIRTIO_QUEUES_MAX 64

struct virtio_ops {
	const char *name;    /* "virtio-rng": for logs and snapshots */
	uint16_t id;         /* enum virtio_id */
	uint32_t pci_class;  /* class << 16 | subclass << 8 | programming interface */

	/* Once, before everything else: @vdev is what the class calls the transport with. */
	void (*attach)(void *dev, struct virtio_dev *vdev);

	/* The driver has set DRIVER_OK; @features are the negotiated ones. Before the first queue(). May be NULL. */
	void (*start)(void *dev, uint64_t features);

	/* The driver added buffers to queue @index, or vq_pop ended early: pop until vq_pop gives 0. Also called
	 * once for every queue after start. Never called for a queue that is not enabled. */
	void (*queue)(void *dev, unsigned index);

	/* Return to the state before start: forget popped buffers, stop using queues. By now vq_pop gives 0 and
	 * vq_push does nothing. 0: done, nothing touches guest memory any more. -EINPROGRESS: I/O into guest
	 * memory is still under way; call virtio_reset_done when it is not (on any thread). The driver sees the
	 * reset end only then. Not called for a device that was never started or configured. May be NULL. */
	int (*reset)(void *dev);

	/* Waits until none of the device's I/O is under way; its buffers have been pushed then. Called on the
	 * loop's thread with the loop not running and the vcpus stopped: before a machine's reset, a snapshot
	 * or the end. So it must not need loop_post to come to an end. May be NULL. */
	void (*drain)(void *dev);

	/* Device configuration space (2.5): [off, off+len) lies within config_len. Writes to it that a driver
	 * may not make are ignored. NULL: reads as zeroes, is not writable. */
	void (*config_read)(void *dev, unsigned off, void *buf, unsigned len);
	void (*config_write)(void *dev, unsigned off, const void *buf, unsigned len);

	void (*destroy)(void *dev); /* after drain; frees the device */

	/* As in struct device_ops, for the class's own state (queues are the transport's); after drain.
	 * load is called in place of start, after attach. Both may be NULL when there is no state. */
	size_t (*save)(void *dev, void *buf, size_t cap);
	int (*load)(void *dev, const void *buf, size_t len);
};

/* A device as its create function hands it over */
struct virtio_model {
	const struct virtio_ops *ops;
	void *dev;
	uint64_t features;      /* offered, besides the transport's own; bits 0-23 and 50-63 (2.2) */
	unsigned config_len;    /* bytes of device configuration space, at most 4096 */
	unsigned nqueues;       /* at most VIRTIO_QUEUES_MAX */
	uint16_t queue_size;    /* of every queue, a power of two up to VQ_SIZE_MAX; the driver may choose less */
};

/* --- what a class calls --- */

struct virtq *virtio_queue(struct virtio_dev *, unsigned index); /* index < nqueues; the same for ever */
uint64_t virtio_features(const struct virtio_dev *);             /* negotiated; 0 before start */
bool virtio_started(const struct virtio_dev *);                  /* DRIVER_OK is set and the device is not broken */

/* Has ops->queue(dev, index) called soon on the loop's thread; many calls before that are one. */
void virtio_kick(struct virtio_dev *, unsigned index);

/* The device configuration space has changed: the generation moves, the driver is interrupted (2.5, 4.1.4.5). */
void virtio_config_changed(struct virtio_dev *);

/* The driver broke the protocol: DEVICE_NEEDS_RESET (2.1.2). Queues give and take nothing until the reset.
 * vq_pop has done this already when it returns -EPROTO. @why goes to the log, a bounded number of times. */
void virtio_broken(struct virtio_dev *, const char *why);

/* Ends a reset for which ops->reset returned -EINPROGRESS */
void virtio_reset_done(struct virtio_dev *);

#endif
