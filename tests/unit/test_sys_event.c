/* Exceptions and interrupts of the software CPU: frames, gates, double faults, and the ways back. */
#include "sys_fixture.h"

static void test_combine(void **state)
{
	/* SDM 3A table 6-5: first, second, result */
	static const int8_t t[][3] = {
		{ EXC_DE, EXC_DE, EXC_DF }, { EXC_DE, EXC_GP, EXC_DF }, { EXC_GP, EXC_PF, EXC_PF }, { EXC_PF, EXC_GP, EXC_DF },
		{ EXC_PF, EXC_PF, EXC_DF }, { EXC_PF, EXC_DB, EXC_DB }, { EXC_DB, EXC_GP, EXC_GP }, { EXC_UD, EXC_PF, EXC_PF },
		{ EXC_NP, EXC_SS, EXC_DF }, { EXC_TS, EXC_NP, EXC_DF }, { EXC_DF, EXC_GP, -1 }, { EXC_DF, EXC_PF, -1 },
		{ EXC_DF, EXC_UD, EXC_UD }, { EXC_NM, EXC_NP, EXC_NP }, { EXC_MF, EXC_PF, EXC_PF }, { EXC_AC, EXC_DE, EXC_DE },
	};
	for (unsigned n = 0; n < ARRAY_LEN(t); n++)
		assert_int_equal(exc_combine(t[n][0], t[n][1]), t[n][2]);
	for (int v = 0; v < 32; v++)
		assert_int_equal(exc_has_error(v), v == 8 || (v >= 10 && v <= 14) || v == 17);
}

/* --- long mode --- */

static void test_long_same_level(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	c->gpr[RSP] = AT_STACK + 0x7f9; /* frames are aligned */
	rflags_set(c, FL_IF | FL_TF | FL_NT | FL_CF | 2);
	assert_int_equal(TRY(f, exc_deliver(c, EXC_GP, EV_FAULT, true, 0x1234)), RAISED_NONE);
	assert_int_equal(c->rip, AT_HANDLER + EXC_GP);
	assert_int_equal(c->gpr[RSP], AT_STACK + 0x7f0 - 48);
	assert_int_equal(stacked64(f, 0), 0x1234);
	assert_int_equal(stacked64(f, 1), AT_CODE);
	assert_int_equal(stacked64(f, 2), SEL(S_KCODE, 0));
	assert_int_equal(stacked64(f, 3), FL_IF | FL_TF | FL_NT | FL_CF | FL_RF | 2);
	assert_int_equal(stacked64(f, 4), AT_STACK + 0x7f9);
	assert_int_equal(stacked64(f, 5), SEL(S_KDATA, 0));
	assert_int_equal(rflags_get(c), FL_CF | 2);
	assert_false(atomic_load(&c->exitreq) & EXITREQ_STEP);
}

static void test_long_from_user(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	sys_user(f);
	put_gate(f, AT_IDT + EXC_UD * 16, SEL(S_KCODE, 0), 0xffff800012345678, SYS_ATTR(SYS_TRAP32, 0), 0, true);
	rflags_set(c, FL_IF | FL_AC | 2);
	assert_int_equal(TRY(f, exc_deliver(c, EXC_UD, EV_FAULT, false, 0)), RAISED_NONE);
	assert_int_equal(c->rip, 0xffff800012345678);
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->seg[CS].sel, SEL(S_KCODE, 0));
	assert_int_equal(c->seg[SS].sel, 0); /* null, with the new RPL */
	assert_true(c->seg[SS].attr & SEG_UNUSABLE);
	assert_int_equal(c->gpr[RSP], AT_KSTACK - 40);
	assert_int_equal(stacked64(f, 1), SEL(S_UCODE, 3));
	assert_int_equal(stacked64(f, 3), AT_STACK + 0x800);
	assert_int_equal(stacked64(f, 4), SEL(S_UDATA, 3));
	assert_true(c->rflags & FL_IF); /* a trap gate */
	assert_true(c->rflags & FL_AC);

	/* and back */
	RUN(f, 0x48, 0xcf);
	assert_int_equal(c->rip, AT_CODE);
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->seg[SS].sel, SEL(S_UDATA, 3));
	assert_int_equal(c->gpr[RSP], AT_STACK + 0x800);
}

