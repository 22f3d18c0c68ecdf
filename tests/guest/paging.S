; paging.S - page walks: sizes, rights, accessed and dirty bits, exact error codes and CR2.
%include "lib.inc"

V equ 4000000000h      ; a free linear region (PML4 slot 0, PDPT slot 256)
T_PD equ FREE          ; its tables
T_PT equ FREE + 1000h
PAGE equ FREE + 2000h  ; physical pages that are mapped there
PAGE2 equ FREE + 3000h

%define P 1
%define W 2
%define U 4
%define A 20h
%define D 40h
%define PS 80h
%define G 100h
%define NX (1 << 63)

; PTE n of the region = value; the translation is flushed
%macro PTE 2
	mov rax, %2
	mov [T_PT + (%1) * 8], rax
	mov rax, V + (%1) * 1000h
	invlpg [rax]
%endmacro
; A fault at V + off: vector 14, that code, that address
%macro PF 4+ ; name, error, offset, instruction
	RAISES %1, 14, %2, %4
	mov rax, V + (%3)
	EQ {%1, ": cr2"}, [exc_cr2], rax
%endmacro

; Calls the code at register %3, which must not be fetched
%macro FETCH 3 ; name, error, register
	mov qword [resume_rip], %%after
	mov qword [exc_vec], -1
	call %3
%%after:
	add rsp, 8
	mov qword [resume_rip], 0
	EQ {%1, ": vector"}, [exc_vec], 14
	EQ {%1, ": error code"}, [exc_error], %2
	EQ {%1, ": address"}, [exc_rip], %3
%endmacro

main:
	mov edi, FREE
	mov ecx, 4000h / 8
	xor eax, eax
	rep stosq
	mov qword [PDPT + 256 * 8], T_PD | P | W | U
	mov qword [T_PD], T_PT | P | W | U
	mov rbx, V

	call t_basic
	call t_dirty
	call t_rights
	call t_large
	call t_reserved
	call t_canonical
	call t_straddle
	call t_smep_smap
	call t_pcid
	call t_global
	ret

t_basic:
	PF "read of a page not present", 0, 0, mov eax, [rbx]
	PF "write to a page not present", 2, 5, mov [rbx + 5], eax
	PF "read-modify-write faults as a write", 2, 0, add [rbx], eax
	FETCH "fetch from a page not present, no-execute on", 10h, rbx
	EQ "and its cr2", [exc_cr2], rbx
	PTE 0, PAGE | P | W
	PASSES "present again without a flush of its own", mov dword [rbx], 12345678h
	EQ "the store went to the page", [PAGE], 12345678h
	PTE 0, PAGE2 | P | W
	mov dword [PAGE2], 0abcdh
	mov eax, [rbx]
	EQ "invlpg drops the old page", rax, 0abcdh
	ret

t_dirty:
	PTE 1, PAGE | P | W
	mov eax, [rbx + 1000h]
	mov rax, [T_PT + 8]
	EQ "a read sets A, not D", rax, PAGE | P | W | A
	mov [rbx + 1000h], eax
	mov rax, [T_PT + 8]
	EQ "a write sets D", rax, PAGE | P | W | A | D
	mov rax, [T_PD]
	EQ "A in the page directory", rax, T_PT | P | W | U | A
	mov rax, [PDPT + 256 * 8]
	EQ "A in the page directory pointers", rax, T_PD | P | W | U | A
	PTE 1, PAGE | P
	RAISES "a failing write", 14, 3, mov [rbx + 1000h], eax
	mov rax, [T_PT + 8]
	and eax, ~A
	EQ "a failing write leaves D alone", rax, PAGE | P
	PTE 1, PAGE | P | W
	lock add dword [rbx + 1000h], 0
	mov rax, [T_PT + 8]
	EQ "a locked addition of nothing sets D", rax, PAGE | P | W | A | D
	PTE 1, PAGE | P | W
	mov eax, -1
	mov ecx, 0
	mov dword [PAGE], 7
	cmpxchg [rbx + 1000h], ecx
	mov rax, [T_PT + 8]
	EQ "cmpxchg that fails sets D", rax, PAGE | P | W | A | D
	ret

