/* test_int.c - integer instructions of the software CPU: flags against bit-by-bit models, and what
 * must hold when an instruction faults. */
#include <pthread.h>

#include "engine/soft/block.h"
#include "int_fixture.h"

#define G(n) (f->c->gpr[n])

static uint64_t flags(const struct fix *f) { return cc_get(f->c); }
static void set_flags(struct fix *f, uint64_t v) { cc_flags(f->c, v); }

/* --- arithmetic: all pairs of bytes, against addition bit by bit --- */

struct model {
	uint8_t r;
	uint64_t flags;
};

static uint64_t model_szp(uint8_t r)
{
	unsigned ones = 0;
	for (unsigned n = 0; n < 8; n++)
		ones += (r >> n) & 1;
	return (r & 0x80 ? FL_SF : 0) | (r ? 0 : FL_ZF) | (ones & 1 ? 0 : FL_PF);
}

static struct model model_add(uint8_t a, uint8_t b, unsigned carry)
{
	struct model m = { 0, 0 };
	unsigned into7 = 0;
	for (unsigned n = 0; n < 8; n++) {
		unsigned sum = ((a >> n) & 1) + ((b >> n) & 1) + carry;
		m.r |= (uint8_t)((sum & 1) << n);
		if (n == 7)
			into7 = carry;
		carry = sum >> 1;
		if (n == 3 && carry)
			m.flags |= FL_AF;
	}
	m.flags |= (carry ? FL_CF : 0) | (carry != into7 ? FL_OF : 0) | model_szp(m.r);
	return m;
}

static struct model model_sub(uint8_t a, uint8_t b, unsigned borrow)
{
	struct model m = model_add(a, (uint8_t)~b, !borrow);
	m.flags ^= FL_CF | FL_AF;
	return m;
}

static void check_byte(struct fix *f, struct model want)
{
	assert_int_equal((uint8_t)G(RAX), want.r);
	assert_int_equal(flags(f), want.flags);
}

static void arithmetic_bytes(void **state)
{
	struct fix *f = *state;

	for (unsigned n = 0; n < 65536; n++) {
		uint8_t a = (uint8_t)n, b = (uint8_t)(n >> 8);
		for (unsigned cf = 0; cf < 2; cf++) {
			G(RAX) = a;
			G(RBX) = b;
			set_flags(f, cf);
			RUN(f, 0x10, 0xd8); /* adc al, bl */
			check_byte(f, model_add(a, b, cf));
			G(RAX) = a;
			set_flags(f, cf);
			RUN(f, 0x18, 0xd8); /* sbb al, bl */
			check_byte(f, model_sub(a, b, cf));
		}
		G(RAX) = a;
		RUN(f, 0x00, 0xd8); /* add al, bl */
		check_byte(f, model_add(a, b, 0));
		/* the carry of an ADD and of a SUB feeds the next instruction */
		G(RCX) = 0;
		RUN(f, 0x80, 0xd1, 0); /* adc cl, 0 */
		assert_int_equal(G(RCX), (model_add(a, b, 0).flags & FL_CF) != 0);
		G(RAX) = a;
		RUN(f, 0x28, 0xd8); /* sub al, bl */
		check_byte(f, model_sub(a, b, 0));
		G(RCX) = 0;
		RUN(f, 0x80, 0xd1, 0);
		assert_int_equal(G(RCX), a < b);
	}
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned cf = 0; cf < 2; cf++) {
			G(RAX) = a;
			set_flags(f, cf);
			RUN(f, 0xfe, 0xc0); /* inc al */
			assert_int_equal(flags(f), (model_add((uint8_t)a, 1, 0).flags & ~(uint64_t)FL_CF) | cf);
			G(RAX) = a;
			set_flags(f, cf);
			RUN(f, 0xfe, 0xc8); /* dec al */
			assert_int_equal(flags(f), (model_sub((uint8_t)a, 1, 0).flags & ~(uint64_t)FL_CF) | cf);
		}
		G(RAX) = a;
		RUN(f, 0xf6, 0xd8); /* neg al */
		check_byte(f, model_sub(0, (uint8_t)a, 0));
	}
}

