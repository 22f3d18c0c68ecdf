/* pci_msix.c - MSI-X: the table, its masks, and messages that wait (PCI Local Bus 3.0, 6.8.2). */
#include <errno.h>

#include "dev/devstate.h"
#include "dev/pci_priv.h"

#define CONTROL 2u /* message control's offset in the capability */
#define CONTROL_ENABLE 0x8000u
#define CONTROL_MASK   0x4000u
#define VECTOR_MASKED  1u
#define ENTRY_LEN 16u

int pci_msix_add(struct pci_dev *d, unsigned n, unsigned bar, uint32_t table, uint32_t pba)
{
	uint8_t body[10];

	if (!n || n > PCI_MSIX_MAX)
		return -ENOSPC;
	le16_store(body, (uint16_t)(n - 1));
	le32_store(body + 2, table | bar);
	le32_store(body + 6, pba | bar);
	d->msix.cap = pci_cap_add(d, PCI_CAP_MSIX, body, sizeof(body));
	if (!d->msix.cap)
		return -ENOSPC;
	le16_store(d->wmask + d->msix.cap + CONTROL, CONTROL_ENABLE | CONTROL_MASK);
	d->msix.n = n;
	pci_msix_reset(d);
	return 0;
}

void pci_msix_reset(struct pci_dev *d)
{
	struct pci_msix *x = &d->msix;

	pthread_mutex_lock(&x->lock);
	x->enabled = x->masked = false;
	atomic_store(&d->msix_on, false);
	for (unsigned i = 0; i < x->n; i++) {
		x->addr[i] = 0;
		x->data[i] = 0;
		x->control[i] = VECTOR_MASKED; /* 6.8.2.9 */
		x->pending[i] = 0;
	}
	pthread_mutex_unlock(&x->lock);
}

/* Sends what waits on vector i and may go. A message to nowhere is lost: nobody to tell. Lock held. */
static void send(struct pci_dev *d, unsigned i)
{
	struct pci_msix *x = &d->msix;

	if (!x->pending[i] || !x->enabled || x->masked || x->control[i] & VECTOR_MASKED)
		return;
	x->pending[i] = 0;
	d->bus->router->msi(d->bus->router->ctx, x->addr[i], x->data[i]);
}

void pci_msix_send(struct pci_dev *d, unsigned vector)
{
	struct pci_msix *x = &d->msix;

	if (vector >= x->n || !d->bus)
		return;
	pthread_mutex_lock(&x->lock);
	if (x->enabled) {
		x->pending[vector] = 1;
		send(d, vector);
	}
	pthread_mutex_unlock(&x->lock);
}

void pci_msix_control_written(struct pci_dev *d)
{
	struct pci_msix *x = &d->msix;
	uint16_t v;

	if (!x->n)
		return;
	v = le16_load(d->cfg + x->cap + CONTROL);
	pthread_mutex_lock(&x->lock);
	x->enabled = v & CONTROL_ENABLE;
	x->masked = v & CONTROL_MASK;
	atomic_store(&d->msix_on, x->enabled);
	for (unsigned i = 0; i < x->n; i++)
		send(d, i);
	pthread_mutex_unlock(&x->lock);
}

/* One of an entry's four registers */
static uint32_t reg_get(const struct pci_msix *x, unsigned i, unsigned reg)
{
	switch (reg) {
	case 0:
		return (uint32_t)x->addr[i];
	case 1:
		return (uint32_t)(x->addr[i] >> 32);
	case 2:
		return x->data[i];
	default:
		return x->control[i];
	}
}

static void reg_set(struct pci_msix *x, unsigned i, unsigned reg, uint32_t v)
{
	switch (reg) {
	case 0:
		x->addr[i] = (x->addr[i] & ~0xffffffffull) | (v & ~3u);
		break;
	case 1:
		x->addr[i] = (uint32_t)x->addr[i] | (uint64_t)v << 32;
		break;
	case 2:
		x->data[i] = v;
		break;
	default:
		x->control[i] = v & VECTOR_MASKED;
	}
}

uint32_t pci_msix_table_read(struct pci_dev *d, uint64_t off, unsigned size)
{
	uint64_t i = off / ENTRY_LEN;
	uint32_t v = 0;

	pthread_mutex_lock(&d->msix.lock);
	if (i < d->msix.n)
		v = reg_get(&d->msix, (unsigned)i, off % ENTRY_LEN / 4) >> 8 * (off % 4);
	pthread_mutex_unlock(&d->msix.lock);
	return v;
}

/* The table takes aligned 32-bit writes (and 64-bit ones, which arrive as two); others are undefined (6.8.2) */
void pci_msix_table_write(struct pci_dev *d, uint64_t off, unsigned size, uint32_t val)
{
	uint64_t i = off / ENTRY_LEN;

	if (size != 4 || off % 4)
		return;
	pthread_mutex_lock(&d->msix.lock);
	if (i < d->msix.n) {
		reg_set(&d->msix, (unsigned)i, off % ENTRY_LEN / 4, val);
		if (d->bus)
			send(d, (unsigned)i);
	}
	pthread_mutex_unlock(&d->msix.lock);
}

uint32_t pci_msix_pba_read(struct pci_dev *d, uint64_t off, unsigned size)
{
	uint32_t v = 0;

	pthread_mutex_lock(&d->msix.lock);
	for (unsigned bit = 0; bit < size * 8; bit++) {
		uint64_t i = off * 8 + bit;

		if (i < d->msix.n && d->msix.pending[i])
			v |= 1u << bit;
	}
	pthread_mutex_unlock(&d->msix.lock);
	return v;
}
