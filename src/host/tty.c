/* tty.c - raw mode with restoration on every way out. */
#include "host/tty.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

#include "base/bytes.h"

static struct termios saved, raw;
static volatile sig_atomic_t tty_fd = -1;   /* the terminal whose mode was saved, or -1 */
static volatile sig_atomic_t in_raw;
static void (*end_fn)(int sig);
static volatile sig_atomic_t ending;

/* tcsetattr from the background would stop us with SIGTTOU */
static void enter_raw(void)
{
	if (tty_fd >= 0 && tcgetpgrp(tty_fd) == getpgrp() && !tcsetattr(tty_fd, TCSADRAIN, &raw))
		in_raw = 1;
}

void tty_restore(void)
{
	if (in_raw && tcgetpgrp(tty_fd) == getpgrp())
		tcsetattr(tty_fd, TCSADRAIN, &saved);
	in_raw = 0;
}

int tty_raw(int fd)
{
	if (!isatty(fd))
		return -ENOTTY;
	if (tcgetattr(fd, &saved) < 0)
		return -errno;
	raw = saved;
	cfmakeraw(&raw);
	tty_fd = fd;
	enter_raw();
	return 0;
}

static void on_end(int sig)
{
	int keep = errno;

	if (ending) {
		tty_restore();
		_exit(128 + sig);
	}
	ending = 1;
	end_fn(sig);
	errno = keep;
}

/* SA_RESETHAND has put the default action back, which the signal meets again on return */
static void on_crash(int sig)
{
	tty_restore();
	raise(sig);
}

static void on_stop(int sig)
{
	int keep = errno;

	tty_restore();
	raise(SIGSTOP);
	enter_raw(); /* also where SIGCONT's handler has run before */
	errno = keep;
}

static void on_cont(int sig)
{
	int keep = errno;

	if (!ending)
		enter_raw();
	errno = keep;
}

static void handle(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

void tty_signals_install(void (*end)(int sig))
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP };
	static const int crashes[] = { SIGQUIT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP };
	static char stack[16384]; /* so that an overflow of the main thread's stack is survived */
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction old;

	end_fn = end;
	sigaltstack(&ss, NULL);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		/* nohup and background jobs of plain shells want theirs left ignored */
		if (!sigaction(ends[i], NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		handle(ends[i], on_end, SA_RESTART);
	}
	for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
		handle(crashes[i], on_crash, SA_RESETHAND | SA_NODEFER | SA_ONSTACK);
	handle(SIGTSTP, on_stop, SA_RESTART);
	handle(SIGCONT, on_cont, SA_RESTART);
	handle(SIGPIPE, SIG_IGN, 0);
}
