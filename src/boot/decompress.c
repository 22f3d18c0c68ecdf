/* decompress.c - unpacks a Linux kernel's payload, in any format that the kernel's build offers. */
#include "boot/decompress.h"

#include <bzlib.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/files.h"

/* Dictionaries larger than any kernel is packed with are a sign of damage, not a need */
#define XZ_MEM_MAX (300ull << 20)

#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_BLOCK_MAX    (8u << 20) /* unpacked bytes in a block of the legacy frame */

struct stream {
	const uint8_t *in;
	size_t in_len; /* without the size word */
	uint8_t *out;
	size_t out_len; /* what the size word promises */
};

/* Each unpacker returns NULL when exactly out_len bytes came out of a sound stream, else what is wrong. */
static const char msg_short[] = "the data end too early";
static const char msg_long[] = "there are more data than its size word says";
static const char msg_bad[] = "the data are damaged";
static const char msg_sum[] = "the checksum is wrong";
static const char msg_mem[] = "not enough memory to unpack it";

static const char *unpack_gzip(const struct stream *s)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)s->in,
		       .avail_in = (uInt)s->in_len,
		       .next_out = s->out,
		       .avail_out = (uInt)s->out_len };

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return msg_mem;
	int rc = inflate(&z, Z_FINISH);
	const char *why = NULL;
	if (rc == Z_MEM_ERROR)
		why = msg_mem;
	else if (rc == Z_DATA_ERROR)
		why = z.avail_out == 0 ? msg_sum : msg_bad;
	else if (rc != Z_STREAM_END)
		why = z.avail_in == 0 ? msg_short : msg_long;
	else if (z.avail_out)
		why = msg_short;
	inflateEnd(&z);
	return why;
}

static const char *unpack_bzip2(const struct stream *s)
{
	unsigned out_len = (unsigned)s->out_len;

	switch (BZ2_bzBuffToBuffDecompress((char *)s->out, &out_len, (char *)(uintptr_t)s->in, (unsigned)s->in_len, 0,
					   0)) {
	case BZ_OK: return out_len == s->out_len ? NULL : msg_short;
	case BZ_OUTBUFF_FULL: return msg_long;
	case BZ_UNEXPECTED_EOF: return msg_short;
	case BZ_MEM_ERROR: return msg_mem;
	default: return msg_bad;
	}
}

static const char *unpack_lzma(const struct stream *s, bool xz)
{
	lzma_stream z = LZMA_STREAM_INIT;
	uint8_t extra;

	if ((xz ? lzma_stream_decoder(&z, XZ_MEM_MAX, 0) : lzma_alone_decoder(&z, XZ_MEM_MAX)) != LZMA_OK)
		return msg_mem;
	z.next_in = s->in;
	z.avail_in = s->in_len;
	z.next_out = s->out;
	z.avail_out = s->out_len;
	lzma_ret rc = lzma_code(&z, LZMA_FINISH);
	/* A stream's end may lie behind its last byte: offer one byte more, which must stay unused */
	if (rc == LZMA_OK && !z.avail_out) {
		z.next_out = &extra;
		z.avail_out = 1;
		rc = lzma_code(&z, LZMA_FINISH);
	}
	uint64_t done = z.total_out;
	lzma_end(&z);
	switch (rc) {
	case LZMA_STREAM_END: return done == s->out_len ? NULL : done < s->out_len ? msg_short : msg_long;
	case LZMA_OK:
	case LZMA_BUF_ERROR: return done > s->out_len ? msg_long : msg_short;
	case LZMA_MEM_ERROR: return msg_mem;
	case LZMA_MEMLIMIT_ERROR: return "it asks for more memory than any kernel needs";
	default: return msg_bad;
	}
}

static const char *unpack_xz(const struct stream *s) { return unpack_lzma(s, true); }

static const char *unpack_lzma_alone(const struct stream *s) { return unpack_lzma(s, false); }

