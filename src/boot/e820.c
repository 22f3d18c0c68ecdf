/* e820.c - the map of memory that firmware gives to a kernel. */
#include "boot/e820.h"

#include <stdlib.h>

#include "core/layout.h"
#include "core/memmap.h"

#define MIB 0x100000ull

static void e820_add(struct e820 *m, uint64_t base, uint64_t end, uint32_t type)
{
	if (base < end && m->n < E820_MAX)
		m->e[m->n++] = (struct e820_entry){ base, end - base, type };
}

static int e820_order(const void *a, const void *b)
{
	const struct e820_entry *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

void e820_build(const struct memmap *mem, struct e820 *out)
{
	out->n = 0;
	e820_add(out, LAYOUT_MPTABLE, 0xa0000, E820_RESERVED);
	e820_add(out, LAYOUT_ACPI, LAYOUT_ACPI + LAYOUT_ACPI_LEN, E820_RESERVED);
	for (unsigned i = 0; i < mem->nslots; i++) {
		const struct mem_slot *s = &mem->slots[i];
		uint64_t end = s->gpa + s->len;
		if (s->readonly)
			continue;
		/* What lies in the legacy hole is RAM to us, but no kernel uses it as such */
		e820_add(out, s->gpa, end < LAYOUT_MPTABLE ? end : LAYOUT_MPTABLE, E820_RAM);
		e820_add(out, s->gpa > MIB ? s->gpa : MIB, end, E820_RAM);
	}
	e820_add(out, LAYOUT_PCI_ECAM, LAYOUT_PCI_ECAM + LAYOUT_PCI_ECAM_LEN, E820_RESERVED);
	qsort(out->e, out->n, sizeof(out->e[0]), e820_order);
}
