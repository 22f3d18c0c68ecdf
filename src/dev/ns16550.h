/* ns16550.h - a 16550A serial port. Sending takes no time; a received byte below the
 * FIFO's trigger level raises the timeout interrupt at once. */
#ifndef DEV_NS16550_H
#define DEV_NS16550_H

#include "core/device.h"
#include "core/irq.h"

#include <stdbool.h>

struct bus;
struct err;
struct ns16550;

struct ns16550_config {
	uint16_t port; /* 8 ports from here */
	struct irq_line irq;
	/* What the guest sends, in order. Called with the device's lock held, on a vcpu's thread:
	 * it must not call the device. */
	void (*out)(void *ctx, const uint8_t *buf, size_t n);
	/* After ns16550_input took less than it was given: there is room again. Without the lock, on a
	 * vcpu's thread. May be NULL. */
	void (*room)(void *ctx);
	void *ctx;
};

int ns16550_create(struct bus *pio, const struct ns16550_config *, struct ns16550 **out, struct err *e);
extern const struct device_ops ns16550_ops;

/* Gives @n bytes to the receiver; how many it took (0 to n). Any thread. */
size_t ns16550_input(struct ns16550 *, const uint8_t *buf, size_t n);
/* With @hold, input waits until the guest's receive interrupt is enabled and let through (OUT2), and its
 * FIFOs are on: a kernel's driver empties them when it opens the port, so what came before would be lost. */
void ns16550_hold_input(struct ns16550 *, bool hold); /* before vcpus run */
/* A break condition on the line (Linux's magic SysRq). Any thread. */
void ns16550_break(struct ns16550 *);

#endif
