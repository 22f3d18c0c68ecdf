/* random.h - the host's randomness, for address layout and the guest's first seed. */
#ifndef BOOT_RANDOM_H
#define BOOT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills up to 256 bytes. 0, or -errno when the host has none to give. */
int random_bytes(void *buf, size_t len);

/* A number in [0, n), n > 0; 0 when the host gives no randomness, which costs the guest
 * its random layout but not its boot. The bias of n far below 2^64 does not matter here. */
uint64_t random_below(uint64_t n);

#endif
