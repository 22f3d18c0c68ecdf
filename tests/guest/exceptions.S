; exceptions.S - vectors, error codes, frames, stack switches, double faults.
%include "lib.inc"

%macro SETS 2+ ; name of the counted exception: trap or fault that returns behind itself; any instruction
	mov qword [exc_vec], -1
	mov qword [resume_rip], %%after
	%2
%%after:
%endmacro

main:
	call t_vectors
	call t_frame
	call t_int
	call t_ist
	call t_nested
	call t_double
	call t_alignment
	call t_idt
	ret

t_vectors:
	mov ebx, FREE
	xor ecx, ecx
	xor edx, edx
	mov eax, 1
	RAISES "division by zero", 0, -1, div ecx
	EQ "and the registers are as before", rax, 1
	mov edx, 5
	mov ecx, 2
	RAISES "quotient too large", 0, -1, div ecx
	mov eax, 80000000h
	mov edx, -1
	mov ecx, -1
	RAISES "least integer by -1", 0, -1, idiv ecx
	mov eax, 8000h
	mov cl, 1
	RAISES "quotient of a byte too large", 0, -1, div cl
	RAISES "ud2", 6, -1, ud2
	RAISES "an opcode that is not there", 6, -1, db 0fh, 04h
	RAISES "lock without a memory destination", 6, -1, db 0f0h, 01h, 0c8h
	RAISES "lock with mov", 6, -1, db 0f0h, 89h, 03h
	RAISES "push cs is gone", 6, -1, db 0eh
	RAISES "lea from a register", 6, -1, db 8dh, 0c0h
	RAISES "16 bytes of instruction", 13, 0, db 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 90h
	PASSES "15 bytes of instruction", db 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 66h, 90h
	mov qword [exc_vec], -1
	mov qword [resume_rip], .bp
	int3
.bp:	EQ "int3: vector", [exc_vec], 3
	EQ "int3 is a trap", [exc_rip], .bp
	EQ "int3 has no error code", [exc_error], -1
	mov rax, cr0
	or eax, 8
	mov cr0, rax
	RAISES "x87 with CR0.TS", 7, -1, fld1
	RAISES "SSE with CR0.TS", 7, -1, movaps xmm0, xmm1
	RAISES "fwait with CR0.TS and MP", 7, -1, fwait
	clts
	mov rax, cr0
	or eax, 4
	mov cr0, rax
	RAISES "x87 with CR0.EM", 7, -1, fld1
	RAISES "SSE with CR0.EM", 6, -1, movaps xmm0, xmm1
	RAISES "MMX with CR0.EM", 6, -1, movq mm0, mm1
	mov rax, cr0
	and eax, ~4
	mov cr0, rax
	mov rax, cr4
	and eax, ~200h
	mov cr4, rax
	RAISES "SSE without CR4.OSFXSR", 6, -1, movaps xmm0, xmm1
	mov rax, cr4
	or eax, 200h
	mov cr4, rax
	RAISES "movaps not aligned", 13, 0, movaps xmm0, [FREE + 8]
	PASSES "movups not aligned", movups xmm0, [FREE + 8]
	; an unmasked x87 exception shows at the next waiting instruction
	fninit
	mov word [FREE], 033bh ; zero divide unmasked
	fldcw [FREE]
	fld1
	fldz
	PASSES "the dividing instruction itself passes", fdivp
	RAISES "x87 exception", 16, -1, fld1
	PASSES "no wait, no exception", fnstsw ax
	and eax, 84h
	EQ "zero divide, error summary", rax, 84h
	fnclex
	PASSES "cleared", fwait
	fninit
	; unmasked SIMD exception
	mov dword [FREE], 1d80h
	ldmxcsr [FREE]
	xorps xmm1, xmm1
	mov eax, 3f800000h
	movd xmm0, eax
	RAISES "SIMD exception", 19, -1, divss xmm0, xmm1
	stmxcsr [FREE + 4]
	mov eax, [FREE + 4]
	EQ "its flag", rax, 1d84h
	movd eax, xmm0
	EQ "its destination is as before", rax, 3f800000h
	mov rax, cr4
	and eax, ~400h
	mov cr4, rax
	RAISES "SIMD exception without CR4.OSXMMEXCPT", 6, -1, divss xmm0, xmm1
	mov rax, cr4
	or eax, 400h
	mov cr4, rax
	mov dword [FREE], 1f80h
	ldmxcsr [FREE]
	mov dword [FREE], 10000h
	RAISES "ldmxcsr with a reserved bit", 13, 0, ldmxcsr [FREE]
	ret

