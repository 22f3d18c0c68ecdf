/* start.h - the state in which a CPU enters the program: mode, segments, descriptor and page tables. */
#ifndef BOOT_START_H
#define BOOT_START_H

#include <stdbool.h>
#include <stdint.h>

struct memmap;
struct x86_state;

#define START_GDT_LEN 48ull /* bytes that start_write_gdt writes */

/* Selectors of a start in protected or long mode. All segments are flat; the data selector also
 * serves SS, ES, FS and GS; the task register points at an empty TSS. */
struct start_selectors {
	uint16_t code, data, task;
};

/* What firmware leaves in every CPU, application processors too: MTRRs that make RAM cacheable. */
void start_firmware(struct x86_state *s);

/* The GDT with these selectors at @gdt, for a 64-bit or a 32-bit code segment. 0 or -EFAULT. */
int start_write_gdt(struct memmap *mem, uint64_t gdt, const struct start_selectors *sel, bool code64);

/* Bytes of page tables that map [0, end) with 2 MiB pages, identity */
uint64_t start_tables_len(uint64_t end);
/* Writes them at @tables, page aligned. 0 or -EFAULT. */
int start_write_tables(struct memmap *mem, uint64_t tables, uint64_t end);

/* Each fills *s wholly: general registers 0, RFLAGS 2, interrupts off, no IDT. */
void start_long(struct x86_state *s, const struct start_selectors *sel, uint64_t gdt, uint64_t tables, uint64_t rip);
void start_protected(struct x86_state *s, const struct start_selectors *sel, uint64_t gdt, uint32_t rip);
void start_real(struct x86_state *s, uint16_t cs, uint16_t ip); /* IDT at 0 as after reset */

#endif
