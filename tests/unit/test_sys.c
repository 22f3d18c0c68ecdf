/* Control registers, MSRs, CPUID, time stamps, ports and the saved state of the software CPU. */
#include <errno.h>

#include "sys_fixture.h"

#include "engine/soft/cpuid.h"
#include "engine/soft/fp.h"
#include "engine/soft/msr.h"
#include "engine/soft/tsc.h"

/* --- control registers --- */

#define MOV_FROM_CR(n) 0x0f, 0x20, 0xc0 | (n) << 3

static int to_cr(struct fix *f, unsigned n, uint64_t v)
{
	f->c->gpr[RAX] = v;
	return EXEC(f, 0x0f, 0x22, (uint8_t)(0xc0 | n << 3));
}

static void test_cr0(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	uint64_t cr0 = c->cr0;

	assert_int_equal(to_cr(f, 0, cr0 | 1ull << 32), EXC_GP);
	assert_int_equal(to_cr(f, 0, cr0 & ~(uint64_t)CR0_PE), EXC_GP);
	assert_int_equal(to_cr(f, 0, cr0 | CR0_NW), EXC_GP);
	assert_int_equal(to_cr(f, 0, cr0 & ~(uint64_t)CR0_PG), EXC_GP); /* not from 64-bit code */
	assert_int_equal(c->cr0, cr0);
	assert_int_equal(to_cr(f, 0, (cr0 | CR0_TS | 1u << 10) & ~(uint64_t)CR0_ET), RAISED_NONE);
	assert_int_equal(c->cr0, cr0 | CR0_TS); /* ET stays, undefined bits do not stick */
	RUN(f, 0x0f, 0x06);
	assert_int_equal(c->cr0, cr0);
	/* LMSW sets PE but does not clear it */
	c->gpr[RAX] = CR0_TS;
	RUN(f, 0x0f, 0x01, 0xf0);
	assert_int_equal(c->cr0, cr0 | CR0_TS);
	sys_user(f);
	RAISES(f, EXC_GP, MOV_FROM_CR(0));
	RAISES(f, EXC_GP, 0x0f, 0x06);
}

/* From protected to long mode and back, in the order of SDM 3A 10.8.5 */
static void test_long_switch(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	uint64_t v;

	assert_int_equal(msr_write(c, 0xc0000080, EFER_LME | EFER_NXE), 0);
	c->cr3 = TABLES;
	assert_int_equal(to_cr(f, 0, c->cr0 | CR0_PG), EXC_GP); /* PAE is missing */
	assert_int_equal(to_cr(f, 4, CR4_PAE), RAISED_NONE);
	assert_int_equal(to_cr(f, 0, c->cr0 | CR0_PG), RAISED_NONE);
	assert_true(long_mode(c));
	assert_int_equal(c->code, CODE_32);
	assert_int_equal(msr_read(c, 0xc0000080, &v), 0);
	assert_int_equal(v, EFER_LME | EFER_LMA | EFER_NXE);
	assert_int_equal(msr_write(c, 0xc0000080, EFER_NXE), -EINVAL); /* LME is fixed while paging is on */
	assert_int_equal(to_cr(f, 4, 0), EXC_GP);                      /* PAE too */
	assert_int_equal(to_cr(f, 4, CR4_PAE | CR4_PCIDE), RAISED_NONE);
	assert_int_equal(to_cr(f, 0, c->cr0 & ~(uint64_t)CR0_PG), EXC_GP); /* not with PCIDs */
	assert_int_equal(to_cr(f, 4, CR4_PAE), RAISED_NONE);
	assert_int_equal(to_cr(f, 0, c->cr0 & ~(uint64_t)CR0_PG), RAISED_NONE);
	assert_false(long_mode(c));
	/* paging without PE */
	assert_int_equal(to_cr(f, 0, CR0_PG | CR0_ET), EXC_GP);
	/* a 16-bit TSS is no good in long mode */
	c->tr.attr = SYS_ATTR(SYS_TSS16_BUSY, 0);
	assert_int_equal(to_cr(f, 0, c->cr0 | CR0_PG), EXC_GP);
}

