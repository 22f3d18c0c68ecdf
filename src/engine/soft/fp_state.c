/* fp_state.c - instructions that save and restore floating-point state: FXSAVE, the XSAVE family,
 * MXCSR, XCR0. SDM 1 chapter 13, SDM 2. */
#include "engine/soft/avx.h"
#include "engine/soft/fp_image.h"

#define XSAVE_BASE (XSAVE_LEGACY + XSAVE_HEADER)
#define XCOMP_COMPACT (1ull << 63)

/* Exceptions so far, from the host's register into fpu.mxcsr */
static void sync_mxcsr(struct cpu *c) { c->fpu.mxcsr |= host_mxcsr_get() & MXCSR_FLAGS; }

static void load_mxcsr(struct cpu *c, uint32_t v)
{
	c->fpu.mxcsr = v;
	fp_enter(c);
	fp_mode_changed(c);
}

static unsigned xmm_count(const struct cpu *c) { return c->code == CODE_64 ? 16 : 8; }

/* --- MXCSR --- */
static void mxcsr_check(struct cpu *c, const struct insn *i)
{
	if (i->flags & IF_VEX)
		AVX_CHECK(c, i);
	else
		SSE_CHECK(c, i);
}
HANDLER(ldmxcsr)
{
	uint32_t v;
	mxcsr_check(c, i);
	v = (uint32_t)mem_ld(c, i, insn_lin(c, i, 4, false), 4);
	if (v & ~MXCSR_VALID)
		raise_gp(c, i, 0);
	load_mxcsr(c, v);
	NEXT(i);
}
HANDLER(stmxcsr)
{
	mxcsr_check(c, i);
	sync_mxcsr(c);
	mem_st(c, i, insn_lin(c, i, 4, true), 4, c->fpu.mxcsr);
	NEXT(i);
}

/* --- FXSAVE, FXRSTOR --- */
static uint64_t fx_lin(struct cpu *c, const struct insn *i, unsigned len, bool write)
{
	uint64_t lin;
	if (c->cr0 & (CR0_EM | CR0_TS))
		cpu_raise(c, i, EXC_NM, 0);
	lin = insn_lin(c, i, len, write);
	if (lin & 15)
		fp_misaligned(c, i, lin);
	return lin;
}
HANDLER(fxsave)
{
	uint8_t img[FX_END];
	uint64_t lin = fx_lin(c, i, XSAVE_LEGACY, true);
	unsigned n = xmm_count(c);
	sync_mxcsr(c);
	fx_put_x87(&c->fpu, img, i->flags & IF_REXW);
	le32_store(img + FX_MXCSR, c->fpu.mxcsr);
	le32_store(img + FX_MXCSR_MASK, MXCSR_VALID);
	fx_put_xmm(&c->fpu, img, n);
	mmu_probe_w(c, i, lin, XSAVE_LEGACY);
	mmu_stn(c, i, lin, img, FX_XMM + n * 16);
	NEXT(i);
}
HANDLER(fxrstor)
{
	uint8_t img[XSAVE_LEGACY];
	uint64_t lin = fx_lin(c, i, XSAVE_LEGACY, false);
	uint32_t mxcsr;
	mmu_ldn(c, i, lin, img, XSAVE_LEGACY);
	mxcsr = le32_load(img + FX_MXCSR);
	if (mxcsr & ~MXCSR_VALID)
		raise_gp(c, i, 0);
	fx_get_x87(&c->fpu, img, i->flags & IF_REXW);
	fx_get_xmm(&c->fpu, img, xmm_count(c));
	load_mxcsr(c, mxcsr);
	NEXT(i);
}

/* --- XSAVE --- */
uint64_t fp_xcr0_supported(const struct cpu *c)
{
	return XCR0_X87 | XCR0_SSE | (c->features >> F_AVX & 1 ? XCR0_AVX : 0) |
	       (c->features >> F_PKU & 1 ? XCR0_PKRU : 0);
}

/* Where PKRU lies in the compacted format of the components in @bv; AVX comes first, at its standard place. */
static unsigned pkru_at(uint64_t bv) { return XSAVE_BASE + (bv & XCR0_AVX ? XSAVE_AVX : 0); }

/* Bytes of an area with the components in @bv: standard and compacted */
static unsigned xsave_size(uint64_t bv)
{
	return bv & XCR0_PKRU ? XH_PKRU + XSAVE_PKRU : bv & XCR0_AVX ? XSAVE_BASE + XSAVE_AVX : XSAVE_BASE;
}
static unsigned xsave_size_compact(uint64_t bv) { return pkru_at(bv) + (bv & XCR0_PKRU ? XSAVE_PKRU : 0); }

