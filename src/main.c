/* main.c - from the command line to the exit status: the only place that exits or prints errors. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "config/config.h"
#include "engine/engine.h"
#include "host/tty.h"
#include "machine/machine.h"

static struct machine *volatile machine; /* for the signal handler */
static volatile sig_atomic_t ended_by;   /* the signal that asked us to end, or 0 */

static void on_end_signal(int sig)
{
	ended_by = sig;
	if (machine)
		machine_quit(machine);
}

/* The reason why the process ends is said at every log level, even at "none" */
static int fail(const struct err *e, enum exit_code code)
{
	fprintf(stderr, "[ERROR] %s\n", e->msg[0] ? e->msg : "failed for an unknown reason");
	return code;
}

/* With a closed standard descriptor the next file opened would be taken for it */
static void keep_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static int exit_code_of(enum power_event ev, int status, const struct config *cfg, const struct err *e)
{
	switch (ev) {
	case POWER_OFF:
		return EXIT_CODE_OK;
	case POWER_QUIT:
		return ended_by ? EXIT_CODE_SIGNAL + ended_by : EXIT_CODE_OK;
	case POWER_RESET:
		log_info("The guest asked for a reset");
		return EXIT_CODE_RESET;
	case POWER_PANIC:
		log_warn("The guest's kernel panicked");
		return EXIT_CODE_PANIC;
	case POWER_TRIPLE_FAULT:
		return EXIT_CODE_TRIPLE_FAULT;
	case POWER_HALTED:
		if (cfg->binary)
			return EXIT_CODE_OK;
		log_warn("All CPUs are halted with interrupts off: the guest will never run again");
		return EXIT_CODE_HALTED;
	case POWER_EXIT:
		return status;
	case POWER_FAIL:
		break;
	}
	return fail(e, EXIT_CODE_HOST);
}

static int run(const struct config *cfg)
{
	struct err e = { "" };
	const struct engine_ops *engine;
	struct machine *m;
	enum power_event ev;
	char why[512];
	int r, status;

	if (engine_choose(cfg->engine, &engine, why, sizeof(why), &e) < 0)
		return fail(&e, EXIT_CODE_CONFIG);
	log_info("Engine: %s", why);
	tty_signals_install(on_end_signal);
	r = machine_create(cfg, engine, &m, &e);
	if (r < 0)
		return fail(&e, r == -EINVAL ? EXIT_CODE_CONFIG : EXIT_CODE_HOST);
	machine = m;
	if (machine_attach_disks(m, &e) < 0 || machine_boot(m, &e) < 0) {
		machine = NULL;
		machine_destroy(m);
		return fail(&e, EXIT_CODE_CONFIG);
	}
	if (ended_by)
		machine_quit(m);
	ev = machine_run(m, &e);
	status = machine_exit_status(m);
	machine = NULL;
	machine_destroy(m);
	return exit_code_of(ev, status, cfg, &e);
}

int main(int argc, char **argv)
{
	struct config cfg;
	struct err e = { "" };
	int r;

	keep_standard_fds();
	r = options_parse(argc, argv, &cfg, &e);
	if (r < 0)
		return fail(&e, r == -ERANGE ? EXIT_CODE_CONFIG : EXIT_CODE_USAGE);
	if (r == OPTIONS_HELP || r == OPTIONS_VERSION) {
		(r == OPTIONS_HELP ? options_print_help : options_print_version)(stdout);
		return fflush(stdout) ? EXIT_CODE_HOST : EXIT_CODE_OK;
	}
	r = config_check(&cfg, &e);
	if (r < 0)
		return fail(&e, r == -EINVAL ? EXIT_CODE_USAGE : EXIT_CODE_CONFIG);
	log_level = (enum log_level)cfg.log;
	return run(&cfg);
}
