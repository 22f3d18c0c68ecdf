/* console.c - the console device: one port, its window's size, emergency output. */
#include "virtio/console.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "dev/devstate.h"
#include "host/loop.h"

#define F_SIZE        (1ull << 0)
#define F_EMERG_WRITE (1ull << 2)

enum { Q_RECEIVE, Q_TRANSMIT, QUEUES }; /* 5.3.2 */
#define QUEUE_SIZE 128u

/* Configuration (5.3.4) */
enum { CFG_COLS = 0, CFG_ROWS = 2, CFG_MAX_PORTS = 4, CFG_EMERGENCY = 8, CFG_LEN = 12 };

#define RETRY_NS 3000000ull /* a slow reader is asked again after this */
#define EMERGENCY_MAX 256u
#define TURN_MAX 65536u        /* bytes written out at once; then others have a turn */

struct console {
	struct console_config cfg;
	struct virtio_dev *vdev;
	_Atomic uint32_t size;        /* rows << 16 | cols */

	/* The loop's thread only */
	struct vq_chain tx;           /* the buffer that is being written out */
	bool tx_busy;
	uint64_t tx_done;             /* bytes of it that are out */
	bool starved;                 /* input waits for buffers */
	struct loop_timer retry;

	pthread_mutex_t lock;         /* guards emergency output, which comes from vcpus' threads */
	uint8_t emergency[EMERGENCY_MAX];
	unsigned emergency_len;
};

/* --- output --- */

/* What was written into the emergency register comes out first. False: the reader is slow. */
static bool emergency_out(struct console *c)
{
	bool done;

	pthread_mutex_lock(&c->lock);
	if (c->emergency_len) {
		size_t n = c->cfg.out(c->cfg.ctx, c->emergency, c->emergency_len);

		c->emergency_len -= (unsigned)n;
		memmove(c->emergency, c->emergency + n, c->emergency_len);
	}
	done = !c->emergency_len;
	pthread_mutex_unlock(&c->lock);
	return done;
}

/* Writes what @turn still allows of the rest of the buffer. False: not all of it could be written now. */
static bool chain_out(struct console *c, size_t *turn)
{
	uint64_t skip = c->tx_done;

	for (unsigned i = 0; i < c->tx.nout; i++) {
		const uint8_t *p = c->tx.iov[i].iov_base;
		size_t len = c->tx.iov[i].iov_len, want, n;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		want = len - skip < *turn ? len - skip : *turn;
		n = want ? c->cfg.out(c->cfg.ctx, p + skip, want) : 0;
		c->tx_done += n;
		*turn -= n;
		if (n < len - skip)
			return false;
		skip = 0;
	}
	return true;
}

static void transmit(struct console *c)
{
	struct virtq *q = virtio_queue(c->vdev, Q_TRANSMIT);
	bool flows = emergency_out(c);
	size_t turn = TURN_MAX;

	while (flows) {
		if (!c->tx_busy && vq_pop(q, &c->tx) != 1)
			break;
		c->tx_busy = true;
		flows = chain_out(c, &turn);
		if (flows) {
			vq_push(q, &c->tx, 0);
			c->tx_busy = false;
			c->tx_done = 0;
		}
	}
	vq_notify(q);
	if (!flows)
		loop_timer_set(&c->retry, turn ? clock_now_ns() + RETRY_NS : 0);
}

static void on_retry(void *ctx) { transmit(ctx); }

/* --- input --- */

bool virtio_console_ready(const struct console *c) { return virtio_started(c->vdev); }

size_t virtio_console_input(struct console *c, const uint8_t *buf, size_t n)
{
	struct virtq *q = virtio_queue(c->vdev, Q_RECEIVE);
	struct vq_chain chain;
	size_t done = 0;

	while (done < n && vq_pop(q, &chain) == 1) {
		size_t part = vq_chain_write(&chain, 0, buf + done, n - done);

		vq_push(q, &chain, (uint32_t)part);
		done += part;
	}
	vq_notify(q);
	c->starved = done < n;
	return done;
}

