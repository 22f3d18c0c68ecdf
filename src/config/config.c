/* config.c - the defaults of a configuration, and the rules that it has to meet. */
#include "config/config.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "config/size.h"

void config_init(struct config *c)
{
	*c = (struct config){
		.entry = 0x1000,
		.mode = CONFIG_LONG,
		.mem = CONFIG_MEM_DEFAULT,
		.cpus = 1,
		.engine = "auto",
		.log = 2,
	};
}

const char *config_cmdline(const struct config *c)
{
	if (c->cmdline)
		return c->cmdline;
	return c->console ? "console=hvc0 earlyprintk=serial panic=1" : "console=ttyS0 earlyprintk=serial panic=1";
}

int config_debugcon_parse(const char *text, struct config_debugcon *out, struct err *e)
{
	size_t len = strcspn(text, ",");
	char port[32];

	if (len < sizeof(port)) {
		memcpy(port, text, len);
		port[len] = '\0';
	}
	if (len >= sizeof(port) || number_parse(port, &out->port) < 0)
		return err_set(e, -ERANGE, "--debugcon '%s' does not begin with a port: write PORT or PORT,FILE with a port "
			       "in decimal, or in hexadecimal after 0x", text);
	if (text[len] && !text[len + 1])
		return err_set(e, -ERANGE, "--debugcon '%s' has no file after the comma", text);
	out->file = text[len] ? text + len + 1 : NULL;
	return 0;
}

/* Options that belong together or exclude each other */
static int check_shape(const struct config *c, struct err *e)
{
	if (!c->kernel && !c->binary)
		return err_set(e, -EINVAL, "nothing to run: give --kernel FILE or --binary FILE");
	if (c->kernel && c->binary)
		return err_set(e, -EINVAL, "--kernel and --binary exclude each other: give one of them");
	if (c->binary && c->initrd)
		return err_set(e, -EINVAL, "--initrd needs --kernel: a raw binary has no use for it");
	if (c->binary && c->cmdline)
		return err_set(e, -EINVAL, "--cmdline needs --kernel: a raw binary has no use for it");
	if (c->kernel && c->entry_given)
		return err_set(e, -EINVAL, "--entry needs --binary: a kernel file names its own entry point");
	if (c->kernel && c->mode_given)
		return err_set(e, -EINVAL, "--mode needs --binary: a kernel file says how it starts");
	return 0;
}

static int check_ranges(const struct config *c, struct err *e)
{
	char min[32], max[32];

	if (c->mem < CONFIG_MEM_MIN || c->mem > CONFIG_MEM_MAX)
		return err_set(e, -ERANGE, "--mem is %llu bytes: it has to be between %s and %s",
			       (unsigned long long)c->mem, size_format(CONFIG_MEM_MIN, min),
			       size_format(CONFIG_MEM_MAX, max));
	if (c->mem % 4096)
		return err_set(e, -ERANGE, "--mem is %llu bytes: it has to be a multiple of 4096",
			       (unsigned long long)c->mem);
	if (c->cpus < 1 || c->cpus > CONFIG_CPUS_MAX)
		return err_set(e, -ERANGE, "--cpus is %llu: it has to be between 1 and %d",
			       (unsigned long long)c->cpus, CONFIG_CPUS_MAX);
	if (c->debug_exit > CONFIG_PORT_MAX)
		return err_set(e, -ERANGE, "--debug-exit is %#llx: ports end at 0xffff", (unsigned long long)c->debug_exit);
	if (c->debugcon.port > CONFIG_PORT_MAX)
		return err_set(e, -ERANGE, "--debugcon is %#llx: ports end at 0xffff", (unsigned long long)c->debugcon.port);
	if (c->log > 4)
		return err_set(e, -ERANGE, "--log is %llu: it has to be between 0 and 4", (unsigned long long)c->log);
	return 0;
}

/* What this version does not offer is said, never ignored */
static int check_offered(const struct config *c, struct err *e)
{
	return 0;
}

int config_check(const struct config *c, struct err *e)
{
	int r = check_shape(c, e);

	if (!r)
		r = check_ranges(c, e);
	if (!r)
		r = check_offered(c, e);
	return r;
}
