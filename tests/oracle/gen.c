/* gen.c - from a form and a seed to a vector: addresses that lie in the scratch pages, operands
 * that make the instruction do something, and now and then a fault. */
#include <string.h>

#include "engine/soft/fp.h"
#include "engine/x86/state.h"
#include "gen.h"

static uint8_t scratch[SCRATCH_LEN];
static uint64_t fs_base;

int gen_init(uint64_t seed)
{
	struct rng r = { seed };

	for (unsigned n = 0; n < SCRATCH_LEN; n += 64)
		rnd_bytes(&r, scratch + n, 64, rnd_n(&r, 8));
	fs_base = native_fs_base();
	return form_init();
}

const uint8_t *gen_scratch(void) { return scratch; }
unsigned gen_forms(void) { return form_count(); }

void gen_form_name(unsigned n, char *buf, size_t len)
{
	static const char *const kinds[] = { "", "r", "m", "imm", "rel", "sreg", "cr", "dr", "st", "mm", "v", "k" };
	const struct insn *i = &form_get(n)->sample;
	int at = snprintf(buf, len, "%s%s%s",
			  i->flags & IF_LOCK    ? "lock "
			  : i->flags & IF_REP   ? "rep "
			  : i->flags & IF_REPNE ? "repne "
						: "",
			  op_info[i->op].name,
			  i->osz == 2   ? ".16"
			  : i->osz == 8 ? ".64"
					: "");

	for (unsigned k = 0; k < i->nopnd && at > 0 && (size_t)at < len; k++)
		at += snprintf(buf + at, len - (size_t)at, "%s%s%d", k ? "," : " ", kinds[i->o[k].kind],
			       i->o[k].size * 8);
}

/* --- addresses --- */

static uint64_t pick_target(struct rng *r, unsigned size)
{
	unsigned k = rnd_n(r, 200);

	if (k < 140)
		return SCRATCH + rnd_n(r, (SCRATCH_RW - 1024) / 64) * 64;
	if (k < 155)
		return SCRATCH + rnd_n(r, (SCRATCH_RW - 1024) / 16) * 16;
	if (k < 180)
		return SCRATCH + rnd_n(r, SCRATCH_RW - 1024);
	if (!size)
		size = 16;
	if (k < 187) /* over the middle */
		return SCRATCH + 0x1000 - rnd_n(r, size + 1);
	if (k < 190) /* into the read-only page */
		return SCRATCH + SCRATCH_RW - rnd_n(r, size + 1);
	if (k < 193)
		return SCRATCH + SCRATCH_RW + rnd_n(r, 0xf00);
	if (k < 195)
		return SCRATCH + SCRATCH_LEN - rnd_n(r, size + 1);
	if (k < 197)
		return SCRATCH - rnd_n(r, size + 1);
	if (k < 199)
		return SCRATCH + rnd_n(r, SCRATCH_RW - 1024) + 1;
	switch (rnd_n(r, 3)) { /* not canonical, or just about */
	case 0: return 0x8000000000000000ull + (rnd(r) >> 4);
	case 1: return 0x0000800000000000ull + rnd_n(r, 64);
	default: return 0x1000;
	}
}

static bool in_rw(uint64_t a, unsigned len) { return a - SCRATCH < SCRATCH_RW && SCRATCH_RW - (a - SCRATCH) >= len; }

static void poke(struct vec *v, uint64_t addr, const void *p, unsigned len)
{
	struct poke *k;

	if (v->npoke == sizeof(v->poke) / sizeof(v->poke[0]) || !in_rw(addr, len))
		return;
	k = &v->poke[v->npoke++];
	k->addr = addr;
	k->len = (uint8_t)len;
	memcpy(k->bytes, p, len);
}

static void poke64(struct vec *v, uint64_t addr, uint64_t val) { poke(v, addr, &val, 8); }

/* Redoes the decoding after bytes have been patched */
static void redecode(struct vec *v) { insn_decode(v->code, 15, CODE_64, &v->in); }