static void test_pae(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	for (unsigned n = 0; n < 4; n++)
		le64_store(f->ram + 0x20020 + 8 * n, (uint64_t)(0x300 + n) << 12 | 1);
	assert_int_equal(to_cr(f, 4, CR4_PAE), RAISED_NONE);
	assert_int_equal(to_cr(f, 3, 0x20020), RAISED_NONE);
	assert_int_equal(to_cr(f, 0, c->cr0 | CR0_PG), RAISED_NONE);
	assert_int_equal(c->pdpte[2], 0x302001);
	le64_store(f->ram + 0x20028, 0x301003); /* a reserved bit */
	assert_int_equal(c->pdpte[1], 0x301001); /* read by a load of CR3 only */
	assert_int_equal(to_cr(f, 3, 0x20020), EXC_GP);
	assert_int_equal(c->pdpte[1], 0x301001);
	le64_store(f->ram + 0x20028, 0x301002); /* not present: the rest is ignored */
	assert_int_equal(to_cr(f, 3, 0x20020), RAISED_NONE);
	assert_int_equal(to_cr(f, 4, CR4_PAE | CR4_PGE), RAISED_NONE);
}

static void test_cr3_cr4(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	static const uint32_t reserved[] = { CR4_VME, CR4_PVI, 1u << 12, 1u << 13, 1u << 14, 1u << 19, 1u << 23 };

	for (unsigned n = 0; n < ARRAY_LEN(reserved); n++)
		assert_int_equal(to_cr(f, 4, c->cr4 | reserved[n]), EXC_GP);
	assert_int_equal(to_cr(f, 4, c->cr4 | 1ull << 32), EXC_GP);
	assert_int_equal(to_cr(f, 3, TABLES | 1ull << CPUID_PHYS_BITS), EXC_GP);
	assert_int_equal(to_cr(f, 3, TABLES | 1ull << 63), EXC_GP); /* without PCIDs */
	assert_int_equal(to_cr(f, 3, TABLES | 5), RAISED_NONE);
	assert_int_equal(to_cr(f, 4, c->cr4 | CR4_PCIDE), EXC_GP);  /* CR3[11:0] are not 0 */
	assert_int_equal(to_cr(f, 3, TABLES), RAISED_NONE);
	assert_int_equal(to_cr(f, 4, c->cr4 | CR4_PCIDE), RAISED_NONE);
	assert_int_equal(to_cr(f, 3, TABLES | 5 | 1ull << 63), RAISED_NONE);
	assert_int_equal(c->cr3, TABLES | 5); /* bit 63 is not kept */
	assert_int_equal(to_cr(f, 4, cpuid_cr4_mask(c) & ~(uint64_t)CR4_SMAP), RAISED_NONE);
	RUN(f, MOV_FROM_CR(4));
	assert_int_equal(c->gpr[RAX], cpuid_cr4_mask(c) & ~(uint64_t)CR4_SMAP);
	c->gpr[RAX] = 16;
	RAISES(f, EXC_GP, 0x44, 0x0f, 0x22, 0xc0); /* mov cr8, rax */
}

static void test_invpcid(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	c->gpr[RBX] = AT_DATA;
	c->gpr[RAX] = 4;
	RAISES(f, EXC_GP, 0x66, 0x0f, 0x38, 0x82, 0x03);
	c->gpr[RAX] = 2;
	RUN(f, 0x66, 0x0f, 0x38, 0x82, 0x03);
	le64_store(f->ram + AT_DATA, 0x1000);
	RAISES(f, EXC_GP, 0x66, 0x0f, 0x38, 0x82, 0x03);
	le64_store(f->ram + AT_DATA, 5);
	c->gpr[RAX] = 1;
	RAISES(f, EXC_GP, 0x66, 0x0f, 0x38, 0x82, 0x03); /* PCIDs are off */
	le64_store(f->ram + AT_DATA, 0);
	le64_store(f->ram + AT_DATA + 8, NONCANON);
	c->gpr[RAX] = 0;
	RAISES(f, EXC_GP, 0x66, 0x0f, 0x38, 0x82, 0x03);
	sys_user(f);
	RAISES(f, EXC_GP, 0x66, 0x0f, 0x38, 0x82, 0x03);
	RAISES(f, EXC_GP, 0x0f, 0x01, 0x3b);
}

