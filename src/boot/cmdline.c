/* cmdline.c - the kernel's command line: its limit, and the few words of it that concern boot code. */
#include "boot/cmdline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "core/layout.h"
#include "core/memmap.h"

static const char blanks[] = " \t\n\r\v\f";

/* The first word that is @word, or begins with it; NULL when there is none */
static const char *cmdline_find(const char *cmdline, const char *word, bool prefix)
{
	size_t len = strlen(word);

	for (const char *p = cmdline; *(p += strspn(p, blanks));) {
		size_t n = strcspn(p, blanks);
		/* Behind "--" everything is for init */
		if (n == 2 && !memcmp(p, "--", 2))
			return NULL;
		if (n >= len && !memcmp(p, word, len) && (prefix || n == len))
			return p;
		p += n;
	}
	return NULL;
}

bool cmdline_has(const char *cmdline, const char *word) { return cmdline_find(cmdline, word, false) != NULL; }

bool cmdline_has_prefix(const char *cmdline, const char *prefix) { return cmdline_find(cmdline, prefix, true) != NULL; }

uint64_t cmdline_mem_limit(const char *cmdline)
{
	static const char word[] = "mem=";
	uint64_t limit = UINT64_MAX;
	char *end;

	while ((cmdline = cmdline_find(cmdline, word, true))) {
		cmdline += sizeof(word) - 1;
		if (*cmdline < '0' || *cmdline > '9')
			continue;
		uint64_t v = strtoull(cmdline, &end, 0);
		unsigned shift = *end == 'K' || *end == 'k'   ? 10
				 : *end == 'M' || *end == 'm' ? 20
				 : *end == 'G' || *end == 'g' ? 30
							      : 0;
		limit = v > UINT64_MAX >> shift ? UINT64_MAX : v << shift;
	}
	return limit;
}

int cmdline_write(struct memmap *mem, const char *cmdline, uint32_t limit, struct err *e)
{
	size_t len = strlen(cmdline);

	if (limit > CMDLINE_MAX)
		limit = CMDLINE_MAX;
	if (len > limit)
		return err_set(e, -E2BIG, "the command line has %zu characters; this kernel takes %u at most", len,
			       limit);
	if (mem_write(mem, LAYOUT_CMDLINE, cmdline, len + 1))
		return err_set(e, -ENOMEM, "the guest's memory is too small for a command line; give more with --mem");
	return 0;
}
