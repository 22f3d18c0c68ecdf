/* test_avx.c - what VEX instructions do beyond computing, which the oracle compares with a processor: when they fault,
 * what they clear, masked and gathered accesses that fault, and how XSAVE keeps YMM registers. */
#include "fp_fixture.h"

#include "engine/soft/fp.h"

#define RUN(...) soft_run((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define VADDPS_YMM 0xc5, 0xec, 0x58, 0xcb  /* vaddps ymm1, ymm2, ymm3 */
#define VPADDD_XMM 0xc5, 0xe9, 0xfe, 0xcb  /* vpaddd xmm1, xmm2, xmm3 */
#define PADDD 0x66, 0x0f, 0xfe, 0xca       /* paddd xmm1, xmm2 */
#define VZEROUPPER 0xc5, 0xf8, 0x77
#define VMASKMOV_LOAD 0xc4, 0xe2, 0x6d, 0x2c, 0x0f  /* vmaskmovps ymm1, ymm2, [rdi] */
#define VMASKMOV_STORE 0xc4, 0xe2, 0x6d, 0x2e, 0x0f /* vmaskmovps [rdi], ymm2, ymm1 */
#define VPGATHERDD 0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x97 /* vpgatherdd ymm1, [rdi + ymm2 * 4], ymm3 */

static int plain(void **state)
{
	uint32_t a, b, cx, d;

	memset(&c->fpu, 0, sizeof(c->fpu));
	fpu_init_x87(&c->fpu);
	c->fpu.mxcsr = MXCSR_INIT;
	c->cr0 = CR0_PE | CR0_NE | CR0_MP | CR0_ET | CR0_PG;
	c->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PAE;
	c->rflags = 2;
	c->code = CODE_64;
	c->cpl = 3;
	c->xcr0 = 7;
	memset(c->gpr, 0, sizeof(c->gpr));
	c->gpr[RDI] = (uintptr_t)scratch;
	memset(scratch, 0xcc, SCRATCH_LEN);
	for (unsigned n = 0; n < 16; n++)
		for (unsigned k = 0; k < 8; k++)
			c->fpu.v[n].d[k] = n << 8 | k;
	__asm__("cpuid" : "=a"(a), "=b"(b), "=c"(cx), "=d"(d) : "a"(7), "c"(0));
	if (!(b >> 5 & 1))
		skip(); /* no AVX2 here */
	return 0;
}

static void test_traps(void **state)
{
	plain(NULL);
	assert_int_equal(RUN(VADDPS_YMM), -1);
	c->cr0 |= CR0_EM; /* has no say */
	assert_int_equal(RUN(VADDPS_YMM), -1);
	c->cr0 |= CR0_TS;
	assert_int_equal(RUN(VADDPS_YMM), EXC_NM);
	assert_int_equal(RUN(VZEROUPPER), EXC_NM);
	c->cr4 &= ~(uint64_t)CR4_OSXSAVE; /* #UD comes first */
	assert_int_equal(RUN(VADDPS_YMM), EXC_UD);
	plain(NULL);
	c->xcr0 = 3;
	assert_int_equal(RUN(VADDPS_YMM), EXC_UD);
	assert_int_equal(RUN(VPADDD_XMM), EXC_UD);
	c->xcr0 = 7;
	c->rflags |= FL_VM;
	assert_int_equal(RUN(VADDPS_YMM), EXC_UD);
	plain(NULL);
	assert_int_equal(RUN(0xc5, 0xf9, 0x6f, 0x4f, 1), EXC_GP);  /* vmovdqa xmm1, [rdi + 1] */
	assert_int_equal(RUN(0xc5, 0xfd, 0x6f, 0x4f, 16), EXC_GP); /* vmovdqa ymm1, [rdi + 16] */
	assert_int_equal(RUN(0xc5, 0xfe, 0x6f, 0x4f, 1), -1);      /* vmovdqu */
	assert_int_equal(RUN(0xc5, 0xed, 0xfe, 0x4f, 1), -1);      /* vpaddd ymm1, ymm2, [rdi + 1] */
}

static void test_upper_halves(void **state)
{
	plain(NULL);
	assert_int_equal(RUN(PADDD), -1);
	assert_int_equal(c->fpu.v[1].d[3], 0x306);
	assert_int_equal(c->fpu.v[1].d[4], 0x104);
	assert_int_equal(RUN(VPADDD_XMM), -1);
	assert_int_equal(c->fpu.v[1].d[3], 0x506);
	assert_true(!c->fpu.v[1].q[2] && !c->fpu.v[1].q[3]);
	assert_int_equal(RUN(VZEROUPPER), -1);
	for (unsigned n = 0; n < 16; n++) {
		assert_true(!c->fpu.v[n].q[2] && !c->fpu.v[n].q[3]);
		assert_true(c->fpu.v[n].q[0] != 0);
	}
	plain(NULL);
	c->code = CODE_32; /* registers 8 to 15 are not there */
	assert_int_equal(RUN(0xc5, 0xfc, 0x77), -1); /* vzeroall */
	assert_true(!c->fpu.v[7].q[0] && !c->fpu.v[7].q[3]);
	assert_int_equal(c->fpu.v[8].d[7], 0x807);
}

