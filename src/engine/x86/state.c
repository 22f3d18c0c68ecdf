/* state.c - the state of a processor after RESET (SDM 3A table 9-1). */
#include "engine/x86/state.h"

#include <string.h>

#define XSAVE_FCW 0
#define XSAVE_MXCSR 24
#define XSAVE_BV 512

#define ATTR_DATA16 (3u | SEG_S | SEG_P)  /* writable, accessed */
#define ATTR_CODE16 (0xbu | SEG_S | SEG_P)
#define ATTR_LDT (2u | SEG_P)
#define ATTR_TSS (0xbu | SEG_P)           /* busy */

void x86_state_reset(struct x86_state *s)
{
	memset(s, 0, sizeof(*s));
	s->rip = 0xfff0;
	s->rflags = 2;
	s->gpr[RDX] = 0x000806f8; /* the processor's signature, as CPUID 1 says it */
	for (unsigned n = 0; n < SEG_COUNT; n++)
		s->seg[n] = (struct x86_seg){ .limit = 0xffff, .attr = ATTR_DATA16 };
	s->seg[CS] = (struct x86_seg){ .base = 0xffff0000, .limit = 0xffff, .attr = ATTR_CODE16, .sel = 0xf000 };
	s->tr = (struct x86_seg){ .limit = 0xffff, .attr = ATTR_TSS };
	s->ldtr = (struct x86_seg){ .limit = 0xffff, .attr = ATTR_LDT };
	s->gdt.limit = s->idt.limit = 0xffff;
	s->cr0 = CR0_ET | CR0_CD | CR0_NW;
	s->xcr0 = 1;
	s->dr6 = DR6_FIXED;
	s->dr7 = DR7_FIXED;
	s->pat = 0x0007040600070406;
	s->apic_base = 0xfee00900; /* enabled, of the bootstrap processor */
	s->misc_enable = 0x1801;   /* fast strings; neither BTS nor PEBS */

	/* FCW 0040h, MXCSR 1F80h, all registers zero and marked empty; both components are there to be loaded */
	s->xsave[XSAVE_FCW] = 0x40;
	s->xsave[XSAVE_MXCSR] = 0x80;
	s->xsave[XSAVE_MXCSR + 1] = 0x1f;
	s->xsave[XSAVE_BV] = 3;
}
