/* The decoder's details, by hand: what comparing with another decoder cannot show or should not be
 * left to it. test_decode_zydis.c does the comparing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "engine/soft/insn.h"
#include "engine/x86/state.h"

/* Bytes as hex digits, spaces allowed */
static size_t parse(const char *hex, uint8_t *b)
{
	size_t n = 0;
	for (; *hex; hex++) {
		unsigned v;
		if (*hex != ' ' && sscanf(hex, "%2x", &v) == 1) {
			b[n++] = (uint8_t)v;
			hex++;
		}
	}
	return n;
}

static struct insn dec(enum code_size code, const char *hex)
{
	uint8_t b[32];
	struct insn i;
	size_t n = parse(hex, b);
	int got = insn_decode(b, n, code, &i);
	if ((size_t)got != n || i.len != n)
		fail_msg("%s: length %d", hex, got);
	return i;
}

static void expect_invalid(enum code_size code, const char *hex)
{
	uint8_t b[32];
	struct insn i;
	size_t n = parse(hex, b);
	int got = insn_decode(b, n, code, &i);
	if (got <= 0 || i.op != OP_INVALID || !(i.flags & IF_ENDS))
		fail_msg("%s: accepted as %s, length %d", hex, op_info[i.op].name, got);
}

static void test_addressing(void **state)
{
	struct insn i = dec(CODE_64, "48 8b 44 8d 10"); /* mov rax, [rbp + rcx*4 + 16] */
	assert_int_equal(i.op, OP_MOV);
	assert_int_equal(i.osz, 8);
	assert_int_equal(i.asz, 8);
	assert_int_equal(i.base, RBP);
	assert_int_equal(i.index, RCX);
	assert_int_equal(i.scale, 2);
	assert_int_equal(i.disp, 16);
	assert_int_equal(i.seg, SS);
	assert_int_equal(i.flags & (IF_MEM | IF_FLAT64 | IF_SEGOVR), IF_MEM | IF_FLAT64);

	i = dec(CODE_64, "64 48 8b 04 25 28 00 00 00"); /* mov rax, fs:[0x28] */
	assert_int_equal(i.seg, FS);
	assert_int_equal(i.base, REG_ZERO);
	assert_int_equal(i.index, REG_ZERO);
	assert_int_equal(i.flags & (IF_FLAT64 | IF_SEGOVR), IF_SEGOVR);
	/* overrides of flat segments are ignored in 64-bit code, and do not undo others */
	i = dec(CODE_64, "2e 8b 00");
	assert_int_equal(i.seg, DS);
	assert_int_equal(i.flags & IF_SEGOVR, 0);
	i = dec(CODE_64, "65 2e 8b 00");
	assert_int_equal(i.seg, GS);
	i = dec(CODE_32, "65 2e 8b 00");
	assert_int_equal(i.seg, CS);
	assert_int_equal(i.flags & IF_FLAT64, 0);

	i = dec(CODE_64, "8b 05 fc ff ff ff"); /* mov eax, [rip - 4] */
	assert_int_equal(i.base, REG_IP);
	assert_int_equal(i.disp, -4);
	assert_true(i.flags & IF_RIPREL);
	i = dec(CODE_32, "8b 05 fc ff ff ff"); /* mov eax, [0xfffffffc] */
	assert_int_equal(i.base, REG_ZERO);
	assert_false(i.flags & IF_RIPREL);

	i = dec(CODE_64, "42 8b 04 24"); /* index 100b with REX.X is R12 */
	assert_int_equal(i.index, R12);
	assert_int_equal(i.base, RSP);
	i = dec(CODE_64, "41 8b 45 00"); /* R13 needs a displacement; segment DS */
	assert_int_equal(i.base, R13);
	assert_int_equal(i.seg, DS);
	i = dec(CODE_64, "67 41 8d 04 dd 10 00 00 00"); /* no base whatever REX.B says */
	assert_int_equal(i.base, REG_ZERO);
	assert_int_equal(i.index, RBX);
	assert_int_equal(i.asz, 4);

	i = dec(CODE_16, "8b 42 fe"); /* mov ax, [bp + si - 2] */
	assert_int_equal(i.base, RBP);
	assert_int_equal(i.index, RSI);
	assert_int_equal(i.seg, SS);
	assert_int_equal(i.disp, -2);
	i = dec(CODE_16, "8b 1e 34 92");
	assert_int_equal(i.base, REG_ZERO);
	assert_int_equal(i.disp & 0xffff, 0x9234);
	i = dec(CODE_16, "67 8b 04 24");
	assert_int_equal(i.base, RSP);
	assert_int_equal(i.asz, 4);

	i = dec(CODE_64, "48 a1 88 77 66 55 44 33 22 f1");
	assert_true(i.disp == (int64_t)0xf122334455667788u);
	assert_true(i.flags & IF_MEM);
	i = dec(CODE_64, "67 a0 ff ff ff ff");
	assert_true(i.disp == 0xffffffff);
	i = dec(CODE_64, "64 8d 04 25 00 00 00 00"); /* LEA knows no segments */
	assert_int_equal(i.flags & (IF_SEGOVR | IF_FLAT64), IF_FLAT64);
}

