/* test_boot_tables.c - ACPI and MP tables: sums, pointers, what they say, and that both agree. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "boot/acpi.h"
#include "boot/aml.h"
#include "boot/mptable.h"
#include "unit/boot_fixture.h"

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

static const uint8_t *at(struct guest *g, uint64_t gpa, size_t len)
{
	const uint8_t *p = mem_ptr(&g->mem, gpa, len);

	assert_non_null(p);
	return p;
}

/* The table at gpa, its header checked */
static const uint8_t *table(struct guest *g, uint64_t gpa, const char *sig)
{
	const uint8_t *p = at(g, gpa, 36);
	uint32_t len = le32_load(p + 4);

	assert_memory_equal(p, sig, 4);
	assert_true(len >= 36 && gpa + len <= LAYOUT_ACPI + LAYOUT_ACPI_LEN);
	assert_int_equal(sum(at(g, gpa, len), len), 0);
	return p;
}

static void acpi(void **state)
{
	static const unsigned cpus[] = { 1, 2, 14, 15, 64, 254 };

	for (unsigned k = 0; k < ARRAY_LEN(cpus); k++) {
		struct guest *g = guest_make(2 * MIB);
		uint64_t rsdp = 0;
		assert_int_equal(acpi_write(&g->mem, cpus[k], &rsdp, NULL), 0);
		assert_true(rsdp >= 0xe0000 && rsdp < 0x100000 && rsdp % 16 == 0);
		const uint8_t *r = at(g, rsdp, 36);
		assert_memory_equal(r, "RSD PTR ", 8);
		assert_int_equal(r[15], 2);
		assert_int_equal(sum(r, 20), 0);
		assert_int_equal(sum(r, 36), 0);
		const uint8_t *x = table(g, le64_load(r + 24), "XSDT");
		assert_int_equal(le32_load(x + 4), 36 + 3 * 8);

		const uint8_t *f = table(g, le64_load(x + 36), "FACP");
		assert_int_equal(le32_load(f + 4), 276);
		table(g, le32_load(f + 40), "DSDT");
		assert_int_equal(le64_load(f + 140), le32_load(f + 40));
		assert_memory_equal(at(g, le32_load(f + 36), 64), "FACS\x40\0\0\0", 8);
		assert_int_equal(le32_load(f + 36) % 64, 0);
		assert_int_equal(le16_load(f + 46), 9);
		assert_int_equal(le32_load(f + 48), 0); /* no SMI: always in ACPI mode */
		assert_int_equal(le32_load(f + 56), 0x600);
		assert_int_equal(le32_load(f + 64), 0x604);
		assert_int_equal(le32_load(f + 76), 0x608);
		assert_int_equal(le32_load(f + 80), 0x620);
		uint32_t flags = le32_load(f + 112);
		assert_true(flags & 1u << 10);              /* reset register */
		assert_false(flags & (1u << 4 | 1u << 20)); /* power button fixed; not hardware-reduced */
		assert_int_equal(le64_load(f + 120), 0xcf9);
		assert_int_equal(f[128], 6);

		const uint8_t *m = table(g, le64_load(x + 44), "APIC"), *end = m + le32_load(m + 4);
		unsigned seen = 0, other[256] = { 0 };
		for (const uint8_t *p = m + 44; p < end; p += p[1]) {
			assert_true(p[1] >= 6);
			other[p[0]]++;
			if (p[0] == 0) {
				assert_int_equal(p[3], seen++);
				assert_int_equal(le32_load(p + 4), 1);
			} else if (p[0] == 1) {
				assert_int_equal(le32_load(p + 4), LAYOUT_IOAPIC);
				assert_true(p[2] < 15 && (p[2] >= cpus[k] || cpus[k] > 14));
			} else if (p[0] == 2) {
				assert_int_equal(le32_load(p + 4), p[3] == 0 ? 2 : 9);
				assert_int_equal(le16_load(p + 8), p[3] == 0 ? 0 : 0xd);
			}
		}
		assert_int_equal(seen, cpus[k]);
		assert_int_equal(other[1], 1);
		assert_int_equal(other[2], 2);
		const uint8_t *c = table(g, le64_load(x + 52), "MCFG");
		assert_int_equal(le32_load(c + 4), 60);
		assert_int_equal(le64_load(c + 44), LAYOUT_PCI_ECAM);
		assert_int_equal(le32_load(c + 52), (LAYOUT_PCI_BUSES - 1) << 24);
		guest_free(g);
	}
}

