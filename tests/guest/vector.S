; vector.S - AVX state and its faults, gathers over page faults; protection keys.
%include "lib.inc"

V equ 4000000000h      ; a free linear region (PML4 slot 0, PDPT slot 256)
T_PD equ FREE          ; its tables
T_PT equ FREE + 1000h
PAGE equ FREE + 2000h
AREA equ FREE + 4000h

%macro PTE 2
	mov rax, %2
	mov [T_PT + (%1) * 8], rax
	mov rax, V + (%1) * 1000h
	invlpg [rax]
%endmacro
%macro PF 4+ ; name, error, offset, instruction
	RAISES %1, 14, %2, %4
	mov rax, V + (%3)
	EQ {%1, ": cr2"}, [exc_cr2], rax
%endmacro

main:
	mov rdi, FREE
	mov ecx, 8000h / 8
	xor eax, eax
	rep stosq
	mov rax, cr3
	and rax, ~0fffh
	mov rax, [rax]
	and rax, ~0fffh
	mov qword [rax + 256 * 8], T_PD + 7
	mov qword [T_PD], T_PT + 7
	mov eax, 1
	cpuid
	bt ecx, 26
	jnc .end
	bt ecx, 28
	jnc .end
	call t_avx
	call t_gather
	call t_pku
.end:	ret

t_avx:
	mov rax, cr4
	btr rax, 18
	mov cr4, rax
	RAISES "VEX without OSXSAVE", 6, -1, vaddps ymm0, ymm1, ymm2
	RAISES "VEX.128 without OSXSAVE", 6, -1, vpaddd xmm0, xmm1, xmm2
	mov rax, cr4
	bts rax, 18
	mov cr4, rax
	xor ecx, ecx
	xor edx, edx
	mov eax, 3
	xsetbv
	RAISES "VEX without XCR0.AVX", 6, -1, vaddps ymm0, ymm1, ymm2
	mov eax, 5
	RAISES "XCR0: AVX without SSE", 13, 0, xsetbv
	mov eax, 7
	PASSES "XCR0: AVX", xsetbv
	mov eax, 0dh
	xor ecx, ecx
	cpuid
	EQ "XSAVE area with AVX", rbx, 832
	mov rax, cr0
	or eax, 8
	mov cr0, rax
	RAISES "VEX with CR0.TS", 7, -1, vpxor ymm0, ymm0, ymm0
	clts
	RAISES "VMOVAPS, misaligned", 13, 0, vmovaps ymm0, [AREA + 16]
	PASSES "VMOVUPS, misaligned", vmovups ymm0, [AREA + 1]
	; upper halves
	vpcmpeqd ymm1, ymm1, ymm1
	pxor xmm1, xmm1
	vextracti128 xmm2, ymm1, 1
	vmovq rax, xmm2
	EQ "SSE keeps the upper half", rax, -1
	vpxor xmm1, xmm1, xmm1
	vextracti128 xmm2, ymm1, 1
	vmovq rax, xmm2
	EQ "VEX.128 clears it", rax, 0
	; XSAVE keeps it
	vpcmpeqd ymm5, ymm5, ymm5
	mov eax, 7
	xor edx, edx
	xsave64 [AREA]
	vzeroall
	mov eax, 7
	xor edx, edx
	xrstor64 [AREA]
	vextracti128 xmm2, ymm5, 1
	vmovq rax, xmm2
	EQ "XRSTOR brings it back", rax, -1
	mov qword [AREA + 512], 3
	mov eax, 7
	xor edx, edx
	xrstor64 [AREA]
	vextracti128 xmm2, ymm5, 1
	vmovq rax, xmm2
	EQ "its initial state is zero", rax, 0
	mov ecx, 1
	vpcmpeqd ymm5, ymm5, ymm5
	xgetbv
	and eax, 4
	EQ "XINUSE: AVX", rax, 4
	vzeroupper
	xgetbv
	and eax, 4
	EQ "XINUSE: no AVX", rax, 0
	ret

