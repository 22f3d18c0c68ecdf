/* options.c - the table of options, its parser, and the help text made from it. */
#include "cli/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/exit_code.h"
#include "config/config.h"
#include "config/size.h"
#include "version.h"

enum kind { K_STR, K_SIZE, K_NUMBER, K_CHOICE, K_FLAG, K_LIST, K_DEBUGCON, K_ACTION };

struct option {
	const char *name;
	enum kind kind;
	const char *value;      /* what --help calls the value; NULL: takes none */
	size_t field;           /* in struct config */
	ptrdiff_t given;        /* a bool in struct config that is set too, or -1 */
	const char *choices;    /* K_CHOICE: names separated by '|', the index is stored */
	enum options_action action;
	const char *help;       /* lines separated by '\n' */
};

#define FIELD(f) .field = offsetof(struct config, f), .given = -1
#define FIELD_GIVEN(f, g) .field = offsetof(struct config, f), .given = offsetof(struct config, g)

static const struct option options[] = {
	{ "kernel", K_STR, "FILE", FIELD(kernel), .help = "boot a Linux bzImage, an ELF or a Multiboot kernel" },
	{ "initrd", K_STR, "FILE", FIELD(initrd), .help = "initial RAM disk, or Multiboot module, for the kernel" },
	{ "cmdline", K_STR, "TEXT", FIELD(cmdline),
	  .help = "the kernel's command line\n(default: console=ttyS0 earlyprintk=serial panic=1)" },
	{ "binary", K_STR, "FILE", FIELD(binary), .help = "run a raw binary instead of a kernel" },
	{ "entry", K_NUMBER, "ADDR", FIELD_GIVEN(entry, entry_given),
	  .help = "load address and entry point of the binary (default: 0x1000)" },
	{ "mode", K_CHOICE, "MODE", FIELD_GIVEN(mode, mode_given), .choices = "long|protected|real",
	  .help = "processor mode the binary starts in: long (default),\nprotected or real" },
	{ "mem", K_SIZE, "SIZE", FIELD(mem),
	  .help = "guest memory: bytes, or with suffix K, M, G or T\n(default: 512M, at least 2M)" },
	{ "cpus", K_NUMBER, "N", FIELD(cpus), .help = "number of CPUs, 1 to 64 (default: 1)" },
	{ "cpu", K_STR, "MODEL", FIELD(cpu),
	  .help = "processor: base, v2, v3 (default), max or host, then\n,+FEATURE or ,-FEATURE, as in v3,-avx2" },
	{ "disk", K_LIST, "FILE", FIELD(disks),
	  .help = "a disk: raw or qcow2 image, or block device (repeatable)\n"
		  "FILE[,ro][,ephemeral][,format=raw|qcow2]\n"
		  "    [,serial=TEXT][,cache=writeback|none|unsafe]" },
	{ "console", K_FLAG, NULL, FIELD(console), .help = "virtio console (hvc0) on the terminal" },
	{ "debug-exit", K_NUMBER, "PORT", FIELD_GIVEN(debug_exit, debug_exit_given),
	  .help = "port where a write of v exits with status (v<<1)|1" },
	{ "debugcon", K_DEBUGCON, "PORT", FIELD_GIVEN(debugcon, debugcon_given),
	  .help = "port whose bytes go to standard error, or with PORT,FILE\nto a file" },
	{ "reboot", K_FLAG, NULL, FIELD(reboot), .help = "start the guest again when it asks for a reset" },
	{ "engine", K_STR, "NAME", FIELD(engine),
	  .help = "what executes the guest: auto (default), kvm, hvf or soft" },
	{ "log", K_NUMBER, "LEVEL", FIELD(log),
	  .help = "0 none, 1 error, 2 warn (default), 3 info, 4 debug" },
	{ "help", K_ACTION, NULL, .given = -1, .action = OPTIONS_HELP, .help = "print this and exit" },
	{ "version", K_ACTION, NULL, .given = -1, .action = OPTIONS_VERSION, .help = "print the version and exit" },
};

/* The option called by arg ("--name" or "--name=value"); *value is set in the latter case */
static const struct option *option_find(const char *arg, const char **value)
{
	const char *name = arg + 2;
	size_t len = strcspn(name, "=");

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strlen(options[i].name) == len && !memcmp(options[i].name, name, len)) {
			*value = name[len] ? name + len + 1 : NULL;
			return &options[i];
		}
	}
	return NULL;
}

static int choice_index(const char *choices, const char *value)
{
	size_t len = strlen(value);
	int n = 0;

	for (const char *p = choices; p && *p; n++) {
		size_t l = strcspn(p, "|");

		if (l == len && !memcmp(p, value, l))
			return n;
		p += l + (p[l] == '|');
	}
	return -1;
}

static int store_number(const struct option *o, const char *value, uint64_t *out, struct err *e)
{
	int r = o->kind == K_SIZE ? size_parse(value, out) : number_parse(value, out);

	if (r == -ERANGE)
		return err_set(e, -ERANGE, "--%s %s: the number is too large", o->name, value);
	if (r < 0 && o->kind == K_SIZE)
		return err_set(e, -ERANGE, "--%s '%s' is not a size: write bytes, or a number with K, M, G or T such "
			       "as 128M", o->name, value);
	if (r < 0)
		return err_set(e, -ERANGE, "--%s '%s' is not a number: write it in decimal, or in hexadecimal after 0x",
			       o->name, value);
	return 0;
}

