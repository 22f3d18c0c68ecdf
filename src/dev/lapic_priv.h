/* lapic_priv.h - what the local APIC's files share. See lapic.h for the whole.
 *
 *   lapic.c registers and priorities   lapic_timer.c   lapic_route.c messages and pins   lapic_set.c all of them */
#ifndef DEV_LAPIC_PRIV_H
#define DEV_LAPIC_PRIV_H

#include "dev/lapic.h"
#include "host/loop.h"

#include <pthread.h>

#define BASE_BSP (1ull << 8)
#define BASE_X2 (1ull << 10)
#define BASE_ENABLE (1ull << 11)

#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC 0x800u

/* Registers by number: offset in the page / 16, and MSR - 800h */
enum {
	REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a, REG_EOI = 0x0b,
	REG_RRD = 0x0c, REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f, REG_ISR = 0x10, REG_TMR = 0x18,
	REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR = 0x30, REG_ICR_HI = 0x31, REG_LVT = 0x32, REG_ICT = 0x38,
	REG_CCT = 0x39, REG_DCR = 0x3e, REG_SELF = 0x3f,
};

/* Local vector table, in register order */
enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_REMOTE_IRR (1u << 14)
#define LVT_LEVEL (1u << 15)
#define LVT_MASKED (1u << 16)
#define LVT_PERIODIC (1u << 17)
#define LVT_DEADLINE (2u << 17)
#define LVT_TIMER_MODE (3u << 17)

#define SVR_ENABLE (1u << 8)
#define SVR_NO_EOI_BROADCAST (1u << 12)
#define SVR_BITS 0x13ffu
#define DCR_BITS 0x0bu

#define ESR_SEND_ILLEGAL (1u << 5)
#define ESR_RECV_ILLEGAL (1u << 6)
#define ESR_REGISTER (1u << 7)

struct lapic {
	struct lapics *all;
	unsigned id;

	_Atomic uint32_t events;                 /* LAPIC_EV_*; set by anybody, cleared by the vcpu */
	_Atomic uint32_t irr[8], tmr[8];         /* set by anybody */
	_Atomic uint32_t isr[8], tpr;            /* written by the vcpu, read by arbitration */
	_Atomic uint64_t base;                   /* IA32_APIC_BASE; written by the vcpu, read by routing */
	_Atomic uint32_t svr, ldr, dfr, lvt[LVT_COUNT]; /* written under the lock, read anywhere */
	_Atomic uint32_t errors;                 /* since the last write to ESR */
	uint32_t esr, icr_lo, icr_hi;            /* the vcpu's */

	pthread_mutex_t lock; /* guards all below, and changes of base, svr and lvt */
	bool lint[2];
	uint32_t ict, dcr;
	uint64_t start_ns;    /* when the count began; of a periodic timer, its first period */
	uint64_t due_ns;      /* next expiry; UINT64_MAX none */
	uint64_t deadline;    /* TSC; 0 none */
	struct loop_timer timer;
};

struct lapics {
	struct lapics_config cfg;
	_Atomic unsigned next; /* where lowest-priority arbitration begins to look, so that equals take turns */
	struct lapic cpu[];
};

/* lapic.c */
extern const uint32_t lapic_lvt_bits[LVT_COUNT]; /* writable bits */
bool lapic_accept(struct lapic *l, uint8_t vector, bool level); /* an interrupt arrives; any thread */
void lapic_event(struct lapic *l, uint32_t ev);                 /* sets a bit of events and notifies; any thread */
void lapic_error(struct lapic *l, uint32_t esr_bit);            /* any thread */
unsigned lapic_ppr(const struct lapic *l);
static inline bool lapic_x2(uint64_t base) { return (base & (BASE_X2 | BASE_ENABLE)) == (BASE_X2 | BASE_ENABLE); }

/* lapic_route.c */
void lapic_icr_send(struct lapic *l, uint32_t icr_lo, uint32_t dest); /* [vcpu] */
void lapic_lvt_raise(struct lapic *l, unsigned which);                /* an edge of a local source */
void lapic_lint_update(struct lapic *l);      /* after changes of base, LVT or pins; under the lock */
void lapic_lint_eoi(struct lapic *l, uint8_t vector);

/* lapic_timer.c; all but the callback under the lock */
void lapic_timer_expired(void *ctx);
void lapic_timer_arm(struct lapic *l, uint64_t now);         /* has the loop wake for due_ns if it matters */
void lapic_timer_stop(struct lapic *l);
void lapic_timer_lvt_write(struct lapic *l, uint32_t old, uint32_t lvt);
void lapic_timer_ict_write(struct lapic *l, uint32_t val);
void lapic_timer_dcr_write(struct lapic *l, uint32_t val);
uint32_t lapic_timer_count(const struct lapic *l, uint64_t now);
void lapic_timer_deadline(struct lapic *l, uint64_t tsc);

/* lapic_set.c */
void lapic_regs_reset(struct lapic *l); /* as INIT leaves them, base aside; under the lock */

#endif
