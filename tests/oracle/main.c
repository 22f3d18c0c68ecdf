/* main.c - runs vectors on host and software CPU, and reports where they differ.
 *
 *   oracle [--seed N] [--seconds S] [--rounds N] [--op NAME] [--form N --only K] [--coverage FILE] [--max-reports N]
 *
 * A round is one vector of every form. Everything follows from the seed: a failure prints the
 * arguments that reproduce it alone. Ends with "N passed, N failed", counted by form. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gen.h"

struct form_stats {
	unsigned long vectors, faults, failed, none;
	bool absent;
};

struct options {
	uint64_t seed;
	double seconds;
	unsigned long rounds;
	const char *op, *coverage;
	long form, only;
	unsigned max_reports;
	bool verbose;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t vec_seed(uint64_t seed, unsigned form, unsigned long round)
{
	struct rng r = { seed ^ ((uint64_t)form << 40) ^ round * 0x2545f4914f6cdd1dull };

	return rnd(&r);
}

/* The scratch pages of one side as they are before the vector */
static void reset_scratch(uint8_t *m, const struct vec *v)
{
	if (memcmp(m, gen_scratch(), SCRATCH_LEN))
		memcpy(m, gen_scratch(), SCRATCH_LEN);
	for (unsigned n = 0; n < v->npoke; n++)
		memcpy(m + (v->poke[n].addr - SCRATCH), v->poke[n].bytes, v->poke[n].len);
}

static void one(const struct options *o, unsigned form, unsigned long round, struct form_stats *st)
{
	struct outcome host, ours;
	struct vec v;

	if (!gen_vec(vec_seed(o->seed, form, round), form, &v)) {
		st->none++;
		return;
	}
	if (o->verbose)
		print_vec(&v, stderr);
	if (!native_has(insn_feature(&v.in)) || !sim_has(&v.in)) {
		st->absent = true;
		return;
	}
	reset_scratch(native_scratch(), &v);
	reset_scratch(sim_scratch(), &v);
	native_run(&v, &host);
	sim_run(&v, &ours);
	st->vectors++;
	st->faults += host.vector >= 0;
	if (compare(&v, &host, &ours, NULL))
		return;
	/* Under some hypervisors one instruction in a million gets a #UD for no reason: ask again */
	reset_scratch(native_scratch(), &v);
	native_run(&v, &host);
	if (compare(&v, &host, &ours, NULL))
		return;
	if (st->failed++ >= o->max_reports)
		return;
	printf("FAIL %s: oracle --seed %llu --form %u --only %lu\n", op_info[v.in.op].name, (unsigned long long)o->seed,
	       form, round);
	print_vec(&v, stdout);
	compare(&v, &host, &ours, stdout);
}

static const char *const feature_names[F_COUNT] = {
	[F_BASE] = "x86-64",   [F_X87] = "x87",         [F_MMX] = "MMX",           [F_SSE] = "SSE",
	[F_SSE2] = "SSE2",     [F_SSE3] = "SSE3",       [F_SSSE3] = "SSSE3",       [F_SSE41] = "SSE4.1",
	[F_SSE42] = "SSE4.2",  [F_POPCNT] = "POPCNT",   [F_CX16] = "CX16",         [F_FSGSBASE] = "FSGSBASE",
	[F_XSAVE] = "XSAVE",   [F_XSAVEOPT] = "XSAVEOPT", [F_XSAVEC] = "XSAVEC",   [F_XSAVES] = "XSAVES",
	[F_RDTSCP] = "RDTSCP", [F_INVPCID] = "INVPCID", [F_MOVBE] = "MOVBE",       [F_BMI1] = "BMI1",
	[F_BMI2] = "BMI2",     [F_LZCNT] = "LZCNT",     [F_ADX] = "ADX",           [F_AES] = "AES",
	[F_PCLMUL] = "PCLMULQDQ", [F_SHA] = "SHA",      [F_RDRAND] = "RDRAND",     [F_RDSEED] = "RDSEED",
	[F_CLFLUSHOPT] = "CLFLUSHOPT", [F_CLWB] = "CLWB", [F_CLFLUSH] = "CLFLUSH", [F_SMAP] = "SMAP",
	[F_AVX] = "AVX",       [F_AVX2] = "AVX2",       [F_FMA] = "FMA",           [F_F16C] = "F16C",
	[F_PKU] = "PKU",       [F_RDPID] = "RDPID",     [F_MONITOR] = "MONITOR",   [F_3DNOWPREFETCH] = "PREFETCHW",
	[F_VAES] = "VAES",     [F_VPCLMUL] = "VPCLMULQDQ",
};