/* Every condition after a comparison, and after flags given as such */
static void conditions(void **state)
{
	struct fix *f = *state;
	static const int8_t values[] = { -128, -127, -1, 0, 1, 2, 127 };

	for (unsigned n = 0; n < 7 * 7 * 32; n++) {
		int8_t a = values[n % 7], b = values[n / 7 % 7];
		uint8_t cc = n / 49 & 15;
		G(RAX) = (uint8_t)a;
		G(RBX) = (uint8_t)b;
		RUN(f, 0x38, 0xd8); /* cmp al, bl */
		if (n / 49 & 16)
			set_flags(f, flags(f));
		uint64_t fl = model_sub((uint8_t)a, (uint8_t)b, 0).flags;
		bool v[8] = { fl & FL_OF, (uint8_t)a < (uint8_t)b,
			      a == b,     (uint8_t)a <= (uint8_t)b,
			      fl & FL_SF, fl & FL_PF,
			      a < b,      a <= b };
		G(RCX) = 0;
		RUN(f, 0x0f, 0x90 + cc, 0xc1); /* setcc cl */
		assert_int_equal(G(RCX), v[cc >> 1] != (cc & 1));
		RUN(f, 0x70 + cc, 0x40); /* jcc +0x40 */
		assert_int_equal(f->c->rip, AT_CODE + 2 + (G(RCX) ? 0x40 : 0));
		G(RDX) = ~0ull;
		RUN(f, 0x0f, 0x40 + cc, 0xd1); /* cmovcc edx, ecx: clears the upper half either way */
		assert_int_equal(G(RDX), G(RCX) ? 1 : 0xffffffff);
	}
}

/* Shifts and rotates of bytes, one bit at a time */
static void shifts_bytes(void **state)
{
	struct fix *f = *state;

	for (unsigned n = 0; n < 8 * 256 * 2 * 34; n++) {
		unsigned op = n & 7, v0 = (n >> 3) & 255, cf0 = (n >> 11) & 1, count = n >> 12;
		uint8_t v = (uint8_t)v0;
		unsigned cf = cf0, of = 0;
		bool rotate = op < 4;
		for (unsigned k = 0; k < (count & 31); k++) {
			unsigned top = v >> 7, low = v & 1;
			switch (op) {
			case 0:
				v = (uint8_t)(v << 1 | top);
				cf = top;
				break; /* rol */
			case 1:
				v = (uint8_t)(v >> 1 | low << 7);
				cf = low;
				break; /* ror */
			case 2:
				v = (uint8_t)(v << 1 | cf);
				cf = top;
				break; /* rcl */
			case 3:
				v = (uint8_t)(v >> 1 | cf << 7);
				cf = low;
				break; /* rcr */
			case 5:
				v >>= 1;
				cf = low;
				break; /* shr */
			case 7:
				v = (uint8_t)(v >> 1 | top << 7);
				cf = low;
				break; /* sar */
			default:
				v = (uint8_t)(v << 1);
				cf = top;
				break; /* shl */
			}
			of = (v0 ^ v) >> 7;
		}
		uint64_t before = FL_ZF | FL_AF | (cf0 ? FL_CF : 0), mask = FL_ARITH;
		G(RAX) = 0x100 | v0;
		G(RCX) = count;
		set_flags(f, before);
		RUN(f, 0xd2, 0xc0 | op << 3); /* op al, cl */
		assert_int_equal(G(RAX), 0x100 | v);
		if (!(count & 31)) {
			assert_int_equal(flags(f), before);
			continue;
		}
		if ((count & 31) != 1)
			mask &= ~(uint64_t)FL_OF;
		if (!rotate)
			mask &= ~(uint64_t)FL_AF;
		uint64_t want = (cf ? FL_CF : 0) | (of ? FL_OF : 0) | (rotate ? FL_ZF | FL_AF : model_szp(v));
		assert_int_equal(flags(f) & mask, want & mask);
	}
}

