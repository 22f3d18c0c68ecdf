/* reset.h - the two reset ports: CF9h (also ACPI's reset register, value 06h) and 92h. */
#ifndef DEV_RESET_H
#define DEV_RESET_H

#include "core/device.h"

struct bus;
struct err;
struct power_sink;
struct reset_port;

/* @power outlives the device */
int reset_create(struct bus *pio, const struct power_sink *power, struct reset_port **out, struct err *e);
extern const struct device_ops reset_ops;

#endif
