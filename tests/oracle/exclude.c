/* exclude.c - what cannot be compared with the host, each with its reason. */
#include <stddef.h>

#include "engine/soft/fp.h"
#include "engine/x86/state.h"
#include "oracle.h"

static const struct {
	uint16_t op;
	const char *why;
} excluded[] = {
	/* results that differ by nature */
	{ OP_CPUID, "the guest's processor is another one" },
	{ OP_XGETBV, "the guest's XCR0 is another one" },
	{ OP_RDTSC, "time" },
	{ OP_RDTSCP, "time" },
	{ OP_RDPMC, "host policy (CR4.PCE)" },
	{ OP_RDRAND, "random" },
	{ OP_RDSEED, "random" },
	{ OP_RDPID, "the host's IA32_TSC_AUX" },
	{ OP_RDPKRU, "host policy (CR4.PKE)" },
	{ OP_WRPKRU, "host policy (CR4.PKE)" },
	/* that ask for the host's kernel, or its hypervisor */
	{ OP_SYSCALL, "system call" },
	{ OP_SYSENTER, "vendors differ in 64-bit mode" },
	{ OP_SYSEXIT, "vendors differ in 64-bit mode" },
	{ OP_SYSRET, "vendors differ in the check order" },
	{ OP_INT, "delivers through the host's IDT" },
	{ OP_INT3, "delivers through the host's IDT" },
	{ OP_INT1, "delivers through the host's IDT" },
	{ OP_VMCALL, "hypercall" },
	{ OP_VMMCALL, "hypercall" },
	{ OP_RSM, "vendors differ" },
	{ OP_MONITOR, "vendors differ at CPL 3" },
	{ OP_MWAIT, "vendors differ at CPL 3" },
	/* that read or load the host's segments: tests/guest has them */
	{ OP_MOV_TO_SREG, "loads from the host's GDT" },
	{ OP_POP_SREG, "loads from the host's GDT" },
	{ OP_LFS, "loads from the host's GDT" },
	{ OP_LGS, "loads from the host's GDT" },
	{ OP_LSS, "loads from the host's GDT" },
	{ OP_LAR, "reads the host's GDT" },
	{ OP_LSL, "reads the host's GDT" },
	{ OP_VERR, "reads the host's GDT" },
	{ OP_VERW, "reads the host's GDT" },
	{ OP_SGDT, "host policy (CR4.UMIP)" },
	{ OP_SIDT, "host policy (CR4.UMIP)" },
	{ OP_SLDT, "host policy (CR4.UMIP)" },
	{ OP_STR, "host policy (CR4.UMIP)" },
	{ OP_SMSW, "host policy (CR4.UMIP)" },
	{ OP_IRET, "far transfer by the host's GDT" },
	{ OP_RETF, "far transfer by the host's GDT" },
	{ OP_JMPF, "far transfer by the host's GDT" },
	{ OP_CALLF, "far transfer by the host's GDT" },
	{ OP_RDFSBASE, "host policy (CR4.FSGSBASE), and the test's own FS" },
	{ OP_RDGSBASE, "host policy (CR4.FSGSBASE), and the test's own FS" },
	{ OP_WRFSBASE, "host policy (CR4.FSGSBASE), and the test's own FS" },
	{ OP_WRGSBASE, "host policy (CR4.FSGSBASE), and the test's own FS" },
	/* #UD or #GP at CPL 3 by features the host may not have */
	{ OP_CLAC, "the host may lack SMAP" },
	{ OP_STAC, "the host may lack SMAP" },
	{ OP_INVPCID, "the host may lack it" },
	{ OP_XSAVES, "the host may lack it" },
	{ OP_XRSTORS, "the host may lack it" },
};

const char *exclude_reason(const struct insn *i)
{
	for (unsigned n = 0; n < sizeof(excluded) / sizeof(excluded[0]); n++)
		if (excluded[n].op == i->op)
			return excluded[n].why;
	if ((i->flags & (IF_BRANCH | IF_OSZ)) == (IF_BRANCH | IF_OSZ))
		return "vendors differ: 66 with near branches in 64-bit mode";
	if (i->op == OP_FSTP && i->o[0].kind == O_ST && (i->cc & 7) == 1)
		return "D9 D8 signals no stack fault on AMD's";
	if (i->op == OP_MOVSXD && i->osz == 2 && i->o[1].kind == O_MEM)
		return "vendors differ: reads 16 bits or 32";
	if (i->op == OP_CVTPI2PS && i->o[1].kind == O_MEM)
		return "vendors differ: a memory operand takes x87 to MMX state or not";
	if (i->flags & IF_EVEX)
		return "EVEX is not implemented";
	return NULL;
}
