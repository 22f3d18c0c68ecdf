/* avx_mem.c - VEX instructions that access memory element by element: masked moves and gathers. */
#include "engine/soft/avx.h"

/* Linear address of an access at ea + off */
static uint64_t lin_at(struct cpu *c, const struct insn *i, uint64_t ea, unsigned size, bool write)
{
	if (likely(i->flags & IF_FLAT64))
		return ea;
	return seg_lin(c, i, i->seg, ea, size, write);
}

static bool selected(const union vreg *mask, unsigned n, unsigned size)
{
	return size == 4 ? mask->d[n] >> 31 : mask->q[n] >> 63;
}

/* --- VMASKMOV, VPMASKMOV: what is not selected is neither read nor written, and cannot fault --- */

static void mask_load_slow(struct cpu *c, const struct insn *i, unsigned size, unsigned bytes)
{
	const union vreg *mask = &VREG(c, i, 1);
	uint64_t ea = insn_ea(c, i);
	union vreg r;

	memset(&r, 0, 32);
	for (unsigned n = 0; n < bytes / size; n++)
		if (selected(mask, n, size))
			mmu_ldn(c, i, lin_at(c, i, ea + n * size, size, false), &r.b[n * size], size);
	memcpy(&VREG(c, i, 0), &r, 32);
}
static void mask_store_slow(struct cpu *c, const struct insn *i, unsigned size, unsigned bytes)
{
	const union vreg *mask = &VREG(c, i, 1), *v = &VREG(c, i, 2);
	uint64_t ea = insn_ea(c, i);

	for (unsigned n = 0; n < bytes / size; n++)
		if (selected(mask, n, size))
			mmu_probe_w(c, i, lin_at(c, i, ea + n * size, size, true), size);
	for (unsigned n = 0; n < bytes / size; n++)
		if (selected(mask, n, size))
			mmu_stn(c, i, lin_at(c, i, ea + n * size, size, true), &v->b[n * size], size);
}

#define MASKED(name, mnem, size, L) \
	FP_SLOW_HANDLER(name##_load##L##_slow) \
	{ \
		AVX_CHECK(c, i); \
		mask_load_slow(c, i, size, AVX_BYTES_##L); \
		NEXT(i); \
	} \
	HANDLER(name##_load##L) \
	{ \
		const void *p = fp_fast(c, i, c->tlb->r, AVX_BYTES_##L, 1); \
		if (unlikely(!p || c->fp_avx_trap)) \
			return name##_load##L##_slow(c, i); \
		__asm__ volatile("vmovdqu %1, " AVX_R_##L "1\n\t" mnem " %2, " AVX_R_##L "1, " AVX_R_##L "0" AVX_END_##L \
		                 : AVX_OUT(&VREG(c, i, 0), 32) \
		                 : AVX_IN_FULL(&VREG(c, i, 1), L), AVX_IN_FULL(p, L) \
		                 : "xmm0", "xmm1"); \
		NEXT(i); \
	} \
	FP_SLOW_HANDLER(name##_store##L##_slow) \
	{ \
		AVX_CHECK(c, i); \
		mask_store_slow(c, i, size, AVX_BYTES_##L); \
		NEXT(i); \
	} \
	HANDLER(name##_store##L) \
	{ \
		void *p = fp_fast(c, i, c->tlb->w, AVX_BYTES_##L, 1); \
		if (unlikely(!p || c->fp_avx_trap)) \
			return name##_store##L##_slow(c, i); \
		__asm__ volatile("vmovdqu %1, " AVX_R_##L "1\n\tvmovdqu %2, " AVX_R_##L "0\n\t" \
		                 mnem " " AVX_R_##L "0, " AVX_R_##L "1, (%0)" VZ_##L \
		                 : : "r"(p), AVX_IN_FULL(&VREG(c, i, 1), L), AVX_IN_FULL(&VREG(c, i, 2), L) \
		                 : "xmm0", "xmm1", "memory"); \
		NEXT(i); \
	}
#define VZ_128 ""
#define VZ_256 "\n\tvzeroupper"
#define MASKED_BOTH(name, mnem, size) \
	MASKED(name, mnem, size, 128) \
	MASKED(name, mnem, size, 256) \
	static insn_fn bind_##name(const struct insn *i) \
	{ \
		if (OPERAND_IS_MEM(i, 0)) \
			return i->vl == 32 ? name##_store256 : name##_store128; \
		return i->vl == 32 ? name##_load256 : name##_load128; \
	}
MASKED_BOTH(maskmov_d, "vmaskmovps", 4)
MASKED_BOTH(maskmov_q, "vmaskmovpd", 8)

/* --- gathers --- */

static void clear_element(union vreg *v, unsigned n, unsigned size)
{
	if (size == 4)
		v->d[n] = 0;
	else
		v->q[n] = 0;
}

/* Operands: destination, memory (an element), mask; i->index is a vector register of indices of isize bytes.
 * Elements are loaded in order, and each one's mask is cleared with it, so that an instruction that faults
 * goes on where it was. */
static void gather(struct cpu *c, const struct insn *i, unsigned size, unsigned isize)
{
	union vreg *d = &VREG(c, i, 0), *mask = &VREG(c, i, 2);
	const union vreg *index = &c->fpu.v[i->index];
	unsigned count = i->vl / (size > isize ? size : isize), used = count * size;

	for (unsigned n = 0; n < count; n++) {
		int64_t at = isize == 4 ? (int32_t)index->d[n] : (int64_t)index->q[n];
		uint64_t ea = c->gpr[i->base] + ((uint64_t)at << i->scale) + (uint64_t)i->disp, lin, v;

		if (!selected(mask, n, size)) {
			clear_element(mask, n, size);
			continue;
		}
		ea = i->asz == 8 ? ea : (uint32_t)ea;
		lin = lin_at(c, i, ea, size, false);
		v = size == 4 ? mem_ld(c, i, lin, 4) : mem_ld(c, i, lin, 8);
		if (size == 4)
			d->d[n] = (uint32_t)v;
		else
			d->q[n] = v;
		clear_element(mask, n, size);
	}
	memset(mask, 0, 32);
	memset(&d->b[used], 0, 32 - used);
}
#define GATHER(name, size, isize) \
	HANDLER(name) \
	{ \
		AVX_CHECK(c, i); \
		gather(c, i, size, isize); \
		NEXT(i); \
	} \
	static insn_fn bind_##name(const struct insn *i) { return name; }
GATHER(gather_dd, 4, 4)
GATHER(gather_dq, 8, 4)
GATHER(gather_qd, 4, 8)
GATHER(gather_qq, 8, 8)

const struct op_bind avx_mem_ops[] = {
	{ OP_VMASKMOVPS, bind_maskmov_d },
	{ OP_VPMASKMOVD, bind_maskmov_d },
	{ OP_VMASKMOVPD, bind_maskmov_q },
	{ OP_VPMASKMOVQ, bind_maskmov_q },
	{ OP_VPGATHERDD, bind_gather_dd },
	{ OP_VGATHERDPS, bind_gather_dd },
	{ OP_VPGATHERDQ, bind_gather_dq },
	{ OP_VGATHERDPD, bind_gather_dq },
	{ OP_VPGATHERQD, bind_gather_qd },
	{ OP_VGATHERQPS, bind_gather_qd },
	{ OP_VPGATHERQQ, bind_gather_qq },
	{ OP_VGATHERQPD, bind_gather_qq },
	{ OP_INVALID, NULL },
};