static void test_long_ist(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	put_gate(f, AT_IDT + EXC_DF * 16, SEL(S_KCODE, 0), AT_HANDLER, SYS_ATTR(SYS_INT32, 0), 1, true);
	assert_int_equal(TRY(f, exc_deliver(c, EXC_DF, EV_FAULT, true, 0)), RAISED_NONE);
	assert_int_equal(c->gpr[RSP], AT_IST - 48);
	assert_int_equal(c->seg[SS].sel, SEL(S_KDATA, 0)); /* same level: SS stays */
	/* an IST pointer beyond the TSS's limit */
	c->tr.limit = 0x2a;
	assert_raised(f, TRY(f, exc_deliver(c, EXC_DF, EV_FAULT, true, 0)), EXC_TS, SEL(S_TSS, 0) | 1);
}

static void test_long_bad_gates(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	uint64_t rsp = c->gpr[RSP], flags = rflags_get(c);

	put_gate(f, AT_IDT + 0x40 * 16, SEL(S_KCODE, 0), 0, SYS_ATTR(SYS_INT32, 0) & ~SEG_P, 0, true);
	assert_raised(f, TRY(f, exc_deliver(c, 0x40, EV_INTR, false, 0)), EXC_NP, 0x40 * 8 + 3);
	put_gate(f, AT_IDT + 0x40 * 16, SEL(S_KCODE, 0), 0, SYS_ATTR(SYS_CALL32, 0), 0, true);
	assert_raised(f, TRY(f, exc_deliver(c, 0x40, EV_INTR, false, 0)), EXC_GP, 0x40 * 8 + 3);
	put_gate(f, AT_IDT + 0x40 * 16, SEL(S_KDATA, 0), 0, SYS_ATTR(SYS_INT32, 0), 0, true);
	assert_raised(f, TRY(f, exc_deliver(c, 0x40, EV_INTR, false, 0)), EXC_GP, SEL(S_KDATA, 0) | 1);
	put_gate(f, AT_IDT + 0x40 * 16, 0, 0, SYS_ATTR(SYS_INT32, 0), 0, true);
	assert_raised(f, TRY(f, exc_deliver(c, 0x40, EV_INTR, false, 0)), EXC_GP, 1);
	put_gate(f, AT_IDT + 0x40 * 16, SEL(S_KCODE32, 0), 0, SYS_ATTR(SYS_INT32, 0), 0, true); /* not 64-bit code */
	assert_raised(f, TRY(f, exc_deliver(c, 0x40, EV_INTR, false, 0)), EXC_GP, SEL(S_KCODE32, 0) | 1);
	put_gate(f, AT_IDT + 0x40 * 16, SEL(S_KCODE, 0), NONCANON, SYS_ATTR(SYS_INT32, 0), 0, true);
	assert_raised(f, TRY(f, exc_deliver(c, 0x40, EV_INTR, false, 0)), EXC_GP, 1);
	c->idt.limit = 0x40 * 16 + 14;
	assert_raised(f, TRY(f, exc_deliver(c, 0x40, EV_INTR, false, 0)), EXC_GP, 0x40 * 8 + 3);
	c->gpr[RSP] = NONCANON + 0x100;
	assert_raised(f, TRY(f, exc_deliver(c, EXC_UD, EV_FAULT, false, 0)), EXC_SS, 1);
	c->gpr[RSP] = AT_HOLE + 0x10;
	assert_int_equal(TRY(f, exc_deliver(c, EXC_UD, EV_FAULT, false, 0)), EXC_PF);
	assert_int_equal(c->raised.error, PF_W);
	c->gpr[RSP] = rsp;
	/* nothing of all that has changed anything */
	assert_int_equal(c->rip, AT_CODE);
	assert_int_equal(rflags_get(c), flags);
	assert_int_equal(c->seg[CS].sel, SEL(S_KCODE, 0));
}

