/* debug.c - the ports for bare-metal test programs, where the user asked for them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config.h"
#include "dev/debug_ports.h"
#include "machine/internal.h"

static int create_debugcon(struct machine *m, struct err *e)
{
	const char *path = m->cfg->debugcon.file;
	struct debugcon *con = NULL;
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : STDERR_FILENO;

	if (fd < 0)
		return err_set(e, -EINVAL, "--debugcon cannot write to '%s': %s", path, strerror(errno));
	int r = debugcon_create(m->pio, (uint16_t)m->cfg->debugcon.port, fd, path != NULL, &con, e);
	if (r < 0) {
		if (path)
			close(fd);
		return r;
	}
	machine_own(m, &debugcon_ops, con);
	return 0;
}

int machine_debug_create(struct machine *m, struct err *e)
{
	int r = 0;

	if (m->cfg->debug_exit_given) {
		r = debug_exit_create(m->pio, (uint16_t)m->cfg->debug_exit, &m->power, &m->debug_exit, e);
		if (!r)
			machine_own(m, &debug_exit_ops, m->debug_exit);
	}
	if (!r && m->cfg->debugcon_given)
		r = create_debugcon(m, e);
	/* A port that is taken is a mistake in the configuration, not a failure of the host */
	return r == -EEXIST ? -EINVAL : r;
}

int machine_exit_status(const struct machine *m) { return m->debug_exit ? debug_exit_status(m->debug_exit) : 1; }
