/* overlay.c - takes all writes for an image that stays as it is (--disk PATH,ephemeral).
 *
 * The writes are in a file without a name, at the same offsets, with holes where nothing was written; a bitmap
 * says for each granule which of the two has it. Nothing is ever flushed: it is all forgotten at the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "host/block/image.h"

#define GRANULE 4096u
#define WORD    64u

struct overlay {
	struct image img;
	struct image *base;
	int fd;
	struct range_lock ranges; /* exclusive: granules that change from the base to the file */
	_Atomic uint64_t *here;   /* bit n: granule n is in the file */
	size_t words;
};

static struct overlay *overlay_of(struct image *img) { return (struct overlay *)img; }

static bool is_here(const struct overlay *o, uint64_t granule)
{
	return atomic_load_explicit(&o->here[granule / WORD], memory_order_acquire) >> granule % WORD & 1;
}

static void set_here(struct overlay *o, uint64_t from, uint64_t to)
{
	for (uint64_t g = from; g < to; g++)
		atomic_fetch_or_explicit(&o->here[g / WORD], 1ull << g % WORD, memory_order_release);
}

/* How much of [off, off+len) lies on the side that off is on, which *here tells */
static uint64_t run_at(const struct overlay *o, uint64_t off, uint64_t len, bool *here)
{
	uint64_t g = off / GRANULE, end = off + len;

	*here = is_here(o, g);
	while (++g * GRANULE < end) {
		if (is_here(o, g) != *here)
			return g * GRANULE - off;
	}
	return len;
}

static int file_transfer(int fd, bool write, struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	uint64_t at = 0;

	while (at < len) {
		ssize_t done = write ? pwritev(fd, iov, (int)n, (off_t)(off + at))
				     : preadv(fd, iov, (int)n, (off_t)(off + at));

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		at += (uint64_t)done;
		if (at == len)
			break;
		while (n && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (!n)
			return -EIO;
		iov->iov_base = (char *)iov->iov_base + done;
		iov->iov_len -= (size_t)done;
	}
	return 0;
}

static int overlay_read(struct image *img, const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len)
{
	struct overlay *o = overlay_of(img);
	struct iovec *part = malloc(niov * sizeof(*part));
	uint64_t at = 0, n;
	int r = 0;

	if (!part)
		return -ENOMEM;
	for (; at < len && !r; at += n) {
		bool here;
		unsigned parts;

		n = run_at(o, off + at, len - at, &here);
		parts = iov_slice(iov, niov, at, n, part);
		r = here ? file_transfer(o->fd, false, part, parts, off + at, n)
			 : image_read_padded(o->base, part, parts, off + at, n);
	}
	free(part);
	return r;
}

/* Makes the file have all of the granule at @off, from the base. Called with the granule's range held. */
static int bring(struct overlay *o, uint64_t off)
{
	char buf[GRANULE];
	struct iovec iov = { .iov_base = buf, .iov_len = GRANULE };
	int r;

	off = align_down(off, GRANULE);
	if (is_here(o, off / GRANULE))
		return 0;
	r = image_read_padded(o->base, &iov, 1, off, GRANULE);
	if (!r)
		r = file_transfer(o->fd, true, &iov, 1, off, GRANULE);
	return r;
}

/* Takes [off, off+len) for a change where a granule of it is not in the file yet. Its first and last granule
 * are brought over where the change leaves a part of them. */
static int begin_change(struct overlay *o, uint64_t off, uint64_t len, struct range *hold)
{
	uint64_t end = off + len;
	bool here;
	int r = 0;

	hold->held = false;
	if (run_at(o, off, len, &here) == len && here)
		return 0;
	range_take(&o->ranges, hold, align_down(off, GRANULE), align_up(end, GRANULE), true);
	if (off % GRANULE)
		r = bring(o, off);
	if (!r && end % GRANULE && (align_down(end, GRANULE) > off || !(off % GRANULE)))
		r = bring(o, end);
	if (r < 0)
		range_release(&o->ranges, hold);
	return r;
}

static void end_change(struct overlay *o, uint64_t off, uint64_t len, struct range *hold, int r)
{
	if (!r && hold->held)
		set_here(o, off / GRANULE, align_up(off + len, GRANULE) / GRANULE);
	range_release(&o->ranges, hold);
}

static int overlay_write(struct image *img, const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len)
{
	struct overlay *o = overlay_of(img);
	struct iovec *part = malloc(niov * sizeof(*part));
	struct range hold;
	int r;

	if (!part)
		return -ENOMEM;
	r = begin_change(o, off, len, &hold);
	if (!r) {
		r = file_transfer(o->fd, true, part, iov_slice(iov, niov, 0, len, part), off, len);
		end_change(o, off, len, &hold, r);
	}
	free(part);
	return r;
}

static int clear(struct overlay *o, uint64_t off, uint64_t len)
{
	static const char zeroes[64 << 10];
	int r = 0;

#ifdef FALLOC_FL_PUNCH_HOLE
	if (!fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len))
		return 0;
#endif
	while (len && !r) {
		struct iovec iov = { .iov_base = (char *)(uintptr_t)zeroes,
				     .iov_len = len < sizeof(zeroes) ? len : sizeof(zeroes) };
		uint64_t n = iov.iov_len;

		r = file_transfer(o->fd, true, &iov, 1, off, n);
		off += n;
		len -= n;
	}
	return r;
}

