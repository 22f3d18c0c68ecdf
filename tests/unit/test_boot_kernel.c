/* test_boot_kernel.c - bzImages and ELF kernels: where all goes, KASLR, and every way to be wrong. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "boot/elf.h"
#include "boot/kaslr.h"
#include "unit/boot_fixture.h"

/* A kernel of 1 MiB whose words name themselves, as the relocations expect:
 *   +0 entry: hlt | +1000h: a 64-bit address | +2000h: a 32-bit one | +3000h: an inverse one */
#define KERNEL_LEN MIB
#define BSS_LEN    (MIB / 2)

static struct blob kernel_elf(void)
{
	uint8_t *text = calloc(1, KERNEL_LEN);
	text[0] = 0xf4;
	text[1] = 0xf4;
	le64_store(text + 0x1000, LINK_VADDR + 0x1000);
	le32_store(text + 0x2000, (uint32_t)LINK_VADDR + 0x2000);
	le32_store(text + 0x3000, 0u - ((uint32_t)LINK_VADDR + 0x3000));
	struct elf_seg_spec seg[] = {
		{ LINK_VADDR, LINK_PADDR, KERNEL_LEN, text, KERNEL_LEN },
		{ LINK_VADDR + KERNEL_LEN, LINK_PADDR + KERNEL_LEN, BSS_LEN + 16, "0123456789abcdef", 16 },
	};
	struct blob b = elf_make(seg, 2, LINK_PADDR + 1, 0);
	free(text);
	return b;
}

static void add_relocs(struct blob *b, bool inverse)
{
	blob_word(b, 0);
	blob_word(b, (uint32_t)LINK_VADDR + 0x1000);
	if (inverse) {
		blob_word(b, 0);
		blob_word(b, (uint32_t)LINK_VADDR + 0x3000);
	}
	blob_word(b, 0);
	blob_word(b, (uint32_t)LINK_VADDR + 0x2000);
}

static struct blob bzimage_sample(enum packing how, bool relocs)
{
	struct blob elf = kernel_elf();

	if (relocs)
		add_relocs(&elf, true);
	struct blob payload = pack(how, elf.p, elf.len), b = bzimage_make(&payload);
	blob_free(&elf);
	blob_free(&payload);
	return b;
}

/* Boots the image and removes the file */
static int boot_bytes(struct guest *g, const struct blob *b, const char *initrd, const char *cmdline)
{
	char path[64];

	snprintf(path, sizeof(path), "%s", file_make(b->p, b->len));
	struct boot_config c = { .kernel = path, .initrd = initrd, .cmdline = cmdline, .ncpus = 1 };
	int rc = guest_boot(g, &c);
	unlink(path);
	return rc;
}

static void check_linux_state(struct guest *g)
{
	assert_int_equal(g->s.rip, g->info.entry_gpa);
	assert_int_equal(g->s.gpr[RSI], LAYOUT_ZERO_PAGE);
	assert_int_equal(g->s.rflags, 2);
	assert_int_equal(g->s.seg[CS].sel, 0x10);
	assert_int_equal(g->s.seg[DS].sel, 0x18);
	assert_int_equal(g->s.cr3, LAYOUT_PAGE_TABLES);
	assert_int_equal(g->s.efer, EFER_LME | EFER_LMA);
	assert_true(g->s.cr0 & CR0_PG && g->s.cr4 & CR4_PAE && g->s.seg[CS].attr & SEG_L);
	/* The page tables map the entry to itself */
	uint64_t va = g->s.rip, t = g->s.cr3;
	t = guest_load64(g, t + (va >> 39 & 511) * 8) & ~0xfffull;
	t = guest_load64(g, t + (va >> 30 & 511) * 8) & ~0xfffull;
	t = guest_load64(g, t + (va >> 21 & 511) * 8);
	assert_int_equal(t, (va & ~0x1fffffull) | 0x83);
}

