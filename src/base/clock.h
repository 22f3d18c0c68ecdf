/* clock.h - the host's monotonic clock. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC */
uint64_t clock_now_ns(void);

/* Nanoseconds since the epoch, for the guest's real-time clock */
uint64_t clock_wall_ns(void);

#endif
