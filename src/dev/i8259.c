/* i8259.c - two 8259A interrupt controllers in cascade (Intel 8259A data sheet), and the ELCR. */
#include "dev/i8259.h"

#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "dev/devstate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define CASCADE 2 /* the master's input with the slave on it */

#define ICW1_ICW4 1u
#define ICW1_SINGLE 2u
#define ICW1 0x10u
#define ICW4_AEOI 2u
#define ICW4_SFNM 0x10u
#define OCW3 0x08u

struct regs {
	uint8_t irr, imr, isr, lines, elcr;
	uint8_t base;      /* ICW2: vector of input 0 */
	uint8_t lowest;    /* input with the lowest priority now: 7 until rotated */
	uint8_t init_step; /* next: 0 none, 2 ICW2, 3 ICW3, 4 ICW4 */
	bool need_icw4, single, aeoi, rotate_aeoi, sfnm, special_mask, read_isr, poll;
};

struct chip {
	struct i8259 *pair;
	bool slave;
	struct regs r;
};

struct i8259 {
	pthread_mutex_t lock; /* guards all below */
	struct chip chip[2];  /* master, slave */
	void (*intr)(void *ctx, bool level);
	void *ctx;
	bool out;             /* level of INT as last told */
};

/* How far below the highest priority input n stands: 0-7 */
static unsigned rank(const struct regs *r, unsigned n)
{
	return (n - r->lowest - 1) & 7;
}

/* Highest-priority input among @set, or -1 */
static int highest(const struct regs *r, unsigned set)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned n = (r->lowest + i) & 7;

		if (set & 1u << n)
			return (int)n;
	}
	return -1;
}

/* The input for which the chip asserts INT now, or -1 */
static int requested(const struct chip *c)
{
	const struct regs *r = &c->r;
	unsigned serving = r->isr;
	int n = highest(r, r->irr & ~r->imr), s;

	if (n < 0 || r->init_step)
		return -1;
	/* In special mask mode an input in service that is masked keeps nobody waiting */
	if (r->special_mask)
		serving &= ~r->imr;
	/* In special fully nested mode the slave may interrupt its own service */
	if (r->sfnm && !c->slave)
		serving &= ~(1u << CASCADE);
	s = highest(r, serving);
	return s < 0 || rank(r, (unsigned)n) < rank(r, (unsigned)s) ? n : -1;
}

static void line_set(struct regs *r, unsigned n, bool level)
{
	uint8_t bit = (uint8_t)(1u << n);

	if (level && ((r->elcr & bit) || !(r->lines & bit)))
		r->irr |= bit;
	else if (!level)
		r->irr &= (uint8_t)~bit; /* a request that does not last until INTA is a spurious one */
	r->lines = level ? r->lines | bit : r->lines & (uint8_t)~bit;
}

static void update(struct i8259 *d)
{
	const uint8_t bit = 1u << CASCADE;
	struct regs *m = &d->chip[0].r;
	bool out;

	/* The slave's INT is a level to the master, whatever the mode: it stays up until all are served */
	m->irr &= (uint8_t)~bit;
	if (requested(&d->chip[1]) >= 0)
		m->irr |= bit;
	out = requested(&d->chip[0]) >= 0;
	if (out == d->out)
		return;
	d->out = out;
	d->intr(d->ctx, out);
}

void i8259_set(struct i8259 *d, unsigned irq, bool level)
{
	if (irq > 15 || irq == CASCADE)
		return;
	pthread_mutex_lock(&d->lock);
	line_set(&d->chip[irq >> 3].r, irq & 7, level);
	update(d);
	pthread_mutex_unlock(&d->lock);
}

/* INTA for one chip: its input, 7 when there is no request (and then nothing is in service) */
static unsigned chip_ack(struct chip *c)
{
	struct regs *r = &c->r;
	int n = requested(c);
	uint8_t bit;

	if (n < 0)
		return 7;
	bit = (uint8_t)(1u << n);
	if (!(r->elcr & bit) && !(n == CASCADE && !c->slave))
		r->irr &= (uint8_t)~bit;
	if (!r->aeoi)
		r->isr |= bit;
	else if (r->rotate_aeoi)
		r->lowest = (uint8_t)n;
	return (unsigned)n;
}

