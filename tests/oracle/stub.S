/* stub.S - machine code that loads a state, runs one instruction and captures the state.
 *
 * Copied to STUB_BASE as it is: every reference inside is RIP-relative. Offsets are oracle.h's and native.c's. */
	.intel_syntax noprefix
	.section .rodata.oracle_stub, "a"
	.globl stub_image, stub_image_end
	.globl stub_off_enter, stub_off_exit_fault, stub_off_state, stub_off_exit
	.balign 4096
stub_image:

enter:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	pushfq
	mov [rip + host_rsp], rsp
	stmxcsr [rip + host_mxcsr]
	mov eax, [rip + xmask]
	xor edx, edx
	xrstor64 [rip + in_fx]
	push qword ptr [rip + in_flags]
	popfq
	mov rax, [rip + in_gpr + 0]
	mov rcx, [rip + in_gpr + 8]
	mov rdx, [rip + in_gpr + 16]
	mov rbx, [rip + in_gpr + 24]
	mov rsp, [rip + in_gpr + 32]
	mov rbp, [rip + in_gpr + 40]
	mov rsi, [rip + in_gpr + 48]
	mov rdi, [rip + in_gpr + 56]
	mov r8, [rip + in_gpr + 64]
	mov r9, [rip + in_gpr + 72]
	mov r10, [rip + in_gpr + 80]
	mov r11, [rip + in_gpr + 88]
	mov r12, [rip + in_gpr + 96]
	mov r13, [rip + in_gpr + 104]
	mov r14, [rip + in_gpr + 112]
	mov r15, [rip + in_gpr + 120]
	jmp insn

exit:
	mov [rip + out_gpr + 0], rax
	mov [rip + out_gpr + 8], rcx
	mov [rip + out_gpr + 16], rdx
	mov [rip + out_gpr + 24], rbx
	mov [rip + out_gpr + 32], rsp
	mov [rip + out_gpr + 40], rbp
	mov [rip + out_gpr + 48], rsi
	mov [rip + out_gpr + 56], rdi
	mov [rip + out_gpr + 64], r8
	mov [rip + out_gpr + 72], r9
	mov [rip + out_gpr + 80], r10
	mov [rip + out_gpr + 88], r11
	mov [rip + out_gpr + 96], r12
	mov [rip + out_gpr + 104], r13
	mov [rip + out_gpr + 112], r14
	mov [rip + out_gpr + 120], r15
	mov rsp, [rip + host_rsp]
	pushfq
	pop qword ptr [rip + out_flags]
	cld
	mov eax, [rip + xmask]
	xor edx, edx
	xsave64 [rip + out_fx]
exit_fault:
	fninit
	ldmxcsr [rip + host_mxcsr]
	popfq
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

/* exits by number: 0 falls through, 1 back, 2 forward, 3 far */
	.irp k, 0, 1, 2, 3
exit_\k:
	mov dword ptr [rip + out_which], \k
	jmp exit
	.endr

stub_code_end:
	.org 0x1000
state:
in_fx:      .skip 832
out_fx:     .skip 832
in_gpr:     .skip 128
out_gpr:    .skip 128
in_flags:   .quad 0
out_flags:  .quad 0
host_rsp:   .quad 0
out_which:  .long 0
host_mxcsr: .long 0
xmask:      .long 0
	.org 0x4000
/* Instruction page: native.c writes the instruction and the way out behind it */
	.skip 0x7c0, 0xcc
	jmp exit_1
	.org 0x4800, 0xcc
insn:
	.org 0x4840, 0xcc
	jmp exit_2
	.org 0x5000, 0xcc
	jmp exit_3
	.org 0x6000, 0xcc
stub_image_end:

	.balign 8
stub_off_enter:      .quad enter - stub_image
stub_off_exit_fault: .quad exit_fault - stub_image
stub_off_state:      .quad state - stub_image
stub_off_exit:       .quad exit_0 - stub_image, exit_1 - stub_image, exit_2 - stub_image, exit_3 - stub_image
	.section .note.GNU-stack, "", @progbits
