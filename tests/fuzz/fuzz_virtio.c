/* Fuzzes virtio devices on their PCI bus as a hostile guest would: the input is a list of accesses to configuration
 * space and registers, of bytes written to guest memory, of well and badly formed buffers, of resets and
 * snapshots in between. No crash, no endless loop, no access outside guest memory. */
#include "unit/virtio_fixture.h"

#include "base/log.h"
#include "virtio/balloon.h"
#include "virtio/console.h"
#include "virtio/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEVICES 3u

struct input {
	const uint8_t *p;
	size_t left;
};

static struct virtio_pci *devices[DEVICES];
static uint64_t bars[DEVICES];
static struct balloon *balloon;
static struct console *con;

static void require(bool ok)
{
	if (!ok)
		abort();
}

static uint64_t get(struct input *in, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes-- && in->left) {
		v = v << 8 | *in->p++;
		in->left--;
	}
	return v;
}

static size_t swallow(void *ctx, const uint8_t *buf, size_t n)
{
	volatile uint8_t last = n ? buf[n - 1] : 0; /* the sanitizer sees a read of its end */

	(void)last;
	return n < 700 ? n : 700;
}

static void no_room(void *ctx) {}

static void create(void)
{
	struct console_config cc = { .out = swallow, .room = no_room };
	struct virtio_model m[DEVICES];
	struct pci_bus_config pc;

	buses_create();
	pc = (struct pci_bus_config){ .pio = pio, .mmio = mmio, .router = &fix_router };
	require(!pci_bus_create(&pc, &pci, NULL));
	require(!virtio_rng_create(&m[0], NULL) && !virtio_balloon_create(&mem, &m[1], &balloon, NULL) &&
		!virtio_console_create(&cc, &m[2], &con, NULL));
	for (unsigned i = 0; i < DEVICES; i++) {
		slot = i + 1;
		require(!device_add(&m[i]));
		devices[i] = vp;
		bars[i] = bar;
	}
}

static void destroy(void)
{
	for (unsigned i = 0; i < DEVICES; i++)
		virtio_pci_ops.destroy(devices[i]);
	pci_bus_ops.destroy(pci);
	buses_destroy();
}

static void use(struct input *in)
{
	unsigned i = (unsigned)get(in, 1) % DEVICES;

	slot = i + 1;
	vp = devices[i];
	bar = bars[i];
}

/* Addresses and lengths: mostly sane, some at the edges, some wild */
static uint64_t address(struct input *in)
{
	uint64_t v = get(in, 3);

	switch (v & 7) {
	case 0:
		return FIX_RAM - (v >> 3 & 0xff);
	case 1:
		return ~0ull - (v >> 3 & 0xff);
	case 2:
		return v << 20;
	default:
		return v & (FIX_RAM - 1);
	}
}

static uint32_t length(struct input *in)
{
	uint32_t v = (uint32_t)get(in, 2);

	return (v & 7) == 0 ? 0xffffffffu - (v >> 3) : (v & 7) == 1 ? v << 12 : v & 0xfff;
}

static void offer_some(struct input *in)
{
	struct driver *d = &driver[get(in, 1) % 5];
	unsigned n = 1 + get(in, 1) % 4;
	struct seg s[4];

	if (!d->set.size)
		return;
	for (unsigned i = 0; i < n; i++)
		s[i] = (struct seg){ address(in), length(in), get(in, 1) & 1 };
	offer(d, s, n);
}

static void poke_desc(struct input *in)
{
	struct driver *d = &driver[get(in, 1) % 5];

	if (d->set.size)
		desc_put(d, desc_at(d, get(in, 1) % 256), address(in), length(in), (unsigned)get(in, 2), (unsigned)get(in, 1));
}

static void poke_memory(struct input *in)
{
	uint64_t at = (FIX_RINGS + get(in, 2)) & ~1ull;
	unsigned n = 1 + get(in, 1) % 16;
	uint8_t *p = mem_ptr(&mem, at, n);

	while (p && n--)
		*p++ = (uint8_t)get(in, 1);
}

static void snapshot(struct input *in)
{
	static uint8_t buf[8192];
	size_t len = virtio_pci_ops.save(vp, buf, sizeof(buf)), at = get(in, 2);

	require(len <= sizeof(buf));
	if (at < len)
		buf[at] ^= (uint8_t)get(in, 1);
	virtio_pci_ops.load(vp, buf, len);
}

static void step(struct input *in)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8 };
	uint8_t op = (uint8_t)get(in, 1);
	unsigned off;
	uint64_t features;

	switch (op % 16) {
	case 0:
		off = (unsigned)get(in, 1);
		bus_write(mmio, LAYOUT_PCI_ECAM + slot * 0x8000 + off, sizes[op >> 4 & 3], get(in, 4));
		break;
	case 1:
		bus_read(mmio, LAYOUT_PCI_ECAM + slot * 0x8000 + get(in, 2) % 4096, sizes[op >> 4 & 3]);
		break;
	case 2:
		bus_write(mmio, bar + get(in, 2) % 0x8000, sizes[op >> 4 & 3], get(in, 4));
		break;
	case 3:
		bus_read(mmio, bar + get(in, 2) % 0x8000, sizes[op >> 4 & 3]);
		break;
	case 4:
		bus_write(mmio, bar + get(in, 1) % 0x3c, sizes[op >> 4 & 3], get(in, 4));
		break;
	case 5:
		poke_memory(in);
		break;
	case 6:
		fake_advance(get(in, 1) << 16);
		break;
	case 7:
		features = offered() & ~(get(in, 1) | (get(in, 1) & 7) << 28);
		features &= get(in, 1) & 1 ? ~VIRTIO_F_RING_PACKED : ~0ull;
		bring_up(features, (unsigned)get(in, 1) % 6);
		break;
	case 8:
		kick((unsigned)get(in, 1) % 8);
		break;
	case 9:
	case 10:
		offer_some(in);
		break;
	case 11:
		poke_desc(in);
		break;
	case 12:
		use(in);
		break;
	case 13:
		virtio_console_input(con, in->p, in->left < 100 ? in->left : 100);
		virtio_console_resize(con, (uint16_t)get(in, 2), (uint16_t)get(in, 1));
		break;
	case 14: {
		struct balloon_stats st;

		virtio_balloon_stats(balloon, op & 16, &st);
		virtio_balloon_set_target(balloon, get(in, 4));
		break;
	}
	default:
		if (op & 64)
			snapshot(in);
		else if (op & 32)
			virtio_pci_ops.reset(vp);
		else
			set(0x14, 1, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	log_level = LOG_NONE;
	if (!mem.nslots)
		require(!mem_add_ram(&mem, 0, FIX_RAM, NULL));
	memset(mem_ptr(&mem, FIX_RINGS, 0x20000), 0, 0x20000);
	memset(driver, 0, sizeof(driver));
	create();
	use(&in);
	for (unsigned n = 0; in.left && n < 200; n++)
		step(&in);
	run();
	destroy();
	return 0;
}
