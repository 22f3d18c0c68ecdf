"""Guests with several CPUs: all of them come up, and a load that mixes atomics, futexes, pipes, forks and code
that changes gives right results. More virtual CPUs than the host has cores is the usual case here."""
import os
import subprocess

import pexpect
import pytest

from conftest import CMDLINE, TOP, spawn_vmm

# minutes with test.sh --full, seconds otherwise
SOAK_SECONDS = 120 if os.environ.get("VIBEVMM_TEST_LEVEL") == "--full" else 6


@pytest.fixture(scope="session")
def loaded(cloud, tmp_path_factory):
    """The cloud kernel's arguments, with /bin/smpload added to its initramfs."""
    d = tmp_path_factory.mktemp("smp")
    (d / "bin").mkdir()
    subprocess.run(["gcc", "-O2", "-static", "-pthread", "-o", d / "bin" / "smpload",
                    TOP / "tests" / "e2e" / "guest" / "smpload.c"], check=True)
    more = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=d, input=b"bin/smpload\n",
                          stdout=subprocess.PIPE, check=True).stdout
    base = cloud.initrd.read_bytes()
    initrd = d / "initrd.img"
    # the kernel unpacks one archive after the other, each at a multiple of four bytes
    initrd.write_bytes(base + bytes(-len(base) % 4) + more)
    return ["--kernel", cloud.kernel, "--initrd", initrd, "--cmdline", CMDLINE + " quiet"]


@pytest.mark.parametrize("cpus", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 4])
def test_load(loaded, cpus):
    t = spawn_vmm(*loaded, "--cpus", cpus, "--mem", "256M", timeout=180)
    t.expect("guest# ")
    t.sendline("nproc")
    t.expect(rf"\n{cpus}\r")
    t.expect("guest# ")
    t.sendline(f"smpload {SOAK_SECONDS if cpus == 4 else 3}")
    t.expect(r"smpload: (ok|FAILED).*\r", timeout=120 + 3 * SOAK_SECONDS)
    assert t.match.group(1) == "ok" and f"cpus={cpus} " in t.match.group(0), t.match.group(0)
    t.expect("guest# ")
    t.sendline("dmesg | grep -c -i -e 'soft lockup' -e 'stall' -e 'hung task' -e 'unstable'")
    t.expect(r"\n(\d+)\r")
    assert t.match.group(1) == "0"
    t.expect("guest# ")
    t.sendline("poweroff -f")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 0


def test_reset_with_several_cpus(loaded):
    t = spawn_vmm(*loaded, "--cpus", "3", "--mem", "256M", "--reboot", timeout=120)
    for _ in range(2):
        t.expect("guest# ")
        t.sendline("nproc")
        t.expect(r"\n3\r")
        t.expect("guest# ")
        t.sendline("reboot -f")
    t.expect("guest# ")
    t.sendline("poweroff -f")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 0


@pytest.mark.slow
def test_many_cpus(loaded):
    t = spawn_vmm(*loaded, "--cpus", "16", "--mem", "512M", timeout=180)
    t.expect("guest# ")
    t.sendline("nproc")
    t.expect(r"\n16\r")
    t.sendline("poweroff -f")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 0
