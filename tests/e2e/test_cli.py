"""The command line: help, version, usage errors and bad configurations, each with one line and its exit status."""
import os
import pathlib

import pytest
from conftest import run_vmm

GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.mark.parametrize("option,name", [("--help", "help.txt"), ("--version", "version.txt")])
def test_golden_output(option, name):
    r = run_vmm(option)
    assert (r.code, r.err) == (0, ""), r
    assert r.out == (GOLDEN / name).read_text()


def golden_errors():
    """Rows of errors.txt: arguments | exit status | the line on stderr"""
    for line in (GOLDEN / "errors.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            args, code, text = (part.strip() for part in line.split("|", 2))
            yield pytest.param([] if args == "(none)" else args.split(), int(code), text, id=args)


@pytest.mark.parametrize("args,code,text", golden_errors())
def test_golden_errors(args, code, text):
    r = run_vmm(*args)
    assert (r.code, r.out) == (code, ""), r
    assert r.err == f"[ERROR] {text}\n"


def one_error(r, code, *words):
    assert r.code == code, r
    assert r.err.count("\n") == 1 and r.err.startswith("[ERROR] "), r
    for w in words:
        assert w in r.err, r


@pytest.mark.parametrize("log", ["0", "1"])
def test_the_reason_is_said_at_every_level(log):
    one_error(run_vmm("--kernel", "/nonexistent", "--log", log), 3, "/nonexistent")


@pytest.fixture
def bad_files(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("this is no kernel\n" * 1000)
    (tmp_path / "short").write_bytes(b"\x7fELF")
    arm = bytearray(b"\x7fELF\x02\x01\x01" + bytes(57))
    arm[16:20] = b"\x02\x00\xb7\x00"  # ET_EXEC, EM_AARCH64
    (tmp_path / "arm64").write_bytes(arm + bytes(4096))
    (tmp_path / "dir").mkdir()
    secret = tmp_path / "unreadable"
    secret.write_bytes(b"x")
    secret.chmod(0)
    return tmp_path


@pytest.mark.parametrize("option", ["--kernel", "--binary"])
@pytest.mark.parametrize("name", ["missing", "empty", "dir", "unreadable"])
def test_bad_program_file(bad_files, option, name):
    if name == "unreadable" and os.geteuid() == 0:
        # root reads everything: the file is unreadable for it only on a path that is no file at all
        one_error(run_vmm(option, bad_files / "empty" / "x"), 3)
        return
    one_error(run_vmm(option, bad_files / name), 3, name)


@pytest.mark.parametrize("name", ["text", "short", "arm64"])
def test_bad_kernel(bad_files, name):
    one_error(run_vmm("--kernel", bad_files / name), 3, name)


def test_entry_outside_memory(simple_bin):
    one_error(run_vmm("--binary", simple_bin, "--entry", "0x8000000", "--mem", "128M"), 3, "0x8000000")
    one_error(run_vmm("--binary", simple_bin, "--entry", "0xffffffffffffffff"), 3)


@pytest.mark.parametrize("name", ["missing", "empty", "dir"])
def test_bad_initrd(cloud, bad_files, name):
    one_error(run_vmm("--kernel", cloud.kernel, "--initrd", bad_files / name), 3, name)


def test_truncated_kernel(cloud, tmp_path):
    data = cloud.kernel.read_bytes()
    for n in (100, 0x260, 4096, len(data) // 2):
        (tmp_path / "cut").write_bytes(data[:n])
        one_error(run_vmm("--kernel", tmp_path / "cut"), 3, "cut")


def test_corrupt_payload(cloud, tmp_path):
    data = bytearray(cloud.kernel.read_bytes())
    middle = len(data) // 2
    data[middle:middle + 64] = bytes(64)
    (tmp_path / "corrupt").write_bytes(data)
    one_error(run_vmm("--kernel", tmp_path / "corrupt"), 3, "corrupt")


def test_memory_too_small(cloud):
    one_error(run_vmm("--kernel", cloud.kernel, "--mem", "16M"), 3)
    one_error(run_vmm(*cloud.args("--mem", "64M")[:2], "--initrd", cloud.kernel, "--mem", "64M"), 3)


def test_command_line_too_long(cloud):
    one_error(run_vmm("--kernel", cloud.kernel, "--cmdline", "x" * 5000), 3, "command line")
