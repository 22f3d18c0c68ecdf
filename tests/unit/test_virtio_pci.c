/* test_virtio_pci.c - the PCI transport and the life of a device, with a class that does next to nothing. */
#include "unit/cmocka_all.h"
#include "unit/virtio_fixture.h"

#include <errno.h>

static struct echo {
	struct virtio_dev *vdev;
	unsigned starts, resets, queues[2], drains;
	uint64_t features;
	bool slow; /* resets take their time */
	uint8_t config[8];
} echo;

static void echo_attach(void *dev, struct virtio_dev *v) { echo.vdev = v; }

static void echo_start(void *dev, uint64_t features)
{
	echo.starts++;
	echo.features = features;
}

static void echo_queue(void *dev, unsigned index)
{
	struct vq_chain c;

	echo.queues[index]++;
	while (vq_pop(virtio_queue(echo.vdev, index), &c) == 1)
		vq_push(virtio_queue(echo.vdev, index), &c, (uint32_t)vq_chain_write(&c, 0, "hello", 5));
	vq_notify(virtio_queue(echo.vdev, index));
}

static int echo_reset(void *dev)
{
	echo.resets++;
	return echo.slow ? -EINPROGRESS : 0;
}

static void echo_drain(void *dev) { echo.drains++; }
static void echo_read(void *dev, unsigned off, void *buf, unsigned len) { memcpy(buf, echo.config + off, len); }
static void echo_write(void *dev, unsigned off, const void *buf, unsigned len) { memcpy(echo.config + off, buf, len); }

static const struct virtio_ops echo_ops = {
	.name = "virtio-echo", .id = 42, .pci_class = 0x00ff00, .attach = echo_attach, .start = echo_start,
	.queue = echo_queue, .reset = echo_reset, .drain = echo_drain, .config_read = echo_read,
	.config_write = echo_write,
};
static const struct virtio_model model = {
	.ops = &echo_ops, .features = 5, .config_len = 6, .nqueues = 2, .queue_size = 16,
};

static int setup(void **state)
{
	echo = (struct echo){ .config = { 1, 2, 3, 4, 5, 6, 7, 8 } };
	return bus_only() || device_add(&model);
}

static int teardown(void **state)
{
	device_remove();
	return 0;
}

#define GSI LAYOUT_PCI_GSI(1)

static void identity(void **state)
{
	unsigned caps = 0, off = 0, seen = 0;

	assert_int_equal(cfg_read(0, 4), 0x106a1af4);
	assert_int_equal(cfg_read(8, 1), 1);
	assert_int_equal(cfg_read(0x2c, 2), 0x1af4);
	while ((off = cap_find(0x09, off))) {
		unsigned type = cfg_read(off + 3, 1);

		caps++;
		seen |= 1u << type;
		assert_int_equal(cfg_read(off + 2, 1), type == 2 || type == 5 ? 20 : 16);
		assert_int_equal(cfg_read(off + 4, 1), 0);
	}
	assert_int_equal(caps, 5);
	assert_int_equal(seen, 0x3e);
	assert_int_equal(offered(), 5 | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC);
	set(0, 4, 2);
	assert_int_equal(reg(4, 4), 0);
	assert_int_equal(reg(0x12, 2), 2);
}