static void check_kernel_image(struct guest *g)
{
	uint64_t at = g->info.load_gpa, virt = g->info.kaslr_virt;

	assert_int_equal(at, LINK_PADDR + g->info.kaslr_phys);
	assert_int_equal(g->info.entry_gpa, at + 1);
	assert_int_equal(guest_load64(g, at + 0x1000), LINK_VADDR + 0x1000 + virt);
	assert_int_equal(guest_load32(g, at + 0x2000), (uint32_t)(LINK_VADDR + 0x2000 + virt));
	assert_int_equal(guest_load32(g, at + 0x3000), 0u - (uint32_t)(LINK_VADDR + 0x3000 + virt));
	assert_memory_equal(mem_ptr(&g->mem, at + KERNEL_LEN, 16), "0123456789abcdef", 16);
	const uint8_t *bss = mem_ptr(&g->mem, at + KERNEL_LEN + 16, BSS_LEN);
	for (unsigned i = 0; i < BSS_LEN; i++)
		assert_int_equal(bss[i], 0);
}

static void unpacked(void **state)
{
	static const enum packing all[] = { PACK_GZIP, PACK_BZIP2, PACK_LZMA, PACK_XZ, PACK_LZ4, PACK_ZSTD };
	struct guest *g = guest_make(64 * MIB);

	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		struct blob b = bzimage_sample(all[i], true);
		/* RAM as a reboot finds it */
		memset(mem_ptr(&g->mem, 0, 64 * MIB), 0xa5, 64 * MIB);
		if (boot_bytes(g, &b, NULL, "quiet"))
			fail_msg("%s", g->e.msg);
		assert_true(g->info.unpacked && g->info.kaslr);
		assert_int_equal(g->info.protocol, BOOT_PROTO_LINUX64);
		assert_string_equal(g->info.format, packing_name(all[i]));
		assert_string_equal(g->info.version, "6.1.0-test (me@here)");
		check_kernel_image(g);
		check_linux_state(g);
		blob_free(&b);
	}
	guest_free(g);
}

static void zero_page(void **state)
{
	struct guest *g = guest_make(64 * MIB);
	struct blob b = bzimage_sample(PACK_GZIP, true);
	char initrd[64];

	snprintf(initrd, sizeof(initrd), "%s", file_make("the initrd", 10));
	memset(mem_ptr(&g->mem, 0, 64 * MIB), 0xa5, 64 * MIB);
	if (boot_bytes(g, &b, initrd, "console=ttyS0"))
		fail_msg("%s", g->e.msg);
	const uint8_t *z = mem_ptr(&g->mem, LAYOUT_ZERO_PAGE, 4096);
	assert_int_equal(z[0x1ef], 0); /* the sentinel that says "all else is sound" */
	assert_memory_equal(z + HDR_MAGIC, b.p + HDR_MAGIC, 8);
	assert_int_equal(z[HDR_TYPE_OF_LOADER], 0xff);
	assert_int_equal(z[HDR_LOADFLAGS], LOADFLAG_HIGH | LOADFLAG_KASLR);
	assert_int_equal(le32_load(z + HDR_CMD_LINE_PTR), LAYOUT_CMDLINE);
	assert_string_equal(mem_ptr(&g->mem, LAYOUT_CMDLINE, 100), "console=ttyS0");
	assert_int_equal(g->info.initrd_gpa, 64 * MIB - 4096);
	assert_int_equal(le32_load(z + HDR_RAMDISK_IMAGE), g->info.initrd_gpa);
	assert_int_equal(le32_load(z + HDR_RAMDISK_SIZE), 10);
	assert_memory_equal(mem_ptr(&g->mem, g->info.initrd_gpa, 12), "the initrd\0\0", 12);
	assert_int_equal(le64_load(z + 0x70), g->info.rsdp_gpa);
	assert_int_equal(z[0x1e8], 5); /* E820 */
	assert_int_equal(le64_load(z + 0x2d0 + 3 * 20), 0x100000);
	assert_int_equal(le64_load(z + 0x2d0 + 3 * 20 + 8), 63 * MIB);
	assert_int_equal(le32_load(z + 0x2d0 + 3 * 20 + 16), 1);
	uint64_t seed = le64_load(z + HDR_SETUP_DATA);
	assert_int_equal(guest_load64(g, seed), 0);
	assert_int_equal(guest_load64(g, seed + 8), 32ull << 32 | 9);
	unlink(initrd);
	blob_free(&b);
	guest_free(g);
}