static void test_dr(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	c->gpr[RAX] = 0xffffffff & ~DR7_GD & ~0xffu;
	RUN(f, 0x0f, 0x23, 0xf8);
	assert_int_equal(c->dr7, 0xffff0700);
	c->gpr[RAX] = 0xffffffff;
	RUN(f, 0x0f, 0x23, 0xe0); /* DR4 is DR6 */
	assert_int_equal(c->dr6, 0xffffefff);
	c->gpr[RAX] = 1ull << 32;
	RAISES(f, EXC_GP, 0x0f, 0x23, 0xf0);
	c->cr4 |= CR4_DE;
	RAISES(f, EXC_UD, 0x0f, 0x23, 0xe0);
	RAISES(f, EXC_UD, 0x0f, 0x21, 0xe8);
	/* an enabled breakpoint has the run loop step */
	c->gpr[RAX] = 1;
	RUN(f, 0x0f, 0x23, 0xf8);
	assert_true(atomic_load(&c->exitreq) & EXITREQ_STEP);
	c->gpr[RAX] = 0;
	RUN(f, 0x0f, 0x23, 0xf8);
	assert_int_equal(c->dr7, DR7_FIXED);
	assert_false(atomic_load(&c->exitreq) & EXITREQ_STEP);
	sys_user(f);
	RAISES(f, EXC_GP, 0x0f, 0x21, 0xc0);
}

/* --- flags --- */

static void test_flags(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	uint64_t all = FL_ARITH | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_ID;

	le64_store(f->ram + c->gpr[RSP], ~(uint64_t)FL_TF);
	RUN(f, 0x9d);
	assert_int_equal(rflags_get(c), all | 2);
	RUN(f, 0x9c);
	assert_int_equal(stacked64(f, 0), all | 2);
	RUN(f, 0xfa);
	assert_false(c->rflags & FL_IF);
	RUN(f, 0xfb);
	assert_true(c->rflags & FL_IF);
	assert_int_equal(c->shadow, SHADOW_STI);
	c->shadow = 0;
	RUN(f, 0xfb); /* IF was set: no shadow */
	assert_int_equal(c->shadow, 0);
	/* 16-bit POPF leaves the upper half */
	le16_store(f->ram + c->gpr[RSP], 0);
	RUN(f, 0x66, 0x9d);
	assert_int_equal(rflags_get(c), FL_AC | FL_ID | 2);

	sys_reset(f, CODE_64);
	sys_user(f);
	rflags_set(c, FL_IF | 2);
	RAISES(f, EXC_GP, 0xfa);
	RAISES(f, EXC_GP, 0xfb);
	RAISES(f, EXC_GP, 0xf4);
	RAISES(f, EXC_UD, 0x0f, 0x01, 0xcb);
	le64_store(f->ram + c->gpr[RSP], 0);
	RUN(f, 0x9d);
	assert_int_equal(rflags_get(c), FL_IF | 2); /* IOPL 0 */
	rflags_set(c, FL_IF | FL_IOPL | 2);
	RUN(f, 0xfa);
	assert_int_equal(rflags_get(c), FL_IOPL | 2);

	sys_reset(f, CODE_64);
	RUN(f, 0x0f, 0x01, 0xcb);
	assert_true(c->rflags & FL_AC);
	RUN(f, 0x0f, 0x01, 0xca);
	assert_false(c->rflags & FL_AC);
	RUN(f, 0xf4);
	assert_true(c->halted);
}

/* --- MSRs --- */

