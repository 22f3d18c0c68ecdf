/* sys_fixture.h - on top of int_fixture.h: descriptor tables, task segments and stacks for tests of the
 * system side of the software CPU.
 *
 *   AT_GDT  the descriptors of enum slot     AT_IDT  gates     AT_TSS, AT_TSS2  task state segments
 *   AT_KSTACK  top of the inner stack */
#ifndef SYS_FIXTURE_H
#define SYS_FIXTURE_H

#include "int_fixture.h"

#include "engine/soft/sys.h"

#define AT_GDT 0x60000u
#define AT_IDT 0x61000u
#define AT_TSS 0x62000u
#define AT_TSS2 0x63000u
#define AT_LDT 0x64000u
#define AT_KSTACK 0x71000u
#define AT_IST 0x73000u
#define AT_HANDLER 0x74000u

/* GDT slots; a selector is slot * 8 | RPL. Two slots for what is 16 bytes in long mode. */
enum slot {
	S_NULL, S_KCODE, S_KDATA, S_UCODE32, S_UDATA, S_UCODE, S_CONFORM, S_KCODE16, S_KDATA16, S_ROD, S_DOWN, S_ABSENT,
	S_XONLY, S_TSS, S_TSS_HI, S_LDT, S_LDT_HI, S_GATE, S_GATE_HI, S_TSS2, S_TASKGATE, S_KCODE32, S_BADCODE, S_COUNT
};
#define SEL(slot, rpl) ((uint16_t)((slot) * 8 + (rpl)))

#define ATTR(type, dpl) ((type) | SEG_S | SEG_P | (dpl) << SEG_DPL_SHIFT)
#define SYS_ATTR(type, dpl) ((type) | SEG_P | (dpl) << SEG_DPL_SHIFT)

