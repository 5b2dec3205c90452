"""Storms of handshakes: who is let in, who is told to come back when, and who does not notice."""

import contextlib
import json
import threading
import time

import pytest

from harness import Eof, Http, Refused, Server, TLS, Team, WebSocket, problem, refused, run, scaled

JSON = {"Content-Type": "application/json"}
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
WAYS = {
    "websocket": ("/ws?tenant={}", UPGRADE, 101),
    "sse": ("/api/v1/events/stream?tenant={}", {}, 200),
    "socketio": ("/socket.io/?EIO=4&transport=polling&tenant={}", {}, 200),
    "socketio-websocket": ("/socket.io/?EIO=4&transport=websocket&tenant={}", UPGRADE, 101),
}


def knock(port, way, tenant):
    """One handshake: its status and Retry-After. Whoever gets in leaves again."""
    target, headers, _ = WAYS[way]
    c = Http(port)
    try:
        c.send(c.build("GET", target.format(tenant), headers))
        r = c.head()
        return r.status, r.header("Retry-After")
    finally:
        c.close()


class Storm:
    """Threads that knock without pause as one tenant."""

    def __init__(self, s, tenant, ways=("websocket",), threads=3):
        self.s, self.tenant, self.ways = s, tenant, ways
        self.let_in, self.waits, self.done = 0, [], threading.Event()
        self.lock, self.team, self.threads = threading.Lock(), Team(), threads

    def __enter__(self):
        self.began = time.monotonic()
        for k in range(self.threads):
            self.team.go(self.work, k)
        return self

    def work(self, k):
        while not self.done.is_set():
            status, wait = knock(self.s.port, self.ways[k % len(self.ways)], self.tenant)
            with self.lock:
                if status == 503:
                    self.waits.append(int(wait))
                else:
                    assert status in (101, 200), status
                    self.let_in += 1

    def __exit__(self, kind, error, trace):
        self.done.set()
        self.team.join()
        self.took = time.monotonic() - self.began


def test_off_by_default():
    with Server("--threads", 2) as s:
        for _ in range(scaled(300)):
            assert knock(s.port, "websocket", "t")[0] == 101


@pytest.mark.parametrize("way", WAYS)
def test_one_more_is_told_when_to_come_back(way):
    """Every way in has the same door, and the answer is a whole one."""
    with Server("--handshake-rate", "6/1h") as s:
        statuses = [knock(s.port, way, "t")[0] for _ in range(8)]
        assert statuses == [WAYS[way][2]] * 4 + [503] * 4, statuses  # the rest is for others
        target, headers, good = WAYS[way]
        c = s.http()
        r = c.request("GET", target.format("t"), headers)
        problem(r, 503, "unavailable")
        assert int(r.header("Retry-After")) >= 1
        assert knock(s.port, way, "other")[0] == good
        # What is no handshake does not pass that door.
        for _ in range(20):
            s.publish("t", "x")
            assert s.get("/events", "t").status == 200
        assert c.request("HEAD", "/api/v1/events/stream?tenant=t").status == 200


def test_a_malformed_handshake_costs_nobody_anything():
    with Server("--handshake-rate", "6/1h") as s:
        for _ in range(20):
            assert refused(s.socket, "t", headers={"Sec-WebSocket-Key": "short"}).status == 400
        assert knock(s.port, "websocket", "t")[0] == 101


def test_they_come_back_at_different_times():
    """The more are refused, the further apart."""
    with Server("--handshake-rate", "50/10s") as s:
        waits = []
        for _ in range(scaled(400, 200)):
            status, wait = knock(s.port, "websocket", "t")
            if status == 503:
                waits.append(int(wait))
        late = waits[-100:]
        assert min(waits) >= 1 and max(waits) <= 60
        assert len(set(late)) > 8, sorted(set(late))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_quiet_tenant_beside_a_storm(threads):
    """While one tenant storms, others get in at once, publish, and hear what is published."""
    limit, window = 60, 2
    with Server("--threads", threads, "--handshake-rate", f"{limit}/{window}s", "--log-level", "warn") as s:
        publisher = s.http()
        with Storm(s, "stormy", ("websocket", "sse", "socketio")) as storm:
            while len(storm.waits) < 100:  # it is far beyond the limit by now
                time.sleep(0.01)
            turned_away = 0
            for k in range(40):
                try:
                    ws = s.ws(f"quiet{k % 4}")
                except Refused as e:
                    assert e.response.status == 503
                    turned_away += 1
                    continue
                r = publisher.request(
                    "POST", f"/events?tenant=quiet{k % 4}", JSON, json.dumps({"message": f"m{k}"}).encode()
                )
                assert r.status == 201
                assert ws.events(1)[0]["message"] == f"m{k}"
                ws.close()
                time.sleep(0.1)  # 10 a second, of 30 that there are
        assert turned_away == 0, f"{turned_away} of 40 were refused for what another tenant did"
        assert storm.let_in <= limit * (1 + storm.took / window) + 1
        # Over TLS who storms needs most of the time for handshakes of another kind.
        assert len(storm.waits) > storm.let_in * (0.25 if TLS else 3), "this was no storm"
        assert sum("--handshake-rate" in line for line in s.process.lines) == 1


def test_tenants_that_storm_share_what_there_is():
    with Server("--threads", 2, "--handshake-rate", "200/2s", "--log-level", "warn") as s:
        with contextlib.ExitStack() as stack:
            storms = [stack.enter_context(Storm(s, f"t{k}", threads=1)) for k in range(4)]
            while min(len(storm.waits) for storm in storms) < 100 or min(storm.let_in for storm in storms) < 40:
                time.sleep(0.01)
        counts = [storm.let_in for storm in storms]
        assert max(counts) <= 2 * min(counts), counts


def test_the_flag():
    assert run("--check-config", "--handshake-rate", "1000000/24h")[0] == 0
    for wrong in ("0/1s", "1000001/1s", "5", "x/1s", "5/25h"):
        code, _, said = run("--check-config", "--handshake-rate", wrong)
        assert code == 2 and "handshake-rate" in said and said.count("\n") == 1, said


def test_who_is_refused_gets_in_later():
    """A client that does as it is told gets in."""
    with Server("--handshake-rate", "3/1s") as s:
        for _ in range(4):
            for _ in range(20):
                try:
                    ws = WebSocket(s.port, "/ws?tenant=t")
                    ws.close()
                    break
                except Refused as e:
                    time.sleep(min(int(e.response.header("Retry-After")), 2))
            else:
                raise AssertionError("never let in")
        with contextlib.suppress(Eof):
            s.publish("t", "x")
