; protected.S - a program that starts in protected mode (--mode protected): what it finds, paging of 32-bit
; mode (4 KiB and 4 MiB pages, PAE), a task switch, and the way to long mode.
	org 1000h
	bits 32
	default abs
%define RESULT(n) (7000h + (n) * 8)
PD32 equ 20000h
PT32 equ 21000h
PDPT32 equ 22000h
PDPAE equ 23000h
TSS_A equ 24000h
TSS_B equ 24100h
STACK_B equ 26000h
begin:
	mov eax, cs
	mov [RESULT(0)], eax
	mov eax, ds
	mov [RESULT(1)], eax
	mov [RESULT(2)], esp
	mov eax, cr0
	and eax, 80000001h
	mov [RESULT(3)], eax
	lgdt [gdtr_boot]
	jmp 18h:.cs
.cs:	mov eax, 10h
	mov ds, eax
	mov es, eax
	mov ss, eax
	; 32-bit paging: 0-4 MiB in 4 KiB pages, 4-8 MiB as one large page onto 0
	mov edi, PD32
	mov ecx, 4000h / 4
	xor eax, eax
	rep stosd
	mov edi, PT32
	mov eax, 3
	mov ecx, 1024
.pt:	stosd
	add eax, 1000h
	loop .pt
	mov dword [PD32], PT32 | 3
	mov dword [PD32 + 4], 83h
	mov eax, cr4
	or eax, 10h
	mov cr4, eax
	mov eax, PD32
	mov cr3, eax
	mov eax, cr0
	or eax, 80010000h
	mov cr0, eax
	mov dword [RESULT(21)], 5566h
	mov eax, [400000h + RESULT(21)]
	mov [RESULT(4)], eax
	mov dword [400000h + RESULT(22)], 1
	mov eax, [PD32 + 4]
	mov [RESULT(5)], eax
	; another mapping of a page
	mov dword [PT32 + 30h * 4], 31003h
	invlpg [30000h]
	mov dword [30004h], 77h
	mov eax, [31004h]
	mov [RESULT(6)], eax
	; PAE: four pointers, loaded with CR3
	mov eax, cr0
	and eax, 7fffffffh
	mov cr0, eax
	mov edi, PDPT32
	mov ecx, 2000h / 4
	xor eax, eax
	rep stosd
	mov dword [PDPT32], PDPAE | 1
	mov dword [PDPAE], 83h
	mov dword [PDPAE + 16], 83h ; 4-6 MiB onto 0
	mov eax, cr4
	or eax, 20h
	mov cr4, eax
	mov eax, PDPT32
	mov cr3, eax
	mov eax, cr0
	or eax, 80000000h
	mov cr0, eax
	mov dword [RESULT(21)], 7788h
	mov eax, [400000h + RESULT(21)]
	mov [RESULT(7)], eax
	mov eax, [PDPAE + 16]
	mov [RESULT(8)], eax
	; a task switch by a far jump, and back by a far call's IRET
	mov edi, TSS_A
	mov ecx, 200h / 4
	xor eax, eax
	rep stosd
	mov eax, 20h
	ltr ax
	mov dword [TSS_A + 1ch], PDPT32  ; CR3: loaded from there, but never saved
	mov dword [TSS_B + 1ch], PDPT32
	mov dword [TSS_B + 20h], task_b
	mov dword [TSS_B + 24h], 2
	mov dword [TSS_B + 28h], 0beefh  ; EAX
	mov dword [TSS_B + 38h], STACK_B ; ESP
	mov dword [TSS_B + 48h], 10h
	mov dword [TSS_B + 4ch], 18h
	mov dword [TSS_B + 50h], 10h
	mov dword [TSS_B + 54h], 10h
	mov ecx, 1234h
	call 28h:0
	mov [RESULT(9)], ecx
	mov eax, [TSS_A + 2ch]           ; ECX as it was saved
	mov [RESULT(10)], eax
	movzx eax, byte [gdt_boot + 28h + 5]
	mov [RESULT(15)], eax
	; long mode
	mov eax, cr0
	and eax, 7fffffffh
	mov cr0, eax
	mov dword [20000h], 21003h
	mov dword [20004h], 0
	mov dword [21000h], 22003h
	mov dword [21004h], 0
	mov dword [22000h], 83h
	mov dword [22004h], 0
	mov eax, 20000h
	mov cr3, eax
	mov ecx, 0c0000080h
	rdmsr
	or eax, 100h
	wrmsr
	mov eax, cr0
	or eax, 80000000h
	mov cr0, eax
	jmp 8:long_entry
task_b:	mov [RESULT(11)], eax
	mov [RESULT(12)], esp
	movzx eax, word [TSS_B]
	mov [RESULT(13)], eax
	pushfd
	pop eax
	and eax, 4000h
	mov [RESULT(14)], eax
	iretd
	align 8
gdt_boot:
	dq 0, 00af9a000000ffffh, 00cf92000000ffffh, 00cf9a000000ffffh
	dq 0000890000000067h | TSS_A << 16
	dq 0000890000000067h | TSS_B << 16
gdtr_boot:
	dw 47
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
	EQ "cs", [RESULT(0)], 8
	EQ "ds", [RESULT(1)], 10h
	EQ "esp", [RESULT(2)], 2000h
	EQ "CR0: PE, no PG", [RESULT(3)], 1
	EQ "4 MiB page", [RESULT(4)], 5566h
	EQ "4 MiB page: A and D", [RESULT(5)], 0e3h
	EQ "4 KiB page", [RESULT(6)], 77h
	EQ "PAE", [RESULT(7)], 7788h
	EQ "PAE: A", [RESULT(8)], 0a3h
	EQ "task switch: eax of the new task", [RESULT(11)], 0beefh
	EQ "task switch: esp of the new task", [RESULT(12)], STACK_B
	EQ "task switch: back link", [RESULT(13)], 20h
	EQ "task switch: NT", [RESULT(14)], 4000h
	EQ "task switch: ecx after the return", [RESULT(9)], 1234h
	EQ "task switch: ecx as saved", [RESULT(10)], 1234h
	EQ "task switch: the other task is available again", [RESULT(15)], 89h
	ret
