/* mmu.c - guest-linear accesses that miss the software TLB: page walks and faults, accesses that
 * straddle pages, MMIO and ROM, stores to code pages, alignment checks, data breakpoints. */
#include "engine/soft/mmu.h"

#include <errno.h>

#include "engine/soft/block.h"
#include "engine/soft/smp.h"
#include "engine/soft/soft.h"
#include "engine/soft/tlb.h"

static const struct view SYSTEM_VIEW = { .user = false, .smap_off = false };

/* One page's share of an access */
struct span {
	uint64_t gpa;
	uint8_t *host; /* NULL: not RAM */
	unsigned len;
};

/* True for addresses that 64-bit mode accepts: bits 63:47 alike (SDM 1 3.3.7.1) */
static bool canonical(uint64_t lin) { return (uint64_t)((int64_t)(lin << 16) >> 16) == lin; }

static void check_canonical(struct cpu *c, const struct insn *i, uint64_t lin, unsigned len)
{
	if (likely(canonical(lin) && canonical(lin + len - 1)) || !long_mode(c))
		return;
	cpu_raise(c, i, i && (i->flags & IF_MEM) && i->seg == SS ? EXC_SS : EXC_GP, 0);
}

/* A data breakpoint's length: 1, 2, 8 or 4 bytes (SDM 3B 17.2.4) */
static void check_data_breakpoints(struct cpu *c, uint64_t lin, unsigned len, bool write)
{
	static const uint8_t lens[4] = { 1, 2, 8, 4 };
	for (unsigned n = 0; n < 4; n++) {
		unsigned rw = (c->dr7 >> (16 + 4 * n)) & 3;
		if (!(c->dr7 >> (2 * n) & 3) || !(rw == 3 || (rw == 1 && write)))
			continue;
		unsigned blen = lens[(c->dr7 >> (18 + 4 * n)) & 3];
		uint64_t base = c->dr[n] & ~(uint64_t)(blen - 1);
		if (ranges_overlap(lin, len, base, blen)) {
			c->db_hits |= 1u << n;
			atomic_fetch_or_explicit(&c->exitreq, EXITREQ_INTR, memory_order_relaxed);
		}
	}
}

/* What every explicit access that missed has to pass before it is translated */
static void check_access(struct cpu *c, const struct insn *i, uint64_t lin, unsigned len, bool write)
{
	check_canonical(c, i, lin, len);
	if (unlikely(c->mmu->watch)) {
		bool ac = (c->cr0 & CR0_AM) && (c->rflags & FL_AC) && c->cpl == 3;
		if (ac && len <= 8 && (lin & (len - 1)))
			cpu_raise(c, i, EXC_AC, 0);
		check_data_breakpoints(c, lin, len, write);
	}
}

/* Splits [lin, lin+len), len <= 4096, into one or two spans, translating all of it first */
static unsigned translate(struct cpu *c, const struct insn *i, uint64_t lin, unsigned len, enum access a, struct view v,
                          struct span s[2])
{
	unsigned first = 4096 - (lin & 4095);
	s[0].len = len < first ? len : first;
	s[0].gpa = tlb_translate(c, i, lin, a, v);
	s[0].host = soft_phys(c->vm, s[0].gpa, s[0].len);
	if (likely(s[0].len == len))
		return 1;
	s[1].len = len - first;
	s[1].gpa = tlb_translate(c, i, (lin + first) & c->lin_mask, a, v);
	s[1].host = soft_phys(c->vm, s[1].gpa, s[1].len);
	return 2;
}

/* Largest power of two <= len and <= 8 that keeps addr naturally aligned */
static unsigned mmio_size(uint64_t addr, unsigned len)
{
	unsigned size = 8;
	while (size > len || (addr & (size - 1)))
		size >>= 1;
	return size;
}

static void span_read(struct cpu *c, const struct span *s, uint8_t *buf)
{
	if (likely(s->host != NULL)) {
		memcpy(buf, s->host, s->len);
		return;
	}
	for (unsigned n = 0, size; n < s->len; n += size) {
		size = mmio_size(s->gpa + n, s->len - n);
		uint64_t v = c->host->mmio_read(c->host->ctx, c->id, s->gpa + n, size);
		memcpy(buf + n, &v, size);
	}
}

static void span_write(struct cpu *c, const struct span *s, const uint8_t *buf)
{
	if (likely(s->host != NULL)) {
		if (unlikely(soft_phys_readonly(c->vm, s->gpa)))
			return;
		memcpy(s->host, buf, s->len);
		atomic_thread_fence(memory_order_seq_cst); /* pairs with page_mark: one of us sees the other */
		if (unlikely(block_covers(c->vm, s->gpa, s->len)))
			block_written(c->vm, s->gpa, s->len);
		return;
	}
	for (unsigned n = 0, size; n < s->len; n += size) {
		uint64_t v = 0;
		size = mmio_size(s->gpa + n, s->len - n);
		memcpy(&v, buf + n, size);
		c->host->mmio_write(c->host->ctx, c->id, s->gpa + n, size, v);
	}
}

static void read_view(struct cpu *c, const struct insn *i, uint64_t lin, void *buf, unsigned len, struct view v)
{
	struct span s[2];
	unsigned n = translate(c, i, lin, len, ACC_R, v, s);
	span_read(c, &s[0], buf);
	if (n == 2)
		span_read(c, &s[1], (uint8_t *)buf + s[0].len);
}

