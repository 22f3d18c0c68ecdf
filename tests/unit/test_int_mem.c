/* test_int_mem.c - integer instructions of the software CPU and memory: faults that must leave no trace,
 * the stack, strings and their repetition, locked operations, 16 and 32-bit code. */
#include "int_fixture.h"

#define G(n)  (f->c->gpr[n])
#define STACK (AT_STACK + 0x800)

static uint64_t flags(const struct fix *f) { return cc_get(f->c); }
static uint64_t ld64(const struct fix *f, uint64_t at) { return le64_load(f->ram + at); }

static void check_pf(const struct fix *f, uint64_t lin, uint32_t error)
{
	assert_int_equal(f->c->cr2, lin);
	assert_int_equal(f->c->raised.error, error);
}

/* --- stack --- */

static void stack_faults(void **state)
{
	struct fix *f = *state;

	G(RSP) = AT_HOLE + 0x1000;
	RAISES(f, EXC_PF, 0x50); /* push rax */
	assert_int_equal(G(RSP), AT_HOLE + 0x1000);
	check_pf(f, AT_HOLE + 0xff8, PF_W);
	RAISES(f, EXC_PF, 0xe8, 0, 1, 0, 0); /* call */
	assert_int_equal(G(RSP), AT_HOLE + 0x1000);
	G(RSP) = AT_HOLE + 0x1004; /* half of the word is in the hole: nothing of it is written */
	le32_store(f->ram + AT_HOLE + 0x1000, 0x11111111);
	RAISES(f, EXC_PF, 0x50);
	assert_int_equal(le32_load(f->ram + AT_HOLE + 0x1000), 0x11111111);
	check_pf(f, AT_HOLE + 0xffc, PF_W);
	G(RSP) = AT_HOLE;
	RAISES(f, EXC_PF, 0xc3); /* ret */
	RAISES(f, EXC_PF, 0x58); /* pop rax */
	assert_int_equal(G(RSP), AT_HOLE);
	check_pf(f, AT_HOLE, 0);

	G(RSP) = NONCANON + 0x1000;
	RAISES(f, EXC_SS, 0x50);
	RAISES(f, EXC_SS, 0xc3);
	RAISES(f, EXC_SS, 0xff, 0x30 | RSI); /* push [rsi] */
	G(RBP) = NONCANON;
	RAISES(f, EXC_SS, 0xc9);                         /* leave */
	RAISES(f, EXC_SS, 0x8b, 0x45, 0);                /* mov eax, [rbp] */
	RAISES(f, EXC_GP, 0x8b, 0x04, 0x2d, 0, 0, 0, 0); /* mov eax, [rbp * 1] */
	G(RSP) = STACK;
	G(RAX) = NONCANON;
	RAISES(f, EXC_GP, 0xff, 0xd0); /* call rax */
	RAISES(f, EXC_GP, 0xff, 0xe0); /* jmp rax */
	assert_int_equal(G(RSP), STACK);
	le64_store(f->ram + STACK, NONCANON);
	RAISES(f, EXC_GP, 0xc3);
	assert_int_equal(G(RSP), STACK);

	/* a pop whose destination faults takes nothing */
	G(RDI) = AT_RO;
	le64_store(f->ram + STACK, 77);
	RAISES(f, EXC_PF, 0x8f, 0x07); /* pop [rdi] */
	assert_int_equal(G(RSP), STACK);
	check_pf(f, AT_RO, PF_P | PF_W);
}

