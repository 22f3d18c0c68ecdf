/* files.c - reads whole input files, and gives large buffers to put them in. */
#include "boot/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"

#define HUGE_PAGE (2ull << 20)

int buf_alloc(struct buf *b, size_t len)
{
	if (!len)
		return -EINVAL;
	if (len > SIZE_MAX / 2)
		return -ENOMEM;
	/* Room to begin at a huge page's boundary; what is not touched costs nothing */
	size_t map_len = align_up(len, HUGE_PAGE) + HUGE_PAGE;
	void *map = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -ENOMEM;
#ifdef MADV_HUGEPAGE
	(void)madvise(map, map_len, MADV_HUGEPAGE); /* a wish: without it all is only slower */
#endif
	b->map = map;
	b->map_len = map_len;
	b->data = (uint8_t *)(uintptr_t)align_up((uintptr_t)map, HUGE_PAGE);
	b->len = len;
	return 0;
}

void buf_free(struct buf *b)
{
	if (b->map)
		munmap(b->map, b->map_len);
	memset(b, 0, sizeof(*b));
}

int file_open(const char *path, const char *what, int *fd, uint64_t *len, struct err *e)
{
	struct stat st;

	if (!*path)
		return err_set(e, -ENOENT, "the %s has an empty file name", what);
	/* O_NONBLOCK: opening a FIFO must not wait for a writer, it is refused below */
	int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f < 0) {
		int rc = -errno;
		return err_set(e, rc, "cannot open the %s '%s': %s", what, path, strerror(-rc));
	}
	int rc = 0;
	if (fstat(f, &st) < 0) {
		rc = -errno;
		err_set(e, rc, "cannot examine the %s '%s': %s", what, path, strerror(-rc));
	} else if (S_ISDIR(st.st_mode)) {
		rc = err_set(e, -EISDIR, "the %s '%s' is a directory; give a file", what, path);
	} else if (!S_ISREG(st.st_mode)) {
		rc = err_set(e, -EINVAL, "the %s '%s' is not a regular file", what, path);
	} else if (st.st_size <= 0) {
		rc = err_set(e, -EINVAL, "the %s '%s' is empty", what, path);
	}
	if (rc) {
		close(f);
		return rc;
	}
	*fd = f;
	*len = (uint64_t)st.st_size;
	return 0;
}

int file_read(int fd, const char *path, const char *what, void *dst, uint64_t len, struct err *e)
{
	uint64_t done = 0;

	while (done < len) {
		uint64_t want = len - done;
		ssize_t n = pread(fd, (uint8_t *)dst + done, want < (1u << 30) ? want : (1u << 30), (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int rc = -errno;
			return err_set(e, rc, "cannot read the %s '%s': %s", what, path, strerror(-rc));
		}
		if (n == 0)
			return err_set(e, -EIO, "the %s '%s' became shorter while it was read; try again", what, path);
		done += (uint64_t)n;
	}
	return 0;
}

int file_load(const char *path, const char *what, uint64_t max, struct buf *out, struct err *e)
{
	struct buf b = { 0 };
	uint64_t len = 0;
	int fd = -1;

	int rc = file_open(path, what, &fd, &len, e);
	if (rc)
		return rc;
	if (len > max)
		rc = err_set(e, -EFBIG, "the %s '%s' has %llu MiB, more than the %llu MiB that fit", what, path,
			     (unsigned long long)(len >> 20), (unsigned long long)(max >> 20));
	else if (buf_alloc(&b, len))
		rc = err_set(e, -ENOMEM, "not enough memory to read the %s '%s' (%llu MiB)", what, path,
			     (unsigned long long)(len >> 20));
	else
		rc = file_read(fd, path, what, b.data, len, e);
	close(fd);
	if (rc) {
		buf_free(&b);
		return rc;
	}
	*out = b;
	return 0;
}
