/* vcpu.c - a vcpu's thread: the one switch over an engine's exits, halting and waking. */
#include "machine/vcpu.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "dev/irqchip.h"
#include "engine/x86/dump.h"
#include "host/term.h"
#include "machine/internal.h"

enum cpu_want { CPU_STOP, CPU_RUN, CPU_END };

#define START_INIT 1u
#define START_SIPI 2u

struct cpu_thread {
	struct machine *m;
	unsigned id;
	pthread_t thread;
	struct vcpu *vcpu;        /* set before the thread is first reported stopped */

	pthread_mutex_t lock;     /* guards wake, idle, error, and changes of want; a leaf: nothing is called under it */
	pthread_cond_t to_cpu, to_machine;
	_Atomic int want;         /* enum cpu_want */
	bool wake;                /* a wake-up that a sleeper has not used yet */
	bool idle;                /* the thread waits for something other than CPU_STOP */
	int error;                /* of vcpu_create, with its sentence */
	struct err err;

	/* Pairs with the loads in cpu_notify: the sleeper sets it, then looks for work; the notifier
	 * makes work, then looks at it. One of the two sees the other. */
	atomic_bool sleeping;
	_Atomic unsigned start;   /* START_* that the thread has to obey */
	_Atomic uint8_t sipi_vector;
	bool wait_sipi;           /* its own thread only */
	struct log_limit hlt_log;
};

/* --- waking --- */

static void cpu_wake(struct cpu_thread *c)
{
	pthread_mutex_lock(&c->lock);
	c->wake = true;
	pthread_cond_signal(&c->to_cpu);
	pthread_mutex_unlock(&c->lock);
}

void cpu_notify(struct machine *m, unsigned cpu)
{
	struct cpu_thread *c = &m->cpus[cpu];

	if (cpu >= m->ncpus) /* devices come to life before the CPUs */
		return;
	if (atomic_load(&c->sleeping))
		cpu_wake(c);
	else
		m->ops->notify(c->vcpu);
}

/* Has the thread look at want and start, wherever it is */
static void cpu_kick(struct cpu_thread *c)
{
	c->m->ops->kick(c->vcpu);
	if (atomic_load(&c->sleeping))
		cpu_wake(c);
}

void cpu_start_message(struct machine *m, unsigned cpu, int what, uint8_t vector)
{
	struct cpu_thread *c = &m->cpus[cpu];

	if (what == LAPIC_SIPI)
		c->sipi_vector = vector;
	atomic_fetch_or(&c->start, what == LAPIC_SIPI ? START_SIPI : START_INIT);
	cpu_kick(c);
}

static bool nmi_waits(struct cpu_thread *c)
{
	struct irqchip *chip = c->m->irqchip;

	return chip && (atomic_load(lapic_events(irqchip_lapic(chip, c->id))) & LAPIC_EV_NMI);
}

/* Is there something that a halted CPU has to see? */
static bool cpu_has_work(struct cpu_thread *c, bool interruptible)
{
	if (atomic_load(&c->want) != CPU_RUN || atomic_load(&c->start))
		return true;
	if (c->wait_sipi)
		return false;
	return nmi_waits(c) || (interruptible && c->m->irqchip && irqchip_intr_pending(c->m->irqchip, c->id));
}

static void cpu_sleep(struct cpu_thread *c, bool interruptible)
{
	atomic_store(&c->sleeping, true);
	while (!cpu_has_work(c, interruptible)) {
		pthread_mutex_lock(&c->lock);
		while (!c->wake)
			pthread_cond_wait(&c->to_cpu, &c->lock);
		c->wake = false;
		pthread_mutex_unlock(&c->lock);
	}
	atomic_store(&c->sleeping, false);
}

/* --- halting --- */

/* All CPUs are halted; is one of them about to be woken? */
static bool machine_is_dead(struct machine *m)
{
	if (atomic_load(&m->nhalted) != m->ncpus)
		return false;
	for (unsigned i = 0; i < m->ncpus; i++)
		if (atomic_load(&m->cpus[i].start) || nmi_waits(&m->cpus[i]))
			return false;
	return true;
}

/* Waits as a CPU that no ordinary interrupt can wake. When there is no other left, the machine ends. */
static void cpu_sleep_deaf(struct cpu_thread *c)
{
	struct machine *m = c->m;

	atomic_fetch_add(&m->nhalted, 1);
	if (!cpu_has_work(c, false) && machine_is_dead(m)) {
		if (!c->wait_sipi) {
			log_debug("vCPU %u: VM exit: HLT", c->id);
			log_info("vCPU %u: HLT - pausing vCPU", c->id);
		}
		machine_power(m, POWER_HALTED);
	}
	cpu_sleep(c, false);
	/* before the NMI is taken, so that machine_is_dead sees either the NMI or one halted CPU less */
	atomic_fetch_sub(&m->nhalted, 1);
}

