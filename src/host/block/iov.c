/* iov.c - cutting, clearing and copying lists of buffers. */
#include <string.h>

#include "host/block/image.h"

unsigned iov_slice(const struct iovec *src, unsigned nsrc, uint64_t off, uint64_t len, struct iovec *dst)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nsrc && len; i++) {
		uint64_t part = src[i].iov_len;

		if (off >= part) {
			off -= part;
			continue;
		}
		part -= off;
		if (part > len)
			part = len;
		dst[n].iov_base = (char *)src[i].iov_base + off;
		dst[n++].iov_len = part;
		len -= part;
		off = 0;
	}
	return n;
}

uint64_t iov_len(const struct iovec *iov, unsigned n)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

enum what { ZERO, FILL, FETCH };

static void walk(const struct iovec *iov, unsigned n, uint64_t off, char *buf, uint64_t len, enum what what)
{
	for (unsigned i = 0; i < n && len; i++) {
		uint64_t part = iov[i].iov_len;
		char *p = iov[i].iov_base;

		if (off >= part) {
			off -= part;
			continue;
		}
		p += off;
		part -= off;
		if (part > len)
			part = len;
		if (what == ZERO)
			memset(p, 0, part);
		else if (what == FILL)
			memcpy(p, buf, part);
		else
			memcpy(buf, p, part);
		if (buf)
			buf += part;
		len -= part;
		off = 0;
	}
}

void iov_zero(const struct iovec *iov, unsigned n, uint64_t off, uint64_t len) { walk(iov, n, off, NULL, len, ZERO); }

void iov_fill(const struct iovec *iov, unsigned n, uint64_t off, const void *buf, uint64_t len)
{
	walk(iov, n, off, (char *)(uintptr_t)buf, len, FILL);
}

void iov_fetch(const struct iovec *iov, unsigned n, uint64_t off, void *buf, uint64_t len)
{
	walk(iov, n, off, buf, len, FETCH);
}