; Elements 0 and 1 lie in page 0, 2 and 3 in page 1
t_gather:
	PTE 0, PAGE + 7
	PTE 1, 0
	mov rsi, V
	mov dword [rsi + 0ff8h], 11111111h
	mov dword [rsi + 0ffch], 22222222h
	mov dword [PAGE + 1000h], 33333333h
	mov dword [PAGE + 1004h], 44444444h
	mov eax, 3feh
	vmovd xmm1, eax
	vpbroadcastd xmm1, xmm1
	vpaddd xmm1, xmm1, [.steps]
	vpcmpeqd xmm2, xmm2, xmm2
	vpxor xmm0, xmm0, xmm0
	PF "VPGATHERDD", 0, 1000h, vpgatherdd xmm0, [rsi + xmm1 * 4], xmm2
	vmovq rax, xmm0
	mov rbx, 2222222211111111h
	EQ "what was loaded before the fault stays", rax, rbx
	vmovmskps eax, xmm2
	EQ "and is not asked for again", rax, 12
	mov dword [rsi + 0ff8h], 0
	PTE 1, PAGE + 1000h + 7
	PASSES "VPGATHERDD goes on", vpgatherdd xmm0, [rsi + xmm1 * 4], xmm2
	vmovq rax, xmm0
	EQ "the first half is the old one", rax, rbx
	vpextrq rax, xmm0, 1
	mov rbx, 4444444433333333h
	EQ "the second half came after the fault", rax, rbx
	PTE 1, 0
	vpcmpeqd xmm2, xmm2, xmm2
	vpsrldq xmm2, xmm2, 8
	PASSES "VPMASKMOVD does not touch what it does not select", vpmaskmovd xmm0, xmm2, [rsi + 0ff8h]
	vpcmpeqd xmm2, xmm2, xmm2
	PF "VPMASKMOVD to two pages", 2, 1000h, vpmaskmovd [rsi + 0ff8h], xmm2, xmm0
	mov eax, [rsi + 0ff8h]
	EQ "a masked store that faults stores nothing", rax, 0
	ret
	align 16
.steps:	dd 0, 1, 2, 3

t_pku:
	mov eax, 7
	xor ecx, ecx
	cpuid
	bt ecx, 3
	jnc .end
	RAISES "RDPKRU without CR4.PKE", 6, -1, rdpkru
	PTE 0, PAGE + 7 + (5 << 59)
	PTE 1, PAGE + 3 + (5 << 59)
	mov rax, cr4
	bts rax, 22
	mov cr4, rax
	mov eax, 7
	xor ecx, ecx
	cpuid
	shr ecx, 4
	and ecx, 1
	EQ "OSPKE mirrors CR4", rcx, 1
	mov ecx, 1
	RAISES "RDPKRU with ECX", 13, 0, rdpkru
	xor ecx, ecx
	mov edx, 1
	RAISES "WRPKRU with EDX", 13, 0, wrpkru
	mov rsi, V
	xor edx, edx
	mov eax, 1 << 11 ; key 5: no writes
	wrpkru
	rdpkru
	EQ "PKRU", rax, 1 << 11
	PASSES "key without writes: read", mov rbx, [rsi]
	PF "key without writes: write", 23h, 0, mov [rsi], rbx
	mov eax, 1 << 10
	wrpkru
	PF "key without access: read", 21h, 0, mov rbx, [rsi]
	PF "key without access: write", 23h, 8, mov [rsi + 8], rbx
	PASSES "keys do not matter to supervisor pages", mov rbx, [rsi + 1000h]
	mov rax, cr0
	btr rax, 16
	mov cr0, rax
	mov eax, 1 << 11
	wrpkru
	PASSES "key without writes: CR0.WP is clear", mov [rsi], rbx
	mov rax, cr0
	bts rax, 16
	mov cr0, rax
	xor eax, eax
	wrpkru
	PASSES "key with all rights", mov [rsi], rbx
	PTE 0, 0
	mov eax, 1 << 10
	wrpkru
	PF "no page: no key", 0, 0, mov rbx, [rsi]
	xor eax, eax
	wrpkru
	mov rax, cr4
	btr rax, 22
	mov cr4, rax
.end:	ret
