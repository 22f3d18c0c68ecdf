/* ioapic.c - the I/O APIC's registers, pins and redirection (82093AA data sheet; EOI register as in the ICH). */
#include "dev/ioapic.h"

#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "dev/devstate.h"
#include "dev/lapic.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define REG_SELECT 0x00
#define REG_WINDOW 0x10
#define REG_EOI 0x40
#define WINDOW_LEN 0x400 /* decoded by the chip set: the registers repeat nowhere */

#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

/* Redirection table entry */
#define RTE_LOGICAL (1ull << 11)
#define RTE_REMOTE_IRR (1ull << 14)
#define RTE_LEVEL (1ull << 15)
#define RTE_MASKED (1ull << 16)
#define RTE_WRITABLE 0xff0000000001afffull /* not delivery status (12) and remote IRR (14) */

struct regs {
	uint32_t select, lines, id;
	uint64_t rte[IOAPIC_PINS];
};

struct ioapic {
	pthread_mutex_t lock; /* guards r */
	unsigned (*deliver)(void *ctx, const struct apic_msg *);
	void *ctx;
	struct regs r;
};

/* Sends the pin's message: true if somebody took it */
static bool send(struct ioapic *d, unsigned pin)
{
	uint64_t rte = d->r.rte[pin];
	struct apic_msg m = {
		.vector = (uint8_t)rte, .mode = rte >> 8 & 7, .logical = rte & RTE_LOGICAL,
		.level = rte & RTE_LEVEL, .dest = (uint32_t)(rte >> 56),
	};

	if (m.dest == 0xff && !m.logical)
		m.dest = APIC_DEST_ALL;
	return d->deliver(d->ctx, &m) > 0;
}

/* A level pin asks until it is answered, and again after the EOI */
static void level_check(struct ioapic *d, unsigned pin)
{
	uint64_t rte = d->r.rte[pin];
	unsigned mode = rte >> 8 & 7;

	if (!(rte & RTE_LEVEL) || (rte & (RTE_MASKED | RTE_REMOTE_IRR)) || !(d->r.lines & 1u << pin))
		return;
	/* Only what ends in an EOI is waited for; it may come before send returns, but not past our lock */
	if (send(d, pin) && (mode == APIC_FIXED || mode == APIC_LOWEST))
		d->r.rte[pin] |= RTE_REMOTE_IRR;
}

void ioapic_set(struct ioapic *d, unsigned pin, bool level)
{
	uint32_t bit = 1u << (pin & 31);
	bool rose;

	if (pin >= IOAPIC_PINS)
		return;
	pthread_mutex_lock(&d->lock);
	rose = level && !(d->r.lines & bit);
	d->r.lines = level ? d->r.lines | bit : d->r.lines & ~bit;
	if (rose && !(d->r.rte[pin] & (RTE_LEVEL | RTE_MASKED)))
		send(d, pin);
	else if (rose)
		level_check(d, pin);
	pthread_mutex_unlock(&d->lock);
}

static void eoi(struct ioapic *d, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *rte = &d->r.rte[pin];

		if ((uint8_t)*rte != vector || (*rte & (RTE_LEVEL | RTE_REMOTE_IRR)) != (RTE_LEVEL | RTE_REMOTE_IRR))
			continue;
		*rte &= ~RTE_REMOTE_IRR;
		level_check(d, pin);
	}
}

void ioapic_eoi(struct ioapic *d, uint8_t vector)
{
	pthread_mutex_lock(&d->lock);
	eoi(d, vector);
	pthread_mutex_unlock(&d->lock);
}

static uint32_t window_read(const struct ioapic *d)
{
	unsigned reg = d->r.select, pin = (reg - 0x10) / 2;

	switch (reg) {
	case 0: /* identification */
	case 2: /* arbitration: loaded with the id */
		return d->r.id;
	case 1:
		return VERSION;
	default:
		if (reg < 0x10 || pin >= IOAPIC_PINS)
			return 0;
		return (uint32_t)(reg & 1 ? d->r.rte[pin] >> 32 : d->r.rte[pin]);
	}
}

