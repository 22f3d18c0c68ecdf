/* test_boot_raw.c - raw binaries: the example's layout in every mode, tables out of the way, refusals. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "unit/boot_fixture.h"

static int boot_raw(struct guest *g, const void *data, size_t len, uint64_t entry, enum boot_mode mode)
{
	char path[64];

	snprintf(path, sizeof(path), "%s", file_make(data, len));
	struct boot_config c = { .binary = path, .entry = entry, .mode = mode, .ncpus = 1 };
	int rc = guest_boot(g, &c);
	unlink(path);
	return rc;
}

/* Walks our tables as the CPU would: the entry for va, its page size known to be 2 MiB */
static uint64_t walk(struct guest *g, uint64_t va)
{
	uint64_t t = g->s.cr3;

	for (int shift = 39; shift > 21; shift -= 9) {
		t = guest_load64(g, t + (va >> shift & 511) * 8);
		assert_int_equal(t & 0xfff, 3);
		t &= ~0xfffull;
	}
	return guest_load64(g, t + (va >> 21 & 511) * 8);
}

static void check_gdt(struct guest *g, uint64_t code)
{
	assert_int_equal(g->s.gdt.limit, 47);
	assert_int_equal(guest_load64(g, g->s.gdt.base), 0);
	assert_int_equal(guest_load64(g, g->s.gdt.base + 8), code);
	assert_int_equal(guest_load64(g, g->s.gdt.base + 16), 0x00cf93000000ffff);
	assert_int_equal(guest_load64(g, g->s.gdt.base + 24), 0x0000890000000067);
}

static void long_mode(void **state)
{
	struct guest *g = guest_make(128 * MIB);
	static const uint8_t code[24] = { 0xfa, 0xf4 };

	memset(mem_ptr(&g->mem, 0, 128 * MIB), 0xa5, 128 * MIB);
	assert_int_equal(boot_raw(g, code, sizeof(code), 0x1000, BOOT_LONG), 0);
	const struct x86_state *s = &g->s;
	assert_memory_equal(mem_ptr(&g->mem, 0x1000, 24), code, 24);
	assert_int_equal(s->rip, 0x1000);
	assert_int_equal(s->gpr[RSP], 0x2000);
	assert_int_equal(s->rflags, 2);
	assert_int_equal(s->seg[CS].sel, 8);
	assert_int_equal(s->seg[CS].attr, 0xa09b);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (i != CS) {
			assert_int_equal(s->seg[i].sel, 0x10);
			assert_int_equal(s->seg[i].attr, 0xc093);
		}
	assert_int_equal(s->efer, EFER_LME | EFER_LMA);
	assert_int_equal(s->cr0, CR0_PE | CR0_ET | CR0_NE | CR0_PG);
	assert_int_equal(s->cr4, CR4_PAE);
	check_gdt(g, 0x00af9b000000ffff);
	for (uint64_t va = 0; va < LAYOUT_HIGH_RAM; va += 2 * MIB)
		assert_int_equal(walk(g, va), va | 0x83);
	assert_int_equal(guest_load64(g, s->cr3 + 8), 0);
	/* All tables are behind file and stack, and within memory */
	assert_true(s->cr3 >= 127 * MIB && s->gdt.base + 48 <= 128 * MIB);
	guest_free(g);
}

static void high_memory(void **state)
{
	struct guest *g = guest_make(64 * MIB);
	static const uint8_t code[5] = "abcde";

	assert_int_equal(mem_add_ram(&g->mem, LAYOUT_HIGH_RAM, 4 * MIB, NULL), 0);
	assert_int_equal(boot_raw(g, code, 5, LAYOUT_HIGH_RAM + 0x1003, BOOT_LONG), 0);
	assert_memory_equal(mem_ptr(&g->mem, LAYOUT_HIGH_RAM + 0x1003, 5), code, 5);
	assert_int_equal(g->s.rip, LAYOUT_HIGH_RAM + 0x1003);
	assert_int_equal(walk(g, LAYOUT_HIGH_RAM), LAYOUT_HIGH_RAM | 0x83);
	assert_true(g->s.cr3 < 64 * MIB);
	guest_free(g);
}

