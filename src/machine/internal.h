/* internal.h - struct machine, for the files of this directory. */
#ifndef MACHINE_INTERNAL_H
#define MACHINE_INTERNAL_H

#include <stdatomic.h>

#include "base/err.h"
#include "boot/boot.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/memmap.h"
#include "core/power.h"
#include "engine/engine.h"
#include "engine/x86/state.h"
#include "machine/machine.h"

#define MACHINE_DEVICES_MAX 48

struct cpu_thread;
struct debug_exit;
struct virtio_model;

struct machine {
	const struct config *cfg;
	const struct engine_ops *ops;
	struct engine_vm *vm;
	struct vm_host host;

	struct memmap mem;
	struct bus *pio, *mmio;
	struct loop *loop;
	struct term *term;

	struct irqchip *irqchip;
	struct ns16550 *com1;
	struct balloon *balloon;
	struct console *hvc;      /* or NULL */
	struct reset_port *reset;
	struct pci_bus *pci;
	struct debug_exit *debug_exit; /* or NULL */
	/* In order of creation; reset in that order, destroyed in the opposite one */
	struct { const struct device_ops *ops; void *dev; } devices[MACHINE_DEVICES_MAX];
	unsigned ndevices;

	struct cpu_thread *cpus;
	unsigned ncpus;
	_Atomic unsigned nhalted; /* CPUs that only an NMI, INIT or SIPI can wake */

	struct boot_config boot;
	struct x86_state start;   /* CPU 0's state after boot_load */

	struct power_sink power;
	_Atomic int event;        /* enum power_event, 0 while the guest runs: the first one stays, QUIT wins */
	struct err failure;       /* why POWER_FAIL; written before the event by the thread that set it first */
	atomic_flag failed;
};

/* devices.c: everything on the buses. 0 or -errno with a sentence; what was made is in m->devices. */
int machine_devices_create(struct machine *, struct err *e);

/* Notes a device for reset and the end */
void machine_own(struct machine *, const struct device_ops *ops, void *dev);
/* console.c: the terminal and the serial port; the virtio console, to be put on the bus, then started */
int machine_console_create(struct machine *, const struct irq_router *, struct err *e);
int machine_hvc_create(struct machine *, struct virtio_model *out, struct err *e);
void machine_hvc_start(struct machine *);
void machine_console_destroy(struct machine *); /* before the devices */

/* pci.c: the PCI bus and what is on it. As above; m->reset is there. */
int machine_pci_create(struct machine *, const struct irq_router *, struct err *e);
/* Puts a virtio device on the bus; where that fails the caller still owns it */
int machine_add_virtio(struct machine *, const struct virtio_model *model, struct err *e);

/* debug.c: the ports of --debug-exit and --debugcon, if any. -EINVAL where the user is to choose another. */
int machine_debug_create(struct machine *, struct err *e);

/* An event of the guest, the user or a CPU: stops all CPUs and the loop. Any thread, returns at once. */
void machine_power(struct machine *, enum power_event ev);
/* POWER_FAIL with its reason */
void machine_fail(struct machine *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
