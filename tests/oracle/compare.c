/* compare.c - compares two outcomes of one vector, leaving out what the SDM leaves undefined. */
#include <Zydis/Zydis.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/x86/state.h"
#include "oracle.h"

const char *disasm(const struct vec *v, char *buf, size_t len)
{
	ZydisDecoder d;
	ZydisFormatter f;
	ZydisDecodedInstruction i;
	ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];

	snprintf(buf, len, "(not decoded by Zydis)");
	ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, v->code, v->len, &i, o)))
		ZydisFormatterFormatInstruction(&f, &i, o, i.operand_count_visible, buf, len, INSN_ADDR, NULL);
	return buf;
}

void print_vec(const struct vec *v, FILE *f)
{
	static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi" };
	char buf[128];

	fprintf(f, "  ");
	for (unsigned i = 0; i < v->len; i++)
		fprintf(f, "%02x", v->code[i]);
	fprintf(f, "  %s\n  in: flags %llx mxcsr %02x%02x fcw %02x%02x fsw %02x%02x\n   ", disasm(v, buf, sizeof(buf)),
		(unsigned long long)v->flags, v->fx[25], v->fx[24], v->fx[1], v->fx[0], v->fx[3], v->fx[2]);
	for (int i = 0; i < 16; i++) {
		if (i < 8)
			fprintf(f, " %s=%llx", names[i], (unsigned long long)v->gpr[i]);
		else
			fprintf(f, " r%d=%llx", i, (unsigned long long)v->gpr[i]);
	}
	fprintf(f, "\n");
	for (unsigned n = 0; n < v->npoke; n++) {
		fprintf(f, "    [%llx] =", (unsigned long long)v->poke[n].addr);
		for (unsigned i = 0; i < v->poke[n].len && i < 32; i++)
			fprintf(f, " %02x", v->poke[n].bytes[i]);
		fprintf(f, "\n");
	}
	if (op_info[v->in.op].name[0] == 'f')
		for (unsigned n = 0; n < 2; n++)
			fprintf(f, "    st%u = %02x%02x %016llx\n", n, v->fx[41 + 16 * n], v->fx[40 + 16 * n],
				(unsigned long long)le64_load(v->fx + 32 + 16 * n));
	for (unsigned n = 0; n < v->in.nopnd; n++) {
		unsigned at, len = 16;

		if (v->in.o[n].kind == O_XMM)
			at = 160 + 16u * (v->in.o[n].reg & 15);
		else if (v->in.o[n].kind == O_MMX || v->in.o[n].kind == O_ST)
			at = 32 + 16u * (v->in.o[n].reg & 7), len = 10;
		else
			continue;
		fprintf(f, "    operand %u =", n);
		for (unsigned i = len; i-- > 0;)
			fprintf(f, "%s%02x", i == len - 1 || (i & 3) != 3 ? (i == len - 1 ? " " : "") : "_",
				v->fx[at + i]);
		if (v->in.o[n].kind == O_XMM && v->in.o[n].size == 32) {
			fprintf(f, ", upper half");
			for (unsigned i = 16; i-- > 0;)
				fprintf(f, "%s%02x", i == 15 ? " " : (i & 3) == 3 ? "_" : "", v->ymm[16u * (v->in.o[n].reg & 15) + i]);
		}
		fprintf(f, "\n");
	}
}

struct diff {
	FILE *f;
	unsigned n;
};

static void differ(struct diff *d, const char *what, uint64_t host, uint64_t ours)
{
	if (host == ours)
		return;
	d->n++;
	if (d->f)
		fprintf(d->f, "    %s: host %llx, ours %llx\n", what, (unsigned long long)host,
			(unsigned long long)ours);
}

