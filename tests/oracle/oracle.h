/* oracle.h - differential test of the software CPU against the host's own processor.
 *
 * One vector is one unprivileged instruction with a complete user-visible start state. It
 * runs natively in a sandboxed stub (native.c) and on struct cpu (sim.c) at the same linear
 * addresses, and both outcomes are compared (compare.c). gen.c makes vectors from a seed.
 *
 * Linear layout, the same on both sides (all below 2 GiB so that every addressing form reaches it):
 *   STUB_BASE     stub code, its state block, landing pads; the instruction at INSN_ADDR
 *   SCRATCH       two writable pages, one read-only page; unmapped pages on both sides */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/soft/insn.h"

#define STUB_BASE   0x10000000ull
#define INSN_ADDR   (STUB_BASE + 0x4800) /* instruction under test */
#define PAD_BACK    (INSN_ADDR - 0x40)   /* landing pads: leave the sandbox at once */
#define PAD_FWD     (INSN_ADDR + 0x40)
#define PAD_FAR     (STUB_BASE + 0x5000)
#define SCRATCH     0x20000000ull
#define SCRATCH_RW  0x2000ull /* bytes writable */
#define SCRATCH_LEN 0x3000ull /* with the read-only page */

struct poke {
	uint64_t addr;
	uint8_t len;
	uint8_t bytes[64];
};

/* The state before the instruction */
struct vec {
	uint8_t code[16];
	unsigned len;
	struct insn in; /* as our decoder sees it */
	uint64_t gpr[16], flags;
	uint8_t fx[512] __attribute__((aligned(16))); /* FXSAVE64 image: x87, MXCSR, XMM */
	uint8_t ymm[256];                             /* the upper halves of YMM0 to YMM15 */
	struct poke poke[6];
	unsigned npoke;
};

/* The state behind it */
struct outcome {
	uint64_t gpr[16], flags, rip;
	uint8_t fx[512] __attribute__((aligned(16)));
	uint8_t ymm[256];
	int vector; /* exception, -1 none; then rip and everything else are as the handler sees them */
	uint64_t error, cr2;
};

/* native.c: this process's sandbox; one thread only */
int native_init(void);
void native_run(const struct vec *, struct outcome *);
uint8_t *native_scratch(void); /* SCRATCH_LEN bytes, always writable here */
uint64_t native_fs_base(void);
bool native_has(enum feature);
uint16_t native_sreg(unsigned seg); /* selectors of this process's 64-bit code */

/* sim.c */
int sim_init(void);
void sim_fini(void);
void sim_run(const struct vec *, struct outcome *);
uint8_t *sim_scratch(void);
bool sim_has(const struct insn *); /* our CPUID offers it, or has a handler for it */

/* gen.c: forms and vectors */
struct form;
int gen_init(uint64_t seed);
unsigned gen_forms(void);
void gen_form_name(unsigned form, char *buf, size_t len);
bool gen_vec(uint64_t seed, unsigned form, struct vec *); /* false: no encoding found */
const uint8_t *gen_scratch(void);                         /* SCRATCH_LEN bytes of start contents */

/* values.c: random data */
struct rng {
	uint64_t s;
};
uint64_t rnd(struct rng *);
static inline unsigned rnd_n(struct rng *r, unsigned n) { return (unsigned)((rnd(r) >> 11) % n); }
uint64_t rnd_int(struct rng *);                                       /* an interesting integer */
void rnd_bytes(struct rng *, uint8_t *, unsigned len, unsigned kind); /* interesting data; kind 0..7 */
void rnd_fx(struct rng *, uint8_t fx[512], bool calm);                /* FXSAVE image; calm: everything masked */

/* compare.c: true if equal; otherwise a report of what differs goes to f (NULL: none) */
bool compare(const struct vec *, const struct outcome *native, const struct outcome *sim, FILE *f);
void print_vec(const struct vec *, FILE *f);
const char *disasm(const struct vec *, char *buf, size_t len);

/* exclude.c: NULL, or why the instruction cannot be compared */
const char *exclude_reason(const struct insn *);

#endif
