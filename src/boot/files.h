/* files.h - reads whole input files, and gives large buffers to put them in.
 *
 * Every way in which a file can disappoint ends in one sentence for the user. */
#ifndef BOOT_FILES_H
#define BOOT_FILES_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* Anonymous zeroed memory, in huge pages where the host has them: faulting a kernel's 60 MB
 * page by page would cost more than copying it. */
struct buf {
	uint8_t *data; /* len bytes; NULL when empty */
	size_t len;
	void *map;
	size_t map_len;
};

/* 0 or -ENOMEM. @len 0 is -EINVAL. */
int buf_alloc(struct buf *b, size_t len);
void buf_free(struct buf *b); /* a zeroed or freed one is fine */

/* Opens a regular file for reading and tells its size (never 0). @what is the user's word for
 * it ("kernel"). The caller closes *fd. */
int file_open(const char *path, const char *what, int *fd, uint64_t *len, struct err *e);

/* Reads the first @len bytes of @fd to @dst: all of them, or an error. */
int file_read(int fd, const char *path, const char *what, void *dst, uint64_t len, struct err *e);

/* The whole file in a buffer, which the caller frees. Longer than @max is -EFBIG. */
int file_load(const char *path, const char *what, uint64_t max, struct buf *out, struct err *e);

#endif
