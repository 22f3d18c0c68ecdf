/* int_bit.c - bits: test and set, scan, count, extract, deposit; CRC32; carry chains
 * (SDM 1 7.3.7, 5.1.13). */

#include "engine/soft/int_form.h"

/* --- BT BTS BTR BTC: CF = the bit; the other flags stay --- */

INL uint64_t bit_change(enum op op, uint64_t v, uint64_t bit)
{
	return op == OP_BTS ? v | bit : op == OP_BTR ? v & ~bit : v ^ bit;
}

INL const struct insn *bit_reg(struct cpu *c, const struct insn *i, enum op op, unsigned size)
{
	unsigned n = (unsigned)(i->o[1].kind == O_GPR ? R64(c, i->o[1].reg) : (uint64_t)i->imm) & (size * 8 - 1);
	uint64_t v = reg_ld(c, i->o[0].reg, size);

	if (op != OP_BT)
		reg_st(c, i->o[0].reg, size, bit_change(op, v, 1ull << n));
	cc_put_cf(c, (v >> n) & 1);
	NEXT(i);
}

/* In memory a register's bit number is signed and reaches beyond the operand: the operand-sized unit
 * that holds the bit is accessed. An immediate stays within. */
INL uint64_t bit_lin(struct cpu *c, const struct insn *i, unsigned size, bool write, unsigned *n)
{
	uint64_t ea = insn_ea(c, i);

	if (i->o[1].kind == O_GPR) {
		int64_t bit = (int64_t)reg_lds(c, i->o[1].reg, size);
		ea += (uint64_t)(bit >> (size == 2 ? 4 : size == 4 ? 5 : 6)) * size;
		ea = likely(i->asz == 8) ? ea : i->asz == 4 ? (uint32_t)ea : (uint16_t)ea;
		*n = (unsigned)bit & (size * 8 - 1);
	} else {
		*n = (unsigned)i->imm & (size * 8 - 1);
	}
	return likely(i->flags & IF_FLAT64) ? ea : seg_lin(c, i, i->seg, ea, size, write);
}

INL const struct insn *bit_mem(struct cpu *c, const struct insn *i, enum op op, unsigned size)
{
	unsigned n;
	uint64_t lin = bit_lin(c, i, size, op != OP_BT, &n), bit = 1ull << n, v;
	struct rmw m;
	void *p;

	if (op == OP_BT) {
		v = mem_ld(c, i, lin, size);
	} else if (i->flags & IF_LOCK && (p = lock_get(c, i, lin, size))) {
		v = op == OP_BTS   ? atomic_or(p, bit, size)
		    : op == OP_BTR ? atomic_and(p, ~bit, size)
				   : atomic_xor(p, bit, size);
	} else {
		v = mem_rmw_ld(c, i, lin, size, &m);
		mem_rmw_st(c, i, &m, size, bit_change(op, v, bit));
		if (i->flags & IF_LOCK)
			lock_put(c);
	}
	cc_put_cf(c, (v >> n) & 1);
	NEXT(i);
}

#define BIT_FN(name, form, size)                                                                                       \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return bit_##form(c, i, OP_##name, size);                                                              \
	}
#define BIT_DEF(name)                                                                                                  \
	SIZES_DEF_WDQ(BIT_FN, name, reg)                                                                               \
	SIZES_DEF_WDQ(BIT_FN, name, mem) static insn_fn name##_bind(const struct insn *i)                              \
	{                                                                                                              \
		static const insn_fn fns[2][4] = { SIZES_ROW_WDQ(name, reg), SIZES_ROW_WDQ(name, mem) };               \
		return fns[i->o[0].kind == O_MEM][size_log2(i->o[0].size)];                                            \
	}
BIT_DEF(BT)
BIT_DEF(BTS)
BIT_DEF(BTR)
BIT_DEF(BTC)

/* --- BSF BSR TZCNT LZCNT POPCNT: o0 from o1 --- */

