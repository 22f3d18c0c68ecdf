/* smpload.c - keeps all CPUs of a guest busy with what breaks a bad SMP machine, and checks the results.
 *
 * Runs inside the guest (static, from the initramfs): smpload SECONDS. Four kinds of work at once:
 * atomic counters and a mutex shared by threads, futex ping-pong, pipe ping-pong between processes, and
 * fork storms that check copy-on-write; and one thread that writes code while others execute it. The last
 * line is "smpload: ok ..." or "smpload: FAILED ...". */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4

static atomic_bool stop;
static atomic_int failures;

static void fail(const char *what)
{
	if (atomic_fetch_add(&failures, 1) > 5)
		return;
	fprintf(stderr, "smpload: wrong: %s\n", what);
}

/* --- one counter by atomics, one under a mutex, one pair that must stay equal --- */

static _Atomic uint64_t atomic_count;
static uint64_t locked_count, pair[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *count(void *arg)
{
	uint64_t *mine = arg;
	while (!stop) {
		for (int n = 0; n < 200; n++) {
			uint64_t old = atomic_load(&atomic_count);
			if (n & 1)
				atomic_fetch_add(&atomic_count, 1);
			else
				while (!atomic_compare_exchange_weak(&atomic_count, &old, old + 1))
					;
			(*mine)++;
		}
		pthread_mutex_lock(&lock);
		if (pair[0] != pair[1])
			fail("a mutex let two in");
		pair[0]++;
		locked_count++;
		pair[1]++;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

/* --- two threads that wake each other --- */

static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_cond = PTHREAD_COND_INITIALIZER;
static int whose;
static uint64_t turns;

static void *take_turns(void *arg)
{
	int me = arg != NULL;
	pthread_mutex_lock(&turn_lock);
	while (!stop) {
		while (whose != me && !stop)
			pthread_cond_wait(&turn_cond, &turn_lock);
		whose = !me;
		turns++;
		pthread_cond_broadcast(&turn_cond);
	}
	pthread_cond_broadcast(&turn_cond);
	pthread_mutex_unlock(&turn_lock);
	return NULL;
}

/* --- a process that echoes through pipes --- */

static _Atomic uint64_t echoes;

static void *echo(void *arg)
{
	int to[2], from[2];
	uint64_t v, back;
	if (pipe(to) || pipe(from))
		return fail("pipe"), NULL;
	pid_t pid = fork();
	if (pid == 0) {
		close(to[1]);
		while (read(to[0], &v, sizeof(v)) == sizeof(v)) {
			v = v * 3 + 1;
			if (write(from[1], &v, sizeof(v)) != sizeof(v))
				break;
		}
		_exit(0);
	}
	close(to[0]);
	for (v = 1; !stop; v++, echoes++)
		if (write(to[1], &v, sizeof(v)) != sizeof(v) || read(from[0], &back, sizeof(back)) != sizeof(back) ||
		    back != v * 3 + 1)
			fail("a pipe gave something else back");
	kill(pid, SIGKILL); /* forks of the other threads hold the pipe open */
	waitpid(pid, NULL, 0);
	return NULL;
}

/* --- children that write to memory they share with their parent until they do --- */

static _Atomic uint64_t forks;

static void *fork_storm(void *arg)
{
	enum { PAGES = 8 };
	uint32_t *mem = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (uint32_t round = 0; !stop; round++, forks++) {
		for (int n = 0; n < PAGES; n++)
			mem[n * 1024] = round + (uint32_t)n;
		pid_t pid = fork();
		if (pid == 0) {
			int bad = 0;
			for (int n = 0; n < PAGES; n++) {
				bad |= mem[n * 1024] != round + (uint32_t)n;
				mem[n * 1024] = 0xdeadbeef;
			}
			_exit(bad);
		}
		int status = -1;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			fail("a child saw other memory");
		for (int n = 0; n < PAGES; n++)
			if (mem[n * 1024] != round + (uint32_t)n)
				fail("a child's write came through");
	}
	return NULL;
}

/* --- code that one thread rewrites and another calls --- */

static uint8_t *code;
static _Atomic uint32_t published;
static uint64_t calls;

static void *write_code(void *arg)
{
	for (uint32_t v = 1; !stop; v++) {
		/* two copies in turn: the one being written is never the one being called */
		uint8_t *at = code + (v & 1) * 64;
		at[0] = 0xb8; /* mov eax, v; ret */
		memcpy(at + 1, &v, 4);
		at[5] = 0xc3;
		atomic_store(&published, v);
		while (atomic_load(&published) == v && !stop)
			sched_yield();
	}
	return NULL;
}

static void *call_code(void *arg)
{
	while (!stop) {
		uint32_t v = atomic_load(&published);
		if (v & 0x80000000 || !v) {
			sched_yield();
			continue;
		}
		unsigned a = 0, b, c, d;
		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d)); /* serialises: SDM 3A 8.1.3 */
		if (((uint32_t(*)(void))(code + (v & 1) * 64))() != v)
			fail("stale code was executed");
		calls++;
		atomic_store(&published, v | 0x80000000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static void *(*const work[])(void *) = { take_turns, take_turns, echo, echo, fork_storm, fork_storm, write_code, call_code };
	enum { KINDS = sizeof(work) / sizeof(work[0]) };
	pthread_t t[THREADS + KINDS];
	uint64_t mine[THREADS] = { 0 }, sum = 0;
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int n = 0; n < THREADS; n++)
		pthread_create(&t[n], NULL, count, &mine[n]);
	for (int n = 0; n < KINDS; n++)
		pthread_create(&t[THREADS + n], NULL, work[n], n == 1 ? &turns : NULL);
	sleep(seconds);
	stop = true;
	for (int n = 0; n < THREADS + KINDS; n++)
		pthread_join(t[n], NULL);
	for (int n = 0; n < THREADS; n++)
		sum += mine[n];
	if (sum != atomic_count)
		fail("atomic increments were lost");
	if (locked_count != pair[0] || pair[0] != pair[1])
		fail("increments under a mutex were lost");
	printf("smpload: %s cpus=%ld atomics=%llu locked=%llu turns=%llu echoes=%llu forks=%llu calls=%llu\n",
	       failures ? "FAILED" : "ok", sysconf(_SC_NPROCESSORS_ONLN), (unsigned long long)sum,
	       (unsigned long long)locked_count, (unsigned long long)turns, (unsigned long long)echoes,
	       (unsigned long long)forks, (unsigned long long)calls);
	return failures != 0;
}