/* Components not in their initial configuration (SDM 1 13.6) */
static uint64_t xinuse(const struct cpu *c, unsigned regs)
{
	const struct fpu *f = &c->fpu;
	uint64_t any = (f->fcw ^ FCW_INIT) | f->fsw | f->ftw | f->fop | f->fip | f->fdp | f->fcs | f->fds, v = 0, y = 0;
	for (unsigned n = 0; n < 8; n++)
		any |= f->r[n].mant | f->r[n].exp;
	for (unsigned n = 0; n < regs; n++) {
		v |= f->v[n].q[0] | f->v[n].q[1];
		y |= f->v[n].q[2] | f->v[n].q[3];
	}
	return (any ? XCR0_X87 : 0) | (v || f->mxcsr != MXCSR_INIT ? XCR0_SSE : 0) | (y ? XCR0_AVX : 0) |
	       (c->pkru ? XCR0_PKRU : 0);
}

static uint64_t edx_eax(const struct cpu *c) { return c->gpr[RDX] << 32 | (uint32_t)c->gpr[RAX]; }

static uint64_t xs_lin(struct cpu *c, const struct insn *i, unsigned size, bool write, bool supervisor)
{
	uint64_t lin;
	if (!(c->cr4 & CR4_OSXSAVE))
		raise_ud(c, i);
	if (supervisor && c->cpl)
		raise_gp(c, i, 0);
	if (c->cr0 & CR0_TS)
		cpu_raise(c, i, EXC_NM, 0);
	lin = insn_lin(c, i, size, write);
	if (lin & 63)
		fp_misaligned(c, i, lin);
	return lin;
}

/* Stores the components in @save, PKRU at offset @pkru; MXCSR and its mask where @mxcsr. */
static void store_components(struct cpu *c, const struct insn *i, uint64_t lin, uint64_t save, bool mxcsr, unsigned pkru)
{
	uint8_t img[FX_END];
	unsigned n = xmm_count(c);
	if (save & XCR0_X87) {
		fx_put_x87(&c->fpu, img, i->flags & IF_REXW);
		mmu_stn(c, i, lin, img, FX_MXCSR);
		mmu_stn(c, i, lin + FX_ST, img + FX_ST, FX_XMM - FX_ST);
	}
	if (mxcsr) {
		le32_store(img + FX_MXCSR, c->fpu.mxcsr);
		le32_store(img + FX_MXCSR_MASK, MXCSR_VALID);
		mmu_stn(c, i, lin + FX_MXCSR, img + FX_MXCSR, 8);
	}
	if (save & XCR0_SSE) {
		fx_put_xmm(&c->fpu, img, n);
		mmu_stn(c, i, lin + FX_XMM, img + FX_XMM, n * 16);
	}
	if (save & XCR0_AVX) {
		fx_put_ymm(&c->fpu, img, n);
		mmu_stn(c, i, lin + XSAVE_BASE, img, n * 16);
	}
	if (save & XCR0_PKRU)
		mem_st(c, i, lin + pkru, 8, c->pkru);
}

/* XSAVE stores every requested component, XSAVEOPT those in use (SDM 1 13.7, 13.9) */
static const struct insn *save_standard(struct cpu *c, const struct insn *i, bool opt)
{
	uint64_t rfbm = edx_eax(c) & c->xcr0, lin = xs_lin(c, i, xsave_size(rfbm), true, false), used, bv;
	sync_mxcsr(c);
	mmu_probe_w(c, i, lin, xsave_size(rfbm));
	bv = mem_ld(c, i, lin + XH_XSTATE_BV, 8);
	used = xinuse(c, xmm_count(c));
	store_components(c, i, lin, opt ? rfbm & used : rfbm, rfbm & (XCR0_SSE | XCR0_AVX), XH_PKRU);
	mem_st(c, i, lin + XH_XSTATE_BV, 8, (bv & ~rfbm) | (rfbm & used));
	NEXT(i);
}
HANDLER(xsave) { return save_standard(c, i, false); }
HANDLER(xsaveopt) { return save_standard(c, i, true); }

