/* term.c - console output in batches, console input with its escape key. */
#include "host/term.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "host/loop.h"
#include "host/tty.h"

#define OUT_CAP 1024
#define OUT_BATCH 256
#define OUT_DELAY_NS 3000000ull
#define OUT_RETRY_NS 20000000ull /* where the reader is slow */
#define IN_CAP 4096
#define ESCAPE 0x01 /* Ctrl-A */

struct term {
	struct term_config cfg;
	struct loop *loop;
	bool tty; /* in_fd is a terminal: its keys must always be read, so that the escape works */

	/* Output */
	pthread_mutex_t lock;       /* guards out, armed, dead; held while writing */
	uint8_t out[OUT_CAP];
	_Atomic size_t out_len;     /* read without the lock to see that nothing is there */
	bool armed;                 /* the timer will come */
	bool dead;                  /* the reader has gone */
	struct loop_timer timer;
	atomic_bool hurry;
	int hurry_pipe[2];          /* readable once hurry is set */

	/* Input: the loop's thread only */
	uint8_t in[IN_CAP];         /* what the guest has not taken yet */
	size_t in_len;
	bool escaped, watching, eof;
};

static struct term *the_term; /* what log lines flush; set while one exists */

static void flush_for_log(void)
{
	term_flush(the_term);
}

/* --- output --- */

/* Can bytes be written now? With @wait it is waited for until somebody is in a hurry. */
static bool writable(struct term *t, bool wait)
{
	for (;;) {
		bool now = !wait || atomic_load(&t->hurry);
		struct pollfd p[2] = { { .fd = t->cfg.out_fd, .events = POLLOUT },
				       { .fd = t->hurry_pipe[0], .events = POLLIN } };
		int r = poll(p, now ? 1 : 2, now ? 0 : -1);

		if (r > 0 && p[0].revents)
			return true; /* an error shows in write's errno */
		if (r == 0 || (r < 0 && errno != EINTR))
			return false;
	}
}

/* Writes what is collected; without @wait what cannot be written now stays. Lock held. */
static void write_out(struct term *t, bool wait)
{
	size_t len = t->out_len, done = 0;

	while (done < len && !t->dead && writable(t, wait)) {
		ssize_t n = write(t->cfg.out_fd, t->out + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno != EINTR && errno != EAGAIN)
			t->dead = true;
	}
	if (wait || t->dead)
		done = len; /* waited in vain: lost */
	memmove(t->out, t->out + done, len - done);
	t->out_len = len - done;
}

/* Appends what fits: how much that was. Lock held. */
static size_t append(struct term *t, const uint8_t *buf, size_t n)
{
	size_t len = t->out_len;

	if (n > OUT_CAP - len)
		n = OUT_CAP - len;
	memcpy(t->out + len, buf, n);
	t->out_len = len + n;
	return n;
}

void term_write(struct term *t, const uint8_t *buf, size_t n)
{
	bool arm = false;

	pthread_mutex_lock(&t->lock);
	while (n) {
		size_t part = append(t, buf, n);

		if (t->out_len >= OUT_BATCH || memchr(buf, '\n', part))
			write_out(t, true);
		buf += part;
		n -= part;
	}
	if (t->out_len && !t->armed)
		arm = t->armed = true;
	pthread_mutex_unlock(&t->lock);
	if (arm)
		loop_timer_set(&t->timer, clock_now_ns() + OUT_DELAY_NS);
}

size_t term_write_some(struct term *t, const uint8_t *buf, size_t n)
{
	size_t done = 0;
	bool arm = false;

	if (pthread_mutex_trylock(&t->lock))
		return 0; /* somebody waits for a slow reader */
	for (;;) {
		size_t part = append(t, buf + done, n - done);

		done += part;
		if (t->out_len >= OUT_BATCH || memchr(buf, '\n', n))
			write_out(t, false);
		if (!part || done == n)
			break;
	}
	if (t->out_len && !t->armed)
		arm = t->armed = true;
	pthread_mutex_unlock(&t->lock);
	if (arm)
		loop_timer_set(&t->timer, clock_now_ns() + OUT_DELAY_NS);
	return done;
}

void term_flush(struct term *t)
{
	if (!atomic_load_explicit(&t->out_len, memory_order_relaxed))
		return;
	pthread_mutex_lock(&t->lock);
	write_out(t, true);
	pthread_mutex_unlock(&t->lock);
}

/* Runs on the loop's thread, which never waits for a slow reader: its user may be pressing Ctrl-A x */
static void on_timer(void *ctx)
{
	struct term *t = ctx;
	bool again = true;

	if (!pthread_mutex_trylock(&t->lock)) {
		write_out(t, false);
		again = t->armed = t->out_len != 0;
		pthread_mutex_unlock(&t->lock);
	}
	if (again)
		loop_timer_set(&t->timer, clock_now_ns() + OUT_RETRY_NS);
}

