/* range.h - locks on ranges of bytes: shared ones overlap each other, exclusive ones overlap nothing.
 *
 * First come, first served: a range waits for every conflicting one that asked before it, so no one
 * starves, and a holder never waits for a later one. Any thread may release. */
#ifndef HOST_BLOCK_RANGE_H
#define HOST_BLOCK_RANGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* One range; storage is the holder's */
struct range {
	uint64_t start, end; /* [start, end) */
	bool exclusive;
	bool held; /* for holders that take it only sometimes: range_release ignores it when clear */
	struct range *next;
	struct range **link;
};

struct range_lock {
	pthread_mutex_t lock; /* guards all that follows and the ranges' links; a leaf */
	pthread_cond_t changed;
	unsigned waiters;
	struct range *first, **last;
};

void range_lock_init(struct range_lock *);
void range_lock_fini(struct range_lock *);

void range_take(struct range_lock *, struct range *, uint64_t start, uint64_t end, bool exclusive);
bool range_try(struct range_lock *, struct range *, uint64_t start, uint64_t end, bool exclusive);
void range_release(struct range_lock *, struct range *);

#endif
