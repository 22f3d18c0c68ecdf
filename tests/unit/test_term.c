/* test_term.c - the console over pipes: batching, order, back pressure, the escape key, the end of input. */
#include "unit/cmocka_all.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "host/loop.h"
#include "host/term.h"

struct fixture {
	struct loop *loop;
	struct term *term;
	pthread_t thread;
	int to_guest, from_guest;    /* our ends */
	int in_fd, out_fd;           /* the terminal's ends */
	pthread_mutex_t lock;
	char got[70000];
	size_t got_len, room;        /* what the guest's device took, and may still take */
	int quits, breaks;
};

static struct fixture f;

static size_t input(void *ctx, const uint8_t *buf, size_t n)
{
	pthread_mutex_lock(&f.lock);
	if (n > f.room)
		n = f.room;
	memcpy(f.got + f.got_len, buf, n);
	f.got_len += n;
	f.room -= n;
	pthread_mutex_unlock(&f.lock);
	return n;
}

static void quit(void *ctx) { __atomic_add_fetch(&f.quits, 1, __ATOMIC_SEQ_CST); }
static void send_break(void *ctx) { __atomic_add_fetch(&f.breaks, 1, __ATOMIC_SEQ_CST); }

static void *run_loop(void *ctx)
{
	loop_run(f.loop);
	return NULL;
}

static int setup(void **state)
{
	struct term_config cfg = { .input = input, .send_break = send_break, .quit = quit };
	struct err e = { "" };
	int in[2], out[2];

	memset(&f, 0, sizeof(f));
	pthread_mutex_init(&f.lock, NULL);
	f.room = sizeof(f.got);
	if (pipe(in) || pipe(out) || loop_create(&f.loop, &e))
		return -1;
	cfg.in_fd = f.in_fd = in[0];
	cfg.out_fd = f.out_fd = out[1];
	f.to_guest = in[1];
	f.from_guest = out[0];
	if (term_create(f.loop, &cfg, &f.term, &e))
		return -1;
	term_start(f.term);
	return pthread_create(&f.thread, NULL, run_loop, NULL);
}

static int teardown(void **state)
{
	loop_stop(f.loop);
	pthread_join(f.thread, NULL);
	term_hurry(f.term);
	term_destroy(f.term);
	loop_destroy(f.loop);
	close(f.in_fd);
	close(f.out_fd);
	if (f.to_guest >= 0)
		close(f.to_guest);
	close(f.from_guest);
	return 0;
}

/* Reads what comes within a second, at least @want bytes */
static size_t read_out(char *buf, size_t cap, size_t want)
{
	size_t len = 0;
	struct pollfd p = { .fd = f.from_guest, .events = POLLIN };

	while (len < want && poll(&p, 1, 1000) > 0) {
		ssize_t n = read(f.from_guest, buf + len, cap - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return len;
}

static bool readable(int ms)
{
	struct pollfd p = { .fd = f.from_guest, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

/* True once @len bytes have reached the guest, false after two seconds */
static bool guest_has(size_t len)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&f.lock);
		bool ok = f.got_len >= len;
		pthread_mutex_unlock(&f.lock);
		if (ok)
			return true;
		usleep(1000);
	}
	return false;
}

static void put(const char *s) { term_write(f.term, (const uint8_t *)s, strlen(s)); }

static void output_waits_for_a_line_or_a_moment(void **state)
{
	char buf[1024];

	put("gue");
	put("st\n"); /* written on this thread, by now */
	assert_true(readable(0));
	read_out(buf, sizeof(buf), 6);
	assert_string_equal(buf, "guest\n");
	put("# ");
	read_out(buf, sizeof(buf), 2); /* the timer's doing */
	assert_string_equal(buf, "# ");
	put("x");
	term_flush(f.term);
	assert_true(readable(0));
	read_out(buf, sizeof(buf), 1);
	assert_string_equal(buf, "x");
}

static void large_output_is_whole(void **state)
{
	char big[5000], buf[6000];

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)('a' + i % 26);
	term_write(f.term, (const uint8_t *)big, sizeof(big));
	assert_int_equal(read_out(buf, sizeof(buf), sizeof(big)), sizeof(big));
	assert_memory_equal(buf, big, sizeof(big));
}

static void *flood(void *ctx)
{
	for (int i = 0; i < 20000; i++)
		put("0123456789\n");
	return NULL;
}

static void hurry_frees_a_stuck_writer(void **state)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, flood, NULL), 0);
	usleep(50000); /* the pipe is full by now, and nobody reads */
	term_hurry(f.term);
	pthread_join(t, NULL);
}

static void reader_gone(void **state)
{
	close(f.from_guest);
	f.from_guest = open("/dev/null", O_RDONLY);
	put("nobody\n");
	put("reads\n");
	term_flush(f.term);
}

static void input_with_back_pressure(void **state)
{
	char text[60000];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('0' + i % 10);
	pthread_mutex_lock(&f.lock);
	f.room = 16;
	pthread_mutex_unlock(&f.lock);
	assert_int_equal(fcntl(f.to_guest, F_SETPIPE_SZ, 65536), 65536);
	assert_int_equal(write(f.to_guest, text, sizeof(text)), sizeof(text));
	for (size_t len = 16; len < sizeof(text); len += 1000) {
		assert_true(guest_has(len));
		pthread_mutex_lock(&f.lock);
		f.room = 1000;
		pthread_mutex_unlock(&f.lock);
		term_room(f.term);
	}
	assert_true(guest_has(sizeof(text)));
	assert_memory_equal(f.got, text, sizeof(text));
}

static void escape_keys(void **state)
{
	char buf[1024];

	assert_int_equal(write(f.to_guest, "a\001\001b\001", 5), 5);
	assert_true(guest_has(3));
	assert_memory_equal(f.got, "a\001b", 3);
	assert_int_equal(write(f.to_guest, "xc\001b", 4), 4); /* the Ctrl-A came in an earlier read */
	assert_true(guest_has(4));
	for (int i = 0; i < 1000 && !__atomic_load_n(&f.breaks, __ATOMIC_SEQ_CST); i++)
		usleep(1000);
	assert_int_equal(f.quits, 1);
	assert_int_equal(f.breaks, 1);
	assert_int_equal(write(f.to_guest, "\001h\001c", 4), 4);
	read_out(buf, sizeof(buf), 200);
	assert_non_null(strstr(buf, "Ctrl-A x"));
	assert_int_equal(f.got_len, 4);
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;
	clockid_t id;

	assert_int_equal(pthread_getcpuclockid(f.thread, &id), 0);
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void end_of_input_does_not_spin(void **state)
{
	uint64_t before;

	assert_int_equal(write(f.to_guest, "last", 4), 4);
	close(f.to_guest);
	f.to_guest = -1;
	assert_true(guest_has(4));
	usleep(20000);
	before = thread_cpu_ns();
	usleep(200000);
	assert_true(thread_cpu_ns() - before < 20000000);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(output_waits_for_a_line_or_a_moment), TEST(large_output_is_whole), TEST(hurry_frees_a_stuck_writer),
		TEST(reader_gone), TEST(input_with_back_pressure), TEST(escape_keys), TEST(end_of_input_does_not_spin),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("term", tests, NULL, NULL);
}
