/* model.h - models of the guest's processor: which features CPUID offers, by name (--cpu). */
#ifndef SOFT_MODEL_H
#define SOFT_MODEL_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* Features, bit n being enum feature n, of "MODEL[,+FEATURE|,-FEATURE]..."; NULL: the default, which is v3 as far as
 * the host goes. A feature brings what it builds on, and takes along what builds on it.
 * 0, or -EINVAL with a sentence: unknown names, or what this host cannot execute. Any thread. */
int model_parse(const char *spec, uint64_t *features, struct err *e);

/* All that this engine can offer on this host: the model max. */
uint64_t model_max(void);

#endif
