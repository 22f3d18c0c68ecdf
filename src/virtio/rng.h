/* rng.h - the entropy device (virtio 1.2, 5.4): random bytes of the host's kernel. */
#ifndef VIRTIO_RNG_H
#define VIRTIO_RNG_H

#include "virtio/virtio.h"

struct err;

int virtio_rng_create(struct virtio_model *out, struct err *e);

#endif
