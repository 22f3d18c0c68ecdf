/* virtio_pci.c - virtio over PCI: capabilities, registers and interrupts (virtio 1.2, 4.1).
 *
 *   BAR 0   0000 common configuration   2000 device configuration   4000 MSI-X table
 *           1000 ISR status             3000 notification           5000 pending bits */
#include "virtio/virtio_pci.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "dev/devstate.h"
#include "dev/pci.h"
#include "virtio/virtio_dev.h"

enum area { AREA_COMMON, AREA_ISR, AREA_DEVICE, AREA_NOTIFY, AREA_MSIX, AREA_PBA };
#define AREA_LEN 0x1000u
#define BAR_LEN  0x8000u
#define NOTIFY_MULTIPLIER 4u
#define COMMON_LEN 0x3cu

/* Capabilities (4.1.4) */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI };
#define CAP_LEN 16u
#define NO_VECTOR 0xffffu
#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

struct virtio_pci {
	struct pci_dev pci;
	struct virtio_dev *v;
	unsigned nqueues;
	unsigned cfg_cap;                 /* offset of the capability that is a window to the BAR */

	pthread_mutex_t lock;             /* guards the selectors; taken before the device's lock */
	uint32_t device_features_sel, driver_features_sel;
	uint16_t queue_sel;

	_Atomic uint16_t config_vector, queue_vectors[VIRTIO_QUEUES_MAX];
	pthread_mutex_t isr_lock;         /* guards isr, and keeps the line in step with it */
	uint8_t isr;
};

/* --- interrupts (4.1.4.5, 4.1.5) --- */

static void raise(struct virtio_pci *p, uint16_t vector, uint8_t isr)
{
	if (pci_msix_enabled(&p->pci)) {
		pci_msix_send(&p->pci, vector);
		return;
	}
	pthread_mutex_lock(&p->isr_lock);
	p->isr |= isr;
	pci_set_line(&p->pci, true);
	pthread_mutex_unlock(&p->isr_lock);
}

static void queue_irq(void *ctx, unsigned index)
{
	struct virtio_pci *p = ctx;

	raise(p, atomic_load(&p->queue_vectors[index]), ISR_QUEUE);
}

static void config_irq(void *ctx)
{
	struct virtio_pci *p = ctx;

	raise(p, atomic_load(&p->config_vector), ISR_CONFIG);
}

/* Reading acknowledges */
static uint8_t isr_take(struct virtio_pci *p)
{
	uint8_t v;

	pthread_mutex_lock(&p->isr_lock);
	v = p->isr;
	p->isr = 0;
	pci_set_line(&p->pci, false);
	pthread_mutex_unlock(&p->isr_lock);
	return v;
}

static void transport_reset(void *ctx)
{
	struct virtio_pci *p = ctx;

	atomic_store(&p->config_vector, NO_VECTOR);
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		atomic_store(&p->queue_vectors[i], NO_VECTOR);
	isr_take(p);
}

/* --- common configuration (4.1.4.3) --- */

enum {
	DEVICE_FEATURE_SELECT = 0x00, DEVICE_FEATURE = 0x04, DRIVER_FEATURE_SELECT = 0x08, DRIVER_FEATURE = 0x0c,
	CONFIG_VECTOR = 0x10, NUM_QUEUES = 0x12, DEVICE_STATUS = 0x14, CONFIG_GENERATION = 0x15,
	QUEUE_SELECT = 0x16, QUEUE_SIZE = 0x18, QUEUE_VECTOR = 0x1a, QUEUE_ENABLE = 0x1c, QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20, QUEUE_DRIVER = 0x28, QUEUE_DEVICE = 0x30, QUEUE_NOTIFY_DATA = 0x38, QUEUE_RESET = 0x3a,
};

