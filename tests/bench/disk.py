#!/usr/bin/env python3
"""disk.py [rounds] - disk throughput and operations a second, with ours and with QEMU's TCG.

Same kernel, same initramfs, one CPU, 512 MB, a virtio disk on a file that the host has in its page cache. The
guest times itself. The best of each counts; a ratio above 1 means that ours is faster."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
CMDLINE = "console=ttyS0 earlyprintk=serial panic=1"
MB = 1 << 20

# name, dd's operands, what a second counts, how many of it
ROWS = [
    ("sequential read, 1 MB", "if=/dev/vda of=/dev/null bs=1M count=1024 iflag=direct", "MB/s", 1024),
    ("sequential write, 1 MB", "if=/dev/zero of=/dev/vda bs=1M count=512 oflag=direct", "MB/s", 512),
    ("read 4 KB", "if=/dev/vda of=/dev/null bs=4k count=8000 iflag=direct", "IOPS", 8000),
    ("write 4 KB", "if=/dev/zero of=/dev/vda bs=4k count=8000 oflag=direct", "IOPS", 8000),
    # the write cache is off for this one: each write is on stable storage before it is done
    ("write through 4 KB", "if=/dev/zero of=/dev/vda bs=4k count=500 oflag=direct", "IOPS", 500),
]


def script():
    lines = ["now() { cut -d' ' -f1 /proc/uptime; }"]
    for n, (_, operands, _, _) in enumerate(ROWS):
        if n == len(ROWS) - 1:
            lines.append("echo write through >/sys/block/vda/cache_type")
        lines.append(f"a=$(now); dd {operands} 2>/dev/null; b=$(now); echo result {n} $a $b")
    return "\n".join(lines + ["poweroff -f", ""]).encode()


def measure(command):
    """A number for each row"""
    p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = b""
    while b"guest# " not in out:
        chunk = p.stdout.read1(65536)
        if not chunk:
            break
        out += chunk
    for line in script().splitlines(keepends=True):  # a line at a time: the port's FIFO is short
        mark = out.count(b"guest# ")
        p.stdin.write(line)
        p.stdin.flush()
        while out.count(b"guest# ") == mark:
            chunk = p.stdout.read1(65536)
            if not chunk:
                break
            out += chunk
    p.wait(timeout=60)
    found = {int(n): float(b) - float(a) for n, a, b in re.findall(rb"result (\d) ([\d.]+) ([\d.]+)", out)}
    if p.returncode or len(found) != len(ROWS):
        sys.stderr.write(out.decode(errors="replace")[-2000:])
        sys.exit(f"{command[0]}: exit status {p.returncode}, {len(found)} of {len(ROWS)} results")
    return [count / max(found[n], 0.01) for n, (_, _, _, count) in enumerate(ROWS)]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    image = pathlib.Path(subprocess.check_output([TOP / "scripts" / "make-image.sh", "cloud"], text=True).strip())
    kernel, initrd = str(image / "vmlinuz"), str(image / "initrd.img")
    vmm = os.environ.get("VIBEVMM", str(TOP / "bin" / "vibevmm"))
    qemu = shutil.which("qemu-system-x86_64")
    with tempfile.TemporaryDirectory() as work:
        disk = pathlib.Path(work) / "disk.raw"
        with open(disk, "wb") as f:
            for _ in range(1024):
                f.write(os.urandom(MB))
        runs = {"vibevmm": [vmm, "--kernel", kernel, "--initrd", initrd, "--cmdline", CMDLINE, "--disk", f"{disk},format=raw"]}
        if qemu:
            runs["qemu"] = [qemu, "-accel", "tcg", "-cpu", "max", "-m", "512M", "-nodefaults", "-nographic", "-serial", "stdio",
                            "-no-reboot", "-kernel", kernel, "-initrd", initrd, "-append", CMDLINE,
                            "-drive", f"file={disk},format=raw,if=virtio"]
        else:
            print("qemu-system-x86_64 is not installed: ours alone is measured")
        best = {}
        for _ in range(rounds):
            for name, command in runs.items():
                got = measure(command)
                best[name] = [max(a, b) for a, b in zip(best.get(name, got), got)]
    for n, (title, _, unit, _) in enumerate(ROWS):
        line = f"disk: {title:24} ours {best['vibevmm'][n]:8.0f} {unit}"
        if qemu:
            line += f", qemu {best['qemu'][n]:8.0f} {unit}, ratio {best['vibevmm'][n] / best['qemu'][n]:.2f}"
        print(line)


main()
