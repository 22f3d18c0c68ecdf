/* test_mmu.c - the software MMU: walks, rights, error codes, accessed and dirty bits, straddles, TLB
 * invalidation, and code that changes under the block cache. */
#include "soft_fixture.h"

#define A_BIT 0x20
#define D_BIT 0x40
#define PAGE(n) ((n) * 0x1000ull)
#define PTE_AT(n) (FIX_PT + (n) * 8)

static int setup(void **state)
{
	struct fix *f = malloc(sizeof(*f));
	fix_setup(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fix_teardown(*state);
	free(*state);
	return 0;
}

static void changed(struct fix *f) { mmu_flush_all(f->c); }

static void set_cpl(struct fix *f, uint8_t cpl)
{
	f->c->cpl = cpl;
	mmu_select_bank(f->c);
}

static void accessed_and_dirty(void **state)
{
	struct fix *f = *state;
	f->ram[PAGE(0x20)] = 0x5a;
	assert_int_equal(mem_ld(f->c, NULL, PAGE(0x20), 1), 0x5a);
	assert_int_equal(fix_pte_get(f, PTE_AT(0x20)) & (A_BIT | D_BIT), A_BIT);
	mem_st(f->c, NULL, PAGE(0x20) + 8, 8, 0x1122334455667788);
	assert_int_equal(fix_pte_get(f, PTE_AT(0x20)) & (A_BIT | D_BIT), A_BIT | D_BIT);
	assert_int_equal(le64_load(f->ram + PAGE(0x20) + 8), 0x1122334455667788);
	/* upper levels get A, never D */
	assert_int_equal(fix_pte_get(f, FIX_PD) & (A_BIT | D_BIT), A_BIT);
	assert_int_equal(fix_pte_get(f, FIX_PML4) & A_BIT, A_BIT);
}

static void faulting_access_sets_no_bits(void **state)
{
	struct fix *f = *state;
	fix_pte(f, PTE_AT(0x21), PAGE(0x21) | 5);
	assert_int_equal(RAISES(f, mem_st(f->c, NULL, PAGE(0x21), 4, 1)), EXC_PF);
	assert_int_equal(f->c->raised.error, PF_P | PF_W);
	assert_int_equal(fix_pte_get(f, PTE_AT(0x21)) & (A_BIT | D_BIT), 0);
}

static void error_codes(void **state)
{
	struct fix *f = *state;
	struct { uint64_t pte; uint8_t cpl; bool write; uint64_t cr4; int error; } const t[] = {
		{ 0, 0, false, 0, 0 },
		{ 0, 0, true, 0, PF_W },
		{ 0, 3, false, 0, PF_U },
		{ 3, 3, false, 0, PF_P | PF_U },
		{ 3, 3, true, 0, PF_P | PF_U | PF_W },
		{ 5, 3, true, 0, PF_P | PF_U | PF_W },
		{ 7, 3, true, 0, -1 },
		{ 1, 0, false, 0, -1 },
		{ 1, 0, true, 0, PF_P | PF_W },
		{ 7 | 1ull << 51, 0, false, 0, PF_P | PF_RSVD },
		{ 7 | 1ull << 51, 3, true, 0, PF_P | PF_RSVD | PF_U | PF_W },
		{ 7, 0, false, CR4_SMAP, PF_P },
		{ 7, 0, true, CR4_SMAP, PF_P | PF_W },
		{ 7, 3, true, CR4_SMAP, -1 },
	};
	for (unsigned n = 0; n < ARRAY_LEN(t); n++) {
		uint64_t lin = PAGE(0x30) + 0x123;
		fix_pte(f, PTE_AT(0x30), t[n].pte ? PAGE(0x30) | t[n].pte : 0);
		f->c->cr4 = (f->c->cr4 & ~(uint64_t)CR4_SMAP) | t[n].cr4;
		changed(f);
		set_cpl(f, t[n].cpl);
		int v = t[n].write ? RAISES(f, mem_st(f->c, NULL, lin, 1, 0)) : RAISES(f, (void)mem_ld(f->c, NULL, lin, 1));
		assert_int_equal(v, t[n].error < 0 ? -1 : EXC_PF);
		if (v >= 0) {
			assert_int_equal(f->c->raised.error, t[n].error);
			assert_int_equal(f->c->cr2, lin);
		}
	}
}

static void fetch_rights(void **state)
{
	struct fix *f = *state;
	const uint8_t *host;
	fix_pte(f, PTE_AT(0x31), PAGE(0x31) | 7 | 1ull << 63);
	assert_int_equal(RAISES(f, mmu_fetch(f->c, PAGE(0x31), &host)), EXC_PF);
	assert_int_equal(f->c->raised.error, PF_P | PF_I);
	fix_pte(f, PTE_AT(0x31), PAGE(0x31) | 7);
	f->c->cr4 |= CR4_SMEP;
	changed(f);
	assert_int_equal(RAISES(f, mmu_fetch(f->c, PAGE(0x31), &host)), EXC_PF);
	set_cpl(f, 3);
	assert_int_equal(RAISES(f, mmu_fetch(f->c, PAGE(0x31), &host)), -1);
	assert_ptr_equal(host, f->ram + PAGE(0x31));
}

static void smap_banks_are_apart(void **state)
{
	struct fix *f = *state;
	f->c->cr4 |= CR4_SMAP;
	f->c->rflags |= FL_AC;
	changed(f);
	assert_int_equal(RAISES(f, mem_st(f->c, NULL, PAGE(0x32), 4, 7)), -1);
	f->c->rflags &= ~(uint64_t)FL_AC;
	mmu_select_bank(f->c);
	assert_int_equal(RAISES(f, mem_st(f->c, NULL, PAGE(0x32), 4, 8)), EXC_PF);
	assert_int_equal(f->ram[PAGE(0x32)], 7);
}

static void straddle_is_all_or_nothing(void **state)
{
	struct fix *f = *state;
	uint64_t lin = PAGE(0x41) - 4;
	fix_pte(f, PTE_AT(0x41), 0);
	memset(f->ram + PAGE(0x40), 0xaa, 4096);
	assert_int_equal(RAISES(f, mem_st(f->c, NULL, lin, 8, 0)), EXC_PF);
	assert_int_equal(f->c->cr2, PAGE(0x41));
	assert_int_equal(f->ram[lin], 0xaa);
	/* to pages that are not neighbours */
	fix_pte(f, PTE_AT(0x41), PAGE(0x50) | 7);
	changed(f);
	mem_st(f->c, NULL, lin, 8, 0x8877665544332211);
	assert_int_equal(le32_load(f->ram + lin), 0x44332211);
	assert_int_equal(le32_load(f->ram + PAGE(0x50)), 0x88776655);
	assert_int_equal(mem_ld(f->c, NULL, lin, 8), 0x8877665544332211);
}

static void non_canonical(void **state)
{
	struct fix *f = *state;
	assert_int_equal(RAISES(f, (void)mem_ld(f->c, NULL, 0x800000000000, 1)), EXC_GP);
	assert_int_equal(RAISES(f, (void)mem_ld(f->c, NULL, 0x7ffffffffffc, 8)), EXC_GP);
	struct insn ss = { .flags = IF_MEM, .seg = SS };
	f->c->gpr[REG_IP] = FIX_CODE;
	assert_int_equal(RAISES(f, (void)mem_ld(f->c, &ss, 0x800000000000, 1)), EXC_SS);
}

static void invlpg_finds_pieces_of_large_pages(void **state)
{
	struct fix *f = *state;
	f->ram[0x400123] = 1;
	f->ram[0x600123] = 2;
	f->ram[0x600000 + 0x1ff000] = 3;
	assert_int_equal(mem_ld(f->c, NULL, 0x400123, 1), 1);
	assert_int_equal(mem_ld(f->c, NULL, 0x5ff000, 1), 0);
	fix_pte(f, FIX_PD + 2 * 8, 0x600087); /* 4 MiB now maps to 6 MiB */
	assert_int_equal(mem_ld(f->c, NULL, 0x400123, 1), 1); /* stale is allowed, and cached */
	mmu_invlpg(f->c, 0x433000);
	assert_int_equal(mem_ld(f->c, NULL, 0x400123, 1), 2);
	assert_int_equal(mem_ld(f->c, NULL, 0x5ff000, 1), 3);
}

static void pcid_keeps_translations(void **state)
{
	struct fix *f = *state;
	uint64_t one = f->c->cr3 | 1, two = f->c->cr3 | 2;
	f->c->cr4 |= CR4_PCIDE;
	changed(f);
	f->c->cr3 = one;
	mmu_cr3_written(f->c, FIX_PML4, false);
	f->ram[PAGE(0x60)] = 1;
	f->ram[PAGE(0x61)] = 2;
	assert_int_equal(mem_ld(f->c, NULL, PAGE(0x60), 1), 1);
	fix_pte(f, PTE_AT(0x60), PAGE(0x61) | 7);
	f->c->cr3 = two;
	mmu_cr3_written(f->c, one, false);
	assert_int_equal(mem_ld(f->c, NULL, PAGE(0x60), 1), 2);
	f->c->cr3 = one;
	mmu_cr3_written(f->c, two, true); /* bit 63: PCID 1 still has the old one */
	assert_int_equal(mem_ld(f->c, NULL, PAGE(0x60), 1), 1);
	mmu_invpcid(f->c, 0, 1, PAGE(0x60));
	assert_int_equal(mem_ld(f->c, NULL, PAGE(0x60), 1), 2);
	fix_pte(f, PTE_AT(0x60), PAGE(0x60) | 7);
	f->c->cr3 = one;
	mmu_cr3_written(f->c, one, false);
	assert_int_equal(mem_ld(f->c, NULL, PAGE(0x60), 1), 1);
}

static void mmio_goes_to_the_host(void **state)
{
	struct fix *f = *state;
	fix_pte(f, PTE_AT(0x70), 0xfee00000 | 7);
	assert_int_equal(mem_ld(f->c, NULL, PAGE(0x70) + 0x20, 4), 0xffffffff);
	mem_st(f->c, NULL, PAGE(0x70) + 0x20, 4, 0);
	assert_int_equal(f->mmio_writes, 1);
}

/* Runs code at FIX_CODE until HLT */
static void run(struct fix *f, const void *code, size_t len)
{
	struct cpu_exit out;
	memcpy(f->ram + FIX_CODE, code, len);
	soft_engine.mem_written(f->vm, FIX_CODE, len);
	f->c->rip = FIX_CODE;
	f->c->halted = false;
	assert_int_equal(soft_engine.run(f->vcpu, &out), 0);
	assert_int_equal(out.kind, EXIT_HLT);
}

static void store_to_the_next_instruction(void **state)
{
	static const uint8_t code[] = {
		0xb8, 1, 0, 0, 0,                               /* mov eax, 1 */
		0xc6, 0x05, 0x01, 0, 0, 0, 0x02,                /* mov byte [rip+1], 2: the immediate below */
		0xb8, 1, 0, 0, 0,                               /* mov eax, 1 -> mov eax, 2 */
		0xf4,
	};
	struct fix *f = *state;
	for (unsigned n = 0; n < 3; n++) {
		run(f, code, sizeof(code));
		assert_int_equal(f->c->gpr[RAX], 2);
	}
}

static void store_through_another_mapping(void **state)
{
	static const uint8_t code[] = {
		0xb9, 3, 0, 0, 0,                   /* mov ecx, 3 */
		0x31, 0xdb,                         /* xor ebx, ebx */
		0x83, 0xc3, 0x01,                   /* again: add ebx, 1 (immediate at +9) */
		0xfe, 0x04, 0x25, 0x09, 0, 0x1f, 0, /* inc byte [0x1f0009]: the same byte, other page */
		0xff, 0xc9,                         /* dec ecx */
		0x75, 0xf2,                         /* jnz again */
		0xf4,
	};
	struct fix *f = *state;
	fix_pte(f, PTE_AT(0x1f0), FIX_CODE | 7);
	run(f, code, sizeof(code));
	assert_int_equal(f->c->gpr[RBX], 1 + 2 + 3);
}

static void data_beside_code_stays_writable(void **state)
{
	static const uint8_t code[] = {
		0xc7, 0x05, 0xf6, 0x01, 0, 0, 0x78, 0x56, 0x34, 0x12, /* mov dword [rip+0x1f6], 0x12345678 */
		0xf4,
	};
	struct fix *f = *state;
	uint64_t killed = f->c->vm->blocks_killed;
	run(f, code, sizeof(code));
	assert_int_equal(le32_load(f->ram + FIX_CODE + 0x200), 0x12345678);
	assert_int_equal(f->c->vm->blocks_killed, killed);
}

static void instruction_across_pages(void **state)
{
	static const uint8_t code[] = { 0xb8, 0x44, 0x33, 0x22, 0x11, 0xf4 }; /* mov eax, 0x11223344; hlt */
	struct fix *f = *state;
	struct cpu_exit out;
	uint64_t at = PAGE(0x81) - 2;
	memcpy(f->ram + at, code, sizeof(code));
	for (unsigned n = 0; n < 2; n++) {
		f->c->rip = at;
		f->c->halted = false;
		soft_engine.run(f->vcpu, &out);
		assert_int_equal(f->c->gpr[RAX], n ? 0x55223344 : 0x11223344);
		f->ram[at + 4] = 0x55; /* in the second page */
		soft_engine.mem_written(f->vm, at + 4, 1);
	}
	/* the second page moves; no byte of the first changes */
	memcpy(f->ram + PAGE(0x90), f->ram + PAGE(0x81), 16);
	f->ram[PAGE(0x90)] = 0x66;
	fix_pte(f, PTE_AT(0x81), PAGE(0x90) | 7);
	mmu_invlpg(f->c, PAGE(0x81));
	f->c->rip = at;
	f->c->halted = false;
	soft_engine.run(f->vcpu, &out);
	assert_int_equal(f->c->gpr[RAX], 0x55226644);
}

/* More code than the arena holds, in a ring of pages that are written anew each time */
static void arena_wraps_around(void **state)
{
	struct fix *f = *state;
	struct soft_vm *vm = f->c->vm;
	struct cpu_exit out;
	while (vm->arena_flushes < 3) {
		memset(f->ram + FIX_CODE, 0x90, 0x8000);
		f->ram[FIX_CODE + 0x8000] = 0xf4;
		f->c->rip = FIX_CODE;
		f->c->halted = false;
		soft_engine.mem_written(f->vm, FIX_CODE, 0x8001);
		soft_engine.run(f->vcpu, &out);
		assert_int_equal(out.kind, EXIT_HLT);
		assert_int_equal(f->c->rip, FIX_CODE + 0x8001);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(accessed_and_dirty), T(faulting_access_sets_no_bits), T(error_codes), T(fetch_rights),
		T(smap_banks_are_apart), T(straddle_is_all_or_nothing), T(non_canonical),
		T(invlpg_finds_pieces_of_large_pages), T(pcid_keeps_translations), T(mmio_goes_to_the_host),
		T(store_to_the_next_instruction), T(store_through_another_mapping), T(data_beside_code_stays_writable),
		T(instruction_across_pages), T(arena_wraps_around),
	};
	return cmocka_run_group_tests_name("mmu", tests, NULL, NULL);
}
