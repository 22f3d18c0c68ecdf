/* int_string.c - string instructions MOVS STOS LODS CMPS SCAS and their repetition (SDM 1 7.3.9).
 *
 * A repeated instruction works in runs of elements that lie in one page at both ends, through host
 * pointers; what does not fit (straddling elements, MMIO, segments with checks, DF = 1, single stepping)
 * goes element by element. The registers are brought up to date after each run, so a fault finds
 * them at the element that faulted. After REP_SLICE bytes of work a pending request leaves the
 * instruction with RIP still at it. */

#include "engine/soft/int_form.h"

#define REP_SLICE   65536
#define REP_ELEMENT 16 /* what an element done by itself counts for: 4096 of them are a slice */

INL uint64_t asz_mask(unsigned asz) { return asz == 8 ? ~0ull : asz == 4 ? 0xffffffff : 0xffff; }

/* Writes rSI, rDI or rCX by the address size */
INL void put_asz(struct cpu *c, unsigned reg, unsigned asz, uint64_t v) { reg_st(c, gpr_off(reg), asz, v); }

/* Adds n elements in the direction of DF */
INL void advance(struct cpu *c, const struct insn *i, unsigned reg, uint64_t n, unsigned size)
{
	uint64_t bytes = n * size;
	put_asz(c, reg, i->asz, c->rflags & FL_DF ? c->gpr[reg] - bytes : c->gpr[reg] + bytes);
}

INL uint64_t src_ea(const struct cpu *c, const struct insn *i) { return c->gpr[RSI] & asz_mask(i->asz); }
INL uint64_t dst_ea(const struct cpu *c, const struct insn *i) { return c->gpr[RDI] & asz_mask(i->asz); }

/* One element at the source, or at the destination */
INL uint64_t src_ld(struct cpu *c, const struct insn *i, unsigned size)
{
	return mem_ld(c, i, seg_lin(c, i, i->seg, src_ea(c, i), size, false), size);
}
INL uint64_t dst_ld(struct cpu *c, const struct insn *i, unsigned size)
{
	return mem_ld(c, i, seg_lin(c, i, ES, dst_ea(c, i), size, false), size);
}
INL void dst_st(struct cpu *c, const struct insn *i, unsigned size, uint64_t v)
{
	mem_st(c, i, seg_lin(c, i, ES, dst_ea(c, i), size, true), size, v);
}

/* --- runs --- */

/* Elements from ea (at linear address lin) upwards that stay in lin's page and below the end of the
 * address size */
INL uint64_t run_fit(uint64_t ea, uint64_t lin, unsigned asz, unsigned size, uint64_t n)
{
	uint64_t room = 4096 - (lin & 4095);
	if (asz != 8 && asz_mask(asz) - ea < room)
		room = asz_mask(asz) - ea + 1;
	room /= size;
	return n < room ? n : room;
}

/* Runs are for ascending addresses in segments that need no checks, and not for single steps; with
 * alignment checks on, each element has to be looked at. */
INL bool runs_allowed(const struct cpu *c, const struct insn *i, bool src, bool dst)
{
	return !(c->rflags & FL_DF) && !(src && c->scheck[i->seg]) && !(dst && c->scheck[ES]) &&
	       !((c->rflags & FL_AC) && c->cpl == 3 && (c->cr0 & CR0_AM)) &&
	       !(atomic_load_explicit(&c->exitreq, memory_order_relaxed) & EXITREQ_STEP);
}

static const void *run_r(struct cpu *c, const struct insn *i, uint64_t lin, unsigned len)
{
	const void *p = tlb_hit(c->tlb->r, lin, 1);
	return likely(p != NULL) ? p : mmu_r_ptr_slow(c, i, lin, len);
}
static void *run_w(struct cpu *c, const struct insn *i, uint64_t lin, unsigned len)
{
	void *p = tlb_hit(c->tlb->w, lin, 1);
	return likely(p != NULL) ? p : mmu_w_ptr_slow(c, i, lin, len);
}
/* The same for the source and the destination, n elements at most: *n becomes what fits, NULL if none */
INL const void *src_run(struct cpu *c, const struct insn *i, unsigned size, uint64_t *n)
{
	uint64_t ea = src_ea(c, i), lin = (c->sbase[i->seg] + ea) & c->lin_mask;
	*n = run_fit(ea, lin, i->asz, size, *n);
	return *n ? run_r(c, i, lin, (unsigned)*n * size) : NULL;
}
INL const void *dst_run_r(struct cpu *c, const struct insn *i, unsigned size, uint64_t *n)
{
	uint64_t ea = dst_ea(c, i), lin = (c->sbase[ES] + ea) & c->lin_mask;
	*n = run_fit(ea, lin, i->asz, size, *n);
	return *n ? run_r(c, i, lin, (unsigned)*n * size) : NULL;
}
INL void *dst_run_w(struct cpu *c, const struct insn *i, unsigned size, uint64_t *n)
{
	uint64_t ea = dst_ea(c, i), lin = (c->sbase[ES] + ea) & c->lin_mask;
	*n = run_fit(ea, lin, i->asz, size, *n);
	return *n ? run_w(c, i, lin, (unsigned)*n * size) : NULL;
}

