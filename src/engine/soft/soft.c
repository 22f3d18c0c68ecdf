/* soft.c - the software engine: its operations, and the loop in which a vcpu runs. */
#include "engine/soft/soft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "engine/soft/block.h"
#include "engine/soft/cpuid.h"
#include "engine/soft/exc.h"
#include "engine/soft/flags.h"
#include "engine/soft/fp.h"
#include "engine/soft/mmu.h"
#include "engine/soft/model.h"
#include "engine/soft/smp.h"
#include "engine/soft/tsc.h"

/* For this engine an engine_vm is a soft_vm and a vcpu is a cpu. */
static struct soft_vm *vm_of(struct engine_vm *v) { return (struct soft_vm *)v; }
static struct cpu *cpu_of(struct vcpu *v) { return (struct cpu *)v; }

/* --- the run loop --- */

#define CHAIN_STACK (64u << 10) /* bytes; a vcpu thread has megabytes */

static void leave(struct cpu *c, enum exit_kind kind)
{
	c->exit_kind = (uint8_t)kind;
	atomic_fetch_or_explicit(&c->exitreq, EXITREQ_RETURN, memory_order_relaxed);
}

/* Delivers what cpu_raise* left behind. A fault on the way unwinds to soft_run, which comes here again. */
static void deliver_raised(struct cpu *c)
{
	int v = c->raised.vector;
	if (unlikely(c->lock_held)) /* another processor unmapped the page in the middle of a locked access */
		cpu_lock_end(c);
	if (c->exc_vector >= 0) {
		int both = exc_combine(c->exc_vector, v);
		if (both < 0) {
			snprintf(c->exit_reason, sizeof(c->exit_reason), "triple fault: exception %d while delivering %d at RIP %#llx",
			         v, c->exc_vector, (unsigned long long)c->rip);
			c->exc_vector = -1;
			leave(c, EXIT_SHUTDOWN);
			return;
		}
		if (both != v) {
			c->raised.vector = both;
			c->raised.error = 0;
		}
	}
	c->exc_vector = c->raised.vector;
	exc_deliver(c, c->raised.vector, EV_FAULT, exc_has_error(c->raised.vector), c->raised.error);
	c->exc_vector = -1;
}

/* An interrupt or NMI: a fault in its delivery is the first exception, not a double fault. */
static void deliver_event(struct cpu *c, int vector)
{
	c->halted = false;
	exc_deliver(c, vector, EV_INTR, false, 0);
}

/* NMIs, then interrupts, where nothing holds them back. True if something was delivered. */
static bool take_events(struct cpu *c)
{
	const struct vm_host *h = c->host;
	if (c->shadow)
		return false;
	if (!c->nmi_masked && h->nmi_ack(h->ctx, c->id)) {
		c->nmi_masked = true;
		deliver_event(c, EXC_NMI);
		return true;
	}
	if ((c->rflags & FL_IF) && h->intr_pending(h->ctx, c->id)) {
		int v = h->intr_ack(h->ctx, c->id);
		if (v >= 0) {
			deliver_event(c, v);
			return true;
		}
	}
	return false;
}

/* DR7 names an instruction breakpoint for the instruction at c->rip: its DR6 bits */
static uint32_t code_breakpoints(const struct cpu *c)
{
	uint64_t lin = (c->sbase[CS] + c->rip) & c->lin_mask;
	uint32_t hits = 0;
	if (c->rflags & FL_RF)
		return 0;
	for (unsigned n = 0; n < 4; n++)
		if ((c->dr7 >> (2 * n) & 3) && !(c->dr7 >> (16 + 4 * n) & 3) && c->dr[n] == lin)
			hits |= 1u << n;
	return hits;
}