/* Kernel and initrd are where they may be, apart, whatever the dice say */
static void random_layout(void **state)
{
	struct guest *g = guest_make(40 * MIB);
	struct blob b = bzimage_sample(PACK_LZ4, true);
	uint64_t phys = 0, virt = 0;
	uint8_t *junk = calloc(1, 3 * MIB);
	char initrd[64];

	snprintf(initrd, sizeof(initrd), "%s", file_make(junk, 3 * MIB));
	for (unsigned i = 0; i < 60; i++) {
		if (boot_bytes(g, &b, initrd, ""))
			fail_msg("%s", g->e.msg);
		const struct boot_info *n = &g->info;
		assert_false(ranges_overlap(n->load_gpa, n->load_len, n->initrd_gpa, n->initrd_len));
		assert_int_equal(n->initrd_gpa, 37 * MIB);
		assert_true(n->load_len >= BZ_INIT_SIZE && n->load_gpa + n->load_len <= 40 * MIB);
		assert_int_equal(n->load_gpa % (2 * MIB), 0);
		assert_int_equal(n->kaslr_virt % (2 * MIB), 0);
		assert_true(LINK_PADDR + n->kaslr_virt + n->load_len <= KERNEL_MAP_LEN);
		check_kernel_image(g);
		phys |= n->kaslr_phys;
		virt |= n->kaslr_virt;
	}
	assert_int_not_equal(phys, 0);
	assert_int_not_equal(virt, 0);
	unlink(initrd);
	free(junk);
	blob_free(&b);
	guest_free(g);
}

static void no_kaslr(void **state)
{
	struct guest *g = guest_make(64 * MIB);
	struct blob b = bzimage_sample(PACK_XZ, true);

	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(boot_bytes(g, &b, NULL, "a nokaslr b"), 0);
		assert_true(g->info.unpacked && !g->info.kaslr);
		check_kernel_image(g);
		assert_int_equal(g->info.load_gpa, LINK_PADDR);
		assert_int_equal(*(uint8_t *)mem_ptr(&g->mem, LAYOUT_ZERO_PAGE + HDR_LOADFLAGS, 1), LOADFLAG_HIGH);
		assert_int_equal(boot_bytes(g, &b, NULL, "memmap=1M$4M"), 0);
		assert_int_equal(g->info.load_gpa, LINK_PADDR);
		assert_true(g->info.kaslr);
		/* Nothing above the end that the kernel is told */
		assert_int_equal(boot_bytes(g, &b, NULL, "mem=24M"), 0);
		assert_true(g->info.load_gpa + g->info.load_len <= 24 * MIB);
	}
	/* A kernel that cannot move */
	b.p[HDR_RELOCATABLE] = 0;
	assert_int_equal(boot_bytes(g, &b, NULL, ""), 0);
	assert_false(g->info.kaslr);
	blob_free(&b);
	/* One that was built without relocations */
	b = bzimage_sample(PACK_XZ, false);
	assert_int_equal(boot_bytes(g, &b, NULL, ""), 0);
	assert_true(g->info.unpacked && !g->info.kaslr);
	check_kernel_image(g);
	blob_free(&b);
	guest_free(g);
}

