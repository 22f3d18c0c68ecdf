/* bytes.h - little-endian loads and stores of guest data, alignment and range helpers.
 * Guest-visible structures are read and written only through these. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline uint16_t le16_load(const void *p) { uint16_t v; memcpy(&v, p, 2); return le16toh(v); }
static inline uint32_t le32_load(const void *p) { uint32_t v; memcpy(&v, p, 4); return le32toh(v); }
static inline uint64_t le64_load(const void *p) { uint64_t v; memcpy(&v, p, 8); return le64toh(v); }
static inline void le16_store(void *p, uint16_t v) { v = htole16(v); memcpy(p, &v, 2); }
static inline void le32_store(void *p, uint32_t v) { v = htole32(v); memcpy(p, &v, 4); }
static inline void le64_store(void *p, uint64_t v) { v = htole64(v); memcpy(p, &v, 8); }

/* @align is a power of two */
static inline uint64_t align_up(uint64_t v, uint64_t align) { return (v + align - 1) & ~(align - 1); }
static inline uint64_t align_down(uint64_t v, uint64_t align) { return v & ~(align - 1); }

/* [a, a+alen) and [b, b+blen) share a byte; neither range may wrap */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return alen && blen && a < b + blen && b < a + alen;
}

/* Bits [hi:lo] of v */
static inline uint64_t bits_get(uint64_t v, unsigned hi, unsigned lo)
{
	return (v >> lo) & (~0ull >> (63 - (hi - lo)));
}

#endif