/* The register that holds the byte @off: its first byte, and its width */
static unsigned register_at(unsigned off, unsigned *width)
{
	static const uint8_t widths[COMMON_LEN] = { [DEVICE_FEATURE_SELECT] = 4, [DEVICE_FEATURE] = 4,
		[DRIVER_FEATURE_SELECT] = 4, [DRIVER_FEATURE] = 4, [CONFIG_VECTOR] = 2, [NUM_QUEUES] = 2,
		[DEVICE_STATUS] = 1, [CONFIG_GENERATION] = 1, [QUEUE_SELECT] = 2, [QUEUE_SIZE] = 2,
		[QUEUE_VECTOR] = 2, [QUEUE_ENABLE] = 2, [QUEUE_NOTIFY_OFF] = 2, [QUEUE_DESC] = 4,
		[QUEUE_DESC + 4] = 4, [QUEUE_DRIVER] = 4, [QUEUE_DRIVER + 4] = 4, [QUEUE_DEVICE] = 4,
		[QUEUE_DEVICE + 4] = 4, [QUEUE_NOTIFY_DATA] = 2, [QUEUE_RESET] = 2 };

	while (!widths[off])
		off--;
	*width = widths[off];
	return off;
}

static uint32_t queue_read(struct virtio_pci *p, unsigned reg)
{
	struct virtio_queue_regs q;

	if (p->queue_sel >= p->nqueues)
		return 0; /* size 0: no such queue */
	virtio_queue_regs_get(p->v, p->queue_sel, &q);
	switch (reg) {
	case QUEUE_SIZE:
		return q.size;
	case QUEUE_VECTOR:
		return atomic_load(&p->queue_vectors[p->queue_sel]);
	case QUEUE_ENABLE:
		return q.enable;
	case QUEUE_NOTIFY_OFF:
	case QUEUE_NOTIFY_DATA:
		return p->queue_sel;
	case QUEUE_DESC:
		return (uint32_t)q.desc;
	case QUEUE_DESC + 4:
		return (uint32_t)(q.desc >> 32);
	case QUEUE_DRIVER:
		return (uint32_t)q.driver;
	case QUEUE_DRIVER + 4:
		return (uint32_t)(q.driver >> 32);
	case QUEUE_DEVICE:
		return (uint32_t)q.device;
	case QUEUE_DEVICE + 4:
		return (uint32_t)(q.device >> 32);
	default:
		return 0;
	}
}

static uint32_t common_get(struct virtio_pci *p, unsigned reg)
{
	switch (reg) {
	case DEVICE_FEATURE_SELECT:
		return p->device_features_sel;
	case DEVICE_FEATURE:
		return virtio_features_offered(p->v, p->device_features_sel);
	case DRIVER_FEATURE_SELECT:
		return p->driver_features_sel;
	case DRIVER_FEATURE:
		return virtio_features_accepted(p->v, p->driver_features_sel);
	case CONFIG_VECTOR:
		return atomic_load(&p->config_vector);
	case NUM_QUEUES:
		return p->nqueues;
	case DEVICE_STATUS:
		return virtio_status_read(p->v);
	case CONFIG_GENERATION:
		return atomic_load(&p->v->generation);
	case QUEUE_SELECT:
		return p->queue_sel;
	default:
		return queue_read(p, reg);
	}
}

static uint32_t common_read(struct virtio_pci *p, unsigned off, unsigned size)
{
	unsigned width, reg;
	uint32_t v;

	if (off >= COMMON_LEN)
		return 0;
	reg = register_at(off, &width);
	pthread_mutex_lock(&p->lock);
	v = common_get(p, reg) >> 8 * (off - reg);
	/* wider than the register: what drivers must not do (4.1.3.1), but debuggers do */
	if (size > width - (off - reg) && reg + width < COMMON_LEN) {
		unsigned next = reg + width, w2;

		if (register_at(next, &w2) == next)
			v |= common_get(p, next) << 8 * (next - off);
	}
	pthread_mutex_unlock(&p->lock);
	return v;
}

static void set_half(uint64_t *v, bool high, uint32_t half)
{
	*v = high ? (uint32_t)*v | (uint64_t)half << 32 : (*v & ~0xffffffffull) | half;
}