static void test_int_n(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	sys_user(f);
	RAISES(f, EXC_GP, 0xcd, 0x81); /* DPL 0 */
	assert_int_equal(c->raised.error, 0x81 * 8 + 2);
	RAISES(f, EXC_GP, 0xcc);
	assert_int_equal(c->raised.error, 3 * 8 + 2);
	RUN(f, 0xcd, 0x80);
	assert_int_equal(c->rip, AT_HANDLER + 0x80);
	assert_int_equal(stacked64(f, 0), AT_CODE + 2);
	assert_false(stacked64(f, 2) & FL_RF);
	/* INT1 looks at no DPL */
	sys_reset(f, CODE_64);
	sys_user(f);
	RUN(f, 0xf1);
	assert_int_equal(c->rip, AT_HANDLER + EXC_DB);
	assert_int_equal(stacked64(f, 0), AT_CODE + 1);
}

static void test_debug_trap(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	c->dr7 |= DR7_GD;
	RAISES(f, EXC_DB, 0x0f, 0x21, 0xf8); /* mov rax, dr7 */
	assert_true(c->dr6 & DR6_BD);
	assert_int_equal(TRY(f, exc_trap_db(c)), RAISED_NONE);
	assert_false(c->dr7 & DR7_GD);
	assert_int_equal(c->rip, AT_HANDLER + EXC_DB);
	assert_false(stacked64(f, 2) & FL_RF);
	RUN(f, 0x0f, 0x21, 0xf8);
}

/* --- IRETQ --- */

static void push_iret(struct fix *f, uint64_t rip, uint16_t cs, uint64_t flags, uint64_t rsp, uint16_t ss)
{
	const uint64_t words[5] = { rip, cs, flags, rsp, ss };

	f->c->gpr[RSP] = AT_STACK + 0x400;
	for (unsigned n = 0; n < 5; n++)
		le64_store(f->ram + AT_STACK + 0x400 + 8 * n, words[n]);
}

static void test_iretq_checks(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	struct { uint64_t rip, rsp; uint16_t cs, ss; int vector; uint32_t error; } t[] = {
		{ 0x5000, 0x8000, 0, SEL(S_UDATA, 3), EXC_GP, 0 },
		{ 0x5000, 0x8000, SEL(S_KDATA, 0), SEL(S_KDATA, 0), EXC_GP, SEL(S_KDATA, 0) },
		{ 0x5000, 0x8000, SEL(S_UCODE, 0), SEL(S_UDATA, 0), EXC_GP, SEL(S_UCODE, 0) },
		{ 0x5000, 0x8000, SEL(S_KCODE, 3), SEL(S_UDATA, 3), EXC_GP, SEL(S_KCODE, 0) },
		{ 0x5000, 0x8000, SEL(S_COUNT, 3), SEL(S_UDATA, 3), EXC_GP, SEL(S_COUNT, 0) },
		{ 0x5000, 0x8000, SEL(S_BADCODE, 0), SEL(S_KDATA, 0), EXC_GP, SEL(S_BADCODE, 0) },
		{ NONCANON, 0x8000, SEL(S_UCODE, 3), SEL(S_UDATA, 3), EXC_GP, 0 },
		{ 0x100000000, 0x8000, SEL(S_UCODE32, 3), SEL(S_UDATA, 3), EXC_GP, 0 },
		{ 0x5000, 0x8000, SEL(S_UCODE, 3), 0, EXC_GP, 0 },
		{ 0x5000, 0x8000, SEL(S_UCODE, 3), 3, EXC_GP, 0 },
		{ 0x5000, 0x8000, SEL(S_UCODE, 3), SEL(S_UDATA, 0), EXC_GP, SEL(S_UDATA, 0) },
		{ 0x5000, 0x8000, SEL(S_UCODE, 3), SEL(S_KDATA, 3), EXC_GP, SEL(S_KDATA, 0) },
		{ 0x5000, 0x8000, SEL(S_KCODE, 0), SEL(S_ROD, 0), EXC_GP, SEL(S_ROD, 0) },
		{ 0x5000, 0x8000, SEL(S_KCODE, 0), SEL(S_ABSENT, 0), EXC_SS, SEL(S_ABSENT, 0) },
		{ 0x5000, 0x8000, SEL(S_KCODE, 0), 0, RAISED_NONE, 0 }, /* a null SS at CPL 0 */
		{ 0x5000, 0x8000, SEL(S_UCODE, 3), SEL(S_UDATA, 3), RAISED_NONE, 0 },
		{ 0x5000, NONCANON, SEL(S_UCODE, 3), SEL(S_UDATA, 3), RAISED_NONE, 0 },
		{ 0x5000, 0x8000, SEL(S_UCODE32, 3), SEL(S_UDATA, 3), RAISED_NONE, 0 },
	};
	for (unsigned n = 0; n < ARRAY_LEN(t); n++) {
		sys_reset(f, CODE_64);
		c->nmi_masked = true;
		push_iret(f, t[n].rip, t[n].cs, FL_IF | 2, t[n].rsp, t[n].ss);
		int got = EXEC(f, 0x48, 0xcf);
		assert_int_equal(got, t[n].vector);
		assert_false(c->nmi_masked); /* even by a return that faults */
		if (got != RAISED_NONE) {
			assert_int_equal(c->raised.error, t[n].error);
			assert_int_equal(c->gpr[RSP], AT_STACK + 0x400);
			continue;
		}
		assert_int_equal(c->rip, t[n].rip);
		assert_int_equal(c->seg[CS].sel, t[n].cs);
		assert_int_equal(c->seg[SS].sel, t[n].ss);
		assert_int_equal(c->cpl, t[n].cs & 3);
		assert_true(c->rflags & FL_IF);
		assert_int_equal(c->code, t[n].cs == SEL(S_UCODE32, 3) ? CODE_32 : CODE_64);
	}
}