int i8259_ack(struct i8259 *d)
{
	unsigned n;
	int vector;

	pthread_mutex_lock(&d->lock);
	n = chip_ack(&d->chip[0]);
	vector = d->chip[0].r.base + (int)n;
	if (n == CASCADE)
		vector = d->chip[1].r.base + (int)chip_ack(&d->chip[1]);
	update(d);
	pthread_mutex_unlock(&d->lock);
	return vector;
}

static void eoi(struct regs *r, unsigned cmd)
{
	/* bit 5: EOI, 6: the input is named, 7: rotate */
	bool named = cmd & 0x40;
	unsigned serving = r->special_mask ? r->isr & ~r->imr : r->isr;
	int n = named ? (int)(cmd & 7) : highest(r, serving);

	switch (cmd >> 5) {
	case 0:
		r->rotate_aeoi = false;
		break;
	case 4:
		r->rotate_aeoi = true;
		break;
	case 6: /* set priority, no EOI */
		r->lowest = cmd & 7;
		break;
	case 2: /* no operation */
		break;
	default:
		if (n < 0)
			break;
		r->isr &= (uint8_t)~(1u << n);
		if (cmd & 0x80)
			r->lowest = (uint8_t)n;
		break;
	}
}

static void icw1(struct regs *r, uint8_t val)
{
	/* Edge sensing starts anew: a line that is up must fall first. Only level inputs ask at once */
	*r = (struct regs){ .lines = r->lines, .elcr = r->elcr, .base = r->base, .lowest = 7, .init_step = 2,
			    .need_icw4 = val & ICW1_ICW4, .single = val & ICW1_SINGLE };
	r->irr = r->lines & r->elcr;
}

static void command_write(struct regs *r, uint8_t val)
{
	if (val & ICW1) {
		icw1(r, val);
		return;
	}
	if (!(val & OCW3)) {
		eoi(r, val);
		return;
	}
	if (val & 4)
		r->poll = true;
	if (val & 2)
		r->read_isr = val & 1;
	if (val & 0x40)
		r->special_mask = val & 0x20;
}

static void data_write(struct regs *r, uint8_t val)
{
	switch (r->init_step) {
	case 2:
		r->base = val & 0xf8;
		r->init_step = r->single ? (r->need_icw4 ? 4 : 0) : 3;
		break;
	case 3: /* the wiring is fixed, so its description is of no interest */
		r->init_step = r->need_icw4 ? 4 : 0;
		break;
	case 4:
		r->aeoi = val & ICW4_AEOI;
		r->sfnm = val & ICW4_SFNM;
		r->init_step = 0;
		break;
	default:
		r->imr = val;
		break;
	}
}

static void chip_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct chip *c = dev;

	pthread_mutex_lock(&c->pair->lock);
	if (off)
		data_write(&c->r, (uint8_t)val);
	else
		command_write(&c->r, (uint8_t)val);
	update(c->pair);
	pthread_mutex_unlock(&c->pair->lock);
}

static uint64_t chip_read(void *dev, uint64_t off, unsigned size)
{
	struct chip *c = dev;
	struct regs *r = &c->r;
	uint8_t v;

	pthread_mutex_lock(&c->pair->lock);
	if (r->poll) { /* a poll is an INTA: bit 7 says that there was a request */
		r->poll = false;
		v = requested(c) >= 0 ? (uint8_t)(0x80 | chip_ack(c)) : 0;
		update(c->pair);
	} else if (off) {
		v = r->imr;
	} else {
		v = r->read_isr ? r->isr : r->irr;
	}
	pthread_mutex_unlock(&c->pair->lock);
	return v;
}

/* Inputs 0, 1, 2, 8 and 13 are edges on every PC */
static const uint8_t elcr_mask[2] = { 0xf8, 0xde };

static uint64_t elcr_read(void *dev, uint64_t off, unsigned size)
{
	struct i8259 *d = dev;
	uint8_t v;

	pthread_mutex_lock(&d->lock);
	v = d->chip[off & 1].r.elcr;
	pthread_mutex_unlock(&d->lock);
	return v;
}

static void elcr_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct i8259 *d = dev;
	struct regs *r = &d->chip[off & 1].r;

	pthread_mutex_lock(&d->lock);
	r->elcr = (uint8_t)val & elcr_mask[off & 1];
	r->irr |= r->lines & r->elcr;
	update(d);
	pthread_mutex_unlock(&d->lock);
}

