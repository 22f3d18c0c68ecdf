/* i8042.c - keyboard controller (IBM PS/2 Technical Reference, keyboard and auxiliary device controller)
 * with a keyboard behind it.
 *
 * The output buffer shows the controller's own answer if there is one, else the keyboard's
 * next byte. A newer answer replaces one that nobody has read, so that a driver's probing
 * leaves nothing behind. */
#include "dev/i8042.h"

#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "core/power.h"
#include "dev/devstate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define QUEUE 32

#define ST_OUT_FULL 0x01u
#define ST_SYSTEM 0x04u
#define ST_COMMAND 0x08u /* the last write went to port 64h */
#define ST_UNLOCKED 0x10u

#define CTR_KBD_INTR 0x01u
#define CTR_SYSTEM 0x04u
#define CTR_KBD_OFF 0x10u
#define CTR_AUX_OFF 0x20u
#define CTR_XLATE 0x40u

#define OUT_RESET 0x01u /* of the output port, active low */
#define OUT_A20 0x02u

#define KBD_ACK 0xfau
#define KBD_RESEND 0xfeu

struct regs {
	uint8_t ctr, outport;
	uint8_t command;     /* controller command that waits for its byte on port 60h; 0 none */
	uint8_t kbd_command; /* the same for the keyboard */
	uint8_t answer;
	bool has_answer, command_last, scanning;
	uint8_t set;         /* scan code set: 1-3 */
	uint8_t last_sent, data;
	uint8_t q[QUEUE], q_head, q_n;
};

struct i8042 {
	pthread_mutex_t lock; /* guards r and line */
	struct irq_line irq;
	const struct power_sink *power;
	struct regs r;
	bool line;
};

static bool kbd_ready(const struct regs *r)
{
	return r->q_n && !(r->ctr & CTR_KBD_OFF);
}

static void update_irq(struct i8042 *d)
{
	bool line = (d->r.ctr & CTR_KBD_INTR) && (d->r.has_answer || kbd_ready(&d->r));

	if (line == d->line)
		return;
	d->line = line;
	irq_set(&d->irq, line);
}

/* The line is an edge per byte */
static void next_byte_irq(struct i8042 *d)
{
	if (d->line)
		irq_set(&d->irq, false);
	d->line = false;
	update_irq(d);
}

static void answer(struct regs *r, uint8_t byte)
{
	r->answer = byte;
	r->has_answer = true;
}

static void kbd_send(struct regs *r, uint8_t byte)
{
	if (r->q_n < QUEUE)
		r->q[(r->q_head + r->q_n++) % QUEUE] = byte;
}

static void kbd_defaults(struct regs *r)
{
	r->set = 2;
	r->kbd_command = 0;
}

/* The byte that a two-byte command has been waiting for */
static void kbd_argument(struct regs *r, uint8_t command, uint8_t val)
{
	r->kbd_command = 0;
	kbd_send(r, KBD_ACK);
	if (command != 0xf0)
		return;
	if (!val)
		kbd_send(r, r->set);
	else if (val <= 3)
		r->set = val;
}

static void kbd_write(struct regs *r, uint8_t val)
{
	if (r->kbd_command && val < 0xed) {
		kbd_argument(r, r->kbd_command, val);
		return;
	}
	r->kbd_command = 0;
	switch (val) {
	case 0xed: /* LEDs */
	case 0xf0: /* scan code set */
	case 0xf3: /* repeat rate */
		kbd_send(r, KBD_ACK);
		r->kbd_command = val;
		break;
	case 0xee:
		kbd_send(r, 0xee);
		break;
	case 0xf2: /* identify: MF2 */
		kbd_send(r, KBD_ACK);
		kbd_send(r, 0xab);
		kbd_send(r, r->ctr & CTR_XLATE ? 0x41 : 0x83);
		break;
	case 0xf4:
	case 0xf5:
		r->scanning = val == 0xf4;
		if (val == 0xf5)
			kbd_defaults(r);
		kbd_send(r, KBD_ACK);
		break;
	case 0xf6:
		kbd_defaults(r);
		kbd_send(r, KBD_ACK);
		break;
	case 0xf7: case 0xf8: case 0xf9: case 0xfa: case 0xfb: case 0xfc: case 0xfd: /* modes of single keys */
		kbd_send(r, KBD_ACK);
		break;
	case 0xfe:
		kbd_send(r, r->last_sent);
		break;
	case 0xff:
		r->q_n = 0;
		kbd_defaults(r);
		r->scanning = true;
		kbd_send(r, KBD_ACK);
		kbd_send(r, 0xaa);
		break;
	default:
		kbd_send(r, KBD_RESEND);
		break;
	}
}

