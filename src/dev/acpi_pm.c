/* acpi_pm.c - ACPI fixed hardware: power button, S5, PM timer, general-purpose events. */
#include "dev/acpi_pm.h"

#include "base/clock.h"
#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "core/power.h"
#include "dev/devstate.h"
#include "host/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Byte offsets; all registers are little-endian and may be accessed in parts */
enum { PM1_STS = 0x00, PM1_EN = 0x02, PM1_CNT = 0x04, PM_TMR = 0x08, FIXED_LEN = 0x0c, GPE0 = 0x20 };

#define STS_TIMER 0x0001u
#define STS_POWER_BUTTON 0x0100u
#define STS_BITS 0x8731u /* timer, bus master, global, both buttons, RTC, wake */
#define EN_BITS 0x0721u
#define CNT_SCI_EN 0x01u
#define CNT_LOW_BITS 0x02u   /* of the low byte: BM_RLD */
#define CNT_SLP_TYP 0x1cu    /* of the high byte */
#define CNT_SLP_EN 0x20u

#define TMR_HALF (1ull << 31) /* the 32-bit timer's status is set when its top bit changes */

struct regs {
	uint16_t sts, en, gpe_sts, gpe_en;
	uint8_t cnt[2];
	uint64_t start_ns;    /* when the PM timer was 0 */
	uint64_t halves;      /* changes of its top bit that have been reported */
};

struct acpi_pm {
	pthread_mutex_t lock; /* guards r and line */
	struct irq_line sci;
	const struct power_sink *power;
	struct loop_timer timer;
	struct regs r;
	bool line;
};

static uint64_t pm_clocks(const struct regs *r, uint64_t now)
{
	uint64_t ns = now > r->start_ns ? now - r->start_ns : 0;

	return (uint64_t)((unsigned __int128)ns * ACPI_PM_TIMER_HZ / 1000000000u);
}

/* Brings the timer's status up to date, then the SCI, then the host's timer */
static void update(struct acpi_pm *d)
{
	struct regs *r = &d->r;
	uint64_t halves = pm_clocks(r, clock_now_ns()) / TMR_HALF;
	uint64_t when = UINT64_MAX;
	bool line;

	if (halves != r->halves)
		r->sts |= STS_TIMER;
	r->halves = halves;
	line = (r->sts & r->en) || (r->gpe_sts & r->gpe_en);
	if (line != d->line)
		irq_set(&d->sci, line);
	d->line = line;
	if ((r->en & STS_TIMER) && !(r->sts & STS_TIMER))
		when = r->start_ns + (uint64_t)((unsigned __int128)(halves + 1) * TMR_HALF * 1000000000u /
						ACPI_PM_TIMER_HZ) + 1;
	loop_timer_set(&d->timer, when);
}

static void expired(void *ctx)
{
	struct acpi_pm *d = ctx;

	pthread_mutex_lock(&d->lock);
	update(d);
	pthread_mutex_unlock(&d->lock);
}

static uint64_t fixed_read(void *dev, uint64_t off, unsigned size)
{
	struct acpi_pm *d = dev;
	uint8_t image[FIXED_LEN] = { 0 };
	uint64_t v = 0;

	pthread_mutex_lock(&d->lock);
	if (off < PM1_EN)
		update(d);
	le16_store(image + PM1_STS, d->r.sts);
	le16_store(image + PM1_EN, d->r.en);
	image[PM1_CNT] = d->r.cnt[0] | CNT_SCI_EN;
	image[PM1_CNT + 1] = d->r.cnt[1];
	le32_store(image + PM_TMR, (uint32_t)pm_clocks(&d->r, clock_now_ns()));
	pthread_mutex_unlock(&d->lock);
	for (unsigned i = 0; i < size && off + i < sizeof(image); i++)
		v |= (uint64_t)image[off + i] << 8 * i;
	return v;
}

/* Writing ones clears status bits; @val is one byte of it */
static void status_clear(uint16_t *sts, unsigned byte, uint8_t val)
{
	*sts &= (uint16_t)~(val << 8 * byte);
}

static void byte_set(uint16_t *reg, unsigned byte, uint8_t val)
{
	*reg = byte ? (uint16_t)((*reg & 0x00ff) | val << 8) : (uint16_t)((*reg & 0xff00) | val);
}

/* True if the guest puts itself to sleep for good */
static bool fixed_write_byte(struct regs *r, unsigned off, uint8_t val)
{
	switch (off) {
	case PM1_STS:
	case PM1_STS + 1:
		status_clear(&r->sts, off & 1, val);
		break;
	case PM1_EN:
	case PM1_EN + 1:
		byte_set(&r->en, off & 1, val);
		r->en &= EN_BITS;
		break;
	case PM1_CNT:
		r->cnt[0] = val & CNT_LOW_BITS;
		break;
	case PM1_CNT + 1: /* sleep states other than S5 are not offered, and do nothing */
		r->cnt[1] = val & CNT_SLP_TYP;
		return (val & CNT_SLP_EN) && (val & CNT_SLP_TYP) >> 2 == ACPI_PM_S5_TYP;
	default:
		break;
	}
	return false;
}

