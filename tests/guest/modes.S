; modes.S - compatibility mode, 16-bit code, out of long mode to protected and real mode, and back.
;
; Code that is not 64-bit leaves what it finds at R(n); 64-bit code compares.
%include "lib.inc"

%define R(n) (FREE + (n) * 8)
RESULTS equ 64

; SEES "name", n, expected
%macro SEES 3
	EQ %1, [R(%2)], %3
%endmacro
; In 16- and 32-bit code: runs the instruction, then stores vector and error code at R(n), R(n+1)
%macro TRY 2+ ; n, instruction
	mov dword [exc_vec], -1
	mov dword [exc_error], 0
	mov dword [resume_rip], %%after
	%2
%%after:
	mov eax, [exc_vec]
	mov [R(%1)], eax
	mov eax, [exc_error]
	mov [R(%1 + 1)], eax
	mov dword [resume_rip], 0
%endmacro
LIMITED equ FREE_SEL        ; data, base 60000h + RESULTS * 8, limit 0fh
DOWN equ FREE_SEL + 8       ; expand-down data, limit 0ffffh, big
RONLY equ FREE_SEL + 10h
CONFORM equ FREE_SEL + 18h  ; conforming 32-bit code
GATE64 equ FREE_SEL + 20h   ; 64-bit call gate for CPL 3, two slots

main:
	mov edi, FREE
	mov ecx, 2000h
	xor eax, eax
	rep stosb
	mov rax, 0040920000000000h | (FREE + RESULTS * 8) << 16 | 0fh
	mov [gdt + LIMITED], rax
	mov rax, 0040960000000000h | 0ffffh
	mov [gdt + DOWN], rax
	mov rax, 00cf90000000ffffh
	mov [gdt + RONLY], rax
	mov rax, 00cf9e000000ffffh
	mov [gdt + CONFORM], rax
	call t_compat
	call t_16
	call t_gate
	call t_legacy
	ret

clear:	mov edi, FREE
	mov ecx, RESULTS
	xor eax, eax
	rep stosq
	ret
	[section .data]
saved_rsp: dq 0
	__SECT__

t_compat:
	push CODE32
	push .code
	retfq
	bits 32
.code:	mov eax, 0ffffffffh
	db 40h               ; inc eax, no REX here
	mov [R(0)], eax
	mov ecx, esp
	push dword 11223344h
	mov edx, esp
	sub ecx, edx
	mov [R(1)], ecx
	pop dword [R(2)]
	mov eax, 1
	mov ecx, 2
	mov edx, 3
	mov ebx, 4
	mov ebp, 5
	mov esi, 6
	mov edi, 7
	mov [R(3)], esp
	pusha
	mov eax, [esp + 28]
	shl eax, 8
	mov al, [esp + 24]
	shl eax, 8
	mov al, [esp]
	mov [R(4)], eax
	mov eax, [esp + 12]
	sub [R(3)], eax
	xor edi, edi
	popa
	mov [R(5)], edi
	; decimal arithmetic
	mov al, 79h
	add al, 35h
	daa
	setc ah
	mov [R(6)], ax
	mov al, 35h
	sub al, 47h
	das
	setc ah
	mov [R(7)], ax
	mov ax, 0ah
	aaa
	mov [R(8)], ax
	mov ax, 0207h
	aad
	mov [R(9)], al
	mov al, 53
	aam
	mov [R(10)], ax
	stc
	db 0d6h              ; salc
	mov [R(11)], al
	; bound, into
	mov dword [R(60)], 5
	mov dword [R(60) + 4], 10
	mov ecx, 11
	TRY 12, bound ecx, [R(60)]
	mov ecx, 10
	TRY 14, bound ecx, [R(60)]
	mov al, 7fh
	inc al
	TRY 16, into
	; les, lds
	mov dword [R(60)], 12345678h
	mov word [R(60) + 4], DATA
	les ebx, [R(60)]
	mov [R(18)], ebx
	mov ax, es
	mov [R(19)], ax
	; limits count in compatibility mode
	mov eax, LIMITED
	mov fs, eax
	TRY 20, mov eax, [fs:0ch]
	TRY 22, mov eax, [fs:0dh]
	mov dword [fs:4], 0cafeh
	mov eax, [R(RESULTS) + 4]
	mov [R(24)], eax
	mov eax, DOWN
	mov fs, eax
	TRY 25, mov eax, [fs:0ffffh]
	TRY 27, mov eax, [fs:10000h]
	mov eax, RONLY
	mov fs, eax
	TRY 29, mov [fs:FREE], eax
	TRY 31, mov [cs:FREE], eax
	xor eax, eax
	mov fs, eax
	TRY 33, mov eax, [fs:0]
	; stack segment
	mov eax, LIMITED
	mov ecx, esp
	mov ss, eax
	mov esp, 10h
	push eax
	mov eax, [R(RESULTS) + 0ch]
	mov [R(35)], eax
	; the handler runs on a stack of its own (64-bit, interrupt stack table)
	mov byte [IDT + 12 * 16 + 4], 1
	mov esp, 11h
	TRY 36, pop eax
	mov eax, DATA
	mov ss, eax
	mov esp, ecx
	mov byte [IDT + 12 * 16 + 4], 0
	jmp CODE64:.back
	bits 64
