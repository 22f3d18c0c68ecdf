/* term.h - the guest's console on the process's standard input and output.
 *
 * Output is collected and written at a newline, at 256 bytes, or a few ms later, because a
 * system call per character is what a slow console is made of. Input is read on the loop's
 * thread; Ctrl-A starts a command to the monitor itself, whether typed or piped in:
 *   Ctrl-A x leave   Ctrl-A h help   Ctrl-A b break   Ctrl-A c monitor   Ctrl-A Ctrl-A sends one */
#ifndef HOST_TERM_H
#define HOST_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct term;

/* All called on the loop's thread, without the terminal's lock */
struct term_config {
	int in_fd, out_fd;
	size_t (*input)(void *ctx, const uint8_t *buf, size_t n); /* how many bytes the guest's device took */
	void (*send_break)(void *ctx);
	void (*quit)(void *ctx);
	void *ctx;
};

/* Puts a terminal on in_fd into raw mode. One per process (log lines flush it first). */
int term_create(struct loop *, const struct term_config *, struct term **out, struct err *e);
/* Flushes, restores the terminal, frees. The loop has stopped. Accepts NULL. */
void term_destroy(struct term *);

/* Starts reading input; before it nothing is taken from in_fd. */
void term_start(struct term *);

void term_write(struct term *, const uint8_t *buf, size_t n); /* any thread; waits for a slow reader */
/* Never waits: takes what can be written now, says how much. For the loop's thread; ask again a little later. */
size_t term_write_some(struct term *, const uint8_t *buf, size_t n);
void term_flush(struct term *);                               /* any thread; cheap when empty */
/* The guest's device has room again for what it did not take. Any thread. */
void term_room(struct term *);
/* From now on nothing waits for a slow reader: what cannot be written at once is lost.
 * Async-signal-safe. */
void term_hurry(struct term *);

#endif
