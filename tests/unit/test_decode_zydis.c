/* The decoder against Zydis: every row of the tables, random bytes, and whole Debian binaries. */
#include <Zydis/Zydis.h>
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The decoder itself, to see which rows of its tables are used */
static unsigned char row_used[4096];
#define DECODE_ROW_USED(n) (row_used[n] = 1)
#include "engine/soft/decode.c"

#include "unit/decode_zydis.h"

static struct zy zy;
static unsigned failures;

static uint64_t random_state = 0x9e3779b97f4a7c15u;
static uint32_t rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

static void fill_random(uint8_t *b)
{
	for (int k = 0; k < 16; k += 4) {
		uint32_t v = rnd();
		memcpy(b + k, &v, 4);
	}
}

static int check(const uint8_t *b, size_t len, enum code_size code)
{
	struct insn i;
	const char *why = zy_compare(&zy, b, len, code, &i);
	if (why && failures++ < 20) {
		fprintf(stderr, "%d-bit ", 16 << code);
		for (int k = 0; k < 15; k++)
			fprintf(stderr, "%02x", b[k]);
		fprintf(stderr, ": %s\n", why);
	}
	return i.op == OP_INVALID ? 0 : i.len;
}

/* All maps and opcodes under all mandatory prefixes with many ModRM bytes. Then every row of
 * opcodes*.def must have been met. */
static void test_every_row(void **state)
{
	static const uint8_t prefixes[][2] = { { 0 }, { 0x66 }, { 0xf3 }, { 0xf2 }, { 0x66, 0xf2 }, { 0xf3, 0x66 } };
	failures = 0;
	for (unsigned map = 0; map < 4; map++)
		for (unsigned opcode = 0; opcode < 256; opcode++)
			for (unsigned p = 0; p < ARRAY_LEN(prefixes); p++)
				for (unsigned m = 0; m < 256; m += map < 2 || m >= 0xc0 ? 1 : 7)
					for (unsigned code = 0; code < 4; code++) {
						uint8_t b[16];
						unsigned n = 0;
						fill_random(b);
						for (unsigned k = 0; k < 2 && prefixes[p][k]; k++)
							b[n++] = prefixes[p][k];
						if (code >= CODE_64 && code == 3)
							b[n++] = 0x48 | (m & 7);
						if (map)
							b[n++] = 0x0f;
						if (map > 1)
							b[n++] = map == 2 ? 0x38 : 0x3a;
						b[n++] = (uint8_t)opcode;
						b[n++] = (uint8_t)m;
						if (p == 0 || (m & 3) == (p & 3))
							check(b, 15, code > CODE_64 ? CODE_64 : (enum code_size)code);
					}
	/* The VEX maps, with both lengths, both W, and vvvv mostly unused */
	for (unsigned map = 1; map < 4; map++)
		for (unsigned opcode = 0; opcode < 256; opcode++)
			for (unsigned lpp = 0; lpp < 8; lpp++)
				for (unsigned m = 0; m < 256; m += m >= 0xc0 ? 5 : 8)
					for (unsigned code = 0; code < 6; code++) {
						uint8_t b[16];
						fill_random(b);
						bool w = code >= 3;
						b[0] = 0xc4;
						b[1] = (uint8_t)((code % 3 == CODE_64 ? b[1] & 0xe0
										      : 0xe0 | (b[1] & 0x20)) |
								 map);
						b[2] = (uint8_t)(w << 7 |
								 (b[2] & 1 || code == 4 ? 15 : b[2] >> 1 & 15) << 3 |
								 lpp);
						b[3] = (uint8_t)opcode;
						b[4] = (uint8_t)(m < 0xc0 ? m | (b[4] & 7) : m);
						check(b, 15, (enum code_size)(code % 3));
					}
	for (unsigned k = 1; k < ARRAY_LEN(rows); k++)
		if (!row_used[k] && failures++ < 20)
			fprintf(stderr, "row %u of the tables was never reached: map %u opcode %02x %s\n", k,
				rows[k].map, rows[k].opcode, op_info[rows[k].op].name);
	assert_true(leaf_count < ARRAY_LEN(leaves) && cand_count < ARRAY_LEN(cands));
	assert_int_equal(failures, 0);
}

