/* test_pci.c - the PCI bus: configuration space both ways, base addresses, lines, MSI-X, function-level reset. */
#include "unit/cmocka_all.h"
#include "unit/virtio_fixture.h"

/* A device with a 4 KiB BAR and a 64-bit one of 64 KiB */
struct toy {
	struct pci_dev pci;
	uint64_t last_off, last_val;
	unsigned resets;
};

static struct toy a, b;

static uint64_t toy_read(void *dev, uint64_t off, unsigned size)
{
	return off >= 0x800 && off < 0x900 ? pci_msix_table_read(&((struct toy *)dev)->pci, off - 0x800, size)
	     : off >= 0x900 && off < 0xa00 ? pci_msix_pba_read(&((struct toy *)dev)->pci, off - 0x900, size)
					   : 0x11223344;
}

static void toy_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct toy *t = dev;

	t->last_off = off;
	t->last_val = val;
	if (off >= 0x800 && off < 0x900)
		pci_msix_table_write(&t->pci, off - 0x800, size, (uint32_t)val);
}

static const struct device_ops toy_ops = { .name = "toy", .max_size = 4, .read = toy_read, .write = toy_write };
static void toy_reset(void *dev) { ((struct toy *)dev)->resets++; }
static const struct pci_hooks toy_hooks = { .reset = toy_reset };

static int toy_add(struct toy *t, uint16_t device)
{
	struct pci_ident id = { .vendor = 0x1234, .device = device, .class = 0x020304, .revision = 5, .intx = true };

	*t = (struct toy){ .resets = 0 };
	pci_dev_init(&t->pci, &id, &toy_hooks, t);
	pci_bar_set(&t->pci, 0, 0x1000, false, &toy_ops, t);
	pci_bar_set(&t->pci, 2, 0x10000, true, &toy_ops, t);
	return pci_msix_add(&t->pci, 3, 0, 0x800, 0x900) || pci_flr_add(&t->pci) || pci_attach(pci, &t->pci, NULL);
}

static int setup(void **state) { return bus_only() || toy_add(&a, 1) || toy_add(&b, 2); }

static int teardown(void **state)
{
	pci_dev_fini(&a.pci);
	pci_dev_fini(&b.pci);
	pci_bus_ops.destroy(pci);
	mem_fini(&mem);
	buses_destroy();
	return 0;
}

static void scan(void **state)
{
	slot = 0;
	assert_int_equal(cfg_read(0, 4), 0x00081b36);
	assert_int_equal(cfg_read(0x0a, 2), 0x0600);
	slot = 1;
	assert_int_equal(cfg_read(0, 4), 0x00011234);
	assert_int_equal(cfg_read(8, 4), 0x02030405);
	assert_int_equal(cfg_read(0x0e, 1), 0);
	assert_int_equal(cfg_read(0x3c, 2), 0x0100 | LAYOUT_PCI_GSI(1));
	slot = 2;
	assert_int_equal(cfg_read(0, 2), 0x1234);
	slot = 3;
	assert_int_equal(cfg_read(0, 4), 0xffffffff);
	/* other buses and functions, and no address at all */
	bus_write(pio, 0xcf8, 4, 0x80010000);
	assert_int_equal(bus_read(pio, 0xcfc, 4), 0xffffffff);
	bus_write(pio, 0xcf8, 4, 0x80000900);
	assert_int_equal(bus_read(pio, 0xcfc, 4), 0xffffffff);
	bus_write(pio, 0xcf8, 4, 0x00000800);
	assert_int_equal(bus_read(pio, 0xcfc, 4), 0xffffffff);
	bus_write(pio, 0xcf8, 4, 0xffffffff);
	assert_int_equal(bus_read(pio, 0xcf8, 4), 0x80fffffc);
	assert_int_equal(bus_read(pio, 0xcf9, 1), 0xff);
}

static void ecam(void **state)
{
	uint64_t at = LAYOUT_PCI_ECAM + (1 << 15);

	assert_int_equal(bus_read(mmio, at, 4), 0x00011234);
	assert_int_equal(bus_read(mmio, at + 2, 2), 1);
	bus_write(mmio, at + 0x3c, 1, 0x55);
	slot = 1;
	assert_int_equal(cfg_read(0x3c, 1), 0x55);
	assert_int_equal(bus_read(mmio, at + 0x100, 4), 0);
	assert_int_equal(bus_read(mmio, at + 0xfe, 4), 0x0000); /* straddles the end: read in pieces */
	assert_int_equal(bus_read(mmio, at + 0x1000, 4), 0xffffffff); /* function 1 */
	bus_write(mmio, at + 0x104, 4, ~0u);
	bus_write(mmio, at, 4, 0); /* read-only */
	assert_int_equal(bus_read(mmio, at, 4), 0x00011234);
}

