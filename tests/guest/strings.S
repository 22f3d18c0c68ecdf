; strings.S - repeated string instructions: faults on the way, directions, address sizes, overlaps, interrupts.
%include "lib.inc"

BUF equ 70000h       ; two pages; what follows is not present in t_fault
END equ BUF + 2000h

main:
	call t_basic
	call t_fault
	call t_sizes
	call t_overlap
	call t_compare
	call t_interrupt
	ret

t_basic:
	mov edi, BUF
	mov ecx, 400h
	mov rax, 1122334455667788h
	rep stosq
	EQ "stos: rdi", rdi, END
	EQ "stos: rcx", rcx, 0
	EQ "stos: last", [END - 8], rax
	std
	mov esi, END - 8
	mov edi, END - 4
	mov ecx, 4
	mov dword [END - 4], 1
	rep movsd
	cld
	EQ "movs downwards: rsi", rsi, END - 24
	EQ "movs downwards: rdi", rdi, END - 20
	xor ecx, ecx
	mov rsi, 1 << 47
	mov rdi, rsi
	PASSES "a count of zero touches nothing", rep movsb
	EQ "and moves nothing", rsi, rdi
	ret

; %1 name: RCX, RSI, RDI and RIP after a fault in the middle
t_fault:
	and byte [PT0 + (END >> 12) * 8], ~1
	invlpg [END]
	mov edi, END - 20
	mov ecx, 10
	mov eax, 0a5a5a5a5h
	RAISES "stosd into a page that is not there", 14, 2, rep stosd
	EQ "five are done: rcx", rcx, 5
	EQ "five are done: rdi", rdi, END
	EQ "cr2", [exc_cr2], END
	mov rax, [exc_rflags]
	and eax, 10000h
	EQ "RF in the frame", rax, 10000h
	EQ "what is done is done", [END - 8], 0a5a5a5a5a5a5a5a5h
	mov edi, END - 18
	mov ecx, 10
	RAISES "stosd that straddles", 14, 2, rep stosd
	EQ "straddling: four are done", rcx, 6
	EQ "straddling: rdi", rdi, END - 2
	EQ "straddling: cr2", [exc_cr2], END
	mov esi, END - 3
	mov edi, BUF
	mov ecx, 9
	RAISES "movsb from a page that is not there", 14, 0, rep movsb
	EQ "three are done: rcx", rcx, 6
	EQ "three are done: rsi", rsi, END
	EQ "three are done: rdi", rdi, BUF + 3
	mov esi, BUF
	mov edi, END - 5000
	mov ecx, 6000
	RAISES "movsb, many, into a page that is not there", 14, 2, rep movsb
	EQ "many: rcx", rcx, 1000
	EQ "many: rsi", rsi, BUF + 5000
	EQ "many: rdi", rdi, END
	mov edi, END - 3
	mov ecx, 9
	mov al, 0ffh
	mov dword [END - 4], 0
	RAISES "scasb", 14, 0, repne scasb
	EQ "scasb: rcx", rcx, 6
	EQ "scasb: rdi", rdi, END
	mov edi, END - 2
	mov esi, END - 2
	mov ecx, 9
	RAISES "cmpsb", 14, 0, repe cmpsb
	EQ "cmpsb: rcx", rcx, 7
	EQ "cmpsb: rsi", rsi, END
	; downwards, through a page that is not there
	and byte [PT0 + ((BUF - 1) >> 12) * 8], ~1
	invlpg [BUF - 1]
	std
	mov edi, BUF + 8
	mov ecx, 10
	RAISES "stosd downwards", 14, 2, rep stosd
	cld
	EQ "downwards: rcx", rcx, 7
	EQ "downwards: rdi", rdi, BUF - 4
	or byte [PT0 + (END >> 12) * 8], 1
	or byte [PT0 + ((BUF - 1) >> 12) * 8], 1
	; the handler maps the page: the instruction goes on
	and byte [PT0 + (END >> 12) * 8], ~1
	invlpg [END]
	mov qword [hook], .map
	mov edi, END - 1000
	mov ecx, 2000
	mov al, 3
	rep stosb
	mov qword [hook], 0
	EQ "goes on when the page is there: rcx", rcx, 0
	EQ "goes on when the page is there: rdi", rdi, END + 1000
	movzx eax, byte [END + 999]
	EQ "goes on when the page is there: memory", rax, 3
	ret
