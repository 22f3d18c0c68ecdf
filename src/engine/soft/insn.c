/* insn.c - static facts of operations, and what instructions mean without their feature. */
#include "engine/soft/insn.h"
#include "engine/x86/state.h"

/* opnames.def's short names of flags */
enum { CF = FL_CF, PF = FL_PF, AF = FL_AF, ZF = FL_ZF, SF = FL_SF, OF = FL_OF, ALL = FL_ARITH };

const struct op_info op_info[OP_COUNT] = {
	[OP_INVALID] = { "(bad)", 0, 0, 0 },
#define OP(id, mnemonic, read, write, undef) [OP_##id] = { mnemonic, read, write, undef },
#include "engine/soft/opnames.def"
#undef OP
};

void insn_drop_feature(struct insn *i)
{
	if (i->op == OP_TZCNT || i->op == OP_LZCNT) {
		i->op = i->op == OP_TZCNT ? OP_BSF : OP_BSR;
		i->o[0].rw = OPND_R | OPND_W;
		i->flags &= ~(~0u << IF_FEATURE_SHIFT);
		return;
	}
	i->op = OP_INVALID;
	i->flags |= IF_ENDS;
	i->nopnd = 0;
}
