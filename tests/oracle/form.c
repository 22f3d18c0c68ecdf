/* form.c - finds every encoding that our decoder accepts and sorts them by form.
 *
 * A form is an operation with its operand kinds and sizes, operand size and LOCK or REP. The
 * opcode space is enumerated once: prefixes x maps x opcodes x ModRM.reg x memory or register. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"

static struct template *templates;
static unsigned ntemplates, cap;
static struct form *forms;
static unsigned nforms;

uint64_t form_key(const struct insn *i)
{
	uint64_t k = i->op;

	k = k << 2 | (i->flags & IF_LOCK ? 1 : i->flags & IF_REP ? 2 : i->flags & IF_REPNE ? 3 : 0);
	k = k << 2 | (i->osz == 2 ? 0 : i->osz == 4 ? 1 : 2);
	k = k << 2 | (i->vl == 0 ? 0 : i->vl == 16 ? 1 : 2);
	for (unsigned n = 0; n < 4; n++) {
		unsigned size = i->o[n].size;
		unsigned code = size == 6    ? 12
				: size == 16 ? 13
				: size == 32 ? 14
				: size == 64 ? 15
				: size > 10  ? 11
					     : size;

		k = k << 8 | (n < i->nopnd ? (unsigned)(i->o[n].kind << 4) | code : 0);
	}
	return k;
}

static int by_key(const void *a, const void *b)
{
	uint64_t x = ((const struct template *)a)->key, y = ((const struct template *)b)->key;

	return x < y ? -1 : x > y;
}

static unsigned assemble(const struct template *t, uint8_t modrm, uint8_t *p)
{
	unsigned n = 0;

	if (t->vex) {
		uint8_t p2 = t->prefix == 0x66 ? 1 : t->prefix == 0xf3 ? 2 : t->prefix == 0xf2 ? 3 : 0;

		p[n++] = 0xc4;
		p[n++] = (uint8_t)(0xe0 | t->map);
		p[n++] = (uint8_t)((t->rexw ? 0x80 : 0) | 0x78 | (t->vexl ? 4 : 0) | p2);
		p[n++] = t->opcode;
		p[n++] = modrm;
		return n;
	}
	if (t->lock)
		p[n++] = 0xf0;
	if (t->rep66)
		p[n++] = 0x66;
	if (t->prefix)
		p[n++] = t->prefix;
	if (t->rexw)
		p[n++] = 0x48;
	if (t->map)
		p[n++] = 0x0f;
	if (t->map == TMAP_0F38)
		p[n++] = 0x38;
	if (t->map == TMAP_0F3A)
		p[n++] = 0x3a;
	p[n++] = t->opcode;
	p[n++] = modrm;
	return n;
}

static bool prefix_byte(uint8_t b)
{
	return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x26 || b == 0x2e || b == 0x36 ||
	       b == 0x3e || (b >= 0x40 && b <= 0x4f) || (b >= 0x64 && b <= 0x65) || b == 0xc4 || b == 0xc5 || b == 0x62;
}

static int try_decode(const struct template *t, uint8_t modrm, struct insn *i)
{
	uint8_t bytes[15] = { 0 };

	unsigned n = assemble(t, modrm, bytes);

	if (modrm < 0xc0 && (modrm & 7) == 4)
		bytes[n] = 0x08; /* a SIB byte: index 1, base 0, as gathers have to have it */
	return insn_decode(bytes, sizeof(bytes), CODE_64, i);
}

static void add(struct template t, const struct insn *i)
{
	if (exclude_reason(i))
		return;
	if (ntemplates == cap) {
		cap = cap ? cap * 2 : 4096;
		templates = realloc(templates, cap * sizeof(*templates));
		if (!templates)
			abort();
	}
	t.key = form_key(i);
	templates[ntemplates++] = t;
}

