/* test_fp.c - floating point and SIMD of the software CPU against the host's own processor, by single
 * instructions with random operands. */
/* not under tsan: it executes instructions of the host and catches their faults, which that runtime disturbs */
#include "fp_fixture.h"

static unsigned hits[OP_COUNT];

/* --- random states --- */
static uint32_t rnd_f32(void)
{
	static const uint32_t t[] = { 0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
		0xffc00000,
		0x7f800001, 0xffa00000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x3f000000,
		0x5f000000, 0x34000000, 0x00400000, 0x0c000000 };
	switch (rnd_n(4)) {
	case 0: return t[rnd_n(ARRAY_LEN(t))];
	case 1: return (uint32_t)rnd();
	default: return ((uint32_t)rnd() & 0x807fffff) | (uint32_t)(110 + rnd_n(44)) << 23;
	}
}
static uint64_t rnd_f64(void)
{
	static const uint64_t t[] = { 0, 1ull << 63, 0x3ffull << 52, 0xbffull << 52, 0x7ffull << 52, 0xfffull << 52,
		0x7ff8ull << 48,
		0xfff8ull << 48, (0x7ffull << 52) + 1, 0xfff4ull << 48, 1, (1ull << 63) + 1, (1ull << 52) - 1, 1ull << 52,
		0x7fefffffffffffffull, 0x41dfffffffc00000ull, 0x41e0000000000000ull, 0xc1e0000000200000ull, 0x43e0000000000000ull,
		0x3fe0000000000000ull, 0x3810000000000000ull, 0x380fffffffffffffull, 0x47efffffffffffffull };
	switch (rnd_n(4)) {
	case 0: return t[rnd_n(ARRAY_LEN(t))];
	case 1: return rnd();
	default: return (rnd() & 0x800fffffffffffffull) | (uint64_t)(1000 + rnd_n(60)) << 52;
	}
}
static void rnd_f80(uint8_t *p)
{
	static const struct { uint64_t m; uint16_t e; } t[] = { { 0, 0 }, { 0, 0x8000 }, { 1ull << 63, 0x3fff },
		{ 1ull << 63, 0xbfff },
		{ 1ull << 63, 0x7fff }, { 1ull << 63, 0xffff }, { 3ull << 62, 0xffff }, { (1ull << 63) + 5, 0x7fff }, { 1,
		0 }, { 1ull << 63, 0 },
		{ 1ull << 62, 0x8000 }, { 1, 0x3fff }, { 0, 0x7fff }, { ~0ull, 0x7ffe }, { 1ull << 63, 1 }, { ~0ull, 0x3ffe },
		{ 0xde0b6b3a763ffff0ull, 0x403a }, { 1ull << 63, 0x403e }, { 1ull << 63, 0x3ffe }, { ~0ull, 0x43fe },
		{ ~0ull, 0x407e },
		{ 0xffffff8000000000ull, 0x407e }, { 1ull << 63, 0x3f80 }, { 1ull << 63, 0x3c00 }, { 0xc90fdaa22168c235ull,
		0x4000 } };
	unsigned n = rnd_n(ARRAY_LEN(t));
	switch (rnd_n(4)) {
	case 0:
		le64_store(p, t[n].m);
		le16_store(p + 8, t[n].e);
		break;
	case 1:
		le64_store(p, rnd());
		le16_store(p + 8, (uint16_t)rnd());
		break;
	default:
		le64_store(p, rnd() | 1ull << 63);
		le16_store(p + 8, (uint16_t)((rnd() & 0x8000) | (0x3fff - 40 + rnd_n(100))));
	}
}
static void rnd_vec(uint8_t *p, unsigned len)
{
	unsigned kind = rnd_n(6);
	for (unsigned n = 0; n < len; n += 8) {
		uint64_t v;
		switch (kind) {
		case 0: v = rnd(); break;
		case 1: v = rnd() & 0x0101010101010101ull * (rnd() & 0xff); break;
		case 2: v = rnd_n(40); break;
		case 3: v = rnd_f64(); break;
		case 4: v = rnd_n(2) ? 0x6162636465666768ull : rnd() & 0x0301030103010301ull; break;
		default: v = rnd_f32() | (uint64_t)rnd_f32() << 32; break;
		}
		le64_store(p + n, v);
	}
}

