/* Segment loads, far transfers and system calls of the software CPU. */
#include "sys_fixture.h"

/* --- segment registers --- */

/* mov ds, ax / mov ss, ax with every kind of selector, at CPL 0 and 3 */
static void test_loads(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	struct { uint8_t seg, cpl; uint16_t sel; int vector; uint32_t error; } t[] = {
		{ DS, 0, 0, RAISED_NONE, 0 },
		{ DS, 3, 3, RAISED_NONE, 0 },
		{ DS, 0, SEL(S_KDATA, 0), RAISED_NONE, 0 },
		{ DS, 0, SEL(S_KDATA, 1), EXC_GP, SEL(S_KDATA, 0) },
		{ DS, 3, SEL(S_KDATA, 0), EXC_GP, SEL(S_KDATA, 0) },
		{ DS, 3, SEL(S_UDATA, 3), RAISED_NONE, 0 },
		{ DS, 0, SEL(S_UDATA, 3), RAISED_NONE, 0 },
		{ DS, 0, SEL(S_KCODE, 0), RAISED_NONE, 0 },   /* readable code */
		{ DS, 3, SEL(S_CONFORM, 3), RAISED_NONE, 0 }, /* conforming: privilege does not matter */
		{ DS, 0, SEL(S_XONLY, 0), EXC_GP, SEL(S_XONLY, 0) },
		{ DS, 0, SEL(S_TSS, 0), EXC_GP, SEL(S_TSS, 0) },
		{ DS, 0, SEL(S_ABSENT, 0), EXC_NP, SEL(S_ABSENT, 0) },
		{ DS, 0, SEL(S_COUNT, 0), EXC_GP, SEL(S_COUNT, 0) },
		{ DS, 0, 4, EXC_GP, 4 },                      /* there is no LDT */
		{ SS, 0, SEL(S_KDATA, 0), RAISED_NONE, 0 },
		{ SS, 0, SEL(S_KDATA, 3), EXC_GP, SEL(S_KDATA, 0) },
		{ SS, 0, SEL(S_UDATA, 0), EXC_GP, SEL(S_UDATA, 0) },
		{ SS, 0, SEL(S_ROD, 0), EXC_GP, SEL(S_ROD, 0) },
		{ SS, 0, SEL(S_KCODE, 0), EXC_GP, SEL(S_KCODE, 0) },
		{ SS, 0, SEL(S_ABSENT, 0), EXC_SS, SEL(S_ABSENT, 0) },
		{ SS, 3, SEL(S_UDATA, 3), RAISED_NONE, 0 },
		{ SS, 3, 3, EXC_GP, 0 },
	};
	for (unsigned wide = 0; wide < 2; wide++) {
		for (unsigned n = 0; n < ARRAY_LEN(t); n++) {
			sys_reset(f, wide ? CODE_64 : CODE_32);
			if (t[n].cpl)
				sys_user(f);
			c->gpr[RAX] = t[n].sel;
			int got = EXEC(f, 0x8e, (uint8_t)(0xc0 | t[n].seg << 3));
			assert_int_equal(got, t[n].vector);
			if (got == RAISED_NONE) {
				assert_int_equal(c->seg[t[n].seg].sel, t[n].sel);
				assert_int_equal(c->shadow, t[n].seg == SS ? SHADOW_MOV_SS : 0);
			} else {
				assert_int_equal(c->raised.error, t[n].error);
			}
		}
	}
	/* a null SS is for 64-bit code of the inner levels */
	sys_reset(f, CODE_32);
	c->gpr[RAX] = 0;
	RAISES(f, EXC_GP, 0x8e, 0xd0);
	sys_reset(f, CODE_64);
	c->gpr[RAX] = 0;
	RUN(f, 0x8e, 0xd0);
}