static void test_registers(void **state)
{
	struct insn i = dec(CODE_64, "88 e0"); /* mov al, ah */
	assert_int_equal(i.o[0].reg, 0);
	assert_int_equal(i.o[1].reg, 1);
	i = dec(CODE_64, "40 88 e0"); /* mov al, spl */
	assert_int_equal(i.o[1].reg, gpr_off(RSP));
	i = dec(CODE_64, "40 66 88 e0"); /* a REX that is not last does not count */
	assert_int_equal(i.o[1].reg, 1);
	i = dec(CODE_64, "b7 01");
	assert_int_equal(i.o[0].reg, gpr_off(RBX) + 1);
	i = dec(CODE_64, "49 87 c4"); /* xchg r12, rax */
	assert_int_equal(i.o[0].reg, gpr_off(R12));
	i = dec(CODE_32, "40");
	assert_int_equal(i.op, OP_INC);
	i = dec(CODE_64, "90");
	assert_int_equal(i.op, OP_NOP);
	i = dec(CODE_64, "41 90");
	assert_int_equal(i.op, OP_XCHG);
	assert_int_equal(i.o[0].reg, gpr_off(R8));
	i = dec(CODE_64, "f3 90");
	assert_int_equal(i.op, OP_PAUSE);
	i = dec(CODE_64, "44 0f 20 c0"); /* mov rax, cr8 */
	assert_int_equal(i.o[1].kind, O_CR);
	assert_int_equal(i.o[1].reg, 8);
	i = dec(CODE_64, "0f 22 18"); /* mov cr3, rax: mod does not matter */
	assert_int_equal(i.op, OP_MOV_TO_CR);
	assert_int_equal(i.flags & IF_MEM, 0);
	assert_int_equal(i.o[1].kind, O_GPR);
	expect_invalid(CODE_64, "0f 20 c8");
	expect_invalid(CODE_64, "44 0f 21 c0");
	expect_invalid(CODE_64, "8e c8"); /* mov cs, ax */
	expect_invalid(CODE_64, "8e f0");
}