/* A command on port 64h: true if it resets the machine */
static bool command_write(struct regs *r, uint8_t val)
{
	r->command = 0;
	switch (val) {
	case 0x20 ... 0x3f: /* the controller's RAM, of which byte 0 is known */
		answer(r, val == 0x20 ? r->ctr : 0);
		break;
	case 0x60 ... 0x7f:
	case 0xd1: /* output port */
	case 0xd2: /* byte as from the keyboard */
	case 0xd3: /* byte as from the mouse */
	case 0xd4: /* byte to the mouse */
		r->command = val;
		break;
	case 0xa7:
	case 0xa8:
		r->ctr = val == 0xa7 ? r->ctr | CTR_AUX_OFF : r->ctr & (uint8_t)~CTR_AUX_OFF;
		break;
	case 0xa9: /* the mouse's clock line is stuck: there is none */
		answer(r, 0x01);
		break;
	case 0xaa:
		r->ctr |= CTR_SYSTEM;
		answer(r, 0x55);
		break;
	case 0xab:
		answer(r, 0x00);
		break;
	case 0xad:
	case 0xae:
		r->ctr = val == 0xad ? r->ctr | CTR_KBD_OFF : r->ctr & (uint8_t)~CTR_KBD_OFF;
		break;
	case 0xc0: /* input port: keyboard not locked */
		answer(r, 0x80);
		break;
	case 0xd0:
		answer(r, r->outport);
		break;
	case 0xdd:
	case 0xdf:
		r->outport = val == 0xdd ? r->outport & (uint8_t)~OUT_A20 : r->outport | OUT_A20;
		break;
	case 0xf0 ... 0xff: /* pulses the low bits that are 0; bit 0 is the reset line */
		return !(val & OUT_RESET);
	default:
		break;
	}
	return false;
}

static bool data_write(struct regs *r, uint8_t val)
{
	uint8_t command = r->command;

	r->command = 0;
	switch (command) {
	case 0:
		r->ctr &= (uint8_t)~CTR_KBD_OFF; /* the chip opens the keyboard's clock to send */
		kbd_write(r, val);
		return false;
	case 0x60:
		r->ctr = val;
		return false;
	case 0xd1:
		r->outport = val | OUT_RESET;
		return !(val & OUT_RESET);
	case 0xd2:
	case 0xd3: /* comes back as the keyboard's: Linux sees from it that there is no mouse port */
		answer(r, val);
		return false;
	default:
		return false;
	}
}

static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
	struct i8042 *d = dev;
	struct regs *r = &d->r;

	pthread_mutex_lock(&d->lock);
	if (r->has_answer) {
		r->data = r->answer;
		r->has_answer = false;
	} else if (kbd_ready(r)) {
		r->data = r->last_sent = r->q[r->q_head];
		r->q_head = (r->q_head + 1) % QUEUE;
		r->q_n--;
	}
	next_byte_irq(d);
	size = r->data;
	pthread_mutex_unlock(&d->lock);
	return size;
}

static uint64_t status_read(void *dev, uint64_t off, unsigned size)
{
	struct i8042 *d = dev;
	struct regs *r = &d->r;
	unsigned v = ST_UNLOCKED;

	pthread_mutex_lock(&d->lock);
	if (r->has_answer || kbd_ready(r))
		v |= ST_OUT_FULL;
	if (r->ctr & CTR_SYSTEM)
		v |= ST_SYSTEM;
	if (r->command_last)
		v |= ST_COMMAND;
	pthread_mutex_unlock(&d->lock);
	return v;
}