static void test_accessed_and_ldt(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	put_desc(f, S_KDATA16, 0x1000, 0xffff, ATTR(2, 0)); /* not yet accessed */
	c->gpr[RAX] = SEL(S_KDATA16, 0);
	RUN(f, 0x8e, 0xc0);
	assert_int_equal(f->ram[AT_GDT + S_KDATA16 * 8 + 5], 0x93);
	assert_int_equal(c->seg[ES].base, 0x1000);
	/* LLDT, then a load from there */
	put_desc_at(f, AT_LDT + 8, 0x3000, 0xff, ATTR(3, 0));
	c->gpr[RAX] = SEL(S_LDT, 0);
	RUN(f, 0x0f, 0x00, 0xd0);
	c->gpr[RAX] = 0xc;
	RUN(f, 0x8e, 0xc0);
	assert_int_equal(c->seg[ES].base, 0x3000);
	c->gpr[RAX] = 0x104;
	RAISES(f, EXC_GP, 0x8e, 0xc0);
	c->gpr[RAX] = SEL(S_TSS, 0);
	RAISES(f, EXC_GP, 0x0f, 0x00, 0xd0);
	assert_int_equal(c->raised.error, SEL(S_TSS, 0));
}

static void test_pop_sreg(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	le64_store(f->ram + c->gpr[RSP], SEL(S_UDATA, 3));
	RUN(f, 0x0f, 0xa1); /* pop fs */
	assert_int_equal(c->gpr[RSP], AT_STACK + 0x808);
	assert_int_equal(c->seg[FS].sel, SEL(S_UDATA, 3));
	le64_store(f->ram + c->gpr[RSP], SEL(S_ABSENT, 0));
	RAISES(f, EXC_NP, 0x0f, 0xa1);
	assert_int_equal(c->gpr[RSP], AT_STACK + 0x808);
	assert_int_equal(c->seg[FS].sel, SEL(S_UDATA, 3));
	RUN(f, 0x0f, 0xa0);
	assert_int_equal(stacked64(f, 0), SEL(S_UDATA, 3));
	/* lfs eax, [AT_DATA] */
	le32_store(f->ram + AT_DATA, 0x87654321);
	le16_store(f->ram + AT_DATA + 4, SEL(S_KDATA, 0));
	c->gpr[RBX] = AT_DATA;
	RUN(f, 0x0f, 0xb4, 0x03);
	assert_int_equal(c->gpr[RAX], 0x87654321);
	assert_int_equal(c->seg[FS].sel, SEL(S_KDATA, 0));
}

static void test_limits(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	/* mov al, es:[ebx] and mov es:[ebx], al through various segments */
	struct { uint16_t sel; uint32_t at; int read, write; } t[] = {
		{ SEL(S_KDATA16, 0), 0xffff, RAISED_NONE, RAISED_NONE },
		{ SEL(S_KDATA16, 0), 0x10000, EXC_GP, EXC_GP },
		{ SEL(S_DOWN, 0), 0xfff, EXC_GP, EXC_GP },
		{ SEL(S_DOWN, 0), 0x1000, RAISED_NONE, RAISED_NONE },
		{ SEL(S_ROD, 0), 0x10000, RAISED_NONE, EXC_GP },
		{ SEL(S_KCODE, 0), 0x10000, RAISED_NONE, EXC_GP },
		{ 0, 0x10000, EXC_GP, EXC_GP },
		{ SEL(S_KDATA, 0), 0x10000, RAISED_NONE, RAISED_NONE },
	};
	for (unsigned n = 0; n < ARRAY_LEN(t); n++) {
		sys_reset(f, CODE_32);
		c->gpr[RAX] = t[n].sel;
		RUN(f, 0x8e, 0xc0);
		c->gpr[RBX] = t[n].at;
		assert_int_equal(EXEC(f, 0x26, 0x8a, 0x03), t[n].read);
		assert_int_equal(EXEC(f, 0x26, 0x88, 0x03), t[n].write);
	}
	/* a word may not stick out */
	sys_reset(f, CODE_32);
	c->gpr[RAX] = SEL(S_KDATA16, 0);
	RUN(f, 0x8e, 0xc0);
	c->gpr[RBX] = 0xffff;
	RAISES(f, EXC_GP, 0x26, 0x66, 0x8b, 0x03);
	/* the stack's limit is #SS */
	c->gpr[RAX] = SEL(S_KDATA16, 0);
	RUN(f, 0x8e, 0xd0);
	assert_int_equal(c->sp_mask, 0xffff);
	c->gpr[RBP] = 0x10000;
	RAISES(f, EXC_SS, 0x8a, 0x45, 0x00);
}

