/* virtio_pci.h - virtio devices on the PCI bus, as "modern" devices only (virtio 1.2, 4.1). */
#ifndef VIRTIO_VIRTIO_PCI_H
#define VIRTIO_VIRTIO_PCI_H

#include "core/device.h"
#include "virtio/virtio.h"

struct err;
struct loop;
struct memmap;
struct pci_bus;
struct virtio_pci;

struct virtio_pci_config {
	struct pci_bus *pci;
	struct loop *loop;
	struct memmap *mem;
	uint64_t withheld; /* features not to offer: for tests */
};

/* Puts @model on the bus, in the lowest free slot. On success the device owns model->dev; on failure it has
 * destroyed it. */
int virtio_pci_create(const struct virtio_pci_config *, const struct virtio_model *model, struct virtio_pci **out,
		      struct err *e);
extern const struct device_ops virtio_pci_ops; /* reset, destroy, save, load */

#endif
