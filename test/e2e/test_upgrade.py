"""SIGUSR2: a new process takes the place of the one that serves, and nobody notices but by a good-bye."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import (
    Closed,
    Eof,
    Flock,
    Line,
    LISTENING,
    Postgres,
    Publisher,
    Team,
    clean_environment,
    problem,
    program,
    scaled,
    until,
)

JSON = {"Content-Type": "application/json"}

# How many sockets and rounds the tests under load have, for a longer run by hand: 5000 and 20, say, with a release build.
SOCKETS = int(os.environ.get("CARILLON_UPGRADE_SOCKETS", "0"))
ROUNDS = int(os.environ.get("CARILLON_UPGRADE_ROUNDS", "0"))


def store_of(kind):
    return Postgres.shared().uri(Postgres.shared().new()) if kind == "postgres" else None


def newest(s, tenants):
    return {t: s.get("/events/stats", t).json()["last_seq"] for t in tenants}


def check_load(s, flock, publishers, tenants):
    """Each has heard each acknowledged event, once; and so has the log."""
    last = newest(s, tenants)
    until(lambda: flock.all_at(last), f"all have come to the end: {flock.summary()}")
    assert not flock.errors, (len(flock.errors), flock.errors[:5])
    for p in publishers:
        for tenant, seq, id_, _ in p.acked:
            assert flock.events[tenant, seq] == id_, (tenant, seq)
    keys = [key for p in publishers for *_, key in p.acked]
    assert len(keys) == len(set(keys)) == sum(last.values()), "an event was stored twice, or not at all"


class Load:
    """A flock and publishers, within a `with` block."""

    def __init__(self, s, count, tenant_count=4, publishers=4, pause=0.0):
        self.tenants = [f"t{k}" for k in range(tenant_count)]
        self.flock = Flock(s.port, self.tenants, count)
        self.publishers = [Publisher(s.port, self.tenants, f"p{k}", pause) for k in range(publishers)]
        self.s, self.team, self.done = s, Team(), threading.Event()

    def __enter__(self):
        self.flock.__enter__()
        until(self.flock.all_here, "all are here", wait=120)
        for p in self.publishers:
            self.team.go(p.run, self.done)
        # Before its first event a tenant that was made at its first use has no log that a restart would know of.
        until(lambda: {t for p in self.publishers for t, *_ in p.acked} == set(self.tenants), "each has an event")
        return self

    def settle(self):
        self.done.set()
        self.team.join()
        check_load(self.s, self.flock, self.publishers, self.tenants)

    def acked(self):
        return sum(len(p.acked) for p in self.publishers)

    def __exit__(self, kind, error, trace):
        self.done.set()
        self.flock.__exit__(kind, error, trace)
        if kind is None:
            self.team.join()


@pytest.mark.parametrize("kind, durability", [("sqlite", "commit"), ("sqlite", "relaxed"), ("postgres", "commit")])
def test_upgrades_under_load(kind, durability):
    """Publishers that retry and subscribers that resume: each acknowledged event reaches each once, no connection is
    refused, no request stays without an answer."""
    big = SOCKETS and kind == "sqlite" and durability == "commit"
    count, rounds = (SOCKETS, ROUNDS or 3) if big else (scaled(120, 40), 3)
    store = store_of(kind)
    with Line("--threads", 2, "--durability", durability, "--log-level", "warn", "--audit-log", "off", store=store, drain="20s") as s:
        with Load(s, count, 100 if big else 4, pause=0.02 if big else 0.002) as load:
            for k in range(rounds):
                before = load.acked()
                s.upgrade(wait=90)
                until(load.flock.all_here, "all are back", wait=90)
                until(lambda: load.acked() > before, "publishing goes on")
                if big:
                    print(f"upgrade {k + 1}: {load.flock.summary()}, {load.acked()} acknowledged")
            load.settle()
            assert load.flock.refused == 0 and sum(p.refused for p in load.publishers) == 0, "a connection was refused"
            assert load.flock.unanswered == 0 and sum(p.unanswered for p in load.publishers) == 0
            assert load.flock.cut == 0, f"{load.flock.cut} were cut off without a word"
            assert load.flock.told >= count * rounds and len(load.flock.hints) > 10
            assert load.flock.joined >= count * (rounds + 1)


def test_drains_under_load():
    """The same with a server that ends and is started anew: only its absence is noticed."""
    count, rounds = (SOCKETS, ROUNDS or 3) if SOCKETS else (scaled(120, 40), 3)
    with Line("--threads", 2, "--audit-log", "off", drain="20s") as s:
        with Load(s, count, 100 if SOCKETS else 4, pause=0.02 if SOCKETS else 0.002) as load:
            for k in range(rounds):
                os.kill(s.pid, signal.SIGTERM)
                until(lambda: s.has_ended(s.pid), "it ends", wait=90)
                assert s.codes[s.pid] == 0
                s.restart()
                before = load.acked()
                until(load.flock.all_here, "all are back", wait=90)
                until(lambda: load.acked() > before, "publishing goes on")
                if SOCKETS:
                    print(f"drain {k + 1}: {load.flock.summary()}, {load.acked()} acknowledged")
            load.settle()
            assert sum(p.unanswered for p in load.publishers) == 0
            assert load.flock.cut == 0 and load.flock.told >= count * rounds


# What the successor gets


def test_the_file_that_was_put_in_its_place():
    """The path counts, not the file that it was; through links as well."""
    with Line() as s:
        old = os.stat(f"/proc/{s.pid}/exe").st_ino
        s.put(program("CARILLON_BIN"))
        s.upgrade()
        assert os.stat(f"/proc/{s.pid}/exe").st_ino == os.stat(s.program).st_ino != old
        other = f"{s.place.name}/carillon-2"
        shutil.copy2(program("CARILLON_BIN"), other)
        os.remove(s.program)
        os.symlink(other, s.program)
        s.upgrade()
        assert os.readlink(f"/proc/{s.pid}/exe") == other
        with open(f"/proc/{s.pid}/cmdline", "rb") as f:
            assert f.read().split(b"\0")[:-1] == [w.encode() for w in s.command]


def test_a_file_that_is_not_there():
    with Line() as s:
        os.remove(s.program)
        s.fails("the new program cannot be started: No such file or directory")
        s.put(program("CARILLON_BIN"))
        s.upgrade()
        s.publish("t", "x")


def test_it_gets_no_descriptor_but_those():
    with Line() as s:
        for _ in range(5):
            s.ws("t")
            s.sse("t")
        s.publish("t", "x")
        s.put_script('[[ "$*" == *--check-config ]] && exit 0\n(ls /proc/$$/fd | tr "\\n" " " | sed "s/^/fds: /; s/$/\\n/") >&2\nexit 3\n')
        s.fails("the new program exited with 3")
        line = next(line for line in s.process.lines if line.startswith("fds: "))
        fds = {int(name) for name in line[5:].split()}
        assert fds - {255} == {0, 1, 2, 3, 4, 5}, fds  # 255 is the shell's own


def test_socket_activation(tmp_path):
    """A supervisor's socket (sd_listen_fds), and upgrades of that."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(5)
    port = listener.getsockname()[1]
    early = socket.create_connection(("127.0.0.1", port))  # before anybody serves
    early.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    pid_file = tmp_path / "pid"
    command = f'exec env LISTEN_PID=$$ LISTEN_FDS=1 "$0" --auth open --port 1 --auto-tenants --pid-file {pid_file} --store sqlite:{tmp_path}/log.db 3<&{listener.fileno()}'
    with subprocess.Popen(
        ["bash", "-c", command, program("CARILLON_BIN")],
        pass_fds=[listener.fileno()],
        stderr=subprocess.PIPE,
        env=clean_environment(),
    ) as child:
        pids = [child.pid]
        try:
            m = LISTENING.search(child.stderr.readline().decode())
            assert m and int(m[1]) == port
            assert b"200 OK" in early.recv(4096)
            os.kill(child.pid, signal.SIGUSR2)
            until(lambda: pid_file.exists() and int(pid_file.read_text()) != child.pid, "another one serves")
            pids.append(int(pid_file.read_text()))
            late = socket.create_connection(("127.0.0.1", port))
            late.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in late.recv(4096)
            late.close()
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        early.close()
    listener.close()