static void stack_forms(void **state)
{
	struct fix *f = *state;

	RUN(f, 0x54); /* push rsp: the old value */
	assert_int_equal(ld64(f, STACK - 8), STACK);
	RUN(f, 0x5c); /* pop rsp: the value, not the increment */
	assert_int_equal(G(RSP), STACK);
	le64_store(f->ram + STACK, 0x1234);
	RUN(f, 0x8f, 0x04, 0x24); /* pop [rsp]: addressed by the incremented rsp */
	assert_int_equal(ld64(f, STACK + 8), 0x1234);
	assert_int_equal(G(RSP), STACK + 8);
	RUN(f, 0x6a, 0xff); /* push -1 */
	assert_int_equal(ld64(f, STACK), ~0ull);
	RUN(f, 0x66, 0x6a, 0xfe); /* push word -2 */
	assert_int_equal(G(RSP), STACK - 2);
	assert_int_equal(le16_load(f->ram + STACK - 2), 0xfffe);
	G(RAX) = 0x1111111111111111;
	RUN(f, 0x66, 0x58); /* pop ax */
	assert_int_equal(G(RAX), 0x111111111111fffe);
	RUN(f, 0xff, 0x34, 0x24); /* push [rsp] */
	assert_int_equal(ld64(f, STACK - 8), ~0ull);

	G(RSP) = STACK;
	RUN(f, 0xe8, 0x10, 0, 0, 0); /* call +16 */
	assert_int_equal(f->c->rip, AT_CODE + 5 + 16);
	assert_int_equal(ld64(f, STACK - 8), AT_CODE + 5);
	RUN(f, 0xc2, 0xf0, 0xff); /* ret 0xfff0: unsigned */
	assert_int_equal(f->c->rip, AT_CODE + 5);
	assert_int_equal(G(RSP), STACK + 0xfff0);

	G(RSP) = STACK;
	G(RBP) = AT_DATA + 0x100;
	le64_store(f->ram + AT_DATA + 0xf8, 0xaaaa);
	RUN(f, 0xc8, 0x20, 0, 2); /* enter 32, 2 */
	assert_int_equal(G(RBP), STACK - 8);
	assert_int_equal(G(RSP), STACK - 24 - 32);
	assert_int_equal(ld64(f, STACK - 8), AT_DATA + 0x100);
	assert_int_equal(ld64(f, STACK - 16), 0xaaaa);
	assert_int_equal(ld64(f, STACK - 24), STACK - 8);
	RUN(f, 0xc9); /* leave */
	assert_int_equal(G(RSP), STACK);
	assert_int_equal(G(RBP), AT_DATA + 0x100);
}

static void loops(void **state)
{
	struct fix *f = *state;

	G(RCX) = 0x100000001;
	RUN(f, 0xe2, 0x10); /* loop +16 */
	assert_int_equal(f->c->rip, AT_CODE + 2 + 16);
	G(RCX) = 0x100000001;
	RUN(f, 0x67, 0xe2, 0x10); /* by ecx */
	assert_int_equal(f->c->rip, AT_CODE + 3);
	assert_int_equal(G(RCX), 0);
	G(RCX) = 5;
	cc_flags(f->c, FL_ZF);
	RUN(f, 0xe0, 0x10); /* loopne */
	assert_int_equal(f->c->rip, AT_CODE + 2);
	assert_int_equal(G(RCX), 4);
	RUN(f, 0xe1, 0xfc); /* loope -4 */
	assert_int_equal(f->c->rip, AT_CODE - 2);
	G(RCX) = 1ull << 32;
	RUN(f, 0xe3, 0x10); /* jrcxz */
	assert_int_equal(f->c->rip, AT_CODE + 2);
	RUN(f, 0x67, 0xe3, 0x10);
	assert_int_equal(f->c->rip, AT_CODE + 3 + 16);
}

/* --- compare and exchange, LOCK --- */

