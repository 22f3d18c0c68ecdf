/* irqchip.h - our own PIC, IOAPIC and local APICs behind one struct irq_router,
 * for engines that have none (no ENGINE_CAP_LAPIC).
 *
 *   ISA line n -> PIC n, IOAPIC n (line 0: IOAPIC 2)      PIC INT -> LINT0 of all, IOAPIC 0
 *   GSI 16-23  -> IOAPIC only                             IOAPIC, MSI -> local APICs
 *
 * The functions that take `cpu` have the shape of struct vm_host's, so the machine
 * forwards them. They are for the vcpu's own thread. */
#ifndef DEV_IRQCHIP_H
#define DEV_IRQCHIP_H

#include "core/irq.h"
#include "dev/lapic.h"

struct bus;
struct irqchip;

/* @cfg: everything but eoi and eoi_ctx, which the irqchip fills itself */
int irqchip_create(struct bus *pio, struct bus *mmio, const struct lapics_config *cfg, struct irqchip **out,
		   struct err *e);
extern const struct device_ops irqchip_ops; /* reset, destroy, save, load of all chips */

const struct irq_router *irqchip_router(const struct irqchip *);
struct lapic *irqchip_lapic(struct irqchip *, unsigned cpu);

bool irqchip_intr_pending(struct irqchip *, unsigned cpu);
int irqchip_intr_ack(struct irqchip *, unsigned cpu); /* local APIC first, then the PIC; -1: nothing */
bool irqchip_nmi_ack(struct irqchip *, unsigned cpu);
uint64_t irqchip_cr8_read(struct irqchip *, unsigned cpu);
void irqchip_cr8_write(struct irqchip *, unsigned cpu, uint64_t val);
int irqchip_msr_read(struct irqchip *, unsigned cpu, uint32_t msr, uint64_t *val);
int irqchip_msr_write(struct irqchip *, unsigned cpu, uint32_t msr, uint64_t val);
/* To be tried before the MMIO bus: the local APIC page is each vcpu's own. True if it was that. */
bool irqchip_mmio_read(struct irqchip *, unsigned cpu, uint64_t gpa, unsigned size, uint64_t *val);
bool irqchip_mmio_write(struct irqchip *, unsigned cpu, uint64_t gpa, unsigned size, uint64_t val);
/* INIT, as the vcpu's thread obeys it */
void irqchip_cpu_init(struct irqchip *, unsigned cpu);

#endif
