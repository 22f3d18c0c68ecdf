/* test_boot_place.c - finding room in low memory, the memory map, files, the command line. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <sys/stat.h>

#include "boot/cmdline.h"
#include "boot/e820.h"
#include "boot/files.h"
#include "boot/place.h"
#include "unit/boot_fixture.h"

static void placement(void **state)
{
	struct guest *g = guest_make(16 * MIB);
	struct place p;
	uint64_t at = 7;

	assert_int_equal(place_init(&p, &g->mem, NULL), 0);
	assert_int_equal(p.end, 16 * MIB);
	assert_int_equal(place_take(&p, 0, MIB), 0);
	assert_int_equal(place_take(&p, MIB - 1, 1), -EEXIST);
	assert_int_equal(place_take(&p, 16 * MIB - 1, 2), -ENOMEM);
	assert_int_equal(place_take(&p, UINT64_MAX, 2), -ENOMEM);
	assert_false(place_is_free(&p, 0, 1));
	assert_true(place_is_free(&p, MIB, 15 * MIB));

	assert_int_equal(place_highest(&p, 5000, 4096, 0, UINT64_MAX, &at), 0);
	assert_int_equal(at, 16 * MIB - 8192);
	assert_int_equal(place_highest(&p, 4096, 4096, 0, 2 * MIB, &at), 0);
	assert_int_equal(at, 2 * MIB - 4096);
	assert_int_equal(place_highest(&p, 14 * MIB, 4096, 0, UINT64_MAX, &at), -ENOMEM);
	assert_int_equal(place_highest(&p, 17 * MIB, 4096, 0, UINT64_MAX, &at), -ENOMEM);
	/* Between two taken ranges, exactly */
	assert_int_equal(place_highest(&p, 14 * MIB - 8192, 4096, 0, UINT64_MAX, &at), 0);
	assert_int_equal(at, 2 * MIB);

	assert_int_equal(place_lowest(&p, 4096, 4096, 5, UINT64_MAX, &at), 0);
	assert_int_equal(at, MIB);
	assert_int_equal(place_lowest(&p, MIB, 4096, 0, UINT64_MAX, &at), -ENOMEM);
	assert_int_equal(place_lowest(&p, 1, 1ull << 32, UINT64_MAX - 5, UINT64_MAX, &at), -ENOMEM);
	guest_free(g);
}

static void random_places(void **state)
{
	struct guest *g = guest_make(64 * MIB);
	unsigned seen = 0;

	for (unsigned i = 0; i < 400; i++) {
		struct place p;
		uint64_t at;
		assert_int_equal(place_init(&p, &g->mem, NULL), 0);
		assert_int_equal(place_take(&p, 32 * MIB, 4096), 0);
		assert_int_equal(place_random(&p, 10 * MIB, 2 * MIB, 16 * MIB, UINT64_MAX, &at), 0);
		assert_int_equal(at % (2 * MIB), 0);
		assert_true(at >= 16 * MIB && at <= 54 * MIB);
		assert_true(at <= 22 * MIB || at > 32 * MIB);
		seen |= 1u << (at / (2 * MIB) - 8);
	}
	/* 16, 18, 20, 22 and 34 to 54 MiB: all 15 of them, missing one with a chance of 1e-11 */
	assert_int_equal(seen, 0xffe0f);
	struct place p;
	uint64_t at;
	assert_int_equal(place_init(&p, &g->mem, NULL), 0);
	assert_int_equal(place_random(&p, 65 * MIB, 4096, 0, UINT64_MAX, &at), -ENOMEM);
	guest_free(g);
}

static void zeroing(void **state)
{
	struct guest *g = guest_make(4 * MIB);
	struct place p;
	uint8_t *ram = mem_ptr(&g->mem, 0, 4 * MIB);

	assert_int_equal(place_init(&p, &g->mem, NULL), 0);
	memset(ram, 0xa5, 4 * MIB);
	place_zero(&p, 100, 9000);
	assert_int_equal(ram[99], 0xa5);
	for (unsigned i = 100; i < 9100; i++)
		assert_int_equal(ram[i], 0);
	assert_int_equal(ram[9100], 0xa5);
	memset(ram, 0, 8192);
	ram[4095] = ram[4097] = 1;
	place_zero(&p, 0, 4098);
	assert_int_equal(ram[4095] | ram[4097], 0);
	place_zero(&p, 0, 0);
	guest_free(g);
}

