/* test_boot_decompress.c - payloads of all formats: sound, damaged, truncated, with wrong sizes. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "base/clock.h"
#include "boot/files.h"
#include "unit/boot_fixture.h"

static const enum packing all[] = { PACK_GZIP, PACK_BZIP2, PACK_LZMA, PACK_XZ, PACK_LZ4, PACK_ZSTD };

/* Data that pack about as well as a kernel: words of a small vocabulary */
static uint8_t *sample(size_t len)
{
	uint8_t *p = malloc(len);
	uint32_t r = 12345;

	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			r = r * 1664525 + 1013904223;
		p[i] = (uint8_t)(i % 8 < 5 ? (r >> 20) * (i % 8 + 1) : i % 8);
	}
	return p;
}

static void round_trip(void **state)
{
	static const size_t lens[] = { 64, 4096, 100000, (8 << 20) + 5 };

	for (unsigned k = 0; k < ARRAY_LEN(lens); k++) {
		uint8_t *in = sample(lens[k]);
		for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
			struct blob b = pack(all[i], in, lens[k]);
			struct buf out;
			struct err e = { 0 };
			assert_int_equal(packing_identify(b.p, b.len), all[i]);
			assert_true(packing_known(all[i]));
			if (unpack_payload(b.p, b.len, &out, &e))
				fail_msg("%s, %zu bytes: %s", packing_name(all[i]), lens[k], e.msg);
			assert_int_equal(out.len, lens[k]);
			assert_memory_equal(out.data, in, lens[k]);
			buf_free(&out);
			blob_free(&b);
		}
		free(in);
	}
}

static void expect_corrupt(const struct blob *b, const char *what)
{
	struct buf out = { 0 };
	struct err e = { 0 };

	int rc = unpack_payload(b->p, b->len, &out, &e);
	if (rc != -EILSEQ)
		fail_msg("%s: %d, \"%s\"", what, rc, e.msg);
	assert_non_null(strstr(e.msg, "corrupt"));
	assert_null(out.map);
}

static void damage(void **state)
{
	uint8_t *in = sample(50000);

	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		const char *name = packing_name(all[i]);
		struct blob b = pack(all[i], in, 50000);
		size_t whole = b.len;

		uint32_t size = le32_load(b.p + b.len - 4);
		le32_store(b.p + b.len - 4, size + 1);
		expect_corrupt(&b, name);
		le32_store(b.p + b.len - 4, size - 1);
		expect_corrupt(&b, name);
		le32_store(b.p + b.len - 4, 0);
		expect_corrupt(&b, name);
		le32_store(b.p + b.len - 4, 0xffffffff);
		expect_corrupt(&b, name);
		le32_store(b.p + b.len - 4, size);

		/* The middle cut out, the end with the size word kept */
		struct blob cut = { 0 };
		blob_add(&cut, b.p, whole / 2);
		blob_word(&cut, size);
		expect_corrupt(&cut, name);
		blob_free(&cut);
		b.len = 12;
		expect_corrupt(&b, name);
		b.len = whole;

		/* lzma and lz4 have no checksum: there a flipped bit may pass for data */
		if (all[i] != PACK_LZMA && all[i] != PACK_LZ4)
			for (size_t at = 10; at < whole - 8; at += whole / 7) {
				b.p[at] ^= 0x10;
				struct buf out = { 0 };
				int rc = unpack_payload(b.p, b.len, &out, NULL);
				if (!rc)
					assert_memory_equal(out.data, in, 50000); /* a header bit without meaning */
				buf_free(&out);
				b.p[at] ^= 0x10;
			}
		blob_free(&b);
	}
	free(in);
}

static void unknown(void **state)
{
	static const uint8_t junk[64] = "this is no compressed format at all";
	struct buf out;
	struct err e = { 0 };
	struct blob b = pack(PACK_LZO, junk, sizeof(junk));

	assert_int_equal(packing_identify(junk, sizeof(junk)), PACK_UNKNOWN);
	assert_int_equal(unpack_payload(junk, sizeof(junk), &out, &e), -ENOTSUP);
	assert_int_equal(packing_identify(b.p, b.len), PACK_LZO);
	assert_false(packing_known(PACK_LZO));
	assert_int_equal(unpack_payload(b.p, b.len, &out, NULL), -ENOTSUP);
	assert_int_equal(packing_identify(junk, 0), PACK_UNKNOWN);
	blob_free(&b);
}

/* For the reader of the log; no claim is made */
static void speed(void **state)
{
	size_t len = 16 << 20;
	uint8_t *in = sample(len);

	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		struct blob b = pack(all[i], in, len);
		struct buf out = { 0 };
		uint64_t t = clock_now_ns();
		assert_int_equal(unpack_payload(b.p, b.len, &out, NULL), 0);
		t = clock_now_ns() - t;
		print_message("  %-6s %5zu KiB to %zu MiB: %3llu ms\n", packing_name(all[i]), b.len >> 10, len >> 20,
			      (unsigned long long)(t / 1000000));
		buf_free(&out);
		blob_free(&b);
	}
	free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(damage),
		cmocka_unit_test(unknown),
		cmocka_unit_test(speed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
