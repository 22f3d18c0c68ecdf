/* sys.h - selectors, descriptors, stack frames: what the files of the system instructions
 * (exc*.c, seg.c, sys_*.c, task.c, mode.c) share. Private to them.
 *
 * Functions that take `ext` fault while an event is delivered: bit 0 of their error codes is
 * ext (SDM 3A 6.13), which instructions pass as 0. */
#ifndef SOFT_SYS_H
#define SOFT_SYS_H

#include "engine/soft/interp.h"
#include "engine/soft/stack.h"

#define SEL_ERR(sel) ((sel) & 0xfffcu) /* a selector as an error code */
#define SEL_RPL(sel) ((sel) & 3u)
#define SEL_NULL(sel) (!((sel) & 0xfffcu))
#define IDT_ERR(vector, ext) ((uint32_t)(vector) * 8 + 2 + (ext))

/* A segment or gate descriptor; hi is there in 16-byte system descriptors only. */
struct desc {
	uint64_t lin; /* where it stands */
	uint64_t lo, hi;
};

/* System descriptor types (SDM 3A table 3-2) */
enum {
	SYS_TSS16 = 1, SYS_LDT, SYS_TSS16_BUSY, SYS_CALL16, SYS_TASK_GATE, SYS_INT16, SYS_TRAP16,
	SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32, SYS_INT32 = 14, SYS_TRAP32
};

static inline uint32_t desc_attr(uint64_t lo) { return (uint32_t)(lo >> 40) & 0xf0ff; }
static inline uint32_t desc_base(uint64_t lo)
{
	return ((uint32_t)(lo >> 16) & 0xffffff) | ((uint32_t)(lo >> 32) & 0xff000000);
}
static inline uint32_t desc_limit(uint64_t lo)
{
	uint32_t limit = ((uint32_t)lo & 0xffff) | ((uint32_t)(lo >> 32) & 0xf0000);
	return desc_attr(lo) & SEG_G ? limit << 12 | 0xfff : limit;
}
static inline unsigned attr_dpl(uint32_t attr) { return attr >> SEG_DPL_SHIFT & 3; }
static inline bool attr_code(uint32_t attr) { return (attr & (SEG_S | 8)) == (SEG_S | 8); }
static inline bool attr_conforming(uint32_t attr) { return (attr & (SEG_S | 0xc)) == (SEG_S | 0xc); }
static inline bool attr_data(uint32_t attr) { return (attr & (SEG_S | 8)) == SEG_S; }
static inline bool attr_writable(uint32_t attr) { return (attr & (SEG_S | 0xa)) == (SEG_S | 2); }

static inline bool is_canonical48(uint64_t v) { return (uint64_t)((int64_t)(v << 16) >> 16) == v; }

/* --- seg.c --- */

/* The descriptor that a selector names: 8 bytes, or all 16 of a system descriptor in long mode. False when
 * it lies outside its table or there is no LDT. The null selector is the caller's business. */
bool desc_read(struct cpu *, const struct insn *i, uint16_t sel, struct desc *d);
bool desc_read_system(struct cpu *, const struct insn *i, uint16_t sel, struct desc *d);

/* Segment register contents for a code or data descriptor; sets its accessed bit in memory if need be. */
struct x86_seg desc_load(struct cpu *, const struct insn *i, uint16_t sel, const struct desc *d);

/* Loads a data or stack segment register with all checks, in any mode */
void seg_load(struct cpu *, const struct insn *i, unsigned seg, uint16_t sel);
/* The same for protected mode, at privilege cpl, where what is #GP in seg_load is the exception @bad:
 * the checked contents, for the caller to commit. */
struct x86_seg seg_checked(struct cpu *, const struct insn *i, unsigned seg, uint16_t sel, unsigned cpl, int bad,
                           uint32_t ext);

/* The m16:16, m16:32 or m16:64 at the memory operand: *off, and the selector as the result */
uint16_t far_ptr_ld(struct cpu *, const struct insn *i, uint64_t *off);

struct x86_seg seg_null(uint16_t sel, unsigned dpl);  /* an unusable segment */
struct x86_seg seg_real(uint16_t sel, bool code);     /* as in virtual-8086 mode */

/* Contents of CS for a transfer to `sel` without a gate, at privilege cpl or, for returns, with the
 * selector's RPL as the new privilege. Raises #GP, #NP. */
enum cs_rule { CS_JUMP, CS_RETURN };
struct x86_seg cs_checked(struct cpu *, const struct insn *i, uint16_t sel, enum cs_rule rule);

/* Raises #GP(0) unless a transfer may go to offset rip of the code segment cs */
void cs_check_rip(struct cpu *, const struct insn *i, const struct x86_seg *cs, uint64_t rip, uint32_t ext);
static inline bool seg_is_code64(const struct cpu *c, const struct x86_seg *cs)
{
	return long_mode(c) && (cs->attr & SEG_L);
}

/* --- mode.c --- */

/* sbase, scheck and sp_mask after a change of one segment register other than CS */
void seg_changed(struct cpu *, unsigned seg);
/* Commits CS and the privilege level, and recomputes the modes */
void cs_commit(struct cpu *, const struct x86_seg *cs, unsigned cpl);
/* Bits of RFLAGS that an image of `size` bytes may change at the present CPL and IOPL (POPF, IRET) */
uint64_t rflags_mask(const struct cpu *, unsigned size);

