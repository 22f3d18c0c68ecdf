/* virtqueue_priv.h - what the two kinds of rings share: descriptors, and checked steps over them. */
#ifndef VIRTIO_VIRTQUEUE_PRIV_H
#define VIRTIO_VIRTQUEUE_PRIV_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "virtio/virtqueue.h"

/* Descriptor flags (2.7.5, 2.8) */
#define DESC_NEXT     0x0001u
#define DESC_WRITE    0x0002u
#define DESC_INDIRECT 0x0004u
#define DESC_AVAIL    0x0080u /* packed */
#define DESC_USED     0x8000u
#define DESC_LEN 16u

/* A descriptor, read once. word: next (split) or id (packed); `flags` and `word` are stored at 12 and 14
 * in split rings, at 14 and 12 in packed ones. */
struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, word;
};

/* The ring's areas are aligned (checked by vq_start), so that these are single accesses */
static inline uint16_t ring_load16(const uint8_t *p)
{
	return le16toh(atomic_load_explicit((const _Atomic uint16_t *)(const void *)p, memory_order_acquire));
}

static inline void ring_store16(uint8_t *p, uint16_t v)
{
	atomic_store_explicit((_Atomic uint16_t *)(void *)p, htole16(v), memory_order_release);
}

/* Reads 16 bytes that the guest may be changing; the fence keeps the compiler from reading them again */
static inline struct vq_desc desc_read(const uint8_t *p, bool packed)
{
	uint8_t b[DESC_LEN];
	uint16_t w12, w14;

	memcpy(b, p, DESC_LEN);
	atomic_signal_fence(memory_order_seq_cst);
	w12 = le16_load(b + 12);
	w14 = le16_load(b + 14);
	return (struct vq_desc){
		.addr = le64_load(b), .len = le32_load(b + 8),
		.flags = packed ? w14 : w12, .word = packed ? w12 : w14,
	};
}

/* Adds a descriptor's buffer, or an indirect table's, to the chain. 0 or -EPROTO. */
int chain_add(struct virtq *q, struct vq_chain *c, const struct vq_desc *d);
int chain_add_table(struct virtq *q, struct vq_chain *c, const struct vq_desc *d);

/* Is the event index @event in (old, new]? (2.7.10) */
static inline bool need_event(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

/* One kind of ring. All with the queue's lock held and the queue enabled. */
struct ring_ops {
	uint64_t (*driver_len)(unsigned size), (*device_len)(unsigned size);
	unsigned driver_align, device_align;
	int (*pop)(struct virtq *, struct vq_chain *);
	void (*push)(struct virtq *, const struct vq_chain *, uint32_t written);
	void (*unpop)(struct virtq *, const struct vq_chain *);
	void (*kicks)(struct virtq *, bool on); /* have the driver notify us, or not */
	bool (*want_interrupt)(struct virtq *);
};

extern const struct ring_ops split_ring, packed_ring;

#endif
