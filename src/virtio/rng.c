/* rng.c - the entropy device: fills the driver's buffers with random bytes of the host's kernel. */
#include "virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/err.h"

/* More than that is not given at once: a buffer of gigabytes would keep the loop busy for seconds. Drivers
 * ask for what they need again (5.4.6.2 lets the device fill less). */
#define FILL_MAX 65536u
#define QUEUE_SIZE 64u

struct rng {
	struct virtio_dev *vdev;
};

/* Random bytes from the start of the buffer on: how many */
static uint32_t fill(const struct vq_chain *c)
{
	uint32_t done = 0;

	for (unsigned i = c->nout; i < c->nout + c->nin && done < FILL_MAX; i++) {
		uint8_t *p = c->iov[i].iov_base;
		size_t len = c->iov[i].iov_len, at = 0;

		if (len > FILL_MAX - done)
			len = FILL_MAX - done;
		while (at < len) {
			ssize_t n = getrandom(p + at, len - at, 0);

			if (n <= 0)
				return done + (uint32_t)at; /* a host without entropy: the driver asks again */
			at += (size_t)n;
		}
		done += (uint32_t)len;
	}
	return done;
}

static void rng_queue(void *dev, unsigned index)
{
	struct rng *d = dev;
	struct virtq *q = virtio_queue(d->vdev, index);
	struct vq_chain c;

	while (vq_pop(q, &c) == 1)
		vq_push(q, &c, fill(&c));
	vq_notify(q);
}

static void rng_attach(void *dev, struct virtio_dev *vdev) { ((struct rng *)dev)->vdev = vdev; }

static const struct virtio_ops rng_ops = {
	.name = "virtio-rng", .id = VIRTIO_ID_RNG, .pci_class = 0x00ff00,
	.attach = rng_attach, .queue = rng_queue, .destroy = free,
};

int virtio_rng_create(struct virtio_model *out, struct err *e)
{
	struct rng *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(e, -ENOMEM, "virtio-rng: out of memory");
	*out = (struct virtio_model){ .ops = &rng_ops, .dev = d, .nqueues = 1, .queue_size = QUEUE_SIZE };
	return 0;
}
