; cpu.S - CPUID, MSRs, time stamp counter, wide compare-and-exchange, odd system instructions.
%include "lib.inc"

main:
	call t_cpuid
	call t_msr
	call t_tsc
	call t_cmpxchg
	call t_segments
	call t_cr
	ret

t_cpuid:
	xor eax, eax
	cpuid
	cmp eax, 7
	setae al
	movzx eax, al
	EQ "leaf 7 is there", rax, 1
	mov eax, 1
	cpuid
	bt ecx, 26
	jnc .no_xsave
	bt ecx, 27
	setc al
	movzx eax, al
	EQ "OSXSAVE mirrors CR4: clear", rax, 0
	RAISES "xgetbv without OSXSAVE", 6, -1, xgetbv
	mov rax, cr4
	bts rax, 18
	mov cr4, rax
	mov eax, 1
	cpuid
	bt ecx, 27
	setc al
	movzx eax, al
	EQ "OSXSAVE mirrors CR4: set", rax, 1
	xor ecx, ecx
	xgetbv
	and eax, 1
	EQ "XCR0: x87", rax, 1
	xor ecx, ecx
	xor edx, edx
	mov eax, 2
	RAISES "XCR0 without x87", 13, 0, xsetbv
	mov ecx, 1
	mov eax, 3
	RAISES "XCR1", 13, 0, xsetbv
	xor ecx, ecx
	mov eax, 3
	PASSES "XCR0: x87 and SSE", xsetbv
	mov eax, 0dh
	xor ecx, ecx
	cpuid
	EQ "XSAVE area of x87 and SSE", rbx, 576
	mov rax, cr4
	btr rax, 18
	mov cr4, rax
.no_xsave:
	mov eax, 80000000h
	cpuid
	cmp eax, 80000008h
	setae al
	movzx eax, al
	EQ "leaf 80000008h is there", rax, 1
	mov eax, 1
	mov rcx, -1
	mov rdx, -1
	mov rbx, -1
	cpuid
	shr rcx, 32
	shr rdx, 32
	or rcx, rdx
	shr rbx, 32
	or rcx, rbx
	EQ "upper halves are cleared", rcx, 0
	ret

t_msr:
	mov ecx, 12345678h
	RAISES "rdmsr of none", 13, 0, rdmsr
	RAISES "wrmsr of none", 13, 0, wrmsr
	mov ecx, 0c0000080h
	rdmsr
	and eax, 0d01h
	EQ "EFER: SCE, LME, LMA, NXE", rax, 0d01h
	rdmsr
	or eax, 2
	RAISES "EFER: a reserved bit", 13, 0, wrmsr
	rdmsr
	and eax, ~100h
	RAISES "EFER: LME cannot be cleared under paging", 13, 0, wrmsr
	mov ecx, 0c0000101h
	xor eax, eax
	mov edx, 8000h
	RAISES "GS.base, not canonical", 13, 0, wrmsr
	mov edx, 7fffh
	PASSES "GS.base, canonical", wrmsr
	xor eax, eax
	mov edx, eax
	wrmsr
	mov ecx, 0c0000100h
	mov eax, FREE
	wrmsr
	mov dword [FREE + 8], 4711h
	mov eax, [fs:8]
	EQ "FS.base", rax, 4711h
	mov ecx, 277h
	rdmsr
	mov r8, rax
	mov al, 2
	RAISES "PAT: a type that is none", 13, 0, wrmsr
	mov rax, r8
	PASSES "PAT", wrmsr
	mov ecx, 0c0000082h
	mov edx, 1 << 20
	RAISES "LSTAR, not canonical", 13, 0, wrmsr
	mov ecx, 174h
	mov eax, 8
	xor edx, edx
	wrmsr
	rdmsr
	EQ "SYSENTER_CS", rax, 8
	mov ecx, 1bh
	rdmsr
	and eax, 100h
	EQ "boot processor", rax, 100h
	ret

t_tsc:
	xor r8d, r8d
	xor r9d, r9d
	mov ecx, 10000
.next:	rdtsc
	shl rdx, 32
	or rax, rdx
	cmp rax, r8
	jae .up
	inc r9d
.up:	mov r8, rax
	loop .next
	EQ "the time stamp counter never goes back", r9, 0
	mov eax, 80000001h
	cpuid
	bt edx, 27
	jnc .none
	mov ecx, 0c0000103h
	mov eax, 1234h
	xor edx, edx
	wrmsr
	rdtscp
	EQ "rdtscp: TSC_AUX", rcx, 1234h
