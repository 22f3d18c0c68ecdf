; interrupts.S - PIC, PIT, IOAPIC, local APIC timer and self-IPI, STI shadow, HLT.
%include "lib.inc"

LAPIC equ 0fee00000h
IOAPIC equ 0fec00000h

%macro OUTB 2
	mov al, %2
	out %1, al
%endmacro

main:
	mov r15d, LAPIC
	mov r14d, IOAPIC
	GATE 20h, irq0, 0, 8eh
	GATE 30h, on_30, 0, 8eh
	GATE 31h, on_31, 0, 8eh
	GATE 0ffh, on_spurious, 0, 8eh
	mov rcx, 1bh
	rdmsr
	and eax, 0fffff900h
	EQ "local APIC enabled, boot processor, at its usual place", rax, LAPIC | 900h
	mov dword [r15 + 0f0h], 1ffh
	mov dword [r15 + 80h], 0
	call t_pic
	call t_shadow
	call t_ioapic
	call t_self
	call t_timer
	call t_priority
	call t_x2apic
	ret

irq0:	inc qword [count]
	push rax
	push rdx
	lea rax, [rsp + 16]
	mov rax, [rax]
	mov [at_rip], rax
	cmp qword [pic_eoi], 0
	je .apic
	mov al, 20h
	out 20h, al
	jmp .end
.apic:	mov dword [r15 + 0b0h], 0
.end:	pop rdx
	pop rax
	iretq
on_30:	inc qword [count30]
	push rax
	mov rax, [seq]
	shl rax, 8
	mov al, 30h
	mov [seq], rax
	mov dword [r15 + 0b0h], 0
	pop rax
	iretq
on_31:	inc qword [count31]
	push rax
	mov rax, [seq]
	shl rax, 8
	mov al, 31h
	mov [seq], rax
	mov dword [r15 + 0b0h], 0
	pop rax
	iretq
on_spurious:
	iretq

pic_init:
	OUTB 20h, 11h
	OUTB 21h, 20h
	OUTB 21h, 4
	OUTB 21h, 1
	OUTB 0a0h, 11h
	OUTB 0a1h, 28h
	OUTB 0a1h, 2
	OUTB 0a1h, 1
	OUTB 21h, 0feh
	OUTB 0a1h, 0ffh
	ret

; Waits until [rsi] has reached rcx, halted in between
wait_for:
	cli
	cmp [rsi], rcx
	jae .done
	sti
	hlt
	jmp wait_for
.done:	ret

t_pic:
	mov qword [pic_eoi], 1
	mov dword [r15 + 350h], 700h ; LINT0: ExtINT
	call pic_init
	in al, 21h
	movzx eax, al
	EQ "PIC: mask reads back", rax, 0feh
	OUTB 43h, 34h  ; channel 0, mode 2, 1 ms
	OUTB 40h, 0a9h
	OUTB 40h, 4
	mov rsi, count
	mov qword [count], 0
	mov rcx, 5
	call wait_for
	EQ "PIT through the PIC: five ticks with interrupts on", 1, 1
	cli
	; a tick stays pending while interrupts are off
	mov rbx, [count]
.poll:	OUTB 20h, 0ah
	in al, 20h
	test al, 1
	jz .poll
	EQ "interrupts off: nothing delivered", [count], rbx
	sti
	nop
	nop
	cli
	inc rbx
	EQ "interrupts on: delivered", [count], rbx
	; one shot, mode 0
	OUTB 43h, 30h
	OUTB 40h, 0ffh
	OUTB 40h, 1
	mov qword [count], 0
	mov rcx, 1
	call wait_for
	EQ "PIT, one shot", [count], 1
	; masked: nothing comes
	OUTB 21h, 0ffh
	ret

; The instruction after STI runs before an interrupt is taken
t_shadow:
	OUTB 21h, 0feh
	OUTB 43h, 30h
	OUTB 40h, 40h
	OUTB 40h, 0
.poll:	OUTB 20h, 0ah
	in al, 20h
	test al, 1
	jz .poll
	xor eax, eax
	sti
	mov eax, 1
.here:	cli
	EQ "STI: the next instruction comes first", [at_rip], .here
	; STI; CLI lets nothing in
	OUTB 43h, 30h
	OUTB 40h, 40h
	OUTB 40h, 0
.poll2:	OUTB 20h, 0ah
	in al, 20h
	test al, 1
	jz .poll2
	mov rbx, [count]
	sti
	cli
	EQ "STI, CLI: nothing gets in", [count], rbx
	sti
	nop
	cli
	inc rbx
	EQ "STI, NOP: it does", [count], rbx
	; STI; HLT does not lose a pending interrupt, and goes on behind HLT
	OUTB 43h, 30h
	OUTB 40h, 40h
	OUTB 40h, 0
.poll3:	OUTB 20h, 0ah
	in al, 20h
	test al, 1
	jz .poll3
	sti
	hlt
.behind:
	cli
	EQ "STI, HLT: goes on behind HLT", [at_rip], .behind
	; MOV SS holds interrupts back for one instruction
	OUTB 43h, 30h
	OUTB 40h, 40h
	OUTB 40h, 0
.poll4:	OUTB 20h, 0ah
	in al, 20h
	test al, 1
	jz .poll4
	mov ecx, DATA
	mov rbx, [count]
	pushfq
	or dword [rsp], 200h
	popfq          ; no shadow: taken at once
