/* dump.c - a processor's state as text. */
#include "engine/x86/dump.h"

#include <stdio.h>

#include "engine/x86/state.h"

typedef unsigned long long ull;

static void dump_seg(const char *name, const struct x86_seg *g, void (*line)(void *, const char *), void *ctx)
{
	char text[160];

	snprintf(text, sizeof(text), "%-4s %04x base %016llx limit %08x attr %05x", name, g->sel, (ull)g->base, g->limit, g->attr);
	line(ctx, text);
}

void x86_state_dump(const struct x86_state *s, void (*line)(void *ctx, const char *text), void *ctx)
{
	static const char *const gpr[16] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
		                             "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15" };
	static const char *const seg[SEG_COUNT] = { "ES", "CS", "SS", "DS", "FS", "GS" };
	char text[160];

	snprintf(text, sizeof(text), "RIP %016llx  RFLAGS %08llx", (ull)s->rip, (ull)s->rflags);
	line(ctx, text);
	for (unsigned n = 0; n < 16; n += 4) {
		snprintf(text, sizeof(text), "%-3s %016llx  %-3s %016llx  %-3s %016llx  %-3s %016llx", gpr[n], (ull)s->gpr[n],
		         gpr[n + 1], (ull)s->gpr[n + 1], gpr[n + 2], (ull)s->gpr[n + 2], gpr[n + 3], (ull)s->gpr[n + 3]);
		line(ctx, text);
	}
	for (unsigned n = 0; n < SEG_COUNT; n++)
		dump_seg(seg[n], &s->seg[n], line, ctx);
	dump_seg("TR", &s->tr, line, ctx);
	dump_seg("LDTR", &s->ldtr, line, ctx);
	snprintf(text, sizeof(text), "GDT  %016llx limit %04x  IDT %016llx limit %04x", (ull)s->gdt.base, s->gdt.limit,
	         (ull)s->idt.base, s->idt.limit);
	line(ctx, text);
	snprintf(text, sizeof(text), "CR0 %08llx  CR2 %016llx  CR3 %016llx  CR4 %08llx  EFER %llx", (ull)s->cr0, (ull)s->cr2,
	         (ull)s->cr3, (ull)s->cr4, (ull)s->efer);
	line(ctx, text);
}
