/* console.c - the user's terminal, and the two devices of the guest that share it: serial port and virtio console. */
#include <unistd.h>

#include "config/config.h"
#include "core/layout.h"
#include "dev/ns16550.h"
#include "host/term.h"
#include "host/winsize.h"
#include "machine/internal.h"
#include "virtio/console.h"

/* --- the terminal --- */

/* Keys are the virtio console's from the moment that the guest has a driver for it */
static size_t term_input(void *ctx, const uint8_t *buf, size_t n)
{
	struct machine *m = ctx;

	if (m->hvc && virtio_console_ready(m->hvc))
		return virtio_console_input(m->hvc, buf, n);
	return ns16550_input(m->com1, buf, n);
}

static void term_break(void *ctx) { ns16550_break(((struct machine *)ctx)->com1); }
static void term_quit(void *ctx) { machine_power(ctx, POWER_QUIT); }
static void on_room(void *ctx) { term_room(((struct machine *)ctx)->term); }

/* --- the serial port --- */

static void com1_out(void *ctx, const uint8_t *buf, size_t n) { term_write(((struct machine *)ctx)->term, buf, n); }

int machine_console_create(struct machine *m, const struct irq_router *router, struct err *e)
{
	struct term_config term = {
		.in_fd = STDIN_FILENO,
		.out_fd = STDOUT_FILENO,
		.input = term_input,
		.send_break = term_break,
		.quit = term_quit,
		.ctx = m,
	};
	struct ns16550_config com1 = {
		.port = PORT_COM1,
		.irq = { router, IRQ_COM1 },
		.out = com1_out,
		.room = on_room,
		.ctx = m,
	};
	int r = term_create(m->loop, &term, &m->term, e);

	if (!r)
		r = ns16550_create(m->pio, &com1, &m->com1, e);
	if (!r)
		machine_own(m, &ns16550_ops, m->com1);
	return r;
}

/* --- the virtio console --- */

static size_t hvc_out(void *ctx, const uint8_t *buf, size_t n)
{
	return term_write_some(((struct machine *)ctx)->term, buf, n);
}

static void on_resize(void *ctx)
{
	struct machine *m = ctx;
	uint16_t cols, rows;

	if (winsize_get(STDOUT_FILENO, &cols, &rows))
		virtio_console_resize(m->hvc, cols, rows);
}

int machine_hvc_create(struct machine *m, struct virtio_model *out, struct err *e)
{
	struct console_config cfg = { .loop = m->loop, .out = hvc_out, .room = on_room, .ctx = m };
	int r = virtio_console_create(&cfg, out, &m->hvc, e);

	if (r < 0)
		return r;
	r = winsize_watch(m->loop, on_resize, m, e);
	if (r < 0)
		out->ops->destroy(out->dev);
	return r;
}

void machine_hvc_start(struct machine *m)
{
	if (m->hvc)
		on_resize(m);
}

void machine_console_destroy(struct machine *m)
{
	winsize_unwatch();
	term_destroy(m->term);
}
