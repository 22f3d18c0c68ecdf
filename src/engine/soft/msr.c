/* msr.c - model-specific registers: those that the processor of cpuid.c has, and KVM's two for
 * its clock. All others raise #GP (SDM 4, chapter 2). */
#include "engine/soft/msr.h"

#include <errno.h>

#include "base/clock.h"
#include "engine/soft/block.h"
#include "engine/soft/cpuid.h"
#include "engine/soft/fp.h"
#include "engine/soft/mmu.h"
#include "engine/soft/sys.h"
#include "engine/soft/tsc.h"

enum {
	MSR_KVM_WALL_OLD = 0x11, MSR_KVM_TIME_OLD = 0x12,
	MSR_TSC = 0x10, MSR_PLATFORM_ID = 0x17, MSR_SMI_COUNT = 0x34, MSR_FEAT_CTL = 0x3a, MSR_TSC_ADJUST = 0x3b,
	MSR_SPEC_CTRL = 0x48, MSR_PRED_CMD = 0x49, MSR_UCODE_REV = 0x8b, MSR_PLATFORM_INFO = 0xce, MSR_MTRR_CAP = 0xfe,
	MSR_ARCH_CAP = 0x10a, MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176,
	MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a, MSR_PERF_STATUS = 0x198, MSR_MISC_ENABLE = 0x1a0,
	MSR_DEBUGCTL = 0x1d9, MSR_MTRR_VAR = 0x200, MSR_MTRR_FIX64K = 0x250, MSR_MTRR_FIX16K = 0x258,
	MSR_MTRR_FIX4K = 0x268, MSR_PAT = 0x277, MSR_MTRR_DEF = 0x2ff, MSR_X2APIC = 0x800, MSR_X2APIC_LAST = 0x8ff,
	MSR_XSS = 0xda0,
};
#define MSR_KVM_WALL 0x4b564d00u
#define MSR_KVM_TIME 0x4b564d01u
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_FMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u

#define MTRR_VAR_COUNT 8u
#define MTRR_CAP (MTRR_VAR_COUNT | 1u << 8 | 1u << 10) /* fixed ranges, write combining */

/* Immune to: Meltdown (0), L1TF (3), SSB (4), MDS (5), page size change (6), TAA (8), MMIO stale data (13-15),
 * BHI (20), PBRSB (24), GDS (26), RFDS (27), ITS (62). Bit 1: IBRS may stay on. */
#define ARCH_CAPABILITIES \
	(1ull << 0 | 1ull << 1 | 1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 8 | 7ull << 13 | 1ull << 20 | \
	 1ull << 24 | 1ull << 26 | 1ull << 27 | 1ull << 62)

#define UCODE_REVISION (0x2b000000ull << 32)
#define SPEC_CTRL_VALID (3ull | 1ull << 10) /* IBRS, STIBP, BHI_DIS_S: nothing here speculates */
#define MISC_ENABLE_FIXED 0x1800ull /* neither BTS nor PEBS */
#define MISC_ENABLE_VALID (1ull | 1ull << 22) /* fast strings, CPUID limit */
#define DEBUGCTL_VALID 3ull
#define EFER_VALID (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

/* --- memory types --- */

static bool mtrr_type_ok(uint64_t t) { return t < 7 && t != 2 && t != 3; }
static bool pat_type_ok(uint64_t t) { return t < 8 && t != 2 && t != 3; }

static bool all_bytes(uint64_t v, bool (*ok)(uint64_t))
{
	for (unsigned n = 0; n < 8; n++)
		if (!ok(v >> (8 * n) & 0xff))
			return false;
	return true;
}

/* Index into mtrr_fixed: one of 64 KiB ranges, two of 16, eight of 4; or -1 */
static int mtrr_fixed_index(uint32_t msr)
{
	if (msr == MSR_MTRR_FIX64K)
		return 0;
	if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1)
		return 1 + (int)(msr - MSR_MTRR_FIX16K);
	if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8)
		return 3 + (int)(msr - MSR_MTRR_FIX4K);
	return -1;
}

static bool mtrr_var_ok(uint32_t msr, uint64_t v)
{
	if (v >> CPUID_PHYS_BITS)
		return false;
	return msr & 1 ? !(v & 0x7ff) : mtrr_type_ok(v & 0xff) && !(v & 0xf00);
}

/* --- KVM's clock: pages in guest memory, written once, because the TSC is constant --- */

static void guest_write(struct cpu *c, uint64_t gpa, const void *buf, unsigned len)
{
	uint8_t *p = soft_phys(c->vm, gpa, len);

	if (!p || soft_phys_readonly(c->vm, gpa) || (gpa & 4095) + len > 4096)
		return;
	memcpy(p, buf, len);
	if (block_covers(c->vm, gpa, len))
		block_written(c->vm, gpa, len);
}

