/* pci.c - the PCI bus: its host bridge, the two ways to configuration space, slots and interrupt lines. */
#include "dev/pci.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "core/bus.h"
#include "core/layout.h"
#include "dev/devstate.h"
#include "dev/pci_priv.h"

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_WRITABLE 0x80fffffcu
#define ECAM_LEN       (LAYOUT_PCI_BUSES << 20) /* a bus: 32 slots, 8 functions, 4 KiB each */

/* --- configuration space --- */

/* A device of bus 0, or NULL; only functions 0 are there */
static struct pci_dev *device(struct pci_bus *b, unsigned bus, unsigned devfn)
{
	return bus || devfn & 7 ? NULL : b->slots[devfn >> 3];
}

static uint32_t config_read(struct pci_bus *b, unsigned bus, unsigned devfn, unsigned off, unsigned size)
{
	struct pci_dev *d;
	uint32_t v = ~0u;

	pthread_mutex_lock(&b->lock);
	d = device(b, bus, devfn);
	if (d)
		v = off + size <= PCI_CONFIG_LEN ? pci_dev_read(d, off, size) : 0; /* no extended capabilities */
	pthread_mutex_unlock(&b->lock);
	return v;
}

static void config_write(struct pci_bus *b, unsigned bus, unsigned devfn, unsigned off, unsigned size, uint32_t val)
{
	struct pci_dev *d;

	pthread_mutex_lock(&b->lock);
	d = device(b, bus, devfn);
	if (d && off + size <= PCI_CONFIG_LEN)
		pci_dev_write(d, off, size, val);
	pthread_mutex_unlock(&b->lock);
}

/* Mechanism #1 (3.2.2.3.2). The address register takes 32-bit accesses only; a byte at CF9h is the reset
 * control register's, others are nobody's. */
static uint64_t address_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bus *b = dev;
	uint32_t v;

	if (size == 4 && !off) {
		pthread_mutex_lock(&b->lock);
		v = b->address;
		pthread_mutex_unlock(&b->lock);
		return v;
	}
	return size == 1 && off == 1 && b->cf9_ops ? b->cf9_ops->read(b->cf9, 0, 1) : ~0ull;
}

static void address_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_bus *b = dev;

	if (size == 4 && !off) {
		pthread_mutex_lock(&b->lock);
		b->address = (uint32_t)val & ADDRESS_WRITABLE;
		pthread_mutex_unlock(&b->lock);
	} else if (size == 1 && off == 1 && b->cf9_ops) {
		b->cf9_ops->write(b->cf9, 0, 1, val);
	}
}

static uint32_t address_get(struct pci_bus *b)
{
	uint32_t a;

	pthread_mutex_lock(&b->lock);
	a = b->address;
	pthread_mutex_unlock(&b->lock);
	return a;
}

static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
	uint32_t a = address_get(dev);

	return a & ADDRESS_ENABLE ? config_read(dev, a >> 16 & 0xff, a >> 8 & 0xff, (a & 0xfc) + (unsigned)off, size)
				  : ~0ull;
}

static void data_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	uint32_t a = address_get(dev);

	if (a & ADDRESS_ENABLE)
		config_write(dev, a >> 16 & 0xff, a >> 8 & 0xff, (a & 0xfc) + (unsigned)off, size, (uint32_t)val);
}

/* PCI Express's way (7.2.2): bus, slot and function are bits of the address */
static uint64_t ecam_read(void *dev, uint64_t off, unsigned size)
{
	return config_read(dev, 0, (unsigned)(off >> 12), off & 0xfff, size);
}

static void ecam_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	config_write(dev, 0, (unsigned)(off >> 12), off & 0xfff, size, (uint32_t)val);
}

static const struct device_ops address_ops = {
	.name = "pci-address", .max_size = 4, .read = address_read, .write = address_write,
};
static const struct device_ops data_ops = {
	.name = "pci-data", .max_size = 4, .read = data_read, .write = data_write,
};
static const struct device_ops ecam_ops = {
	.name = "pci-ecam", .max_size = 4, .read = ecam_read, .write = ecam_write,
};

/* --- interrupt lines --- */

/* The line is shared: it is high while any device asserts it. A device asserts it if it wants to and the
 * command register lets it (6.2.2). Line lock held. */
static void line_change(struct pci_bus *b, struct pci_dev *d)
{
	bool level = d->line && !d->line_off;
	unsigned gsi = LAYOUT_PCI_GSI(d->slot), *n = &b->lines[gsi];

	if (level == d->asserted)
		return;
	d->asserted = level;
	*n = level ? *n + 1 : *n - 1;
	if (*n == level)
		b->router->set(b->router->ctx, gsi, level);
}

void pci_set_line(struct pci_dev *d, bool level)
{
	struct pci_bus *b = d->bus;

	if (!b)
		return;
	pthread_mutex_lock(&b->line_lock);
	d->line = level;
	line_change(b, d);
	pthread_mutex_unlock(&b->line_lock);
}

void pci_line_update(struct pci_dev *d)
{
	struct pci_bus *b = d->bus;

	pthread_mutex_lock(&b->line_lock);
	d->line_off = le16_load(d->cfg + PCI_COMMAND) & PCI_COMMAND_NO_INTX;
	line_change(b, d);
	pthread_mutex_unlock(&b->line_lock);
}

