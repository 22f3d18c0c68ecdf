/* tsc.c - the host's time-stamp counter and its frequency. */
#include "engine/soft/tsc.h"

#include <pthread.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define MEASURE_NS 10000000ull
#define SAMPLES 8

struct sample {
	uint64_t tsc, ns;
};

static pthread_once_t start_once = PTHREAD_ONCE_INIT, khz_once = PTHREAD_ONCE_INIT;
static struct sample start;
static uint64_t khz;
static uint32_t to_ns_mul;
static int8_t to_ns_shift;
static _Atomic int64_t last_offset;

#if defined(__x86_64__)

/* Both clocks at one moment: the pair read with the least time around it */
static struct sample take_sample(void)
{
	struct sample best = { 0 };
	uint64_t least = ~0ull;

	for (unsigned n = 0; n < SAMPLES; n++) {
		uint64_t before = tsc_host(), ns = clock_now_ns(), after = tsc_host();
		if (after - before < least) {
			least = after - before;
			best = (struct sample){ before + (after - before) / 2, ns };
		}
	}
	return best;
}

/* What the host says of itself, or 0: CPUID 15h with a known crystal, or a hypervisor's timing leaf */
static uint64_t told_khz(void)
{
	unsigned a, b, c, d;

	if (__get_cpuid_count(1, 0, &a, &b, &c, &d) && (c >> 31)) {
		__cpuid(0x40000000, a, b, c, d);
		if (a >= 0x40000010 && a < 0x40010000) {
			__cpuid(0x40000010, a, b, c, d);
			if (a > 100000 && a < 20000000)
				return a;
		}
	}
	if (__get_cpuid_count(0x15, 0, &a, &b, &c, &d) && a && b && c)
		return (uint64_t)c * b / a / 1000;
	return 0;
}

static uint64_t find_khz(void)
{
	uint64_t told = told_khz();
	struct sample end;

	if (told)
		return told;
	for (;;) {
		uint64_t gone = clock_now_ns() - start.ns;
		if (gone >= MEASURE_NS)
			break;
		struct timespec t = { .tv_nsec = (long)(MEASURE_NS - gone) };
		nanosleep(&t, NULL);
	}
	end = take_sample();
	return (uint64_t)(((unsigned __int128)(end.tsc - start.tsc) * 1000000 + (end.ns - start.ns) / 2) / (end.ns - start.ns));
}

#else

static struct sample take_sample(void)
{
	uint64_t ns = clock_now_ns();
	return (struct sample){ ns, ns };
}
static uint64_t find_khz(void) { return 1000000; }

#endif

static void do_start(void)
{
	start = take_sample();
	atomic_store(&last_offset, -(int64_t)start.tsc);
}

/* mul is the largest of 32 bits for some shift: ns = (ticks << shift) * mul / 2^32 */
static void do_khz(void)
{
	unsigned __int128 mul;

	tsc_init();
	khz = find_khz();
	to_ns_shift = 0;
	mul = ((unsigned __int128)1000000 << 32) / khz;
	while (mul >> 32) {
		mul >>= 1;
		to_ns_shift++;
	}
	while (!(mul >> 31) && to_ns_shift > -31) {
		to_ns_shift--;
		mul = ((unsigned __int128)1000000 << (32 - to_ns_shift)) / khz;
	}
	to_ns_mul = (uint32_t)mul;
}

void tsc_init(void) { pthread_once(&start_once, do_start); }

uint64_t tsc_khz(void)
{
	pthread_once(&khz_once, do_khz);
	return khz;
}

uint64_t tsc_base(void)
{
	tsc_init();
	return start.tsc;
}

uint64_t tsc_to_ns(uint64_t ticks) { return (uint64_t)((unsigned __int128)ticks * 1000000 / tsc_khz()); }
uint64_t tsc_from_ns(uint64_t ns) { return (uint64_t)((unsigned __int128)ns * tsc_khz() / 1000000); }

void tsc_pvclock_scale(uint32_t *mul, int8_t *shift)
{
	tsc_khz();
	*mul = to_ns_mul;
	*shift = to_ns_shift;
}

int64_t tsc_offset_for(uint64_t guest)
{
	int64_t last, second = (int64_t)tsc_khz() * 1000, off, diff;

	if (guest == 0)
		return -(int64_t)tsc_base();
	last = atomic_load(&last_offset);
	off = (int64_t)(guest - tsc_host());
	diff = (int64_t)((uint64_t)off - (uint64_t)last);
	if (diff < second && diff > -second)
		return last;
	atomic_store(&last_offset, off);
	return off;
}
