/* virtio_fixture.h - a virtio device on a PCI bus, with the driver's side of it: registers, queues, interrupts. */
#ifndef TESTS_VIRTIO_FIXTURE_H
#define TESTS_VIRTIO_FIXTURE_H

#include "unit/dev_fixture.h"
#include "unit/vq_driver.h"

#include "dev/pci.h"
#include "virtio/virtio_dev.h"
#include "virtio/virtio_pci.h"

#define FIX_RAM (4ull << 20)
#define FIX_RINGS 0x100000ull /* queue n's areas: FIX_RINGS + n * 0x4000 */
#define FIX_BUF 0x200000ull

static struct memmap mem;
static struct pci_bus *pci;
static struct virtio_pci *vp;
static uint64_t bar;               /* where the device's registers are */
static unsigned slot = 1;
static struct { unsigned n; uint64_t addr; uint32_t data; } msis;
static struct driver driver[8];

static int note_msi(void *ctx, uint64_t addr, uint32_t data)
{
	msis.n++;
	msis.addr = addr;
	msis.data = data;
	return 0;
}

static const struct irq_router fix_router = { .set = lines_set, .msi = note_msi, .ctx = &lines };

/* Configuration space by the ports */
static inline uint32_t cfg_read(unsigned off, unsigned size)
{
	bus_write(pio, 0xcf8, 4, 0x80000000u | slot << 11 | (off & ~3u));
	return (uint32_t)bus_read(pio, 0xcfc + (off & 3), size);
}

static inline void cfg_write(unsigned off, unsigned size, uint32_t val)
{
	bus_write(pio, 0xcf8, 4, 0x80000000u | slot << 11 | (off & ~3u));
	bus_write(pio, 0xcfc + (off & 3), size, val);
}

static inline uint32_t reg(unsigned off, unsigned size) { return (uint32_t)bus_read(mmio, bar + off, size); }
static inline void set(unsigned off, unsigned size, uint32_t val) { bus_write(mmio, bar + off, size, val); }

/* The first capability of that id from @from on; 0: none */
static inline unsigned cap_find(unsigned id, unsigned from)
{
	unsigned off = from ? cfg_read(from + 1, 1) : cfg_read(0x34, 1);

	for (unsigned n = 0; off && n < 64; n++, off = cfg_read(off + 1, 1))
		if (cfg_read(off, 1) == id)
			return off;
	return 0;
}

static inline int bus_only(void)
{
	struct pci_bus_config cfg;

	buses_create();
	cfg = (struct pci_bus_config){ .pio = pio, .mmio = mmio, .router = &fix_router };
	memset(&msis, 0, sizeof(msis));
	mem = (struct memmap){ .nslots = 0 };
	slot = 1;
	return mem_add_ram(&mem, 0, FIX_RAM, NULL) || pci_bus_create(&cfg, &pci, NULL);
}

static inline int device_add(const struct virtio_model *m)
{
	struct virtio_pci_config cfg = { .pci = pci, .mem = &mem };

	if (virtio_pci_create(&cfg, m, &vp, NULL))
		return -1;
	bar = cfg_read(0x10, 4) & ~0xfu;
	return 0;
}

static inline void device_remove(void)
{
	virtio_pci_ops.destroy(vp);
	vp = NULL;
	pci_bus_ops.destroy(pci);
	mem_fini(&mem);
	buses_destroy();
}

/* What the loop's thread has to do */
static inline void run(void) { fake_advance(0); }

static inline uint64_t offered(void)
{
	uint64_t f;

	set(0, 4, 1);
	f = (uint64_t)reg(4, 4) << 32;
	set(0, 4, 0);
	return f | reg(4, 4);
}

static inline void accept(uint64_t f)
{
	set(8, 4, 0);
	set(0xc, 4, (uint32_t)f);
	set(8, 4, 1);
	set(0xc, 4, (uint32_t)(f >> 32));
}

static inline void queue_areas(unsigned n, const struct vq_setup *s)
{
	set(0x16, 2, n);
	set(0x18, 2, s->size);
	set(0x20, 4, (uint32_t)s->desc);
	set(0x24, 4, (uint32_t)(s->desc >> 32));
	set(0x28, 4, (uint32_t)s->driver);
	set(0x2c, 4, (uint32_t)(s->driver >> 32));
	set(0x30, 4, (uint32_t)s->device);
	set(0x34, 4, (uint32_t)(s->device >> 32));
	set(0x1c, 2, 1);
}

/* From reset to DRIVER_OK with these features (and VERSION_1) and the first @nqueues queues. False: refused. */
static inline bool bring_up(uint64_t features, unsigned nqueues)
{
	features |= VIRTIO_F_VERSION_1;
	set(0x14, 1, 0);
	run();
	set(0x14, 1, 1);
	set(0x14, 1, 3);
	accept(features);
	set(0x14, 1, 11);
	if (!(reg(0x14, 1) & VIRTIO_FEATURES_OK))
		return false;
	for (unsigned i = 0; i < nqueues; i++) {
		driver_init(&driver[i], &mem, FIX_RINGS + i * 0x4000, 16, features & VIRTIO_F_RING_PACKED);
		queue_areas(i, &driver[i].set);
	}
	set(0x14, 1, 15);
	run();
	return !(reg(0x14, 1) & VIRTIO_NEEDS_RESET);
}

static inline void kick(unsigned q)
{
	set(0x3000 + 4 * q, 2, q);
	run();
}

/* Both directions of snapshots: into a device that was reset in between. 0, or the step that failed. */
static inline int snapshot_round_trip(void)
{
	size_t len = virtio_pci_ops.save(vp, NULL, 0);
	uint8_t *a = malloc(len), *b = malloc(len);
	int r = 0;

	if (virtio_pci_ops.save(vp, a, len) != len)
		r = 1;
	virtio_pci_ops.reset(vp);
	if (!r && virtio_pci_ops.load(vp, a, len))
		r = 2;
	if (!r && (virtio_pci_ops.save(vp, b, len) != len || memcmp(a, b, len)))
		r = 3;
	for (size_t n = 0; !r && n < len; n += 1 + n / 8)
		if (!virtio_pci_ops.load(vp, a, n))
			r = 4;
	if (!r && virtio_pci_ops.load(vp, a, len))
		r = 5;
	free(a);
	free(b);
	return r;
}

#endif
