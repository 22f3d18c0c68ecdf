/* fp_host.c - which floating-point and SIMD features the host processor has. */
#include "engine/soft/fp.h"

#include <cpuid.h>

#define HAS(reg, bit, feature) ((reg) >> (bit) & 1 ? 1ull << (feature) : 0)

/* CPUID is asked once: under a hypervisor it costs microseconds. Racing first calls find the same. */
uint64_t fp_host_features(void)
{
	static _Atomic uint64_t cache;
	uint64_t f = cache;
	unsigned a, b, c, d;
	if (f)
		return f;
	f = 1ull << F_BASE | 1ull << F_X87 | 1ull << F_MMX | 1ull << F_SSE | 1ull << F_SSE2;
	if (__get_cpuid(1, &a, &b, &c, &d))
		f |= HAS(c, 0, F_SSE3) | HAS(c, 1, F_PCLMUL) | HAS(c, 9, F_SSSE3) | HAS(c, 19, F_SSE41) |
		     HAS(c, 20, F_SSE42) | HAS(c, 25, F_AES);
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
		f |= HAS(b, 29, F_SHA);
	cache = f;
	return f;
}
