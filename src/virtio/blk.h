/* blk.h - the block device (virtio 1.2, 5.2): a disk image as a disk. */
#ifndef VIRTIO_BLK_H
#define VIRTIO_BLK_H

#include "virtio/virtio.h"

struct block;
struct err;

#define VIRTIO_BLK_SERIAL_MAX 20u

struct virtio_blk_config {
	struct block *block; /* the device's from the time that create succeeds: closed with it */
	const char *serial;  /* at most VIRTIO_BLK_SERIAL_MAX bytes, or NULL: none */
	unsigned nqueues;    /* 1 .. VIRTIO_QUEUES_MAX */
};

int virtio_blk_create(const struct virtio_blk_config *, struct virtio_model *out, struct err *e);

#endif