/* Sets registers or displacement so that the memory operand lies at linear address *target (which may
 * move a little where scales stand in the way). False: this encoding cannot reach it. */
static bool aim(struct rng *r, struct vec *v, const struct encoding *e, uint64_t *target)
{
	struct insn *i = &v->in;
	uint64_t want = *target;
	uint64_t high = rnd_n(r, 2) ? rnd(r) << 32 : 0;

	if (i->seg == FS) {
		if (i->asz != 8)
			return false;
		want -= fs_base;
	}
	if (e->moffs_at >= 0) {
		memcpy(v->code + e->moffs_at, &want, i->asz == 8 ? 8 : 4);
		redecode(v);
		return i->asz == 8 || (uint32_t)want == want;
	}
	if (i->base == REG_IP || (i->base == REG_ZERO && i->index == REG_ZERO)) {
		uint64_t d = i->base == REG_IP ? want - (INSN_ADDR + v->len) : want;

		if ((uint64_t)(int64_t)(int32_t)d != d && i->asz == 8)
			return false;
		memcpy(v->code + e->disp_at, &d, 4);
		redecode(v);
		return true;
	}
	if (i->base == REG_ZERO || i->base == i->index) {
		/* want = m * reg + disp */
		uint64_t m = (i->base == REG_ZERO ? 0 : 1) + (1ull << i->scale);
		uint64_t inv = 1;

		if (m & 1) {
			for (int k = 0; k < 6; k++)
				inv *= 2 - m * inv; /* Newton's iteration modulo 2^64 */
			v->gpr[i->index] = (want - (uint64_t)i->disp) * inv;
		} else {
			unsigned sh = (unsigned)__builtin_ctzll(m);
			uint64_t off = (want - (uint64_t)i->disp) & (m - 1);

			*target -= off;
			want -= off;
			v->gpr[i->index] = (want - (uint64_t)i->disp) >> sh;
		}
	} else {
		uint64_t x = i->index == REG_ZERO ? 0 : v->gpr[i->index] << i->scale;

		v->gpr[i->base] = want - (uint64_t)i->disp - x;
	}
	if (i->asz == 4) {
		*target = (uint32_t)*target;
		if (i->base < 16)
			v->gpr[i->base] = (uint32_t)v->gpr[i->base] | high;
		else if ((uint64_t)1 << i->scale == 1)
			v->gpr[i->index] = (uint32_t)v->gpr[i->index] | high;
	}
	return true;
}

static bool addresses_with(const struct vec *v, unsigned reg)
{
	return (v->in.flags & IF_MEM) && (v->in.base == reg || v->in.index == reg);
}

/* A gather: indices near enough for the elements to lie in the scratch pages, mostly */
static bool is_gather(const struct insn *i) { return strstr(op_info[i->op].name, "gather") != NULL; }

static void set_lane(struct vec *v, unsigned reg, unsigned at, const void *p, unsigned len)
{
	memcpy((at < 16 ? v->fx + 160 : v->ymm - 16) + 16 * reg + at, p, len);
}

static bool aim_gather(struct rng *r, struct vec *v, const struct encoding *e, uint64_t *target)
{
	struct insn *i = &v->in;
	unsigned wide = strstr(op_info[i->op].name, "herq") ? 8 : 4; /* of an index */
	uint64_t want = SCRATCH + 600 + rnd_n(r, SCRATCH_RW - 2000);

	if (i->base == REG_ZERO) {
		memcpy(v->code + e->disp_at, &want, 4);
		redecode(v);
	} else {
		v->gpr[i->base] = want - (uint64_t)i->disp;
		if (i->asz == 4)
			v->gpr[i->base] = (uint32_t)v->gpr[i->base] | (rnd_n(r, 2) ? rnd(r) << 32 : 0);
	}
	for (unsigned at = 0; at < 32; at += wide) {
		int64_t x = (int64_t)rnd_n(r, 1000) - 500;

		x = rnd_n(r, 100) ? x / (1 << i->scale) : (int64_t)(rnd_int(r) & 0xffffffffff);
		set_lane(v, i->index, at, &x, wide);
	}
	for (unsigned at = 0, all = rnd_n(r, 2); all && at < 32; at += 8) {
		const uint64_t ones = ~0ull;

		set_lane(v, i->o[2].reg, at, &ones, 8);
	}
	*target = want;
	return true;
}

