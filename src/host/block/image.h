/* image.h - what raw.c, qcow2 and overlay.c are to block.c and to each other. Internal to host/block.
 *
 * Images form a chain: an overlay upon a format upon a file, and a qcow2 image has a backing image. The
 * functions block; they run on worker threads, many at a time, each image has its own locks. */
#ifndef HOST_BLOCK_IMAGE_H
#define HOST_BLOCK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "host/block/block.h"

struct image;

/* A piece of a host file */
struct extent {
	int fd;       /* -1: reads as zeroes */
	uint64_t off; /* in the file */
	uint64_t len;
};

/* What map found. The holds keep the pieces where they are until image_unmap. */
struct mapping {
	unsigned n;
	struct extent e[BLOCK_EXTENTS_MAX];
};

struct image_ops {
	const char *name;
	/* [off, off+len) lies within the image, len is the sum of the iovecs. 0 or -errno; what is in the
	 * buffers or on the disk is undefined then. */
	int (*read)(struct image *, const struct iovec *, unsigned niov, uint64_t off, uint64_t len);
	int (*write)(struct image *, const struct iovec *, unsigned niov, uint64_t off, uint64_t len);
	/* Zeroes; @unmap: the space may go back to the host */
	int (*zero)(struct image *, uint64_t off, uint64_t len, bool unmap);
	int (*discard)(struct image *, uint64_t off, uint64_t len); /* advice: what stands there then is undefined */
	/* All writes that were done before are on stable storage */
	int (*flush)(struct image *);
	/* Where [off, off+len) is, if that is known at once and needs no change to be read, or written in
	 * place: true with *m and what it holds in req->hold. NULL: never known. */
	bool (*map)(struct image *, bool write, uint64_t off, uint64_t len, struct mapping *m, struct block_req *req);
	void (*unmap)(struct image *, struct block_req *req);
	int (*flush_fd)(struct image *); /* the file whose fdatasync is all that a flush does, or -1; may be NULL */
	void (*flushed)(struct image *, int result);  /* tells of that fdatasync's result */
	int (*resize)(struct image *, uint64_t size); /* files: 0 or -errno; NULL elsewhere */
	void (*close)(struct image *);                /* frees it and what it stands upon */
};

struct image {
	const struct image_ops *ops;
	uint64_t size;        /* bytes; a file's may grow (see resize) */
	uint32_t granularity; /* bytes, a power of two: what is allocated or freed at once */
	bool readonly;
};

/* Opens what stands at o->path as a file: the lowest image of a chain. @writable also for what is read only
 * to the guest is never asked for. */
int raw_open(const struct block_options *o, struct image **out, struct err *e);

/* Opens the format upon @file, and owns it where it succeeds. @depth: images above it in the chain. */
int qcow2_open(struct image *file, const struct block_options *o, unsigned depth, struct image **out, struct err *e);

/* An image that takes all writes for @base, which it owns where it succeeds */
int overlay_open(struct image *base, struct image **out, struct err *e);

/* File, format and backing images: what block_open does, without the engine. Sets *guard when the format was
 * not given and is raw, see block.c. */
#define IMAGE_DEPTH_MAX 32
int image_open(const struct block_options *o, unsigned depth, bool *guard, struct image **out, struct err *e);

static inline void image_close(struct image *img)
{
	if (img)
		img->ops->close(img);
}

/* Reads that may reach beyond the image's end: zeroes stand there */
int image_read_padded(struct image *, const struct iovec *, unsigned niov, uint64_t off, uint64_t len);
int image_read_buf(struct image *, uint64_t off, void *buf, uint64_t len);
int image_write_buf(struct image *, uint64_t off, const void *buf, uint64_t len);

/* Locks an open file: against other writers, and against any other user where @write is set. 0, -EAGAIN. */
int lock_file(int fd, bool write, const char *path, struct err *e);

/* --- iovecs --- */

/* [off, off+len) of @src as iovecs in @dst, which has room for @nsrc; how many they are */
unsigned iov_slice(const struct iovec *src, unsigned nsrc, uint64_t off, uint64_t len, struct iovec *dst);
uint64_t iov_len(const struct iovec *, unsigned n);
void iov_zero(const struct iovec *, unsigned n, uint64_t off, uint64_t len);
void iov_fill(const struct iovec *, unsigned n, uint64_t off, const void *buf, uint64_t len); /* into the iovecs */
void iov_fetch(const struct iovec *, unsigned n, uint64_t off, void *buf, uint64_t len);      /* out of them */

#endif
