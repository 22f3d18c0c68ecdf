/* interp.c - from a decoded instruction to its handler. */
#include "engine/soft/interp.h"

#include <pthread.h>

static const struct op_bind *const families[] = {
	int_move_ops, int_alu_ops, int_shift_ops, int_muldiv_ops, int_bit_ops, int_string_ops, int_flow_ops, int_misc_ops,
	sys_seg_ops, sys_far_ops, sys_ctl_ops, sys_io_ops,
	fp_x87_ops, fp_x87_arith_ops, fp_x87_ctl_ops, fp_pcmpstr_ops,
	fp_mmx_ops, fp_sse_mov_ops, fp_sse_arith_ops, fp_sse_int_ops, fp_state_ops,
	avx_int_ops, avx_fp_ops, avx_mov_ops, avx_mem_ops, avx_cvt_ops,
};

static insn_fn (*binds[OP_COUNT])(const struct insn *);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void collect(void)
{
	for (unsigned n = 0; n < ARRAY_LEN(families); n++)
		for (const struct op_bind *b = families[n]; b->bind; b++)
			binds[b->op] = b->bind;
}

const struct insn *op_ud(struct cpu *c, const struct insn *i)
{
	raise_ud(c, i);
}

static insn_fn bind(const struct insn *i)
{
	insn_fn fn;
	if (i->op == OP_INVALID || !binds[i->op])
		return op_ud;
	fn = binds[i->op](i);
	return fn ? fn : op_ud;
}

/* VEX in 16-bit code: the same bytes are #UD in real and virtual-8086 mode (SDM 2A 2.3.5), also of instructions on
 * general registers, which do not look at modes themselves */
static const struct insn *op_vex16(struct cpu *c, const struct insn *i)
{
	if (!protected_mode(c) || vm86_mode(c))
		raise_ud(c, i);
	return bind(i)(c, i);
}

insn_fn interp_bind(const struct insn *i)
{
	pthread_once(&once, collect);
	return (i->flags & IF_VEX) && i->code == CODE_16 ? op_vex16 : bind(i);
}

const struct insn *interp_end(struct cpu *c, const struct insn *i)
{
	c->rip = insn_next_rip(c, i);
	return NULL;
}
