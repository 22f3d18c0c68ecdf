/* test_config.c - sizes, numbers, defaults and the rules of a configuration. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "config/config.h"
#include "config/size.h"

static void sizes(void **state)
{
	static const struct { const char *text; int r; uint64_t val; } rows[] = {
		{ "0", 0, 0 }, { "1", 0, 1 }, { "4096", 0, 4096 }, { "0x1000", 0, 4096 }, { "0X10", 0, 16 },
		{ "128M", 0, 128ull << 20 }, { "128m", 0, 128ull << 20 }, { "1G", 0, 1ull << 30 }, { "64K", 0, 65536 },
		{ "2T", 0, 2ull << 40 }, { "128MB", 0, 128ull << 20 }, { "128MiB", 0, 128ull << 20 },
		{ "18446744073709551615", 0, UINT64_MAX }, { "0xffffffffffffffff", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 }, { "0x10000000000000000", -ERANGE, 0 },
		{ "16777216T", -ERANGE, 0 }, { "99999999999999999999G", -ERANGE, 0 },
		{ "", -EINVAL, 0 }, { "-1", -EINVAL, 0 }, { "+1", -EINVAL, 0 }, { " 1", -EINVAL, 0 }, { "1 ", -EINVAL, 0 },
		{ "M", -EINVAL, 0 }, { "0x", -EINVAL, 0 }, { "0xg", -EINVAL, 0 }, { "1.5G", -EINVAL, 0 },
		{ "12Q", -EINVAL, 0 }, { "1MM", -EINVAL, 0 }, { "1Mx", -EINVAL, 0 }, { "abc", -EINVAL, 0 }, { "1e9", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t v = 77;
		int r = size_parse(rows[i].text, &v);

		if (r != rows[i].r || v != (r ? 77 : rows[i].val))
			fail_msg("size_parse(\"%s\"): %d, %llu", rows[i].text, r, (unsigned long long)v);
	}
}

static void numbers(void **state)
{
	uint64_t v = 77;

	assert_int_equal(number_parse("64", &v), 0);
	assert_int_equal(v, 64);
	assert_int_equal(number_parse("0x40", &v), 0);
	assert_int_equal(v, 64);
	assert_int_equal(number_parse("1K", &v), -EINVAL);
	assert_int_equal(number_parse("-1", &v), -EINVAL);
	assert_int_equal(v, 64);
}

static void size_words(void **state)
{
	char buf[32];

	assert_string_equal(size_format(0, buf), "0 bytes");
	assert_string_equal(size_format(1000, buf), "1000 bytes");
	assert_string_equal(size_format(128ull << 20, buf), "128 MB");
	assert_string_equal(size_format(1ull << 40, buf), "1024 GB");
}

static void defaults(void **state)
{
	struct config c;
	struct err e = { "" };

	config_init(&c);
	assert_int_equal(c.mem, 512ull << 20);
	assert_int_equal(c.cpus, 1);
	assert_int_equal(c.entry, 0x1000);
	assert_string_equal(c.engine, "auto");
	assert_string_equal(config_cmdline(&c), "console=ttyS0 earlyprintk=serial panic=1");
	c.console = true;
	assert_string_equal(config_cmdline(&c), "console=hvc0 earlyprintk=serial panic=1");
	c.cmdline = "";
	assert_string_equal(config_cmdline(&c), "");
	c.console = false;
	c.kernel = "k";
	assert_int_equal(config_check(&c, &e), 0);
	assert_string_equal(e.msg, "");
}

/* Each row spoils one thing in an otherwise good configuration */
static void spoil_none(struct config *c) { c->kernel = c->binary = NULL; }
static void spoil_both(struct config *c) { c->binary = "b"; }
static void spoil_entry(struct config *c) { c->entry_given = true; }
static void spoil_mode(struct config *c) { c->mode_given = true; }
static void spoil_initrd(struct config *c) { c->binary = "b", c->kernel = NULL, c->initrd = "i"; }
static void spoil_cmdline(struct config *c) { c->binary = "b", c->kernel = NULL, c->cmdline = "c"; }
static void spoil_mem_zero(struct config *c) { c->mem = 0; }
static void spoil_mem_small(struct config *c) { c->mem = CONFIG_MEM_MIN - 4096; }
static void spoil_mem_huge(struct config *c) { c->mem = CONFIG_MEM_MAX + 4096; }
static void spoil_mem_odd(struct config *c) { c->mem = (64 << 20) + 1; }
static void spoil_cpus_zero(struct config *c) { c->cpus = 0; }
static void spoil_cpus_huge(struct config *c) { c->cpus = 65; }
static void spoil_log(struct config *c) { c->log = 5; }

static void rules(void **state)
{
	static const struct { void (*spoil)(struct config *); int r; const char *says; } rows[] = {
		{ spoil_none, -EINVAL, "nothing to run" }, { spoil_both, -EINVAL, "exclude each other" },
		{ spoil_entry, -EINVAL, "--entry needs --binary" }, { spoil_mode, -EINVAL, "--mode needs --binary" },
		{ spoil_initrd, -EINVAL, "--initrd needs --kernel" }, { spoil_cmdline, -EINVAL, "--cmdline needs --kernel" },
		{ spoil_mem_zero, -ERANGE, "--mem is 0 bytes" }, { spoil_mem_small, -ERANGE, "between 2 MB and" },
		{ spoil_mem_huge, -ERANGE, "1024 GB" }, { spoil_mem_odd, -ERANGE, "multiple of 4096" },
		{ spoil_cpus_zero, -ERANGE, "--cpus is 0" }, { spoil_cpus_huge, -ERANGE, "between 1 and 64" },
		{ spoil_log, -ERANGE, "--log is 5" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config c;
		struct err e = { "" };
		int r;

		config_init(&c);
		c.kernel = "k";
		rows[i].spoil(&c);
		r = config_check(&c, &e);
		if (r != rows[i].r || !strstr(e.msg, rows[i].says))
			fail_msg("row %zu: %d '%s'", i, r, e.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes), cmocka_unit_test(numbers), cmocka_unit_test(size_words),
		cmocka_unit_test(defaults), cmocka_unit_test(rules),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
