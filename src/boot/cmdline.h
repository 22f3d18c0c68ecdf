/* cmdline.h - the kernel's command line: its limit, and the few words of it that concern boot code. */
#ifndef BOOT_CMDLINE_H
#define BOOT_CMDLINE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct memmap;

#define CMDLINE_MAX 0xffffu /* our room for it at LAYOUT_CMDLINE, without the final 0 */

/* @word stands in @cmdline by itself, as in "quiet nokaslr" */
bool cmdline_has(const char *cmdline, const char *word);
/* Some word begins with @prefix, as "mem=" in "quiet mem=64M" */
bool cmdline_has_prefix(const char *cmdline, const char *prefix);

/* What "mem=64M" leaves of memory from 0 on, the last such word counting; UINT64_MAX without one.
 * A loader must put nothing above (boot.rst, "special command line options"). */
uint64_t cmdline_mem_limit(const char *cmdline);

/* Writes it with its final 0 to LAYOUT_CMDLINE. -E2BIG when longer than the kernel's own
 * @limit (without the final 0) or ours. */
int cmdline_write(struct memmap *mem, const char *cmdline, uint32_t limit, struct err *e);

#endif
