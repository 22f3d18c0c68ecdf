/* fuzz_cpu.c - whole processor: guest code, descriptor tables and registers from the input, in every mode.
 * Nothing a guest does may crash, hang or leave its memory. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/memmap.h"
#include "engine/engine.h"
#include "engine/soft/soft.h"
#include "engine/soft/sys.h"

#define RAM_LEN (2u << 20)
#define TURNS 200

#define AT_CODE 0x1000u
#define AT_TABLES 0x8000u /* PML4, PDPT, PD; PT */
#define AT_GDT 0x10000u
#define AT_IDT 0x11000u
#define AT_TSS 0x12000u
#define AT_STACK 0x20000u

static struct memmap mem;
static struct engine_vm *vm;
static struct vcpu *vcpu;
static struct cpu *c;
static uint8_t *ram, *image;
static unsigned turns;
static _Atomic unsigned round_no; /* of the input, for the watchdog */

static uint32_t pio_read(void *ctx, unsigned cpu, uint16_t port, unsigned size) { return port * 0x01010101u; }
static void pio_write(void *ctx, unsigned cpu, uint16_t port, unsigned size, uint32_t val) {}
static uint64_t mmio_read(void *ctx, unsigned cpu, uint64_t gpa, unsigned size) { return gpa; }
static void mmio_write(void *ctx, unsigned cpu, uint64_t gpa, unsigned size, uint64_t val) {}
static int intr_ack(void *ctx, unsigned cpu) { return 0x20 + (int)(turns & 63); }
static bool intr_pending(void *ctx, unsigned cpu) { return (turns & 7) == 5; }
static uint64_t cr8_read(void *ctx, unsigned cpu) { return 3; }
static void cr8_write(void *ctx, unsigned cpu, uint64_t val) {}
static int msr_rd(void *ctx, unsigned cpu, uint32_t msr, uint64_t *val)
{
	*val = 0xfee00900;
	return 0;
}
static int msr_wr(void *ctx, unsigned cpu, uint32_t msr, uint64_t val) { return msr & 1 ? -22 : 0; }

/* Asked at every turn of the run loop: has it come back after each block, and ends it after some. */
static bool nmi_ack(void *ctx, unsigned cpu)
{
	if (++turns > TURNS)
		soft_engine.kick(vcpu);
	else
		soft_engine.notify(vcpu);
	return false; /* with NMIs masked it would not be asked any more */
}

/* Where nobody asks (in the shadow of STI, after an endless loop has begun) this ends the round. */
static void *watchdog(void *arg)
{
	unsigned last = 0;

	for (;;) {
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
		unsigned now = atomic_load(&round_no);
		if (now == last)
			soft_engine.kick(vcpu);
		last = now;
	}
	return NULL;
}

static const struct vm_host host = {
	.pio_read = pio_read, .pio_write = pio_write, .mmio_read = mmio_read, .mmio_write = mmio_write,
	.intr_ack = intr_ack, .intr_pending = intr_pending, .nmi_ack = nmi_ack, .cr8_read = cr8_read, .cr8_write = cr8_write,
	.apic_msr_read = msr_rd, .apic_msr_write = msr_wr,
};

static void put_desc(unsigned slot, uint64_t v) { le64_store(image + AT_GDT + slot * 8, v); }

/* A machine image in which much works: identity page tables, a GDT of many kinds, gates to AT_CODE */
static void make_image(void)
{
	static const uint64_t descs[] = {
		0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff,
		0x00af9f000000ffff, 0x00009b000000ffff, 0x000093000000ffff, 0x00cf91000000ffff, 0x00409700000000ff,
		0x00cf13000000ffff, 0x0000890120002067, 0, 0x0000820130000fff, 0, 0x0000ec0000081000, 0, 0x00cf9b000000ffff,
		0x0000890128000067, 0x0000e50000980000, 0x000084000008f000, 0x000081012a00002b,
	};
	for (unsigned n = 0; n < ARRAY_LEN(descs); n++)
		put_desc(n, descs[n]);
	for (unsigned v = 0; v < 256; v++)
		le64_store(image + AT_IDT + v * 8, 0x0000ee0000081000 + (v & 7));
	for (unsigned n = 0; n < 0x100; n += 4)
		le32_store(image + AT_TSS + n, AT_STACK + n);
	le16_store(image + AT_TSS + 8, 0x10);
	le16_store(image + AT_TSS + 0x66, 0x68);
	le64_store(image + AT_TABLES, (AT_TABLES + 0x1000) | 7);
	le64_store(image + AT_TABLES + 0x1000, (AT_TABLES + 0x2000) | 7);
	le64_store(image + AT_TABLES + 0x2000, (AT_TABLES + 0x3000) | 7);
	for (uint64_t n = 0; n < 512; n++)
		le64_store(image + AT_TABLES + 0x3000 + n * 8, n << 12 | 7);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct vm_config cfg = { .mem = &mem, .host = &host, .ncpus = 1 };
	pthread_t t;

	if (mem_add_ram(&mem, 0, RAM_LEN, NULL) < 0 || soft_engine.vm_create(&cfg, &vm, NULL) < 0 ||
	    soft_engine.vcpu_create(vm, 0, &vcpu, NULL) < 0)
		abort();
	c = (struct cpu *)vcpu;
	ram = mem_ptr(&mem, 0, RAM_LEN);
	image = calloc(1, RAM_LEN);
	make_image();
	return pthread_create(&t, NULL, watchdog, NULL);
}

