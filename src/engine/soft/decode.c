/* decode.c - the instruction decoder: interprets the tables of opcodes*.def (SDM 2A chapter 2).
 *
 * On first use the rows are sorted into an index. An opcode byte of a map leads to a directory entry;
 * mandatory prefix and ModRM, where the opcode's rows depend on them, pick a leaf; a leaf is a short
 * list of rows that differ in mode, REX.W, VEX.L only, the first fitting one counts. */
#include <pthread.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/soft/decode_table.h"
#include "engine/soft/insn.h"

/* The tests look at which rows were used */
#ifndef DECODE_ROW_USED
#define DECODE_ROW_USED(n) ((void)0)
#endif

static struct {
	uint16_t leaf; /* first leaf; 0: the opcode does not exist */
	uint8_t modrm; /* 1: has a ModRM byte */
	uint8_t width; /* leaves per prefix: 1; 16: by mod = 3 and reg; 72: memory by reg, registers by all six bits */
	uint8_t by_pfx;
} dir[MAPS][256];
static uint16_t leaves[16384]; /* index into cands */
static uint16_t cands[8192];   /* row numbers, each list ended by 0; list 0 is the empty one */
static unsigned leaf_count = 1, cand_count = 1;
static pthread_once_t built = PTHREAD_ONCE_INIT;

static bool row_covers(const struct row *r, enum map map, unsigned opcode)
{
	unsigned span = r->attr & R8 ? 8 : r->attr & CC ? 16 : 1;
	return r->map == map && opcode >= r->opcode && opcode < r->opcode + span;
}

static bool row_takes_prefix(const struct row *r, unsigned pfx)
{
	return r->pfx == any || r->pfx == pfx || (r->pfx == n6 && pfx <= p66);
}

static bool row_takes_modrm(const struct row *r, unsigned modrm)
{
	unsigned value = r->modrm & 0xff, reg = modrm >> 3 & 7;
	bool is_reg = modrm >= 0xc0;
	switch (r->modrm & ~0xff) {
	case MEM: return !is_reg;
	case REG: return is_reg;
	case MK_D: return reg == value;
	case MK_M: return reg == value && !is_reg;
	case MK_G: return reg == value && is_reg;
	case MK_X: return modrm == value;
	default: return true;
	}
}

/* The candidates of one leaf: rows of the mandatory prefix first. Returns their list. */
static uint16_t build_leaf(const uint16_t *list, unsigned count, unsigned pfx, unsigned modrm)
{
	static unsigned last;
	unsigned start = cand_count;
	for (int exact = 1; exact >= 0; exact--) {
		for (unsigned k = 0; k < count; k++) {
			const struct row *r = &rows[list[k]];
			bool is_exact = r->pfx == pfx && pfx != np;
			if (is_exact == exact && row_takes_prefix(r, pfx) && row_takes_modrm(r, modrm) &&
			    cand_count < ARRAY_LEN(cands) - 1)
				cands[cand_count++] = list[k];
		}
	}
	if (cand_count == start)
		return 0;
	unsigned n = cand_count - start;
	if (last && last + n < start && !cands[last + n] &&
	    !memcmp(&cands[last], &cands[start], n * sizeof(cands[0]))) {
		cand_count = start;
		return (uint16_t)last;
	}
	cands[cand_count++] = 0;
	last = start;
	return (uint16_t)start;
}

static void build_opcode(enum map map, unsigned opcode)
{
	uint16_t list[ARRAY_LEN(rows)];
	unsigned count = 0, width = 1;
	bool modrm = false, by_pfx = false;
	for (unsigned k = 1; k < ARRAY_LEN(rows); k++) {
		const struct row *r = &rows[k];
		if (!row_covers(r, map, opcode))
			continue;
		list[count++] = (uint16_t)k;
		unsigned kind = r->modrm & ~0xffu, w = kind == MK_X ? 72 : kind >= MEM && kind <= MK_G ? 16 : 1;
		modrm |= kind != NO;
		by_pfx |= r->pfx != any;
		width = w > width ? w : width;
	}
	if (!count || leaf_count + 4 * width > ARRAY_LEN(leaves))
		return;
	dir[map][opcode].leaf = (uint16_t)leaf_count;
	dir[map][opcode].modrm = modrm;
	dir[map][opcode].width = (uint8_t)width;
	dir[map][opcode].by_pfx = by_pfx;
	for (unsigned pfx = 0; pfx < (by_pfx ? 4 : 1); pfx++) {
		for (unsigned k = 0; k < width; k++) {
			unsigned m = width == 72 ? (k < 8 ? k << 3 : 0xc0 + k - 8)
				     : k < 8     ? k << 3
						 : 0xc0 | (k - 8) << 3;
			leaves[leaf_count++] = build_leaf(list, count, pfx, m);
		}
	}
}