/* struct pvclock_wall_clock: version, seconds, nanoseconds of the moment when system time was 0 */
static void write_wall_clock(struct cpu *c, uint64_t gpa)
{
	uint64_t ns = clock_wall_ns() - tsc_to_ns(tsc_host() - tsc_base());
	uint8_t b[12];

	le32_store(b, 2);
	le32_store(b + 4, (uint32_t)(ns / 1000000000));
	le32_store(b + 8, (uint32_t)(ns % 1000000000));
	guest_write(c, gpa, b, sizeof(b));
}

/* struct pvclock_vcpu_time_info. All processors get the same pair of TSC and system time, so that their
 * clocks agree to the last bit. */
static void write_system_time(struct cpu *c)
{
	uint8_t b[32] = { 0 };
	uint32_t mul;
	int8_t shift;

	if (!(c->kvm_system_time & 1))
		return;
	tsc_pvclock_scale(&mul, &shift);
	le32_store(b, 2); /* version: even, complete */
	le64_store(b + 8, tsc_base() + (uint64_t)c->tsc_offset);
	le64_store(b + 16, 0);
	le32_store(b + 24, mul);
	b[28] = (uint8_t)shift;
	b[29] = 1; /* PVCLOCK_TSC_STABLE_BIT */
	guest_write(c, c->kvm_system_time & ~1ull, b, sizeof(b));
}

/* --- the TSC --- */

/* Moves the guest's counter. An armed deadline is a value of that counter: arming it again makes the
 * APIC's timer fit. */
static void tsc_move(struct cpu *c, uint64_t delta)
{
	const struct vm_host *h = c->host;
	uint64_t deadline;

	c->tsc_offset = (int64_t)((uint64_t)c->tsc_offset + delta);
	c->tsc_adjust += delta;
	write_system_time(c);
	if (msr_read_apic(c, MSR_TSC_DEADLINE, &deadline) == 0 && deadline)
		h->apic_msr_write(h->ctx, c->id, MSR_TSC_DEADLINE, deadline);
}

/* --- EFER --- */

static int efer_write(struct cpu *c, uint64_t v)
{
	uint64_t old = c->efer;

	if (v & ~(uint64_t)EFER_VALID)
		return -EINVAL;
	if (((old ^ v) & EFER_LME) && (c->cr0 & CR0_PG))
		return -EINVAL;
	c->efer = (v & ~(uint64_t)EFER_LMA) | (old & EFER_LMA);
	if ((old ^ c->efer) & EFER_NXE)
		mmu_flush_all(c);
	cpu_mode_changed(c);
	return 0;
}

/* --- reading --- */

int msr_read_apic(const struct cpu *c, uint32_t msr, uint64_t *val)
{
	const struct vm_host *h = c->host;

	return h && h->apic_msr_read ? h->apic_msr_read(h->ctx, c->id, msr, val) : -EINVAL;
}

/* 100 MHz units of the TSC, as bus ratios are given */
static uint64_t bus_ratio(void) { return tsc_khz() / 100000 & 0xff; }

static bool has_tsc_aux(const struct cpu *c) { return cpu_has(c, F_RDTSCP) || cpu_has(c, F_RDPID); }

int msr_read(struct cpu *c, uint32_t msr, uint64_t *val)
{
	int fix = mtrr_fixed_index(msr);

	if (fix >= 0) {
		*val = c->mtrr_fixed[fix];
		return 0;
	}
	if (msr >= MSR_MTRR_VAR && msr < MSR_MTRR_VAR + 2 * MTRR_VAR_COUNT) {
		*val = c->mtrr_var[msr - MSR_MTRR_VAR];
		return 0;
	}
	if (msr >= MSR_X2APIC && msr <= MSR_X2APIC_LAST)
		return msr_read_apic(c, msr, val);
	switch (msr) {
	case MSR_APIC_BASE:
	case MSR_TSC_DEADLINE:
		return msr_read_apic(c, msr, val);
	case MSR_TSC: *val = tsc_guest(c); break;
	case MSR_TSC_ADJUST: *val = c->tsc_adjust; break;
	case MSR_PLATFORM_ID: case MSR_SMI_COUNT: case MSR_MCG_CAP: case MSR_MCG_STATUS: case MSR_DEBUGCTL: *val = 0; break;
	case MSR_FEAT_CTL: *val = 1; break; /* locked, with nothing enabled */
	case MSR_SPEC_CTRL: *val = c->spec_ctrl; break;
	case MSR_UCODE_REV: *val = UCODE_REVISION; break;
	case MSR_PLATFORM_INFO: *val = bus_ratio() << 40 | bus_ratio() << 8; break;
	case MSR_PERF_STATUS: *val = bus_ratio() << 8; break;
	case MSR_MTRR_CAP: *val = MTRR_CAP; break;
	case MSR_ARCH_CAP: *val = ARCH_CAPABILITIES; break;
	case MSR_SYSENTER_CS: *val = c->sysenter_cs; break;
	case MSR_SYSENTER_ESP: *val = c->sysenter_esp; break;
	case MSR_SYSENTER_EIP: *val = c->sysenter_eip; break;
	case MSR_MISC_ENABLE: *val = c->misc_enable; break;
	case MSR_PAT: *val = c->pat; break;
	case MSR_MTRR_DEF: *val = c->mtrr_def; break;
	case MSR_XSS: *val = c->xss; return cpu_has(c, F_XSAVES) ? 0 : -EINVAL;
	case MSR_KVM_WALL: case MSR_KVM_WALL_OLD: *val = c->kvm_wall_clock; break;
	case MSR_KVM_TIME: case MSR_KVM_TIME_OLD: *val = c->kvm_system_time; break;
	case MSR_EFER: *val = c->efer; break;
	case MSR_STAR: *val = c->star; break;
	case MSR_LSTAR: *val = c->lstar; break;
	case MSR_CSTAR: *val = c->cstar; break;
	case MSR_FMASK: *val = c->fmask; break;
	case MSR_FS_BASE: *val = c->seg[FS].base; break;
	case MSR_GS_BASE: *val = c->seg[GS].base; break;
	case MSR_KERNEL_GS_BASE: *val = c->kernel_gs_base; break;
	case MSR_TSC_AUX: *val = c->tsc_aux; return has_tsc_aux(c) ? 0 : -EINVAL;
	default: return -EINVAL;
	}
	return 0;
}

