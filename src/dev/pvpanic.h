/* pvpanic.h - port 505h, where a guest's kernel says that it has panicked. */
#ifndef DEV_PVPANIC_H
#define DEV_PVPANIC_H

#include "core/device.h"

struct bus;
struct err;
struct power_sink;
struct pvpanic;

/* @power outlives the device */
int pvpanic_create(struct bus *pio, const struct power_sink *power, struct pvpanic **out, struct err *e);
extern const struct device_ops pvpanic_ops;

#endif
