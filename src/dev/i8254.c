/* i8254.c - the interval timer (Intel 8254 data sheet) and port 61h.
 *
 * Nothing counts here: a channel knows when its count began and computes the rest when
 * asked. Only channel 0 has a host timer, for its interrupt. The line is low from the
 * programming of a mode to the first tick; a tick is a fall and a rise. */
#include "dev/i8254.h"

#include "base/clock.h"
#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "dev/devstate.h"
#include "host/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define TICK_MIN_NS 100000u
#define LATE_MAX_NS 1000000000u

#define RW_LATCH 0
#define RW_LOW 1
#define RW_HIGH 2
#define RW_BOTH 3

#define B_GATE2 1u
#define B_SPEAKER 2u
#define B_REFRESH 0x10u
#define B_OUT2 0x20u

struct channel {
	uint8_t mode, rw;
	bool bcd, gate;
	bool counting;       /* a count has been loaded (modes 1 and 5: and triggered) */
	bool null_count;     /* control word written, count not yet */
	bool wr_high, rd_high; /* next byte of a two-byte access is the high one */
	uint8_t wr_low;
	uint32_t count;      /* period or initial count: 1-65536 */
	uint32_t next;       /* modes 2, 3: count from the next period on; 0 none */
	uint64_t start;      /* PIT clock at which the count began */
	uint64_t held;       /* clocks already counted when the gate stopped it */
	bool latched, status_latched;
	uint16_t latch;
	uint8_t status;
};

struct regs {
	struct channel ch[3];
	uint8_t port_b;  /* bits 0, 1 */
	uint64_t due;    /* PIT clock of channel 0's next tick; UINT64_MAX: none */
};

struct i8254 {
	pthread_mutex_t lock; /* guards r */
	struct irq_line irq;
	struct loop_timer timer;
	struct regs r;
};

static uint64_t ns_to_clocks(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * I8254_HZ / 1000000000u);
}

/* The first nanosecond at which that many clocks have passed */
static uint64_t clocks_to_ns(uint64_t clocks)
{
	return (uint64_t)(((unsigned __int128)clocks * 1000000000u + I8254_HZ - 1) / I8254_HZ);
}