static void test_sizes(void **state)
{
	static const struct {
		enum code_size code;
		const char *hex;
		uint8_t osz, size;
	} cases[] = {
		{ CODE_16, "50", 2, 2 },
		{ CODE_16, "66 50", 4, 4 },
		{ CODE_32, "66 50", 2, 2 },
		{ CODE_64, "50", 8, 8 },
		{ CODE_64, "66 50", 2, 2 },
		{ CODE_64, "66 48 50", 8, 8 },
		{ CODE_64, "ff 30", 8, 8 },
		{ CODE_64, "66 ff d0", 8, 8 },
		{ CODE_64, "66 e8 00 00 00 00", 8, 4 },
		{ CODE_32, "66 e8 00 00", 2, 2 },
		{ CODE_64, "ff 28", 4, 6 },
		{ CODE_64, "48 ff 28", 8, 10 },
		{ CODE_16, "ff 28", 2, 4 },
		{ CODE_64, "0f 01 10", 4, 10 },
		{ CODE_32, "0f 01 10", 4, 6 },
		{ CODE_32, "62 00", 4, 4 },
		{ CODE_64, "c8 10 00 01", 8, 2 },
		{ CODE_64, "8c 00", 4, 2 },
		{ CODE_64, "48 8c c0", 8, 8 },
		{ CODE_64, "48 63 00", 8, 8 },
		{ CODE_64, "66 63 00", 2, 2 },
		{ CODE_64, "f3 48 0f b8 00", 8, 8 },
		{ CODE_64, "66 f2 0f 38 f1 c0", 2, 4 },
		{ CODE_64, "48 0f c7 08", 8, 16 },
		{ CODE_64, "0f c7 08", 4, 8 },
		{ CODE_64, "48 b8 88 77 66 55 44 33 22 11", 8, 8 },
		{ CODE_64, "0f ae 00", 4, 0 },
		{ CODE_64, "e5 60", 4, 4 },
		{ CODE_64, "48 e5 60", 8, 4 },
		{ CODE_64, "48 0f 20 c0", 8, 8 },
		{ CODE_32, "0f 20 c0", 4, 4 },
	};
	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		struct insn i = dec(cases[k].code, cases[k].hex);
		if (i.osz != cases[k].osz || i.o[0].size != cases[k].size)
			fail_msg("%s: operand size %u, first operand %u", cases[k].hex, i.osz, i.o[0].size);
	}
	struct insn i = dec(CODE_32, "62 00");
	assert_int_equal(i.o[1].size, 8);
	i = dec(CODE_64, "48 63 00");
	assert_int_equal(i.o[1].size, 4);
}

static void test_immediates(void **state)
{
	struct insn i = dec(CODE_64, "48 83 c0 ff");
	assert_int_equal(i.imm, -1);
	assert_int_equal(i.o[1].size, 1);
	i = dec(CODE_64, "48 c7 c0 00 00 00 80");
	assert_int_equal(i.imm, INT32_MIN);
	i = dec(CODE_64, "cd 80");
	assert_int_equal(i.imm, 0x80);
	i = dec(CODE_64, "e6 e9");
	assert_int_equal(i.imm, 0xe9);
	i = dec(CODE_64, "c2 f0 ff");
	assert_int_equal(i.imm, 0xfff0);
	i = dec(CODE_64, "c8 f0 ff 1f");
	assert_int_equal(i.nopnd, 2);
	assert_int_equal(i.imm, 0xfff0);
	assert_int_equal(i.imm2, 0x1f);
	i = dec(CODE_32, "ea 78 56 34 f2 10 f0");
	assert_int_equal(i.nopnd, 1);
	assert_true(i.imm == 0xf2345678);
	assert_int_equal(i.imm2, 0xf010);
	i = dec(CODE_16, "9a 34 12 00 f0");
	assert_int_equal(i.op, OP_CALLF);
	assert_int_equal(i.imm, 0x1234);
	assert_int_equal(i.imm2, 0xf000);
	i = dec(CODE_64, "eb fe");
	assert_int_equal(i.o[0].kind, O_REL);
	assert_int_equal(i.imm, -2);
	i = dec(CODE_64, "d1 e0");
	assert_int_equal(i.o[1].kind, O_IMM);
	assert_int_equal(i.imm, 1);
	i = dec(CODE_64, "d3 e0");
	assert_int_equal(i.o[1].kind, O_GPR);
	assert_int_equal(i.o[1].reg, gpr_off(RCX));
	i = dec(CODE_64, "6a 80");
	assert_int_equal(i.imm, -128);
}

