/* size.c - parses and prints sizes. */
#include "config/size.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Reads digits at *s and moves it behind them */
static int digits_parse(const char **s, uint64_t *out)
{
	int base = 10;
	uint64_t v = 0;
	const char *p = *s;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		base = 16;
		p += 2;
	}
	if (digit_value(*p) >= base)
		return -EINVAL;
	for (; digit_value(*p) < base; p++)
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit_value(*p), &v))
			return -ERANGE;
	*s = p;
	*out = v;
	return 0;
}

int number_parse(const char *s, uint64_t *out)
{
	uint64_t v;
	int r = digits_parse(&s, &v);

	if (r < 0)
		return r;
	if (*s)
		return -EINVAL;
	*out = v;
	return 0;
}

int size_parse(const char *s, uint64_t *out)
{
	static const char units[] = "kmgt";
	unsigned shift = 0;
	uint64_t v;
	int r = digits_parse(&s, &v);

	if (r < 0)
		return r;
	if (*s) {
		const char *u = strchr(units, *s | 0x20);

		if (!u)
			return -EINVAL;
		shift = 10 * (unsigned)(u - units + 1);
		s++;
		if (*s && strcasecmp(s, "b") != 0 && strcasecmp(s, "ib") != 0)
			return -EINVAL;
	}
	if (__builtin_mul_overflow(v, 1ull << shift, &v))
		return -ERANGE;
	*out = v;
	return 0;
}

const char *size_format(uint64_t bytes, char buf[32])
{
	static const char *const names[] = { "bytes", "KB", "MB", "GB" };
	unsigned u = 0;

	while (u < 3 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		u++;
	}
	snprintf(buf, 32, "%llu %s", (unsigned long long)bytes, names[u]);
	return buf;
}
