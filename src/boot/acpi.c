/* acpi.c - the ACPI tables of this machine, for a kernel's eyes only.
 *
 *   LAYOUT_ACPI: RSDP | XSDT | FACS | DSDT | FADT | MADT | MCFG    all below 64 KiB, 64-byte aligned */
#include "boot/acpi.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/acpi_pci.h"
#include "boot/aml.h"
#include "core/layout.h"
#include "core/memmap.h"

#define TABLES_LEN 0x4000u
#define TABLE_HEAD 36u

/* A table under construction in the image of the whole area */
struct tables {
	uint8_t *img; /* TABLES_LEN bytes for LAYOUT_ACPI */
	uint32_t used;
};

static uint8_t *table_begin(struct tables *t, uint32_t *off)
{
	*off = t->used;
	return t->img + t->used;
}

static void table_skip(struct tables *t, uint32_t len) { t->used = (uint32_t)align_up(t->used + len, 64); }

/* Fills the header that all tables but RSDP and FACS have (5.2.6), and ends the table */
static void table_end(struct tables *t, uint8_t *p, const char *sig, uint8_t revision, uint32_t len)
{
	acpi_text(p, sig);
	le32_store(p + 4, len);
	p[8] = revision;
	p[9] = 0;
	acpi_text(p + 10, "VIBVMM");
	acpi_text(p + 16, "VIBEVMM ");
	le32_store(p + 24, 1);
	acpi_text(p + 28, "VVMM");
	le32_store(p + 32, 1);
	p[9] = acpi_checksum(p, len);
	table_skip(t, len);
}

struct isa_device {
	const char *name, *eisa_id, *string_id; /* one of the ids */
	struct aml_ports ports[2];
	unsigned nports;
	int irq;
};

static const struct isa_device isa_devices[] = {
	{ "COM1", "PNP0501", NULL, { { PORT_COM1, 8 } }, 1, IRQ_COM1 },
	{ "RTC_", "PNP0B00", NULL, { { PORT_RTC, 2 } }, 1, IRQ_RTC },
	{ "KBD_", "PNP0303", NULL, { { PORT_I8042, 1 }, { PORT_I8042 + 4, 1 } }, 2, IRQ_KBD },
	{ "PVPN", NULL, "QEMU0001", { { PORT_PVPANIC, 1 } }, 1, AML_NO_IRQ },
};

#define STA_PRESENT 0x0f /* present, enabled, shown, working (6.3.7) */

static void dsdt_write(struct tables *t, uint32_t *off)
{
	uint8_t *p = table_begin(t, off);
	struct aml a = { .buf = p + TABLE_HEAD, .cap = TABLES_LEN - t->used - TABLE_HEAD };
	static const uint8_t s5[4] = { ACPI_PM_S5_TYPE, ACPI_PM_S5_TYPE, 0, 0 };

	size_t sb = aml_scope(&a, "\\_SB_");
	for (unsigned i = 0; i < ARRAY_LEN(isa_devices); i++) {
		const struct isa_device *d = &isa_devices[i];
		size_t dev = aml_device(&a, d->name);
		if (d->eisa_id)
			aml_name_eisaid(&a, "_HID", d->eisa_id);
		else
			aml_name_string(&a, "_HID", d->string_id);
		aml_name_int(&a, "_UID", 0);
		aml_name_int(&a, "_STA", STA_PRESENT);
		aml_crs(&a, d->ports, d->nports, d->irq);
		aml_end(&a, dev);
	}
	acpi_pci_device(&a);
	aml_end(&a, sb);
	aml_name_package(&a, "_S5_", s5, sizeof(s5));
	table_end(t, p, "DSDT", 2, (uint32_t)(TABLE_HEAD + a.len));
}