static void test_prefixes(void **state)
{
	/* mandatory prefixes: F3 and F2 go before 66, the last of them counts */
	assert_int_equal(dec(CODE_64, "f3 0f 10 c0").op, OP_MOVSS);
	assert_int_equal(dec(CODE_64, "66 f3 0f 10 c0").op, OP_MOVSS);
	assert_int_equal(dec(CODE_64, "f3 66 0f 10 c0").op, OP_MOVSS);
	assert_int_equal(dec(CODE_64, "f3 f2 0f 10 c0").op, OP_MOVSD);
	assert_int_equal(dec(CODE_64, "66 0f 10 c0").op, OP_MOVUPD);
	assert_int_equal(dec(CODE_64, "66 0f 10 c0").flags & IF_OSZ, 0);
	expect_invalid(CODE_64, "f3 0f 28 c0");
	/* where they are no part of the opcode they are ignored */
	assert_int_equal(dec(CODE_64, "f3 c3").op, OP_RET);
	assert_int_equal(dec(CODE_64, "f3 0f af c0").op, OP_IMUL);
	assert_int_equal(dec(CODE_64, "f3 0f 1e fa").op, OP_NOP);
	assert_int_equal(dec(CODE_64, "f3 c3").flags & (IF_REP | IF_REPNE), 0);
	assert_int_equal(dec(CODE_64, "f3 0f bc c0").op, OP_TZCNT);
	assert_int_equal(dec(CODE_64, "f2 0f bc c0").op, OP_BSF);
	/* repetition */
	assert_int_equal(dec(CODE_64, "f3 a4").flags & (IF_REP | IF_REPNE), IF_REP);
	assert_int_equal(dec(CODE_64, "f2 a4").flags & (IF_REP | IF_REPNE), IF_REP);
	assert_int_equal(dec(CODE_64, "f2 ae").flags & (IF_REP | IF_REPNE), IF_REPNE);
	assert_int_equal(dec(CODE_64, "f2 f3 a6").flags & (IF_REP | IF_REPNE), IF_REP);
	struct insn i = dec(CODE_64, "f3 65 67 48 a5");
	assert_int_equal(i.op, OP_MOVS);
	assert_int_equal(i.nopnd, 0);
	assert_int_equal(i.o[0].size, 8);
	assert_int_equal(i.asz, 4);
	assert_int_equal(i.seg, GS);
	assert_int_equal(dec(CODE_64, "48 6d").o[0].size, 4); /* ports have no 64 bits */
	/* LOCK */
	assert_true(dec(CODE_64, "f0 48 0f b1 0a").flags & IF_LOCK);
	assert_true(dec(CODE_64, "f0 87 00").flags & IF_LOCK);
	expect_invalid(CODE_64, "f0 01 c0");
	expect_invalid(CODE_64, "f0 03 00");
	expect_invalid(CODE_64, "f0 39 00");
	expect_invalid(CODE_64, "f0 8b 00");
	expect_invalid(CODE_64, "f0 90");
	/* VEX takes no other prefix but 67 and segments */
	assert_int_equal(dec(CODE_64, "c5 f8 58 c1").op, OP_VADDPS);
	assert_int_equal(dec(CODE_64, "64 67 c5 f8 58 00").op, OP_VADDPS);
	expect_invalid(CODE_64, "66 c5 f8 58 c1");
	expect_invalid(CODE_64, "48 c5 f8 58 c1");
	expect_invalid(CODE_64, "f0 c5 f8 58 c1");
	assert_int_equal(dec(CODE_32, "c5 00").op, OP_LDS);
	assert_int_equal(dec(CODE_32, "62 00").op, OP_BOUND);
}

static void test_modes(void **state)
{
	static const char *const not64[] = { "06", "07",    "0e",    "16",       "17",
					     "1e", "1f",    "27",    "2f",       "37",
					     "3f", "60",    "61",    "82 c0 00", "9a 00 00 00 00 00 00",
					     "ce", "d4 0a", "d5 0a", "d6",       "ea 00 00 00 00 00 00" };
	for (size_t k = 0; k < ARRAY_LEN(not64); k++) {
		expect_invalid(CODE_64, not64[k]);
		assert_int_not_equal(dec(CODE_32, not64[k]).op, OP_INVALID);
	}
	assert_int_equal(dec(CODE_64, "0f 01 f8").op, OP_SWAPGS);
	expect_invalid(CODE_32, "0f 01 f8");
	expect_invalid(CODE_32, "f3 0f ae c0"); /* rdfsbase */
	assert_int_equal(dec(CODE_32, "63 c0").op, OP_ARPL);
	assert_int_equal(dec(CODE_64, "63 c0").op, OP_MOVSXD);
	assert_int_equal(dec(CODE_32, "f1").op, OP_INT1);
	assert_int_equal(dec(CODE_64, "0f ff c0").op, OP_UD0);
	assert_int_equal(dec(CODE_64, "0f b9 c0").op, OP_UD1);
	assert_int_equal(dec(CODE_64, "9b").op, OP_FWAIT);
}

