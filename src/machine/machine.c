/* machine.c - builds a machine from a configuration and runs it from boot to end. */
#include "machine/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "config/config.h"
#include "core/bus.h"
#include "core/layout.h"
#include "dev/irqchip.h"
#include "dev/ns16550.h"
#include "host/loop.h"
#include "host/term.h"
#include "machine/internal.h"
#include "machine/vcpu.h"

#define PIO_LIMIT 0x10000ull
#define MMIO_LIMIT (1ull << 52) /* the architecture's largest physical address */

/* --- what the engine asks of the machine --- */

static uint32_t host_pio_read(void *ctx, unsigned cpu, uint16_t port, unsigned size)
{
	return (uint32_t)bus_read(((struct machine *)ctx)->pio, port, size);
}

static void host_pio_write(void *ctx, unsigned cpu, uint16_t port, unsigned size, uint32_t val)
{
	bus_write(((struct machine *)ctx)->pio, port, size, val);
}

static uint64_t host_mmio_read(void *ctx, unsigned cpu, uint64_t gpa, unsigned size)
{
	struct machine *m = ctx;
	uint64_t val;

	if (irqchip_mmio_read(m->irqchip, cpu, gpa, size, &val))
		return val;
	return bus_read(m->mmio, gpa, size);
}

static void host_mmio_write(void *ctx, unsigned cpu, uint64_t gpa, unsigned size, uint64_t val)
{
	struct machine *m = ctx;

	if (!irqchip_mmio_write(m->irqchip, cpu, gpa, size, val))
		bus_write(m->mmio, gpa, size, val);
}

static int host_intr_ack(void *ctx, unsigned cpu) { return irqchip_intr_ack(((struct machine *)ctx)->irqchip, cpu); }

static bool host_intr_pending(void *ctx, unsigned cpu)
{
	return irqchip_intr_pending(((struct machine *)ctx)->irqchip, cpu);
}

static bool host_nmi_ack(void *ctx, unsigned cpu) { return irqchip_nmi_ack(((struct machine *)ctx)->irqchip, cpu); }
static uint64_t host_cr8_read(void *ctx, unsigned cpu) { return irqchip_cr8_read(((struct machine *)ctx)->irqchip, cpu); }

static void host_cr8_write(void *ctx, unsigned cpu, uint64_t val)
{
	irqchip_cr8_write(((struct machine *)ctx)->irqchip, cpu, val);
}

static int host_apic_msr_read(void *ctx, unsigned cpu, uint32_t msr, uint64_t *val)
{
	return irqchip_msr_read(((struct machine *)ctx)->irqchip, cpu, msr, val);
}

static int host_apic_msr_write(void *ctx, unsigned cpu, uint32_t msr, uint64_t val)
{
	return irqchip_msr_write(((struct machine *)ctx)->irqchip, cpu, msr, val);
}

static const struct vm_host host_template = {
	.pio_read = host_pio_read,
	.pio_write = host_pio_write,
	.mmio_read = host_mmio_read,
	.mmio_write = host_mmio_write,
	.intr_ack = host_intr_ack,
	.intr_pending = host_intr_pending,
	.nmi_ack = host_nmi_ack,
	.cr8_read = host_cr8_read,
	.cr8_write = host_cr8_write,
	.apic_msr_read = host_apic_msr_read,
	.apic_msr_write = host_apic_msr_write,
};

/* --- building --- */

static void on_power(void *ctx, enum power_event ev) { machine_power(ctx, ev); }

static int create_memory(struct machine *m, struct err *e)
{
	uint64_t low = m->cfg->mem < LAYOUT_LOW_RAM_END ? m->cfg->mem : LAYOUT_LOW_RAM_END;
	int r = mem_add_ram(&m->mem, 0, low, e);

	if (!r && m->cfg->mem > low)
		r = mem_add_ram(&m->mem, LAYOUT_HIGH_RAM, m->cfg->mem - low, e);
	return r;
}

static void log_memory(uint64_t bytes)
{
	if (bytes % (1 << 20))
		log_info("Allocated guest memory: %llu KB", (unsigned long long)(bytes >> 10));
	else
		log_info("Allocated guest memory: %llu MB", (unsigned long long)(bytes >> 20));
}

