/* i8042.h - keyboard controller at ports 60h and 64h with a keyboard that nobody types on.
 * There is no mouse: its tests fail at once, so that Linux does not wait for one. */
#ifndef DEV_I8042_H
#define DEV_I8042_H

#include "core/device.h"
#include "core/irq.h"

struct bus;
struct err;
struct i8042;
struct power_sink;

/* @power outlives the device */
int i8042_create(struct bus *pio, struct irq_line irq, const struct power_sink *power, struct i8042 **out,
		 struct err *e);
extern const struct device_ops i8042_ops;

void i8042_ctrl_alt_del(struct i8042 *); /* presses and releases the three keys. Any thread */

#endif