/* SDM 1 13.10, 13.11. x87 and SSE lie at their fixed places in the compacted format too. */
static const struct insn *save_compact(struct cpu *c, const struct insn *i, bool supervisor)
{
	uint64_t rfbm = edx_eax(c) & (supervisor ? c->xcr0 | c->xss : c->xcr0), used;
	uint64_t lin = xs_lin(c, i, xsave_size_compact(rfbm), true, supervisor);
	sync_mxcsr(c);
	mmu_probe_w(c, i, lin, xsave_size_compact(rfbm));
	used = rfbm & xinuse(c, xmm_count(c));
	store_components(c, i, lin, used, used & XCR0_SSE, pkru_at(rfbm));
	mem_st(c, i, lin + XH_XSTATE_BV, 8, used);
	mem_st(c, i, lin + XH_XCOMP_BV, 8, rfbm | XCOMP_COMPACT);
	NEXT(i);
}
HANDLER(xsavec) { return save_compact(c, i, false); }
HANDLER(xsaves) { return save_compact(c, i, true); }

static void set_pkru(struct cpu *c, uint32_t v)
{
	uint32_t old = c->pkru;
	c->pkru = v;
	if (v != old)
		mmu_pkru_written(c, old);
}

/* SDM 1 13.8, 13.12 */
static const struct insn *restore(struct cpu *c, const struct insn *i, bool supervisor)
{
	uint64_t legal = supervisor ? c->xcr0 | c->xss : c->xcr0, rfbm = edx_eax(c) & legal, bv, comp, rest = 0;
	uint64_t lin = xs_lin(c, i, XSAVE_BASE, false, supervisor);
	uint8_t img[XSAVE_BASE + XSAVE_AVX];
	uint32_t mxcsr = MXCSR_INIT;
	unsigned regs = xmm_count(c);
	uint32_t pkru = 0;
	bool set_mxcsr;

	mmu_ldn(c, i, lin, img, XSAVE_BASE);
	bv = le64_load(img + XH_XSTATE_BV);
	comp = le64_load(img + XH_XCOMP_BV);
	for (unsigned n = XH_XCOMP_BV + 8; n < XSAVE_BASE; n += 8)
		rest |= le64_load(img + n);
	if (comp & XCOMP_COMPACT) {
		if ((comp & ~XCOMP_COMPACT & ~legal) || (bv & ~comp) || rest)
			raise_gp(c, i, 0);
		set_mxcsr = rfbm & XCR0_SSE;
		if (bv & XCR0_SSE)
			mxcsr = le32_load(img + FX_MXCSR);
	} else {
		/* the standard form ignores bytes 63:24 of the header */
		if (supervisor || comp || (bv & ~c->xcr0) || le64_load(img + XH_XCOMP_BV + 8))
			raise_gp(c, i, 0);
		set_mxcsr = rfbm & (XCR0_SSE | XCR0_AVX);
		mxcsr = le32_load(img + FX_MXCSR);
	}
	if (set_mxcsr && (mxcsr & ~MXCSR_VALID))
		raise_gp(c, i, 0);
	if (rfbm & bv & XCR0_AVX)
		mmu_ldn(c, i, lin + XSAVE_BASE, img + XSAVE_BASE, regs * 16);
	if (rfbm & bv & XCR0_PKRU)
		pkru = (uint32_t)mem_ld(c, i, lin + (comp & XCOMP_COMPACT ? pkru_at(comp) : XH_PKRU), 4);

	if (rfbm & bv & XCR0_X87)
		fx_get_x87(&c->fpu, img, i->flags & IF_REXW);
	else if (rfbm & XCR0_X87)
		fpu_init_x87(&c->fpu);
	if (rfbm & bv & XCR0_SSE)
		fx_get_xmm(&c->fpu, img, regs);
	else if (rfbm & XCR0_SSE)
		fpu_init_xmm(&c->fpu, regs);
	if (rfbm & bv & XCR0_AVX)
		fx_get_ymm(&c->fpu, img + XSAVE_BASE, regs);
	else if (rfbm & XCR0_AVX)
		fpu_init_ymm(&c->fpu, regs);
	if (set_mxcsr)
		load_mxcsr(c, mxcsr);
	if (rfbm & XCR0_PKRU)
		set_pkru(c, pkru);
	NEXT(i);
}
HANDLER(xrstor) { return restore(c, i, false); }
HANDLER(xrstors) { return restore(c, i, true); }

