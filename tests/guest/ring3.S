; ring3.S - user mode: IRET, SYSCALL and SYSRET, privileged instructions, ports, page rights.
%include "lib.inc"

; Runs one instruction at CPL 3, at label %%insn; if it passes, int 81h follows
%macro USER 2+ ; rflags, instruction
	mov qword [exc_vec], -1
	mov qword [resume_rip], %%after
	mov [resume_rsp], rsp
	push USER_DATA | 3
	push USER_STACK
	push %1
	push USER_CODE64 | 3
	push %%insn
	mov qword [user_insn], %%insn
	iretq
%%insn:	%2
	int 81h
%%after:
%endmacro
%macro URAISES 5+ ; name, rflags, vector, error code, instruction
	USER %2, %5
	EQ {%1, ": vector"}, [exc_vec], %3
	EQ {%1, ": error code"}, [exc_error], %4
	mov rax, [user_insn]
	EQ {%1, ": address"}, [exc_rip], rax
%endmacro
%macro UPASSES 3+ ; name, rflags, instruction
	USER %2, %3
	EQ {%1, ": no exception"}, [exc_vec], 81h
%endmacro
%macro WRMSR 3 ; number, high, low
	mov ecx, %1
	mov edx, %2
	mov eax, %3
	wrmsr
%endmacro

	[section .data]
user_insn: dq 0
	__SECT__
main:
	; the first 2 MiB are the user's, but for the page at FREE
	mov edi, PT0
	mov ecx, 512
.user:	or byte [edi], 4
	add edi, 8
	loop .user
	and byte [PT0 + (FREE >> 12) * 8], ~4
	mov qword [PT0 + ((FREE >> 12) + 1) * 8], (FREE + 1000h) | 5
	mov rax, cr3
	mov cr3, rax
	GATE 81h, stubs + 81h * STUB_SIZE, 0, 0eeh
	call t_enter
	call t_privileged
	call t_ports
	call t_pages
	call t_flags
	call t_syscall
	call t_iret
	call t_alignment
	ret

t_enter:
	UPASSES "int through a gate for CPL 3", 202h, nop
	EQ "cs was the user's", [exc_cs], USER_CODE64 | 3
	EQ "ss was the user's", [exc_ss], USER_DATA | 3
	EQ "rsp was the user's", [exc_rsp], USER_STACK
	EQ "the stack is that of the TSS", [exc_stack], RSP0_TOP
	mov ax, ss
	movzx eax, ax
	EQ "back at CPL 0: ss", rax, DATA
	mov eax, DATA
	mov ds, eax
	USER 2, nop
	mov ax, ds
	movzx eax, ax
	EQ "ds of CPL 0 is gone on the way out", rax, 0
	URAISES "int through a gate for CPL 0", 2, 13, 40h * 8 + 2, int 40h
	URAISES "int3", 2, 13, 3 * 8 + 2, int3
	URAISES "ud2", 2, 6, -1, ud2
	; SS is null when the stack was switched in 64-bit mode
	GATE 82h, .see_ss, 0, 0eeh
	USER 2, int 82h
	EQ "the handler's ss is null", [.ss], 0
	ret
.see_ss:
	mov eax, ss
	mov [.ss], rax
	iretq
	[section .data]
.ss:	dq -1
	__SECT__

t_privileged:
	URAISES "cli", 2, 13, 0, cli
	URAISES "sti", 2, 13, 0, sti
	UPASSES "cli with IOPL 3", 3002h, cli
	URAISES "hlt", 3002h, 13, 0, hlt
	URAISES "mov from cr0", 2, 13, 0, mov rax, cr0
	URAISES "mov to cr3", 2, 13, 0, mov cr3, rax
	URAISES "mov from cr8", 2, 13, 0, mov rax, cr8
	URAISES "mov from dr7", 2, 13, 0, mov rax, dr7
	URAISES "lgdt", 2, 13, 0, lgdt [gdtr]
	URAISES "lidt", 2, 13, 0, lidt [idtr]
	URAISES "lldt", 2, 13, 0, lldt ax
	URAISES "ltr", 2, 13, 0, ltr ax
	URAISES "lmsw", 2, 13, 0, lmsw ax
	URAISES "clts", 2, 13, 0, clts
	URAISES "invlpg", 2, 13, 0, invlpg [rax]
	URAISES "wbinvd", 2, 13, 0, wbinvd
	URAISES "invd", 2, 13, 0, invd
	URAISES "rdmsr", 2, 13, 0, rdmsr
	URAISES "wrmsr", 2, 13, 0, wrmsr
	URAISES "swapgs", 2, 13, 0, swapgs
	URAISES "sysret", 2, 13, 0, o64 sysret
	UPASSES "rdtsc", 2, rdtsc
	mov rax, cr4
	or eax, 4
	mov cr4, rax
	URAISES "rdtsc with CR4.TSD", 2, 13, 0, rdtsc
	mov rax, cr4
	and eax, ~4
	mov cr4, rax
	mov eax, 7
	xor ecx, ecx
	cpuid
	bt ecx, 2
	jnc .no_umip
	mov rax, cr4
	or eax, 800h
	mov cr4, rax
	URAISES "sgdt with UMIP", 2, 13, 0, sgdt [USER_STACK]
	URAISES "sidt with UMIP", 2, 13, 0, sidt [USER_STACK]
	URAISES "sldt with UMIP", 2, 13, 0, sldt ax
	URAISES "str with UMIP", 2, 13, 0, str ax
	URAISES "smsw with UMIP", 2, 13, 0, smsw ax
	mov rax, cr4
	and eax, ~800h
	mov cr4, rax
