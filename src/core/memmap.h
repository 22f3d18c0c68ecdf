/* memmap.h - guest-physical memory: slots of host memory, and the only way into them.
 *
 *   0            LAYOUT_LOW_RAM_END (3 GiB)        4 GiB
 *   | RAM slot 0 |   hole: devices, APICs, PCI    | RAM slot 1 (what is above 3 GiB) |
 *
 * Slots are added at start-up, before vcpus run, and are constant from then on. */
#ifndef CORE_MEMMAP_H
#define CORE_MEMMAP_H

#include <stdbool.h>
#include <stdint.h>

struct err;

#define MEM_SLOTS_MAX 8
#define PAGE_SIZE_4K 4096ull

struct mem_slot {
	uint64_t gpa, len; /* bytes, page aligned */
	uint8_t *hva;
	bool readonly; /* ROM: guest writes are dropped */
};

struct memmap {
	unsigned nslots;
	struct mem_slot slots[MEM_SLOTS_MAX];
	/* Who caches what RAM holds (an engine its decoded code) hears of devices' writes. Set before vcpus
	 * run, called on any thread; may be NULL. */
	void (*written)(void *ctx, uint64_t gpa, uint64_t len);
	void *written_ctx;
};

/* Anonymous memory, 2 MiB aligned, with transparent huge pages asked for. The memmap owns it. */
int mem_add_ram(struct memmap *, uint64_t gpa, uint64_t len, struct err *e);
void mem_fini(struct memmap *);

/* The slot that holds gpa, or NULL */
const struct mem_slot *mem_slot_find(const struct memmap *, uint64_t gpa);

/* Host address of [gpa, gpa+len), NULL unless all of it lies in one slot. len 0 gives NULL. */
void *mem_ptr(const struct memmap *, uint64_t gpa, uint64_t len);

/* A device has written [hva, hva+len), which it got from mem_ptr. mem_write tells by itself. */
void mem_written(const struct memmap *, const void *hva, uint64_t len);

/* Gives the whole pages in [hva, hva+len), which is RAM from mem_ptr, back to the host: they read as zeroes
 * until they are written. 0, or -errno as the host says. */
int mem_discard(const struct memmap *, void *hva, uint64_t len);

/* Copies; 0 or -EFAULT when any byte is outside RAM (nothing is copied then). May span slots' pages. */
int mem_read(const struct memmap *, uint64_t gpa, void *buf, uint64_t len);
int mem_write(struct memmap *, uint64_t gpa, const void *buf, uint64_t len);

#endif