/* --- operands, by operation --- */

static void set_gpr(struct vec *v, unsigned reg, uint64_t val)
{
	if (!addresses_with(v, reg))
		v->gpr[reg] = val;
}

static uint64_t pick_pad(struct rng *r)
{
	switch (rnd_n(r, 24)) {
	case 0: return SCRATCH + rnd_n(r, 64);
	case 1: return 0x0000800000000000ull + rnd(r) % 0x10000;
	default: return rnd_n(r, 3) == 0 ? PAD_BACK : rnd_n(r, 2) ? PAD_FWD : PAD_FAR;
	}
}

static uint64_t pick_stack(struct rng *r)
{
	unsigned k = rnd_n(r, 64);

	if (k < 50)
		return SCRATCH + 0x800 + rnd_n(r, 0x100) * 8;
	if (k < 56)
		return SCRATCH + 0x800 + rnd_n(r, 0x800);
	if (k < 58)
		return SCRATCH + rnd_n(r, 16);
	if (k < 60)
		return SCRATCH + SCRATCH_RW - rnd_n(r, 16);
	if (k < 62)
		return SCRATCH + SCRATCH_LEN - rnd_n(r, 16);
	if (k < 63)
		return SCRATCH + 0x1000 + rnd_n(r, 8);
	return 0x8000000000000000ull + (rnd(r) >> 2);
}

static void prepare_string(struct rng *r, struct vec *v)
{
	struct insn *i = &v->in;
	unsigned esz = i->o[0].size ? i->o[0].size : 1;
	uint64_t a = pick_target(r, esz), b = rnd_n(r, 3) ? pick_target(r, esz) : a + rnd_n(r, 40) - 20;
	uint64_t n = rnd_n(r, 24);
	uint64_t high = i->asz == 8 || rnd_n(r, 2) ? 0 : rnd(r) << 32;

	if (rnd_n(r, 4) == 0)
		v->flags |= FL_DF;
	if (rnd_n(r, 64) == 0)
		n = 500 + rnd_n(r, 4000); /* runs into a guard page */
	if (i->asz == 4) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	v->gpr[RSI] = a | high;
	v->gpr[RDI] = b | high;
	v->gpr[RCX] = n | high;
	if (i->op == OP_SCAS && rnd_n(r, 2)) {
		uint8_t run[64];

		for (unsigned k = 0; k < sizeof(run); k++)
			run[k] = (uint8_t)(v->gpr[RAX] >> 8 * (k % esz));
		poke(v, b, run, esz * (1 + rnd_n(r, 48 / esz)));
	} else if (i->op == OP_CMPS && rnd_n(r, 2)) {
		uint8_t run[64];
		unsigned len = esz * (1 + rnd_n(r, 48 / esz));

		rnd_bytes(r, run, sizeof(run), 7);
		poke(v, a, run, len);
		poke(v, b, run, len);
	}
}

