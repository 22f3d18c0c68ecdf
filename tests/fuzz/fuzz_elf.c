/* Fuzzes the loading of ELF kernels, with and without a PVH note, and of Multiboot kernels, ELF or not. */
#include "boot/multiboot.h"
#include "fuzz/fuzz_kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct multiboot_header h;

	fuzz_load(data, size, elf_load);
	if (multiboot_find(data, size, &h))
		fuzz_load(data, size, multiboot_load);
	return 0;
}
