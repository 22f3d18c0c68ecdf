; debug.S - single step, breakpoints on code, data and ports, DR6, general detect.
%include "lib.inc"

%macro TRAP_COUNT 0
	mov qword [hits], 0
	mov qword [hook], on_db
%endmacro

main:
	call t_step
	call t_code
	call t_data
	call t_shadow
	call t_regs
	ret

; Counts, and remembers DR6 and the address of each of the first eight
on_db:	cmp qword [rbp + frame.vector], 1
	jne .other
	mov rcx, [hits]
	mov rax, [rbp + frame.rip]
	mov [where + rcx * 8], rax
	mov rax, dr6
	mov [what + rcx * 8], rax
	mov rax, [rbp + frame.rflags]
	mov [flags + rcx * 8], rax
	inc qword [hits]
	mov eax, 0ffff0ff0h
	mov dr6, rax
	or qword [rbp + frame.rflags], 10000h ; RF: on over a code breakpoint
	ret
.other:	mov qword [hook], 0
	ret

t_step:
	TRAP_COUNT
	pushfq
	or dword [rsp], 100h
	popfq
.a:	nop
.b:	nop
.c:	pushfq
.d:	and dword [rsp], ~100h
.e:	popfq
.f:	nop
	EQ "single step: four traps, and none behind the POPF that sets TF", [hits], 5
	EQ "first trap", [where], .b
	EQ "second trap", [where + 8], .c
	EQ "last trap is behind the POPF that clears TF", [where + 32], .f
	mov rax, [what]
	and eax, 0e00fh
	EQ "DR6.BS", rax, 4000h
	mov rax, [flags]
	and eax, 100h
	EQ "TF is in the frame", rax, 100h
	; a repeated instruction traps after each iteration
	TRAP_COUNT
	mov ecx, 3
	mov edi, FREE
	pushfq
	pop rax
	mov rbx, rax
	or eax, 100h
	push rax
	push rbx
	mov rax, 0
	popfq
	popfq
.rep:	rep stosb
.rep_end:
	push rbx
	popfq
	EQ "rep stosb: first trap is at the instruction", [where], .rep
	EQ "rep stosb: third trap is behind it", [where + 16], .rep_end
	EQ "rep stosb: done", rcx, 0
	; not after a software interrupt's delivery; the handler's TF is clear
	TRAP_COUNT
	GATE 41h, .handler, 0, 8eh
	pushfq
	or dword [rsp], 100h
	popfq
	int 41h
.back:	nop
.back2:	push rbx
	popfq
	EQ "int n with TF: the next trap is behind the instruction that it returns to", [where], .back2
	ret
.handler:
	nop
	iretq

t_code:
	TRAP_COUNT
	mov eax, .here
	mov dr0, rax
	mov eax, 2 | 700h
	mov dr7, rax
	nop
.here:	inc eax
	nop
	EQ "code breakpoint: once", [hits], 1
	EQ "code breakpoint: before the instruction", [where], .here
	mov rax, [what]
	and eax, 0e00fh
	EQ "code breakpoint: DR6", rax, 1
	xor eax, eax
	mov dr7, rax
	mov rax, [flags]
	and eax, 10000h
	EQ "code breakpoint: no RF in the frame", rax, 0
	ret

t_data:
	TRAP_COUNT
	mov eax, FREE
	mov dr1, rax
	mov eax, 8 | (0dh << 20) | 700h ; four bytes, writes
	mov dr7, rax
	mov eax, [FREE]
	EQ "write breakpoint: not on a read", [hits], 0
.w:	mov byte [FREE + 3], 1
.w2:	EQ "write breakpoint: on a write", [hits], 1
	EQ "write breakpoint: behind the instruction", [where], .w2
	mov rax, [what]
	and eax, 0e00fh
	EQ "write breakpoint: DR6", rax, 2
	mov byte [FREE + 4], 1
	EQ "write breakpoint: not beside it", [hits], 1
	mov qword [FREE - 6], 0
	EQ "write breakpoint: on an overlapping write", [hits], 2
	mov eax, 8 | (0fh << 20) | 700h ; reads and writes
	mov dr7, rax
	mov eax, [FREE]
	EQ "access breakpoint: on a read", [hits], 3
	mov edi, FREE - 4
	mov ecx, 8
	rep stosb
	EQ "access breakpoint: in a repeated instruction, each access", [hits], 7
	xor eax, eax
	mov dr7, rax
	mov [FREE], eax
	EQ "off again", [hits], 7
	ret

; MOV SS puts a data breakpoint's trap off until behind the next instruction
t_shadow:
	TRAP_COUNT
	mov dword [FREE], DATA
	mov eax, FREE
	mov dr1, rax
	mov eax, 8 | (0fh << 20) | 700h
	mov dr7, rax
	mov ss, [FREE]
	nop
.next:	nop
	xor eax, eax
	mov dr7, rax
	EQ "trap after MOV SS: one", [hits], 1
	EQ "trap after MOV SS: behind the next instruction", [where], .next
	ret

t_regs:
	mov qword [hook], 0
	mov rax, cr4
	and eax, ~8
	mov cr4, rax
	xor eax, eax
	mov dr7, rax
	mov rax, dr7
	EQ "DR7 reads bit 10 as one", rax, 400h
	mov rax, dr5
	EQ "DR5 is DR7 without CR4.DE", rax, 400h
	mov rax, cr4
	or eax, 8
	mov cr4, rax
	RAISES "DR5 with CR4.DE", 6, -1, mov rax, dr5
	mov rax, 1 << 32
	RAISES "upper half of DR7", 13, 0, mov dr7, rax
	RAISES "upper half of DR6", 13, 0, mov dr6, rax
	mov eax, 2400h ; GD
	mov dr7, rax
	mov qword [exc_vec], -1
	mov qword [resume_rip], .after
.insn:	mov rax, dr0
.after:	EQ "general detect: vector", [exc_vec], 1
	EQ "general detect: address", [exc_rip], .insn
	mov rax, dr7
	EQ "general detect is off in the handler", rax, 400h
	mov rax, dr6
	and eax, 2000h
	EQ "DR6.BD", rax, 2000h
	mov eax, 0ffff0ff0h
	mov dr6, rax
	ret

	section .data
hits:	dq 0
where:	times 16 dq 0
what:	times 16 dq 0
flags:	times 16 dq 0
