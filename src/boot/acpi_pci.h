/* acpi_pci.h - the PCI host bridge in the DSDT. */
#ifndef BOOT_ACPI_PCI_H
#define BOOT_ACPI_PCI_H

struct aml;

/* Device PCI0 in \_SB_: what the bus decodes, and where its interrupt lines go */
void acpi_pci_device(struct aml *);

#endif