INL const struct insn *scan(struct cpu *c, const struct insn *i, enum op op, unsigned size)
{
	uint64_t v = opnd_lds(c, i, 1, size), r;
	unsigned bits = size * 8;
	struct ccval cc;

	if (size < 8)
		v &= (1ull << bits) - 1;
	if (op == OP_BSF || op == OP_BSR) {
		/* A source of zero leaves the destination; whether its upper half too, is seen on processors. */
		if (v)
			reg_st(c, i->o[0].reg, size,
			       op == OP_BSF ? (uint64_t)__builtin_ctzll(v) : 63u - (uint64_t)__builtin_clzll(v));
		cc_logic(c, v ? 1 : 0);
		NEXT(i);
	}
	if (op == OP_POPCNT) {
		r = (uint64_t)__builtin_popcountll(v);
		reg_st(c, i->o[0].reg, size, r);
		cc_flags(c, v ? 0 : FL_ZF);
		NEXT(i);
	}
	if (op == OP_TZCNT)
		r = v ? (uint64_t)__builtin_ctzll(v) : bits;
	else
		r = v ? (uint64_t)__builtin_clzll(v) - (64 - bits) : bits;
	reg_st(c, i->o[0].reg, size, r);
	cc = cc_result(r, !v, false);
	cc_commit(c, &cc);
	NEXT(i);
}