static int create_vm(struct machine *m, struct err *e)
{
	struct vm_config cfg = { .mem = &m->mem, .host = &m->host, .ncpus = m->boot.ncpus, .cpu = m->cfg->cpu };
	int r = create_memory(m, e);

	if (r < 0)
		return r;
	m->host = host_template;
	m->host.ctx = m;
	r = m->ops->vm_create(&cfg, &m->vm, e);
	if (r < 0)
		return r;
	log_info("Created VM");
	log_memory(m->cfg->mem);
	return 0;
}

static int build(struct machine *m, struct err *e)
{
	int r = loop_create(&m->loop, e);

	if (!r && (bus_create(&m->pio, PIO_LIMIT) < 0 || bus_create(&m->mmio, MMIO_LIMIT) < 0))
		r = err_set(e, -ENOMEM, "no memory for the buses");
	if (!r)
		r = create_vm(m, e);
	if (!r)
		r = machine_devices_create(m, e);
	if (!r)
		r = cpus_create(m, e);
	return r;
}

int machine_create(const struct config *cfg, const struct engine_ops *engine, struct machine **out, struct err *e)
{
	struct machine *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "no memory for the machine");
	m->cfg = cfg;
	m->ops = engine;
	m->power = (struct power_sink){ on_power, m };
	atomic_flag_clear(&m->failed);
	m->boot = (struct boot_config){
		.kernel = cfg->kernel,
		.binary = cfg->binary,
		.initrd = cfg->initrd,
		.cmdline = cfg->kernel ? config_cmdline(cfg) : NULL,
		.cmdline_is_default = !cfg->cmdline,
		.entry = cfg->entry,
		.mode = (enum boot_mode)cfg->mode,
		.ncpus = (unsigned)cfg->cpus,
	};
	log_info("Initializing hypervisor...");
	r = build(m, e);
	if (r < 0) {
		machine_destroy(m);
		return r;
	}
	*out = m;
	return 0;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	cpus_destroy(m);
	machine_console_destroy(m);
	while (m->ndevices) {
		m->ndevices--;
		if (m->devices[m->ndevices].ops->destroy)
			m->devices[m->ndevices].ops->destroy(m->devices[m->ndevices].dev);
	}
	m->ops->vm_destroy(m->vm);
	bus_destroy(m->pio);
	bus_destroy(m->mmio);
	loop_destroy(m->loop);
	mem_fini(&m->mem);
	free(m);
}

/* --- running --- */

int machine_boot(struct machine *m, struct err *e)
{
	struct boot_info info;
	char line[512];
	int r;

	log_info("Setting up x86_64 boot environment...");
	r = boot_load(&m->boot, &m->mem, &m->start, &info, e);
	if (r < 0)
		return r;
	/* a raw program or a unikernel may poll the port for ever */
	ns16550_hold_input(m->com1, info.protocol == BOOT_PROTO_LINUX64 || info.protocol == BOOT_PROTO_LINUX32);
	if (m->ops->mem_written)
		for (unsigned i = 0; i < m->mem.nslots; i++)
			m->ops->mem_written(m->vm, m->mem.slots[i].gpa, m->mem.slots[i].len);
	if (m->cfg->kernel)
		log_info("%s", boot_info_describe(&info, line, sizeof(line)));
	return 0;
}

static int restart(struct machine *m, struct err *e)
{
	int reset = POWER_RESET;
	int r;

	log_info("The guest asked for a reset: starting again");
	for (unsigned i = 0; i < m->ndevices; i++)
		if (m->devices[i].ops->reset)
			m->devices[i].ops->reset(m->devices[i].dev);
	r = machine_boot(m, e);
	if (r < 0)
		return r;
	/* fails where the user has left in the meantime */
	atomic_compare_exchange_strong(&m->event, &reset, 0);
	return 0;
}

enum power_event machine_run(struct machine *m, struct err *e)
{
	term_start(m->term);
	for (;;) {
		int ev;

		if (!atomic_load(&m->event))
			cpus_start(m);
		while (!(ev = atomic_load(&m->event)))
			loop_run(m->loop);
		if (ev == POWER_QUIT)
			term_hurry(m->term);
		cpus_stop(m);
		ev = atomic_load(&m->event);
		if (ev != POWER_RESET || !m->cfg->reboot) {
			if (ev == POWER_FAIL)
				err_set(e, -EIO, "%s", m->failure.msg);
			return (enum power_event)ev;
		}
		if (restart(m, e) < 0)
			return POWER_FAIL;
	}
}