.no_umip:
	UPASSES "sgdt without UMIP", 2, sgdt [USER_STACK]
	UPASSES "smsw without UMIP", 2, smsw ax
	; a selector for CPL 0
	mov eax, DATA
	URAISES "mov to ds, a selector of CPL 0", 2, 13, DATA, mov ds, eax
	mov eax, USER_DATA | 3
	UPASSES "mov to ds, a selector of CPL 3", 2, mov ds, eax
	mov eax, 1000h
	URAISES "mov to ds, beyond the GDT", 2, 13, 1000h, mov ds, eax
	xor eax, eax
	mov ds, eax
	ret

t_ports:
	URAISES "out", 2, 13, 0, out 80h, al
	UPASSES "out with IOPL 3", 3002h, out 80h, al
	mov byte [TSS + IOBITMAP + 80h / 8], 0feh
	UPASSES "out to a port that the bitmap opens", 2, out 80h, al
	URAISES "out to the port beside it", 2, 13, 0, out 81h, al
	URAISES "out of two bytes", 2, 13, 0, out 80h, ax
	mov byte [TSS + IOBITMAP + 80h / 8], 0fch
	UPASSES "out of two bytes that are open", 2, out 80h, ax
	mov edx, 0ffffh
	mov byte [TSS + IOBITMAP + 1fffh], 07fh
	UPASSES "in from the last port", 2, in al, dx
	mov byte [TSS + IOBITMAP + 1fffh], 0ffh
	mov byte [TSS + IOBITMAP + 80h / 8], 0ffh
	ret

t_pages:
	URAISES "read of a supervisor page", 2, 14, 5, mov eax, [FREE]
	EQ "its cr2", [exc_cr2], FREE
	URAISES "write to a supervisor page", 2, 14, 7, mov [FREE + 4], eax
	EQ "its cr2", [exc_cr2], FREE + 4
	URAISES "write to a read-only page", 2, 14, 7, mov [FREE + 1004h], eax
	UPASSES "read of a read-only page", 2, mov eax, [FREE + 1004h]
	mov rbx, 8000000000h
	URAISES "read of no page", 2, 14, 4, mov eax, [rbx]
	URAISES "write to no page", 2, 14, 6, mov [rbx], eax
	mov ecx, FREE
	USER 2, jmp rcx
	EQ "fetch from a supervisor page: error code", [exc_error], 15h
	EQ "fetch from a supervisor page: address", [exc_rip], FREE
	USER 2, jmp rbx
	EQ "fetch from no page: error code", [exc_error], 14h
	; the processor's own accesses are the supervisor's: the GDT lies in a supervisor page
	mov eax, USER_DATA | 3
	UPASSES "a selector load reads a GDT that the user cannot", 2, mov es, eax
	; kernel writes to a read-only user page
	RAISES "kernel write to a read-only user page, CR0.WP", 14, 3, mov [FREE + 1000h], eax
	mov rax, cr0
	and eax, ~10000h
	mov cr0, rax
	PASSES "without CR0.WP", mov [FREE + 1000h], eax
	mov rax, cr0
	or eax, 10000h
	mov cr0, rax
	ret

; POPF at CPL 3 leaves IF and IOPL alone
t_flags:
	mov qword [exc_vec], -1
	mov qword [resume_rip], .after
	mov [resume_rsp], rsp
	push USER_DATA | 3
	push USER_STACK
	push 2
	push USER_CODE64 | 3
	push .user
	iretq
.user:	push 3ad7h
	popfq
	int 81h
.after:	mov rax, [exc_rflags]
	and eax, 3effh
	EQ "popf at CPL 3: neither IF nor IOPL", rax, 8d7h
	mov rax, rsp
	push 0
	popfq
	ret

t_syscall:
	WRMSR 0c0000081h, 200008h, 0
	WRMSR 0c0000082h, 0, .entry
	WRMSR 0c0000084h, 0, 41h ; FMASK: CF and ZF
	mov qword [exc_vec], -1
	mov qword [resume_rip], .after
	mov [resume_rsp], rsp
	push USER_DATA | 3
	push USER_STACK
	push 0cd7h
	push USER_CODE64 | 3
	push .user
	iretq