.back:	mov eax, DATA
	mov es, eax
	SEES "40h is INC", 0, 0
	SEES "push takes four bytes", 1, 4
	SEES "pop", 2, 11223344h
	SEES "pusha: esp before", 3, 0
	SEES "pusha: eax, ecx, edi", 4, 010207h
	SEES "popa", 5, 7
	SEES "daa: 79 + 35", 6, 114h
	SEES "das: 35 - 47", 7, 188h
	SEES "aaa", 8, 100h
	SEES "aad", 9, 27
	SEES "aam", 10, 503h
	SEES "salc", 11, 0ffh
	SEES "bound, out of range", 12, 5
	SEES "bound, in range", 14, 0ffffffffh
	SEES "into", 16, 4
	SEES "les: offset", 18, 12345678h
	SEES "les: selector", 19, DATA
	SEES "within the limit", 20, 0ffffffffh
	SEES "beyond the limit", 22, 13
	SEES "beyond the limit: error code", 23, 0
	SEES "the base counts", 24, 0cafeh
	SEES "expand-down: below", 25, 13
	SEES "expand-down: above", 27, 0ffffffffh
	SEES "write to a read-only segment", 29, 13
	SEES "write to code", 31, 13
	SEES "through a null selector", 33, 13
	SEES "push in a small stack segment", 35, LIMITED
	SEES "pop beyond the stack's limit", 36, 12
	SEES "pop beyond the stack's limit: error code", 37, 0
	ret

t_16:
	call clear
	mov [saved_rsp], rsp
	push CODE16
	push .code
	retfq
	bits 16
.code:	mov ax, 0ffffh
	inc ax
	mov [dword R(0)], ax
	mov ax, DATA16
	mov ds, ax
	mov ss, ax
	mov esp, 123400f0h
	push word 5678h
	mov eax, esp
	mov cx, DATA
	mov ds, cx
	mov [dword R(1)], eax
	mov ax, DATA16
	mov ds, ax
	mov bx, 0f000h
	mov si, 1100h
	mov al, [bx + si]    ; wraps to 100h
	mov eax, 0ffff0000h
	mov ax, [bx + si - 2]
	mov cx, DATA
	mov ds, cx
	push dword 11h
	pop ax
	pop ax
	mov [dword R(2)], sp
	call .near
.near:	pop ax
	sub ax, .near
	mov [dword R(3)], ax
	mov ax, DATA
	mov ds, ax
	mov ss, ax
	mov esp, STACK
	jmp dword CODE64:.back
	bits 64
.back:	mov rsp, [saved_rsp]
	SEES "16-bit arithmetic", 0, 0
	SEES "push moves SP alone", 1, 123400eeh
	SEES "pop moves SP alone", 2, 0eeh
	SEES "near call pushes IP", 3, 0
	ret

; A call gate from CPL 3, and the far return
t_gate:
	call clear
	mov edi, PT0
	mov ecx, 512
.user:	or byte [rdi], 4
	add edi, 8
	loop .user
	mov rax, cr3
	mov cr3, rax
	mov eax, .inner
	mov [gdt + GATE64], ax
	mov word [gdt + GATE64 + 2], CODE64
	mov word [gdt + GATE64 + 4], 0ec00h
	shr eax, 16
	mov [gdt + GATE64 + 6], eax
	GATE 81h, stubs + 81h * STUB_SIZE, 0, 0eeh
	mov qword [resume_rip], .after
	mov [resume_rsp], rsp
	push USER_DATA | 3
	push USER_STACK
	push 2
	push USER_CODE64 | 3
	push .outer
	iretq
.outer:	call dword far [.pointer]
.return:
	mov r9, rsp
	mov eax, cs
	mov r10d, eax
	int 81h
.pointer:
	dd 0
	dw GATE64 | 3
.inner:	mov eax, cs
	mov [R(0)], rax
	mov [R(1)], rsp
	mov rax, [rsp]
	mov [R(2)], rax
	mov rax, [rsp + 8]
	mov [R(3)], rax
	mov rax, [rsp + 16]
	mov [R(4)], rax
	mov rax, [rsp + 24]
	mov [R(5)], rax
	o64 retf
.after:
	SEES "call gate: cs", 0, CODE64
	SEES "call gate: the stack of the TSS, four words", 1, RSP0_TOP - 32
	SEES "call gate: return address", 2, .return
	SEES "call gate: cs of the caller", 3, USER_CODE64 | 3
	SEES "call gate: rsp of the caller", 4, USER_STACK
	SEES "call gate: ss of the caller", 5, USER_DATA | 3
	EQ "far return: rsp", r9, USER_STACK
	EQ "far return: cs", r10, USER_CODE64 | 3
	ret

