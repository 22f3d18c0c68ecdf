/* log.c - formats log lines and writes each with one write(2). */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

enum log_level log_level = LOG_WARN;

static _Atomic bool raw_mode;                /* set by log_set_raw, on the terminal's behalf */
static void (*_Atomic before_line)(void);    /* set by log_set_before */

static const char *const tags[] = { [LOG_ERROR] = "ERROR", [LOG_WARN] = "WARN", [LOG_INFO] = "INFO", [LOG_DEBUG] = "DEBUG" };

void log_set_raw(bool raw) { raw_mode = raw; }
void log_set_before(void (*fn)(void)) { before_line = fn; }

static void write_line(enum log_level l, const char *fmt, va_list ap)
{
	char line[1024];
	const size_t room = sizeof(line) - 2; /* CR LF */
	void (*before)(void) = before_line;
	int n = snprintf(line, room, "[%s] ", tags[l]);
	size_t len = (size_t)n;

	n = vsnprintf(line + len, room - len, fmt, ap);
	if (n > 0)
		len += (size_t)n < room - len ? (size_t)n : room - len - 1;
	if (raw_mode)
		line[len++] = '\r';
	line[len++] = '\n';
	if (before)
		before();
	/* where stderr is gone there is nobody left to tell */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

void log_write(enum log_level l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(l, fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *lim, enum log_level l, const char *fmt, ...)
{
	va_list ap;
	unsigned n;

	if (!log_on(l))
		return;
	/* read first, so that a guest that goes on for ever cannot wrap the counter */
	if (atomic_load_explicit(&lim->count, memory_order_relaxed) > LOG_LIMIT)
		return;
	n = atomic_fetch_add_explicit(&lim->count, 1, memory_order_relaxed);
	if (n < LOG_LIMIT) {
		va_start(ap, fmt);
		write_line(l, fmt, ap);
		va_end(ap);
	} else if (n == LOG_LIMIT) {
		log_write(l, "more messages like the last one are left out");
	}
}
