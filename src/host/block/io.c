/* io.c - worker threads, and the kernel's ring beside them.
 *
 * The ring has one thread that sleeps until the kernel reports completions. Most of what io_commit hands in
 * is done when the system call returns (the page cache has it): io_commit collects that itself, and keeps the
 * kernel from waking the thread for it meanwhile. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#include <sys/eventfd.h>
#endif

#include "base/err.h"
#include "host/block/io.h"

#define WORKERS_MAX 4
#define RING_SIZE   256u
#define BATCH       32u

struct io {
	pthread_mutex_t lock; /* guards the list, idle, quit */
	pthread_cond_t more;
	struct io_work *first, **last;
	pthread_t workers[WORKERS_MAX];
	unsigned nworkers, idle, nwaiting; /* nwaiting: work in the list */
	bool quit;

	bool has_ring;
#ifdef HAVE_LIBURING
	pthread_mutex_t ring_lock; /* guards the ring and the two counters; not held in callbacks */
	struct io_uring ring;
	unsigned inflight, queued;
	int event; /* eventfd: completions */
	_Atomic bool ring_quit;
	pthread_t reaper;
#endif
};

/* --- workers --- */

static void *worker(void *arg)
{
	struct io *io = arg;

	pthread_mutex_lock(&io->lock);
	for (;;) {
		struct io_work *w = io->first;

		if (w) {
			io->first = w->next;
			io->nwaiting--;
			if (!io->first)
				io->last = &io->first;
			pthread_mutex_unlock(&io->lock);
			w->fn(w);
			pthread_mutex_lock(&io->lock);
			continue;
		}
		if (io->quit)
			break;
		io->idle++;
		pthread_cond_wait(&io->more, &io->lock);
		io->idle--;
	}
	pthread_mutex_unlock(&io->lock);
	return NULL;
}

