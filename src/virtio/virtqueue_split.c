/* virtqueue_split.c - split rings (virtio 1.2, 2.7). */
#include <errno.h>

#include "core/memmap.h"
#include "virtio/virtqueue_priv.h"

/* Offsets in the driver's (avail) and the device's (used) area (2.7.6, 2.7.8) */
#define RING_FLAGS 0u
#define RING_IDX   2u
#define RING_RING  4u
#define FLAG_NO_INTERRUPT 1u /* avail: the driver wants none */
#define FLAG_NO_NOTIFY    1u /* used: the device wants none */

/* Both with the event index at the end, whether it is negotiated or not: guests allocate it always, and a
 * ring at RAM's very end is not worth a special case */
static uint64_t avail_len(unsigned size) { return RING_RING + 2u * size + 2; }
static uint64_t used_len(unsigned size) { return RING_RING + 8u * size + 2; }

static uint8_t *used_event(const struct virtq *q) { return q->driver + RING_RING + 2u * q->set.size; }
static uint8_t *avail_event(const struct virtq *q) { return q->device + RING_RING + 8u * q->set.size; }

static int split_pop(struct virtq *q, struct vq_chain *c)
{
	unsigned size = q->set.size, i;
	uint16_t waiting = (uint16_t)(ring_load16(q->driver + RING_IDX) - q->next_avail);

	if (!waiting)
		return 0;
	/* more buffers than descriptors: the index has jumped, or buffers in flight were given again */
	if (waiting > size || q->inflight >= size)
		return -EPROTO;
	i = c->id = ring_load16(q->driver + RING_RING + 2u * (q->next_avail % size));
	for (unsigned n = 0;; n++) {
		struct vq_desc d;
		int r;

		if (i >= size || n >= size)
			return -EPROTO;
		d = desc_read(q->desc + (size_t)i * DESC_LEN, false);
		r = d.flags & DESC_INDIRECT ? chain_add_table(q, c, &d) : chain_add(q, c, &d);
		if (r < 0)
			return r;
		if (!(d.flags & DESC_NEXT))
			break;
		i = d.word;
	}
	q->next_avail++;
	q->inflight++;
	return 1;
}

static void split_push(struct virtq *q, const struct vq_chain *c, uint32_t written)
{
	uint8_t *e = q->device + RING_RING + 8u * (q->next_used % q->set.size);

	le32_store(e, c->id);
	le32_store(e + 4, written);
	ring_store16(q->device + RING_IDX, ++q->next_used);
	mem_written(q->mem, e, 8);
	mem_written(q->mem, q->device + RING_IDX, 2);
}

static void split_unpop(struct virtq *q, const struct vq_chain *c) { q->next_avail--; }

static void split_kicks(struct virtq *q, bool on)
{
	uint8_t *p = q->set.event_idx ? avail_event(q) : q->device + RING_FLAGS;

	if (!q->set.event_idx)
		ring_store16(p, on ? 0 : FLAG_NO_NOTIFY);
	else if (on)
		ring_store16(p, q->next_avail);
	else
		return; /* an index that stays behind asks for nothing */
	mem_written(q->mem, p, 2);
}

static bool split_want_interrupt(struct virtq *q)
{
	if (!q->set.event_idx)
		return !(ring_load16(q->driver + RING_FLAGS) & FLAG_NO_INTERRUPT);
	return !q->signalled_valid || need_event(ring_load16(used_event(q)), q->next_used, q->signalled);
}

const struct ring_ops split_ring = {
	.driver_len = avail_len, .device_len = used_len, .driver_align = 2, .device_align = 4,
	.pop = split_pop, .push = split_push, .unpop = split_unpop, .kicks = split_kicks,
	.want_interrupt = split_want_interrupt,
};
