"""What the end-to-end tests share: the program, a way to run it, Debian's kernels from the cache."""
import os
import pathlib
import subprocess
import time

import pexpect
import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
VMM = os.environ.get("VIBEVMM", str(TOP / "bin" / "vibevmm"))
CACHE = pathlib.Path(os.environ.get("VIBEVMM_CACHE")
                     or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "vibe-vmm"))
CMDLINE = "console=ttyS0 earlyprintk=serial panic=1"


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: for scripts/test.sh --full only, which sets VIBEVMM_TEST_LEVEL")


def pytest_collection_modifyitems(config, items):
    """Leaves slow tests out where scripts/test.sh runs a lower level than --full."""
    if os.environ.get("VIBEVMM_TEST_LEVEL", "--full") == "--full":
        return
    slow = [i for i in items if i.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [i for i in items if i not in slow]


class Result:
    """What a finished run left: exit status, standard output and error as text, seconds, CPU seconds."""

    def __init__(self, proc, seconds):
        self.code = proc.returncode
        self.out = proc.stdout.decode(errors="replace")
        self.err = proc.stderr.decode(errors="replace")
        self.seconds = seconds

    def __repr__(self):
        return f"exit {self.code} after {self.seconds:.1f} s\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}"


def run_vmm(*args, stdin=subprocess.DEVNULL, timeout=120, cwd=TOP, **kw):
    start = time.monotonic()
    if isinstance(stdin, bytes):
        kw["input"] = stdin
    else:
        kw["stdin"] = stdin
    proc = subprocess.run([VMM, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, cwd=cwd, **kw)
    return Result(proc, time.monotonic() - start)


def spawn_vmm(*args, timeout=120, **kw):
    """The program on a terminal of its own."""
    return pexpect.spawn(VMM, list(map(str, args)), cwd=str(TOP), timeout=timeout, encoding="utf-8",
                         codec_errors="replace", **kw)


@pytest.fixture(scope="session")
def simple_bin():
    subprocess.run(["make", "-s", "-C", str(TOP / "tests" / "kernels"), "x86_64"], check=True)
    return TOP / "tests" / "kernels" / "x86_64_simple.bin"


@pytest.fixture
def assemble(tmp_path):
    """Assembles nasm source text, returns the path of the flat binary."""
    def build(text):
        src, out = tmp_path / "guest.S", tmp_path / "guest.bin"
        src.write_text(text)
        subprocess.run(["nasm", "-f", "bin", "-o", str(out), str(src)], check=True)
        return out
    return build


class Image:
    def __init__(self, path):
        self.kernel, self.initrd = path / "vmlinuz", path / "initrd.img"
        self.version = (path / "version").read_text().strip()

    def args(self, *more, cmdline=CMDLINE):
        return ["--kernel", self.kernel, "--initrd", self.initrd, "--cmdline", cmdline, *more]


def image(name):
    path = CACHE / name
    if not (path / "initrd.img").exists():
        pytest.skip(f"no {name} kernel in {CACHE}: scripts/make-image.sh {name} fetches it")
    return Image(path)


@pytest.fixture(scope="session", params=["cloud", "generic"])
def any_image(request):
    return image(request.param)


@pytest.fixture(scope="session")
def cloud():
    return image("cloud")
