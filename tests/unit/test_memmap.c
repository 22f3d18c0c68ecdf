/* test_memmap.c - guest memory: slots, addresses, copies, guards. */
#include "unit/cmocka_all.h"

#include "base/err.h"
#include "core/memmap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MIB (1ull << 20)

static void adds_slots(void **state)
{
	struct memmap m = { 0 };
	struct err e = { "" };

	assert_int_equal(mem_add_ram(&m, 0, 3 * MIB, &e), 0);
	assert_int_equal((uintptr_t)m.slots[0].hva % (2 * MIB), 0);
	assert_int_equal(m.slots[0].hva[3 * MIB - 1], 0);
	assert_int_equal(mem_add_ram(&m, 2 * MIB, MIB, &e), -EEXIST);
	assert_non_null(strstr(e.msg, "overlaps"));
	assert_int_equal(mem_add_ram(&m, 4 * MIB, 100, NULL), -EINVAL);
	assert_int_equal(mem_add_ram(&m, 4 * MIB, 0, NULL), -EINVAL);
	assert_int_equal(mem_add_ram(&m, ~0xfffull, 8192, NULL), -EINVAL);
	while (m.nslots < MEM_SLOTS_MAX)
		assert_int_equal(mem_add_ram(&m, m.nslots * 4 * MIB, MIB, NULL), 0);
	assert_int_equal(mem_add_ram(&m, 1ull << 32, MIB, NULL), -ENOSPC);
	mem_fini(&m);
	assert_int_equal(m.nslots, 0);
}

static void finds(void **state)
{
	struct memmap m = { 0 };

	mem_add_ram(&m, 0, MIB, NULL);
	mem_add_ram(&m, 1ull << 32, MIB, NULL);
	assert_ptr_equal(mem_ptr(&m, 0, MIB), m.slots[0].hva);
	assert_ptr_equal(mem_ptr(&m, (1ull << 32) + 5, 1), m.slots[1].hva + 5);
	assert_null(mem_ptr(&m, 0, 0));
	assert_null(mem_ptr(&m, 1, MIB));
	assert_null(mem_ptr(&m, 1, ~0ull));
	assert_null(mem_ptr(&m, MIB, 1));
	assert_null(mem_ptr(&m, ~0ull, 1));
	assert_ptr_equal(mem_slot_find(&m, MIB - 1), &m.slots[0]);
	assert_null(mem_slot_find(&m, MIB));
	mem_fini(&m);
}

static void copies(void **state)
{
	struct memmap m = { 0 };
	char buf[16] = "";

	mem_add_ram(&m, 0, MIB, NULL);
	mem_add_ram(&m, MIB, MIB, NULL); /* adjoins */
	assert_int_equal(mem_write(&m, MIB - 4, "abcdefgh", 8), 0);
	assert_memory_equal(m.slots[1].hva, "efgh", 4);
	assert_int_equal(mem_read(&m, MIB - 2, buf, 4), 0);
	assert_string_equal(buf, "cdef");
	assert_int_equal(mem_write(&m, 2 * MIB - 2, "xyz", 3), -EFAULT);
	assert_int_equal(m.slots[1].hva[MIB - 1], 0); /* nothing was copied */
	assert_int_equal(mem_read(&m, ~0ull, buf, 4), -EFAULT);
	assert_int_equal(mem_read(&m, 5 * MIB, buf, 0), 0);
	m.slots[0].readonly = true;
	assert_int_equal(mem_write(&m, 0, "x", 1), 0);
	assert_int_equal(m.slots[0].hva[0], 0);
	mem_fini(&m);
}

static void guards(void **state)
{
	struct memmap m = { 0 };
	unsigned char vec;
	uint8_t *hva;

	mem_add_ram(&m, 0, MIB, NULL);
	hva = m.slots[0].hva;
	/* The pages around are mapped, so that nobody else's memory comes there */
	assert_int_equal(mincore(hva - 4096, 4096, (void *)&vec), 0);
	assert_int_equal(mincore(hva + MIB, 4096, (void *)&vec), 0);
	mem_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_slots), cmocka_unit_test(finds), cmocka_unit_test(copies), cmocka_unit_test(guards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
