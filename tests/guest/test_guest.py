"""Runs the guest programs: each is a raw binary that prints one line per expectation on COM1."""
import os
import pathlib
import re
import shutil
import subprocess
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
VMM = os.environ.get("VIBEVMM", str(TOP / "bin" / "vibevmm"))
# "qemu" is a second opinion on the programs themselves: VIBEVMM_GUEST_ENGINES=soft,qemu
ENGINES = os.environ.get("VIBEVMM_GUEST_ENGINES", "soft").split(",")
# What QEMU's emulation is known to do otherwise than the SDM says: tests whose failure there means nothing
QEMU_DIFFERS = {l.split("  #")[0].strip() for l in (HERE / "qemu_differs.txt").read_text().splitlines() if l[:1] != "#"}

# name: mode, exit status
PROGRAMS = {
    "paging": ("long", 0),
    "exceptions": ("long", 0),
    "interrupts": ("long", 0),
    "ring3": ("long", 0),
    "debug": ("long", 0),
    "smc": ("long", 0),
    "vector": ("long", 0),
    "strings": ("long", 0),
    "cpu": ("long", 0),
    "modes": ("long", 0),
    "real": ("real", 0),
    "protected": ("protected", 0),
}


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    if not shutil.which("nasm"):
        pytest.skip("nasm is not installed")
    out = tmp_path_factory.mktemp("guest")

    def assemble(name, *defines):
        target = out / ("-".join([name, *defines]) + ".bin")
        if not target.exists():
            subprocess.run(["nasm", "-f", "bin", "-Werror", f"-I{HERE}/", *(f"-D{d}" for d in defines),
                            "-o", str(target), str(HERE / f"{name}.S")], check=True)
        return target

    return assemble


def run_vmm(engine, binary, mode):
    proc = subprocess.run([VMM, "--engine", engine, "--binary", binary, "--entry", "0x1000", "--mode", mode, "--mem", "64M"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return proc.returncode, proc.stdout.decode(errors="replace"), proc.stderr.decode(errors="replace")


def run_qemu(rom, binary):
    """QEMU has no S5 of type 5: it is stopped when the program says that it is done."""
    proc = subprocess.Popen(["qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "64", "-nodefaults",
                             "-display", "none", "-serial", "stdio", "-no-reboot", "-bios", rom,
                             "-device", f"loader,file={binary},addr=0x1000,force-raw=on"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    timer = threading.Timer(30, proc.kill)
    timer.start()
    lines = []
    for line in proc.stdout:
        lines.append(line.decode(errors="replace"))
        if lines[-1].startswith("done "):
            break
    timer.cancel()
    proc.kill()
    proc.wait()
    return "".join(lines)


def check_output(out, ignore=()):
    lines = out.replace("\r", "").splitlines()
    bad = [l for l in lines if l.startswith("not ok ") and not any(l.startswith(f"not ok {i}:") for i in ignore if i)]
    assert not bad, "\n".join(bad)
    done = [l for l in lines if l.startswith("done ")]
    assert done, "the program did not come to its end:\n" + "\n".join(lines[-20:])
    count = sum(1 for l in lines if re.match("(not )?ok ", l))
    assert done[0] == f"done {count}" and count > 0, f"{done[0]}, but {count} results"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(build, engine, name):
    mode, status = PROGRAMS[name]
    if engine == "qemu" and name == "cpu":
        pytest.skip("QEMU checks few of the reserved bits and MSRs")
    if engine == "qemu":
        rom = build("qemu_rom", "MODE=" + {"real": "16", "protected": "32", "long": "64"}[mode])
        check_output(run_qemu(rom, build(name)), QEMU_DIFFERS)
        return
    code, out, err = run_vmm(engine, build(name), mode)
    check_output(out)
    assert code == status, f"exit status {code}\n{err}"


# how the program ends: exit status
ENDS = {"TRIPLE": 6, "TRIPLE_LIMIT": 6, "CF9": 4, "I8042": 4, "PORT92": 4, "PANIC": 5, "HALT": 0}


@pytest.mark.parametrize("engine", [e for e in ENGINES if e != "qemu"])
@pytest.mark.parametrize("how", ENDS)
def test_end(build, engine, how):
    code, out, err = run_vmm(engine, build("ends", how), "long")
    assert out.replace("\r", "") == "ok here\n", out
    assert code == ENDS[how], f"exit status {code}\n{err}"
