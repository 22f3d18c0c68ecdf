/* pci_priv.h - what the files of the PCI bus share. */
#ifndef DEV_PCI_PRIV_H
#define DEV_PCI_PRIV_H

#include "base/bytes.h"
#include "core/irq.h"
#include "core/layout.h"
#include "dev/pci.h"

struct pci_bus {
	struct bus *pio, *mmio;
	const struct irq_router *router;
	const struct device_ops *cf9_ops;
	void *cf9;
	pthread_mutex_t lock;      /* guards address, slots and the devices' configuration spaces */
	uint32_t address;          /* CF8h */
	struct pci_dev *slots[LAYOUT_PCI_SLOTS];
	uint64_t next_bar;         /* where the next BAR goes */
	struct pci_dev bridge;
	pthread_mutex_t line_lock; /* guards lines and each device's line */
	unsigned lines[24];        /* by GSI: how many devices assert it */
};

/* Configuration accesses to a device, within PCI_CONFIG_LEN; the bus's lock is held */
uint32_t pci_dev_read(struct pci_dev *, unsigned off, unsigned size);
void pci_dev_write(struct pci_dev *, unsigned off, unsigned size, uint32_t val);
/* Maps and unmaps BARs as command register and addresses say; the bus's lock is held */
void pci_bars_update(struct pci_dev *);

/* The message control register was written: the bus's lock is held */
void pci_msix_control_written(struct pci_dev *);
void pci_msix_reset(struct pci_dev *);
/* The command register was written: it may forbid INTA# */
void pci_line_update(struct pci_dev *);
bool pci_line(struct pci_dev *); /* as the device wants it */

#endif
