/* test_fp_state.c - layouts and faults of the floating-point state: FXSAVE, XSAVE, the x87 environment,
 * MXCSR, what CR0 and CR4 forbid. Layouts are compared with the host's where it has the instruction. */
#include "fp_fixture.h"

#include "engine/soft/fp.h"

#define RUN(...) soft_run((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static const uint32_t CR0_PLAIN = CR0_PE | CR0_NE | CR0_MP | CR0_ET | CR0_PG;
static const uint32_t CR4_PLAIN = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PAE;

static int plain(void **state)
{
	memset(&c->fpu, 0, sizeof(c->fpu));
	fpu_init_x87(&c->fpu);
	c->fpu.mxcsr = MXCSR_INIT;
	c->cr0 = CR0_PLAIN;
	c->cr4 = CR4_PLAIN;
	c->code = CODE_64;
	c->cpl = 3;
	c->xcr0 = 3;
	memset(c->gpr, 0, sizeof(c->gpr));
	c->gpr[RDI] = (uintptr_t)scratch;
	memset(scratch, 0xcc, SCRATCH_LEN);
	host_init();
	return 0;
}

static void random_fpu(struct host_state *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned n = FX_ST; n < FX_END; n += 8)
		le64_store(s->fx + n, rnd());
	for (unsigned n = 0; n < 8; n++)
		memset(s->fx + FX_ST + n * 16 + 10, 0, 6);
	le16_store(s->fx + FX_FCW, (uint16_t)(0x37f | rnd_n(4) << 10));
	le16_store(s->fx + FX_FSW, (uint16_t)(rnd() & 0x7f7f));
	s->fx[FX_FTW] = (uint8_t)rnd();
	for (unsigned n = 0; n < 8; n++) /* each class of the full tag word */
		switch (rnd_n(4)) {
		case 0: memset(s->fx + FX_ST + n * 16, 0, 10); break;
		case 1: le16_store(s->fx + FX_ST + n * 16 + 8, 0x7fff); break;
		case 2: s->fx[FX_ST + n * 16 + 7] |= 0x80; break;
		}
	le32_store(s->fx + FX_MXCSR, 0x1f80 | (uint32_t)(rnd() & 0xe07f));
	s->flags = 2;
	s->gpr[RDI] = (uintptr_t)scratch;
}

static void test_traps(void **state)
{
	/* addps xmm0, xmm1; paddb mm0, mm1; fadd st0, st1; fwait; fxsave [rdi]; fnstsw ax */
	c->cr0 = CR0_PLAIN | CR0_EM;
	assert_int_equal(RUN(0x0f, 0x58, 0xc1), EXC_UD);
	assert_int_equal(RUN(0x0f, 0x6f, 0xc1), EXC_UD);
	assert_int_equal(RUN(0x0f, 0xfc, 0xc1), EXC_UD);
	assert_int_equal(RUN(0xd8, 0xc1), EXC_NM);
	assert_int_equal(RUN(0x9b), -1);
	assert_int_equal(RUN(0x0f, 0xae, 0x07), EXC_NM);
	assert_int_equal(RUN(0xdf, 0xe0), EXC_NM);
	c->cr0 = CR0_PLAIN | CR0_TS;
	assert_int_equal(RUN(0x0f, 0x58, 0xc1), EXC_NM);
	assert_int_equal(RUN(0x66, 0x0f, 0x6f, 0xc1), EXC_NM);
	assert_int_equal(RUN(0x0f, 0xfc, 0xc1), EXC_NM);
	assert_int_equal(RUN(0xd8, 0xc1), EXC_NM);
	assert_int_equal(RUN(0x9b), EXC_NM);
	assert_int_equal(RUN(0x0f, 0xae, 0x07), EXC_NM);
	assert_int_equal(RUN(0x0f, 0xae, 0x27), EXC_NM); /* xsave */
	assert_int_equal(RUN(0x0f, 0xae, 0x1f), EXC_NM); /* stmxcsr */
	c->cr0 = (CR0_PLAIN | CR0_TS) & ~CR0_MP;
	assert_int_equal(RUN(0x9b), -1);
	c->cr0 = CR0_PLAIN;
	c->cr4 = CR4_PLAIN & ~CR4_OSFXSR;
	assert_int_equal(RUN(0x0f, 0x58, 0xc1), EXC_UD);
	assert_int_equal(RUN(0x0f, 0xae, 0x1f), EXC_UD);
	assert_int_equal(RUN(0x0f, 0xfc, 0xc1), -1);
	assert_int_equal(RUN(0x0f, 0xae, 0x07), -1);
	c->cr4 = CR4_PLAIN & ~CR4_OSXSAVE;
	assert_int_equal(RUN(0x0f, 0xae, 0x27), EXC_UD);
	assert_int_equal(RUN(0x0f, 0x01, 0xd0), EXC_UD);
}

