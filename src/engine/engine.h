/* engine.h - what a CPU engine gives, and what the machine gives to it.
 *
 * The machine never learns which engine it has. An engine executes guest code and
 * calls struct vm_host for everything that is not CPU or RAM: ports, MMIO, the local
 * APIC where the engine has none of its own. run() returns only when the vcpu's thread
 * has something to decide. */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct memmap;
struct x86_state;
struct engine_vm; /* each engine's own */
struct vcpu;      /* each engine's own */

enum exit_kind {
	EXIT_HLT,      /* halted; interrupts are enabled or not: see cpu_exit.interruptible */
	EXIT_KICKED,   /* kick() was called */
	EXIT_SHUTDOWN, /* triple fault */
	EXIT_DEBUG,    /* a debugger's breakpoint or step */
	EXIT_FAIL,     /* the engine cannot go on; reason says why */
};

struct cpu_exit {
	enum exit_kind kind;
	bool interruptible; /* EXIT_HLT: RFLAGS.IF was set */
	char reason[160];   /* EXIT_FAIL, EXIT_SHUTDOWN: a sentence for the log */
};

/* What the machine gives to an engine. Called on the vcpu's own thread; `cpu` is the vcpu's
 * number. Port and memory accesses have size 1, 2, 4 (or 8 for memory) and complete at once. */
struct vm_host {
	void *ctx;
	uint32_t (*pio_read)(void *ctx, unsigned cpu, uint16_t port, unsigned size);
	void (*pio_write)(void *ctx, unsigned cpu, uint16_t port, unsigned size, uint32_t val);
	uint64_t (*mmio_read)(void *ctx, unsigned cpu, uint64_t gpa, unsigned size);
	void (*mmio_write)(void *ctx, unsigned cpu, uint64_t gpa, unsigned size, uint64_t val);

	/* For engines without a local APIC of their own (caps without ENGINE_CAP_LAPIC). */
	/* Takes the highest deliverable interrupt (LAPIC, then PIC as ExtINT): its vector, or -1. */
	int (*intr_ack)(void *ctx, unsigned cpu);
	/* True if intr_ack would return a vector now. Cheap: one atomic load where nothing is pending. */
	bool (*intr_pending)(void *ctx, unsigned cpu);
	/* Takes a pending NMI: true if there was one. */
	bool (*nmi_ack)(void *ctx, unsigned cpu);
	uint64_t (*cr8_read)(void *ctx, unsigned cpu);
	void (*cr8_write)(void *ctx, unsigned cpu, uint64_t val);
	/* IA32_APIC_BASE, x2APIC MSRs 800h-8FFh, IA32_TSC_DEADLINE. 0, or -EINVAL for #GP. */
	int (*apic_msr_read)(void *ctx, unsigned cpu, uint32_t msr, uint64_t *val);
	int (*apic_msr_write)(void *ctx, unsigned cpu, uint32_t msr, uint64_t val);
};

struct vm_config {
	struct memmap *mem;         /* outlives the VM; constant while vcpus run */
	const struct vm_host *host; /* outlives the VM */
	unsigned ncpus;
	const char *cpu;            /* the processor's model and features as --cpu has them; NULL: the default */
};

/* caps */
#define ENGINE_CAP_LAPIC 1u /* local APIC, IOAPIC and PIC are the engine's */

struct engine_ops {
	const char *name; /* "kvm", "hvf", "soft" */
	const char *what; /* a few words for --help and the choice's explanation */
	/* 0, or -errno with a reason for the user why this engine does not work here */
	int (*probe)(struct err *e);
	int (*vm_create)(const struct vm_config *cfg, struct engine_vm **out, struct err *e);
	void (*vm_destroy)(struct engine_vm *); /* accepts NULL; its vcpus are destroyed */
	uint32_t (*caps)(const struct engine_vm *);

	/* On the vcpu's own thread, as are run, get_state, set_state and destroy. */
	int (*vcpu_create)(struct engine_vm *, unsigned id, struct vcpu **out, struct err *e);
	void (*vcpu_destroy)(struct vcpu *); /* accepts NULL */
	/* Runs until an exit. 0 with *out filled, or -errno when the host failed. */
	int (*run)(struct vcpu *, struct cpu_exit *out);
	/* Makes run() return EXIT_KICKED soon, or at once when it is entered next. Any thread; never lost. */
	void (*kick)(struct vcpu *);
	/* Tells a running vcpu that intr_pending or nmi_ack has changed. Any thread; does not leave run(). */
	void (*notify)(struct vcpu *);
	int (*get_state)(struct vcpu *, struct x86_state *out);
	int (*set_state)(struct vcpu *, const struct x86_state *);
	/* The guest's TSC on that vcpu now, and its frequency, for the local APIC's deadline timer.
	 * tsc_now: on the vcpu's thread or while it is stopped. NULL with ENGINE_CAP_LAPIC. */
	uint64_t (*tsc_now)(struct vcpu *);
	uint64_t (*tsc_khz)(const struct engine_vm *);
	/* A device wrote guest RAM at [gpa, gpa+len): code translated from there is stale. Any thread. */
	void (*mem_written)(struct engine_vm *, uint64_t gpa, uint64_t len);
};

/* All engines built in, best first, NULL-terminated */
extern const struct engine_ops *const engines[];

extern const struct engine_ops soft_engine;

/* The engine called @name ("auto": the first whose probe succeeds). On success *why is a sentence
 * such as "soft: kvm: /dev/kvm does not exist" for the user; it lies in why_buf. */
int engine_choose(const char *name, const struct engine_ops **out, char *why_buf, unsigned why_len, struct err *e);

#endif
