/* msr.h - model-specific registers. */
#ifndef SOFT_MSR_H
#define SOFT_MSR_H

#include "engine/soft/cpu.h"

#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define APIC_BASE_ENABLE (1u << 11)

/* 0, or -EINVAL where the access raises #GP(0): no such MSR, a value that is not allowed. The vcpu's own thread. */
int msr_read(struct cpu *, uint32_t msr, uint64_t *val);
int msr_write(struct cpu *, uint32_t msr, uint64_t val);

/* The APIC's MSRs, which are the machine's. -EINVAL without an APIC too. */
int msr_read_apic(const struct cpu *, uint32_t msr, uint64_t *val);

#endif