@pytest.mark.parametrize(
    "passed, why",
    [
        ("LISTEN_PID=$$ LISTEN_FDS=1", "descriptor 3 is no stream socket that listens"),
        ("LISTEN_PID=$$ LISTEN_FDS=2", "one socket is served, not several"),
        ("CARILLON_HANDOVER=lock", "nothing was handed over"),
        ("CARILLON_HANDOVER=", "nothing was handed over"),
    ],
)
def test_lies_about_what_is_passed(passed, why):
    done = subprocess.run(
        ["bash", "-c", f'exec env {passed} "$0" --port 0 --store memory: --auth open 3</dev/null', program("CARILLON_BIN")],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(),
        check=False,
    )
    assert done.returncode == 1 and why in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_what_is_meant_for_another_process():
    done = subprocess.run(
        ["env", "LISTEN_PID=1", "LISTEN_FDS=1", program("CARILLON_BIN"), "--version"],
        capture_output=True,
        timeout=60,
        env=clean_environment(),
        check=False,
    )
    assert done.returncode == 0


# Successors that fail

CHECKS = '[[ "$*" == *--check-config ]] && exit 0\n'
PREPARED = CHECKS + "printf P >&4\n"
TAKES = PREPARED + "head -c1 <&4 >/dev/null\n"
BAD = {
    "exits at once": ("exit 3\n", "--check-config exited with 3"),
    "exits after the check": (CHECKS + "exit 4\n", "exited with 4"),
    "hangs in the check": ("exec sleep 1000\n", "took too long to check"),
    "hangs at the start": (CHECKS + "exec sleep 1000\n", "took too long to start"),
    "is killed at the start": (CHECKS + "kill -SEGV $$\n", "was ended by signal 11"),
    "ends when it is prepared": (PREPARED + "exit 5\n", "exited with 5"),
    "ends when it may open the store": (TAKES + "exit 6\n", "exited with 6"),
    "is killed when it may open the store": (TAKES + "kill -KILL $$\n", "was ended by signal 9"),
    "hangs when it may open the store": (TAKES + "exec sleep 1000\n", "took too long to start"),
    "fails with the store open": (CHECKS + 'exec REAL "${@:1}" --pid-file /nowhere/at/all\n', "exited with 1"),
    "says something else": (CHECKS + "printf R >&4\nexec sleep 1000\n", "took too long to start"),
}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("how", BAD)
def test_a_successor_that_fails(how, kind):
    """The one that serves goes on as if nothing had been, and the next upgrade succeeds."""
    script, why = BAD[how]
    slow = "took too long" in why
    with Line("--upgrade-timeout", "1s" if slow else "60s", store=store_of(kind)) as s:
        ws = s.ws("t")
        first = s.publish("t", "before")
        s.put_script(script)
        for round_ in range(1 if slow else 2):
            s.fails(why)
            r = s.post("t", json.dumps({"message": f"after {round_}"}).encode())
            end = time.monotonic() + 10
            while r.status == 503 and time.monotonic() < end:  # a database that is far away is connected to again
                time.sleep(0.05)
                r = s.post("t", json.dumps({"message": f"after {round_}"}).encode())
            assert r.status == 201 and r.json()["seq"] == first["seq"] + 1 + round_
        assert [e["seq"] for e in ws.events(2 if slow else 3)] == list(range(1, (2 if slow else 3) + 1))
        s.put(program("CARILLON_BIN"))
        last = 2 if slow else 3
        former = s.pid
        s.ask()
        with pytest.raises(Closed) as closed:
            ws.recv()
        assert closed.value.code == 1001
        ws.close()
        until(lambda: s.has_ended(former), "the former one has ended")
        s.moved()
        again = s.ws("t", f"since=0&epoch={ws.hello['epoch']}")
        assert [e["seq"] for e in again.events(last)] == list(range(1, last + 1))
        assert s.publish("t", "at the new one")["seq"] == last + 1


