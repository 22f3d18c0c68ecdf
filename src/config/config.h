/* config.h - what a user asks for: plain data, its defaults and its rules.
 *
 * The command line fills it, the machine reads it. Strings are the caller's and outlive it.
 * Nothing here knows devices, engines or files' contents. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "config/disk.h"

struct err;

#define CONFIG_MEM_DEFAULT (512ull << 20)
#define CONFIG_MEM_MIN (2ull << 20)
#define CONFIG_MEM_MAX (1ull << 40)
#define CONFIG_CPUS_MAX 64
#define CONFIG_DISKS_MAX 16
#define CONFIG_PORT_MAX 0xffff

/* How a raw binary starts; indices of the --mode option's names */
enum config_mode { CONFIG_LONG, CONFIG_PROTECTED, CONFIG_REAL };

/* The value of --debugcon: PORT[,FILE] */
struct config_debugcon {
	uint64_t port;
	const char *file; /* NULL: standard error */
};

struct config {
	const char *kernel;  /* exactly one of kernel and binary is set once checked */
	const char *binary;
	const char *initrd;  /* with kernel; or NULL */
	const char *cmdline; /* with kernel; NULL: config_cmdline's default */

	uint64_t entry;      /* with binary: load address and first instruction */
	unsigned mode;       /* with binary: enum config_mode */
	bool entry_given, mode_given;

	uint64_t mem;        /* bytes of RAM, a multiple of 4096 */
	uint64_t cpus;
	const char *cpu;     /* the processor's model and features; or NULL: the engine's default */
	struct config_disk disks[CONFIG_DISKS_MAX];
	unsigned ndisks;
	bool console;        /* a virtio console on the terminal, beside the serial port */

	uint64_t debug_exit; /* the port where a guest ends the process with a status of its choice */
	bool debug_exit_given;
	struct config_debugcon debugcon; /* the port where a guest prints */
	bool debugcon_given;

	bool reboot;         /* a reset by the guest starts it again instead of ending the process */
	const char *engine;  /* "auto" or an engine's name */
	uint64_t log;        /* 0..4, enum log_level */
};

void config_init(struct config *); /* the defaults */

/* 0; -EINVAL with a sentence when options contradict each other or a needed one is missing,
 * -ERANGE when a value is out of range, -ENOTSUP for what this version does not offer. */
int config_check(const struct config *, struct err *e);

/* 0, or -ERANGE with a sentence. @out keeps pointing into @text. */
int config_debugcon_parse(const char *text, struct config_debugcon *out, struct err *e);

/* The kernel's command line: the user's, or the default that fits the console */
const char *config_cmdline(const struct config *);

#endif
