/* test_debug_ports.c - the exit port's status, the debug console's lines, readers that do not read. */
#include "unit/cmocka_all.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "dev/debug_ports.h"
#include "unit/dev_fixture.h"

#define EXIT_PORT 0xf4
#define TEXT_PORT 0xe9

static void exit_status(void **state)
{
	static const struct { unsigned v; int status; } rows[] = {
		{ 0, 1 }, { 1, 3 }, { 0x10, 0x21 }, { 0x7f, 0xff }, { 0x80, 1 }, { 0xff, 0xff },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct debug_exit *d;
		struct err e;
		buses_create();
		assert_int_equal(debug_exit_create(pio, EXIT_PORT, &power, &d, &e), 0);
		assert_int_equal(inb(EXIT_PORT), 0);
		assert_int_equal(power_last, 0);
		assert_int_equal(debug_exit_status(d), 1);
		outb(EXIT_PORT, rows[i].v);
		assert_int_equal(power_last, POWER_EXIT);
		assert_int_equal(debug_exit_status(d), rows[i].status);
		outb(EXIT_PORT, 0x33); /* too late */
		assert_int_equal(debug_exit_status(d), rows[i].status);
		debug_exit_ops.reset(d);
		bus_write(pio, EXIT_PORT, 4, 0xffffff02); /* the low byte counts */
		assert_int_equal(debug_exit_status(d), 5);
		debug_exit_ops.destroy(d);
		buses_destroy();
	}
}

static void taken_port(void **state)
{
	struct debug_exit *d;
	struct debugcon *c;
	struct err e = { "" };

	buses_create();
	assert_int_equal(debug_exit_create(pio, EXIT_PORT, &power, &d, &e), 0);
	assert_true(debugcon_create(pio, EXIT_PORT, 2, false, &c, &e) < 0);
	assert_true(e.msg[0]);
	assert_int_equal(state_round_trip(&debug_exit_ops, d), 0);
	debug_exit_ops.destroy(d);
	buses_destroy();
}

static void put(const char *text)
{
	while (*text)
		outb(TEXT_PORT, (unsigned char)*text++);
}

static void expect(int fd, const char *text)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void text(void **state)
{
	struct debugcon *d;
	struct err e;
	char line[601];
	int fds[2];

	buses_create();
	assert_int_equal(pipe(fds), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(debugcon_create(pio, TEXT_PORT, fds[1], true, &d, &e), 0);
	assert_int_equal(inb(TEXT_PORT), 0xe9);
	put("hel");
	assert_int_equal(read(fds[0], line, sizeof(line)), -1);
	put("lo\n");
	expect(fds[0], "hello\n");
	memset(line, 'x', 600);
	line[600] = '\0';
	put(line); /* too long to wait for its end */
	line[512] = '\0';
	expect(fds[0], line);
	line[600 - 512] = '\0';
	debugcon_ops.reset(d);
	expect(fds[0], line);
	put("the end");
	assert_int_equal(state_round_trip(&debugcon_ops, d), 0);
	expect(fds[0], "the end");
	put("really");
	debugcon_ops.destroy(d);
	expect(fds[0], "really");
	expect(fds[0], ""); /* closed */
	close(fds[0]);
	buses_destroy();
}

/* A full pipe costs the guest a moment and the text, no more; a reader that comes back is served again */
static void reader_sleeps(void **state)
{
	struct debugcon *d;
	struct err e;
	char buf[1 << 16];
	int fds[2];

	buses_create();
	assert_int_equal(pipe(fds), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(debugcon_create(pio, TEXT_PORT, fds[1], false, &d, &e), 0);
	for (unsigned i = 0; i < 1 << 17; i++)
		outb(TEXT_PORT, i % 64 == 63 ? '\n' : '.');
	while (read(fds[0], buf, sizeof(buf)) > 0)
		;
	put("awake\n");
	expect(fds[0], "awake\n");
	debugcon_ops.destroy(d);
	assert_int_equal(write(fds[1], "mine", 4), 4); /* not closed: the caller's */
	close(fds[0]);
	close(fds[1]);
	buses_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_status), cmocka_unit_test(taken_port), cmocka_unit_test(text),
		cmocka_unit_test(reader_sleeps),
	};

	return cmocka_run_group_tests_name("debug_ports", tests, NULL, NULL);
}
