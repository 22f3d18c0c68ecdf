/* model.c - the models of --cpu and the names of features. */
#include "engine/soft/model.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "engine/soft/fp.h"
#include "engine/soft/insn.h"

#define BIT(n) (1ull << (n))

/* In every model: what x86-64 began with, and what no guest minds */
#define ALWAYS \
	(BIT(F_BASE) | BIT(F_X87) | BIT(F_MMX) | BIT(F_SSE) | BIT(F_SSE2) | BIT(F_CLFLUSH) | BIT(F_RDTSCP) | \
	 BIT(F_3DNOWPREFETCH))

/* Levels of the x86-64 psABI, and what processors of the time had besides */
#define V2 (ALWAYS | BIT(F_SSE3) | BIT(F_SSSE3) | BIT(F_SSE41) | BIT(F_SSE42) | BIT(F_POPCNT) | BIT(F_CX16) | BIT(F_PCID))
#define V3 \
	(V2 | BIT(F_AVX) | BIT(F_AVX2) | BIT(F_FMA) | BIT(F_F16C) | BIT(F_BMI1) | BIT(F_BMI2) | BIT(F_LZCNT) | \
	 BIT(F_MOVBE) | BIT(F_XSAVE) | BIT(F_XSAVEOPT) | BIT(F_XSAVEC) | BIT(F_XSAVES) | BIT(F_AES) | BIT(F_PCLMUL) | \
	 BIT(F_SHA) | BIT(F_ADX) | BIT(F_RDRAND) | BIT(F_RDSEED) | BIT(F_FSGSBASE) | BIT(F_INVPCID) | BIT(F_CLFLUSHOPT) | \
	 BIT(F_CLWB) | BIT(F_SMEP) | BIT(F_SMAP) | BIT(F_UMIP) | BIT(F_ERMS) | BIT(F_FSRM) | BIT(F_RDPID) | BIT(F_PKU))
#define MAX (V3 | BIT(F_VAES) | BIT(F_VPCLMUL))

/* What needs units of the host; the rest is ours alone */
#define HOST_UNITS \
	(BIT(F_SSE3) | BIT(F_SSSE3) | BIT(F_SSE41) | BIT(F_SSE42) | BIT(F_AES) | BIT(F_PCLMUL) | BIT(F_SHA) | BIT(F_AVX) | \
	 BIT(F_AVX2) | BIT(F_FMA) | BIT(F_F16C) | BIT(F_VAES) | BIT(F_VPCLMUL))

/* Features that can be added and taken away, each with what it builds on (F_BASE: nothing) */
static const struct name {
	const char *name;
	uint8_t feature, needs;
} names[] = {
	{ "sse3", F_SSE3, F_BASE }, { "ssse3", F_SSSE3, F_SSE3 }, { "sse4.1", F_SSE41, F_SSSE3 },
	{ "sse4.2", F_SSE42, F_SSE41 }, { "popcnt", F_POPCNT, F_BASE }, { "cx16", F_CX16, F_BASE },
	{ "xsave", F_XSAVE, F_BASE }, { "xsaveopt", F_XSAVEOPT, F_XSAVE }, { "xsavec", F_XSAVEC, F_XSAVE },
	{ "xsaves", F_XSAVES, F_XSAVEC }, { "avx", F_AVX, F_XSAVE }, { "avx2", F_AVX2, F_AVX }, { "fma", F_FMA, F_AVX },
	{ "f16c", F_F16C, F_AVX }, { "vaes", F_VAES, F_AVX2 }, { "vpclmulqdq", F_VPCLMUL, F_AVX2 },
	{ "bmi1", F_BMI1, F_BASE }, { "bmi2", F_BMI2, F_BASE }, { "lzcnt", F_LZCNT, F_BASE }, { "movbe", F_MOVBE, F_BASE },
	{ "aes", F_AES, F_SSE3 }, { "pclmulqdq", F_PCLMUL, F_SSE3 }, { "sha", F_SHA, F_SSSE3 }, { "adx", F_ADX, F_BASE },
	{ "rdrand", F_RDRAND, F_BASE }, { "rdseed", F_RDSEED, F_BASE }, { "fsgsbase", F_FSGSBASE, F_BASE },
	{ "invpcid", F_INVPCID, F_PCID }, { "pcid", F_PCID, F_BASE }, { "clflushopt", F_CLFLUSHOPT, F_BASE },
	{ "clwb", F_CLWB, F_BASE }, { "rdtscp", F_RDTSCP, F_BASE }, { "rdpid", F_RDPID, F_BASE }, { "smep", F_SMEP, F_BASE },
	{ "smap", F_SMAP, F_BASE }, { "umip", F_UMIP, F_BASE }, { "pku", F_PKU, F_XSAVE }, { "erms", F_ERMS, F_BASE }, { "fsrm", F_FSRM, F_BASE },
	{ "prefetchw", F_3DNOWPREFETCH, F_BASE },
};

