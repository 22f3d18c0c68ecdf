/* vq_driver.h - the driver's side of a queue, split or packed, in a few pages of guest memory. */
#ifndef TESTS_VQ_DRIVER_H
#define TESTS_VQ_DRIVER_H

#include "base/bytes.h"
#include "core/memmap.h"
#include "virtio/virtqueue.h"

#include <stdatomic.h>

enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, F_AVAIL = 0x80, F_USED = 0x8000 };

/* A buffer's piece */
struct seg {
	uint64_t addr;
	uint32_t len;
	bool write;
};

struct driver {
	struct memmap *mem;
	struct vq_setup set;
	uint16_t avail, used;         /* split: free-running; packed: slots */
	bool avail_wrap, used_wrap;
	uint16_t next_id;             /* descriptors are taken in a circle: tests do not have many in flight */
	uint16_t ndescs[VQ_SIZE_MAX]; /* packed: by id */
};

static inline uint8_t *guest(struct driver *d, uint64_t gpa) { return mem_ptr(d->mem, gpa, 1); }

/* Lays the three areas out from @base on, a page each */
static inline void driver_init(struct driver *d, struct memmap *mem, uint64_t base, uint16_t size, bool packed)
{
	*d = (struct driver){
		.mem = mem, .avail_wrap = true, .used_wrap = true,
		.set = { .desc = base, .driver = base + 0x1000, .device = base + 0x2000, .size = size, .packed = packed },
	};
	memset(guest(d, base), 0, 0x3000);
}

static inline void desc_put(struct driver *d, uint64_t at, uint64_t addr, uint32_t len, unsigned flags, unsigned word)
{
	uint8_t *p = guest(d, at);

	le64_store(p, addr);
	le32_store(p + 8, len);
	le16_store(p + (d->set.packed ? 14 : 12), (uint16_t)flags);
	le16_store(p + (d->set.packed ? 12 : 14), (uint16_t)word);
}

static inline uint64_t desc_at(struct driver *d, unsigned i) { return d->set.desc + 16 * i; }

/* Split: makes the chain that begins at descriptor @head available */
static inline void split_offer(struct driver *d, unsigned head)
{
	le16_store(guest(d, d->set.driver + 4 + 2 * (d->avail % d->set.size)), (uint16_t)head);
	le16_store(guest(d, d->set.driver + 2), ++d->avail);
}

/* Offers a buffer of @n pieces as a chain: its id */
static inline unsigned offer(struct driver *d, const struct seg *s, unsigned n)
{
	unsigned first = d->set.packed ? d->avail : d->next_id, id = d->next_id, first_flags = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned slot = (first + i) % d->set.size, flags = (s[i].write ? F_WRITE : 0) | (i + 1 < n ? F_NEXT : 0);

		if (d->set.packed) {
			flags |= d->avail_wrap ? F_AVAIL : F_USED;
			if (!i)
				first_flags = flags;
			desc_put(d, desc_at(d, slot), s[i].addr, s[i].len, i ? flags : 0, id);
			if (!i) /* not yet available */
				le16_store(guest(d, desc_at(d, slot) + 14), d->avail_wrap ? F_USED : F_AVAIL);
			if (++d->avail == d->set.size) {
				d->avail = 0;
				d->avail_wrap = !d->avail_wrap;
			}
		} else {
			desc_put(d, desc_at(d, slot), s[i].addr, s[i].len, flags, (slot + 1) % d->set.size);
		}
	}
	d->ndescs[id] = (uint16_t)n;
	d->next_id = (uint16_t)((d->next_id + n) % d->set.size);
	if (d->set.packed)
		le16_store(guest(d, desc_at(d, first) + 14), (uint16_t)first_flags);
	else
		split_offer(d, id);
	return id;
}

/* Takes a used buffer: its id, *len bytes were written; -1: none */
static inline int take(struct driver *d, uint32_t *len)
{
	const uint8_t *p;
	unsigned flags;
	int id;

	if (!d->set.packed) {
		if (le16_load(guest(d, d->set.device + 2)) == d->used)
			return -1;
		p = guest(d, d->set.device + 4 + 8 * (d->used++ % d->set.size));
		*len = le32_load(p + 4);
		return (int)le32_load(p);
	}
	p = guest(d, desc_at(d, d->used));
	flags = le16_load(p + 14);
	if (!!(flags & F_AVAIL) != d->used_wrap || !!(flags & F_USED) != d->used_wrap)
		return -1;
	id = le16_load(p + 12);
	*len = le32_load(p + 8);
	d->used = (uint16_t)(d->used + d->ndescs[id]);
	if (d->used >= d->set.size) {
		d->used = (uint16_t)(d->used - d->set.size);
		d->used_wrap = !d->used_wrap;
	}
	return id;
}

#endif
