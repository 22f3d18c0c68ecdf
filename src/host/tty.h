/* tty.h - the mode of the user's terminal, and the signals that end, stop or crash the process.
 *
 * There is one terminal per process and signal handlers have to reach it, so its state is
 * the only global one. Whatever way the process takes out, the terminal is put back first. */
#ifndef HOST_TTY_H
#define HOST_TTY_H

/* Puts @fd into raw mode and remembers the old one. 0; -ENOTTY when it is no terminal; -errno.
 * While the process is in the background the mode is left alone until SIGCONT brings it forward. */
int tty_raw(int fd);

/* Puts the old mode back; nothing to do is fine. Async-signal-safe. */
void tty_restore(void);

/* Installs the handlers, once, before any thread starts:
 *   SIGTERM SIGINT SIGHUP           @end(sig), which has to be async-signal-safe; a second such
 *                                   signal restores the terminal and exits with 128+sig at once
 *   SIGQUIT and the crash signals   the terminal is restored, then the signal does its work
 *   SIGTSTP, SIGCONT                the old mode while stopped, raw mode again afterwards
 *   SIGPIPE                         ignored: writes report EPIPE */
void tty_signals_install(void (*end)(int sig));

#endif
