/* fp_host.c - which features the host processor has. */
#include "engine/soft/fp.h"

#include <cpuid.h>
#include <string.h>

/* Where CPUID shows what we care about; units marked vex work only if the system saves YMM registers */
static const struct {
	uint32_t leaf;
	uint8_t reg, bit, feature; /* reg: 1 EBX, 2 ECX, 3 EDX */
	bool vex, unit;
} bits[] = {
	{ 1, 2, 0, F_SSE3, false, true },    { 1, 2, 1, F_PCLMUL, false, true },  { 1, 2, 9, F_SSSE3, false, true },
	{ 1, 2, 12, F_FMA, true, true },     { 1, 2, 13, F_CX16, false, false },  { 1, 2, 17, F_PCID, false, false },
	{ 1, 2, 19, F_SSE41, false, true },  { 1, 2, 20, F_SSE42, false, true },  { 1, 2, 22, F_MOVBE, false, false },
	{ 1, 2, 23, F_POPCNT, false, false }, { 1, 2, 25, F_AES, false, true },   { 1, 2, 26, F_XSAVE, false, false },
	{ 1, 2, 28, F_AVX, true, true },     { 1, 2, 29, F_F16C, true, true },    { 1, 2, 30, F_RDRAND, false, false },
	{ 7, 1, 0, F_FSGSBASE, false, false }, { 7, 1, 3, F_BMI1, false, false }, { 7, 1, 5, F_AVX2, true, true },
	{ 7, 1, 7, F_SMEP, false, false },   { 7, 1, 8, F_BMI2, false, false },   { 7, 1, 9, F_ERMS, false, false },
	{ 7, 1, 10, F_INVPCID, false, false }, { 7, 1, 18, F_RDSEED, false, false }, { 7, 1, 19, F_ADX, false, false },
	{ 7, 1, 20, F_SMAP, false, false },  { 7, 1, 23, F_CLFLUSHOPT, false, false }, { 7, 1, 24, F_CLWB, false, false },
	{ 7, 1, 29, F_SHA, false, true },    { 7, 2, 2, F_UMIP, false, false },   { 7, 2, 9, F_VAES, true, true },
	{ 7, 2, 10, F_VPCLMUL, true, true }, { 7, 2, 22, F_RDPID, false, false }, { 7, 3, 4, F_FSRM, false, false },
	{ 0x80000001, 2, 5, F_LZCNT, false, false }, { 0x80000001, 2, 8, F_3DNOWPREFETCH, false, false },
	{ 0x80000001, 3, 27, F_RDTSCP, false, false },
};

/* XCR0 has SSE and AVX */
static bool ymm_enabled(void)
{
	unsigned a, b, c, d, lo, hi;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))
		return false;
	__asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & 6) == 6;
}

/* CPUID is asked once: under a hypervisor it costs microseconds. Racing first calls find the same. */
static uint64_t ask(bool units)
{
	uint64_t f = 1ull << F_BASE | 1ull << F_X87 | 1ull << F_MMX | 1ull << F_SSE | 1ull << F_SSE2 | 1ull << F_CLFLUSH;
	bool ymm = ymm_enabled();
	uint32_t leaf = 0, r[4] = { 0 };

	for (unsigned n = 0; n < ARRAY_LEN(bits); n++) {
		if (bits[n].leaf != leaf && !__get_cpuid_count(leaf = bits[n].leaf, 0, &r[0], &r[1], &r[2], &r[3]))
			memset(r, 0, sizeof(r));
		if ((r[bits[n].reg] >> bits[n].bit & 1) && (!bits[n].vex || ymm) && (!units || bits[n].unit))
			f |= 1ull << bits[n].feature;
	}
	if (!units) /* parts of XSAVE that the table has no room for: ours in any case */
		f |= 1ull << F_XSAVEOPT | 1ull << F_XSAVEC | 1ull << F_XSAVES;
	return f;
}

uint64_t fp_host_features(void)
{
	static _Atomic uint64_t cache;
	if (!cache)
		cache = ask(true);
	return cache;
}

uint64_t fp_host_all(void)
{
	static _Atomic uint64_t cache;
	if (!cache)
		cache = ask(false);
	return cache;
}
