; x86_64_simple.S - the smallest guest: interrupts off, a stack, then HLT for ever.
; NASM syntax, long mode, assembled to exactly 24 bytes and loaded at 0x1000.

	bits 64
	org 0x1000

start:
	cli				; nothing may wake the processor from HLT
	mov rsp, strict qword 0x2000	; the stack grows down from here
	xor eax, eax
	xor ebx, ebx
halt:
	hlt				; leaves the guest: "VM exit: HLT"
	jmp halt			; woken all the same (an NMI): halt again

	times 24 - ($ - $$) nop		; a round size; a longer program is an error here
