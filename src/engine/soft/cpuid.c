/* cpuid.c - the processor that guests see: a GenuineIntel of family 6, model 8Fh. Linux knows
 * that model as free of the classic side-channel bugs, and enables nothing against them. */
#include "engine/soft/cpuid.h"

#include "engine/soft/fp.h"
#include "engine/soft/msr.h"
#include "engine/soft/soft.h"
#include "engine/soft/tsc.h"

#define SIGNATURE 0x000806f8u /* family 6, model 8Fh, stepping 8 */
#define BASIC_MAX 0x1fu
#define HYPER_BASE 0x40000000u
#define HYPER_MAX 0x40000010u
#define EXTENDED_BASE 0x80000000u
#define EXTENDED_MAX 0x80000008u

#define BIT(n) (1ull << (n))

/* Where CPUID shows a feature */
enum { EAX, EBX, ECX, EDX };
struct bit {
	uint8_t feature; /* enum feature; F_BASE: always there */
	uint8_t reg, bit;
};

static const struct bit leaf1_bits[] = {
	{ F_SSE3, ECX, 0 }, { F_PCLMUL, ECX, 1 }, { F_MONITOR, ECX, 3 }, { F_SSSE3, ECX, 9 }, { F_FMA, ECX, 12 },
	{ F_CX16, ECX, 13 }, { F_PCID, ECX, 17 }, { F_SSE41, ECX, 19 }, { F_SSE42, ECX, 20 },
	{ F_BASE, ECX, 21 } /* x2APIC */, { F_MOVBE, ECX, 22 }, { F_POPCNT, ECX, 23 },
	{ F_BASE, ECX, 24 } /* TSC-deadline */, { F_AES, ECX, 25 }, { F_XSAVE, ECX, 26 }, { F_AVX, ECX, 28 },
	{ F_F16C, ECX, 29 }, { F_RDRAND, ECX, 30 }, { F_BASE, ECX, 31 } /* hypervisor */,
	{ F_X87, EDX, 0 }, { F_BASE, EDX, 2 } /* DE */, { F_BASE, EDX, 3 } /* PSE */, { F_BASE, EDX, 4 } /* TSC */,
	{ F_BASE, EDX, 5 } /* MSR */, { F_BASE, EDX, 6 } /* PAE */, { F_BASE, EDX, 7 } /* MCE */,
	{ F_BASE, EDX, 8 } /* CX8 */, { F_BASE, EDX, 11 } /* SEP */, { F_BASE, EDX, 12 } /* MTRR */,
	{ F_BASE, EDX, 13 } /* PGE */, { F_BASE, EDX, 14 } /* MCA */, { F_BASE, EDX, 15 } /* CMOV */,
	{ F_BASE, EDX, 16 } /* PAT */, { F_BASE, EDX, 17 } /* PSE-36 */, { F_CLFLUSH, EDX, 19 }, { F_MMX, EDX, 23 },
	{ F_BASE, EDX, 24 } /* FXSR */, { F_SSE, EDX, 25 }, { F_SSE2, EDX, 26 }, { F_BASE, EDX, 27 } /* self-snoop */,
};

static const struct bit leaf7_bits[] = {
	{ F_FSGSBASE, EBX, 0 }, { F_BASE, EBX, 1 } /* TSC_ADJUST */, { F_BMI1, EBX, 3 }, { F_AVX2, EBX, 5 },
	{ F_SMEP, EBX, 7 }, { F_BMI2, EBX, 8 }, { F_ERMS, EBX, 9 }, { F_INVPCID, EBX, 10 },
	{ F_RDSEED, EBX, 18 }, { F_ADX, EBX, 19 }, { F_SMAP, EBX, 20 }, { F_CLFLUSHOPT, EBX, 23 }, { F_CLWB, EBX, 24 },
	{ F_SHA, EBX, 29 }, { F_UMIP, ECX, 2 }, { F_PKU, ECX, 3 }, { F_VAES, ECX, 9 }, { F_VPCLMUL, ECX, 10 }, { F_RDPID, ECX, 22 },
	{ F_FSRM, EDX, 4 }, { F_BASE, EDX, 26 } /* IBRS, IBPB */, { F_BASE, EDX, 29 } /* ARCH_CAPABILITIES */,
};

