/* bzimage.c - reads the header of a Linux bzImage. */
#include "boot/bzimage.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/err.h"

#define SECTOR              512u
#define SETUP_SECTS_DEFAULT 4 /* what 0 means, for history's sake */
#define PROTOCOL_MIN        0x0206
#define PROTOCOL_PAYLOAD    0x0208
#define PROTOCOL_INIT_SIZE  0x020a
#define PROTOCOL_XLOADFLAGS 0x020c

#define LOAD_HIGH_DEFAULT 0x100000u /* where a bzImage runs that states no preference */
#define IMAGE_SIZE_MAX    (1ull << 30)

bool bzimage_is(const uint8_t *data, size_t len)
{
	return len >= HDR_VERSION + 2 && le32_load(data + HDR_MAGIC) == HDR_MAGIC_WORD &&
	       le16_load(data + HDR_BOOT_FLAG) == 0xaa55;
}

/* PE header (PE/COFF specification 3.3, 3.4) */
#define PE_POINTER        0x3c /* offset of the header */
#define PE_OPTIONAL       24   /* from there to the optional header */
#define PE32_PLUS         0x20b
#define PE_CHECKSUM       64  /* within the optional header */
#define PE_CERTIFICATES   144 /* its directory entry of 8 bytes; 16 less in a 32-bit image */
#define LAST_WITH_CRC     (6 * 1000 + 14)
#define CRC_OF_SOUND_FILE 0xffffffffu

