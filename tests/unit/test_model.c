/* test_model.c - --cpu: models, features added and taken away, and what CPUID and the decoder make of them. */
#include "cmocka_all.h"

#include <errno.h>

#include "base/err.h"
#include "engine/soft/cpuid.h"
#include "engine/soft/fp.h"
#include "engine/soft/model.h"

#define BIT(n) (1ull << (n))

static uint64_t parse(const char *spec)
{
	uint64_t f = 0;
	struct err e = { "" };

	assert_int_equal(model_parse(spec, &f, &e), 0);
	return f;
}

static void refused(const char *spec, const char *word)
{
	uint64_t f = 42;
	struct err e = { "" };

	assert_int_equal(model_parse(spec, &f, &e), -EINVAL);
	assert_int_equal(f, 42);
	assert_non_null(strstr(e.msg, word));
}

static void test_models(void **state)
{
	assert_int_equal(parse(NULL) & ~model_max(), 0);
	assert_int_equal(parse("max"), model_max());
	assert_int_equal(parse("host") & ~parse("max"), 0);
	assert_true(parse("base") & BIT(F_SSE2));
	assert_false(parse("base") & (BIT(F_SSE3) | BIT(F_XSAVE) | BIT(F_BMI1) | BIT(F_POPCNT)));
	refused("", "models are");
	refused("v4", "models are");
	refused("V3", "models are");
	refused("base,xsave", "+xsave");
	refused("base,+x87", "no feature 'x87'");
	refused("base,+", "");
	refused("base,", "");
	refused("base,-mmx", "no feature 'mmx'");
}

static void test_dependencies(void **state)
{
	uint64_t all = BIT(F_AVX) | BIT(F_AVX2) | BIT(F_FMA) | BIT(F_F16C) | BIT(F_VAES) | BIT(F_VPCLMUL);

	assert_int_equal(parse("max,-avx") & all, 0);
	assert_int_equal(parse("max,-xsave") & (all | BIT(F_XSAVE) | BIT(F_XSAVEC) | BIT(F_XSAVES) | BIT(F_XSAVEOPT)), 0);
	assert_int_equal(parse("base,+bmi1,-bmi1"), parse("base"));
	assert_int_equal(parse("base,+xsaves"), parse("base") | BIT(F_XSAVE) | BIT(F_XSAVEC) | BIT(F_XSAVES));
	if (model_max() & BIT(F_AVX2))
		assert_int_equal(parse("base,+avx2"), parse("base") | BIT(F_XSAVE) | BIT(F_AVX) | BIT(F_AVX2));
	else
		refused("base,+avx2", "-avx");
}

/* CPUID agrees with the features, and so do CR4 and XCR0 */
static void test_cpuid(void **state)
{
	static struct cpu c;
	uint32_t r[4];

	c.features = parse("base");
	cpuid_get(&c, 7, 0, r);
	assert_int_equal(r[1] & (1u << 3 | 1u << 5 | 1u << 8 | 1u << 7 | 1u << 20), 0);
	cpuid_get(&c, 0xd, 0, r);
	assert_true(!r[0] && !r[1] && !r[2]);
	assert_int_equal(cpuid_cr4_mask(&c) & (CR4_OSXSAVE | CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE), 0);
	c.features = parse("base,+xsave,+smep,+fsgsbase");
	assert_int_equal(cpuid_cr4_mask(&c) & (CR4_OSXSAVE | CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE),
	                 CR4_OSXSAVE | CR4_SMEP | CR4_FSGSBASE);
	c.xcr0 = 1;
	cpuid_get(&c, 0xd, 0, r);
	assert_int_equal(r[0], 3);
	assert_int_equal(r[2], 576);
	cpuid_get(&c, 0xd, 1, r);
	assert_int_equal(r[0], 0);
	c.features |= BIT(F_AVX);
	c.xcr0 = 7;
	cpuid_get(&c, 0xd, 0, r);
	assert_int_equal(r[0], 7);
	assert_int_equal(r[1], 832);
	cpuid_get(&c, 0xd, 2, r);
	assert_int_equal(r[0], 256);
	assert_int_equal(r[1], 576);
	cpuid_get(&c, 1, 0, r);
	assert_true(r[2] >> 28 & 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_dependencies),
		cmocka_unit_test(test_cpuid),
	};
	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
