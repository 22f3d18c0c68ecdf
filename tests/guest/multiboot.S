; multiboot.S - a Multiboot 1 kernel that checks how it was started and what it was told. Its text goes to COM1
; and to the debug console; the status of its end to the debug-exit port.
;
;   nasm -f bin                 loaded as its header's addresses say
;   nasm -f elf32 -DELF; ld     an ELF file, linked at 1 MiB

bits 32
%define COM1  0x3f8
%define DEBUG 0xe9
%define EXIT  0xf4
%define BASE  0x100000

%ifdef ELF
section .text
global _start
FLAGS equ 3
%else
org BASE
FLAGS equ 0x10003
%endif

start:
	jmp _start
	align 4
header:
	dd 0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
%ifndef ELF
	dd header, BASE, data_end, bss_end, _start
%endif

; check TEXT: says whether the zero flag is set
%macro check 1
	mov esi, %%text
	call result
	jmp %%next
%%text:	db %1, 0
%%next:
%endmacro

_start:
	mov esp, stack_end
	cmp eax, 0x2badb002
	check "magic in EAX"
	mov ebp, ebx
	pushfd
	pop eax
	test eax, 0x20200               ; VM and IF
	check "interrupts off"
	mov eax, cr0
	and eax, 0x80000001
	cmp eax, 1
	check "protected mode without paging"
	xor eax, eax
	mov edi, bss
	mov ecx, (bss_end - bss) / 4 - 256 ; but the stack, in use
	repe scasd
	check "BSS is zero"
	mov dx, DEBUG
	in al, dx
	cmp al, DEBUG
	check "debug console is there"
	mov eax, [ebp]
	and eax, 0x24d
	cmp eax, 0x24d
	check "information: memory, command line, modules, map, loader's name"
	cmp dword [ebp + 4], 639
	check "lower memory"
	cmp dword [ebp + 8], (32 - 1) * 1024 ; started with 32 MiB
	check "upper memory"

; The map: sum of its RAM from 1 MiB on
	mov esi, [ebp + 48]
	mov edi, [ebp + 44]
	add edi, esi
	xor ebx, ebx
.map:	cmp esi, edi
	jae .map_end
	cmp dword [esi + 20], 1
	jne .map_next
	cmp dword [esi + 4], BASE
	jb .map_next
	add ebx, [esi + 12]
.map_next:
	add esi, [esi]
	add esi, 4
	jmp .map
.map_end:
	cmp esi, edi
	check "map ends where it says"
	cmp ebx, 31 << 20
	check "RAM in the map"

	mov esi, cmdline_is
	call puts
	mov esi, [ebp + 16]
	call puts
	mov esi, loader_is
	call puts
	mov esi, [ebp + 64]
	call puts
	mov esi, modules_are
	call puts
	mov eax, [ebp + 20]
	add al, '0'
	call putc
	mov al, 10
	call putc
	cmp dword [ebp + 20], 0
	je .end
	mov esi, [ebp + 24]             ; the first one: start, end, string
	test dword [esi], 0xfff
	check "module on a page"
	mov esi, [ebp + 24]
	mov edi, [esi + 4]
	mov esi, [esi]
.module:
	lodsb
	call putc
	cmp esi, edi
	jb .module
	mov esi, [ebp + 24]
	mov esi, [esi + 8]
	call puts
	mov al, 10
	call putc
.end:
	mov eax, [failed]
	add eax, 0x20                   ; all good: status 65
	mov dx, EXIT
	out dx, eax
	hlt

result:
	mov edi, ok
	jz .good
	inc dword [failed]
	mov edi, not_ok
.good:	push esi
	mov esi, edi
	call puts
	pop esi
	call puts
	mov al, 10

putc:	push edx
	mov dx, COM1
	out dx, al
	mov dx, DEBUG
	out dx, al
	pop edx
	ret

puts:	lodsb
	test al, al
	jz .end
	call putc
	jmp puts
.end:	ret

ok:          db "ok ", 0
not_ok:      db "not ok ", 0
cmdline_is:  db "command line: ", 0
loader_is:   db 10, "loader: ", 0
modules_are: db 10, "modules: ", 0
failed:      dd 0
data_end:

%ifdef ELF
section .bss
bss:	resb 8192
%else
	absolute data_end
	alignb 4
bss:	resb 8192
%endif
stack_end:
bss_end:
