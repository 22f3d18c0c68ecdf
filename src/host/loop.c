/* loop.c - the I/O thread's loop on poll(2): timers, posted calls, file descriptors.
 *
 * Timers are a list in order of expiry (there are few: one per vcpu and a handful of
 * devices'). A pipe wakes the sleeping loop; it is written only when the loop sleeps and
 * means to wake too late, as a system call costs more than all the rest. */
#include "host/loop.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define ROUND 256 /* timers run before posted calls and descriptors have their turn */

struct watch {
	int fd;
	unsigned id; /* tells a watch from an earlier one of the same descriptor */
	void (*fn)(void *ctx, int fd);
	void *ctx;
};

struct post {
	struct post *next;
	void (*fn)(void *ctx);
	void *ctx;
};

struct loop {
	pthread_mutex_t lock;  /* guards all but `stop` */
	pthread_cond_t done;   /* a callback has returned; signalled if waiters */
	unsigned waiters;
	pthread_t thread;
	bool in_run;
	_Atomic bool stop;
	int pipe[2];

	bool sleeping;         /* in poll, until wake_ns or a write to the pipe */
	bool woken;            /* the pipe has been written since */
	uint64_t wake_ns;

	struct loop_timer *timers;
	struct loop_timer *running_timer;
	struct post *posts, **posts_end;

	struct watch *watches;
	struct pollfd *fds;    /* of the loop thread; [0] is the pipe */
	unsigned *ids;         /* watches[].id of fds[i + 1] */
	unsigned nwatches, cap, fds_cap, next_id, running_watch; /* running_watch: an id; 0 none */
};

static void wake(struct loop *l)
{
	if (l->sleeping && !l->woken) {
		l->woken = true;
		while (write(l->pipe[1], "", 1) < 0 && errno == EINTR)
			;
	}
}

static int pipe_make(int p[2])
{
	if (pipe(p) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		fcntl(p[i], F_SETFD, FD_CLOEXEC);
		fcntl(p[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

int loop_create(struct loop **out, struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return err_set(e, -ENOMEM, "out of memory for the I/O loop");
	rc = pipe_make(l->pipe);
	if (rc < 0) {
		free(l);
		return err_set(e, rc, "cannot make a pipe for the I/O loop: %s", strerror(-rc));
	}
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->done, NULL);
	l->posts_end = &l->posts;
	*out = l;
	return 0;
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	while (l->posts) {
		struct post *p = l->posts;

		l->posts = p->next;
		free(p);
	}
	close(l->pipe[0]);
	close(l->pipe[1]);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->done);
	free(l->watches);
	free(l->fds);
	free(l->ids);
	free(l);
}

void loop_stop(struct loop *l)
{
	int saved = errno;

	atomic_store(&l->stop, true);
	while (write(l->pipe[1], "", 1) < 0 && errno == EINTR)
		;
	errno = saved;
}

void loop_timer_init(struct loop_timer *t, struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	t->loop = l;
	t->fn = fn;
	t->ctx = ctx;
	t->when_ns = UINT64_MAX;
	t->next = NULL;
}

static void timer_unlink(struct loop *l, struct loop_timer *t)
{
	struct loop_timer **p = &l->timers;

	if (t->when_ns == UINT64_MAX)
		return;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->when_ns = UINT64_MAX;
}

void loop_timer_set(struct loop_timer *t, uint64_t when_ns)
{
	struct loop *l = t->loop;
	struct loop_timer **p;

	pthread_mutex_lock(&l->lock);
	timer_unlink(l, t);
	if (when_ns != UINT64_MAX) {
		for (p = &l->timers; *p && (*p)->when_ns <= when_ns; p = &(*p)->next)
			;
		t->when_ns = when_ns;
		t->next = *p;
		*p = t;
		if (when_ns < l->wake_ns)
			wake(l);
	}
	pthread_mutex_unlock(&l->lock);
}

/* Lets a caller on another thread wait for a callback's end; the lock is held */
static void wait_done(struct loop *l)
{
	l->waiters++;
	pthread_cond_wait(&l->done, &l->lock);
	l->waiters--;
}

void loop_timer_fini(struct loop_timer *t)
{
	struct loop *l = t->loop;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	for (;;) {
		timer_unlink(l, t); /* the callback may have armed it again */
		if (l->running_timer != t)
			break;
		wait_done(l);
	}
	pthread_mutex_unlock(&l->lock);
}

int loop_watch_input(struct loop *l, int fd, void (*fn)(void *ctx, int fd), void *ctx)
{
	int rc = 0;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < l->nwatches; i++) {
		if (l->watches[i].fd == fd)
			rc = -EEXIST;
	}
	if (!rc && l->nwatches == l->cap) {
		unsigned cap = l->cap ? 2 * l->cap : 8;
		struct watch *w = realloc(l->watches, cap * sizeof(*w));

		if (w) {
			l->watches = w;
			l->cap = cap;
		} else {
			rc = -ENOMEM;
		}
	}
	if (!rc) {
		if (!++l->next_id)
			l->next_id = 1;
		l->watches[l->nwatches++] = (struct watch){ fd, l->next_id, fn, ctx };
		wake(l);
	}
	pthread_mutex_unlock(&l->lock);
	return rc;
}

void loop_unwatch(struct loop *l, int fd)
{
	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < l->nwatches; i++) {
		unsigned id = l->watches[i].id;

		if (l->watches[i].fd != fd)
			continue;
		l->watches[i] = l->watches[--l->nwatches];
		wake(l);
		while (l->running_watch == id && l->in_run && !pthread_equal(pthread_self(), l->thread))
			wait_done(l);
		break;
	}
	pthread_mutex_unlock(&l->lock);
}

