/* state.h - the complete architectural state of one x86-64 processor.
 *
 * What get_state fills and set_state takes, on every engine alike: boot code starts a
 * vcpu with it, tests compare engines by it, snapshots store it. Segment attributes use
 * VMX's layout (SDM 3C 24.4.1). */
#ifndef X86_STATE_H
#define X86_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { ES, CS, SS, DS, FS, GS, SEG_COUNT };

/* Segment attributes: type[3:0] S[4] DPL[6:5] P[7] AVL[12] L[13] D/B[14] G[15] unusable[16] */
#define SEG_TYPE 0xfu
#define SEG_S (1u << 4)
#define SEG_DPL_SHIFT 5
#define SEG_P (1u << 7)
#define SEG_AVL (1u << 12)
#define SEG_L (1u << 13)
#define SEG_DB (1u << 14)
#define SEG_G (1u << 15)
#define SEG_UNUSABLE (1u << 16)

struct x86_seg {
	uint64_t base;
	uint32_t limit; /* in bytes, G already applied */
	uint32_t attr;
	uint16_t sel;
};

struct x86_table { uint64_t base; uint16_t limit; };

enum x86_mp_state { MP_RUNNABLE, MP_HALTED, MP_WAIT_FOR_SIPI };

#define X86_XSAVE_MAX 4096 /* x87, SSE, AVX, AVX-512, PKRU in the standard layout: 2696 */

struct x86_state {
	uint64_t gpr[16];
	uint64_t rip, rflags;
	struct x86_seg seg[SEG_COUNT], tr, ldtr;
	struct x86_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, xcr0;
	uint64_t dr[4], dr6, dr7;

	/* MSRs that have a place of their own */
	uint64_t efer, star, lstar, cstar, fmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, apic_base, tsc, tsc_adjust, tsc_aux, tsc_deadline, xss, spec_ctrl, misc_enable;
	uint64_t mtrr_def, mtrr_fixed[11], mtrr_var[16];
	uint64_t kvm_wall_clock, kvm_system_time;

	/* Events: what was being delivered, and what holds interrupts back */
	bool shadow_sti, shadow_mov_ss, nmi_masked, nmi_pending;
	bool exc_pending, exc_has_error;
	uint8_t exc_vector;
	uint32_t exc_error;
	uint8_t mp_state; /* enum x86_mp_state */

	/* XSAVE area in the standard (not compacted) format of SDM 1 13.4 */
	uint8_t xsave[X86_XSAVE_MAX] __attribute__((aligned(64)));
};

/* RFLAGS */
#define FL_CF (1u << 0)
#define FL_PF (1u << 2)
#define FL_AF (1u << 4)
#define FL_ZF (1u << 6)
#define FL_SF (1u << 7)
#define FL_TF (1u << 8)
#define FL_IF (1u << 9)
#define FL_DF (1u << 10)
#define FL_OF (1u << 11)
#define FL_IOPL (3u << 12)
#define FL_NT (1u << 14)
#define FL_RF (1u << 16)
#define FL_VM (1u << 17)
#define FL_AC (1u << 18)
#define FL_VIF (1u << 19)
#define FL_VIP (1u << 20)
#define FL_ID (1u << 21)
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

/* CR0, CR4, EFER (SDM 3A 2.5) */
#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_MCE (1u << 6)
#define CR4_PGE (1u << 7)
#define CR4_PCE (1u << 8)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP (1u << 11)
#define CR4_FSGSBASE (1u << 16)
#define CR4_PCIDE (1u << 17)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define CR4_PKE (1u << 22)

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

/* DR6, DR7 (SDM 3B 17.2) */
#define DR6_BD (1u << 13)
#define DR6_BS (1u << 14)
#define DR6_BT (1u << 15)
#define DR6_FIXED 0xffff0ff0u /* bits that read as ones */
#define DR7_GD (1u << 13)
#define DR7_FIXED 0x400u

/* Exception vectors (SDM 3A 6.3.1) */
enum { EXC_DE, EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR, EXC_UD, EXC_NM, EXC_DF, EXC_TS = 10,
       EXC_NP, EXC_SS, EXC_GP, EXC_PF, EXC_MF = 16, EXC_AC, EXC_MC, EXC_XM };

/* Page-fault error code */
#define PF_P 1u
#define PF_W 2u
#define PF_U 4u
#define PF_RSVD 8u
#define PF_I 16u
#define PF_PK 32u

/* Fills *s with the state after RESET (SDM 3A 9.1.1): real mode at F000:FFF0. */
void x86_state_reset(struct x86_state *s);

#endif
