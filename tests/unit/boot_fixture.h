/* boot_fixture.h - makes kernels of a few bytes, in every wrapping, and memory to load them into. */
#ifndef BOOT_FIXTURE_H
#define BOOT_FIXTURE_H

#include <bzlib.h>
#include <elf.h>
#undef PF_W /* state.h has another */
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "boot/boot.h"
#include "boot/bzimage.h"
#include "boot/decompress.h"
#include "core/layout.h"
#include "core/memmap.h"
#include "engine/x86/state.h"

#define MIB        (1ull << 20)
#define LINK_PADDR 0x1000000ull
#define LINK_VADDR 0xffffffff81000000ull

/* Bytes that grow */
struct blob {
	uint8_t *p;
	size_t len;
};

static inline uint8_t *blob_add(struct blob *b, const void *p, size_t n)
{
	b->p = realloc(b->p, b->len + n + 1);
	if (p)
		memcpy(b->p + b->len, p, n);
	else
		memset(b->p + b->len, 0, n);
	b->len += n;
	return b->p + b->len - n;
}

static inline void blob_free(struct blob *b)
{
	free(b->p);
	*b = (struct blob){ 0 };
}

static inline void blob_word(struct blob *b, uint32_t v) { le32_store(blob_add(b, NULL, 4), v); }

/* An ELF64 executable: n segments, their contents behind the headers, and perhaps a PVH note */
struct elf_seg_spec {
	uint64_t vaddr, paddr, mem_len;
	const void *data;
	size_t len;
};

static inline void elf_add_phdr(struct blob *b, size_t at, uint32_t type, uint64_t off, uint64_t vaddr, uint64_t paddr,
				uint64_t filesz, uint64_t memsz)
{
	Elf64_Phdr ph = { .p_type = type,
			  .p_flags = 7,
			  .p_offset = off,
			  .p_vaddr = vaddr,
			  .p_paddr = paddr,
			  .p_filesz = filesz,
			  .p_memsz = memsz,
			  .p_align = 4 };

	memcpy(b->p + at, &ph, sizeof(ph));
}

static inline struct blob elf_make(const struct elf_seg_spec *segs, unsigned n, uint64_t entry, uint32_t pvh)
{
	struct blob b = { 0 };
	unsigned phnum = n + (pvh ? 1 : 0);
	Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			  .e_type = ET_EXEC,
			  .e_machine = EM_X86_64,
			  .e_version = 1,
			  .e_entry = entry,
			  .e_phoff = sizeof(eh),
			  .e_ehsize = sizeof(eh),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = (uint16_t)phnum };

	blob_add(&b, &eh, sizeof(eh));
	blob_add(&b, NULL, phnum * sizeof(Elf64_Phdr));
	for (unsigned i = 0; i < n; i++) {
		elf_add_phdr(&b, sizeof(eh) + i * sizeof(Elf64_Phdr), PT_LOAD, b.len, segs[i].vaddr, segs[i].paddr,
			     segs[i].len, segs[i].mem_len);
		blob_add(&b, segs[i].data, segs[i].len);
	}
	if (pvh) {
		uint32_t note[] = { 4, 4, 18, 0, pvh };
		memcpy(&note[3], "Xen", 4);
		elf_add_phdr(&b, sizeof(eh) + n * sizeof(Elf64_Phdr), PT_NOTE, b.len, 0, 0, sizeof(note), sizeof(note));
		blob_add(&b, note, sizeof(note));
	}
	return b;
}

/* The payload [in] packed like the kernel's build does, with its size word */
static inline struct blob pack(enum packing how, const uint8_t *in, size_t len)
{
	struct blob b = { 0 };
	size_t cap = len + len / 2 + 4096, pos = 0;
	uint8_t *out = malloc(cap);
	unsigned n = (unsigned)cap;

	switch (how) {
	case PACK_GZIP: {
		z_stream z = { .next_in = (Bytef *)(uintptr_t)in,
			       .avail_in = (uInt)len,
			       .next_out = out,
			       .avail_out = (uInt)cap };
		deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
		deflate(&z, Z_FINISH);
		pos = z.total_out;
		deflateEnd(&z);
		break;
	}
	case PACK_BZIP2:
		BZ2_bzBuffToBuffCompress((char *)out, &n, (char *)(uintptr_t)in, (unsigned)len, 9, 0, 0);
		pos = n;
		break;
	case PACK_XZ: lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, in, len, out, &pos, cap); break;
	case PACK_LZMA: {
		lzma_stream s = LZMA_STREAM_INIT;
		lzma_options_lzma opt;
		lzma_lzma_preset(&opt, 1);
		opt.dict_size = 1 << 20;
		if (lzma_alone_encoder(&s, &opt) != LZMA_OK)
			abort();
		s.next_in = in;
		s.avail_in = len;
		s.next_out = out;
		s.avail_out = cap;
		if (lzma_code(&s, LZMA_FINISH) != LZMA_STREAM_END)
			abort();
		pos = s.total_out;
		lzma_end(&s);
		break;
	}
	case PACK_LZ4:
		le32_store(out, 0x184c2102);
		pos = 4;
		for (size_t at = 0; at < len; at += 8 << 20) {
			size_t chunk = len - at < 8 << 20 ? len - at : 8 << 20;
			int got = LZ4_compress_default((const char *)in + at, (char *)out + pos + 4, (int)chunk,
						       (int)(cap - pos - 4));
			le32_store(out + pos, (uint32_t)got);
			pos += 4 + (size_t)got;
		}
		break;
	case PACK_ZSTD: {
		ZSTD_CCtx *c = ZSTD_createCCtx();
		ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
		pos = ZSTD_compress2(c, out, cap, in, len);
		ZSTD_freeCCtx(c);
		break;
	}
	case PACK_LZO:
		memcpy(out, "\x89LZO\0\r\n\x1a\n", 9);
		memcpy(out + 9, in, len);
		pos = len + 9;
		break;
	case PACK_UNKNOWN: break;
	}
	blob_add(&b, out, pos);
	free(out);
	if (how != PACK_GZIP)
		blob_word(&b, (uint32_t)len);
	return b;
}

