/* mc146818.h - the real-time clock and CMOS RAM at ports 70h and 71h.
 *
 * Time is the host's (UTC) plus what the guest has set. The update flag is up in the last
 * 244 us of a second only, so that a guest rarely has to wait for it. */
#ifndef DEV_MC146818_H
#define DEV_MC146818_H

#include "core/device.h"
#include "core/irq.h"

struct bus;
struct err;
struct loop;
struct mc146818;

int mc146818_create(struct bus *pio, struct irq_line irq, struct loop *loop, struct mc146818 **out, struct err *e);
extern const struct device_ops mc146818_ops;

/* Sets a byte of CMOS RAM (14-127) as firmware would; kept over resets. Before vcpus run. */
void mc146818_set_cmos(struct mc146818 *, unsigned idx, uint8_t val);

#endif