static void test_iretq_flags(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	uint64_t all = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_AC | FL_ID;

	push_iret(f, 0x5000, SEL(S_KCODE, 0), ~0ull, 0x8000, SEL(S_KDATA, 0));
	RUN(f, 0x48, 0xcf);
	assert_int_equal(rflags_get(c), all | 2);
	/* at CPL 3 with IOPL 0 neither IF nor IOPL change */
	sys_reset(f, CODE_64);
	sys_user(f);
	rflags_set(c, 2);
	push_iret(f, 0x5000, SEL(S_UCODE, 3), ~0ull, 0x8000, SEL(S_UDATA, 3));
	RUN(f, 0x48, 0xcf);
	assert_int_equal(rflags_get(c), (all & ~(uint64_t)(FL_IF | FL_IOPL)) | 2);
	/* NT is for tasks, which long mode does not have */
	sys_reset(f, CODE_64);
	rflags_set(c, FL_NT | 2);
	RAISES(f, EXC_GP, 0x48, 0xcf);
	assert_int_equal(c->raised.error, 0);
}

/* Segments that the outer level may not use are gone; null ones keep their base */
static void test_iretq_drops_segments(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	c->seg[FS] = seg_null(0, 0);
	c->seg[FS].base = 0x123456789000;
	c->seg[ES].attr |= 3u << SEG_DPL_SHIFT;
	push_iret(f, 0x5000, SEL(S_UCODE, 3), 2, 0x8000, SEL(S_UDATA, 3));
	RUN(f, 0x48, 0xcf);
	assert_int_equal(c->seg[DS].sel, 0);
	assert_true(c->seg[DS].attr & SEG_UNUSABLE);
	assert_int_equal(c->seg[ES].sel, SEL(S_KDATA, 0));
	assert_int_equal(c->sbase[FS], 0x123456789000);
}

/* --- 32-bit protected mode --- */

