"""Disks: Linux mounts, writes and syncs them; what is on the images then is what e2fsck and qemu-img say."""
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import time

import pexpect
import pytest
from conftest import run_vmm, spawn_vmm

PROMPT = "guest# "
MB = 1 << 20


def run(*args):
    return subprocess.run(list(map(str, args)), check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def need(tool):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")


def qcow2_sound(path):
    """qemu-img check: 3 means leaked clusters, which a crash may leave; anything else but 0 is damage"""
    p = subprocess.run(["qemu-img", "check", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode in (0, 3), p.stdout
    return p.returncode


def clean_fs(path):
    p = subprocess.run(["e2fsck", "-fn", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, p.stdout


class Shell:
    def __init__(self, image, *args):
        self.t = spawn_vmm(*image.args(*args))
        self.t.expect_exact(PROMPT)

    def say(self, line, *expected):
        # the echo of what is typed is not what a command prints: commands write ok$((1)) or similar
        self.t.sendline(line)
        for e in expected:
            self.t.expect(e)
        self.t.expect_exact(PROMPT)

    def ok(self, line):
        """Runs commands that have to succeed"""
        self.t.sendline(f"( set -e; {line} ) && echo all-$((41+1))-well || echo all-$((41+1))-ill")
        assert self.t.expect(["all-42-well", "all-42-ill"]) == 0, self.t.before
        self.t.expect_exact(PROMPT)

    def end(self):
        self.t.sendline("poweroff -f")
        self.t.expect(pexpect.EOF)
        self.t.close()
        assert (self.t.exitstatus, self.t.signalstatus) == (0, None)


@pytest.fixture
def tree(tmp_path):
    """A directory with data and its sums"""
    root = tmp_path / "tree"
    root.mkdir()
    data = random.Random(1).randbytes(3 * MB + 77)
    (root / "data").write_bytes(data)
    (root / "sums").write_text(f"{hashlib.sha256(data).hexdigest()}  data\n")
    return root


@pytest.fixture
def ext4(tmp_path, tree):
    need("mke2fs")
    path = tmp_path / "disk.ext4"
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path, "48M")
    return path


def as_format(tmp_path, ext4, kind):
    """The same disk as a raw file, a qcow2 image, or one upon a backing image"""
    if kind == "raw":
        return ext4
    need("qemu-img")
    path = tmp_path / f"disk-{kind}.qcow2"
    options = {"qcow2": [], "small": ["-o", "cluster_size=512"], "v2": ["-o", "compat=0.10"],
               "lazy": ["-o", "lazy_refcounts=on"], "zlib": ["-c"], "zstd": ["-c", "-o", "compression_type=zstd"]}
    if kind == "backed":
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", ext4, "-F", "raw", path)
    else:
        run("qemu-img", "convert", "-q", "-O", "qcow2", *options[kind], ext4, path)
    return path


def back_to_raw(tmp_path, path):
    out = tmp_path / "back.raw"
    run("qemu-img", "convert", "-O", "raw", path, out)
    return out


@pytest.mark.parametrize("kind", ["raw", "qcow2", *(pytest.param(k, marks=pytest.mark.slow) for k in ("small", "v2", "lazy", "zlib", "zstd", "backed"))])
def test_file_system(cloud, tmp_path, ext4, kind):
    disk = as_format(tmp_path, ext4, kind)
    before = hashlib.sha256(ext4.read_bytes()).digest()
    s = Shell(cloud, "--disk", disk)
    s.ok("mkdir -p /m; mount -t ext4 -o discard /dev/vda /m; cd /m; sha256sum -c sums")
    s.ok("cd /m; dd if=/dev/urandom of=new bs=64k count=100; dd if=/dev/urandom of=new bs=1000 count=77 seek=99 conv=notrunc; "
         "sha256sum new >sums2; rm data; sync")
    s.ok("cd /m; sha256sum new >/dev/console; cd /; umount /m; mount -t ext4 /dev/vda /m; cd /m; sha256sum -c sums2; cd /; umount /m")
    s.end()
    if kind == "raw":
        clean_fs(disk)
        return
    assert qcow2_sound(disk) == 0
    clean_fs(back_to_raw(tmp_path, disk))
    if kind == "backed":
        assert hashlib.sha256(ext4.read_bytes()).digest() == before


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["none", "unsafe"])
def test_cache_modes(cloud, tmp_path, ext4, cache):
    probe = tmp_path / "direct"
    probe.write_bytes(bytes(4096))
    try:
        os.close(os.open(probe, os.O_RDWR | os.O_DIRECT))
    except OSError:
        if cache == "none":
            pytest.skip("no direct I/O on this file system")
    s = Shell(cloud, "--disk", f"{ext4},cache={cache}")
    s.ok("mkdir -p /m; mount -t ext4 /dev/vda /m; cd /m; sha256sum -c sums; dd if=/dev/urandom of=new bs=64k count=40; "
         "sha256sum new >sums2; sync; cd /; umount /m")
    # one sector alone
    s.ok("dd if=/dev/vda of=/a bs=512 skip=5 count=1 iflag=direct; dd if=/a of=/dev/vda bs=512 seek=5 count=1 oflag=direct")
    s.end()
    clean_fs(ext4)


def test_order_and_identity(cloud, tmp_path):
    sizes = {"vda": 1, "vdb": 3, "vdc": 2}
    disks = []
    for name, mb in sizes.items():
        path = tmp_path / f"{name}.raw"
        path.write_bytes(name.encode() * (mb * MB // 3) + bytes(mb * MB - mb * MB // 3 * 3))
        disks += ["--disk", f"{path},serial=S-{name}" + (",ro" if name == "vdb" else "")]
    s = Shell(cloud, *disks)
    for name, mb in sizes.items():
        s.say(f"cd /sys/block/{name}; echo $(cat serial) $(cat size) $(cat ro)", rf"S-{name} {mb * 2048} {int(name == 'vdb')}")
        s.say(f"dd if=/dev/{name} bs=3 count=1 2>/dev/null; echo", name)
    s.say("echo x >/dev/vdb || echo refused-$((1+1))", "refused-2")
    s.end()
    assert (tmp_path / "vdb.raw").read_bytes()[:3] == b"vdb"


def test_ephemeral_leaves_the_image(cloud, tmp_path, ext4):
    before = hashlib.sha256(ext4.read_bytes()).digest()
    s = Shell(cloud, "--disk", f"{ext4},ephemeral")
    s.ok("mkdir -p /m; mount -t ext4 /dev/vda /m; cd /m; dd if=/dev/urandom of=new bs=64k count=99; sha256sum new >sums2; rm data; "
         "sync; cd /; umount /m; mount -t ext4 /dev/vda /m; cd /m; sha256sum -c sums2")
    s.end()
    assert hashlib.sha256(ext4.read_bytes()).digest() == before


@pytest.mark.slow
def test_discard_gives_space_back(cloud, tmp_path):
    need("qemu-img")
    raw, qcow2 = tmp_path / "d.raw", tmp_path / "d.qcow2"
    raw.write_bytes(bytes(16 * MB))
    run("qemu-img", "create", "-q", "-f", "qcow2", qcow2, "16M")
    s = Shell(cloud, "--disk", raw, "--disk", qcow2)
    for d in "vda", "vdb":
        s.ok(f"dd if=/dev/urandom of=/dev/{d} bs=1M count=16; sync; blkdiscard /dev/{d}; sync; sync")
        s.ok(f"dd if=/dev/{d} bs=1M count=16 iflag=direct | cmp -n 16777216 - /dev/zero")
    s.end()
    assert raw.stat().st_blocks * 512 < MB
    assert qcow2_sound(qcow2) == 0
    assert "0/256" in run("qemu-img", "check", qcow2) or qcow2.stat().st_blocks * 512 < MB


# --- locks ---

def test_second_writer_is_refused(cloud, tmp_path, ext4):
    need("qemu-img")
    s = Shell(cloud, "--disk", ext4)
    for arg in ext4, f"{ext4},ro", f"{ext4},ephemeral":
        r = run_vmm(*cloud.args("--disk", arg))
        assert r.code == 3 and "in use by another program" in r.err, r
    # QEMU's tools know our locks
    p = subprocess.run(["qemu-img", "resize", "-f", "raw", str(ext4), "+1M"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True)
    assert p.returncode and "lock" in p.stdout, p.stdout
    s.end()
    # and we know theirs
    p = subprocess.Popen(["qemu-io", "-f", "raw", str(ext4)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write(b"read 0 512\n")
    p.stdin.flush()
    assert b"read 512" in p.stdout.readline() + p.stdout.readline()
    r = run_vmm(*cloud.args("--disk", ext4))
    assert r.code == 3 and "in use by another program" in r.err, r
    p.communicate(b"quit\n")


@pytest.mark.slow
def test_readers_share(cloud, tmp_path, ext4):
    s = Shell(cloud, "--disk", f"{ext4},ro")
    r = run_vmm(*cloud.args("--disk", ext4))
    assert r.code == 3 and "in use by another program" in r.err, r
    r = run_vmm(*cloud.args("--disk", f"{ext4},ro", cmdline="console=ttyS0 vibe.poweroff"))
    assert r.code == 0, r
    s.end()


# --- hosts that fail ---

@pytest.mark.slow
def test_full_host_is_an_io_error(cloud, tmp_path):
    """The guest sees I/O errors, not a crash, and goes on when there is room again"""
    need("qemu-img")
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "none", str(mount)], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("cannot mount a small tmpfs")
    try:
        (mount / "d.raw").touch()
        os.truncate(mount / "d.raw", 16 * MB)
        run("qemu-img", "create", "-q", "-f", "qcow2", mount / "d.qcow2", "16M")
        s = Shell(cloud, "--disk", mount / "d.raw,format=raw", "--disk", mount / "d.qcow2")
        s.say("dd if=/dev/zero of=/dev/vda bs=64k count=100 oflag=direct || echo failed-$((1+1))", "failed-2")
        s.ok("blkdiscard /dev/vda")
        s.say("dd if=/dev/urandom of=/dev/vdb bs=64k count=100 oflag=direct || echo failed-$((1+1))", "failed-2")
        s.ok("blkdiscard /dev/vdb; sync; dd if=/dev/zero of=/dev/vdb bs=64k count=8 oflag=direct; sync")
        s.end()
        qcow2_sound(mount / "d.qcow2")
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


# --- formats ---

@pytest.mark.slow
def test_guest_cannot_change_a_probed_format(cloud, tmp_path):
    disk = tmp_path / "d.raw"
    disk.write_bytes(bytes(MB))
    s = Shell(cloud, "--disk", disk)
    s.say(r"printf 'QFI\373' >/h; dd if=/h of=/dev/vda bs=512 conv=sync,fsync || echo failed-$((1+1))", "failed-2")
    s.end()
    assert disk.read_bytes()[:4] == bytes(4)
    s = Shell(cloud, "--disk", f"{disk},format=raw")
    s.ok(r"printf 'QFI\373' >/h; dd if=/h of=/dev/vda bs=512 conv=sync,fsync")
    s.end()
    assert disk.read_bytes()[:4] == b"QFI\xfb"
    r = run_vmm(*cloud.args("--disk", disk))
    assert r.code == 3 and "qcow2" in r.err, r


def test_refused_images(cloud, tmp_path):
    need("qemu-img")
    for options, word in (["extended_l2=on"], "extended L2"), (["data_file=" + str(tmp_path / "x.data")], "external data"):
        path = tmp_path / "x.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", *[a for o in options for a in ("-o", o)], path, "1M")
        r = run_vmm(*cloud.args("--disk", path))
        assert r.code == 3 and word in r.err.lower().replace("l2", "L2"), r
    run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "gone.raw", "-F", "raw", tmp_path / "y.qcow2", "1M")
    r = run_vmm(*cloud.args("--disk", tmp_path / "y.qcow2"))
    assert r.code == 3 and "gone.raw" in r.err, r


@pytest.mark.slow
def test_snapshots_stay(cloud, tmp_path, ext4):
    """Clusters that an internal snapshot shares are copied before they are written"""
    need("qemu-img")
    path = as_format(tmp_path, ext4, "qcow2")
    run("qemu-img", "snapshot", "-c", "before", path)
    s = Shell(cloud, "--disk", path)
    s.ok("mkdir -p /m; mount -t ext4 /dev/vda /m; cd /m; sha256sum -c sums; rm data; dd if=/dev/urandom of=new bs=64k count=99; sync; "
         "cd /; umount /m")
    s.end()
    assert qcow2_sound(path) == 0
    clean_fs(back_to_raw(tmp_path, path))
    run("qemu-img", "snapshot", "-a", "before", path)
    assert qcow2_sound(path) == 0
    assert back_to_raw(tmp_path, path).read_bytes() == ext4.read_bytes()


# --- crashes ---

LOOP = r"""i=0; while :; do i=$((i+1)); echo "block $i" | dd of=/dev/vda bs=4096 seek=$((i*17%2000)) conv=sync,notrunc,fsync 2>/dev/null && echo "done $i."; done"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_kill_loses_no_flushed_block(cloud, tmp_path, kind):
    """Each line that the guest prints says that a block is written and synced; kill -9 must not lose it"""
    need("qemu-img")
    rounds = int(os.environ.get("VIBE_KILL_ROUNDS", "3"))
    for n in range(rounds):
        path = tmp_path / f"crash{n}"
        run("qemu-img", "create", "-q", "-f", kind, path, "8M")
        s = Shell(cloud, "--disk", f"{path},format={kind}")
        s.t.sendline(LOOP)
        s.t.expect(rf"done {20 + 13 * n}\.", timeout=60)
        time.sleep(random.Random(n).random() / 4)
        s.t.kill(signal.SIGKILL)
        # the mark itself was seen; whatever else came out before the end counts, too
        seen = 20 + 13 * n
        rest = ""
        try:
            while True:
                rest += s.t.read_nonblocking(65536, timeout=2)
        except (pexpect.EOF, pexpect.TIMEOUT):
            pass
        s.t.close(force=True)
        marks = [int(m) for m in re.findall(r"done (\d+)\.", rest)]
        seen = max([seen, *marks])
        if kind == "qcow2":
            qcow2_sound(path)
            data = back_to_raw(tmp_path, path).read_bytes()
        else:
            data = path.read_bytes()
        for i in range(1, seen + 1):
            at = i * 17 % 2000 * 4096
            assert data[at:at + 32].split(b"\n")[0] == b"block %d" % i, (n, i, seen)