/* One line per form, and one per operation that is left out, with the reason in place of the form */
static void report_coverage(const char *path, const struct form_stats *st)
{
	FILE *f = fopen(path, "w");
	char name[96];

	if (!f) {
		perror(path);
		return;
	}
	fprintf(f, "operation\tfeature\tform\tvectors\tfaults\tfailed\n");
	for (unsigned n = 0; n < gen_forms(); n++) {
		const struct insn *i = &form_get(n)->sample;
		const char *feature = feature_names[insn_feature(i)];

		gen_form_name(n, name, sizeof(name));
		fprintf(f, "%s\t%s\t%s\t%lu\t%lu\t%lu\n", op_info[i->op].name, feature ? feature : "", name, st[n].vectors,
			st[n].faults, st[n].failed);
	}
	for (unsigned op = 1; op < OP_COUNT; op++) {
		struct insn i = { .op = (uint16_t)op };
		const char *why = exclude_reason(&i);

		if (why)
			fprintf(f, "%s\t\t%s\t-\t-\t-\n", op_info[op].name, why);
	}
	fclose(f);
}

static int summary(const struct form_stats *st)
{
	unsigned long vectors = 0, faults = 0, bad_vectors = 0;
	unsigned passed = 0, failed = 0, absent = 0, never = 0;

	for (unsigned n = 0; n < gen_forms(); n++) {
		vectors += st[n].vectors;
		faults += st[n].faults;
		bad_vectors += st[n].failed;
		if (st[n].failed)
			failed++;
		else if (st[n].vectors)
			passed++;
		else if (st[n].absent)
			absent++;
		else if (st[n].none)
			never++;
	}
	printf("oracle: %lu vectors, %lu of them fault, %lu differ; %u forms not in both processors, %u never "
	       "generated\n",
	       vectors, faults, bad_vectors, absent, never);
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}

static void usage(void)
{
	fprintf(stderr, "usage: oracle [--seed N] [--seconds S] [--rounds N] [--op NAME] [--form N] [--only K] "
			"[--coverage FILE]\n"
			"              [--max-reports N] [--verbose]\n");
	exit(2);
}

static struct options parse(int argc, char **argv)
{
	struct options o = { .seed = 1, .rounds = ~0ul, .form = -1, .only = -1, .max_reports = 1 };

	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(a, "--verbose")) {
			o.verbose = true;
			continue;
		}
		if (!v)
			usage();
		i++;
		if (!strcmp(a, "--seed"))
			o.seed = strcmp(v, "random") ? strtoull(v, NULL, 0)
						     : (uint64_t)(now() * 1e9) ^ (uint64_t)getpid() << 40;
		else if (!strcmp(a, "--seconds"))
			o.seconds = atof(v);
		else if (!strcmp(a, "--rounds"))
			o.rounds = strtoul(v, NULL, 0);
		else if (!strcmp(a, "--op"))
			o.op = v;
		else if (!strcmp(a, "--form"))
			o.form = atol(v);
		else if (!strcmp(a, "--only"))
			o.only = atol(v);
		else if (!strcmp(a, "--coverage"))
			o.coverage = v;
		else if (!strcmp(a, "--max-reports"))
			o.max_reports = (unsigned)atoi(v);
		else
			usage();
	}
	if (o.rounds == ~0ul && o.seconds == 0 && o.only < 0)
		o.rounds = 40;
	return o;
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct form_stats *st;
	double end;
	int r;

	if ((r = native_init()) || (r = sim_init()) || (r = gen_init(o.seed))) {
		fprintf(stderr, "oracle: cannot start: %s\n", strerror(-r));
		return 1;
	}
	st = calloc(gen_forms(), sizeof(*st));
	if (!st)
		return 1;
	printf("oracle: seed %llu, %u forms\n", (unsigned long long)o.seed, gen_forms());
	end = o.seconds > 0 ? now() + o.seconds : 1e300;
	for (unsigned long round = o.only >= 0 ? (unsigned long)o.only : 0; round < o.rounds && now() < end; round++) {
		for (unsigned f = 0; f < gen_forms() && now() < end; f++) {
			if (o.form >= 0 && f != (unsigned)o.form)
				continue;
			if (o.op && strcmp(o.op, op_info[form_get(f)->sample.op].name) != 0)
				continue;
			one(&o, f, round, &st[f]);
		}
		if (o.only >= 0)
			break;
	}
	if (o.coverage)
		report_coverage(o.coverage, st);
	r = summary(st);
	free(st);
	sim_fini();
	return r;
}