static void cpu_halt(struct cpu_thread *c, bool interruptible)
{
	/* an idle guest has said what it had to say: a prompt need not wait for the timer */
	if (c->m->term)
		term_flush(c->m->term);
	if (!interruptible) {
		cpu_sleep_deaf(c);
		return;
	}
	if (log_on(LOG_DEBUG))
		log_limited(&c->hlt_log, LOG_DEBUG, "vCPU %u: VM exit: HLT", c->id);
	cpu_sleep(c, true);
}

/* --- INIT and SIPI (SDM 3A 8.4.3) --- */

static void cpu_obey_init(struct cpu_thread *c)
{
	struct x86_state *old = malloc(2 * sizeof(*old)), *s = old + 1;

	if (!old || c->m->ops->get_state(c->vcpu, old) < 0) {
		machine_fail(c->m, "vCPU %u: cannot obey INIT", c->id);
		free(old);
		return;
	}
	x86_state_reset(s);
	/* what INIT leaves alone, SDM 3A table 9-1 */
	s->tsc = old->tsc;
	s->tsc_adjust = old->tsc_adjust;
	s->apic_base = old->apic_base;
	s->pat = old->pat;
	s->mtrr_def = old->mtrr_def;
	s->xcr0 = old->xcr0;
	memcpy(s->mtrr_fixed, old->mtrr_fixed, sizeof(s->mtrr_fixed));
	memcpy(s->mtrr_var, old->mtrr_var, sizeof(s->mtrr_var));
	memcpy(s->xsave, old->xsave, sizeof(s->xsave));
	if (c->m->irqchip)
		irqchip_cpu_init(c->m->irqchip, c->id);
	c->m->ops->set_state(c->vcpu, s);
	c->wait_sipi = c->id != 0; /* CPU 0 goes on at the reset vector */
	free(old);
}

static void cpu_obey_sipi(struct cpu_thread *c)
{
	struct x86_state *s = malloc(sizeof(*s));

	if (!s || c->m->ops->get_state(c->vcpu, s) < 0) {
		machine_fail(c->m, "vCPU %u: cannot obey SIPI", c->id);
		free(s);
		return;
	}
	s->seg[CS].sel = (uint16_t)(c->sipi_vector << 8);
	s->seg[CS].base = (uint64_t)c->sipi_vector << 12;
	s->rip = 0;
	c->m->ops->set_state(c->vcpu, s);
	c->wait_sipi = false;
	free(s);
	log_info("vCPU %u: Running vCPU...", c->id);
}

static void cpu_obey(struct cpu_thread *c)
{
	unsigned start = atomic_exchange(&c->start, 0);

	if (start & START_INIT)
		cpu_obey_init(c);
	if ((start & START_SIPI) && c->wait_sipi)
		cpu_obey_sipi(c);
}

/* --- running --- */

static void cpu_begin(struct cpu_thread *c)
{
	struct x86_state *s;

	c->wait_sipi = c->id != 0;
	if (c->id == 0) {
		if (c->m->ops->set_state(c->vcpu, &c->m->start) < 0)
			machine_fail(c->m, "vCPU 0: the engine does not accept the start state");
		log_info("vCPU %u: Running vCPU...", c->id);
		return;
	}
	s = malloc(sizeof(*s));
	if (!s) {
		machine_fail(c->m, "vCPU %u: no memory for its state", c->id);
		return;
	}
	x86_state_reset(s);
	c->m->ops->set_state(c->vcpu, s);
	free(s);
}

/* --- the end of a guest that went wrong --- */

static void dump_line(void *ctx, const char *text) { log_warn("vCPU %u: %s", ((struct cpu_thread *)ctx)->id, text); }

/* Registers, for whoever debugs the guest */
static void cpu_dump(struct cpu_thread *c)
{
	struct x86_state *s = log_on(LOG_WARN) ? malloc(sizeof(*s)) : NULL;

	if (s && c->m->ops->get_state(c->vcpu, s) == 0)
		x86_state_dump(s, dump_line, c);
	free(s);
}

static void cpu_handle_exit(struct cpu_thread *c, const struct cpu_exit *ex)
{
	switch (ex->kind) {
	case EXIT_HLT:
		cpu_halt(c, ex->interruptible);
		break;
	case EXIT_KICKED:
		break;
	case EXIT_SHUTDOWN:
		log_warn("vCPU %u: %s", c->id, ex->reason[0] ? ex->reason : "triple fault");
		cpu_dump(c);
		machine_power(c->m, POWER_TRIPLE_FAULT);
		break;
	case EXIT_DEBUG:
		machine_fail(c->m, "vCPU %u: a breakpoint exit without a debugger", c->id);
		break;
	case EXIT_FAIL:
		cpu_dump(c);
		machine_fail(c->m, "vCPU %u: %s", c->id, ex->reason);
		break;
	}
}