static int option_store(const struct option *o, const char *value, struct config *cfg, struct err *e)
{
	char *field = (char *)cfg + o->field;
	uint64_t num;
	int r;

	switch (o->kind) {
	case K_STR:
		*(const char **)field = value;
		return 0;
	case K_FLAG:
		*(bool *)field = true;
		return 0;
	case K_SIZE:
	case K_NUMBER:
		r = store_number(o, value, &num, e);
		if (!r)
			*(uint64_t *)field = num;
		return r;
	case K_CHOICE:
		r = value ? choice_index(o->choices, value) : -1;
		if (r < 0)
			return err_set(e, -ERANGE, "--%s '%s' is none of %s", o->name, value, o->choices);
		*(unsigned *)field = (unsigned)r;
		return 0;
	case K_LIST:
		if (cfg->ndisks == CONFIG_DISKS_MAX)
			return err_set(e, -ERANGE, "--%s is given more than %d times", o->name, CONFIG_DISKS_MAX);
		r = config_disk_parse(value, &cfg->disks[cfg->ndisks], e);
		cfg->ndisks += !r;
		return r;
	case K_DEBUGCON:
		return config_debugcon_parse(value, (struct config_debugcon *)field, e);
	case K_ACTION:
		break;
	}
	return 0;
}

int options_parse(int argc, char *const argv[], struct config *cfg, struct err *e)
{
	bool seen[ARRAY_LEN(options)] = { false };

	config_init(cfg);
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value = NULL;
		const struct option *o;
		int r;

		if (!strcmp(arg, "-h"))
			return OPTIONS_HELP;
		if (arg[0] != '-')
			return err_set(e, -EINVAL, "stray argument '%s': options start with --, see vibevmm --help", arg);
		o = strncmp(arg, "--", 2) ? NULL : option_find(arg, &value);
		if (!o)
			return err_set(e, -EINVAL, "unknown option '%s': see vibevmm --help", arg);
		if (!o->value && value)
			return err_set(e, -EINVAL, "--%s takes no value, but '%s' was given", o->name, value);
		if (o->kind == K_ACTION)
			return (int)o->action;
		if (seen[o - options] && o->kind != K_LIST)
			return err_set(e, -EINVAL, "--%s is given twice: give it once", o->name);
		seen[o - options] = true;
		if (o->value && !value) {
			if (i + 1 >= argc || !strncmp(argv[i + 1], "--", 2))
				return err_set(e, -EINVAL, "--%s needs a value: --%s %s", o->name, o->name, o->value);
			value = argv[++i];
		}
		if (value && !*value && o->kind != K_STR)
			return err_set(e, -EINVAL, "--%s needs a value that is not empty", o->name);
		r = option_store(o, value, cfg, e);
		if (r < 0)
			return r;
		if (o->given >= 0)
			*(bool *)((char *)cfg + o->given) = true;
	}
	return OPTIONS_RUN;
}

static void print_option(FILE *f, const struct option *o)
{
	char left[40];
	const char *line = o->help;

	snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
	/* A long name has a line of its own */
	if (strlen(left) > 16) {
		fprintf(f, "  %s\n", left);
		left[0] = '\0';
	}
	for (const char *l = left; line; l = "") {
		int len = (int)strcspn(line, "\n");

		fprintf(f, "  %-16s %.*s\n", l, len, line);
		line = line[len] ? line + len + 1 : NULL;
	}
}

void options_print_help(FILE *f)
{
	fputs("Usage: vibevmm --kernel FILE [--initrd FILE] [--cmdline TEXT] [options]\n"
	      "       vibevmm --binary FILE [--entry ADDR] [--mode MODE] [options]\n"
	      "Runs an x86-64 guest with its serial port on the terminal.\n"
	      "Ctrl-A x leaves, Ctrl-A h helps.\n\n"
	      "Options (--option value or --option=value):\n", f);
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		print_option(f, &options[i]);
	fprintf(f, "\nExit status:\n"
		"  %3d  the guest powered off, a raw binary halted, or Ctrl-A x\n"
		"  %3d  the host failed\n"
		"  %3d  wrong usage\n"
		"  %3d  bad configuration or input file\n"
		"  %3d  the guest asked for a reset (without --reboot)\n"
		"  %3d  the guest panicked\n"
		"  %3d  triple fault\n"
		"  %3d  the guest's kernel halted for good\n"
		"  128+n  ended by signal n\n"
		"  with --debug-exit, any odd number: the guest wrote it\n",
		EXIT_CODE_OK, EXIT_CODE_HOST, EXIT_CODE_USAGE, EXIT_CODE_CONFIG, EXIT_CODE_RESET, EXIT_CODE_PANIC,
		EXIT_CODE_TRIPLE_FAULT, EXIT_CODE_HALTED);
}

void options_print_version(FILE *f)
{
	fputs("vibevmm " VIBEVMM_VERSION "\n", f);
}