static void test_prot_gates(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	/* same level, 32-bit */
	rflags_set(c, FL_IF | 2);
	assert_int_equal(TRY(f, exc_deliver(c, EXC_NP, EV_FAULT, true, 0xabc)), RAISED_NONE);
	assert_int_equal(c->gpr[RSP], AT_STACK + 0x800 - 16);
	assert_int_equal(stacked32(f, 0), 0xabc);
	assert_int_equal(stacked32(f, 1), AT_CODE);
	assert_int_equal(stacked32(f, 2), SEL(S_KCODE, 0));
	assert_int_equal(stacked32(f, 3), FL_IF | FL_RF | 2);
	assert_false(c->rflags & FL_IF);

	/* a 16-bit gate to 16-bit code */
	sys_reset(f, CODE_32);
	put_gate(f, AT_IDT + 0x30 * 8, SEL(S_KCODE16, 0), 0x1234, SYS_ATTR(SYS_INT16, 0), 0, false);
	assert_int_equal(TRY(f, exc_deliver(c, 0x30, EV_INTR, false, 0)), RAISED_NONE);
	assert_int_equal(c->gpr[RSP], AT_STACK + 0x800 - 6);
	assert_int_equal(stacked16(f, 0), AT_CODE);
	assert_int_equal(stacked16(f, 1), SEL(S_KCODE, 0));
	assert_int_equal(c->rip, 0x1234);
	assert_int_equal(c->code, CODE_16);

	/* from user code: SS:ESP from the TSS */
	sys_reset(f, CODE_32);
	sys_user(f);
	RUN(f, 0xcd, 0x80);
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->seg[SS].sel, SEL(S_KDATA, 0));
	assert_int_equal(c->gpr[RSP], AT_KSTACK - 20);
	assert_int_equal(stacked32(f, 0), AT_CODE + 2);
	assert_int_equal(stacked32(f, 3), AT_STACK + 0x800);
	assert_int_equal(stacked32(f, 4), SEL(S_UDATA, 3));
	RUN(f, 0xcf);
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->rip, AT_CODE + 2);
	assert_int_equal(c->seg[DS].sel, SEL(S_UDATA, 3)); /* usable out there, so it stays */
}

static void test_prot_bad_stack(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	struct { uint16_t ss; int vector; uint32_t error; } t[] = {
		{ 0, EXC_TS, 1 },
		{ SEL(S_COUNT, 0), EXC_TS, SEL(S_COUNT, 0) | 1 },
		{ SEL(S_KDATA, 3), EXC_TS, SEL(S_KDATA, 0) | 1 },
		{ SEL(S_UDATA, 0), EXC_TS, SEL(S_UDATA, 0) | 1 },
		{ SEL(S_ROD, 0), EXC_TS, SEL(S_ROD, 0) | 1 },
		{ SEL(S_KCODE, 0), EXC_TS, SEL(S_KCODE, 0) | 1 },
		{ SEL(S_ABSENT, 0), EXC_SS, SEL(S_ABSENT, 0) | 1 },
	};
	for (volatile unsigned n = 0; n < ARRAY_LEN(t); n++) {
		sys_reset(f, CODE_32);
		sys_user(f);
		le16_store(f->ram + AT_TSS + 8, t[n].ss);
		assert_raised(f, TRY(f, exc_deliver(c, EXC_UD, EV_FAULT, false, 0)), t[n].vector, t[n].error);
	}
	/* no room on the new stack */
	sys_reset(f, CODE_32);
	sys_user(f);
	put_desc(f, S_KDATA, 0, AT_KSTACK - 12, ATTR(3, 0) | SEG_DB);
	assert_raised(f, TRY(f, exc_deliver(c, EXC_UD, EV_FAULT, false, 0)), EXC_SS, SEL(S_KDATA, 0) | 1);
	/* the TSS is too short */
	sys_reset(f, CODE_32);
	sys_user(f);
	c->tr.limit = 8;
	assert_raised(f, TRY(f, exc_deliver(c, EXC_UD, EV_FAULT, false, 0)), EXC_TS, SEL(S_TSS, 0) | 1);
}

