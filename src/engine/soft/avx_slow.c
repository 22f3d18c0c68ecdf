/* avx_slow.c - VEX instructions where the usual case does not hold: faults, operands that straddle pages, and
 * arithmetic while the guest has unmasked an exception. */
#include "engine/soft/avx.h"

void avx_raise(struct cpu *c, const struct insn *i)
{
	cpu_raise(c, i, c->fp_avx_trap == FP_TRAP_NM ? EXC_NM : EXC_UD, 0);
}

const void *avx_src_slow(struct cpu *c, const struct insn *i, unsigned bytes)
{
	uint64_t lin = insn_lin(c, i, bytes, false);
	const void *p = tlb_hit(c->tlb->r, lin, bytes);

	if (p)
		return p;
	mmu_ldn(c, i, lin, &c->fp_tmp, bytes);
	return &c->fp_tmp;
}

void avx_st_slow(struct cpu *c, const struct insn *i, const union vreg *r, unsigned bytes, bool aligned)
{
	uint64_t lin = insn_lin(c, i, bytes, true);

	if (aligned && (lin & (bytes - 1)))
		fp_misaligned(c, i, lin);
	mem_stn(c, i, lin, r, bytes);
}

/* --- fused multiply-add: what unmasked overflow and underflow say of PE --- */

static uint64_t fma_s(uint64_t x, uint64_t y, uint64_t z)
{
	v128 r = { x, 0 };
	__asm__ volatile("vfmadd213ss %2, %1, %0" : "+x"(r) : "x"((v128){ y, 0 }), "x"((v128){ z, 0 }));
	return (uint32_t)r[0];
}
static uint64_t fma_d(uint64_t x, uint64_t y, uint64_t z)
{
	v128 r = { x, 0 };
	__asm__ volatile("vfmadd213sd %2, %1, %0" : "+x"(r) : "x"((v128){ y, 0 }), "x"((v128){ z, 0 }));
	return r[0];
}
/* Flags of what runs next are looked at alone */
static void flags_clear(void) { host_mxcsr_set(host_mxcsr_get() & ~MXCSR_FLAGS); }
static bool flags_pe(void) { return host_mxcsr_get() & 0x20; }

/* v = +-m * 2^e with m in [1, 2): false for zero. m goes to *m. */
static bool split(uint64_t v, bool daz, uint64_t *m, int *e)
{
	const uint64_t frac = (1ull << 52) - 1;
	uint64_t f = v & frac;

	*e = (int)(v >> 52 & 0x7ff) - 1023;
	if (*e == -1023) {
		if (!f || daz)
			return false;
		int sh = __builtin_clzll(f) - 11;
		f = f << sh & frac;
		*e = -1022 - sh;
	}
	*m = (v & 1ull << 63) | 1023ull << 52 | f;
	return true;
}

/* Whether x * y + z is no double if exponents had no bounds. Finite values. */
static bool fma_d_inexact(uint64_t x, uint64_t y, uint64_t z, bool daz)
{
	uint64_t mx, my, mz;
	int ex, ey, ez, e;

	if (!split(x, daz, &mx, &ex) || !split(y, daz, &my, &ey))
		return false;
	flags_clear();
	if (!split(z, daz, &mz, &ez)) {
		fma_d(mx, my, 0);
		return flags_pe();
	}
	e = ex + ey - ez;
	if (e > 200 || e < -200) /* the 106 bits of the product and z do not overlap */
		return true;
	fma_d(mx + ((uint64_t)(int64_t)e << 52), my, mz);
	return flags_pe();
}

/* The same for floats: the product is exact in double, and a sum has to be a float */
static bool fma_s_inexact(uint64_t x, uint64_t y, uint64_t z, bool daz)
{
	v128 v = { 0, 0 };
	uint64_t d[3], r;
	const uint64_t s[3] = { x, y, z };

	for (unsigned n = 0; n < 3; n++) {
		bool tiny = !(s[n] & 0x7f800000);
		d[n] = simd_CVTSS2SD(v, (v128){ tiny && daz ? 0 : s[n], 0 })[0];
	}
	flags_clear();
	r = fma_d(d[0], d[1], d[2]);
	return flags_pe() || (r & ((1u << 29) - 1));
}

