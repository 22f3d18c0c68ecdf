/* test_machine.c - the machine's life with an engine made for the test: every way to end, resets, halting,
 * waking, failures while building. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "config/config.h"
#include "core/layout.h"
#include "engine/engine.h"
#include "engine/x86/state.h"
#include "machine/machine.h"

/* --- the engine: a vcpu "executes" by calling `guest`, which fills the exit as a program would cause it --- */

struct engine_vm { struct vm_config cfg; };
struct vcpu { const struct vm_host *host; unsigned id; atomic_bool kicked; struct x86_state state; };

static void (*guest)(struct vcpu *, struct cpu_exit *);
static atomic_int runs, starts;
static int vm_create_result, vcpu_create_result, run_result;

static int fake_probe(struct err *e) { return 0; }

static int fake_vm_create(const struct vm_config *cfg, struct engine_vm **out, struct err *e)
{
	if (vm_create_result)
		return err_set(e, vm_create_result, "no VM for you");
	*out = calloc(1, sizeof(**out));
	(*out)->cfg = *cfg;
	return 0;
}

static void fake_vm_destroy(struct engine_vm *vm) { free(vm); }
static uint32_t fake_caps(const struct engine_vm *vm) { return 0; }

static int fake_vcpu_create(struct engine_vm *vm, unsigned id, struct vcpu **out, struct err *e)
{
	if (vcpu_create_result)
		return err_set(e, vcpu_create_result, "no vCPU for you");
	*out = aligned_alloc(64, (sizeof(**out) + 63) / 64 * 64);
	memset(*out, 0, sizeof(**out));
	(*out)->host = vm->cfg.host;
	(*out)->id = id;
	return 0;
}

static void fake_vcpu_destroy(struct vcpu *v) { free(v); }

static int fake_run(struct vcpu *v, struct cpu_exit *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = EXIT_KICKED;
	atomic_fetch_add(&runs, 1);
	if (run_result)
		return run_result;
	if (!atomic_exchange(&v->kicked, false))
		guest(v, out);
	return 0;
}

static void fake_kick(struct vcpu *v) { atomic_store(&v->kicked, true); }
static void fake_notify(struct vcpu *v) { }
static uint64_t fake_tsc_now(struct vcpu *v) { return 0; }
static uint64_t fake_tsc_khz(const struct engine_vm *vm) { return 1000000; }

static int fake_get_state(struct vcpu *v, struct x86_state *s)
{
	*s = v->state;
	return 0;
}

static int fake_set_state(struct vcpu *v, const struct x86_state *s)
{
	v->state = *s;
	atomic_fetch_add(&starts, 1);
	return 0;
}

static const struct engine_ops fake = {
	.name = "fake", .what = "for tests", .probe = fake_probe, .vm_create = fake_vm_create,
	.vm_destroy = fake_vm_destroy, .caps = fake_caps, .vcpu_create = fake_vcpu_create,
	.vcpu_destroy = fake_vcpu_destroy, .run = fake_run, .kick = fake_kick, .notify = fake_notify,
	.get_state = fake_get_state, .set_state = fake_set_state, .tsc_now = fake_tsc_now, .tsc_khz = fake_tsc_khz,
};

static struct config cfg;
static char binary[] = "/tmp/test_machine.XXXXXX";

static int setup(void **state)
{
	config_init(&cfg);
	cfg.mem = 4 << 20;
	cfg.binary = binary;
	vm_create_result = vcpu_create_result = run_result = 0;
	runs = starts = 0;
	log_level = LOG_NONE;
	return 0;
}

static struct machine *create(void)
{
	struct machine *m = NULL;
	struct err e = { "" };

	if (machine_create(&cfg, &fake, &m, &e) < 0 || machine_boot(m, &e) < 0)
		fail_msg("%s", e.msg);
	return m;
}

static enum power_event run_guest(void (*fn)(struct vcpu *, struct cpu_exit *), struct err *e)
{
	struct machine *m;
	enum power_event ev;

	guest = fn;
	m = create();
	ev = machine_run(m, e);
	machine_destroy(m);
	return ev;
}

/* --- guests --- */

static void guest_off(struct vcpu *v, struct cpu_exit *x) { v->host->pio_write(v->host->ctx, 0, PORT_ACPI_PM + 4, 2, 0x3400); }
static void guest_reset(struct vcpu *v, struct cpu_exit *x) { v->host->pio_write(v->host->ctx, 0, PORT_RESET, 1, 6); }
static void guest_panic(struct vcpu *v, struct cpu_exit *x) { v->host->pio_write(v->host->ctx, 0, PORT_PVPANIC, 1, 1); }
static void guest_shutdown(struct vcpu *v, struct cpu_exit *x) { x->kind = EXIT_SHUTDOWN; }
static void guest_halt(struct vcpu *v, struct cpu_exit *x) { x->kind = EXIT_HLT; }
static void guest_idle(struct vcpu *v, struct cpu_exit *x) { x->kind = EXIT_HLT, x->interruptible = true; }
static void guest_spin(struct vcpu *v, struct cpu_exit *x) { usleep(100); }

static void guest_fail(struct vcpu *v, struct cpu_exit *x)
{
	x->kind = EXIT_FAIL;
	strcpy(x->reason, "the tubes are cold");
}