/* An image for FXRSTOR, XRSTOR, FRSTOR, FLDENV: mostly legal. Written in pieces, as pokes are short. */
static void prepare_image(struct rng *r, struct vec *v, uint64_t at)
{
	uint8_t fx[512], head[64] = { 0 };

	rnd_fx(r, fx, rnd_n(r, 8));
	if (v->in.op == OP_FXRSTOR || v->in.op == OP_XRSTOR) {
		if (rnd_n(r, 16) == 0)
			fx[26] = 0x04; /* a reserved MXCSR bit: #GP */
		poke(v, at, fx, 64);
		head[0] = (uint8_t)rnd_n(r, 8);
		if (rnd_n(r, 16) == 0)
			head[1 + rnd_n(r, 23)] |= 0x80;
		if (v->in.op == OP_XRSTOR)
			poke(v, at + 512, head, 64);
	} else if (v->in.op == OP_FRSTOR || v->in.op == OP_FLDENV) {
		uint8_t env[28] = { 0 };

		memcpy(env, fx, 2);
		memcpy(env + 4, fx + 2, 2);
		rnd_bytes(r, env + 8, 2, 0);
		rnd_bytes(r, env + 12, 16, 0);
		if (v->in.osz == 4)
			poke(v, at, env, 28);
	}
}

static void prepare_divide(struct rng *r, struct vec *v, uint64_t at)
{
	struct insn *i = &v->in;
	unsigned size = i->o[0].size;
	uint64_t d = rnd_int(r);

	if (rnd_n(r, 16))
		d |= 1;
	if (i->o[0].kind == O_MEM)
		poke(v, at, &d, size);
	else if (gpr_num(i->o[0].reg) != RDX && gpr_num(i->o[0].reg) != RAX)
		v->gpr[gpr_num(i->o[0].reg)] = d;
	switch (rnd_n(r, 4)) {
	case 0: break;
	case 1: set_gpr(v, RDX, rnd_n(r, 3)); break;
	default: set_gpr(v, RDX, i->op == OP_IDIV ? (uint64_t)((int64_t)v->gpr[RAX] >> 63) : 0); break;
	}
	if (size == 1 && rnd_n(r, 4))
		set_gpr(v, RAX, v->gpr[RAX] & ~0xff00ull);
}

static bool prepare_branch(struct rng *r, struct vec *v, const struct encoding *e, uint64_t at)
{
	struct insn *i = &v->in;

	if (i->nopnd && i->o[0].kind == O_REL) {
		if ((i->op == OP_LOOPE || i->op == OP_LOOPNE) && v->len > 2 &&
		    (memchr(v->code, 0xf2, v->len - 2) || memchr(v->code, 0xf3, v->len - 2)))
			return false; /* AMD's let the prefix choose the condition */
		bool near8 = e->rel8;
		uint64_t to;
		uint32_t d;

		to = rnd_n(r, 2) ? PAD_BACK : PAD_FWD;
		if (!near8 && rnd_n(r, 2))
			to = PAD_FAR;
		d = (uint32_t)(to - INSN_ADDR - v->len);
		if (near8)
			v->code[v->len - 1] = (uint8_t)d;
		else
			memcpy(v->code + v->len - 4, &d, 4);
		redecode(v);
		if (i->op != OP_JMP && i->op != OP_CALL && i->op != OP_JCC)
			v->gpr[RCX] = rnd_n(r, 2) ? rnd_n(r, 3) : rnd_int(r);
	} else if (i->op == OP_RET) {
		poke64(v, v->gpr[RSP], pick_pad(r));
	} else if (i->nopnd && i->o[0].kind == O_GPR) {
		if (gpr_num(i->o[0].reg) == RSP)
			return false; /* the stack would be the sandbox itself */
		v->gpr[gpr_num(i->o[0].reg)] = pick_pad(r);
	} else if (i->nopnd && i->o[0].kind == O_MEM) {
		poke64(v, at, pick_pad(r));
	}
	return true;
}

