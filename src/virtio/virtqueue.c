/* virtqueue.c - queues of either kind: chains of buffers, notifications, life. */
#include "virtio/virtqueue.h"

#include <errno.h>

#include "core/memmap.h"
#include "virtio/virtqueue_priv.h"

static const struct ring_ops *ring(const struct virtq *q) { return q->set.packed ? &packed_ring : &split_ring; }

/* --- chains --- */

int chain_add(struct virtq *q, struct vq_chain *c, const struct vq_desc *d)
{
	bool write = d->flags & DESC_WRITE;
	const struct mem_slot *s;
	void *p;

	if (!d->len)
		return 0;
	if (!write && c->nin)
		return -EPROTO; /* what the device reads comes first (2.7.4.2) */
	p = mem_ptr(q->mem, d->addr, d->len);
	if (!p || c->nout + c->nin >= VQ_SEGS_MAX)
		return -EPROTO;
	s = mem_slot_find(q->mem, d->addr);
	if (write && s->readonly)
		return -EPROTO;
	if (c->out_len + c->in_len + d->len > UINT32_MAX)
		return -EPROTO; /* 2.7.5.2 */
	c->iov[c->nout + c->nin] = (struct iovec){ p, d->len };
	*(write ? &c->nin : &c->nout) += 1;
	*(write ? &c->in_len : &c->out_len) += d->len;
	return 0;
}

/* A table outside the ring (2.7.5.3, 2.8.9): walked by `next` for split rings, in order for packed ones */
int chain_add_table(struct virtq *q, struct vq_chain *c, const struct vq_desc *d)
{
	unsigned n = d->len / DESC_LEN, i = 0;
	const uint8_t *table;

	if (!q->set.indirect || d->flags & DESC_NEXT || !n || d->len % DESC_LEN || d->len / DESC_LEN > 65536)
		return -EPROTO;
	table = mem_ptr(q->mem, d->addr, d->len);
	if (!table)
		return -EPROTO;
	for (unsigned k = 0; k < VQ_SEGS_MAX; k++) {
		struct vq_desc t = desc_read(table + (size_t)i * DESC_LEN, q->set.packed);

		if (t.flags & DESC_INDIRECT || chain_add(q, c, &t) < 0)
			return -EPROTO;
		if (q->set.packed) {
			if (++i == n)
				return 0;
			continue;
		}
		if (!(t.flags & DESC_NEXT))
			return 0;
		i = t.word;
		if (i >= n)
			return -EPROTO;
	}
	return -EPROTO; /* longer than a chain may be, or a loop */
}

static size_t chain_copy(const struct iovec *iov, unsigned n, size_t off, uint8_t *buf, size_t len, bool write)
{
	size_t done = 0;

	for (; n && done < len; n--, iov++) {
		size_t part = iov->iov_len;

		if (off >= part) {
			off -= part;
			continue;
		}
		part -= off;
		if (part > len - done)
			part = len - done;
		if (write)
			memcpy((uint8_t *)iov->iov_base + off, buf + done, part);
		else
			memcpy(buf + done, (uint8_t *)iov->iov_base + off, part);
		done += part;
		off = 0;
	}
	return done;
}

size_t vq_chain_read(const struct vq_chain *c, size_t off, void *buf, size_t len)
{
	return chain_copy(c->iov, c->nout, off, buf, len, false);
}

size_t vq_chain_write(const struct vq_chain *c, size_t off, const void *buf, size_t len)
{
	return chain_copy(c->iov + c->nout, c->nin, off, (uint8_t *)(uintptr_t)buf, len, true);
}

/* --- popping and pushing --- */

static void chain_clear(const struct virtq *q, struct vq_chain *c)
{
	c->out_len = c->in_len = 0;
	c->nout = c->nin = 0;
	c->generation = q->generation;
	c->ndescs = 1;
	c->id = 0;
}

/* Lock held, queue enabled */
static int pop(struct virtq *q, struct vq_chain *c)
{
	int r;

	if (!q->budget) {
		q->cb.again(q->cb.ctx, q);
		return 0;
	}
	chain_clear(q, c);
	r = ring(q)->pop(q, c);
	if (!r && q->kicks_off) {
		/* The driver makes a buffer available, then looks whether we want to know; we say that we do,
		 * then look for one: the fence pairs with the driver's */
		ring(q)->kicks(q, true);
		q->kicks_off = false;
		atomic_thread_fence(memory_order_seq_cst);
		chain_clear(q, c);
		r = ring(q)->pop(q, c);
	}
	if (r > 0) {
		q->budget--;
		if (!q->kicks_off) {
			ring(q)->kicks(q, false);
			q->kicks_off = true;
		}
	}
	return r;
}

int vq_pop(struct virtq *q, struct vq_chain *c)
{
	int r = 0;

	pthread_mutex_lock(&q->lock);
	if (q->enabled)
		r = pop(q, c);
	pthread_mutex_unlock(&q->lock);
	if (r < 0)
		q->cb.broken(q->cb.ctx, q, "a malformed buffer");
	return r;
}