/* Generic address (5.2.3.2) of a register of @bytes at an I/O port */
static void gas_port(uint8_t *p, uint16_t port, uint8_t bytes, uint8_t access)
{
	p[0] = 1; /* system I/O */
	p[1] = (uint8_t)(bytes * 8);
	p[2] = 0;
	p[3] = access; /* 1 byte, 2 word, 3 dword */
	le64_store(p + 4, port);
}

/* FADT's fixed flags (5.2.9, table 5.10) */
enum {
	FADT_WBINVD = 1 << 0,
	FADT_C1 = 1 << 2,
	FADT_NO_SLEEP_BUTTON = 1 << 5,
	FADT_RTC_NOT_FIXED = 1 << 6, /* the power button (bit 4 clear) is a fixed feature, the RTC's alarm is not */
	FADT_TIMER_32BIT = 1 << 8,
	FADT_RESET_REG = 1 << 10,
};

/* IA-PC boot flags (table 5.11): ISA devices, an 8042, no VGA; there is a CMOS RTC */
#define FADT_BOOT_ARCH 0x0007

#define PM1_EVENT   PORT_ACPI_PM
#define PM1_CONTROL (PORT_ACPI_PM + 4)
#define PM_TIMER    (PORT_ACPI_PM + 8)
#define GPE0        (PORT_ACPI_PM + 0x20)

static void fadt_write(struct tables *t, uint32_t facs, uint32_t dsdt, uint32_t *off)
{
	uint8_t *p = table_begin(t, off);

	le32_store(p + 36, (uint32_t)LAYOUT_ACPI + facs);
	le32_store(p + 40, (uint32_t)LAYOUT_ACPI + dsdt);
	p[45] = 4; /* preferred profile: enterprise server */
	le16_store(p + 46, IRQ_ACPI_SCI);
	/* SMI command port 0: the machine is always in ACPI mode */
	le32_store(p + 56, PM1_EVENT);
	le32_store(p + 64, PM1_CONTROL);
	le32_store(p + 76, PM_TIMER);
	le32_store(p + 80, GPE0);
	p[88] = 4; /* lengths of the above: event, control, (PM2,) timer, GPE0 */
	p[89] = 2;
	p[91] = 4;
	p[92] = 4;
	le16_store(p + 96, 0xffff); /* latencies of C2 and C3: neither is there */
	le16_store(p + 98, 0xffff);
	le16_store(p + 109, FADT_BOOT_ARCH);
	le32_store(p + 112, FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP_BUTTON | FADT_RTC_NOT_FIXED | FADT_TIMER_32BIT |
				    FADT_RESET_REG);
	gas_port(p + 116, PORT_RESET, 1, 1);
	p[128] = ACPI_PM_RESET_VALUE;
	p[131] = 4; /* minor version: 6.4 */
	le64_store(p + 140, LAYOUT_ACPI + dsdt);
	gas_port(p + 148, PM1_EVENT, 4, 2);
	gas_port(p + 172, PM1_CONTROL, 2, 2);
	gas_port(p + 208, PM_TIMER, 4, 3);
	gas_port(p + 220, GPE0, 4, 1);
	acpi_text(p + 268, "VIBEVMM"); /* hypervisor */
	table_end(t, p, "FACP", 6, 276);
}

/* Firmware ACPI control structure (5.2.10): only there because the FADT must have one */
static void facs_write(struct tables *t, uint32_t *off)
{
	uint8_t *p = table_begin(t, off);

	acpi_text(p, "FACS");
	le32_store(p + 4, 64);
	p[32] = 2;
	table_skip(t, 64);
}

static uint8_t *madt_entry(uint8_t **at, uint8_t type, uint8_t len)
{
	uint8_t *p = *at;

	p[0] = type;
	p[1] = len;
	*at += len;
	return p;
}

/* ISA interrupt @irq arrives at IOAPIC pin @gsi; flags: polarity, trigger mode (table 5.26) */
static void madt_override(uint8_t **at, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	uint8_t *p = madt_entry(at, 2, 10);

	p[3] = irq;
	le32_store(p + 4, gsi);
	le16_store(p + 8, flags);
}

