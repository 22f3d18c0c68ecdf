/* memmap.c - guest RAM: reserves it on the host and copies in and out of it. */
#include "core/memmap.h"

#include "base/bytes.h"
#include "base/err.h"

#include <errno.h>
#include <sys/mman.h>

#define HUGE (2ull << 20)
#define GUARD (1ull << 20) /* inaccessible on either side of a slot: stray accesses fault */

/* Reserves len bytes at a multiple of 2 MiB, with a guard on both sides; all of it is inaccessible yet. */
static uint8_t *reserve(uint64_t len)
{
	uint64_t whole = len + 2 * GUARD + HUGE;
	uint8_t *p = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t head, tail;

	if (p == MAP_FAILED)
		return NULL;
	head = align_up((uintptr_t)p + GUARD, HUGE) - GUARD - (uintptr_t)p;
	tail = whole - head - len - 2 * GUARD;
	if (head)
		munmap(p, head);
	if (tail)
		munmap(p + head + len + 2 * GUARD, tail);
	return p + head + GUARD;
}

static void release(uint8_t *hva, uint64_t len)
{
	munmap(hva - GUARD, len + 2 * GUARD);
}

int mem_add_ram(struct memmap *m, uint64_t gpa, uint64_t len, struct err *e)
{
	uint64_t end;
	uint8_t *hva;

	if (!len || (gpa | len) % PAGE_SIZE_4K || __builtin_add_overflow(gpa, len, &end) || len > 1ull << 46)
		return err_set(e, -EINVAL, "guest memory of 0x%llx bytes at 0x%llx: not a range of whole pages",
			       (unsigned long long)len, (unsigned long long)gpa);
	for (unsigned i = 0; i < m->nslots; i++) {
		if (ranges_overlap(gpa, len, m->slots[i].gpa, m->slots[i].len))
			return err_set(e, -EEXIST, "guest memory at 0x%llx overlaps the memory at 0x%llx",
				       (unsigned long long)gpa, (unsigned long long)m->slots[i].gpa);
	}
	if (m->nslots == MEM_SLOTS_MAX)
		return err_set(e, -ENOSPC, "guest memory at 0x%llx: more than %u pieces of memory",
			       (unsigned long long)gpa, MEM_SLOTS_MAX);
	hva = reserve(len);
	if (!hva)
		return err_set(e, -ENOMEM, "guest memory of %llu MiB: the host has not that much address space for us; "
			       "ask for less with --mem", (unsigned long long)(len >> 20));
	if (mprotect(hva, len, PROT_READ | PROT_WRITE) < 0) {
		release(hva, len);
		return err_set(e, -ENOMEM, "guest memory of %llu MiB: the host has not that much memory for us; "
			       "ask for less with --mem", (unsigned long long)(len >> 20));
	}
	/* Both are wishes: a host without huge pages, or without core dumps to spare, works as well */
#ifdef MADV_HUGEPAGE
	madvise(hva, len, MADV_HUGEPAGE);
#endif
#ifdef MADV_DONTDUMP
	madvise(hva, len, MADV_DONTDUMP);
#endif
	m->slots[m->nslots++] = (struct mem_slot){ .gpa = gpa, .len = len, .hva = hva };
	return 0;
}

void mem_fini(struct memmap *m)
{
	while (m->nslots) {
		struct mem_slot *s = &m->slots[--m->nslots];

		release(s->hva, s->len);
	}
}

const struct mem_slot *mem_slot_find(const struct memmap *m, uint64_t gpa)
{
	for (unsigned i = 0; i < m->nslots; i++) {
		if (gpa - m->slots[i].gpa < m->slots[i].len)
			return &m->slots[i];
	}
	return NULL;
}

void *mem_ptr(const struct memmap *m, uint64_t gpa, uint64_t len)
{
	const struct mem_slot *s = mem_slot_find(m, gpa);

	if (!s || !len || len > s->len - (gpa - s->gpa))
		return NULL;
	return s->hva + (gpa - s->gpa);
}

void mem_written(const struct memmap *m, const void *hva, uint64_t len)
{
	for (unsigned i = 0; m->written && i < m->nslots; i++) {
		uint64_t off = (uint64_t)((uintptr_t)hva - (uintptr_t)m->slots[i].hva);

		if (off < m->slots[i].len && len <= m->slots[i].len - off) {
			m->written(m->written_ctx, m->slots[i].gpa + off, len);
			return;
		}
	}
}

int mem_discard(const struct memmap *m, void *hva, uint64_t len)
{
	uint64_t before = -(uintptr_t)hva % PAGE_SIZE_4K;
	uint8_t *p = (uint8_t *)hva + before;

	if (len < before + PAGE_SIZE_4K)
		return 0;
	len = align_down(len - before, PAGE_SIZE_4K);
	if (madvise(p, len, MADV_DONTNEED) < 0)
		return -errno;
	mem_written(m, p, len);
	return 0;
}

/* Calls for each piece of [gpa, gpa+len) within one slot; piece by piece, as slots may adjoin */
static int copy(const struct memmap *m, uint64_t gpa, uint8_t *buf, uint64_t len, bool write)
{
	uint64_t n;

	for (uint64_t at = 0; at < len; at += n) {
		const struct mem_slot *s = gpa + at < gpa ? NULL : mem_slot_find(m, gpa + at);

		if (!s)
			return -EFAULT;
		n = s->len - (gpa + at - s->gpa);
	}
	for (uint64_t at = 0; at < len; at += n) {
		const struct mem_slot *s = mem_slot_find(m, gpa + at);
		uint64_t off = gpa + at - s->gpa;

		n = s->len - off < len - at ? s->len - off : len - at;
		if (!write) {
			memcpy(buf + at, s->hva + off, n);
		} else if (!s->readonly) {
			memcpy(s->hva + off, buf + at, n);
			if (m->written)
				m->written(m->written_ctx, gpa + at, n);
		}
	}
	return 0;
}

int mem_read(const struct memmap *m, uint64_t gpa, void *buf, uint64_t len)
{
	return copy(m, gpa, buf, len, false);
}

int mem_write(struct memmap *m, uint64_t gpa, const void *buf, uint64_t len)
{
	return copy(m, gpa, (uint8_t *)(uintptr_t)buf, len, true);
}
