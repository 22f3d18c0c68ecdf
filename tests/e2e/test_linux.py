"""Debian's stock kernels to a shell on ttyS0, and all the ways out of them."""
import re
import signal
import subprocess
import time

import pexpect
import pytest
from conftest import CMDLINE, TOP, VMM, run_vmm, spawn_vmm

PROMPT = "guest# "


def shell(image, *args):
    t = spawn_vmm(*image.args(*args))
    t.expect_exact("Linux version " + image.version)
    t.expect_exact("vibe-vmm: init is running")
    t.expect_exact(PROMPT)
    return t


def ends(t, code):
    t.expect(pexpect.EOF)
    t.close()
    assert (t.exitstatus, t.signalstatus) == (code, None)


def say(t, line, *expected):
    t.sendline(line)
    for e in expected:
        t.expect(e)
    t.expect_exact(PROMPT)


def test_shell_and_poweroff(any_image):
    t = shell(any_image)
    say(t, "echo $((6 * 7)) answers", r"\b42 answers")
    say(t, "uname -m", "x86_64")
    say(t, "cat /proc/cmdline", re.escape(CMDLINE))
    say(t, "dmesg | grep -c -E 'BUG:|Oops|Call Trace|unchecked MSR|WARNING: CPU'", r"\r\n0\r\n")
    t.sendline("poweroff -f")
    ends(t, 0)


def test_reboot_ends_with_its_own_code(any_image):
    t = shell(any_image)
    t.sendline("reboot -f")
    ends(t, 4)


def test_reboot_boots_again(cloud):
    t = shell(cloud, "--reboot")
    t.sendline("reboot -f")
    t.expect_exact("Linux version")
    t.expect_exact(PROMPT)
    say(t, "cut -d. -f1 /proc/uptime", r"\r\n\d{1,2}\r\n")
    t.sendline("poweroff -f")
    ends(t, 0)


def test_panic(cloud):
    t = shell(cloud)
    t.sendline("echo c >/proc/sysrq-trigger")
    t.expect_exact("Kernel panic")
    ends(t, 5)


def test_halt_is_not_poweroff(cloud):
    t = shell(cloud)
    t.sendline("halt -f")
    ends(t, 7)


def test_escape_leaves(cloud):
    t = shell(cloud)
    t.send("\x01x")
    ends(t, 0)


def test_interrupt_key_reaches_the_guest(cloud):
    t = shell(cloud)
    t.sendline("sleep 1000")
    time.sleep(0.5)
    t.send("\x03")
    t.expect_exact(PROMPT)
    t.sendline("poweroff -f")
    ends(t, 0)


def test_piped(cloud):
    p = subprocess.Popen([VMM, *map(str, cloud.args())], cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    out = b""
    while PROMPT.encode() not in out:
        chunk = p.stdout.read1(4096)
        assert chunk, out[-2000:]
        out += chunk
    p.stdin.write(b"echo piped-$((1+1))\npoweroff -f\n")
    p.stdin.close()
    rest = p.stdout.read()
    assert p.wait(timeout=60) == 0
    assert b"piped-2" in rest


def test_input_that_is_there_from_the_start(cloud):
    """The shell gets what was piped in long before its port was opened"""
    r = run_vmm(*cloud.args(), stdin=b"echo early-$((1+1))\npoweroff -f\n")
    assert r.code == 0 and "early-2" in r.out, r


def test_closed_stdin_boots(cloud):
    r = run_vmm(*cloud.args(cmdline=CMDLINE + " vibe.poweroff"))
    assert r.code == 0 and "vibe-vmm: init is running" in r.out, r


def test_nokaslr(cloud):
    r = run_vmm(*cloud.args(cmdline=CMDLINE + " nokaslr vibe.poweroff"))
    assert r.code == 0 and "vibe-vmm: init is running" in r.out, r


@pytest.mark.parametrize("mem", ["160M", "1G", "5G"])
def test_memory_sizes(cloud, mem):
    r = run_vmm(*cloud.args("--mem", mem, cmdline=CMDLINE + " vibe.poweroff"))
    assert r.code == 0 and "vibe-vmm: init is running" in r.out, r


def test_idle_linux_uses_hardly_any_cpu(cloud):
    t = shell(cloud)
    time.sleep(3)

    def seconds():
        fields = open(f"/proc/{t.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100
    before = seconds()
    time.sleep(4)
    assert seconds() - before < 0.4
    t.kill(signal.SIGTERM)
    ends(t, 128 + signal.SIGTERM)
