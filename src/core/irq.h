/* irq.h - interrupt lines and messages, whoever implements the chips.
 *
 * KVM's in-kernel chips, our own PIC/IOAPIC/LAPIC, or a test's recorder stand behind
 * struct irq_router. GSIs 0-15 are the ISA lines (PIC and IOAPIC pins alike, IRQ 0 is
 * IOAPIC pin 2), 16-23 IOAPIC pins only. */
#ifndef CORE_IRQ_H
#define CORE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct irq_router {
	/* Level of a line; edges are made by true then false. Any thread. */
	void (*set)(void *ctx, unsigned gsi, bool level);
	/* An MSI write. 0 or -EINVAL for a message to nowhere. Any thread. */
	int (*msi)(void *ctx, uint64_t addr, uint32_t data);
	void *ctx;
};

/* One line of a router, as a device holds it */
struct irq_line {
	const struct irq_router *router;
	unsigned gsi;
};

static inline void irq_set(const struct irq_line *l, bool level)
{
	l->router->set(l->router->ctx, l->gsi, level);
}

#endif
