/* raw.c - files and block devices of the host: the lowest image of every chain.
 *
 * With O_DIRECT (cache=none) what is not aligned goes through a second descriptor and the page cache. Ranges
 * are locked then, exclusively where they share a page with such a request: the kernel keeps the two views
 * together only as long as they do not meet in one page at the same time. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/fs.h>
#include <sys/sysmacros.h>
#endif

#include "base/bytes.h"
#include "base/err.h"
#include "host/block/image.h"

#define SECTOR     512u
#define PAGE       4096u
#define ZERO_CHUNK (256u << 10)

struct raw {
	struct image img;
	int fd;
	int buffered;                         /* the same file without O_DIRECT; fd itself where that has none */
	uint32_t align;                       /* of offsets, lengths and addresses; 1 without O_DIRECT */
	bool device;                          /* a block device: its size is fixed */
	bool unsafe;                          /* flushes do nothing */
	struct range_lock ranges;             /* only with O_DIRECT */
	_Atomic bool no_punch, no_zero_range; /* the file system said so */
	_Atomic int broken; /* a sync failed: what was written before may be lost, whatever a later one says */
};

static struct raw *raw_of(struct image *img) { return (struct raw *)img; }

/* --- reading and writing --- */

static bool aligned(const struct raw *f, const struct iovec *iov, unsigned niov, uint64_t off)
{
	uint64_t bits = off;

	if (f->align == 1)
		return true;
	for (unsigned i = 0; i < niov; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return !(bits & (f->align - 1));
}

/* Takes the range that a request at [off, off+len) needs, and gives the descriptor that it uses */
static int enter(struct raw *f, const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len, struct range *r)
{
	r->held = false;
	if (f->align == 1)
		return f->fd;
	if (aligned(f, iov, niov, off)) {
		range_take(&f->ranges, r, off, off + len, false);
		return f->fd;
	}
	range_take(&f->ranges, r, align_down(off, PAGE), align_up(off + len, PAGE), true);
	return f->buffered;
}

/* All of [off, off+len); a file that ends earlier goes on with zeroes */
static int transfer(int fd, bool write, const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len)
{
	struct iovec part[IOV_MAX > 1024 ? 1024 : IOV_MAX];
	uint64_t at = 0;

	while (at < len) {
		/* whole lists go as they are; after a short transfer the rest of them */
		unsigned first = 0;
		uint64_t skip = at;
		unsigned n;
		ssize_t done;

		while (first < niov && skip >= iov[first].iov_len)
			skip -= iov[first++].iov_len;
		n = niov - first < ARRAY_LEN(part) ? niov - first : ARRAY_LEN(part);
		n = iov_slice(iov + first, n, skip, len - at, part);
		done = write ? pwritev(fd, part, (int)n, (off_t)(off + at))
			     : preadv(fd, part, (int)n, (off_t)(off + at));
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (!done && write)
			return -EIO;
		if (!done) {
			iov_zero(iov, niov, at, len - at);
			return 0;
		}
		at += (uint64_t)done;
	}
	return 0;
}

static int raw_read(struct image *img, const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len)
{
	struct raw *f = raw_of(img);
	struct range hold;
	int r = transfer(enter(f, iov, niov, off, len, &hold), false, iov, niov, off, len);

	range_release(&f->ranges, &hold);
	return r;
}

static int raw_write(struct image *img, const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len)
{
	struct raw *f = raw_of(img);
	struct range hold;
	int r = transfer(enter(f, iov, niov, off, len, &hold), true, iov, niov, off, len);

	range_release(&f->ranges, &hold);
	return r;
}

static bool raw_map(struct image *img, bool write, uint64_t off, uint64_t len, struct mapping *m, struct block_req *req)
{
	struct raw *f = raw_of(img);

	if (!aligned(f, req->iov, req->niov, off) || ((off | len) & (f->align - 1)))
		return false;
	if (f->align != 1 && !range_try(&f->ranges, &req->hold[0], off, off + len, false))
		return false;
	m->e[0] = (struct extent){ .fd = f->fd, .off = off, .len = len };
	m->n = 1;
	return true;
}

static void raw_unmap(struct image *img, struct block_req *req) { range_release(&raw_of(img)->ranges, &req->hold[0]); }

/* --- zeroes and discards --- */

static bool unsupported(int err) { return err == EOPNOTSUPP || err == EINVAL || err == ENOSYS || err == ENOTTY; }

static int write_zeroes(struct raw *f, uint64_t off, uint64_t len)
{
	static const char zeroes[ZERO_CHUNK];
	int r = 0;

	while (len && !r) {
		uint64_t n = len < ZERO_CHUNK ? len : ZERO_CHUNK;
		struct iovec iov = { .iov_base = (char *)(uintptr_t)zeroes, .iov_len = n };

		r = transfer(f->buffered, true, &iov, 1, off, n);
		off += n;
		len -= n;
	}
	return r;
}

#ifdef __linux__
static int allocate(struct raw *f, int mode, _Atomic bool *missing, uint64_t off, uint64_t len)
{
	int r;

	if (atomic_load_explicit(missing, memory_order_relaxed))
		return -EOPNOTSUPP;
	do
		r = fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
	while (r < 0 && errno == EINTR);
	if (!r)
		return 0;
	if (!unsupported(errno))
		return -errno;
	atomic_store_explicit(missing, true, memory_order_relaxed);
	return -EOPNOTSUPP;
}

static int deallocate(struct raw *f, uint64_t off, uint64_t len)
{
	return allocate(f, FALLOC_FL_PUNCH_HOLE, &f->no_punch, off, len);
}

static int zero_range(struct raw *f, uint64_t off, uint64_t len)
{
	return allocate(f, FALLOC_FL_ZERO_RANGE, &f->no_zero_range, off, len);
}

static int discard_device(struct raw *f, uint64_t off, uint64_t len)
{
	uint64_t range[2] = { off, len };

	return ioctl(f->fd, BLKDISCARD, range) < 0 && !unsupported(errno) ? -errno : 0;
}
#else
static int deallocate(struct raw *f, uint64_t off, uint64_t len) { return -EOPNOTSUPP; }
static int zero_range(struct raw *f, uint64_t off, uint64_t len) { return -EOPNOTSUPP; }
static int discard_device(struct raw *f, uint64_t off, uint64_t len) { return 0; }
#endif

static int raw_zero(struct image *img, uint64_t off, uint64_t len, bool unmap)
{
	struct raw *f = raw_of(img);
	struct range hold = { 0 };
	int r = -EOPNOTSUPP;

	if (f->align != 1)
		range_take(&f->ranges, &hold, align_down(off, PAGE), align_up(off + len, PAGE), true);
	if (unmap)
		r = deallocate(f, off, len);
	if (r == -EOPNOTSUPP)
		r = zero_range(f, off, len);
	if (r == -EOPNOTSUPP)
		r = write_zeroes(f, off, len);
	range_release(&f->ranges, &hold);
	return r;
}

static int raw_discard(struct image *img, uint64_t off, uint64_t len)
{
	struct raw *f = raw_of(img);
	struct range hold = { 0 };
	int r;

	if (f->align != 1)
		range_take(&f->ranges, &hold, align_down(off, PAGE), align_up(off + len, PAGE), true);
	r = f->device ? discard_device(f, off, len) : deallocate(f, off, len);
	range_release(&f->ranges, &hold);
	return r == -EOPNOTSUPP ? 0 : r;
}

/* --- syncing --- */

static void raw_flushed(struct image *img, int result)
{
	if (result < 0)
		atomic_store(&raw_of(img)->broken, result);
}

static int raw_flush(struct image *img)
{
	struct raw *f = raw_of(img);
	int r;

	if (f->unsafe)
		return 0;
	r = atomic_load(&f->broken);
	if (r < 0)
		return r;
	r = fdatasync(f->fd) < 0 ? -errno : 0;
	raw_flushed(img, r);
	return r;
}

static int raw_flush_fd(struct image *img)
{
	struct raw *f = raw_of(img);

	return f->unsafe || atomic_load(&f->broken) < 0 ? -1 : f->fd;
}

static int raw_resize(struct image *img, uint64_t size)
{
	struct raw *f = raw_of(img);

	if (f->device)
		return size <= img->size ? 0 : -ENOSPC;
	if (ftruncate(f->fd, (off_t)size) < 0)
		return -errno;
	img->size = size;
	return 0;
}

static void raw_close(struct image *img)
{
	struct raw *f = raw_of(img);

	if (f->buffered != f->fd)
		close(f->buffered);
	close(f->fd);
	range_lock_fini(&f->ranges);
	free(f);
}

static const struct image_ops raw_ops = {
	.name = "raw",
	.read = raw_read,
	.write = raw_write,
	.zero = raw_zero,
	.discard = raw_discard,
	.flush = raw_flush,
	.map = raw_map,
	.unmap = raw_unmap,
	.flush_fd = raw_flush_fd,
	.flushed = raw_flushed,
	.resize = raw_resize,
	.close = raw_close,
};

/* --- opening --- */

static int open_error(int err, const struct block_options *o, struct err *e)
{
	if ((err == EACCES || err == EPERM || err == EROFS) && !o->readonly)
		return err_set(e, -err, "disk '%s' cannot be opened for writing: %s; add ,ro to attach it read-only",
			       o->path, strerror(err));
	if (err == EINVAL && o->cache == BLOCK_CACHE_NONE)
		return err_set(e, -err, "disk '%s': its file system has no direct I/O; leave out cache=none", o->path);
	return err_set(e, -err, "disk '%s' cannot be opened: %s", o->path, strerror(err));
}

#ifdef O_DIRECT
/* What direct I/O asks of offsets and addresses; a page is enough everywhere */
static uint32_t direct_align(const struct raw *f)
{
	int size;

	if (f->device && ioctl(f->fd, BLKSSZGET, &size) == 0 && size >= (int)SECTOR && size <= (int)PAGE)
		return (uint32_t)size;
#ifdef STATX_DIOALIGN
	struct statx st;

	if (!statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) && (st.stx_mask & STATX_DIOALIGN) &&
	    st.stx_dio_offset_align) {
		uint32_t a =
			st.stx_dio_offset_align > st.stx_dio_mem_align ? st.stx_dio_offset_align : st.stx_dio_mem_align;
		if (a <= PAGE && !(a & (a - 1)))
			return a < SECTOR ? SECTOR : a;
	}
#endif
	return PAGE;
}