t_rights:
	PTE 2, PAGE | P
	PF "write to a read-only page, CR0.WP", 3, 2004h, mov byte [rbx + 2004h], 1
	mov rax, cr0
	and rax, ~10000h
	mov cr0, rax
	PASSES "the same without CR0.WP", mov byte [rbx + 2004h], 1
	mov rax, cr0
	or rax, 10000h
	mov cr0, rax
	PF "and again with it", 3, 2004h, mov byte [rbx + 2004h], 1
	PTE 2, PAGE | P | W | NX
	mov byte [PAGE], 0c3h ; ret
	lea rcx, [rbx + 2000h]
	FETCH "fetch from a no-execute page", 11h, rcx
	EQ "fetch from a no-execute page: cr2", [exc_cr2], rcx
	PTE 2, PAGE | P | W
	PASSES "fetch without no-execute", call rcx
	; rights are those of all levels
	mov qword [T_PD], T_PT | P | U
	mov rax, cr3
	mov cr3, rax
	PF "a directory that forbids writes", 3, 2000h, mov [rbx + 2000h], eax
	mov qword [T_PD], T_PT | P | W | U
	mov rax, NX | T_PD | P | W | U
	mov [PDPT + 256 * 8], rax
	mov rax, cr3
	mov cr3, rax
	FETCH "no-execute two levels up", 11h, rcx
	mov qword [PDPT + 256 * 8], T_PD | P | W | U
	mov rax, cr3
	mov cr3, rax
	ret

t_large:
	; the 2 MiB page at V + 2M maps physical 0, and one at V + 1G (a 1 GiB page) as well
	mov qword [T_PD + 8], P | W | PS
	mov dword [PAGE + 8], 1357h
	mov rax, V + 200000h + PAGE
	mov eax, [rax + 8]
	EQ "2 MiB page", rax, 1357h
	mov rax, [T_PD + 8]
	EQ "2 MiB page: A", rax, P | W | PS | A
	mov rdx, V + 200000h + PAGE
	mov dword [rdx + 8], 2468h
	mov rax, [T_PD + 8]
	EQ "2 MiB page: D", rax, P | W | PS | A | D
	mov eax, 80000001h
	cpuid
	mov rbx, V
	bt edx, 26
	jnc .no_1g
	mov qword [PDPT + 257 * 8], P | W | PS
	mov rdx, V + 40000000h + PAGE
	mov eax, [rdx + 8]
	EQ "1 GiB page", rax, 2468h
	mov dword [rdx + 8], 99h
	mov rax, [PDPT + 257 * 8]
	EQ "1 GiB page: A and D", rax, P | W | PS | A | D
	; invlpg anywhere in it drops all of it
	mov rdx, V + 40000000h
	mov eax, [rdx + PAGE]
	mov qword [PDPT + 257 * 8], 0
	invlpg [rdx + 12345678h]
	RAISES "1 GiB page gone", 14, 0, mov eax, [rdx + PAGE]
.no_1g:
	mov qword [T_PD + 8], 0
	mov rdx, V + 200000h
	invlpg [rdx + 1ff000h]
	RAISES "2 MiB page gone", 14, 0, mov eax, [rdx + PAGE]
	ret

t_reserved:
	mov rax, (1 << 51) | PAGE | P | W
	mov [T_PT + 3 * 8], rax
	PF "a reserved address bit", 9, 3000h, mov eax, [rbx + 3000h]
	PF "a reserved address bit, write", 0bh, 3000h, mov [rbx + 3000h], eax
	mov qword [T_PT + 3 * 8], 0
	mov qword [T_PD + 8], 2000h | P | W | PS
	mov rdx, V + 200000h
	RAISES "a reserved bit of a 2 MiB page", 14, 9, mov eax, [rdx]
	mov qword [T_PD + 8], 0
	mov rax, [PML4]
	mov [PML4 + 8], rax
	or qword [PML4 + 8], PS
	mov rdx, 1 << 39
	RAISES "PS in the top level is reserved", 14, 9, mov eax, [rdx]
	mov qword [PML4 + 8], 0
	; without EFER.NXE, bit 63 is reserved
	mov rax, NX | PAGE | P | W
	mov [T_PT + 3 * 8], rax
	mov ecx, 0c0000080h
	rdmsr
	and eax, ~800h
	wrmsr
	mov rcx, cr3
	mov cr3, rcx
	PF "bit 63 without EFER.NXE", 9, 3000h, mov eax, [rbx + 3000h]
	mov ecx, 0c0000080h
	rdmsr
	or eax, 800h
	wrmsr
	mov rcx, cr3
	mov cr3, rcx
	PASSES "bit 63 with EFER.NXE", mov eax, [rbx + 3000h]
	ret

