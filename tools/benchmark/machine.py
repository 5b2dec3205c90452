"""What the benchmark runs on: processor, kernel, compiler, versions."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import re
import resource
import subprocess
from pathlib import Path

import disk
from servers import BUILD, PEERS, ROOT, nginx_root


def first_line(*command: str) -> str:
    """The first line that a command prints; `unknown` where it can't be run."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, text=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = done.stdout.strip().splitlines()
    return lines[0] if lines and done.returncode == 0 else "unknown"


def found(path: Path, pattern: str) -> str:
    """What the pattern's group matches in a file; `unknown` where it does not."""
    try:
        match = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return "unknown"
    return match[1].strip() if match else "unknown"


def compiler() -> str:
    path = found(BUILD / "CMakeCache.txt", r"^CMAKE_C_COMPILER:\w+=(.*)$")
    kind = found(BUILD / "CMakeCache.txt", r"^CMAKE_BUILD_TYPE:\w+=(.*)$")
    return f"{first_line(path, '--version')}, {kind}"


def carillon_version() -> str:
    commit = first_line("git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "describe", "--always", "--dirty")
    return f"{first_line(str(BUILD / 'carillon'), '--version')}, {commit}"


def package_version(peer: str, package: str) -> str:
    path = PEERS / peer / "node_modules" / package / "package.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError):
        return "unknown"


def nchan_version() -> str:
    nginx = first_line(str(nginx_root() / "usr/sbin/nginx"), "-v").replace("nginx version: ", "")
    try:
        with gzip.open(nginx_root() / "usr/share/doc/libnginx-mod-nchan/changelog.Debian.gz", "rt") as changes:
            package = re.search(r"\((.*?)\)", changes.readline())
    except OSError:
        package = None
    return f"{package[1] if package else 'unknown'} in {nginx}"


class Others:
    """What is taken of the processors by neither this process nor the children that it has waited for, from here on."""

    def __init__(self) -> None:
        self.busy, self.all = processors()
        self.ours = our_time()

    def share(self) -> float:
        """Of all the processors' time; the kernel's threads are among it, and what a host gives to other machines."""
        busy, all_time = processors()
        others = busy - self.busy - (our_time() - self.ours)
        return max(0.0, others / max(all_time - self.all, 1e-9))


def processors() -> tuple[float, float]:
    """The seconds that all processors were busy or taken away, and all of them. See proc_stat(5)."""
    with open("/proc/stat", encoding="ascii") as file:
        spent = [int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in file.readline().split()[1:9]]
    # Without idle, waiting for a disk, and interrupts: nobody is charged for those, and on loopback they are ours.
    return sum(spent) - sum(spent[3:7]), sum(spent)


def our_time() -> float:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def describe(peers: bool) -> dict[str, str]:
    facts = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": found(Path("/proc/cpuinfo"), r"^model name\s*:\s*(.*)$"),
        "cores": str(len(os.sched_getaffinity(0))),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "databases": disk.describe(BUILD),
        "kernel": " ".join((os.uname().sysname, os.uname().release, os.uname().machine)),
        "compiler": compiler(),
        "carillon": carillon_version(),
    }
    if peers:
        facts["node"] = first_line("node", "--version")
        facts["ws"] = package_version("ws", "ws")
        facts["socket.io"] = package_version("socketio", "socket.io")
        facts["nchan"] = nchan_version()
    return facts