/* Pure noise, and noise with plausible prefixes */
static void test_random(void **state)
{
	static const uint8_t prefixes[16] = { 0x66, 0xf2, 0xf3, 0x67, 0xf0, 0x26, 0x2e, 0x36,
					      0x3e, 0x64, 0x65, 0x66, 0x67, 0x0f, 0xc4, 0xc5 };
	failures = 0;
	for (unsigned k = 0; k < 600000; k++) {
		uint8_t b[16];
		unsigned n = 0;
		fill_random(b);
		uint32_t r = rnd();
		if (r & 1)
			for (unsigned count = r >> 1 & 3; count; count--)
				b[n++] = prefixes[rnd() & 15];
		if (r & 16)
			b[n++] = 0x40 | (r >> 8 & 15);
		if (r & 32)
			b[n++] = 0x0f;
		if (r & 32 && (r & 192) == 0)
			b[n++] = r & 256 ? 0x38 : 0x3a;
		check(b, 15, (enum code_size)(k % 3));
	}
	assert_int_equal(failures, 0);
	assert_true(zy.both > 200000);
}

/* Repeated and long prefixes: the last one counts, and 15 bytes are the limit */
static void test_many_prefixes(void **state)
{
	static const uint8_t prefixes[12] = { 0x66, 0xf2, 0xf3, 0x67, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x48, 0x41 };
	failures = 0;
	for (unsigned k = 0; k < 100000; k++) {
		uint8_t b[16];
		fill_random(b);
		for (unsigned n = 0, count = rnd() % 15; n < count; n++)
			b[n] = prefixes[rnd() % 12];
		check(b, 15, (enum code_size)(k % 3));
	}
	assert_int_equal(failures, 0);
}

/* Every instruction in the executable sections of a 64-bit ELF file */
static void sweep(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0)
		return;
	assert_int_equal(fstat(fd, &st), 0);
	uint8_t *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	assert_ptr_not_equal(file, MAP_FAILED);
	const Elf64_Ehdr *eh = (const void *)file;
	if (st.st_size > (off_t)sizeof(*eh) && eh->e_machine == EM_X86_64 &&
	    eh->e_shoff + eh->e_shnum * sizeof(Elf64_Shdr) <= (size_t)st.st_size) {
		const Elf64_Shdr *sh = (const void *)(file + eh->e_shoff);
		for (unsigned k = 0; k < eh->e_shnum; k++) {
			if (sh[k].sh_type != SHT_PROGBITS || !(sh[k].sh_flags & SHF_EXECINSTR))
				continue;
			const uint8_t *p = file + sh[k].sh_offset, *end = p + sh[k].sh_size;
			while (end - p >= 15) {
				ZydisDecodedInstruction zi;
				ZydisDecoderContext ctx;
				check(p, 15, CODE_64);
				p += ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&zy.dec[CODE_64], &ctx, p, 15, &zi))
					     ? zi.length
					     : 1;
			}
		}
	}
	munmap(file, (size_t)st.st_size);
}

static void test_binaries(void **state)
{
	static const char *const paths[] = { "/bin/busybox", "/lib/x86_64-linux-gnu/libc.so.6",
					     "/lib/x86_64-linux-gnu/libm.so.6",
					     "/lib/x86_64-linux-gnu/libcrypto.so.3" };
	failures = 0;
	for (unsigned k = 0; k < ARRAY_LEN(paths); k++)
		sweep(paths[k]);
	assert_int_equal(failures, 0);
}

/* What only Zydis accepted, by instruction set: for the eye; the list that is allowed is in decode_zydis.h */
static int report(void **state)
{
	fprintf(stderr, "agreed on %lu instructions and %lu invalid encodings; only Zydis knows:", zy.both, zy.neither);
	for (unsigned k = 0; k <= ZYDIS_ISA_SET_MAX_VALUE; k++)
		if (zy.only_zydis[k])
			fprintf(stderr, " %s %lu", ZydisISASetGetString((ZydisISASet)k), zy.only_zydis[k]);
	fprintf(stderr, "\n");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_many_prefixes),
		cmocka_unit_test(test_binaries),
	};
	zy_init(&zy);
	return cmocka_run_group_tests(tests, NULL, report);
}