t_canonical:
	mov rdx, 1 << 47
	RAISES "not canonical", 13, 0, mov eax, [rdx]
	RAISES "not canonical through RBP's segment is no #SS with another base", 13, 0, mov eax, [rdx + rbx]
	mov rbp, rdx
	RAISES "not canonical through RBP", 12, 0, mov eax, [rbp]
	mov rsi, rsp
	lea rsp, [rdx + 10h]
	mov qword [resume_rip], .after
	mov qword [exc_vec], -1
	; there is no stack to push the frame on, so switch to one
	mov byte [IDT + 12 * 16 + 4], 1
	mov byte [IDT + 13 * 16 + 4], 1
.insn:	push rax
.after:	mov rsp, rsi
	mov byte [IDT + 12 * 16 + 4], 0
	mov byte [IDT + 13 * 16 + 4], 0
	EQ "push to a stack that is not canonical: vector", [exc_vec], 12
	EQ "push to a stack that is not canonical: error code", [exc_error], 0
	EQ "push to a stack that is not canonical: address", [exc_rip], .insn
	; straddling the hole's edge
	mov rdx, (1 << 47) - 2
	RAISES "straddling the edge", 13, 0, mov eax, [rdx]
	RAISES "jump to what is not canonical", 13, 0, jmp [.target]
	[section .data]
.target: dq 1 << 50
	__SECT__
	ret

t_straddle:
	PTE 4, PAGE | P | W
	PTE 5, 0
	mov qword [PAGE + 0ff8h], 0
	PF "a store over the edge of two pages: the second faults", 2, 5000h, mov [rbx + 4ffch], rcx
	EQ "and nothing is stored in the first", [PAGE + 0ff8h], 0
	PF "a load over the edge", 0, 5000h, mov rax, [rbx + 4ffdh]
	PTE 5, PAGE2 | P
	PF "a store into a read-only second page", 3, 5000h, mov [rbx + 4ffch], rcx
	EQ "and nothing is stored", [PAGE + 0ff8h], 0
	PTE 5, PAGE2 | P | W
	mov rcx, 1122334455667788h
	mov [rbx + 4ffch], rcx
	EQ "a straddling store: first page", [PAGE + 0ff8h], 5566778800000000h
	mov eax, [PAGE2]
	EQ "a straddling store: second page", rax, 11223344h
	mov rax, [rbx + 4ffch]
	EQ "a straddling load", rax, rcx
	lock add [rbx + 4ffch], rcx
	mov rax, [rbx + 4ffch]
	EQ "a straddling locked addition", rax, 22446688aaccef10h
	; an instruction over the edge
	PTE 4, PAGE | P | W
	mov byte [PAGE + 0fffh], 0b8h ; mov eax, imm32
	mov dword [PAGE2], 0cafeh
	mov byte [PAGE2 + 4], 0c3h
	lea rcx, [rbx + 4fffh]
	call rcx
	EQ "an instruction over the edge", rax, 0cafeh
	PTE 5, 0
	FETCH "its second page missing", 10h, rcx
	lea rax, [rbx + 5000h]
	EQ "its second page missing: cr2", [exc_cr2], rax
	PTE 5, PAGE2 | P | W
	call rcx
	EQ "its second page back", rax, 0cafeh
	ret

t_smep_smap:
	mov eax, 7
	xor ecx, ecx
	cpuid
	mov r12d, ebx
	mov rbx, V
	PTE 6, PAGE | P | W | U
	mov byte [PAGE], 0c3h
	bt r12d, 7
	jnc .no_smep
	mov rax, cr4
	bts rax, 20
	mov cr4, rax
	lea rcx, [rbx + 6000h]
	FETCH "SMEP", 11h, rcx
	mov rax, cr4
	btr rax, 20
	mov cr4, rax
	PASSES "without SMEP", call rcx
