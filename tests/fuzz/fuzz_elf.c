/* Fuzzes the loading of ELF kernels, with and without a PVH note. */
#include "fuzz/fuzz_kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_load(data, size, elf_load);
	return 0;
}
