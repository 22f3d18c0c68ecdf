"""memtest86+, which is no Linux but starts like one, tests the guest's memory and shows it on the serial port."""
import re

import pexpect
import pytest
from conftest import CACHE, spawn_vmm


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x64", "ia32"])
def test_memtest(name):
    program = CACHE / "memtest" / f"memtest86+{name}.bin"
    if not program.exists():
        pytest.skip(f"no memtest86+ in {CACHE}: scripts/fetch-memtest.sh fetches it")
    t = spawn_vmm("--kernel", program, "--cmdline", "console=ttyS0,115200", "--mem", "16M", timeout=120)
    t.expect_exact("Memtest86+")
    t.expect_exact("Address test, walking ones")
    t.expect(re.compile(r"#[1-9][0-9]*  \["))  # it found no fault in the first test: the next one
    assert "Errors: 0 " in t.before
    t.send("\x01x")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 0