static void set_state(uint8_t mode, const uint8_t *seed)
{
	struct x86_state s;
	uint32_t dpl = mode & 4 ? 3u << SEG_DPL_SHIFT : 0, kind = mode & 3;

	x86_state_reset(&s);
	for (unsigned n = 0; n < 16; n++)
		s.gpr[n] = seed[n] & 0x80 ? AT_STACK + seed[n] * 8u : (uint64_t)seed[n] << (seed[n] & 0x40 ? seed[n] & 56 : 0);
	s.gpr[RSP] = AT_STACK + 0x800;
	s.rip = AT_CODE;
	s.rflags = 2 | (uint64_t)seed[16] << 8 | (mode & 8 ? FL_TF : 0);
	s.rflags &= FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | 2;
	s.gdt = (struct x86_table){ AT_GDT, 0x1ff };
	s.idt = (struct x86_table){ AT_IDT, 0x7ff };
	s.tr = (struct x86_seg){ .sel = 0x60, .base = AT_TSS, .limit = 0x2067, .attr = 0x8b };
	s.seg[CS].base = 0;
	if (kind) {
		s.cr0 = CR0_PE | CR0_ET | CR0_NE;
		s.cr4 = CR4_OSFXSR | CR4_OSXSAVE | (kind > 1 ? CR4_PAE | CR4_FSGSBASE : 0);
		for (unsigned n = 0; n < SEG_COUNT; n++)
			s.seg[n] = (struct x86_seg){ .sel = dpl ? 0x23 : 0x10, .limit = ~0u, .attr = 0xc093 | dpl };
		s.seg[CS] = (struct x86_seg){ .sel = dpl ? 0x2b : 8, .limit = ~0u, .attr = (kind == 3 ? 0xa09b : 0xc09b) | dpl };
	}
	if (kind > 1) {
		s.cr0 |= CR0_PG | CR0_WP;
		s.cr3 = AT_TABLES;
		s.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
		s.star = 0x0023000800000000;
		s.lstar = AT_CODE + 8;
	}
	s.sysenter_cs = 8;
	s.sysenter_eip = AT_CODE + 16;
	s.sysenter_esp = AT_STACK;
	if (soft_engine.set_state(vcpu, &s) < 0)
		abort();
}

/* Input: mode, 17 register seeds, 8 bytes for each of two GDT slots and one gate, then code */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cpu_exit ex;
	struct x86_state s;

	if (len < 1 + 17 + 24 + 1)
		return 0;
	memcpy(ram, image, 0x40000);
	memset(ram + 0x40000, data[0], 0x1000);
	memcpy(ram + AT_GDT + 23 * 8, data + 18, 16);
	memcpy(ram + AT_IDT + (data[18] & 31) * 8, data + 34, 8);
	len -= 42;
	memcpy(ram + AT_CODE, data + 42, len < 0x1000 ? len : 0x1000);
	soft_engine.mem_written(vm, 0, RAM_LEN);
	set_state(data[0], data + 1);
#if defined(__x86_64__)
	__asm__ volatile("fninit"); /* the fuzzer's own long double arithmetic leaves flags */
#endif
	turns = 0;
	atomic_fetch_add(&round_no, 1);
	while (turns <= TURNS) {
		if (soft_engine.run(vcpu, &ex) < 0)
			abort();
		if (ex.kind != EXIT_HLT)
			break;
	}
	if (c->gpr[REG_ZERO] || c->cpl > 3 || c->lock_held)
		abort();
	soft_engine.get_state(vcpu, &s);
	return 0;
}
