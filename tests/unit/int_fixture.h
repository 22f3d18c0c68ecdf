/* int_fixture.h - one processor of the software engine with 4 MiB of RAM, on which tests execute single
 * instructions by their bytes and look at what they left, or raised.
 *
 * Linear addresses 0..2 MiB are mapped to themselves, user and supervisor, page by page, but for
 * AT_HOLE (not present) and AT_RO (read-only, which CR0.WP makes hold for everyone). */
#ifndef INT_FIXTURE_H
#define INT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memmap.h"
#include "engine/engine.h"
#include "engine/soft/interp.h"
#include "engine/soft/soft.h"

#define AT_CODE  0x1000u /* where instructions are said to be */
#define AT_DATA  0x10000u
#define AT_HOLE  0x30000u
#define AT_RO    0x40000u
#define AT_STACK 0x50000u
#define TABLES   0x200000u
#define NONCANON 0x0000800000000000ull

struct fix {
	struct memmap mem;
	struct engine_vm *vm;
	struct cpu *c;
	uint8_t *ram;
	struct insn insn[2];
};

static uint32_t no_pio_read(void *ctx, unsigned cpu, uint16_t port, unsigned size) { return ~0u; }
static void no_pio_write(void *ctx, unsigned cpu, uint16_t port, unsigned size, uint32_t val) {}
static uint64_t no_mmio_read(void *ctx, unsigned cpu, uint64_t gpa, unsigned size) { return ~0ull; }
static void no_mmio_write(void *ctx, unsigned cpu, uint64_t gpa, unsigned size, uint64_t val) {}
static int no_intr_ack(void *ctx, unsigned cpu) { return -1; }
static bool no_event(void *ctx, unsigned cpu) { return false; }
static uint64_t no_cr8(void *ctx, unsigned cpu) { return 0; }
static void no_cr8_write(void *ctx, unsigned cpu, uint64_t val) {}
static int no_msr_read(void *ctx, unsigned cpu, uint32_t msr, uint64_t *val)
{
	*val = 0xfee00900;
	return 0;
}
static int no_msr_write(void *ctx, unsigned cpu, uint32_t msr, uint64_t val) { return 0; }

static const struct vm_host fix_host = {
	.pio_read = no_pio_read,
	.pio_write = no_pio_write,
	.mmio_read = no_mmio_read,
	.mmio_write = no_mmio_write,
	.intr_ack = no_intr_ack,
	.intr_pending = no_event,
	.nmi_ack = no_event,
	.cr8_read = no_cr8,
	.cr8_write = no_cr8_write,
	.apic_msr_read = no_msr_read,
	.apic_msr_write = no_msr_write,
};

static void fix_tables(struct fix *f)
{
	le64_store(f->ram + TABLES, (TABLES + 0x1000) | 7);
	le64_store(f->ram + TABLES + 0x1000, (TABLES + 0x2000) | 7);
	le64_store(f->ram + TABLES + 0x2000, (TABLES + 0x3000) | 7);
	for (uint64_t n = 0; n < 512; n++)
		le64_store(f->ram + TABLES + 0x3000 + n * 8,
			   n << 12 == AT_HOLE ? 0 : n << 12 | (n << 12 == AT_RO ? 5 : 7));
}

static struct x86_seg fix_seg(uint16_t sel, uint32_t attr, uint32_t limit)
{
	return (struct x86_seg){ .sel = sel, .attr = attr, .limit = limit };
}

/* code: CODE_64 with paging, CODE_32 flat without, CODE_16 real mode */
static void fix_reset(struct fix *f, enum code_size code)
{
	struct x86_state s;

	memset(f->ram, 0, TABLES);
	fix_tables(f);
	x86_state_reset(&s);
	memset(s.gpr, 0, sizeof(s.gpr));
	s.rip = AT_CODE;
	s.rflags = 2;
	s.gpr[RSP] = AT_STACK + 0x800;
	s.seg[CS].base = 0;
	s.seg[CS].sel = 0;
	if (code != CODE_16) {
		uint32_t data = 3 | SEG_S | SEG_P | SEG_DB | SEG_G;
		s.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | (code == CODE_64 ? CR0_PG : 0);
		for (unsigned n = 0; n < SEG_COUNT; n++)
			s.seg[n] = fix_seg(0x10, data, 0xffffffff);
		s.seg[CS] = fix_seg(0x08, 0xb | SEG_S | SEG_P | SEG_G | (code == CODE_64 ? SEG_L : SEG_DB), 0xffffffff);
	}
	if (code == CODE_64) {
		s.cr3 = TABLES;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA | EFER_NXE;
	}
	assert_int_equal(soft_engine.set_state((struct vcpu *)f->c, &s), 0);
	assert_int_equal(f->c->code, code);
}

static int fix_setup(void **state)
{
	static struct fix f;
	struct vm_config cfg = { .mem = &f.mem, .host = &fix_host, .ncpus = 1 };
	struct vcpu *v;

	memset(&f, 0, sizeof(f));
	if (mem_add_ram(&f.mem, 0, 4u << 20, NULL) < 0 || soft_engine.vm_create(&cfg, &f.vm, NULL) < 0 ||
	    soft_engine.vcpu_create(f.vm, 0, &v, NULL) < 0)
		return -1;
	f.c = (struct cpu *)v;
	f.ram = mem_ptr(&f.mem, 0, 4u << 20);
	*state = &f;
	return 0;
}

static int fix_teardown(void **state)
{
	struct fix *f = *state;
	soft_engine.vcpu_destroy((struct vcpu *)f->c);
	soft_engine.vm_destroy(f->vm);
	mem_fini(&f->mem);
	return 0;
}

static int fix_long(void **state)
{
	fix_reset(*state, CODE_64);
	return 0;
}

#define RAISED_NONE (-1)

/* Stands behind the one instruction */
static const struct insn *stop_here(struct cpu *c, const struct insn *i) { return i; }

/* Decodes and executes one instruction that stands at AT_CODE. Returns the vector it raised, or
 * RAISED_NONE with c->rip behind it or where it went. A request is pending all the time, so that branches
 * come back instead of running on. */
static int exec_bytes(struct fix *f, const uint8_t *bytes, size_t len)
{
	struct cpu *c = f->c;
	struct insn *i = &f->insn[0];
	sigjmp_buf unwind;
	const struct insn *next;

	assert_int_equal(insn_decode(bytes, len, c->code, i), (int)len);
	assert_int_not_equal(i->op, OP_INVALID);
	i->off = 0;
	if (i->flags & IF_RIPREL)
		i->disp += i->len;
	if (i->o[0].kind == O_REL)
		i->disp = i->imm + i->len;
	i->fn = interp_bind(i);
	i[1] = (struct insn){ .fn = stop_here };
	c->gpr[REG_IP] = AT_CODE;
	atomic_fetch_or(&c->exitreq, EXITREQ_KICK);
	c->unwind = &unwind;
	if (sigsetjmp(unwind, 0)) {
		c->unwind = NULL;
		assert_int_equal(c->rip, AT_CODE);
		assert_false(c->lock_held);
		return c->raised.vector;
	}
	next = i->fn(c, i);
	c->unwind = NULL;
	if (next) {
		assert_ptr_equal(next, i + 1);
		c->rip = insn_next_rip(c, i);
	}
	assert_false(c->lock_held);
	return RAISED_NONE;
}

#define EXEC(f, ...)      exec_bytes((f), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define RUN(f, ...)       assert_int_equal(EXEC(f, __VA_ARGS__), RAISED_NONE)
#define RAISES(f, v, ...) assert_int_equal(EXEC(f, __VA_ARGS__), (v))

#endif