static void ends(void **state)
{
	struct err e = { "" };

	assert_int_equal(run_guest(guest_off, &e), POWER_OFF);
	assert_int_equal(run_guest(guest_reset, &e), POWER_RESET);
	assert_int_equal(run_guest(guest_panic, &e), POWER_PANIC);
	assert_int_equal(run_guest(guest_shutdown, &e), POWER_TRIPLE_FAULT);
	assert_int_equal(run_guest(guest_halt, &e), POWER_HALTED);
	assert_string_equal(e.msg, "");
	assert_int_equal(run_guest(guest_fail, &e), POWER_FAIL);
	assert_non_null(strstr(e.msg, "the tubes are cold"));
	e.msg[0] = '\0';
	run_result = -EIO;
	assert_int_equal(run_guest(guest_spin, &e), POWER_FAIL);
	assert_non_null(strstr(e.msg, "vCPU 0"));
}

/* After its power-off a guest executes nothing more */
static void nothing_runs_after_the_end(void **state)
{
	struct err e = { "" };

	assert_int_equal(run_guest(guest_off, &e), POWER_OFF);
	assert_true(runs <= 2);
}

static void start_state(void **state)
{
	struct err e = { "" };
	struct machine *m;

	guest = guest_halt;
	m = create();
	assert_int_equal(starts, 0);
	assert_int_equal(machine_run(m, &e), POWER_HALTED);
	assert_int_equal(starts, 1);
	machine_destroy(m);
}

static void guest_resets_twice(struct vcpu *v, struct cpu_exit *x)
{
	if (starts < 3)
		guest_reset(v, x);
	else
		guest_off(v, x);
}

static void reboot(void **state)
{
	struct err e = { "" };

	cfg.reboot = true;
	assert_int_equal(run_guest(guest_resets_twice, &e), POWER_OFF);
	assert_int_equal(starts, 3);
}

static void reboot_fails_when_the_file_is_gone(void **state)
{
	char path[] = "/tmp/test_machine.XXXXXX";
	struct err e = { "" };
	struct machine *m;
	int fd = mkstemp(path);

	assert_int_equal(write(fd, "\xf4", 1), 1);
	close(fd);
	cfg.binary = path;
	cfg.reboot = true;
	guest = guest_reset;
	m = create();
	unlink(path);
	assert_int_equal(machine_run(m, &e), POWER_FAIL);
	assert_non_null(strstr(e.msg, path));
	machine_destroy(m);
}

static void *quit_later(void *m)
{
	usleep(30000);
	machine_quit(m);
	return NULL;
}

static void quit(void **state)
{
	static void (*const guests[])(struct vcpu *, struct cpu_exit *) = { guest_spin, guest_idle };
	struct err e = { "" };

	for (int i = 0; i < 2; i++) {
		struct machine *m;
		pthread_t t;

		guest = guests[i];
		m = create();
		pthread_create(&t, NULL, quit_later, m);
		assert_int_equal(machine_run(m, &e), POWER_QUIT);
		pthread_join(t, NULL);
		machine_destroy(m);
		m = create();
		machine_quit(m); /* before it runs: nothing does */
		runs = 0;
		assert_int_equal(machine_run(m, &e), POWER_QUIT);
		assert_int_equal(runs, 0);
		machine_destroy(m);
	}
}

/* A halted guest sleeps; the PIT's interrupt through the PIC wakes it */
static void guest_waits_for_pit(struct vcpu *v, struct cpu_exit *x)
{
	static const struct { uint16_t port; uint8_t val; } program[] = {
		{ 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 }, { 0x21, 0xfe }, /* PIC: vectors from 20h, IRQ 0 only */
		{ 0x43, 0x30 }, { 0x40, 0x00 }, { 0x40, 0x30 },                           /* channel 0, mode 0, 10 ms */
	};

	if (runs == 1) {
		for (size_t i = 0; i < sizeof(program) / sizeof(program[0]); i++)
			v->host->pio_write(v->host->ctx, 0, program[i].port, 1, program[i].val);
		guest_idle(v, x);
	} else if (v->host->intr_pending(v->host->ctx, 0) && v->host->intr_ack(v->host->ctx, 0) == 0x20) {
		guest_off(v, x);
	} else {
		guest_idle(v, x);
	}
}

static void interrupt_wakes(void **state)
{
	struct err e = { "" };

	assert_int_equal(run_guest(guest_waits_for_pit, &e), POWER_OFF);
	assert_true(runs < 10);
}

static void failures_while_building(void **state)
{
	struct machine *m = NULL;
	struct err e = { "" };

	vm_create_result = -ENODEV;
	assert_int_equal(machine_create(&cfg, &fake, &m, &e), -ENODEV);
	assert_string_equal(e.msg, "no VM for you");
	vm_create_result = 0;
	vcpu_create_result = -EMFILE;
	e.msg[0] = '\0';
	assert_int_equal(machine_create(&cfg, &fake, &m, &e), -EMFILE);
	assert_string_equal(e.msg, "no vCPU for you");
	assert_null(m);
	vcpu_create_result = 0;
	cfg.binary = "/nonexistent/file";
	e.msg[0] = '\0';
	assert_int_equal(machine_create(&cfg, &fake, &m, &e), 0);
	assert_true(machine_boot(m, &e) < 0);
	assert_non_null(strstr(e.msg, "/nonexistent/file"));
	machine_destroy(m);
	machine_destroy(NULL);
}

#define TEST(t) cmocka_unit_test_setup(t, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ends), TEST(nothing_runs_after_the_end), TEST(start_state), TEST(reboot),
		TEST(reboot_fails_when_the_file_is_gone), TEST(quit), TEST(interrupt_wakes), TEST(failures_while_building),
	};
	int fd = mkstemp(binary), r;

	if (fd < 0 || write(fd, "\xfa\xf4", 2) != 2)
		return 1;
	close(fd);
	signal(SIGPIPE, SIG_IGN);
	r = cmocka_run_group_tests_name("machine", tests, NULL, NULL);
	unlink(binary);
	return r;
}