/* A vector that is not there is answered with NO_VECTOR (4.1.5.1.2.1) */
static uint16_t vector(const struct virtio_pci *p, uint32_t val)
{
	return val < p->pci.msix.n ? (uint16_t)val : NO_VECTOR;
}

static void queue_write(struct virtio_pci *p, unsigned reg, uint32_t val)
{
	struct virtio_queue_regs q;

	if (p->queue_sel >= p->nqueues)
		return;
	virtio_queue_regs_get(p->v, p->queue_sel, &q);
	switch (reg) {
	case QUEUE_SIZE:
		if (val && val <= p->v->model.queue_size)
			q.size = (uint16_t)val;
		break;
	case QUEUE_VECTOR:
		atomic_store(&p->queue_vectors[p->queue_sel], vector(p, val));
		return;
	case QUEUE_ENABLE:
		if (val != 1)
			return; /* 4.1.4.3.2 */
		q.enable = true;
		break;
	case QUEUE_DESC:
	case QUEUE_DESC + 4:
		set_half(&q.desc, reg != QUEUE_DESC, val);
		break;
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4:
		set_half(&q.driver, reg != QUEUE_DRIVER, val);
		break;
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4:
		set_half(&q.device, reg != QUEUE_DEVICE, val);
		break;
	default:
		return;
	}
	virtio_queue_regs_set(p->v, p->queue_sel, &q);
}

static void common_set(struct virtio_pci *p, unsigned reg, uint32_t val)
{
	switch (reg) {
	case DEVICE_FEATURE_SELECT:
		p->device_features_sel = val;
		break;
	case DRIVER_FEATURE_SELECT:
		p->driver_features_sel = val;
		break;
	case DRIVER_FEATURE:
		virtio_features_accept(p->v, p->driver_features_sel, val);
		break;
	case CONFIG_VECTOR:
		atomic_store(&p->config_vector, vector(p, val));
		break;
	case DEVICE_STATUS:
		virtio_status_write(p->v, (uint8_t)val);
		break;
	case QUEUE_SELECT:
		p->queue_sel = (uint16_t)val;
		break;
	default:
		queue_write(p, reg, val);
	}
}

static void common_write(struct virtio_pci *p, unsigned off, unsigned size, uint32_t val)
{
	unsigned width;

	/* a driver has to write whole registers (4.1.3.1) */
	if (off >= COMMON_LEN || register_at(off, &width) != off || size != width)
		return;
	pthread_mutex_lock(&p->lock);
	common_set(p, off, val);
	pthread_mutex_unlock(&p->lock);
}

/* --- the BAR --- */

static uint64_t bar_read(void *dev, uint64_t off, unsigned size)
{
	struct virtio_pci *p = dev;
	unsigned in = off % AREA_LEN;
	uint8_t b[4];

	switch ((enum area)(off / AREA_LEN)) {
	case AREA_COMMON:
		return common_read(p, in, size);
	case AREA_ISR:
		return in ? 0 : isr_take(p);
	case AREA_DEVICE:
		virtio_config_read(p->v, in, b, size);
		return size == 1 ? b[0] : size == 2 ? le16_load(b) : le32_load(b);
	case AREA_MSIX:
		return pci_msix_table_read(&p->pci, in, size);
	case AREA_PBA:
		return pci_msix_pba_read(&p->pci, in, size);
	case AREA_NOTIFY:
		break;
	}
	return 0;
}

static void bar_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct virtio_pci *p = dev;
	unsigned in = off % AREA_LEN;
	uint8_t b[4];

	switch ((enum area)(off / AREA_LEN)) {
	case AREA_COMMON:
		common_write(p, in, size, (uint32_t)val);
		break;
	case AREA_DEVICE:
		le32_store(b, (uint32_t)val);
		virtio_config_write(p->v, in, b, size);
		break;
	case AREA_NOTIFY: /* the place says which queue (4.1.4.4) */
		virtio_kick(p->v, in / NOTIFY_MULTIPLIER);
		break;
	case AREA_MSIX:
		pci_msix_table_write(&p->pci, in, size, (uint32_t)val);
		break;
	case AREA_ISR:
	case AREA_PBA:
		break;
	}
}

