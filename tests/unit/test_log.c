/* test_log.c - log lines: their form, their limits; and struct err. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

static int saved_stderr, pipe_fds[2];
static char text[8192];

static void capture(void)
{
	assert_int_equal(pipe(pipe_fds), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(pipe_fds[1], STDERR_FILENO);
}

static const char *captured(void)
{
	ssize_t n;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(pipe_fds[1]);
	n = read(pipe_fds[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(pipe_fds[0]);
	return text;
}

static void levels(void **state)
{
	capture();
	log_level = LOG_INFO;
	log_error("e %d", 1);
	log_warn("w");
	log_info("i");
	log_debug("d");
	log_level = LOG_NONE;
	log_error("silent");
	log_level = LOG_DEBUG;
	log_debug("vCPU %u: VM exit: HLT", 0u);
	assert_string_equal(captured(), "[ERROR] e 1\n[WARN] w\n[INFO] i\n[DEBUG] vCPU 0: VM exit: HLT\n");
}

static int flushed;
static void count_flush(void) { flushed++; }

static void raw_and_before(void **state)
{
	capture();
	log_level = LOG_INFO;
	log_set_raw(true);
	log_set_before(count_flush);
	log_info("x");
	log_debug("not written, so nothing is flushed");
	log_set_raw(false);
	log_set_before(NULL);
	log_info("y");
	assert_string_equal(captured(), "[INFO] x\r\n[INFO] y\n");
	assert_int_equal(flushed, 1);
}

static void long_line(void **state)
{
	char big[3000];

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	capture();
	log_level = LOG_INFO;
	log_info("%s", big);
	captured();
	assert_true(strlen(text) <= 1024);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

static void limit(void **state)
{
	struct log_limit lim = { 0 };
	unsigned lines = 0;

	capture();
	log_level = LOG_DEBUG;
	for (int i = 0; i < 1000; i++)
		log_limited(&lim, LOG_DEBUG, "again");
	captured();
	for (char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, LOG_LIMIT + 1);
}

static void first_error_wins(void **state)
{
	struct err e = { "" };

	assert_int_equal(err_set(&e, -EINVAL, "lowest %d", 1), -EINVAL);
	assert_int_equal(err_set(&e, -ENOMEM, "higher"), -ENOMEM);
	assert_string_equal(e.msg, "lowest 1");
	assert_int_equal(err_set(NULL, -EIO, "nobody listens"), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels), cmocka_unit_test(raw_and_before), cmocka_unit_test(long_line),
		cmocka_unit_test(limit), cmocka_unit_test(first_error_wins),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