/* Who caches guest memory hears of the bytes that the device wrote */
static void tell_written(struct virtq *q, const struct vq_chain *c, uint64_t written)
{
	for (unsigned i = c->nout; i < c->nout + c->nin && written; i++) {
		uint64_t n = c->iov[i].iov_len < written ? c->iov[i].iov_len : written;

		mem_written(q->mem, c->iov[i].iov_base, n);
		written -= n;
	}
}

void vq_push(struct virtq *q, const struct vq_chain *c, uint32_t written)
{
	pthread_mutex_lock(&q->lock);
	tell_written(q, c, written);
	if (q->enabled && c->generation == q->generation && q->inflight >= c->ndescs) {
		q->inflight = (uint16_t)(q->inflight - c->ndescs);
		ring(q)->push(q, c, written);
		q->pushed = true;
	}
	pthread_mutex_unlock(&q->lock);
}

void vq_unpop(struct virtq *q, const struct vq_chain *c)
{
	pthread_mutex_lock(&q->lock);
	if (q->enabled && c->generation == q->generation && q->inflight >= c->ndescs) {
		q->inflight = (uint16_t)(q->inflight - c->ndescs);
		ring(q)->unpop(q, c);
	}
	pthread_mutex_unlock(&q->lock);
}

void vq_notify(struct virtq *q)
{
	bool want = false;

	pthread_mutex_lock(&q->lock);
	if (q->enabled && q->pushed) {
		q->pushed = false;
		/* pairs with the driver's, between asking for an interrupt and looking at the ring once more */
		atomic_thread_fence(memory_order_seq_cst);
		want = ring(q)->want_interrupt(q);
		q->signalled = q->next_used;
		q->signalled_wrap = q->used_wrap;
		q->signalled_valid = true;
	}
	pthread_mutex_unlock(&q->lock);
	if (want)
		q->cb.interrupt(q->cb.ctx, q);
}

/* --- life --- */

void vq_init(struct virtq *q, struct memmap *mem, unsigned index, const struct vq_callbacks *cb)
{
	*q = (struct virtq){ .mem = mem, .index = index, .cb = *cb };
	pthread_mutex_init(&q->lock, NULL);
}

void vq_fini(struct virtq *q) { pthread_mutex_destroy(&q->lock); }

/* The areas' places in host memory; a ring in ROM could not be written */
static uint8_t *area(struct virtq *q, uint64_t gpa, uint64_t len, unsigned align)
{
	const struct mem_slot *s = mem_slot_find(q->mem, gpa);

	return gpa % align || !s || s->readonly ? NULL : mem_ptr(q->mem, gpa, len);
}

int vq_start(struct virtq *q, const struct vq_setup *set)
{
	const struct ring_ops *r = set->packed ? &packed_ring : &split_ring;
	uint8_t *desc, *driver, *device;

	/* a split ring's size is a power of two (2.7), a packed one's need not be (2.8.10) */
	if (!set->size || set->size > VQ_SIZE_MAX || (!set->packed && set->size & (set->size - 1)))
		return -EPROTO;
	desc = area(q, set->desc, (uint64_t)set->size * DESC_LEN, 16);
	driver = area(q, set->driver, r->driver_len(set->size), r->driver_align);
	device = area(q, set->device, r->device_len(set->size), r->device_align);
	if (!desc || !driver || !device)
		return -EPROTO;
	pthread_mutex_lock(&q->lock);
	q->set = *set;
	q->desc = desc;
	q->driver = driver;
	q->device = device;
	q->next_avail = q->next_used = q->inflight = q->signalled = 0;
	q->avail_wrap = q->used_wrap = q->signalled_wrap = true; /* 2.8.1 */
	q->signalled_valid = q->pushed = q->kicks_off = false;
	q->budget = VQ_BUDGET;
	q->enabled = true;
	r->kicks(q, true);
	pthread_mutex_unlock(&q->lock);
	return 0;
}

void vq_stop(struct virtq *q)
{
	pthread_mutex_lock(&q->lock);
	q->enabled = false;
	q->generation++;
	pthread_mutex_unlock(&q->lock);
}

void vq_refill_budget(struct virtq *q)
{
	pthread_mutex_lock(&q->lock);
	q->budget = VQ_BUDGET;
	pthread_mutex_unlock(&q->lock);
}

bool vq_enabled(struct virtq *q)
{
	bool on;

	pthread_mutex_lock(&q->lock);
	on = q->enabled;
	pthread_mutex_unlock(&q->lock);
	return on;
}

void vq_position_get(struct virtq *q, struct vq_position *p)
{
	pthread_mutex_lock(&q->lock);
	*p = (struct vq_position){ q->next_avail, q->next_used, q->avail_wrap, q->used_wrap };
	pthread_mutex_unlock(&q->lock);
}

int vq_position_set(struct virtq *q, const struct vq_position *p)
{
	int r = 0;

	pthread_mutex_lock(&q->lock);
	if (!q->enabled || (q->set.packed && (p->next_avail >= q->set.size || p->next_used >= q->set.size))) {
		r = -EINVAL;
	} else {
		q->next_avail = p->next_avail;
		q->next_used = p->next_used;
		q->avail_wrap = p->avail_wrap;
		q->used_wrap = p->used_wrap;
		ring(q)->kicks(q, true);
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}
