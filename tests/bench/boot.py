#!/usr/bin/env python3
"""boot.py [rounds] - boots Debian's cloud kernel to /init and powers off, with ours and with QEMU's TCG.

Same kernel, same initramfs, one CPU, 512 MB. The two take turns, the best time of each counts, and the ratio
(ours divided by QEMU's; below 1 is faster) is printed last. It exits with 1 only where one of them fails."""
import pathlib
import shutil
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
MARK = b"vibe-vmm: init is running"
CMDLINE = "console=ttyS0 earlyprintk=serial panic=1 vibe.poweroff"


def boot(command):
    """Seconds to the marker and to the end"""
    start = time.monotonic()
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, init = b"", None
    for chunk in iter(lambda: p.stdout.read1(65536), b""):
        out += chunk
        if init is None and MARK in out:
            init = time.monotonic() - start
    code = p.wait(timeout=60)
    if init is None or code:
        sys.stderr.write(out.decode(errors="replace")[-2000:])
        sys.exit(f"{command[0]}: exit status {code}, /init {'reached' if init else 'not reached'}")
    return init, time.monotonic() - start


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    image = pathlib.Path(subprocess.check_output([TOP / "scripts" / "make-image.sh", "cloud"], text=True).strip())
    kernel, initrd = str(image / "vmlinuz"), str(image / "initrd.img")
    runs = {"vibevmm": [str(TOP / "bin" / "vibevmm"), "--kernel", kernel, "--initrd", initrd, "--cmdline", CMDLINE]}
    qemu = shutil.which("qemu-system-x86_64")
    if qemu:
        runs["qemu"] = [qemu, "-accel", "tcg", "-cpu", "max", "-m", "512M", "-nodefaults", "-nographic", "-serial",
                        "stdio", "-no-reboot", "-kernel", kernel, "-initrd", initrd, "-append", CMDLINE]
    else:
        print("qemu-system-x86_64 is not installed: ours alone is measured")
    best = {}
    for n in range(rounds):
        for name, command in runs.items():
            init, end = boot(command)
            best[name] = min(best.get(name, (init, end)), (init, end))
            print(f"round {n + 1}: {name:8} /init after {init:6.2f} s, off after {end:6.2f} s", flush=True)
    for name, (init, end) in best.items():
        print(f"best of {rounds}: {name:8} /init after {init:6.2f} s, off after {end:6.2f} s")
    if qemu:
        print(f"ratio to QEMU TCG: {best['vibevmm'][0] / best['qemu'][0]:.2f}")


main()
