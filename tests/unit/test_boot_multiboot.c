/* test_boot_multiboot.c - Multiboot 1 kernels: both kinds of header, what they are told, refusals. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "boot/multiboot.h"
#include "unit/boot_fixture.h"

#define MAGIC 0x1badb002u
#define BASE  0x200000u

/* A file of @len bytes with a header at @at; with flag 16 its addresses follow the checksum */
struct spec {
	size_t len, at;
	uint32_t flags, header, load, load_end, bss_end, entry;
};

static const struct spec good = { 4096, 64, 0x10003, BASE + 64, BASE, 0, BASE + 0x3000, BASE + 0x200 };

static struct blob make(const struct spec *s)
{
	const uint32_t w[] = { MAGIC,   s->flags,    -(MAGIC + s->flags), s->header,
			       s->load, s->load_end, s->bss_end,          s->entry };
	struct blob b = { 0 };

	memset(blob_add(&b, NULL, s->len), 0x90, s->len);
	for (size_t i = 0; i < ARRAY_LEN(w) && s->at + i * 4 + 4 <= s->len; i++)
		le32_store(b.p + s->at + i * 4, w[i]);
	return b;
}

static int boot(struct guest *g, const struct blob *b, struct boot_config *c)
{
	char path[64];

	snprintf(path, sizeof(path), "%s", file_make(b->p, b->len));
	c->kernel = path;
	c->ncpus = 1;
	int rc = guest_boot(g, c);
	unlink(path);
	c->kernel = NULL;
	return rc;
}

static const char *guest_text(struct guest *g, uint64_t gpa) { return mem_ptr(&g->mem, gpa, 1); }

static void find(void **state)
{
	struct multiboot_header h;
	struct spec s = good;

	for (size_t at = 0; at <= 8192; at += 32) {
		s.len = 16384;
		s.at = at;
		struct blob b = make(&s);
		assert_int_equal(multiboot_find(b.p, b.len, &h), at + 32 <= 8192);
		if (at + 32 <= 8192)
			assert_int_equal(h.offset, at);
		b.p[at + 8] ^= 1; /* the checksum */
		assert_false(multiboot_find(b.p, b.len, &h));
		blob_free(&b);
	}
	s = good;
	s.at = 66; /* not on a word */
	struct blob b = make(&s);
	assert_false(multiboot_find(b.p, b.len, &h));
	blob_free(&b);
	b = make(&good);
	for (size_t n = 0; n < 64 + 32; n++) /* cut short */
		assert_false(multiboot_find(b.p, n, &h));
	assert_true(multiboot_find(b.p, 64 + 32, &h));
	blob_free(&b);
}

