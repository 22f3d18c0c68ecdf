/* i8254.h - the PC's interval timer: channel 0 on an interrupt line, channel 2 gated by
 * port 61h, whose bits 4 (refresh) and 5 (channel 2's output) are here as well.
 *
 * Lost ticks: a periodic channel 0 that falls behind is caught up at no more than twice
 * its rate; what is more than a second late is dropped. No tick comes less than 100 us
 * after the one before. */
#ifndef DEV_I8254_H
#define DEV_I8254_H

#include "core/device.h"
#include "core/irq.h"

struct bus;
struct err;
struct i8254;
struct loop;

#define I8254_HZ 1193182u

int i8254_create(struct bus *pio, struct irq_line irq, struct loop *loop, struct i8254 **out, struct err *e);
extern const struct device_ops i8254_ops;

#endif