static void build(void)
{
	for (unsigned map = 0; map < MAPS; map++)
		for (unsigned opcode = 0; opcode < 256; opcode++)
			build_opcode(map, opcode);
}

/* Decoding in progress */
struct dec {
	const uint8_t *p, *end;
	struct insn *out;
	enum code_size code;
	uint8_t seg; /* effective override, or SEG_NONE */
	uint8_t asz;
	uint8_t w, r, x, b; /* REX or VEX bits, r x b as 0 or 8 */
	uint8_t rex;        /* a REX prefix was there: SPL, BPL, SIL, DIL instead of AH.. */
	uint8_t modrm, opcode, vvvv, is4;
	bool mem; /* ModRM names memory */
	bool vsib;
};
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_NONE = 0xff };

static int finish_invalid(struct dec *d, const uint8_t *start)
{
	memset(d->out, 0, sizeof(*d->out));
	d->out->op = OP_INVALID;
	d->out->flags = IF_ENDS;
	d->out->base = d->out->index = REG_ZERO;
	d->out->seg = SEG_DS;
	d->out->code = (uint8_t)d->code;
	d->out->osz = d->out->asz = d->code == CODE_16 ? 2 : 4;
	d->out->len = (uint8_t)(d->p - start);
	return d->out->len;
}

/* Little-endian value of n bytes at d->p, sign-extended; false if they are not all there */
static inline bool get_signed(struct dec *d, unsigned n, int64_t *v)
{
	if ((size_t)(d->end - d->p) < n)
		return false;
	switch (n) {
	case 1: *v = (int8_t)*d->p; break;
	case 2: *v = (int16_t)le16_load(d->p); break;
	case 4: *v = (int32_t)le32_load(d->p); break;
	case 8: *v = (int64_t)le64_load(d->p); break;
	}
	d->p += n;
	return true;
}

static inline bool get_unsigned(struct dec *d, unsigned n, int64_t *v)
{
	if (!get_signed(d, n, v))
		return false;
	if (n < 8)
		*v &= (int64_t)((1ull << n * 8) - 1);
	return true;
}

/* 16-bit addressing (SDM 2A table 2-1) */
static bool address16(struct dec *d)
{
	static const uint8_t base[8] = { 3, 3, 5, 5, 6, 7, 5, 3 }, index[8] = { 6, 7, 6, 7, 16, 16, 16, 16 };
	struct insn *i = d->out;
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
	if (mod == 0 && rm == 6)
		return get_signed(d, 2, &i->disp);
	i->base = base[rm];
	i->index = index[rm];
	i->seg = base[rm] == 5 ? SEG_SS : SEG_DS;
	return mod == 0 || get_signed(d, mod, &i->disp);
}

/* 32-bit and 64-bit addressing (SDM 2A tables 2-2, 2-3; 2.2.1.6 for RIP-relative) */
static bool address32(struct dec *d)
{
	struct insn *i = d->out;
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
	if (rm == 4) {
		if (d->p == d->end)
			return false;
		unsigned sib = *d->p++, index = (sib >> 3 & 7) | d->x;
		rm = sib & 7;
		if (index != 4 || d->vsib) {
			i->index = (uint8_t)index;
			i->scale = (uint8_t)(sib >> 6);
		}
		if (mod == 0 && rm == 5)
			return get_signed(d, 4, &i->disp);
	} else if (mod == 0 && rm == 5) {
		if (d->code == CODE_64) {
			i->base = REG_IP;
			i->flags |= IF_RIPREL;
		}
		return get_signed(d, 4, &i->disp);
	}
	i->base = (uint8_t)(rm | d->b);
	if (i->base == 4 || i->base == 5)
		i->seg = SEG_SS;
	return mod == 0 || get_signed(d, mod == 1 ? 1 : 4, &i->disp);
}

