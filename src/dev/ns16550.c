/* ns16550.c - a 16550A serial port (National Semiconductor PC16550D data sheet). */
#include "dev/ns16550.h"

#include "base/err.h"
#include "core/bus.h"
#include "dev/devstate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define FIFO 16

enum { R_DATA, R_IER, R_IIR, R_LCR, R_MCR, R_LSR, R_MSR, R_SCR };

#define IER_RX 1u
#define IER_TX 2u
#define IER_LINE 4u
#define IER_MODEM 8u
#define IIR_NONE 1u
#define IIR_MODEM 0u
#define IIR_TX 2u
#define IIR_RX 4u
#define IIR_LINE 6u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFOS 0xc0u
#define FCR_ENABLE 1u
#define FCR_CLEAR_RX 2u
#define FCR_KEPT 0xc9u /* enable, DMA mode, trigger level */
#define LCR_DLAB 0x80u
#define MCR_DTR 1u
#define MCR_RTS 2u
#define MCR_OUT1 4u
#define MCR_OUT2 8u /* on a PC it lets the interrupt line through */
#define MCR_LOOP 0x10u
#define LSR_DATA 1u
#define LSR_OVERRUN 2u
#define LSR_BREAK 0x10u
#define LSR_TX_EMPTY 0x60u /* holding register and shifter */
#define LSR_ERRORS 0x1eu
#define MSR_DCTS 1u
#define MSR_DDSR 2u
#define MSR_TERI 4u
#define MSR_DDCD 8u
#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u

struct regs {
	uint8_t ier, fcr, lcr, mcr, lsr, msr, scr; /* lsr: data ready and transmitter bits are made on reading */
	uint16_t divisor;
	bool tx_intr;     /* the transmitter has become empty, and nobody has been told yet */
	bool starved;     /* input was refused; the backend waits for room */
	uint8_t rx[FIFO], rx_head, rx_n;
};

struct ns16550 {
	pthread_mutex_t lock; /* guards r and line */
	struct ns16550_config cfg;
	struct regs r;
	bool line;
	bool hold;            /* see ns16550_hold_input */
};

/* Loopback disconnects the line */
static bool accepts(const struct ns16550 *d)
{
	bool driven = (d->r.ier & IER_RX) && (d->r.mcr & MCR_OUT2) && (d->r.fcr & FCR_ENABLE);

	return !(d->r.mcr & MCR_LOOP) && (driven || !d->hold);
}

static unsigned fifo_len(const struct regs *r)
{
	return r->fcr & FCR_ENABLE ? FIFO : 1;
}

static unsigned trigger(const struct regs *r)
{
	static const uint8_t level[4] = { 1, 4, 8, 14 };

	return r->fcr & FCR_ENABLE ? level[r->fcr >> 6] : 1;
}