static void test_msr_values(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	static const struct { uint32_t msr; uint64_t good, bad; } t[] = {
		{ 0xc0000080, EFER_SCE | EFER_LME | EFER_NXE, 1 << 1 },
		{ 0xc0000082, 0xffffffff81000000, NONCANON },
		{ 0xc0000100, 0xffffffff81000000, NONCANON },
		{ 0xc0000101, 0x00007fffffffffff, NONCANON },
		{ 0xc0000102, 0x1000, NONCANON },
		{ 0xc0000103, 0xffffffff, 1ull << 32 },
		{ 0x175, 0x1000, NONCANON },
		{ 0x176, 0x1000, NONCANON },
		{ 0x277, 0x0007040600070406, 2 },
		{ 0x2ff, 0xc06, 0x1c06 },
		{ 0x200, 0x80000006, 0x80000007 },
		{ 0x201, 0x3fff80000800, 1ull << 46 },
		{ 0x250, 0x0606060606060606, 0x0606060606060602 },
		{ 0x26f, 0x0505050505050505, 0x07 },
		{ 0x48, 1, 4 },
		{ 0xda0, 0, 1 },
	};
	uint64_t v;

	for (unsigned n = 0; n < ARRAY_LEN(t); n++) {
		assert_int_equal(msr_write(c, t[n].msr, t[n].good), 0);
		assert_int_equal(msr_write(c, t[n].msr, t[n].bad), -EINVAL);
		assert_int_equal(msr_read(c, t[n].msr, &v), 0);
		assert_int_equal(v, t[n].msr == 0xc0000080 ? t[n].good | EFER_LMA : t[n].good);
	}
	/* read-only, write-only, missing */
	assert_int_equal(msr_write(c, 0xfe, 0x508), -EINVAL);
	assert_int_equal(msr_write(c, 0x10a, 0), -EINVAL);
	assert_int_equal(msr_read(c, 0x49, &v), -EINVAL);
	assert_int_equal(msr_write(c, 0x49, 1), 0);
	assert_int_equal(msr_read(c, 0xc0010015, &v), -EINVAL);
	assert_int_equal(msr_read(c, 0x140, &v), -EINVAL);
	assert_int_equal(msr_write(c, 0x1a0, 0), 0);
	assert_int_equal(msr_read(c, 0x1a0, &v), 0);
	assert_int_equal(v, 0x1800);
	assert_int_equal(msr_read(c, 0xfe, &v), 0);
	assert_int_equal(v, 0x508);
	/* through the instructions */
	c->gpr[RCX] = 0xc0000103;
	c->gpr[RAX] = 0xffffffff00000007;
	c->gpr[RDX] = 0;
	RUN(f, 0x0f, 0x30);
	assert_int_equal(c->tsc_aux, 7);
	RUN(f, 0xf3, 0x0f, 0xc7, 0xf8); /* rdpid rax */
	assert_int_equal(c->gpr[RAX], 7);
	c->gpr[RCX] = 0x12345;
	RAISES(f, EXC_GP, 0x0f, 0x32);
	sys_user(f);
	c->gpr[RCX] = 0x10;
	RAISES(f, EXC_GP, 0x0f, 0x32);
	RAISES(f, EXC_GP, 0x0f, 0x30);
}

/* --- time --- */