/* Copies n elements in ascending order: with the destination a little above the source, what was
 * written is read again (a pattern fill). */
INL void copy_up(uint8_t *d, const uint8_t *s, uint64_t n, unsigned size)
{
	if (likely((uint64_t)((uintptr_t)d - (uintptr_t)s) >= n * size)) {
		memmove(d, s, n * size);
		return;
	}
	for (; n; n--, d += size, s += size)
		host_st(d, size, host_ld(s, size));
}

INL void fill_up(uint8_t *d, uint64_t v, uint64_t n, unsigned size)
{
	if (size == 1 || v == ((v & 0xff) * 0x0101010101010101ull & (size == 8 ? ~0ull : (1ull << (8 * size)) - 1))) {
		memset(d, (int)(v & 0xff), n * size);
		return;
	}
	for (; n; n--, d += size)
		host_st(d, size, v);
}

/* --- the repetition --- */

/* Accounts for n elements done. True if the instruction has to be left for a request; the registers say
 * where it goes on. */
INL bool rep_pause(struct cpu *c, int64_t *slice, uint64_t n, unsigned size)
{
	uint32_t req = atomic_load_explicit(&c->exitreq, memory_order_relaxed);
	*slice -= (int64_t)(n * size > REP_ELEMENT ? n * size : REP_ELEMENT);
	if (likely(!req))
		return false;
	return (req & EXITREQ_STEP) || *slice <= 0;
}

static const struct insn *rep_again(struct cpu *c, const struct insn *i)
{
	uint64_t rip = insn_rip(c, i);
	JUMP(c, i, c->code == CODE_64 ? rip : c->code == CODE_32 ? (uint32_t)rip : (uint16_t)rip);
}

INL uint64_t rep_count(const struct cpu *c, const struct insn *i) { return c->gpr[RCX] & asz_mask(i->asz); }

INL const struct insn *rep_movs(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t left = rep_count(c, i);
	int64_t slice = REP_SLICE;

	while (left) {
		uint64_t n = left;
		const void *s = NULL;
		void *d = NULL;
		if (runs_allowed(c, i, true, true)) {
			uint64_t dst = dst_ea(c, i);
			n = run_fit(dst, (c->sbase[ES] + dst) & c->lin_mask, i->asz, size, n);
			s = n ? src_run(c, i, size, &n) : NULL;
			d = s ? dst_run_w(c, i, size, &n) : NULL;
		}
		if (likely(d != NULL)) {
			copy_up(d, s, n, size);
		} else {
			dst_st(c, i, size, src_ld(c, i, size));
			n = 1;
		}
		advance(c, i, RSI, n, size);
		advance(c, i, RDI, n, size);
		left -= n;
		put_asz(c, RCX, i->asz, left);
		if (left && rep_pause(c, &slice, n, size))
			return rep_again(c, i);
	}
	NEXT(i);
}

INL const struct insn *rep_stos(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t left = rep_count(c, i), v = reg_ld(c, gpr_off(RAX), size);
	int64_t slice = REP_SLICE;

	while (left) {
		uint64_t n = left;
		void *d = runs_allowed(c, i, false, true) ? dst_run_w(c, i, size, &n) : NULL;
		if (likely(d != NULL)) {
			fill_up(d, v, n, size);
		} else {
			dst_st(c, i, size, v);
			n = 1;
		}
		advance(c, i, RDI, n, size);
		left -= n;
		put_asz(c, RCX, i->asz, left);
		if (left && rep_pause(c, &slice, n, size))
			return rep_again(c, i);
	}
	NEXT(i);
}

INL const struct insn *rep_lods(struct cpu *c, const struct insn *i, unsigned size)
{
	uint64_t left = rep_count(c, i);
	int64_t slice = REP_SLICE;

	while (left) {
		reg_st(c, gpr_off(RAX), size, src_ld(c, i, size));
		advance(c, i, RSI, 1, size);
		put_asz(c, RCX, i->asz, --left);
		if (left && rep_pause(c, &slice, 1, size))
			return rep_again(c, i);
	}
	NEXT(i);
}

/* CMPS (a from the source) or SCAS (a is the accumulator): goes on while equality is as the prefix says.
 * A fault leaves the flags as they were before the instruction (SDM 2, REP). */
