/* Fuzzes the unpacking of payloads in all formats, and the splitting and use of relocations. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "boot/decompress.h"
#include "boot/files.h"
#include "boot/kaslr.h"

#define UNPACKED_MAX (4u << 20) /* larger ones are valid, but slow under sanitizers */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_relocs(const uint8_t *data, size_t size)
{
	struct relocs r;
	size_t len = size / 2;

	if (relocs_parse(data + len, size - len, &r, NULL))
		return;
	if (r.n32 + r.n64 + r.n_inverse > size / 4)
		abort();
	uint8_t *image = malloc(len + 1);
	if (!image)
		return;
	memcpy(image, data, len);
	(void)relocs_apply(&r, image, len, 0x1000000, 0x200000, NULL);
	free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out;

	try_relocs(data, size);
	if (size < 4 || le32_load(data + size - 4) > UNPACKED_MAX)
		return 0;
	uint8_t *copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (!unpack_payload(copy, size, &out, NULL)) {
		if (out.len != le32_load(data + size - 4))
			abort();
		buf_free(&out);
	}
	free(copy);
	return 0;
}