static void test_pending_x87(void **state)
{
	c->fpu.fcw = 0x37e;
	c->fpu.fsw = 0x8081;
	assert_int_equal(RUN(0xd9, 0xe8), EXC_MF);             /* fld1 */
	assert_int_equal(RUN(0x9b), EXC_MF);                   /* fwait */
	assert_int_equal(RUN(0x0f, 0xfc, 0xc1), EXC_MF);       /* paddb mm */
	assert_int_equal(RUN(0x0f, 0x77), EXC_MF);             /* emms */
	assert_int_equal(RUN(0x66, 0x0f, 0xfc, 0xc1), -1);     /* paddb xmm */
	assert_int_equal(RUN(0xdf, 0xe0), -1);                 /* fnstsw */
	assert_int_equal(RUN(0xd9, 0x3f), -1);                 /* fnstcw */
	assert_int_equal(RUN(0x0f, 0xae, 0x07), -1);           /* fxsave */
	assert_int_equal(RUN(0xdb, 0xe4), -1);                 /* fnsetpm */
	assert_int_equal(RUN(0xd9, 0xd0), EXC_MF);             /* fnop */
	c->cr0 = CR0_PLAIN & ~CR0_NE;
	assert_int_equal(RUN(0x9b), -1);
	c->cr0 = CR0_PLAIN;
	assert_int_equal(RUN(0xdb, 0xe2), -1);                 /* fnclex */
	assert_int_equal(c->fpu.fsw, 0);
	assert_int_equal(RUN(0xd9, 0xe8), -1);

	/* unmasking a sticky exception makes it pending */
	c->fpu.fcw = 0x37f;
	c->fpu.fsw |= 4;
	le16_store(scratch, 0x37b);
	assert_int_equal(RUN(0xd9, 0x2f), -1);                 /* fldcw */
	assert_int_equal(c->fpu.fsw & 0x8080, 0x8080);
	assert_int_equal(RUN(0xd9, 0xe8), EXC_MF);
}

static void test_mxcsr(void **state)
{
	le32_store(scratch, 0x1fa0);
	assert_int_equal(RUN(0x0f, 0xae, 0x17), -1);
	assert_int_equal(c->fpu.mxcsr, 0x1fa0);
	le32_store(scratch, 0x11f80);
	assert_int_equal(RUN(0x0f, 0xae, 0x17), EXC_GP);
	/* sticky flags gather in the host's register: divps 1/0 */
	c->fpu.mxcsr = 0x1f80;
	c->fpu.v[0].d[0] = 0x3f800000;
	assert_int_equal(RUN(0xf3, 0x0f, 0x5e, 0xc1), -1);
	assert_int_equal(RUN(0x0f, 0xae, 0x1f), -1);
	assert_int_equal(le32_load(scratch), 0x1f84);
	/* unmasked: the destination stays, #XM or #UD */
	c->fpu.mxcsr = 0x1d80;
	c->fpu.v[0].d[0] = 0x3f800000;
	assert_int_equal(RUN(0xf3, 0x0f, 0x5e, 0xc1), EXC_XM);
	assert_int_equal(c->fpu.v[0].d[0], 0x3f800000);
	assert_int_equal(c->fpu.mxcsr, 0x1d84);
	c->cr4 = CR4_PLAIN & ~CR4_OSXMMEXCPT;
	assert_int_equal(RUN(0xf3, 0x0f, 0x5e, 0xc1), EXC_UD);
}

