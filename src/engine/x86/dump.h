/* dump.h - a processor's state as text, for the log when a guest has come to a bad end. */
#ifndef X86_DUMP_H
#define X86_DUMP_H

#include <stddef.h>

struct x86_state;

/* Calls line(ctx, text) for each line of registers, segments and control registers. */
void x86_state_dump(const struct x86_state *s, void (*line)(void *ctx, const char *text), void *ctx);

#endif
