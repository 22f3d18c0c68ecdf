/* balloon.h - the memory balloon (virtio 1.2, 5.5): memory that the guest does not need returns to the host.
 *
 * Two ways: the guest reports what is free by itself (free-page reporting), and gives up memory when asked to
 * by virtio_balloon_set_target. Given-up memory comes back by itself when the guest is about to run out. */
#ifndef VIRTIO_BALLOON_H
#define VIRTIO_BALLOON_H

#include "virtio/virtio.h"

struct balloon;
struct err;
struct memmap;

/* What the guest tells of its memory (5.5.6.3), by VIRTIO_BALLOON_S_* */
enum balloon_stat {
	BALLOON_SWAP_IN, BALLOON_SWAP_OUT, BALLOON_MAJOR_FAULTS, BALLOON_MINOR_FAULTS, BALLOON_FREE, BALLOON_TOTAL,
	BALLOON_AVAILABLE, BALLOON_CACHES, BALLOON_HUGE_ALLOC, BALLOON_HUGE_FAIL, BALLOON_STATS
};

struct balloon_stats {
	uint64_t value[BALLOON_STATS]; /* bytes, or counts */
	uint32_t known;                /* bit n: value[n] was given */
	unsigned updates;              /* how often the guest has given any; 0: never */
};

int virtio_balloon_create(struct memmap *, struct virtio_model *out, struct balloon **handle, struct err *e);

/* The functions below: any thread. */

/* Asks the guest to give up @bytes of its memory (rounded down to pages) */
void virtio_balloon_set_target(struct balloon *, uint64_t bytes);
uint64_t virtio_balloon_actual(struct balloon *); /* bytes that it has given up */

/* The statistics as last given. @ask: have the guest give new ones, which arrive later. */
void virtio_balloon_stats(struct balloon *, bool ask, struct balloon_stats *out);
/* Bytes that have gone back to the host through this device so far, in either way */
uint64_t virtio_balloon_returned(struct balloon *);

#endif