/* Executes exactly one instruction, with the traps that follow it */
static void step(struct cpu *c)
{
	bool tf = c->rflags & FL_TF;
	bool held = c->shadow & SHADOW_MOV_SS;
	uint32_t hits = held ? 0 : code_breakpoints(c);

	if (hits) {
		c->dr6 = (c->dr6 & ~0xfull) | hits;
		cpu_raise(c, NULL, EXC_DB, 0);
	}
	const struct insn *i = block_single(c);
	bool rf = c->rflags & FL_RF;
	c->shadow = 0;
	if (!held)
		c->db_hits = 0;
	c->rflags &= ~(uint64_t)FL_RF; /* before: IRET may set it for the instruction it returns to */
	/* handlers go on by themselves; a request makes the end of the single instruction's block come back */
	atomic_fetch_or_explicit(&c->exitreq, EXITREQ_INTR, memory_order_relaxed);
	const struct insn *next = i->fn(c, i);
	if (next == i + 1)
		c->rip = insn_next_rip(c, i);
	if (rf && (i->flags & (IF_REP | IF_REPNE)) && c->rip == insn_rip(c, i))
		c->rflags |= FL_RF; /* until the last iteration */
	if (i->op == OP_INT || i->op == OP_INT3 || i->op == OP_INTO || i->op == OP_INT1 || i->op == OP_SYSCALL)
		tf = tf && (c->rflags & FL_TF); /* the transfer has cleared TF: no trap (SDM 3B 17.3.1.4) */
	/* the shadow of MOV SS puts traps off until after the next instruction */
	if (c->shadow & SHADOW_MOV_SS)
		return;
	if (tf || c->db_hits) {
		c->dr6 = (c->dr6 & ~0xfull) | c->db_hits | (tf ? DR6_BS : 0);
		c->db_hits = 0;
		exc_trap_db(c);
	}
}

/* Runs until something has to be decided between blocks */
static void run_blocks(struct cpu *c)
{
	const struct insn *i = block_lookup(c);
	c->shadow = 0;
	while (i)
		i = i->fn(c, i);
}

/* One turn; false when soft_run has to return, with *out filled. */
static bool turn(struct cpu *c, struct cpu_exit *out)
{
	const struct vm_host *h = c->host;
	uint32_t req = atomic_load_explicit(&c->exitreq, memory_order_acquire);

	if (unlikely(req & ~EXITREQ_STEP)) {
		atomic_fetch_and(&c->exitreq, ~(req & (EXITREQ_KICK | EXITREQ_RETURN | EXITREQ_INTR)));
		if (req & EXITREQ_SAFE)
			smp_safe_point(c);
		if (req & EXITREQ_RETURN) {
			out->kind = c->exit_kind;
			out->interruptible = c->rflags & FL_IF;
			memcpy(out->reason, c->exit_reason, sizeof(out->reason));
			if (req & EXITREQ_KICK) /* not lost: the next run() returns at once */
				atomic_fetch_or(&c->exitreq, EXITREQ_KICK);
			return false;
		}
		if (req & EXITREQ_KICK) {
			out->kind = EXIT_KICKED;
			return false;
		}
	}
	if (take_events(c))
		return true;
	if (unlikely(c->halted)) {
		out->kind = EXIT_HLT;
		out->interruptible = c->rflags & FL_IF;
		return false;
	}
	if (unlikely(req & EXITREQ_STEP) ||
	    unlikely(c->shadow && (c->rflags & FL_IF) && h->intr_pending(h->ctx, c->id)))
		step(c);
	else
		run_blocks(c);
	return true;
}

static int soft_run(struct vcpu *v, struct cpu_exit *out)
{
	struct cpu *c = cpu_of(v);
	sigjmp_buf unwind;

	*out = (struct cpu_exit){ .kind = EXIT_FAIL };
	c->unwind = &unwind;
	c->sp_low = host_sp() - CHAIN_STACK;
	smp_enter(c);
	fp_enter(c);
	if (sigsetjmp(unwind, 0))
		deliver_raised(c);
	while (turn(c, out))
		;
	fp_leave(c);
	smp_leave(c);
	c->unwind = NULL;
	return 0;
}

static void soft_kick(struct vcpu *v) { atomic_fetch_or(&cpu_of(v)->exitreq, EXITREQ_KICK); }
static void soft_notify(struct vcpu *v) { atomic_fetch_or(&cpu_of(v)->exitreq, EXITREQ_INTR); }

/* --- the engine --- */

static int soft_probe(struct err *e)
{
	(void)e; /* no privilege, no device, no processor feature is needed */
	return 0;
}

static void soft_vm_destroy(struct engine_vm *v)
{
	struct soft_vm *vm = vm_of(v);
	if (!vm)
		return;
	block_vm_fini(vm);
	smp_vm_fini(vm);
	free(vm);
}

