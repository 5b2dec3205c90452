"""What a service manager is told, over a real socket of the kind that systemd makes (sd_notify(3))."""

import contextlib
import ctypes
import os
import re
import secrets
import signal
import socket

import pytest

from harness import Http, Line, Server, WAIT, until

# ptrace(2): one thread can be stopped, where a signal would stop the process.
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # waitpid(2): __WALL
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Manager:
    """The manager's end: datagrams in the order in which they came, each a dict."""

    def __init__(self, folder, abstract=False):
        self.address = f"@carillon-{secrets.token_hex(8)}" if abstract else f"{folder}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address.replace("@", "\0", 1) if abstract else self.address)
        self.socket.settimeout(WAIT)
        self.env = {"NOTIFY_SOCKET": self.address}

    def next(self):
        text = self.socket.recv(4096).decode("utf-8")
        assert text and not text.endswith("\n") and len(text) <= 1000, text
        return dict(line.split("=", 1) for line in text.split("\n"))

    def after_beats(self):
        """The next that is no sign of life."""
        while (said := self.next()) == {"WATCHDOG": "1"}:
            pass
        return said

    def empty(self):
        """Takes what is there. How many signs of life that were."""
        beats = 0
        self.socket.setblocking(False)
        try:
            while True:
                beats += self.next() == {"WATCHDOG": "1"}
        except BlockingIOError:
            return beats
        finally:
            self.socket.settimeout(WAIT)


@pytest.fixture(params=[False, True], ids=["path", "abstract"])
def manager(request, tmp_path):
    end = Manager(tmp_path, request.param)
    yield end
    end.socket.close()


def ready_at(said):
    assert said["READY"] == "1"
    return int(re.fullmatch(r"listening on 127\.0\.0\.1 port (\d+)", said["STATUS"])[1])


def test_from_ready_to_the_end(manager):
    with Server(env=manager.env, drain="5s") as s:
        port = ready_at(manager.next())
        assert port == s.port
        descriptors = s.process.fds()
        http = Http(port)
        assert http.request("GET", "/readyz").status == 200
        http.close()
        until(lambda: s.process.fds() == descriptors, "the server knows that it has gone")
        s.process.signal(signal.SIGHUP)
        said = manager.next()
        assert said["RELOADING"] == "1" and int(said["MONOTONIC_USEC"]) > 0
        assert ready_at(manager.next()) == port
        s.ws("t")
        s.process.signal(signal.SIGTERM)
        said = manager.next()
        assert said["STOPPING"] == "1" and said["STATUS"] == "draining 1 connections"
        assert s.process.wait() == 0
        assert manager.empty() == 0  # nobody had asked for signs of life


def test_ready_is_said_only_once_connections_are_taken(tmp_path):
    """The port is known beforehand, and nothing but READY=1 is waited for: a connection that is refused then is a lie."""
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
    for n in range(5):
        os.mkdir(tmp_path / str(n))
        manager = Manager(tmp_path / str(n))
        store = f"sqlite:{tmp_path}/{n}/log.db"
        with Server("--port", port, env=manager.env, store=store):
            assert ready_at(manager.next()) == port
            assert Http(port).request("GET", "/readyz").status == 200
        manager.socket.close()


def test_a_start_that_fails_is_never_ready(manager):
    with Server() as other:
        with pytest.raises(AssertionError, match="before listening"):
            with Server("--port", other.port, env=manager.env):
                pass
    assert manager.empty() == 0


def test_a_reload_while_draining_is_no_return(manager):
    with Server("--threads", "1", env=manager.env, drain="20s") as s:  # so that an answer says what it has read before
        ready_at(manager.next())
        busy = s.http()
        busy.send(b"POST /events HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: t\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 15\r\n\r\n")
        assert s.get("/livez").status == 200
        s.process.signal(signal.SIGTERM)
        assert "STOPPING" in manager.next()
        s.process.signal(signal.SIGHUP)
        busy.send(b'{"message":"x"}')
        assert busy.response("POST").status == 201
        assert s.process.wait() == 0
        assert manager.empty() == 0


def watched(manager, us, pid=None):
    return {**manager.env, "WATCHDOG_USEC": str(us), **({"WATCHDOG_PID": str(pid)} if pid else {})}


def test_signs_of_life(manager):
    with Server("--threads", 3, env=watched(manager, 400_000), drain="20s") as s:
        ready_at(manager.next())
        for _ in range(10):
            assert manager.next() == {"WATCHDOG": "1"}
        busy = s.http()
        busy.send(b"POST /events HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: t\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 15\r\n\r\n")
        assert s.get("/livez").status == 200
        s.process.signal(signal.SIGTERM)
        assert "STOPPING" in manager.after_beats()
        for _ in range(4):  # a drain that takes long is no hang
            assert manager.next() == {"WATCHDOG": "1"}
        busy.send(b'{"message":"x"}')


