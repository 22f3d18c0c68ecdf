/* Fuzzes all devices together: a program of port and memory accesses, lines, input, time, vcpu's questions,
 * saving and loading. Nothing may crash, and time may not fire more timers than the devices promise. */
#include "unit/dev_fixture.h"

#include "dev/acpi_pm.h"
#include "dev/i8042.h"
#include "dev/i8254.h"
#include "dev/irqchip.h"
#include "dev/mc146818.h"
#include "dev/ns16550.h"
#include "dev/pvpanic.h"
#include "dev/reset.h"

#define NCPUS 2
#define NDEVS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p;
	size_t n;
};

static struct irqchip *chip;
static struct ns16550 *uart;
static struct i8042 *kbd;
static struct acpi_pm *pm;
static struct { const struct device_ops *ops; void *dev; } devs[NDEVS];
static unsigned ndevs;

static uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes && in->n; i++, in->p++, in->n--)
		v |= (uint64_t)*in->p << 8 * i;
	return v;
}

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void own(const struct device_ops *ops, void *dev)
{
	require(dev && ndevs < NDEVS);
	devs[ndevs].ops = ops;
	devs[ndevs++].dev = dev;
}

static void out(void *ctx, const uint8_t *buf, size_t n) { require(n == 1); }

static void room(void *ctx) { ns16550_input(uart, (const uint8_t *)"again and again and again", 25); }

static void create(void)
{
	struct lapics_config lc = { .ncpus = NCPUS };
	const struct irq_router *r;
	struct ns16550_config uc = { .port = PORT_COM1, .out = out, .room = room };
	struct i8254 *pit = NULL;
	struct mc146818 *rtc = NULL;
	struct pvpanic *panic = NULL;
	struct reset_port *reset = NULL;

	buses_create();
	ndevs = 0;
	irqchip_create(pio, mmio, &lc, &chip, NULL);
	own(&irqchip_ops, chip);
	r = irqchip_router(chip);
	uc.irq = (struct irq_line){ r, IRQ_COM1 };
	ns16550_create(pio, &uc, &uart, NULL);
	own(&ns16550_ops, uart);
	i8254_create(pio, (struct irq_line){ r, IRQ_PIT }, NULL, &pit, NULL);
	own(&i8254_ops, pit);
	mc146818_create(pio, (struct irq_line){ r, IRQ_RTC }, NULL, &rtc, NULL);
	own(&mc146818_ops, rtc);
	i8042_create(pio, (struct irq_line){ r, IRQ_KBD }, &power, &kbd, NULL);
	own(&i8042_ops, kbd);
	acpi_pm_create(pio, (struct irq_line){ r, IRQ_ACPI_SCI }, NULL, &power, &pm, NULL);
	own(&acpi_pm_ops, pm);
	pvpanic_create(pio, &power, &panic, NULL);
	own(&pvpanic_ops, panic);
	reset_create(pio, &power, &reset, NULL);
	own(&reset_ops, reset);
}

/* Ports that exist, for the most part */
static unsigned port(struct input *in)
{
	static const uint16_t bases[] = { PORT_PIC1, PORT_PIC2, PORT_ELCR, PORT_PIT, PORT_I8042, PORT_RTC, PORT_COM1,
					  PORT_COM1 + 4, PORT_ACPI_PM, PORT_ACPI_PM + 8, PORT_ACPI_PM + 0x20,
					  PORT_RESET, PORT_SYSCTL_A, PORT_PVPANIC };
	unsigned sel = (unsigned)take(in, 1);

	return sel == 0xff ? (unsigned)take(in, 2) : bases[sel % 14u] + (sel >> 4 & 7);
}

static void pass_time(struct input *in)
{
	unsigned unit = (unsigned)take(in, 1), n = (unsigned)take(in, 1), before = fake_fired;
	uint64_t ns = (uint64_t)n << (unit % 33);

	if (unit & 0x40) { /* the host was busy: nothing fired meanwhile */
		fake_now += ns;
		ns = 0;
	}
	/* Long stretches are a matter of the promised rates, not of single steps: one second at most */
	ns = ns > 1000000000u ? 1000000000u : ns;
	fake_advance(ns);
	/* 10 kHz for each local APIC and the PIT, 2 a second for the RTC (which waits for the guest) and PM; and start-up */
	require(fake_fired - before <= 3 * (ns / 100000 + 2) + 16);
}

