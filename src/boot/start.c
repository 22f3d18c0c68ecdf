/* start.c - the state in which a CPU enters the program: mode, segments, descriptor and page tables. */
#include "boot/start.h"

#include <errno.h>

#include "base/bytes.h"
#include "core/memmap.h"
#include "engine/x86/state.h"

/* IA32_MTRR_DEF_TYPE: MTRRs on, all memory write-back (SDM 3A 11.11.2.1). Devices are made
 * uncacheable by the kernel's page tables. */
#define MTRR_DEF_WB 0x806

#define TSS_LIMIT 0x67

/* Attributes in the layout of struct x86_seg; types are "accessed", as loaded segments are */
#define ATTR_CODE64 (0xbu | SEG_S | SEG_P | SEG_L | SEG_G)
#define ATTR_CODE32 (0xbu | SEG_S | SEG_P | SEG_DB | SEG_G)
#define ATTR_DATA   (0x3u | SEG_S | SEG_P | SEG_DB | SEG_G)
#define ATTR_TSS    (0xbu | SEG_P) /* busy, 32-bit or 64-bit by mode */
#define ATTR_LDT    (0x2u | SEG_P)
#define ATTR_CODE16 (0xbu | SEG_S | SEG_P)
#define ATTR_DATA16 (0x3u | SEG_S | SEG_P)

/* Page table entries (SDM 3A 4.5) */
#define PTE_TABLE   0x3ull  /* present, writable */
#define PTE_PAGE_2M 0x83ull /* present, writable, 2 MiB page */
#define PTES        512u
#define SIZE_2M     (1ull << 21)
#define SIZE_1G     (1ull << 30)
#define SIZE_512G   (1ull << 39)

void start_firmware(struct x86_state *s) { s->mtrr_def = MTRR_DEF_WB; }

static uint64_t gdt_entry(uint32_t limit, uint32_t attr)
{
	uint64_t units = attr & SEG_G ? limit >> 12 : limit;

	return (units & 0xffff) | (uint64_t)(attr & 0xff) << 40 | (units >> 16 & 0xf) << 48 |
	       (uint64_t)(attr >> 12 & 0xf) << 52;
}

int start_write_gdt(struct memmap *mem, uint64_t gdt, const struct start_selectors *sel, bool code64)
{
	uint8_t t[START_GDT_LEN] = { 0 };

	le64_store(t + sel->code, gdt_entry(0xffffffff, code64 ? ATTR_CODE64 : ATTR_CODE32));
	le64_store(t + sel->data, gdt_entry(0xffffffff, ATTR_DATA));
	/* Not busy in memory: LTR would fault on a busy one. 16 bytes, the upper half zero. */
	le64_store(t + sel->task, gdt_entry(TSS_LIMIT, ATTR_TSS & ~2u));
	return mem_write(mem, gdt, t, sizeof(t));
}

uint64_t start_tables_len(uint64_t end)
{
	uint64_t gib = align_up(end, SIZE_1G) / SIZE_1G, half_tib = align_up(end, SIZE_512G) / SIZE_512G;

	return (1 + half_tib + gib) * PAGE_SIZE_4K;
}

/* Drawn for up to 512 GiB:
 *   tables: PML4 | PDPT of each 512 GiB ... | page directory of each GiB ... */
int start_write_tables(struct memmap *mem, uint64_t tables, uint64_t end)
{
	uint64_t gib = align_up(end, SIZE_1G) / SIZE_1G, half_tib = align_up(end, SIZE_512G) / SIZE_512G;
	uint64_t pdpts = tables + PAGE_SIZE_4K, pds = pdpts + half_tib * PAGE_SIZE_4K;
	uint8_t *t = mem_ptr(mem, tables, start_tables_len(end));

	if (!t || half_tib > PTES)
		return -EFAULT;
	memset(t, 0, start_tables_len(end));
	for (uint64_t i = 0; i < half_tib; i++)
		le64_store(t + i * 8, (pdpts + i * PAGE_SIZE_4K) | PTE_TABLE);
	for (uint64_t i = 0; i < gib; i++)
		le64_store(t + (pdpts - tables) + i * 8, (pds + i * PAGE_SIZE_4K) | PTE_TABLE);
	for (uint64_t i = 0; i < gib * PTES; i++)
		le64_store(t + (pds - tables) + i * 8, i * SIZE_2M | PTE_PAGE_2M);
	return 0;
}

static void start_flat(struct x86_state *s, const struct start_selectors *sel, uint64_t gdt, uint32_t code_attr)
{
	x86_state_reset(s);
	start_firmware(s);
	memset(s->gpr, 0, sizeof(s->gpr));
	s->rflags = 2;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = (struct x86_seg){ .limit = 0xffffffff, .attr = ATTR_DATA, .sel = sel->data };
	s->seg[CS] = (struct x86_seg){ .limit = 0xffffffff, .attr = code_attr, .sel = sel->code };
	s->tr = (struct x86_seg){ .limit = TSS_LIMIT, .attr = ATTR_TSS, .sel = sel->task };
	s->ldtr = (struct x86_seg){ .attr = ATTR_LDT | SEG_UNUSABLE };
	s->gdt = (struct x86_table){ .base = gdt, .limit = START_GDT_LEN - 1 };
	s->idt = (struct x86_table){ 0 };
	s->cr0 = CR0_PE | CR0_ET | CR0_NE;
	s->mp_state = MP_RUNNABLE;
}

void start_long(struct x86_state *s, const struct start_selectors *sel, uint64_t gdt, uint64_t tables, uint64_t rip)
{
	start_flat(s, sel, gdt, ATTR_CODE64);
	s->cr0 |= CR0_PG;
	s->cr3 = tables;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
	s->rip = rip;
}

void start_protected(struct x86_state *s, const struct start_selectors *sel, uint64_t gdt, uint32_t rip)
{
	start_flat(s, sel, gdt, ATTR_CODE32);
	s->rip = rip;
}

void start_real(struct x86_state *s, uint16_t cs, uint16_t ip)
{
	x86_state_reset(s);
	start_firmware(s);
	memset(s->gpr, 0, sizeof(s->gpr));
	s->rflags = 2;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = (struct x86_seg){ .limit = 0xffff, .attr = ATTR_DATA16 };
	s->seg[CS] = (struct x86_seg){ .base = (uint64_t)cs << 4, .limit = 0xffff, .attr = ATTR_CODE16, .sel = cs };
	s->idt = (struct x86_table){ .base = 0, .limit = 0x3ff };
	s->cr0 = CR0_ET; /* caches on, unlike after reset */
	s->rip = ip;
	s->mp_state = MP_RUNNABLE;
}
