/* fuzz_qcow2.c - qcow2 images that someone forged: opening, reading, writing, closing. The file is in memory.
 *
 * The input's first byte chooses; then come up to 256 bytes of requests, then the image. Rather than wait for
 * the fuzzer to find out the magic number, the image starts from a valid one that the input is laid over. */
#include <stdbool.h>

#include "unit/block_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FILE_MAX    (256u << 10)
#define REQUEST_MAX (128u << 10)

static void one(struct image *img, const uint8_t *p, uint8_t *buf)
{
	uint64_t size = align_up(img->size, 512), off = le32_load(p + 1) * 512ull, n = (p[5] + 1) * 512ull;

	/* near the start, near the end, anywhere */
	off = p[0] & 0x40 ? size - 512 - off % size % (size < 65536 ? size : 65536) : off % size;
	if (off >= size)
		off = 0;
	off &= ~511ull;
	if (n > size - off)
		n = size - off;
	switch (p[0] & 7) {
	case 0:
	case 1: (void)!image_read_buf(img, off, buf, n); return;
	case 2:
	case 3:
		if (!img->readonly)
			(void)!image_write_buf(img, off, buf, n);
		return;
	case 4:
		if (!img->readonly)
			(void)!img->ops->zero(img, off, n * 64 > size - off ? n : n * 64, p[0] & 8);
		return;
	case 5:
		if (!img->readonly)
			(void)!img->ops->discard(img, off, n * 64 > size - off ? n : n * 64);
		return;
	default:
		if (!img->readonly)
			(void)!img->ops->flush(img);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct block_options o = { .path = "fuzz" };
	struct qcow2_make m = { .size = 1 << 20, .version = 3, .cluster_bits = 9, .refcount_order = 4 };
	uint8_t *base;
	struct memfile *f;
	struct image *img;
	struct err e = { "" };
	size_t base_len, nreq;

	log_level = LOG_NONE;
	if (len < 8)
		return 0;
	o.readonly = data[0] & 1;
	m.version = data[0] & 2 ? 2 : 3;
	m.cluster_bits = data[0] & 4 ? 12 : 9;
	nreq = (len - 1) / 2 < 252 ? (len - 1) / 2 / 6 : 42;
	base = qcow2_build(&m, &base_len);
	f = memfile_new(base, base_len);
	free(base);
	f->limit = FILE_MAX;
	/* zero bytes of the input leave what is there */
	for (size_t i = 1 + nreq * 6, at = 0; i < len && at < FILE_MAX; i++, at++) {
		memfile_reach(f, at + 1);
		f->data[at] ^= data[i];
	}
	f->keep = true;
	if (!qcow2_open(&f->img, &o, 31, &img, &e)) {
		if (!o.readonly && img->readonly)
			abort();
		static uint8_t buf[REQUEST_MAX];

		for (size_t i = 0; i < nreq; i++)
			one(img, data + 1 + i * 6, buf);
		image_close(img);
	} else if (!e.msg[0]) {
		abort(); /* every refusal has its sentence */
	}
	memfile_free(f);
	return 0;
}
