/* devices.c - the machine's devices, each with what it needs of the machine. */
#include <errno.h>

#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "dev/acpi_pm.h"
#include "dev/i8042.h"
#include "dev/i8254.h"
#include "dev/irqchip.h"
#include "dev/mc146818.h"
#include "dev/pvpanic.h"
#include "dev/reset.h"
#include "host/loop.h"
#include "machine/internal.h"
#include "machine/vcpu.h"

void machine_own(struct machine *m, const struct device_ops *ops, void *dev)
{
	m->devices[m->ndevices].ops = ops;
	m->devices[m->ndevices++].dev = dev;
}

/* --- the interrupt chips, where the engine has none --- */

static uint64_t lapic_tsc_now(void *ctx, unsigned cpu) { return cpu_tsc_now(ctx, cpu); }
static void lapic_notify(void *ctx, unsigned cpu) { cpu_notify(ctx, cpu); }

static void lapic_start(void *ctx, unsigned cpu, enum lapic_start what, uint8_t vector)
{
	cpu_start_message(ctx, cpu, (int)what, vector);
}

static int create_irqchip(struct machine *m, struct err *e)
{
	struct lapics_config cfg = {
		.ncpus = m->boot.ncpus,
		.loop = m->loop,
		.tsc_khz = m->ops->tsc_khz ? m->ops->tsc_khz(m->vm) : 0,
		.tsc_now = m->ops->tsc_now ? lapic_tsc_now : NULL,
		.notify = lapic_notify,
		.start = lapic_start,
		.ctx = m,
	};
	int r = irqchip_create(m->pio, m->mmio, &cfg, &m->irqchip, e);

	if (!r)
		machine_own(m, &irqchip_ops, m->irqchip);
	return r;
}

/* --- all --- */

static int create_legacy(struct machine *m, const struct irq_router *router, struct err *e)
{
	struct i8254 *pit = NULL;
	struct mc146818 *rtc = NULL;
	struct i8042 *kbd = NULL;
	int r;

	r = i8254_create(m->pio, (struct irq_line){ router, IRQ_PIT }, m->loop, &pit, e);
	if (r < 0)
		return r;
	machine_own(m, &i8254_ops, pit);
	r = mc146818_create(m->pio, (struct irq_line){ router, IRQ_RTC }, m->loop, &rtc, e);
	if (r < 0)
		return r;
	machine_own(m, &mc146818_ops, rtc);
	r = i8042_create(m->pio, (struct irq_line){ router, IRQ_KBD }, &m->power, &kbd, e);
	if (r < 0)
		return r;
	machine_own(m, &i8042_ops, kbd);
	return 0;
}

static int create_power(struct machine *m, const struct irq_router *router, struct err *e)
{
	struct acpi_pm *pm = NULL;
	struct pvpanic *panic = NULL;
	struct irq_line sci = { router, IRQ_ACPI_SCI };
	int r;

	r = acpi_pm_create(m->pio, sci, m->loop, &m->power, &pm, e);
	if (r < 0)
		return r;
	machine_own(m, &acpi_pm_ops, pm);
	r = pvpanic_create(m->pio, &m->power, &panic, e);
	if (r < 0)
		return r;
	machine_own(m, &pvpanic_ops, panic);
	r = reset_create(m->pio, &m->power, &m->reset, e);
	if (r < 0)
		return r;
	machine_own(m, &reset_ops, m->reset);
	return 0;
}

int machine_devices_create(struct machine *m, struct err *e)
{
	const struct irq_router *router;
	int r;

	if (m->ops->caps(m->vm) & ENGINE_CAP_LAPIC)
		return err_set(e, -ENOTSUP, "the %s engine brings interrupt chips of its own, which this version cannot use",
			       m->ops->name);
	r = create_irqchip(m, e);
	if (r < 0)
		return r;
	router = irqchip_router(m->irqchip);
	r = machine_console_create(m, router, e);
	if (!r)
		r = create_legacy(m, router, e);
	if (!r)
		r = create_power(m, router, e);
	if (!r)
		r = machine_pci_create(m, router, e);
	if (!r)
		r = machine_debug_create(m, e);
	return r;
}
