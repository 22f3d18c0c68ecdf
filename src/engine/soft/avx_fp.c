/* avx_fp.c - VEX floating-point instructions of the usual shapes: the rows F of avx.def. */
#include "engine/soft/avx.h"

#define DEFINE_OP3(name, mnem, n128, n256, tiny, sse) \
	AVX_CORE3(name, mnem, 128, n128) \
	AVX_CORE3(name, mnem, 256, n256) \
	AVX_FP_HANDLERS(name, 128, 2, n128, tiny, 1, sse) \
	AVX_FP_HANDLERS(name, 256, 2, n256, tiny, 2, sse)
#define DEFINE_OP3S(name, mnem, n128, n256, tiny, sse) \
	AVX_CORE3(name, mnem, 128, n128) \
	AVX_FP_HANDLERS(name, 128, 2, n128, tiny, 1, sse)
#define DEFINE_OP2(name, mnem, n128, n256, tiny, sse) \
	AVX_CORE2(name, mnem, 128, n128) \
	AVX_CORE2(name, mnem, 256, n256) \
	AVX_FP_HANDLERS(name, 128, 1, n128, tiny, 1, sse) \
	AVX_FP_HANDLERS(name, 256, 1, n256, tiny, 2, sse)
#define DEFINE_OP2N(name, mnem, n128, n256, tiny, sse) \
	AVX_CORE2N(name, mnem "x", 128, n128) \
	AVX_CORE2N(name, mnem "y", 256, n256) \
	AVX_FP_HANDLERS(name, 128, 1, n128, tiny, 1, sse) \
	AVX_FP_HANDLERS(name, 256, 1, n256, tiny, 2, sse)
#define DEFINE_FMA(name, mnem, n128, n256, tiny, sse) \
	AVX_CORE_FMA(name, mnem, 128, n128) \
	AVX_CORE_FMA(name, mnem, 256, n256) \
	AVX_FP_HANDLERS(name, 128, 2, n128, tiny, 1, sse) \
	AVX_FP_HANDLERS(name, 256, 2, n256, tiny, 2, sse)
#define DEFINE_FMAS(name, mnem, n128, n256, tiny, sse) \
	AVX_CORE_FMA(name, mnem, 128, n128) \
	AVX_FP_HANDLERS(name, 128, 2, n128, tiny, 1, sse)
#define DEFINE_OP3I(name, mnem, n128, n256, tiny, sse) \
	AVX_CORE3I(name, mnem, 128, n128, "vmovdqu %2, %%xmm1", "xmm") \
	AVX_CORE3I(name, mnem, 256, n256, "vmovdqu %2, %%ymm1", "ymm") \
	AVX_FP_HANDLERS(name, 128, 2, n128, tiny, 1, sse) \
	AVX_FP_HANDLERS(name, 256, 2, n256, tiny, 2, sse)
#define LOAD_4 "vmovd %2, %%xmm1"
#define LOAD_8 "vmovq %2, %%xmm1"
#define DEFINE_OP3IS(name, mnem, n128, n256, tiny, sse) \
	AVX_CORE3I(name, mnem, 128, n128, LOAD_##n128, "xmm") \
	AVX_FP_HANDLERS(name, 128, 2, n128, tiny, 1, sse)
#define DEFINE_OP2I(name, mnem, n128, n256, tiny, sse) \
	AVX_CORE2I(name, mnem, 128, n128, "vmovdqu %1, %%xmm1", "xmm", "xmm") \
	AVX_CORE2I(name, mnem, 256, n256, "vmovdqu %1, %%ymm1", "ymm", "ymm") \
	AVX_FP_HANDLERS(name, 128, 1, n128, tiny, 1, sse) \
	AVX_FP_HANDLERS(name, 256, 1, n256, tiny, 2, sse)

#define V(...)
#define F(shape, ...) DEFINE_##shape(__VA_ARGS__)
#include "engine/soft/avx.def"
#undef F

#define FORMS_BOTH(name) [OP_##name] = { { name##_rr128, name##_rr256 }, { name##_rm128, name##_rm256 } },
#define FORMS_SCALAR(name) [OP_##name] = { { name##_rr128, name##_rr128 }, { name##_rm128, name##_rm128 } },
#define FORMS_OP3 FORMS_BOTH
#define FORMS_OP3S FORMS_SCALAR
#define FORMS_OP2 FORMS_BOTH
#define FORMS_OP2N FORMS_BOTH
#define FORMS_FMA FORMS_BOTH
#define FORMS_FMAS FORMS_SCALAR
#define FORMS_OP3I FORMS_BOTH
#define FORMS_OP3IS FORMS_SCALAR
#define FORMS_OP2I FORMS_BOTH
#define F(shape, name, ...) FORMS_##shape(name)
static const struct avx_forms forms[OP_COUNT] = {
#include "engine/soft/avx.def"
};
#undef F

static insn_fn bind(const struct insn *i) { return avx_pick(&forms[i->op], i); }

#define F(shape, name, ...) { OP_##name, bind },
const struct op_bind avx_fp_ops[] = {
#include "engine/soft/avx.def"
	{ OP_INVALID, NULL },
};
