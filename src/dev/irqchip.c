/* irqchip.c - joins the PIC, the IOAPIC and the local APICs into one interrupt router. */
#include "dev/irqchip.h"

#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "dev/devstate.h"
#include "dev/i8259.h"
#include "dev/ioapic.h"

#include <errno.h>
#include <stdlib.h>

#define ISA_LINES 16

struct irqchip {
	struct irq_router router;
	unsigned ncpus;
	struct i8259 *pic;
	struct ioapic *ioapic;
	struct lapics *lapics;
};

static void set_gsi(void *ctx, unsigned gsi, bool level)
{
	struct irqchip *c = ctx;

	if (gsi < ISA_LINES)
		i8259_set(c->pic, gsi, level);
	/* IOAPIC pin 0 is the PIC's output, and pin 2 the timer, as the tables for the guest say */
	if (gsi != 2)
		ioapic_set(c->ioapic, gsi ? gsi : 2, level);
}

static int msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct irqchip *c = ctx;

	return lapics_msi(c->lapics, addr, data);
}

static void pic_intr(void *ctx, bool level)
{
	struct irqchip *c = ctx;

	for (unsigned i = 0; i < c->ncpus; i++)
		lapic_set_lint(lapics_get(c->lapics, i), 0, level);
	if (c->ioapic)
		ioapic_set(c->ioapic, 0, level);
}

static unsigned ioapic_deliver(void *ctx, const struct apic_msg *m)
{
	struct irqchip *c = ctx;

	return lapics_deliver(c->lapics, m);
}

static void lapic_eoi(void *ctx, uint8_t vector)
{
	struct irqchip *c = ctx;

	ioapic_eoi(c->ioapic, vector);
}

const struct irq_router *irqchip_router(const struct irqchip *c)
{
	return &c->router;
}

struct lapic *irqchip_lapic(struct irqchip *c, unsigned cpu)
{
	return lapics_get(c->lapics, cpu);
}

bool irqchip_intr_pending(struct irqchip *c, unsigned cpu)
{
	return lapic_intr_pending(lapics_get(c->lapics, cpu));
}

int irqchip_intr_ack(struct irqchip *c, unsigned cpu)
{
	struct lapic *l = lapics_get(c->lapics, cpu);
	int v = lapic_ack(l);

	if (v < 0 && lapic_extint_ack(l))
		v = i8259_ack(c->pic);
	return v;
}

bool irqchip_nmi_ack(struct irqchip *c, unsigned cpu)
{
	return lapic_nmi_ack(lapics_get(c->lapics, cpu));
}

uint64_t irqchip_cr8_read(struct irqchip *c, unsigned cpu)
{
	return lapic_cr8_read(lapics_get(c->lapics, cpu));
}

void irqchip_cr8_write(struct irqchip *c, unsigned cpu, uint64_t val)
{
	lapic_cr8_write(lapics_get(c->lapics, cpu), val);
}

int irqchip_msr_read(struct irqchip *c, unsigned cpu, uint32_t msr, uint64_t *val)
{
	return lapic_msr_read(lapics_get(c->lapics, cpu), msr, val);
}

int irqchip_msr_write(struct irqchip *c, unsigned cpu, uint32_t msr, uint64_t val)
{
	return lapic_msr_write(lapics_get(c->lapics, cpu), msr, val);
}

bool irqchip_mmio_read(struct irqchip *c, unsigned cpu, uint64_t gpa, unsigned size, uint64_t *val)
{
	return lapic_mmio_read(lapics_get(c->lapics, cpu), gpa, size, val);
}

bool irqchip_mmio_write(struct irqchip *c, unsigned cpu, uint64_t gpa, unsigned size, uint64_t val)
{
	return lapic_mmio_write(lapics_get(c->lapics, cpu), gpa, size, val);
}

void irqchip_cpu_init(struct irqchip *c, unsigned cpu)
{
	lapic_cpu_init(lapics_get(c->lapics, cpu));
}

static void irqchip_reset(void *dev)
{
	struct irqchip *c = dev;

	i8259_ops.reset(c->pic);
	ioapic_ops.reset(c->ioapic);
	lapics_ops.reset(c->lapics);
}

static void irqchip_destroy(void *dev)
{
	struct irqchip *c = dev;

	if (!c)
		return;
	i8259_ops.destroy(c->pic);
	ioapic_ops.destroy(c->ioapic);
	lapics_ops.destroy(c->lapics);
	free(c);
}

/* The parts one after the other, each behind its length */
static size_t irqchip_save(void *dev, void *buf, size_t cap)
{
	struct irqchip *c = dev;
	const struct device_ops *const ops[] = { &i8259_ops, &ioapic_ops, &lapics_ops };
	void *const parts[] = { c->pic, c->ioapic, c->lapics };
	size_t pos = 0;

	for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
		size_t room = cap > pos + 4 ? cap - pos - 4 : 0;
		size_t len = ops[i]->save(parts[i], room ? (uint8_t *)buf + pos + 4 : NULL, room);

		if (cap >= pos + 4)
			le32_store((uint8_t *)buf + pos, (uint32_t)len);
		pos += 4 + len;
	}
	return pos;
}

static int irqchip_load(void *dev, const void *buf, size_t len)
{
	struct irqchip *c = dev;
	const struct device_ops *const ops[] = { &i8259_ops, &ioapic_ops, &lapics_ops };
	void *const parts[] = { c->pic, c->ioapic, c->lapics };
	const uint8_t *p = buf;

	for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
		size_t n;

		if (len < 4)
			return -EINVAL;
		n = le32_load(p);
		if (n > len - 4 || ops[i]->load(parts[i], p + 4, n) < 0)
			return -EINVAL;
		p += 4 + n;
		len -= 4 + n;
	}
	return len ? -EINVAL : 0;
}

const struct device_ops irqchip_ops = {
	.name = "irqchip", .reset = irqchip_reset, .destroy = irqchip_destroy,
	.save = irqchip_save, .load = irqchip_load,
};

int irqchip_create(struct bus *pio, struct bus *mmio, const struct lapics_config *cfg, struct irqchip **out,
		   struct err *e)
{
	struct irqchip *c = calloc(1, sizeof(*c));
	struct lapics_config lc = *cfg;
	int rc;

	if (!c)
		return err_set(e, -ENOMEM, "irqchip: out of memory");
	c->router = (struct irq_router){ set_gsi, msi, c };
	c->ncpus = cfg->ncpus;
	lc.eoi = lapic_eoi;
	lc.eoi_ctx = c;
	rc = lapics_create(&lc, &c->lapics, e);
	if (rc)
		goto fail;
	rc = i8259_create(pio, pic_intr, c, &c->pic, e);
	if (rc)
		goto fail;
	rc = ioapic_create(mmio, ioapic_deliver, c, &c->ioapic, e);
	if (rc)
		goto fail_pic;
	*out = c;
	return 0;

fail_pic:
	bus_remove(pio, PORT_PIC1);
	bus_remove(pio, PORT_PIC2);
	bus_remove(pio, PORT_ELCR);
fail:
	irqchip_destroy(c);
	return rc;
}