/* fxsave64 and fxrstor64 against the host, but for what it does with the pointers */
static void test_fxsave(void **state)
{
	static const uint8_t save[] = { 0x48, 0x0f, 0xae, 0x07 }, load[] = { 0x48, 0x0f, 0xae, 0x0f };
	uint8_t host[512];
	for (unsigned n = 0; n < 200; n++) {
		struct host_state s, h;
		random_fpu(&s);
		memset(scratch, 0xcc, SCRATCH_LEN);
		h = s;
		assert_int_equal(host_run(&h, save, sizeof(save)), -1);
		memcpy(host, scratch, 512);
		memset(scratch, 0xcc, SCRATCH_LEN);
		to_cpu(&s);
		assert_int_equal(soft_run(save, sizeof(save)), -1);
		assert_memory_equal(scratch, host, 6);
		assert_int_equal(le32_load(scratch + 28), 0xffff);
		le32_store(scratch + 28, 0), le32_store(host + 28, 0); /* MXCSR_MASK: AMD has bit 17 */
		assert_memory_equal(scratch + 24, host + 24, FX_END - 24);
		assert_int_equal(scratch[464], 0xcc);
		assert_int_equal(scratch[511], 0xcc);

		fpu_init_x87(&c->fpu);
		fpu_init_xmm(&c->fpu, 16);
		assert_int_equal(soft_run(load, sizeof(load)), -1);
		h = s;
		from_cpu(&h);
		assert_memory_equal(h.fx, s.fx, 6);
		assert_memory_equal(h.fx + FX_ST, s.fx + FX_ST, FX_END - FX_ST);
		assert_int_equal(c->fpu.mxcsr, le32_load(s.fx + FX_MXCSR));
	}
	c->gpr[RDI] += 8;
	assert_int_equal(soft_run(save, sizeof(save)), EXC_GP);
	assert_int_equal(soft_run(load, sizeof(load)), EXC_GP);
	/* the last bytes are checked before the first is written */
	c->gpr[RDI] = (uintptr_t)scratch + SCRATCH_LEN - 496;
	memset(scratch, 0xcc, SCRATCH_LEN);
	assert_int_equal(soft_run(save, sizeof(save)), EXC_PF);
	assert_int_equal(scratch[SCRATCH_LEN - 496], 0xcc);
	c->gpr[RDI] = (uintptr_t)scratch;
	le32_store(scratch + FX_MXCSR, 0x10000);
	assert_int_equal(soft_run(load, sizeof(load)), EXC_GP);
}

static void test_pointers(void **state)
{
	c->gpr[RDI] = (uintptr_t)scratch;
	c->gpr[REG_IP] = 0x123456789000;
	assert_int_equal(RUN(0xdd, 0x07), -1); /* fld qword [rdi] */
	assert_int_equal(c->fpu.fop, 0x507);
	assert_int_equal(c->fpu.fip, 0x123456789000);
	assert_int_equal(c->fpu.fdp, (uintptr_t)scratch);
	c->gpr[REG_IP]++;
	assert_int_equal(RUN(0xd9, 0xfa), -1); /* fsqrt */
	assert_int_equal(c->fpu.fop, 0x1fa);
	assert_int_equal(c->fpu.fip, 0x123456789001);
	assert_int_equal(c->fpu.fdp, (uintptr_t)scratch);
	c->gpr[REG_IP]++;
	assert_int_equal(RUN(0xd9, 0x3f), -1); /* fnstcw: a control instruction */
	assert_int_equal(c->fpu.fip, 0x123456789001);
}

/* FNSTENV, FNSAVE, FLDENV, FRSTOR in both sizes; pointers aside */
static void test_environment(void **state)
{
	for (unsigned n = 0; n < 400; n++) {
		bool small = n & 1, save = n & 2;
		uint8_t insn[3], load[3], host[108];
		unsigned len = 0, w = small ? 2 : 4, env = small ? 14 : 28, all = save ? env + 80 : env;
		struct host_state s, h, o;
		if (small)
			insn[len++] = 0x66;
		insn[len++] = save ? 0xdd : 0xd9;
		insn[len++] = 0x37;
		memcpy(load, insn, len);
		load[len - 1] = 0x27;
		random_fpu(&s);
		h = s;
		assert_int_equal(host_run(&h, insn, len), -1);
		memcpy(host, scratch, sizeof(host));
		to_cpu(&s);
		memset(scratch, 0xcc, sizeof(host));
		assert_int_equal(soft_run(insn, len), -1);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(le16_load(scratch + k * w), le16_load(host + k * w));
		assert_memory_equal(scratch + env, host + env, all - env);
		assert_int_equal(scratch[all], 0xcc);
		o = s;
		from_cpu(&o);
		assert_memory_equal(o.fx, h.fx, 6);
		assert_memory_equal(o.fx + FX_ST, h.fx + FX_ST, 128);

		/* and load what another state had left */
		memcpy(scratch, host, sizeof(host));
		random_fpu(&s);
		h = s;
		assert_int_equal(host_run(&h, load, len), -1);
		to_cpu(&s);
		assert_int_equal(soft_run(load, len), -1);
		from_cpu(&o);
		assert_memory_equal(o.fx, h.fx, 6);
		assert_memory_equal(o.fx + FX_ST, h.fx + FX_ST, 128);
	}
}

