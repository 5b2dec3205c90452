"""Namespaces of the run's own, so that nothing it does to the network or to file systems outlives it."""

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess

from harness.process import LIBC

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REMOUNT, MS_REC, MS_PRIVATE, MNT_DETACH = 32, 0x4000, 1 << 18, 2
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
# A port that a new connection begins with is that of another client, who is not cut.
TABLE = """table ip soak {
  set cut { type inet_service; flags dynamic; size 4096; }
  chain lost {
    type filter hook input priority 0;
    tcp flags & (syn | ack) == syn tcp sport @cut delete @cut { tcp sport }
    tcp sport @cut drop
    tcp dport @cut drop
  }
}
"""


def unshare(what):
    return os.geteuid() == 0 and LIBC.unshare(what) == 0


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        flags = struct.unpack("16xh", fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))[:18])[0]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def nft(text):
    return subprocess.run(["nft", "-f", "-"], input=text.encode(), capture_output=True, check=False).returncode == 0


def own_network():
    """Whether there is one now where packets can be dropped; otherwise it is the machine's still."""
    if not shutil.which("nft"):
        return False
    with open("/proc/self/ns/net", "rb") as before:
        if not unshare(CLONE_NEWNET):
            return False
        with contextlib.suppress(OSError):
            loopback_up()
            if nft(TABLE):
                return True
        assert LIBC.setns(before.fileno(), CLONE_NEWNET) == 0
    return False


def enter():
    """Before other threads start: an own network, and an own view of what is mounted. Returns whether there is the one,
    and the other: that needs root, and the network needs nft."""
    cuts = own_network()
    private = ctypes.c_ulong(MS_REC | MS_PRIVATE)
    return cuts, unshare(CLONE_NEWNS) and LIBC.mount(b"none", b"/", None, private, None) == 0


def cut(ports):
    """From now on no packet from or to these clients' ports arrives."""
    assert nft(f"add element ip soak cut {{ {', '.join(map(str, ports))} }}")


def mend():
    assert nft("flush set ip soak cut")


class SmallDisk:
    """A file system in memory that can be full. The mount is gone with the namespace."""

    SIZE = 1 << 30

    def __init__(self, folder):
        self.folder = folder
        if not self.mount(0, self.SIZE):
            raise PermissionError(f"{folder}: nothing can be mounted")

    def mount(self, flags, size):
        flags = ctypes.c_ulong(flags)
        return LIBC.mount(b"soak", self.folder.encode(), b"tmpfs", flags, f"size={size}".encode()) == 0

    def fill(self):
        """Shrinks it to what is used, and one page: so it is full, and costs nothing."""
        for _ in range(100):
            s = os.statvfs(self.folder)
            if self.mount(MS_REMOUNT, (s.f_blocks - s.f_bfree + 1) * s.f_bsize):
                return
        raise AssertionError("the file system cannot be made small")

    def relieve(self):
        assert self.mount(MS_REMOUNT, self.SIZE)

    def close(self):
        LIBC.umount2(self.folder.encode(), MNT_DETACH)
