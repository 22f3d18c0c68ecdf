/* fp_image.c - the FXSAVE region and its initial values; XSAVE areas for get_state and set_state.
 * Layouts: SDM 1 10.5.1 and 13.4. */
#include "engine/soft/fp_image.h"

#include <errno.h>

void fx_put_x87(const struct fpu *f, uint8_t *img, bool wide)
{
	unsigned top = f->fsw >> 11 & 7;
	le16_store(img + FX_FCW, f->fcw);
	le16_store(img + FX_FSW, f->fsw);
	img[FX_FTW] = f->ftw;
	img[FX_FTW + 1] = 0;
	le16_store(img + FX_FOP, f->fop);
	if (wide) {
		le64_store(img + FX_FIP, f->fip);
		le64_store(img + FX_FDP, f->fdp);
	} else {
		le32_store(img + FX_FIP, (uint32_t)f->fip);
		le32_store(img + FX_FCS, f->fcs);
		le32_store(img + FX_FDP, (uint32_t)f->fdp);
		le32_store(img + FX_FDS, f->fds);
	}
	for (unsigned n = 0; n < 8; n++) {
		const struct x87_reg *r = &f->r[(top + n) & 7];
		uint8_t *p = img + FX_ST + n * 16;
		le64_store(p, r->mant);
		le16_store(p + 8, r->exp);
		memset(p + 10, 0, 6);
	}
}

void fx_get_x87(struct fpu *f, const uint8_t *img, bool wide)
{
	unsigned top;
	f->fcw = le16_load(img + FX_FCW);
	f->fcw = (uint16_t)((f->fcw & 0x1f3f) | 0x40);
	f->fsw = le16_load(img + FX_FSW);
	f->ftw = img[FX_FTW];
	f->fop = le16_load(img + FX_FOP) & 0x7ff;
	f->fip = wide ? le64_load(img + FX_FIP) : le32_load(img + FX_FIP);
	f->fdp = wide ? le64_load(img + FX_FDP) : le32_load(img + FX_FDP);
	f->fcs = wide ? 0 : le16_load(img + FX_FCS);
	f->fds = wide ? 0 : le16_load(img + FX_FDS);
	fsw_update_es(f);
	top = f->fsw >> 11 & 7;
	for (unsigned n = 0; n < 8; n++) {
		f->r[(top + n) & 7].mant = le64_load(img + FX_ST + n * 16);
		f->r[(top + n) & 7].exp = le16_load(img + FX_ST + n * 16 + 8);
	}
}

void fx_put_xmm(const struct fpu *f, uint8_t *img, unsigned n)
{
	for (unsigned r = 0; r < n; r++)
		memcpy(img + FX_XMM + r * 16, f->v[r].b, 16);
}

void fx_get_xmm(struct fpu *f, const uint8_t *img, unsigned n)
{
	for (unsigned r = 0; r < n; r++)
		memcpy(f->v[r].b, img + FX_XMM + r * 16, 16);
}

void fx_put_ymm(const struct fpu *f, uint8_t *part, unsigned n)
{
	for (unsigned r = 0; r < n; r++)
		memcpy(part + r * 16, f->v[r].b + 16, 16);
}

void fx_get_ymm(struct fpu *f, const uint8_t *part, unsigned n)
{
	for (unsigned r = 0; r < n; r++)
		memcpy(f->v[r].b + 16, part + r * 16, 16);
}

void fpu_init_ymm(struct fpu *f, unsigned n)
{
	for (unsigned r = 0; r < n; r++)
		memset(f->v[r].b + 16, 0, 16);
}

void fpu_init_x87(struct fpu *f)
{
	f->fcw = FCW_INIT;
	f->fsw = 0;
	f->ftw = 0;
	f->fop = f->fcs = f->fds = 0;
	f->fip = f->fdp = 0;
	for (unsigned n = 0; n < 8; n++)
		f->r[n].mant = f->r[n].exp = 0;
}

void fpu_init_xmm(struct fpu *f, unsigned xmms)
{
	for (unsigned n = 0; n < xmms; n++)
		memset(f->v[n].b, 0, 16);
}

void fpu_to_xsave(const struct cpu *c, uint8_t *area)
{
	memset(area, 0, X86_XSAVE_MAX);
	fx_put_x87(&c->fpu, area, true);
	fx_put_xmm(&c->fpu, area, 16);
	le32_store(area + FX_MXCSR, c->fpu.mxcsr);
	le32_store(area + FX_MXCSR_MASK, MXCSR_VALID);
	fx_put_ymm(&c->fpu, area + XSAVE_LEGACY + XSAVE_HEADER, 16);
	le32_store(area + XH_PKRU, c->pkru);
	le64_store(area + XH_XSTATE_BV, XCR0_X87 | XCR0_SSE | (c->features >> F_AVX & 1 ? XCR0_AVX : 0) |
	                                (c->features >> F_PKU & 1 ? XCR0_PKRU : 0));
}

int fpu_from_xsave(struct cpu *c, const uint8_t *area)
{
	uint64_t bv = le64_load(area + XH_XSTATE_BV);
	uint32_t mxcsr = le32_load(area + FX_MXCSR);
	if ((bv & XCR0_SSE) && (mxcsr & ~MXCSR_VALID))
		return -EINVAL;
	if (bv & XCR0_X87)
		fx_get_x87(&c->fpu, area, true);
	else
		fpu_init_x87(&c->fpu);
	if (bv & XCR0_SSE)
		fx_get_xmm(&c->fpu, area, 16);
	else
		fpu_init_xmm(&c->fpu, 16);
	if (bv & XCR0_AVX)
		fx_get_ymm(&c->fpu, area + XSAVE_LEGACY + XSAVE_HEADER, 16);
	else
		fpu_init_ymm(&c->fpu, 16);
	c->pkru = bv & XCR0_PKRU ? le32_load(area + XH_PKRU) : 0;
	c->fpu.mxcsr = bv & XCR0_SSE ? mxcsr : MXCSR_INIT;
	fp_mode_changed(c);
	return 0;
}