/* What makes this operation meaningful. at: linear address of the memory operand. */
static bool prepare(struct rng *r, struct vec *v, const struct encoding *e, uint64_t at)
{
	struct insn *i = &v->in;
	uint64_t x;

	if ((i->flags & IF_BRANCH) && !prepare_branch(r, v, e, at))
		return false;
	switch (i->op) {
	case OP_MOVS:
	case OP_CMPS:
	case OP_STOS:
	case OP_LODS:
	case OP_SCAS:
		if (i->seg == FS)
			return false;
		prepare_string(r, v);
		break;
	case OP_DIV:
	case OP_IDIV: prepare_divide(r, v, at); break;
	case OP_CMPXCHG:
		if (rnd_n(r, 2)) {
			if (i->o[0].kind == O_MEM)
				poke(v, at, &v->gpr[RAX], i->o[0].size);
			else
				v->gpr[gpr_num(i->o[0].reg)] = v->gpr[RAX];
		}
		break;
	case OP_CMPXCHG8B:
		x = v->gpr[RDX] << 32 | (uint32_t)v->gpr[RAX];
		if (rnd_n(r, 2))
			poke64(v, at, x);
		break;
	case OP_CMPXCHG16B:
		if (rnd_n(r, 2)) {
			poke64(v, at, v->gpr[RAX]);
			poke64(v, at + 8, v->gpr[RDX]);
		}
		break;
	case OP_BT:
	case OP_BTS:
	case OP_BTR:
	case OP_BTC:
		/* a bit offset addresses memory beyond the operand */
		if (i->o[0].kind == O_MEM && i->o[1].kind == O_GPR) {
			unsigned reg = gpr_num(i->o[1].reg);

			if (addresses_with(v, reg))
				return false;
			x = (uint64_t)((int64_t)rnd_n(r, 8000) - 4000);
			v->gpr[reg] =
				i->o[1].size == 8 ? x : (x & (i->o[1].size == 4 ? 0xffffffff : 0xffff)) | rnd(r) << 32;
		}
		break;
	case OP_SHL:
	case OP_SHR:
	case OP_SAR:
	case OP_ROL:
	case OP_ROR:
	case OP_RCL:
	case OP_RCR:
	case OP_SHLD:
	case OP_SHRD:
		if (rnd_n(r, 4))
			set_gpr(v, RCX, (v->gpr[RCX] & ~0xffull) | rnd_n(r, 70));
		break;
	case OP_XLAT:
		if (i->seg == FS)
			return false;
		at = pick_target(r, 1);
		v->gpr[RBX] = at - (uint8_t)v->gpr[RAX];
		if (i->asz == 4)
			v->gpr[RBX] = (uint32_t)v->gpr[RBX];
		break;
	case OP_MASKMOVDQU:
	case OP_VMASKMOVDQU:
	case OP_MASKMOVQ:
		if (i->seg == FS)
			return false;
		v->gpr[RDI] = pick_target(r, 16);
		if (i->asz == 4)
			v->gpr[RDI] = (uint32_t)v->gpr[RDI];
		break;
	case OP_ENTER:
		v->gpr[RBP] = pick_stack(r);
		if (rnd_n(r, 8)) {
			v->code[v->len - 2] &= 1; /* imm16's high byte: frames that fit */
			redecode(v);
		}
		break;
	case OP_LEAVE: v->gpr[RBP] = pick_stack(r); break;
	case OP_POPF:
		x = (rnd(r) & (FL_ARITH | FL_DF | FL_IOPL | FL_RF | FL_VIF | FL_VIP | FL_ID)) | 2 |
		    (rnd_n(r, 2) ? FL_IF : 0);
		poke64(v, v->gpr[RSP], x);
		if (!in_rw(v->gpr[RSP], 8))
			return false; /* must never set TF or AC */
		break;
	case OP_LDMXCSR:
	case OP_VLDMXCSR:
		x = rnd(r) & (rnd_n(r, 8) ? 0xffff : 0xffff | 0x40000);
		if (rnd_n(r, 4))
			x |= 0x1f80;
		poke(v, at, &x, 4);
		if (!in_rw(at, 4))
			return at - SCRATCH >= SCRATCH_LEN; /* bit 17 is AMD's own */
		break;
	case OP_XSAVE:
	case OP_XSAVEOPT:
	case OP_XSAVEC:
	case OP_XRSTOR:
		/* x87, SSE, AVX only: the host has more than the guest */
		if (addresses_with(v, RAX) || addresses_with(v, RDX))
			return false;
		v->gpr[RAX] = rnd_n(r, 8);
		v->gpr[RDX] = 0;
		if (i->op == OP_XRSTOR)
			prepare_image(r, v, at);
		break;
	case OP_FXRSTOR:
	case OP_FRSTOR:
	case OP_FLDENV: prepare_image(r, v, at); break;
	case OP_PCMPESTRI:
	case OP_PCMPESTRM:
	case OP_VPCMPESTRI:
	case OP_VPCMPESTRM:
		set_gpr(v, RAX, rnd_n(r, 4) ? rnd_n(r, 20) : v->gpr[RAX]);
		set_gpr(v, RDX, rnd_n(r, 4) ? rnd_n(r, 20) : v->gpr[RDX]);
		break;
	case OP_SHA1RNDS4:
	case OP_SHA1NEXTE:
	case OP_SHA1MSG1:
	case OP_SHA1MSG2:
	case OP_SHA256RNDS2:
	case OP_SHA256MSG1:
	case OP_SHA256MSG2: return !(at & 15); /* AMD's do not ask for alignment */
	case OP_PAUSE: /* with REX.B: XCHG R8 on AMD's */ return (v->code[v->len - 2] & 0xf1) != 0x41;
	default: break;
	}
	return true;
}

