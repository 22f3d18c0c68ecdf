/* state.c - struct x86_state from and to a processor of the software CPU.
 *
 * What the local APIC holds (IA32_APIC_BASE, CR8, IA32_TSC_DEADLINE) is the machine's: it is
 * reported here, but set and restored with the APIC itself. Exceptions are never left pending
 * between two runs, nor are NMIs, which wait in the APIC. */
#include <errno.h>

#include "engine/soft/fp.h"
#include "engine/soft/msr.h"
#include "engine/soft/soft.h"
#include "engine/soft/sys.h"
#include "engine/soft/tsc.h"

/* Fields of the same name and type on both sides */
#define SAME_FIELDS(X) \
	X(rip) X(tr) X(ldtr) X(gdt) X(idt) X(cr0) X(cr2) X(cr3) X(cr4) X(xcr0) X(dr6) X(dr7) X(efer) X(star) X(lstar) \
	X(cstar) X(fmask) X(kernel_gs_base) X(sysenter_cs) X(sysenter_esp) X(sysenter_eip) X(pat) X(tsc_adjust) \
	X(tsc_aux) X(xss) X(spec_ctrl) X(misc_enable) X(mtrr_def) X(kvm_wall_clock) X(kvm_system_time) X(nmi_masked)
#define SAME_ARRAYS(X) X(seg) X(dr) X(mtrr_fixed) X(mtrr_var)

int soft_get_state(struct cpu *c, struct x86_state *s)
{
	const struct vm_host *h = c->host;

	memset(s, 0, sizeof(*s));
	memcpy(s->gpr, c->gpr, sizeof(s->gpr));
	s->rflags = rflags_get(c);
#define GET(f) s->f = c->f;
#define GET_ARRAY(f) memcpy(s->f, c->f, sizeof(s->f));
	SAME_FIELDS(GET)
	SAME_ARRAYS(GET_ARRAY)
	s->tsc = tsc_guest(c);
	s->apic_base = c->apic_base;
	msr_read_apic(c, MSR_APIC_BASE, &s->apic_base);
	msr_read_apic(c, MSR_TSC_DEADLINE, &s->tsc_deadline);
	if (h && h->cr8_read)
		s->cr8 = h->cr8_read(h->ctx, c->id);
	s->shadow_sti = c->shadow & SHADOW_STI;
	s->shadow_mov_ss = c->shadow & SHADOW_MOV_SS;
	s->mp_state = c->halted ? MP_HALTED : MP_RUNNABLE;
	fpu_to_xsave(c, s->xsave);
	return 0;
}

/* The privilege level lies in SS (SDM 3A 5.5), except in real mode. */
static unsigned state_cpl(const struct x86_state *s)
{
	if (!(s->cr0 & CR0_PE))
		return 0;
	return s->rflags & FL_VM ? 3 : s->seg[SS].attr >> SEG_DPL_SHIFT & 3;
}

/* A counter that reads about what it shall read is left alone, so that what get_state gave brings no drift. */
static int64_t state_tsc_offset(const struct cpu *c, uint64_t tsc)
{
	int64_t off = (int64_t)(tsc - tsc_guest(c)), second = (int64_t)tsc_khz() * 1000;

	return tsc && off < second && off > -second ? c->tsc_offset : tsc_offset_for(tsc);
}

int soft_set_state(struct cpu *c, const struct x86_state *s)
{
	int r;

	if (s->exc_pending)
		return -EINVAL;
	r = fpu_from_xsave(c, s->xsave);
	if (r < 0)
		return r;
	memcpy(c->gpr, s->gpr, sizeof(s->gpr));
	c->gpr[REG_ZERO] = 0;
#define SET(f) c->f = s->f;
#define SET_ARRAY(f) memcpy(c->f, s->f, sizeof(c->f));
	SAME_FIELDS(SET)
	SAME_ARRAYS(SET_ARRAY)
	c->apic_base = s->apic_base;
	c->tsc_offset = state_tsc_offset(c, s->tsc);
	c->shadow = (s->shadow_sti ? SHADOW_STI : 0) | (s->shadow_mov_ss ? SHADOW_MOV_SS : 0);
	c->halted = s->mp_state == MP_HALTED;
	c->exc_vector = -1;
	c->cpl = (uint8_t)state_cpl(s);
	rflags_set(c, s->rflags);
	if ((c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !(c->efer & EFER_LMA) && !cr3_peek_pdptes(c, c->cr3, c->pdpte))
		return -EINVAL;
	cpu_mode_changed(c);
	return 0;
}
