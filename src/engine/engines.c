/* engines.c - the engines that are built in, and the choice among them. */
#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

const struct engine_ops *const engines[] = { &soft_engine, NULL };

/* Engines that the command line knows and this build does not have */
static const struct { const char *name, *why; } absent[] = {
	{ "kvm", "the kvm engine is not part of this version" },
	{ "hvf", "the hvf engine is not part of this version, and works on Intel Macs only" },
};

static int choose_named(const char *name, const struct engine_ops **out, char *why, unsigned why_len, struct err *e)
{
	for (unsigned i = 0; engines[i]; i++) {
		int r;

		if (strcmp(engines[i]->name, name) != 0)
			continue;
		r = engines[i]->probe(e);
		if (r < 0)
			return r;
		snprintf(why, why_len, "%s: asked for with --engine", name);
		*out = engines[i];
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		if (!strcmp(absent[i].name, name))
			return err_set(e, -ENOTSUP, "%s: use --engine soft, which works everywhere, or leave the choice "
				       "to --engine auto", absent[i].why);
	return err_set(e, -EINVAL, "--engine '%s' is none of auto, kvm, hvf, soft", name);
}

int engine_choose(const char *name, const struct engine_ops **out, char *why_buf, unsigned why_len, struct err *e)
{
	char reasons[512] = "";
	size_t len = 0;

	if (strcmp(name, "auto") != 0)
		return choose_named(name, out, why_buf, why_len, e);
#ifdef __linux__
	len = (size_t)snprintf(reasons, sizeof(reasons), "%s", absent[0].why);
#endif
	for (unsigned i = 0; engines[i]; i++) {
		struct err why = { "" };

		if (engines[i]->probe(&why) == 0) {
			snprintf(why_buf, why_len, "%s%s%s", engines[i]->name, len ? ": " : "", reasons);
			*out = engines[i];
			return 0;
		}
		if (len < sizeof(reasons))
			len += (size_t)snprintf(reasons + len, sizeof(reasons) - len, "%s%s: %.200s", len ? "; " : "",
						engines[i]->name, why.msg);
	}
	return err_set(e, -ENODEV, "no engine works on this host: %s", reasons);
}
