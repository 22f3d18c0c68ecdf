/* exc.c - raising exceptions, which of two wins, and the ways into a handler that all modes
 * share; real mode's delivery (SDM 3A chapter 6, 20.1.4). */
#include "engine/soft/exc.h"

#include "engine/soft/sys.h"

_Noreturn void cpu_raise(struct cpu *c, const struct insn *i, int vector, uint32_t error)
{
	if (i)
		c->rip = insn_rip(c, i);
	c->raised.vector = vector;
	c->raised.error = error;
	siglongjmp(*c->unwind, 1);
}

_Noreturn void cpu_raise_pf(struct cpu *c, const struct insn *i, uint64_t lin, uint32_t error)
{
	c->cr2 = lin;
	cpu_raise(c, i, EXC_PF, error);
}

bool exc_has_error(int vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

/* SDM 3A table 6-4 */
enum exc_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum exc_class class_of(int vector)
{
	switch (vector) {
	case EXC_DE: case EXC_TS: case EXC_NP: case EXC_SS: case EXC_GP: return CONTRIBUTORY;
	case EXC_PF: return PAGE_FAULT;
	case EXC_DF: return DOUBLE_FAULT;
	default: return BENIGN;
	}
}

int exc_combine(int first, int second)
{
	static const int8_t both[4][4] = {
		/* second:       benign, contributory, page fault, double fault. 0: the second; 1: #DF; -1: shutdown */
		[BENIGN] =       { 0, 0, 0, 0 },
		[CONTRIBUTORY] = { 0, 1, 0, 1 },
		[PAGE_FAULT] =   { 0, 1, 1, 1 },
		[DOUBLE_FAULT] = { 0, -1, -1, -1 },
	};
	int r = both[class_of(first)][class_of(second)];

	return r < 0 ? -1 : r ? EXC_DF : second;
}

uint64_t exc_rflags(const struct cpu *c, int vector, enum event_kind kind)
{
	uint64_t v = rflags_get(c);

	/* RF lasts for one instruction, but only stepping clears it behind each. */
	if (!(atomic_load_explicit(&c->exitreq, memory_order_relaxed) & EXITREQ_STEP))
		v &= ~(uint64_t)FL_RF;
	/* an instruction breakpoint leaves RF to its handler (SDM 3B 17.3.1.1) */
	if (kind == EV_FAULT && vector != EXC_DB)
		v |= FL_RF;
	return v;
}

/* A four-byte pointer from the interrupt table at IDTR's base */
static void deliver_real(struct cpu *c, int vector, enum event_kind kind, uint64_t rip)
{
	uint32_t off = (uint32_t)vector * 4, far;
	struct x86_seg cs = c->seg[CS];
	struct frame f;

	if (off + 3 > c->idt.limit)
		cpu_raise(c, NULL, EXC_GP, 0);
	far = (uint32_t)mmu_sys_ld(c, NULL, (c->idt.base + off) & 0xffffffff, 4);
	frame_present(&f, c, NULL, 2, 0);
	frame_push(&f, exc_rflags(c, vector, kind));
	frame_push(&f, cs.sel);
	frame_push(&f, rip);
	cs.sel = (uint16_t)(far >> 16);
	cs.base = (uint64_t)cs.sel << 4;
	c->rflags &= ~(uint64_t)(FL_IF | FL_TF | FL_AC | FL_RF);
	cs_commit(c, &cs, 0);
	frame_commit(&f, false);
	c->rip = far & 0xffff;
}

void exc_deliver_at(struct cpu *c, int vector, enum event_kind kind, bool has_error, uint32_t error, uint64_t rip)
{
	c->halted = false;
	c->shadow = 0;
	if (!protected_mode(c))
		deliver_real(c, vector, kind, rip);
	else if (long_mode(c))
		exc_deliver_long(c, vector, kind, has_error, error, rip);
	else
		exc_deliver_protected(c, vector, kind, has_error, error, rip);
	if (vector == EXC_DB && kind != EV_SOFT && (c->dr7 & DR7_GD)) /* the handler may use the registers */
		c->dr7 &= ~(uint64_t)DR7_GD;
}

void exc_deliver(struct cpu *c, int vector, enum event_kind kind, bool has_error, uint32_t error)
{
	exc_deliver_at(c, vector, kind, has_error, error, c->rip);
}

void exc_trap_db(struct cpu *c)
{
	exc_deliver_at(c, EXC_DB, EV_INTR, false, 0, c->rip);
}