static void registers(void **state)
{
	set(0x16, 2, 1);
	assert_int_equal(reg(0x16, 2), 1);
	assert_int_equal(reg(0x18, 2), 16);
	assert_int_equal(reg(0x1e, 2), 1);
	assert_int_equal(reg(0x1a, 2), 0xffff);
	set(0x1a, 2, 2);
	assert_int_equal(reg(0x1a, 2), 2);
	set(0x1a, 2, 3); /* three vectors there are */
	assert_int_equal(reg(0x1a, 2), 0xffff);
	set(0x18, 2, 17);
	set(0x18, 2, 0);
	assert_int_equal(reg(0x18, 2), 16);
	set(0x18, 2, 8);
	assert_int_equal(reg(0x18, 2), 8);
	set(0x24, 4, 0x12345678);
	assert_int_equal(bus_read(mmio, bar + 0x20, 8), 0x1234567800000000);
	assert_int_equal(reg(0x25, 1), 0x56);
	set(0x25, 1, 0); /* registers are written whole */
	set(0x18, 4, 0xffffffff);
	assert_int_equal(reg(0x24, 4), 0x12345678);
	assert_int_equal(reg(0x18, 2), 8);
	set(0x16, 2, 2); /* no such queue */
	assert_int_equal(reg(0x18, 2), 0);
	set(0x18, 2, 8);
	set(0x1c, 2, 1);
	assert_int_equal(reg(0x1c, 2), 0);
	assert_int_equal(reg(0x16, 4), 2);
	assert_int_equal(reg(0x3c, 4), 0);
	assert_int_equal(reg(0x7ffc, 4), 0);
}

static void negotiation(void **state)
{
	assert_false(bring_up(2, 2)); /* not offered */
	assert_int_equal(reg(0x14, 1), 3 | 0);
	set(0x14, 1, 0);
	set(0x14, 1, 3);
	accept(1);
	set(0x14, 1, 11);
	assert_int_equal(reg(0x14, 1), 3); /* without VERSION_1 */
	set(0x14, 1, 15);
	assert_int_equal(reg(0x14, 1), 3);
	assert_true(bring_up(4, 2));
	assert_int_equal(echo.features, 4 | VIRTIO_F_VERSION_1);
	accept(0); /* too late */
	set(8, 4, 1);
	assert_int_equal(reg(0xc, 4), 1);
	set(0x14, 1, 1); /* bits are not taken back */
	assert_int_equal(reg(0x14, 1), 15);
	assert_int_equal(echo.starts, 1);
	assert_int_equal(echo.queues[0], 1);
	set(0x14, 1, 64 | 15); /* not the driver's bit */
	assert_int_equal(reg(0x14, 1), 15);
}

static void io(bool packed)
{
	const struct seg s = { FIX_BUF, 16, true };
	uint32_t len;

	assert_true(bring_up(packed ? VIRTIO_F_RING_PACKED : 0, 2));
	for (unsigned i = 0; i < 40; i++) {
		unsigned id = offer(&driver[1], &s, 1);

		kick(1);
		assert_int_equal(take(&driver[1], &len), id);
		assert_int_equal(len, 5);
		assert_memory_equal(mem_ptr(&mem, FIX_BUF, 5), "hello", 5);
	}
	assert_int_equal(echo.queues[0], 1);
	kick(2); /* no such queues */
	kick(1000);
}

static void split_io(void **state) { io(false); }
static void packed_io(void **state) { io(true); }

static void line_interrupts(void **state)
{
	const struct seg s = { FIX_BUF, 16, true };

	assert_true(bring_up(0, 2));
	assert_false(lines.level[GSI]);
	offer(&driver[0], &s, 1);
	kick(0);
	assert_true(lines.level[GSI]);
	virtio_config_changed(echo.vdev);
	assert_int_equal(reg(0x1000, 1), 3);
	assert_false(lines.level[GSI]);
	assert_int_equal(reg(0x1000, 1), 0);
	offer(&driver[0], &s, 1);
	kick(0);
	assert_true(lines.level[GSI]);
	set(0x14, 1, 0);
	run();
	assert_false(lines.level[GSI]);
}

