"""The PCI bus and the virtio devices as Debian's kernel sees them."""
import re
import time

import pytest
from conftest import CMDLINE, spawn_vmm
from test_linux import PROMPT, ends, say, shell

HVC = "console=ttyS0 console=hvc0 panic=1"


@pytest.fixture
def guest(cloud):
    t = shell(cloud)
    yield t
    t.sendline("poweroff -f")
    ends(t, 0)


def booted(image, cmdline, *args):
    t = spawn_vmm(*image.args(*args, cmdline=cmdline))
    t.expect_exact("vibe-vmm: init is running")
    t.expect_exact(PROMPT)
    return t


def rss_mb(t):
    text = open(f"/proc/{t.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) // 1024


def test_bus_and_devices(guest):
    say(guest, "ls /sys/bus/pci/devices", r"0000:00:00\.0", r"0000:00:01\.0", r"0000:00:02\.0")
    say(guest, "cat /sys/bus/pci/devices/*/class", "0x060000", "0x00ff00")
    say(guest, "dmesg | grep -c 'MMCONFIG at'", r"\r\n1\r\n")
    say(guest, "cat /sys/class/misc/hw_random/rng_current", r"virtio_rng\.0")
    say(guest, "head -c 10000 /dev/hwrng | md5sum >/tmp/a; head -c 10000 /dev/hwrng | md5sum | cmp - /tmp/a", "differ")
    say(guest, "grep -c 'PCI-MSI.*virtio' /proc/interrupts", r"\r\n[1-9]\d*\r\n")
    say(guest, "dmesg | grep -c -i -E 'BUG|Oops|Call Trace|WARNING: CPU|AE_|broken'", r"\r\n\d+\r\n")


def test_drivers_come_and_go(guest):
    """Removing and loading a driver resets the device; so does the function's own reset"""
    for _ in range(3):
        say(guest, "rmmod virtio-rng virtio_balloon; insmod /lib/modules/virtio-rng.ko; "
                   "insmod /lib/modules/virtio_balloon.ko; head -c 1000 /dev/hwrng | wc -c", r"\r\n1000\r\n")
    say(guest, "cat /sys/bus/pci/devices/0000:00:01.0/reset_method", "af")
    say(guest, "rmmod virtio-rng; echo 1 >/sys/bus/pci/devices/0000:00:01.0/reset; insmod /lib/modules/virtio-rng.ko; "
               "head -c 1000 /dev/hwrng | wc -c", r"\r\n1000\r\n")


@pytest.mark.slow
def test_lines_instead_of_messages(cloud):
    t = booted(cloud, CMDLINE + " pci=nomsi")
    say(t, "head -c 10000 /dev/hwrng | wc -c", r"\r\n10000\r\n")
    say(t, "grep virtio /proc/interrupts", r"IO-APIC +17-fasteoi +virtio0")
    t.sendline("poweroff -f")
    ends(t, 0)


def test_console(cloud):
    t = spawn_vmm(*cloud.args("--console", cmdline=HVC), dimensions=(33, 99))
    t.expect_exact("Linux version")  # on the serial port
    t.expect_exact("console [hvc0] enabled")
    t.expect_exact(PROMPT)
    say(t, "tty", "/dev/hvc0")
    t.setwinsize(44, 120)
    time.sleep(0.5)
    say(t, "stty size", r"\b44 120\b")
    say(t, "echo over-$((40 + 2)) >/dev/ttyS0", "over-42")
    say(t, "seq 1 20000 | md5sum; seq 1 20000", "1\r\n2\r\n", "19999\r\n20000\r\n")
    t.sendline("sleep 1000")
    time.sleep(0.5)
    t.send("\x03")
    t.expect_exact(PROMPT)
    t.sendline("poweroff -f")
    ends(t, 0)


def test_console_alone(cloud):
    """The default command line of --console"""
    t = spawn_vmm("--kernel", cloud.kernel, "--initrd", cloud.initrd, "--console")
    t.expect_exact(PROMPT)
    say(t, "tty", "/dev/hvc0")
    t.sendline("poweroff -f")
    ends(t, 0)


@pytest.mark.slow
def test_freed_memory_returns_to_the_host(guest):
    say(guest, "dd if=/dev/zero of=/tmp/x bs=1M count=150 2>/dev/null; echo fill''ed", "\r\nfilled")
    full = rss_mb(guest)
    say(guest, "rm /tmp/x; echo remov''ed", "\r\nremoved")
    end = time.monotonic() + 60
    while rss_mb(guest) > full - 100 and time.monotonic() < end:
        time.sleep(0.5)
    assert rss_mb(guest) <= full - 100
    say(guest, "dd if=/dev/urandom of=/tmp/x bs=1M count=8 2>/dev/null; cp /tmp/x /tmp/y; cmp /tmp/x /tmp/y && echo sa''me", "\r\nsame")


@pytest.mark.slow
def test_balloon_statistics(cloud):
    t = spawn_vmm(*cloud.args("--log", "4"))
    t.expect(r"virtio-balloon: the guest has (\d+) KB of memory, (\d+) KB of it free")
    assert 400_000 < int(t.match.group(1)) < 524_288 and 0 < int(t.match.group(2)) < int(t.match.group(1))
    t.expect_exact(PROMPT)
    t.send("\x01x")
    ends(t, 0)