.none:	ret

t_cmpxchg:
	mov edi, FREE
	mov rax, 1
	mov [rdi], rax
	mov rdx, 2
	mov [rdi + 8], rdx
	mov rbx, 3
	mov rcx, 4
	lock cmpxchg16b [rdi]
	setz r8b
	movzx r8, r8b
	EQ "cmpxchg16b: equal", r8, 1
	EQ "cmpxchg16b: low", [FREE], 3
	EQ "cmpxchg16b: high", [FREE + 8], 4
	lock cmpxchg16b [rdi]
	setz r8b
	movzx r8, r8b
	EQ "cmpxchg16b: not equal", r8, 0
	EQ "cmpxchg16b: rax", rax, 3
	EQ "cmpxchg16b: rdx", rdx, 4
	RAISES "cmpxchg16b, not aligned", 13, 0, cmpxchg16b [rdi + 8]
	lock cmpxchg8b [rdi]
	EQ "cmpxchg8b loads what it finds", rax, 3
	ret

; Selector loads that a 64-bit kernel can see
t_segments:
	mov eax, CODE64
	RAISES "mov to ss: code", 13, CODE64, mov ss, eax
	mov eax, USER_DATA
	RAISES "mov to ss: DPL", 13, USER_DATA, mov ss, eax
	mov eax, 1000h
	RAISES "mov to ds: beyond the GDT", 13, 1000h, mov ds, eax
	mov eax, TASK
	RAISES "mov to ds: a system segment", 13, TASK, mov ds, eax
	RAISES "mov to cs", 6, -1, db 8eh, 0c8h
	mov rax, [gdt + DATA]
	mov [gdt_free], rax
	btr qword [gdt_free], 47
	mov eax, FREE_SEL
	RAISES "mov to ds: not present", 11, FREE_SEL, mov ds, eax
	RAISES "mov to ss: not present", 12, FREE_SEL, mov ss, eax
	mov rax, [gdt + DATA]
	mov [gdt_free], rax
	mov eax, FREE_SEL
	mov ds, eax
	mov rax, [gdt_free]
	bt rax, 40
	setc al
	movzx eax, al
	EQ "the accessed bit is set", rax, 1
	mov eax, CODE64
	PASSES "mov to ds: readable code", mov ds, eax
	mov eax, DATA
	mov ds, eax
	xor eax, eax
	lar eax, [sel_data]
	setz bl
	movzx ebx, bl
	EQ "lar: ZF", rbx, 1
	and eax, 0f0ff00h ; what lies between is undefined
	EQ "lar", rax, 0c09300h
	lsl eax, [sel_data]
	mov ebx, -1
	EQ "lsl", rax, rbx
	mov eax, 1000h
	lar ebx, eax
	setz bl
	movzx ebx, bl
	EQ "lar beyond the GDT: ZF", rbx, 0
	mov eax, CODE64
	verr ax
	setz bl
	verw ax
	setz bh
	movzx ebx, bx
	EQ "verr, verw of readable code", rbx, 1
	str eax
	EQ "str", rax, TASK
	mov ax, TASK
	RAISES "ltr of a busy task", 13, TASK, ltr ax
	mov ax, DATA
	RAISES "ltr of data", 13, DATA, ltr ax
	RAISES "lldt of data", 13, DATA, lldt ax
	xor eax, eax
	PASSES "lldt of null", lldt ax
	mov eax, 4
	RAISES "a selector of no LDT", 13, 4, mov ds, eax
	ret
	[section .data]
sel_data: dw DATA
	__SECT__

t_cr:
	mov rax, cr0
	or eax, 20000000h ; NW without CD
	RAISES "CR0: NW without CD", 13, 0, mov cr0, rax
	mov rax, cr0
	and eax, ~1
	RAISES "CR0: PG without PE", 13, 0, mov cr0, rax
	mov rax, cr0
	bts rax, 32
	RAISES "CR0: upper half", 13, 0, mov cr0, rax
	mov rax, cr4
	and eax, ~20h
	RAISES "CR4: PAE cannot be cleared in long mode", 13, 0, mov cr4, rax
	mov rax, cr3
	bts rax, 62
	RAISES "CR3: a reserved bit", 13, 0, mov cr3, rax
	RAISES "CR1", 6, -1, db 0fh, 20h, 0c8h
	RAISES "CR8: reserved bits", 13, 0, mov cr8, rax
	smsw ax
	and eax, 1
	EQ "smsw", rax, 1
	ret
