/* dev_fixture.h - what a device needs around it: buses, a recorder of interrupt lines, a power sink, fake time. */
#ifndef TESTS_DEV_FIXTURE_H
#define TESTS_DEV_FIXTURE_H

#include "core/bus.h"
#include "core/irq.h"
#include "core/layout.h"
#include "core/power.h"
#include "unit/fake_time.h"

#include <stdlib.h>
#include <string.h>

struct lines {
	bool level[32];
	unsigned rises[32];
};

static inline void lines_set(void *ctx, unsigned gsi, bool level)
{
	struct lines *l = ctx;

	l->rises[gsi] += level && !l->level[gsi];
	l->level[gsi] = level;
}

static struct lines lines;
static const struct irq_router lines_router = { .set = lines_set, .ctx = &lines };

static inline struct irq_line line(unsigned gsi) { return (struct irq_line){ &lines_router, gsi }; }

static enum power_event power_last;
static inline void power_note(void *ctx, enum power_event ev) { power_last = ev; }
static const struct power_sink power = { .event = power_note };

static struct bus *pio, *mmio;

static inline void buses_create(void)
{
	lines = (struct lines){ .level = { false } };
	power_last = 0;
	bus_create(&pio, 0x10000);
	bus_create(&mmio, 1ull << 46);
}

static inline void buses_destroy(void)
{
	bus_destroy(pio);
	bus_destroy(mmio);
}

static inline void outb(unsigned port, unsigned val) { bus_write(pio, port, 1, val); }
static inline unsigned inb(unsigned port) { return (unsigned)bus_read(pio, port, 1); }

/* Saves, resets, loads: the state must come back. Returns 0, or which step failed. */
static inline int state_round_trip(const struct device_ops *ops, void *dev)
{
	size_t len = ops->save(dev, NULL, 0);
	uint8_t *a = malloc(len), *b = malloc(len);
	int rc = 0;

	if (ops->save(dev, a, len) != len)
		rc = 1;
	if (ops->reset)
		ops->reset(dev);
	if (!rc && ops->load(dev, a, len) != 0)
		rc = 2;
	if (!rc && (ops->save(dev, b, len) != len || memcmp(a, b, len)))
		rc = 3;
	for (size_t n = 0; !rc && n < len; n++) { /* short ones are refused, and change nothing */
		if (!ops->load(dev, a, n))
			rc = 4;
	}
	a[0] ^= 1; /* somebody else's */
	if (!rc && !ops->load(dev, a, len))
		rc = 5;
	if (!rc && (ops->save(dev, a, len) != len || memcmp(a, b, len)))
		rc = 6;
	free(a);
	free(b);
	return rc;
}

#endif
