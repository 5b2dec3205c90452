"""A PostgreSQL of one's own in a temporary folder, on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from servers import PATIENCE, ServerError, end_with_parent, environment, free_port, tail

NEEDED = ("initdb", "postgres", "pg_isready")
INSTALLED = Path("/usr/lib/postgresql")
USER = "carillon"


def version_of(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def programs() -> Path | None:
    """The folder with PostgreSQL's programs: Debian's newest, or that of the first initdb in the path; None without."""
    folders = sorted(INSTALLED.glob("*/bin"), key=version_of, reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).resolve().parent] if found else []
    return next((folder for folder in folders if all((folder / name).exists() for name in NEEDED)), None)


def owner() -> tuple[int, int] | None:
    """Who it is to run as: PostgreSQL does not run as root. None where that is the caller."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise ServerError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def command_in(folder: Path, log: Path, command: list[str]) -> subprocess.Popen[bytes]:
    who = owner()
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment() | {"LC_ALL": "C"},
            start_new_session=True,
            preexec_fn=end_with_parent,
            user=who and who[0],
            group=who and who[1],
            extra_groups=[] if who else None,
        )


def run(folder: Path, log: Path, command: list[str]) -> int:
    child = command_in(folder, log, command)
    try:
        return child.wait(PATIENCE * 3)
    except subprocess.TimeoutExpired:
        raise ServerError(f"{Path(command[0]).name} did not end in time") from None
    finally:
        kill(child)


def kill(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # the group is its alone: start_new_session
        child.wait()


def wait_until_ready(child: subprocess.Popen[bytes], bin_folder: Path, folder: Path, port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    ask = [str(bin_folder / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-d", "postgres"]
    while run(folder, log, ask) != 0:
        if child.poll() is not None or time.monotonic() > end:
            raise ServerError(f"PostgreSQL does not start: {tail(log)}")
        time.sleep(0.1)


@contextlib.contextmanager
def running(parent: Path, bin_folder: Path) -> Iterator[str]:
    """For the length of a `with` block, in a folder under `parent`; gives the URI that it is reached by."""
    folder, port = parent / "postgres", free_port()
    log = parent / "postgres.log"
    folder.mkdir(mode=0o700)
    log.touch()
    who = owner()
    if who:
        os.chown(folder, *who)
    made = ["-D", str(folder / "data"), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"]
    if run(folder, log, [str(bin_folder / "initdb"), *made]) != 0:
        raise ServerError(f"initdb: {tail(log)}")
    flags = ["-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1"]
    child = command_in(folder, log, [str(bin_folder / "postgres"), *flags])
    try:
        wait_until_ready(child, bin_folder, folder, port, log)
        yield f"postgres://{USER}@127.0.0.1:{port}/postgres"
        child.send_signal(signal.SIGINT)  # a fast shutdown
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE)
    finally:
        kill(child)