struct fma {
	const char *name; /* vf[n]m{add,sub}[sub,add]{132,213,231}{ps,pd,ss,sd} */
	union vreg a, b, c;
};

static bool fma_inexact(uint32_t mxcsr, const void *arg)
{
	const struct fma *f = arg;
	const char *m = f->name + 2;
	bool negate = *m == 'n', daz = mxcsr & MXCSR_DAZ, any = false;
	size_t len = strlen(m);
	bool dbl = m[len - 1] == 'd', scalar = m[len - 2] == 's';
	char order = m[len - 5];
	unsigned count = scalar ? 1 : dbl ? 4 : 8;
	uint64_t sign = dbl ? 1ull << 63 : 1ull << 31;

	m += negate;
	for (unsigned n = 0; n < count; n++) {
		uint64_t a = dbl ? f->a.q[n] : f->a.d[n], b = dbl ? f->b.q[n] : f->b.d[n], c = dbl ? f->c.q[n] : f->c.d[n];
		uint64_t x = order == '2' && m[len - 4 - negate] == '3' ? b : a, y, z, r;
		bool sub = m[1] == 's', alternates = m[4] == 's' || m[4] == 'a';
		uint32_t flags;

		/* 132: a * c + b, 213: b * a + c, 231: b * c + a */
		y = order == '2' && m[len - 4 - negate] == '1' ? b : c;
		z = order == '1' ? b : m[len - 4 - negate] == '1' ? c : a;
		if (alternates) /* maddsub: the even ones subtract */
			sub = (m[1] == 'a') == !(n & 1);
		x ^= negate ? sign : 0;
		z ^= sub ? sign : 0;
		flags_clear();
		r = dbl ? fma_d(x, y, z) : fma_s(x, y, z);
		flags = host_mxcsr_get() & MXCSR_FLAGS;
		if (fp_any_tiny((v128){ r, 0 }, dbl ? TINY_SD : TINY_SS))
			flags |= 0x10;
		if ((flags & 0x10 && !(mxcsr & MXCSR_UM)) || (flags & 8 && !(mxcsr & MXCSR_OM)))
			any |= dbl ? fma_d_inexact(x, y, z, daz) : fma_s_inexact(x, y, z, daz);
		else
			any |= flags >> 5 & 1;
	}
	return any;
}

/* --- the others: by halves of 128 bits --- */

struct halves {
	const struct avx_fp *f;
	const v128 *d, *s;
};
static bool halves_inexact(uint32_t mxcsr, const void *arg)
{
	const struct halves *h = arg;
	bool any = false;

	for (unsigned n = 0; n < h->f->halves; n++)
		any |= fp_inexact(mxcsr, h->f->op, h->d[n], h->s[n]);
	return any;
}

void avx_fp_slow(struct cpu *c, const struct insn *i, const void *p, const struct avx_fp *f)
{
	union vreg result, src;
	bool tiny;

	memset(&src, 0, sizeof(src));
	memcpy(&src, p, f->bytes);
	fp_arith_begin(c);
	f->core(c, i, &src, &result);
	tiny = fp_any_tiny(((v128 *)&result)[0], f->tiny) || (f->halves == 2 && fp_any_tiny(((v128 *)&result)[1], f->tiny));
	if (insn_feature(i) == F_FMA) {
		struct fma m = { op_info[i->op].name, VREG(c, i, 0), VREG(c, i, 1), src };
		if (i->vl == 16 && f->halves == 1)
			memset(&m.a.q[2], 0, 16), memset(&m.b.q[2], 0, 16);
		fp_arith_judge(c, i, tiny, fma_inexact, &m);
	} else {
		struct halves h = { f, (const v128 *)&VREG(c, i, 1), (const v128 *)&src };
		fp_arith_judge(c, i, tiny, f->tiny == TINY_NO ? NULL : halves_inexact, &h);
	}
	memcpy(&VREG(c, i, 0), &result, 32);
}