bool pci_line(struct pci_dev *d)
{
	bool level;

	pthread_mutex_lock(&d->bus->line_lock);
	level = d->line;
	pthread_mutex_unlock(&d->bus->line_lock);
	return level;
}

/* --- slots --- */

/* Gives the BARs addresses, as firmware would: in the window below 4 GiB, upwards, each at a multiple of its size */
static int place_bars(struct pci_bus *b, struct pci_dev *d, struct err *e)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		uint64_t size = d->bars[n].size, at = align_up(b->next_bar, size ? size : 1);

		if (!size)
			continue;
		if (at + size > LAYOUT_PCI_MMIO + LAYOUT_PCI_MMIO_LEN)
			return err_set(e, -ENOSPC, "%s: no room for its registers on the PCI bus",
				       d->bars[n].ops->name);
		le32_store(d->cfg + PCI_BAR0 + 4 * n, (uint32_t)at | (d->cfg[PCI_BAR0 + 4 * n] & 0xf));
		b->next_bar = at + size;
	}
	return 0;
}

int pci_attach(struct pci_bus *b, struct pci_dev *d, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&b->lock);
	for (d->slot = 0; d->slot < LAYOUT_PCI_SLOTS && b->slots[d->slot]; d->slot++)
		;
	if (d->slot == LAYOUT_PCI_SLOTS)
		r = err_set(e, -ENOSPC, "the PCI bus has no room for more than %u devices", LAYOUT_PCI_SLOTS);
	if (!r)
		r = place_bars(b, d, e);
	if (!r) {
		le16_store(d->cfg + PCI_COMMAND, d->bars[0].size ? PCI_COMMAND_MEMORY : 0);
		if (d->cfg[PCI_INT_PIN])
			d->cfg[PCI_INT_LINE] = (uint8_t)LAYOUT_PCI_GSI(d->slot);
		memcpy(d->initial, d->cfg, PCI_CONFIG_LEN);
		d->bus = b;
		b->slots[d->slot] = d;
		pci_bars_update(d);
	}
	pthread_mutex_unlock(&b->lock);
	return r;
}

/* --- life --- */

static void bus_reset(void *dev)
{
	struct pci_bus *b = dev;

	b->address = 0;
	pci_dev_reset(&b->bridge);
}

static void bus_free(void *dev)
{
	struct pci_bus *b = dev;

	if (!b)
		return;
	pci_dev_fini(&b->bridge);
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->line_lock);
	free(b);
}

static void sync_state(struct devstate *s, uint32_t *address, struct pci_dev *bridge)
{
	ds_tag(s, 0x20494350, 1);
	ds_u32(s, address);
	pci_dev_sync(bridge, s);
}

static size_t bus_save(void *dev, void *buf, size_t cap)
{
	struct pci_bus *b = dev;
	struct devstate s = devstate_saver(buf, cap);
	uint32_t address = b->address;

	sync_state(&s, &address, &b->bridge);
	return s.pos;
}

static int bus_load(void *dev, const void *buf, size_t len)
{
	struct pci_bus *b = dev;
	struct devstate s = devstate_loader(buf, len);
	uint32_t address = 0;

	if (len != bus_save(b, NULL, 0))
		return -EINVAL;
	ds_tag(&s, 0x20494350, 1);
	ds_u32(&s, &address);
	if (s.bad || address & ~ADDRESS_WRITABLE)
		return -EINVAL;
	pci_dev_sync(&b->bridge, &s);
	b->address = address;
	return ds_finish(&s) ? -EINVAL : 0;
}

const struct device_ops pci_bus_ops = {
	.name = "pci", .reset = bus_reset, .destroy = bus_free, .save = bus_save, .load = bus_load,
};

static int add_regions(struct pci_bus *b, struct err *e)
{
	int r;

	if (b->cf9_ops)
		bus_remove(b->pio, PORT_RESET);
	r = bus_add(b->pio, PORT_PCI_ADDRESS, 4, &address_ops, b, e);
	if (!r)
		r = bus_add(b->pio, PORT_PCI_DATA, 4, &data_ops, b, e);
	if (!r)
		r = bus_add(b->mmio, LAYOUT_PCI_ECAM, ECAM_LEN, &ecam_ops, b, e);
	return r;
}

int pci_bus_create(const struct pci_bus_config *cfg, struct pci_bus **out, struct err *e)
{
	/* The ids are those of QEMU's PCI Express host bridge: drivers need not know more of it than its class */
	static const struct pci_ident bridge = {
		.vendor = 0x1b36, .device = 0x0008, .subvendor = 0x1af4, .subsystem = 0x1100, .class = 0x060000,
	};
	struct pci_bus *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return err_set(e, -ENOMEM, "no memory for the PCI bus");
	b->pio = cfg->pio;
	b->mmio = cfg->mmio;
	b->router = cfg->router;
	b->cf9_ops = cfg->cf9_ops;
	b->cf9 = cfg->cf9;
	b->next_bar = LAYOUT_PCI_MMIO;
	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->line_lock, NULL);
	pci_dev_init(&b->bridge, &bridge, NULL, b);
	r = pci_attach(b, &b->bridge, e);
	if (!r)
		r = add_regions(b, e);
	if (r < 0) {
		bus_free(b);
		return r;
	}
	*out = b;
	return 0;
}