static inline void put_desc_at(struct fix *f, uint64_t at, uint32_t base, uint32_t limit, uint32_t attr)
{
	uint64_t units = attr & SEG_G ? limit >> 12 : limit;

	le64_store(f->ram + at, (units & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 |
	                        (units >> 16 & 0xf) << 48 | (uint64_t)(attr >> 12 & 0xf) << 52 | (uint64_t)(base >> 24) << 56);
}
static inline void put_desc(struct fix *f, enum slot s, uint32_t base, uint32_t limit, uint32_t attr)
{
	put_desc_at(f, AT_GDT + s * 8u, base, limit, attr);
}

/* A gate: type, DPL, and bits 4:0 of its middle (parameter count, IST) */
static inline void put_gate(struct fix *f, uint64_t at, uint16_t sel, uint64_t off, uint32_t attr, unsigned extra, bool wide)
{
	le64_store(f->ram + at, (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)extra << 32 | (uint64_t)(attr & 0xff) << 40 |
	                        (off >> 16 & 0xffff) << 48);
	if (wide)
		le64_store(f->ram + at + 8, off >> 32);
}

/* Fills all tables for code of that size (not CODE_16), loads GDTR, IDTR and TR. CPL 0. */
static inline void sys_reset(struct fix *f, enum code_size code)
{
	struct cpu *c = f->c;
	bool wide = code == CODE_64;
	uint32_t big = SEG_G | SEG_DB, def = wide ? SEG_L | SEG_G : big;

	fix_reset(f, code);
	put_desc(f, S_KCODE, 0, ~0u, ATTR(0xb, 0) | def);
	put_desc(f, S_KDATA, 0, ~0u, ATTR(3, 0) | big);
	put_desc(f, S_UCODE32, 0, ~0u, ATTR(0xb, 3) | big);
	put_desc(f, S_UDATA, 0, ~0u, ATTR(3, 3) | big);
	put_desc(f, S_UCODE, 0, ~0u, ATTR(0xb, 3) | def);
	put_desc(f, S_CONFORM, 0, ~0u, ATTR(0xf, 0) | def);
	put_desc(f, S_KCODE16, 0, 0xffff, ATTR(0xb, 0));
	put_desc(f, S_KDATA16, 0, 0xffff, ATTR(3, 0));
	put_desc(f, S_ROD, 0, ~0u, ATTR(0, 0) | big);
	put_desc(f, S_DOWN, 0, 0xfff, ATTR(6, 0) | SEG_DB);
	put_desc(f, S_ABSENT, 0, ~0u, (ATTR(3, 0) | big) & ~SEG_P);
	put_desc(f, S_XONLY, 0, ~0u, ATTR(8, 0) | def);
	put_desc(f, S_TSS, AT_TSS, 0x20ff, SYS_ATTR(SYS_TSS32, 0));
	put_desc(f, S_LDT, AT_LDT, 0xff, SYS_ATTR(SYS_LDT, 0));
	put_desc(f, S_KCODE32, 0, ~0u, ATTR(0xb, 0) | big);
	put_desc(f, S_BADCODE, 0, ~0u, ATTR(0xb, 0) | SEG_L | SEG_DB | SEG_G);
	if (!wide) {
		put_desc(f, S_TSS2, AT_TSS2, 0x67, SYS_ATTR(SYS_TSS32, 0));
		put_gate(f, AT_GDT + S_TASKGATE * 8, SEL(S_TSS2, 0), 0, SYS_ATTR(SYS_TASK_GATE, 3), 0, false);
	}
	for (unsigned v = 0; v < 256; v++)
		put_gate(f, AT_IDT + v * (wide ? 16 : 8), SEL(S_KCODE, 0), AT_HANDLER + v,
		         SYS_ATTR(SYS_INT32, v == 0x80 ? 3 : 0), 0, wide);
	if (wide) {
		le64_store(f->ram + AT_TSS + 4, AT_KSTACK);
		le64_store(f->ram + AT_TSS + 0x24, AT_IST);
	} else {
		le32_store(f->ram + AT_TSS + 4, AT_KSTACK);
		le16_store(f->ram + AT_TSS + 8, SEL(S_KDATA, 0));
	}
	le16_store(f->ram + AT_TSS + 0x66, 0x68);
	c->gdt = (struct x86_table){ AT_GDT, S_COUNT * 8 - 1 };
	c->idt = (struct x86_table){ AT_IDT, wide ? 0xfff : 0x7ff };
	c->tr = (struct x86_seg){ .sel = SEL(S_TSS, 0), .base = AT_TSS, .limit = 0x20ff, .attr = SYS_ATTR(SYS_TSS32_BUSY, 0) };
	c->ldtr = seg_null(0, 0);
	for (unsigned n = 0; n < SEG_COUNT; n++)
		c->seg[n].sel = SEL(S_KDATA, 0);
	c->seg[CS].sel = SEL(S_KCODE, 0);
	cpu_mode_changed(c);
	c->rip = AT_CODE;
}

/* Makes the processor run at CPL 3 */
static inline void sys_user(struct fix *f)
{
	struct cpu *c = f->c;

	for (unsigned n = 0; n < SEG_COUNT; n++) {
		c->seg[n].sel = SEL(n == CS ? S_UCODE : S_UDATA, 3);
		c->seg[n].attr |= 3u << SEG_DPL_SHIFT;
	}
	c->cpl = 3;
	cpu_mode_changed(c);
}

static inline int sys_long(void **state)
{
	sys_reset(*state, CODE_64);
	return 0;
}
static inline int sys_prot(void **state)
{
	sys_reset(*state, CODE_32);
	return 0;
}
static inline int sys_real(void **state)
{
	fix_reset(*state, CODE_16);
	return 0;
}

/* Runs a statement that may raise: the vector, or RAISED_NONE */
#define TRY(f, stmt) ({ \
	sigjmp_buf unwind_; \
	volatile int vec_ = RAISED_NONE; \
	(f)->c->unwind = &unwind_; \
	if (!sigsetjmp(unwind_, 0)) { \
		stmt; \
	} else { \
		vec_ = (f)->c->raised.vector; \
	} \
	(f)->c->unwind = NULL; \
	vec_; })

#define assert_raised(f, got, vector, err) do { \
	assert_int_equal(got, vector); \
	assert_int_equal((f)->c->raised.error, err); \
} while (0)

/* A word of the stack, n words above rSP */
static inline uint64_t stacked64(const struct fix *f, unsigned n) { return le64_load(f->ram + f->c->gpr[RSP] + 8 * n); }
static inline uint32_t stacked32(const struct fix *f, unsigned n) { return le32_load(f->ram + f->c->gpr[RSP] + 4 * n); }
static inline uint16_t stacked16(const struct fix *f, unsigned n) { return le16_load(f->ram + f->c->gpr[RSP] + 2 * n); }

#endif