static const struct device_ops bar_ops = {
	.name = "virtio-pci", .max_size = 4, .read = bar_read, .write = bar_write,
};

/* --- configuration space: the capability that reaches into the BAR (4.1.4.9) --- */

#define WINDOW_BAR  4u  /* offsets in the capability */
#define WINDOW_OFF  8u
#define WINDOW_LEN  12u
#define WINDOW_DATA 16u

/* What the driver has the window point at: false where it may not */
static bool window(struct virtio_pci *p, unsigned off, uint64_t *at, unsigned *len)
{
	const uint8_t *c = pci_config(&p->pci, p->cfg_cap);

	*at = le32_load(c + WINDOW_OFF);
	*len = le32_load(c + WINDOW_LEN);
	return off == p->cfg_cap + WINDOW_DATA && !c[WINDOW_BAR] && (*len == 1 || *len == 2 || *len == 4) &&
	       *at % *len == 0 && *at < BAR_LEN;
}

static void window_read(void *dev, unsigned off, unsigned size)
{
	struct virtio_pci *p = dev;
	uint64_t at;
	unsigned len;

	if (window(p, off, &at, &len))
		le32_store(pci_config(&p->pci, p->cfg_cap + WINDOW_DATA), (uint32_t)bar_read(p, at, len));
}

static void window_written(void *dev, unsigned off, unsigned size)
{
	struct virtio_pci *p = dev;
	uint64_t at;
	unsigned len;
	uint32_t v;

	if (!window(p, off, &at, &len))
		return;
	v = le32_load(pci_config(&p->pci, p->cfg_cap + WINDOW_DATA));
	bar_write(p, at, len, len == 4 ? v : v & ((1u << 8 * len) - 1));
}

static void function_reset(void *dev) { virtio_status_write(((struct virtio_pci *)dev)->v, 0); }

static const struct pci_hooks hooks = { .read = window_read, .written = window_written, .reset = function_reset };

/* --- building --- */

static unsigned add_cap(struct virtio_pci *p, uint8_t type, enum area area, uint32_t len)
{
	uint8_t body[CAP_LEN + 4 - 2] = { 0 };
	unsigned more = type == CAP_NOTIFY || type == CAP_PCI ? 4 : 0;

	body[0] = (uint8_t)(CAP_LEN + more);
	body[1] = type;
	le32_store(body + 6, (uint32_t)area * AREA_LEN);
	le32_store(body + 10, len);
	if (type == CAP_NOTIFY)
		le32_store(body + 14, NOTIFY_MULTIPLIER);
	return pci_cap_add(&p->pci, PCI_CAP_VENDOR, body, CAP_LEN + more - 2);
}

static void describe(struct virtio_pci *p, const struct virtio_model *m)
{
	struct pci_ident id = {
		.vendor = 0x1af4, .device = (uint16_t)(0x1040 + m->ops->id), /* 4.1.2 */
		.subvendor = 0x1af4, .subsystem = (uint16_t)(0x1040 + m->ops->id),
		.class = m->ops->pci_class, .revision = 1, .intx = true,
	};

	pci_dev_init(&p->pci, &id, &hooks, p);
	pci_bar_set(&p->pci, 0, BAR_LEN, true, &bar_ops, p);
	pci_msix_add(&p->pci, m->nqueues + 1, 0, AREA_MSIX * AREA_LEN, AREA_PBA * AREA_LEN);
	add_cap(p, CAP_COMMON, AREA_COMMON, COMMON_LEN);
	add_cap(p, CAP_NOTIFY, AREA_NOTIFY, m->nqueues * NOTIFY_MULTIPLIER);
	add_cap(p, CAP_ISR, AREA_ISR, 1);
	if (m->config_len)
		add_cap(p, CAP_DEVICE, AREA_DEVICE, m->config_len);
	p->cfg_cap = add_cap(p, CAP_PCI, AREA_COMMON, 0);
	p->pci.watch_off = p->cfg_cap + WINDOW_DATA;
	p->pci.watch_len = 4;
	p->pci.wmask[p->cfg_cap + WINDOW_BAR] = 0xff;
	memset(p->pci.wmask + p->cfg_cap + WINDOW_OFF, 0xff, 12);
	pci_flr_add(&p->pci);
}

