"""The benchmark: carillon-load against a server that lies."""

import asyncio
import base64
import hashlib
import json
import re
import socket
import threading

import pytest

from harness import GUID, xor
from test_bench import run_load

import asking  # from the benchmark's folder, where test_bench has put it


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def rewritten(event, start, end, text):
    message = event["message"]
    return event | {"message": message[:start] + text + message[end:]}


# What becomes of an event for one of its subscribers. See marker.c for what stands where in a message.
FORGERIES = {
    "forges the flight": lambda e: rewritten(e, 47, 48, "b" if e["message"][47] == "a" else "a"),
    "forges the due time": lambda e: rewritten(e, 63, 64, "b" if e["message"][63] == "a" else "a"),
    "counts wrong": lambda e: e | {"seq": e["seq"] + 1},
    "names another tenant": lambda e: e | {"tenant_id": "t1"},
    "puts bytes before": lambda e: rewritten(e, 0, 0, "."),
    "puts bytes behind": lambda e: rewritten(e, 100, 100, "."),
    "says another id": lambda e: e | {"sse_id": 7},
    "emits by another name": lambda e: e | {"sio_start": '42["event_updated",'},
    "emits in another namespace": lambda e: e | {"sio_start": '42/events,["event_created",'},
    "disconnects": lambda e: e | {"sio_start": "41"},
}

# What is acknowledged in place of the event.
FALSE_ACKS = {
    "acknowledges another": lambda e: rewritten(e, 39, 40, "b"),
    "acknowledges another tenant's": lambda e: e | {"tenant_id": "t1"},
    "acknowledges nothing": lambda e: {},
}


# Lies about the last event.
LATE = ("drops the last", "never acknowledges the last")