/* The format follows CR0.PE, not the code size: 64-bit code can reach the scratch buffer */
static void test_environment_real(void **state)
{
	c->cr0 = CR0_ET | CR0_NE;
	c->fpu.fip = 0x1234;
	c->fpu.fcs = 0xf000;
	c->fpu.fdp = 0x10;
	c->fpu.fds = 0x2000;
	c->fpu.fop = 0x5a5;
	assert_int_equal(RUN(0x66, 0xd9, 0x37), -1); /* fnstenv, 14 bytes */
	assert_int_equal(le16_load(scratch + 6), 0x1234);
	assert_int_equal(le16_load(scratch + 8), 0xf5a5);
	assert_int_equal(le16_load(scratch + 10), 0x0010);
	assert_int_equal(le16_load(scratch + 12), 0x2000);
	c->fpu.fip = c->fpu.fop = 0;
	assert_int_equal(RUN(0x66, 0xd9, 0x27), -1); /* fldenv */
	assert_int_equal(c->fpu.fip, 0xf1234);
	assert_int_equal(c->fpu.fop, 0x5a5);
	assert_int_equal(c->fpu.fdp, 0x20010);
}

static void xsave_header(uint64_t bv, uint64_t comp)
{
	memset(scratch + XSAVE_LEGACY, 0, XSAVE_HEADER);
	le64_store(scratch + XH_XSTATE_BV, bv);
	le64_store(scratch + XH_XCOMP_BV, comp);
}

static void test_xsave(void **state)
{
	c->fpu.v[3].q[0] = 0x1122334455667788;
	c->gpr[RAX] = 3;
	/* everything is stored, in use or not; other bits of XSTATE_BV stay */
	xsave_header(0xf0, 0x77);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x27), -1);
	assert_int_equal(le64_load(scratch + XH_XSTATE_BV), 0xf2);
	assert_int_equal(le64_load(scratch + XH_XCOMP_BV), 0x77);
	assert_int_equal(le16_load(scratch), 0x37f);
	assert_int_equal(le64_load(scratch + FX_XMM + 48), 0x1122334455667788);
	assert_int_equal(scratch[FX_END], 0xcc);
	/* only what is asked for */
	memset(scratch, 0xcc, XSAVE_LEGACY);
	c->gpr[RAX] = 1;
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x27), -1);
	assert_int_equal(le16_load(scratch), 0x37f);
	assert_int_equal(scratch[FX_MXCSR], 0xcc);
	assert_int_equal(scratch[FX_XMM], 0xcc);
	assert_int_equal(le64_load(scratch + XH_XSTATE_BV), 0xf2);
	/* XSAVEOPT skips what is in its initial configuration */
	memset(scratch, 0xcc, XSAVE_LEGACY);
	c->gpr[RAX] = 3;
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x37), -1);
	assert_int_equal(le16_load(scratch), 0xcccc);
	assert_int_equal(le32_load(scratch + FX_MXCSR), 0x1f80);
	assert_int_equal(le64_load(scratch + FX_XMM + 48), 0x1122334455667788);
	/* compacted */
	memset(scratch, 0xcc, XSAVE_LEGACY + XSAVE_HEADER);
	assert_int_equal(RUN(0x48, 0x0f, 0xc7, 0x27), -1);
	assert_int_equal(le64_load(scratch + XH_XSTATE_BV), 2);
	assert_int_equal(le64_load(scratch + XH_XCOMP_BV), 3 | 1ull << 63);
	assert_int_equal(le16_load(scratch), 0xcccc);

	/* restore: from memory, initial, or untouched */
	c->fpu.v[3].q[0] = 5;
	c->fpu.fcw = 0x27f;
	xsave_header(2, 3 | 1ull << 63);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), -1);
	assert_int_equal(c->fpu.v[3].q[0], 0x1122334455667788);
	assert_int_equal(c->fpu.fcw, 0x37f);
	c->fpu.fcw = 0x27f;
	c->gpr[RAX] = 2;
	xsave_header(0, 0);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), -1);
	assert_int_equal(c->fpu.v[3].q[0], 0);
	assert_int_equal(c->fpu.fcw, 0x27f);

	/* what #GP is for */
	c->gpr[RAX] = 3;
	xsave_header(4, 0);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), EXC_GP);
	xsave_header(1, 1);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), EXC_GP);
	xsave_header(1, 2 | 1ull << 63);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), EXC_GP);
	xsave_header(1, 7 | 1ull << 63);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), EXC_GP);
	xsave_header(3, 3 | 1ull << 63);
	scratch[XSAVE_LEGACY + 63] = 1;
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), EXC_GP);
	xsave_header(0, 0);
	le32_store(scratch + FX_MXCSR, 0x10000);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), EXC_GP);
	c->gpr[RDI] += 32;
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x27), EXC_GP);
	/* privileged forms */
	c->gpr[RDI] -= 32;
	assert_int_equal(RUN(0x48, 0x0f, 0xc7, 0x2f), EXC_GP);
	c->cpl = 0;
	assert_int_equal(RUN(0x48, 0x0f, 0xc7, 0x2f), -1);
	assert_int_equal(RUN(0x48, 0x0f, 0xc7, 0x1f), -1);
	xsave_header(0, 0);
	assert_int_equal(RUN(0x48, 0x0f, 0xc7, 0x1f), EXC_GP);
}