static int overlay_zero(struct image *img, uint64_t off, uint64_t len, bool unmap)
{
	struct overlay *o = overlay_of(img);
	struct range hold;
	int r = begin_change(o, off, len, &hold);

	if (!r) {
		r = clear(o, off, len);
		end_change(o, off, len, &hold, r);
	}
	return r;
}

/* What was discarded in whole granules need not be kept */
static int overlay_discard(struct image *img, uint64_t off, uint64_t len)
{
	uint64_t from = align_up(off, GRANULE), to = align_down(off + len, GRANULE);

	return from < to ? overlay_zero(img, from, to - from, true) : 0;
}

static int overlay_flush(struct image *img) { return 0; }

static bool overlay_map(struct image *img, bool write, uint64_t off, uint64_t len, struct mapping *m,
			struct block_req *req)
{
	struct overlay *o = overlay_of(img);
	bool here;

	if (run_at(o, off, len, &here) != len || (write && !here))
		return false;
	if (!here)
		return off + len <= o->base->size && o->base->ops->map &&
		       o->base->ops->map(o->base, false, off, len, m, req);
	m->e[0] = (struct extent){ .fd = o->fd, .off = off, .len = len };
	m->n = 1;
	return true;
}

static void overlay_unmap(struct image *img, struct block_req *req)
{
	struct overlay *o = overlay_of(img);

	if (o->base->ops->unmap)
		o->base->ops->unmap(o->base, req);
}

static void overlay_close(struct image *img)
{
	struct overlay *o = overlay_of(img);

	image_close(o->base);
	if (o->fd >= 0)
		close(o->fd);
	if (o->here)
		munmap(o->here, o->words * sizeof(*o->here));
	range_lock_fini(&o->ranges);
	free(o);
}

static const struct image_ops overlay_ops = {
	.name = "overlay",
	.read = overlay_read,
	.write = overlay_write,
	.zero = overlay_zero,
	.discard = overlay_discard,
	.flush = overlay_flush,
	.map = overlay_map,
	.unmap = overlay_unmap,
	.close = overlay_close,
};

/* In $TMPDIR, else in /var/tmp: /tmp is in memory on many hosts */
static int open_nameless(struct err *e)
{
	const char *dir = getenv("TMPDIR");
	char name[4096];
	int fd, n;

	if (!dir || !*dir)
		dir = "/var/tmp";
#ifdef O_TMPFILE
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	if (fd >= 0)
		return fd;
#endif
	n = snprintf(name, sizeof(name), "%s/vibevmm.XXXXXX", dir);
	if (n < 0 || (size_t)n >= sizeof(name))
		return err_set(e, -ENAMETOOLONG,
			       "the name of the directory for temporary files is too long: set TMPDIR");
	fd = mkstemp(name);
	if (fd < 0)
		return err_set(e, -errno,
			       "no file for throw-away writes can be made in '%s': %s; set TMPDIR to a directory "
			       "that has room",
			       dir, strerror(errno));
	unlink(name);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

int overlay_open(struct image *base, struct image **out, struct err *e)
{
	struct overlay *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return err_set(e, -ENOMEM, "out of memory");
	range_lock_init(&o->ranges);
	o->img = (struct image){ .ops = &overlay_ops, .size = align_up(base->size, 512), .granularity = GRANULE };
	o->words = align_up(base->size, (uint64_t)GRANULE * WORD) / GRANULE / WORD;
	o->fd = open_nameless(e);
	r = o->fd;
	if (r >= 0) {
		r = ftruncate(o->fd, (off_t)align_up(base->size, GRANULE)) < 0
			    ? err_set(e, -errno, "the file for throw-away writes cannot be as large as the disk: %s",
				      strerror(errno))
			    : 0;
	}
	if (!r) {
		/* not malloc: pages of it that stay zero take no memory */
		void *p = mmap(NULL, o->words * sizeof(*o->here), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			r = err_set(e, -ENOMEM, "out of memory");
		else
			o->here = p;
	}
	if (r < 0) {
		overlay_close(&o->img);
		return r;
	}
	o->base = base;
	*out = &o->img;
	return 0;
}