t_frame:
	; in 64-bit mode the frame is aligned to 16 bytes and holds SS:RSP
	mov rbx, rsp
	sub rsp, 13
	mov rcx, rsp
	mov qword [exc_vec], -1
	mov qword [resume_rip], .after
	stc
	ud2
.after:	mov rsp, rbx
	EQ "rsp in the frame", [exc_rsp], rcx
	mov rax, rcx
	and rax, -16
	EQ "the frame is aligned", [exc_stack], rax
	EQ "cs in the frame", [exc_cs], CODE64
	EQ "ss in the frame", [exc_ss], DATA
	mov rax, [exc_rflags]
	and eax, 10001h
	EQ "rflags in the frame: CF, and RF of a fault", rax, 10001h
	ret

t_int:
	mov qword [resume_rip], .after
	int 40h
.after:	EQ "int 40h: vector", [exc_vec], 40h
	EQ "int 40h returns behind itself", [exc_rip], .after
	mov rax, [exc_rflags]
	and eax, 10000h
	EQ "int n: no RF", rax, 0
	; an interrupt gate clears IF, a trap gate keeps it
	GATE 41h, .see_flags, 0, 8eh
	GATE 42h, .see_flags, 0, 8fh
	sti
	int 41h
	and eax, 200h
	EQ "interrupt gate: IF", rax, 0
	int 42h
	and eax, 200h
	EQ "trap gate: IF", rax, 200h
	cli
	ret
.see_flags:
	pushfq
	pop rax
	iretq

t_ist:
	mov rbx, rsp
	mov byte [IDT + 6 * 16 + 4], 2
	mov qword [resume_rip], .after
	ud2
.after:	mov byte [IDT + 6 * 16 + 4], 0
	EQ "interrupt stack table: the handler's stack", [exc_stack], IST2_TOP
	mov rax, rsp
	EQ "and back", rax, rbx
	mov rax, [exc_rsp]
	EQ "rsp in the frame", rax, rbx
	ret

; A page fault inside the handler of another exception
t_nested:
	mov qword [hook], .outer
	mov qword [.inner_rip], 0
	ud2
.after_ud:
	mov qword [hook], 0
	EQ "nested: the inner vector", [.inner_vec], 14
	EQ "nested: the inner address", [.inner_rip], .fault
	ret
.outer:	mov qword [hook], .inner
	mov rax, 8000000000h
.fault:	mov eax, [rax]
.after:	mov qword [rbp + frame.rip], .after_ud
	ret
.inner:	mov rax, [rbp + frame.vector]
	mov [.inner_vec], rax
	mov rax, [rbp + frame.rip]
	mov [.inner_rip], rax
	mov qword [rbp + frame.rip], .after
	ret
	[section .data]
.inner_vec: dq 0
.inner_rip: dq 0
	__SECT__

t_double:
	; the gate of #UD is not present: #NP, with the index; a contributory pair is a double fault
	mov byte [IDT + 6 * 16 + 5], 0eh
	mov qword [resume_rip], .np
	ud2
