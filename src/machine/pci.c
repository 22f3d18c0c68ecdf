/* pci.c - the machine's PCI bus and the virtio devices on it. */
#include "base/err.h"
#include "config/config.h"
#include "dev/pci.h"
#include "dev/reset.h"
#include "machine/internal.h"
#include "virtio/balloon.h"
#include "virtio/rng.h"
#include "virtio/virtio_pci.h"

/* Devices write guest memory behind the engine's back */
static void on_written(void *ctx, uint64_t gpa, uint64_t len)
{
	struct machine *m = ctx;

	m->ops->mem_written(m->vm, gpa, len);
}

int machine_add_virtio(struct machine *m, const struct virtio_model *model, struct err *e)
{
	struct virtio_pci_config cfg = { .pci = m->pci, .loop = m->loop, .mem = &m->mem };
	struct virtio_pci *dev;
	int r = virtio_pci_create(&cfg, model, &dev, e);

	if (!r)
		machine_own(m, &virtio_pci_ops, dev);
	return r;
}

static int add_rng(struct machine *m, struct err *e)
{
	struct virtio_model model;
	int r = virtio_rng_create(&model, e);

	return r < 0 ? r : machine_add_virtio(m, &model, e);
}

static int add_balloon(struct machine *m, struct err *e)
{
	struct virtio_model model;
	int r = virtio_balloon_create(&m->mem, &model, &m->balloon, e);

	return r < 0 ? r : machine_add_virtio(m, &model, e);
}

static int add_console(struct machine *m, struct err *e)
{
	struct virtio_model model;
	int r = machine_hvc_create(m, &model, e);

	if (!r)
		r = machine_add_virtio(m, &model, e);
	if (!r)
		machine_hvc_start(m);
	return r;
}

int machine_pci_create(struct machine *m, const struct irq_router *router, struct err *e)
{
	struct pci_bus_config cfg = {
		.pio = m->pio, .mmio = m->mmio, .router = router, .cf9_ops = &reset_ops, .cf9 = m->reset,
	};
	int r = pci_bus_create(&cfg, &m->pci, e);

	if (r < 0)
		return r;
	machine_own(m, &pci_bus_ops, m->pci);
	if (m->ops->mem_written) {
		m->mem.written = on_written;
		m->mem.written_ctx = m;
	}
	r = add_rng(m, e);
	if (!r)
		r = add_balloon(m, e);
	if (!r && m->cfg->console)
		r = add_console(m, e);
	return r;
}
