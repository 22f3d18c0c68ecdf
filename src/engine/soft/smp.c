/* smp.c - safe points, claims on code pages, epochs and exclusive sections. */
#include "engine/soft/smp.h"

#include "engine/soft/block.h"
#include "engine/soft/tlb.h"

void smp_vm_init(struct soft_vm *vm)
{
	pthread_mutex_init(&vm->excl_lock, NULL);
	pthread_cond_init(&vm->excl_cond, NULL);
}

void smp_vm_fini(struct soft_vm *vm)
{
	pthread_cond_destroy(&vm->excl_cond);
	pthread_mutex_destroy(&vm->excl_lock);
}

void smp_cpu_init(struct cpu *c)
{
	pthread_mutex_init(&c->drop_lock, NULL);
	c->parked = true;
}

void smp_cpu_fini(struct cpu *c) { pthread_mutex_destroy(&c->drop_lock); }

static uint64_t cpu_bit(const struct cpu *c) { return 1ull << c->id; }

/* --- code pages --- */

static void drop_one(struct cpu *c, uint64_t gpa)
{
	tlb_drop_writable(c, gpa);
	atomic_fetch_and(&c->vm->pages[gpa >> 12].writers, ~cpu_bit(c));
}

/* More pages than the list holds were asked for: every W entry goes, and every claim */
static void drop_all(struct cpu *c)
{
	tlb_drop_all_writable(c);
	for (uint64_t n = 0; n < c->vm->npages; n++)
		if (atomic_load_explicit(&c->vm->pages[n].writers, memory_order_relaxed) & cpu_bit(c))
			atomic_fetch_and(&c->vm->pages[n].writers, ~cpu_bit(c));
}

/* drop_lock is held */
static void drops_do(struct cpu *c)
{
	if (c->ndrops > DROPS_MAX)
		drop_all(c);
	else
		for (unsigned n = 0; n < c->ndrops; n++)
			drop_one(c, c->drops[n]);
	c->ndrops = 0;
}

/* Has t drop its W entries for the page: now if it is not running, else at its next safe point */
static void drop_ask(struct cpu *t, uint64_t gpa)
{
	pthread_mutex_lock(&t->drop_lock);
	if (t->parked) {
		drop_one(t, gpa);
	} else {
		if (t->ndrops < DROPS_MAX)
			t->drops[t->ndrops] = gpa;
		if (t->ndrops <= DROPS_MAX)
			t->ndrops++;
		atomic_fetch_or(&t->exitreq, EXITREQ_SAFE);
	}
	pthread_mutex_unlock(&t->drop_lock);
}

bool smp_page_claim(struct cpu *c, uint64_t gpa)
{
	struct soft_vm *vm = c->vm;
	struct code_page *p = &vm->pages[gpa >> 12];

	if (!(atomic_fetch_or(&p->flags, PAGE_CODE) & PAGE_CODE)) {
		uint64_t w = atomic_load(&p->writers);
		if (w & cpu_bit(c))
			drop_one(c, gpa);
		for (w &= ~cpu_bit(c); w; w &= w - 1)
			drop_ask(vm->cpus[__builtin_ctzll(w)], gpa);
	}
	return !atomic_load(&p->writers);
}

bool smp_page_write(struct cpu *c, uint64_t gpa)
{
	struct code_page *p = &c->vm->pages[gpa >> 12];

	if (atomic_load_explicit(&p->flags, memory_order_relaxed) & PAGE_CODE)
		return false;
	if (!(atomic_load_explicit(&p->writers, memory_order_relaxed) & cpu_bit(c)))
		atomic_fetch_or(&p->writers, cpu_bit(c));
	else
		atomic_thread_fence(memory_order_seq_cst);
	if (!(atomic_load(&p->flags) & PAGE_CODE))
		return true;
	/* lost a race; whoever claims the page may not have seen the bit, so taking it back is ours */
	drop_ask(c, gpa);
	return false;
}

/* --- running and parked --- */

/* excl_lock is held */
static void wait_for_exclusive(struct soft_vm *vm)
{
	while (vm->excl_owner)
		pthread_cond_wait(&vm->excl_cond, &vm->excl_lock);
}

