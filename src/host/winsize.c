/* winsize.c - the size of the user's terminal window; SIGWINCH reaches the loop through a pipe. */
#include "host/winsize.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"
#include "host/loop.h"

/* Global, because the signal handler has to find it */
static int ends[2] = { -1, -1 };
static struct loop *watch_loop;
static void (*watch_fn)(void *ctx);
static void *watch_ctx;

bool winsize_get(int fd, uint16_t *cols, uint16_t *rows)
{
	struct winsize w;

	if (ioctl(fd, TIOCGWINSZ, &w) < 0 || !w.ws_col || !w.ws_row)
		return false;
	*cols = w.ws_col;
	*rows = w.ws_row;
	return true;
}

static void on_signal(int sig)
{
	int keep = errno;

	if (write(ends[1], "", 1) < 0)
		errno = keep; /* full: the loop will look anyway */
	errno = keep;
}

static void on_pipe(void *ctx, int fd)
{
	char buf[64];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	watch_fn(watch_ctx);
}

int winsize_watch(struct loop *loop, void (*fn)(void *ctx), void *ctx, struct err *e)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	int r;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, -errno, "cannot make a pipe for the console: %s", strerror(errno));
	watch_loop = loop;
	watch_fn = fn;
	watch_ctx = ctx;
	r = loop_watch_input(loop, ends[0], on_pipe, NULL);
	if (r < 0) {
		close(ends[0]);
		close(ends[1]);
		watch_loop = NULL;
		return err_set(e, r, "cannot watch the size of the console's window: %s", strerror(-r));
	}
	sigemptyset(&sa.sa_mask);
	sigaction(SIGWINCH, &sa, NULL);
	return 0;
}

void winsize_unwatch(void)
{
	if (!watch_loop)
		return;
	signal(SIGWINCH, SIG_DFL);
	loop_unwatch(watch_loop, ends[0]);
	close(ends[0]);
	close(ends[1]);
	watch_loop = NULL;
}