/* calm: all exceptions masked */
static void rnd_state(struct host_state *s, bool calm, bool stack_full)
{
	uint16_t fcw = (uint16_t)(0x40 | rnd_n(4) << 8 | rnd_n(4) << 10 | (calm ? 0x3f : rnd() & 0x3f));
	uint16_t fsw = (uint16_t)(rnd() & (calm ? 0x7f7f : 0x7f00));
	uint32_t mxcsr = (uint32_t)(rnd() & 0xe07f);
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < 8; n++)
		s->gpr[n] = rnd_n(2) ? rnd() : rnd_n(20);
	s->gpr[RDI] = (uintptr_t)scratch + 1024 + rnd_n(4) * 16;
	s->flags = 2 | (rnd() & FL_ARITH);
	if ((fcw >> 8 & 3) == 1)
		fcw |= 0x300;
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	le16_store(s->fx + FX_FCW, fcw);
	le16_store(s->fx + FX_FSW, fsw);
	s->fx[FX_FTW] = (uint8_t)(stack_full ? 0xff : rnd_n(2) ? 0xf0 : rnd());
	le32_store(s->fx + FX_MXCSR, mxcsr | (calm ? 0x1f80 : (uint32_t)rnd() & 0x1f80));
	for (unsigned n = 0; n < 8; n++)
		rnd_f80(s->fx + FX_ST + n * 16);
	for (unsigned n = 0; n < 16; n++)
		rnd_vec(s->fx + FX_XMM + n * 16, 16);
	if (!rnd_n(4)) /* equal operands, for comparisons */
		memcpy(s->fx + FX_XMM, s->fx + FX_XMM + 16, 16);
}

/* --- comparison --- */
static unsigned fsw_mask(unsigned op)
{
	switch (op) {
	case OP_FCOM: case OP_FCOMP: case OP_FCOMPP: case OP_FUCOM: case OP_FUCOMP: case OP_FUCOMPP: case OP_FICOM:
	case OP_FICOMP: case OP_FTST: case OP_FXAM: case OP_FPREM: case OP_FPREM1: case OP_FLDENV: case OP_FRSTOR:
	case OP_FNSTSW: case OP_FNSTENV: case OP_FNSAVE: case OP_FNINIT:
		return 0xffff;
	case OP_FSIN: case OP_FCOS: case OP_FPTAN: case OP_FSINCOS: /* C1 undefined where C2 is set */
		return 0xffff & ~0x4300u;
	case OP_FCOMI: case OP_FCOMIP: case OP_FUCOMI: case OP_FUCOMIP:
	case OP_FNCLEX: case OP_FLDCW: case OP_FNSTCW: case OP_FNOP: case OP_FFREE: case OP_FFREEP: case OP_EMMS:
		return 0xffff & ~0x4700u;
	default:
		return 0xffff & ~0x4500u;
	}
}

static unsigned differences, reported[OP_COUNT];
static void show(const char *what, uint64_t start, uint64_t host, uint64_t ours, bool always)
{
	if (always || host != ours)
		fprintf(stderr, "  %-6s %016lx -> host %016lx, ours %016lx%s\n", what, start, host, ours, host != ours ? " <-" : "");
}
static void report(const struct host_state *s, const struct host_state *h, const struct host_state *o)
{
	char name[16];
	show("fcw", le16_load(s->fx), le16_load(h->fx), le16_load(o->fx), true);
	show("fsw", le16_load(s->fx + 2), le16_load(h->fx + 2), le16_load(o->fx + 2), true);
	show("ftw", s->fx[4], h->fx[4], o->fx[4], true);
	show("mxcsr", le32_load(s->fx + FX_MXCSR), le32_load(h->fx + FX_MXCSR), le32_load(o->fx + FX_MXCSR), true);
	show("flags", s->flags & FL_ARITH, h->flags & FL_ARITH, o->flags & FL_ARITH, false);
	for (unsigned n = 0; n < 8; n++) {
		snprintf(name, sizeof(name), "gpr%u", n);
		show(name, s->gpr[n], h->gpr[n], o->gpr[n], false);
	}
	for (unsigned n = 0; n < 8; n++) {
		const uint8_t *p = s->fx + FX_ST + n * 16;
		fprintf(stderr, "  st%u %04x:%016lx", n, le16_load(p + 8), le64_load(p));
		if (memcmp(h->fx + FX_ST + n * 16, o->fx + FX_ST + n * 16, 10)) {
			p = h->fx + FX_ST + n * 16;
			fprintf(stderr, " -> host %04x:%016lx", le16_load(p + 8), le64_load(p));
			p = o->fx + FX_ST + n * 16;
			fprintf(stderr, ", ours %04x:%016lx", le16_load(p + 8), le64_load(p));
		}
		fprintf(stderr, n & 1 ? "\n" : "");
	}
	for (unsigned n = 0; n < 32; n++) {
		const unsigned at = FX_XMM + n * 8;
		snprintf(name, sizeof(name), "xmm%u%s", n / 2, n & 1 ? "hi" : "lo");
		show(name, le64_load(s->fx + at), le64_load(h->fx + at), le64_load(o->fx + at), n < 4);
	}
}