.map:	or byte [PT0 + (END >> 12) * 8], 1
	ret

t_sizes:
	mov rdi, 0f00000000h + BUF
	mov rcx, 0f00000003h
	mov al, 7
	a32 rep stosb
	EQ "32-bit addresses: rcx is zero-extended", rcx, 0
	EQ "32-bit addresses: rdi is zero-extended", rdi, BUF + 3
	mov rsi, 0f00000000h + BUF
	mov rcx, 0f00000000h
	a32 rep lodsb
	EQ "32-bit addresses, a count of zero: rsi is as it was", rsi, 0f00000000h + BUF
	ret

t_overlap:
	mov rax, 0706050403020100h
	mov [BUF], rax
	mov esi, BUF
	mov edi, BUF + 1
	mov ecx, 100
	rep movsb
	EQ "overlapping by one, upwards: the byte spreads", [BUF + 90], 0
	mov qword [BUF], rax
	mov esi, BUF
	mov edi, BUF + 3
	mov ecx, 60
	rep movsb
	mov rax, 0102000102000102h
	mov rcx, 0001020001020001h
	mov rdx, [BUF + 30]
	mov rbx, 0100020100020100h
	EQ "overlapping by three: a pattern of three", rdx, rbx
	mov rax, 0706050403020100h
	mov [BUF], rax
	mov esi, BUF + 7
	mov edi, BUF + 8
	mov ecx, 8
	std
	rep movsb
	cld
	mov rbx, 0605040302010000h
	EQ "overlapping, downwards: moved", [BUF], rbx
	mov rax, 0706050403020100h
	mov [BUF], rax
	mov [BUF + 8], rax
	mov esi, BUF
	mov edi, BUF + 4
	mov ecx, 3
	rep movsd
	mov rbx, 0302010003020100h
	EQ "overlapping doublewords", [BUF + 8], rbx
	ret

t_compare:
	mov edi, BUF
	mov ecx, 100
	xor eax, eax
	rep stosb
	mov byte [BUF + 40], 9
	mov edi, BUF
	mov ecx, 100
	repe scasb
	EQ "repe scasb stops at the difference", rdi, BUF + 41
	EQ "repe scasb: rcx", rcx, 59
	mov edi, BUF
	mov ecx, 100
	mov al, 9
	repne scasb
	setz al
	movzx eax, al
	EQ "repne scasb: ZF", rax, 1
	EQ "repne scasb stops at the match", rdi, BUF + 41
	mov esi, BUF
	mov edi, BUF + 10h
	mov ecx, 100
	repe cmpsb
	EQ "repe cmpsb", rcx, 100 - 25
	setb al
	movzx eax, al
	EQ "repe cmpsb: CF, the source is less", rax, 1
	ret

; A long repeated instruction is interrupted and goes on
t_interrupt:
	mov ebx, 0fee00000h
	mov dword [rbx + 0f0h], 1ffh
	GATE 50h, .tick, 0, 8eh
	mov dword [rbx + 3e0h], 0bh
	mov dword [rbx + 320h], 20050h
	mov dword [rbx + 380h], 200000
	mov qword [.ticks], 0
	mov r8d, 0
	sti
.again:	mov edi, 400000h
	mov ecx, 2000000h ; 32 MiB
	mov al, 5
	rep stosb
	cmp edi, 2400000h
	jne .bad
	inc r8d
	cmp qword [.ticks], 3
	jb .again
.bad:	cli
	mov dword [rbx + 380h], 0
	mov dword [rbx + 320h], 10050h
	cmp qword [.ticks], 3
	setae al
	movzx eax, al
	EQ "interrupts come", rax, 1
	cmp qword [.inside], 0
	setne al
	movzx eax, al
	EQ "also inside of a repeated instruction", rax, 1
	EQ "which is done in the end", [23ffff8h], 0505050505050505h
	ret
.tick:	inc qword [.ticks]
	cmp rcx, 0
	je .no
	cmp qword [rsp], .again + 12
	jb .no
	inc qword [.inside]
.no:	mov dword [rbx + 0b0h], 0
	iretq
	[section .data]
.ticks:	dq 0
.inside: dq 0
	__SECT__