INL const struct insn *rep_compare(struct cpu *c, const struct insn *i, bool cmps, unsigned size)
{
	uint64_t left = rep_count(c, i), a = reg_ld(c, gpr_off(RAX), size), b = 0;
	bool want = !(i->flags & IF_REPNE);
	int64_t slice = REP_SLICE;

	while (left) {
		uint64_t n = left, k;
		const uint8_t *s = NULL, *d = NULL;
		if (runs_allowed(c, i, cmps, true)) {
			if (cmps) {
				s = src_run(c, i, size, &n);
				d = s ? dst_run_r(c, i, size, &n) : NULL;
			} else {
				d = dst_run_r(c, i, size, &n);
			}
		}
		if (likely(d != NULL)) {
			for (k = 0; k < n; k++) {
				if (cmps)
					a = host_ld(s + k * size, size);
				b = host_ld(d + k * size, size);
				if ((a == b) != want)
					break;
			}
			n = k < n ? k + 1 : n;
		} else {
			if (cmps)
				a = src_ld(c, i, size);
			b = dst_ld(c, i, size);
			n = 1;
		}
		if (cmps)
			advance(c, i, RSI, n, size);
		advance(c, i, RDI, n, size);
		left -= n;
		put_asz(c, RCX, i->asz, left);
		bool done = !left || (a == b) != want;
		if (done || rep_pause(c, &slice, n, size)) {
			uint64_t sa = (uint64_t)SX(a, size), sb = (uint64_t)SX(b, size);
			cc_set(c, CC_SUB, sa, sb, (uint64_t)SX(sa - sb, size));
			if (done)
				NEXT(i);
			return rep_again(c, i);
		}
	}
	NEXT(i);
}

/* --- one element --- */

INL const struct insn *movs(struct cpu *c, const struct insn *i, unsigned size)
{
	dst_st(c, i, size, src_ld(c, i, size));
	advance(c, i, RSI, 1, size);
	advance(c, i, RDI, 1, size);
	NEXT(i);
}

INL const struct insn *stos(struct cpu *c, const struct insn *i, unsigned size)
{
	dst_st(c, i, size, reg_ld(c, gpr_off(RAX), size));
	advance(c, i, RDI, 1, size);
	NEXT(i);
}

INL const struct insn *lods(struct cpu *c, const struct insn *i, unsigned size)
{
	reg_st(c, gpr_off(RAX), size, src_ld(c, i, size));
	advance(c, i, RSI, 1, size);
	NEXT(i);
}

INL const struct insn *compare(struct cpu *c, const struct insn *i, bool cmps, unsigned size)
{
	uint64_t a = (uint64_t)SX(cmps ? src_ld(c, i, size) : reg_ld(c, gpr_off(RAX), size), size);
	uint64_t b = (uint64_t)SX(dst_ld(c, i, size), size);

	if (cmps)
		advance(c, i, RSI, 1, size);
	advance(c, i, RDI, 1, size);
	cc_set(c, CC_SUB, a, b, (uint64_t)SX(a - b, size));
	NEXT(i);
}

INL const struct insn *rep_cmps(struct cpu *c, const struct insn *i, unsigned size)
{
	return rep_compare(c, i, true, size);
}
INL const struct insn *rep_scas(struct cpu *c, const struct insn *i, unsigned size)
{
	return rep_compare(c, i, false, size);
}
INL const struct insn *cmps(struct cpu *c, const struct insn *i, unsigned size) { return compare(c, i, true, size); }
INL const struct insn *scas(struct cpu *c, const struct insn *i, unsigned size) { return compare(c, i, false, size); }

#define STRING_FN(name, form, size)                                                                                    \
	static const struct insn *name##_##form##size(struct cpu *c, const struct insn *i) { return name(c, i, size); }
#define STRING_DEF(name)                                                                                               \
	SIZES_DEF(STRING_FN, name, X)                                                                                  \
	SIZES_DEF(STRING_FN, rep_##name, X) static insn_fn name##_bind(const struct insn *i)                           \
	{                                                                                                              \
		static const insn_fn fns[2][4] = { SIZES_ROW(name, X), SIZES_ROW(rep_##name, X) };                     \
		return fns[(i->flags & (IF_REP | IF_REPNE)) != 0][size_log2(i->o[0].size)];                            \
	}
STRING_DEF(movs)
STRING_DEF(stos)
STRING_DEF(lods)
STRING_DEF(cmps)
STRING_DEF(scas)

const struct op_bind int_string_ops[] = {
	{ OP_MOVS, movs_bind }, { OP_STOS, stos_bind }, { OP_LODS, lods_bind },
	{ OP_CMPS, cmps_bind }, { OP_SCAS, scas_bind }, { OP_INVALID, NULL },
};
