/* cmdline.c - the kernel's command line: its limit, and the few words of it that concern boot code. */
#include "boot/cmdline.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "core/layout.h"
#include "core/memmap.h"

static const char blanks[] = " \t\n\r\v\f";

static bool cmdline_find(const char *cmdline, const char *word, bool prefix)
{
	size_t len = strlen(word);

	for (const char *p = cmdline; *(p += strspn(p, blanks));) {
		size_t n = strcspn(p, blanks);
		/* Behind "--" everything is for init */
		if (n == 2 && !memcmp(p, "--", 2))
			return false;
		if (n >= len && !memcmp(p, word, len) && (prefix || n == len))
			return true;
		p += n;
	}
	return false;
}

bool cmdline_has(const char *cmdline, const char *word)
{
	return cmdline_find(cmdline, word, false);
}

bool cmdline_has_prefix(const char *cmdline, const char *prefix)
{
	return cmdline_find(cmdline, prefix, true);
}

int cmdline_write(struct memmap *mem, const char *cmdline, uint32_t limit, struct err *e)
{
	size_t len = strlen(cmdline);

	if (limit > CMDLINE_MAX)
		limit = CMDLINE_MAX;
	if (len > limit)
		return err_set(e, -E2BIG, "the command line has %zu characters; this kernel takes %u at most", len, limit);
	if (mem_write(mem, LAYOUT_CMDLINE, cmdline, len + 1))
		return err_set(e, -ENOMEM, "the guest's memory is too small for a command line; give more with --mem");
	return 0;
}