static void message_interrupts(void **state)
{
	const struct seg s = { FIX_BUF, 16, true };
	unsigned cap = cap_find(PCI_CAP_MSIX, 0);

	set(0x14, 1, 0);
	cfg_write(cap + 2, 2, 0x8000);
	for (unsigned v = 0; v < 3; v++) {
		set(0x4000 + 16 * v, 4, 0xfee00000);
		set(0x4008 + 16 * v, 4, 0x30 + v);
		set(0x400c + 16 * v, 4, 0);
	}
	assert_true(bring_up(0, 2));
	offer(&driver[0], &s, 1);
	kick(0); /* without a vector: silent */
	assert_int_equal(msis.n, 0);
	set(0x16, 2, 1);
	set(0x1a, 2, 2);
	set(0x10, 2, 1);
	offer(&driver[1], &s, 1);
	kick(1);
	assert_int_equal(msis.n, 1);
	assert_int_equal(msis.data, 0x32);
	virtio_config_changed(echo.vdev);
	assert_int_equal(msis.data, 0x31);
	assert_false(lines.level[GSI]);
}

static void config_space(void **state)
{
	uint8_t generation = (uint8_t)reg(0x15, 1);

	assert_int_equal(reg(0x2000, 4), 0x04030201);
	assert_int_equal(reg(0x2004, 4), 0x0605); /* six bytes there are */
	assert_int_equal(reg(0x2006, 2), 0);
	assert_int_equal(reg(0x2fff, 1), 0);
	set(0x2005, 1, 0x66);
	set(0x2006, 1, 0x77);
	assert_int_equal(echo.config[5], 0x66);
	assert_int_equal(echo.config[6], 7);
	virtio_config_changed(echo.vdev);
	assert_int_not_equal(reg(0x15, 1), generation);
}

static void broken_ring(void **state)
{
	const struct seg bad = { FIX_RAM, 16, true }, s = { FIX_BUF, 16, true };
	uint32_t len;

	assert_true(bring_up(0, 2));
	offer(&driver[0], &bad, 1);
	kick(0);
	assert_int_equal(reg(0x14, 1), 15 | 64);
	assert_int_equal(reg(0x1000, 1), 2); /* a configuration interrupt */
	offer(&driver[1], &s, 1);
	kick(1);
	assert_int_equal(take(&driver[1], &len), -1);
	assert_true(bring_up(0, 2)); /* all is well after a reset */
	offer(&driver[1], &s, 1);
	kick(1);
	assert_true(take(&driver[1], &len) >= 0);
	assert_int_equal(echo.resets, 1);
}

static void broken_setup(void **state)
{
	static const struct vq_setup nowhere = { .desc = FIX_RAM, .driver = 0x1000, .device = 0x2000, .size = 16 };

	set(0x14, 1, 3);
	accept(VIRTIO_F_VERSION_1);
	set(0x14, 1, 11);
	queue_areas(0, &nowhere);
	set(0x14, 1, 15);
	run();
	assert_int_equal(reg(0x14, 1), 15 | 64);
	assert_int_equal(echo.queues[0], 0);
}

static void late_queue(void **state)
{
	const struct seg s = { FIX_BUF, 16, true };
	uint32_t len;

	assert_true(bring_up(0, 1));
	driver_init(&driver[1], &mem, FIX_RINGS + 0x4000, 16, false);
	kick(1);
	assert_int_equal(echo.queues[1], 0);
	queue_areas(1, &driver[1].set);
	offer(&driver[1], &s, 1);
	kick(1);
	assert_true(take(&driver[1], &len) >= 0);
}

static void slow_reset(void **state)
{
	const struct seg s = { FIX_BUF, 16, true };
	uint32_t len;

	assert_true(bring_up(0, 2));
	echo.slow = true;
	set(0x14, 1, 0);
	assert_int_not_equal(reg(0x14, 1), 0);
	run();
	assert_int_equal(echo.resets, 1);
	assert_int_not_equal(reg(0x14, 1), 0);
	set(0x14, 1, 3); /* too early */
	set(0x14, 1, 0);
	run();
	assert_int_equal(echo.resets, 1);
	offer(&driver[0], &s, 1);
	kick(0);
	assert_int_equal(take(&driver[0], &len), -1);
	virtio_reset_done(echo.vdev);
	assert_int_equal(reg(0x14, 1), 0);
	set(0x16, 2, 0);
	assert_int_equal(reg(0x1c, 2), 0);
	assert_true(bring_up(0, 2));
}