static void test_vm86(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	const uint32_t frame[9] = { 0x100, 0x700, FL_VM | FL_IF | FL_IOPL | 2, 0x200, 0x800, 0x801, 0x802, 0x803, 0x804 };

	for (unsigned n = 0; n < 9; n++)
		le32_store(f->ram + AT_STACK + 4 * n, frame[n]);
	c->gpr[RSP] = AT_STACK;
	RUN(f, 0xcf); /* EIP CS EFLAGS ESP SS ES DS FS GS */
	assert_true(vm86_mode(c));
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->code, CODE_16);
	assert_int_equal(c->seg[CS].base, 0x7000);
	assert_int_equal(c->seg[SS].base, 0x8000);
	assert_int_equal(c->seg[GS].sel, 0x804);
	assert_int_equal(c->gpr[RSP], 0x200);
	assert_int_equal(c->rip, 0x100);
	/* loads are as in real mode */
	c->gpr[RAX] = 0x1234;
	RUN(f, 0x8e, 0xd8);
	assert_int_equal(c->seg[DS].base, 0x12340);
	RAISES(f, EXC_UD, 0x0f, 0x00, 0xc0); /* sldt */
	RAISES(f, EXC_GP, 0xf4);

	/* an interrupt saves all and clears the data segments */
	c->rip = 0x105;
	assert_int_equal(TRY(f, exc_deliver(c, 0x20, EV_INTR, false, 0)), RAISED_NONE);
	assert_false(vm86_mode(c));
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->code, CODE_32);
	assert_int_equal(c->gpr[RSP], AT_KSTACK - 36);
	assert_int_equal(stacked32(f, 0), 0x105);
	assert_int_equal(stacked32(f, 1), 0x700);
	assert_true(stacked32(f, 2) & FL_VM);
	assert_int_equal(stacked32(f, 3), 0x200);
	assert_int_equal(stacked32(f, 4), 0x800);
	assert_int_equal(stacked32(f, 5), 0x801);
	assert_int_equal(stacked32(f, 6), 0x1234);
	assert_int_equal(stacked32(f, 8), 0x804);
	assert_true(c->seg[DS].attr & SEG_UNUSABLE);

	/* back, with IOPL 0: INT n, PUSHF, CLI are the monitor's */
	le32_store(f->ram + c->gpr[RSP] + 8, FL_VM | FL_IF | 2);
	RUN(f, 0xcf);
	assert_true(vm86_mode(c));
	RAISES(f, EXC_GP, 0xcd, 0x80);
	assert_int_equal(c->raised.error, 0);
	RAISES(f, EXC_GP, 0x9c);
	RAISES(f, EXC_GP, 0xfa);
	RAISES(f, EXC_GP, 0xcf);
}

static void test_tasks(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;
	uint8_t *t = f->ram + AT_TSS2;

	le32_store(t + 0x20, 0x5678);                /* EIP */
	le32_store(t + 0x24, FL_CF | 2);
	for (unsigned n = 0; n < 8; n++)
		le32_store(t + 0x28 + 4 * n, n == RSP ? AT_KSTACK : 0x1000 + n);
	for (unsigned n = 0; n < SEG_COUNT; n++)
		le16_store(t + 0x48 + 4 * n, SEL(n == CS ? S_KCODE : S_KDATA, 0));
	c->gpr[RBX] = 0xb0b0;
	/* call through a task gate: call 0xa0:0 */
	RUN(f, 0x9a, 0, 0, 0, 0, SEL(S_TASKGATE, 0), 0);
	assert_int_equal(c->rip, 0x5678);
	assert_int_equal(c->gpr[RBX], 0x1000 + RBX);
	assert_int_equal(c->gpr[RSP], AT_KSTACK);
	assert_int_equal(c->tr.sel, SEL(S_TSS2, 0));
	assert_true(c->rflags & FL_NT);
	assert_true(cc_cf(c));
	assert_true(c->cr0 & CR0_TS);
	assert_int_equal(le16_load(t), SEL(S_TSS, 0)); /* the link */
	assert_int_equal(f->ram[AT_GDT + S_TSS2 * 8 + 5] & 0xf, SYS_TSS32_BUSY);
	assert_int_equal(le32_load(f->ram + AT_TSS + 0x20), AT_CODE + 7);
	assert_int_equal(le32_load(f->ram + AT_TSS + 0x34), 0xb0b0);
	/* entering a busy task is refused */
	RAISES(f, EXC_GP, 0xea, 0, 0, 0, 0, SEL(S_TSS2, 0), 0);
	assert_int_equal(c->raised.error, SEL(S_TSS2, 0));
	/* IRET goes back, where the descriptor has to be busy */
	put_desc(f, S_TSS, AT_TSS, 0x20ff, SYS_ATTR(SYS_TSS32_BUSY, 0));
	RUN(f, 0xcf);
	assert_int_equal(c->rip, AT_CODE + 7);
	assert_int_equal(c->gpr[RBX], 0xb0b0);
	assert_int_equal(c->tr.sel, SEL(S_TSS, 0));
	assert_int_equal(f->ram[AT_GDT + S_TSS2 * 8 + 5] & 0xf, SYS_TSS32);
	assert_false(le32_load(t + 0x24) & FL_NT);

	/* an exception with an error code, by a task gate */
	put_gate(f, AT_IDT + EXC_DF * 8, SEL(S_TSS2, 0), 0, SYS_ATTR(SYS_TASK_GATE, 0), 0, false);
	assert_int_equal(TRY(f, exc_deliver(c, EXC_DF, EV_FAULT, true, 0)), RAISED_NONE);
	assert_int_equal(c->tr.sel, SEL(S_TSS2, 0));
	assert_int_equal(c->gpr[RSP], AT_KSTACK - 4);
	assert_int_equal(stacked32(f, 0), 0);

	/* a selector of the new task that is not good: #TS in the new task */
	sys_reset(f, CODE_32);
	le32_store(t + 0x20, 0x5678);
	le16_store(t + 0x4c, SEL(S_KCODE, 0));
	le16_store(t + 0x50, SEL(S_ROD, 0));
	assert_raised(f, TRY(f, task_switch(c, NULL, SEL(S_TSS2, 0), TASK_JMP, AT_CODE, 0)), EXC_TS, SEL(S_ROD, 0));
	assert_int_equal(c->tr.sel, SEL(S_TSS2, 0));
	assert_int_equal(c->rip, 0x5678);
}