static void differ_bytes(struct diff *d, const char *what, unsigned idx, const uint8_t *host, const uint8_t *ours,
			 unsigned len)
{
	if (!memcmp(host, ours, len))
		return;
	d->n++;
	if (!d->f)
		return;
	fprintf(d->f, "    %s%u: host ", what, idx);
	for (unsigned i = len; i-- > 0;)
		fprintf(d->f, "%02x", host[i]);
	fprintf(d->f, "\n    %*s  ours ", (int)strlen(what) + 1, "");
	for (unsigned i = len; i-- > 0;)
		fprintf(d->f, "%02x", ours[i]);
	fprintf(d->f, "\n");
}

/* Arithmetic flags that the instruction leaves defined in this very case */
static uint64_t defined_flags(const struct vec *v, const struct outcome *o)
{
	const struct insn *i = &v->in;
	uint64_t undef = op_info[i->op].flags_undef;
	unsigned count, bits = i->nopnd ? i->o[0].size * 8u : 0;

	switch (i->op) {
	case OP_SHL:
	case OP_SHR:
	case OP_SAR:
	case OP_ROL:
	case OP_ROR:
	case OP_RCL:
	case OP_RCR:
		count = (i->o[1].kind == O_IMM ? (unsigned)i->imm : (unsigned)v->gpr[RCX]) & (bits == 64 ? 63 : 31);
		if (count == 0)
			undef = 0;
		else if (count == 1)
			undef &= ~(uint64_t)FL_OF;
		if (count && count < bits && (i->op == OP_SHL || i->op == OP_SHR))
			undef &= ~(uint64_t)FL_CF;
		if (i->op == OP_SAR)
			undef &= ~(uint64_t)FL_CF;
		break;
	case OP_SHLD:
	case OP_SHRD:
		count = (i->o[2].kind == O_IMM ? (unsigned)i->imm : (unsigned)v->gpr[RCX]) & (bits == 64 ? 63 : 31);
		if (count == 0)
			undef = 0;
		else if (count == 1)
			undef = FL_AF;
		else if (count <= bits)
			undef = FL_AF | FL_OF;
		break;
	case OP_FCOMI:
	case OP_FCOMIP:
	case OP_FUCOMI:
	case OP_FUCOMIP:
		if (o->fx[2] & 0x80) /* unmasked exception: vendors differ */
			undef = FL_ARITH;
		break;
	default: break;
	}
	return FL_ARITH & ~undef;
}

/* The destination is undefined: BSF, BSR of zero keep it on every processor (the SDM says so by now), but
 * 16-bit SHLD, SHRD by more than 16 bits differ */
static bool undefined_result(const struct vec *v)
{
	const struct insn *i = &v->in;

	if (i->op == OP_SHLD || i->op == OP_SHRD) {
		unsigned count = (i->o[2].kind == O_IMM ? (unsigned)i->imm : (unsigned)v->gpr[RCX]) & 31;
		return i->o[0].size == 2 && count > 16;
	}
	return false;
}

/* Condition codes C3 to C0 that the instruction leaves undefined (SDM 2, FPU flags affected), or where the
 * vendors differ */
static unsigned undefined_fsw(const struct vec *v, unsigned fsw, unsigned st0_exp)
{
	const unsigned c0 = 0x100, c1 = 0x200, c2 = 0x400, c3 = 0x4000;

	if (op_info[v->in.op].name[0] != 'f')
		return 0;
	if (fsw & 0x80) /* an unmasked exception: the result is stored or not */
		return c0 | c1 | c2 | c3;
	switch (v->in.op) {
	case OP_FCOM:
	case OP_FCOMP:
	case OP_FCOMPP:
	case OP_FUCOM:
	case OP_FUCOMP:
	case OP_FUCOMPP:
	case OP_FICOM:
	case OP_FICOMP:
	case OP_FTST:
	case OP_FXAM:
	case OP_FNINIT:
	case OP_FLDENV:
	case OP_FRSTOR:
	case OP_FXRSTOR:
	case OP_FNSAVE:
	case OP_FNSTENV:
	case OP_FNSTSW:
	case OP_FXSAVE: return 0;
	case OP_FPREM:
	case OP_FPREM1: /* no quotient: only C2 is defined */ return st0_exp == 0x7fff ? c0 | c1 | c3 : 0;
	case OP_FSIN:
	case OP_FCOS:
	case OP_FSINCOS:
	case OP_FPTAN: return c0 | c3;
	case OP_FCOMI:
	case OP_FCOMIP:
	case OP_FUCOMI:
	case OP_FUCOMIP: /* SDM: C1 = 0; APM: unchanged */ return c0 | c1 | c2 | c3;
	case OP_FFREE:
	case OP_FFREEP:
	case OP_FNOP:
	case OP_FNCLEX:
	case OP_FNSTCW:
	case OP_FLDCW:
	case OP_FWAIT: return c0 | c1 | c2 | c3;
	default: return c0 | c2 | c3;
	}
}

