/* cpu.h - one virtual processor of the software CPU: its state and the services that
 * instruction families share (exceptions, flags, memory live in exc.h, flags.h, mmu.h).
 *
 * Only the vcpu's own thread touches struct cpu, except the fields marked atomic. */
#ifndef SOFT_CPU_H
#define SOFT_CPU_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "engine/engine.h"
#include "engine/soft/insn.h"
#include "engine/x86/state.h"

/* How the arithmetic flags follow from cc_a, cc_b, cc_r; see flags.h */
enum cc_kind { CC_FLAGS, CC_SUB, CC_ADD, CC_INC, CC_DEC };

/* A vector register; x86 hosts and guests agree on the layout. */
union vreg {
	uint8_t b[64];
	uint16_t w[32];
	uint32_t d[16];
	uint64_t q[8];
	float f32[16];
	double f64[8];
} __attribute__((aligned(64)));

/* An x87 register: 80 bits in memory order, 6 bytes unused. MMX register n is the low 8
 * bytes of physical register n. */
struct x87_reg {
	uint64_t mant;
	uint16_t exp; /* sign and exponent */
} __attribute__((aligned(16)));

struct fpu {
	struct x87_reg r[8]; /* by physical number; ST(i) is r[(TOP + i) & 7] */
	uint16_t fcw, fsw;   /* TOP lives in fsw[13:11] */
	uint8_t ftw;         /* abridged tag word: bit n set = physical register n not empty */
	uint16_t fop;
	uint64_t fip, fdp;   /* 64-bit, or selector << 32 | offset as FXSAVE without REX.W stores them */
	uint16_t fcs, fds;
	uint32_t mxcsr;
	union vreg v[32];
	uint64_t k[8];
};

#define DROPS_MAX 16

struct tlb; /* mmu.h */
struct tlb_state;
struct jump_entry;
struct soft_vm;

struct cpu {
	/* What nearly every instruction touches */
	uint64_t gpr[REG_FILE]; /* 16: always 0; 17: RIP of the first instruction of the running block */
	uint64_t cc_a, cc_b, cc_r; /* sign-extended to 64 bits from the operation's size */
	uint8_t cc_kind;
	uint8_t cc_cf;          /* CC_INC, CC_DEC: the carry that was there before */
	uint8_t cpl;
	uint8_t code;           /* enum code_size, from CS and EFER.LMA */
	uint8_t fp_sse_trap;    /* SSE instructions fault now: #UD or #NM (fp.h) */
	uint8_t fp_arith_slow;  /* fp_sse_trap, or MXCSR unmasks an exception (fp.h) */
	uint8_t fp_x87_trap;    /* x87 and MMX instructions fault now: #NM or #UD (fp.h) */
	uint8_t fp_avx_trap;    /* VEX vector instructions fault now: #UD or #NM (fp.h) */
	uint8_t fp_avx_slow;    /* fp_avx_trap, or MXCSR unmasks an exception (fp.h) */
	_Atomic uint32_t exitreq; /* EXITREQ_*: looked at between blocks; any thread may set bits */
	struct tlb *tlb;        /* the bank for explicit accesses in the present mode */
	uintptr_t sp_low;       /* the host stack's budget for chained handlers ends here: block.h */
	uint64_t sp_mask;       /* stack address size: 0xffff, 0xffffffff, ~0 */
	uint64_t lin_mask;      /* linear addresses wrap at 32 bits outside 64-bit mode */
	uint64_t sbase[8];      /* bases in effect by segment number: 0 for ES CS SS DS in 64-bit mode */
	uint8_t scheck[8];      /* nonzero: seg_check_slow must look at this segment's limit or rights */
	uint64_t rflags;        /* all but the arithmetic flags, bit 1 set; those are in cc_* */

	/* Architectural state off the fast path */
	uint64_t rip;           /* valid between blocks only */
	struct x86_seg seg[SEG_COUNT], tr, ldtr;
	struct x86_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, xcr0, efer;
	uint64_t pdpte[4];      /* PAE paging outside long mode: loaded with CR3 (SDM 3A 4.4.1) */
	uint64_t dr[4], dr6, dr7;
	uint32_t pkru;          /* rights by protection key: bit 2n no access, bit 2n + 1 no writes */
	uint64_t star, lstar, cstar, fmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, apic_base, tsc_adjust, tsc_aux, xss, spec_ctrl, misc_enable;
	uint64_t mtrr_def, mtrr_fixed[11], mtrr_var[16];
	uint64_t kvm_wall_clock, kvm_system_time;
	int64_t tsc_offset;     /* guest TSC = host TSC + offset (tsc.h) */
	struct fpu fpu;
	union vreg fp_tmp;      /* a memory operand that a slow path has loaded (avx.h) */
	uint64_t features;      /* bit n: CPUID offers enum feature n */

