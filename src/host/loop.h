/* loop.h - the I/O thread: file descriptors, timers and posted calls.
 *
 * One loop, one thread (loop_run). Callbacks run on that thread without any lock
 * held, one at a time. Everything else may be called from any thread. */
#ifndef HOST_LOOP_H
#define HOST_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct err;

int loop_create(struct loop **out, struct err *e);
void loop_destroy(struct loop *); /* accepts NULL; loop_run has returned */

/* Runs callbacks until loop_stop. Call it on the thread that is to be the I/O thread. */
void loop_run(struct loop *);
void loop_stop(struct loop *); /* async-signal-safe */

/* A timer. Storage is the owner's; zero it, then loop_timer_init. */
struct loop_timer {
	struct loop *loop;
	void (*fn)(void *ctx);
	void *ctx;
	uint64_t when_ns;   /* guarded by the loop's lock; UINT64_MAX: not armed */
	struct loop_timer *next;
};

void loop_timer_init(struct loop_timer *, struct loop *, void (*fn)(void *ctx), void *ctx);
/* Arms (or re-arms) the timer for the absolute CLOCK_MONOTONIC time @when_ns, a time
 * in the past fires at once; UINT64_MAX disarms. A system call is made only when the
 * sleeping loop has to wake earlier than it meant to. fn may run once more after a
 * disarm that races with expiry: owners check their own state under their own lock. */
void loop_timer_set(struct loop_timer *, uint64_t when_ns);
/* Disarms and waits until a running callback has returned (not from the callback itself). */
void loop_timer_fini(struct loop_timer *);

/* Watches @fd for input. fn gets ctx. Returns 0 or -errno (-EEXIST, -ENOMEM). */
int loop_watch_input(struct loop *, int fd, void (*fn)(void *ctx, int fd), void *ctx);
void loop_unwatch(struct loop *, int fd);

/* Has fn(ctx) called once on the loop's thread. Returns 0 or -ENOMEM. */
int loop_post(struct loop *, void (*fn)(void *ctx), void *ctx);

#endif