static void receive(struct console *c)
{
	if (!c->starved)
		return;
	c->starved = false;
	c->cfg.room(c->cfg.ctx);
}

static void console_queue(void *dev, unsigned index)
{
	if (index == Q_TRANSMIT)
		transmit(dev);
	else
		receive(dev);
}

/* --- configuration --- */

void virtio_console_resize(struct console *c, uint16_t cols, uint16_t rows)
{
	if (atomic_exchange(&c->size, (uint32_t)rows << 16 | cols) != ((uint32_t)rows << 16 | cols))
		virtio_config_changed(c->vdev);
}

static void console_config_read(void *dev, unsigned off, void *buf, unsigned len)
{
	struct console *c = dev;
	uint8_t cfg[CFG_LEN] = { 0 };
	uint32_t size = atomic_load(&c->size);

	le16_store(cfg + CFG_COLS, (uint16_t)size);
	le16_store(cfg + CFG_ROWS, (uint16_t)(size >> 16));
	le32_store(cfg + CFG_MAX_PORTS, 1);
	memcpy(buf, cfg + off, len);
}

/* A character at a time, from a guest that has no queues (yet); more than we can hold is lost */
static void console_config_write(void *dev, unsigned off, const void *buf, unsigned len)
{
	struct console *c = dev;

	if (off != CFG_EMERGENCY)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->emergency_len < EMERGENCY_MAX)
		c->emergency[c->emergency_len++] = *(const uint8_t *)buf;
	pthread_mutex_unlock(&c->lock);
	loop_timer_set(&c->retry, 0);
}

/* --- life --- */

static void tx_forget(struct console *c)
{
	c->tx_busy = false;
	c->tx_done = 0;
	loop_timer_set(&c->retry, UINT64_MAX);
}

static int console_reset(void *dev)
{
	((struct console *)dev)->starved = true; /* the next driver is offered what there is */
	tx_forget(dev);
	return 0;
}

/* A buffer that is half written goes back into the ring, with what of it is out remembered */
static void console_drain(void *dev)
{
	struct console *c = dev;

	if (!c->tx_busy)
		return;
	vq_unpop(virtio_queue(c->vdev, Q_TRANSMIT), &c->tx);
	c->tx_busy = false;
	virtio_kick(c->vdev, Q_TRANSMIT);
}

static void console_attach(void *dev, struct virtio_dev *vdev)
{
	struct console *c = dev;

	c->vdev = vdev;
	loop_timer_init(&c->retry, c->cfg.loop, on_retry, c);
}

static void console_destroy(void *dev)
{
	struct console *c = dev;

	if (c->vdev)
		loop_timer_fini(&c->retry);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static size_t console_save(void *dev, void *buf, size_t cap)
{
	struct console *c = dev;
	struct devstate s = devstate_saver(buf, cap);

	ds_u64(&s, &c->tx_done);
	return s.pos;
}

static int console_load(void *dev, const void *buf, size_t len)
{
	struct console *c = dev;
	struct devstate s = devstate_loader(buf, len);
	uint64_t done = 0;

	ds_u64(&s, &done);
	if (ds_finish(&s))
		return -EINVAL;
	c->tx_done = done;
	return 0;
}

static const struct virtio_ops console_ops = {
	.name = "virtio-console", .id = VIRTIO_ID_CONSOLE, .pci_class = 0x078000,
	.attach = console_attach, .queue = console_queue, .reset = console_reset, .drain = console_drain,
	.config_read = console_config_read, .config_write = console_config_write, .destroy = console_destroy,
	.save = console_save, .load = console_load,
};

int virtio_console_create(const struct console_config *cfg, struct virtio_model *out, struct console **handle,
			  struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, -ENOMEM, "virtio-console: out of memory");
	c->cfg = *cfg;
	c->starved = true;
	pthread_mutex_init(&c->lock, NULL);
	*out = (struct virtio_model){
		.ops = &console_ops, .dev = c, .features = F_SIZE | F_EMERG_WRITE, .config_len = CFG_LEN,
		.nqueues = QUEUES, .queue_size = QUEUE_SIZE,
	};
	*handle = c;
	return 0;
}