static const struct bit extended1_bits[] = {
	{ F_BASE, ECX, 0 } /* LAHF in 64-bit mode */, { F_LZCNT, ECX, 5 }, { F_3DNOWPREFETCH, ECX, 8 },
	{ F_BASE, EDX, 20 } /* NX */, { F_BASE, EDX, 26 } /* 1 GiB pages */, { F_RDTSCP, EDX, 27 },
	{ F_BASE, EDX, 29 } /* long mode */,
};

/* Leaf 4: 48 KiB L1D, 32 KiB L1I, 2 MiB L2 of each core, 16 MiB L3 of all */
struct cache {
	uint8_t type, level; /* 1 data, 2 instruction, 3 unified */
	uint16_t ways;
	uint32_t sets;
};
static const struct cache caches[] = { { 1, 1, 12, 64 }, { 2, 1, 8, 64 }, { 3, 2, 16, 2048 }, { 3, 3, 16, 16384 } };

static const char vendor[] = "GenuineIntel"; /* in EBX, EDX, ECX */
static const char hypervisor[] = "KVMKVMKVM\0\0\0"; /* in EBX, ECX, EDX: whose paravirtual clock is offered */
static const char brand[48] = "Vibe-VMM software CPU";

/* KVM's features: clock at the old and the new MSRs, no delay at port 80h, a clock that is stable over CPUs */
#define KVM_FEATURES (BIT(0) | BIT(1) | BIT(3) | BIT(24))

uint64_t cpuid_cr4_mask(const struct cpu *c)
{
	static const struct {
		uint8_t feature;
		uint32_t bit;
	} bits[] = { { F_UMIP, CR4_UMIP }, { F_FSGSBASE, CR4_FSGSBASE }, { F_PCID, CR4_PCIDE }, { F_XSAVE, CR4_OSXSAVE },
	             { F_SMEP, CR4_SMEP }, { F_SMAP, CR4_SMAP }, { F_PKU, CR4_PKE } };
	uint64_t m = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	for (unsigned n = 0; n < ARRAY_LEN(bits); n++)
		if (cpu_has(c, bits[n].feature))
			m |= bits[n].bit;
	return m;
}

static void set_bits(const struct cpu *c, uint32_t r[4], const struct bit *b, size_t count)
{
	for (; count; count--, b++)
		if (cpu_has(c, b->feature))
			r[b->reg] |= 1u << b->bit;
}

static unsigned ncpus(const struct cpu *c) { return c->vm ? c->vm->ncpus : 1; }

/* Bits of an APIC id that number the cores */
static unsigned core_bits(const struct cpu *c)
{
	unsigned n = 0;
	while (1u << n < ncpus(c))
		n++;
	return n;
}

static void leaf_1(const struct cpu *c, uint32_t r[4])
{
	uint64_t apic_base;

	r[EAX] = SIGNATURE;
	r[EBX] = (c->id & 0xff) << 24 | (1u << core_bits(c)) << 16 | 8 << 8; /* CLFLUSH: 8 * 8 bytes */
	set_bits(c, r, leaf1_bits, ARRAY_LEN(leaf1_bits));
	if (c->cr4 & CR4_OSXSAVE)
		r[ECX] |= 1u << 27;
	if (msr_read_apic(c, MSR_APIC_BASE, &apic_base) < 0 || (apic_base & APIC_BASE_ENABLE))
		r[EDX] |= 1u << 9;
	if (ncpus(c) > 1)
		r[EDX] |= 1u << 28; /* more than one logical processor in the package */
}

static void leaf_4(const struct cpu *c, uint32_t sub, uint32_t r[4])
{
	if (sub >= ARRAY_LEN(caches))
		return;
	const struct cache *k = &caches[sub];
	unsigned sharing = k->level == 3 ? (1u << core_bits(c)) - 1 : 0;
	r[EAX] = k->type | (uint32_t)k->level << 5 | 1 << 8 | sharing << 14 | ((1u << core_bits(c)) - 1) << 26;
	r[EBX] = 63 | (uint32_t)(k->ways - 1) << 22; /* lines of 64 bytes */
	r[ECX] = k->sets - 1;
}

/* One thread per core, all cores in one package */
static void leaf_topology(const struct cpu *c, uint32_t sub, uint32_t r[4])
{
	r[ECX] = sub & 0xff;
	r[EDX] = c->id;
	if (sub == 0) {
		r[EBX] = 1;
		r[ECX] |= 1 << 8;
	} else if (sub == 1) {
		r[EAX] = core_bits(c);
		r[EBX] = ncpus(c);
		r[ECX] |= 2 << 8;
	}
}

