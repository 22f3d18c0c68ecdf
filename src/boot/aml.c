/* aml.c - writes ACPI Machine Language, the byte code of the DSDT. */
#include "boot/aml.h"

#include "base/bytes.h"

/* ACPI 6.4, 20.2 and 6.4.2 */
enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_EXT = 0x5b,
	AML_EXT_DEVICE = 0x82,
	RES_IO = 0x47, /* I/O ports, 7 bytes follow */
	RES_IO_DECODE16 = 0x01,
	RES_IRQ = 0x22, /* interrupt mask, 2 bytes follow: edge, active high */
	RES_END = 0x79, /* and a checksum, 0 for none */
};

static void aml_bytes(struct aml *a, const void *p, size_t n)
{
	if (a->full || n > a->cap - a->len) {
		a->full = true;
		return;
	}
	memcpy(a->buf + a->len, p, n);
	a->len += n;
}

static void aml_byte(struct aml *a, uint8_t v) { aml_bytes(a, &v, 1); }

void aml_int(struct aml *a, uint32_t v)
{
	uint8_t b[4];

	le32_store(b, v);
	if (v <= 1) {
		aml_byte(a, v ? AML_ONE : AML_ZERO);
	} else if (v <= 0xff) {
		aml_byte(a, AML_BYTE);
		aml_bytes(a, b, 1);
	} else if (v <= 0xffff) {
		aml_byte(a, AML_WORD);
		aml_bytes(a, b, 2);
	} else {
		aml_byte(a, AML_DWORD);
		aml_bytes(a, b, 4);
	}
}

/* Begins what has a PkgLength in front: that is inserted by aml_end, when it is known */
static size_t aml_begin(struct aml *a) { return a->len; }

/* PkgLength (20.2.4) counts itself: one byte up to 63, two bytes up to 4095 */
void aml_end(struct aml *a, size_t mark)
{
	uint8_t head[2];
	size_t n = a->len - mark, h = n + 1 > 63 ? 2 : 1;

	n += h;
	if (a->full || h > a->cap - a->len || n > 4095) {
		a->full = true;
		return;
	}
	head[0] = h == 1 ? (uint8_t)n : (uint8_t)(0x40 | (n & 0xf));
	head[1] = (uint8_t)(n >> 4);
	memmove(a->buf + mark + h, a->buf + mark, a->len - mark);
	memcpy(a->buf + mark, head, h);
	a->len += h;
}

static void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, AML_NAME);
	aml_bytes(a, name, strlen(name));
}

size_t aml_scope(struct aml *a, const char *path)
{
	aml_byte(a, AML_SCOPE);
	size_t mark = aml_begin(a);
	aml_bytes(a, path, strlen(path));
	return mark;
}

size_t aml_device(struct aml *a, const char *name)
{
	aml_byte(a, AML_EXT);
	aml_byte(a, AML_EXT_DEVICE);
	size_t mark = aml_begin(a);
	aml_bytes(a, name, strlen(name));
	return mark;
}

void aml_name_int(struct aml *a, const char *name, uint32_t v)
{
	aml_name(a, name);
	aml_int(a, v);
}

void aml_name_string(struct aml *a, const char *name, const char *s)
{
	aml_name(a, name);
	aml_byte(a, AML_STRING);
	aml_bytes(a, s, strlen(s) + 1);
}

static unsigned hex_digit(char c) { return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10) & 0xf; }

/* Three letters of five bits, four hexadecimal digits, in big-endian order (19.3.4) */
void aml_name_eisaid(struct aml *a, const char *name, const char *id)
{
	uint32_t letters = (uint32_t)(id[0] - '@') << 10 | (uint32_t)(id[1] - '@') << 5 | (uint32_t)(id[2] - '@');
	uint32_t digits = hex_digit(id[3]) << 12 | hex_digit(id[4]) << 8 | hex_digit(id[5]) << 4 | hex_digit(id[6]);

	aml_name(a, name);
	aml_byte(a, AML_DWORD);
	aml_byte(a, (uint8_t)(letters >> 8));
	aml_byte(a, (uint8_t)letters);
	aml_byte(a, (uint8_t)(digits >> 8));
	aml_byte(a, (uint8_t)digits);
}

size_t aml_package_begin(struct aml *a, uint8_t n)
{
	aml_byte(a, AML_PACKAGE);
	size_t mark = aml_begin(a);
	aml_byte(a, n);
	return mark;
}

size_t aml_name_package_begin(struct aml *a, const char *name, uint8_t n)
{
	aml_name(a, name);
	return aml_package_begin(a, n);
}

void aml_name_package(struct aml *a, const char *name, const uint8_t *v, uint8_t n)
{
	size_t mark = aml_name_package_begin(a, name, n);
	for (unsigned i = 0; i < n; i++)
		aml_int(a, v[i]);
	aml_end(a, mark);
}

void aml_name_buffer(struct aml *a, const char *name, const uint8_t *v, size_t n)
{
	aml_name(a, name);
	aml_byte(a, AML_BUFFER);
	size_t mark = aml_begin(a);
	aml_int(a, (uint32_t)n);
	aml_bytes(a, v, n);
	aml_end(a, mark);
}

void aml_crs(struct aml *a, const struct aml_ports *ports, unsigned nports, int irq)
{
	uint8_t r[64];
	size_t n = 0;

	for (unsigned i = 0; i < nports && n + 8 + 5 <= sizeof(r); i++, n += 8) {
		r[n] = RES_IO;
		r[n + 1] = RES_IO_DECODE16;
		le16_store(r + n + 2, ports[i].base); /* lowest and highest base: fixed */
		le16_store(r + n + 4, ports[i].base);
		r[n + 6] = 1; /* alignment */
		r[n + 7] = ports[i].len;
	}
	if (irq != AML_NO_IRQ) {
		r[n] = RES_IRQ;
		le16_store(r + n + 1, (uint16_t)(1u << irq));
		n += 3;
	}
	r[n++] = RES_END;
	r[n++] = 0;
	aml_name_buffer(a, "_CRS", r, n);
}