#define SCAN_FN(name, form, size)                                                                                      \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i)                             \
	{                                                                                                              \
		return scan(c, i, OP_##name, size);                                                                    \
	}
#define SCAN_DEF(name)                                                                                                 \
	SIZES_DEF_WDQ(SCAN_FN, name, X)                                                                                \
	static insn_fn name##_bind(const struct insn *i)                                                               \
	{                                                                                                              \
		static const insn_fn fns[4] = SIZES_ROW_WDQ(name, X);                                                  \
		return fns[size_log2(i->o[0].size)];                                                                   \
	}
SCAN_DEF(BSF)
SCAN_DEF(BSR)
SCAN_DEF(TZCNT)
SCAN_DEF(LZCNT)
SCAN_DEF(POPCNT)

/* --- CRC32: polynomial 11EDC6F41h, bits reflected; four bits a step --- */

static uint32_t crc32c(uint32_t crc, uint64_t data, unsigned bytes)
{
	static const uint32_t step[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	for (; bytes; bytes--, data >>= 8) {
		crc ^= (uint8_t)data;
		crc = crc >> 4 ^ step[crc & 15];
		crc = crc >> 4 ^ step[crc & 15];
	}
	return crc;
}

static const struct insn *crc32(struct cpu *c, const struct insn *i)
{
	unsigned from = i->o[1].size;
	R64(c, i->o[0].reg) = crc32c(R32(c, i->o[0].reg), opnd_lds(c, i, 1, from), from);
	NEXT(i);
}
static insn_fn crc32_bind(const struct insn *i) { return crc32; }

/* --- BMI1, BMI2: 32 and 64-bit operands; v is zero-extended from 32 bits where that matters --- */

INL uint64_t zero_ext(uint64_t v, unsigned size) { return size == 4 ? (uint32_t)v : v; }

/* o0 = r, ZF and SF by r, OF = 0, CF as given */
INL const struct insn *bmi_put(struct cpu *c, const struct insn *i, unsigned size, uint64_t r, bool cf)
{
	struct ccval cc = cc_result((uint64_t)SX(r, size), cf, false);
	reg_st(c, i->o[0].reg, size, r);
	cc_commit(c, &cc);
	NEXT(i);
}

static const struct insn *andn(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	return bmi_put(c, i, size, ~reg_ld(c, i->o[1].reg, size) & opnd_lds(c, i, 2, size), false);
}

static const struct insn *bls(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	uint64_t v = zero_ext(opnd_lds(c, i, 1, size), size);

	switch (i->op) {
	case OP_BLSI: return bmi_put(c, i, size, v & -v, v != 0);
	case OP_BLSR: return bmi_put(c, i, size, v & (v - 1), v == 0);
	default: return bmi_put(c, i, size, v ^ (v - 1), v == 0);
	}
}

static const struct insn *bextr(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	uint64_t v = zero_ext(opnd_lds(c, i, 1, size), size), ctl = reg_ld(c, i->o[2].reg, size);
	unsigned start = (uint8_t)ctl, len = (uint8_t)(ctl >> 8);

	v = start < 64 ? v >> start : 0;
	return bmi_put(c, i, size, len < 64 ? v & ((1ull << len) - 1) : v, false);
}

static const struct insn *bzhi(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size, n = (uint8_t)reg_ld(c, i->o[2].reg, size);
	uint64_t v = zero_ext(opnd_lds(c, i, 1, size), size);

	return bmi_put(c, i, size, n < size * 8 ? v & ((1ull << n) - 1) : v, n >= size * 8);
}

static const struct insn *pdep(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	uint64_t v = reg_ld(c, i->o[1].reg, size), mask = zero_ext(opnd_lds(c, i, 2, size), size), r = 0;

	for (; mask; mask &= mask - 1, v >>= 1)
		if (v & 1)
			r |= mask & -mask;
	reg_st(c, i->o[0].reg, size, r);
	NEXT(i);
}

static const struct insn *pext(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size, n = 0;
	uint64_t v = reg_ld(c, i->o[1].reg, size), mask = zero_ext(opnd_lds(c, i, 2, size), size), r = 0;

	for (; mask; mask &= mask - 1, n++)
		if (v & mask & -mask)
			r |= 1ull << n;
	reg_st(c, i->o[0].reg, size, r);
	NEXT(i);
}

static insn_fn andn_bind(const struct insn *i) { return andn; }
static insn_fn bls_bind(const struct insn *i) { return bls; }
static insn_fn bextr_bind(const struct insn *i) { return bextr; }
static insn_fn bzhi_bind(const struct insn *i) { return bzhi; }
static insn_fn pdep_bind(const struct insn *i) { return pdep; }
static insn_fn pext_bind(const struct insn *i) { return pext; }

/* --- ADCX ADOX: o0 += o1 + one flag, which alone is changed --- */

static const struct insn *adcx_adox(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	uint64_t fl = i->op == OP_ADCX ? FL_CF : FL_OF, flags = cc_get(c);
	uint64_t a = reg_lds(c, i->o[0].reg, size), b = opnd_lds(c, i, 1, size), carry = (flags & fl) != 0;
	uint64_t r = (uint64_t)SX(a + b + carry, size);

	reg_st(c, i->o[0].reg, size, r);
	cc_flags(c, (flags & ~fl) | (r < a || (carry && r == a) ? fl : 0));
	NEXT(i);
}
static insn_fn adcx_adox_bind(const struct insn *i) { return adcx_adox; }

const struct op_bind int_bit_ops[] = {
	{ OP_BT, BT_bind },         { OP_BTS, BTS_bind },     { OP_BTR, BTR_bind },        { OP_BTC, BTC_bind },
	{ OP_BSF, BSF_bind },       { OP_BSR, BSR_bind },     { OP_TZCNT, TZCNT_bind },    { OP_LZCNT, LZCNT_bind },
	{ OP_POPCNT, POPCNT_bind }, { OP_CRC32, crc32_bind }, { OP_ANDN, andn_bind },      { OP_BEXTR, bextr_bind },
	{ OP_BLSI, bls_bind },      { OP_BLSR, bls_bind },    { OP_BLSMSK, bls_bind },     { OP_BZHI, bzhi_bind },
	{ OP_PDEP, pdep_bind },     { OP_PEXT, pext_bind },   { OP_ADCX, adcx_adox_bind }, { OP_ADOX, adcx_adox_bind },
	{ OP_INVALID, NULL },
};
