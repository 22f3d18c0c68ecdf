/* test_options.c - the command line's parser. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/options.h"
#include "config/config.h"

/* Parses words separated by blanks ("_" stands for an empty word); they live until the next call */
static int parse(const char *line, struct config *c, struct err *e)
{
	static char buf[512];
	char *argv[32] = { (char *)"vibevmm" };
	int argc = 1;

	e->msg[0] = '\0';
	assert_true(strlen(line) < sizeof(buf));
	strcpy(buf, line);
	for (char *w = strtok(buf, " "); w; w = strtok(NULL, " "))
		argv[argc++] = strcmp(w, "_") ? w : w + 1;
	return options_parse(argc, argv, c, e);
}

static void seed_forms(void **state)
{
	struct config c;
	struct err e;

	assert_int_equal(parse("--binary tests/kernels/x86_64_simple.bin --entry 0x1000 --mem 128M --log 4", &c, &e), OPTIONS_RUN);
	assert_string_equal(c.binary, "tests/kernels/x86_64_simple.bin");
	assert_int_equal(c.entry, 0x1000);
	assert_true(c.entry_given);
	assert_int_equal(c.mem, 128ull << 20);
	assert_int_equal(c.log, 4);
	assert_int_equal(parse("--kernel bzImage --initrd initrd.img --cmdline quiet --mem 512M --cpus 2", &c, &e), OPTIONS_RUN);
	assert_string_equal(c.kernel, "bzImage");
	assert_string_equal(c.initrd, "initrd.img");
	assert_string_equal(c.cmdline, "quiet");
	assert_int_equal(c.cpus, 2);
	assert_int_equal(parse("--kernel bzImage --disk a --console --disk b", &c, &e), OPTIONS_RUN);
	assert_int_equal(c.ndisks, 2);
	assert_string_equal(c.disks[1].path, "b");
	assert_true(c.console);
}

static void other_forms(void **state)
{
	struct config c;
	struct err e;

	assert_int_equal(parse("--kernel=k --mem=1073741824 --reboot --engine=soft --cmdline=--x=y", &c, &e), OPTIONS_RUN);
	assert_string_equal(c.kernel, "k");
	assert_int_equal(c.mem, 1u << 30);
	assert_true(c.reboot);
	assert_string_equal(c.engine, "soft");
	assert_string_equal(c.cmdline, "--x=y");
	assert_int_equal(parse("--kernel k --cmdline _", &c, &e), OPTIONS_RUN);
	assert_string_equal(c.cmdline, "");
	assert_int_equal(parse("--binary b --mode real", &c, &e), OPTIONS_RUN);
	assert_int_equal(c.mode, CONFIG_REAL);
	assert_int_equal(parse("", &c, &e), OPTIONS_RUN);
	assert_int_equal(parse("--help", &c, &e), OPTIONS_HELP);
	assert_int_equal(parse("-h", &c, &e), OPTIONS_HELP);
	assert_int_equal(parse("--kernel k --version", &c, &e), OPTIONS_VERSION);
}

static void errors(void **state)
{
	static const struct { const char *line; int r; const char *says; } rows[] = {
		{ "--foo", -EINVAL, "unknown option '--foo'" }, { "-x", -EINVAL, "unknown option '-x'" },
		{ "--", -EINVAL, "unknown option '--'" }, { "--ker k", -EINVAL, "unknown option '--ker'" },
		{ "--kernelx", -EINVAL, "unknown option" }, { "bzImage", -EINVAL, "stray argument 'bzImage'" },
		{ "--kernel a b", -EINVAL, "stray argument 'b'" }, { "_", -EINVAL, "stray argument ''" },
		{ "--kernel", -EINVAL, "--kernel needs a value" }, { "--mem --cpus 1", -EINVAL, "--mem needs a value" },
		{ "--mem=", -EINVAL, "not empty" }, { "--console=yes", -EINVAL, "takes no value" },
		{ "--help=1", -EINVAL, "takes no value" }, { "--mem 1M --mem 2M", -EINVAL, "twice" },
		{ "--reboot --reboot", -EINVAL, "twice" },
		{ "--mem lots", -ERANGE, "'lots' is not a size" }, { "--mem -5", -ERANGE, "not a size" },
		{ "--cpus two", -ERANGE, "not a number" }, { "--cpus 99999999999999999999", -ERANGE, "too large" },
		{ "--entry 1000h", -ERANGE, "not a number" }, { "--log x", -ERANGE, "not a number" },
		{ "--mode virtual", -ERANGE, "none of long|protected|real" }, { "--mode lon", -ERANGE, "none of" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config c;
		struct err e;
		int r = parse(rows[i].line, &c, &e);

		if (r != rows[i].r || !strstr(e.msg, rows[i].says))
			fail_msg("'%s': %d '%s'", rows[i].line, r, e.msg);
	}
}

static void too_many_disks(void **state)
{
	char line[512] = "--kernel k";
	struct config c;
	struct err e;

	for (int i = 0; i < CONFIG_DISKS_MAX; i++)
		strcat(line, " --disk=d");
	assert_int_equal(parse(line, &c, &e), OPTIONS_RUN);
	assert_int_equal(c.ndisks, CONFIG_DISKS_MAX);
	strcat(line, " --disk=d");
	assert_int_equal(parse(line, &c, &e), -ERANGE);
}

/* Every option of the table is in the help, with lines that fit a terminal */
static void help_text(void **state)
{
	static const char *const names[] = { "--kernel", "--initrd", "--cmdline", "--mem", "--cpus", "--disk", "--console",
		"--binary", "--entry", "--mode", "--log", "--engine", "--reboot", "--help", "--version" };
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	options_print_help(f);
	fclose(f);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strstr(text, names[i]))
			fail_msg("%s is not in the help", names[i]);
	for (char *l = strtok(text, "\n"); l; l = strtok(NULL, "\n"))
		if (strlen(l) > 80)
			fail_msg("longer than 80 columns: %s", l);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seed_forms), cmocka_unit_test(other_forms), cmocka_unit_test(errors),
		cmocka_unit_test(too_many_disks), cmocka_unit_test(help_text),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