int virtio_pci_create(const struct virtio_pci_config *cfg, const struct virtio_model *model, struct virtio_pci **out,
		      struct err *e)
{
	struct virtio_pci *p = calloc(1, sizeof(*p));
	struct virtio_dev_config vc = {
		.mem = cfg->mem, .loop = cfg->loop, .withheld = cfg->withheld,
		.transport = { queue_irq, config_irq, transport_reset, p },
	};
	int r;

	if (!p)
		r = err_set(e, -ENOMEM, "%s: out of memory", model->ops->name);
	else
		r = virtio_dev_create(&vc, model, &p->v, e);
	if (!p || r < 0) {
		if (model->ops->destroy)
			model->ops->destroy(model->dev);
		free(p);
		return r;
	}
	p->nqueues = model->nqueues;
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->isr_lock, NULL);
	describe(p, model);
	transport_reset(p);
	r = pci_attach(cfg->pci, &p->pci, e);
	if (r < 0) {
		virtio_pci_ops.destroy(p);
		return r;
	}
	*out = p;
	return 0;
}

static void pci_destroy(void *dev)
{
	struct virtio_pci *p = dev;

	if (!p)
		return;
	virtio_dev_destroy(p->v); /* first: it may still interrupt */
	pci_dev_fini(&p->pci);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->isr_lock);
	free(p);
}

static void selectors_reset(struct virtio_pci *p)
{
	pthread_mutex_lock(&p->lock);
	p->device_features_sel = p->driver_features_sel = 0;
	p->queue_sel = 0;
	pthread_mutex_unlock(&p->lock);
}

static void pci_reset(void *dev)
{
	struct virtio_pci *p = dev;

	virtio_dev_reset(p->v);
	selectors_reset(p);
	pci_dev_reset(&p->pci);
}

/* --- snapshots --- */

/* A device that could not load is left in its reset state */
static void sync_state(struct virtio_pci *p, struct devstate *s)
{
	uint16_t config;

	ds_tag(s, 0x50524956, 1);
	if (s->bad)
		return;
	pci_dev_sync(&p->pci, s);
	virtio_dev_sync(p->v, s); /* loading resets the vectors first */
	config = p->config_vector;
	ds_u32(s, &p->device_features_sel);
	ds_u32(s, &p->driver_features_sel);
	ds_u16(s, &p->queue_sel);
	ds_u16(s, &config);
	p->config_vector = vector(p, config);
	for (unsigned i = 0; i < p->nqueues; i++) {
		uint16_t v = p->queue_vectors[i];

		ds_u16(s, &v);
		p->queue_vectors[i] = vector(p, v);
	}
	ds_u8(s, &p->isr);
	p->isr &= ISR_QUEUE | ISR_CONFIG;
}

static size_t pci_save(void *dev, void *buf, size_t cap)
{
	struct virtio_pci *p = dev;
	struct devstate s = devstate_saver(buf, cap);

	virtio_dev_drain(p->v);
	sync_state(p, &s);
	return s.pos;
}

static int pci_load(void *dev, const void *buf, size_t len)
{
	struct virtio_pci *p = dev;
	struct devstate s = devstate_loader(buf, len);

	sync_state(p, &s);
	if (ds_finish(&s)) {
		pci_reset(p);
		return -EINVAL;
	}
	pci_set_line(&p->pci, p->isr && !pci_msix_enabled(&p->pci));
	return 0;
}

const struct device_ops virtio_pci_ops = {
	.name = "virtio-pci", .reset = pci_reset, .destroy = pci_destroy, .save = pci_save, .load = pci_load,
};
