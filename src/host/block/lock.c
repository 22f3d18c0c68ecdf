/* lock.c - keeps a second writer away from an image that is in use.
 *
 * The locks are byte ranges of the open file description (OFD), in the layout that QEMU and qemu-img use, so
 * that they and we respect each other: a shared lock on byte 100+n says "I use permission n", one on 200+n
 * "nobody else may use permission n". Permissions: 0 read consistently, 1 write, 3 resize. A user locks its
 * bytes first and looks for conflicting bytes of others afterwards, so of two that start at once at least one
 * sees the other. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "host/block/image.h"

enum perm { PERM_READ, PERM_WRITE, PERM_RESIZE = 3 };

#define USES   100
#define DENIES 200

#ifdef F_OFD_SETLK
static int take(int fd, int byte)
{
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
}

/* Does another open file hold the byte? */
static bool others_hold(int fd, int byte)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return !fcntl(fd, F_OFD_GETLK, &l) && l.l_type != F_UNLCK;
}

int lock_file(int fd, bool write, const char *path, struct err *e)
{
	static const int reader[] = { USES + PERM_READ, DENIES + PERM_WRITE, DENIES + PERM_RESIZE };
	static const int writer[] = { USES + PERM_WRITE, USES + PERM_RESIZE };
	int r = 0;

	for (unsigned i = 0; i < ARRAY_LEN(reader) && !r; i++)
		r = take(fd, reader[i]);
	for (unsigned i = 0; write && i < ARRAY_LEN(writer) && !r; i++)
		r = take(fd, writer[i]);
	if (r == -EAGAIN || r == -EACCES)
		return err_set(e, -EAGAIN, "disk '%s' is in use by another program", path);
	if (r < 0) { /* file systems without locks exist */
		log_warn("disk '%s' cannot be locked against other users: %s", path, strerror(-r));
		return 0;
	}
	if (others_hold(fd, USES + PERM_WRITE) || others_hold(fd, USES + PERM_RESIZE) ||
	    others_hold(fd, DENIES + PERM_READ))
		return err_set(e, -EAGAIN, "disk '%s' is in use by another program that writes to it: end that first",
			       path);
	if (write && (others_hold(fd, DENIES + PERM_WRITE) || others_hold(fd, DENIES + PERM_RESIZE)))
		return err_set(e, -EAGAIN,
			       "disk '%s' is in use by another program: end that first, or attach it in both "
			       "with ro",
			       path);
	return 0;
}
#else
#include <sys/file.h>

int lock_file(int fd, bool write, const char *path, struct err *e)
{
	if (flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return err_set(e, -EAGAIN, "disk '%s' is in use by another program: end that first", path);
	return 0;
}
#endif
