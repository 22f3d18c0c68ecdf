/* fp_x87_ctl.c - x87 control: initialisation, control and status words, environment, FSAVE. */
#include "engine/soft/fp_x87.h"

#define HANDLER(name) static const struct insn *name(struct cpu *c, const struct insn *i)
#define BIND(name) static insn_fn bind_##name(const struct insn *i) { return name; }

static uint16_t fcw_legal(uint16_t v) { return (uint16_t)((v & 0x1f3f) | 0x40); }

/* FNINIT keeps the registers' contents */
static void init(struct fpu *f)
{
	f->fcw = FCW_INIT;
	f->fsw = 0;
	f->ftw = 0;
	f->fop = f->fcs = f->fds = 0;
	f->fip = f->fdp = 0;
}

HANDLER(FNINIT)
{
	x87_check_nowait(c, i);
	init(&c->fpu);
	NEXT(i);
}
HANDLER(FNCLEX)
{
	x87_check_nowait(c, i);
	c->fpu.fsw &= 0x7f00;
	NEXT(i);
}
HANDLER(FNSTCW)
{
	x87_check_nowait(c, i);
	mem_st(c, i, insn_lin(c, i, 2, true), 2, c->fpu.fcw);
	NEXT(i);
}
HANDLER(FLDCW)
{
	x87_check(c, i);
	c->fpu.fcw = fcw_legal((uint16_t)mem_ld(c, i, insn_lin(c, i, 2, false), 2));
	fsw_update_es(&c->fpu);
	NEXT(i);
}
HANDLER(FNSTSW_m)
{
	x87_check_nowait(c, i);
	mem_st(c, i, insn_lin(c, i, 2, true), 2, c->fpu.fsw);
	NEXT(i);
}
HANDLER(FNSTSW_ax)
{
	x87_check_nowait(c, i);
	R16(c, gpr_off(RAX)) = c->fpu.fsw;
	NEXT(i);
}
static insn_fn bind_FNSTSW(const struct insn *i) { return i->o[0].kind == O_MEM ? FNSTSW_m : FNSTSW_ax; }
/* DB E0, E1, E4 are FNENI, FNDISI, FNSETPM of early coprocessors, which do not wait */
HANDLER(FNOP)
{
	if (i->cc == 3)
		x87_check_nowait(c, i);
	else
		x87_check(c, i);
	NEXT(i);
}
HANDLER(FWAIT)
{
	if ((c->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		cpu_raise(c, i, EXC_NM, 0);
	if ((c->fpu.fsw & FSW_ES) && (c->cr0 & CR0_NE))
		cpu_raise(c, i, EXC_MF, 0);
	NEXT(i);
}

/* --- environment: four formats (SDM 1 8.1.10) --- */
/* The tag word in full: valid, zero, special, empty (SDM 1 8.1.7) */
static uint16_t tags_get(const struct fpu *f)
{
	unsigned t = 0;
	for (unsigned n = 0; n < 8; n++) {
		unsigned e = f->r[n].exp & 0x7fff, tag;
		if (!(f->ftw >> n & 1))
			tag = 3;
		else if (!e && !f->r[n].mant)
			tag = 1;
		else
			tag = e == 0 || e == 0x7fff || !(f->r[n].mant >> 63) ? 2 : 0;
		t |= tag << 2 * n;
	}
	return (uint16_t)t;
}
static uint8_t tags_abridge(uint16_t tags)
{
	unsigned t = 0;
	for (unsigned n = 0; n < 8; n++)
		t |= (tags >> 2 * n & 3) != 3 ? 1u << n : 0;
	return (uint8_t)t;
}
static bool real_format(const struct cpu *c) { return !protected_mode(c) || vm86_mode(c); }

/* Returns the length: 14 or 28 */
static unsigned env_put(const struct cpu *c, const struct insn *i, uint8_t *p)
{
	const struct fpu *f = &c->fpu;
	uint16_t tags = tags_get(f);
	uint32_t ip = (uint32_t)f->fip, dp = (uint32_t)f->fdp;
	bool real = real_format(c);
	if (real) {
		ip += (uint32_t)f->fcs << 4;
		dp += (uint32_t)f->fds << 4;
	}
	if (i->osz == 2) {
		le16_store(p, f->fcw);
		le16_store(p + 2, f->fsw);
		le16_store(p + 4, tags);
		le16_store(p + 6, (uint16_t)ip);
		le16_store(p + 8, real ? (uint16_t)((ip >> 16 & 15) << 12 | f->fop) : f->fcs);
		le16_store(p + 10, (uint16_t)dp);
		le16_store(p + 12, real ? (uint16_t)((dp >> 16 & 15) << 12) : f->fds);
		return 14;
	}
	le32_store(p, 0xffff0000u | f->fcw);
	le32_store(p + 4, 0xffff0000u | f->fsw);
	le32_store(p + 8, 0xffff0000u | tags);
	if (real) {
		le32_store(p + 12, 0xffff0000u | (ip & 0xffff));
		le32_store(p + 16, (ip >> 16) << 12 | f->fop);
		le32_store(p + 20, 0xffff0000u | (dp & 0xffff));
		le32_store(p + 24, (dp >> 16) << 12);
	} else {
		le32_store(p + 12, ip);
		le32_store(p + 16, (uint32_t)f->fop << 16 | f->fcs);
		le32_store(p + 20, dp);
		le32_store(p + 24, 0xffff0000u | f->fds);
	}
	return 28;
}
static void env_get(struct cpu *c, const struct insn *i, const uint8_t *p)
{
	struct fpu *f = &c->fpu;
	unsigned w = i->osz == 2 ? 2 : 4;
	f->fcw = fcw_legal(le16_load(p));
	f->fsw = le16_load(p + w);
	f->ftw = tags_abridge(le16_load(p + 2 * w));
	f->fcs = f->fds = 0;
	if (w == 2) {
		f->fip = le16_load(p + 6);
		f->fdp = le16_load(p + 10);
	} else {
		f->fip = le32_load(p + 12);
		f->fdp = le32_load(p + 20);
	}
	if (real_format(c)) {
		uint32_t hi = w == 2 ? le16_load(p + 8) : le32_load(p + 16);
		uint32_t dhi = w == 2 ? le16_load(p + 12) : le32_load(p + 24);
		f->fip = (f->fip & 0xffff) | (uint32_t)(hi >> 12) << 16;
		f->fdp = (f->fdp & 0xffff) | (uint32_t)(dhi >> 12) << 16;
		f->fop = hi & 0x7ff;
	} else if (w == 2) {
		f->fcs = le16_load(p + 8);
		f->fds = le16_load(p + 12);
		f->fop = 0;
	} else {
		f->fcs = le16_load(p + 16);
		f->fop = le16_load(p + 18) & 0x7ff;
		f->fds = le16_load(p + 24);
	}
	fsw_update_es(f);
}

HANDLER(FNSTENV)
{
	uint8_t env[28];
	unsigned len;
	x87_check_nowait(c, i);
	len = env_put(c, i, env);
	mmu_stn(c, i, insn_lin(c, i, len, true), env, len);
	c->fpu.fcw |= 0x3f;
	fsw_update_es(&c->fpu);
	NEXT(i);
}
HANDLER(FLDENV)
{
	uint8_t env[28];
	unsigned len = i->osz == 2 ? 14 : 28;
	x87_check(c, i);
	mmu_ldn(c, i, insn_lin(c, i, len, false), env, len);
	env_get(c, i, env);
	NEXT(i);
}
HANDLER(FNSAVE)
{
	uint8_t img[108];
	unsigned len;
	x87_check_nowait(c, i);
	len = env_put(c, i, img);
	for (unsigned n = 0; n < 8; n++, len += 10) {
		le64_store(img + len, st_reg(&c->fpu, n)->mant);
		le16_store(img + len + 8, st_reg(&c->fpu, n)->exp);
	}
	mmu_stn(c, i, insn_lin(c, i, len, true), img, len);
	init(&c->fpu);
	NEXT(i);
}
HANDLER(FRSTOR)
{
	uint8_t img[108];
	unsigned pos = i->osz == 2 ? 14 : 28, len = pos + 80;
	x87_check(c, i);
	mmu_ldn(c, i, insn_lin(c, i, len, false), img, len);
	env_get(c, i, img);
	for (unsigned n = 0; n < 8; n++, pos += 10) {
		st_reg(&c->fpu, n)->mant = le64_load(img + pos);
		st_reg(&c->fpu, n)->exp = le16_load(img + pos + 8);
	}
	NEXT(i);
}

BIND(FNINIT)
BIND(FNCLEX)
BIND(FNSTCW)
BIND(FLDCW)
BIND(FNOP)
BIND(FWAIT)
BIND(FNSTENV)
BIND(FLDENV)
BIND(FNSAVE)
BIND(FRSTOR)

const struct op_bind fp_x87_ctl_ops[] = {
	{ OP_FNINIT, bind_FNINIT },
	{ OP_FNCLEX, bind_FNCLEX },
	{ OP_FNSTCW, bind_FNSTCW },
	{ OP_FLDCW, bind_FLDCW },
	{ OP_FNSTSW, bind_FNSTSW },
	{ OP_FNOP, bind_FNOP },
	{ OP_FWAIT, bind_FWAIT },
	{ OP_FNSTENV, bind_FNSTENV },
	{ OP_FLDENV, bind_FLDENV },
	{ OP_FNSAVE, bind_FNSAVE },
	{ OP_FRSTOR, bind_FRSTOR },
	{ OP_INVALID, NULL },
};