static void exchanges(void **state)
{
	struct fix *f = *state;

	G(RDI) = AT_RO;
	G(RAX) = 1;
	RAISES(f, EXC_PF, 0x0f, 0xb1, 0x1f); /* cmpxchg [rdi], ebx: a write even where it differs */
	check_pf(f, AT_RO, PF_P | PF_W);
	RAISES(f, EXC_PF, 0xf0, 0x0f, 0xb1, 0x1f);
	RAISES(f, EXC_PF, 0x87, 0x1f);                   /* xchg */
	RAISES(f, EXC_PF, 0xf0, 0x48, 0x0f, 0xc7, 0x0f); /* lock cmpxchg16b */
	check_pf(f, AT_RO, PF_P | PF_W);

	G(RDI) = AT_DATA;
	for (unsigned lock = 0; lock < 2; lock++) {
		le32_store(f->ram + AT_DATA, 0x80000000);
		G(RAX) = 0xffffffff80000000;
		G(RBX) = 0x55;
		RUN(f, lock ? 0xf0 : 0x3e, 0x0f, 0xb1, 0x1f);
		assert_int_equal(le32_load(f->ram + AT_DATA), 0x55);
		assert_int_equal(G(RAX), 0xffffffff80000000); /* equal: rAX is not written */
		assert_int_equal(flags(f), FL_ZF | FL_PF);
		RUN(f, lock ? 0xf0 : 0x3e, 0x0f, 0xb1, 0x1f);
		assert_int_equal(G(RAX), 0x55);
		assert_int_equal(flags(f) & FL_ZF, 0);
		G(RBX) = 0xfff0;
		RUN(f, lock ? 0xf0 : 0x3e, 0x66, 0x0f, 0xc1, 0x1f); /* xadd [rdi], bx */
		assert_int_equal(G(RBX), 0x55);
		assert_int_equal(le16_load(f->ram + AT_DATA), 0x45);
		assert_int_equal(flags(f) & FL_CF, FL_CF);
	}
	G(RBX) = ~0ull;
	G(RAX) = 5;
	RUN(f, 0x0f, 0xb1, 0xc3); /* cmpxchg ebx, eax: a register that differs is left whole */
	assert_int_equal(G(RBX), ~0ull);
	assert_int_equal(G(RAX), 0xffffffff);

	RAISES(f, EXC_GP, 0x48, 0x0f, 0xc7, 0x4f, 0x08); /* cmpxchg16b [rdi + 8] */
	cc_flags(f->c, FL_CF | FL_SF);
	le64_store(f->ram + AT_DATA + 0x10, 1);
	le64_store(f->ram + AT_DATA + 0x18, 2);
	G(RAX) = 1;
	G(RDX) = 2;
	G(RBX) = 3;
	G(RCX) = 4;
	RUN(f, 0xf0, 0x48, 0x0f, 0xc7, 0x4f, 0x10);
	assert_int_equal(ld64(f, AT_DATA + 0x10), 3);
	assert_int_equal(ld64(f, AT_DATA + 0x18), 4);
	assert_int_equal(flags(f), FL_CF | FL_SF | FL_ZF);
	RUN(f, 0x48, 0x0f, 0xc7, 0x4f, 0x10);
	assert_int_equal(G(RAX), 3);
	assert_int_equal(G(RDX), 4);
	assert_int_equal(flags(f), FL_CF | FL_SF);
	G(RDX) = 0;
	RUN(f, 0x0f, 0xc7, 0x4f, 0x10); /* cmpxchg8b */
	assert_int_equal(ld64(f, AT_DATA + 0x10), 0x400000003);
}

/* Locked and plain read-modify-write, aligned, astray within a page and across two */
static void locked(void **state)
{
	struct fix *f = *state;
	static const uint64_t at[] = { AT_DATA, AT_DATA + 0x101, AT_DATA + 0xffd };

	for (unsigned n = 0; n < 6; n++) {
		uint8_t prefix = n & 1 ? 0xf0 : 0x3e;
		uint64_t p = at[n / 2];
		G(RDI) = p;
		le32_store(f->ram + p, 0xfffffffe);
		G(RBX) = 3;
		RUN(f, prefix, 0x01, 0x1f); /* add [rdi], ebx */
		assert_int_equal(le32_load(f->ram + p), 1);
		assert_int_equal(flags(f), FL_CF | FL_AF);
		RUN(f, prefix, 0x83, 0x17, 7); /* adc [rdi], 7: with carry */
		assert_int_equal(le32_load(f->ram + p), 9);
		cc_flags(f->c, FL_CF);
		RUN(f, prefix, 0x83, 0x1f, 9); /* sbb */
		assert_int_equal(le32_load(f->ram + p), 0xffffffff);
		assert_int_equal(flags(f) & FL_CF, FL_CF);
		RUN(f, prefix, 0xff, 0x07); /* inc: carry stays */
		assert_int_equal(le32_load(f->ram + p), 0);
		assert_int_equal(flags(f), FL_CF | FL_ZF | FL_PF | FL_AF);
		RUN(f, prefix, 0xf7, 0x17); /* not: no flags */
		assert_int_equal(flags(f), FL_CF | FL_ZF | FL_PF | FL_AF);
		RUN(f, prefix, 0xf7, 0x1f); /* neg */
		assert_int_equal(le32_load(f->ram + p), 1);
		RUN(f, prefix, 0x81, 0x0f, 0xf0, 0, 0, 0x80); /* or */
		RUN(f, prefix, 0x83, 0x27, 0xf3);             /* and */
		RUN(f, prefix, 0x83, 0x37, 0xff);             /* xor */
		assert_int_equal(le32_load(f->ram + p), 0x7fffff0e);
		RUN(f, 0x87, 0x1f); /* xchg */
		assert_int_equal(G(RBX), 0x7fffff0e);
		assert_int_equal(le32_load(f->ram + p), 3);
	}
	G(RDI) = AT_HOLE - 2;
	RAISES(f, EXC_PF, 0xf0, 0x01, 0x1f);
	check_pf(f, AT_HOLE, PF_W);
	assert_int_equal(le16_load(f->ram + AT_HOLE - 2), 0);
	cc_flags(f->c, FL_CF | FL_OF);
	RAISES(f, EXC_PF, 0x11, 0x1f); /* adc */
	assert_int_equal(flags(f), FL_CF | FL_OF);
}

