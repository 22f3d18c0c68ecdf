/* pci.h - the PCI bus: configuration space, base address registers, interrupts (PCI Local Bus 3.0).
 *
 *   ports CF8h/CFCh ──┐                                    ┌─ 0:0.0 host bridge
 *                     ├─► configuration space of bus 0 ────┼─ 0:1.0 a struct pci_dev
 *   ECAM, 1 MiB ──────┘   (registers, BARs, capabilities)  └─ ...
 *
 * A device embeds a struct pci_dev, describes itself with pci_dev_init, pci_bar_set and pci_cap_add, and
 * appears with pci_attach. Its BARs are regions of the MMIO bus wherever the guest puts them; the bus gives
 * them an address before the guest starts, as firmware would.
 *
 * Interrupts: slot n's INTA# is GSI LAYOUT_PCI_GSI(n), level, shared; or MSI-X.
 *
 * Locks: the bus's (all configuration spaces) before a device's own before those here for MSI-X and lines
 * before the interrupt chips'. Functions for devices say which they take. */
#ifndef DEV_PCI_H
#define DEV_PCI_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/device.h"

struct bus;
struct devstate;
struct err;
struct irq_router;
struct pci_bus;
struct pci_dev;

#define PCI_CONFIG_LEN 256u
#define PCI_BARS 6u

/* Configuration registers (6.1) */
enum {
	PCI_VENDOR = 0x00, PCI_DEVICE = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION = 0x08,
	PCI_CLASS = 0x09, PCI_HEADER = 0x0e, PCI_BAR0 = 0x10, PCI_SUBVENDOR = 0x2c, PCI_SUBSYSTEM = 0x2e,
	PCI_CAPS = 0x34, PCI_INT_LINE = 0x3c, PCI_INT_PIN = 0x3d,
};
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_NO_INTX 0x0400u

#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX   0x11
#define PCI_CAP_AF     0x13 /* advanced features: function-level reset */

struct pci_bar {
	uint64_t size;      /* a power of two, at least 16; 0: none */
	bool wide;          /* 64-bit: the next BAR is its upper half */
	const struct device_ops *ops;
	void *dev;
	bool mapped;
	uint64_t at;        /* where it is mapped */
};

#define PCI_MSIX_MAX 65u
struct pci_msix {
	pthread_mutex_t lock;      /* guards all that follows */
	unsigned n, cap;           /* vectors; the capability's offset */
	bool enabled, masked;      /* copies of the message control's bits */
	uint64_t addr[PCI_MSIX_MAX];
	uint32_t data[PCI_MSIX_MAX], control[PCI_MSIX_MAX];
	uint8_t pending[PCI_MSIX_MAX];
};

struct pci_ident {
	uint16_t vendor, device, subvendor, subsystem;
	uint32_t class; /* class << 16 | subclass << 8 | programming interface */
	uint8_t revision;
	bool intx;      /* it has INTA# */
};

/* What a device wants to know of its configuration space. With the bus's lock held; all may be NULL. */
struct pci_hooks {
	/* An access to the capability at watch_off, watch_len: a read may change the bytes before they are
	 * given out, a write has been stored. */
	void (*read)(void *dev, unsigned off, unsigned size);
	void (*written)(void *dev, unsigned off, unsigned size);
	/* Function-level reset, or the machine's: everything but configuration space */
	void (*reset)(void *dev);
};

struct pci_dev {
	struct pci_bus *bus;       /* NULL until attached */
	unsigned slot;
	const struct pci_hooks *hooks;
	void *dev;
	unsigned watch_off, watch_len;
	uint8_t cfg[PCI_CONFIG_LEN], wmask[PCI_CONFIG_LEN]; /* bits that the guest may write */
	uint8_t initial[PCI_CONFIG_LEN];
	unsigned last_cap, next_free, af; /* offsets; af: of the capability for function-level reset, or 0 */
	struct pci_bar bars[PCI_BARS];
	struct pci_msix msix;
	atomic_bool msix_on;
	/* Guarded by the bus's line lock: INTA# as the device wants it, as the command register lets it, as it is */
	bool line, line_off, asserted;
};

/* --- the bus --- */

struct pci_bus_config {
	struct bus *pio, *mmio;
	const struct irq_router *router;
	/* CF9h lies within the configuration address register, which is reached by 32-bit accesses only: the
	 * bus takes the region of this device over and hands it its byte accesses. May be NULL. */
	const struct device_ops *cf9_ops;
	void *cf9;
};

int pci_bus_create(const struct pci_bus_config *, struct pci_bus **out, struct err *e);
/* The bus and its bridge. reset and load give the BARs of all devices their place; destroy comes after that
 * of all devices. */
extern const struct device_ops pci_bus_ops;

/* --- for devices --- */

void pci_dev_init(struct pci_dev *, const struct pci_ident *, const struct pci_hooks *, void *dev);
void pci_dev_fini(struct pci_dev *); /* leaves the bus, too */
/* A memory BAR that @ops serve with @dev */
void pci_bar_set(struct pci_dev *, unsigned n, uint64_t size, bool wide, const struct device_ops *ops, void *dev);
/* Adds a capability of @len bytes at its offset, which is returned; 0: no room. @body: what follows id and next. */
unsigned pci_cap_add(struct pci_dev *, uint8_t id, const void *body, unsigned len);
/* MSI-X with @n vectors, table and pending bits at these offsets of BAR @bar. 0 or -ENOSPC. */
int pci_msix_add(struct pci_dev *, unsigned n, unsigned bar, uint32_t table, uint32_t pba);
int pci_flr_add(struct pci_dev *);
/* Takes the lowest free slot. 0 or -ENOSPC with a sentence. */
int pci_attach(struct pci_bus *, struct pci_dev *, struct err *e);

/* Bytes of the configuration space: under the bus's lock, or before pci_attach */
static inline uint8_t *pci_config(struct pci_dev *d, unsigned off) { return d->cfg + off; }

/* INTA#; any thread */
void pci_set_line(struct pci_dev *, bool level);
/* Sends MSI-X message @vector or notes it as pending; any thread. Messages while MSI-X is off are lost. */
void pci_msix_send(struct pci_dev *, unsigned vector);
static inline bool pci_msix_enabled(const struct pci_dev *d) { return atomic_load(&d->msix_on); }

/* The device's BAR code hands accesses to its MSI-X areas here: @size is 1, 2 or 4 */
uint32_t pci_msix_table_read(struct pci_dev *, uint64_t off, unsigned size);
void pci_msix_table_write(struct pci_dev *, uint64_t off, unsigned size, uint32_t val);
uint32_t pci_msix_pba_read(struct pci_dev *, uint64_t off, unsigned size);

/* Back to the state after attach, or its bytes for a snapshot (devstate.h); vcpus are stopped. */
void pci_dev_reset(struct pci_dev *);
void pci_dev_sync(struct pci_dev *, struct devstate *);

#endif