.np:	EQ "gate not present: vector", [exc_vec], 11
	EQ "gate not present: error code", [exc_error], 6 * 8 + 2 + 1
	mov byte [IDT + 6 * 16 + 5], 8eh
	mov byte [IDT + 11 * 16 + 5], 0eh
	mov byte [IDT + 13 * 16 + 5], 0eh
	mov qword [resume_rip], .df
	mov byte [IDT + 8 * 16 + 4], 1
	mov rbx, 1 << 47
	mov eax, [rbx]      ; #GP, whose gate is not there: #NP, whose gate is not there
.df:	EQ "double fault: vector", [exc_vec], 8
	EQ "double fault: error code", [exc_error], 0
	EQ "double fault: stack", [exc_stack], IST1_TOP
	; #DE while delivering nothing, then #NP in delivery: #DE is contributory as well
	mov byte [IDT + 0 * 16 + 5], 0eh
	mov qword [resume_rip], .df2
	xor ecx, ecx
	div ecx
.df2:	EQ "double fault from #DE: vector", [exc_vec], 8
	mov byte [IDT + 0 * 16 + 5], 8eh
	mov byte [IDT + 11 * 16 + 5], 8eh
	mov byte [IDT + 13 * 16 + 5], 8eh
	; int n through a gate that is not present
	mov byte [IDT + 44h * 16 + 5], 0eh
	RAISES "int n, gate not present", 11, 44h * 8 + 2, int 44h
	; a gate of a wrong type
	mov byte [IDT + 44h * 16 + 5], 85h
	RAISES "int n, not a gate", 13, 44h * 8 + 2, int 44h
	mov byte [IDT + 44h * 16 + 5], 8eh
	; a gate to no code segment
	mov word [IDT + 44h * 16 + 2], DATA
	RAISES "int n, gate to data", 13, DATA, int 44h
	mov word [IDT + 44h * 16 + 2], 0
	RAISES "int n, gate to null", 13, 0, int 44h
	mov word [IDT + 44h * 16 + 2], CODE32
	RAISES "int n, gate to 32-bit code", 13, CODE32, int 44h
	mov word [IDT + 44h * 16 + 2], CODE64
	; a page fault while a page fault is delivered: double fault
	mov byte [IDT + 14 * 16 + 4], 3
	mov rax, 8000000000h
	mov [TSS + 34h], rax
	mov qword [resume_rip], .df3
	mov eax, [rax]
.df3:	EQ "page fault on the page fault's stack: vector", [exc_vec], 8
	EQ "page fault on the page fault's stack: rip", [exc_rip], .df3 - 2
	mov byte [IDT + 14 * 16 + 4], 0
	; a stack pointer in the interrupt stack table that is not canonical
	mov byte [IDT + 45h * 16 + 4], 3
	mov rax, 1 << 50
	mov [TSS + 34h], rax
	mov byte [IDT + 12 * 16 + 4], 1
	RAISES "int n to a stack that is not canonical", 12, 0, int 45h
	mov byte [IDT + 12 * 16 + 4], 0
	mov byte [IDT + 45h * 16 + 4], 0
	mov byte [IDT + 8 * 16 + 4], 0
	ret

; Alignment checks need CPL 3, AC and AM: at CPL 0 nothing is checked
t_alignment:
	mov rax, cr0
	or eax, 40000h
	mov cr0, rax
	pushfq
	or dword [rsp], 40000h
	popfq
	PASSES "no alignment check at CPL 0", mov eax, [FREE + 1]
	pushfq
	and dword [rsp], ~40000h
	popfq
	mov rax, cr0
	and eax, ~40000h
	mov cr0, rax
	ret

t_idt:
	; a vector beyond the IDT's limit
	mov word [idtr], 50h * 16 - 1
	lidt [idtr]
	RAISES "int n beyond the limit", 13, 60h * 8 + 2, int 60h
	mov word [idtr], 0fffh
	lidt [idtr]
	mov qword [resume_rip], .back
	int 60h
.back:	EQ "with the limit back", [exc_vec], 60h
	ret
