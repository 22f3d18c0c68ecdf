/* Fuzzes the instruction decoder: the first byte is the code size, the rest the bytes.
 * What it gives back must be consistent, whatever the bytes are. */
#include <stdlib.h>
#include <string.h>

#include "engine/soft/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_operand(const struct insn *i, const struct opnd *o)
{
	require(o->kind != O_NONE && o->kind <= O_XMM && o->rw <= (OPND_R | OPND_W));
	switch (o->kind) {
	case O_GPR:
		require(gpr_num(o->reg) < (i->code == CODE_64 ? 16 : 8) && (o->reg & 7) <= 1);
		require(!(o->reg & 7) || (o->size == 1 && o->reg < 32));
		require(o->size == 1 || o->size == 2 || o->size == 4 || o->size == 8);
		break;
	case O_MEM: require(i->flags & IF_MEM); break;
	case O_SREG: require(o->reg < 6); break;
	case O_CR: require(o->reg <= 8); break;
	case O_DR:
	case O_ST:
	case O_MMX: require(o->reg < 8); break;
	case O_XMM: require(o->reg < (i->code == CODE_64 ? 16 : 8) && o->size); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	enum code_size code = (enum code_size)(data[0] % 3);
	/* a copy of exactly that size: the sanitizer sees every byte read beyond it */
	size_t len = size - 1 < 20 ? size - 1 : 20;
	uint8_t *bytes = malloc(len);
	require(bytes != NULL);
	memcpy(bytes, data + 1, len);
	struct insn i, j;
	memset(&i, 0xa5, sizeof(i));
	int n = insn_decode(bytes, len, code, &i);
	require(n >= 0 && n <= INSN_LEN_MAX && (size_t)n <= len && i.op < OP_COUNT);
	if (n) {
		require(i.len == n && i.code == code && i.nopnd <= 4 && i.seg < 6 && i.scale < 4);
		require(i.base < REG_FILE && i.index <= REG_ZERO && i.cc < 16);
		require(!(i.flags & IF_BRANCH) || i.flags & IF_ENDS);
		require(i.op != OP_INVALID || i.flags & IF_ENDS);
		require(insn_feature(&i) < F_COUNT && op_info[i.op].name);
		for (unsigned k = 0; k < i.nopnd; k++)
			check_operand(&i, &i.o[k]);
		/* the same from exactly the bytes it has, and from no fewer unless it is invalid */
		require(insn_decode(bytes, (size_t)n, code, &j) == n && !memcmp(&i, &j, sizeof(i)));
		if (i.op != OP_INVALID)
			require(insn_decode(bytes, (size_t)n - 1, code, &j) == 0);
		insn_drop_feature(&i);
	}
	free(bytes);
	return 0;
}
