/* block.c - making, finding and killing decoded blocks. */
#include "engine/soft/block.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/soft/cpuid.h"
#include "engine/soft/interp.h"
#include "engine/soft/smp.h"
#include "engine/soft/tlb.h"

#define HASH_SIZE (1u << 16)
#define ARENA_HALF (24u << 20)
#define ARENA_SIZE (2 * ARENA_HALF)

void block_context_changed(struct cpu *c)
{
	c->jump_ctx = (uint64_t)tlb_cur(c)->gen << 8 | (unsigned)c->code << 1 | (c->cpl == 3);
}

static void *reserve(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

int block_vm_init(struct soft_vm *vm)
{
	for (unsigned n = 0; n < vm->mem->nslots; n++) {
		const struct mem_slot *s = &vm->mem->slots[n];
		if ((s->gpa + s->len) >> 12 > vm->npages)
			vm->npages = (s->gpa + s->len) >> 12;
	}
	pthread_mutex_init(&vm->code_lock, NULL);
	vm->pages = reserve(vm->npages * sizeof(*vm->pages));
	vm->hash = reserve(HASH_SIZE * sizeof(*vm->hash));
	vm->arena = reserve(ARENA_SIZE);
	return vm->pages && vm->hash && vm->arena ? 0 : -ENOMEM;
}

void block_vm_fini(struct soft_vm *vm)
{
	if (vm->pages)
		munmap(vm->pages, vm->npages * sizeof(*vm->pages));
	if (vm->hash)
		munmap(vm->hash, HASH_SIZE * sizeof(*vm->hash));
	if (vm->arena)
		munmap(vm->arena, ARENA_SIZE);
	pthread_mutex_destroy(&vm->code_lock);
}

int block_cpu_init(struct cpu *c)
{
	c->jump_cache = calloc(JUMP_SIZE, sizeof(*c->jump_cache));
	c->single = aligned_alloc(64, 2 * sizeof(*c->single));
	return c->jump_cache && c->single ? 0 : -ENOMEM;
}

void block_cpu_fini(struct cpu *c)
{
	free(c->jump_cache);
	free(c->single);
}

/* --- handlers that stand for no instruction --- */

/* Behind a block's last instruction when that does not transfer control */
static const struct insn *op_fall_through(struct cpu *c, const struct insn *i)
{
	uint64_t rip = insn_next_rip(c, i);
	const struct insn *n = c->code == CODE_64 ? block_find64(c, rip) : NULL;
	if (likely(n != NULL)) {
		c->gpr[REG_IP] = rip;
		CONTINUE(c, n);
	}
	JUMP(c, i, rip);
}

/* In a killed block */
static const struct insn *op_stale(struct cpu *c, const struct insn *i)
{
	c->rip = insn_rip(c, i);
	if (i->off == 0)
		jump_slot(c, (c->sbase[CS] + c->rip) & c->lin_mask)->ctx = 0;
	return NULL;
}

/* More than 15 bytes of prefixes and operands (SDM 2A 2.3.11) */
static const struct insn *op_too_long(struct cpu *c, const struct insn *i)
{
	raise_gp(c, i, 0);
}

/* --- decoding --- */

/* Decodes one instruction for execution. Returns its length, or 0 if the bytes do not suffice. */
static unsigned decode_bound(struct cpu *c, const uint8_t *bytes, unsigned len, unsigned off, struct insn *i)
{
	int n = insn_decode(bytes, len < INSN_LEN_MAX ? len : INSN_LEN_MAX, c->code, i);
	if (n == 0 && len < INSN_LEN_MAX)
		return 0;
	i->off = (uint16_t)off;
	if (n == 0) {
		*i = (struct insn){ .fn = op_too_long, .op = OP_INVALID, .flags = IF_ENDS, .off = (uint16_t)off,
		                    .len = INSN_LEN_MAX, .code = c->code };
		return INSN_LEN_MAX;
	}
	if (!cpu_has(c, insn_feature(i)))
		insn_drop_feature(i);
	if (i->op == OP_INVALID)
		i->flags |= IF_ENDS;
	if (i->flags & IF_RIPREL)
		i->disp += off + i->len;
	if (i->o[0].kind == O_REL)
		i->disp = i->imm + off + i->len; /* the target less the block's address */
	i->fn = interp_bind(i);
	return (unsigned)n;
}

/* Where code at a linear address lies: its page, and the next one where an instruction crosses into it */
struct code_at {
	uint64_t lin, gpa, gpa2;
	const uint8_t *host, *host2; /* NULL: no memory there; its bytes would read as ones */
	bool have2;                  /* gpa2 and host2 were looked up */
};

/* Bytes from gpa to the end of its page */
static unsigned bytes_in_page(const struct code_at *at) { return 4096 - (unsigned)(at->gpa & 4095); }

/* Translates the next page; may raise. No lock is held. */
static void fetch_second(struct cpu *c, struct code_at *at)
{
	at->gpa2 = mmu_fetch(c, (at->lin + bytes_in_page(at)) & c->lin_mask, &at->host2);
	at->have2 = true;
}

/* Decodes the one instruction that starts less than 15 bytes before a page's end. Returns its length. */
static unsigned decode_crossing(struct cpu *c, const struct code_at *at, struct insn *i)
{
	uint8_t buf[INSN_LEN_MAX];
	unsigned avail = bytes_in_page(at), len;

	memcpy(buf, at->host, avail);
	if (at->host2)
		memcpy(buf + avail, at->host2, INSN_LEN_MAX - avail);
	len = decode_bound(c, buf, at->host2 ? INSN_LEN_MAX : avail, 0, i);
	if (len)
		return len;
	*i = (struct insn){ .fn = op_ud, .op = OP_INVALID, .flags = IF_ENDS, .len = 1, .code = c->code };
	return 1;
}

static inline unsigned hash_of(uint64_t gpa, unsigned code)
{
	return (unsigned)(((gpa + code) * 0x9e3779b97f4a7c15ull) >> 48) & (HASH_SIZE - 1);
}

/* Announces that [gpa, gpa+len) is about to be decoded. True if no store passes unseen any more. */
static bool page_mark(struct cpu *c, uint64_t gpa, unsigned len)
{
	struct code_page *p = &c->vm->pages[gpa >> 12];
	unsigned first = (gpa & 4095) >> 7, last = ((gpa & 4095) + len - 1) >> 7;

	atomic_fetch_or(&p->granules, (~0u >> (31 - (last - first))) << first);
	return smp_page_claim(c, gpa);
}

/* Neighbouring linear pages may be one physical page */
static bool two_pages(const struct block *b) { return b->gpa2 && b->gpa2 >> 12 != b->gpa >> 12; }

static void page_link(struct soft_vm *vm, struct block *b, unsigned which, uint64_t gpa)
{
	struct code_page *p = &vm->pages[gpa >> 12];
	b->page_next[which] = p->blocks;
	p->blocks = b;
}

/* A conditional jump that is not taken goes on in the block. */
static bool ends_block(const struct insn *i) { return (i->flags & IF_ENDS) && i->op != OP_JCC; }

static void blocks_kill_all(struct soft_vm *vm);

enum made { MADE, NEEDS_SECOND_PAGE, NOT_YET };

/* Room for a block of the largest size, or NULL: both halves of the arena are in use. */
static struct block *arena_room(struct cpu *c)
{
	struct soft_vm *vm = c->vm;
	size_t need = sizeof(struct block) + (BLOCK_INSNS_MAX + 1) * sizeof(struct insn);

	if (vm->arena_used + need > ARENA_HALF) {
		/* the other half was left at arena_epoch */
		if (!smp_epoch_passed(vm, vm->arena_epoch))
			return NULL;
		blocks_kill_all(vm);
		vm->arena_half ^= 1;
		vm->arena_used = 0;
		vm->arena_epoch = smp_epoch_begin(vm);
		vm->arena_flushes++;
	}
	return (struct block *)(vm->arena + vm->arena_half * (size_t)ARENA_HALF + vm->arena_used);
}

/* Decodes the block at *at. The code lock is held. NOT_YET: someone may still store to it unseen, or there is
 * no room. */
static enum made block_make(struct cpu *c, const struct code_at *at, struct block **out)
{
	struct soft_vm *vm = c->vm;
	unsigned avail = bytes_in_page(at), off = 0, n = 0, len;
	struct block *b = arena_room(c);

	if (!b)
		return NOT_YET;
	*b = (struct block){ .gpa = at->gpa, .code = c->code };
	/* what a block may cover is bounded by the page; marking 128-byte granules as the block grows
	 * keeps data beside code writable at speed */
	while (n < BLOCK_INSNS_MAX && off < avail) {
		unsigned look = avail - off < INSN_LEN_MAX ? avail - off : INSN_LEN_MAX;
		if (!page_mark(c, at->gpa + off, look))
			return NOT_YET;
		len = decode_bound(c, at->host + off, look, off, &b->insn[n]);
		if (!len)
			break;
		off += len;
		if (ends_block(&b->insn[n++]))
			break;
	}
	if (n == 0) {
		if (!at->have2)
			return NEEDS_SECOND_PAGE;
		if (at->host2) {
			if (!page_mark(c, at->gpa2, INSN_LEN_MAX - avail))
				return NOT_YET;
			b->gpa2 = at->gpa2;
		}
		off = decode_crossing(c, at, &b->insn[0]);
		n = 1;
	}
	b->len = (uint16_t)off;
	b->ninsn = (uint16_t)n;
	b->insn[n] = (struct insn){ .fn = op_fall_through, .op = OP_INVALID, .off = (uint16_t)off, .code = c->code };
	vm->arena_used += sizeof(struct block) + align_up((n + 1) * sizeof(struct insn), 64);
	vm->blocks_made++;
	*out = b;
	return MADE;
}

static void block_publish(struct soft_vm *vm, struct block *b)
{
	struct block **head = &vm->hash[hash_of(b->gpa, b->code)];
	b->hash_next = *head;
	*head = b;
	page_link(vm, b, 0, b->gpa);
	if (two_pages(b))
		page_link(vm, b, 1, b->gpa2);
}

/* A block that was found must lie inside CS's limit; where it does not, single instructions are checked. */
static bool inside_limit(const struct cpu *c, const struct block *b)
{
	return c->code == CODE_64 || c->rip + b->len - 1 <= c->seg[CS].limit;
}

static const struct insn *enter(struct cpu *c, const struct block *b)
{
	if (unlikely(!inside_limit(c, b)))
		return block_single(c);
	c->gpr[REG_IP] = c->rip;
	return b->insn;
}

/* Finds or makes the block. The code lock is held. */
static enum made find_or_make(struct cpu *c, const struct code_at *at, struct block **out)
{
	struct block *b;
	enum made r;

	for (b = c->vm->hash[hash_of(at->gpa, c->code)]; b; b = b->hash_next) {
		if (b->gpa != at->gpa || b->code != c->code)
			continue;
		if (b->gpa2 && !at->have2)
			return NEEDS_SECOND_PAGE;
		if (!b->gpa2 || b->gpa2 == at->gpa2) {
			*out = b;
			return MADE;
		}
	}
	r = block_make(c, at, out);
	if (r == MADE)
		block_publish(c->vm, *out);
	return r;
}

const struct insn *block_lookup(struct cpu *c)
{
	struct soft_vm *vm = c->vm;
	struct code_at at = { .lin = (c->sbase[CS] + c->rip) & c->lin_mask };
	struct block *b;
	enum made r;

	at.gpa = mmu_fetch(c, at.lin, &at.host);
	if (unlikely(!at.host))
		return block_single(c);
	do {
		pthread_mutex_lock(&vm->code_lock);
		r = find_or_make(c, &at, &b);
		pthread_mutex_unlock(&vm->code_lock);
		if (r == NEEDS_SECOND_PAGE)
			fetch_second(c, &at);
	} while (r == NEEDS_SECOND_PAGE);
	if (r == NOT_YET)
		return block_single(c);
	*jump_slot(c, at.lin) = (struct jump_entry){ at.lin, c->jump_ctx, b };
	return enter(c, b);
}

const struct insn *block_single(struct cpu *c)
{
	struct code_at at = { .lin = (c->sbase[CS] + c->rip) & c->lin_mask };
	struct insn *i = c->single;
	unsigned len = 0;

	at.gpa = mmu_fetch(c, at.lin, &at.host);
	if (at.host) {
		len = decode_bound(c, at.host, bytes_in_page(&at), 0, i);
		if (!len) {
			fetch_second(c, &at);
			len = decode_crossing(c, &at, i);
		}
	}
	if (!len) /* no memory there: reads as ones, FF FF is no instruction */
		*i = (struct insn){ .fn = op_ud, .op = OP_INVALID, .flags = IF_ENDS, .len = 1, .code = c->code };
	if (c->code != CODE_64 && c->rip + i->len - 1 > c->seg[CS].limit)
		cpu_raise(c, NULL, EXC_GP, 0);
	i[1] = (struct insn){ .fn = op_fall_through, .op = OP_INVALID, .off = i->len, .code = c->code };
	c->gpr[REG_IP] = c->rip;
	return i;
}

const struct insn *interp_jump(struct cpu *c, const struct insn *i, uint64_t rip)
{
	c->rip = rip;
	if (unlikely(atomic_load_explicit(&c->exitreq, memory_order_relaxed)))
		return NULL;
	uint64_t lin = (c->sbase[CS] + rip) & c->lin_mask;
	const struct jump_entry *e = jump_slot(c, lin);
	if (likely(e->lin == lin && e->ctx == c->jump_ctx))
		return enter(c, e->block);
	return block_lookup(c);
}

/* --- killing --- */

static void unlink_hash(struct soft_vm *vm, struct block *b)
{
	struct block **p = &vm->hash[hash_of(b->gpa, b->code)];
	while (*p != b)
		p = &(*p)->hash_next;
	*p = b->hash_next;
}

/* Which of b's two page links belongs to `page` */
static unsigned link_of(const struct block *b, uint64_t page) { return b->gpa >> 12 == page ? 0 : 1; }

static void page_unmark_if_empty(struct code_page *p)
{
	if (p->blocks)
		return;
	atomic_store(&p->granules, 0);
	atomic_fetch_and(&p->flags, (uint8_t)~PAGE_CODE);
}

static void unlink_page(struct soft_vm *vm, struct block *b, uint64_t page)
{
	struct block **p = &vm->pages[page].blocks;
	while (*p != b)
		p = &(*p)->page_next[link_of(*p, page)];
	*p = b->page_next[link_of(b, page)];
	page_unmark_if_empty(&vm->pages[page]);
}

static void block_kill(struct soft_vm *vm, struct block *b)
{
	unlink_hash(vm, b);
	unlink_page(vm, b, b->gpa >> 12);
	if (two_pages(b))
		unlink_page(vm, b, b->gpa2 >> 12);
	b->dead = true;
	for (unsigned n = 0; n <= b->ninsn; n++)
		__atomic_store_n(&b->insn[n].fn, op_stale, __ATOMIC_RELAXED);
	vm->blocks_killed++;
}

static void blocks_kill_all(struct soft_vm *vm)
{
	for (unsigned n = 0; n < HASH_SIZE; n++)
		while (vm->hash[n])
			block_kill(vm, vm->hash[n]);
}

static bool block_has(const struct block *b, uint64_t gpa, unsigned len)
{
	if (!b->gpa2)
		return ranges_overlap(b->gpa, b->len, gpa, len);
	unsigned first = 4096 - (unsigned)(b->gpa & 4095);
	return ranges_overlap(b->gpa, first, gpa, len) || ranges_overlap(b->gpa2, b->len - first, gpa, len);
}

void block_written(struct soft_vm *vm, uint64_t gpa, unsigned len)
{
	uint64_t page = gpa >> 12;
	struct block *b, *next;

	if (page >= vm->npages)
		return;
	pthread_mutex_lock(&vm->code_lock);
	for (b = vm->pages[page].blocks; b; b = next) {
		next = b->page_next[link_of(b, page)];
		if (block_has(b, gpa, len))
			block_kill(vm, b);
	}
	page_unmark_if_empty(&vm->pages[page]); /* marked, but decoding ended in a fault */
	pthread_mutex_unlock(&vm->code_lock);
}

void block_forget(struct cpu *c) { memset(c->jump_cache, 0, JUMP_SIZE * sizeof(struct jump_entry)); }
