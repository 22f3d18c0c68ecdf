/* virtio_dev.h - the life of a virtio device between a transport and a device class: status, features,
 * queues, reset (virtio 1.2, chapters 2 and 3). For transports and tests; classes see virtio.h.
 *
 *   status 0 ─► ACKNOWLEDGE, DRIVER ─► FEATURES_OK ─► DRIVER_OK ── queues run ──► 0
 *                                                        └── the driver broke something: NEEDS_RESET ─► 0
 *
 * A write of 0 stops the queues at once; the class hears of it on the loop's thread, and only when it
 * has finished does the status read 0. */
#ifndef VIRTIO_VIRTIO_DEV_H
#define VIRTIO_VIRTIO_DEV_H

#include <stdatomic.h>

#include "base/log.h"
#include "host/loop.h"
#include "virtio/virtio.h"

struct devstate;
struct err;

/* Device status (2.1) */
enum {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

/* What a transport does for the device; any thread. reset: with the device's lock held. */
struct virtio_transport {
	void (*queue_irq)(void *ctx, unsigned index);
	void (*config_irq)(void *ctx);
	void (*reset)(void *ctx); /* forget vectors, take interrupts back */
	void *ctx;
};

/* A queue as the driver sets it up */
struct virtio_queue_regs {
	uint64_t desc, driver, device;
	uint16_t size;
	bool enable;
};

struct virtio_dev {
	struct virtio_model model;
	struct memmap *mem;
	struct loop *loop;
	struct virtio_transport transport;
	uint64_t offered;

	pthread_mutex_t lock;        /* guards what follows up to `status`; taken before a queue's */
	uint64_t accepted;           /* the driver's features */
	struct virtio_queue_regs regs[VIRTIO_QUEUES_MAX];
	bool resetting;              /* the class has not finished with ops->reset */
	bool started;                /* the class knows of a driver: it needs a reset */

	_Atomic uint8_t status;      /* written under the lock */
	_Atomic uint8_t generation;  /* of the device configuration space */
	_Atomic unsigned todo;       /* for the loop's thread: TODO_* */
	_Atomic uint64_t kicked;     /* queues to call; whoever finds it 0 arms the timer */
	struct loop_timer work;
	struct log_limit log;
	struct virtq queues[VIRTIO_QUEUES_MAX];
};

struct virtio_dev_config {
	struct memmap *mem;
	struct loop *loop;
	struct virtio_transport transport;
	uint64_t withheld; /* features not to offer: for tests */
};

/* On success the device owns @model's dev, on failure the caller still does. */
int virtio_dev_create(const struct virtio_dev_config *, const struct virtio_model *model, struct virtio_dev **out,
		      struct err *e);
void virtio_dev_destroy(struct virtio_dev *); /* accepts NULL */

uint8_t virtio_status_read(struct virtio_dev *);
void virtio_status_write(struct virtio_dev *, uint8_t val);
/* Bits [32*sel+31:32*sel] of the features: offered, or accepted by the driver */
uint32_t virtio_features_offered(struct virtio_dev *, uint32_t sel);
uint32_t virtio_features_accepted(struct virtio_dev *, uint32_t sel);
void virtio_features_accept(struct virtio_dev *, uint32_t sel, uint32_t bits);
/* The driver's set-up of a queue; changes are ignored once it is enabled */
void virtio_queue_regs_get(struct virtio_dev *, unsigned index, struct virtio_queue_regs *);
void virtio_queue_regs_set(struct virtio_dev *, unsigned index, const struct virtio_queue_regs *);
/* Device configuration space: reads beyond its end give zeroes, writes there vanish */
void virtio_config_read(struct virtio_dev *, uint64_t off, void *buf, unsigned len);
void virtio_config_write(struct virtio_dev *, uint64_t off, const void *buf, unsigned len);

/* The machine's reset: at once, with vcpus and loop stopped */
void virtio_dev_reset(struct virtio_dev *);
/* For snapshots, after virtio_dev_drain: the state of device, queues and class */
void virtio_dev_drain(struct virtio_dev *);
void virtio_dev_sync(struct virtio_dev *, struct devstate *);

#endif