class Liar:
    """As little of Carillon as carillon-load asks for, with a lie about one event of tenant t0."""

    VICTIM, LAST = 30, 110

    def __init__(self, lie, offsets=True):
        self.lie, self.offsets = lie, offsets
        self.feeds, self.counts, self.held = {}, {}, None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self):
        self.thread.start()
        start = asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.listener = asyncio.run_coroutine_threadsafe(start, self.loop).result(20)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.finish(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(20)
        self.loop.close()

    async def finish(self):
        self.listener.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, *fields = head.decode().strip().split("\r\n")
                headers = {key.lower(): value for key, value in (field.split(": ", 1) for field in fields)}
                if line.startswith("GET "):
                    await self.subscribe(line.split()[1], headers, reader, writer)
                    return
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                writer.write(self.publish(headers["x-tenant-id"], body["message"], self.answer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def subscribe(self, target, headers, reader, writer):
        tenant = target.partition("tenant=")[2].partition("&")[0]
        hello = compact({"type": "connection_established", "tenant_id": tenant, "session_id": "s", "seq": 0})
        if target.startswith("/ws"):
            self.upgrade(headers, writer)
            self.greet(writer, self.text(hello), self.as_frame)
            self.feeds.setdefault(tenant, []).append((writer, self.as_frame))
        elif target.startswith("/socket.io/"):
            self.upgrade(headers, writer)
            if not await self.join(hello, reader, writer):
                return
            self.feeds.setdefault(tenant, []).append((writer, self.as_packet))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n")
            self.greet(writer, f"event: connection_established\ndata: {hello}\n\n".encode(), self.as_stream)
            self.feeds.setdefault(tenant, []).append((writer, self.as_stream))
        await reader.read()

    @staticmethod
    def upgrade(headers, writer):
        key = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + GUID).digest()).decode()
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        writer.write(f"Sec-WebSocket-Accept: {key}\r\n\r\n".encode())

    async def join(self, hello, reader, writer):
        """Socket.IO's way into the root namespace, with a heartbeat on it; returns whether the client went it."""
        writer.write(self.text('0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'))
        if await self.packet(reader) != "40":
            return False
        writer.write(self.text('40{"sid":"s","pid":"p"}') + self.text("2"))
        if await self.packet(reader) != "3":
            return False
        writer.write(self.text(f'42["connection_established",{hello}]'))
        initial = self.text('42["initial_events",[],"0"]' if self.offsets else '42["initial_events",[]]')
        self.greet(writer, initial, self.as_packet)
        if self.lie == "greets twice":
            writer.write(initial)
        return True

    @staticmethod
    async def packet(reader):
        """The text of a short masked frame."""
        head, size = await reader.readexactly(2)
        assert head == 0x81 and 0x80 < size < 0x80 + 126
        mask = await reader.readexactly(4)
        return xor(await reader.readexactly(size - 0x80), mask).decode()

    def greet(self, writer, hello, encode):
        if self.lie == "does not greet first":
            writer.write(encode({"id": "e", "tenant_id": "t0", "seq": 1, "type": "message", "message": "early"}))
        writer.write(hello)

    def publish(self, tenant, message, answer):
        """Delivers an event, or does worse; returns the answer."""
        count = self.counts[tenant] = self.counts.get(tenant, 0) + 1
        event = {"id": "e", "tenant_id": tenant, "seq": count, "type": "message", "message": message}
        victim = tenant == "t0" and count == (self.LAST if self.lie in LATE else self.VICTIM)
        if victim and self.lie == "refuses":
            return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        first, *others = self.feeds.get(tenant, [(None, None)])
        for feed in others:
            self.deliver(feed, event)
        if first[0] and not (victim and self.lie in ("drops", "drops the last", "swaps")):
            self.deliver(first, FORGERIES.get(self.lie, dict)(event) if victim else event)
        if victim and self.lie == "doubles":
            self.deliver(first, event)
        if victim and self.lie == "leaks":
            self.deliver(self.feeds["t1"][0], event)
        if self.held and tenant == "t0":
            self.deliver(first, self.held)
            self.held = None
        if victim and self.lie == "swaps":
            self.held = event
        if victim and self.lie in ("never acknowledges", "never acknowledges the last"):
            return b""
        return answer(FALSE_ACKS.get(self.lie, dict)(event) if victim else event)

    def answer(self, event):
        body = compact(event).encode()
        status = b"200 OK" if self.lie == "answers with 200" else b"201 Created"
        return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (
            status,
            len(body),
        ) + body

    def deliver(self, feed, event):
        writer, encode = feed
        writer.write(encode(event))

    def as_frame(self, event):
        return self.text(compact({"type": "event_created", "event": event}))

    def as_packet(self, event):
        start = event.get("sio_start", '42["event_created",')
        offset = f',"{event["seq"]}"' if self.offsets else ""
        return self.text("41" if start == "41" else f"{start}{compact(event)}{offset}]")

    def as_stream(self, event):
        seq = event.get("sse_id", event["seq"])
        return f"id: {seq}\nevent: event_created\ndata: {compact(event)}\n\n".encode()

    @staticmethod
    def text(payload):
        data = payload.encode()
        length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
        return b"\x81" + length + data


LIES = {
    "drops": "event 31 .* came where 30 was due",
    "drops the last": "up to 109, and 110 are acknowledged",
    "doubles": "event 30 .* came twice",
    "swaps": "event 31 .* came where 30 was due",
    "leaks": "of t1: an event of t0 came",
    "refuses": "answered with 503",
    "forges the flight": "event 30 .* mark that nothing under way was sent with",
    "forges the due time": "event 30 .* mark that nothing under way was sent with",
    "counts wrong": "seq 31 came where 30 was due",
    "names another tenant": "event 30 came as one of another tenant",
    "puts bytes before": "event came without its mark",
    "puts bytes behind": "event 30 .* came changed or cut off",
    "does not greet first": "got an event before it was told that it is connected",
    "acknowledges another": "publish 5[0-9] was acknowledged with what is not its event",
    "acknowledges another tenant's": "publish 5[0-9] was acknowledged with what is not its event",
    "acknowledges nothing": "publish 5[0-9] was acknowledged with what is not its event",
    "answers with 200": "publish 1 was answered with 200",
    "never acknowledges": "publish 59 was acknowledged with what is not its event",
    "never acknowledges the last": "110 events .* sent, 109 acknowledged",
}


# What only Socket.IO has room for.
PACKET_LIES = {
    "greets twice": "was told twice that it is connected",
    "emits by another name": "got what is not to be expected: 42..event_updated",
    "emits in another namespace": "got what is not to be expected: 42/events,",
    "disconnects": "got what is not to be expected: 41",
}

# The ways to listen: carillon-load's flags, and whether events end with an offset to recover from.
WAYS = {
    "ws": ({"subscribe": "ws"}, False),
    "sse": ({"subscribe": "sse"}, False),
    "socketio": ({"dialect": "socketio"}, True),
    "socketio without offsets": ({"dialect": "socketio"}, False),
}


def ask_liar(lie, way, *flags, **more):
    listening, offsets = WAYS[way]
    with Liar(lie, offsets) as server:
        return run_load(server.port, *flags, **listening, **more)


def is_caught(lie, way, fault):
    """Where nothing but the time that is up tells of a lie, that is short."""
    more = ("--timeout", 5) if lie in LATE else ()
    code, answer = ask_liar(lie, way, *more, publishers=1)
    assert code == 1 and re.search(fault, "\n".join(answer["faults"])), answer["faults"]


@pytest.mark.parametrize("way", WAYS)
def test_honest(way):
    code, answer = ask_liar(None, way)
    assert code == 0, answer["faults"]
    assert answer["deliveries"] == 600


@pytest.mark.parametrize("way", ["ws", "sse", "socketio"])
@pytest.mark.parametrize("lie", LIES)
def test_lies_are_faults(lie, way):
    is_caught(lie, way, LIES[lie])


@pytest.mark.parametrize("lie", ["drops", "doubles", "leaks", "puts bytes behind"])
def test_no_lie_hides_behind_a_missing_offset(lie):
    is_caught(lie, "socketio without offsets", LIES[lie])


@pytest.mark.parametrize("lie", PACKET_LIES)
def test_lies_of_packets_are_faults(lie):
    is_caught(lie, "socketio", PACKET_LIES[lie])


def test_a_stream_has_the_ids_of_its_events():
    is_caught("says another id", "sse", "seq 30 came with another id")


# Answers to questions about what is kept: asking.py against a server that lies about them.

STORED = 20000


def answered(seqs, tenant="t0", **more):
    return compact({"events": [{"tenant_id": tenant, "seq": seq} for seq in seqs], "has_more": True} | more).encode()


def honest(path):
    """The answer of a server that has all it was given, by the rule that asking.message writes by."""
    number = int(re.search(r"\d+$", path)[0]) if path != "/livez" else 0
    if "q=word" in path:
        return answered([seq for seq in range(STORED, 0, -1) if seq % asking.WORDS == number][:50])
    if "q=only" in path:
        return answered([number])
    if "since=" in path:
        since = int(re.search(r"since=(\d+)", path)[1])
        return answered(range(since + 1, since + 1 + number))
    return answered(range(STORED + 70, STORED + 20, -1)) if "limit=50" in path else b"ok"


ASKED_LIES = {
    "nothing": (lambda path: answered([]), " (0 came|and 0 came), none"),
    "the newest only": (lambda path: answered(range(STORED, STORED - 50, -1)), "and 50 came, seq 20000 to 19951"),
    "of another tenant": (lambda path: honest(path).replace(b'"t0"', b'"t1"', 1), "of another tenant"),
    "no list": (lambda path: b"[]", "no list of events"),
    "no JSON": (lambda path: b"<html>", "no list of events"),
    "one is missing": (lambda path: re.sub(rb'\{"tenant_id":"t0","seq":\d+\},?', b"", honest(path), count=1), "came, "),
}


class Asked:
    """Answers each GET with what `body` makes of its path, head first."""

    def __init__(self, body, head=b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):
        self.body, self.head = body, head
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(20)
        self.listener.close()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rb") as requests:
            while line := requests.readline():
                while requests.readline().strip():
                    pass
                path = line.split()[1].decode()
                body = b"ok" if path == "/livez" else self.body(path)
                head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" if path == "/livez" else self.head
                connection.sendall((head % len(body) if b"%d" in head else head) + body)


def ask_of(body, kind, **head):
    with Asked(body, **head) as server:
        return asking.ask(asking.Plan(kind, server.port, STORED, 4, 0.001, 20))


@pytest.mark.parametrize("kind", asking.KINDS)
def test_an_honest_answer(kind):
    said = ask_of(honest, kind)
    assert said["faults"] == [] and said["count"] == 4 and said["p99_ms"] >= said["p50_ms"] > 0


@pytest.mark.parametrize("kind", ["list", "page", "query", "rare"])
@pytest.mark.parametrize("lie", ASKED_LIES)
def test_lies_about_what_is_kept(lie, kind):
    body, fault = ASKED_LIES[lie]
    said = ask_of(body, kind)
    if (lie, kind) == ("the newest only", "list"):
        assert said["faults"] == []
    else:
        assert said["faults"] and re.search(fault, said["faults"][0]), said["faults"]


@pytest.mark.parametrize(
    "head, fault",
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n", "answered with HTTP/1.1 503"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "without a length"),
    ],
)
def test_an_answer_that_is_none(head, fault):
    with pytest.raises(asking.AskingError, match=fault):
        ask_of(honest, "list", head=head)


def test_too_few_answers_are_a_fault():
    with Asked(honest) as server:
        said = asking.ask(asking.Plan("page", server.port, STORED, 1000, 0.01, 0.2))
    assert 0 < said["count"] < 1000 and "and 1000 were asked for" in said["faults"][0]
