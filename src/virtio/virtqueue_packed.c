/* virtqueue_packed.c - packed rings (virtio 1.2, 2.8). */
#include <errno.h>

#include "core/memmap.h"
#include "virtio/virtqueue_priv.h"

/* Event suppression structures (2.8.14): what is wanted, and from which slot on */
#define EVENT_DESC  0u
#define EVENT_FLAGS 2u
#define EVENT_LEN   4u
#define EVENT_WRAP  0x8000u /* in desc: the wrap counter that goes with the slot */
enum { EVENTS_ON = 0, EVENTS_OFF = 1, EVENTS_FROM_DESC = 2 };

static uint64_t event_len(unsigned size) { return EVENT_LEN; }

static int packed_pop(struct virtq *q, struct vq_chain *c)
{
	unsigned size = q->set.size, slot = q->next_avail, n = 0;
	uint16_t flags = ring_load16(q->desc + (size_t)slot * DESC_LEN + 14);
	bool wrap = q->avail_wrap;
	struct vq_desc d;

	if (!!(flags & DESC_AVAIL) != wrap || !!(flags & DESC_USED) == wrap)
		return 0;
	do {
		int r;

		if (n >= size - q->inflight)
			return -EPROTO;
		d = desc_read(q->desc + (size_t)slot * DESC_LEN, true);
		r = d.flags & DESC_INDIRECT ? chain_add_table(q, c, &d) : chain_add(q, c, &d);
		if (r < 0)
			return r;
		n++;
		if (++slot == size) {
			slot = 0;
			wrap = !wrap;
		}
	} while (d.flags & DESC_NEXT);
	c->id = d.word; /* the last one's counts (2.8.6) */
	c->ndescs = (uint16_t)n;
	q->next_avail = (uint16_t)slot;
	q->avail_wrap = wrap;
	q->inflight = (uint16_t)(q->inflight + n);
	return 1;
}

static void packed_push(struct virtq *q, const struct vq_chain *c, uint32_t written)
{
	uint8_t *d = q->desc + (size_t)q->next_used * DESC_LEN;
	unsigned flags = (written ? DESC_WRITE : 0) | (q->used_wrap ? DESC_AVAIL | DESC_USED : 0);

	le32_store(d + 8, written);
	le16_store(d + 12, c->id);
	ring_store16(d + 14, (uint16_t)flags); /* last: it makes the rest valid */
	mem_written(q->mem, d, DESC_LEN);
	q->next_used = (uint16_t)(q->next_used + c->ndescs);
	if (q->next_used >= q->set.size) {
		q->next_used = (uint16_t)(q->next_used - q->set.size);
		q->used_wrap = !q->used_wrap;
	}
}

static void packed_unpop(struct virtq *q, const struct vq_chain *c)
{
	if (q->next_avail < c->ndescs) {
		q->next_avail = (uint16_t)(q->next_avail + q->set.size);
		q->avail_wrap = !q->avail_wrap;
	}
	q->next_avail = (uint16_t)(q->next_avail - c->ndescs);
}

static void packed_kicks(struct virtq *q, bool on)
{
	if (on && q->set.event_idx) {
		ring_store16(q->device + EVENT_DESC, (uint16_t)(q->next_avail | (q->avail_wrap ? EVENT_WRAP : 0)));
		ring_store16(q->device + EVENT_FLAGS, EVENTS_FROM_DESC);
	} else {
		ring_store16(q->device + EVENT_FLAGS, on ? EVENTS_ON : EVENTS_OFF);
	}
	mem_written(q->mem, q->device, EVENT_LEN);
}

static bool packed_want_interrupt(struct virtq *q)
{
	uint16_t flags = ring_load16(q->driver + EVENT_FLAGS), event = ring_load16(q->driver + EVENT_DESC);
	uint16_t old = q->signalled, slot = event & (EVENT_WRAP - 1);

	if (flags == EVENTS_OFF)
		return false;
	if (flags != EVENTS_FROM_DESC || !q->set.event_idx || !q->signalled_valid)
		return true;
	/* slots of the lap before count from below zero */
	if (!!(event & EVENT_WRAP) != q->used_wrap)
		slot = (uint16_t)(slot - q->set.size);
	if (q->signalled_wrap != q->used_wrap)
		old = (uint16_t)(old - q->set.size);
	return need_event(slot, q->next_used, old);
}

const struct ring_ops packed_ring = {
	.driver_len = event_len, .device_len = event_len, .driver_align = 4, .device_align = 4,
	.pop = packed_pop, .push = packed_push, .unpop = packed_unpop, .kicks = packed_kicks,
	.want_interrupt = packed_want_interrupt,
};
