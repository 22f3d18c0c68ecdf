/* random.c - the host's randomness, for address layout and the guest's first seed. */
#include "boot/random.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

int random_bytes(void *buf, size_t len) { return getentropy(buf, len) ? -errno : 0; }

uint64_t random_below(uint64_t n)
{
	uint64_t v;

	return random_bytes(&v, sizeof(v)) ? 0 : v % n;
}