/* --- XCR0 --- */
HANDLER(xgetbv)
{
	uint64_t v;
	if (!(c->cr4 & CR4_OSXSAVE))
		raise_ud(c, i);
	sync_mxcsr(c);
	switch ((uint32_t)c->gpr[RCX]) {
	case 0: v = c->xcr0; break;
	case 1: v = c->xcr0 & xinuse(c, xmm_count(c)); break;
	default: raise_gp(c, i, 0);
	}
	c->gpr[RAX] = (uint32_t)v;
	c->gpr[RDX] = v >> 32;
	NEXT(i);
}
HANDLER(xsetbv)
{
	uint64_t v = edx_eax(c);
	if (!(c->cr4 & CR4_OSXSAVE))
		raise_ud(c, i);
	if (c->cpl || (uint32_t)c->gpr[RCX] || !(v & XCR0_X87) || (v & ~fp_xcr0_supported(c)) ||
	    (v & (XCR0_SSE | XCR0_AVX)) == XCR0_AVX)
		raise_gp(c, i, 0);
	c->xcr0 = v;
	fp_mode_changed(c);
	END(c, i);
}

/* --- PKRU: SDM 2, RDPKRU, WRPKRU --- */
static void pkru_check(struct cpu *c, const struct insn *i, bool write)
{
	if (!(c->cr4 & CR4_PKE))
		raise_ud(c, i);
	if ((uint32_t)c->gpr[RCX] || (write && (uint32_t)c->gpr[RDX]))
		raise_gp(c, i, 0);
}
HANDLER(rdpkru)
{
	pkru_check(c, i, false);
	c->gpr[RAX] = c->pkru;
	c->gpr[RDX] = 0;
	NEXT(i);
}
HANDLER(wrpkru)
{
	pkru_check(c, i, true);
	set_pkru(c, (uint32_t)c->gpr[RAX]);
	END(c, i);
}

void fp_cpuid_xsave(const struct cpu *c, uint32_t sub, uint32_t regs[4])
{
	uint64_t legal = fp_xcr0_supported(c);
	memset(regs, 0, 4 * sizeof(regs[0]));
	if (!(c->features >> F_XSAVE & 1))
		return;
	switch (sub) {
	case 0: /* legal bits of XCR0; size for those set now; size for all */
		regs[0] = (uint32_t)legal;
		regs[1] = xsave_size(c->xcr0);
		regs[2] = xsave_size(legal);
		regs[3] = (uint32_t)(legal >> 32);
		break;
	case 1: /* XSAVEOPT, XSAVEC, XGETBV with ECX = 1, XSAVES; size for XCR0 | IA32_XSS; legal XSS */
		regs[0] = (uint32_t)((c->features >> F_XSAVEOPT & 1) | (c->features >> F_XSAVEC & 1) * 6 |
		                     (c->features >> F_XSAVES & 1) << 3);
		regs[1] = regs[0] & 10 ? xsave_size_compact(c->xcr0 | c->xss) : 0;
		break;
	case 9:
		if (legal & XCR0_PKRU) {
			regs[0] = XSAVE_PKRU;
			regs[1] = XH_PKRU;
		}
		break;
	case 2: /* AVX: size, offset */
		if (legal & XCR0_AVX) {
			regs[0] = XSAVE_AVX;
			regs[1] = XSAVE_BASE;
		}
		break;
	}
}

#define BIND(name) static insn_fn bind_##name(const struct insn *i) { return name; }
BIND(ldmxcsr)
BIND(stmxcsr)
BIND(fxsave)
BIND(fxrstor)
BIND(xsave)
BIND(xsaveopt)
BIND(xsavec)
BIND(xsaves)
BIND(xrstor)
BIND(xrstors)
BIND(xgetbv)
BIND(xsetbv)
BIND(rdpkru)
BIND(wrpkru)

const struct op_bind fp_state_ops[] = {
	{ OP_LDMXCSR, bind_ldmxcsr },
	{ OP_STMXCSR, bind_stmxcsr },
	{ OP_VLDMXCSR, bind_ldmxcsr },
	{ OP_VSTMXCSR, bind_stmxcsr },
	{ OP_FXSAVE, bind_fxsave },
	{ OP_FXRSTOR, bind_fxrstor },
	{ OP_XSAVE, bind_xsave },
	{ OP_XSAVEOPT, bind_xsaveopt },
	{ OP_XSAVEC, bind_xsavec },
	{ OP_XSAVES, bind_xsaves },
	{ OP_XRSTOR, bind_xrstor },
	{ OP_XRSTORS, bind_xrstors },
	{ OP_XGETBV, bind_xgetbv },
	{ OP_XSETBV, bind_xsetbv },
	{ OP_RDPKRU, bind_rdpkru },
	{ OP_WRPKRU, bind_wrpkru },
	{ OP_INVALID, NULL },
};
