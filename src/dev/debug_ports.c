/* debug_ports.c - two ports for bare-metal test programs: an exit status, and text. */
#include "dev/debug_ports.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "core/bus.h"
#include "core/power.h"
#include "dev/devstate.h"

/* --- the exit port --- */

struct debug_exit {
	const struct power_sink *power;
	_Atomic int value; /* the first byte written, or -1 */
};

static uint64_t debug_exit_read(void *dev, uint64_t off, unsigned size) { return 0; }

static void debug_exit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct debug_exit *d = dev;
	int none = -1;

	if (atomic_compare_exchange_strong(&d->value, &none, (int)(val & 0xff)))
		d->power->event(d->power->ctx, POWER_EXIT);
}

int debug_exit_status(const struct debug_exit *d)
{
	int v = atomic_load(&d->value);

	return v < 0 ? 1 : (v << 1 | 1) & 0xff;
}

static void debug_exit_reset(void *dev) { atomic_store(&((struct debug_exit *)dev)->value, -1); }

/* A machine that has been told to end is not saved: the value is no state */
static size_t debug_exit_save(void *dev, void *buf, size_t cap)
{
	struct devstate s = devstate_saver(buf, cap);

	ds_tag(&s, 0x58454244, 1);
	return s.pos;
}

static int debug_exit_load(void *dev, const void *buf, size_t len)
{
	struct devstate s = devstate_loader(buf, len);

	ds_tag(&s, 0x58454244, 1);
	return ds_finish(&s) ? -EINVAL : 0;
}

const struct device_ops debug_exit_ops = {
	.name = "debug-exit", .max_size = 1,
	.read = debug_exit_read, .write = debug_exit_write, .reset = debug_exit_reset, .destroy = free,
	.save = debug_exit_save, .load = debug_exit_load,
};

int debug_exit_create(struct bus *pio, uint16_t port, const struct power_sink *power, struct debug_exit **out,
		      struct err *e)
{
	struct debug_exit *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(e, -ENOMEM, "debug-exit: out of memory");
	d->power = power;
	atomic_store(&d->value, -1);
	int rc = bus_add(pio, port, 1, &debug_exit_ops, d, e);
	if (rc < 0) {
		free(d);
		return rc;
	}
	*out = d;
	return 0;
}

/* --- the text port --- */

#define DEBUGCON_MARK 0xe9u
#define LINE_MAX_LEN  512u /* below PIPE_BUF: a pipe that polls as writable takes it without blocking */
#define WAIT_MS       100  /* for a reader, once; a machine that is to stop waits no longer for its CPUs */

struct debugcon {
	pthread_mutex_t lock;
	int fd;
	bool owned;
	bool stuck; /* the reader did not read the last time: no more waiting until it does */
	unsigned len;
	char line[LINE_MAX_LEN];
};

/* With the lock held */
static void debugcon_flush(struct debugcon *d)
{
	unsigned done = 0;

	while (done < d->len) {
		struct pollfd p = { .fd = d->fd, .events = POLLOUT };
		if (poll(&p, 1, d->stuck ? 0 : WAIT_MS) <= 0) {
			d->stuck = true;
			break;
		}
		ssize_t n = write(d->fd, d->line + done, d->len - done);
		if (n <= 0 && (n == 0 || errno != EINTR))
			break; /* a full disk, a reader that has gone: the guest goes on */
		done += n > 0 ? (unsigned)n : 0;
		d->stuck = false;
	}
	d->len = 0;
}

static uint64_t debugcon_read(void *dev, uint64_t off, unsigned size) { return DEBUGCON_MARK; }

static void debugcon_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct debugcon *d = dev;

	pthread_mutex_lock(&d->lock);
	d->line[d->len++] = (char)val;
	if ((char)val == '\n' || d->len == LINE_MAX_LEN)
		debugcon_flush(d);
	pthread_mutex_unlock(&d->lock);
}

static void debugcon_reset(void *dev)
{
	struct debugcon *d = dev;

	pthread_mutex_lock(&d->lock);
	debugcon_flush(d);
	pthread_mutex_unlock(&d->lock);
}

static void debugcon_destroy(void *dev)
{
	struct debugcon *d = dev;

	debugcon_flush(d);
	if (d->owned)
		close(d->fd);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* An unfinished line belongs to this process's output, not to the guest's state */
static size_t debugcon_save(void *dev, void *buf, size_t cap)
{
	struct devstate s = devstate_saver(buf, cap);

	ds_tag(&s, 0x4e434244, 1);
	return s.pos;
}

static int debugcon_load(void *dev, const void *buf, size_t len)
{
	struct devstate s = devstate_loader(buf, len);

	ds_tag(&s, 0x4e434244, 1);
	return ds_finish(&s) ? -EINVAL : 0;
}

const struct device_ops debugcon_ops = {
	.name = "debugcon", .max_size = 1,
	.read = debugcon_read, .write = debugcon_write, .reset = debugcon_reset, .destroy = debugcon_destroy,
	.save = debugcon_save, .load = debugcon_load,
};

int debugcon_create(struct bus *pio, uint16_t port, int fd, bool owned, struct debugcon **out, struct err *e)
{
	struct debugcon *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(e, -ENOMEM, "debugcon: out of memory");
	pthread_mutex_init(&d->lock, NULL);
	d->fd = fd;
	d->owned = owned;
	int rc = bus_add(pio, port, 1, &debugcon_ops, d, e);
	if (rc < 0) {
		pthread_mutex_destroy(&d->lock);
		free(d);
		return rc;
	}
	*out = d;
	return 0;
}
