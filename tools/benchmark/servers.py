"""The servers that are measured, each a child process on a free loopback port."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
PEERS = Path(__file__).resolve().parent / "peers"
PATIENCE = 20.0  # seconds that a server may take to listen, or to end
LISTENING = re.compile(r"listening on \S*:(\d+)")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class ServerError(Exception):
    """A server that did not start, or did not end as it should."""


@dataclass(frozen=True)
class Start:
    """What is to be started: in a folder of its own, with Carillon's number of workers, and where it keeps events."""

    folder: Path
    workers: int
    store: str = "memory:"  # Carillon's --store
    durability: str | None = None  # and its --durability; None is its default
    tls: bool = False  # Carillon speaks TLS
    flags: tuple[str, ...] = ()  # Carillon's further ones
    admin_key: str | None = None  # of Carillon that lets in by API key; None: the tenant's name is enough


@dataclass(frozen=True)
class Kind:
    """A server, what it can do, and its command and port; port 0 where it prints the one it has taken."""

    dialects: tuple[str, ...]  # of carillon-load; the first is its own
    subscribe: frozenset[str]
    publish: frozenset[str]
    command: Callable[[Start], tuple[list[str], int]]
    processes: int = 1  # that it consists of

    def can(self, subscribe: str, publish: str, dialect: str | None) -> bool:
        return subscribe in self.subscribe and publish in self.publish and dialect in (None, *self.dialects)


@dataclass(frozen=True)
class Server:
    """One that listens."""

    port: int
    pids: list[int]


def certificate(folder: Path) -> list[str]:
    """Carillon's flags for a new certificate, with a key on P-256."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerError(f"no certificate: {error}") from None
    return ["--tls-cert", str(cert), "--tls-key", str(key)]


def carillon(start: Start) -> tuple[list[str], int]:
    command = [str(BUILD / "carillon"), "--port", "0", "--threads", str(start.workers), "--store", start.store]
    command += ["--durability", start.durability] if start.durability else []
    command += ["--auth", "key"] if start.admin_key else ["--auth", "open", "--auto-tenants"]
    command += certificate(start.folder) if start.tls else []
    return [*command, "--max-tenants", "200000", "--log-level", "warn", *start.flags], 0


def objection(start: Start) -> str | None:
    """What Carillon has against its flags, in its own words; None where it takes them."""
    command = [*carillon(start)[0], "--check-config"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment(start), timeout=PATIENCE, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(str(error)) from None
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else lines[-1] if lines else f"it ended with {done.returncode}"


def node(name: str) -> Callable[[Start], tuple[list[str], int]]:
    return lambda start: (["node", str(PEERS / name / "server.mjs")], 0)


def nginx_root() -> Path:
    """Where Debian's nginx and its modules are: unpacked by tools/bench, or installed."""
    unpacked = BUILD / "bench" / "nchan"
    return unpacked if (unpacked / "usr/sbin/nginx").exists() else Path("/")


def nchan(start: Start) -> tuple[list[str], int]:
    root, port = nginx_root(), free_port()
    text = (PEERS / "nchan" / "nginx.conf").read_text(encoding="utf-8")
    text = text.replace("@MODULE@", str(root / "usr/lib/nginx/modules/ngx_nchan_module.so"))
    text = text.replace("@FOLDER@", str(start.folder)).replace("@PORT@", str(port))
    config = start.folder / "nginx.conf"
    config.write_text(text, encoding="utf-8")
    return [str(root / "usr/sbin/nginx"), "-p", str(start.folder), "-c", str(config), "-e", "stderr"], port


KINDS: dict[str, Kind] = {
    "carillon": Kind(("carillon", "socketio"), frozenset({"ws", "sse"}), frozenset({"http", "ws"}), carillon),
    "ws": Kind(("carillon",), frozenset({"ws"}), frozenset({"http", "ws"}), node("ws")),
    "socket.io": Kind(("socketio",), frozenset({"ws"}), frozenset({"http", "ws"}), node("socketio")),
    "nchan": Kind(("nchan",), frozenset({"ws", "sse"}), frozenset({"http"}), nchan, processes=2),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(start: Start | None = None) -> dict[str, str]:
    """The caller's, without what Carillon would take for flags; and what nobody else is to see, as they would a
    command line."""
    ours = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("CARILLON_") and key not in ("PORT", "CORS_ORIGIN")
    }
    return ours | ({"CARILLON_ADMIN_KEY": start.admin_key} if start and start.admin_key else {})


def end_with_parent() -> None:
    """In the child before exec: it is told to end when the benchmark does, however that ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_for_port(child: subprocess.Popen[bytes], port: int, log: Path) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if child.poll() is not None:
            raise ServerError(f"it ended with {child.returncode} before it listened: {tail(log)}")
        found = LISTENING.search(log.read_text(errors="replace"))
        if found:
            return int(found[1])
        if port and accepts(port):
            return port
        time.sleep(0.02)
    raise ServerError(f"it does not listen: {tail(log)}")


def tail(log: Path) -> str:
    """The last line that the server wrote."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"


def family(pid: int, size: int) -> list[int]:
    """The process and its children, as soon as they are that many."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        if len(children.split()) >= size - 1:
            return [pid, *map(int, children.split())]
        time.sleep(0.02)
    raise ServerError(f"it has fewer than {size} processes")


def stop(child: subprocess.Popen[bytes], log: Path) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        code = child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        raise ServerError("it did not end in time") from None
    if code not in (0, -signal.SIGTERM):
        raise ServerError(f"it ended with {code}: {tail(log)}")


@contextlib.contextmanager
def fresh_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder for the length of a `with` block: in `parent`, or where temporary files are."""
    with tempfile.TemporaryDirectory(prefix="carillon-bench-", dir=parent) as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx and PostgreSQL reach theirs as other users
        yield folder


@contextlib.contextmanager
def serving(kind: Kind, start: Start) -> Iterator[Server]:
    """A fresh server for the length of a `with` block, in a folder that is there; it has ended behind it. What it has
    written is in the folder's `log`."""
    command, port = kind.command(start)
    log = start.folder / "log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment(start),
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    try:
        port = wait_for_port(child, port, log)
        yield Server(port, family(child.pid, kind.processes))
        stop(child, log)
    finally:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # the group is the server's alone: start_new_session
            child.wait()


@contextlib.contextmanager
def running(
    kind: Kind, workers: int, admin_key: str | None = None, tls: bool = False, flags: tuple[str, ...] = ()
) -> Iterator[Server]:
    """A fresh server that keeps nothing, for the length of a `with` block."""
    with fresh_folder() as folder:
        start = Start(folder, workers, tls=tls, flags=flags, admin_key=admin_key)
        with serving(kind, start) as server:
            yield server