void term_hurry(struct term *t)
{
	if (!atomic_exchange(&t->hurry, true) && write(t->hurry_pipe[1], "", 1) < 0)
		return; /* full: readable as it is */
}

/* --- input --- */

/* Our own words to the user, on the loop's thread: lost where the terminal is stuck */
static void say(struct term *t, const char *text)
{
	if (pthread_mutex_trylock(&t->lock))
		return;
	write_out(t, false);
	append(t, (const uint8_t *)text, strlen(text));
	write_out(t, false);
	pthread_mutex_unlock(&t->lock);
}

static void command(struct term *t, uint8_t key)
{
	switch (key) {
	case 'x':
		t->cfg.quit(t->cfg.ctx);
		break;
	case 'b':
		t->cfg.send_break(t->cfg.ctx);
		break;
	case 'c':
		say(t, "\r\nvibevmm: this version has no monitor\r\n");
		break;
	default:
		say(t, "\r\nCtrl-A x       leave: the guest stops at once\r\n"
		       "Ctrl-A b       send a break (magic SysRq)\r\n"
		       "Ctrl-A c       monitor (not in this version)\r\n"
		       "Ctrl-A h       this help\r\n"
		       "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n");
	}
}

static void offer(struct term *t)
{
	size_t took = t->in_len ? t->cfg.input(t->cfg.ctx, t->in, t->in_len) : 0;

	memmove(t->in, t->in + took, t->in_len - took);
	t->in_len -= took;
}

static void take_bytes(struct term *t, const uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (t->escaped && buf[i] != ESCAPE) {
			t->escaped = false;
			command(t, buf[i]);
		} else if (!t->escaped && buf[i] == ESCAPE) {
			t->escaped = true;
		} else {
			t->escaped = false;
			if (t->in_len < IN_CAP) /* a terminal's user may type into a guest that never reads */
				t->in[t->in_len++] = buf[i];
		}
	}
}

static void on_input(void *ctx, int fd);

/* Reads from a pipe only while there is place for the bytes, from a terminal always */
static void update_watch(struct term *t)
{
	bool want = !t->eof && (t->tty || t->in_len < IN_CAP);

	if (want == t->watching)
		return;
	if (!want)
		loop_unwatch(t->loop, t->cfg.in_fd);
	else if (loop_watch_input(t->loop, t->cfg.in_fd, on_input, t) < 0)
		return;
	t->watching = want;
}

static void on_input(void *ctx, int fd)
{
	struct term *t = ctx;
	uint8_t buf[512];
	size_t room = IN_CAP - t->in_len;
	ssize_t n = read(fd, buf, t->tty || room > sizeof(buf) ? sizeof(buf) : room);

	if (n > 0)
		take_bytes(t, buf, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		t->eof = true; /* a closed input is never readable again: not watched, it costs nothing */
	offer(t);
	update_watch(t);
}

static void on_room(void *ctx)
{
	struct term *t = ctx;

	offer(t);
	update_watch(t);
}

void term_room(struct term *t)
{
	loop_post(t->loop, on_room, t);
}

/* --- life --- */

int term_create(struct loop *loop, const struct term_config *cfg, struct term **out, struct err *e)
{
	struct term *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, -ENOMEM, "no memory for the console");
	t->cfg = *cfg;
	t->loop = loop;
	if (pipe2(t->hurry_pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		int r = err_set(e, -errno, "cannot make a pipe for the console: %s", strerror(errno));

		free(t);
		return r;
	}
	pthread_mutex_init(&t->lock, NULL);
	loop_timer_init(&t->timer, loop, on_timer, t);
	t->tty = tty_raw(cfg->in_fd) == 0;
	log_set_raw(t->tty && isatty(STDERR_FILENO));
	the_term = t;
	log_set_before(flush_for_log);
	*out = t;
	return 0;
}

void term_start(struct term *t)
{
	/* a closed standard input is no error: there is just nothing to read */
	t->eof = fcntl(t->cfg.in_fd, F_GETFL) < 0;
	update_watch(t);
}

void term_destroy(struct term *t)
{
	if (!t)
		return;
	if (t->watching)
		loop_unwatch(t->loop, t->cfg.in_fd);
	loop_timer_fini(&t->timer);
	term_flush(t);
	log_set_before(NULL);
	the_term = NULL;
	tty_restore();
	log_set_raw(false);
	close(t->hurry_pipe[0]);
	close(t->hurry_pipe[1]);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