/* TSC = crystal * EBX / EAX. The crystal, which also clocks the APIC timer, is the TSC itself; where 32
 * bits do not hold its frequency, guests have to take it from elsewhere. */
static void leaf_tsc(uint32_t r[4])
{
	uint64_t hz = tsc_khz() * 1000;

	r[EAX] = r[EBX] = 1;
	r[ECX] = hz >> 32 ? 0 : (uint32_t)hz;
}

static void leaf_basic(const struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	switch (leaf) {
	case 0:
		r[EAX] = BASIC_MAX;
		r[EBX] = le32_load(vendor);
		r[EDX] = le32_load(vendor + 4);
		r[ECX] = le32_load(vendor + 8);
		break;
	case 1:
		leaf_1(c, r);
		break;
	case 2: /* "see leaf 4" */
		r[EAX] = 0x0000ff01;
		break;
	case 4:
		leaf_4(c, sub, r);
		break;
	case 6: /* the APIC timer runs in all idle states */
		r[EAX] = 1 << 2;
		break;
	case 7:
		if (sub == 0) {
			r[EAX] = 2; /* the last subleaf */
			set_bits(c, r, leaf7_bits, ARRAY_LEN(leaf7_bits));
			if (c->cr4 & CR4_PKE)
				r[ECX] |= 1u << 4; /* OSPKE */
		} else if (sub == 2) {
			/* BHI_CTRL: without it Linux clears the branch history by a loop at each system call; MCDT_NO */
			r[EDX] = 1 << 4 | 1 << 5;
		}
		break;
	case 0xb:
	case 0x1f:
		leaf_topology(c, sub, r);
		break;
	case 0xd:
		fp_cpuid_xsave(c, sub, r);
		break;
	case 0x15:
		leaf_tsc(r);
		break;
	case 0x16: /* MHz: base, maximum, bus */
		r[EAX] = r[EBX] = (uint32_t)(tsc_khz() / 1000);
		r[ECX] = 100;
		break;
	default: /* power management, performance counters and others: nothing there */
		break;
	}
}

static void leaf_hypervisor(uint32_t leaf, uint32_t r[4])
{
	switch (leaf) {
	case HYPER_BASE:
		r[EAX] = HYPER_MAX;
		r[EBX] = le32_load(hypervisor);
		r[ECX] = le32_load(hypervisor + 4);
		r[EDX] = le32_load(hypervisor + 8);
		break;
	case HYPER_BASE + 1:
		r[EAX] = KVM_FEATURES;
		break;
	case HYPER_MAX: /* kHz of the TSC and of the APIC timer */
		r[EAX] = (uint32_t)tsc_khz();
		r[EBX] = r[EAX];
		break;
	}
}

static void leaf_extended(const struct cpu *c, uint32_t leaf, uint32_t r[4])
{
	switch (leaf) {
	case 0x80000000:
		r[EAX] = EXTENDED_MAX;
		break;
	case 0x80000001:
		set_bits(c, r, extended1_bits, ARRAY_LEN(extended1_bits));
		if (c->code == CODE_64)
			r[EDX] |= 1u << 11; /* SYSCALL */
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		for (unsigned n = 0; n < 4; n++)
			r[n] = le32_load(brand + (leaf - 0x80000002) * 16 + n * 4);
		break;
	case 0x80000006: /* the L2 cache: KiB, associativity (8: 16 ways), line size */
		r[ECX] = 2048 << 16 | 8 << 12 | 64;
		break;
	case 0x80000007: /* the TSC's rate never changes */
		r[EDX] = 1 << 8;
		break;
	case 0x80000008:
		r[EAX] = CPUID_LIN_BITS << 8 | CPUID_PHYS_BITS;
		break;
	}
}

void cpuid_get(const struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	r[EAX] = r[EBX] = r[ECX] = r[EDX] = 0;
	if (leaf >= HYPER_BASE && leaf <= HYPER_MAX)
		leaf_hypervisor(leaf, r);
	else if (leaf >= EXTENDED_BASE && leaf <= EXTENDED_MAX)
		leaf_extended(c, leaf, r);
	else
		leaf_basic(c, leaf <= BASIC_MAX ? leaf : BASIC_MAX, sub, r);
}
