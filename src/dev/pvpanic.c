/* pvpanic.c - the port where a guest's kernel reports its panic. */
#include "dev/pvpanic.h"

#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "core/power.h"
#include "dev/devstate.h"

#include <errno.h>
#include <stdlib.h>

#define EV_PANICKED 1u
#define EV_CRASHLOADED 2u /* a crash kernel takes over: the guest goes on, so there is nothing to do */

struct pvpanic {
	const struct power_sink *power;
};

static uint64_t pvpanic_read(void *dev, uint64_t off, unsigned size)
{
	return EV_PANICKED | EV_CRASHLOADED;
}

static void pvpanic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pvpanic *d = dev;

	if (val & EV_PANICKED)
		d->power->event(d->power->ctx, POWER_PANIC);
}

static size_t pvpanic_save(void *dev, void *buf, size_t cap)
{
	struct devstate s = devstate_saver(buf, cap);

	ds_tag(&s, 0x43494e50, 1);
	return s.pos;
}

static int pvpanic_load(void *dev, const void *buf, size_t len)
{
	struct devstate s = devstate_loader(buf, len);

	ds_tag(&s, 0x43494e50, 1);
	return ds_finish(&s) ? -EINVAL : 0;
}

const struct device_ops pvpanic_ops = {
	.name = "pvpanic", .max_size = 1,
	.read = pvpanic_read, .write = pvpanic_write, .destroy = free,
	.save = pvpanic_save, .load = pvpanic_load,
};

int pvpanic_create(struct bus *pio, const struct power_sink *power, struct pvpanic **out, struct err *e)
{
	struct pvpanic *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "pvpanic: out of memory");
	d->power = power;
	rc = bus_add(pio, PORT_PVPANIC, 1, &pvpanic_ops, d, e);
	if (rc < 0) {
		free(d);
		return rc;
	}
	*out = d;
	return 0;
}