/* What processors of different makers do differently is not compared */
static bool same(const struct insn *in, const struct host_state *a, const struct host_state *b, int vector)
{
	unsigned mask = fsw_mask(in->op);
	if (in->op == OP_FLD && (in->flags & IF_MEM) && (le16_load(a->fx + 2) & 2 & ~le16_load(a->fx)))
		return true; /* an unmasked denormal operand is pushed, or not */
	if (le16_load(a->fx + 2) & FSW_ES) /* condition codes of comparisons with an unmasked exception */
		mask &= ~0x4500u;
	if (le16_load(a->fx) != le16_load(b->fx) || a->fx[4] != b->fx[4] ||
	    ((le16_load(a->fx + 2) ^ le16_load(b->fx + 2)) & mask))
		return false;
	if (le32_load(a->fx + FX_MXCSR) != le32_load(b->fx + FX_MXCSR))
		return false;
	for (unsigned n = 0; n < 8; n++)
		if (memcmp(a->fx + FX_ST + n * 16, b->fx + FX_ST + n * 16, 10))
			return false;
	if (memcmp(a->fx + FX_XMM, b->fx + FX_XMM, 256))
		return false;
	if (vector >= 0)
		return true;
	for (unsigned n = 0; n < 8; n++)
		if (n != 4 && n != 5 && a->gpr[n] != b->gpr[n])
			return false;
	return !((a->flags ^ b->flags) & FL_ARITH);
}

/* The instruction can run in the sandbox of fp_host.h, and the host gives the comparable result */
static bool usable(const struct insn *in)
{
	if (in->op == OP_INVALID || !binds[in->op] || !binds[in->op](in))
		return false;
	switch (in->op) {
	case OP_FXSAVE: case OP_FXRSTOR: case OP_XSAVE: case OP_XSAVEOPT: case OP_XSAVEC: case OP_XSAVES: case OP_XRSTOR:
	case OP_XRSTORS: case OP_XGETBV: case OP_XSETBV:
	case OP_FNSTENV: case OP_FNSAVE: case OP_FLDENV: case OP_FRSTOR: /* pointers; see test_environment */
		return false;
	}
	if (in->op == OP_CVTPI2PS && in->o[1].kind == O_MEM)
		return false; /* makes the transition to MMX state on some processors */
	if ((in->flags & IF_MEM) && (in->base != RDI || in->index != REG_ZERO || in->disp))
		return false;
	for (unsigned n = 0; n < in->nopnd; n++)
		if (in->o[n].kind == O_GPR && (gpr_num(in->o[n].reg) == 4 || gpr_num(in->o[n].reg) == 5 || gpr_num(in->o[n].reg) > 7))
			return false;
	return true;
}

static void one(const uint8_t *bytes, unsigned len, bool calm, unsigned place)
{
	static uint8_t before[SCRATCH_LEN], after[SCRATCH_LEN];
	struct host_state start, host, soft;
	struct insn in;
	int hv, sv;
	if (insn_decode(bytes, len, CODE_64, &in) != (int)len || !usable(&in))
		return;
	hits[in.op]++;
	rnd_state(&start, calm, rnd_n(2));
	if (insn_feature(&in) == F_SHA || in.op == OP_MASKMOVQ)
		place = 0; /* not every processor checks the alignment; the transition to MMX state comes before the fault, or not */
	if (place == 1)
		start.gpr[RDI] += 1 + rnd_n(15);
	if (place == 2)
		start.gpr[RDI] = (uintptr_t)scratch + SCRATCH_LEN - rnd_n(18);
	rnd_vec(scratch + 1024, 128);
	if (rnd_n(2))
		rnd_f80(scratch + (start.gpr[RDI] - (uintptr_t)scratch) % 4096);
	if (in.op == OP_LDMXCSR)
		le32_store((uint8_t *)(uintptr_t)(start.gpr[RDI] & ~15ull), (uint32_t)rnd() & (rnd_n(4) ? 0xffff : 0xffffffff));
	memcpy(before, scratch, SCRATCH_LEN);
	host = start;
	hv = host_run(&host, bytes, len);
	memcpy(after, scratch, SCRATCH_LEN);
	memcpy(scratch, before, SCRATCH_LEN);
	to_cpu(&start);
	sv = soft_run(bytes, len);
	soft = start;
	from_cpu(&soft);
	if (hv == sv && same(&in, &host, &soft, hv) && !memcmp(after, scratch, SCRATCH_LEN))
		return;
	differences++;
	if (reported[in.op]++ >= 2)
		return;
	fprintf(stderr, "%s:", op_info[in.op].name);
	for (unsigned n = 0; n < len; n++)
		fprintf(stderr, " %02x", bytes[n]);
	fprintf(stderr, "  host vector %d, ours %d, RDI %lx%s\n", hv, sv, start.gpr[RDI],
	        memcmp(after, scratch, SCRATCH_LEN) ? ", memory differs" : "");
	if (in.flags & IF_MEM && start.gpr[RDI] < (uintptr_t)scratch + SCRATCH_LEN - 16)
		for (unsigned n = 0, at = (unsigned)(start.gpr[RDI] - (uintptr_t)scratch); n < 16; n += 8)
			show("memory", le64_load(before + at + n), le64_load(after + at + n), le64_load(scratch + at + n), true);
	report(&start, &host, &soft);
}