static const struct model {
	const char *name;
	uint64_t features;
} models[] = { { "base", ALWAYS }, { "v2", V2 }, { "v3", V3 }, { "max", MAX }, { "host", MAX } };

static const struct name *name_of(unsigned feature)
{
	for (unsigned n = 0; n < ARRAY_LEN(names); n++)
		if (names[n].feature == feature)
			return &names[n];
	return NULL;
}

/* The feature and what it builds on */
static uint64_t with_needs(unsigned feature)
{
	const struct name *n = name_of(feature);

	return BIT(feature) | (n && n->needs != F_BASE ? with_needs(n->needs) : 0);
}

/* The set without what builds on something that it lacks */
static uint64_t supported(uint64_t set)
{
	for (unsigned n = 0; n < ARRAY_LEN(names); n++)
		if (with_needs(names[n].feature) & ~set)
			set &= ~BIT(names[n].feature);
	return set;
}

uint64_t model_max(void) { return supported(MAX & (~HOST_UNITS | fp_host_features())); }

static bool word_is(const char *word, size_t len, const char *name) { return strlen(name) == len && !memcmp(word, name, len); }

static int model_named(const char *word, size_t len, uint64_t *set, struct err *e)
{
	for (unsigned n = 0; n < ARRAY_LEN(models); n++)
		if (word_is(word, len, models[n].name)) {
			*set = models[n].features;
			if (models[n].features == MAX)
				*set = supported(word[0] == 'h' ? model_max() & fp_host_all() : model_max());
			return 0;
		}
	return err_set(e, -EINVAL, "--cpu %.*s: the models are base, v2, v3, max and host", (int)len, word);
}

static int change(const char *word, size_t len, uint64_t *set, struct err *e)
{
	for (unsigned n = 0; n < ARRAY_LEN(names); n++) {
		if (!word_is(word + 1, len - 1, names[n].name))
			continue;
		if (word[0] == '+')
			*set |= with_needs(names[n].feature);
		else
			*set = supported(*set & ~BIT(names[n].feature));
		return 0;
	}
	return err_set(e, -EINVAL, "--cpu: there is no feature '%.*s'; docs/cpu.md lists them", (int)len - 1, word + 1);
}

/* What is asked for has to work here */
static int check_host(uint64_t set, struct err *e)
{
	uint64_t lacks = set & ~model_max();
	const struct name *n = lacks ? name_of((unsigned)__builtin_ctzll(lacks)) : NULL;

	if (!lacks)
		return 0;
	return err_set(e, -EINVAL, "--cpu: the host's processor has no %s: add -%s, or take a lower model",
	               n ? n->name : "such unit", n ? n->name : "feature");
}

int model_parse(const char *spec, uint64_t *features, struct err *e)
{
	uint64_t set = supported(V3 & model_max());
	bool first = true;
	int r = 0;

	for (const char *p = spec; p && !r; first = false) {
		size_t len = strcspn(p, ",");

		if (len > 1 && (p[0] == '+' || p[0] == '-'))
			r = change(p, len, &set, e);
		else if (first)
			r = model_named(p, len, &set, e);
		else
			r = err_set(e, -EINVAL, "--cpu: write +%.*s or -%.*s behind the model", (int)len, p, (int)len, p);
		p = p[len] ? p + len + 1 : NULL;
	}
	if (!r)
		r = check_host(set, e);
	if (!r)
		*features = set;
	return r;
}
