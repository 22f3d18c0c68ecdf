/* mc146818.c - the real-time clock (Motorola MC146818A data sheet) with 128 bytes of CMOS.
 *
 * Guest time is the host's wall clock plus an offset. While the guest sets the time, or holds
 * the divider in reset, the time registers are plain bytes; afterwards the offset is made from
 * them. Flags in register C are made from the time that has passed since they were last made.
 * Once the interrupt line is up, nothing is timed until the guest reads C: events are merged.
 * Dates lie between 1970 and 2255. */
#include "dev/mc146818.h"

#include "base/clock.h"
#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "dev/devstate.h"
#include "host/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define SEC 1000000000ull
#define DAY 86400u
#define TIME_MAX 9000000000ll /* seconds: in 2255; its nanoseconds fit into 63 bits */
#define UIP_NS 244000u

enum { R_SEC, R_SEC_ALARM, R_MIN, R_MIN_ALARM, R_HOUR, R_HOUR_ALARM, R_WDAY, R_MDAY, R_MONTH, R_YEAR,
       R_A, R_B, R_C, R_D, R_CENTURY = 0x32 };

#define A_UIP 0x80u
#define B_SET 0x80u
#define B_IRQS 0x70u /* same places as the flags in C: periodic, alarm, update ended */
#define B_SQWE 0x08u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define C_IRQ 0x80u
#define C_PERIODIC 0x40u
#define C_ALARM 0x20u
#define C_UPDATE 0x10u
#define D_VALID 0x80u

struct regs {
	uint8_t index, cmos[128];
	uint64_t offset;  /* guest time minus host's wall clock, ns, modulo 2^64 */
	uint64_t phase;   /* of the second, ns, when the clock goes on after having been frozen */
	uint64_t seen;    /* guest time up to which flags have been made */
};

struct mc146818 {
	pthread_mutex_t lock; /* guards r */
	struct irq_line irq;
	struct loop_timer timer;
	struct regs r;
};

static bool divider_reset(const struct regs *r)
{
	return (r->cmos[R_A] & 0x60) == 0x60;
}

static bool frozen(const struct regs *r)
{
	return (r->cmos[R_B] & B_SET) || divider_reset(r);
}

static uint64_t guest_ns(const struct regs *r)
{
	return clock_wall_ns() + r->offset;
}