/* --- exc_frame.c: a stack frame under construction, on the present or on an inner stack --- */

struct frame {
	struct cpu *c;
	const struct insn *i;
	struct x86_seg ss;
	uint64_t sp, mask;
	unsigned size;    /* of a word */
	unsigned cpl;     /* whose accesses the pushes are */
	bool flat;        /* 64-bit: no segment */
	uint32_t error;   /* of #SS when it does not fit */
};

void frame_present(struct frame *, struct cpu *, const struct insn *i, unsigned size, uint32_t error);
/* The stack that the TSS holds for privilege dpl; raises #TS, #SS */
void frame_inner(struct frame *, struct cpu *, const struct insn *i, unsigned dpl, unsigned size, uint32_t ext);
/* The same from a 64-bit TSS, at byte offset off; SS becomes null */
void frame_inner64(struct frame *, struct cpu *, const struct insn *i, unsigned dpl, unsigned off, uint32_t ext);
void frame_push(struct frame *, uint64_t v);
/* SS and rSP from the frame, after CS was committed; SS only where the privilege changed */
void frame_commit(const struct frame *, bool new_ss);

/* --- exc.c --- */

/* As exc_deliver, with the RIP to push, which for soft events is not c->rip (the instruction itself) */
void exc_deliver_at(struct cpu *, int vector, enum event_kind kind, bool has_error, uint32_t error, uint64_t rip);
/* Image of RFLAGS that an event pushes */
uint64_t exc_rflags(const struct cpu *, int vector, enum event_kind kind);

/* --- exc_gate.c --- */
void exc_deliver_protected(struct cpu *, int vector, enum event_kind kind, bool has_error, uint32_t error, uint64_t rip);
void exc_deliver_long(struct cpu *, int vector, enum event_kind kind, bool has_error, uint32_t error, uint64_t rip);

/* --- task.c --- */

enum task_reason { TASK_JMP, TASK_CALL, TASK_IRET, TASK_EVENT };
/* Switches to the task of a TSS selector; rip is where the old task goes on. Protected mode only. */
void task_switch(struct cpu *, const struct insn *i, uint16_t sel, enum task_reason why, uint64_t rip, uint32_t ext);
/* Whether the I/O permission bitmap allows all of [port, port+size) (SDM 1 19.5.2) */
bool task_io_allowed(struct cpu *, const struct insn *i, uint16_t port, unsigned size);

/* --- sys_cr.c --- */

/* Loads the four PDPTEs of 32-bit PAE paging from the table at cr3; raises #GP(0) for reserved bits. */
void cr3_load_pdptes(struct cpu *, const struct insn *i, uint64_t cr3);
/* Reads them; false for reserved bits, with e untouched. A table outside memory reads as zeros. */
bool cr3_peek_pdptes(struct cpu *, uint64_t cr3, uint64_t e[4]);

/* --- instructions in files of their own, for the tables in sys_far.c and sys_ctl.c --- */
const struct insn *sys_retf(struct cpu *, const struct insn *);
const struct insn *sys_iret(struct cpu *, const struct insn *);
const struct insn *sys_syscall(struct cpu *, const struct insn *);
const struct insn *sys_sysret(struct cpu *, const struct insn *);
const struct insn *sys_sysenter(struct cpu *, const struct insn *);
const struct insn *sys_sysexit(struct cpu *, const struct insn *);
const struct insn *sys_mov_to_cr(struct cpu *, const struct insn *);
const struct insn *sys_mov_from_cr(struct cpu *, const struct insn *);
const struct insn *sys_mov_to_dr(struct cpu *, const struct insn *);
const struct insn *sys_mov_from_dr(struct cpu *, const struct insn *);
const struct insn *sys_lmsw(struct cpu *, const struct insn *);
const struct insn *sys_smsw(struct cpu *, const struct insn *);
const struct insn *sys_clts(struct cpu *, const struct insn *);

/* Goes on at rip after a transfer that may have changed modes. With `look`, by way of the run loop,
 * which sees pending interrupts that RFLAGS.IF has just let in. */
static inline const struct insn *sys_go(struct cpu *c, const struct insn *i, uint64_t rip, bool look)
{
	if (look) {
		c->rip = rip;
		return NULL;
	}
	return interp_jump(c, i, rip);
}

/* #GP(0) unless CPL is 0 */
static inline void need_cpl0(struct cpu *c, const struct insn *i)
{
	if (unlikely(c->cpl))
		raise_gp(c, i, 0);
}

/* Operand n, a register or memory of `size` bytes */
static inline uint64_t sys_opnd_ld(struct cpu *c, const struct insn *i, unsigned n, unsigned size)
{
	if (i->o[n].kind == O_GPR)
		return size == 8 ? R64(c, i->o[n].reg) : size == 4 ? R32(c, i->o[n].reg) : R16(c, i->o[n].reg);
	uint64_t lin = insn_lin(c, i, size, false);
	return size == 8 ? mem_ld(c, i, lin, 8) : size == 4 ? mem_ld(c, i, lin, 4) : mem_ld(c, i, lin, 2);
}
static inline void sys_gpr_st(struct cpu *c, uint8_t off, unsigned size, uint64_t v)
{
	if (size == 8)
		R64(c, off) = v;
	else if (size == 4)
		W32(c, off, v);
	else
		R16(c, off) = (uint16_t)v;
}

#define SYS_BIND(name) static insn_fn bind_##name(const struct insn *i) { return name; }

#endif
