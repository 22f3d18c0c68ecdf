; smc.S - code that changes code: the next instruction, the same page, through an alias, behind a jump.
%include "lib.inc"

PAGE equ FREE
ALIAS equ 4000000000h

main:
	call t_next
	call t_loop
	call t_alias
	call t_other_page
	call t_remap
	call t_straddle
	call t_rep
	ret

; Stores into the instruction that follows at once (SDM 3A 8.1.3 lets it be so on all processors since P6)
t_next:
	mov dword [.insn + 1], 1234h
.insn:	mov eax, 0
	EQ "the next instruction", rax, 1234h
	mov ecx, 3
	xor ebx, ebx
.again:	mov byte [.patched], 0ffh ; inc ebx: FF C3
	mov byte [.patched + 1], 0c3h
.patched:
	nop
	nop
	mov byte [.patched], 90h
	mov byte [.patched + 1], 90h
	loop .again
	EQ "patched to and fro", rbx, 3
	ret

; A function that is changed between calls, many times
t_loop:
	mov dword [PAGE], 0b8h        ; mov eax, imm32; ret
	mov byte [PAGE + 5], 0c3h
	xor ebx, ebx
	xor r8d, r8d
	mov ecx, 1000
.next:	mov [PAGE + 1], ecx
	mov edx, PAGE
	call rdx
	cmp eax, ecx
	jne .bad
	inc ebx
.bad:	loop .next
	EQ "a function patched before each call", rbx, 1000
	; patched once in a hundred calls
	xor ebx, ebx
	mov ecx, 1000
	mov r9d, 0
.n2:	test ecx, 63
	jnz .same
	inc r9d
	mov [PAGE + 1], r9d
.same:	mov edx, PAGE
	call rdx
	cmp eax, r9d
	jne .b2
	inc ebx
.b2:	dec ecx
	jnz .n2
	EQ "a function patched now and then", rbx, 1000 - 40
	ret

; The same bytes through another linear address
t_alias:
	mov qword [PDPT + 256 * 8], (FREE + 2000h) | 3
	mov qword [FREE + 2000h], (FREE + 3000h) | 3
	mov qword [FREE + 3000h], PAGE | 3
	mov rbx, ALIAS
	mov dword [rbx + 1], 77h
	mov edx, PAGE
	call rdx
	EQ "patched through an alias", rax, 77h
	mov dword [PAGE + 1], 78h
	call rbx
	EQ "executed through the alias", rax, 78h
	mov dword [rbx + 1], 79h
	call rbx
	EQ "patched and executed through the alias", rax, 79h
	ret

; A loop in one page that calls into another, which it rewrites with REP MOVS
t_other_page:
	mov ecx, 50
	xor ebx, ebx
.next:	push rcx
	mov [.code + 1], ecx
	mov esi, .code
	mov edi, FREE + 1800h
	mov ecx, .code_end - .code
	rep movsb
	mov edx, FREE + 1800h
	call rdx
	pop rcx
	cmp eax, ecx
	jne .bad
	inc ebx
.bad:	loop .next
	EQ "copied by rep movs before each call", rbx, 50
	ret
	[section .data]
.code:	mov eax, 0
	ret
.code_end:
	__SECT__

; The same linear address, other physical code
t_remap:
	mov dword [FREE + 1000h], 11b8h
	mov byte [FREE + 1005h], 0c3h
	mov byte [FREE + 1004h], 0
	mov dword [PAGE + 1], 22h
	mov rbx, ALIAS
	mov qword [FREE + 3000h], PAGE | 3
	invlpg [rbx]
	call rbx
	EQ "mapped to the first page", rax, 22h
	mov qword [FREE + 3000h], (FREE + 1000h) | 3
	invlpg [rbx]
	call rbx
	EQ "mapped to the second page", rax, 11h
	mov qword [FREE + 3000h], PAGE | 3
	mov rax, cr3
	mov cr3, rax
	call rbx
	EQ "and back, by way of CR3", rax, 22h
	ret

; An instruction that lies in two pages: each half is changed
t_straddle:
	mov byte [FREE + 0ffeh], 0b8h
	mov dword [FREE + 0fffh], 0aabbccddh
	mov byte [FREE + 1003h], 0c3h
	mov edx, FREE + 0ffeh
	call rdx
	mov ecx, 0aabbccddh
	EQ "an instruction in two pages", rax, rcx
	mov byte [FREE + 1002h], 11h
	call rdx
	EQ "its second half changed", rax, 11bbccddh
	mov byte [FREE + 0fffh], 22h
	call rdx
	EQ "its first half changed", rax, 11bbcc22h
	ret

; REP STOS over the code that runs next
t_rep:
	mov edi, .target
	mov ecx, .target_end - .target
	mov al, 90h
	xor ebx, ebx
	rep stosb
.target:
	inc ebx
	inc ebx
	inc ebx
	inc ebx
.target_end:
	EQ "rep stos over the next instructions", rbx, 0
	ret
