/* disk.c - parses the value of --disk. */
#include "config/disk.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

/* Copies up to the next single comma, which is skipped, into @out; -ENAMETOOLONG. NULL in *text: that was all. */
static int next_part(const char **text, char *out, size_t room)
{
	size_t n = 0;
	const char *p = *text;

	for (; *p && (*p != ',' || p[1] == ','); p += 1 + (*p == ',')) {
		if (n + 1 == room)
			return -ENAMETOOLONG;
		out[n++] = *p;
	}
	out[n] = 0;
	*text = *p ? p + 1 : NULL;
	return 0;
}

static int name_index(const char *const *names, size_t n, const char *value)
{
	for (size_t i = 0; i < n; i++) {
		if (names[i] && !strcmp(names[i], value))
			return (int)i;
	}
	return -1;
}

static int parse_format(struct config_disk *d, const char *value)
{
	static const char *const names[] = { NULL, "raw", "qcow2" };
	int i = name_index(names, ARRAY_LEN(names), value);

	d->format = (enum config_disk_format)(i < 0 ? 0 : i);
	return i;
}

static int parse_cache(struct config_disk *d, const char *value)
{
	static const char *const names[] = { "writeback", "none", "unsafe" };
	int i = name_index(names, ARRAY_LEN(names), value);

	d->cache = (enum config_disk_cache)(i < 0 ? 0 : i);
	return i;
}

static int parse_serial(struct config_disk *d, const char *value)
{
	size_t len = strlen(value);

	if (!len || len > CONFIG_DISK_SERIAL_MAX)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < 0x20 || value[i] > 0x7e)
			return -1;
	}
	memcpy(d->serial, value, len + 1);
	return 0;
}

static int parse_part(struct config_disk *d, char *part, const char *text, struct err *e)
{
	char *value = strchr(part, '=');

	if (!value && !strcmp(part, "ro")) {
		d->readonly = true;
		return 0;
	}
	if (!value && !strcmp(part, "ephemeral")) {
		d->ephemeral = true;
		return 0;
	}
	if (value)
		*value++ = 0;
	if (value && !strcmp(part, "format"))
		return parse_format(d, value) >= 0
			       ? 0
			       : err_set(e, -ERANGE, "--disk %s: format '%s' is none of raw, qcow2", text, value);
	if (value && !strcmp(part, "cache"))
		return parse_cache(d, value) >= 0
			       ? 0
			       : err_set(e, -ERANGE, "--disk %s: cache '%s' is none of writeback, none, unsafe", text,
					 value);
	if (value && !strcmp(part, "serial"))
		return parse_serial(d, value) >= 0
			       ? 0
			       : err_set(e, -ERANGE, "--disk %s: the serial has to be 1 to %d printable characters",
					 text, CONFIG_DISK_SERIAL_MAX);
	return err_set(e, -ERANGE,
		       "--disk %s: '%s' is none of ro, ephemeral, format=, cache=, serial= (a comma in a path is "
		       "written twice)",
		       text, part);
}

int config_disk_parse(const char *text, struct config_disk *out, struct err *e)
{
	struct config_disk d = { .path = "" };
	const char *rest = text;
	char part[128];
	int r = next_part(&rest, d.path, sizeof(d.path));

	if (r < 0)
		return err_set(e, -ERANGE, "--disk: the path is too long");
	if (!d.path[0])
		return err_set(e, -ERANGE, "--disk '%s' names no file", text);
	while (rest && !r) {
		r = next_part(&rest, part, sizeof(part));
		r = r < 0 ? err_set(e, -ERANGE, "--disk %s: a part of it is too long", text)
			  : parse_part(&d, part, text, e);
	}
	if (!r)
		*out = d;
	return r;
}
