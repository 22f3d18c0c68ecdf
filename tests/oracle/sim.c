/* sim.c - runs one vector on the software CPU: 64-bit user code, paging as in the host's process.
 *
 * Instructions go through fetch, decoder and binding as in single steps; the handler is called
 * outside the run loop, and an exception is taken where cpu_raise left it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "engine/engine.h"
#include "engine/soft/block.h"
#include "engine/soft/cpuid.h"
#include "engine/soft/exc.h"
#include "engine/soft/flags.h"
#include "engine/soft/fp.h"
#include "engine/soft/interp.h"
#include "engine/soft/mmu.h"
#include "engine/soft/soft.h"
#include "engine/x86/state.h"
#include "oracle.h"

#define MEM_LEN     0x200000ull
/* guest-physical */
#define TABLES      0x1000ull
#define CODE_GPA    0x100000ull /* pages of INSN_ADDR and its successor */
#define SCRATCH_GPA 0x110000ull

static struct memmap mem;
static struct engine_vm *vm;
static struct vcpu *vcpu;
static struct cpu *c;

static uint32_t no_pio_read(void *ctx, unsigned cpu, uint16_t port, unsigned size) { return ~0u; }
static void no_pio_write(void *ctx, unsigned cpu, uint16_t port, unsigned size, uint32_t val) {}
static uint64_t no_mmio_read(void *ctx, unsigned cpu, uint64_t gpa, unsigned size) { return ~0ull; }
static void no_mmio_write(void *ctx, unsigned cpu, uint64_t gpa, unsigned size, uint64_t val) {}
static int no_ack(void *ctx, unsigned cpu) { return -1; }
static bool no_event(void *ctx, unsigned cpu) { return false; }
static uint64_t no_cr8(void *ctx, unsigned cpu) { return 0; }
static void no_cr8_write(void *ctx, unsigned cpu, uint64_t val) {}
static int no_msr_read(void *ctx, unsigned cpu, uint32_t msr, uint64_t *val) { return -EINVAL; }
static int no_msr_write(void *ctx, unsigned cpu, uint32_t msr, uint64_t val) { return -EINVAL; }

static const struct vm_host host = {
	.pio_read = no_pio_read,
	.pio_write = no_pio_write,
	.mmio_read = no_mmio_read,
	.mmio_write = no_mmio_write,
	.intr_ack = no_ack,
	.intr_pending = no_event,
	.nmi_ack = no_event,
	.cr8_read = no_cr8,
	.cr8_write = no_cr8_write,
	.apic_msr_read = no_msr_read,
	.apic_msr_write = no_msr_write,
};

static uint64_t *entry(uint64_t gpa) { return (uint64_t *)(mem.slots[0].hva + gpa); }

static void map_page(uint64_t lin, uint64_t gpa, uint64_t rights)
{
	static uint64_t next = TABLES + 0x1000;
	uint64_t table = TABLES;

	for (int shift = 39; shift > 12; shift -= 9) {
		uint64_t *e = entry(table + (lin >> shift & 511) * 8);

		if (!*e) {
			*e = next | 0x27;
			next += 0x1000;
		}
		table = *e & ~0xfffull;
	}
	*entry(table + (lin >> 12 & 511) * 8) = gpa | rights;
}

static struct x86_seg seg(uint16_t sel, uint32_t attr, uint64_t base)
{
	return (struct x86_seg){ .sel = sel, .attr = attr, .limit = 0xffffffff, .base = base };
}