/* --- strings --- */

static void fill_bytes(struct fix *f, uint64_t at, unsigned len)
{
	for (unsigned n = 0; n < len; n++)
		f->ram[at + n] = (uint8_t)(n * 7 + 1);
}

static void rep_movs(void **state)
{
	struct fix *f = *state;

	/* three pages and a bit, unaligned against each other */
	fill_bytes(f, AT_DATA, 0x4000);
	G(RSI) = AT_DATA + 5;
	G(RDI) = AT_STACK + 0x123;
	G(RCX) = 0x600;
	RUN(f, 0xf3, 0x48, 0xa5); /* rep movsq */
	assert_memory_equal(f->ram + AT_STACK + 0x123, f->ram + AT_DATA + 5, 0x3000);
	assert_int_equal(f->ram[AT_STACK + 0x3123], 0);
	assert_int_equal(G(RCX), 0);
	assert_int_equal(G(RSI), AT_DATA + 5 + 0x3000);
	assert_int_equal(G(RDI), AT_STACK + 0x3123);

	/* the destination in the way of the source: a pattern of three bytes */
	memcpy(f->ram + AT_DATA, "abc", 3);
	G(RSI) = AT_DATA;
	G(RDI) = AT_DATA + 3;
	G(RCX) = 10;
	RUN(f, 0xf3, 0xa4);
	assert_memory_equal(f->ram + AT_DATA, "abcabcabcabca", 13);
	/* downwards */
	f->c->rflags |= FL_DF;
	G(RSI) = AT_DATA + 4;
	G(RDI) = AT_DATA + 5;
	G(RCX) = 5;
	RUN(f, 0xf3, 0xa4);
	f->c->rflags &= ~(uint64_t)FL_DF;
	assert_memory_equal(f->ram + AT_DATA, "aabcababcabca", 13);
	assert_int_equal(G(RSI), AT_DATA - 1);

	/* a fault keeps what is done and names the element: source, then destination */
	G(RSI) = AT_HOLE - 0x1804;
	G(RDI) = AT_DATA;
	G(RCX) = 0x1000;
	RAISES(f, EXC_PF, 0xf3, 0x48, 0xa5);
	check_pf(f, AT_HOLE, 0); /* the element that straddles into the hole */
	assert_int_equal(G(RCX), 0x1000 - 0x300);
	assert_int_equal(G(RSI), AT_HOLE - 4);
	assert_int_equal(G(RDI), AT_DATA + 0x1800);
	G(RSI) = AT_DATA;
	G(RDI) = AT_RO - 0x10;
	G(RCX) = 0x20;
	RAISES(f, EXC_PF, 0xf3, 0xa4);
	check_pf(f, AT_RO, PF_P | PF_W);
	assert_int_equal(G(RCX), 0x10);
	assert_int_equal(G(RDI), AT_RO);

	/* nothing to do touches nothing; 67h counts by ecx */
	G(RSI) = G(RDI) = NONCANON;
	G(RCX) = 0;
	RUN(f, 0xf3, 0xa4);
	G(RCX) = 0x700000002;
	G(RSI) = 0x100000000 + AT_DATA;
	G(RDI) = 0x100000000 + AT_DATA + 0x100;
	RUN(f, 0x67, 0xf3, 0xa4);
	assert_int_equal(G(RCX), 0);
	assert_int_equal(G(RSI), AT_DATA + 2);
	assert_int_equal(G(RDI), AT_DATA + 0x102);
}