def test_not_for_another_process(manager):
    """The variable was inherited: whoever it is for, it is not this one."""
    with Server(env=watched(manager, 40_000, pid=os.getpid())) as s:
        ready_at(manager.next())
        for _ in range(200):
            assert s.get("/livez").status == 200
        until(lambda: s.process.cpu() >= 0, "the server runs")
        assert manager.empty() == 0


def test_a_successor_is_the_one_to_be_heard(manager):
    """The former server tells which process it is, and from then on signs of life are the successor's to give, whomever
    the manager had asked for them at first."""
    with Line(env=watched(manager, 100_000, pid=1)) as s:
        ready_at(manager.next())
        former = s.pid
        s.upgrade()
        # Both say so at about the same time; until it has heard the former one, a manager does not take the other's word.
        own, said = sorted((manager.after_beats(), manager.after_beats()), key=lambda told: "MAINPID" in told)
        assert ready_at(own) == s.port
        assert said["MAINPID"] == str(s.pid) != str(former) and said["READY"] == "1"
        for _ in range(3):
            assert manager.next() == {"WATCHDOG": "1"}


class Frozen:
    """One thread of the process, stopped."""

    def __init__(self, process, name):
        self.tid = until(lambda: self.find(process.pid, name), f"{name} has its name")

    @classmethod
    def find(cls, pid, name):
        threads = [int(t) for t in os.listdir(f"/proc/{pid}/task")]
        return next((t for t in threads if cls.name(pid, t) == name), None)

    @staticmethod
    def name(pid, tid):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as file:
            return file.read().strip()

    def ask(self, request):
        if LIBC.ptrace(request, self.tid, None, None) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def __enter__(self):
        self.ask(PTRACE_SEIZE)
        self.ask(PTRACE_INTERRUPT)
        os.waitpid(self.tid, WALL)
        return self

    def __exit__(self, *_):
        self.ask(PTRACE_DETACH)


def turns(process):
    """How often the main thread has slept: it is woken by connections, signals and its timer."""
    with open(f"/proc/{process.pid}/task/{process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.M)[1])


def answers(server):
    """Of as many connections as there are workers, each of which gets one: how many are served."""
    held = [Http(server.port, wait=1.0, plain=True) for _ in range(3)]
    served = 0
    for conn in held:
        with contextlib.suppress(OSError, AssertionError):
            conn.wire.secure()
            conn.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            served += conn.response("GET").status == 200
        server.keep(conn)
    return served


@pytest.mark.parametrize("thread", ["worker-0", "worker-2"])
def test_a_worker_that_hangs(manager, thread):
    """All others turn, and the server answers on them; but there is no sign of life until that one turns again."""
    with Server("--threads", 3, env=watched(manager, 200_000)) as s:
        ready_at(manager.next())
        assert manager.next() == {"WATCHDOG": "1"}
        with Frozen(s.process, thread):
            said = f"worker {thread[-1]} is busy or hangs"
            until(lambda: said in s.process.output(), "the log says who it is")
            manager.empty()  # what was said before it was stopped
            looks = turns(s.process)
            until(lambda: turns(s.process) >= looks + 20, "the main thread looks many times more")
            assert sum(answers(s) for _ in range(3)) >= 3, "the other workers serve"
            assert manager.empty() == 0
            assert s.process.output().count(said) == 1
        assert manager.next() == {"WATCHDOG": "1"}
        assert manager.next() == {"WATCHDOG": "1"}


@pytest.mark.parametrize(
    "address,said",
    [
        ("relative/path", "NOTIFY_SOCKET"),
        ("@", "NOTIFY_SOCKET"),
        ("vsock:2:1", "NOTIFY_SOCKET"),
        ("/" + "x" * 200, "NOTIFY_SOCKET"),
        ("/nowhere/at/all", "NOTIFY_SOCKET: No such file"),
        ("", None),
    ],
)
def test_a_socket_that_is_none(address, said):
    """The server serves all the same."""
    with Server(env={"NOTIFY_SOCKET": address}) as s:
        assert s.get("/readyz").status == 200
        if said:
            until(lambda: said in s.process.output(), "the log says so")
        else:
            assert "NOTIFY_SOCKET" not in s.process.output()


@pytest.mark.parametrize("us", ["x", "-1", "0", "99999999999999999999999", "1"])
def test_a_watchdog_that_is_none(tmp_path, us):
    manager = Manager(tmp_path)
    with Server(env={**manager.env, "WATCHDOG_USEC": us}) as s:
        ready_at(manager.next())
        assert s.get("/readyz").status == 200
    assert "STOPPING" in manager.next()
    manager.socket.close()


def test_a_manager_that_does_not_read(manager):
    """Its socket is full: that costs a little time, and nobody an answer."""
    with Server(env=watched(manager, 4_000)) as s:
        until(lambda: "NOTIFY_SOCKET: Resource temporarily unavailable" in s.process.output(), "its socket is full")
        assert s.get("/readyz").status == 200
        assert ready_at(manager.next()) == s.port
        manager.empty()