static bool periodic(const struct channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Modes whose count waits for a rising edge of the gate */
static bool triggered(const struct channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

/* Clocks since the count began; takes over a new period's count */
static uint64_t elapsed(struct channel *c, uint64_t now)
{
	uint64_t n;

	if (!c->counting)
		return 0;
	if (!c->gate && !triggered(c))
		return c->held;
	n = now > c->start ? now - c->start : 0;
	if (c->next && n >= c->count) {
		n -= c->count;
		c->start += c->count;
		c->count = c->next;
		c->next = 0;
	}
	return n;
}

static bool output(struct channel *c, uint64_t now)
{
	uint64_t n = elapsed(c, now);

	switch (c->mode) {
	case 0:
		return c->counting && n >= c->count;
	case 1:
		return !c->counting || n >= c->count;
	case 2:
		return !c->counting || !c->gate || n % c->count != c->count - 1;
	case 3:
		return !c->counting || !c->gate || n % c->count < (c->count + 1) / 2;
	default:
		return !c->counting || n != c->count;
	}
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

/* The counting element as a program reads it */
static uint16_t current(struct channel *c, uint64_t now)
{
	uint64_t n = elapsed(c, now), wrap = c->bcd ? 10000 : 65536, v;

	if (c->mode == 2)
		v = c->count - n % c->count;
	else if (c->mode == 3) /* by twos, twice a period; always even */
		v = (c->count & ~1u) - 2 * n % (c->count > 1 ? c->count & ~1u : 2);
	else
		v = c->count + wrap - n % wrap;
	v %= wrap;
	return c->bcd ? to_bcd((uint32_t)v) : (uint16_t)v;
}

static uint64_t due_ns(const struct i8254 *d)
{
	return d->r.due == UINT64_MAX ? UINT64_MAX : clocks_to_ns(d->r.due);
}

/* Channel 0's count has begun or ended: finds its first tick */
static void schedule(struct i8254 *d)
{
	struct channel *c = &d->r.ch[0];

	d->r.due = c->counting ? c->start + c->count + (c->mode >= 4) : UINT64_MAX;
	loop_timer_set(&d->timer, due_ns(d));
}

static void tick(void *ctx)
{
	struct i8254 *d = ctx;
	struct channel *c;
	uint64_t now, soonest, period;

	pthread_mutex_lock(&d->lock);
	c = &d->r.ch[0];
	now = clock_now_ns();
	if (due_ns(d) > now) { /* re-programmed while the timer fired */
		loop_timer_set(&d->timer, due_ns(d));
		pthread_mutex_unlock(&d->lock);
		return;
	}
	irq_set(&d->irq, false);
	irq_set(&d->irq, true);
	if (periodic(c)) {
		elapsed(c, d->r.due); /* a new count begins here */
		d->r.due += c->count;
		if (now > due_ns(d) + LATE_MAX_NS)
			d->r.due = ns_to_clocks(now) + c->count;
		period = clocks_to_ns(c->count);
		soonest = now + (period / 2 > TICK_MIN_NS ? period / 2 : TICK_MIN_NS);
		loop_timer_set(&d->timer, due_ns(d) > soonest ? due_ns(d) : soonest);
	} else {
		d->r.due = UINT64_MAX;
	}
	pthread_mutex_unlock(&d->lock);
}

static uint32_t from_guest(const struct channel *c, uint16_t v)
{
	uint32_t n = v;

	if (c->bcd) /* digits above 9 are undefined on the chip; here they weigh what they say */
		n = (v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15);
	return n ? n : c->bcd ? 10000 : 65536;
}

static void count_write(struct i8254 *d, struct channel *c, uint16_t v)
{
	uint64_t now = ns_to_clocks(clock_now_ns());
	uint32_t n = from_guest(c, v);

	if (periodic(c) && c->counting && !c->null_count) {
		uint64_t done = elapsed(c, now);

		c->start += done - done % c->count; /* so that the next period is one count away */
		c->next = n;
		return;
	}
	c->null_count = false;
	c->count = n;
	c->next = 0;
	c->held = 0;
	c->start = now;
	if (!triggered(c))
		c->counting = true;
	if (c == &d->r.ch[0])
		schedule(d);
}

static void data_write(struct i8254 *d, struct channel *c, uint8_t val)
{
	switch (c->rw) {
	case RW_LOW:
		count_write(d, c, val);
		break;
	case RW_HIGH:
		count_write(d, c, (uint16_t)(val << 8));
		break;
	default:
		if (!c->wr_high)
			c->wr_low = val;
		else
			count_write(d, c, (uint16_t)(val << 8 | c->wr_low));
		c->wr_high = !c->wr_high;
		break;
	}
}

static uint8_t data_read(struct channel *c)
{
	uint16_t v;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	v = c->latched ? c->latch : current(c, ns_to_clocks(clock_now_ns()));
	high = c->rw == RW_HIGH || (c->rw == RW_BOTH && c->rd_high);
	if (c->rw == RW_BOTH)
		c->rd_high = !c->rd_high;
	if (c->rw != RW_BOTH || high)
		c->latched = false;
	return (uint8_t)(high ? v >> 8 : v);
}

static void latch_count(struct channel *c, uint64_t now)
{
	if (c->latched)
		return;
	c->latch = current(c, now);
	c->latched = true;
}

static void latch_status(struct channel *c, uint64_t now)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)((output(c, now) ? 0x80 : 0) | (c->null_count ? 0x40 : 0) | c->rw << 4 | c->mode << 1 |
			      c->bcd);
	c->status_latched = true;
}

static void control_write(struct i8254 *d, uint8_t val)
{
	uint64_t now = ns_to_clocks(clock_now_ns());
	struct channel *c;

	if (val >> 6 == 3) { /* read-back: bits 5 and 4 are low for count and status */
		for (unsigned i = 0; i < 3; i++) {
			if (!(val & 2u << i))
				continue;
			if (!(val & 0x20))
				latch_count(&d->r.ch[i], now);
			if (!(val & 0x10))
				latch_status(&d->r.ch[i], now);
		}
		return;
	}
	c = &d->r.ch[val >> 6];
	if ((val >> 4 & 3) == RW_LATCH) {
		latch_count(c, now);
		return;
	}
	*c = (struct channel){ .gate = c->gate, .null_count = true, .count = 65536, .bcd = val & 1,
			       .rw = val >> 4 & 3, .mode = val >> 1 & 7 };
	if (c->mode > 5)
		c->mode &= 3;
	if (c->bcd)
		c->count = 10000;
	if (c == &d->r.ch[0]) {
		irq_set(&d->irq, false);
		schedule(d);
	}
}

static uint64_t i8254_read(void *dev, uint64_t off, unsigned size)
{
	struct i8254 *d = dev;
	uint8_t v = 0xff;

	pthread_mutex_lock(&d->lock);
	if (off < 3)
		v = data_read(&d->r.ch[off]);
	pthread_mutex_unlock(&d->lock);
	return v;
}

static void i8254_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct i8254 *d = dev;

	pthread_mutex_lock(&d->lock);
	if (off < 3)
		data_write(d, &d->r.ch[off], (uint8_t)val);
	else
		control_write(d, (uint8_t)val);
	pthread_mutex_unlock(&d->lock);
}

static uint64_t port_b_read(void *dev, uint64_t off, unsigned size)
{
	struct i8254 *d = dev;
	uint64_t now = clock_now_ns();
	unsigned v;

	pthread_mutex_lock(&d->lock);
	v = d->r.port_b;
	if (now / 15085 & 1) /* memory refresh: a toggle every 15.085 us */
		v |= B_REFRESH;
	if (output(&d->r.ch[2], ns_to_clocks(now)))
		v |= B_OUT2;
	pthread_mutex_unlock(&d->lock);
	return v;
}

