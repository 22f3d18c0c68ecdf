/* debug_ports.h - two ports for bare-metal test programs: one ends the machine with a status of the guest's
 * choice, one takes text. The user chooses both numbers. */
#ifndef DEV_DEBUG_PORTS_H
#define DEV_DEBUG_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/device.h"

struct bus;
struct debug_exit;
struct debugcon;
struct err;
struct power_sink;

/* A write of v at @port reports POWER_EXIT. Wider writes count with their lowest byte. @power outlives the device.
 * Both creates: 0, or -errno with a sentence, where something else has the port. */
int debug_exit_create(struct bus *pio, uint16_t port, const struct power_sink *power, struct debug_exit **out,
		      struct err *e);
/* (v << 1 | 1) & 0xff of the first write, which is never 0; 1 before any */
int debug_exit_status(const struct debug_exit *);
extern const struct device_ops debug_exit_ops;

/* Bytes written to @port go to @fd, a line at a time; reads give E9h, by which programs know the port. The device
 * closes @fd when it is destroyed if @owned, and leaves it to the caller where create fails. A reader of @fd that
 * does not read holds the guest up for a moment; then text is dropped. */
int debugcon_create(struct bus *pio, uint16_t port, int fd, bool owned, struct debugcon **out, struct err *e);
extern const struct device_ops debugcon_ops;

#endif