static void test_unreal(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	/* real mode: an offset beyond 64 KiB is #GP, until a 4 GiB limit was loaded in protected mode */
	c->gpr[RBX] = 0x12345;
	RAISES(f, EXC_GP, 0x67, 0x8a, 0x03);
	c->seg[DS].limit = 0xffffffff;
	cpu_mode_changed(c);
	c->gpr[RAX] = 0x10;
	RUN(f, 0x8e, 0xd8); /* keeps the limit */
	f->ram[0x12445] = 0x5a;
	RUN(f, 0x67, 0x8a, 0x03);
	assert_int_equal(R8(c, 0), 0x5a);
	/* real mode writes through any segment */
	c->seg[CS].attr = ATTR(0xb, 0);
	cpu_mode_changed(c);
	c->gpr[RBX] = 0x40;
	RUN(f, 0x2e, 0x88, 0x07);
}

/* --- far transfers --- */

static void far_mem(struct fix *f, uint32_t off, uint16_t sel)
{
	le32_store(f->ram + AT_DATA, off);
	le16_store(f->ram + AT_DATA + 4, sel);
	f->c->gpr[RBX] = AT_DATA;
}
#define JMPF_MEM 0xff, 0x2b
#define CALLF_MEM 0xff, 0x1b

static void test_far_direct(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	struct { uint32_t off; uint16_t sel; uint8_t cpl; int vector; uint32_t error; } t[] = {
		{ 0x5000, 0, 0, EXC_GP, 0 },
		{ 0x5000, SEL(S_COUNT, 0), 0, EXC_GP, SEL(S_COUNT, 0) },
		{ 0x5000, SEL(S_KDATA, 0), 0, EXC_GP, SEL(S_KDATA, 0) },
		{ 0x5000, SEL(S_UCODE, 3), 0, EXC_GP, SEL(S_UCODE, 0) },
		{ 0x5000, SEL(S_KCODE, 3), 0, EXC_GP, SEL(S_KCODE, 0) },
		{ 0x5000, SEL(S_KCODE, 3), 3, EXC_GP, SEL(S_KCODE, 0) },
		{ 0x5000, SEL(S_UCODE, 0), 3, RAISED_NONE, 0 },
		{ 0x5000, SEL(S_CONFORM, 3), 3, RAISED_NONE, 0 },
		{ 0x5000, SEL(S_BADCODE, 0), 0, EXC_GP, SEL(S_BADCODE, 0) },
		{ 0x5000, SEL(S_KCODE, 0), 0, RAISED_NONE, 0 },
		{ 0x10000, SEL(S_KCODE16, 0), 0, EXC_GP, 0 },
		{ 0x5000, SEL(S_KCODE16, 0), 0, RAISED_NONE, 0 },
	};
	for (unsigned n = 0; n < ARRAY_LEN(t); n++) {
		for (unsigned call = 0; call < 2; call++) {
			sys_reset(f, CODE_64);
			if (t[n].cpl)
				sys_user(f);
			far_mem(f, t[n].off, t[n].sel);
			uint64_t sp = c->gpr[RSP];
			uint16_t old = c->seg[CS].sel;
			int got = call ? EXEC(f, CALLF_MEM) : EXEC(f, JMPF_MEM);
			assert_int_equal(got, t[n].vector);
			if (got != RAISED_NONE) {
				assert_int_equal(c->raised.error, t[n].error);
				assert_int_equal(c->gpr[RSP], sp);
				continue;
			}
			assert_int_equal(c->rip, t[n].off);
			assert_int_equal(c->seg[CS].sel, (t[n].sel & ~3) | t[n].cpl);
			assert_int_equal(c->cpl, t[n].cpl);
			if (call) { /* two doublewords, even in 64-bit code */
				assert_int_equal(sp - c->gpr[RSP], 8);
				assert_int_equal(stacked32(f, 0), AT_CODE + 2);
				assert_int_equal(stacked32(f, 1), old);
			}
		}
	}
}