static bool uses_stack(uint16_t op)
{
	switch (op) {
	case OP_PUSH:
	case OP_POP:
	case OP_PUSHF:
	case OP_POPF:
	case OP_CALL:
	case OP_RET:
	case OP_ENTER:
	case OP_LEAVE:
	case OP_PUSH_SREG: return true;
	default: return false;
	}
}

/* Fills in everything but the bytes, which v->code, v->len, v->in hold. */
static bool fill(struct rng *r, struct vec *v, const struct encoding *e)
{
	const struct insn *i = &v->in;
	uint64_t at = 0;
	bool mem = false;

	v->npoke = 0;
	for (int k = 0; k < 16; k++)
		v->gpr[k] = rnd_int(r);
	v->flags = (rnd(r) & FL_ARITH) | 0x202;
	if (rnd_n(r, 16) == 0)
		v->flags |= FL_DF;
	rnd_fx(r, v->fx, rnd_n(r, 16) != 0);
	for (unsigned k = 0, kind = rnd_n(r, 8), some = rnd_n(r, 8); some && k < 16; k++)
		rnd_bytes(r, v->ymm + 16 * k, 16, rnd_n(r, 3) ? kind : rnd_n(r, 8));
	if (uses_stack(i->op))
		v->gpr[RSP] = pick_stack(r);
	for (unsigned k = 0; k < i->nopnd; k++)
		mem |= i->o[k].kind == O_MEM;
	if (mem && i->op != OP_LEA) {
		unsigned size = 16;

		for (unsigned k = 0; k < i->nopnd; k++)
			if (i->o[k].kind == O_MEM)
				size = i->o[k].size;
		at = pick_target(r, size);
		if (!(is_gather(i) ? aim_gather(r, v, e, &at) : aim(r, v, e, &at)))
			return false;
		if ((i->op == OP_PUSH || i->op == OP_POP || i->op == OP_CALL) && addresses_with(v, RSP) &&
		    at - SCRATCH >= SCRATCH_LEN)
			return false;
	}
	return prepare(r, v, e, at) && v->in.len == v->len;
}

bool gen_vec(uint64_t seed, unsigned n, struct vec *v)
{
	struct rng r = { seed };
	const struct form *f = form_get(n);

	for (int tries = 0; tries < 64; tries++) {
		struct encoding e;

		memset(v, 0, sizeof(*v));
		if (!encode(&r, form_template(f->first + rnd_n(&r, f->count)), &e, &v->in) || exclude_reason(&v->in))
			continue;
		memcpy(v->code, e.code, 16);
		v->len = e.len;
		if (fill(&r, v, &e))
			return true;
	}
	return false;
}
