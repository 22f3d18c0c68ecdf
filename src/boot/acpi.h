/* acpi.h - the ACPI tables of this machine (ACPI 6.4 chapter 5), for a kernel's eyes only. */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct memmap;

#define ACPI_CPUS_MAX 254 /* more would need x2APIC ids */

/* What FADT and DSDT promise of the power-management device at PORT_ACPI_PM */
#define ACPI_PM_S5_TYPE     5    /* SLP_TYP that powers off */
#define ACPI_PM_RESET_VALUE 0x06 /* written to PORT_RESET */

/* The IOAPIC's id in MADT and MP table: free of the local APICs' ids where 4 bits allow it */
static inline uint8_t acpi_ioapic_id(unsigned ncpus) { return ncpus < 15 ? (uint8_t)ncpus : 0; }

/* What, added to all bytes of [p, p+len), makes their sum 0 */
static inline uint8_t acpi_checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

/* Text in a table: without a final 0 */
static inline void acpi_text(uint8_t *p, const char *text)
{
	while (*text)
		*p++ = (uint8_t)*text++;
}

/* Writes RSDP, XSDT, FADT, FACS, MADT, MCFG and DSDT from LAYOUT_ACPI on. *rsdp is the root's address. */
int acpi_write(struct memmap *mem, unsigned ncpus, uint64_t *rsdp, struct err *e);

#endif