static void test_call_gate64(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	sys_user(f);
	put_gate(f, AT_GDT + S_GATE * 8, SEL(S_KCODE, 0), 0x123456789000, SYS_ATTR(SYS_CALL32, 3), 0, true);
	far_mem(f, 0, SEL(S_GATE, 3));
	RAISES(f, EXC_GP, JMPF_MEM); /* a jump does not change privilege */
	assert_int_equal(c->raised.error, SEL(S_KCODE, 0));
	RUN(f, CALLF_MEM);
	assert_int_equal(c->rip, 0x123456789000);
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->seg[SS].sel, 0);
	assert_int_equal(c->gpr[RSP], AT_KSTACK - 32);
	assert_int_equal(stacked64(f, 0), AT_CODE + 2);
	assert_int_equal(stacked64(f, 1), SEL(S_UCODE, 3));
	assert_int_equal(stacked64(f, 2), AT_STACK + 0x800);
	assert_int_equal(stacked64(f, 3), SEL(S_UDATA, 3));
	RUN(f, 0x48, 0xcb); /* retfq */
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->rip, AT_CODE + 2);
	assert_int_equal(c->gpr[RSP], AT_STACK + 0x800);

	far_mem(f, 0, SEL(S_GATE, 3));
	put_gate(f, AT_GDT + S_GATE * 8, SEL(S_KCODE, 0), 0x1000, SYS_ATTR(SYS_CALL32, 0), 0, true); /* DPL 0 */
	RAISES(f, EXC_GP, CALLF_MEM);
	assert_int_equal(c->raised.error, SEL(S_GATE, 0));
	put_gate(f, AT_GDT + S_GATE * 8, SEL(S_KCODE, 0), 0x1000, SYS_ATTR(SYS_CALL32, 3) & ~SEG_P, 0, true);
	RAISES(f, EXC_NP, CALLF_MEM);
	put_gate(f, AT_GDT + S_GATE * 8, SEL(S_KCODE32, 0), 0x1000, SYS_ATTR(SYS_CALL32, 3), 0, true);
	RAISES(f, EXC_GP, CALLF_MEM); /* only to 64-bit code */
	assert_int_equal(c->raised.error, SEL(S_KCODE32, 0));
	far_mem(f, 0, SEL(S_TSS, 0));
	RAISES(f, EXC_GP, CALLF_MEM); /* no task switches */
}

static void test_call_gate32(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	sys_user(f);
	put_gate(f, AT_GDT + S_GATE * 8, SEL(S_KCODE, 0), 0x5000, SYS_ATTR(SYS_CALL32, 3), 2, false);
	le32_store(f->ram + c->gpr[RSP], 0x11111111);
	le32_store(f->ram + c->gpr[RSP] + 4, 0x22222222);
	RUN(f, 0x9a, 0, 0, 0, 0, SEL(S_GATE, 3), 0);
	assert_int_equal(c->rip, 0x5000);
	assert_int_equal(c->gpr[RSP], AT_KSTACK - 24);
	assert_int_equal(stacked32(f, 0), AT_CODE + 7);
	assert_int_equal(stacked32(f, 1), SEL(S_UCODE, 3));
	assert_int_equal(stacked32(f, 2), 0x11111111);
	assert_int_equal(stacked32(f, 3), 0x22222222);
	assert_int_equal(stacked32(f, 4), AT_STACK + 0x800);
	assert_int_equal(stacked32(f, 5), SEL(S_UDATA, 3));
	RUN(f, 0xca, 8, 0); /* retf 8 drops the parameters on both stacks */
	assert_int_equal(c->rip, AT_CODE + 7);
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->gpr[RSP], AT_STACK + 0x808);

	/* a 16-bit gate pushes words */
	put_desc(f, S_KCODE16, 0, 0xffff, ATTR(0xb, 0));
	put_gate(f, AT_GDT + S_GATE * 8, SEL(S_KCODE16, 0), 0x5000, SYS_ATTR(SYS_CALL16, 3), 0, false);
	RUN(f, 0x9a, 0, 0, 0, 0, SEL(S_GATE, 3), 0);
	assert_int_equal(c->gpr[RSP], AT_KSTACK - 8);
	assert_int_equal(stacked16(f, 0), AT_CODE + 7);
	assert_int_equal(c->code, CODE_16);
}

