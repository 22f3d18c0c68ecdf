/* size.h - numbers and sizes as a user writes them. */
#ifndef CONFIG_SIZE_H
#define CONFIG_SIZE_H

#include <stdint.h>

/* "4096", "0x1000", "128M", "1G": a decimal or 0x number with an optional suffix K, M, G or T
 * (powers of 1024, either case; a B or iB after it is accepted). 0; -EINVAL for what is no such
 * number, signs and blanks included; -ERANGE when it does not fit into 64 bits. */
int size_parse(const char *s, uint64_t *out);

/* The same without suffixes */
int number_parse(const char *s, uint64_t *out);

/* "128 MB": the largest unit that divides @bytes, as the log says it. Returns buf. */
const char *size_format(uint64_t bytes, char buf[32]);

#endif