static void packed(void **state)
{
	struct guest *g = guest_make(64 * MIB);
	struct blob b = bzimage_sample(PACK_LZO, true);

	assert_int_equal(boot_bytes(g, &b, NULL, ""), 0);
	assert_false(g->info.unpacked || g->info.kaslr);
	assert_string_equal(g->info.format, "lzo");
	assert_int_equal(g->info.load_gpa, LINK_PADDR);
	assert_int_equal(g->info.entry_gpa, LINK_PADDR + 0x200);
	check_linux_state(g);
	assert_memory_equal(mem_ptr(&g->mem, LINK_PADDR, b.len - BZ_SETUP_LEN), b.p + BZ_SETUP_LEN,
			    b.len - BZ_SETUP_LEN);

	/* No 64-bit entry: 32-bit protocol */
	le16_store(b.p + HDR_XLOADFLAGS, 0);
	assert_int_equal(boot_bytes(g, &b, NULL, ""), 0);
	assert_int_equal(g->info.protocol, BOOT_PROTO_LINUX32);
	assert_int_equal(g->s.rip, LINK_PADDR);
	assert_int_equal(g->s.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(g->s.efer, 0);
	assert_int_equal(g->s.gpr[RSI], LAYOUT_ZERO_PAGE);
	assert_int_equal(g->s.seg[CS].sel, 0x10);
	assert_true(g->s.seg[CS].attr & SEG_DB && !(g->s.seg[CS].attr & SEG_L));
	/* So old that it says nothing about its needs */
	le16_store(b.p + HDR_VERSION, 0x0206);
	assert_int_equal(boot_bytes(g, &b, NULL, ""), 0);
	assert_int_equal(g->info.load_gpa, 0x200000);
	blob_free(&b);

	/* A payload that is sound, but no kernel */
	static const uint8_t text[100] = "not an ELF file";
	struct blob payload = pack(PACK_GZIP, text, sizeof(text));
	b = bzimage_make(&payload);
	assert_int_equal(boot_bytes(g, &b, NULL, ""), 0);
	assert_false(g->info.unpacked);
	blob_free(&payload);
	blob_free(&b);
	guest_free(g);
}

static void expect(struct guest *g, const struct blob *b, const char *initrd, int rc, const char *words)
{
	int got = boot_bytes(g, b, initrd, "");

	if (got != rc || !strstr(g->e.msg, words))
		fail_msg("wanted %d \"%s\", got %d \"%s\"", rc, words, got, g->e.msg);
	assert_int_equal(g->info.load_len, 0);
}

static void bad_bzimages(void **state)
{
	struct guest *g = guest_make(64 * MIB), *small = guest_make(18 * MIB), *tiny = guest_make(MIB);
	struct blob b = bzimage_sample(PACK_GZIP, true), c;
	size_t len = b.len;

#define DAMAGE(store, off, val, rc, words)                                                                             \
	do {                                                                                                           \
		c = (struct blob){ 0 };                                                                                \
		blob_add(&c, b.p, b.len);                                                                              \
		store(c.p + (off), val);                                                                               \
		expect(g, &c, NULL, rc, words);                                                                        \
		blob_free(&c);                                                                                         \
	} while (0)
#define BYTE_STORE(p, v) (*(p) = (uint8_t)(v))

	DAMAGE(le16_store, HDR_VERSION, 0x0205, -ENOEXEC, "boot protocol 2.05");
	DAMAGE(BYTE_STORE, HDR_JUMP + 1, 4, -ENOEXEC, "too short");
	DAMAGE(le32_store, HDR_SYSSIZE, 0, -ENOEXEC, "no kernel");
	DAMAGE(le32_store, HDR_SYSSIZE, 0xffffffff, -ENOEXEC, "truncated");
	DAMAGE(BYTE_STORE, HDR_SETUP_SECTS, 255, -ENOEXEC, "truncated");
	DAMAGE(BYTE_STORE, HDR_LOADFLAGS, 0, -ENOEXEC, "zImage");
	DAMAGE(le32_store, HDR_CODE32_START, 0, -ENOEXEC, "needs a BIOS");
	DAMAGE(le32_store, HDR_PAYLOAD_OFFSET, 0xffffffff, -ENOEXEC, "outside the file");
	DAMAGE(le32_store, HDR_PAYLOAD_LENGTH, 0xffffffff, -ENOEXEC, "outside the file");
	DAMAGE(le32_store, HDR_PAYLOAD_LENGTH, 0, -ENOEXEC, "outside the file");
	DAMAGE(le32_store, HDR_KERNEL_ALIGNMENT, 3, -ENOEXEC, "power of two");
	DAMAGE(le32_store, HDR_KERNEL_ALIGNMENT, 0, -ENOEXEC, "power of two");
	DAMAGE(le64_store, HDR_PREF_ADDRESS, 0, -ENOEXEC, "load address");
	DAMAGE(le64_store, HDR_PREF_ADDRESS, UINT64_MAX & ~0xfffull, -ENOEXEC, "load address");
	DAMAGE(le32_store, HDR_INIT_SIZE, 0, -ENOEXEC, "makes no sense");
	DAMAGE(le32_store, HDR_INIT_SIZE, 0xffffffff, -ENOEXEC, "makes no sense");
	DAMAGE(le32_store, HDR_INIT_SIZE, 60 << 20, -ENOMEM, "needs 60 MiB");
	DAMAGE(le32_store, HDR_MAGIC, 0, -ENOEXEC, "neither a Linux bzImage nor an ELF");
	DAMAGE(BYTE_STORE, BZ_SETUP_LEN + BZ_PAYLOAD_OFF + 300, 0x55, -EILSEQ, "corrupt");
	DAMAGE(le32_store, HDR_PAYLOAD_LENGTH, 1000, -EILSEQ, "corrupt");
	b.len = len - 100;
	expect(g, &b, NULL, -ENOEXEC, "truncated");
	b.len = 600;
	expect(g, &b, NULL, -ENOEXEC, "truncated");
	b.len = 100;
	expect(g, &b, NULL, -ENOEXEC, "neither");
	b.len = len;
	expect(small, &b, NULL, -ENOMEM, "guest's low memory ends at 18 MiB; give more with --mem");
	expect(tiny, &b, NULL, -ENOMEM, "give at least 2 MiB");

	expect(g, &b, "/nonexistent", -ENOENT, "cannot open the initrd");
	const char *empty = file_make("", 0);
	char path[64];
	snprintf(path, sizeof(path), "%s", empty);
	expect(g, &b, path, -EINVAL, "is empty");
	assert_int_equal(truncate(path, 62 * MIB), 0);
	expect(g, &b, path, -ENOMEM, "the initrd 62 MiB");
	unlink(path);
	b.p[HDR_CMDLINE_SIZE] = 3;
	b.p[HDR_CMDLINE_SIZE + 1] = 0;
	assert_int_equal(boot_bytes(g, &b, NULL, "quiet"), -E2BIG);
	blob_free(&b);
	guest_free(g);
	guest_free(small);
	guest_free(tiny);
}

/* lz4 and lzma would let a flipped bit pass as data */
static void checksums(void **state)
{
	static const enum packing unsure[] = { PACK_LZ4, PACK_LZMA };
	struct guest *g = guest_make(64 * MIB);

	for (unsigned i = 0; i < ARRAY_LEN(unsure); i++) {
		struct blob b = bzimage_sample(unsure[i], true), c;
		DAMAGE(BYTE_STORE, BZ_SETUP_LEN + 5, 0x77, -EILSEQ, "the file's checksum is wrong");
		/* From 6.15 on there is none */
		memcpy(b.p + 0x300, "6.15.", 5);
		assert_int_equal(boot_bytes(g, &b, NULL, ""), 0);
		memcpy(b.p + 0x300, "6.14.", 5);
		expect(g, &b, NULL, -EILSEQ, "checksum");
		bzimage_sum(&b);
		assert_int_equal(boot_bytes(g, &b, NULL, ""), 0);
		/* Signed: a PE header at 40h, its checksum and the place of the signature filled in afterwards */
		le32_store(b.p + 0x3c, 0x40);
		le16_store(b.p + 0x40 + 24, 0x20b);
		bzimage_sum(&b);
		le32_store(b.p + 0x40 + 24 + 64, 0x12345678);
		le64_store(b.p + 0x40 + 24 + 144, 0x123456789abcdef);
		assert_int_equal(boot_bytes(g, &b, NULL, ""), 0);
		le32_store(b.p + 0x3c, 0xffffffff);
		expect(g, &b, NULL, -EILSEQ, "checksum");
		blob_free(&b);
	}
	guest_free(g);
}

static void bad_relocations(void **state)
{
	struct guest *g = guest_make(64 * MIB);
	static const uint32_t tables[][6] = {
		{ 0, 0, 0, 5, 0, 6 },                            /* far outside */
		{ 0, 0x81000000, 0, 0x81000000, 0, 0x81180010 }, /* just outside */
		{ 1, 2, 3, 4, 5, 6 },                            /* no list at all */
		{ 1, 2, 3, 4, 5, 0 },                            /* one */
	};

	for (unsigned i = 0; i < ARRAY_LEN(tables); i++) {
		struct blob elf = kernel_elf();
		blob_add(&elf, tables[i], sizeof(tables[i]));
		struct blob payload = pack(PACK_ZSTD, elf.p, elf.len), b = bzimage_make(&payload);
		expect(g, &b, NULL, -EILSEQ, "relocation table");
		blob_free(&elf);
		blob_free(&payload);
		blob_free(&b);
	}
	/* Two lists, as since 6.15, and two with padding in front */
	for (unsigned pad = 0; pad < 2; pad++) {
		struct relocs r;
		struct blob t = { 0 };
		if (pad)
			blob_word(&t, 0);
		add_relocs(&t, false);
		assert_int_equal(relocs_parse(t.p, t.len, &r, NULL), 0);
		assert_int_equal(r.n64, 1);
		assert_int_equal(r.n32, 1);
		assert_int_equal(r.n_inverse, 0);
		assert_int_equal(le32_load(r.list64), (uint32_t)LINK_VADDR + 0x1000);
		blob_free(&t);
	}
	guest_free(g);
}

static void elf_kernels(void **state)
{
	struct guest *g = guest_make(64 * MIB);
	struct blob b = kernel_elf();
	char initrd[64];

	snprintf(initrd, sizeof(initrd), "%s", file_make("abc", 3));
	if (boot_bytes(g, &b, initrd, "x"))
		fail_msg("%s", g->e.msg);
	assert_int_equal(g->info.protocol, BOOT_PROTO_ELF64);
	check_kernel_image(g);
	check_linux_state(g);
	assert_int_equal(guest_load32(g, LAYOUT_ZERO_PAGE + HDR_MAGIC), HDR_MAGIC_WORD);
	blob_free(&b);

	struct elf_seg_spec seg = { LINK_VADDR, LINK_PADDR, 8192, "Linux version 9.8.7 (x)", 24 };
	b = elf_make(&seg, 1, LINK_VADDR + 5, 0); /* a virtual entry */
	assert_int_equal(boot_bytes(g, &b, NULL, NULL), 0);
	assert_int_equal(g->s.rip, LINK_PADDR + 5);
	assert_string_equal(g->info.version, "9.8.7");
	blob_free(&b);

	b = elf_make(&seg, 1, LINK_PADDR, (uint32_t)LINK_PADDR + 16);
	assert_int_equal(boot_bytes(g, &b, initrd, "hello"), 0);
	assert_int_equal(g->info.protocol, BOOT_PROTO_PVH);
	assert_int_equal(g->s.rip, LINK_PADDR + 16);
	assert_int_equal(g->s.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	uint64_t si = g->s.gpr[RBX];
	assert_int_equal(guest_load32(g, si), 0x336ec578);
	assert_int_equal(guest_load32(g, si + 12), 1);
	uint64_t mod = guest_load64(g, si + 16);
	assert_int_equal(guest_load64(g, mod), g->info.initrd_gpa);
	assert_int_equal(guest_load64(g, mod + 8), 3);
	assert_string_equal(mem_ptr(&g->mem, guest_load64(g, si + 24), 16), "hello");
	assert_int_equal(guest_load64(g, si + 32), g->info.rsdp_gpa);
	assert_int_equal(guest_load32(g, si + 48), 5);
	assert_int_equal(guest_load64(g, guest_load64(g, si + 40) + 3 * 24), 0x100000);
	blob_free(&b);
	unlink(initrd);
	guest_free(g);
}

static void bad_elfs(void **state)
{
	struct guest *g = guest_make(32 * MIB);
	struct elf_seg_spec segs[] = {
		{ LINK_VADDR, LINK_PADDR, 8192, "abcd", 4 },
		{ LINK_VADDR + 8192, LINK_PADDR + 8192, 4096, "abcd", 4 },
	};
	struct blob b = elf_make(segs, 2, LINK_PADDR, 0), c;
	size_t ph = sizeof(Elf64_Ehdr);

	DAMAGE(le16_store, offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, -ENOEXEC, "for ARM64; this machine is x86-64");
	DAMAGE(le16_store, offsetof(Elf64_Ehdr, e_machine), EM_RISCV, -ENOEXEC, "RISC-V");
	DAMAGE(le16_store, offsetof(Elf64_Ehdr, e_machine), EM_386, -ENOEXEC, "contradicts");
	DAMAGE(le16_store, offsetof(Elf64_Ehdr, e_type), ET_REL, -ENOEXEC, "not an executable");
	DAMAGE(BYTE_STORE, EI_DATA, ELFDATA2MSB, -ENOEXEC, "big-endian");
	DAMAGE(BYTE_STORE, EI_CLASS, 9, -ENOEXEC, "class");
	DAMAGE(le16_store, offsetof(Elf64_Ehdr, e_phnum), 0, -ENOEXEC, "no sense");
	DAMAGE(le16_store, offsetof(Elf64_Ehdr, e_phnum), 5000, -ENOEXEC, "no sense");
	DAMAGE(le16_store, offsetof(Elf64_Ehdr, e_phentsize), 8, -ENOEXEC, "no sense");
	DAMAGE(le64_store, offsetof(Elf64_Ehdr, e_phoff), UINT64_MAX, -ENOEXEC, "truncated");
	DAMAGE(le64_store, offsetof(Elf64_Ehdr, e_entry), 0x1234, -ENOEXEC, "entry point");
	DAMAGE(le64_store, ph + offsetof(Elf64_Phdr, p_offset), 1 << 20, -ENOEXEC, "truncated");
	DAMAGE(le64_store, ph + offsetof(Elf64_Phdr, p_filesz), 8193, -ENOEXEC, "truncated");
	DAMAGE(le64_store, ph + offsetof(Elf64_Phdr, p_memsz), 1, -ENOEXEC, "larger in the file");
	DAMAGE(le64_store, ph + offsetof(Elf64_Phdr, p_memsz), 8193, -ENOEXEC, "overlaps");
	DAMAGE(le64_store, ph + offsetof(Elf64_Phdr, p_memsz), UINT64_MAX, -ENOEXEC, "beyond all memory");
	DAMAGE(le64_store, ph + offsetof(Elf64_Phdr, p_paddr), 20 * MIB, -ENOEXEC, "entry point");
	DAMAGE(le32_store, ph, PT_NULL, -ENOEXEC, "entry point");
	b.len = 40;
	expect(g, &b, NULL, -ENOEXEC, "truncated");
	b.len = 90;
	expect(g, &b, NULL, -ENOEXEC, "truncated");
	blob_free(&b);

	segs[0].paddr = 0x1000;
	b = elf_make(segs, 1, 0x1000, 0);
	expect(g, &b, NULL, -ENOEXEC, "below 1 MiB");
	blob_free(&b);
	segs[0].paddr = 32 * MIB - 4096;
	b = elf_make(segs, 1, 32 * MIB - 4096, 0);
	expect(g, &b, NULL, -ENOMEM, "give more with --mem");
	blob_free(&b);
	b = elf_make(segs, 1, LINK_PADDR, 0x1234);
	expect(g, &b, NULL, -ENOEXEC, "PVH entry");
	blob_free(&b);
	uint8_t elf32[sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr)] = { 0 };
	Elf32_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1 },
			  .e_type = ET_EXEC,
			  .e_machine = EM_386,
			  .e_entry = 0x200000,
			  .e_phoff = sizeof(eh),
			  .e_phentsize = sizeof(Elf32_Phdr),
			  .e_phnum = 1 };
	Elf32_Phdr p32 = { .p_type = PT_LOAD, .p_vaddr = 0x200000, .p_paddr = 0x200000, .p_memsz = 4096 };
	memcpy(elf32, &eh, sizeof(eh));
	memcpy(elf32 + sizeof(eh), &p32, sizeof(p32));
	c = (struct blob){ elf32, sizeof(elf32) };
	expect(g, &c, NULL, -ENOEXEC, "32-bit ELF file without a PVH note");
	uint8_t arm[64] = { 0 };
	memcpy(arm + 0x38, "ARM\x64", 4);
	c = (struct blob){ arm, sizeof(arm) };
	expect(g, &c, NULL, -ENOEXEC, "ARM64");
	guest_free(g);
}

