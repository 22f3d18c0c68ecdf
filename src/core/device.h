/* device.h - what every device is to its bus.
 *
 * A device gets what it needs as arguments of its create function (bus, irq line,
 * loop, memory map, its own config) and never includes the machine. Locking is the
 * device's own: ops may be called on any vcpu's thread. */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

struct device_ops {
	const char *name; /* the chip's, for logs and snapshots: "ns16550" */
	/* Widest access the chip takes at once: 1, 2 or 4; the bus splits wider ones,
	 * low address first, as a PC's bus does. 0: any width. */
	uint8_t max_size;
	/* off: bytes from the region's base. size: 1, 2, 4 or 8 (8 on MMIO only).
	 * A read of what is not there returns all ones. Never fails, never logs unboundedly. */
	uint64_t (*read)(void *dev, uint64_t off, unsigned size);
	void (*write)(void *dev, uint64_t off, unsigned size, uint64_t val);
	/* Power-on state. Called with all vcpus stopped. May be NULL. */
	void (*reset)(void *dev);
	/* Frees the device. Called with all vcpus and the loop stopped. May be NULL. */
	void (*destroy)(void *dev);
	/* The whole state, for snapshots: save writes at most cap bytes into buf and returns
	 * how many it needs (call with cap 0 to size); load returns 0 or -EINVAL. */
	size_t (*save)(void *dev, void *buf, size_t cap);
	int (*load)(void *dev, const void *buf, size_t len);
};

#endif