static int open_direct(struct raw *f, const struct block_options *o, int flags, struct err *e)
{
	int fd = open(o->path, flags | O_DIRECT);
	struct stat a, b;

	if (fd < 0)
		return open_error(errno, o, e);
	if (fstat(fd, &a) < 0 || fstat(f->buffered, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino) {
		close(fd);
		return err_set(e, -EBUSY, "disk '%s' was replaced while it was opened", o->path);
	}
	f->fd = fd;
	f->align = direct_align(f);
	return 0;
}
#else
static int open_direct(struct raw *f, const struct block_options *o, int flags, struct err *e)
{
	return err_set(e, -ENOTSUP, "disk '%s': this host has no direct I/O; leave out cache=none", o->path);
}
#endif

static int measure(struct raw *f, const struct block_options *o, struct err *e)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return open_error(errno, o, e);
	if (S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR, "disk '%s' is a directory: give an image file or a block device", o->path);
	f->device = S_ISBLK(st.st_mode);
	if (!f->device && !S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "disk '%s' is neither a file nor a block device", o->path);
	if (f->device) {
		off_t end = lseek(f->fd, 0, SEEK_END);

		if (end < 0)
			return open_error(errno, o, e);
		f->img.size = (uint64_t)end;
	} else {
		f->img.size = (uint64_t)st.st_size;
	}
	return 0;
}

int raw_open(const struct block_options *o, struct image **out, struct err *e)
{
	/* O_NONBLOCK: a FIFO must not hold us up; it means nothing to what we accept */
	int flags = (o->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
	struct raw *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return err_set(e, -ENOMEM, "disk '%s': out of memory", o->path);
	range_lock_init(&f->ranges);
	f->img.ops = &raw_ops;
	f->img.granularity = PAGE;
	f->img.readonly = o->readonly;
	f->align = 1;
	f->unsafe = o->cache == BLOCK_CACHE_UNSAFE;
	f->fd = f->buffered = open(o->path, flags);
	if (f->fd < 0) {
		r = errno == EISDIR ? err_set(e, -EISDIR,
					      "disk '%s' is a directory: give an image file or a block device", o->path)
				    : open_error(errno, o, e);
		range_lock_fini(&f->ranges);
		free(f);
		return r;
	}
	r = measure(f, o, e);
	if (!r)
		r = lock_file(f->buffered, !o->readonly, o->path, e);
	if (!r && o->cache == BLOCK_CACHE_NONE)
		r = open_direct(f, o, flags, e);
	if (r < 0) {
		raw_close(&f->img);
		return r;
	}
	*out = &f->img;
	return 0;
}