static void compare_x87(struct diff *d, const struct vec *v, const uint8_t *a, const uint8_t *b)
{
	unsigned top = a[3] >> 3 & 7;

	unsigned undef = undefined_fsw(v, a[2], (a[41] & 0x7fu) << 8 | a[40]);

	differ(d, "fcw", a[0] | a[1] << 8, b[0] | b[1] << 8);
	differ(d, "fsw", (a[2] | a[3] << 8) & ~undef, (b[2] | b[3] << 8) & ~undef);
	differ(d, "ftw", a[4], b[4]);
	if (a[2] & 0x80) { /* AMD's store pointers of a pending exception only */
		differ(d, "fop", a[6] | a[7] << 8, b[6] | b[7] << 8);
		differ_bytes(d, "fip", 0, a + 8, b + 8, 4); /* kernels may save the upper half away */
		differ_bytes(d, "fdp", 0, a + 16, b + 16, 4);
	}
	for (unsigned i = 0; i < 8; i++)
		if (a[4] >> ((top + i) & 7) & 1) /* an empty register holds nothing to rely on */
			differ_bytes(d, "st", i, a + 32 + 16 * i, b + 32 + 16 * i, 10);
}

static uint64_t operand_address(const struct vec *v)
{
	const struct insn *i = &v->in;
	uint64_t ea = (i->base == REG_IP     ? INSN_ADDR + v->len
		       : i->base == REG_ZERO ? 0
					     : v->gpr[i->base]) +
		      (i->index == REG_ZERO ? 0 : v->gpr[i->index] << i->scale) + (uint64_t)i->disp;

	if (i->asz == 4)
		ea = (uint32_t)ea;
	if (i->seg == FS)
		ea += native_fs_base();
	return ea;
}

/* Clears bytes that hold a processor's own constants, and pointers that AMD's store for pending exceptions only */
static void mask_memory(const struct vec *v, uint8_t *m)
{
	const struct {
		uint16_t op;
		uint8_t osz, from, to;
	} ranges[] = {
		{ OP_FXSAVE, 0, 6, 24 },   { OP_FXSAVE, 0, 28, 32 },   { OP_XSAVE, 0, 6, 24 },
		{ OP_XSAVE, 0, 28, 32 },   { OP_XSAVEC, 0, 6, 24 },    { OP_XSAVEC, 0, 28, 32 },
		{ OP_XSAVEOPT, 0, 6, 24 }, { OP_XSAVEOPT, 0, 28, 32 }, { OP_FNSAVE, 2, 6, 14 },
		{ OP_FNSTENV, 2, 6, 14 },  { OP_FNSAVE, 0, 12, 28 },   { OP_FNSTENV, 0, 12, 28 },
	};
	uint64_t at = operand_address(v) - SCRATCH;

	for (unsigned n = 0; n < sizeof(ranges) / sizeof(ranges[0]); n++)
		if (ranges[n].op == v->in.op && (!ranges[n].osz || ranges[n].osz == v->in.osz) && at < SCRATCH_LEN - 32)
			memset(m + at + ranges[n].from, 0, ranges[n].to - ranges[n].from);
}

