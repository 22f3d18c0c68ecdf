"""Raw binaries: the seed's run word for word, the start state, the ways a guest can end."""
import os
import signal
import subprocess
import time

import pexpect
import pytest
from conftest import TOP, VMM, run_vmm, spawn_vmm

SEED_LOG = [
    "[INFO] Initializing hypervisor...",
    "[INFO] Created VM",
    "[INFO] Allocated guest memory: 128 MB",
    "[INFO] Created vCPU 0",
    "[INFO] Setting up x86_64 boot environment...",
    "[INFO] vCPU 0: Running vCPU...",
    "[DEBUG] vCPU 0: VM exit: HLT",
    "[INFO] vCPU 0: HLT - pausing vCPU",
]
HALT = "cli\nhlt\n"
POWEROFF = "mov dx, 0x604\nmov ax, 0x3400\nout dx, ax\nhalt: hlt\njmp halt\n"
PUTS = """
puts:   mov dx, 0x3f8
.next:  lodsb
        test al, al
        jz .end
        out dx, al
        jmp .next
.end:   ret
"""


def test_seed_command_word_for_word(simple_bin):
    assert simple_bin.stat().st_size == 24
    r = run_vmm("--binary", "tests/kernels/x86_64_simple.bin", "--entry", "0x1000", "--mem", "128M", "--log", "4")
    assert (r.code, r.out) == (0, ""), r
    lines = r.err.splitlines()
    at = lines.index(SEED_LOG[0])
    assert lines[at:at + len(SEED_LOG)] == SEED_LOG, r
    assert all(line.startswith("[INFO] Engine: ") for line in lines[:at]), r


@pytest.mark.parametrize("level,lines", [(0, 0), (1, 0), (2, 0), (3, 8), (4, 9)])
def test_log_levels(simple_bin, level, lines):
    r = run_vmm("--binary", simple_bin, "--log", level)
    assert r.code == 0 and len(r.err.splitlines()) == lines, r


def test_output_and_poweroff(assemble):
    b = assemble("bits 64\norg 0x1000\nmov esi, text\ncall puts\n" + POWEROFF + PUTS + "text: db 'hello, world', 10, 0\n")
    r = run_vmm("--binary", b)
    assert (r.code, r.out, r.err) == (0, "hello, world\n", ""), r


def test_output_without_newline_comes_out_before_the_end(assemble):
    b = assemble("bits 64\norg 0x1000\nmov esi, text\ncall puts\n" + HALT + PUTS + "text: db 'no newline', 0\n")
    assert run_vmm("--binary", b).out == "no newline"


def test_start_state_long_mode(assemble):
    """CS 08h, SS 10h, stack at 2000h, paging and long mode on: each shown as a letter"""
    b = assemble("""
        bits 64
        org 0x1000
        mov r15, rsp
        mov bl, 'A'
        cmp r15, 0x2000
        call check
        mov ax, cs
        cmp ax, 8
        call check
        mov ax, ss
        cmp ax, 0x10
        call check
        mov ax, ds
        cmp ax, 0x10
        call check
        mov rax, cr0
        bt rax, 31
        cmc
        sbb rcx, rcx
        call check
        mov rax, [0xfffff0]        ; identity-mapped up to 4 GiB
        mov rax, [abs qword 0xfee00030]
        cmp rax, rax
        call check
        """ + POWEROFF + """
check:  mov dx, 0x3f8
        mov al, bl
        je .good
        mov al, '!'
.good:  out dx, al
        inc bl
        ret
        """)
    r = run_vmm("--binary", b, "--mem", "32M")
    assert (r.code, r.out) == (0, "ABCDEF"), r


@pytest.mark.parametrize("mode,text", [
    ("real", "bits 16\norg 0\nmov dx, 0x3f8\nmov al, 'r'\nout dx, al\nmov eax, cr0\nand al, 1\nadd al, '0'\nout dx, al\ncli\nhlt\n"),
    ("protected", "bits 32\norg 0x1000\nmov dx, 0x3f8\nmov al, 'p'\nout dx, al\nmov eax, cr0\nand al, 1\nadd al, '0'\nout dx, al\ncli\nhlt\n"),
    ("long", "bits 64\norg 0x1000\nmov dx, 0x3f8\nmov al, 'l'\nout dx, al\nmov rax, cr0\nand al, 1\nadd al, '0'\nout dx, al\ncli\nhlt\n"),
])
def test_modes(assemble, mode, text):
    r = run_vmm("--binary", assemble(text), "--mode", mode)
    assert (r.code, r.out) == (0, {"real": "r0", "protected": "p1", "long": "l1"}[mode]), r


def test_entry_elsewhere(assemble):
    b = assemble("bits 64\norg 0x200000\nmov esi, text\ncall puts\n" + HALT + PUTS + "text: db 'there', 10, 0\n")
    assert run_vmm("--binary", b, "--entry=0x200000").out == "there\n"


RESET = {
    "cf9": "mov dx, 0xcf9\nmov al, 6\nout dx, al\nend: jmp end\n",
    "i8042": "mov al, 0xfe\nout 0x64, al\nend: jmp end\n",
    "port92": "mov al, 1\nout 0x92, al\nend: jmp end\n",
}


@pytest.mark.parametrize("how", RESET)
def test_reset_ends_with_its_own_code(assemble, how):
    assert run_vmm("--binary", assemble("bits 64\norg 0x1000\n" + RESET[how])).code == 4