static inline unsigned size_of(const struct dec *d, unsigned size)
{
	const struct insn *i = d->out;
	switch (size) {
	case Z_V: return i->osz;
	case Z_Z: return i->osz == 2 ? 2 : 4;
	case Z_Y: return d->w && d->code == CODE_64 ? 8 : 4;
	case Z_M: return d->code == CODE_64 ? 8 : 4;
	case Z_P: return i->osz + 2u;
	case Z_S: return d->code == CODE_64 ? 10 : 6;
	case Z_A: return i->osz * 2u;
	case Z_X: return i->vl;
	case Z_H: return i->vl / 2u;
	case Z_Q: return i->vl / 4u;
	case Z_E: return i->vl / 8u;
	default: return size;
	}
}

/* Register operand number n of a kind; false if there is no such register */
static inline bool set_register(const struct dec *d, struct opnd *o, unsigned n)
{
	switch (o->kind) {
	case O_GPR:
		o->reg = o->size == 1 && !d->rex && n >= 4 && n < 8 ? (uint8_t)(gpr_off(n - 4) + 1) : gpr_off(n);
		return true;
	case O_SREG: o->reg = n & 7; return o->reg <= SEG_GS;
	case O_CR: o->reg = (uint8_t)n; return n == 0 || (n >= 2 && n <= 4) || n == 8;
	case O_DR: o->reg = (uint8_t)n; return n < 8;
	case O_ST:
	case O_MMX: o->reg = n & 7; return true;
	default: o->reg = (uint8_t)n; return true;
	}
}

enum { GOT, SHORT, BAD };

/* Decodes operand k as the table describes it */
static inline int decode_operand(struct dec *d, unsigned k, enum operand which)
{
	struct insn *i = d->out;
	struct opnd *o = &i->o[k];
	unsigned source = operand_spec[which].source, n;
	bool ok;
	o->kind = operand_spec[which].kind;
	o->size = (uint8_t)size_of(d, operand_spec[which].rsize);
	switch (source) {
	case S_RM:
		if (d->mem) {
			o->kind = O_MEM;
			o->size = (uint8_t)size_of(d, operand_spec[which].msize);
			return GOT;
		}
		n = (d->modrm & 7) | d->b;
		break;
	case S_REG: n = (d->modrm >> 3 & 7) | d->r; break;
	case S_RMREG: n = (d->modrm & 7) | d->b; break;
	case S_VVVV: n = d->vvvv & (d->code == CODE_64 ? 15 : 7); break;
	case S_OPC: n = (d->opcode & 7) | d->b; break;
	case S_FIXED: n = operand_spec[which].fixed; break;
	case S_IMM:
	case S_REL: return get_signed(d, o->size, &i->imm) ? GOT : SHORT;
	case S_UIMM: return get_unsigned(d, o->size, &i->imm) ? GOT : SHORT;
	case S_UIMM2: {
		int64_t v = 0;
		ok = get_unsigned(d, o->size, &v);
		i->imm2 = ok ? (uint32_t)v : 0;
		return ok ? GOT : SHORT;
	}
	case S_ONE: i->imm = 1; return GOT;
	case S_FAR: {
		int64_t v = 0;
		ok = get_unsigned(d, o->size, &i->imm) && get_unsigned(d, 2, &v);
		i->imm2 = ok ? (uint32_t)v : 0;
		return ok ? GOT : SHORT;
	}
	case S_MOFFS: i->flags |= IF_MEM; return get_unsigned(d, d->asz, &i->disp) ? GOT : SHORT;
	case S_IS4: /* the register is in an immediate byte, whose low half may be an operand */
		if (!get_unsigned(d, 1, &i->imm))
			return SHORT;
		n = (unsigned)i->imm >> 4 & (d->code == CODE_64 ? 15 : 7);
		break;
	default: /* S_STRING: only the element's size */ return GOT;
	}
	if (which == Sl && (n & 7) == SEG_CS)
		return BAD;
	return set_register(d, o, n) ? GOT : BAD;
}

static inline void set_access(struct insn *i, enum access a)
{
	static const uint8_t rw[][2] = {
		[NA] = { 0, 0 },
		[R] = { OPND_R, OPND_R },
		[RWR] = { OPND_W, OPND_R },
		[W] = { OPND_W, OPND_R },
		[RW] = { OPND_R | OPND_W, OPND_R },
		[XX] = { OPND_R | OPND_W, OPND_R | OPND_W },
		[WW] = { OPND_W, OPND_W },
		[GATHER] = { OPND_R | OPND_W, OPND_R },
	};
	i->o[0].rw = rw[a][0];
	for (unsigned k = 1; k < i->nopnd; k++)
		i->o[k].rw = k == 1 ? rw[a][1] : a == NA ? 0 : OPND_R;
	if (a == GATHER) /* the mask is cleared element by element */
		i->o[2].rw = OPND_R | OPND_W;
	if (a == RWR) /* an address only: LEA's source, INVLPG, PREFETCH */
		for (unsigned k = 0; k < i->nopnd; k++)
			if (i->o[k].kind == O_MEM)
				i->o[k].rw = 0;
}