static void enumerate_opcode(struct template t)
{
	struct insn a, b;
	bool has_modrm = t.vex || t.map == TMAP_0F38 || t.map == TMAP_0F3A;

	/* A SIB byte and a displacement make the instruction longer only where there is a ModRM byte */
	for (unsigned reg = 0; reg < 8 && !has_modrm; reg++) {
		int x = try_decode(&t, (uint8_t)(reg << 3), &a);
		int y = try_decode(&t, (uint8_t)(reg << 3 | 0x84), &b);

		if (x > 0 && y > 0 && a.op && b.op && x != y)
			has_modrm = true;
		if (x > 0 && y > 0 && (!a.op || !b.op)) {
			try_decode(&t, (uint8_t)(reg << 3 | 0xc0), &b);
			has_modrm = has_modrm || b.op;
		}
	}
	if (!has_modrm) {
		if (try_decode(&t, 0, &a) > 0 && a.op)
			add(t, &a);
		return;
	}
	for (unsigned reg = 0; reg < 8; reg++) {
		t.reg = (uint8_t)reg;
		t.modrm = 1;
		t.rm = 0;
		if (t.vex && (try_decode(&t, (uint8_t)(reg << 3), &a) <= 0 || !a.op))
			t.rm = 4;
		if (try_decode(&t, (uint8_t)(reg << 3 | t.rm), &a) > 0 && a.op)
			add(t, &a);
		if (t.map == TMAP_0F && t.opcode == 0x0d)
			continue; /* with a register: no operation on Intel's, #UD on AMD's */
		t.modrm = 2;
		for (unsigned rm = 0; rm < 8; rm++) {
			t.rm = (uint8_t)rm;
			if (try_decode(&t, (uint8_t)(0xc0 | reg << 3 | rm), &a) > 0 && a.op)
				add(t, &a);
		}
	}
}

static void enumerate(void)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0xf2, 0xf3 };
	struct template t;

	for (unsigned map = TMAP_ONE; map <= TMAP_0F3A; map++)
		for (unsigned op = 0; op < 256; op++) {
			if (map == TMAP_ONE && (prefix_byte((uint8_t)op) || op == 0x0f))
				continue;
			if (map == TMAP_0F && (op == 0x38 || op == 0x3a))
				continue;
			for (unsigned v = 0; v < 32; v++) {
				t = (struct template){ .map = (uint8_t)map,
						       .opcode = (uint8_t)op,
						       .prefix = prefixes[v & 3] };
				t.rexw = v & 4;
				t.lock = v & 8;
				t.rep66 = v & 16;
				if (t.lock && (v & 3) > 1)
					continue;
				if (t.rep66 && (v & 3) < 2)
					continue;
				enumerate_opcode(t);
			}
		}
	for (unsigned map = 1; map <= 3; map++)
		for (unsigned op = 0; op < 256; op++)
			for (unsigned v = 0; v < 16; v++) {
				t = (struct template){ .map = (uint8_t)map,
						       .opcode = (uint8_t)op,
						       .prefix = prefixes[v & 3],
						       .vex = true };
				t.rexw = v & 4;
				t.vexl = v & 8;
				enumerate_opcode(t);
			}
}

int form_init(void)
{
	enumerate();
	if (!ntemplates)
		return -ENOENT;
	qsort(templates, ntemplates, sizeof(*templates), by_key);
	forms = calloc(ntemplates, sizeof(*forms));
	if (!forms)
		return -ENOMEM;
	for (unsigned n = 0; n < ntemplates; n++) {
		const struct template *t = &templates[n];
		struct form *f;

		if (!n || t->key != t[-1].key) {
			f = &forms[nforms++];
			f->key = t->key;
			f->first = n;
			try_decode(t, (uint8_t)((t->modrm == 2 ? 0xc0 : 0) | t->reg << 3 | t->rm), &f->sample);
		}
		forms[nforms - 1].count++;
	}
	return 0;
}

unsigned form_count(void) { return nforms; }
const struct form *form_get(unsigned n) { return &forms[n]; }
const struct template *form_template(unsigned n) { return &templates[n]; }