static void shifts_wide(void **state)
{
	struct fix *f = *state;

	G(RAX) = 0x8000000000000001;
	G(RCX) = 63;
	RUN(f, 0x48, 0xd3, 0xe0); /* shl rax, cl */
	assert_int_equal(G(RAX), 1ull << 63);
	G(RAX) = 0xffffffff80000000;
	G(RCX) = 32;
	RUN(f, 0xd3, 0xe0); /* shl eax, cl: count 0 clears the upper half */
	assert_int_equal(G(RAX), 0x80000000);
	G(RAX) = 0x123456789abcdef0;
	G(RBX) = 0xfedcba9876543210;
	RUN(f, 0x48, 0x0f, 0xa4, 0xd8, 4); /* shld rax, rbx, 4 */
	assert_int_equal(G(RAX), 0x23456789abcdef0f);
	assert_int_equal(flags(f) & FL_CF, 1);
	G(RAX) = 0x12345678;
	RUN(f, 0x0f, 0xac, 0xd8, 8); /* shrd eax, ebx, 8 */
	assert_int_equal(G(RAX), 0x10123456);
	assert_int_equal(flags(f) & FL_CF, 0);
	G(RAX) = 0x8000;
	G(RBX) = 0x4000;
	RUN(f, 0x66, 0x0f, 0xa4, 0xd8, 1); /* shld ax, bx, 1 */
	assert_int_equal(G(RAX), 0);
	assert_int_equal(flags(f) & (FL_CF | FL_OF | FL_ZF), FL_CF | FL_OF | FL_ZF);
	G(RAX) = 0x8000000000000000;
	set_flags(f, FL_CF);
	RUN(f, 0x48, 0xd1, 0xd0); /* rcl rax, 1 */
	assert_int_equal(G(RAX), 1);
	assert_int_equal(flags(f), FL_CF | FL_OF);
	G(RCX) = 63;
	G(RAX) = 3;
	RUN(f, 0x48, 0xd3, 0xd8); /* rcr rax, cl: 3 and CF = 1, a ring of 65 bits */
	assert_int_equal(G(RAX), 0xe);
	assert_int_equal(flags(f) & FL_CF, 0);
}

static void multiply_divide(void **state)
{
	struct fix *f = *state;

	G(RAX) = ~0ull;
	G(RBX) = ~0ull;
	RUN(f, 0x48, 0xf7, 0xe3); /* mul rbx */
	assert_int_equal(G(RAX), 1);
	assert_int_equal(G(RDX), ~0ull - 1);
	assert_int_equal(flags(f) & (FL_CF | FL_OF), FL_CF | FL_OF);
	G(RAX) = ~0ull;
	RUN(f, 0x48, 0xf7, 0xeb); /* imul rbx */
	assert_int_equal(G(RAX), 1);
	assert_int_equal(G(RDX), 0);
	assert_int_equal(flags(f) & (FL_CF | FL_OF), 0);
	G(RAX) = 0x1180;
	G(RBX) = 0x02;
	RUN(f, 0xf6, 0xeb); /* imul bl: -128 * 2 */
	assert_int_equal(G(RAX), 0xff00);
	assert_int_equal(flags(f) & (FL_CF | FL_OF), FL_CF | FL_OF);
	G(RBX) = 0x40000000;
	RUN(f, 0x6b, 0xc3, 0x02); /* imul eax, ebx, 2 */
	assert_int_equal(G(RAX), 0x80000000);
	assert_int_equal(flags(f) & (FL_CF | FL_OF), FL_CF | FL_OF);

	G(RDX) = 5;
	G(RAX) = 7;
	G(RBX) = 5;
	RAISES(f, EXC_DE, 0x48, 0xf7, 0xf3); /* div rbx: quotient of 65 bits */
	assert_int_equal(G(RDX), 5);
	G(RBX) = 6;
	RUN(f, 0x48, 0xf7, 0xf3);
	assert_int_equal(G(RAX), (uint64_t)((((unsigned __int128)5 << 64) + 7) / 6));
	assert_int_equal(G(RDX), (uint64_t)((((unsigned __int128)5 << 64) + 7) % 6));
	G(RBX) = 0;
	RAISES(f, EXC_DE, 0xf7, 0xf3);       /* div ebx */
	RAISES(f, EXC_DE, 0x48, 0xf7, 0xfb); /* idiv rbx */
	G(RDX) = ~0ull;
	G(RAX) = 1ull << 63;
	G(RBX) = ~0ull;
	RAISES(f, EXC_DE, 0x48, 0xf7, 0xfb); /* -2^63 / -1 */
	G(RDX) = 0xffffffff;
	G(RAX) = 0x80000000;
	RAISES(f, EXC_DE, 0xf7, 0xfb);
	G(RBX) = 2;
	G(RAX) = (uint32_t)-7;
	RUN(f, 0xf7, 0xfb); /* idiv ebx */
	assert_int_equal(G(RAX), (uint32_t)-3);
	assert_int_equal(G(RDX), (uint32_t)-1);
	G(RDX) = ~0ull; /* -2^64 + 1 ... */
	G(RAX) = 1;
	G(RBX) = (uint64_t)INT64_MIN;
	RUN(f, 0x48, 0xf7, 0xfb); /* ... / -2^63 = 1, rest -2^63 + 1 */
	assert_int_equal(G(RAX), 1);
	assert_int_equal(G(RDX), (uint64_t)(INT64_MIN + 1));
	G(RAX) = 0xff80;
	G(RBX) = 0xff;
	RAISES(f, EXC_DE, 0xf6, 0xfb); /* idiv bl: -128 / -1 */
	G(RAX) = 0x0107;
	G(RBX) = 0x10;
	RUN(f, 0xf6, 0xf3); /* div bl */
	assert_int_equal(G(RAX), 0x0710);
}