static uint8_t encode(const struct regs *r, unsigned v)
{
	return (uint8_t)(r->cmos[R_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static unsigned decode(const struct regs *r, unsigned v)
{
	return r->cmos[R_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

/* Writes the time into its registers */
static void fields_put(struct regs *r, uint64_t now)
{
	time_t t = (time_t)(now / SEC);
	struct tm tm;
	unsigned hour, pm = 0;

	gmtime_r(&t, &tm);
	hour = (unsigned)tm.tm_hour;
	if (!(r->cmos[R_B] & B_24H)) {
		pm = hour >= 12 ? 0x80 : 0;
		hour = hour % 12 ? hour % 12 : 12;
	}
	r->cmos[R_SEC] = encode(r, (unsigned)tm.tm_sec);
	r->cmos[R_MIN] = encode(r, (unsigned)tm.tm_min);
	r->cmos[R_HOUR] = (uint8_t)(encode(r, hour) | pm);
	r->cmos[R_WDAY] = encode(r, (unsigned)tm.tm_wday + 1);
	r->cmos[R_MDAY] = encode(r, (unsigned)tm.tm_mday);
	r->cmos[R_MONTH] = encode(r, (unsigned)tm.tm_mon + 1);
	r->cmos[R_YEAR] = encode(r, (unsigned)tm.tm_year % 100);
	r->cmos[R_CENTURY] = encode(r, (unsigned)(tm.tm_year / 100 + 19));
}

static unsigned hour_decode(const struct regs *r, uint8_t v)
{
	if (r->cmos[R_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

/* Makes the offset from the registers; nonsense in them makes some date, as on the chip */
static void fields_take(struct regs *r, uint64_t phase)
{
	struct tm tm = {
		.tm_sec = (int)decode(r, r->cmos[R_SEC]), .tm_min = (int)decode(r, r->cmos[R_MIN]),
		.tm_hour = (int)hour_decode(r, r->cmos[R_HOUR]), .tm_mday = (int)decode(r, r->cmos[R_MDAY]),
		.tm_mon = (int)decode(r, r->cmos[R_MONTH]) - 1,
		.tm_year = (int)(decode(r, r->cmos[R_CENTURY]) * 100 + decode(r, r->cmos[R_YEAR])) - 1900,
	};
	time_t t = timegm(&tm);

	t = t < 0 ? 0 : t > TIME_MAX ? TIME_MAX : t;
	r->offset = (uint64_t)t * SEC + phase - clock_wall_ns();
	r->seen = (uint64_t)t * SEC + phase;
}

/* Length of the periodic interrupt in 32768 Hz clocks; 0: none */
static unsigned period(const struct regs *r)
{
	unsigned rate = r->cmos[R_A] & 15;

	return !rate ? 0 : rate < 3 ? 64u << rate : 1u << (rate - 1);
}

static uint64_t periods(uint64_t ns, unsigned len)
{
	return (uint64_t)((unsigned __int128)ns * 32768 / SEC / len);
}

static bool alarm_matches(unsigned reg, unsigned now)
{
	return reg == ~0u || reg == now;
}

/* First second after @after (guest time, s) at which the alarm registers match; UINT64_MAX never */
static uint64_t alarm_next(const struct regs *r, uint64_t after)
{
	const uint8_t *c = r->cmos;
	unsigned any = ~0u; /* two high bits set: don't care */
	unsigned sec = c[R_SEC_ALARM] >= 0xc0 ? any : decode(r, c[R_SEC_ALARM]);
	unsigned min = c[R_MIN_ALARM] >= 0xc0 ? any : decode(r, c[R_MIN_ALARM]);
	unsigned hour = c[R_HOUR_ALARM] >= 0xc0 ? any : hour_decode(r, c[R_HOUR_ALARM]);
	uint64_t s = after + 1;

	while (s <= after + DAY) {
		if (!alarm_matches(hour, (unsigned)(s / 3600 % 24)))
			s += 3600 - s % 3600;
		else if (!alarm_matches(min, (unsigned)(s / 60 % 60)))
			s += 60 - s % 60;
		else if (!alarm_matches(sec, (unsigned)(s % 60)))
			s++;
		else
			return s;
	}
	return UINT64_MAX;
}

/* Makes the flags of C from the time that has passed, sets the line, and times the next interrupt */
static void update(struct mc146818 *d)
{
	struct regs *r = &d->r;
	uint64_t now, next = UINT64_MAX, t;
	unsigned len = period(r), b = r->cmos[R_B];

	if (frozen(r)) {
		loop_timer_set(&d->timer, UINT64_MAX);
		irq_set(&d->irq, r->cmos[R_C] & C_IRQ);
		return;
	}
	now = guest_ns(r);
	if (now > r->seen) {
		if (len && periods(now, len) != periods(r->seen, len))
			r->cmos[R_C] |= C_PERIODIC;
		if (now / SEC != r->seen / SEC)
			r->cmos[R_C] |= C_UPDATE;
		if (alarm_next(r, r->seen / SEC) <= now / SEC)
			r->cmos[R_C] |= C_ALARM;
	}
	r->seen = now; /* also when the host's clock was set back */
	if (r->cmos[R_C] & b & B_IRQS)
		r->cmos[R_C] |= C_IRQ;
	irq_set(&d->irq, r->cmos[R_C] & C_IRQ);
	if (!(r->cmos[R_C] & C_IRQ)) {
		if ((b & C_PERIODIC) && len)
			next = (uint64_t)(((unsigned __int128)(periods(now, len) + 1) * len * SEC + 32767) / 32768);
		t = (now / SEC + 1) * SEC;
		if ((b & C_UPDATE) && t < next)
			next = t;
		t = b & C_ALARM ? alarm_next(r, now / SEC) : UINT64_MAX;
		if (t != UINT64_MAX && t * SEC < next)
			next = t * SEC;
	}
	loop_timer_set(&d->timer, next == UINT64_MAX ? next : clock_now_ns() + (next - now));
}

static void expired(void *ctx)
{
	struct mc146818 *d = ctx;

	pthread_mutex_lock(&d->lock);
	update(d);
	pthread_mutex_unlock(&d->lock);
}

static bool is_time(unsigned idx)
{
	return (idx <= R_YEAR && idx != R_SEC_ALARM && idx != R_MIN_ALARM && idx != R_HOUR_ALARM) || idx == R_CENTURY;
}

static uint8_t data_read(struct mc146818 *d)
{
	struct regs *r = &d->r;
	unsigned idx = r->index;
	uint8_t v;

	if (is_time(idx) && !frozen(r))
		fields_put(r, guest_ns(r));
	v = r->cmos[idx];
	if (idx == R_A && !frozen(r) && guest_ns(r) % SEC >= SEC - UIP_NS)
		v |= A_UIP;
	if (idx == R_C) {
		update(d);
		v = r->cmos[R_C];
		r->cmos[R_C] = 0;
		update(d);
	}
	return v;
}

/* A or B may stop the clock, or let it go on */
static void control_write(struct mc146818 *d, unsigned idx, uint8_t val)
{
	struct regs *r = &d->r;
	bool was = frozen(r), was_reset = divider_reset(r);
	uint64_t now = was ? 0 : guest_ns(r);

	if (!was) {
		update(d); /* what the old settings are worth */
		fields_put(r, now);
	}
	if (idx == R_A) {
		r->cmos[R_A] = val & 0x7f;
	} else {
		r->cmos[R_B] = val;
		if (val & B_SET)
			r->cmos[R_B] &= (uint8_t)~C_UPDATE; /* SET takes the update interrupt's enable away */
	}
	if (!was && frozen(r))
		r->phase = now % SEC;
	if (was_reset || divider_reset(r))
		r->phase = SEC / 2; /* the first update comes half a second after the divider's release */
	if (was && !frozen(r))
		fields_take(r, r->phase);
	update(d);
}

static void data_write(struct mc146818 *d, uint8_t val)
{
	struct regs *r = &d->r;
	unsigned idx = r->index;
	uint64_t now;

	if (idx == R_A || idx == R_B) {
		control_write(d, idx, val);
	} else if (idx == R_C || idx == R_D) {
		return;
	} else if (is_time(idx) && !frozen(r)) {
		now = guest_ns(r);
		fields_put(r, now);
		r->cmos[idx] = val;
		fields_take(r, now % SEC);
		update(d);
	} else {
		r->cmos[idx] = val;
		if (idx < R_A)
			update(d);
	}
}

static uint64_t mc146818_read(void *dev, uint64_t off, unsigned size)
{
	struct mc146818 *d = dev;
	uint8_t v = 0xff; /* the index cannot be read */

	pthread_mutex_lock(&d->lock);
	if (off)
		v = data_read(d);
	pthread_mutex_unlock(&d->lock);
	return v;
}

static void mc146818_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct mc146818 *d = dev;

	pthread_mutex_lock(&d->lock);
	if (off)
		data_write(d, (uint8_t)val);
	else
		d->r.index = val & 0x7f; /* bit 7 masks an NMI that nobody raises */
	pthread_mutex_unlock(&d->lock);
}

void mc146818_set_cmos(struct mc146818 *d, unsigned idx, uint8_t val)
{
	pthread_mutex_lock(&d->lock);
	if (idx > R_D && idx < sizeof(d->r.cmos))
		d->r.cmos[idx] = val;
	pthread_mutex_unlock(&d->lock);
}

/* The RESET pin: time and RAM stay */
static void mc146818_reset(void *dev)
{
	struct mc146818 *d = dev;

	pthread_mutex_lock(&d->lock);
	d->r.index = R_D;
	d->r.cmos[R_B] &= (uint8_t)~(B_IRQS | B_SQWE);
	d->r.cmos[R_C] = 0;
	update(d);
	pthread_mutex_unlock(&d->lock);
}

static void mc146818_destroy(void *dev)
{
	struct mc146818 *d = dev;

	if (!d)
		return;
	loop_timer_fini(&d->timer);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void sync_state(struct devstate *s, struct regs *r)
{
	ds_tag(s, 0x43545220, 1);
	ds_u8(s, &r->index);
	ds_bytes(s, r->cmos, sizeof(r->cmos));
	ds_u64(s, &r->offset);
	ds_u64(s, &r->phase);
	ds_u64(s, &r->seen);
}

static size_t mc146818_save(void *dev, void *buf, size_t cap)
{
	struct mc146818 *d = dev;
	struct devstate s = devstate_saver(buf, cap);

	pthread_mutex_lock(&d->lock);
	sync_state(&s, &d->r);
	pthread_mutex_unlock(&d->lock);
	return s.pos;
}

static int mc146818_load(void *dev, const void *buf, size_t len)
{
	struct mc146818 *d = dev;
	struct devstate s = devstate_loader(buf, len);
	struct regs r = { 0 };

	sync_state(&s, &r);
	if (ds_finish(&s) || r.index > 0x7f || r.phase >= SEC || guest_ns(&r) > (uint64_t)TIME_MAX * SEC / 100 * 101 ||
	    r.seen > UINT64_MAX / 2 || (r.cmos[R_A] & A_UIP) || r.cmos[R_D] != D_VALID)
		return -EINVAL;
	pthread_mutex_lock(&d->lock);
	d->r = r;
	update(d);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

const struct device_ops mc146818_ops = {
	.name = "mc146818", .max_size = 1,
	.read = mc146818_read, .write = mc146818_write, .reset = mc146818_reset, .destroy = mc146818_destroy,
	.save = mc146818_save, .load = mc146818_load,
};

int mc146818_create(struct bus *pio, struct irq_line irq, struct loop *loop, struct mc146818 **out, struct err *e)
{
	struct mc146818 *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "mc146818: out of memory");
	pthread_mutex_init(&d->lock, NULL);
	d->irq = irq;
	loop_timer_init(&d->timer, loop, expired, d);
	d->r.cmos[R_A] = 0x26; /* 32768 Hz, 1024 Hz periodic: as firmware leaves it */
	d->r.cmos[R_B] = B_24H;
	d->r.cmos[R_D] = D_VALID;
	d->r.seen = guest_ns(&d->r);
	mc146818_reset(d);
	rc = bus_add(pio, PORT_RTC, 2, &mc146818_ops, d, e);
	if (rc < 0) {
		mc146818_destroy(d);
		return rc;
	}
	*out = d;
	return 0;
}