static void fixed_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *d = dev;
	bool off_now = false;

	pthread_mutex_lock(&d->lock);
	update(d);
	for (unsigned i = 0; i < size; i++)
		off_now |= fixed_write_byte(&d->r, (unsigned)off + i, (uint8_t)(val >> 8 * i));
	update(d);
	pthread_mutex_unlock(&d->lock);
	if (off_now)
		d->power->event(d->power->ctx, POWER_OFF);
}

static uint64_t gpe_read(void *dev, uint64_t off, unsigned size)
{
	struct acpi_pm *d = dev;
	uint32_t v;

	pthread_mutex_lock(&d->lock);
	v = d->r.gpe_sts | (uint32_t)d->r.gpe_en << 16;
	pthread_mutex_unlock(&d->lock);
	return v >> 8 * off;
}

static void gpe_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *d = dev;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < size; i++) {
		unsigned at = (unsigned)off + i;

		if (at < 2)
			status_clear(&d->r.gpe_sts, at, (uint8_t)(val >> 8 * i));
		else
			byte_set(&d->r.gpe_en, at & 1, (uint8_t)(val >> 8 * i));
	}
	update(d);
	pthread_mutex_unlock(&d->lock);
}

void acpi_pm_power_button(struct acpi_pm *d)
{
	pthread_mutex_lock(&d->lock);
	d->r.sts |= STS_POWER_BUTTON;
	update(d);
	pthread_mutex_unlock(&d->lock);
}

void acpi_pm_gpe(struct acpi_pm *d, unsigned bit)
{
	pthread_mutex_lock(&d->lock);
	d->r.gpe_sts |= (uint16_t)(1u << (bit & 15));
	update(d);
	pthread_mutex_unlock(&d->lock);
}

static void acpi_pm_reset(void *dev)
{
	struct acpi_pm *d = dev;

	pthread_mutex_lock(&d->lock);
	d->r = (struct regs){ .start_ns = clock_now_ns() };
	update(d);
	pthread_mutex_unlock(&d->lock);
}

static void acpi_pm_destroy(void *dev)
{
	struct acpi_pm *d = dev;

	if (!d)
		return;
	loop_timer_fini(&d->timer);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void sync_state(struct devstate *s, struct regs *r)
{
	ds_tag(s, 0x4d502020, 1);
	ds_u16(s, &r->sts);
	ds_u16(s, &r->en);
	ds_u16(s, &r->gpe_sts);
	ds_u16(s, &r->gpe_en);
	ds_bytes(s, r->cnt, 2);
	ds_time(s, &r->start_ns, clock_now_ns());
	ds_u64(s, &r->halves);
}

static size_t acpi_pm_save(void *dev, void *buf, size_t cap)
{
	struct acpi_pm *d = dev;
	struct devstate s = devstate_saver(buf, cap);

	pthread_mutex_lock(&d->lock);
	sync_state(&s, &d->r);
	pthread_mutex_unlock(&d->lock);
	return s.pos;
}

static int acpi_pm_load(void *dev, const void *buf, size_t len)
{
	struct acpi_pm *d = dev;
	struct devstate s = devstate_loader(buf, len);
	struct regs r = { 0 };

	sync_state(&s, &r);
	if (ds_finish(&s) || (r.sts & ~STS_BITS) || (r.en & ~EN_BITS) || (r.cnt[0] & ~CNT_LOW_BITS) ||
	    (r.cnt[1] & ~CNT_SLP_TYP) || r.start_ns > UINT64_MAX / 4)
		return -EINVAL;
	pthread_mutex_lock(&d->lock);
	d->r = r;
	update(d);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

const struct device_ops acpi_pm_ops = {
	.name = "acpi-pm", .max_size = 4,
	.read = fixed_read, .write = fixed_write, .reset = acpi_pm_reset, .destroy = acpi_pm_destroy,
	.save = acpi_pm_save, .load = acpi_pm_load,
};

static const struct device_ops gpe_ops = {
	.name = "acpi-gpe", .max_size = 4, .read = gpe_read, .write = gpe_write,
};

int acpi_pm_create(struct bus *pio, struct irq_line sci, struct loop *loop, const struct power_sink *power,
		   struct acpi_pm **out, struct err *e)
{
	struct acpi_pm *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "acpi-pm: out of memory");
	pthread_mutex_init(&d->lock, NULL);
	d->sci = sci;
	d->power = power;
	loop_timer_init(&d->timer, loop, expired, d);
	acpi_pm_reset(d);
	rc = bus_add(pio, PORT_ACPI_PM, FIXED_LEN, &acpi_pm_ops, d, e);
	if (!rc) {
		rc = bus_add(pio, PORT_ACPI_PM + GPE0, 4, &gpe_ops, d, e);
		if (rc)
			bus_remove(pio, PORT_ACPI_PM);
	}
	if (rc) {
		acpi_pm_destroy(d);
		return rc;
	}
	*out = d;
	return 0;
}
