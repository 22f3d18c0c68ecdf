/* gen.h - between form.c (which encodings there are), encode.c (bytes) and gen.c (start states). */
#ifndef ORACLE_GEN_H
#define ORACLE_GEN_H

#include "oracle.h"

enum { TMAP_ONE, TMAP_0F, TMAP_0F38, TMAP_0F3A };

/* One way to encode a form; what is not said here is free */
struct template
{
	uint64_t key; /* of the form: operation, operands, prefixes */
	uint8_t map, opcode;
	uint8_t prefix;                    /* 0, 66, F2, F3 */
	bool lock, rexw, vex, vexl, rep66; /* rep66: 66 besides F2 or F3 */
	uint8_t modrm;                     /* 0: none, 1: memory, 2: register */
	uint8_t reg, rm; /* ModRM fields (rm of registers); may be varied if the form stays the same */
};

struct form {
	uint64_t key;
	unsigned first, count; /* templates */
	struct insn sample;
};

uint64_t form_key(const struct insn *);
int form_init(void);
unsigned form_count(void);
const struct form *form_get(unsigned);
const struct template *form_template(unsigned);

/* Random bytes of template t into code; where the fields lie that gen.c patches */
struct encoding {
	uint8_t code[16];
	unsigned len;
	int disp_at;  /* offset of a 4-byte displacement, or -1 */
	bool rel8;    /* a branch displacement, if any, is the last byte (else the last four) */
	int moffs_at; /* offset of an address that the opcode itself has, or -1 */
};
bool encode(struct rng *, const struct template *, struct encoding *, struct insn *);

#endif