def test_reboot_really_starts_again(assemble):
    """CMOS RAM outlives a reset, guest state does not: resets until a counter there says so"""
    b = assemble("bits 64\norg 0x1000\nmov al, 0x40\nout 0x70, al\nin al, 0x71\ninc al\nmov cl, al\nmov al, 0x40\n"
                 "out 0x70, al\nmov al, cl\nout 0x71, al\nadd al, '0'\nmov dx, 0x3f8\nout dx, al\ncmp cl, 3\nje off\n"
                 + RESET["cf9"] + "off:" + POWEROFF)
    r = run_vmm("--binary", b, "--reboot")
    assert (r.code, r.out) == (0, "123"), r


def test_triple_fault(assemble):
    r = run_vmm("--binary", assemble("bits 64\norg 0x1000\nlidt [idt]\nud2\nidt: dw 0\ndq 0\n"))
    assert r.code == 6 and r.err.startswith("[WARN] vCPU 0: ") and "triple fault" in r.err, r


def test_pvpanic(assemble):
    r = run_vmm("--binary", assemble("bits 64\norg 0x1000\nmov dx, 0x505\nmov al, 1\nout dx, al\nend: jmp end\n"))
    assert r.code == 5 and "panicked" in r.err, r


IDLE = "bits 64\norg 0x1000\nsti\nidle: hlt\njmp idle\n"  # no interrupt source is enabled: waits for ever
SPIN = "bits 64\norg 0x1000\nspin: jmp spin\n"


def start(binary, *args, **kw):
    return subprocess.Popen([VMM, "--binary", str(binary), *args], cwd=TOP, stderr=subprocess.PIPE, **kw)


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, subprocess.PIPE, None], ids=["null", "pipe", "closed"])
def test_idle_guest_uses_no_cpu(assemble, stdin):
    extra = {"stdin": stdin} if stdin is not None else {"preexec_fn": lambda: os.close(0)}
    p = start(assemble(IDLE), stdout=subprocess.DEVNULL, **extra)
    try:
        time.sleep(0.5)
        before = cpu_seconds(p.pid)
        time.sleep(2)
        assert cpu_seconds(p.pid) - before <= 0.02
    finally:
        p.terminate()
        assert p.wait(timeout=10) == 128 + signal.SIGTERM


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("guest", [IDLE, SPIN], ids=["idle", "spinning"])
def test_signals_end_cleanly(assemble, sig, guest):
    p = start(assemble(guest), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    time.sleep(0.3)
    p.send_signal(sig)
    assert p.wait(timeout=10) == 128 + sig


FLOOD = "bits 64\norg 0x1000\nmov dx, 0x3f8\nmov al, 'x'\nflood: out dx, al\njmp flood\n"


def test_reader_that_never_reads(assemble):
    """A full pipe stops the guest, not the monitor: it ends when told to"""
    p = start(assemble(FLOOD), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    time.sleep(0.7)
    p.terminate()
    assert p.wait(timeout=10) == 128 + signal.SIGTERM


def test_reader_that_has_gone(assemble):
    p = start(assemble(FLOOD), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    p.stdout.close()
    time.sleep(0.5)
    assert p.poll() is None
    p.terminate()
    assert p.wait(timeout=10) == 128 + signal.SIGTERM


ECHO = """
        bits 64
        org 0x1000
wait_:  mov dx, 0x3fd
        in al, dx
        test al, 1
        jz wait_
        mov dx, 0x3f8
        in al, dx
        cmp al, 'q'
        je off
        out dx, al
        jmp wait_
off:
""" + POWEROFF


def test_piped_input_of_any_length(assemble):
    """Thousands of bytes through a port that holds one, none lost; Ctrl-A Ctrl-A is one Ctrl-A"""
    text = b"0123456789abcdef" * 1000
    r = run_vmm("--binary", assemble(ECHO), stdin=text + b"\x01\x01" + b"q")
    assert r.code == 0 and r.out == text.decode() + "\x01", r


def test_escape_keys_on_a_terminal(assemble):
    t = spawn_vmm("--binary", assemble(ECHO))
    t.send("ab")
    t.expect_exact("ab")
    t.send("\x01h")
    t.expect_exact("Ctrl-A x")
    t.send("\x01c")
    t.expect_exact("no monitor")
    t.send("\x03\x1a\x1c")  # not signals for us in raw mode, but input for the guest
    t.expect_exact("\x03\x1a\x1c")
    t.send("\x01x")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 0


@pytest.mark.parametrize("how", ["quit", "poweroff", "TERM", "SEGV", "ABRT", "TERM-TWICE"])
def test_terminal_is_restored(assemble, how):
    """A shell runs us on its terminal and shows the terminal's mode before and after"""
    guest = assemble(ECHO)
    shell = f"stty -a | md5sum; {VMM} --binary {guest}; echo code $?; stty -a | md5sum; echo done"
    t = pexpect.spawn("/bin/bash", ["--norc", "-c", shell], encoding="utf-8", timeout=20)
    t.expect(r"([0-9a-f]{32})  -")
    before = t.match.group(1)
    t.send("z")
    t.expect_exact("z")
    if how == "quit":
        t.send("\x01x")
    elif how == "poweroff":
        t.send("q")
    else:
        pid = int(subprocess.check_output(["pgrep", "-P", str(t.pid), "-x", "vibevmm"]))
        os.kill(pid, getattr(signal, "SIG" + how.removesuffix("-TWICE")))
        if how == "TERM-TWICE":
            os.kill(pid, signal.SIGTERM)
    t.expect(r"code (\d+)")
    code = int(t.match.group(1))
    t.expect(r"([0-9a-f]{32})  -")
    assert t.match.group(1) == before
    assert code == {"quit": 0, "poweroff": 0, "SEGV": 139, "ABRT": 134}.get(how, 143)
    t.close()
