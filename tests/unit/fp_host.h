/* fp_host.h - runs one floating-point or SIMD instruction on the host's own processor, for test_fp.c.
 *
 * The instruction uses no register but those loaded here: RAX, RCX, RDX, RBX, RSI, RDI (the base of
 * memory operands), the x87 and XMM registers. Faults come back as vectors. */
#ifndef FP_HOST_H
#define FP_HOST_H

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct host_state {
	uint64_t gpr[8]; /* by register number; RSP and RBP unused */
	uint64_t flags;
	uint8_t fx[512] __attribute__((aligned(16)));
};

static uint8_t *host_code; /* executable: the instruction, then RET */
static sigjmp_buf host_unwind;
static struct host_state *host_faulting;

static void host_signal(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *u = ctx;
	if (!host_faulting) /* not in the sandbox: a fault of the test itself */
		abort();
	uint8_t *fx = (uint8_t *)u->uc_mcontext.fpregs;
	memcpy(host_faulting->fx, fx, 416);
	siglongjmp(host_unwind, (int)u->uc_mcontext.gregs[REG_TRAPNO] + 1);
}

/* Takes over the fault signals: in each test, for cmocka does the same before */
static __attribute__((unused)) void host_init(void)
{
	static uint8_t stack[1 << 16];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_sigaction = host_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	sigaltstack(&ss, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	if (!host_code)
		host_code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static __attribute__((noinline)) void host_call(struct host_state *s)
{
	__asm__ volatile(
		"sub $256, %%rsp\n\t"
		"push %%rbp\n\t"
		"mov %[s], %%r12\n\t"
		"mov %[code], %%r13\n\t"
		"fxrstor64 80(%%r12)\n\t"
		"pushq 64(%%r12)\n\t"
		"popfq\n\t"
		"mov 0(%%r12), %%rax\n\t"
		"mov 8(%%r12), %%rcx\n\t"
		"mov 16(%%r12), %%rdx\n\t"
		"mov 24(%%r12), %%rbx\n\t"
		"mov 48(%%r12), %%rsi\n\t"
		"mov 56(%%r12), %%rdi\n\t"
		"call *%%r13\n\t"
		"mov %%rax, 0(%%r12)\n\t"
		"mov %%rcx, 8(%%r12)\n\t"
		"mov %%rdx, 16(%%r12)\n\t"
		"mov %%rbx, 24(%%r12)\n\t"
		"mov %%rsi, 48(%%r12)\n\t"
		"mov %%rdi, 56(%%r12)\n\t"
		"pushfq\n\t"
		"popq 64(%%r12)\n\t"
		"cld\n\t"
		"fxsave64 80(%%r12)\n\t"
		"pop %%rbp\n\t"
		"add $256, %%rsp"
		:
		: [s] "r"(s), [code] "r"(host_code)
		: "rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "memory", "cc",
		  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
		  "xmm13", "xmm14", "xmm15");
}

_Static_assert(offsetof(struct host_state, fx) == 80, "the assembly knows it");

/* Executes the instruction; s is the state before and after. Returns the vector it raised (s->fx is the
 * state then, the rest undefined) or -1. */
static __attribute__((unused)) int host_run(struct host_state *s, const uint8_t *insn, unsigned len)
{
	int vector;
	uint32_t mxcsr = 0x1f80;
	memcpy(host_code, insn, len);
	host_code[len] = 0xc3;
	host_faulting = s;
	vector = sigsetjmp(host_unwind, 0);
	if (!vector)
		host_call(s);
	host_faulting = NULL;
	__asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
	return vector - 1;
}

#endif
