/* bus.c - finds the device behind an address.
 *
 * Regions lie in an array sorted by base. Readers take no lock: a sequence number, odd
 * while a writer is at work, tells them to look again (all fields are atomics, so a torn
 * look is a wrong look, never a race). Arrays only grow, doubling; outgrown ones are kept
 * until the bus is destroyed, since a reader may still hold one: at most as much again. */
#include "core/bus.h"

#include "base/bytes.h"
#include "base/err.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct region {
	_Atomic uint64_t base, len;
	const struct device_ops *_Atomic ops;
	void *_Atomic dev;
};

struct table {
	struct table *older;
	unsigned cap;
	struct region r[];
};

struct bus {
	uint64_t limit;
	_Atomic unsigned seq;           /* even: table and count are consistent */
	struct table *_Atomic table;
	_Atomic unsigned count;
	pthread_mutex_t lock;           /* of writers */
};

/* What a reader takes out of the table */
struct hit {
	uint64_t base, len;
	const struct device_ops *ops;
	void *dev;
};

#define get(p) atomic_load_explicit(p, memory_order_acquire)
#define put(p, v) atomic_store_explicit(p, v, memory_order_release)

static struct table *table_new(unsigned cap, struct table *older)
{
	struct table *t = calloc(1, sizeof(*t) + cap * sizeof(t->r[0]));

	if (t) {
		t->cap = cap;
		t->older = older;
	}
	return t;
}

int bus_create(struct bus **out, uint64_t limit)
{
	struct bus *b = calloc(1, sizeof(*b));
	struct table *t = table_new(32, NULL);

	if (!b || !t) {
		free(b);
		free(t);
		return -ENOMEM;
	}
	b->limit = limit;
	atomic_init(&b->table, t);
	pthread_mutex_init(&b->lock, NULL);
	*out = b;
	return 0;
}

void bus_destroy(struct bus *b)
{
	struct table *t;

	if (!b)
		return;
	t = get(&b->table);
	while (t) {
		struct table *older = t->older;

		free(t);
		t = older;
	}
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static void region_copy(struct region *to, const struct region *from)
{
	put(&to->base, get(&from->base));
	put(&to->len, get(&from->len));
	put(&to->ops, get(&from->ops));
	put(&to->dev, get(&from->dev));
}

/* First region that ends above @addr, under the writers' lock */
static unsigned position(const struct table *t, unsigned n, uint64_t addr)
{
	unsigned i = 0;

	while (i < n && get(&t->r[i].base) + get(&t->r[i].len) <= addr)
		i++;
	return i;
}

int bus_add(struct bus *b, uint64_t base, uint64_t len, const struct device_ops *ops, void *dev, struct err *e)
{
	struct table *t;
	unsigned n, i;
	int rc = 0;

	if (!len || base >= b->limit || len > b->limit - base)
		return err_set(e, -EINVAL, "%s: region 0x%llx+0x%llx is outside the bus", ops->name,
			       (unsigned long long)base, (unsigned long long)len);
	pthread_mutex_lock(&b->lock);
	t = get(&b->table);
	n = get(&b->count);
	i = position(t, n, base);
	if (i < n && get(&t->r[i].base) < base + len) {
		rc = err_set(e, -EEXIST, "%s: region 0x%llx+0x%llx overlaps that of %s at 0x%llx+0x%llx", ops->name,
			     (unsigned long long)base, (unsigned long long)len, get(&t->r[i].ops)->name,
			     (unsigned long long)get(&t->r[i].base), (unsigned long long)get(&t->r[i].len));
		goto out;
	}
	if (n == t->cap) {
		struct table *bigger = table_new(2 * t->cap, t);

		if (!bigger) {
			rc = err_set(e, -ENOMEM, "%s: out of memory for a bus region", ops->name);
			goto out;
		}
		for (unsigned k = 0; k < n; k++)
			region_copy(&bigger->r[k], &t->r[k]);
		t = bigger;
	}
	atomic_fetch_add(&b->seq, 1);
	for (unsigned k = n; k > i; k--)
		region_copy(&t->r[k], &t->r[k - 1]);
	put(&t->r[i].base, base);
	put(&t->r[i].len, len);
	put(&t->r[i].ops, ops);
	put(&t->r[i].dev, dev);
	put(&b->table, t);
	put(&b->count, n + 1);
	atomic_fetch_add(&b->seq, 1);
out:
	pthread_mutex_unlock(&b->lock);
	return rc;
}

void bus_remove(struct bus *b, uint64_t base)
{
	struct table *t;
	unsigned n, i;

	pthread_mutex_lock(&b->lock);
	t = get(&b->table);
	n = get(&b->count);
	i = position(t, n, base);
	if (i < n && get(&t->r[i].base) == base) {
		atomic_fetch_add(&b->seq, 1);
		for (; i + 1 < n; i++)
			region_copy(&t->r[i], &t->r[i + 1]);
		put(&b->count, n - 1);
		atomic_fetch_add(&b->seq, 1);
	}
	pthread_mutex_unlock(&b->lock);
}

/* The region that holds @addr. A look may see a table in change; the bound on i holds even then. */
static bool look(struct bus *b, uint64_t addr, struct hit *h)
{
	const struct table *t = get(&b->table);
	unsigned lo = 0, hi = get(&b->count);
	const struct region *r;

	if (hi > t->cap)
		return false;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (get(&t->r[mid].base) <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return false;
	r = &t->r[lo - 1];
	h->base = get(&r->base);
	h->len = get(&r->len);
	h->ops = get(&r->ops);
	h->dev = get(&r->dev);
	return addr - h->base < h->len;
}

static bool find(struct bus *b, uint64_t addr, struct hit *h)
{
	for (;;) {
		unsigned seq = get(&b->seq);
		bool ok;

		if (seq & 1)
			continue;
		ok = look(b, addr, h);
		if (likely(get(&b->seq) == seq))
			return ok;
	}
}

/* The whole access lies in the region, and the chip takes it at once */
static bool fits(const struct hit *h, uint64_t addr, unsigned size)
{
	return size <= h->len - (addr - h->base) && (!h->ops->max_size || size <= h->ops->max_size);
}

/* Width of the pieces of an access that does not fit: the chip's own if all of it is the chip's, else bytes */
static unsigned piece(const struct hit *h, bool found, uint64_t addr, unsigned size)
{
	return found && size <= h->len - (addr - h->base) ? h->ops->max_size : 1;
}

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size)
{
	struct hit h;
	bool found = find(b, addr, &h);
	uint64_t ones = size >= 8 ? ~0ull : (1ull << 8 * size) - 1, val = 0;
	unsigned w;

	if (found && fits(&h, addr, size))
		return h.ops->read ? h.ops->read(h.dev, addr - h.base, size) & ones : ones;
	if (size <= 1)
		return ones;
	w = piece(&h, found, addr, size);
	for (unsigned i = 0; i < size; i += w)
		val |= bus_read(b, addr + i, w) << 8 * i;
	return val;
}

void bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t val)
{
	struct hit h;
	bool found = find(b, addr, &h);
	uint64_t ones = size >= 8 ? ~0ull : (1ull << 8 * size) - 1;
	unsigned w;

	if (found && fits(&h, addr, size)) {
		if (h.ops->write)
			h.ops->write(h.dev, addr - h.base, size, val & ones);
		return;
	}
	if (size <= 1)
		return;
	w = piece(&h, found, addr, size);
	for (unsigned i = 0; i < size; i += w)
		bus_write(b, addr + i, w, val >> 8 * i);
}