static void memory_map(void **state)
{
	struct memmap mem = { .nslots = 2,
			      .slots = { { 0, 3 << 20, NULL, false }, { LAYOUT_HIGH_RAM, 1 << 20, NULL, false } } };
	static const struct e820_entry want[] = {
		{ 0, 0x9fc00, E820_RAM },
		{ 0x9fc00, 0x400, E820_RESERVED },
		{ 0xe0000, 0x20000, E820_RESERVED },
		{ 0x100000, 0x200000, E820_RAM },
		{ LAYOUT_PCI_ECAM, LAYOUT_PCI_ECAM_LEN, E820_RESERVED },
		{ LAYOUT_HIGH_RAM, 0x100000, E820_RAM },
	};
	struct e820 m;

	e820_build(&mem, &m);
	assert_int_equal(m.n, ARRAY_LEN(want));
	for (unsigned i = 0; i < m.n; i++) {
		assert_int_equal(m.e[i].base, want[i].base);
		assert_int_equal(m.e[i].len, want[i].len);
		assert_int_equal(m.e[i].type, want[i].type);
	}
	mem.slots[1].readonly = true;
	e820_build(&mem, &m);
	assert_int_equal(m.n, ARRAY_LEN(want) - 1);
}

static void files(void **state)
{
	struct err e = { 0 };
	struct buf b = { 0 };
	uint64_t len;
	int fd;

	assert_int_equal(file_load("/nonexistent/x", "kernel", MIB, &b, &e), -ENOENT);
	assert_string_equal(e.msg, "cannot open the kernel '/nonexistent/x': No such file or directory");
	e.msg[0] = 0;
	assert_int_equal(file_load("", "kernel", MIB, &b, &e), -ENOENT);
	e.msg[0] = 0;
	assert_int_equal(file_load("/tmp", "initrd", MIB, &b, &e), -EISDIR);
	assert_string_equal(e.msg, "the initrd '/tmp' is a directory; give a file");
	e.msg[0] = 0;
	assert_int_equal(file_load("/dev/zero", "kernel", MIB, &b, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "not a regular file"));
	const char *name = file_make("", 0);
	assert_int_equal(file_load(name, "kernel", MIB, &b, &e), -EINVAL);
	unlink(name);
	name = file_make("hello", 5);
	assert_int_equal(file_load(name, "kernel", 4, &b, NULL), -EFBIG);
	assert_int_equal(file_load(name, "kernel", 5, &b, NULL), 0);
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.data, "hello", 5);
	buf_free(&b);
	buf_free(&b);
	assert_int_equal(file_open(name, "kernel", &fd, &len, NULL), 0);
	char got[10];
	e.msg[0] = 0;
	assert_int_equal(file_read(fd, name, "kernel", got, 10, &e), -EIO);
	assert_non_null(strstr(e.msg, "shorter"));
	close(fd);
	unlink(name);
	/* A FIFO must not make us wait for its writer */
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_int_equal(file_load(name, "kernel", MIB, &b, NULL), -EINVAL);
	unlink(name);
	assert_int_equal(buf_alloc(&b, 0), -EINVAL);
	assert_int_equal(buf_alloc(&b, SIZE_MAX), -ENOMEM);
}

static void command_line(void **state)
{
	struct guest *g = guest_make(4 * MIB);
	struct err e = { 0 };
	char *long_line = malloc(70000);

	assert_true(cmdline_has("nokaslr", "nokaslr"));
	assert_true(cmdline_has(" quiet\tnokaslr x", "nokaslr"));
	assert_false(cmdline_has("nokaslrx xnokaslr kaslr", "nokaslr"));
	assert_false(cmdline_has("quiet -- nokaslr", "nokaslr"));
	assert_false(cmdline_has("", "nokaslr"));
	assert_true(cmdline_has_prefix("a memmap=1M", "memmap="));
	assert_false(cmdline_has_prefix("a xmemmap=1M", "memmap="));
	assert_int_equal(cmdline_mem_limit("mem=64M"), 64 * MIB);
	assert_int_equal(cmdline_mem_limit("mem=nopentium mem=1g mem=0x10000k"), 64 * MIB);
	assert_int_equal(cmdline_mem_limit("mem=nopentium"), UINT64_MAX);
	assert_int_equal(cmdline_mem_limit("mem=99999999999999999999G"), UINT64_MAX);
	assert_int_equal(cmdline_mem_limit("mem="), UINT64_MAX);

	memset(long_line, 'x', 70000);
	long_line[2047] = 0;
	assert_int_equal(cmdline_write(&g->mem, long_line, 2047, &e), 0);
	assert_int_equal(cmdline_write(&g->mem, long_line, 2046, &e), -E2BIG);
	assert_string_equal(e.msg, "the command line has 2047 characters; this kernel takes 2046 at most");
	long_line[2047] = 'x';
	long_line[69999] = 0;
	assert_int_equal(cmdline_write(&g->mem, long_line, 0xffffffff, NULL), -E2BIG);
	free(long_line);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(placement),  cmocka_unit_test(random_places), cmocka_unit_test(zeroing),
		cmocka_unit_test(memory_map), cmocka_unit_test(files),         cmocka_unit_test(command_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
