"""Between two processes: who accepts, what a signal means, and whose number is written down, at each step of an upgrade."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import Closed, Http, Line, Process, Publisher, Team, clean_environment, program, until

CHECKS = '[[ "$*" == *--check-config ]] && exit 0\n'
TAKES = CHECKS + "printf P >&4\nhead -c1 <&4 >/dev/null\n"
# As a server does before it says that it could serve.
WRITES = TAKES + 'while [ $# -gt 0 ]; do if [ "$1" = --pid-file ]; then echo $$ >"$2"; fi; shift; done\n'
READY = WRITES + "printf R >&4\nexec sleep 1000\n"

ASK = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


class Former:
    """The process that hands over, played here: a listening socket, and a line to the successor."""

    def __init__(self, folder):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.line, theirs = socket.socketpair()
        self.line.settimeout(60)
        self.early = socket.create_connection(self.listener.getsockname())
        self.early.settimeout(60)
        self.early.sendall(ASK)
        # By way of high numbers, as what is to be copied may lie where a copy has to go.
        command = 'exec 13<&"$1" 14<&"$2"; exec env CARILLON_HANDOVER= "$0" --store "sqlite:$3/log.db" --auth open 3<&13 4<&14 13<&- 14<&-'
        self.child = subprocess.Popen(
            ["bash", "-c", command, program("CARILLON_BIN"), str(self.listener.fileno()), str(theirs.fileno()), str(folder)],
            pass_fds=[self.listener.fileno(), theirs.fileno()],
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
        )
        theirs.close()

    def hear(self):
        return self.line.recv(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait(60)
        for s in (self.listener, self.line, self.early):
            s.close()


def test_nobody_is_accepted_before_the_handover_is_certain(tmp_path):
    """Until then the former process may end the successor as it is: who waits in the queue still does."""
    with Former(tmp_path) as f:
        assert f.hear() == b"P"
        f.line.sendall(b"G")
        assert f.hear() == b"R"
        time.sleep(0.5)  # for one that does not wait to be told
        f.child.kill()
        f.child.wait(60)
        f.listener.settimeout(5)
        conn, _ = f.listener.accept()
        with conn:
            assert conn.recv(4096) == ASK


@pytest.mark.parametrize("told", [True, False])
def test_it_serves_when_it_is_told_to_or_left_alone(told, tmp_path):
    with Former(tmp_path) as f:
        assert f.hear() == b"P"
        f.line.sendall(b"G")
        assert f.hear() == b"R"
        if told:
            f.line.sendall(b"S")
        else:
            f.line.close()
        assert b"200 OK" in f.early.recv(4096)


def test_the_successor_is_told_to_serve():
    with Line() as s:
        s.put_script(WRITES + "printf R >&4\nread -r -n1 said <&4\necho told: $said >&2\nexec sleep 1000\n")
        s.ask()
        until(lambda: s.said("told: S"), "it is told")
        until(lambda: s.has_ended(s.pid), "the former one ends")
        assert s.codes[s.pid] == 0
        s.ended = True


def test_a_successor_that_ends_when_it_could_serve():
    with Line() as s:
        s.put_script(WRITES + "exec 4>&- \nexit 7\n")
        s.fails("exited with 7")
        s.publish("t", "x")


def test_the_pid_file_is_taken_back():
    """Whoever serves has its number there; at the end there is none."""
    with Line() as s:
        s.put_script(WRITES + "exit 6\n")
        s.fails("exited with 6")
        s.put_script(WRITES.replace("echo $$", 'echo half >"$2.$$"; echo $$') + "exec sleep 1000\n")
        s.ask()
        until(lambda: s.written_pid() not in (None, s.pid), "the other one's number is there")
        os.kill(s.pid, signal.SIGTERM)
        until(lambda: s.has_ended(s.pid), "it ends")
        assert s.codes[s.pid] == 0 and s.said("no upgrade: this server is to end")
        assert [name for name in os.listdir(s.place.name) if name.startswith("pid")] == []
        s.ended = True


def told_after_a_handover(s):
    """SIGTERM reaches who has handed over, in the middle of a request, whose connection is returned."""
    c = s.http()
    c.send(b"POST /events?tenant=t HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n")
    s.get("/livez")
    s.put_script(READY)
    s.ask()
    until(lambda: s.said("serves from now on; draining"), "the handover")
    os.kill(s.pid, signal.SIGTERM)
    until(lambda: s.said("SIGTERM: draining already"), "it is told")
    return c


def test_the_first_signal_after_a_handover_is_no_second_one():
    """It hurries nobody: a request is finished, and who listens is told. The second one does."""
    with Line(drain="60s") as s:
        ws = s.ws("t")
        c = told_after_a_handover(s)
        with pytest.raises(Closed) as closed:
            while True:
                ws.recv()
        assert closed.value.code == 1001
        ws.close()
        c.send(b'{"message":"x"}')
        assert c.response("POST").status == 503  # the store is another's
        c.close()
        until(lambda: s.has_ended(s.pid), "it ends")
        assert s.codes[s.pid] == 0 and not s.said("did not end in time")
        s.ended = True


def test_the_second_signal_after_a_handover_hurries():
    with Line(drain="60s") as s:
        c = told_after_a_handover(s)
        os.kill(s.pid, signal.SIGTERM)
        until(lambda: s.has_ended(s.pid), "it ends")
        assert s.codes[s.pid] == 0 and s.said("connections that did not end in time")
        s.ended = True


def publish(publisher, done):
    number = 0
    while not done.is_set():
        publisher.once("t", f"{publisher.name}-{number}")
        number += 1
        time.sleep(0.002)
    publisher.drop()


@pytest.mark.parametrize("late", [False, True])
def test_told_to_end_about_when_the_new_one_is_ready(late):
    """Whether the upgrade is broken off or is over by then, each request on a connection that was accepted has an answer."""
    with Line("--threads", 2, "--audit-log", "off", drain="20s") as s:
        done, team = threading.Event(), Team()
        publishers = [Publisher(s.port, ["t"], f"p{k}") for k in range(4)]
        for p in publishers:
            team.go(publish, p, done)
        until(lambda: s.get("/events/stats", "t").json()["total"] > 50, "they publish")
        former = s.pid
        s.ask()
        until(lambda: s.said("listening on") > 1 if late else s.written_pid() != former, "the new one is there")
        os.kill(former, signal.SIGTERM)
        until(lambda: s.has_ended(former), "the former one ends")
        done.set()
        team.join()
        assert s.codes[former] == 0 and sum(p.unanswered for p in publishers) == 0
        if s.said("no upgrade: this server is to end"):
            assert not os.path.exists(s.pid_file)
            s.ended = True
        else:
            s.moved()


def test_process_1_does_not_upgrade(tmp_path):
    """All others of its namespace would end with it."""
    apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    p = Process([*apart, program("CARILLON_BIN"), "--port", "0", "--auth", "open", "--store", f"sqlite:{tmp_path}/log.db"])
    try:
        port = p.listening()
        with open(f"/proc/{p.pid}/task/{p.pid}/children", encoding="ascii") as f:
            server = int(f.read())
        os.kill(server, signal.SIGUSR2)
        until(lambda: "SIGUSR2: no upgrade, this server goes on: it is process 1" in p.output(), "it is refused")
        assert "SIGUSR2: upgrading" not in p.output() and Http(port).request("GET", "/readyz").status == 200
        os.kill(server, signal.SIGTERM)
        assert p.wait() == 0
    finally:
        p.kill()


def test_the_handover_is_not_in_the_environment():
    with Line(env={"SEEN": "yes"}) as s:
        s.upgrade()
        with open(f"/proc/{s.pid}/environ", "rb") as f:
            text = f.read()
        assert b"SEEN=yes" in text and b"CARILLON_HANDOVER" not in text