/* With a request pending the instruction is left after a slice, to be gone on with */
static void rep_interrupted(void **state)
{
	struct fix *f = *state;
	unsigned times = 0;

	G(RDI) = AT_STACK;
	G(RCX) = 0x28000;
	G(RAX) = 0xa5;
	do {
		RUN(f, 0xf3, 0xaa); /* rep stosb */
		assert_int_equal(G(RDI) + G(RCX), AT_STACK + 0x28000);
		assert_int_equal(f->c->rip, G(RCX) ? AT_CODE : AT_CODE + 2);
		times++;
	} while (G(RCX));
	assert_true(times > 1 && times < 5);
	for (unsigned n = 0; n < 0x28000; n++)
		assert_int_equal(f->ram[AT_STACK + n], 0xa5);
	/* single steps: one element each */
	atomic_fetch_or(&f->c->exitreq, EXITREQ_STEP);
	G(RDI) = AT_STACK;
	G(RCX) = 2;
	G(RAX) = 0x0102030405060708;
	RUN(f, 0xf3, 0x48, 0xab);
	assert_int_equal(G(RCX), 1);
	assert_int_equal(f->c->rip, AT_CODE);
	RUN(f, 0xf3, 0x48, 0xab);
	assert_int_equal(G(RCX), 0);
	assert_int_equal(f->c->rip, AT_CODE + 3);
	assert_int_equal(ld64(f, AT_STACK + 8), 0x0102030405060708);
	atomic_fetch_and(&f->c->exitreq, ~EXITREQ_STEP);
}

static void rep_compare(void **state)
{
	struct fix *f = *state;

	memset(f->ram + AT_DATA, 'x', 0x2000);
	memset(f->ram + AT_STACK, 'x', 0x2000);
	f->ram[AT_STACK + 0x1803] = 'y';
	G(RSI) = AT_DATA;
	G(RDI) = AT_STACK;
	G(RCX) = 0x2000;
	RUN(f, 0xf3, 0xa6); /* repe cmpsb: x - y */
	assert_int_equal(G(RCX), 0x2000 - 0x1804);
	assert_int_equal(G(RSI), AT_DATA + 0x1804);
	assert_int_equal(G(RDI), AT_STACK + 0x1804);
	assert_int_equal(flags(f), FL_CF | FL_SF | FL_PF | FL_AF);
	G(RDI) = AT_STACK;
	G(RCX) = ~0ull;
	G(RAX) = 'y';
	RUN(f, 0xf2, 0xae); /* repne scasb */
	assert_int_equal(G(RDI), AT_STACK + 0x1804);
	assert_int_equal(G(RCX), ~0ull - 0x1804);
	assert_int_equal(flags(f) & FL_ZF, FL_ZF);
	/* the count runs out first: flags of the last comparison */
	G(RDI) = AT_STACK;
	G(RCX) = 4;
	RUN(f, 0xf2, 0x66, 0xaf); /* repne scasw */
	assert_int_equal(G(RCX), 0);
	assert_int_equal(flags(f) & FL_ZF, 0);
	/* none at all: flags stay */
	cc_flags(f->c, FL_OF);
	RUN(f, 0xf2, 0xae);
	assert_int_equal(flags(f), FL_OF);
	/* a fault on the way: flags as before */
	memset(f->ram + AT_HOLE - 8, 0, 8);
	G(RDI) = AT_HOLE - 8;
	G(RCX) = 100;
	G(RAX) = 'z';
	RAISES(f, EXC_PF, 0xf2, 0xae);
	assert_int_equal(flags(f), FL_OF);
	assert_int_equal(G(RCX), 92);
	assert_int_equal(G(RDI), AT_HOLE);
}

/* --- 16 and 32-bit code --- */