static void test_xcr0(void **state)
{
	uint32_t r[4];
	c->cpl = 0;
	c->gpr[RAX] = 1;
	assert_int_equal(RUN(0x0f, 0x01, 0xd1), -1);
	assert_int_equal(c->xcr0, 1);
	c->gpr[RAX] = 2;
	assert_int_equal(RUN(0x0f, 0x01, 0xd1), EXC_GP);
	c->gpr[RAX] = 8 | 3;
	assert_int_equal(RUN(0x0f, 0x01, 0xd1), EXC_GP);
	c->gpr[RAX] = 3;
	c->gpr[RCX] = 1;
	assert_int_equal(RUN(0x0f, 0x01, 0xd1), EXC_GP);
	c->gpr[RCX] = 0;
	c->cpl = 3;
	assert_int_equal(RUN(0x0f, 0x01, 0xd1), EXC_GP);
	c->cpl = 0;
	assert_int_equal(RUN(0x0f, 0x01, 0xd1), -1);
	assert_int_equal(RUN(0x0f, 0x01, 0xd0), -1);
	assert_int_equal(c->gpr[RAX], 3);
	c->gpr[RCX] = 1;
	assert_int_equal(RUN(0x0f, 0x01, 0xd0), -1);
	assert_int_equal(c->gpr[RAX], 0);
	c->gpr[RCX] = 2;
	assert_int_equal(RUN(0x0f, 0x01, 0xd0), EXC_GP);

	fp_cpuid_xsave(c, 0, r);
	assert_int_equal(r[0], 7);
	assert_int_equal(r[1], 576);
	assert_int_equal(r[2], 832);
	fp_cpuid_xsave(c, 1, r);
	assert_int_equal(r[0], 15);
	assert_int_equal(r[1], 576);
}

static void test_state_area(void **state)
{
	static uint8_t area[X86_XSAVE_MAX];
	struct fpu before;
	struct host_state s;
	random_fpu(&s);
	to_cpu(&s);
	c->fpu.fip = 0xffff800012345678;
	before = c->fpu;
	fpu_to_xsave(c, area);
	assert_int_equal(le64_load(area + XH_XSTATE_BV), 7);
	plain(NULL);
	assert_int_equal(fpu_from_xsave(c, area), 0);
	assert_memory_equal(&c->fpu, &before, sizeof(before));
	le32_store(area + FX_MXCSR, 0x80001f80);
	assert_true(fpu_from_xsave(c, area) < 0);
	assert_memory_equal(&c->fpu, &before, sizeof(before));
	le64_store(area + XH_XSTATE_BV, 0);
	assert_int_equal(fpu_from_xsave(c, area), 0);
	assert_int_equal(c->fpu.fcw, 0x37f);
	assert_int_equal(c->fpu.mxcsr, 0x1f80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_traps, plain),
		cmocka_unit_test_setup(test_pending_x87, plain),
		cmocka_unit_test_setup(test_mxcsr, plain),
		cmocka_unit_test_setup(test_fxsave, plain),
		cmocka_unit_test_setup(test_pointers, plain),
		cmocka_unit_test_setup(test_environment, plain),
		cmocka_unit_test_setup(test_environment_real, plain),
		cmocka_unit_test_setup(test_xsave, plain),
		cmocka_unit_test_setup(test_xcr0, plain),
		cmocka_unit_test_setup(test_state_area, plain),
	};
	return cmocka_run_group_tests_name("fp state", tests, setup, teardown);
}
