/* pci_dev.c - one device's configuration space: registers, base addresses, capabilities (PCI 3.0, chapter 6). */
#include <errno.h>

#include "core/bus.h"
#include "core/layout.h"
#include "dev/devstate.h"
#include "dev/pci_priv.h"

#define COMMAND_WRITABLE (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX | 0x0100u) /* SERR# */
#define STATUS_CAPS 0x0010u
#define STATUS_INTX 0x0008u
#define BAR_WIDE    0x4u
#define CAP_FIRST   0x40u

/* Advanced features (ECN "Conventional PCI Advanced Capabilities"): length, capabilities, control, status */
#define AF_TP  1u
#define AF_FLR 2u
#define AF_CONTROL 4u

void pci_dev_init(struct pci_dev *d, const struct pci_ident *id, const struct pci_hooks *hooks, void *dev)
{
	*d = (struct pci_dev){ .hooks = hooks, .dev = dev, .next_free = CAP_FIRST };
	pthread_mutex_init(&d->msix.lock, NULL);
	le16_store(d->cfg + PCI_VENDOR, id->vendor);
	le16_store(d->cfg + PCI_DEVICE, id->device);
	le16_store(d->cfg + PCI_SUBVENDOR, id->subvendor);
	le16_store(d->cfg + PCI_SUBSYSTEM, id->subsystem);
	d->cfg[PCI_REVISION] = id->revision;
	d->cfg[PCI_CLASS] = (uint8_t)id->class;
	le16_store(d->cfg + PCI_CLASS + 1, (uint16_t)(id->class >> 8));
	d->cfg[PCI_INT_PIN] = id->intx;
	le16_store(d->wmask + PCI_COMMAND, COMMAND_WRITABLE);
	d->wmask[PCI_INT_LINE] = 0xff;
	d->wmask[0x0c] = 0xff; /* cache line size and latency timer: kept, without a meaning */
	d->wmask[0x0d] = 0xff;
}

void pci_bar_set(struct pci_dev *d, unsigned n, uint64_t size, bool wide, const struct device_ops *ops, void *dev)
{
	unsigned off = PCI_BAR0 + 4 * n;

	d->bars[n] = (struct pci_bar){ .size = size, .wide = wide, .ops = ops, .dev = dev };
	d->cfg[off] = wide ? BAR_WIDE : 0;
	le32_store(d->wmask + off, (uint32_t)~(size - 1));
	if (wide)
		le32_store(d->wmask + off + 4, (uint32_t)(~(size - 1) >> 32));
}

unsigned pci_cap_add(struct pci_dev *d, uint8_t id, const void *body, unsigned len)
{
	unsigned off = d->next_free;

	if (off + 2 + len > PCI_CONFIG_LEN)
		return 0;
	d->cfg[off] = id;
	memcpy(d->cfg + off + 2, body, len);
	d->cfg[d->last_cap ? d->last_cap + 1 : PCI_CAPS] = (uint8_t)off;
	d->cfg[PCI_STATUS] |= STATUS_CAPS;
	d->last_cap = off;
	d->next_free = (unsigned)align_up(off + 2 + len, 4);
	return off;
}

int pci_flr_add(struct pci_dev *d)
{
	static const uint8_t body[4] = { 6, AF_TP | AF_FLR, 0, 0 };

	d->af = pci_cap_add(d, PCI_CAP_AF, body, sizeof(body));
	return d->af ? 0 : -ENOSPC;
}

/* --- base addresses --- */

static uint64_t bar_address(const struct pci_dev *d, unsigned n)
{
	unsigned off = PCI_BAR0 + 4 * n;
	uint64_t a = le32_load(d->cfg + off) & ~0xfu;

	if (d->bars[n].wide)
		a |= (uint64_t)le32_load(d->cfg + off + 4) << 32;
	return a;
}

/* A place that is taken, or outside the bus, leaves the BAR unmapped: nobody answers there, as on a real bus.
 * So does 0, which is what sizing and resets leave behind. */