/* --- writing --- */

static int put(uint64_t *field, uint64_t v, bool ok)
{
	if (!ok)
		return -EINVAL;
	*field = v;
	return 0;
}

static int put_base(struct cpu *c, unsigned seg, uint64_t v)
{
	if (!is_canonical48(v))
		return -EINVAL;
	c->seg[seg].base = v;
	seg_changed(c, seg);
	return 0;
}

/* Registers that take a few values without effect */
static int accept(bool ok) { return ok ? 0 : -EINVAL; }

int msr_write(struct cpu *c, uint32_t msr, uint64_t v)
{
	const struct vm_host *h = c->host;
	int fix = mtrr_fixed_index(msr);

	if (fix >= 0)
		return put(&c->mtrr_fixed[fix], v, all_bytes(v, mtrr_type_ok));
	if (msr >= MSR_MTRR_VAR && msr < MSR_MTRR_VAR + 2 * MTRR_VAR_COUNT)
		return put(&c->mtrr_var[msr - MSR_MTRR_VAR], v, mtrr_var_ok(msr, v));
	if ((msr >= MSR_X2APIC && msr <= MSR_X2APIC_LAST) || msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE)
		return h && h->apic_msr_write ? h->apic_msr_write(h->ctx, c->id, msr, v) : -EINVAL;
	switch (msr) {
	case MSR_TSC:
		tsc_move(c, v - tsc_guest(c));
		return 0;
	case MSR_TSC_ADJUST:
		tsc_move(c, v - c->tsc_adjust);
		return 0;
	case MSR_SPEC_CTRL: return put(&c->spec_ctrl, v, !(v & ~SPEC_CTRL_VALID));
	case MSR_PRED_CMD: return accept(!(v & ~1ull));
	case MSR_UCODE_REV: case MSR_MCG_STATUS: return accept(v == 0);
	case MSR_DEBUGCTL: return accept(!(v & ~DEBUGCTL_VALID));
	case MSR_SYSENTER_CS: return put(&c->sysenter_cs, (uint32_t)v, true);
	case MSR_SYSENTER_ESP: return put(&c->sysenter_esp, v, is_canonical48(v));
	case MSR_SYSENTER_EIP: return put(&c->sysenter_eip, v, is_canonical48(v));
	case MSR_MISC_ENABLE: return put(&c->misc_enable, (v & MISC_ENABLE_VALID) | MISC_ENABLE_FIXED, true);
	case MSR_PAT: return put(&c->pat, v, all_bytes(v, pat_type_ok));
	case MSR_MTRR_DEF: return put(&c->mtrr_def, v, mtrr_type_ok(v & 0xff) && !(v & ~0xcffull));
	case MSR_XSS: return put(&c->xss, v, v == 0 && cpu_has(c, F_XSAVES)); /* no supervisor state component exists */
	case MSR_KVM_WALL: case MSR_KVM_WALL_OLD:
		c->kvm_wall_clock = v;
		write_wall_clock(c, v);
		return 0;
	case MSR_KVM_TIME: case MSR_KVM_TIME_OLD:
		c->kvm_system_time = v;
		write_system_time(c);
		return 0;
	case MSR_EFER: return efer_write(c, v);
	case MSR_STAR: return put(&c->star, v, true);
	case MSR_LSTAR: return put(&c->lstar, v, is_canonical48(v));
	case MSR_CSTAR: return put(&c->cstar, v, is_canonical48(v));
	case MSR_FMASK: return put(&c->fmask, (uint32_t)v, true);
	case MSR_FS_BASE: return put_base(c, FS, v);
	case MSR_GS_BASE: return put_base(c, GS, v);
	case MSR_KERNEL_GS_BASE: return put(&c->kernel_gs_base, v, is_canonical48(v));
	case MSR_TSC_AUX: return put(&c->tsc_aux, v, !(v >> 32) && has_tsc_aux(c));
	default: return -EINVAL;
	}
}
