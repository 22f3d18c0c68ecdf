/* encode.c - random bytes for one template: prefixes, REX, ModRM, SIB, displacement, immediate. */
#include <string.h>

#include "gen.h"

/* Appends ModRM, SIB and displacement; x and b are the extension bits of index and base (rm) */
static void put_modrm(struct rng *r, const struct template *t, struct encoding *e)
{
	unsigned mod, rm, reg = t->reg;
	uint8_t sib = 0;

	if (t->modrm == 2) {
		e->code[e->len++] = (uint8_t)(0xc0 | reg << 3 | t->rm);
		return;
	}
	mod = rnd_n(r, 3);
	rm = rnd_n(r, 8);
	e->code[e->len++] = (uint8_t)(mod << 6 | reg << 3 | rm);
	if (rm == 4) {
		sib = (uint8_t)rnd(r);
		e->code[e->len++] = sib;
	}
	if (mod == 1)
		e->code[e->len++] = (uint8_t)rnd(r);
	else if (mod == 2 || (mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5)))) {
		uint32_t d = rnd_n(r, 2) ? (uint32_t)rnd(r) : (uint32_t)rnd_int(r);

		e->disp_at = (int)e->len;
		memcpy(e->code + e->len, &d, 4);
		e->len += 4;
	}
}

static void put_legacy(struct rng *r, const struct template *t, struct encoding *e)
{
	static const uint8_t segs[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	bool addr =
		t->modrm == 1 || (t->map == TMAP_ONE && ((t->opcode >= 0xa0 && t->opcode < 0xb0) || t->opcode == 0xd7));
	uint8_t rex = 0x40;

	if (addr && !rnd_n(r, 8))
		e->code[e->len++] = 0x67;
	if (addr && !rnd_n(r, 10))
		e->code[e->len++] = segs[rnd_n(r, t->modrm == 1 ? 6 : 4)];
	if (t->lock)
		e->code[e->len++] = 0xf0;
	if (t->rep66)
		e->code[e->len++] = 0x66;
	if (t->prefix)
		e->code[e->len++] = t->prefix;
	if (t->prefix == 0x66 && !rnd_n(r, 32))
		e->code[e->len++] = 0x66;
	rex |= (uint8_t)(t->rexw ? 8 : 0);
	if (rnd_n(r, 2))
		rex |= (uint8_t)rnd_n(r, 8);
	if (rex != 0x40 || !rnd_n(r, 8))
		e->code[e->len++] = rex;
	if (t->map)
		e->code[e->len++] = 0x0f;
	if (t->map == TMAP_0F38)
		e->code[e->len++] = 0x38;
	if (t->map == TMAP_0F3A)
		e->code[e->len++] = 0x3a;
	e->code[e->len++] = t->opcode;
	if (t->modrm)
		put_modrm(r, t, e);
}

static void put_vex(struct rng *r, const struct template *t, struct encoding *e)
{
	uint8_t rxb = rnd_n(r, 2) ? 0xe0 : (uint8_t)(rnd_n(r, 8) << 5);
	uint8_t vvvv = rnd_n(r, 4) ? (uint8_t)rnd_n(r, 16) : 15;
	uint8_t pp = t->prefix == 0x66 ? 1 : t->prefix == 0xf3 ? 2 : t->prefix == 0xf2 ? 3 : 0;

	if (t->modrm == 1 && !rnd_n(r, 16))
		e->code[e->len++] = 0x67;
	e->code[e->len++] = 0xc4;
	e->code[e->len++] = (uint8_t)(rxb | t->map);
	e->code[e->len++] = (uint8_t)((t->rexw ? 0x80 : 0) | vvvv << 3 | (t->vexl ? 4 : 0) | pp);
	e->code[e->len++] = t->opcode;
	put_modrm(r, t, e);
}

bool encode(struct rng *r, const struct template *t, struct encoding *e, struct insn *i)
{
	struct template u = *t;
	int n;

	memset(e, 0, sizeof(*e));
	e->disp_at = e->moffs_at = -1;
	/* other registers, if that leaves the form as it is */
	if (t->modrm && rnd_n(r, 4)) {
		u.reg = (uint8_t)rnd_n(r, 8);
		if (t->modrm == 2)
			u.rm = (uint8_t)rnd_n(r, 8);
	}
	if (t->vex)
		put_vex(r, &u, e);
	else
		put_legacy(r, &u, e);
	if (!t->modrm && t->map == TMAP_ONE && t->opcode >= 0xa0 && t->opcode <= 0xa3)
		e->moffs_at = (int)e->len;
	e->rel8 = t->map == TMAP_ONE &&
		  ((t->opcode & 0xf0) == 0x70 || (t->opcode >= 0xe0 && t->opcode <= 0xe3) || t->opcode == 0xeb);
	/* the rest is immediate */
	for (unsigned at = e->len; at < 15;) {
		uint64_t v = rnd_int(r);
		unsigned k = 15 - at < 8 ? 15 - at : 8;

		if (!rnd_n(r, 3))
			v = v & 0xff;
		memcpy(e->code + at, &v, k);
		at += k;
	}
	n = insn_decode(e->code, 15, CODE_64, i);
	if (n <= 0 || !i->op || form_key(i) != t->key)
		return false;
	e->len = (unsigned)n;
	return true;
}