static void test_attributes(void **state)
{
	static const struct {
		enum code_size code;
		const char *hex;
		uint32_t flags;
	} cases[] = {
		{ CODE_64, "75 00", IF_ENDS | IF_BRANCH },
		{ CODE_64, "ff 20", IF_ENDS | IF_BRANCH },
		{ CODE_64, "c3", IF_ENDS | IF_BRANCH },
		{ CODE_64, "48 cf", IF_ENDS | IF_BRANCH },
		{ CODE_64, "0f 05", IF_ENDS | IF_BRANCH },
		{ CODE_64, "48 0f 07", IF_ENDS | IF_BRANCH | IF_PRIV },
		{ CODE_64, "cc", IF_ENDS | IF_BRANCH },
		{ CODE_64, "e2 00", IF_ENDS | IF_BRANCH },
		{ CODE_64, "0f 22 d8", IF_ENDS | IF_PRIV },
		{ CODE_64, "0f 20 d8", IF_PRIV },
		{ CODE_64, "0f 23 f8", IF_ENDS | IF_PRIV },
		{ CODE_64, "0f 30", IF_ENDS | IF_PRIV },
		{ CODE_64, "0f 32", IF_PRIV },
		{ CODE_64, "0f 01 38", IF_ENDS | IF_PRIV },
		{ CODE_64, "f4", IF_ENDS | IF_PRIV },
		{ CODE_64, "fb", IF_ENDS },
		{ CODE_64, "fa", IF_ENDS },
		{ CODE_64, "9d", IF_ENDS },
		{ CODE_64, "8e d0", IF_ENDS },
		{ CODE_64, "8e e0", 0 },
		{ CODE_32, "8e e0", IF_ENDS },
		{ CODE_32, "1f", IF_ENDS },
		{ CODE_32, "17", IF_ENDS },
		{ CODE_64, "0f a1", 0 },
		{ CODE_32, "0f a1", IF_ENDS },
		{ CODE_32, "c5 00", IF_ENDS },
		{ CODE_64, "0f b2 00", IF_ENDS },
		{ CODE_64, "0f a2", IF_ENDS },
		{ CODE_64, "ec", IF_ENDS },
		{ CODE_64, "f3 6c", IF_ENDS },
		{ CODE_64, "f3 90", IF_ENDS },
		{ CODE_64, "0f 0b", IF_ENDS },
		{ CODE_64, "0f 01 ca", IF_ENDS },
		{ CODE_64, "0f 01 d1", IF_ENDS | IF_PRIV },
		{ CODE_64, "0f 06", IF_ENDS | IF_PRIV },
		{ CODE_64, "0f 01 f0", IF_ENDS | IF_PRIV },
		{ CODE_64, "0f 01 f8", IF_PRIV },
		{ CODE_64, "0f 01 10", IF_PRIV },
		{ CODE_64, "f3 0f ae d0", 0 },
		{ CODE_64, "66 0f 38 82 00", IF_ENDS | IF_PRIV },
		{ CODE_64, "48 89 c0", 0 },
		{ CODE_64, "0f 31", 0 },
	};
	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		struct insn i = dec(cases[k].code, cases[k].hex);
		if ((i.flags & (IF_ENDS | IF_BRANCH | IF_PRIV)) != cases[k].flags)
			fail_msg("%s: flags %x", cases[k].hex, i.flags);
	}
}

