/* soft_fixture.h - a virtual processor on a few megabytes of RAM, without a machine around it. */
#ifndef TEST_SOFT_FIXTURE_H
#define TEST_SOFT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memmap.h"
#include "engine/soft/block.h"
#include "engine/soft/exc.h"
#include "engine/soft/mmu.h"
#include "engine/soft/soft.h"

#define FIX_RAM (8u << 20)
#define FIX_PML4 0x1000 /* then a PDPT, a PD and a PT that map the first 2 MiB in 4 KiB pages */
#define FIX_PDPT 0x2000
#define FIX_PD 0x3000
#define FIX_PT 0x4000
#define FIX_CODE 0x10000

struct fix {
	struct memmap mem;
	struct vm_host host;
	struct engine_vm *vm;
	struct vcpu *vcpu;
	struct cpu *c;
	uint8_t *ram;
	unsigned mmio_writes;
};

static inline uint32_t fix_pio_read(void *x, unsigned cpu, uint16_t port, unsigned size) { return 0xffffffff; }
static inline void fix_pio_write(void *x, unsigned cpu, uint16_t port, unsigned size, uint32_t v) {}
static inline uint64_t fix_mmio_read(void *x, unsigned cpu, uint64_t gpa, unsigned size) { return ~0ull; }
static inline void fix_mmio_write(void *x, unsigned cpu, uint64_t gpa, unsigned size, uint64_t v)
{
	((struct fix *)x)->mmio_writes++;
}
static inline int fix_intr_ack(void *x, unsigned cpu) { return -1; }
static inline bool fix_no(void *x, unsigned cpu) { return false; }
static inline uint64_t fix_cr8_read(void *x, unsigned cpu) { return 0; }
static inline void fix_cr8_write(void *x, unsigned cpu, uint64_t v) {}
static inline int fix_msr_read(void *x, unsigned cpu, uint32_t msr, uint64_t *v) { return -22; }
static inline int fix_msr_write(void *x, unsigned cpu, uint32_t msr, uint64_t v) { return -22; }

static inline void fix_pte(struct fix *f, uint64_t at, uint64_t v) { le64_store(f->ram + at, v); }
static inline uint64_t fix_pte_get(struct fix *f, uint64_t at) { return le64_load(f->ram + at); }

/* 64-bit mode at CPL 0, identity-mapped: 0-2 MiB in 4 KiB pages (user, writable), 2-8 MiB in 2 MiB pages */
static inline void fix_setup(struct fix *f)
{
	struct x86_state s;

	memset(f, 0, sizeof(*f));
	f->host = (struct vm_host){ f, fix_pio_read, fix_pio_write, fix_mmio_read, fix_mmio_write, fix_intr_ack, fix_no,
	                            fix_no, fix_cr8_read, fix_cr8_write, fix_msr_read, fix_msr_write };
	assert_int_equal(mem_add_ram(&f->mem, 0, FIX_RAM, NULL), 0);
	f->ram = mem_ptr(&f->mem, 0, FIX_RAM);
	fix_pte(f, FIX_PML4, FIX_PDPT | 7);
	fix_pte(f, FIX_PDPT, FIX_PD | 7);
	fix_pte(f, FIX_PD, FIX_PT | 7);
	for (unsigned n = 1; n < 4; n++)
		fix_pte(f, FIX_PD + n * 8, n * 0x200000ull | 0x87);
	for (unsigned n = 0; n < 512; n++)
		fix_pte(f, FIX_PT + n * 8, n * 0x1000ull | 7);

	struct vm_config cfg = { .mem = &f->mem, .host = &f->host, .ncpus = 1 };
	assert_int_equal(soft_engine.vm_create(&cfg, &f->vm, NULL), 0);
	assert_int_equal(soft_engine.vcpu_create(f->vm, 0, &f->vcpu, NULL), 0);
	f->c = (struct cpu *)f->vcpu;

	x86_state_reset(&s);
	s.cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_ET | CR0_NE;
	s.cr3 = FIX_PML4;
	s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	s.efer = EFER_LME | EFER_LMA | EFER_NXE;
	for (unsigned n = 0; n < SEG_COUNT; n++)
		s.seg[n] = (struct x86_seg){ .sel = 0x10, .limit = 0xffffffff, .attr = 3 | SEG_S | SEG_P | SEG_DB | SEG_G };
	s.seg[CS] = (struct x86_seg){ .sel = 8, .limit = 0xffffffff, .attr = 0xb | SEG_S | SEG_P | SEG_L | SEG_G };
	s.gpr[RSP] = 0x9000;
	s.rip = FIX_CODE;
	s.rflags = 2;
	assert_int_equal(soft_engine.set_state(f->vcpu, &s), 0);
}

static inline void fix_teardown(struct fix *f)
{
	soft_engine.vcpu_destroy(f->vcpu);
	soft_engine.vm_destroy(f->vm);
	mem_fini(&f->mem);
}

/* Runs `stmt`, which may raise; the result is the vector, or -1 */
#define RAISES(f, stmt) ({ \
	sigjmp_buf unwind_; \
	(f)->c->unwind = &unwind_; \
	volatile int vec_ = -1; \
	if (!sigsetjmp(unwind_, 0)) { stmt; } else { vec_ = (f)->c->raised.vector; } \
	(f)->c->unwind = NULL; \
	vec_; })

#endif