/* The last dwords before the page that faults */
static void test_masked(void **state)
{
	plain(NULL);
	c->gpr[RDI] = (uintptr_t)scratch + SCRATCH_LEN - 12;
	memset(&c->fpu.v[2], 0, 32);
	c->fpu.v[2].d[0] = c->fpu.v[2].d[2] = 0x80000000;
	assert_int_equal(RUN(VMASKMOV_LOAD), -1);
	assert_int_equal(c->fpu.v[1].d[0], 0xcccccccc);
	assert_int_equal(c->fpu.v[1].d[1], 0);
	assert_int_equal(c->fpu.v[1].d[2], 0xcccccccc);
	c->fpu.v[1].d[0] = c->fpu.v[1].d[1] = c->fpu.v[1].d[2] = 0x11111111;
	assert_int_equal(RUN(VMASKMOV_STORE), -1);
	assert_int_equal(le32_load(scratch + SCRATCH_LEN - 12), 0x11111111);
	assert_int_equal(le32_load(scratch + SCRATCH_LEN - 8), 0xcccccccc);
	c->fpu.v[2].d[3] = 0x80000000;
	c->fpu.v[1].d[0] = 0x22222222;
	assert_int_equal(RUN(VMASKMOV_STORE), EXC_PF);
	assert_int_equal(le32_load(scratch + SCRATCH_LEN - 12), 0x11111111); /* nothing was stored */
	assert_int_equal(RUN(VMASKMOV_LOAD), EXC_PF);
	assert_int_equal(c->fpu.v[1].d[0], 0x22222222);
}

static void test_gather(void **state)
{
	plain(NULL);
	for (unsigned k = 0; k < 8; k++) {
		le32_store(scratch + 4 * k, 0x1000 + k);
		c->fpu.v[2].d[k] = 7 - k;
		c->fpu.v[3].d[k] = 0x80000000;
	}
	c->fpu.v[2].d[5] = SCRATCH_LEN / 4; /* the page behind */
	c->fpu.v[3].d[1] = 0;
	assert_int_equal(RUN(VPGATHERDD), EXC_PF);
	assert_int_equal(c->fpu.v[1].d[0], 0x1007);
	assert_int_equal(c->fpu.v[1].d[1], 0x101);
	assert_int_equal(c->fpu.v[1].d[4], 0x1003);
	assert_int_equal(c->fpu.v[1].d[5], 0x105);
	assert_int_equal(c->fpu.v[3].d[4], 0);
	assert_int_equal(c->fpu.v[3].d[5], 0x80000000);
	c->fpu.v[2].d[5] = 2;
	le32_store(scratch + 28, 0); /* not loaded again */
	assert_int_equal(RUN(VPGATHERDD), -1);
	assert_int_equal(c->fpu.v[1].d[0], 0x1007);
	assert_int_equal(c->fpu.v[1].d[5], 0x1002);
	assert_int_equal(c->fpu.v[1].d[7], 0x1000);
	assert_true(!c->fpu.v[3].q[2] && !c->fpu.v[3].q[3]);
}

static void test_xsave(void **state)
{
	plain(NULL);
	c->gpr[RAX] = 4;
	memset(scratch + 512, 0, 64);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x27), -1); /* xsave64 */
	assert_int_equal(le64_load(scratch + XH_XSTATE_BV), 4);
	assert_int_equal(le32_load(scratch + 576 + 16 * 5), 0x504);
	assert_int_equal(le32_load(scratch + FX_MXCSR), MXCSR_INIT); /* goes with AVX, too */
	assert_int_equal(le32_load(scratch + FX_XMM), 0xcccccccc);
	memset(&c->fpu.v, 0xee, sizeof(c->fpu.v));
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), -1); /* xrstor64 */
	assert_int_equal(c->fpu.v[5].d[4], 0x504);
	assert_int_equal(c->fpu.v[5].d[3], 0xeeeeeeee);
	le64_store(scratch + XH_XSTATE_BV, 0);
	assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x2f), -1);
	assert_true(!c->fpu.v[5].q[2] && !c->fpu.v[15].q[3]);

	memset(scratch, 0xcc, SCRATCH_LEN);
	c->gpr[RAX] = 7;
	c->fpu.v[9].d[7] = 99;
	assert_int_equal(RUN(0x48, 0x0f, 0xc7, 0x27), -1); /* xsavec64 */
	assert_int_equal(le64_load(scratch + XH_XSTATE_BV), 6);
	assert_int_equal(le64_load(scratch + XH_XCOMP_BV), 7 | 1ull << 63);
	assert_int_equal(le32_load(scratch + 576 + 16 * 9 + 12), 99);
	assert_int_equal(scratch[832], 0xcc);

	c->cpl = 0;
	c->gpr[RAX] = 5;
	assert_int_equal(RUN(0x0f, 0x01, 0xd1), EXC_GP); /* AVX without SSE */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traps),  cmocka_unit_test(test_upper_halves), cmocka_unit_test(test_masked),
		cmocka_unit_test(test_gather), cmocka_unit_test(test_xsave),
	};
	return cmocka_run_group_tests_name("avx", tests, setup, teardown);
}
