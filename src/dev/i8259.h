/* i8259.h - the PC's two cascaded interrupt controllers, with the ELCR ports 4D0h and 4D1h. */
#ifndef DEV_I8259_H
#define DEV_I8259_H

#include "core/device.h"

#include <stdbool.h>

struct bus;
struct err;
struct i8259;

/* @intr gets the INT output's level whenever it changes, with the PIC's lock held */
int i8259_create(struct bus *pio, void (*intr)(void *ctx, bool level), void *ctx, struct i8259 **out, struct err *e);
extern const struct device_ops i8259_ops;

void i8259_set(struct i8259 *, unsigned irq, bool level); /* irq 0-15; 2 is the cascade and ignored. Any thread */
/* An INTA cycle: the vector. Without a request, the spurious IRQ 7 (or 15) as the chip does. */
int i8259_ack(struct i8259 *);

#endif