/* Signals are for the threads that expect them */
static int start_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(t, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

void io_run(struct io *io, struct io_work *w)
{
	bool here;

	w->next = NULL;
	pthread_mutex_lock(&io->lock);
	if (io->nwaiting >= io->idle && io->nworkers < WORKERS_MAX &&
	    !start_thread(&io->workers[io->nworkers], worker, io))
		io->nworkers++;
	here = !io->nworkers;
	if (!here) {
		*io->last = w;
		io->last = &w->next;
		io->nwaiting++;
		if (io->idle)
			pthread_cond_signal(&io->more);
	}
	pthread_mutex_unlock(&io->lock);
	if (here)
		w->fn(w);
}

/* --- the ring --- */

#ifdef HAVE_LIBURING
/* Calls back for all that is done */
static void reap(struct io *io)
{
	struct io_uring_cqe *cqe[BATCH];
	struct io_rw *op[BATCH];
	int res[BATCH];
	unsigned n;

	do {
		pthread_mutex_lock(&io->ring_lock);
		n = io_uring_peek_batch_cqe(&io->ring, cqe, BATCH);
		for (unsigned i = 0; i < n; i++) {
			op[i] = io_uring_cqe_get_data(cqe[i]);
			res[i] = cqe[i]->res;
		}
		io_uring_cq_advance(&io->ring, n);
		io->inflight -= n;
		pthread_mutex_unlock(&io->ring_lock);
		for (unsigned i = 0; i < n; i++)
			op[i]->done(op[i], res[i]);
	} while (n == BATCH);
}

static void *reaper(void *arg)
{
	struct io *io = arg;
	uint64_t count;

	while (!atomic_load(&io->ring_quit)) {
		if (read(io->event, &count, sizeof(count)) == sizeof(count))
			reap(io);
	}
	return NULL;
}

static int ring_create(struct io *io)
{
	int r = io_uring_queue_init(RING_SIZE, &io->ring, 0);

	if (r < 0)
		return r;
	pthread_mutex_init(&io->ring_lock, NULL);
	io->event = eventfd(0, EFD_CLOEXEC);
	if (io->event < 0) {
		r = -errno;
		goto fail;
	}
	r = io_uring_register_eventfd(&io->ring, io->event);
	if (!r)
		r = start_thread(&io->reaper, reaper, io);
	if (!r) {
		io->has_ring = true;
		return 0;
	}
	close(io->event);
fail:
	pthread_mutex_destroy(&io->ring_lock);
	io_uring_queue_exit(&io->ring);
	return r;
}

static void ring_destroy(struct io *io)
{
	const uint64_t one = 1;

	atomic_store(&io->ring_quit, true);
	while (write(io->event, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(io->reaper, NULL);
	io_uring_queue_exit(&io->ring);
	close(io->event);
	pthread_mutex_destroy(&io->ring_lock);
}

static void prepare(struct io_uring_sqe *sqe, struct io_rw *op)
{
	switch (op->op) {
	case IO_READV: io_uring_prep_readv(sqe, op->fd, op->iov, op->niov, op->off); break;
	case IO_WRITEV: io_uring_prep_writev(sqe, op->fd, op->iov, op->niov, op->off); break;
	case IO_FDATASYNC: io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC); break;
	}
	io_uring_sqe_set_data(sqe, op);
}

int io_rw_queue(struct io *io, struct io_rw *op)
{
	struct io_uring_sqe *sqe = NULL;

	if (!io->has_ring)
		return -EAGAIN;
	pthread_mutex_lock(&io->ring_lock);
	/* never more than the completion ring holds, so it cannot overflow */
	if (io->inflight < RING_SIZE)
		sqe = io_uring_get_sqe(&io->ring);
	if (sqe) {
		prepare(sqe, op);
		io->inflight++;
		io->queued++;
	}
	pthread_mutex_unlock(&io->ring_lock);
	return sqe ? 0 : -EAGAIN;
}

void io_commit(struct io *io)
{
	int r;

	if (!io->has_ring)
		return;
	pthread_mutex_lock(&io->ring_lock);
	if (!io->queued) {
		pthread_mutex_unlock(&io->ring_lock);
		return;
	}
	io_uring_cq_eventfd_toggle(&io->ring, false);
	do {
		r = io_uring_submit(&io->ring);
		if (r > 0)
			io->queued -= (unsigned)r;
		else
			sched_yield(); /* the kernel is short of memory for a moment */
	} while (io->queued && (r > 0 || r == -EINTR || r == -EAGAIN || r == -EBUSY));
	io_uring_cq_eventfd_toggle(&io->ring, true);
	/* pairs with the kernel's barrier between posting a completion and looking at the flag */
	atomic_thread_fence(memory_order_seq_cst);
	pthread_mutex_unlock(&io->ring_lock);
	reap(io);
}
#else
static int ring_create(struct io *io) { return -ENOSYS; }
static void ring_destroy(struct io *io) {}
int io_rw_queue(struct io *io, struct io_rw *op) { return -EAGAIN; }
void io_commit(struct io *io) {}
#endif

bool io_has_ring(const struct io *io) { return io->has_ring; }

int io_create(enum io_kind kind, struct io **out, struct err *e)
{
	struct io *io = calloc(1, sizeof(*io));
	int r;

	if (!io)
		return err_set(e, -ENOMEM, "out of memory");
	pthread_mutex_init(&io->lock, NULL);
	pthread_cond_init(&io->more, NULL);
	io->last = &io->first;
	r = kind == IO_THREADS ? 0 : ring_create(io);
	if (r < 0 && kind == IO_URING) {
		pthread_cond_destroy(&io->more);
		pthread_mutex_destroy(&io->lock);
		free(io);
		return err_set(e, r, "the kernel gives us no io_uring");
	}
	*out = io;
	return 0;
}

void io_destroy(struct io *io)
{
	if (!io)
		return;
	pthread_mutex_lock(&io->lock);
	io->quit = true;
	pthread_cond_broadcast(&io->more);
	pthread_mutex_unlock(&io->lock);
	for (unsigned i = 0; i < io->nworkers; i++)
		pthread_join(io->workers[i], NULL);
	if (io->has_ring)
		ring_destroy(io);
	pthread_cond_destroy(&io->more);
	pthread_mutex_destroy(&io->lock);
	free(io);
}
