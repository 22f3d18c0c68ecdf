/* cpuid.h - which processor guests see: CPUID, and from the same facts what decodes and which
 * control bits exist. What is not offered here raises #UD or #GP. */
#ifndef SOFT_CPUID_H
#define SOFT_CPUID_H

#include "engine/soft/cpu.h"

#define CPUID_PHYS_BITS 46
#define CPUID_LIN_BITS 48

static inline bool cpu_has(const struct cpu *c, enum feature f) { return c->features >> f & 1; }

/* Values of EAX, EBX, ECX, EDX for a leaf; as on Intel's processors, leaves beyond the last give the last
 * basic one's. Asks the host for the APIC's state, nothing of it traps to the hypervisor below us. */
void cpuid_get(const struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t r[4]);

/* Bits of CR4 that may be set */
uint64_t cpuid_cr4_mask(const struct cpu *c);

#endif