void pci_bars_update(struct pci_dev *d)
{
	bool on = le16_load(d->cfg + PCI_COMMAND) & PCI_COMMAND_MEMORY;

	for (unsigned n = 0; n < PCI_BARS; n++) {
		struct pci_bar *b = &d->bars[n];
		uint64_t at = bar_address(d, n);

		if (!b->size)
			continue;
		if (b->mapped && (!on || at != b->at)) {
			bus_remove(d->bus->mmio, b->at);
			b->mapped = false;
		}
		if (!b->mapped && on && at && !bus_add(d->bus->mmio, at, b->size, b->ops, b->dev, NULL)) {
			b->mapped = true;
			b->at = at;
		}
	}
}

/* --- accesses --- */

static bool watched(const struct pci_dev *d, unsigned off, unsigned size)
{
	return ranges_overlap(off, size, d->watch_off, d->watch_len);
}

uint32_t pci_dev_read(struct pci_dev *d, unsigned off, unsigned size)
{
	uint32_t v = 0;

	if (watched(d, off, size) && d->hooks->read)
		d->hooks->read(d->dev, off, size);
	if (ranges_overlap(off, size, PCI_STATUS, 1))
		d->cfg[PCI_STATUS] = (uint8_t)((d->cfg[PCI_STATUS] & ~STATUS_INTX) | (pci_line(d) ? STATUS_INTX : 0));
	for (unsigned i = 0; i < size; i++)
		v |= (uint32_t)d->cfg[off + i] << 8 * i;
	return v;
}

/* Function-level reset: the addresses stay those of the start, since the driver writes back what it has saved */
static void flr(struct pci_dev *d)
{
	pci_dev_reset(d);
	le16_store(d->cfg + PCI_COMMAND, 0);
	pci_bars_update(d);
}

void pci_dev_write(struct pci_dev *d, unsigned off, unsigned size, uint32_t val)
{
	for (unsigned i = 0; i < size; i++, val >>= 8) {
		uint8_t m = d->wmask[off + i];

		d->cfg[off + i] = (uint8_t)((d->cfg[off + i] & ~m) | (val & m));
		if (d->af && off + i == d->af + AF_CONTROL && val & 1) {
			flr(d);
			return;
		}
	}
	if (off < PCI_BAR0 + 4 * PCI_BARS)
		pci_bars_update(d);
	if (ranges_overlap(off, size, PCI_COMMAND, 2))
		pci_line_update(d);
	if (d->msix.n && ranges_overlap(off, size, d->msix.cap, 4))
		pci_msix_control_written(d);
	if (watched(d, off, size) && d->hooks->written)
		d->hooks->written(d->dev, off, size);
}

/* --- life --- */

void pci_dev_reset(struct pci_dev *d)
{
	pci_set_line(d, false);
	pci_msix_reset(d);
	if (d->bus) {
		memcpy(d->cfg, d->initial, PCI_CONFIG_LEN);
		pci_bars_update(d);
		pci_line_update(d);
	}
	if (d->hooks && d->hooks->reset)
		d->hooks->reset(d->dev);
}

void pci_dev_fini(struct pci_dev *d)
{
	struct pci_bus *bus = d->bus;

	if (bus) {
		pci_set_line(d, false);
		pthread_mutex_lock(&bus->lock);
		le16_store(d->cfg + PCI_COMMAND, 0);
		pci_bars_update(d);
		bus->slots[d->slot] = NULL;
		pthread_mutex_unlock(&bus->lock);
	}
	pthread_mutex_destroy(&d->msix.lock);
}

/* Writable bits only are taken from a saved state, so that no other device's identity comes in */
void pci_dev_sync(struct pci_dev *d, struct devstate *s)
{
	struct pci_msix *x = &d->msix;
	uint8_t cfg[PCI_CONFIG_LEN];

	memcpy(cfg, d->cfg, sizeof(cfg));
	ds_bytes(s, cfg, sizeof(cfg));
	for (unsigned i = 0; i < x->n; i++) {
		ds_u64(s, &x->addr[i]);
		ds_u32(s, &x->data[i]);
		ds_u32(s, &x->control[i]);
		ds_u8(s, &x->pending[i]);
		x->addr[i] &= ~3ull;
		x->control[i] &= 1;
		x->pending[i] &= 1;
	}
	if (!s->loading || s->bad)
		return;
	for (unsigned i = 0; i < PCI_CONFIG_LEN; i++)
		d->cfg[i] = (uint8_t)((d->cfg[i] & ~d->wmask[i]) | (cfg[i] & d->wmask[i]));
	pci_bars_update(d);
	pci_line_update(d);
	pci_msix_control_written(d);
}
