"""Limits under many threads: over any window no more than allowed, and no less than 98 % of it, goes through.

When the server counted a request lies between the moments at which its client began to send it and had its answer. So
what went through between any two moments is no more than what the clients saw begin and end between them, and this is
held against the limit: by the clock, whatever pace the machine has."""

import json
import threading
import time

import pytest

from harness import Server, WebSocket, scaled

COUNT, WINDOW = 300, 20  # more than any of the tests takes: what comes back is never lost for being too much
SECONDS = 4


class Publisher(threading.Thread):
    """Publishes as fast as it is answered, until it is told the time. (began, ended, units) of what went through, and
    when its last refused request began."""

    def __init__(self, ask, units):
        super().__init__()
        self.ask, self.units = ask, units
        self.through, self.refused, self.failed = [], 0.0, None
        self.end = threading.Event()

    def run(self):
        try:
            # Not before it is refused at last: then nothing was left.
            over = False
            while not over:
                asked_to_end = self.end.is_set()
                began = time.monotonic()
                if self.ask():
                    self.through.append((began, time.monotonic(), self.units))
                else:
                    self.refused = began
                    over = asked_to_end
        except BaseException as e:  # pylint: disable=broad-except
            self.failed = e


def over_http(server, batch):
    conn = server.http()
    head = {"X-Tenant-ID": "a", "Content-Type": "application/json"}
    path, body = ("/events", b'{"message":"x"}') if batch == 1 else ("/api/v1/events/batch", b'[{"message":"x"}]')
    if batch > 1:
        body = json.dumps([{"message": "x"}] * batch).encode()

    def ask():
        r = conn.request("POST", path, head, body)
        assert r.status in (201, 429), r
        return r.status == 201

    return Publisher(ask, batch)


def over_websocket(server):
    ws = server.keep(WebSocket(server.port, "/ws?tenant=a"))
    ws.recv_json("connection_established")

    def ask():
        ws.send_json({"type": "post_event", "message": "x"})
        while True:
            m = ws.recv_json()
            if m["type"] == "ack":
                return True
            if m["type"] == "error":
                assert m["code"] == "rate_limited", m
                return False
            assert m["type"] == "event_created", m

    return Publisher(ask, 1)


def most_over(through, count, window):
    """How far above the limit any stretch of time is: from where one began to where another, or it, had ended."""
    worst = -1e9
    by_end = sorted(through, key=lambda t: t[1])
    for since in sorted({began for began, _, _ in through}):
        units = 0
        for began, ended, n in by_end:
            if began >= since:
                units += n
                worst = max(worst, units - count * (1 + (ended - since) / window))
    return worst


@pytest.mark.parametrize("flags", [("--rate-limit-tenant",), ("--rate-limit-ip",)])
def test_no_more_and_no_less(flags):
    """Many connections on several workers, all of one tenant and one address."""
    single = flags == ("--rate-limit-ip",)
    with Server(*flags, f"{COUNT}/{WINDOW}s", "--threads", "4", "--audit-log", "off", "--log-level", "warn") as s:
        publishers = [over_websocket(s) for _ in range(4)]
        publishers += [over_http(s, 1) for _ in range(scaled(10, 4))]
        publishers += [] if single else [over_http(s, n) for n in (2, 3, 7)]
        opened = time.monotonic()
        for p in publishers:
            p.start()
        time.sleep(SECONDS)
        for p in publishers:
            p.end.set()
        for p in publishers:
            p.join()
            assert p.failed is None, p.failed
        through = [t for p in publishers for t in p.through]
        taken = sum(n for _, _, n in through)
        assert most_over(through, COUNT, WINDOW) <= 0
        # Since the first was let through all that came back has been asked for: less than a unit was left when the last
        # was refused, or less than what the largest batch costs when that was.
        first = min(ended for _, ended, _ in through)
        last = max(p.refused for p in publishers if p.units == 1)
        assert last > first
        # Handshakes of WebSockets cost an address too.
        taken += 4 if single else 0
        first = opened if single else first
        allowed = COUNT * (1 + (last - first) / WINDOW)
        assert taken >= 0.98 * allowed - 1, (taken, allowed)
        if not single:
            assert s.get("/events/stats", "a").json()["total"] == taken
