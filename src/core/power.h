/* power.h - how a guest (or the user) ends or restarts the machine.
 *
 * Devices report through struct power_sink; the machine stops its vcpus and decides. */
#ifndef CORE_POWER_H
#define CORE_POWER_H

enum power_event {
	POWER_OFF = 1,   /* ACPI S5 and its kin */
	POWER_RESET,     /* i8042 pulse, port CF9h, ACPI reset register */
	POWER_PANIC,     /* pvpanic: the guest's kernel panicked */
	POWER_TRIPLE_FAULT,
	POWER_HALTED,    /* all vcpus halted for good */
	POWER_QUIT,      /* the user: Ctrl-A x */
	POWER_EXIT,      /* the debug-exit port: the guest names the exit status */
	POWER_FAIL,      /* the engine or the host failed; the machine logged why */
};

struct power_sink {
	void (*event)(void *ctx, enum power_event ev); /* any thread; returns at once */
	void *ctx;
};

#endif