static void cpu_run(struct cpu_thread *c)
{
	cpu_begin(c);
	while (atomic_load(&c->want) == CPU_RUN) {
		struct cpu_exit ex;
		int r;

		if (atomic_load(&c->start))
			cpu_obey(c);
		if (c->wait_sipi) {
			cpu_sleep_deaf(c);
			continue;
		}
		r = c->m->ops->run(c->vcpu, &ex);
		if (r < 0)
			machine_fail(c->m, "vCPU %u: the engine failed: %s", c->id, strerror(-r));
		else
			cpu_handle_exit(c, &ex);
	}
}

/* Reports the thread as stopped and waits for what is wanted next */
static int cpu_wait_want(struct cpu_thread *c)
{
	int want;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		c->idle = true; /* again after each wake-up: a start may have been taken back at once */
		pthread_cond_signal(&c->to_machine);
		want = atomic_load(&c->want);
		if (want != CPU_STOP)
			break;
		pthread_cond_wait(&c->to_cpu, &c->lock);
	}
	c->idle = false;
	pthread_mutex_unlock(&c->lock);
	return want;
}

static void *cpu_main(void *arg)
{
	struct cpu_thread *c = arg;

	c->error = c->m->ops->vcpu_create(c->m->vm, c->id, &c->vcpu, &c->err);
	while (cpu_wait_want(c) == CPU_RUN)
		cpu_run(c);
	if (!c->error)
		c->m->ops->vcpu_destroy(c->vcpu);
	return NULL;
}

/* --- the machine's side --- */

static void cpu_set_want(struct cpu_thread *c, enum cpu_want want)
{
	pthread_mutex_lock(&c->lock);
	atomic_store(&c->want, want);
	if (want != CPU_STOP)
		c->idle = false; /* so that a stop right after a start waits for the thread */
	pthread_cond_signal(&c->to_cpu);
	pthread_mutex_unlock(&c->lock);
}

static void cpu_wait_idle(struct cpu_thread *c)
{
	pthread_mutex_lock(&c->lock);
	while (!c->idle)
		pthread_cond_wait(&c->to_machine, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static int cpu_create(struct machine *m, unsigned id, struct err *e)
{
	struct cpu_thread *c = &m->cpus[id];
	int r;

	c->m = m;
	c->id = id;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->to_cpu, NULL);
	pthread_cond_init(&c->to_machine, NULL);
	r = pthread_create(&c->thread, NULL, cpu_main, c);
	if (r)
		return err_set(e, -r, "cannot start a thread for vCPU %u: %s", id, strerror(r));
	m->ncpus = id + 1;
	cpu_wait_idle(c);
	if (c->error)
		return err_set(e, c->error, "%s", c->err.msg);
	log_info("Created vCPU %u", id);
	return 0;
}

int cpus_create(struct machine *m, struct err *e)
{
	unsigned n = m->boot.ncpus;

	m->cpus = calloc(n, sizeof(*m->cpus));
	if (!m->cpus)
		return err_set(e, -ENOMEM, "no memory for %u vCPUs", n);
	for (unsigned i = 0; i < n; i++) {
		int r = cpu_create(m, i, e);

		if (r < 0) {
			cpus_destroy(m);
			return r;
		}
	}
	return 0;
}

void cpus_destroy(struct machine *m)
{
	for (unsigned i = 0; i < m->ncpus; i++) {
		struct cpu_thread *c = &m->cpus[i];

		cpu_set_want(c, CPU_END);
		pthread_join(c->thread, NULL);
		pthread_cond_destroy(&c->to_cpu);
		pthread_cond_destroy(&c->to_machine);
		pthread_mutex_destroy(&c->lock);
	}
	free(m->cpus);
	m->cpus = NULL;
	m->ncpus = 0;
}

void cpus_start(struct machine *m)
{
	for (unsigned i = 0; i < m->ncpus; i++)
		atomic_store(&m->cpus[i].start, 0);
	for (unsigned i = 0; i < m->ncpus; i++)
		cpu_set_want(&m->cpus[i], CPU_RUN);
}

void cpus_request_stop(struct machine *m)
{
	for (unsigned i = 0; i < m->ncpus; i++) {
		atomic_store(&m->cpus[i].want, CPU_STOP);
		cpu_kick(&m->cpus[i]);
	}
}

void cpus_stop(struct machine *m)
{
	cpus_request_stop(m);
	for (unsigned i = 0; i < m->ncpus; i++)
		cpu_wait_idle(&m->cpus[i]);
}

uint64_t cpu_tsc_now(struct machine *m, unsigned cpu)
{
	return cpu < m->ncpus ? m->ops->tsc_now(m->cpus[cpu].vcpu) : 0;
}
