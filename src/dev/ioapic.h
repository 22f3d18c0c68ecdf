/* ioapic.h - I/O APIC with 24 pins, version 20h (Intel 82093AA, ICH-style EOI register).
 *
 * A pin is "asserted" or not; the polarity bits are kept but mean nothing here. An edge
 * on a masked pin is lost, as the 82093AA's data sheet says. */
#ifndef DEV_IOAPIC_H
#define DEV_IOAPIC_H

#include "core/device.h"

#include <stdbool.h>

struct apic_msg;
struct bus;
struct err;
struct ioapic;

#define IOAPIC_PINS 24

/* Registers itself at LAYOUT_IOAPIC of @mmio. @deliver is called with the IOAPIC's
 * lock held and returns how many took the message. */
int ioapic_create(struct bus *mmio, unsigned (*deliver)(void *ctx, const struct apic_msg *), void *ctx,
		  struct ioapic **out, struct err *e);
extern const struct device_ops ioapic_ops;

void ioapic_set(struct ioapic *, unsigned pin, bool level); /* any thread */
void ioapic_eoi(struct ioapic *, uint8_t vector);           /* any thread */

#endif
