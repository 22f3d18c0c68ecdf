; ends.S - each way for a machine to end: triple faults, resets, a panic, halted for good.
%include "lib.inc"

main:
	EQ "here", 1, 1
%ifdef TRIPLE
	; the gates of #UD, #NP, #GP and #DF are not there
	mov byte [IDT + 6 * 16 + 5], 0
	mov byte [IDT + 8 * 16 + 5], 0
	mov byte [IDT + 11 * 16 + 5], 0
	mov byte [IDT + 13 * 16 + 5], 0
	ud2
%elifdef TRIPLE_LIMIT
	mov word [idtr], 0
	lidt [idtr]
	int3
%elifdef CF9
	mov dx, 0cf9h
	mov al, 6
	out dx, al
%elifdef I8042
.wait:	in al, 64h
	test al, 2
	jnz .wait
	mov al, 0feh
	out 64h, al
%elifdef PORT92
	in al, 92h
	or al, 1
	out 92h, al
%elifdef PANIC
	mov dx, 505h
	in al, dx
	mov al, 1
	out dx, al
%endif
.halt:	cli
	hlt
	jmp .halt
