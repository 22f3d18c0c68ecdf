/* devstate.h - a device's state as bytes: one function per device lists its fields, for saving and loading alike.
 *
 * A saved state starts with a tag and a version; loading anything else, or anything of
 * another length, fails. Devices load into a copy, check it and then take it over. Times
 * are saved relative to now, as clocks differ between hosts. */
#ifndef DEV_DEVSTATE_H
#define DEV_DEVSTATE_H

#include "base/bytes.h"

struct devstate {
	uint8_t *out;       /* saving: up to cap bytes, may be NULL with cap 0 */
	const uint8_t *in;  /* loading: cap bytes */
	size_t cap, pos;
	bool loading, bad;
};

static inline struct devstate devstate_saver(void *buf, size_t cap)
{
	return (struct devstate){ .out = buf, .cap = cap };
}

static inline struct devstate devstate_loader(const void *buf, size_t len)
{
	return (struct devstate){ .in = buf, .cap = len, .loading = true };
}

static inline void ds_bytes(struct devstate *s, uint8_t *p, size_t n)
{
	bool fits = s->pos <= s->cap && n <= s->cap - s->pos;

	if (s->loading && fits)
		memcpy(p, s->in + s->pos, n);
	else if (s->loading)
		s->bad = true;
	else if (fits)
		memcpy(s->out + s->pos, p, n);
	s->pos += n;
}

static inline void ds_u64(struct devstate *s, uint64_t *v)
{
	uint8_t b[8];

	le64_store(b, *v);
	ds_bytes(s, b, 8);
	if (s->loading && !s->bad)
		*v = le64_load(b);
}

static inline void ds_u32(struct devstate *s, uint32_t *v)
{
	uint8_t b[4];

	le32_store(b, *v);
	ds_bytes(s, b, 4);
	if (s->loading && !s->bad)
		*v = le32_load(b);
}

static inline void ds_u16(struct devstate *s, uint16_t *v)
{
	uint8_t b[2];

	le16_store(b, *v);
	ds_bytes(s, b, 2);
	if (s->loading && !s->bad)
		*v = le16_load(b);
}

static inline void ds_u8(struct devstate *s, uint8_t *v)
{
	ds_bytes(s, v, 1);
}

static inline void ds_bool(struct devstate *s, bool *v)
{
	uint8_t b = *v;

	ds_bytes(s, &b, 1);
	if (b > 1)
		s->bad = true;
	*v = b & 1;
}

/* A point in time, saved as its distance from @now; UINT64_MAX (never) as the farthest past. Loading
 * refuses what is 2^62 or more away. */
static inline void ds_time(struct devstate *s, uint64_t *when, uint64_t now)
{
	const uint64_t never = 1ull << 63;
	uint64_t d = *when == UINT64_MAX ? never : *when - now;

	ds_u64(s, &d);
	if (!s->loading || s->bad)
		return;
	if (d == never)
		*when = UINT64_MAX;
	else if (d + (1ull << 62) >= 1ull << 63)
		s->bad = true;
	else
		*when = (int64_t)d < 0 && -d > now ? 0 : now + d;
}

static inline void ds_tag(struct devstate *s, uint32_t tag, uint32_t version)
{
	uint32_t t = tag, v = version;

	ds_u32(s, &t);
	ds_u32(s, &v);
	if (t != tag || v != version)
		s->bad = true;
}

/* At the end of loading: 0, or -1 when the state was none or not all of it was read */
static inline int ds_finish(const struct devstate *s)
{
	return s->bad || s->pos != s->cap ? -1 : 0;
}

#endif