.user:	syscall
.next:	mov r8, rsp
	mov eax, cs
	mov r9d, eax
	mov eax, ss
	mov r10d, eax
	pushfq
	pop r12
	int 81h
.entry:
	mov [.rsp], rsp
	mov rsp, RSP0_TOP
	mov [.rcx], rcx
	mov [.r11], r11
	pushfq
	pop rax
	mov [.flags], rax
	mov eax, cs
	mov [.cs], rax
	mov eax, ss
	mov [.ss], rax
	cld
	mov rsp, [.rsp]
	o64 sysret
.after:
	EQ "syscall: rcx", [.rcx], .next
	EQ "syscall: r11", [.r11], 0cd7h
	EQ "syscall: rflags are masked", [.flags], 0c96h
	EQ "syscall: rsp", [.rsp], USER_STACK
	EQ "syscall: cs", [.cs], CODE64
	EQ "syscall: ss", [.ss], DATA
	EQ "sysret: cs", r9, USER_CODE64 | 3
	EQ "sysret: ss", r10, USER_DATA | 3
	EQ "sysret: rsp", r8, USER_STACK
	EQ "sysret: rflags from r11", r12, 0cd7h
	; without EFER.SCE
	mov ecx, 0c0000080h
	rdmsr
	and eax, ~1
	wrmsr
	URAISES "syscall without EFER.SCE", 2, 6, -1, syscall
	mov ecx, 0c0000080h
	rdmsr
	or eax, 1
	wrmsr
	; a return address that is not canonical: Intel's fault before they leave CPL 0
	xor eax, eax
	cpuid
	cmp ebx, 'Genu'
	jne .other
	mov rcx, 1 << 47
	mov r11, 2
	RAISES "sysret to what is not canonical", 13, 0, o64 sysret
.other:	; swapgs
	WRMSR 0c0000101h, 1, 2
	WRMSR 0c0000102h, 3, 4
	swapgs
	mov ecx, 0c0000101h
	rdmsr
	shl rdx, 32
	or rax, rdx
	mov rbx, 300000004h
	EQ "swapgs", rax, rbx
	ret
	[section .data]
.rcx:	dq 0
.r11:	dq 0
.flags:	dq 0
.rsp:	dq 0
.cs:	dq 0
.ss:	dq 0
	__SECT__

; IRET that must fail
%macro BAD_IRET 6 ; name, vector, error code, rip, cs, ss
	mov rbx, rsp
	push %6
	push USER_STACK
	push 2
	push %5
	mov rax, %4
	push rax
	mov [resume_rsp], rsp
	RAISES %1, %2, %3, iretq
	mov rsp, rbx
%endmacro
t_iret:
	BAD_IRET "iret to a null cs", 13, 0, .x, 0, USER_DATA | 3
	BAD_IRET "iret to data", 13, DATA, .x, DATA, USER_DATA | 3
	BAD_IRET "iret to CPL 3 with an ss of CPL 0", 13, DATA, .x, USER_CODE64 | 3, DATA
	BAD_IRET "iret to CPL 3 with a null ss", 13, 0, .x, USER_CODE64 | 3, 0
	BAD_IRET "iret to user code with RPL 0", 13, USER_CODE64, .x, USER_CODE64, DATA
	BAD_IRET "iret to what is not canonical", 13, 0, 1 << 47, USER_CODE64 | 3, USER_DATA | 3
	BAD_IRET "iret beyond the GDT", 13, 1000h, .x, 1003h, USER_DATA | 3
.x:	; a null SS is fine in 64-bit mode below CPL 3
	mov rbx, rsp
	push 0
	push rbx
	push 2
	push CODE64
	push .null
	iretq
.null:	mov eax, ss
	EQ "iret with a null ss at CPL 0", rax, 0
	mov eax, DATA
	mov ss, eax
	; the stack is popped even without a change of privilege
	mov rbx, rsp
	push DATA
	push rbx
	push 2
	push CODE64
	push .same
	iretq
.same:	mov rax, rsp
	EQ "iret to the same privilege pops ss:rsp", rax, rbx
	ret

t_alignment:
	mov rax, cr0
	or eax, 40000h
	mov cr0, rax
	URAISES "alignment check", 40002h, 17, 0, mov eax, [USER_STACK - 7]
	UPASSES "alignment check off: AC", 2, mov eax, [USER_STACK - 7]
	UPASSES "aligned", 40002h, mov eax, [USER_STACK - 8]
	UPASSES "a byte is always aligned", 40002h, mov al, [USER_STACK - 7]
	mov rax, cr0
	and eax, ~40000h
	mov cr0, rax
	UPASSES "alignment check off: AM", 40002h, mov eax, [USER_STACK - 7]
	ret
