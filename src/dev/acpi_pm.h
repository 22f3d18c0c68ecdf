/* acpi_pm.h - ACPI fixed hardware (ACPI 6.4, 4.8): PM1a events and control, PM timer, GPE0.
 *
 *   PORT_ACPI_PM + 00h PM1a_EVT (4)  + 04h PM1a_CNT (2)  + 08h PM_TMR (4)  + 20h GPE0 (4)
 *
 * ACPI mode is always on (SCI_EN reads 1, there is no SMI_CMD). S5 is SLP_TYP 5. The SCI is
 * level-triggered; "asserted" is the line's true level, whichever polarity the tables give. */
#ifndef DEV_ACPI_PM_H
#define DEV_ACPI_PM_H

#include "core/device.h"
#include "core/irq.h"

struct acpi_pm;
struct bus;
struct err;
struct loop;
struct power_sink;

#define ACPI_PM_S5_TYP 5
#define ACPI_PM_TIMER_HZ 3579545u

/* @power outlives the device */
int acpi_pm_create(struct bus *pio, struct irq_line sci, struct loop *loop, const struct power_sink *power,
		   struct acpi_pm **out, struct err *e);
extern const struct device_ops acpi_pm_ops;

void acpi_pm_power_button(struct acpi_pm *);       /* any thread */
void acpi_pm_gpe(struct acpi_pm *, unsigned bit);  /* sets GPE0 status @bit (0-15). Any thread */

#endif