; Out of long mode: protected mode without paging, real mode, and back again
t_legacy:
	call clear
	mov [saved_rsp], rsp
	push CODE32
	push .compat
	retfq
	bits 32
.compat:
	mov eax, DATA
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov eax, cr0
	and eax, 7fffffffh
	mov cr0, eax
	mov ecx, 0c0000080h
	rdmsr
	mov [R(0)], eax
	and eax, ~100h
	wrmsr
	mov eax, cr4
	and eax, ~20h
	mov cr4, eax
	; a 32-bit IDT at FREE + 1000h: one gate, for #GP
	mov eax, .gp
	mov [FREE + 1000h + 13 * 8], ax
	mov word [FREE + 1000h + 13 * 8 + 2], CODE32
	mov word [FREE + 1000h + 13 * 8 + 4], 8e00h
	shr eax, 16
	mov [FREE + 1000h + 13 * 8 + 6], ax
	lidt [.idt32]
	mov eax, LIMITED
	mov fs, eax
	mov dword [R(1)], 0
	mov [R(2)], esp
.bad:	mov eax, [fs:10h]
.behind:
	; real mode, by way of 16-bit protected mode
	lidt [.ivt]
	jmp CODE16:.p16
	bits 16
.p16:	mov ax, DATA16
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0f00h
	mov ax, DATA
	mov gs, ax           ; keeps its 4 GiB limit in real mode
	mov eax, cr0
	and al, 0feh
	mov cr0, eax
	jmp 0:.real
.real:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov word [40h * 4], .int40
	mov word [40h * 4 + 2], 0
	mov word [6 * 4], .ud
	mov word [6 * 4 + 2], 0
	mov word [13 * 4], .gp16
	mov word [13 * 4 + 2], 0
	mov bx, sp
	stc
	int 40h
.int_back:
	sub bx, sp
	mov [gs:dword R(8)], bx
	ud2
.behind_ud:
	mov ax, 6000h
	mov es, ax
	mov word [es:100h], 1234h
	mov ax, [gs:dword 60100h]
	mov [gs:dword R(9)], ax
	mov eax, [gs:dword R(9)]
	; an access over the end of a segment
	mov si, 0ffffh
	mov ax, [si]
.behind_gp:
	mov ax, 1234h
	push ax
	push cs
	call .far
	pop ax
	mov [gs:dword R(12)], ax
	jmp .up
.far:	retf
.int40:	pushf
	pop ax
	mov [gs:dword R(5)], ax
	push bp
	mov bp, sp
	mov ax, [bp + 2]
	mov [gs:dword R(6)], ax
	mov ax, [bp + 6]
	mov [gs:dword R(7)], ax
	pop bp
	iret
.ud:	mov word [gs:dword R(10)], 1
	push bp
	mov bp, sp
	mov word [bp + 2], .behind_ud
	pop bp
	iret
.gp16:	mov word [gs:dword R(11)], 1
	push bp
	mov bp, sp
	mov word [bp + 2], .behind_gp
	pop bp
	iret
.up:	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword CODE32:.p32
	bits 32
.gp:	pop dword [R(3)]
	mov eax, [esp]
	mov [R(1)], eax
	mov dword [esp], .behind
	iretd
.idt32:	dw 14 * 8 - 1
	dd FREE + 1000h
.ivt:	dw 3ffh
	dd 0
.p32:	mov eax, DATA
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov eax, cr4
	or eax, 20h
	mov cr4, eax
	mov eax, PML4
	mov cr3, eax
	mov ecx, 0c0000080h
	rdmsr
	or eax, 100h
	wrmsr
	mov eax, cr0
	or eax, 80000000h
	mov cr0, eax
	rdmsr
	mov [R(13)], eax
	jmp CODE64:.back
	bits 64
.back:	mov rsp, [saved_rsp]
	lidt [idtr]
	mov eax, [R(0)]
	and eax, 500h
	EQ "paging off: LMA is clear, LME is not", rax, 100h
	SEES "protected mode: beyond the limit, address", 1, .bad
	SEES "protected mode: error code", 3, 0
	mov rax, [R(5)]
	and eax, 201h
	EQ "real mode, int: IF off", rax, 1
	SEES "real mode, int: IP", 6, .int_back
	mov rax, [R(7)]
	and eax, 1
	EQ "real mode, int: flags", rax, 1
	SEES "real mode, iret: SP", 8, 0
	SEES "real mode: segment times 16", 9, 1234h
	SEES "real mode: #UD through the IVT", 10, 1
	SEES "real mode: #GP over the end of the segment", 11, 1
	SEES "real mode: far return", 12, 1234h
	mov eax, [R(13)]
	and eax, 500h
	EQ "long mode again: LMA", rax, 500h
	ret