/* Only what a kernel's file may say, not what its path is: both kinds of error name the file once */
static void describing(void **state)
{
	struct guest *g = guest_make(64 * MIB);
	struct blob b = bzimage_sample(PACK_ZSTD, true);
	char line[400];

	assert_int_equal(boot_bytes(g, &b, NULL, "nokaslr"), 0);
	g->info.unpack_ns = 12345678;
	assert_string_equal(
		boot_info_describe(&g->info, line, sizeof(line)),
		"Linux bzImage 6.1.0-test (me@here) at 0x1000000, entry 0x1000001, unpacked (zstd) in 12 ms");
	boot_info_describe(&g->info, line, 10);
	assert_string_equal(line, "Linux bzI");
	b.p[HDR_SYSSIZE + 3] = 0xff;
	assert_int_equal(boot_bytes(g, &b, NULL, ""), -ENOEXEC);
	assert_memory_equal(g->e.msg, "cannot boot the kernel '/tmp/vibe-boot-", 39);
	blob_free(&b);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unpacked),  cmocka_unit_test(zero_page),       cmocka_unit_test(random_layout),
		cmocka_unit_test(no_kaslr),  cmocka_unit_test(packed),          cmocka_unit_test(bad_bzimages),
		cmocka_unit_test(checksums), cmocka_unit_test(bad_relocations), cmocka_unit_test(elf_kernels),
		cmocka_unit_test(bad_elfs),  cmocka_unit_test(describing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