def test_a_configuration_that_is_bad(tmp_path):
    config = tmp_path / "carillon.yaml"
    config.write_text("buffer-size: 100\n")
    with Line("--config", config) as s:
        config.write_text("buffer-size: many\n")
        s.fails("--check-config exited with 2")
        config.write_text("buffer-size: 200\n")
        s.upgrade()


def test_memory_cannot_be_handed_over():
    with Line(store="memory:") as s:
        ws = s.ws("t")
        s.fails("--store memory: keeps cannot be handed over")
        e = s.publish("t", "x")
        assert ws.events(1) == [e]


# Signals that come meanwhile


def test_a_second_signal():
    with Line() as s:
        s.put_script('sleep 1\nexec REAL "$@"\n')
        former = s.pid
        s.ask()
        until(lambda: s.said("SIGUSR2: upgrading"), "the first")
        s.ask()
        until(lambda: s.said("an upgrade is under way already"), "the second")
        until(lambda: s.has_ended(former), "the former one has ended")
        s.moved()
        assert s.codes[former] == 0 and s.said("SIGUSR2: upgrading") == 1
        s.publish("t", "x")


@pytest.mark.parametrize("stage, script", [("check", "exec sleep 1000\n"), ("start", CHECKS + "exec sleep 1000\n"), ("hand over", TAKES + "exec sleep 1000\n")])
def test_told_to_end_meanwhile(stage, script):
    with Line() as s:
        s.publish("t", "x")
        s.put_script("echo here: $$ >&2\n" + script if stage == "check" else script.replace(CHECKS, CHECKS + "echo here: $$ >&2\n"))
        s.ask()
        line = until(lambda: next((line for line in s.process.lines if line.startswith("here: ")), None), "it is there")
        if stage == "hand over":
            time.sleep(0.5)  # so that it has most likely been told to open the store; told earlier, it ends as well
        os.kill(s.pid, signal.SIGTERM)
        until(lambda: s.has_ended(s.pid), "it ends")
        assert s.codes[s.pid] == 0
        assert not os.path.exists(f"/proc/{int(line.split()[1])}"), "the successor is left behind"
        s.ended = True