static void other_modes(void **state)
{
	struct guest *g = guest_make(4 * MIB);
	static const uint8_t code[3] = "xyz";

	assert_int_equal(boot_raw(g, code, 3, 0x1000, BOOT_PROTECTED), 0);
	assert_int_equal(g->s.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(g->s.seg[CS].attr, 0xc09b);
	assert_int_equal(g->s.seg[CS].sel, 8);
	assert_int_equal(g->s.efer, 0);
	check_gdt(g, 0x00cf9b000000ffff);

	assert_int_equal(boot_raw(g, code, 3, 0x7c00, BOOT_REAL), 0);
	assert_int_equal(g->s.cr0 & CR0_PE, 0);
	assert_int_equal(g->s.seg[CS].sel, 0);
	assert_int_equal(g->s.rip, 0x7c00);
	assert_int_equal(g->s.gpr[RSP], 0x2000);
	assert_int_equal(g->s.idt.limit, 0x3ff);
	assert_int_equal(boot_raw(g, code, 3, 0x12345, BOOT_REAL), 0);
	assert_int_equal(g->s.seg[CS].sel, 0x1234);
	assert_int_equal(g->s.seg[CS].base, 0x12340);
	assert_int_equal(g->s.rip, 5);
	guest_free(g);
}

static void tables_evade(void **state)
{
	struct guest *g = guest_make(2 * MIB);
	uint8_t *big = calloc(1, 2 * MIB);

	/* The file takes the memory's end: tables go below it */
	assert_int_equal(boot_raw(g, big, MIB, MIB, BOOT_LONG), 0);
	assert_true(g->s.cr3 >= 0x2000 && g->s.gdt.base + 48 <= MIB);
	/* All but the room for the tables: 6 pages, and one for the GDT */
	assert_int_equal(boot_raw(g, big, 2 * MIB - 0x2000 - 0x7000, 0x2000, BOOT_LONG), 0);
	assert_int_equal(g->s.cr3, 2 * MIB - 0x7000);
	assert_int_equal(boot_raw(g, big, 2 * MIB - 0x2000 - 0x6fff, 0x2000, BOOT_LONG), -ENOMEM);
	assert_non_null(strstr(g->e.msg, "no room for 28 KiB of page tables"));
	/* Real mode needs none */
	assert_int_equal(boot_raw(g, big, 2 * MIB, 0, BOOT_REAL), 0);
	free(big);
	guest_free(g);
}

static void expect(struct guest *g, size_t len, uint64_t entry, enum boot_mode mode, int rc, const char *words)
{
	static uint8_t zeros[9000];

	int got = boot_raw(g, zeros, len, entry, mode);
	if (got != rc || !strstr(g->e.msg, words))
		fail_msg("wanted %d \"%s\", got %d \"%s\"", rc, words, got, g->e.msg);
}

static void refusals(void **state)
{
	struct guest *g = guest_make(4 * MIB);
	struct boot_config c = { .ncpus = 1 };

	expect(g, 0, 0x1000, BOOT_LONG, -EINVAL, "is empty");
	expect(g, 10, 4 * MIB, BOOT_LONG, -EINVAL, "--entry 0x400000 lies outside the guest's memory");
	expect(g, 10, UINT64_MAX, BOOT_LONG, -EINVAL, "outside");
	expect(g, 9000, 4 * MIB - 8999, BOOT_LONG, -EFBIG, "does not fit between --entry");
	expect(g, 10, 0x100000, BOOT_REAL, -EINVAL, "cannot be reached in real mode");
	expect(g, 10, LAYOUT_HIGH_RAM, BOOT_PROTECTED, -EINVAL, "cannot be reached in protected mode");
	assert_int_equal(guest_boot(g, &c), -EINVAL);
	assert_non_null(strstr(g->e.msg, "exactly one of"));
	c.binary = "/nonexistent";
	assert_int_equal(guest_boot(g, &c), -ENOENT);
	c.binary = "/tmp";
	assert_int_equal(guest_boot(g, &c), -EISDIR);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_mode),    cmocka_unit_test(high_memory), cmocka_unit_test(other_modes),
		cmocka_unit_test(tables_evade), cmocka_unit_test(refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
