/* block.h - disk images: what a disk device sees of raw files, host block devices and qcow2 images.
 *
 *      virtio-blk ── block_submit, block_commit ──► block.c
 *                                                     │ where the place on the host is known at once
 *                                                     ├──────────────────────────────► io_uring (io.c)
 *                                                     │ otherwise
 *                                                     └─► a worker thread (io.c) ─► overlay.c ─► qcow2 ─► raw.c
 *
 * Requests are in bytes; offsets and lengths need no alignment. Nothing here blocks the caller but
 * block_open, block_drain and block_close. */
#ifndef HOST_BLOCK_BLOCK_H
#define HOST_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "host/block/io.h"
#include "host/block/range.h"

struct block;
struct err;

enum block_format { BLOCK_PROBE, BLOCK_RAW, BLOCK_QCOW2 };

/* What becomes of what the guest writes: WRITEBACK stays in the host's page cache until a flush, NONE
 * passes it by (O_DIRECT), UNSAFE ignores flushes as well. */
enum block_cache { BLOCK_CACHE_WRITEBACK, BLOCK_CACHE_NONE, BLOCK_CACHE_UNSAFE };

struct block_options {
	const char *path;
	enum block_format format; /* PROBE looks at the file's first bytes */
	enum block_cache cache;
	bool readonly;
	bool ephemeral; /* writes go to a nameless file and are forgotten at the end */
	enum io_kind io;
};

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_ZERO };

#define BLOCK_EXTENTS_MAX 8 /* pieces of the host's files that one request may go to without a worker */

/* One request. The caller owns it and leaves it alone from submit until done is called. */
struct block_req {
	enum block_op op;
	uint64_t off, len;       /* bytes; the sum of the iovecs where there are some */
	const struct iovec *iov; /* READ, WRITE */
	unsigned niov;
	bool unmap; /* ZERO: the space may be given back to the host */
	bool fua;   /* WRITE, ZERO: on stable storage before it is done */

	/* On any thread, with no lock held, perhaps before submit or commit has returned. @result: 0 or -errno;
	 * -EINVAL: not within the disk; -EROFS. The request may be freed or submitted again here. */
	void (*done)(struct block_req *, int result);
	void *ctx;

	/* --- block.c's own --- */
	struct block *block;
	struct io_work work;
	struct io_rw rw[BLOCK_EXTENTS_MAX];
	struct iovec *split;      /* the iovecs cut at extents, or NULL */
	struct range hold[2];     /* of the images that gave the extents: 0 file, 1 format */
	_Atomic unsigned pending; /* extents under way */
	_Atomic int failed;       /* an extent failed or came up short: a worker does it all again */
};

/* 0, or -errno with a sentence. The image is locked against other writers, other monitors' included. */
int block_open(const struct block_options *, struct block **out, struct err *e);

/* Waits for what is under way, brings the image into order and frees it. Accepts NULL. */
void block_close(struct block *);

void block_submit(struct block *, struct block_req *);

/* Requests submitted since the last commit may wait for it, so that many go to the kernel at once. */
void block_commit(struct block *);

/* Waits until every request submitted is done */
void block_drain(struct block *);

uint64_t block_size(const struct block *); /* bytes, a multiple of 512 */
bool block_readonly(const struct block *);
uint32_t block_granularity(const struct block *);    /* bytes: what the image allocates and frees at once */
const char *block_format_name(const struct block *); /* "raw", "qcow2" */
const char *block_io_name(const struct block *);     /* "io_uring" or "threads" */

#endif
