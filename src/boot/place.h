/* place.h - finds room in the guest's low memory (RAM from 0 to 3 GiB at most), and writes there.
 *
 * All that boot code loads is below 4 GiB, where page tables are small, 32-bit entries work and
 * old kernels look. Ranges that are taken never overlap. */
#ifndef BOOT_PLACE_H
#define BOOT_PLACE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct memmap;

#define PLACE_RANGES_MAX 160

struct place {
	const struct memmap *mem;
	uint64_t end; /* low RAM is [0, end) */
	unsigned n;
	struct place_range {
		uint64_t base, len;
	} used[PLACE_RANGES_MAX];
};

/* -EINVAL when there is no RAM at 0 */
int place_init(struct place *p, const struct memmap *mem, struct err *e);

/* [base, base+len) is RAM and nobody's */
bool place_is_free(const struct place *p, uint64_t base, uint64_t len);

/* Takes exactly that range. -ENOMEM when it is not RAM, -EEXIST when part of it is taken,
 * -ENOSPC when there are too many ranges. */
int place_take(struct place *p, uint64_t base, uint64_t len);

/* Takes the highest, the lowest or a random free range of @len bytes, aligned to @align (a power
 * of two), within [min, max). -ENOMEM when there is none. */
int place_highest(struct place *p, uint64_t len, uint64_t align, uint64_t min, uint64_t max, uint64_t *base);
int place_lowest(struct place *p, uint64_t len, uint64_t align, uint64_t min, uint64_t max, uint64_t *base);
int place_random(struct place *p, uint64_t len, uint64_t align, uint64_t min, uint64_t max, uint64_t *base);

/* Makes RAM zero without dirtying pages that already are: after power-on they all are, and the
 * host need not find memory for them. The range must be RAM. */
void place_zero(const struct place *p, uint64_t base, uint64_t len);

#endif