/* --- real mode --- */

static void test_real(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	c->idt = (struct x86_table){ 0, 0x3ff };
	c->gpr[RSP] = 0xabcd0100;
	c->seg[SS].base = 0x2000;
	c->seg[CS].sel = 0x77;
	le32_store(f->ram + 0x21 * 4, 0x0123u << 16 | 0x4567);
	rflags_set(c, FL_IF | FL_TF | FL_CF | 2);
	RUN(f, 0xcd, 0x21);
	assert_int_equal(c->seg[CS].base, 0x1230);
	assert_int_equal(c->rip, 0x4567);
	assert_int_equal(c->gpr[RSP], 0xabcd00fa);
	assert_int_equal(le16_load(f->ram + 0x20fa), AT_CODE + 2);
	assert_int_equal(le16_load(f->ram + 0x20fc), 0x77);
	assert_int_equal(le16_load(f->ram + 0x20fe), FL_IF | FL_TF | FL_CF | 2);
	assert_false(c->rflags & (FL_IF | FL_TF));
	RUN(f, 0xcf);
	assert_int_equal(c->rip, AT_CODE + 2);
	assert_int_equal(c->seg[CS].sel, 0x77);
	assert_int_equal(rflags_get(c), FL_IF | FL_TF | FL_CF | 2);
	/* no error codes, and a table that is too short */
	c->rip = AT_CODE;
	assert_int_equal(TRY(f, exc_deliver(c, EXC_GP, EV_FAULT, true, 0)), RAISED_NONE);
	assert_int_equal(c->gpr[RSP], 0xabcd00fa);
	c->idt.limit = 0x20;
	assert_int_equal(TRY(f, exc_deliver(c, EXC_GP, EV_FAULT, true, 0)), EXC_GP);
}

#define LONG(test) cmocka_unit_test_setup(test, sys_long)
#define PROT(test) cmocka_unit_test_setup(test, sys_prot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_combine, fix_long),
		LONG(test_long_same_level), LONG(test_long_from_user), LONG(test_long_ist), LONG(test_long_bad_gates),
		LONG(test_int_n), LONG(test_debug_trap),
		LONG(test_iretq_checks), LONG(test_iretq_flags), LONG(test_iretq_drops_segments),
		PROT(test_prot_gates), PROT(test_prot_bad_stack), PROT(test_vm86), PROT(test_tasks),
		cmocka_unit_test_setup(test_real, sys_real),
	};
	return cmocka_run_group_tests(tests, fix_setup, fix_teardown);
}