static void window_write(struct ioapic *d, uint32_t val)
{
	unsigned reg = d->r.select, pin = (reg - 0x10) / 2;
	uint64_t old, new;

	if (reg == 0) {
		d->r.id = val & 0x0f000000;
		return;
	}
	if (reg < 0x10 || pin >= IOAPIC_PINS)
		return;
	old = d->r.rte[pin];
	new = reg & 1 ? (uint64_t)val << 32 | (uint32_t)old : (old & ~0xffffffffull) | val;
	new = (new & RTE_WRITABLE) | (old & RTE_REMOTE_IRR);
	if (!(new & RTE_LEVEL))
		new &= ~RTE_REMOTE_IRR; /* guests end a stuck level interrupt in this way */
	d->r.rte[pin] = new;
	level_check(d, pin);
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
	struct ioapic *d = dev;
	uint32_t v = 0;

	pthread_mutex_lock(&d->lock);
	if (off == REG_SELECT)
		v = d->r.select;
	else if (off == REG_WINDOW)
		v = window_read(d);
	pthread_mutex_unlock(&d->lock);
	return v;
}

static void ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct ioapic *d = dev;

	pthread_mutex_lock(&d->lock);
	if (off == REG_SELECT)
		d->r.select = val & 0xff;
	else if (off == REG_WINDOW)
		window_write(d, (uint32_t)val);
	else if (off == REG_EOI)
		eoi(d, (uint8_t)val);
	pthread_mutex_unlock(&d->lock);
}

static void ioapic_reset(void *dev)
{
	struct ioapic *d = dev;

	pthread_mutex_lock(&d->lock);
	d->r = (struct regs){ .lines = d->r.lines };
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		d->r.rte[i] = RTE_MASKED;
	pthread_mutex_unlock(&d->lock);
}

static void ioapic_destroy(void *dev)
{
	struct ioapic *d = dev;

	if (!d)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void sync_state(struct devstate *s, struct regs *r)
{
	ds_tag(s, 0x43504149, 1);
	ds_u32(s, &r->select);
	ds_u32(s, &r->lines);
	ds_u32(s, &r->id);
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		ds_u64(s, &r->rte[i]);
}

static size_t ioapic_save(void *dev, void *buf, size_t cap)
{
	struct ioapic *d = dev;
	struct devstate s = devstate_saver(buf, cap);

	pthread_mutex_lock(&d->lock);
	sync_state(&s, &d->r);
	pthread_mutex_unlock(&d->lock);
	return s.pos;
}

static int ioapic_load(void *dev, const void *buf, size_t len)
{
	struct ioapic *d = dev;
	struct devstate s = devstate_loader(buf, len);
	struct regs r = { 0 };

	sync_state(&s, &r);
	if (ds_finish(&s) || r.select > 0xff || r.lines >> IOAPIC_PINS || (r.id & ~0x0f000000u))
		return -EINVAL;
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		if (r.rte[i] & ~(RTE_WRITABLE | RTE_REMOTE_IRR))
			return -EINVAL;
	}
	pthread_mutex_lock(&d->lock);
	d->r = r;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

const struct device_ops ioapic_ops = {
	.name = "ioapic", .max_size = 4,
	.read = ioapic_read, .write = ioapic_write, .reset = ioapic_reset, .destroy = ioapic_destroy,
	.save = ioapic_save, .load = ioapic_load,
};

int ioapic_create(struct bus *mmio, unsigned (*deliver)(void *ctx, const struct apic_msg *), void *ctx,
		  struct ioapic **out, struct err *e)
{
	struct ioapic *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "ioapic: out of memory");
	pthread_mutex_init(&d->lock, NULL);
	d->deliver = deliver;
	d->ctx = ctx;
	ioapic_reset(d);
	rc = bus_add(mmio, LAYOUT_IOAPIC, WINDOW_LEN, &ioapic_ops, d, e);
	if (rc < 0) {
		ioapic_destroy(d);
		return rc;
	}
	*out = d;
	return 0;
}