#define BZ_SETUP_LEN   1024u /* one sector of setup behind the boot sector */
#define BZ_PAYLOAD_OFF 0x300u
#define BZ_INIT_SIZE   (4 * MIB)

/* The checksum in the last 4 bytes, which must be behind the payload */
static inline void bzimage_sum(struct blob *b)
{
	le32_store(b->p + b->len - 4, ~(uint32_t)crc32(0, b->p, (uInt)b->len - 4));
}

/* A bzImage of protocol 2.15 around a packed payload; tests then damage its fields */
static inline struct blob bzimage_make(const struct blob *payload)
{
	struct blob b = { 0 };
	uint64_t pm_len = align_up(BZ_PAYLOAD_OFF + payload->len + 4, 16);

	blob_add(&b, NULL, BZ_SETUP_LEN + pm_len);
	uint8_t *h = b.p;
	h[HDR_SETUP_SECTS] = BZ_SETUP_LEN / 512 - 1;
	le32_store(h + HDR_SYSSIZE, (uint32_t)(pm_len / 16));
	le16_store(h + HDR_BOOT_FLAG, 0xaa55);
	h[HDR_JUMP] = 0xeb;
	h[HDR_JUMP + 1] = 0x6a;
	le32_store(h + HDR_MAGIC, HDR_MAGIC_WORD);
	le16_store(h + HDR_VERSION, 0x020f);
	le16_store(h + HDR_KERNEL_VERSION, 0x100);
	strcpy((char *)h + 0x300, "6.1.0-test (me@here)");
	h[HDR_LOADFLAGS] = LOADFLAG_HIGH;
	le32_store(h + HDR_CODE32_START, 0x100000);
	le32_store(h + HDR_INITRD_ADDR_MAX, 0x7fffffff);
	le32_store(h + HDR_KERNEL_ALIGNMENT, 0x200000);
	h[HDR_RELOCATABLE] = 1;
	le16_store(h + HDR_XLOADFLAGS, XLOADFLAG_64);
	le32_store(h + HDR_CMDLINE_SIZE, 2047);
	le32_store(h + HDR_PAYLOAD_OFFSET, BZ_PAYLOAD_OFF);
	le32_store(h + HDR_PAYLOAD_LENGTH, (uint32_t)payload->len);
	le64_store(h + HDR_PREF_ADDRESS, LINK_PADDR);
	le32_store(h + HDR_INIT_SIZE, (uint32_t)BZ_INIT_SIZE);
	memset(h + BZ_SETUP_LEN, 0xf4, BZ_PAYLOAD_OFF); /* the decompressor's code */
	memcpy(h + BZ_SETUP_LEN + BZ_PAYLOAD_OFF, payload->p, payload->len);
	bzimage_sum(&b);
	return b;
}

/* A file in a directory of its own, by name until the next call */
static inline const char *file_make(const void *data, size_t len)
{
	static char name[64];
	snprintf(name, sizeof(name), "/tmp/vibe-boot-XXXXXX");
	int fd = mkstemp(name);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	close(fd);
	return name;
}

struct guest {
	struct memmap mem;
	struct x86_state s;
	struct boot_info info;
	struct err e;
};

static inline struct guest *guest_make(uint64_t ram)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (mem_add_ram(&g->mem, 0, ram < LAYOUT_LOW_RAM_END ? ram : LAYOUT_LOW_RAM_END, &g->e))
		abort();
	return g;
}

static inline void guest_free(struct guest *g)
{
	mem_fini(&g->mem);
	free(g);
}

static inline int guest_boot(struct guest *g, const struct boot_config *c)
{
	g->e.msg[0] = 0;
	memset(&g->info, 0, sizeof(g->info));
	return boot_load(c, &g->mem, &g->s, &g->info, &g->e);
}

static inline uint64_t guest_load64(struct guest *g, uint64_t gpa)
{
	uint8_t b[8];

	if (mem_read(&g->mem, gpa, b, 8))
		abort();
	return le64_load(b);
}

static inline uint32_t guest_load32(struct guest *g, uint64_t gpa) { return (uint32_t)guest_load64(g, gpa); }

#endif