/* The highest interrupt there is, by the data sheet's priorities */
static unsigned iir(const struct regs *r)
{
	if ((r->ier & IER_LINE) && (r->lsr & LSR_ERRORS))
		return IIR_LINE;
	if ((r->ier & IER_RX) && r->rx_n >= trigger(r))
		return IIR_RX;
	if ((r->ier & IER_RX) && r->rx_n)
		return IIR_TIMEOUT;
	if ((r->ier & IER_TX) && r->tx_intr)
		return IIR_TX;
	if ((r->ier & IER_MODEM) && (r->msr & 0x0f))
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(struct ns16550 *d)
{
	bool line = (d->r.mcr & MCR_OUT2) && iir(&d->r) != IIR_NONE;

	if (line == d->line)
		return;
	d->line = line;
	irq_set(&d->cfg.irq, line);
}

static void rx_put(struct regs *r, uint8_t byte)
{
	if (r->rx_n >= fifo_len(r)) {
		r->lsr |= LSR_OVERRUN;
		if (!(r->fcr & FCR_ENABLE))
			r->rx[r->rx_head] = byte; /* without FIFOs the new byte destroys the old */
		return;
	}
	r->rx[(r->rx_head + r->rx_n++) % FIFO] = byte;
}

static uint8_t rx_get(struct regs *r)
{
	uint8_t byte = r->rx[r->rx_head];

	if (r->rx_n) {
		r->rx_n--;
		r->rx_head = (r->rx_head + 1) % FIFO;
	}
	return byte;
}

/* The other side is always there and ready; in loopback the outputs are the inputs */
static unsigned modem_inputs(const struct regs *r)
{
	if (!(r->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (r->mcr & MCR_RTS ? MSR_CTS : 0) | (r->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (r->mcr & MCR_OUT1 ? MSR_RI : 0) | (r->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void update_modem(struct regs *r)
{
	unsigned old = r->msr, now = modem_inputs(r), changed = (old ^ now) & 0xf0;
	unsigned delta = (changed & MSR_CTS ? MSR_DCTS : 0) | (changed & MSR_DSR ? MSR_DDSR : 0) |
			 (changed & old & MSR_RI ? MSR_TERI : 0) | (changed & MSR_DCD ? MSR_DDCD : 0);

	r->msr = (uint8_t)(now | (old & 0x0f) | delta);
}

static uint8_t reg_read(struct regs *r, unsigned reg)
{
	unsigned v;

	switch (reg) {
	case R_DATA:
		return r->lcr & LCR_DLAB ? (uint8_t)r->divisor : rx_get(r);
	case R_IER:
		return r->lcr & LCR_DLAB ? (uint8_t)(r->divisor >> 8) : r->ier;
	case R_IIR:
		v = iir(r);
		if (v == IIR_TX)
			r->tx_intr = false;
		return (uint8_t)(v | (r->fcr & FCR_ENABLE ? IIR_FIFOS : 0));
	case R_LCR:
		return r->lcr;
	case R_MCR:
		return r->mcr;
	case R_LSR:
		v = r->lsr | LSR_TX_EMPTY | (r->rx_n ? LSR_DATA : 0);
		r->lsr = 0;
		return (uint8_t)v;
	case R_MSR:
		v = r->msr;
		r->msr &= 0xf0;
		return (uint8_t)v;
	default:
		return r->scr;
	}
}

static uint64_t ns16550_read(void *dev, uint64_t off, unsigned size)
{
	struct ns16550 *d = dev;
	bool room;
	uint8_t v;

	pthread_mutex_lock(&d->lock);
	v = reg_read(&d->r, (unsigned)off & 7);
	update_irq(d);
	/* Asked for at the last byte, so that a burst is one call */
	room = d->r.starved && !d->r.rx_n && accepts(d);
	if (room)
		d->r.starved = false;
	pthread_mutex_unlock(&d->lock);
	if (room && d->cfg.room)
		d->cfg.room(d->cfg.ctx);
	return v;
}

static void fcr_write(struct regs *r, uint8_t val)
{
	/* Turning the FIFOs on or off empties them; the other bits count only together with "enable" */
	if (((r->fcr ^ val) & FCR_ENABLE) || ((val & FCR_ENABLE) && (val & FCR_CLEAR_RX)))
		r->rx_n = 0;
	r->fcr = val & FCR_ENABLE ? val & FCR_KEPT : 0;
}

static void reg_write(struct ns16550 *d, unsigned reg, uint8_t val)
{
	struct regs *r = &d->r;

	switch (reg) {
	case R_DATA:
		if (r->lcr & LCR_DLAB) {
			r->divisor = (uint16_t)((r->divisor & 0xff00) | val);
			break;
		}
		if (r->mcr & MCR_LOOP)
			rx_put(r, val);
		else if (d->cfg.out)
			d->cfg.out(d->cfg.ctx, &val, 1);
		r->tx_intr = true; /* sent already */
		break;
	case R_IER:
		if (r->lcr & LCR_DLAB) {
			r->divisor = (uint16_t)((r->divisor & 0x00ff) | val << 8);
			break;
		}
		/* Enabling the transmitter's interrupt while it is empty raises it */
		if (val & ~r->ier & IER_TX)
			r->tx_intr = true;
		r->ier = val & 0x0f;
		break;
	case R_IIR:
		fcr_write(r, val);
		break;
	case R_LCR:
		r->lcr = val;
		break;
	case R_MCR:
		r->mcr = val & 0x1f;
		update_modem(r);
		break;
	case R_SCR:
		r->scr = val;
		break;
	default: /* LSR and MSR are for reading; writes are for the factory */
		break;
	}
}

static void ns16550_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct ns16550 *d = dev;
	bool room;

	pthread_mutex_lock(&d->lock);
	reg_write(d, (unsigned)off & 7, (uint8_t)val);
	update_irq(d);
	/* Input comes by itself again when FCR empties the FIFO, loopback ends, or the guest begins to listen */
	room = d->r.starved && !d->r.rx_n && accepts(d);
	if (room)
		d->r.starved = false;
	pthread_mutex_unlock(&d->lock);
	if (room && d->cfg.room)
		d->cfg.room(d->cfg.ctx);
}

size_t ns16550_input(struct ns16550 *d, const uint8_t *buf, size_t n)
{
	size_t took = 0;

	pthread_mutex_lock(&d->lock);
	if (accepts(d)) {
		while (took < n && d->r.rx_n < fifo_len(&d->r))
			rx_put(&d->r, buf[took++]);
	}
	if (took < n)
		d->r.starved = true;
	update_irq(d);
	pthread_mutex_unlock(&d->lock);
	return took;
}

void ns16550_hold_input(struct ns16550 *d, bool hold)
{
	d->hold = hold;
}

void ns16550_break(struct ns16550 *d)
{
	pthread_mutex_lock(&d->lock);
	if (!(d->r.mcr & MCR_LOOP)) {
		rx_put(&d->r, 0);
		d->r.lsr |= LSR_BREAK;
		update_irq(d);
	}
	pthread_mutex_unlock(&d->lock);
}

static void regs_reset(struct regs *r)
{
	bool starved = r->starved;

	*r = (struct regs){ .divisor = 12, .starved = starved, .tx_intr = true }; /* 9600 baud, as firmware leaves it */
	r->msr = (uint8_t)modem_inputs(r);
}

static void ns16550_reset(void *dev)
{
	struct ns16550 *d = dev;
	bool room;

	pthread_mutex_lock(&d->lock);
	regs_reset(&d->r);
	update_irq(d);
	room = d->r.starved && accepts(d);
	if (room)
		d->r.starved = false;
	pthread_mutex_unlock(&d->lock);
	if (room && d->cfg.room)
		d->cfg.room(d->cfg.ctx);
}

static void ns16550_destroy(void *dev)
{
	struct ns16550 *d = dev;

	if (!d)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void sync_state(struct devstate *s, struct regs *r)
{
	ds_tag(s, 0x36313535, 1);
	ds_u8(s, &r->ier);
	ds_u8(s, &r->fcr);
	ds_u8(s, &r->lcr);
	ds_u8(s, &r->mcr);
	ds_u8(s, &r->lsr);
	ds_u8(s, &r->msr);
	ds_u8(s, &r->scr);
	ds_u16(s, &r->divisor);
	ds_bool(s, &r->tx_intr);
	ds_u8(s, &r->rx_n);
	ds_u8(s, &r->rx_head);
	ds_bytes(s, r->rx, FIFO);
}

static size_t ns16550_save(void *dev, void *buf, size_t cap)
{
	struct ns16550 *d = dev;
	struct devstate s = devstate_saver(buf, cap);

	pthread_mutex_lock(&d->lock);
	sync_state(&s, &d->r);
	pthread_mutex_unlock(&d->lock);
	return s.pos;
}

static int ns16550_load(void *dev, const void *buf, size_t len)
{
	struct ns16550 *d = dev;
	struct devstate s = devstate_loader(buf, len);
	struct regs r = { 0 };

	sync_state(&s, &r);
	if (ds_finish(&s) || r.rx_n > fifo_len(&r) || r.rx_head >= FIFO || r.ier > 0x0f || r.mcr > 0x1f ||
	    (r.fcr & ~FCR_KEPT) || (r.lsr & ~LSR_ERRORS))
		return -EINVAL;
	pthread_mutex_lock(&d->lock);
	r.starved = d->r.starved;
	d->r = r;
	update_irq(d);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

const struct device_ops ns16550_ops = {
	.name = "ns16550", .max_size = 1,
	.read = ns16550_read, .write = ns16550_write, .reset = ns16550_reset, .destroy = ns16550_destroy,
	.save = ns16550_save, .load = ns16550_load,
};

int ns16550_create(struct bus *pio, const struct ns16550_config *cfg, struct ns16550 **out, struct err *e)
{
	struct ns16550 *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "ns16550: out of memory");
	pthread_mutex_init(&d->lock, NULL);
	d->cfg = *cfg;
	regs_reset(&d->r);
	rc = bus_add(pio, cfg->port, 8, &ns16550_ops, d, e);
	if (rc < 0) {
		ns16550_destroy(d);
		return rc;
	}
	*out = d;
	return 0;
}
