/* values.c - random data with a taste for edges. */
#include <string.h>

#include "oracle.h"

uint64_t rnd(struct rng *r)
{
	/* splitmix64: any seed is a good one */
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t rnd_int(struct rng *r)
{
	static const uint64_t edge[] = {
		0,
		1,
		2,
		3,
		0x7f,
		0x80,
		0xff,
		0x100,
		0x7fff,
		0x8000,
		0xffff,
		0x10000,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000ull,
		0x7fffffffffffffffull,
		0x8000000000000000ull,
		~0ull,
		~1ull,
		0xffffffff80000000ull,
		0xffffffffffff8000ull,
		0xffffffffffffff80ull,
		0x5555555555555555ull,
		0xaaaaaaaaaaaaaaaaull,
		9,
		10,
		0x0f,
		0x10,
		0x99,
		0x9a,
		31,
		32,
		63,
		64,
	};
	uint64_t v = rnd(r);

	switch (rnd_n(r, 8)) {
	case 0:
	case 1: return edge[rnd_n(r, sizeof(edge) / sizeof(edge[0]))];
	case 2: return v >> rnd_n(r, 64);
	case 3: return (uint64_t)((int64_t)v >> rnd_n(r, 64));
	case 4: return 1ull << rnd_n(r, 64);
	case 5: return v & rnd(r) & rnd(r);
	default: return v;
	}
}

static uint32_t rnd_f32(struct rng *r)
{
	static const uint32_t edge[] = {
		0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
		0xffc00000, 0x7f800001, 0xff812345, 1,          0x80000001, 0x007fffff, 0x00800000,
		0x807fffff, 0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0x3f000000,
		0xbf000000, 0x3fc00000, 0x40200000, 0x4effffff, 0x34000000,
	};
	uint32_t v = (uint32_t)rnd(r);

	switch (rnd_n(r, 6)) {
	case 0:
	case 1: return edge[rnd_n(r, sizeof(edge) / sizeof(edge[0]))];
	case 2: return (v & 0x807fffff) | (uint32_t)(0x7f + (int)rnd_n(r, 40) - 20) << 23;
	case 3: return (v & 0x807fffff) | rnd_n(r, 30) << 23;
	case 4: return (v & 0x80000000) | ((0x7f + rnd_n(r, 24)) << 23) | (v & 0x007f0000);
	default: return v;
	}
}

static uint64_t rnd_f64(struct rng *r)
{
	static const uint64_t edge[] = {
		0,
		1ull << 63,
		0x3ff0ull << 48,
		0xbff0ull << 48,
		0x7ff0ull << 48,
		0xfff0ull << 48,
		0x7ff8ull << 48,
		0xfff8ull << 48,
		0x7ff0000000000001ull,
		0xfff4000000012345ull,
		1,
		0x8000000000000001ull,
		0x000fffffffffffffull,
		0x0010000000000000ull,
		0x7fefffffffffffffull,
		0xffefffffffffffffull,
		0x41e0000000000000ull,
		0xc1e0000000000000ull,
		0x43e0000000000000ull,
		0xc3e0000000000000ull,
		0x41dfffffffc00000ull,
		0x3fe0000000000000ull,
		0xbfe0000000000000ull,
		0x3ff8000000000000ull,
		0x47efffffe0000000ull,
		0x47f0000000000000ull,
		0x36a0000000000000ull,
		0x380fffffffffffffull,
		0x3ca0000000000000ull,
	};
	uint64_t v = rnd(r);

	switch (rnd_n(r, 6)) {
	case 0:
	case 1: return edge[rnd_n(r, sizeof(edge) / sizeof(edge[0]))];
	case 2: return (v & 0x800fffffffffffffull) | (uint64_t)(0x3ff + (int)rnd_n(r, 80) - 40) << 52;
	case 3: return (v & 0x800fffffffffffffull) | (uint64_t)rnd_n(r, 60) << 52;
	case 4: return (v & (1ull << 63)) | ((uint64_t)(0x3ff + rnd_n(r, 40)) << 52) | (v & 0x000ff00000000000ull);
	default: return v;
	}
}

static void rnd_f80(struct rng *r, uint8_t out[10])
{
	uint64_t m = rnd(r) | 1ull << 63;
	uint16_t e = (uint16_t)(rnd(r) & 0x8000);

	switch (rnd_n(r, 12)) {
	case 0: m = 0; break; /* zero */
	case 1:
		m = 1ull << 63;
		e |= 0x3fff;
		break; /* one */
	case 2:
		m = 1ull << 63;
		e |= 0x7fff;
		break; /* infinity */
	case 3:
		m |= 3ull << 62;
		e |= 0x7fff;
		break; /* quiet NaN */
	case 4:
		m = (m & ~(1ull << 62)) | 1;
		e |= 0x7fff;
		break;                                            /* signalling NaN */
	case 5: m &= ~(1ull << 63); break;                        /* denormal */
	case 6: e |= (uint16_t)(rnd_n(r, 8) ? 0x7ffe : 1); break; /* huge, tiny */
	case 7: e |= (uint16_t)rnd_n(r, 0x8000); break;           /* anything, pseudo-denormals too */
	case 8:
		m = (uint64_t)(0x80 + rnd_n(r, 0x80)) << 56;
		e |= (uint16_t)(0x3fff + rnd_n(r, 10));
		break;
	case 9:
		if (rnd_n(r, 4) == 0)
			m &= ~(1ull << 63); /* unsupported: unnormal */
		e |= (uint16_t)(0x3fff + (int)rnd_n(r, 140) - 70);
		break;
	default: e |= (uint16_t)(0x3fff + (int)rnd_n(r, 70) - 5); break;
	}
	memcpy(out, &m, 8);
	memcpy(out + 8, &e, 2);
}

void rnd_bytes(struct rng *r, uint8_t *p, unsigned len, unsigned kind)
{
	for (unsigned n = 0; n < len;) {
		uint8_t buf[10];
		unsigned k = 8;
		uint64_t v;

		switch (kind) {
		case 0: v = rnd(r); break;
		case 1: v = rnd_int(r); break;
		case 2: v = rnd_f32(r) | (uint64_t)rnd_f32(r) << 32; break;
		case 3: v = rnd_f64(r); break;
		case 4: v = rnd_n(r, 3) ? 0 : rnd_int(r); break;
		case 5: /* text, for the string comparisons */
			v = 0;
			for (int b = 0; b < 8; b++)
				v |= (uint64_t)(rnd_n(r, 12) ? 'a' + rnd_n(r, 6) : 0) << 8 * b;
			break;
		case 6:
			rnd_f80(r, buf);
			k = 10;
			break;
		default: /* words of edges */
			v = 0;
			for (int b = 0; b < 4; b++)
				v |= (uint64_t)(uint16_t)rnd_int(r) << 16 * b;
			break;
		}
		if (kind != 6)
			memcpy(buf, &v, 8);
		if (k > len - n)
			k = len - n;
		memcpy(p + n, buf, k);
		n += k;
	}
}

void rnd_fx(struct rng *r, uint8_t fx[512], bool calm)
{
	uint16_t fcw = 0x037f, fsw, fop = (uint16_t)rnd(r) & 0x7ff;
	uint32_t mxcsr = 0x1f80;
	uint64_t fip = rnd(r) >> 17, fdp = rnd(r) >> 17;
	unsigned kind = rnd_n(r, 8);

	memset(fx, 0, 512);
	if (rnd_n(r, 2)) {
		static const uint16_t pc[] = { 0, 0x200, 0x300, 0x300 };
		fcw = (uint16_t)(0x7f | (rnd(r) & 0xc00) | pc[rnd_n(r, 4)]);
	}
	if (!calm)
		fcw &= (uint16_t)(0xffc0 | rnd(r));
	fsw = (uint16_t)(rnd(r) & 0x7f7f);
	if (rnd_n(r, 2))
		fsw &= (uint16_t)~0x7f;
	if ((fsw & ~fcw & 0x3f) && rnd_n(r, 8))
		fsw &= (uint16_t)~0x3f;
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	if (rnd_n(r, 2))
		mxcsr = (uint32_t)(0x1f80 | (rnd(r) & 0xe07f));
	if (rnd_n(r, 2))
		mxcsr &= ~0x3fu;
	if (!calm)
		mxcsr &= (uint32_t)(0xe07f | rnd(r));
	memcpy(fx, &fcw, 2);
	memcpy(fx + 2, &fsw, 2);
	fx[4] = rnd_n(r, 3) ? 0xff : (uint8_t)rnd(r);
	memcpy(fx + 6, &fop, 2);
	memcpy(fx + 8, &fip, 8);
	memcpy(fx + 16, &fdp, 8);
	memcpy(fx + 24, &mxcsr, 4);
	for (int i = 0; i < 8; i++)
		rnd_bytes(r, fx + 32 + 16 * i, 10, 6);
	for (int i = 0; i < 16; i++)
		rnd_bytes(r, fx + 160 + 16 * i, 16, rnd_n(r, 3) ? kind : rnd_n(r, 8));
}