static void test_far_real(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	c->seg[SS].base = 0x2000;
	c->gpr[RSP] = 0x100;
	c->seg[CS].sel = 0x9;
	RUN(f, 0x9a, 0x34, 0x12, 0x00, 0x01);
	assert_int_equal(c->rip, 0x1234);
	assert_int_equal(c->seg[CS].base, 0x1000);
	assert_int_equal(le16_load(f->ram + 0x20fc), AT_CODE + 5);
	assert_int_equal(le16_load(f->ram + 0x20fe), 0x9);
	RUN(f, 0xcb);
	assert_int_equal(c->rip, AT_CODE + 5);
	assert_int_equal(c->seg[CS].sel, 0x9);
	RAISES(f, EXC_GP, 0x66, 0xea, 0, 0, 1, 0, 0, 1); /* beyond the limit */
}

/* --- system calls --- */

static void test_syscall(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	sys_user(f);
	RAISES(f, EXC_UD, 0x0f, 0x05); /* EFER.SCE is clear */
	c->efer |= EFER_SCE;
	c->star = 0x0023000800000000ull;
	c->lstar = 0xffffffff81000000ull;
	c->fmask = FL_IF | FL_TF | FL_DF;
	rflags_set(c, FL_IF | FL_DF | FL_CF | FL_IOPL | 2);
	RUN(f, 0x0f, 0x05);
	assert_int_equal(c->rip, 0xffffffff81000000ull);
	assert_int_equal(c->gpr[RCX], AT_CODE + 2);
	assert_int_equal(c->gpr[R11], FL_IF | FL_DF | FL_CF | FL_IOPL | 2);
	assert_int_equal(rflags_get(c), FL_CF | FL_IOPL | 2);
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->seg[CS].sel, 8);
	assert_int_equal(c->seg[SS].sel, 0x10);
	assert_int_equal(c->gpr[RSP], AT_STACK + 0x800); /* the stack is the kernel's business */
	c->gpr[R11] |= FL_RF | FL_VM;
	RUN(f, 0x48, 0x0f, 0x07);
	assert_int_equal(c->rip, AT_CODE + 2);
	assert_int_equal(c->seg[CS].sel, 0x33);
	assert_int_equal(c->seg[SS].sel, 0x2b);
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->code, CODE_64);
	assert_int_equal(rflags_get(c), FL_IF | FL_DF | FL_CF | FL_IOPL | 2);
	RAISES(f, EXC_GP, 0x48, 0x0f, 0x07);

	sys_reset(f, CODE_64);
	c->efer |= EFER_SCE;
	c->star = 0x0023000800000000ull;
	c->gpr[RCX] = NONCANON;
	RAISES(f, EXC_GP, 0x48, 0x0f, 0x07); /* still at CPL 0, as Intel has it */
	c->gpr[RCX] = 0x123456789;
	RUN(f, 0x0f, 0x07); /* to 32-bit code */
	assert_int_equal(c->code, CODE_32);
	assert_int_equal(c->rip, 0x23456789);
	assert_int_equal(c->seg[CS].sel, 0x23);
	RAISES(f, EXC_UD, 0x0f, 0x05); /* Intel: not in compatibility mode */
}

