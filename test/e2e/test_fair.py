"""No tenant feels another: while one floods, whatever way, the other's events arrive, all of them, in order."""

import contextlib
import json
import socket
import threading

import pytest

from harness import Server, TEXT, frame, scaled

QUIET = scaled(100)  # events that the quiet tenant publishes, one after the other, each waited for


@pytest.fixture(params=[1, 2])
def server(request):
    with Server("--threads", request.param, store="memory:") as s:
        yield s


class Aggressors:
    """Threads that do the same again and again until the block ends; they have to have done it, and go on to the end."""

    def __init__(self, count, act):
        self.rounds = [0] * count
        self.over = threading.Event()
        self.faults = []
        self.threads = [threading.Thread(target=self.work, args=(i, act)) for i in range(count)]

    def work(self, i, act):
        try:
            with contextlib.ExitStack() as stack:
                again = act(stack)
                while not self.over.is_set():
                    again()
                    self.rounds[i] += 1
        except Exception as error:  # noqa: BLE001
            self.faults.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert not self.faults, self.faults
        assert all(self.rounds), self.rounds


def check_quiet(server, subscribers):
    """Each of its events reaches each of its subscribers, in order, and nothing else does."""
    for i in range(QUIET):
        event = server.publish("quiet", f"q{i}")
        assert event["seq"] == i + 1
        for subscriber in subscribers:
            assert subscriber.events(1) == [event]


def subscribe(server):
    return [server.ws("quiet"), server.sse("quiet"), server.ws("quiet", offer="permessage-deflate")]


def test_flood_of_publishers(server):
    """Pipelines over many connections, to a tenant with many subscribers, half of whom do not read."""
    readers = [server.ws("loud", rcvbuf=4096) if i % 2 else server.ws("loud") for i in range(scaled(100))]
    body = json.dumps({"message": "x" * 1000}).encode()

    def act(stack):
        conn = stack.enter_context(contextlib.closing(server.http()))
        one = conn.build("POST", "/events", {"X-Tenant-ID": "loud", "Content-Type": "application/json"}, body)

        def again():
            conn.send(one * 64)
            for _ in range(64):
                assert conn.response("POST").status in (201, 503)

        return again

    subscribers = subscribe(server)
    with Aggressors(4, act):
        check_quiet(server, subscribers)
    for reader in readers:
        reader.reset()


def test_flood_over_its_limit():
    """All that is over the limit is answered 429: that is work, too."""
    with Server("--threads", "1", "--rate-limit-tenant", "1000/1s", store="memory:") as server:
        body = json.dumps({"message": "x"}).encode()
        seen = set()

        def act(stack):
            conn = stack.enter_context(contextlib.closing(server.http()))
            one = conn.build("POST", "/events", {"X-Tenant-ID": "loud", "Content-Type": "application/json"}, body)

            def again():
                conn.send(one * 200)
                seen.update(conn.response("POST").status for _ in range(200))

            return again

        subscribers = subscribe(server)
        listener = server.ws("loud")
        with Aggressors(4, act):
            check_quiet(server, subscribers)
        assert seen == {201, 429}
        assert listener.recv_json("event_created")["event"]["seq"] == 1


def test_flood_of_commands(server):
    """WebSockets that send pings and events without an end."""
    batch = frame(TEXT, b'{"type":"ping"}') * 200 + frame(TEXT, b'{"type":"post_event","message":"x"}') * 20

    def act(stack):
        ws = stack.enter_context(contextlib.closing(server.ws("loud")))

        def again():
            ws.send_raw(batch)
            pongs = acks = 0
            while pongs < 200 or acks < 20:
                kind = ws.recv_json()["type"]
                pongs += kind == "pong"
                acks += kind in ("ack", "error")

        return again

    subscribers = subscribe(server)
    with Aggressors(3, act):
        check_quiet(server, subscribers)


def test_flood_of_those_who_catch_up(server):
    """A tenant's sessions that read its whole history again and again."""
    server.flood("loud", ("x" * 1500 for _ in range(500)))

    def act(_stack):
        def again():
            many = [server.ws("loud", "since=0") for _ in range(10)]
            for ws in many:
                assert [e["seq"] for e in ws.events(500)] == list(range(1, 501))
                ws.reset()

        return again

    subscribers = subscribe(server)
    with Aggressors(2, act):
        check_quiet(server, subscribers)


def test_flood_of_handshakes(server):
    def act(_stack):
        def again():
            many = [server.socket("loud") for _ in range(20)]
            for ws in many:
                ws.recv_json("connection_established")
                ws.reset()

        return again

    subscribers = subscribe(server)
    with Aggressors(3, act):
        check_quiet(server, subscribers)


def test_pages_of_a_database_are_shared(tmp_path):
    """What memory has let go of is read from the database, for many at once, and for another tenant in between."""
    with Server("--threads", "1", "--buffer-size", "10", store=f"sqlite:{tmp_path}/log.db") as server:
        server.flood("loud", ("x" * 500 for _ in range(1000)))
        quiet = [server.publish("quiet", f"q{i}") for i in range(200)]

        def act(_stack):
            def again():
                many = [server.ws("loud", "since=0") for _ in range(20)]
                for ws in many:
                    assert [e["seq"] for e in ws.events(1000)] == list(range(1, 1001))
                    ws.reset()

            return again

        with Aggressors(2, act):
            for _ in range(scaled(20)):
                ws = server.ws("quiet", "since=0")
                assert ws.events(200) == quiet
                ws.reset()


def test_a_large_upload_is_read_in_turns(server):
    """A body that arrives as fast as it can is whole in the end, whoever else is served in between."""
    body = json.dumps({"message": "m", "metadata": {"pad": "y" * 900_000}}).encode()

    def act(stack):
        conn = stack.enter_context(contextlib.closing(server.http()))

        def again():
            r = conn.request(
                "POST", "/events", {"X-Tenant-ID": "loud", "Content-Type": "application/json"}, body
            )
            assert r.status == 201 and len(r.json()["metadata"]["pad"]) == 900_000

        return again

    subscribers = subscribe(server)
    with Aggressors(2, act):
        check_quiet(server, subscribers)


def test_reset_in_the_middle_of_a_turn(server):
    """Connections that end while they wait for their tenant's turn."""
    def act(_stack):
        def again():
            with socket.create_connection(("127.0.0.1", server.port)) as raw:
                raw.sendall(b"GET /events?tenant=loud&limit=1 HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
                raw.recv(100)

        return again

    subscribers = subscribe(server)
    with Aggressors(3, act):
        check_quiet(server, subscribers)
