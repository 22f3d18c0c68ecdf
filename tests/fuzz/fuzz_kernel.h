/* fuzz_kernel.h - loads a fuzzer's bytes as a kernel into a small guest. */
#ifndef FUZZ_KERNEL_H
#define FUZZ_KERNEL_H

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "boot/files.h"
#include "boot/loader.h"
#include "core/memmap.h"

#define FUZZ_RAM (40ull << 20)

static inline void fuzz_load(const uint8_t *data, size_t size,
			     int (*load)(struct loader *, const struct buf *, struct err *))
{
	static struct memmap mem;
	static struct loader l;
	static const struct boot_config cfg = { .kernel = "fuzz", .ncpus = 1 };
	struct err e = { 0 };
	struct buf file = { .len = size };

	if (!mem.nslots && mem_add_ram(&mem, 0, FUZZ_RAM, NULL))
		abort();
	/* A copy of exactly that size: the sanitizer sees every byte read beyond it */
	file.data = malloc(size);
	if (!file.data)
		return;
	memcpy(file.data, data, size);
	l = (struct loader){ .cfg = &cfg, .cmdline = "quiet", .mem = &mem, .initrd_fd = -1 };
	if (place_init(&l.place, &mem, NULL) || place_take(&l.place, 0, LOADER_LOW_END))
		abort();
	int rc = load(&l, &file, &e);
	if (rc > 0 || (rc && !e.msg[0]))
		abort(); /* every failure has its sentence */
	if (!rc && (l.info.entry_gpa < l.info.load_gpa || l.info.entry_gpa >= FUZZ_RAM ||
		    l.info.load_gpa < LOADER_LOW_END || l.info.load_gpa + l.info.load_len > FUZZ_RAM))
		abort();
	free(file.data);
}

#endif