static inline unsigned operand_size(enum code_size code, const struct row *r, bool w, bool has66)
{
	if (code != CODE_64)
		return (code == CODE_16) != has66 ? 2 : 4;
	if (w || r->attr & F64)
		return 8;
	return has66 ? 2 : r->attr & D64 ? 8 : 4;
}

enum { PF_NONE, PF_SEG, PF_66, PF_67, PF_LOCK, PF_REP, PF_REX };
static const uint8_t prefix_class[256] = {
	[0x26] = PF_SEG, [0x2e] = PF_SEG, [0x36] = PF_SEG,  [0x3e] = PF_SEG, [0x64] = PF_SEG, [0x65] = PF_SEG,
	[0x66] = PF_66,  [0x67] = PF_67,  [0xf0] = PF_LOCK, [0xf2] = PF_REP, [0xf3] = PF_REP, [0x40 ... 0x4f] = PF_REX,
};

int insn_decode(const uint8_t *bytes, size_t len, enum code_size code, struct insn *out)
{
	struct dec d = { .p = bytes,
			 .end = bytes + (len < INSN_LEN_MAX ? len : INSN_LEN_MAX),
			 .out = out,
			 .code = code,
			 .seg = SEG_NONE,
			 .asz = (uint8_t)(2u << code) };
	uint8_t rex = 0, rep = 0;
	bool has66 = false, lock = false, vex = false;
	unsigned map = ONE, pfx, vl = 0;

	pthread_once(&built, build);
	memset(out, 0, sizeof(*out));
	out->base = out->index = REG_ZERO;
	out->seg = SEG_DS;
	out->code = (uint8_t)code;

	for (;;) {
		if (d.p == d.end)
			return 0;
		d.opcode = *d.p++;
		unsigned class = prefix_class[d.opcode];
		if (class == PF_NONE || (class == PF_REX && code != CODE_64))
			break;
		if (class == PF_REX) {
			rex = d.opcode;
			continue;
		}
		rex = 0; /* a REX counts only right before the opcode */
		switch (class) {
		case PF_SEG: {
			uint8_t seg = d.opcode >= 0x64 ? SEG_FS + (d.opcode & 1) : d.opcode >> 3 & 3;
			if (code != CODE_64 || seg >= SEG_FS)
				d.seg = seg;
			break;
		}
		case PF_66: has66 = true; break;
		case PF_67:
			d.asz = code == CODE_32 ? 2 : 4;
			out->flags |= IF_ASZ;
			break;
		case PF_LOCK: lock = true; break;
		case PF_REP: rep = d.opcode; break;
		}
	}
	d.rex = rex != 0;
	d.w = rex >> 3 & 1;
	d.r = (rex & 4) << 1;
	d.x = (rex & 2) << 2;
	d.b = (rex & 1) << 3;
	pfx = rep == 0xf3 ? pF3 : rep == 0xf2 ? pF2 : has66 ? p66 : np;

	if (d.opcode == 0x0f) {
		map = T0F;
		if (d.p == d.end)
			return 0;
		d.opcode = *d.p++;
		if (d.opcode == 0x38 || d.opcode == 0x3a) {
			map = d.opcode == 0x38 ? T38 : T3A;
			if (d.p == d.end)
				return 0;
			d.opcode = *d.p++;
		}
	} else if (d.opcode == 0xc4 || d.opcode == 0xc5 || d.opcode == 0x62) {
		if (d.p == d.end)
			return 0;
		if (code == CODE_64 || *d.p >= 0xc0) {
			if (d.opcode == 0x62 || lock || rep || has66 || rex) {
				d.p++;
				return finish_invalid(&d, bytes);
			}
			unsigned three = d.opcode == 0xc4;
			if ((size_t)(d.end - d.p) < 2u + three)
				return 0;
			unsigned first = *d.p++, second = three ? *d.p++ : first & 0x7f;
			map = three ? V0F - 1 + (first & 31) : V0F;
			vex = true;
			d.r = first & 0x80 ? 0 : 8;
			d.x = three && !(first & 0x40) ? 8 : 0;
			d.b = three && !(first & 0x20) && code == CODE_64 ? 8 : 0;
			d.w = second >> 7;
			d.vvvv = ~second >> 3 & 15;
			vl = second & 4 ? 32 : 16;
			pfx = second & 3;
			d.rex = true;
			d.opcode = *d.p++;
			if (map < V0F || map >= MAPS)
				return finish_invalid(&d, bytes);
		}
	}

	unsigned leaf = dir[map][d.opcode].leaf;
	if (!leaf)
		return finish_invalid(&d, bytes);
	if (dir[map][d.opcode].modrm) {
		if (d.p == d.end)
			return 0;
		d.modrm = *d.p++;
		d.mem = d.modrm < 0xc0;
		out->modrm = d.modrm;
	}
	unsigned width = dir[map][d.opcode].width, reg = d.modrm >> 3 & 7;
	if (dir[map][d.opcode].by_pfx)
		leaf += pfx * width;
	if (width == 72)
		leaf += d.mem ? reg : 8 + (d.modrm & 63u);
	else if (width == 16)
		leaf += d.mem ? reg : 8 + reg;

	unsigned have = (code == CODE_64 ? O64 : I64) | (d.w ? W1 : W0) | (vl == 32 ? L1 : L0) | (d.b ? 0 : B0);
	const uint16_t *cand = &cands[leaves[leaf]];
	while (*cand && rows[*cand].attr & CONDITIONS & ~have)
		cand++;
	if (!*cand)
		return finish_invalid(&d, bytes);
	const struct row *row = &rows[*cand];
	uint32_t attr = row->attr;
	DECODE_ROW_USED(*cand);

	if (has66 && row->pfx == p66)
		has66 = false;
	if (row->modrm == RSET)
		d.mem = false;
	d.vsib = attr & VSIB;
	out->op = row->op;
	out->vl = (uint8_t)vl;
	out->osz = (uint8_t)operand_size(code, row, d.w, has66);
	out->asz = d.asz;
	out->cc = attr & CC ? d.opcode & 15 : row->map == ONE && (d.opcode & 0xf8) == 0xd8 ? d.opcode & 7 : 0;
	if (d.mem) {
		out->flags |= IF_MEM;
		if (d.vsib && (d.asz == 2 || (d.modrm & 7) != 4))
			return finish_invalid(&d, bytes); /* a vector index needs a SIB byte */
		if (!(d.asz == 2 ? address16(&d) : address32(&d)))
			return 0;
	}

	unsigned n;
	bool vvvv_used = false;
	for (n = 0; n < 4 && row->opnd[n]; n++) {
		int got = decode_operand(&d, n, row->opnd[n]);
		if (got == SHORT)
			return 0;
		if (got == BAD)
			return finish_invalid(&d, bytes);
		vvvv_used |= operand_spec[row->opnd[n]].source == S_VVVV;
	}
	if (vex && d.vvvv && !vvvv_used)
		return finish_invalid(&d, bytes);
	out->nopnd = attr & (STR | STRC) ? 0 : (uint8_t)n;
	set_access(out, row->access);
	if (row->access == GATHER &&
	    (out->o[0].reg == out->o[2].reg || out->o[0].reg == out->index || out->o[2].reg == out->index))
		return finish_invalid(&d, bytes);
	if (lock && !(attr & LK && out->o[0].kind == O_MEM))
		return finish_invalid(&d, bytes);

	out->flags |=
		(attr & ENDS ? IF_ENDS : 0) | (attr & BRANCHES ? IF_BRANCH : 0) | (attr & PRIV ? IF_PRIV : 0) |
		(attr & SEG && (code != CODE_64 || (row->op == OP_MOV_TO_SREG && out->o[0].reg == SEG_SS)) ? IF_ENDS
													   : 0) |
		(lock ? IF_LOCK : 0) | (has66 ? IF_OSZ : 0) | (vex ? IF_VEX : 0) | (d.w ? IF_REXW : 0) |
		(uint32_t)row->feature << IF_FEATURE_SHIFT;
	if (rep && attr & (STR | STRC))
		out->flags |= attr & STRC && rep == 0xf2 ? IF_REPNE : IF_REP;
	if (d.seg != SEG_NONE && row->op != OP_LEA) {
		out->seg = d.seg;
		out->flags |= IF_SEGOVR;
	}
	if (code == CODE_64 && out->seg < SEG_FS)
		out->flags |= IF_FLAT64;
	out->len = (uint8_t)(d.p - bytes);
	return out->len;
}
