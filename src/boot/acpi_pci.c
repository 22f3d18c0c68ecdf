/* acpi_pci.c - the PCI host bridge in the DSDT: _CRS says what it decodes, _PRT where interrupt lines go. */
#include "boot/acpi_pci.h"

#include "base/bytes.h"
#include "boot/aml.h"
#include "core/layout.h"

/* Address space descriptors (ACPI 6.4, 6.4.3.5) */
enum { SPACE_DWORD = 0x87, SPACE_WORD = 0x88, RES_IO = 0x47, RES_END = 0x79 };
enum { TYPE_MEMORY = 0, TYPE_IO = 1, TYPE_BUS = 2 };
#define FIXED 0x0c /* minimum and maximum are fixed */

static size_t word_space(uint8_t *p, uint8_t type, uint8_t flags, uint16_t min, uint16_t max)
{
	p[0] = SPACE_WORD;
	le16_store(p + 1, 13);
	p[3] = type;
	p[4] = FIXED;
	p[5] = flags;
	le16_store(p + 6, 0); /* granularity */
	le16_store(p + 8, min);
	le16_store(p + 10, max);
	le16_store(p + 12, 0); /* translation */
	le16_store(p + 14, (uint16_t)(max - min + 1));
	return 16;
}

static size_t memory_space(uint8_t *p, uint32_t min, uint32_t len)
{
	p[0] = SPACE_DWORD;
	le16_store(p + 1, 23);
	p[3] = TYPE_MEMORY;
	p[4] = FIXED;
	p[5] = 0x01; /* read and write, not cacheable */
	le32_store(p + 6, 0);
	le32_store(p + 10, min);
	le32_store(p + 14, min + len - 1);
	le32_store(p + 18, 0);
	le32_store(p + 22, len);
	return 26;
}

static size_t io_ports(uint8_t *p, uint16_t port, uint8_t len)
{
	p[0] = RES_IO;
	p[1] = 1; /* decodes 16 bits */
	le16_store(p + 2, port);
	le16_store(p + 4, port);
	p[6] = 1;
	p[7] = len;
	return 8;
}

#define ENTIRE_RANGE 0x03 /* ISA and other I/O ports */

static void resources(struct aml *a)
{
	uint8_t r[128];
	size_t n = 0;

	n += word_space(r + n, TYPE_BUS, 0, 0, LAYOUT_PCI_BUSES - 1);
	n += io_ports(r + n, PORT_PCI_ADDRESS, 8);
	n += word_space(r + n, TYPE_IO, ENTIRE_RANGE, 0, PORT_PCI_ADDRESS - 1);
	n += word_space(r + n, TYPE_IO, ENTIRE_RANGE, PORT_PCI_ADDRESS + 8, 0xffff);
	n += memory_space(r + n, (uint32_t)LAYOUT_PCI_MMIO, (uint32_t)LAYOUT_PCI_MMIO_LEN);
	r[n++] = RES_END;
	r[n++] = 0;
	aml_name_buffer(a, "_CRS", r, n);
}

/* { slot and any function, INTA#, no link device: a GSI, the GSI } (6.2.13). Devices here have INTA# only. */
static void routing(struct aml *a)
{
	size_t all = aml_name_package_begin(a, "_PRT", LAYOUT_PCI_SLOTS);

	for (unsigned slot = 0; slot < LAYOUT_PCI_SLOTS; slot++) {
		size_t one = aml_package_begin(a, 4);

		aml_int(a, slot << 16 | 0xffff);
		aml_int(a, 0);
		aml_int(a, 0);
		aml_int(a, LAYOUT_PCI_GSI(slot));
		aml_end(a, one);
	}
	aml_end(a, all);
}

void acpi_pci_device(struct aml *a)
{
	size_t dev = aml_device(a, "PCI0");

	aml_name_eisaid(a, "_HID", "PNP0A08");
	aml_name_eisaid(a, "_CID", "PNP0A03");
	aml_name_int(a, "_UID", 0);
	aml_name_int(a, "_BBN", 0);
	resources(a);
	routing(a);
	aml_end(a, dev);
}