/* Bit numbers in registers reach beyond the operand in memory, upwards and downwards */
static void bit_offsets(void **state)
{
	struct fix *f = *state;

	G(RDI) = AT_DATA;
	G(RAX) = 32 * 5 + 3;
	RUN(f, 0x0f, 0xab, 0x07); /* bts [rdi], eax */
	assert_int_equal(le32_load(f->ram + AT_DATA + 20), 8);
	assert_int_equal(flags(f) & FL_CF, 0);
	G(RAX) = (uint32_t)-1;
	RUN(f, 0x0f, 0xbb, 0x07); /* btc [rdi], eax */
	assert_int_equal(le32_load(f->ram + AT_DATA - 4), 0x80000000);
	G(RAX) = (uint64_t)-64 * 4 + 1;
	le64_store(f->ram + AT_DATA - 32, 2);
	RUN(f, 0xf0, 0x48, 0x0f, 0xb3, 0x07); /* lock btr [rdi], rax */
	assert_int_equal(le64_load(f->ram + AT_DATA - 32), 0);
	assert_int_equal(flags(f) & FL_CF, 1);
	G(RAX) = (uint16_t)-16;
	le16_store(f->ram + AT_DATA - 2, 1);
	RUN(f, 0x66, 0x0f, 0xa3, 0x07); /* bt [rdi], ax */
	assert_int_equal(flags(f) & FL_CF, 1);
	G(RDI) = 0x100000000 + 4;
	G(RAX) = (AT_DATA - 4) * 8;
	le32_store(f->ram + AT_DATA, 1);
	RUN(f, 0x67, 0x0f, 0xa3, 0x07); /* bt [edi], eax: the sum is cut to 32 bits */
	assert_int_equal(flags(f) & FL_CF, 1);
	set_flags(f, FL_ZF | FL_SF);
	G(RBX) = 1;
	RUN(f, 0x0f, 0xba, 0xe3, 32); /* bt ebx, 32: immediate modulo 32, ZF stays */
	assert_int_equal(flags(f) & (FL_CF | FL_ZF), FL_CF | FL_ZF);
	G(RDI) = AT_RO;
	G(RAX) = 0;
	RUN(f, 0x0f, 0xa3, 0x07);
	RAISES(f, EXC_PF, 0x0f, 0xab, 0x07);
	assert_int_equal(f->c->raised.error, PF_P | PF_W);
}