void smp_enter(struct cpu *c)
{
	struct soft_vm *vm = c->vm;

	pthread_mutex_lock(&c->drop_lock);
	c->parked = false;
	pthread_mutex_unlock(&c->drop_lock);
	pthread_mutex_lock(&vm->excl_lock);
	wait_for_exclusive(vm);
	vm->running++;
	pthread_mutex_unlock(&vm->excl_lock);
	smp_safe_point(c); /* blocks may have been flushed meanwhile */
}

void smp_leave(struct cpu *c)
{
	struct soft_vm *vm = c->vm;

	pthread_mutex_lock(&vm->excl_lock);
	vm->running--;
	if (vm->excl_owner)
		pthread_cond_broadcast(&vm->excl_cond);
	pthread_mutex_unlock(&vm->excl_lock);
	pthread_mutex_lock(&c->drop_lock);
	drops_do(c);
	c->parked = true;
	pthread_mutex_unlock(&c->drop_lock);
}

void smp_safe_point(struct cpu *c)
{
	struct soft_vm *vm = c->vm;

	atomic_fetch_and(&c->exitreq, ~EXITREQ_SAFE);
	pthread_mutex_lock(&c->drop_lock);
	drops_do(c);
	pthread_mutex_unlock(&c->drop_lock);
	uint32_t epoch = atomic_load(&vm->epoch);
	if (atomic_load_explicit(&c->epoch, memory_order_relaxed) != epoch) {
		block_forget(c);
		atomic_store(&c->epoch, epoch);
	}
	if (!atomic_load(&vm->excl_wanted))
		return;
	pthread_mutex_lock(&vm->excl_lock);
	if (vm->excl_owner) {
		vm->running--;
		pthread_cond_broadcast(&vm->excl_cond);
		wait_for_exclusive(vm);
		vm->running++;
	}
	pthread_mutex_unlock(&vm->excl_lock);
}

static void ask_all(struct soft_vm *vm, const struct cpu *but)
{
	for (unsigned n = 0; n < vm->ncpus; n++)
		if (vm->cpus[n] && vm->cpus[n] != but)
			atomic_fetch_or(&vm->cpus[n]->exitreq, EXITREQ_SAFE);
}

/* --- epochs --- */

uint32_t smp_epoch_begin(struct soft_vm *vm)
{
	uint32_t epoch = atomic_fetch_add(&vm->epoch, 1) + 1;
	ask_all(vm, NULL);
	return epoch;
}

bool smp_epoch_passed(struct soft_vm *vm, uint32_t epoch)
{
	for (unsigned n = 0; n < vm->ncpus; n++) {
		struct cpu *c = vm->cpus[n];
		if (!c || (int32_t)(atomic_load(&c->epoch) - epoch) >= 0)
			continue;
		pthread_mutex_lock(&c->drop_lock);
		bool parked = c->parked; /* it passes smp_safe_point before it runs again */
		pthread_mutex_unlock(&c->drop_lock);
		if (!parked)
			return false;
	}
	return true;
}

/* --- exclusive sections --- */

void smp_exclusive_begin(struct cpu *c)
{
	struct soft_vm *vm = c->vm;

	pthread_mutex_lock(&vm->excl_lock);
	if (vm->excl_owner) { /* stands still while the other is at it */
		vm->running--;
		pthread_cond_broadcast(&vm->excl_cond);
		wait_for_exclusive(vm);
		vm->running++;
	}
	vm->excl_owner = c;
	atomic_store(&vm->excl_wanted, true);
	ask_all(vm, c);
	while (vm->running > 1)
		pthread_cond_wait(&vm->excl_cond, &vm->excl_lock);
	pthread_mutex_unlock(&vm->excl_lock);
}

void smp_exclusive_end(struct cpu *c)
{
	struct soft_vm *vm = c->vm;

	pthread_mutex_lock(&vm->excl_lock);
	vm->excl_owner = NULL;
	atomic_store(&vm->excl_wanted, false);
	pthread_cond_broadcast(&vm->excl_cond);
	pthread_mutex_unlock(&vm->excl_lock);
}
