/* place.c - finds room in the guest's low memory, and writes there. */
#include "boot/place.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/random.h"
#include "core/layout.h"
#include "core/memmap.h"

int place_init(struct place *p, const struct memmap *mem, struct err *e)
{
	const struct mem_slot *low = mem_slot_find(mem, 0);

	if (!low || low->readonly)
		return err_set(e, -EINVAL, "the guest has no memory at address 0");
	memset(p, 0, sizeof(*p));
	p->mem = mem;
	p->end = low->len < LAYOUT_LOW_RAM_END ? low->len : LAYOUT_LOW_RAM_END;
	return 0;
}

/* The first taken range that shares a byte with [base, base+len), or NULL */
static const struct place_range *place_conflict(const struct place *p, uint64_t base, uint64_t len)
{
	for (unsigned i = 0; i < p->n; i++)
		if (ranges_overlap(base, len, p->used[i].base, p->used[i].len))
			return &p->used[i];
	return NULL;
}

static bool place_in_ram(const struct place *p, uint64_t base, uint64_t len)
{
	return len <= p->end && base <= p->end - len;
}

bool place_is_free(const struct place *p, uint64_t base, uint64_t len)
{
	return place_in_ram(p, base, len) && !place_conflict(p, base, len);
}

int place_take(struct place *p, uint64_t base, uint64_t len)
{
	if (!place_in_ram(p, base, len))
		return -ENOMEM;
	if (place_conflict(p, base, len))
		return -EEXIST;
	if (p->n == PLACE_RANGES_MAX)
		return -ENOSPC;
	p->used[p->n++] = (struct place_range){ base, len };
	return 0;
}

static int place_take_at(struct place *p, uint64_t at, uint64_t len, uint64_t *base)
{
	int rc = place_take(p, at, len);
	if (!rc)
		*base = at;
	return rc;
}

int place_highest(struct place *p, uint64_t len, uint64_t align, uint64_t min, uint64_t max, uint64_t *base)
{
	uint64_t top = max < p->end ? max : p->end;

	while (top >= len) {
		uint64_t at = align_down(top - len, align);
		if (at < min)
			break;
		const struct place_range *r = place_conflict(p, at, len);
		if (!r)
			return place_take_at(p, at, len, base);
		top = r->base; /* below at + len: every turn descends */
	}
	return -ENOMEM;
}

int place_lowest(struct place *p, uint64_t len, uint64_t align, uint64_t min, uint64_t max, uint64_t *base)
{
	uint64_t top = max < p->end ? max : p->end;

	for (;;) {
		uint64_t at = align_up(min, align);
		if (at < min || len > top || at > top - len)
			return -ENOMEM;
		const struct place_range *r = place_conflict(p, at, len);
		if (!r)
			return place_take_at(p, at, len, base);
		min = r->base + r->len; /* above at: every turn ascends */
	}
}

int place_random(struct place *p, uint64_t len, uint64_t align, uint64_t min, uint64_t max, uint64_t *base)
{
	uint64_t top = max < p->end ? max : p->end, first = align_up(min, align), n = 0;

	if (first < min || len > top || first > top - len)
		return -ENOMEM;
	for (uint64_t at = first; at <= top - len; at += align)
		n += !place_conflict(p, at, len);
	if (!n)
		return -ENOMEM;
	uint64_t pick = random_below(n);
	for (uint64_t at = first;; at += align)
		if (!place_conflict(p, at, len) && pick-- == 0)
			return place_take_at(p, at, len, base);
}

void place_zero(const struct place *p, uint64_t base, uint64_t len)
{
	uint8_t *at = mem_ptr(p->mem, base, len);

	while (at && len) {
		size_t n = len < PAGE_SIZE_4K ? len : PAGE_SIZE_4K;
		/* All bytes equal their successors and the first is zero */
		if (at[0] || memcmp(at, at + 1, n - 1) != 0)
			memset(at, 0, n);
		at += n;
		len -= n;
	}
}
