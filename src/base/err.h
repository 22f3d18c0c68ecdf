/* err.h - one error with a sentence for the user.
 *
 * Functions return 0 or -errno. Those on start-up paths also take a `struct err *`
 * as their last argument; the lowest level that knows the thing, the reason and the
 * remedy fills it once, and main prints it once. NULL is accepted everywhere. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
	char msg[512]; /* no newline, no level tag; empty when nothing went wrong */
};

/* Fills @e (unless NULL or already filled: the first, lowest reason wins) and
 * returns @code, so that `return err_set(e, -EINVAL, "...")` reads well. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