/* Legacy frame: the magic, then blocks of a 32-bit packed size and that many bytes. No checksum. */
static const char *unpack_lz4(const struct stream *s)
{
	const uint8_t *in = s->in, *end = s->in + s->in_len;
	size_t done = 0;

	while (done < s->out_len) {
		if (end - in < 4)
			return msg_short;
		uint32_t n = le32_load(in);
		in += 4;
		if (n == LZ4_LEGACY_MAGIC)
			continue;
		if (n > (size_t)(end - in))
			return msg_short;
		size_t room = s->out_len - done;
		int got = LZ4_decompress_safe((const char *)in, (char *)s->out + done, (int)n,
					      (int)(room < LZ4_BLOCK_MAX ? room : LZ4_BLOCK_MAX));
		if (got <= 0)
			return msg_bad;
		in += n;
		done += (size_t)got;
	}
	return in == end ? NULL : msg_long;
}

static const char *unpack_zstd(const struct stream *s)
{
	size_t n = ZSTD_decompress(s->out, s->out_len, s->in, s->in_len);

	if (!ZSTD_isError(n))
		return n == s->out_len ? NULL : msg_short;
	const char *name = ZSTD_getErrorName(n);
	if (strstr(name, "checksum"))
		return msg_sum;
	if (strstr(name, "too small"))
		return msg_long;
	return msg_bad;
}

struct format {
	const char *name;
	uint8_t magic[9];
	uint8_t magic_len;
	bool has_size_word;
	const char *(*unpack)(const struct stream *);
};

static const struct format formats[] = {
	[PACK_UNKNOWN] = { .name = "unknown" },
	[PACK_GZIP] = { "gzip", { 0x1f, 0x8b, 8 }, 3, false, unpack_gzip },
	[PACK_BZIP2] = { "bzip2", { 'B', 'Z', 'h' }, 3, true, unpack_bzip2 },
	[PACK_LZMA] = { "lzma", { 0x5d, 0, 0 }, 3, true, unpack_lzma_alone },
	[PACK_XZ] = { "xz", { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, true, unpack_xz },
	[PACK_LZO] = { "lzo", { 0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1a, '\n' }, 9, true, NULL },
	[PACK_LZ4] = { "lz4", { 0x02, 0x21, 0x4c, 0x18 }, 4, true, unpack_lz4 },
	[PACK_ZSTD] = { "zstd", { 0x28, 0xb5, 0x2f, 0xfd }, 4, true, unpack_zstd },
};

enum packing packing_identify(const uint8_t *in, size_t len)
{
	for (unsigned i = 1; i < ARRAY_LEN(formats); i++)
		if (len >= formats[i].magic_len && !memcmp(in, formats[i].magic, formats[i].magic_len))
			return (enum packing)i;
	return PACK_UNKNOWN;
}

const char *packing_name(enum packing p) { return formats[p].name; }

bool packing_known(enum packing p) { return formats[p].unpack != NULL; }

bool packing_has_checksum(enum packing p) { return p != PACK_LZMA && p != PACK_LZ4; }

int unpack_payload(const uint8_t *in, size_t len, struct buf *out, struct err *e)
{
	const struct format *f = &formats[packing_identify(in, len)];
	struct buf b = { 0 };

	if (!f->unpack)
		return err_set(e, -ENOTSUP, "its payload's format (%s) cannot be unpacked here", f->name);
	if (len < 16 || len > UNPACK_MAX)
		return err_set(e, -EILSEQ, "its %s payload is corrupt: %s", f->name, msg_short);
	uint64_t size = le32_load(in + len - 4);
	if (!size || size > UNPACK_MAX)
		return err_set(e, -EILSEQ, "its %s payload is corrupt: an unpacked size of %llu bytes makes no sense",
			       f->name, (unsigned long long)size);
	if (buf_alloc(&b, size))
		return err_set(e, -ENOMEM, "not enough memory to unpack it (%llu MiB)",
			       (unsigned long long)(size >> 20));
	struct stream s = { in, f->has_size_word ? len - 4 : len, b.data, b.len };
	const char *why = f->unpack(&s);
	if (why) {
		buf_free(&b);
		if (why == msg_mem)
			return err_set(e, -ENOMEM, "%s", why);
		return err_set(e, -EILSEQ, "its %s payload is corrupt: %s", f->name, why);
	}
	*out = b;
	return 0;
}