static void bars(void **state)
{
	uint64_t at = cfg_read(0x10, 4), wide = cfg_read(0x18, 4);

	assert_int_equal(at & 0xfff, 0);
	assert_int_equal(wide & 0xffff, 4);
	assert_in_range(at, LAYOUT_PCI_MMIO, LAYOUT_PCI_MMIO + LAYOUT_PCI_MMIO_LEN - 1);
	assert_int_equal(bus_read(mmio, at + 16, 4), 0x11223344); /* mapped from the start */
	/* sizing */
	cfg_write(0x10, 4, ~0u);
	assert_int_equal(cfg_read(0x10, 4), 0xfffff000);
	assert_int_equal(bus_read(mmio, at + 16, 4), 0xffffffff);
	cfg_write(0x18, 4, ~0u);
	cfg_write(0x1c, 4, ~0u);
	assert_int_equal(cfg_read(0x18, 4), 0xffff0004);
	assert_int_equal(cfg_read(0x1c, 4), 0xffffffff);
	assert_int_equal(cfg_read(0x14, 4), 0);
	cfg_write(0x14, 4, ~0u);
	assert_int_equal(cfg_read(0x14, 4), 0);
	/* moving, also above 4 GiB */
	cfg_write(0x10, 4, 0xc8000000);
	cfg_write(0x18, 4, 0x00010000);
	cfg_write(0x1c, 4, 0x20);
	bus_write(mmio, 0xc8000024, 4, 7);
	assert_int_equal(a.last_off, 0x24);
	bus_write(mmio, 0x2000010028, 4, 7);
	assert_int_equal(a.last_off, 0x28);
	/* onto another's place: nobody's until that has moved away */
	slot = 2;
	cfg_write(0x10, 4, 0xc8000000);
	bus_write(mmio, 0xc800002c, 4, 7);
	assert_int_equal(a.last_off, 0x2c);
	slot = 1;
	cfg_write(0x04, 2, 0);
	assert_int_equal(bus_read(mmio, 0xc8000000, 4), 0xffffffff);
	slot = 2;
	cfg_write(0x04, 2, 2);
	bus_write(mmio, 0xc8000030, 4, 7);
	assert_int_equal(a.last_off, 0x2c);
	assert_int_equal(b.last_off, 0x30);
	/* out of the address space: nowhere */
	cfg_write(0x18, 4, 0xffff0000);
	cfg_write(0x1c, 4, 0xffffffff);
}

static void line_sharing(void **state)
{
	static struct toy more[7]; /* slots 3 to 9: the last shares slot 1's line */
	unsigned gsi = LAYOUT_PCI_GSI(1);

	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(toy_add(&more[i], 3), 0);
	assert_int_equal(LAYOUT_PCI_GSI(more[6].pci.slot), gsi);
	pci_set_line(&a.pci, true);
	pci_set_line(&a.pci, true);
	assert_true(lines.level[gsi]);
	assert_int_equal(cfg_read(6, 1) & 8, 8);
	pci_set_line(&more[6].pci, true);
	pci_set_line(&a.pci, false);
	assert_true(lines.level[gsi]);
	pci_set_line(&more[6].pci, false);
	assert_false(lines.level[gsi]);
	assert_int_equal(cfg_read(6, 1) & 8, 0);
	assert_int_equal(lines.rises[gsi], 1);
	/* forbidden by the command register: only the status bit tells */
	cfg_write(4, 2, 0x402);
	pci_set_line(&a.pci, true);
	assert_false(lines.level[gsi]);
	assert_int_equal(cfg_read(6, 1) & 8, 8);
	cfg_write(4, 2, 2);
	assert_true(lines.level[gsi]);
	for (unsigned i = 0; i < 7; i++)
		pci_dev_fini(&more[i].pci);
}

