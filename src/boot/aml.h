/* aml.h - writes ACPI Machine Language, the byte code of the DSDT (ACPI 6.4 chapter 20).
 *
 * Each function appends one construct. Blocks nest: aml_scope or aml_device give a mark that
 * aml_end takes, innermost first. A full buffer sets `full` and swallows the rest. */
#ifndef BOOT_AML_H
#define BOOT_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t cap, len;
	bool full;
};

/* @path: four characters, or with a leading backslash ("\\_SB_") */
size_t aml_scope(struct aml *a, const char *path);
size_t aml_device(struct aml *a, const char *name);
void aml_end(struct aml *a, size_t mark);

void aml_name_int(struct aml *a, const char *name, uint32_t v);
void aml_name_string(struct aml *a, const char *name, const char *s);
void aml_name_eisaid(struct aml *a, const char *name, const char *id);               /* "PNP0501" */
void aml_name_package(struct aml *a, const char *name, const uint8_t *v, uint8_t n); /* of small integers */

void aml_int(struct aml *a, uint32_t v);                           /* an element of a package */
void aml_name_buffer(struct aml *a, const char *name, const uint8_t *v, size_t n);
/* Packages of @n elements, named or an element of another; ended by aml_end */
size_t aml_name_package_begin(struct aml *a, const char *name, uint8_t n);
size_t aml_package_begin(struct aml *a, uint8_t n);

/* _CRS with fixed port ranges and at most one ISA interrupt */
struct aml_ports {
	uint16_t base;
	uint8_t len;
};
#define AML_NO_IRQ (-1)
void aml_crs(struct aml *a, const struct aml_ports *ports, unsigned nports, int irq);

#endif
