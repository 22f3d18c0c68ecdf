// arm64_simple.S - what the same guest looks like on ARM64. For reading only: Vibe-VMM runs
// x86-64 guests on every host, and nothing ever executes this.

	.text
	.global _start
_start:
	msr	daifset, #0xf		// mask all interrupts
	mov	x0, #0x2000		// the stack grows down from here
	mov	sp, x0
1:	wfi				// wait for an interrupt that does not come
	b	1b