static void test_tsc(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	uint64_t a, b, v;

	assert_in_range(tsc_khz(), 100000, 20000000);
	/* between the outer two readings of the clock, whatever the host did meanwhile */
	a = clock_now_ns();
	b = tsc_host();
	while (clock_now_ns() - a < 5000000)
		;
	b = tsc_host() - b;
	v = clock_now_ns() - a;
	assert_in_range(tsc_to_ns(b), 4500000, v + v / 10);
	/* both ways round down, the first by less than a nanosecond */
	assert_in_range(tsc_from_ns(tsc_to_ns(123456789)), 123456789 - 2 - tsc_khz() / 1000000, 123456789);

	assert_int_equal(msr_write(c, 0x10, 1ull << 40), 0);
	RUN(f, 0x0f, 0x31);
	v = c->gpr[RDX] << 32 | c->gpr[RAX];
	assert_in_range(v, 1ull << 40, (1ull << 40) + tsc_khz() * 1000);
	/* writing TSC_ADJUST moves the counter by the same */
	a = c->tsc_adjust;
	assert_int_equal(msr_write(c, 0x3b, a + (1ull << 50)), 0);
	assert_in_range(tsc_guest(c), (1ull << 50) + (1ull << 40), (1ull << 50) + (1ull << 41));
	/* a processor that is given about the present value keeps in step with the others */
	assert_int_equal(tsc_offset_for(0), -(int64_t)tsc_base());
	int64_t off = tsc_offset_for(tsc_host() + (1ull << 45));
	assert_int_equal(tsc_offset_for(tsc_host() + (1ull << 45) - 5000), off);

	c->cr4 |= CR4_TSD;
	RUN(f, 0x0f, 0x31);
	sys_user(f);
	RAISES(f, EXC_GP, 0x0f, 0x31);
	RAISES(f, EXC_GP, 0x0f, 0x01, 0xf9);
	RAISES(f, EXC_GP, 0x0f, 0x33);
}

static void test_pvclock(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	const uint8_t *p = f->ram + AT_DATA;
	uint64_t tsc, ns, want;

	memset(f->ram + AT_DATA, 0xff, 64);
	assert_int_equal(msr_write(c, 0x4b564d01, AT_DATA), 0); /* not enabled */
	assert_int_equal(p[0], 0xff);
	assert_int_equal(msr_write(c, 0x4b564d01, AT_DATA | 1), 0);
	assert_int_equal(le32_load(p) & 1, 0);
	assert_int_equal(p[29], 1);
	tsc = tsc_guest(c);
	want = tsc_to_ns(tsc_host() - tsc_base());
	ns = tsc - le64_load(p + 8);
	ns = (int8_t)p[28] < 0 ? ns >> -(int8_t)p[28] : ns << p[28];
	ns = le64_load(p + 16) + (uint64_t)((unsigned __int128)ns * le32_load(p + 24) >> 32);
	assert_true(want - ns < 100000);
	/* boot time plus system time is the time of day */
	assert_int_equal(msr_write(c, 0x4b564d00, AT_DATA + 32), 0);
	want = clock_wall_ns() - tsc_to_ns(tsc_host() - tsc_base());
	ns = le32_load(p + 36) * 1000000000ull + le32_load(p + 40);
	assert_true(want - ns + 1000000 < 2000000);
	/* outside memory: nothing happens */
	assert_int_equal(msr_write(c, 0x4b564d01, 1ull << 40 | 1), 0);
	assert_int_equal(msr_write(c, 0x4b564d00, ~0ull), 0);
}

/* --- CPUID --- */

static void test_cpuid(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	uint32_t r[4], last[4];
	uint64_t v;

	cpuid_get(c, 0, 0, r);
	assert_memory_equal(&r[1], "Genu", 4);
	assert_int_equal(r[0], 0x1f);
	cpuid_get(c, 0x1f, 0, last);
	cpuid_get(c, 0x20, 0, r);
	assert_memory_equal(r, last, sizeof(r));
	cpuid_get(c, 0x80000009, 0, r);
	assert_memory_equal(r, last, sizeof(r));
	cpuid_get(c, 0x80000008, 0, r);
	assert_int_equal(r[0], 48 << 8 | CPUID_PHYS_BITS);
	cpuid_get(c, 0x80000002, 0, r);
	assert_memory_equal(r, "Vibe-VMM softwar", 16);
	cpuid_get(c, 0x40000000, 0, r);
	assert_memory_equal(&r[1], "KVMKVMKVM\0\0\0", 12);
	cpuid_get(c, 0x40000010, 0, r);
	assert_int_equal(r[0], tsc_khz());
	cpuid_get(c, 0x15, 0, r);
	if (r[2])
		assert_int_equal((uint64_t)r[2] * r[1] / r[0], tsc_khz() * 1000);

	/* mirrors of control registers */
	cpuid_get(c, 1, 0, r);
	assert_false(r[2] >> 27 & 1);
	assert_true(r[3] >> 9 & 1);
	c->cr4 |= CR4_OSXSAVE;
	cpuid_get(c, 1, 0, r);
	assert_true(r[2] >> 27 & 1);
	/* SYSCALL shows in 64-bit code only */
	cpuid_get(c, 0x80000001, 0, r);
	assert_true(r[3] >> 11 & 1);
	c->code = CODE_32;
	cpuid_get(c, 0x80000001, 0, r);
	assert_false(r[3] >> 11 & 1);
	c->code = CODE_64;
	/* MSRs that the bits announce exist */
	static const uint32_t msrs[] = { 0x10, 0x3b, 0x48, 0x8b, 0xfe, 0x10a, 0x174, 0x179, 0x1a0, 0x277, 0x2ff, 0x1b, 0xc0000080,
	                                 0xc0000103, 0x4b564d00, 0x4b564d01 };
	for (unsigned n = 0; n < ARRAY_LEN(msrs); n++)
		assert_int_equal(msr_read(c, msrs[n], &v), 0);
	c->gpr[RAX] = 0x100000000;
	RUN(f, 0x0f, 0xa2);
	assert_int_equal(c->gpr[RAX], 0x1f);
}

