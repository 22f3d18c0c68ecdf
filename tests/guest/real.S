; real.S - a program that starts in real mode (--mode real): what it finds there, and the way to long mode.
	org 1000h
	bits 16
	default abs
%define RESULT(n) (7000h + (n) * 8)
begin:
	mov ax, cs
	mov [cs:RESULT(0)], ax
	mov ax, ds
	mov [cs:RESULT(1)], ax
	mov ax, ss
	mov [cs:RESULT(2)], ax
	mov [cs:RESULT(3)], sp
	pushfd
	pop eax
	mov [cs:RESULT(5)], eax
	mov eax, cr0
	and eax, 1
	mov [cs:RESULT(4)], eax
	mov eax, 12345678h       ; 32-bit operands work
	mov [cs:RESULT(6)], eax
	; A20: 100000h is not 0
	mov ax, 0ffffh
	mov es, ax
	mov dword [cs:RESULT(20)], 0
	mov dword [es:RESULT(20) + 10h], 1
	mov eax, [cs:RESULT(20)]
	mov [cs:RESULT(7)], eax
	; division error through the IVT
	mov word [0], on_de
	mov word [2], 0
	xor dx, dx
	xor cx, cx
	mov bx, sp
	div cx
behind_de:
	sub bx, sp
	mov [RESULT(9)], bx
	; to long mode: lib.inc makes everything else
	cli
	mov ax, 2000h
	mov es, ax
	xor di, di
	xor eax, eax
	mov cx, 3000h / 4
	rep stosd
	mov dword [es:0], 21003h
	mov dword [es:1000h], 22003h
	mov dword [es:2000h], 83h
	lgdt [gdtr_boot]
	mov eax, cr4
	or eax, 20h
	mov cr4, eax
	mov eax, 20000h
	mov cr3, eax
	mov ecx, 0c0000080h
	rdmsr
	or eax, 100h
	wrmsr
	mov eax, cr0
	or eax, 80000001h ; protection and paging in one step
	mov cr0, eax
	jmp 8:long_entry
on_de:	mov word [cs:RESULT(8)], 1
	push bp
	mov bp, sp
	mov ax, [bp + 2]
	mov [cs:RESULT(10)], ax
	mov word [bp + 2], behind_de
	pop bp
	iret
de_insn equ behind_de - 2
	align 8
gdt_boot:
	dq 0, 00af9a000000ffffh, 00cf92000000ffffh
gdtr_boot:
	dw 23
	dd gdt_boot
%define LIB_HAS_ORG
	bits 64
long_entry:
	mov eax, 10h
	mov ds, eax
	mov es, eax
	mov ss, eax
	jmp entry
%include "lib.inc"

main:
	EQ "cs", [RESULT(0)], 0
	EQ "ds", [RESULT(1)], 0
	EQ "ss", [RESULT(2)], 0
	EQ "sp", [RESULT(3)], 2000h
	EQ "CR0.PE", [RESULT(4)], 0
	EQ "flags", [RESULT(5)], 2
	EQ "32-bit operands", [RESULT(6)], 12345678h
	EQ "A20 is on", [RESULT(7)], 0
	EQ "division error through the IVT", [RESULT(8)], 1
	EQ "its address", [RESULT(10)], de_insn
	EQ "iret: sp", [RESULT(9)], 0
	ret