static void reset_before_start(void **state)
{
	set(0x14, 1, 3);
	set(0x14, 1, 0);
	assert_int_equal(reg(0x14, 1), 0); /* at once: the class had nothing to do with it */
	assert_int_equal(echo.resets, 0);
	/* a start that the loop has not come to see yet */
	set(0x14, 1, 3);
	accept(VIRTIO_F_VERSION_1);
	set(0x14, 1, 11);
	set(0x14, 1, 15);
	set(0x14, 1, 0);
	run();
	assert_int_equal(echo.starts, 0);
	assert_int_equal(reg(0x14, 1), 0);
}

static void function_reset(void **state)
{
	unsigned af = cap_find(PCI_CAP_AF, 0);

	assert_true(bring_up(0, 2));
	cfg_write(af + 4, 1, 1);
	run();
	cfg_write(4, 2, 2);
	assert_int_equal(reg(0x14, 1), 0);
	assert_int_equal(echo.resets, 1);
}

static void window(void **state)
{
	unsigned cap = 0;

	while ((cap = cap_find(0x09, cap)) && cfg_read(cap + 3, 1) != 5)
		;
	assert_int_not_equal(cap, 0);
	cfg_write(cap + 8, 4, 0x14);
	cfg_write(cap + 12, 4, 1);
	cfg_write(cap + 16, 4, 3);
	assert_int_equal(reg(0x14, 1), 3);
	assert_int_equal(cfg_read(cap + 16, 1), 3);
	cfg_write(cap + 8, 4, 0x2000);
	cfg_write(cap + 12, 4, 4);
	assert_int_equal(cfg_read(cap + 16, 4), 0x04030201);
	cfg_write(cap + 8, 4, 0x12);
	cfg_write(cap + 12, 4, 2);
	assert_int_equal(cfg_read(cap + 16, 2), 2);
	/* what is not allowed reads as it was left */
	cfg_write(cap + 8, 4, 0x8000);
	cfg_read(cap + 16, 4);
	cfg_write(cap + 8, 4, 0xffffffff);
	cfg_write(cap + 12, 4, 0xffffffff);
	cfg_write(cap + 16, 4, 1);
	cfg_write(cap + 12, 4, 3);
	cfg_write(cap + 16, 4, 1);
	cfg_write(cap + 4, 1, 1);
	cfg_write(cap + 16, 4, 1);
	assert_int_equal(reg(0x14, 1), 3);
}

static void machine_reset(void **state)
{
	assert_true(bring_up(0, 2));
	echo.slow = true;
	cfg_write(0x10, 4, 0xc9000000);
	virtio_pci_ops.reset(vp);
	assert_int_equal(reg(0x14, 1), 0);
	assert_int_equal(echo.drains, 1);
	assert_int_equal(echo.resets, 1);
	assert_false(fake_armed());
}

static void snapshot(void **state)
{
	const struct seg s = { FIX_BUF, 16, true };
	uint32_t len;

	for (unsigned packed = 0; packed < 2; packed++) {
		assert_true(bring_up(packed ? VIRTIO_F_RING_PACKED : 0, 2));
		for (unsigned i = 0; i < 21; i++) {
			offer(&driver[0], &s, 1);
			kick(0);
			assert_true(take(&driver[0], &len) >= 0);
		}
		offer(&driver[0], &s, 1); /* not noticed before the snapshot */
		assert_int_equal(snapshot_round_trip(), 0);
		assert_true(lines.level[GSI]);
		run();
		assert_true(take(&driver[0], &len) >= 0);
		assert_int_equal(reg(0x14, 1), 15);
	}
	assert_int_equal(echo.starts, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(identity), T(registers), T(negotiation), T(split_io), T(packed_io), T(line_interrupts),
		T(message_interrupts), T(config_space), T(broken_ring), T(broken_setup), T(late_queue), T(slow_reset),
		T(reset_before_start), T(function_reset), T(window), T(machine_reset), T(snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