/* Every feature that CPUID offers has its instructions, for one of each set */
static void test_features_work(void **state)
{
	static const struct { uint8_t feature, len, b[8]; } t[] = {
		{ F_SSE3, 4, { 0xf2, 0x0f, 0x7c, 0xc1 } }, { F_SSSE3, 5, { 0x66, 0x0f, 0x38, 0x00, 0xc1 } },
		{ F_SSE41, 5, { 0x66, 0x0f, 0x38, 0x20, 0xc1 } }, { F_SSE42, 6, { 0x66, 0x0f, 0x3a, 0x63, 0xc1, 0 } },
		{ F_SSE42, 5, { 0xf2, 0x0f, 0x38, 0xf0, 0xc1 } },
		{ F_POPCNT, 4, { 0xf3, 0x0f, 0xb8, 0xc1 } }, { F_CX16, 4, { 0x48, 0x0f, 0xc7, 0x0b } },
		{ F_FSGSBASE, 4, { 0xf3, 0x0f, 0xae, 0xc0 } }, { F_XSAVE, 3, { 0x0f, 0xae, 0x23 } },
		{ F_XSAVEOPT, 3, { 0x0f, 0xae, 0x33 } }, { F_XSAVEC, 3, { 0x0f, 0xc7, 0x23 } }, { F_XSAVES, 3, { 0x0f, 0xc7, 0x2b } },
		{ F_RDTSCP, 3, { 0x0f, 0x01, 0xf9 } }, { F_INVPCID, 5, { 0x66, 0x0f, 0x38, 0x82, 0x03 } },
		{ F_MOVBE, 4, { 0x0f, 0x38, 0xf0, 0x03 } }, { F_BMI1, 4, { 0xf3, 0x0f, 0xbc, 0xc1 } },
		{ F_BMI1, 5, { 0xc4, 0xe2, 0x70, 0xf2, 0xc1 } }, { F_BMI2, 5, { 0xc4, 0xe2, 0x73, 0xf5, 0xc1 } },
		{ F_BMI2, 6, { 0xc4, 0xe3, 0x7b, 0xf0, 0xc1, 1 } }, { F_LZCNT, 4, { 0xf3, 0x0f, 0xbd, 0xc1 } },
		{ F_ADX, 5, { 0x66, 0x0f, 0x38, 0xf6, 0xc1 } }, { F_AES, 5, { 0x66, 0x0f, 0x38, 0xdc, 0xc1 } },
		{ F_PCLMUL, 6, { 0x66, 0x0f, 0x3a, 0x44, 0xc1, 0 } }, { F_SHA, 4, { 0x0f, 0x38, 0xc8, 0xc1 } },
		{ F_RDRAND, 3, { 0x0f, 0xc7, 0xf0 } }, { F_RDSEED, 3, { 0x0f, 0xc7, 0xf8 } }, { F_SMAP, 3, { 0x0f, 0x01, 0xcb } },
		{ F_CLFLUSHOPT, 4, { 0x66, 0x0f, 0xae, 0x3b } }, { F_CLWB, 4, { 0x66, 0x0f, 0xae, 0x33 } },
		{ F_CLFLUSH, 3, { 0x0f, 0xae, 0x3b } }, { F_RDPID, 4, { 0xf3, 0x0f, 0xc7, 0xf8 } },
		{ F_AVX, 4, { 0xc5, 0xf0, 0x58, 0xc2 } },
		{ F_AVX2, 4, { 0xc5, 0xf5, 0xfe, 0xc2 } }, { F_FMA, 5, { 0xc4, 0xe2, 0x71, 0x98, 0xc2 } },
		{ F_F16C, 5, { 0xc4, 0xe2, 0x79, 0x13, 0xc1 } },
	};
	struct fix *f = *state;

	for (unsigned n = 0; n < ARRAY_LEN(t); n++) {
		struct insn i;
		assert_int_equal(insn_decode(t[n].b, t[n].len, CODE_64, &i), t[n].len);
		assert_int_not_equal(i.op, OP_INVALID);
		assert_int_equal(insn_feature(&i), t[n].feature);
		if (cpu_has(f->c, t[n].feature))
			assert_ptr_not_equal(interp_bind(&i), op_ud);
	}
	assert_false(cpu_has(f->c, F_MONITOR));
}