static void save_and_load(struct input *in)
{
	unsigned i = (unsigned)take(in, 1), flips = i >> 4;
	size_t len;
	uint8_t *buf, *again;

	i %= ndevs;
	len = devs[i].ops->save(devs[i].dev, NULL, 0);
	buf = malloc(len);
	again = malloc(len);
	require(devs[i].ops->save(devs[i].dev, buf, len) == len);
	require(devs[i].ops->load(devs[i].dev, buf, len) == 0); /* what a device saves, it loads */
	for (unsigned k = 0; k < flips; k++)
		buf[take(in, 2) % len] ^= (uint8_t)take(in, 1);
	if (!devs[i].ops->load(devs[i].dev, buf, len)) {
		require(devs[i].ops->save(devs[i].dev, again, len) == len);
		require(devs[i].ops->load(devs[i].dev, again, len) == 0);
	}
	free(buf);
	free(again);
}

static void ask_vcpu(struct input *in)
{
	unsigned cpu = (unsigned)take(in, 1);
	bool pending;
	int v;

	if (cpu & 0x40)
		irqchip_cpu_init(chip, cpu % NCPUS);
	cpu %= NCPUS;
	pending = irqchip_intr_pending(chip, cpu);
	v = irqchip_intr_ack(chip, cpu);
	require(pending == (v >= 0) && v < 256);
	irqchip_nmi_ack(chip, cpu);
}

static void step(struct input *in)
{
	static const uint32_t msrs[] = { 0x1b, 0x6e0 };
	unsigned op = (unsigned)take(in, 1), size = 1u << (op >> 4 & 3), cpu = op >> 6 & 1, at;
	uint64_t val;
	uint32_t msr;

	switch (op & 15) {
	case 0: case 1: case 2:
		at = port(in);
		bus_write(pio, at, size > 4 ? 4 : size, take(in, size > 4 ? 4 : size));
		break;
	case 3: case 4:
		bus_read(pio, port(in), size > 4 ? 4 : size);
		break;
	case 5:
		bus_write(mmio, LAYOUT_IOAPIC, 4, take(in, 1));
		bus_write(mmio, LAYOUT_IOAPIC + take(in, 1), size, take(in, size));
		break;
	case 6:
		bus_read(mmio, LAYOUT_IOAPIC + take(in, 1), size);
		break;
	case 7: case 8:
		at = (unsigned)take(in, 1) << 4 | (op & 0x80 ? 1 : 0);
		irqchip_mmio_write(chip, cpu, LAYOUT_LAPIC + at, 4, take(in, 4));
		break;
	case 9:
		irqchip_mmio_read(chip, cpu, LAYOUT_LAPIC + take(in, 2) % 4096, size, &val);
		break;
	case 10:
		msr = op & 0x20 ? msrs[op >> 4 & 1] : 0x800 + (uint32_t)take(in, 1);
		irqchip_msr_write(chip, cpu, msr, take(in, 8));
		irqchip_msr_read(chip, cpu, msr, &val);
		break;
	case 11:
		irqchip_router(chip)->set(irqchip_router(chip)->ctx, (unsigned)take(in, 1) % 32, op & 0x80);
		irqchip_router(chip)->msi(irqchip_router(chip)->ctx, LAYOUT_LAPIC | take(in, 2) << 4, (uint32_t)take(in, 2));
		break;
	case 12:
		ns16550_input(uart, in->p, in->n < 20 ? in->n : 20);
		if (op & 0x80)
			ns16550_break(uart);
		if (op & 0x40)
			i8042_ctrl_alt_del(kbd);
		if (op & 0x20)
			acpi_pm_power_button(pm);
		break;
	case 13:
		pass_time(in);
		break;
	case 14:
		at = (unsigned)(op == 0xfe ? take(in, 1) % ndevs : ndevs);
		if (at == ndevs)
			save_and_load(in);
		else if (devs[at].ops->reset)
			devs[at].ops->reset(devs[at].dev);
		break;
	default:
		ask_vcpu(in);
		irqchip_cr8_write(chip, cpu, op >> 4);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	fake_now = 1000000000000ull;
	create();
	for (unsigned i = 0; i < 500 && in.n; i++)
		step(&in);
	for (unsigned i = 0; i < ndevs; i++)
		devs[ndevs - 1 - i].ops->destroy(devs[ndevs - 1 - i].dev);
	buses_destroy();
	return 0;
}
