/* test_loop.c - the I/O loop on real threads: timers, wake-ups, posted calls, descriptors, stopping. */
#include "unit/cmocka_all.h"

#include "base/clock.h"
#include "host/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MS 1000000ull

static struct loop *loop;
static pthread_t thread;
static _Atomic unsigned count;
static _Atomic uint64_t fired_at;
static char order[16];
static unsigned norder;

static void *run(void *arg)
{
	loop_run(loop);
	return NULL;
}

static int setup(void **state)
{
	count = 0;
	norder = 0;
	memset(order, 0, sizeof(order));
	if (loop_create(&loop, NULL))
		return -1;
	return pthread_create(&thread, NULL, run, NULL);
}

static int teardown(void **state)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
	loop_destroy(loop);
	return 0;
}

static void tick(void *ctx)
{
	fired_at = clock_now_ns();
	count++;
}

static bool wait_count(unsigned n)
{
	for (unsigned i = 0; i < 5000 && count < n; i++)
		usleep(1000);
	return count >= n;
}

static void one_timer(void **state)
{
	struct loop_timer t;
	uint64_t when;

	loop_timer_init(&t, loop, tick, NULL);
	usleep(5000); /* the loop sleeps without end by now */
	when = clock_now_ns() + 5 * MS;
	loop_timer_set(&t, when);
	assert_true(wait_count(1));
	assert_true(fired_at >= when);
	loop_timer_set(&t, 0);
	assert_true(wait_count(2));
	loop_timer_set(&t, clock_now_ns() + 20 * MS);
	loop_timer_set(&t, UINT64_MAX);
	usleep(40000);
	assert_int_equal(count, 2);
	loop_timer_set(&t, clock_now_ns() + 10000 * MS);
	loop_timer_set(&t, clock_now_ns() + MS); /* earlier than it sleeps */
	assert_true(wait_count(3));
	loop_timer_fini(&t);
}

static void put_order(void *ctx)
{
	order[norder++] = *(char *)ctx;
	count++;
}

static void timers_in_order(void **state)
{
	struct loop_timer t[4];
	char names[] = "abcd";
	uint64_t now = clock_now_ns();
	static const unsigned at[4] = { 30, 10, 40, 20 };

	for (unsigned i = 0; i < 4; i++) {
		loop_timer_init(&t[i], loop, put_order, &names[i]);
		loop_timer_set(&t[i], now + at[i] * MS);
	}
	assert_true(wait_count(4));
	assert_string_equal(order, "bdac");
	for (unsigned i = 0; i < 4; i++)
		loop_timer_fini(&t[i]);
}

static struct loop_timer busy;

static void again(void *ctx)
{
	count++;
	loop_timer_set(&busy, 0); /* always due: must not starve the rest */
}

static void posted(void *ctx) { (*(_Atomic bool *)ctx) = true; }

static void due_timer_starves_nobody(void **state)
{
	_Atomic bool seen = false;

	loop_timer_init(&busy, loop, again, NULL);
	loop_timer_set(&busy, 0);
	assert_true(wait_count(100));
	assert_int_equal(loop_post(loop, posted, &seen), 0);
	for (unsigned i = 0; i < 5000 && !seen; i++)
		usleep(1000);
	assert_true(seen);
	loop_timer_fini(&busy);
}

static void slow(void *ctx)
{
	usleep(20000);
	count++;
}

static void fini_waits(void **state)
{
	struct loop_timer t;

	loop_timer_init(&t, loop, slow, NULL);
	loop_timer_set(&t, 0);
	usleep(5000);
	loop_timer_fini(&t); /* it runs now, or never */
	unsigned n = count;
	usleep(40000);
	assert_int_equal(count, n);
}

static void posts_in_order(void **state)
{
	char names[] = "0123456789";

	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(loop_post(loop, put_order, &names[i]), 0);
	assert_true(wait_count(10));
	assert_string_equal(order, names);
}

static void input(void *ctx, int fd)
{
	char c;

	if (read(fd, &c, 1) == 1)
		count++;
	else
		loop_unwatch(ctx, fd); /* end of file: or poll would return for ever */
}

static void descriptors(void **state)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(loop_watch_input(loop, p[0], input, loop), 0);
	assert_int_equal(loop_watch_input(loop, p[0], input, loop), -EEXIST);
	assert_int_equal(write(p[1], "abc", 3), 3);
	assert_true(wait_count(3));
	loop_unwatch(loop, p[0]);
	assert_int_equal(write(p[1], "d", 1), 1);
	usleep(10000);
	assert_int_equal(count, 3);
	assert_int_equal(loop_watch_input(loop, p[0], input, loop), 0);
	assert_true(wait_count(4));
	close(p[1]);
	usleep(10000);
	assert_int_equal(loop_watch_input(loop, p[0], input, loop), 0); /* has taken itself away */
	loop_unwatch(loop, p[0]);
	close(p[0]);
}

static void stops_and_runs_again(void **state)
{
	_Atomic bool seen = false;

	loop_stop(loop);
	pthread_join(thread, NULL);
	assert_int_equal(loop_post(loop, posted, &seen), 0);
	pthread_create(&thread, NULL, run, NULL);
	for (unsigned i = 0; i < 5000 && !seen; i++)
		usleep(1000);
	assert_true(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(timers_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(due_timer_starves_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(fini_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(posts_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(stops_and_runs_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