static void test_features(void **state)
{
	assert_int_equal(insn_feature(&(struct insn){ 0 }), F_BASE);
	struct insn i = dec(CODE_64, "f3 48 0f bc c1");
	assert_int_equal(insn_feature(&i), F_BMI1);
	insn_drop_feature(&i);
	assert_int_equal(i.op, OP_BSF);
	assert_int_equal(insn_feature(&i), F_BASE);
	assert_int_equal(i.o[0].rw, OPND_R | OPND_W);
	i = dec(CODE_64, "f3 0f bd 08");
	insn_drop_feature(&i);
	assert_int_equal(i.op, OP_BSR);
	i = dec(CODE_64, "c5 fd fe c1");
	assert_int_equal(insn_feature(&i), F_AVX2);
	insn_drop_feature(&i);
	assert_int_equal(i.op, OP_INVALID);
	i = dec(CODE_64, "0f fc c1");
	assert_int_equal(insn_feature(&i), F_MMX);
	i = dec(CODE_64, "66 0f fc c1");
	assert_int_equal(insn_feature(&i), F_SSE2);
}

/* Instructions longer than 15 bytes do not exist, and shorter input wants more */
static void test_length(void **state)
{
	uint8_t b[32];
	struct insn i;
	memset(b, 0x66, sizeof(b));
	b[14] = 0x90;
	assert_int_equal(insn_decode(b, 32, CODE_64, &i), 15);
	assert_int_equal(i.op, OP_NOP);
	b[14] = 0x66;
	b[15] = 0x90;
	assert_int_equal(insn_decode(b, 32, CODE_64, &i), 0);
	b[9] = 0x81; /* ends at byte 15 exactly, then one too many */
	b[10] = 0xc0;
	assert_int_equal(insn_decode(b, 32, CODE_64, &i), 13);
	memmove(b + 3, b, 16);
	assert_int_equal(insn_decode(b, 32, CODE_64, &i), 0);
	assert_int_equal(insn_decode(b, 0, CODE_64, &i), 0);
	/* every proper prefix of an instruction is incomplete */
	static const struct {
		enum code_size code;
		const char *hex;
	} whole[] = {
		{ CODE_64, "64 48 c7 84 25 28 00 00 00 01 02 03 04" },
		{ CODE_64, "66 0f 3a 0f 44 88 10 05" },
		{ CODE_64, "c4 e3 79 df 44 88 10 05" },
		{ CODE_32, "ea 01 02 03 04 05 06" },
		{ CODE_16, "c8 01 02 03" },
		{ CODE_64, "0f 0b" },
		{ CODE_16, "d9 fe" },
		{ CODE_64, "a1 01 02 03 04 05 06 07 08" },
	};
	for (size_t k = 0; k < ARRAY_LEN(whole); k++) {
		size_t n = parse(whole[k].hex, b);
		for (size_t len = 0; len < n; len++)
			assert_int_equal(insn_decode(b, len, whole[k].code, &i), 0);
		assert_int_equal(insn_decode(b, n, whole[k].code, &i), n);
	}
}

/* Never reads behind the bytes it was given: they end where memory does */
static void test_bounds(void **state)
{
	uint8_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + 4096, 4096, PROT_NONE), 0);
	uint64_t r = 1;
	for (unsigned k = 0; k < 200000; k++) {
		size_t len = k % 16;
		uint8_t *b = p + 4096 - len;
		for (size_t j = 0; j < len; j++) {
			r = r * 6364136223846793005u + 1442695040888963407u;
			b[j] = (uint8_t)(r >> 56);
		}
		if (len > 3 && k & 16)
			b[0] = (uint8_t)(k & 32 ? 0x0f : 0xc4);
		struct insn i;
		int n = insn_decode(b, len, (enum code_size)(k / 16 % 3), &i);
		assert_in_range(n, 0, len);
		assert_true(i.op < OP_COUNT);
		assert_true(n == 0 || i.len == n);
	}
	munmap(p, 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addressing), cmocka_unit_test(test_registers), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_immediates), cmocka_unit_test(test_prefixes),  cmocka_unit_test(test_modes),
		cmocka_unit_test(test_attributes), cmocka_unit_test(test_features),  cmocka_unit_test(test_length),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