static void msix(void **state)
{
	unsigned cap = cap_find(PCI_CAP_MSIX, 0);
	uint64_t at = cfg_read(0x10, 4), table = at + 0x800;

	assert_int_not_equal(cap, 0);
	assert_int_equal(cfg_read(cap + 2, 2), 2);
	assert_int_equal(cfg_read(cap + 4, 4), 0x800);
	assert_int_equal(cfg_read(cap + 8, 4), 0x900);
	assert_int_equal(bus_read(mmio, table + 12, 4), 1);
	pci_msix_send(&a.pci, 0); /* off: lost */
	cfg_write(cap + 2, 2, 0x8000);
	assert_true(pci_msix_enabled(&a.pci));
	bus_write(mmio, table + 16, 8, 0xfee01003);
	bus_write(mmio, table + 24, 4, 0x4041);
	assert_int_equal(bus_read(mmio, table + 16, 8), 0xfee01000);
	/* masked: pending until unmasked, once */
	pci_msix_send(&a.pci, 1);
	pci_msix_send(&a.pci, 1);
	assert_int_equal(msis.n, 0);
	assert_int_equal(bus_read(mmio, at + 0x900, 4), 2);
	bus_write(mmio, table + 28, 4, 0);
	assert_int_equal(msis.n, 1);
	assert_int_equal(msis.addr, 0xfee01000);
	assert_int_equal(msis.data, 0x4041);
	assert_int_equal(bus_read(mmio, at + 0x900, 8), 0);
	pci_msix_send(&a.pci, 1);
	assert_int_equal(msis.n, 2);
	/* the whole function masked */
	cfg_write(cap + 2, 2, 0xc000);
	pci_msix_send(&a.pci, 1);
	assert_int_equal(msis.n, 2);
	cfg_write(cap + 2, 2, 0x8000);
	assert_int_equal(msis.n, 3);
	pci_msix_send(&a.pci, 3); /* no such vector */
	assert_int_equal(msis.n, 3);
	bus_write(mmio, table + 48, 4, 1); /* beyond the table */
	assert_int_equal(bus_read(mmio, table + 48, 4), 0);
}

static void function_reset(void **state)
{
	unsigned af = cap_find(PCI_CAP_AF, 0), cap = cap_find(PCI_CAP_MSIX, 0);
	uint32_t at = cfg_read(0x10, 4);

	assert_int_equal(cfg_read(af + 3, 1), 3);
	cfg_write(0x10, 4, 0xc8000000);
	cfg_write(cap + 2, 2, 0x8000);
	pci_set_line(&a.pci, true);
	cfg_write(af + 4, 1, 0);
	assert_int_equal(a.resets, 0);
	cfg_write(af + 4, 1, 1);
	assert_int_equal(a.resets, 1);
	assert_int_equal(cfg_read(0x10, 4), at);
	assert_int_equal(cfg_read(4, 2), 0);
	assert_false(pci_msix_enabled(&a.pci));
	assert_false(lines.level[LAYOUT_PCI_GSI(1)]);
	assert_int_equal(bus_read(mmio, at, 4), 0xffffffff);
	cfg_write(4, 2, 2);
	assert_int_equal(bus_read(mmio, at, 4), 0x11223344);
}

static uint64_t cf9_read(void *dev, uint64_t off, unsigned size) { return 0x42; }
static unsigned cf9_last;
static void cf9_write(void *dev, uint64_t off, unsigned size, uint64_t val) { cf9_last = (unsigned)val; }

static void reset_port_within(void **state)
{
	static const struct device_ops cf9 = { .name = "cf9", .read = cf9_read, .write = cf9_write };
	struct bus *p2, *m2;
	struct pci_bus *bus2;
	struct pci_bus_config cfg;

	bus_create(&p2, 0x10000);
	bus_create(&m2, 1ull << 40);
	bus_add(p2, 0xcf9, 1, &cf9, NULL, NULL);
	cfg = (struct pci_bus_config){ .pio = p2, .mmio = m2, .router = &fix_router, .cf9_ops = &cf9 };
	assert_int_equal(pci_bus_create(&cfg, &bus2, NULL), 0);
	assert_int_equal(bus_read(p2, 0xcf9, 1), 0x42);
	bus_write(p2, 0xcf9, 1, 6);
	assert_int_equal(cf9_last, 6);
	bus_write(p2, 0xcf8, 4, 0x80000008); /* does not touch it */
	assert_int_equal(cf9_last, 6);
	assert_int_equal(bus_read(p2, 0xcfc, 4) >> 16, 0x0600);
	pci_bus_ops.destroy(bus2);
	bus_destroy(p2);
	bus_destroy(m2);
}

static void full(void **state)
{
	static struct toy more[30];
	unsigned n = 0;

	while (n < 30 && !toy_add(&more[n], 9))
		n++;
	assert_int_equal(n, 29); /* slots 3 to 31 */
	pci_dev_fini(&more[29].pci);
	while (n)
		pci_dev_fini(&more[--n].pci);
}

static void saves(void **state)
{
	slot = 0;
	cfg_write(0x3c, 1, 0x77);
	bus_write(pio, 0xcf8, 4, 0x80000804);
	assert_int_equal(state_round_trip(&pci_bus_ops, pci), 0);
	assert_int_equal(bus_read(pio, 0xcf8, 4), 0x80000804);
	assert_int_equal(cfg_read(0x3c, 1), 0x77);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(scan), T(ecam), T(bars), T(line_sharing), T(msix), T(function_reset), T(reset_port_within), T(full),
		T(saves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