/* As firmware leaves them: initialised, vectors 08h and 70h, all masked (the lines keep their levels) */
static void i8259_reset(void *dev)
{
	struct i8259 *d = dev;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < 2; i++) {
		struct regs *r = &d->chip[i].r;

		*r = (struct regs){ .lines = r->lines, .imr = 0xff, .lowest = 7, .base = i ? 0x70 : 0x08 };
	}
	update(d);
	pthread_mutex_unlock(&d->lock);
}

static void i8259_destroy(void *dev)
{
	struct i8259 *d = dev;

	if (!d)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void sync_chip(struct devstate *s, struct regs *r)
{
	ds_tag(s, 0x39353238, 1);
	ds_u8(s, &r->irr);
	ds_u8(s, &r->imr);
	ds_u8(s, &r->isr);
	ds_u8(s, &r->lines);
	ds_u8(s, &r->elcr);
	ds_u8(s, &r->base);
	ds_u8(s, &r->lowest);
	ds_u8(s, &r->init_step);
	ds_bool(s, &r->need_icw4);
	ds_bool(s, &r->single);
	ds_bool(s, &r->aeoi);
	ds_bool(s, &r->rotate_aeoi);
	ds_bool(s, &r->sfnm);
	ds_bool(s, &r->special_mask);
	ds_bool(s, &r->read_isr);
	ds_bool(s, &r->poll);
}

static size_t i8259_save(void *dev, void *buf, size_t cap)
{
	struct i8259 *d = dev;
	struct devstate s = devstate_saver(buf, cap);

	pthread_mutex_lock(&d->lock);
	sync_chip(&s, &d->chip[0].r);
	sync_chip(&s, &d->chip[1].r);
	pthread_mutex_unlock(&d->lock);
	return s.pos;
}

static int i8259_load(void *dev, const void *buf, size_t len)
{
	struct i8259 *d = dev;
	struct devstate s = devstate_loader(buf, len);
	struct regs r[2] = { { 0 }, { 0 } };

	sync_chip(&s, &r[0]);
	sync_chip(&s, &r[1]);
	if (ds_finish(&s))
		return -EINVAL;
	for (unsigned i = 0; i < 2; i++) {
		if (r[i].lowest > 7 || r[i].init_step > 4 || r[i].init_step == 1 || (r[i].base & 7) ||
		    (r[i].elcr & ~elcr_mask[i]))
			return -EINVAL;
	}
	pthread_mutex_lock(&d->lock);
	d->chip[0].r = r[0];
	d->chip[1].r = r[1];
	update(d);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

const struct device_ops i8259_ops = {
	.name = "i8259", .reset = i8259_reset, .destroy = i8259_destroy, .save = i8259_save, .load = i8259_load,
};

static const struct device_ops chip_ops = {
	.name = "i8259", .max_size = 1, .read = chip_read, .write = chip_write,
};

static const struct device_ops elcr_ops = {
	.name = "elcr", .max_size = 1, .read = elcr_read, .write = elcr_write,
};

int i8259_create(struct bus *pio, void (*intr)(void *ctx, bool level), void *ctx, struct i8259 **out, struct err *e)
{
	struct i8259 *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "i8259: out of memory");
	pthread_mutex_init(&d->lock, NULL);
	d->intr = intr;
	d->ctx = ctx;
	d->chip[0].pair = d->chip[1].pair = d;
	d->chip[1].slave = true;
	i8259_reset(d);
	rc = bus_add(pio, PORT_PIC1, 2, &chip_ops, &d->chip[0], e);
	if (rc)
		goto fail;
	rc = bus_add(pio, PORT_PIC2, 2, &chip_ops, &d->chip[1], e);
	if (rc)
		goto fail_pic1;
	rc = bus_add(pio, PORT_ELCR, 2, &elcr_ops, d, e);
	if (rc)
		goto fail_pic2;
	*out = d;
	return 0;

fail_pic2:
	bus_remove(pio, PORT_PIC2);
fail_pic1:
	bus_remove(pio, PORT_PIC1);
fail:
	i8259_destroy(d);
	return rc;
}