/* --- ports --- */

static struct {
	uint16_t port;
	unsigned size, count;
	uint32_t val;
} io;

static uint32_t log_read(void *ctx, unsigned cpu, uint16_t port, unsigned size)
{
	io.port = port;
	io.size = size;
	return 0x11223344 + io.count++;
}
static void log_write(void *ctx, unsigned cpu, uint16_t port, unsigned size, uint32_t val)
{
	io.port = port;
	io.size = size;
	io.val = val;
	io.count++;
}

static void test_io(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	struct vm_host h = fix_host;

	h.pio_read = log_read;
	h.pio_write = log_write;
	c->host = &h;
	memset(&io, 0, sizeof(io));
	c->gpr[RAX] = ~0ull;
	c->gpr[RDX] = 0x123456;
	RUN(f, 0xec);
	assert_int_equal(c->gpr[RAX], 0xffffffffffffff44);
	assert_int_equal(io.port, 0x3456);
	RUN(f, 0xe5, 0x80);
	assert_int_equal(c->gpr[RAX], 0x11223345);
	assert_int_equal(io.port, 0x80);
	assert_int_equal(io.size, 4);
	RUN(f, 0x66, 0xef);
	assert_int_equal(io.size, 2);
	assert_int_equal(io.val, 0x3345);

	/* REP: a request stops between iterations, with RIP still there */
	memset(&io, 0, sizeof(io));
	c->gpr[RCX] = 3;
	c->gpr[RDI] = AT_DATA;
	RUN(f, 0xf3, 0x6c);
	assert_int_equal(c->rip, AT_CODE);
	assert_int_equal(c->gpr[RCX], 2);
	RUN(f, 0xf3, 0x6c);
	RUN(f, 0xf3, 0x6c);
	assert_int_equal(c->rip, AT_CODE + 2);
	assert_int_equal(c->gpr[RDI], AT_DATA + 3);
	assert_int_equal(f->ram[AT_DATA + 2], 0x46);
	RUN(f, 0xf3, 0x6c); /* RCX is 0 */
	assert_int_equal(io.count, 3);
	/* a destination that faults: the port is not read */
	c->gpr[RCX] = 1;
	c->gpr[RDI] = AT_HOLE;
	RAISES(f, EXC_PF, 0xf3, 0x6c);
	assert_int_equal(io.count, 3);
	assert_int_equal(c->gpr[RCX], 1);
	/* downwards */
	c->rflags |= FL_DF;
	c->gpr[RSI] = AT_DATA + 4;
	le32_store(f->ram + AT_DATA + 4, 0xcafe);
	RUN(f, 0x6f);
	assert_int_equal(io.val, 0xcafe);
	assert_int_equal(c->gpr[RSI], AT_DATA);
	c->host = &fix_host;
}

