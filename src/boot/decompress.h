/* decompress.h - unpacks a Linux kernel's payload, in any format that the kernel's build offers.
 *
 * A payload is one compressed stream, followed (except gzip, which has it in its own trailer)
 * by the unpacked size as a 32-bit little-endian word. */
#ifndef BOOT_DECOMPRESS_H
#define BOOT_DECOMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

enum packing { PACK_UNKNOWN, PACK_GZIP, PACK_BZIP2, PACK_LZMA, PACK_XZ, PACK_LZO, PACK_LZ4, PACK_ZSTD };

#define UNPACK_MAX (1ull << 30) /* no x86 kernel's image is larger: its address space has 1 GiB */

enum packing packing_identify(const uint8_t *in, size_t len);
const char *packing_name(enum packing p); /* "xz"; "unknown" */

/* false for lzo and unknown formats: there the guest must do it */
bool packing_known(enum packing p);

/* A damaged stream is noticed for certain; lzma and lz4 as kernels use them have no checksum */
bool packing_has_checksum(enum packing p);

/* Unpacks the payload [in, in+len) into a new buffer, freed by the caller.
 * -ENOTSUP for a format that is not known here, -EILSEQ for a damaged payload, -ENOMEM. */
int unpack_payload(const uint8_t *in, size_t len, struct buf *out, struct err *e);

#endif