static void test_sysenter(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	sys_user(f);
	RAISES(f, EXC_GP, 0x0f, 0x34);
	c->sysenter_cs = 8;
	c->sysenter_esp = AT_KSTACK;
	c->sysenter_eip = 0xffffffff81000000ull;
	rflags_set(c, FL_IF | 2);
	RUN(f, 0x0f, 0x34);
	assert_int_equal(c->rip, 0xffffffff81000000ull);
	assert_int_equal(c->gpr[RSP], AT_KSTACK);
	assert_int_equal(c->seg[CS].sel, 8);
	assert_int_equal(c->seg[SS].sel, 16);
	assert_int_equal(c->cpl, 0);
	assert_false(c->rflags & FL_IF);
	c->gpr[RDX] = 0x5000;
	c->gpr[RCX] = 0x6000;
	RUN(f, 0x0f, 0x35);
	assert_int_equal(c->rip, 0x5000);
	assert_int_equal(c->gpr[RSP], 0x6000);
	assert_int_equal(c->seg[CS].sel, 0x1b);
	assert_int_equal(c->seg[SS].sel, 0x23);
	assert_int_equal(c->code, CODE_32);
	assert_int_equal(c->cpl, 3);
}

/* --- questions about selectors; tables --- */

static void test_lar_lsl_verr(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	struct { uint16_t sel; uint8_t cpl; bool lar, lsl, verr, verw; } t[] = {
		{ 0, 0, false, false, false, false },
		{ SEL(S_KDATA, 0), 0, true, true, true, true },
		{ SEL(S_KDATA, 3), 3, false, false, false, false },
		{ SEL(S_ROD, 0), 0, true, true, true, false },
		{ SEL(S_XONLY, 0), 0, true, true, false, false },
		{ SEL(S_KCODE, 0), 0, true, true, true, false },
		{ SEL(S_CONFORM, 3), 3, true, true, true, false },
		{ SEL(S_TSS, 0), 0, true, true, false, false },
		{ SEL(S_GATE, 0), 0, true, false, false, false },
		{ SEL(S_ABSENT, 0), 0, true, true, true, true },
		{ SEL(S_COUNT, 0), 0, false, false, false, false },
	};
	for (unsigned n = 0; n < ARRAY_LEN(t); n++) {
		sys_reset(f, CODE_64);
		put_gate(f, AT_GDT + S_GATE * 8, SEL(S_KCODE, 0), 0, SYS_ATTR(SYS_CALL32, 0), 0, true);
		if (t[n].cpl)
			sys_user(f);
		c->gpr[RCX] = t[n].sel;
		cc_flags(c, FL_CF);
		RUN(f, 0x0f, 0x02, 0xc1);
		assert_int_equal(cc_zf(c), t[n].lar);
		assert_true(cc_cf(c));
		RUN(f, 0x0f, 0x03, 0xd1);
		assert_int_equal(cc_zf(c), t[n].lsl);
		RUN(f, 0x0f, 0x00, 0xe1);
		assert_int_equal(cc_zf(c), t[n].verr);
		RUN(f, 0x0f, 0x00, 0xe9);
		assert_int_equal(cc_zf(c), t[n].verw);
	}
	c->gpr[RCX] = SEL(S_KDATA, 0);
	sys_reset(f, CODE_64);
	c->gpr[RCX] = SEL(S_KDATA, 0);
	RUN(f, 0x0f, 0x02, 0xc1);
	assert_int_equal(c->gpr[RAX], 0xc09300);
	RUN(f, 0x0f, 0x03, 0xd1);
	assert_int_equal(c->gpr[RDX], 0xffffffff);
}

