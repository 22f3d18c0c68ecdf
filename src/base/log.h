/* log.h - log lines on stderr, "[INFO] text", filtered by --log 0..4.
 *
 * Thread-safe: a line is written by one write(2). In raw terminal mode lines end
 * in CR LF. Guest-triggered messages must be bounded: use log_limited for what a
 * guest can repeat. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern enum log_level log_level; /* set once at start-up */

static inline bool log_on(enum log_level l) { return l <= log_level; }

void log_write(enum log_level l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* true: log lines end in CR LF, as a terminal in raw mode needs */
void log_set_raw(bool raw);

/* fn is called before each line is written (NULL: nothing), so that output of the guest that
 * is still buffered comes out first. It must not log. */
void log_set_before(void (*fn)(void));

#define log_error(...) (log_on(LOG_ERROR) ? log_write(LOG_ERROR, __VA_ARGS__) : (void)0)
#define log_warn(...)  (log_on(LOG_WARN)  ? log_write(LOG_WARN,  __VA_ARGS__) : (void)0)
#define log_info(...)  (log_on(LOG_INFO)  ? log_write(LOG_INFO,  __VA_ARGS__) : (void)0)
#define log_debug(...) (log_on(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)

/* A budget for messages that a guest can cause again and again: the first
 * LOG_LIMIT lines pass, then one line says that the rest is suppressed. */
#define LOG_LIMIT 8
struct log_limit { _Atomic unsigned count; };
void log_limited(struct log_limit *lim, enum log_level l, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
