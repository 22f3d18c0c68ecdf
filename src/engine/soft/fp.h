/* fp.h - x87, MMX and SSE state: what the rest of the software CPU needs to know of it.
 *
 * The guest's rounding mode, DAZ and FTZ live in the host's MXCSR while guest code runs, with
 * every exception masked; the sticky flags gather there and are merged into fpu.mxcsr when
 * somebody looks. So between fp_enter and fp_leave, code of ours does no floating point of
 * its own. Where the guest has unmasked an exception, each instruction goes the slow way.
 *
 * All functions: the vcpu's own thread. */
#ifndef SOFT_FP_H
#define SOFT_FP_H

#include "engine/soft/cpu.h"

#define MXCSR_FLAGS 0x003fu
#define MXCSR_DAZ   0x0040u
#define MXCSR_MASKS 0x1f80u
#define MXCSR_OM    0x0400u
#define MXCSR_UM    0x0800u
#define MXCSR_FTZ   0x8000u
#define MXCSR_VALID 0xffffu /* what FXSAVE stores as MXCSR_MASK */
#define MXCSR_INIT  0x1f80u

#define FSW_ES 0x0080u
#define FSW_B  0x8000u
#define FCW_INIT 0x037fu

#define XCR0_X87 1u
#define XCR0_SSE 2u
#define XSAVE_LEGACY 512u
#define XSAVE_HEADER 64u
#define XSAVE_AVX 256u /* behind the header */
#define XSAVE_PKRU 8u  /* behind that */

#define XCR0_AVX 4u
#define XCR0_PKRU 0x200u

enum fp_trap { FP_OK, FP_TRAP_NM, FP_TRAP_UD };

/* Recomputes the fp_* bytes of struct cpu from CR0, CR4, XCR0, RFLAGS.VM and MXCSR. Part of cpu_mode_changed. */
static inline void fp_mode_changed(struct cpu *c)
{
	bool ts = c->cr0 & CR0_TS, em = c->cr0 & CR0_EM;
	c->fp_sse_trap = em || !(c->cr4 & CR4_OSFXSR) ? FP_TRAP_UD : ts ? FP_TRAP_NM : FP_OK;
	c->fp_x87_trap = em ? FP_TRAP_UD : ts ? FP_TRAP_NM : FP_OK; /* of MMX; x87 has #NM for both */
	c->fp_arith_slow = c->fp_sse_trap || (~c->fpu.mxcsr & MXCSR_MASKS);
	/* SDM 2A 2.4: VEX needs protected mode, and the system's word that it saves the registers */
	bool vex = (c->cr0 & CR0_PE) && !(c->rflags & FL_VM) && (c->cr4 & CR4_OSXSAVE) && (c->xcr0 & 6) == 6;
	c->fp_avx_trap = !vex ? FP_TRAP_UD : ts ? FP_TRAP_NM : FP_OK;
	c->fp_avx_slow = c->fp_avx_trap || (~c->fpu.mxcsr & MXCSR_MASKS);
}

/* Puts the guest's MXCSR into the host's, and takes it out again. The run loop does this around
 * guest code; an unwound exception leaves it in. */
void fp_enter(struct cpu *);
void fp_leave(struct cpu *);

/* The XSAVE area in the standard format, X86_XSAVE_MAX bytes; every component is stored.
 * Only outside fp_enter/fp_leave. */
void fpu_to_xsave(const struct cpu *, uint8_t *area);
/* Components whose XSTATE_BV bit is clear get their initial values. Illegal MXCSR bits: -EINVAL
 * and nothing changed. */
int fpu_from_xsave(struct cpu *, const uint8_t *area);

/* Bit n: the host can execute what feature n (enum feature) needs. CPUID offers no more. */
uint64_t fp_host_features(void);
/* Bit n: the host's CPUID offers feature n */
uint64_t fp_host_all(void);

/* XCR0 bits a guest may set, and CPUID leaf 0Dh (eax, ebx, ecx, edx) for @sub */
uint64_t fp_xcr0_supported(const struct cpu *);
void fp_cpuid_xsave(const struct cpu *, uint32_t sub, uint32_t regs[4]);

#endif
