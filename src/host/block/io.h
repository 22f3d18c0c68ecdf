/* io.h - the engine below a disk: io_uring where the kernel lets us, worker threads for the rest.
 *
 * One engine per disk. io_work runs a function on a worker; io_rw is a read, write or sync of a file
 * that the kernel's ring carries out by itself. */
#ifndef HOST_BLOCK_IO_H
#define HOST_BLOCK_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct err;
struct io;

enum io_kind { IO_AUTO, IO_THREADS, IO_URING }; /* AUTO: io_uring if it works, else threads */

struct io_work {
	struct io_work *next;
	void (*fn)(struct io_work *); /* on a worker; it may free the work */
};

enum io_rw_op { IO_READV, IO_WRITEV, IO_FDATASYNC };

/* Storage is the caller's until done was called */
struct io_rw {
	enum io_rw_op op;
	int fd;
	const struct iovec *iov;
	unsigned niov;
	uint64_t off;
	void (*done)(struct io_rw *, int result); /* bytes or -errno; any thread, no lock held */
	void *ctx;
};

int io_create(enum io_kind, struct io **out, struct err *e); /* fails for IO_URING without a ring, or -ENOMEM */
void io_destroy(struct io *);                                /* nothing is under way any more; accepts NULL */

bool io_has_ring(const struct io *);

/* Never fails: with no thread to be had, fn runs on the caller's. */
void io_run(struct io *, struct io_work *);

/* 0, or -EAGAIN: there is no ring, or it is full; the caller uses a worker. It starts at io_commit. */
int io_rw_queue(struct io *, struct io_rw *);
void io_commit(struct io *);

#endif