static void gate_set(struct channel *c, bool gate, uint64_t now)
{
	if (gate == c->gate)
		return;
	if (!gate) {
		c->held = elapsed(c, now);
	} else if (triggered(c)) {
		c->counting = !c->null_count;
		c->start = now;
	} else if (periodic(c)) {
		c->start = now;
		c->count = c->next ? c->next : c->count;
		c->next = 0;
	} else {
		c->start = now - c->held;
	}
	c->gate = gate;
}

static void port_b_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct i8254 *d = dev;

	pthread_mutex_lock(&d->lock);
	d->r.port_b = val & (B_GATE2 | B_SPEAKER);
	gate_set(&d->r.ch[2], val & B_GATE2, ns_to_clocks(clock_now_ns()));
	pthread_mutex_unlock(&d->lock);
}

static void i8254_reset(void *dev)
{
	struct i8254 *d = dev;

	pthread_mutex_lock(&d->lock);
	d->r = (struct regs){ .due = UINT64_MAX };
	for (unsigned i = 0; i < 3; i++)
		d->r.ch[i] = (struct channel){ .gate = i != 2, .null_count = true, .count = 65536, .rw = RW_BOTH };
	irq_set(&d->irq, false);
	loop_timer_set(&d->timer, UINT64_MAX);
	pthread_mutex_unlock(&d->lock);
}

static void i8254_destroy(void *dev)
{
	struct i8254 *d = dev;

	if (!d)
		return;
	loop_timer_fini(&d->timer);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void sync_channel(struct devstate *s, struct channel *c, uint64_t now)
{
	ds_u8(s, &c->mode);
	ds_u8(s, &c->rw);
	ds_bool(s, &c->bcd);
	ds_bool(s, &c->gate);
	ds_bool(s, &c->counting);
	ds_bool(s, &c->null_count);
	ds_bool(s, &c->wr_high);
	ds_bool(s, &c->rd_high);
	ds_u8(s, &c->wr_low);
	ds_u32(s, &c->count);
	ds_u32(s, &c->next);
	ds_time(s, &c->start, now);
	ds_u64(s, &c->held);
	ds_bool(s, &c->latched);
	ds_bool(s, &c->status_latched);
	ds_u16(s, &c->latch);
	ds_u8(s, &c->status);
}

static void sync_state(struct devstate *s, struct regs *r)
{
	uint64_t now = ns_to_clocks(clock_now_ns());

	ds_tag(s, 0x34353238, 1);
	for (unsigned i = 0; i < 3; i++)
		sync_channel(s, &r->ch[i], now);
	ds_u8(s, &r->port_b);
	ds_time(s, &r->due, now);
}

static size_t i8254_save(void *dev, void *buf, size_t cap)
{
	struct i8254 *d = dev;
	struct devstate s = devstate_saver(buf, cap);

	pthread_mutex_lock(&d->lock);
	sync_state(&s, &d->r);
	pthread_mutex_unlock(&d->lock);
	return s.pos;
}

static int i8254_load(void *dev, const void *buf, size_t len)
{
	struct i8254 *d = dev;
	struct devstate s = devstate_loader(buf, len);
	struct regs r = { .due = UINT64_MAX };

	sync_state(&s, &r);
	if (ds_finish(&s) || (r.port_b & ~(B_GATE2 | B_SPEAKER)) ||
	    (r.due != UINT64_MAX && r.due > UINT64_MAX / 4))
		return -EINVAL;
	for (unsigned i = 0; i < 3; i++) {
		struct channel *c = &r.ch[i];

		if (c->mode > 5 || c->rw < RW_LOW || c->rw > RW_BOTH || !c->count || c->count > 65536 ||
		    c->next > 65536 || c->start > UINT64_MAX / 4 || c->held > UINT64_MAX / 4)
			return -EINVAL;
	}
	pthread_mutex_lock(&d->lock);
	d->r = r;
	loop_timer_set(&d->timer, due_ns(d));
	pthread_mutex_unlock(&d->lock);
	return 0;
}

const struct device_ops i8254_ops = {
	.name = "i8254", .max_size = 1,
	.read = i8254_read, .write = i8254_write, .reset = i8254_reset, .destroy = i8254_destroy,
	.save = i8254_save, .load = i8254_load,
};

static const struct device_ops port_b_ops = {
	.name = "sysctl-b", .max_size = 1, .read = port_b_read, .write = port_b_write,
};

int i8254_create(struct bus *pio, struct irq_line irq, struct loop *loop, struct i8254 **out, struct err *e)
{
	struct i8254 *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "i8254: out of memory");
	pthread_mutex_init(&d->lock, NULL);
	d->irq = irq;
	loop_timer_init(&d->timer, loop, tick, d);
	i8254_reset(d);
	rc = bus_add(pio, PORT_PIT, 4, &i8254_ops, d, e);
	if (!rc) {
		rc = bus_add(pio, PORT_SYSCTL_B, 1, &port_b_ops, d, e);
		if (rc)
			bus_remove(pio, PORT_PIT);
	}
	if (rc) {
		i8254_destroy(d);
		return rc;
	}
	*out = d;
	return 0;
}