static void bit_scans(void **state)
{
	struct fix *f = *state;

	G(RAX) = 0x1122334455667788;
	G(RBX) = 0;
	RUN(f, 0x48, 0x0f, 0xbc, 0xc3); /* bsf rax, rbx */
	assert_int_equal(G(RAX), 0x1122334455667788);
	assert_int_equal(flags(f) & FL_ZF, FL_ZF);
	RUN(f, 0x66, 0x0f, 0xbd, 0xc3); /* bsr ax, bx */
	assert_int_equal(G(RAX), 0x1122334455667788);
	G(RBX) = 0x00f0;
	RUN(f, 0x0f, 0xbd, 0xc3); /* bsr eax, ebx */
	assert_int_equal(G(RAX), 7);
	assert_int_equal(flags(f) & FL_ZF, 0);
	G(RBX) = 0;
	RUN(f, 0xf3, 0x66, 0x0f, 0xbc, 0xc3); /* tzcnt ax, bx */
	assert_int_equal(G(RAX), 16);
	assert_int_equal(flags(f) & (FL_CF | FL_ZF), FL_CF);
	G(RBX) = 0x8000;
	RUN(f, 0xf3, 0x66, 0x0f, 0xbd, 0xc3); /* lzcnt ax, bx */
	assert_int_equal(G(RAX), 0);
	assert_int_equal(flags(f) & (FL_CF | FL_ZF), FL_ZF);
	G(RBX) = ~0ull;
	RUN(f, 0xf3, 0x0f, 0xb8, 0xc3); /* popcnt eax, ebx */
	assert_int_equal(G(RAX), 32);
	assert_int_equal(flags(f), 0);
	G(RAX) = 0xffffffffffffffff;
	for (unsigned n = 1; n <= 9; n++) {
		G(RBX) = '0' + n;
		RUN(f, 0xf2, 0x0f, 0x38, 0xf0, 0xc3); /* crc32 eax, bl */
	}
	assert_int_equal(G(RAX), 0xe3069283 ^ 0xffffffff); /* CRC-32C's check value */
	G(RAX) = ~0ull;
	G(RBX) = 0;
	set_flags(f, FL_CF | FL_OF);
	RUN(f, 0x66, 0x0f, 0x38, 0xf6, 0xc3); /* adcx eax, ebx */
	assert_int_equal(G(RAX), 0);
	RUN(f, 0xf3, 0x0f, 0x38, 0xf6, 0xc3); /* adox eax, ebx */
	assert_int_equal(G(RAX), 1);
	assert_int_equal(flags(f), FL_CF);
}

static void decimal(void **state)
{
	struct fix *f = *state;

	fix_reset(f, CODE_32);
	G(RAX) = 0xae; /* 79h + 35h in AL after ADD: SDM 2, DAA */
	set_flags(f, 0);
	RUN(f, 0x27);
	assert_int_equal(G(RAX), 0x14);
	assert_int_equal(flags(f) & ~(uint64_t)FL_OF, FL_CF | FL_AF | FL_PF);
	G(RAX) = 0xee; /* 35h - 47h: SDM 2, DAS */
	set_flags(f, FL_CF | FL_AF | FL_SF | FL_PF);
	RUN(f, 0x2f);
	assert_int_equal(G(RAX), 0x88);
	assert_int_equal(flags(f) & (FL_CF | FL_AF), FL_CF | FL_AF);
	G(RAX) = 0x020f;
	set_flags(f, 0);
	RUN(f, 0x37); /* aaa */
	assert_int_equal(G(RAX), 0x0305);
	RUN(f, 0x3f); /* aas, with AF from before */
	assert_int_equal(G(RAX), 0x010f);
	G(RAX) = 0x1163;
	RUN(f, 0xd4, 10); /* aam */
	assert_int_equal(G(RAX), 0x0909);
	RUN(f, 0xd5, 10); /* aad */
	assert_int_equal(G(RAX), 99);
	RAISES(f, EXC_DE, 0xd4, 0);
	set_flags(f, FL_CF);
	RUN(f, 0xd6); /* salc */
	assert_int_equal(G(RAX), 0xff);
}