int sim_init(void)
{
	struct vm_config cfg = { .mem = &mem, .host = &host, .ncpus = 1, .cpu = "max" };
	struct x86_state s;
	struct err e;
	void *p;
	int r;

	p = mmap(NULL, MEM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	mem.nslots = 1;
	mem.slots[0] = (struct mem_slot){ .gpa = 0, .len = MEM_LEN, .hva = p };
	map_page(INSN_ADDR & ~0xfffull, CODE_GPA, 0x65);
	for (uint64_t o = 0; o < SCRATCH_LEN; o += 0x1000)
		map_page(SCRATCH + o, SCRATCH_GPA + o, o < SCRATCH_RW ? 0x8000000000000067ull : 0x8000000000000065ull);
	if ((r = soft_engine.vm_create(&cfg, &vm, &e)) || (r = soft_engine.vcpu_create(vm, 0, &vcpu, &e)))
		return r;
	c = (struct cpu *)vcpu;

	x86_state_reset(&s);
	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s.cr3 = TABLES;
	s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	s.xcr0 = 7;
	s.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	s.seg[CS] = seg(native_sreg(CS), 0xa0fb, 0);
	s.seg[SS] = seg(native_sreg(SS), 0xc0f3, 0);
	s.seg[DS] = seg(native_sreg(DS), SEG_UNUSABLE, 0);
	s.seg[ES] = seg(native_sreg(ES), SEG_UNUSABLE, 0);
	s.seg[FS] = seg(native_sreg(FS), SEG_UNUSABLE, native_fs_base());
	s.seg[GS] = seg(native_sreg(GS), SEG_UNUSABLE, 0);
	s.tr = (struct x86_seg){ .sel = 0x40, .attr = 0x8b, .limit = 0 }; /* no I/O bitmap: no ports */
	s.rip = INSN_ADDR;
	s.rflags = 0x202;
	return soft_engine.set_state(vcpu, &s);
}

void sim_fini(void)
{
	soft_engine.vcpu_destroy(vcpu);
	soft_engine.vm_destroy(vm);
	munmap(mem.slots[0].hva, MEM_LEN);
}

uint8_t *sim_scratch(void) { return mem.slots[0].hva + SCRATCH_GPA; }

static void fpu_load(const uint8_t *fx, const uint8_t *ymm)
{
	struct fpu *f = &c->fpu;
	unsigned top;

	memcpy(&f->fcw, fx, 2);
	memcpy(&f->fsw, fx + 2, 2);
	f->ftw = fx[4];
	memcpy(&f->fop, fx + 6, 2);
	memcpy(&f->fip, fx + 8, 8);
	memcpy(&f->fdp, fx + 16, 8);
	memcpy(&f->mxcsr, fx + 24, 4);
	top = f->fsw >> 11 & 7;
	for (unsigned i = 0; i < 8; i++) {
		memcpy(&f->r[(top + i) & 7].mant, fx + 32 + 16 * i, 8);
		memcpy(&f->r[(top + i) & 7].exp, fx + 40 + 16 * i, 2);
	}
	for (unsigned i = 0; i < 16; i++)
		memcpy(f->v[i].b, fx + 160 + 16 * i, 16), memcpy(f->v[i].b + 16, ymm + 16 * i, 16);
}

static void fpu_store(uint8_t *fx, uint8_t *ymm)
{
	const struct fpu *f = &c->fpu;
	unsigned top = f->fsw >> 11 & 7;

	memset(fx, 0, 512);
	memcpy(fx, &f->fcw, 2);
	memcpy(fx + 2, &f->fsw, 2);
	fx[4] = f->ftw;
	memcpy(fx + 6, &f->fop, 2);
	memcpy(fx + 8, &f->fip, 8);
	memcpy(fx + 16, &f->fdp, 8);
	memcpy(fx + 24, &f->mxcsr, 4);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(fx + 32 + 16 * i, &f->r[(top + i) & 7].mant, 8);
		memcpy(fx + 40 + 16 * i, &f->r[(top + i) & 7].exp, 2);
	}
	for (unsigned i = 0; i < 16; i++)
		memcpy(fx + 160 + 16 * i, f->v[i].b, 16), memcpy(ymm + 16 * i, f->v[i].b + 16, 16);
}

static void execute(void)
{
	const struct insn *i, *next;
	bool string;

	/* As in single steps, a repeated instruction comes back after each iteration, and interp_jump
	 * goes back to us instead of into the next block. */
	do {
		atomic_store(&c->exitreq, EXITREQ_STEP);
		i = block_single(c);
		string = i->flags & (IF_REP | IF_REPNE);
		next = i->fn(c, i);
		if (next == i + 1)
			c->rip = insn_next_rip(c, i);
	} while (string && c->rip == INSN_ADDR);
}

void sim_run(const struct vec *v, struct outcome *o)
{
	sigjmp_buf unwind;

	memset(o, 0, sizeof(*o));
	memcpy(mem.slots[0].hva + CODE_GPA + (INSN_ADDR & 0xfff), v->code, 16);
	memcpy(c->gpr, v->gpr, sizeof(v->gpr));
	c->rflags = v->flags & ~(uint64_t)FL_ARITH;
	cc_flags(c, v->flags);
	c->rip = INSN_ADDR;
	c->cr2 = 0;
	c->shadow = 0;
	c->unwind = &unwind;
	fpu_load(v->fx, v->ymm);
	fp_mode_changed(c);
	o->vector = -1;
	fp_enter(c);
	if (!sigsetjmp(unwind, 0)) {
		execute();
	} else {
		o->vector = c->raised.vector;
		o->error = c->raised.error;
		o->cr2 = c->cr2;
	}
	fp_leave(c);
	c->unwind = NULL;
	memcpy(o->gpr, c->gpr, sizeof(o->gpr));
	o->flags = rflags_get(c);
	o->rip = c->rip;
	fpu_store(o->fx, o->ymm);
}

bool sim_has(const struct insn *i)
{
	return cpu_has(c, insn_feature(i));
}
