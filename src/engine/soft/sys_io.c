/* sys_io.c - port accesses: IN OUT INS OUTS, their permissions and I/O breakpoints. */
#include "engine/soft/sys.h"

/* IOPL, or the bitmap in the TSS (SDM 1 19.5) */
static inline void need_io(struct cpu *c, const struct insn *i, uint16_t port, unsigned size)
{
	if (likely(!protected_mode(c)) && !vm86_mode(c))
		return;
	if (likely(c->cpl <= (c->rflags & FL_IOPL) >> 12) && !vm86_mode(c))
		return;
	if (!task_io_allowed(c, i, port, size))
		raise_gp(c, i, 0);
}

/* Breakpoints of type 2 are on ports where CR4.DE is set (SDM 3B 17.2.4); the run loop steps while any are on. */
static void io_breakpoints(struct cpu *c, uint16_t port, unsigned size)
{
	static const uint8_t lens[4] = { 1, 2, 8, 4 };

	if (likely(!(c->dr7 & 0xff)) || !(c->cr4 & CR4_DE))
		return;
	for (unsigned n = 0; n < 4; n++) {
		unsigned len = lens[c->dr7 >> (18 + 4 * n) & 3];
		if ((c->dr7 >> (2 * n) & 3) && (c->dr7 >> (16 + 4 * n) & 3) == 2 &&
		    ranges_overlap(port, size, c->dr[n] & ~(uint64_t)(len - 1), len))
			c->db_hits |= 1u << n;
	}
}

static uint32_t port_read(struct cpu *c, uint16_t port, unsigned size)
{
	io_breakpoints(c, port, size);
	return c->host->pio_read(c->host->ctx, c->id, port, size);
}
static void port_write(struct cpu *c, uint16_t port, unsigned size, uint32_t v)
{
	io_breakpoints(c, port, size);
	c->host->pio_write(c->host->ctx, c->id, port, size, v);
}

static uint16_t port_of(const struct cpu *c, const struct insn *i, unsigned n)
{
	return i->o[n].kind == O_IMM ? (uint8_t)i->imm : (uint16_t)c->gpr[RDX];
}

static const struct insn *in(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[0].size;
	uint16_t port = port_of(c, i, 1);
	uint32_t v;

	need_io(c, i, port, size);
	v = port_read(c, port, size);
	switch (size) {
	case 1: R8(c, 0) = (uint8_t)v; break;
	case 2: R16(c, 0) = (uint16_t)v; break;
	default: c->gpr[RAX] = v; break;
	}
	NEXT(i);
}

static const struct insn *out(struct cpu *c, const struct insn *i)
{
	unsigned size = i->o[1].size;
	uint16_t port = port_of(c, i, 0);
	uint32_t v = (uint32_t)c->gpr[RAX];

	need_io(c, i, port, size);
	port_write(c, port, size, size == 1 ? (uint8_t)v : size == 2 ? (uint16_t)v : v);
	NEXT(i);
}

/* --- string forms --- */

static uint64_t addr_mask(const struct insn *i) { return i->asz == 8 ? ~0ull : i->asz == 4 ? 0xffffffff : 0xffff; }

/* Adds to a register as addresses of i's size do: 32 bits clear the upper half, 16 bits keep the rest */
static void addr_add(struct cpu *c, const struct insn *i, unsigned reg, uint64_t n)
{
	uint64_t v = c->gpr[reg] + n;

	c->gpr[reg] = i->asz == 8 ? v : i->asz == 4 ? (uint32_t)v : (c->gpr[reg] & ~0xffffull) | (uint16_t)v;
}

static void st_element(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size, uint32_t v)
{
	switch (size) {
	case 1: mem_st(c, i, lin, 1, v); break;
	case 2: mem_st(c, i, lin, 2, v); break;
	default: mem_st(c, i, lin, 4, v); break;
	}
}
static uint32_t ld_element(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size)
{
	switch (size) {
	case 1: return (uint32_t)mem_ld(c, i, lin, 1);
	case 2: return (uint32_t)mem_ld(c, i, lin, 2);
	default: return (uint32_t)mem_ld(c, i, lin, 4);
	}
}

/* The destination is checked before the port is read: what a port gives cannot be given back. */
static void ins_one(struct cpu *c, const struct insn *i, uint16_t port, unsigned size)
{
	uint64_t lin = seg_lin(c, i, ES, c->gpr[RDI] & addr_mask(i), size, true);

	if (!tlb_hit(c->tlb->w, lin, size))
		mmu_probe_w(c, i, lin, size);
	st_element(c, i, lin, size, port_read(c, port, size));
}
static void outs_one(struct cpu *c, const struct insn *i, uint16_t port, unsigned size)
{
	uint64_t lin = seg_lin(c, i, i->seg, c->gpr[RSI] & addr_mask(i), size, false);

	port_write(c, port, size, ld_element(c, i, lin, size));
}

static const struct insn *io_string(struct cpu *c, const struct insn *i, bool input)
{
	unsigned size = i->o[0].size, reg = input ? RDI : RSI;
	uint64_t step = c->rflags & FL_DF ? -(uint64_t)size : size;
	bool rep = i->flags & (IF_REP | IF_REPNE);
	uint16_t port = (uint16_t)c->gpr[RDX];

	need_io(c, i, port, size); /* even where there is nothing to do */
	if (rep && !(c->gpr[RCX] & addr_mask(i)))
		NEXT(i);
	for (;;) {
		if (input)
			ins_one(c, i, port, size);
		else
			outs_one(c, i, port, size);
		addr_add(c, i, reg, step);
		if (!rep)
			NEXT(i);
		addr_add(c, i, RCX, ~0ull);
		if (!(c->gpr[RCX] & addr_mask(i)))
			NEXT(i);
		/* events are taken between iterations, with RIP still here */
		if (atomic_load_explicit(&c->exitreq, memory_order_relaxed))
			JUMP(c, i, insn_rip(c, i));
	}
}
static const struct insn *ins(struct cpu *c, const struct insn *i) { return io_string(c, i, true); }
static const struct insn *outs(struct cpu *c, const struct insn *i) { return io_string(c, i, false); }

SYS_BIND(in)
SYS_BIND(out)
SYS_BIND(ins)
SYS_BIND(outs)

const struct op_bind sys_io_ops[] = {
	{ OP_IN, bind_in }, { OP_OUT, bind_out }, { OP_INS, bind_ins }, { OP_OUTS, bind_outs },
	{ OP_INVALID, NULL },
};