int loop_post(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	struct post *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	*p = (struct post){ NULL, fn, ctx };
	pthread_mutex_lock(&l->lock);
	*l->posts_end = p;
	l->posts_end = &p->next;
	wake(l);
	pthread_mutex_unlock(&l->lock);
	return 0;
}

/* The lock is held on entry and exit of these, and let go for each callback */

static void callback_over(struct loop *l)
{
	if (l->waiters)
		pthread_cond_broadcast(&l->done);
}

static void run_timers(struct loop *l)
{
	uint64_t now;

	if (!l->timers)
		return;
	/* One look at the clock and a bounded number of timers a round: timers that arm themselves in the
	 * past again and again do not keep descriptors from their turn */
	now = clock_now_ns();
	for (unsigned n = 0; n < ROUND && l->timers && l->timers->when_ns <= now && !atomic_load(&l->stop); n++) {
		struct loop_timer *t = l->timers;

		timer_unlink(l, t);
		l->running_timer = t;
		pthread_mutex_unlock(&l->lock);
		t->fn(t->ctx);
		pthread_mutex_lock(&l->lock);
		l->running_timer = NULL;
		callback_over(l);
	}
}

static void run_posts(struct loop *l)
{
	struct post *p = l->posts;

	l->posts = NULL;
	l->posts_end = &l->posts;
	while (p) {
		struct post *next = p->next;

		pthread_mutex_unlock(&l->lock);
		p->fn(p->ctx);
		free(p);
		pthread_mutex_lock(&l->lock);
		p = next;
	}
}

static void run_watches(struct loop *l, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct watch w = { .id = 0 };

		if (!l->fds[i + 1].revents)
			continue;
		for (unsigned k = 0; k < l->nwatches; k++) {
			if (l->watches[k].id != l->ids[i])
				continue;
			w = l->watches[k];
			/* Closed behind our back: poll would return at once for ever */
			if (l->fds[i + 1].revents & POLLNVAL)
				l->watches[k] = l->watches[--l->nwatches];
			break;
		}
		if (!w.id || (l->fds[i + 1].revents & POLLNVAL))
			continue;
		l->running_watch = w.id;
		pthread_mutex_unlock(&l->lock);
		w.fn(w.ctx, w.fd);
		pthread_mutex_lock(&l->lock);
		l->running_watch = 0;
		callback_over(l);
	}
}

/* Fills fds and ids from the watches; as many as there was memory for */
static unsigned collect(struct loop *l)
{
	unsigned n = l->nwatches;

	if (!l->fds || n > l->fds_cap) {
		unsigned cap = n + 8;
		struct pollfd *fds = realloc(l->fds, (cap + 1) * sizeof(*fds));
		unsigned *ids = realloc(l->ids, cap * sizeof(*ids));

		l->fds = fds ? fds : l->fds;
		l->ids = ids ? ids : l->ids;
		if (fds && ids)
			l->fds_cap = cap;
		if (!l->fds || !l->ids)
			return 0;
		n = n < l->fds_cap ? n : l->fds_cap;
	}
	for (unsigned i = 0; i < n; i++) {
		l->fds[i + 1] = (struct pollfd){ .fd = l->watches[i].fd, .events = POLLIN };
		l->ids[i] = l->watches[i].id;
	}
	return n;
}

/* Sleeps until something is to be done; how many watches were polled */
static unsigned sleep_for_events(struct loop *l)
{
	unsigned n = collect(l);
	uint64_t now, left;
	struct timespec ts = { 0, 0 };
	struct pollfd only_pipe, *fds = l->fds ? l->fds : &only_pipe;

	fds[0] = (struct pollfd){ .fd = l->pipe[0], .events = POLLIN };
	if (l->timers) {
		now = clock_now_ns();
		l->wake_ns = l->timers->when_ns;
		left = l->wake_ns > now ? l->wake_ns - now : 0;
		ts.tv_sec = (time_t)(left / 1000000000u);
		ts.tv_nsec = (long)(left % 1000000000u);
	} else {
		l->wake_ns = UINT64_MAX;
	}
	if (l->posts || atomic_load(&l->stop)) {
		l->wake_ns = 0;
		ts = (struct timespec){ 0, 0 };
	}
	l->sleeping = true;
	pthread_mutex_unlock(&l->lock);
	if (ppoll(fds, n + 1, l->wake_ns == UINT64_MAX ? NULL : &ts, NULL) <= 0) {
		for (unsigned i = 0; i <= n; i++)
			fds[i].revents = 0;
	}
	if (fds[0].revents) {
		char buf[64];

		while (read(l->pipe[0], buf, sizeof(buf)) > 0)
			;
	}
	pthread_mutex_lock(&l->lock);
	l->sleeping = false;
	l->woken = false;
	return n;
}

void loop_run(struct loop *l)
{
#ifdef __linux__
	prctl(PR_SET_TIMERSLACK, 1000ul); /* the default of 50 us would be added to every guest timer */
#endif
	pthread_mutex_lock(&l->lock);
	l->thread = pthread_self();
	l->in_run = true;
	while (!atomic_load(&l->stop)) {
		unsigned n = sleep_for_events(l);

		run_timers(l);
		if (l->posts)
			run_posts(l);
		if (n)
			run_watches(l, n);
	}
	l->in_run = false;
	atomic_store(&l->stop, false);
	pthread_mutex_unlock(&l->lock);
}