static void test_io_permission(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	sys_user(f);
	memset(f->ram + AT_TSS + 0x68, 0xff, 0x2000);
	c->gpr[RDX] = 0x3f8;
	RAISES(f, EXC_GP, 0xec);
	f->ram[AT_TSS + 0x68 + 0x7f] = 0xfe; /* 3f8h alone */
	RUN(f, 0xec);
	RAISES(f, EXC_GP, 0x66, 0xed);
	RAISES(f, EXC_GP, 0x6f);
	c->gpr[RCX] = 0;
	RAISES(f, EXC_GP, 0xf3, 0x6f); /* before the count is looked at */
	f->ram[AT_TSS + 0x68 + 0x7f] = 0x7f; /* 3ffh, and 400h in the next byte */
	f->ram[AT_TSS + 0x68 + 0x80] = 0xfe;
	c->gpr[RDX] = 0x3ff;
	RUN(f, 0x66, 0xed);
	RAISES(f, EXC_GP, 0xed);
	c->tr.limit = 0x68 + 0x7f; /* the byte after the port's is beyond the limit */
	RAISES(f, EXC_GP, 0xec);
	c->rflags |= FL_IOPL;
	RUN(f, 0xec);
}

/* --- state --- */

static void test_state(void **state)
{
	struct fix *f = *state;
	static struct x86_state a, b;

	soft_get_state(f->c, &a);
	for (unsigned n = 0; n < 16; n++)
		a.gpr[n] = 0x1111111111111111ull * n;
	a.rflags = FL_CF | FL_OF | FL_IF | 2;
	a.dr[2] = 0x1234;
	a.star = 5;
	a.mtrr_var[3] = 0x1000;
	a.seg[FS].base = 0x7000;
	a.shadow_sti = a.nmi_masked = true;
	a.mp_state = MP_HALTED;
	a.xsave[160] = 0x77; /* XMM0 */
	a.xsave[512] |= 3;
	assert_int_equal(soft_set_state(f->c, &a), 0);
	assert_int_equal(f->c->sbase[FS], 0x7000);
	soft_get_state(f->c, &b);
	assert_true(b.tsc >= a.tsc);
	b.tsc = a.tsc;
	assert_memory_equal(&a, &b, sizeof(a));
	/* privilege follows SS */
	a.seg[SS].attr |= 3u << SEG_DPL_SHIFT;
	assert_int_equal(soft_set_state(f->c, &a), 0);
	assert_int_equal(f->c->cpl, 3);
	a.exc_pending = true;
	assert_int_equal(soft_set_state(f->c, &a), -EINVAL);

	x86_state_reset(&a);
	assert_int_equal(soft_set_state(f->c, &a), 0);
	assert_int_equal(f->c->code, CODE_16);
	assert_int_equal(f->c->sbase[CS] + f->c->rip, 0xfffffff0);
	soft_get_state(f->c, &b);
	b.tsc = a.tsc;
	a.tsc_deadline = b.tsc_deadline;       /* the APIC's */
	memcpy(a.xsave + 28, b.xsave + 28, 4); /* MXCSR_MASK */
	memcpy(a.xsave + 512, b.xsave + 512, 2); /* all components are stored */
	assert_memory_equal(&a, &b, sizeof(a));
}

#define LONG(test) cmocka_unit_test_setup(test, sys_long)
#define PROT(test) cmocka_unit_test_setup(test, sys_prot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LONG(test_cr0), PROT(test_long_switch), PROT(test_pae), LONG(test_cr3_cr4), LONG(test_invpcid), LONG(test_dr),
		LONG(test_flags), LONG(test_msr_values), LONG(test_tsc), LONG(test_pvclock), LONG(test_cpuid),
		cmocka_unit_test_setup(test_features_work, fix_long), LONG(test_io), LONG(test_io_permission), LONG(test_state),
	};
	return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
