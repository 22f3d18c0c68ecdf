/* bus.h - dispatches port and memory accesses to device regions.
 *
 * One struct bus for ports (space 64 KiB), one for MMIO. Regions never overlap;
 * adding one that does is an error that names both. Lookup is lock-free; regions
 * may be added and removed while vcpus run (PCI BARs move). */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include "core/device.h"

struct bus;
struct err;

int bus_create(struct bus **out, uint64_t limit); /* addresses [0, limit) */
void bus_destroy(struct bus *);                     /* not the devices */

int bus_add(struct bus *, uint64_t base, uint64_t len, const struct device_ops *ops, void *dev, struct err *e);
void bus_remove(struct bus *, uint64_t base);

/* size 1, 2, 4 or 8. What no region claims reads as all ones; writes there vanish.
 * An access that straddles a region's end is split into bytes. */
uint64_t bus_read(struct bus *, uint64_t addr, unsigned size);
void bus_write(struct bus *, uint64_t addr, unsigned size, uint64_t val);

#endif