static void test_tables(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	le16_store(f->ram + AT_DATA, 0x1234);
	le64_store(f->ram + AT_DATA + 2, 0xffff800000001000ull);
	c->gpr[RBX] = AT_DATA;
	RUN(f, 0x0f, 0x01, 0x13);
	assert_int_equal(c->gdt.base, 0xffff800000001000ull);
	assert_int_equal(c->gdt.limit, 0x1234);
	c->gpr[RBX] = AT_DATA + 16;
	RUN(f, 0x0f, 0x01, 0x03);
	assert_memory_equal(f->ram + AT_DATA, f->ram + AT_DATA + 16, 10);
	le64_store(f->ram + AT_DATA + 18, NONCANON);
	RAISES(f, EXC_GP, 0x0f, 0x01, 0x1b);
	c->gpr[RBX] = AT_HOLE - 4; /* half of it fits: nothing is written */
	memset(f->ram + AT_HOLE - 4, 0x55, 4);
	RAISES(f, EXC_PF, 0x0f, 0x01, 0x03);
	assert_int_equal(le32_load(f->ram + AT_HOLE - 4), 0x55555555);

	sys_reset(f, CODE_64);
	c->gpr[RAX] = SEL(S_TSS, 0);
	RUN(f, 0x0f, 0x00, 0xd8); /* ltr sets the busy bit */
	assert_int_equal(f->ram[AT_GDT + S_TSS * 8 + 5], 0x8b);
	RAISES(f, EXC_GP, 0x0f, 0x00, 0xd8);
	assert_int_equal(c->raised.error, SEL(S_TSS, 0));
	c->gpr[RAX] = 0;
	RAISES(f, EXC_GP, 0x0f, 0x00, 0xd8);
	RUN(f, 0x0f, 0x00, 0xc8);
	assert_int_equal(c->gpr[RAX], SEL(S_TSS, 0));

	/* user code may look, unless CR4.UMIP forbids it */
	sys_user(f);
	c->gpr[RBX] = AT_DATA;
	RUN(f, 0x0f, 0x01, 0x03);
	RUN(f, 0x0f, 0x01, 0xe0);
	c->cr4 |= CR4_UMIP;
	RAISES(f, EXC_GP, 0x0f, 0x01, 0x03);
	RAISES(f, EXC_GP, 0x0f, 0x01, 0x0b);
	RAISES(f, EXC_GP, 0x0f, 0x01, 0xe0);
	RAISES(f, EXC_GP, 0x0f, 0x00, 0xc0);
	RAISES(f, EXC_GP, 0x0f, 0x00, 0xc8);
	RAISES(f, EXC_GP, 0x0f, 0x01, 0x13);
}

static void test_arpl(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	c->gpr[RAX] = 0x1230;
	c->gpr[RCX] = 0x3;
	RUN(f, 0x63, 0xc8);
	assert_int_equal(c->gpr[RAX], 0x1233);
	assert_true(cc_zf(c));
	RUN(f, 0x63, 0xc8);
	assert_false(cc_zf(c));
}

static void test_bases(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	RAISES(f, EXC_UD, 0xf3, 0x48, 0x0f, 0xae, 0xd0); /* wrfsbase rax */
	c->cr4 |= CR4_FSGSBASE;
	c->gpr[RAX] = NONCANON;
	RAISES(f, EXC_GP, 0xf3, 0x48, 0x0f, 0xae, 0xd0);
	c->gpr[RAX] = 0xffff812345678000;
	RUN(f, 0xf3, 0x48, 0x0f, 0xae, 0xd0);
	assert_int_equal(c->sbase[FS], 0xffff812345678000);
	RUN(f, 0xf3, 0x0f, 0xae, 0xc1); /* rdfsbase ecx */
	assert_int_equal(c->gpr[RCX], 0x45678000);
	c->seg[GS].base = c->sbase[GS] = 0x1000;
	c->kernel_gs_base = 0x2000;
	RUN(f, 0x0f, 0x01, 0xf8);
	assert_int_equal(c->sbase[GS], 0x2000);
	assert_int_equal(c->kernel_gs_base, 0x1000);
	sys_user(f);
	RAISES(f, EXC_GP, 0x0f, 0x01, 0xf8);
}

#define LONG(test) cmocka_unit_test_setup(test, sys_long)
#define PROT(test) cmocka_unit_test_setup(test, sys_prot)
#define REAL(test) cmocka_unit_test_setup(test, sys_real)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_loads, fix_long), PROT(test_accessed_and_ldt), LONG(test_pop_sreg), PROT(test_limits),
		REAL(test_unreal),
		LONG(test_far_direct), LONG(test_call_gate64), PROT(test_call_gate32), REAL(test_far_real),
		LONG(test_syscall), LONG(test_sysenter),
		LONG(test_lar_lsl_verr), LONG(test_tables), PROT(test_arpl), LONG(test_bases),
	};
	return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