.popped:
	cli
	EQ "POPF: taken at once", [at_rip], .popped
	OUTB 21h, 0ffh
	ret

t_ioapic:
	mov qword [pic_eoi], 0
	mov dword [r15 + 350h], 10700h ; LINT0 masked
	mov dword [r14], 1
	mov eax, [r14 + 10h]
	shr eax, 16
	and eax, 0ffh
	EQ "IOAPIC: 24 pins", rax, 23
	; ISA line 0 is pin 2
	mov eax, [r15 + 20h]
	and eax, 0ff000000h
	mov dword [r14], 15h
	mov [r14 + 10h], eax
	mov dword [r14], 14h
	mov dword [r14 + 10h], 20h
	mov eax, [r14 + 10h]
	EQ "IOAPIC: redirection reads back", rax, 20h
	OUTB 43h, 34h
	OUTB 40h, 0a9h
	OUTB 40h, 4
	mov qword [count], 0
	mov rsi, count
	mov rcx, 5
	call wait_for
	EQ "PIT through the IOAPIC: five ticks", 1, 1
	mov dword [r14], 14h
	mov dword [r14 + 10h], 10020h ; masked
	sti
	nop
	nop
	cli
	ret

t_self:
	mov qword [count30], 0
	mov dword [r15 + 310h], 0
	mov dword [r15 + 300h], 44030h ; self, fixed
	mov eax, [r15 + 210h]
	bt eax, 16
	setc al
	movzx eax, al
	EQ "self-IPI: IRR", rax, 1
	sti
	nop
	nop
	cli
	EQ "self-IPI: delivered", [count30], 1
	mov eax, [r15 + 110h]
	EQ "end of interrupt: ISR is clear", rax, 0
	ret

; Vectors 30h and 31h: same priority class, the higher one first. The task priority holds both back.
t_priority:
	mov qword [seq], 0
	mov qword [count30], 0
	mov rax, 3
	mov cr8, rax
	mov eax, [r15 + 80h]
	EQ "CR8 is the task priority", rax, 30h
	mov dword [r15 + 300h], 44030h
	mov dword [r15 + 300h], 44031h
	sti
	nop
	nop
	cli
	EQ "task priority 3 holds class 3 back", [seq], 0
	xor eax, eax
	mov cr8, rax
	sti
	nop
	nop
	nop
	cli
	EQ "the higher vector first", [seq], 3130h
	ret

t_timer:
	mov dword [r15 + 3e0h], 0bh  ; divide by 1
	mov qword [count30], 0
	mov dword [r15 + 320h], 30h  ; one shot
	mov dword [r15 + 380h], 100000
	mov rsi, count30
	mov rcx, 1
	call wait_for
	EQ "LAPIC timer, one shot", [count30], 1
	mov eax, [r15 + 390h]
	EQ "its count has run out", rax, 0
	mov dword [r15 + 320h], 20030h ; periodic
	mov dword [r15 + 380h], 500000
	mov rcx, 4
	call wait_for
	mov dword [r15 + 380h], 0
	EQ "LAPIC timer, periodic", 1, 1
	mov dword [r15 + 320h], 10030h
	sti
	nop
	nop
	cli
	mov eax, 1
	cpuid
	bt ecx, 24
	jnc .none
	mov dword [r15 + 320h], 40030h ; TSC deadline
	mov qword [count30], 0
	rdtsc
	shl rdx, 32
	or rax, rdx
	add rax, 2000000
	mov rbx, rax
	mov rdx, rax
	shr rdx, 32
	mov ecx, 6e0h
	wrmsr
	mov rsi, count30
	mov rcx, 1
	call wait_for
	rdtsc
	shl rdx, 32
	or rax, rdx
	cmp rax, rbx
	setae al
	movzx eax, al
	EQ "TSC deadline: not early", rax, 1
	mov ecx, 6e0h
	rdmsr
	EQ "TSC deadline: disarmed", rax, 0
	; a deadline that has passed fires at once
	mov eax, 1
	xor edx, edx
	wrmsr
	mov rcx, 2
	call wait_for
	EQ "TSC deadline in the past", [count30], 2
	mov dword [r15 + 320h], 10030h
.none:	ret

t_x2apic:
	mov eax, 1
	cpuid
	bt ecx, 21
	jnc .none
	mov ecx, 802h
	RAISES "x2APIC registers in xAPIC mode", 13, 0, rdmsr
	mov ecx, 1bh
	rdmsr
	or eax, 0c00h
	wrmsr
	mov ecx, 802h
	PASSES "x2APIC: ID", rdmsr
	EQ "x2APIC: ID of the boot processor", rax, 0
	mov qword [count30], 0
	mov ecx, 83fh
	mov eax, 30h
	xor edx, edx
	wrmsr
	sti
	nop
	nop
	cli
	EQ "x2APIC: self-IPI", [count30], 1
	mov ecx, 80bh
	mov eax, 1
	RAISES "x2APIC: end of interrupt, not zero", 13, 0, wrmsr
	mov ecx, 802h
	RAISES "x2APIC: write to the ID", 13, 0, wrmsr
	mov ecx, 1bh
	rdmsr
	btr eax, 10
	RAISES "straight back to xAPIC", 13, 0, wrmsr
.none:	ret

	section .data
count:	dq 0
count30: dq 0
count31: dq 0
seq:	dq 0
at_rip:	dq 0
pic_eoi: dq 0