static void code16(void **state)
{
	struct fix *f = *state;
	struct cpu *c = f->c;

	fix_reset(f, CODE_16);
	G(RSP) = 0xabcd0002;
	G(RAX) = 0x1122;
	RUN(f, 0x50); /* push ax: only SP counts and changes */
	assert_int_equal(G(RSP), 0xabcd0000);
	RUN(f, 0x50);
	assert_int_equal(G(RSP), 0xabcdfffe);
	assert_int_equal(le16_load(f->ram + 0xfffe), 0x1122);
	G(RSP) = 0x2000;
	G(RBP) = 0xeeee;
	RUN(f, 0x60); /* pusha */
	assert_int_equal(G(RSP), 0x2000 - 16);
	assert_int_equal(le16_load(f->ram + 0x2000 - 10), 0x2000);
	assert_int_equal(le16_load(f->ram + 0x2000 - 12), 0xeeee);
	G(RBP) = G(RAX) = 0;
	RUN(f, 0x61); /* popa */
	assert_int_equal(G(RBP), 0xeeee);
	assert_int_equal(G(RAX), 0x1122);
	assert_int_equal(G(RSP), 0x2000);
	RUN(f, 0xeb, 0x80); /* jmp -128 */
	assert_int_equal(c->rip, AT_CODE + 2 - 128);
	RUN(f, 0xe9, 0xfd, 0xef); /* jmp: IP wraps at 64 KiB */
	assert_int_equal(c->rip, 0);
	RAISES(f, EXC_GP, 0x66, 0xe9, 0, 0, 1, 0); /* with 32 bits it does not, and leaves the limit */
	G(RBX) = 0xffff;
	RAISES(f, EXC_GP, 0x8b, 0x07); /* mov ax, [bx]: the second byte is beyond the limit */
	c->scheck[DS] = 0;
	G(RSI) = 0xffff;
	G(RDI) = 0x3000;
	G(RCX) = 0x50002;
	f->ram[0xffff] = 0x77;
	f->ram[0] = 0x88;
	RUN(f, 0xf3, 0xa4); /* rep movsb: SI wraps, upper halves stay */
	assert_int_equal(f->ram[0x3000], 0x77);
	assert_int_equal(f->ram[0x3001], 0x88);
	assert_int_equal(G(RSI), 1);
	assert_int_equal(G(RCX), 0x50000);
	G(RCX) = 0x50001;
	RUN(f, 0xe2, 0x10); /* loop by CX */
	assert_int_equal(G(RCX), 0x50000);
	assert_int_equal(c->rip, AT_CODE + 2);
}

static void code32(void **state)
{
	struct fix *f = *state;

	fix_reset(f, CODE_32);
	G(RBX) = AT_DATA;
	le32_store(f->ram + AT_DATA, (uint32_t)-5);
	le32_store(f->ram + AT_DATA + 4, 5);
	G(RAX) = (uint32_t)-5;
	RUN(f, 0x62, 0x03); /* bound eax, [ebx] */
	G(RAX) = 6;
	RAISES(f, EXC_BR, 0x62, 0x03);
	G(RAX) = 0x10;
	f->ram[AT_DATA + 0x10] = 0x99;
	RUN(f, 0xd7); /* xlat */
	assert_int_equal(G(RAX), 0x99);
	RUN(f, 0xe8, 0xfb, 0xef, 0xff, 0xff); /* call 0 */
	assert_int_equal(f->c->rip, 0);
	assert_int_equal(G(RSP), STACK - 4);
	assert_int_equal(le32_load(f->ram + STACK - 4), AT_CODE + 5);
	RUN(f, 0x66, 0xc3); /* ret with 16 bits */
	assert_int_equal(f->c->rip, AT_CODE + 5);
	assert_int_equal(G(RSP), STACK - 2);
	f->c->seg[CS].limit = 0x1fff;
	RAISES(f, EXC_GP, 0xe9, 0, 0x10, 0, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(stack_faults, fix_long),    cmocka_unit_test_setup(stack_forms, fix_long),
	cmocka_unit_test_setup(loops, fix_long),           cmocka_unit_test_setup(exchanges, fix_long),
	cmocka_unit_test_setup(locked, fix_long),          cmocka_unit_test_setup(rep_movs, fix_long),
	cmocka_unit_test_setup(rep_interrupted, fix_long), cmocka_unit_test_setup(rep_compare, fix_long),
	cmocka_unit_test_setup(code16, fix_long),          cmocka_unit_test_setup(code32, fix_long),
};

int main(void) { return cmocka_run_group_tests(tests, fix_setup, fix_teardown); }
