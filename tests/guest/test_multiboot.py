"""A Multiboot kernel of our own, in both forms, and the ports by which it reports."""
import shutil
import subprocess

import pytest
from test_guest import HERE, VMM

DEBUG_PORTS = ["--debug-exit", "0xf4", "--debugcon"]
ALL_GOOD = 65  # 20h written to the port
CHECKS = 10


@pytest.fixture(scope="module", params=["addresses", "elf"])
def kernel(request, tmp_path_factory):
    if not shutil.which("nasm"):
        pytest.skip("nasm is not installed")
    out = tmp_path_factory.mktemp("multiboot") / "kernel"
    src = str(HERE / "multiboot.S")
    if request.param == "addresses":
        subprocess.run(["nasm", "-f", "bin", "-Werror", "-o", str(out), src], check=True)
    else:
        subprocess.run(["nasm", "-f", "elf32", "-Werror", "-DELF", "-o", f"{out}.o", src], check=True)
        subprocess.run(["ld", "-m", "elf_i386", "-N", "-Ttext=0x100000", "-o", str(out), f"{out}.o"], check=True)
    return out


def run(*args):
    proc = subprocess.run([VMM, "--mem", "32M", *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    return proc.returncode, proc.stdout.decode(errors="replace"), proc.stderr.decode(errors="replace")


def checked(text):
    lines = text.splitlines()
    assert not [l for l in lines if l.startswith("not ok")], text
    assert len([l for l in lines if l.startswith("ok ")]) >= CHECKS, text
    return lines


def test_bare(kernel):
    code, out, err = run("--kernel", kernel, *DEBUG_PORTS, "0xe9")
    lines = checked(out)
    assert code == ALL_GOOD, err
    assert err == out
    assert f"command line: {kernel}" in lines
    assert "loader: vibevmm" in lines and "modules: 0" in lines


def test_module_and_command_line(kernel, tmp_path):
    module, log = tmp_path / "module", tmp_path / "log"
    module.write_text("the module's own words\n")
    code, out, err = run("--kernel", kernel, "--initrd", module, "--cmdline", "one two=3", *DEBUG_PORTS, f"0xe9,{log}")
    lines = checked(out)
    assert (code, err) == (ALL_GOOD, "")
    assert log.read_text() == out
    assert f"command line: {kernel} one two=3" in lines
    assert "modules: 1" in lines and "ok module on a page" in lines
    assert "the module's own words" in lines and str(module) in lines