/* ModRM: a register operand, or [RDI] */
static uint8_t rnd_modrm(void)
{
	return rnd_n(2) ? (uint8_t)(0xc0 | rnd_n(64)) : (uint8_t)(rnd_n(8) << 3 | 7);
}

static void random_x87(bool calm, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		uint8_t b[2] = { (uint8_t)(0xd8 + rnd_n(8)), rnd_modrm() };
		if (!rnd_n(3))
			b[0] = 0xd9, b[1] = (uint8_t)(0xe0 + rnd_n(32)); /* the transcendentals */
		one(b, 2, calm, !rnd_n(64) ? 2 : 0);
	}
}

static void random_simd(bool calm, unsigned count)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0xf3, 0xf2 };
	for (unsigned n = 0; n < count; n++) {
		uint8_t b[16], p = prefixes[rnd_n(4)], map = (uint8_t)rnd_n(4);
		unsigned len = 0;
		struct insn in;
		if (p)
			b[len++] = p;
		if (!rnd_n(3))
			b[len++] = 0x48;
		b[len++] = 0x0f;
		if (map == 2)
			b[len++] = 0x38;
		else if (map == 3)
			b[len++] = 0x3a;
		b[len++] = (uint8_t)rnd();
		b[len++] = rnd_modrm();
		b[len] = (uint8_t)rnd();
		b[len + 1] = 0;
		len = (unsigned)insn_decode(b, len + 1, CODE_64, &in);
		one(b, len, calm, !rnd_n(40) ? 1 + rnd_n(2) : 0);
	}
}

static void test_x87_masked(void **state)
{
	host_init();
	differences = 0;
	random_x87(true, 300000);
	assert_int_equal(differences, 0);
}
static void test_x87_unmasked(void **state)
{
	host_init();
	differences = 0;
	random_x87(false, 150000);
	assert_int_equal(differences, 0);
}
static void test_simd_masked(void **state)
{
	host_init();
	differences = 0;
	random_simd(true, 1500000);
	assert_int_equal(differences, 0);
}
static void test_simd_unmasked(void **state)
{
	host_init();
	differences = 0;
	random_simd(false, 400000);
	assert_int_equal(differences, 0);
}

/* Every operation of the families was executed by the tests above, a good number of times */
static void test_coverage(void **state)
{
	unsigned missing = 0;
	for (unsigned op = 1; op < OP_COUNT; op++) {
		if (!binds[op] || hits[op] >= 40 || op_info[op].name[0] == 'v') /* VEX: test_avx.c and the oracle */
			continue;
		switch (op) {
		case OP_FXSAVE: case OP_FXRSTOR: case OP_XSAVE: case OP_XSAVEOPT: case OP_XSAVEC: case OP_XSAVES: case OP_XRSTOR:
		case OP_XRSTORS: case OP_XGETBV: case OP_XSETBV: case OP_FNSTENV: case OP_FNSAVE: case OP_FLDENV: case OP_FRSTOR:
		case OP_FWAIT: case OP_RDPKRU: case OP_WRPKRU: /* tests of their own */
			continue;
		}
		fprintf(stderr, "executed only %u times: %s\n", hits[op], op_info[op].name);
		missing++;
	}
	assert_int_equal(missing, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x87_masked),
		cmocka_unit_test(test_x87_unmasked),
		cmocka_unit_test(test_simd_masked),
		cmocka_unit_test(test_simd_unmasked),
		cmocka_unit_test(test_coverage),
	};
	return cmocka_run_group_tests_name("fp", tests, setup, teardown);
}