/* The version's text lies in the real-mode part; it may be damaged without harm to the boot */
static void bzimage_read_version(struct bzimage *b, uint64_t setup_len)
{
	uint64_t off = le16_load(b->data + HDR_KERNEL_VERSION) + 0x200ull;
	size_t n = 0;

	if (off == 0x200)
		return;
	for (; off < setup_len && n < sizeof(b->kernel_version) - 1; off++) {
		uint8_t c = b->data[off];
		if (!c)
			break;
		b->kernel_version[n++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
}

static int bzimage_read_room(struct bzimage *b, struct err *e)
{
	const uint8_t *d = b->data;

	b->relocatable = d[HDR_RELOCATABLE] != 0;
	b->alignment = le32_load(d + HDR_KERNEL_ALIGNMENT);
	if (b->version >= PROTOCOL_INIT_SIZE) {
		b->pref_address = le64_load(d + HDR_PREF_ADDRESS);
		b->init_size = le32_load(d + HDR_INIT_SIZE);
	} else {
		/* No word of its needs: a kernel of that age unpacks to some three times its size */
		b->pref_address = LOAD_HIGH_DEFAULT;
		b->init_size = b->pm_len * 4;
	}
	if (b->relocatable && (!b->alignment || (b->alignment & (b->alignment - 1)) || b->alignment > IMAGE_SIZE_MAX))
		return err_set(e, -ENOEXEC, "its header asks for an alignment of %#llx, which is no power of two",
			       (unsigned long long)b->alignment);
	if (!b->alignment || !b->relocatable)
		b->alignment = 4096;
	if (b->pref_address < LOAD_HIGH_DEFAULT || b->pref_address >= 1ull << 32 || b->pref_address % 4096)
		return err_set(e, -ENOEXEC, "its header prefers the impossible load address %#llx",
			       (unsigned long long)b->pref_address);
	if (b->init_size < b->pm_len || b->init_size > IMAGE_SIZE_MAX)
		return err_set(e, -ENOEXEC, "its header asks for %#llx bytes of memory, which makes no sense",
			       (unsigned long long)b->init_size);
	return 0;
}

int bzimage_parse(const uint8_t *data, size_t len, struct bzimage *out, struct err *e)
{
	struct bzimage b = { .data = data, .len = len };

	if (!bzimage_is(data, len))
		return err_set(e, -ENOEXEC, "it is not a Linux bzImage");
	b.version = le16_load(data + HDR_VERSION);
	if (b.version < PROTOCOL_MIN)
		return err_set(e, -ENOEXEC, "it speaks boot protocol %u.%02u; at least 2.06 (Linux 2.6.22) is needed",
			       b.version >> 8, b.version & 0xff);
	b.header_end = HDR_MAGIC + data[HDR_JUMP + 1];
	if (b.header_end > HDR_END_MAX)
		b.header_end = HDR_END_MAX;
	if (b.header_end < HDR_CMDLINE_SIZE + 4)
		return err_set(e, -ENOEXEC, "its setup header is too short for its protocol");
	uint64_t sects = data[HDR_SETUP_SECTS] ? data[HDR_SETUP_SECTS] : SETUP_SECTS_DEFAULT;
	uint64_t setup_len = (sects + 1) * SECTOR, pm_len = le32_load(data + HDR_SYSSIZE) * 16ull,
		 all = setup_len + pm_len;
	if (!pm_len)
		return err_set(e, -ENOEXEC, "its header says that it has no kernel");
	/* syssize counts units of 16 bytes, the last of which need not be there in full */
	if (len < setup_len || len - setup_len + 15 < pm_len)
		return err_set(e, -ENOEXEC, "it is truncated: %zu bytes of %llu are there", len,
			       (unsigned long long)all);
	if (!(data[HDR_LOADFLAGS] & LOADFLAG_HIGH))
		return err_set(e, -ENOEXEC, "it is a zImage, which loads low; only bzImages can be loaded");
	/* A kernel states 100000h, and can be entered there; iPXE's ipxe.lkrn states nothing */
	if (!le32_load(data + HDR_CODE32_START))
		return err_set(e, -ENOEXEC, "it has no 32-bit entry: it starts in real mode and needs a BIOS, which "
			       "this machine does not have");
	b.pm = data + setup_len;
	b.pm_len = pm_len < len - setup_len ? pm_len : len - setup_len;
	b.cmdline_max = le32_load(data + HDR_CMDLINE_SIZE);
	b.initrd_max = le32_load(data + HDR_INITRD_ADDR_MAX);
	b.entry64 = b.version >= PROTOCOL_XLOADFLAGS && (le16_load(data + HDR_XLOADFLAGS) & XLOADFLAG_64) &&
		    b.pm_len > 0x200;
	if (b.version >= PROTOCOL_PAYLOAD) {
		uint64_t off = le32_load(data + HDR_PAYLOAD_OFFSET);
		b.payload_len = le32_load(data + HDR_PAYLOAD_LENGTH);
		/* Neither: a program that is no Linux, and not packed, in a bzImage's clothes */
		bool none = !off && !b.payload_len;
		if (!none && (!b.payload_len || off > b.pm_len || b.payload_len > b.pm_len - off))
			return err_set(e, -ENOEXEC, "its payload (%llu bytes) lies outside the file",
				       (unsigned long long)b.payload_len);
		b.payload = none ? NULL : b.pm + off;
	}
	bzimage_read_version(&b, setup_len);
	int rc = bzimage_read_room(&b, e);
	if (rc)
		return rc;
	*out = b;
	return 0;
}

/* "6.1.0-56-cloud" gives 6001 */
static unsigned long version_number(const char *text)
{
	char *end;
	unsigned long major = strtoul(text, &end, 10);

	return *end == '.' && major < 1000 ? major * 1000 + strtoul(end + 1, NULL, 10) % 1000 : 0;
}

bool bzimage_is_intact(const struct bzimage *b)
{
	static const uint8_t zeros[8];
	const uint8_t *end = b->pm + b->pm_len, *at = b->data;
	unsigned long version = version_number(b->kernel_version);

	if (b->version < PROTOCOL_PAYLOAD || !version || version > LAST_WITH_CRC)
		return true;
	uLong crc = crc32(0, NULL, 0);
	uint64_t pe = le32_load(b->data + PE_POINTER) + (uint64_t)PE_OPTIONAL;
	/* What signing fills in was zero when the sum was made */
	if (pe + PE_CERTIFICATES + 8 <= (uint64_t)(b->pm - b->data)) {
		const uint8_t *sum = b->data + pe + PE_CHECKSUM;
		const uint8_t *cert = b->data + pe + PE_CERTIFICATES - (le16_load(b->data + pe) == PE32_PLUS ? 0 : 16);
		crc = crc32(crc, at, (uInt)(sum - at));
		crc = crc32(crc, zeros, 4);
		crc = crc32(crc, sum + 4, (uInt)(cert - sum - 4));
		crc = crc32(crc, zeros, 8);
		at = cert + 8;
	}
	return crc32_z(crc, at, (size_t)(end - at)) == CRC_OF_SOUND_FILE;
}
