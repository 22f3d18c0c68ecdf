/* exit_code.h - what the process's exit status tells. Documented in docs/exit-codes.md, the
 * manual page and --help; 128+n stands for signal n, as in a shell. With
 * --debug-exit a guest may choose any odd status. */
#ifndef CLI_EXIT_CODE_H
#define CLI_EXIT_CODE_H

enum exit_code {
	EXIT_CODE_OK = 0,           /* the guest powered off, a raw binary halted, or the user left */
	EXIT_CODE_HOST = 1,         /* the host failed: memory, threads, the engine */
	EXIT_CODE_USAGE = 2,        /* the command line is not one */
	EXIT_CODE_CONFIG = 3,       /* a value out of range, something not offered, or a bad input file */
	EXIT_CODE_RESET = 4,        /* the guest asked for a reset, without --reboot */
	EXIT_CODE_PANIC = 5,        /* the guest's kernel panicked */
	EXIT_CODE_TRIPLE_FAULT = 6,
	EXIT_CODE_HALTED = 7,       /* a kernel halted all its CPUs for good */
	EXIT_CODE_SIGNAL = 128,
};

#endif
