/* reset.c - the reset control register CF9h (ICH data sheet, 13.7.5) and system control port A, 92h. */
#include "dev/reset.h"

#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "core/power.h"
#include "dev/devstate.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CF9_RST_CPU 4u /* a rising edge resets */
#define CF9_BITS 0x0eu
#define A_FAST_RESET 1u
#define A_A20 2u

struct reset_port {
	const struct power_sink *power;
	_Atomic uint8_t cf9, sysctl_a;
};

static uint64_t cf9_read(void *dev, uint64_t off, unsigned size)
{
	struct reset_port *d = dev;

	return atomic_load(&d->cf9);
}

static void cf9_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct reset_port *d = dev;
	uint8_t old = atomic_exchange(&d->cf9, (uint8_t)(val & CF9_BITS));

	if (val & ~old & CF9_RST_CPU)
		d->power->event(d->power->ctx, POWER_RESET);
}

static uint64_t sysctl_a_read(void *dev, uint64_t off, unsigned size)
{
	struct reset_port *d = dev;

	return atomic_load(&d->sysctl_a);
}

static void sysctl_a_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct reset_port *d = dev;
	uint8_t old = atomic_exchange(&d->sysctl_a, (uint8_t)val);

	if (val & ~old & A_FAST_RESET)
		d->power->event(d->power->ctx, POWER_RESET);
}

/* The A20 gate is open always; its bit is only kept */
static void reset_reset(void *dev)
{
	struct reset_port *d = dev;

	atomic_store(&d->cf9, 0);
	atomic_store(&d->sysctl_a, A_A20);
}

static void sync_state(struct devstate *s, uint8_t *cf9, uint8_t *a)
{
	ds_tag(s, 0x54455352, 1);
	ds_u8(s, cf9);
	ds_u8(s, a);
}

static size_t reset_save(void *dev, void *buf, size_t cap)
{
	struct reset_port *d = dev;
	struct devstate s = devstate_saver(buf, cap);
	uint8_t cf9 = d->cf9, a = d->sysctl_a;

	sync_state(&s, &cf9, &a);
	return s.pos;
}

static int reset_load(void *dev, const void *buf, size_t len)
{
	struct reset_port *d = dev;
	struct devstate s = devstate_loader(buf, len);
	uint8_t cf9 = 0, a = 0;

	sync_state(&s, &cf9, &a);
	if (ds_finish(&s) || (cf9 & ~CF9_BITS))
		return -EINVAL;
	atomic_store(&d->cf9, cf9);
	atomic_store(&d->sysctl_a, a);
	return 0;
}

const struct device_ops reset_ops = {
	.name = "reset", .max_size = 1,
	.read = cf9_read, .write = cf9_write, .reset = reset_reset, .destroy = free,
	.save = reset_save, .load = reset_load,
};

static const struct device_ops sysctl_a_ops = {
	.name = "sysctl-a", .max_size = 1, .read = sysctl_a_read, .write = sysctl_a_write,
};

int reset_create(struct bus *pio, const struct power_sink *power, struct reset_port **out, struct err *e)
{
	struct reset_port *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "reset: out of memory");
	d->power = power;
	reset_reset(d);
	rc = bus_add(pio, PORT_RESET, 1, &reset_ops, d, e);
	if (!rc) {
		rc = bus_add(pio, PORT_SYSCTL_A, 1, &sysctl_a_ops, d, e);
		if (rc)
			bus_remove(pio, PORT_RESET);
	}
	if (rc) {
		free(d);
		return rc;
	}
	*out = d;
	return 0;
}