#define INT_CONFORMS   0x0
#define INT_LEVEL_HIGH 0xd

static void madt_write(struct tables *t, unsigned ncpus, uint32_t *off)
{
	uint8_t *p = table_begin(t, off), *at = p + 44, *n;

	le32_store(p + 36, (uint32_t)LAYOUT_LAPIC);
	le32_store(p + 40, 1); /* there are 8259s too, which the kernel has to silence */
	for (unsigned i = 0; i < ncpus; i++) {
		n = madt_entry(&at, 0, 8);
		n[2] = (uint8_t)i; /* processor's and local APIC's id */
		n[3] = (uint8_t)i;
		le32_store(n + 4, 1); /* enabled */
	}
	n = madt_entry(&at, 1, 12);
	n[2] = acpi_ioapic_id(ncpus);
	le32_store(n + 4, (uint32_t)LAYOUT_IOAPIC);
	madt_override(&at, IRQ_PIT, 2, INT_CONFORMS);
	madt_override(&at, IRQ_ACPI_SCI, IRQ_ACPI_SCI, INT_LEVEL_HIGH);
	n = madt_entry(&at, 4, 6); /* NMI at LINT1 of all processors */
	n[2] = 0xff;
	n[5] = 1;
	table_end(t, p, "APIC", 5, (uint32_t)(at - p));
}

/* Memory-mapped configuration space (PCI Firmware Specification 3.0, 4.1.2) */
static void mcfg_write(struct tables *t, uint32_t *off)
{
	uint8_t *p = table_begin(t, off);

	le64_store(p + 44, LAYOUT_PCI_ECAM);
	p[55] = LAYOUT_PCI_BUSES - 1; /* the last bus; the first is 0 */
	table_end(t, p, "MCFG", 1, 60);
}

#define XSDT_TABLES 3u

int acpi_write(struct memmap *mem, unsigned ncpus, uint64_t *rsdp, struct err *e)
{
	uint8_t img[TABLES_LEN] = { 0 };
	struct tables t = { .img = img };
	uint32_t root, xsdt, facs, dsdt, fadt, madt, mcfg;

	if (!ncpus || ncpus > ACPI_CPUS_MAX)
		return err_set(e, -EINVAL, "the machine cannot have %u CPUs", ncpus);
	uint8_t *r = table_begin(&t, &root);
	table_skip(&t, 36);
	uint8_t *x = table_begin(&t, &xsdt);
	table_skip(&t, TABLE_HEAD + XSDT_TABLES * 8);
	facs_write(&t, &facs);
	dsdt_write(&t, &dsdt);
	fadt_write(&t, facs, dsdt, &fadt);
	madt_write(&t, ncpus, &madt);
	mcfg_write(&t, &mcfg);

	le64_store(x + TABLE_HEAD, LAYOUT_ACPI + fadt);
	le64_store(x + TABLE_HEAD + 8, LAYOUT_ACPI + madt);
	le64_store(x + TABLE_HEAD + 16, LAYOUT_ACPI + mcfg);
	struct tables none = { .img = img };
	table_end(&none, x, "XSDT", 1, TABLE_HEAD + XSDT_TABLES * 8);

	/* RSDP (5.2.5.3): the first checksum is over ACPI 1.0's 20 bytes */
	acpi_text(r, "RSD PTR ");
	acpi_text(r + 9, "VIBVMM");
	r[15] = 2;
	le32_store(r + 20, 36);
	le64_store(r + 24, LAYOUT_ACPI + xsdt);
	r[8] = acpi_checksum(r, 20);
	r[32] = acpi_checksum(r, 36);
	if (mem_write(mem, LAYOUT_ACPI, img, sizeof(img)))
		return err_set(e, -ENOMEM,
			       "the guest's memory is too small for ACPI tables; give at least 2M with --mem");
	*rsdp = LAYOUT_ACPI + root;
	return 0;
}