static void addresses(void **state)
{
	struct guest *g = guest_make(16 * MIB);
	struct blob b = make(&good);
	struct boot_config c = { .cmdline = "a b" };
	const struct x86_state *s = &g->s;

	memset(mem_ptr(&g->mem, 0, 16 * MIB), 0xa5, 16 * MIB);
	assert_int_equal(boot(g, &b, &c), 0);
	assert_int_equal(g->info.protocol, BOOT_PROTO_MULTIBOOT);
	assert_memory_equal(mem_ptr(&g->mem, BASE, b.len), b.p, b.len);
	assert_int_equal(guest_load64(g, BASE + 4096), 0);
	assert_int_equal(guest_load64(g, BASE + 0x2ff8), 0);
	assert_int_equal(guest_load32(g, BASE + 0x3000), 0xa5a5a5a5);
	assert_int_equal(s->rip, BASE + 0x200);
	assert_int_equal(s->gpr[RAX], 0x2badb002);
	assert_int_equal(s->cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(s->seg[CS].attr, 0xc09b);
	assert_int_equal(s->seg[CS].limit, 0xffffffff);
	assert_int_equal(s->seg[DS].attr, 0xc093);
	assert_int_equal(s->rflags, 2);
	blob_free(&b);
	guest_free(g);
}

static void information(void **state)
{
	struct guest *g = guest_make(16 * MIB);
	struct blob b = make(&good);
	char initrd[64];

	snprintf(initrd, sizeof(initrd), "%s", file_make("module", 6));
	struct boot_config c = { .cmdline = "a b", .initrd = initrd };
	assert_int_equal(boot(g, &b, &c), 0);
	uint64_t i = g->s.gpr[RBX];
	assert_int_equal(guest_load32(g, i), 0x24d);
	assert_int_equal(guest_load32(g, i + 4), 639);
	assert_int_equal(guest_load32(g, i + 8), 15 * 1024);
	const char *text = guest_text(g, guest_load32(g, i + 16));
	assert_true(!strncmp(text, "/tmp/", 5) && !strcmp(strchr(text, ' '), " a b"));
	assert_string_equal(guest_text(g, guest_load32(g, i + 64)), "vibevmm");
	assert_int_equal(guest_load32(g, i + 20), 1);
	uint64_t m = guest_load32(g, i + 24);
	uint32_t start = guest_load32(g, m);
	assert_int_equal(start % 4096, 0);
	assert_int_equal(guest_load32(g, m + 4), start + 6);
	assert_memory_equal(guest_text(g, start), "module", 6);
	assert_string_equal(guest_text(g, guest_load32(g, m + 8)), initrd);
	uint64_t at = guest_load32(g, i + 48), end = at + guest_load32(g, i + 44), ram = 0, last = 0;
	for (; at < end; at += guest_load32(g, at) + 4) {
		assert_true(guest_load64(g, at + 4) >= last);
		last = guest_load64(g, at + 4) + guest_load64(g, at + 12);
		ram += guest_load32(g, at + 20) == 1 ? guest_load64(g, at + 12) : 0;
	}
	assert_int_equal(at, end);
	assert_int_equal(ram, 15 * MIB + 639 * 1024);
	unlink(initrd);
	c.initrd = NULL;
	c.cmdline_is_default = true; /* Linux's, which is nothing for others */
	assert_int_equal(boot(g, &b, &c), 0);
	assert_null(strchr(guest_text(g, guest_load32(g, i + 16)), ' '));
	assert_int_equal(guest_load32(g, i + 20), 0);
	blob_free(&b);
	guest_free(g);
}

/* ELF32 and ELF64 files with a header; a PVH note wins */
static void elf_files(void **state)
{
	struct guest *g = guest_make(16 * MIB);
	struct boot_config c = { 0 };
	uint32_t code[64] = { MAGIC, 3, -(MAGIC + 3) };
	struct elf_seg_spec seg = { BASE, BASE, 0x1000, code, sizeof(code) };
	struct blob b = elf_make(&seg, 1, BASE + 16, 0);

	assert_int_equal(boot(g, &b, &c), 0);
	assert_int_equal(g->info.protocol, BOOT_PROTO_MULTIBOOT);
	assert_int_equal(g->s.rip, BASE + 16);
	blob_free(&b);
	b = elf_make(&seg, 1, BASE + 16, BASE + 32);
	assert_int_equal(boot(g, &b, &c), 0);
	assert_int_equal(g->info.protocol, BOOT_PROTO_PVH);
	blob_free(&b);

	Elf32_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_EXEC,
			  .e_machine = EM_386, .e_version = 1, .e_entry = 0xc0000000 + 16, .e_phoff = sizeof(eh),
			  .e_ehsize = sizeof(eh), .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1 };
	Elf32_Phdr ph = { .p_type = PT_LOAD, .p_offset = sizeof(eh) + sizeof(ph), .p_vaddr = 0xc0000000,
			  .p_paddr = BASE, .p_filesz = sizeof(code), .p_memsz = 0x800 };
	blob_add(&b, &eh, sizeof(eh));
	blob_add(&b, &ph, sizeof(ph));
	blob_add(&b, code, sizeof(code));
	assert_int_equal(boot(g, &b, &c), 0);
	assert_int_equal(g->info.protocol, BOOT_PROTO_MULTIBOOT);
	assert_int_equal(g->s.rip, BASE + 16);
	assert_int_equal(guest_load32(g, BASE), MAGIC);
	blob_free(&b);
	guest_free(g);
}

static void refusals(void **state)
{
	static const struct { struct spec s; int rc; const char *says; } rows[] = {
		{ { 4096, 64, 0x10007, BASE + 64, BASE, 0, 0, BASE }, 0, "" }, /* a wish for a video mode */
		{ { 4096, 64, 0x3, 0, 0, 0, 0, 0 }, -ENOEXEC, "no ELF file" },
		{ { 4096, 64, 0x1000b, BASE + 64, BASE, 0, 0, BASE }, -ENOEXEC, "requires what is not known" },
		{ { 4096, 64, 0x10000, BASE + 64, BASE - 4, 0, 0, BASE }, -ENOEXEC, "before the file" },
		{ { 4096, 64, 0x10000, BASE + 64, BASE + 68, 0, 0, BASE }, -ENOEXEC, "before the file" },
		{ { 4096, 64, 0x10000, BASE + 64, BASE, BASE + 4097, 0, BASE }, -ENOEXEC, "truncated" },
		{ { 4096, 64, 0x10000, BASE + 64, BASE, BASE, 0, BASE }, -ENOEXEC, "truncated" },
		{ { 4096, 64, 0x10000, BASE + 64, BASE, 0, BASE + 4095, BASE }, -ENOEXEC, "ends the BSS" },
		{ { 4096, 64, 0x10000, BASE + 64, BASE, 0, 0, BASE + 4096 }, -ENOEXEC, "entry point" },
		{ { 4096, 64, 0x10000, BASE + 64, BASE, 0, 0, BASE - 1 }, -ENOEXEC, "entry point" },
		{ { 4096, 64, 0x10000, 0x8040, 0x8000, 0, 0, 0x8000 }, -ENOEXEC, "below 1 MiB" },
		{ { 4096, 64, 0x10000, BASE + 64, BASE, 0, 0xffffffff, BASE }, -ENOMEM, "--mem" },
		{ { 4096, 64, 0x10000, 0xfffff040, 0xfffff000, 0, 0, 0xfffff000 }, -ENOMEM, "--mem" },
	};
	struct guest *g = guest_make(16 * MIB);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct boot_config c = { 0 };
		struct blob b = make(&rows[i].s);
		int rc = boot(g, &b, &c);
		if (rc != rows[i].rc || !strstr(g->e.msg, rows[i].says))
			fail_msg("row %zu: %d \"%s\"", i, rc, g->e.msg);
		blob_free(&b);
	}
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find),      cmocka_unit_test(addresses), cmocka_unit_test(information),
		cmocka_unit_test(elf_files), cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests_name("boot_multiboot", tests, NULL, NULL);
}
