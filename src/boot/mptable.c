/* mptable.c - the Intel MultiProcessor table, for kernels without ACPI. */
#include "boot/mptable.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/acpi.h"
#include "core/layout.h"
#include "core/memmap.h"

#define TABLE_GPA  (LAYOUT_ACPI + 0x10000ull)
#define TABLE_HEAD 44u
#define TABLE_MAX  (TABLE_HEAD + 20u * ACPI_CPUS_MAX + 8u * 32u)

/* The BIOS data area's words for "where is the EBDA" (a segment) and "KiB of base memory" */
#define BDA_EBDA     0x40eull
#define BDA_BASE_KIB 0x413ull

#define INT_VECTORED     0
#define INT_NMI          1
#define INT_EXT          3
#define FLAGS_CONFORMS   0x0
#define FLAGS_LEVEL_HIGH 0xd

/* Interrupt assignments (4.3.4, 4.3.5): type 3 to an IOAPIC's pin, type 4 to a local APIC's LINT */
static uint8_t *mp_interrupt(uint8_t *p, uint8_t entry, uint8_t type, uint16_t flags, uint8_t irq, uint8_t apic,
			     uint8_t pin)
{
	p[0] = entry;
	p[1] = type;
	le16_store(p + 2, flags);
	p[4] = 0; /* the ISA bus */
	p[5] = irq;
	p[6] = apic;
	p[7] = pin;
	return p + 8;
}

static size_t mp_config(uint8_t *t, unsigned ncpus)
{
	uint8_t *p = t + TABLE_HEAD, ioapic = acpi_ioapic_id(ncpus);
	unsigned n = ncpus + 2;

	for (unsigned i = 0; i < ncpus; i++, p += 20) {
		p[1] = (uint8_t)i;
		p[2] = 0x14;              /* local APIC version */
		p[3] = i ? 1 : 3;         /* enabled; the first is the bootstrap processor */
		le32_store(p + 4, 0x600); /* family 6 */
		le32_store(p + 8, 0x201); /* FPU, APIC on chip */
	}
	p[0] = 1;
	acpi_text(p + 2, "ISA   ");
	p += 8;
	p[0] = 2;
	p[1] = ioapic;
	p[2] = 0x20; /* version */
	p[3] = 1;    /* enabled */
	le32_store(p + 4, (uint32_t)LAYOUT_IOAPIC);
	p += 8;
	for (uint8_t irq = 0; irq < 16; irq++) {
		if (irq == 2) /* the 8259s' cascade; its pin has IRQ 0 */
			continue;
		p = mp_interrupt(p, 3, INT_VECTORED, irq == IRQ_ACPI_SCI ? FLAGS_LEVEL_HIGH : FLAGS_CONFORMS, irq,
				 ioapic, irq == IRQ_PIT ? 2 : irq);
		n++;
	}
	p = mp_interrupt(p, 3, INT_EXT, FLAGS_CONFORMS, 0, ioapic, 0);
	p = mp_interrupt(p, 4, INT_EXT, FLAGS_CONFORMS, 0, 0xff, 0);
	p = mp_interrupt(p, 4, INT_NMI, FLAGS_CONFORMS, 0, 0xff, 1);
	n += 3;

	size_t len = (size_t)(p - t);
	acpi_text(t, "PCMP");
	le16_store(t + 4, (uint16_t)len);
	t[6] = 4; /* specification 1.4 */
	acpi_text(t + 8, "VIBEVMM ");
	acpi_text(t + 16, "VIBEVMM     ");
	le16_store(t + 34, (uint16_t)n);
	le32_store(t + 36, (uint32_t)LAYOUT_LAPIC);
	t[7] = acpi_checksum(t, len);
	return len;
}

int mptable_write(struct memmap *mem, unsigned ncpus, struct err *e)
{
	uint8_t table[TABLE_MAX] = { 0 }, ptr[16] = { 0 }, word[2];

	if (!ncpus || ncpus > ACPI_CPUS_MAX)
		return err_set(e, -EINVAL, "the machine cannot have %u CPUs", ncpus);
	size_t len = mp_config(table, ncpus);
	acpi_text(ptr, "_MP_");
	le32_store(ptr + 4, (uint32_t)TABLE_GPA);
	ptr[8] = 1; /* length in units of 16 bytes */
	ptr[9] = 4;
	ptr[10] = acpi_checksum(ptr, sizeof(ptr));
	int rc = mem_write(mem, TABLE_GPA, table, len);
	rc |= mem_write(mem, LAYOUT_MPTABLE, ptr, sizeof(ptr));
	le16_store(word, (uint16_t)(LAYOUT_MPTABLE >> 4));
	rc |= mem_write(mem, BDA_EBDA, word, 2);
	le16_store(word, (uint16_t)(LAYOUT_MPTABLE >> 10));
	rc |= mem_write(mem, BDA_BASE_KIB, word, 2);
	if (rc)
		return err_set(e, -ENOMEM,
			       "the guest's memory is too small for an MP table; give at least 2M with --mem");
	return 0;
}