def test_ending_is_no_time_for_upgrades():
    with Line(drain="60s") as s:
        c = s.http()
        c.send(b"POST /events?tenant=t HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        s.get("/livez")
        os.kill(s.pid, signal.SIGTERM)
        until(lambda: s.said("SIGTERM: draining"), "the drain")
        s.ask()
        until(lambda: s.said("this server is ending: no upgrade"), "it is told")
        c.close()
        until(lambda: s.has_ended(s.pid), "it ends")
        assert s.codes[s.pid] == 0


# Requests that are under way


def test_requests_under_way_and_kept_connections():
    """A request that has begun is finished or turned away; a kept-alive connection's next one is turned away, or the
    connection was closed because it was idle. None is without an answer."""
    with Line("--threads", 2, drain="20s") as s:
        begun, idle = s.http(), s.http()
        assert idle.request("GET", "/livez").status == 200
        body = b'{"message":"slow"}'
        head = begun.build("POST", "/events?tenant=t", {**JSON, "Expect": "100-continue"}, body)[: -len(body)]
        begun.send(head)
        assert begun.head().status == 100
        former = s.pid
        s.ask()
        until(lambda: s.written_pid() != former, "another one serves")
        try:
            r = idle.request("POST", "/events?tenant=t", JSON, b'{"message":"late"}')
            problem(r, 503, "unavailable")
            assert "close" in r.tokens("Connection") and int(r.header("Retry-After")) >= 1 and idle.ends()
        except Eof:
            pass
        begun.send(body)
        r = begun.response("POST")
        problem(r, 503, "unavailable")  # the store is another's by now
        assert "close" in r.tokens("Connection") and int(r.header("Retry-After")) >= 1
        until(lambda: s.has_ended(former), "the former one has ended")
        assert s.codes[former] == 0
        s.moved()
        assert s.publish("t", "first")["seq"] == 1


@pytest.mark.parametrize("target", ["/ws?tenant=t&since=0", "/api/v1/events/stream?tenant=t&since=0"])
def test_who_had_connected_before_is_let_in(target):
    """Whose connection the former process has accepted, and whose handshake comes when it takes no more: it subscribes, and
    is told to come back like all others. Nobody else could answer it."""
    with Line("--threads", 2, "--buffer-size", 1, drain="20s") as s:
        sent = [s.publish("t", f"m{n}")["id"] for n in range(40)]
        begun, kept, ahead = s.http(), s.http(), s.http()
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
        head = begun.build("GET", target, upgrade if target.startswith("/ws") else {})
        begun.send(head[:-10])
        assert kept.request("GET", "/livez").status == 200
        kept.send(head[:-10])
        ahead.send(head[:-10].replace(b"since=0", b"since=41"))
        assert s.get("/livez").status == 200
        former = s.pid
        s.ask()
        until(lambda: s.written_pid() != former, "another one serves")
        for conn in (begun, kept, ahead):
            conn.send(head[-10:])
        problem(kept.response(), 503, "unavailable")  # that has been served before, and can come back
        problem(ahead.response(), 503, "unavailable")  # it has heard of what only the new one knows
        r = begun.head()
        assert r.status == (101 if target.startswith("/ws") else 200), r
        greeting, _, rest = begun.wire.rest().partition(b"connection_established")
        assert re.findall(rb'"id":"([0-9a-f-]{36})"', rest) == [i.encode() for i in sent], "what the log has is read on"
        assert greeting and (b"server going away; retry in " in rest or b"\nretry:" in rest), (greeting, rest)
        for conn in (begun, kept, ahead):
            conn.close()
        until(lambda: s.has_ended(former), "the former one has ended")
        assert s.codes[former] == 0


def test_what_is_read_is_not_old():
    """Whoever asks the former process, on a connection that it has accepted, is not told less than has been acknowledged."""
    with Line("--threads", 2, drain="20s") as s:
        first = s.publish("t", "first")
        targets = ["/events", "/events?since=0", "/events?q=first", f"/events/{first['id']}", "/events/stats"]
        begun = [(s.http(), target) for target in targets]
        heads = [conn.build("GET", target, {"X-Tenant-ID": "t"}) for conn, target in begun]
        for (conn, _), head in zip(begun, heads):
            conn.send(head[:-10])
        former = s.pid
        s.ask()
        until(lambda: s.written_pid() != former, "another one serves")
        for (conn, _), head in zip(begun, heads):
            conn.send(head[-10:])
            r = conn.response()
            problem(r, 503, "unavailable")
            assert "close" in r.tokens("Connection") and int(r.header("Retry-After")) >= 1
        until(lambda: s.has_ended(former), "the former one has ended")
        assert s.codes[former] == 0
        s.moved()
        assert s.get("/events", "t").json()["events"] == [first]


def test_changes_are_refused_meanwhile_and_kept_before():
    """Tenants and keys go with the store."""
    with Line() as s:
        r = s.request("POST", "/api/v1/tenants", JSON, b'{"name":"Acme","id":"acme"}')
        assert r.status == 201, r
        s.upgrade()
        assert s.get("/api/v1/tenants/acme").status == 200
        assert s.publish("acme", "x")["seq"] == 1
