/* native.c - runs one instruction on the host's processor and captures everything it does.
 *
 * The stub (stub.S) keeps its state at RIP-relative addresses, so that the instruction may have every
 * register. What it must not have is FS (thread-local storage) and a changed CS or SS. */
#include "oracle.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include "engine/x86/state.h"

extern const uint8_t stub_image[], stub_image_end[];
extern const uint64_t stub_off_enter, stub_off_exit_fault, stub_off_state, stub_off_exit[4];

#define XSAVE_LEN 832
enum { XS_BV = 512, XS_YMM = 576, XS_AVX = 4 };

/* The stub's state block; stub.S has the same layout */
struct stub_state {
	uint8_t in_fx[XSAVE_LEN], out_fx[XSAVE_LEN]; /* standard XSAVE format */
	uint64_t in_gpr[16], out_gpr[16];
	uint64_t in_flags, out_flags, host_rsp;
	uint32_t out_which, host_mxcsr;
	uint32_t xmask; /* components: x87, SSE, and AVX where the host has it */
};

static volatile struct stub_state *st;
static volatile sig_atomic_t inside;
static struct outcome *fault_out; /* where the handler leaves what it finds */
static volatile bool faulted;
static uint8_t *scratch_alias;

static const int greg_of[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				 REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

/* The XMM registers' upper halves from an area; a component in its initial state need not be there */
static void get_ymm(uint8_t ymm[256], const uint8_t *area)
{
	if (area[XS_BV] & XS_AVX)
		memcpy(ymm, area + XS_YMM, 256);
	else
		memset(ymm, 0, 256);
}

static void on_fault(int sig, siginfo_t *si, void *arg)
{
	ucontext_t *uc = arg;
	greg_t *g = uc->uc_mcontext.gregs;

	if (!inside) {
		/* a fault of the test program itself: die of it */
		signal(sig, SIG_DFL);
		return;
	}
	for (int i = 0; i < 16; i++)
		fault_out->gpr[i] = (uint64_t)g[greg_of[i]];
	fault_out->rip = (uint64_t)g[REG_RIP];
	fault_out->flags = (uint64_t)g[REG_EFL];
	fault_out->vector = (int)g[REG_TRAPNO];
	fault_out->error = (uint64_t)g[REG_ERR];
	fault_out->cr2 = (uint64_t)g[REG_CR2];
	memcpy(fault_out->fx, uc->uc_mcontext.fpregs, 512);
	if (st->xmask & XS_AVX)
		get_ymm(fault_out->ymm, (const uint8_t *)uc->uc_mcontext.fpregs);
	faulted = true;
	g[REG_RIP] = (greg_t)(STUB_BASE + stub_off_exit_fault);
	g[REG_RSP] = (greg_t)st->host_rsp;
	g[REG_EFL] = 2;
}

static void jump_rel32(uint64_t at, uint64_t to)
{
	volatile uint8_t *p = (volatile uint8_t *)(uintptr_t)at;
	uint32_t d = (uint32_t)(to - at - 5);

	p[0] = 0xe9;
	for (int i = 0; i < 4; i++)
		p[i + 1] = (uint8_t)(d >> 8 * i);
}

static int map_scratch(void)
{
	int fd = memfd_create("oracle-scratch", 0);
	void *p;

	if (fd < 0 || ftruncate(fd, SCRATCH_LEN))
		return -errno;
	p = mmap((void *)(uintptr_t)SCRATCH, SCRATCH_LEN, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, 0);
	scratch_alias = mmap(NULL, SCRATCH_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != (void *)(uintptr_t)SCRATCH || scratch_alias == MAP_FAILED)
		return -ENOMEM;
	memset(p, 0, SCRATCH_LEN);
	if (mprotect((void *)(uintptr_t)(SCRATCH + SCRATCH_RW), SCRATCH_LEN - SCRATCH_RW, PROT_READ))
		return -errno;
	return 0;
}

int native_init(void)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	size_t len = (size_t)(stub_image_end - stub_image);
	size_t alt_len = 1 << 16;
	void *p, *alt;
	stack_t ss;
	int r;

	p = mmap((void *)(uintptr_t)STUB_BASE, len, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
	if (p != (void *)(uintptr_t)STUB_BASE)
		return -ENOMEM;
	memcpy(p, stub_image, len);
	if (mprotect(p, 0x1000, PROT_READ | PROT_EXEC))
		return -errno;
	st = (volatile struct stub_state *)(uintptr_t)(STUB_BASE + stub_off_state);
	st->xmask = native_has(F_AVX) ? 7 : 3;
	if ((r = map_scratch()))
		return r;
	alt = mmap(NULL, alt_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (alt == MAP_FAILED)
		return -ENOMEM;
	ss = (stack_t){ .ss_sp = alt, .ss_size = alt_len };
	if (sigaltstack(&ss, NULL))
		return -errno;
	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		if (sigaction(sigs[i], &sa, NULL))
			return -errno;
	return 0;
}

uint8_t *native_scratch(void) { return scratch_alias; }

uint64_t native_fs_base(void)
{
	uint64_t base = 0;

	syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
	return base;
}

uint16_t native_sreg(unsigned seg)
{
	uint16_t v = 0;

	switch (seg) {
	case ES: __asm__("mov %%es, %0" : "=r"(v)); break;
	case CS: __asm__("mov %%cs, %0" : "=r"(v)); break;
	case SS: __asm__("mov %%ss, %0" : "=r"(v)); break;
	case DS: __asm__("mov %%ds, %0" : "=r"(v)); break;
	case FS: __asm__("mov %%fs, %0" : "=r"(v)); break;
	case GS: __asm__("mov %%gs, %0" : "=r"(v)); break;
	}
	return v;
}

/* Features that the host may lack, by CPUID leaf (subleaf 0), register (0 EBX, 1 ECX, 2 EDX) and bit */
static const struct {
	uint8_t feature;
	uint32_t leaf;
	uint8_t reg, bit;
} feature_bits[] = {
	{ F_SSE3, 1, 1, 0 },      { F_PCLMUL, 1, 1, 1 },         { F_SSSE3, 1, 1, 9 },
	{ F_FMA, 1, 1, 12 },      { F_CX16, 1, 1, 13 },          { F_SSE41, 1, 1, 19 },
	{ F_SSE42, 1, 1, 20 },    { F_MOVBE, 1, 1, 22 },         { F_POPCNT, 1, 1, 23 },
	{ F_AES, 1, 1, 25 },      { F_XSAVE, 1, 1, 27 },         { F_AVX, 1, 1, 28 },
	{ F_F16C, 1, 1, 29 },     { F_BMI1, 7, 0, 3 },           { F_AVX2, 7, 0, 5 },
	{ F_BMI2, 7, 0, 8 },      { F_ADX, 7, 0, 19 },           { F_CLFLUSHOPT, 7, 0, 23 },
	{ F_CLWB, 7, 0, 24 },     { F_SHA, 7, 0, 29 },           { F_AVX512F, 7, 0, 16 },
	{ F_AVX512DQ, 7, 0, 17 }, { F_AVX512CD, 7, 0, 28 },      { F_AVX512BW, 7, 0, 30 },
	{ F_AVX512VL, 7, 0, 31 }, { F_VAES, 7, 1, 9 },           { F_VPCLMUL, 7, 1, 10 },
	{ F_PKU, 7, 1, 4 },       { F_RDPID, 7, 1, 22 },         { F_FSGSBASE, 7, 0, 0 },
	 { F_LZCNT, 0x80000001, 1, 5 }, { F_3DNOWPREFETCH, 0x80000001, 1, 8 },
};

bool native_has(enum feature f)
{
	static uint64_t known, have; /* CPUID may cost microseconds */
	unsigned r[4];

	if (known >> f & 1)
		return have >> f & 1;
	known |= 1ull << f;
	have |= 1ull << f;
	for (unsigned n = 0; n < sizeof(feature_bits) / sizeof(feature_bits[0]); n++)
		if (feature_bits[n].feature == f &&
		    (!__get_cpuid_count(feature_bits[n].leaf, 0, &r[3], &r[0], &r[1], &r[2]) ||
		     !(r[feature_bits[n].reg] >> feature_bits[n].bit & 1)))
			have &= ~(1ull << f);
	return have >> f & 1;
}

void native_run(const struct vec *v, struct outcome *o)
{
	const uint64_t exits[4] = { INSN_ADDR + v->len, PAD_BACK, PAD_FWD, PAD_FAR };
	uint8_t *code = (uint8_t *)(uintptr_t)INSN_ADDR;
	void (*enter)(void) = (void (*)(void))(uintptr_t)(STUB_BASE + stub_off_enter);

	memset(o, 0, sizeof(*o));
	memset(code, 0xcc, 32);
	memcpy(code, v->code, v->len);
	jump_rel32(INSN_ADDR + v->len, STUB_BASE + stub_off_exit[0]);
	memcpy((void *)(uintptr_t)st->in_fx, v->fx, 512);
	memcpy((void *)(uintptr_t)(st->in_fx + XS_YMM), v->ymm, 256);
	st->in_fx[XS_BV] = (uint8_t)st->xmask;
	memcpy((void *)(uintptr_t)st->in_gpr, v->gpr, sizeof(v->gpr));
	st->in_flags = v->flags;
	fault_out = o;
	faulted = false;
	inside = 1;
	enter();
	inside = 0;
	if (!faulted) {
		memcpy(o->gpr, (void *)(uintptr_t)st->out_gpr, sizeof(o->gpr));
		o->flags = st->out_flags;
		memcpy(o->fx, (void *)(uintptr_t)st->out_fx, 512);
		get_ymm(o->ymm, (const uint8_t *)(uintptr_t)st->out_fx);
		o->vector = -1;
		o->rip = exits[st->out_which & 3];
	} else if (o->rip != INSN_ADDR) {
		/* The instruction is done, and where it went there is no code: INT3 fill, or no page at all */
		if (o->vector == EXC_BP)
			o->rip--;
		o->vector = -1;
		o->error = 0;
	}
}
