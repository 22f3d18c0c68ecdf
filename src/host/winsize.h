/* winsize.h - the size of the user's terminal window, and word of its changes. */
#ifndef HOST_WINSIZE_H
#define HOST_WINSIZE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct loop;

/* Columns and rows of the terminal @fd; false where it is none, or does not know. */
bool winsize_get(int fd, uint16_t *cols, uint16_t *rows);

/* Calls fn(ctx) on the loop's thread after each SIGWINCH. One watcher per process, as there is one terminal.
 * 0 or -errno with a sentence. */
int winsize_watch(struct loop *, void (*fn)(void *ctx), void *ctx, struct err *e);
void winsize_unwatch(void);

#endif