	/* Delivery and control */
	uint8_t shadow;         /* SHADOW_*: set by STI, MOV SS, POP SS for exactly one instruction */
	bool nmi_masked;
	bool halted;
	uint32_t pauses;        /* PAUSE instructions executed */
	bool lock_held;         /* between cpu_lock_begin and cpu_lock_end */
	int exc_vector;         /* exception being delivered, -1 none: for double faults */
	struct {
		int vector;
		uint32_t error;
	} raised;               /* what cpu_raise* left for the run loop to deliver at rip */
	sigjmp_buf *unwind;     /* where cpu_raise continues: the run loop */
	uint8_t exit_kind;      /* why the run loop has to return, with EXITREQ_RETURN */
	char exit_reason[160];

	uint32_t db_hits;       /* data breakpoints (DR6 bits 3:0) hit by the running instruction */

	struct tlb_state *mmu;          /* tlb.h */
	struct jump_entry *jump_cache;  /* block.c: linear address to block */
	uint64_t jump_ctx;              /* block.c: what an entry must carry to be valid now */
	struct insn *single;            /* block.c: one instruction, for stepping */

	/* smp.c */
	_Atomic uint32_t epoch;     /* soft_vm.epoch at the last safe point */
	pthread_mutex_t drop_lock;  /* guards the three below; a leaf */
	bool parked;                /* not running: others may drop W entries themselves */
	unsigned ndrops;            /* DROPS_MAX + 1: more than the list holds */
	uint64_t drops[DROPS_MAX];  /* pages whose W entries have to go */

	unsigned id;
	struct soft_vm *vm;
	const struct vm_host *host;
};

#define EXITREQ_KICK   1u /* leave run(): kick() */
#define EXITREQ_INTR   2u /* look at interrupts: notify(), IF set, end of a shadow */
#define EXITREQ_RETURN 4u /* leave run(): exit_kind is set (own thread) */
#define EXITREQ_STEP   8u /* TF, shadows, code breakpoints: go by single instructions */
#define EXITREQ_SAFE   16u /* come to smp_safe_point */

#define SHADOW_STI 1
#define SHADOW_MOV_SS 2 /* also holds back #DB */

/* RIP of instruction i, and of the one behind it */
static inline uint64_t insn_rip(const struct cpu *c, const struct insn *i) { return c->gpr[REG_IP] + i->off; }
static inline uint64_t insn_next_rip(const struct cpu *c, const struct insn *i)
{
	uint64_t rip = c->gpr[REG_IP] + i->off + i->len;
	return c->code == CODE_64 ? rip : c->code == CODE_32 ? (uint32_t)rip : (uint16_t)rip;
}

/* Register operands by byte offset (struct opnd.reg of O_GPR) */
#define R8(c, off)  (*(uint8_t *)((char *)(c)->gpr + (off)))
#define R16(c, off) (*(uint16_t *)((char *)(c)->gpr + (off)))
#define R32(c, off) (*(uint32_t *)((char *)(c)->gpr + (off)))
#define R64(c, off) (*(uint64_t *)((char *)(c)->gpr + (off)))
/* A 32-bit register write clears the upper half: W32 is the only way to do it. */
#define W32(c, off, v) (R64(c, off) = (uint32_t)(v))

static inline bool long_mode(const struct cpu *c) { return c->efer & EFER_LMA; }
static inline bool protected_mode(const struct cpu *c) { return c->cr0 & CR0_PE; }
static inline bool vm86_mode(const struct cpu *c) { return c->rflags & FL_VM; }

/* Recomputes what follows from segments, CR0, CR4, EFER, RFLAGS, CPL: code, sp_mask, lin_mask,
 * sbase, scheck, tlb bank, EXITREQ_STEP. Call it after changing any of them. */
void cpu_mode_changed(struct cpu *);

#endif