static void port_write(struct i8042 *d, bool command, uint8_t val)
{
	bool reset;

	pthread_mutex_lock(&d->lock);
	d->r.command_last = command;
	reset = command ? command_write(&d->r, val) : data_write(&d->r, val);
	update_irq(d);
	pthread_mutex_unlock(&d->lock);
	if (reset)
		d->power->event(d->power->ctx, POWER_RESET);
}

static void data_port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	port_write(dev, false, (uint8_t)val);
}

static void command_port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	port_write(dev, true, (uint8_t)val);
}

void i8042_ctrl_alt_del(struct i8042 *d)
{
	static const uint8_t set1[] = { 0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d };
	static const uint8_t set2[] = { 0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14 };
	struct regs *r = &d->r;

	pthread_mutex_lock(&d->lock);
	if ((r->ctr & CTR_XLATE) || r->set == 1) {
		for (unsigned i = 0; i < sizeof(set1); i++)
			kbd_send(r, set1[i]);
	} else {
		for (unsigned i = 0; i < sizeof(set2); i++)
			kbd_send(r, set2[i]);
	}
	update_irq(d);
	pthread_mutex_unlock(&d->lock);
}

static void i8042_reset(void *dev)
{
	struct i8042 *d = dev;

	pthread_mutex_lock(&d->lock);
	d->r = (struct regs){ .ctr = CTR_KBD_INTR | CTR_SYSTEM | CTR_AUX_OFF | CTR_XLATE, /* as firmware leaves it */
			      .outport = OUT_RESET | OUT_A20, .set = 2, .scanning = true };
	update_irq(d);
	pthread_mutex_unlock(&d->lock);
}

static void i8042_destroy(void *dev)
{
	struct i8042 *d = dev;

	if (!d)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void sync_state(struct devstate *s, struct regs *r)
{
	ds_tag(s, 0x32343038, 1);
	ds_u8(s, &r->ctr);
	ds_u8(s, &r->outport);
	ds_u8(s, &r->command);
	ds_u8(s, &r->kbd_command);
	ds_u8(s, &r->answer);
	ds_bool(s, &r->has_answer);
	ds_bool(s, &r->command_last);
	ds_bool(s, &r->scanning);
	ds_u8(s, &r->set);
	ds_u8(s, &r->last_sent);
	ds_u8(s, &r->data);
	ds_bytes(s, r->q, QUEUE);
	ds_u8(s, &r->q_head);
	ds_u8(s, &r->q_n);
}

static size_t i8042_save(void *dev, void *buf, size_t cap)
{
	struct i8042 *d = dev;
	struct devstate s = devstate_saver(buf, cap);

	pthread_mutex_lock(&d->lock);
	sync_state(&s, &d->r);
	pthread_mutex_unlock(&d->lock);
	return s.pos;
}

static int i8042_load(void *dev, const void *buf, size_t len)
{
	struct i8042 *d = dev;
	struct devstate s = devstate_loader(buf, len);
	struct regs r = { 0 };

	sync_state(&s, &r);
	if (ds_finish(&s) || r.q_head >= QUEUE || r.q_n > QUEUE || !r.set || r.set > 3)
		return -EINVAL;
	pthread_mutex_lock(&d->lock);
	d->r = r;
	update_irq(d);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

const struct device_ops i8042_ops = {
	.name = "i8042", .max_size = 1,
	.read = data_read, .write = data_port_write, .reset = i8042_reset, .destroy = i8042_destroy,
	.save = i8042_save, .load = i8042_load,
};

static const struct device_ops command_ops = {
	.name = "i8042", .max_size = 1, .read = status_read, .write = command_port_write,
};

int i8042_create(struct bus *pio, struct irq_line irq, const struct power_sink *power, struct i8042 **out,
		 struct err *e)
{
	struct i8042 *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "i8042: out of memory");
	pthread_mutex_init(&d->lock, NULL);
	d->irq = irq;
	d->power = power;
	i8042_reset(d);
	rc = bus_add(pio, PORT_I8042, 1, &i8042_ops, d, e);
	if (!rc) {
		rc = bus_add(pio, PORT_I8042 + 4, 1, &command_ops, d, e);
		if (rc)
			bus_remove(pio, PORT_I8042);
	}
	if (rc) {
		i8042_destroy(d);
		return rc;
	}
	*out = d;
	return 0;
}
