/* Fuzzes the loading of bzImages: header, payload, kernel and relocations within. */
#include "base/bytes.h"
#include "boot/bzimage.h"
#include "fuzz/fuzz_kernel.h"

#define UNPACKED_MAX (2u << 20) /* larger ones are valid, but slow under sanitizers */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bzimage b;

	if (!bzimage_parse(data, size, &b, NULL) && b.payload && b.payload_len > 4 &&
	    le32_load(b.payload + b.payload_len - 4) > UNPACKED_MAX)
		return 0;
	fuzz_load(data, size, linux_load);
	return 0;
}