static void mp(void **state)
{
	static const unsigned cpus[] = { 1, 2, 64, 254 };

	for (unsigned k = 0; k < ARRAY_LEN(cpus); k++) {
		struct guest *g = guest_make(2 * MIB);
		assert_int_equal(mptable_write(&g->mem, cpus[k], NULL), 0);
		assert_int_equal(guest_load32(g, 0x40e) & 0xffff, LAYOUT_MPTABLE >> 4);
		const uint8_t *f = at(g, LAYOUT_MPTABLE, 16);
		assert_memory_equal(f, "_MP_", 4);
		assert_int_equal(sum(f, 16), 0);
		uint64_t gpa = le32_load(f + 4);
		const uint8_t *t = at(g, gpa, 44);
		unsigned len = le16_load(t + 4), n = le16_load(t + 34);
		assert_memory_equal(t, "PCMP", 4);
		assert_int_equal(sum(at(g, gpa, len), len), 0);
		const uint8_t *p = t + 44;
		unsigned count[5] = { 0 };
		while (n--) {
			assert_true(p < t + len && p[0] <= 4);
			if (p[0] == 0) {
				assert_int_equal(p[1], count[0]);
				assert_int_equal(p[3], count[0] ? 1 : 3);
			}
			if (p[0] == 2)
				assert_int_equal(p[1], acpi_ioapic_id(cpus[k]));
			if (p[0] == 3 && p[1] == 0)
				assert_int_equal(p[7], p[5] == 0 ? 2 : p[5]);
			count[p[0]]++;
			p += p[0] ? 8 : 20;
		}
		assert_ptr_equal(p, t + len);
		assert_int_equal(count[0], cpus[k]);
		assert_int_equal(count[1], 1);
		assert_int_equal(count[2], 1);
		assert_int_equal(count[3], 16);
		assert_int_equal(count[4], 2);
		guest_free(g);
	}
}

static void no_room(void **state)
{
	struct guest *g = guest_make(64 << 10);
	struct err e = { 0 };
	uint64_t rsdp = 7;

	assert_int_equal(acpi_write(&g->mem, 1, &rsdp, &e), -ENOMEM);
	assert_int_equal(rsdp, 7);
	assert_int_equal(mptable_write(&g->mem, 1, NULL), -ENOMEM);
	assert_int_equal(acpi_write(&g->mem, 0, &rsdp, NULL), -EINVAL);
	assert_int_equal(acpi_write(&g->mem, 255, &rsdp, NULL), -EINVAL);
	assert_int_equal(mptable_write(&g->mem, 255, NULL), -EINVAL);
	guest_free(g);
}

static void aml(void **state)
{
	static const uint8_t want[] = {
		0x10, 0x2d, '\\', '_',  'S',  'B',  '_',  0x5b, 0x82, 0x25, 'C',  'O',  'M',
		'1',  0x08, '_',  'H',  'I',  'D',  0x0c, 0x41, 0xd0, 0x05, 0x01, /* EISAID("PNP0501") as iasl gives it
										   */
		0x08, '_',  'C',  'R',  'S',  0x11, 0x10, 0x0a, 0x0d, 0x47, 0x01, 0xf8, 0x03,
		0xf8, 0x03, 0x01, 0x08, 0x22, 0x10, 0x00, 0x79, 0x00, 0x08,
	};
	static const struct aml_ports com1 = { 0x3f8, 8 };
	uint8_t buf[256];
	struct aml a = { .buf = buf, .cap = sizeof(buf) };

	size_t sb = aml_scope(&a, "\\_SB_"), dev = aml_device(&a, "COM1");
	aml_name_eisaid(&a, "_HID", "PNP0501");
	aml_crs(&a, &com1, 1, 4);
	aml_end(&a, dev);
	aml_end(&a, sb);
	aml_name_int(&a, "ABCD", 0x12345678);
	assert_false(a.full);
	assert_int_equal(a.len, sizeof(want) + 9);
	assert_memory_equal(buf, want, sizeof(want));
	assert_memory_equal(buf + sizeof(want), "ABCD\x0c\x78\x56\x34\x12", 9);

	/* A block over 63 bytes has a length of two bytes: 40h | low nibble, then the rest */
	a = (struct aml){ .buf = buf, .cap = sizeof(buf) };
	sb = aml_scope(&a, "\\_SB_");
	for (unsigned i = 0; i < 10; i++)
		aml_name_int(&a, "ABCD", i);
	aml_end(&a, sb);
	assert_int_equal(buf[1], 0x40 | ((a.len - 1) & 15));
	assert_int_equal(buf[2], (a.len - 1) >> 4);
	assert_int_equal(a.len, 1 + 2 + 5 + 2 * 6 + 8 * 7);

	/* Every capacity that is too small is noticed, and nothing is written beyond it */
	for (size_t cap = 0; cap < 76; cap++) {
		uint8_t *small = malloc(cap + 1);
		a = (struct aml){ .buf = small, .cap = cap };
		sb = aml_scope(&a, "\\_SB_");
		for (unsigned i = 0; i < 10; i++)
			aml_name_int(&a, "ABCD", i);
		aml_end(&a, sb);
		assert_true(a.full);
		free(small);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acpi),
		cmocka_unit_test(mp),
		cmocka_unit_test(no_room),
		cmocka_unit_test(aml),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