static void write_view(struct cpu *c, const struct insn *i, uint64_t lin, const void *buf, unsigned len, struct view v)
{
	struct span s[2];
	unsigned n = translate(c, i, lin, len, ACC_W, v, s);
	span_write(c, &s[0], buf);
	if (n == 2)
		span_write(c, &s[1], (const uint8_t *)buf + s[0].len);
}

void mmu_ldn(struct cpu *c, const struct insn *i, uint64_t lin, void *buf, unsigned len)
{
	check_access(c, i, lin, len, false);
	read_view(c, i, lin, buf, len, cpu_view(c));
}

void mmu_stn(struct cpu *c, const struct insn *i, uint64_t lin, const void *buf, unsigned len)
{
	check_access(c, i, lin, len, true);
	write_view(c, i, lin, buf, len, cpu_view(c));
}

uint64_t mmu_ld_slow(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size)
{
	uint64_t v = 0;
	mmu_ldn(c, i, lin, &v, size);
	return v;
}

void mmu_st_slow(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size, uint64_t val)
{
	mmu_stn(c, i, lin, &val, size);
}

void mmu_probe_w(struct cpu *c, const struct insn *i, uint64_t lin, unsigned len)
{
	struct span s[2];
	check_access(c, i, lin, len, true);
	translate(c, i, lin, len, ACC_W, cpu_view(c), s);
}

/* May the span be stored to by its host address, until the next safe point? */
static bool writable_unseen(struct cpu *c, const struct span *s)
{
	return !soft_phys_readonly(c->vm, s->gpa) && smp_page_write(c, s->gpa);
}

void *mmu_w_ptr_slow(struct cpu *c, const struct insn *i, uint64_t lin, unsigned len)
{
	struct span s[2];
	check_access(c, i, lin, len, true);
	if (translate(c, i, lin, len, ACC_W, cpu_view(c), s) != 1 || !s[0].host)
		return NULL;
	return writable_unseen(c, &s[0]) ? s[0].host : NULL;
}

const void *mmu_r_ptr_slow(struct cpu *c, const struct insn *i, uint64_t lin, unsigned len)
{
	struct span s[2];
	check_access(c, i, lin, len, false);
	return translate(c, i, lin, len, ACC_R, cpu_view(c), s) == 1 ? s[0].host : NULL;
}

uint64_t mmu_rmw_ld_slow(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size, struct rmw *m)
{
	struct span s[2];
	uint64_t v = 0;

	check_access(c, i, lin, size, true);
	unsigned n = translate(c, i, lin, size, ACC_W, cpu_view(c), s);
	bool plain = n == 1 && s[0].host && writable_unseen(c, &s[0]);
	m->lin = lin;
	m->host = plain ? s[0].host : NULL;
	span_read(c, &s[0], (uint8_t *)&v);
	if (n == 2)
		span_read(c, &s[1], (uint8_t *)&v + s[0].len);
	return v;
}

static void check_system(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size)
{
	if (unlikely(!(canonical(lin) && canonical(lin + size - 1)) && long_mode(c)))
		cpu_raise(c, i, EXC_GP, 0);
}

uint64_t mmu_sys_ld(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size)
{
	uint64_t v = 0;
	const void *p = tlb_hit(tlb_cur(c)->bank[BANK_SUP].t.r, lin, size);

	if (likely(p != NULL)) {
		memcpy(&v, p, size);
		return v;
	}
	check_system(c, i, lin, size);
	read_view(c, i, lin, &v, size, SYSTEM_VIEW);
	return v;
}

void mmu_sys_st(struct cpu *c, const struct insn *i, uint64_t lin, unsigned size, uint64_t val)
{
	void *p = tlb_hit(tlb_cur(c)->bank[BANK_SUP].t.w, lin, size);

	if (likely(p != NULL)) {
		memcpy(p, &val, size);
		return;
	}
	check_system(c, i, lin, size);
	write_view(c, i, lin, &val, size, SYSTEM_VIEW);
}

void cpu_lock_begin(struct cpu *c)
{
	smp_exclusive_begin(c);
	c->lock_held = true;
}
void cpu_lock_end(struct cpu *c)
{
	c->lock_held = false;
	smp_exclusive_end(c);
}

uint64_t mmu_fetch(struct cpu *c, uint64_t lin, const uint8_t **host)
{
	struct view v = { .user = c->cpl == 3 };
	struct tlb_entry *e = &tlb_bank(c, v)->x[tlb_index(lin) & (TLB_XSIZE - 1)];
	uint64_t gpa;

	if (likely(e->tag == (lin & ~0xfffull))) {
		gpa = lin + e->delta;
	} else {
		check_canonical(c, NULL, lin, 1);
		gpa = tlb_translate(c, NULL, lin, ACC_X, v);
	}
	*host = soft_phys(c->vm, gpa, 1);
	return gpa;
}

int mmu_translate_debug(struct cpu *c, uint64_t lin, uint64_t *gpa)
{
	struct walk w;
	if ((long_mode(c) && !canonical(lin)) || walk_peek(c, lin, &w) >= 0)
		return -EFAULT;
	*gpa = w.gpa;
	return 0;
}