static int soft_vm_create(const struct vm_config *cfg, struct engine_vm **out, struct err *e)
{
	struct soft_vm *vm;
	uint64_t features;
	int r = model_parse(cfg->cpu, &features, e);

	if (r < 0)
		return r;
	if (cfg->ncpus > SOFT_CPUS_MAX)
		return err_set(e, -EINVAL, "the soft engine runs at most %u CPUs", SOFT_CPUS_MAX);
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return err_set(e, -ENOMEM, "out of memory for the virtual machine");
	vm->mem = cfg->mem;
	vm->host = cfg->host;
	vm->ncpus = cfg->ncpus;
	vm->features = features;
	smp_vm_init(vm);
	if (block_vm_init(vm) < 0) {
		soft_vm_destroy((struct engine_vm *)vm);
		return err_set(e, -ENOMEM, "out of memory for the code cache");
	}
	tsc_init();
	*out = (struct engine_vm *)vm;
	return 0;
}

static uint32_t soft_caps(const struct engine_vm *v)
{
	(void)v;
	return 0;
}

static void soft_vcpu_destroy(struct vcpu *v)
{
	struct cpu *c = cpu_of(v);
	if (!c)
		return;
	c->vm->cpus[c->id] = NULL;
	block_cpu_fini(c);
	mmu_fini(c);
	smp_cpu_fini(c);
	free(c);
}

static int soft_vcpu_create(struct engine_vm *v, unsigned id, struct vcpu **out, struct err *e)
{
	struct soft_vm *vm = vm_of(v);
	struct x86_state reset;
	struct cpu *c = aligned_alloc(64, align_up(sizeof(*c), 64));

	if (!c)
		return err_set(e, -ENOMEM, "out of memory for vcpu %u", id);
	memset(c, 0, sizeof(*c));
	c->id = id;
	c->vm = vm;
	c->host = vm->host;
	c->features = vm->features;
	c->exc_vector = -1;
	smp_cpu_init(c);
	vm->cpus[id] = c;
	if (mmu_init(c) < 0 || block_cpu_init(c) < 0) {
		soft_vcpu_destroy((struct vcpu *)c);
		return err_set(e, -ENOMEM, "out of memory for vcpu %u", id);
	}
	x86_state_reset(&reset);
	soft_set_state(c, &reset);
	*out = (struct vcpu *)c;
	return 0;
}

static int soft_vcpu_get_state(struct vcpu *v, struct x86_state *out) { return soft_get_state(cpu_of(v), out); }

static int soft_vcpu_set_state(struct vcpu *v, const struct x86_state *s)
{
	struct cpu *c = cpu_of(v);
	int r = soft_set_state(c, s);
	mmu_flush_all(c);
	return r;
}

static uint64_t soft_tsc_now(struct vcpu *v) { return tsc_guest(cpu_of(v)); }

static uint64_t soft_tsc_khz(const struct engine_vm *v)
{
	(void)v; /* all guests count at the host's rate */
	return tsc_khz();
}

static void soft_mem_written(struct engine_vm *v, uint64_t gpa, uint64_t len)
{
	struct soft_vm *vm = vm_of(v);
	while (len) {
		unsigned n = 4096 - (unsigned)(gpa & 4095);
		if (n > len)
			n = (unsigned)len;
		if (block_covers(vm, gpa, n))
			block_written(vm, gpa, n);
		gpa += n;
		len -= n;
	}
}

const struct engine_ops soft_engine = {
	.name = "soft",
	.what = "software CPU, works everywhere",
	.probe = soft_probe,
	.vm_create = soft_vm_create,
	.vm_destroy = soft_vm_destroy,
	.caps = soft_caps,
	.vcpu_create = soft_vcpu_create,
	.vcpu_destroy = soft_vcpu_destroy,
	.run = soft_run,
	.kick = soft_kick,
	.notify = soft_notify,
	.get_state = soft_vcpu_get_state,
	.set_state = soft_vcpu_set_state,
	.tsc_now = soft_tsc_now,
	.tsc_khz = soft_tsc_khz,
	.mem_written = soft_mem_written,
};
