/* avx_int.c - VEX instructions on vector registers that do not look at MXCSR: integers, logic, shuffles,
 * changes of width, AES, carry-less multiplication: the rows V of avx.def. */
#include "engine/soft/avx.h"

/* Cores and handlers, by shape */
#define DEFINE_OP3(name, mnem, n128, n256) \
	AVX_CORE3(name, mnem, 128, n128) \
	AVX_HANDLERS(name, 128, 2, n128) \
	DEFINE_OP3Y(name, mnem, n128, n256)
#define DEFINE_OP3Y(name, mnem, n128, n256) \
	AVX_CORE3(name, mnem, 256, n256) \
	AVX_HANDLERS(name, 256, 2, n256)
#define DEFINE_OP3S(name, mnem, n128, n256) \
	AVX_CORE3(name, mnem, 128, n128) \
	AVX_HANDLERS(name, 128, 2, n128)
#define DEFINE_OP2(name, mnem, n128, n256) \
	DEFINE_OP2X(name, mnem, n128, n256) \
	DEFINE_OP2Y(name, mnem, n128, n256)
#define DEFINE_OP2X(name, mnem, n128, n256) \
	AVX_CORE2(name, mnem, 128, n128) \
	AVX_HANDLERS(name, 128, 1, n128)
#define DEFINE_OP2Y(name, mnem, n128, n256) \
	AVX_CORE2(name, mnem, 256, n256) \
	AVX_HANDLERS(name, 256, 1, n256)
#define DEFINE_OP4(name, mnem, n128, n256) \
	AVX_CORE4(name, mnem, 128, n128) \
	AVX_CORE4(name, mnem, 256, n256) \
	AVX_HANDLERS(name, 128, 2, n128) \
	AVX_HANDLERS(name, 256, 2, n256)
#define DEFINE_OP3I(name, mnem, n128, n256) \
	AVX_CORE3I(name, mnem, 128, n128, "vmovdqu %2, %%xmm1", "xmm") \
	AVX_HANDLERS(name, 128, 2, n128) \
	DEFINE_OP3IY(name, mnem, n128, n256)
#define DEFINE_OP3IY(name, mnem, n128, n256) \
	AVX_CORE3I(name, mnem, 256, n256, "vmovdqu %2, %%ymm1", "ymm") \
	AVX_HANDLERS(name, 256, 2, n256)
#define DEFINE_OP2I(name, mnem, n128, n256) \
	DEFINE_OP2IX(name, mnem, n128, n256) \
	DEFINE_OP2IY(name, mnem, n128, n256)
#define DEFINE_OP2IX(name, mnem, n128, n256) \
	AVX_CORE2I(name, mnem, 128, n128, "vmovdqu %1, %%xmm1", "xmm", "xmm") \
	AVX_HANDLERS(name, 128, 1, n128)
#define DEFINE_OP2IY(name, mnem, n128, n256) \
	AVX_CORE2I(name, mnem, 256, n256, "vmovdqu %1, %%ymm1", "ymm", "ymm") \
	AVX_HANDLERS(name, 256, 1, n256)
#define DEFINE_SHI(name, mnem, n128, n256) DEFINE_OP2I(name##_imm, mnem, n128, n256)

#define F(...)
#define V(shape, ...) DEFINE_##shape(__VA_ARGS__)
#include "engine/soft/avx.def"
#undef V

#define FORMS_BOTH(name) { { name##_rr128, name##_rr256 }, { name##_rm128, name##_rm256 } }
#define FORMS_X(name) { { name##_rr128, NULL }, { name##_rm128, NULL } }
#define FORMS_Y(name) { { NULL, name##_rr256 }, { NULL, name##_rm256 } }
#define FORMS_OP3(name) [OP_##name] = FORMS_BOTH(name),
#define FORMS_OP3Y(name) [OP_##name] = FORMS_Y(name),
#define FORMS_OP3S(name) [OP_##name] = { { name##_rr128, name##_rr128 }, { name##_rm128, name##_rm128 } },
#define FORMS_OP2(name) [OP_##name] = FORMS_BOTH(name),
#define FORMS_OP2X(name) [OP_##name] = FORMS_X(name),
#define FORMS_OP2Y(name) [OP_##name] = FORMS_Y(name),
#define FORMS_OP4(name) [OP_##name] = FORMS_BOTH(name),
#define FORMS_OP3I(name) [OP_##name] = FORMS_BOTH(name),
#define FORMS_OP3IY(name) [OP_##name] = FORMS_Y(name),
#define FORMS_OP2I(name) [OP_##name] = FORMS_BOTH(name),
#define FORMS_OP2IX(name) [OP_##name] = FORMS_X(name),
#define FORMS_OP2IY(name) [OP_##name] = FORMS_Y(name),
#define FORMS_SHI(name) [OP_COUNT + OP_##name] = FORMS_BOTH(name##_imm),
#define V(shape, name, ...) FORMS_##shape(name)
static const struct avx_forms forms[2 * OP_COUNT] = { /* the second half: shifts by an immediate */
#include "engine/soft/avx.def"
};
#undef V

static insn_fn bind(const struct insn *i)
{
	bool shift_imm = i->nopnd == 3 && i->o[2].kind == O_IMM && forms[OP_COUNT + i->op].rr[0];

	return avx_pick(&forms[i->op + (shift_imm ? OP_COUNT : 0)], i);
}

#define V(shape, name, ...) { OP_##name, bind },
const struct op_bind avx_int_ops[] = {
#include "engine/soft/avx.def"
	{ OP_INVALID, NULL },
};
