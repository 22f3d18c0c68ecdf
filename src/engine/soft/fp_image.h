/* fp_image.h - the FXSAVE region: between struct fpu and its 512 bytes in memory. */
#ifndef SOFT_FP_IMAGE_H
#define SOFT_FP_IMAGE_H

#include "engine/soft/fp.h"

enum {
	FX_FCW = 0, FX_FSW = 2, FX_FTW = 4, FX_FOP = 6, FX_FIP = 8, FX_FCS = 12, FX_FDP = 16, FX_FDS = 20,
	FX_MXCSR = 24, FX_MXCSR_MASK = 28, FX_ST = 32, FX_XMM = 160, FX_END = 416,
	XH_XSTATE_BV = 512, XH_XCOMP_BV = 520, XH_PKRU = 832 /* in the standard format */
};

/* The x87 part: bytes 0..23 and the registers. wide: 64-bit pointers (REX.W) */
void fx_put_x87(const struct fpu *, uint8_t *img, bool wide);
void fx_get_x87(struct fpu *, const uint8_t *img, bool wide);
/* The first n XMM registers */
void fx_put_xmm(const struct fpu *, uint8_t *img, unsigned n);
void fx_get_xmm(struct fpu *, const uint8_t *img, unsigned n);

void fpu_init_x87(struct fpu *); /* FNINIT, and registers cleared */
void fpu_init_xmm(struct fpu *, unsigned n);

/* The upper halves of the first n YMM registers: XSAVE's component 2 (SDM 1 13.5.3) */
void fx_put_ymm(const struct fpu *, uint8_t *part, unsigned n);
void fx_get_ymm(struct fpu *, const uint8_t *part, unsigned n);
void fpu_init_ymm(struct fpu *, unsigned n);

/* Sets or clears ES and B by the flags and masks (SDM 1 8.1.3.3) */
static inline void fsw_update_es(struct fpu *f)
{
	f->fsw &= (uint16_t)~(FSW_ES | FSW_B);
	if (f->fsw & ~f->fcw & 0x3f)
		f->fsw |= FSW_ES | FSW_B;
}

#endif
