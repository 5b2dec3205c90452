"""Publishers that go on when they are refused, and what there must be of theirs afterwards."""

import json

from .http import Http
from .team import Team
from .wire import Eof

JSON = {"Content-Type": "application/json"}


class Crowd:
    """Several publishers over keep-alive connections, until `stop` or the server's end. `acked` has what was answered
    201, by tenant and seq; `refused` what was answered 503."""

    def __init__(self, server, tenants, count, name="m", pause=0.0):
        self.acked, self.refused = {t: {} for t in tenants}, set()
        self.team, self.name, self.pause = Team(), name, pause
        for n in range(count):
            self.team.go(self.publish, server.port, tenants[n % len(tenants)], n)

    def publish(self, port, tenant, n):
        try:
            conn = Http(port)
            for i in range(100_000):
                if self.team.stop.wait(self.pause) if self.pause else self.team.stop.is_set():
                    return
                message = f"{self.name}-{n}-{i}"
                body = json.dumps({"message": message}).encode()
                r = conn.request("POST", "/events", {**JSON, "X-Tenant-ID": tenant}, body)
                if r.status == 503:
                    assert int(r.header("Retry-After")) >= 1
                    self.refused.add(message)
                    self.team.stop.wait(0.02)
                else:
                    assert r.status == 201, r
                    self.acked[tenant][r.json()["seq"]] = message
        except (Eof, OSError):
            pass  # the server has died

    def count(self):
        return sum(map(len, self.acked.values()))

    def end(self):
        self.team.stop.set()
        self.team.join()

    def check(self, tenant, events):
        """Of these events: seqs without a hole, each one once, all that were acknowledged, and none that was refused."""
        assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        there = {e["seq"]: e["message"] for e in events}
        assert len(set(there.values())) == len(there)
        assert self.acked[tenant].items() <= there.items()
        assert not self.refused & set(there.values())
