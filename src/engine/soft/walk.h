/* walk.h - guest page-table walks (SDM 3A 4.3-4.6). */
#ifndef SOFT_WALK_H
#define SOFT_WALK_H

#include "engine/soft/cpu.h"

enum access { ACC_R, ACC_W, ACC_X };

/* Who asks */
struct view {
	bool user;     /* user-mode access (CPL 3, explicit) */
	bool smap_off; /* supervisor access that may touch user pages despite CR4.SMAP (RFLAGS.AC, CPL < 3) */
};

struct walk {
	uint64_t gpa;
	uint8_t shift;  /* of the page: 12, 21, 22, 30 */
	bool user, write, exec, dirty, global; /* rights over all levels; D and G of the leaf */
	uint8_t key;    /* protection key, 0 unless CR4.PKE */
};

/* Walks lin for access a. On success fills *w, sets A (and D for writes) in the tables and returns -1;
 * otherwise returns the page-fault error code and changes nothing. lin is canonical. */
int walk_page(struct cpu *, uint64_t lin, enum access a, struct view v, struct walk *w);

/* Only the translation: no rights are checked, nothing is written. -1, or an error code. */
int walk_peek(struct cpu *, uint64_t lin, struct walk *w);

/* Whether view v may do a on a page with the rights in w */
bool walk_allowed(const struct cpu *, const struct walk *w, enum access a, struct view v);

#endif
