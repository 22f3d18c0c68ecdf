; qemu_rom.S - a ROM that starts a guest program on QEMU as vibevmm --binary does.
;
; A second opinion on the programs themselves: test_guest.py runs them on QEMU as well where
; it is asked to. MODE is 16, 32 or 64; the program lies at 1000h already.
	org 0
	bits 16
%macro PCI 2 ; register of the PIIX4's power management function, value
	mov dx, 0cf8h
	mov eax, 80000b00h | (%1)
	out dx, eax
	mov dx, 0cfch
	mov eax, %2
	out dx, eax
%endmacro
start:
	cli
	PCI 40h, 601h ; its ports at 600h,
	PCI 80h, 1    ; enabled
%if MODE == 16
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 2000h
	push word 2
	popf
	jmp 0:1000h
%else
	o32 lgdt [cs:gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword 8:0f0000h + flat
	bits 32
flat:	mov eax, 10h
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov fs, eax
	mov gs, eax
	mov esp, 2000h
%if MODE == 32
	push dword 1000h
	ret
%else
	mov edi, 90000h ; PML4, PDPT, four PDs of 2 MiB pages
	mov ecx, 1800h
	xor eax, eax
	rep stosd
	mov dword [90000h], 91003h
	mov dword [91000h], 92003h
	mov dword [91008h], 93003h
	mov dword [91010h], 94003h
	mov dword [91018h], 95003h
	mov edi, 92000h
	mov eax, 83h
	mov ecx, 2048
.pd:	mov [edi], eax
	add eax, 200000h
	add edi, 8
	loop .pd
	mov eax, 90000h
	mov cr3, eax
	mov eax, 20h
	mov cr4, eax
	mov ecx, 0c0000080h
	rdmsr
	or eax, 100h
	wrmsr
	mov eax, cr0
	or eax, 80000000h
	mov cr0, eax
	jmp 18h:0f0000h + code64
	bits 64
code64:	lgdt [abs 0f0000h + gdtr64]
	push 8
	push 0f0000h + selectors
	o64 retf
selectors:
	mov eax, 1000h
	jmp rax
%endif
%endif
	align 8
gdt:	dq 0, 00cf9a000000ffffh, 00cf92000000ffffh, 00af9a000000ffffh
gdt64:	dq 0, 00af9a000000ffffh, 00cf92000000ffffh
gdtr:	dw 31
	dd 0f0000h + gdt
gdtr64:	dw 23
	dq 0f0000h + gdt64
	times 0fff0h - ($ - $$) db 0
	bits 16
	jmp 0f000h:start
	times 10000h - ($ - $$) db 0