static void compare_memory(struct diff *d, const struct vec *v)
{
	uint8_t *a = native_scratch(), *b = sim_scratch();

	if (!memcmp(a, b, SCRATCH_LEN))
		return;
	mask_memory(v, a);
	mask_memory(v, b);
	for (unsigned n = 0, shown = 0; n < SCRATCH_LEN && shown < 8; n += 8)
		if (memcmp(a + n, b + n, 8)) {
			uint64_t x, y;

			memcpy(&x, a + n, 8);
			memcpy(&y, b + n, 8);
			d->n++;
			shown++;
			if (d->f)
				fprintf(d->f, "    [%llx]: host %016llx, ours %016llx\n",
					(unsigned long long)SCRATCH + n, (unsigned long long)x, (unsigned long long)y);
		}
}

/* The operand is larger than one access */
static bool many_accesses(const struct vec *v)
{
	for (unsigned n = 0; n < v->in.nopnd; n++)
		if (v->in.o[n].kind == O_MEM && (v->in.o[n].size == 0 || v->in.o[n].size > 16))
			return true;
	return false;
}

/* What a fault on the way leaves in memory is not defined: stack words of ENTER, part of a large image */
static bool writes_before_fault(const struct vec *v) { return v->in.op == OP_ENTER || many_accesses(v); }

/* Error code bits not to compare: far from the scratch pages the host's kernel has mappings of its own */
static uint64_t strange(const struct outcome *o)
{
	return o->vector == EXC_PF && o->cr2 - (SCRATCH - 0x10000) > 0x20000 ? PF_P : 0;
}

bool compare(const struct vec *v, const struct outcome *a, const struct outcome *b, FILE *f)
{
	static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
	struct diff d = { f, 0 };
	const uint64_t other = FL_DF | FL_IF | FL_TF | FL_IOPL | FL_NT | FL_AC | FL_ID;

	if (a->vector >= 0 && b->vector >= 0 && v->in.op == OP_CALL)
		return true; /* the target is checked first, or the stack */
	/* not canonical and not aligned: #SS or #GP, whichever is looked for first */
	if (a->vector + b->vector == EXC_SS + EXC_GP && (a->vector == EXC_SS || b->vector == EXC_SS) &&
	    (operand_address(v) & (many_accesses(v) ? 63 : 15)))
		return true;
	differ(&d, "exception", (uint64_t)(int64_t)a->vector, (uint64_t)(int64_t)b->vector);
	differ(&d, "rip", a->rip, b->rip);
	if (a->vector == b->vector && a->vector >= 0) {
		/* many accesses are made in any order: any page of the operand may be the one that faults */
		if (a->vector != EXC_PF || !many_accesses(v))
			differ(&d, "error code", a->error & ~strange(a), b->error & ~strange(a));
		if (a->vector == EXC_PF && !many_accesses(v))
			differ(&d, "cr2", a->cr2, b->cr2);
	}
	/* after a fault, flags are as before where the instruction is not a repeated one */
	differ(&d, "flags", a->flags & (other | defined_flags(v, a)), b->flags & (other | defined_flags(v, a)));
	if (!undefined_result(v)) {
		for (int i = 0; i < 16; i++)
			differ(&d, names[i], a->gpr[i], b->gpr[i]);
		if (a->vector < 0 || !writes_before_fault(v))
			compare_memory(&d, v);
	}
	differ(&d, "mxcsr", a->fx[24] | (unsigned)a->fx[25] << 8, b->fx[24] | (unsigned)b->fx[25] << 8);
	for (unsigned i = 0; i < 16; i++)
		differ_bytes(&d, "xmm", i, a->fx + 160 + 16 * i, b->fx + 160 + 16 * i, 16);
	for (unsigned i = 0; i < 16; i++)
		differ_bytes(&d, "ymm-high", i, a->ymm + 16 * i, b->ymm + 16 * i, 16);
	/* MMX state before a fault, or after; an unmasked denormal operand loaded, or not */
	if (a->vector < 0 ? !((a->fx[2] & 0x80) && (a->fx[2] & ~a->fx[0] & 2))
			  : a->vector != EXC_XM && v->in.op != OP_MASKMOVQ)
		compare_x87(&d, v, a->fx, b->fx);
	return !d.n;
}