static void bmi(void **state)
{
	struct fix *f = *state;

	G(RBX) = 0xf0f0;
	G(RCX) = 0xff00;
	RUN(f, 0xc4, 0xe2, 0x60, 0xf2, 0xc1); /* andn eax, ebx, ecx */
	assert_int_equal(G(RAX), 0x0f00);
	RUN(f, 0xc4, 0xe2, 0x78, 0xf3, 0xcb); /* blsr eax, ebx */
	assert_int_equal(G(RBX), 0xf0f0);
	assert_int_equal(G(RAX), 0xf0e0);
	G(RCX) = 0x0804;
	RUN(f, 0xc4, 0xe2, 0x70, 0xf7, 0xc3); /* bextr eax, ebx, ecx: 8 bits from bit 4 */
	assert_int_equal(G(RAX), 0x0f);
	G(RCX) = 0x40;
	RUN(f, 0xc4, 0xe2, 0x70, 0xf5, 0xc3); /* bzhi eax, ebx, ecx */
	assert_int_equal(G(RAX), 0xf0f0);
	assert_int_equal(flags(f) & FL_CF, FL_CF);
	G(RCX) = 0x12345678;
	RUN(f, 0xc4, 0xe2, 0x72, 0xf5, 0xc3); /* pext eax, ecx, ebx */
	assert_int_equal(G(RAX), 0x57);
	G(RCX) = 0x57;
	RUN(f, 0xc4, 0xe2, 0x73, 0xf5, 0xc3); /* pdep eax, ecx, ebx */
	assert_int_equal(G(RAX), 0x5070);
	G(RDX) = 1ull << 63;
	set_flags(f, FL_ARITH);
	RUN(f, 0xc4, 0xe2, 0xf3, 0xf6, 0xc2); /* mulx rax, rcx, rdx */
	assert_int_equal(G(RAX), 1ull << 62);
	assert_int_equal(G(RCX), 0);
	RUN(f, 0xc4, 0xe3, 0xfb, 0xf0, 0xc2, 60); /* rorx rax, rdx, 60 */
	assert_int_equal(G(RAX), 8);
	G(RCX) = 63;
	RUN(f, 0xc4, 0xe2, 0xf2, 0xf7, 0xc2); /* sarx rax, rdx, rcx */
	assert_int_equal(G(RAX), ~0ull);
	assert_int_equal(flags(f), FL_ARITH);
}

/* Handlers go on by tail calls: however many branches a guest takes, the host's stack stays as it is. */
static void *many_branches(void *arg)
{
	static const uint8_t code[] = {
		0xe8, 0x0a, 0,    0,    0,    /*  0: call 15 */
		0xff, 0xd3,                   /*  5: call rbx (15) */
		0xff, 0xc9,                   /*  7: dec ecx */
		0x75, 0xf5,                   /*  9: jnz 0 */
		0x0f, 0x0b,                   /* 11: ud2 */
		0x90, 0x90,                   /* 13 */
		0x48, 0x01, 0x07,             /* 15: add [rdi], rax */
		0xf0, 0x48, 0x0f, 0xc1, 0x07, /* 18: lock xadd [rdi], rax */
		0x31, 0xc0,                   /* 23: xor eax, eax */
		0xeb, 0x00,                   /* 25: jmp 27 */
		0x48, 0xf7, 0xe2,             /* 27: mul rdx */
		0xd3, 0xc0,                   /* 30: rol eax, cl */
		0xc2, 0,    0,                /* 32: ret 0 */
	};
	struct fix *f = arg;
	struct cpu *c = f->c;
	sigjmp_buf unwind;

	memcpy(f->ram + AT_CODE, code, sizeof(code));
	G(RCX) = 200000;
	G(RBX) = AT_CODE + 15;
	G(RDI) = AT_DATA;
	c->rip = AT_CODE;
	atomic_store(&c->exitreq, 0);
	c->unwind = &unwind;
	if (!sigsetjmp(unwind, 0)) {
		const struct insn *i = block_lookup(c);
		while (i)
			i = i->fn(c, i);
	}
	c->unwind = NULL;
	return NULL;
}

static void branches_keep_the_stack(void **state)
{
	struct fix *f = *state;
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	assert_int_equal(pthread_create(&t, &attr, many_branches, f), 0);
	pthread_join(t, NULL);
	assert_int_equal(f->c->raised.vector, EXC_UD);
	assert_int_equal(f->c->rip, AT_CODE + 11);
	assert_int_equal(G(RCX), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(arithmetic_bytes, fix_long),
	cmocka_unit_test_setup(conditions, fix_long),
	cmocka_unit_test_setup(shifts_bytes, fix_long),
	cmocka_unit_test_setup(shifts_wide, fix_long),
	cmocka_unit_test_setup(multiply_divide, fix_long),
	cmocka_unit_test_setup(bit_offsets, fix_long),
	cmocka_unit_test_setup(bit_scans, fix_long),
	cmocka_unit_test_setup(decimal, fix_long),
	cmocka_unit_test_setup(bmi, fix_long),
	cmocka_unit_test_setup(branches_keep_the_stack, fix_long),
};

int main(void) { return cmocka_run_group_tests(tests, fix_setup, fix_teardown); }