.no_smep:
	bt r12d, 20
	jnc .no_smap
	mov rax, cr4
	bts rax, 21
	mov cr4, rax
	PF "SMAP: read", 1, 6000h, mov eax, [rbx + 6000h]
	PF "SMAP: write", 3, 6000h, mov [rbx + 6000h], eax
	stac
	PASSES "SMAP with AC: read", mov eax, [rbx + 6000h]
	PASSES "SMAP with AC: write", mov [rbx + 6000h], eax
	clac
	PF "SMAP again", 1, 6000h, mov eax, [rbx + 6000h]
	mov rax, cr4
	btr rax, 21
	mov cr4, rax
	PASSES "without SMAP", mov eax, [rbx + 6000h]
.no_smap:
	ret

t_pcid:
	mov eax, 1
	cpuid
	mov rbx, V
	bt ecx, 17
	jnc .none
	mov rax, cr4
	bts rax, 30
	RAISES "a reserved bit of CR4", 13, 0, mov cr4, rax
	mov rax, cr4
	bts rax, 17
	mov cr4, rax
	PTE 7, PAGE | P | W
	mov dword [PAGE], 11h
	mov dword [PAGE2], 22h
	mov rax, PML4 | 1
	mov cr3, rax
	mov eax, [rbx + 7000h]
	EQ "PCID 1", rax, 11h
	; CR3 with bit 63 keeps what is cached
	mov rax, (1 << 63) | PML4 | 2
	mov cr3, rax
	mov rax, cr3
	EQ "bit 63 of CR3 reads as zero", rax, PML4 | 2
	mov qword [T_PT + 7 * 8], PAGE2 | P | W
	mov rax, PML4 | 1
	mov cr3, rax
	mov eax, [rbx + 7000h]
	EQ "CR3 without bit 63 flushes", rax, 22h
	mov eax, 7
	xor ecx, ecx
	cpuid
	bt ebx, 10
	mov rbx, V
	jnc .off
	mov qword [T_PT + 7 * 8], PAGE | P | W
	mov qword [.desc], 1
	lea rax, [rbx + 7000h]
	mov [.desc + 8], rax
	xor ecx, ecx
	invpcid rcx, [.desc]
	mov eax, [rbx + 7000h]
	EQ "INVPCID of one address", rax, 11h
	mov qword [T_PT + 7 * 8], PAGE2 | P | W
	mov ecx, 1
	invpcid rcx, [.desc]
	mov eax, [rbx + 7000h]
	EQ "INVPCID of one PCID", rax, 22h
	mov qword [T_PT + 7 * 8], PAGE | P | W
	mov ecx, 2
	mov qword [.desc], 0
	invpcid rcx, [.desc]
	mov eax, [rbx + 7000h]
	EQ "INVPCID of all", rax, 11h
	mov ecx, 4
	RAISES "INVPCID type 4", 13, 0, invpcid rcx, [.desc]
	mov ecx, 0
	mov qword [.desc], 1000h
	RAISES "INVPCID with reserved bits", 13, 0, invpcid rcx, [.desc]
.off:	mov rax, cr0
	btr rax, 31
	RAISES "CR0.PG cannot be cleared in 64-bit mode", 13, 0, mov cr0, rax
	mov rax, PML4
	mov cr3, rax
	mov rax, cr4
	btr rax, 17
	mov cr4, rax
	mov rax, PML4 | 5
	mov cr3, rax
	mov rax, cr4
	bts rax, 17
	RAISES "CR4.PCIDE while CR3 has low bits", 13, 0, mov cr4, rax
	mov rax, PML4
	mov cr3, rax
.none:
	[section .data]
	align 16
.desc:	dq 0, 0
	__SECT__
	ret

t_global:
	PTE 8, PAGE | P | W | G
	mov dword [PAGE], 1
	mov dword [PAGE2], 2
	mov eax, [rbx + 8000h]
	mov qword [T_PT + 8 * 8], PAGE2 | P | W | G
	mov rax, cr4
	btr rax, 7
	mov cr4, rax
	bts rax, 7
	mov cr4, rax
	mov eax, [rbx + 8000h]
	EQ "toggling CR4.PGE flushes global pages", rax, 2
	ret
