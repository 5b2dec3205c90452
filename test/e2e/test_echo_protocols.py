"""The echo server as the Engine.IO and Socket.IO protocols' public suites want it, over both transports."""

import contextlib
import json
import signal

import pytest

from harness import Closed, Polling, Process, Socket, program, refused_as, until

ENGINE = {"path": "/engine.io/", "standing": False}
SOCKET = {"path": "/socket.io/", "standing": False}


@contextlib.contextmanager
def serving(*flags):
    process = Process([program("ECHO_SERVER_BIN"), "--port", "0", "--engineio", "--socketio", *flags])
    try:
        yield process.listening()
        process.signal(signal.SIGTERM)
        process.check(process.wait())
    finally:
        process.kill()


@pytest.fixture(scope="module")
def brisk():
    """With the periods of the public suites."""
    with serving("--threads", "2") as port:
        yield port


@pytest.fixture(scope="module", params=[1, 3])
def port(request):
    """With time for a machine that is busy."""
    with serving("--threads", str(request.param), "--ping-interval", "20000", "--ping-timeout", "20000") as port:
        yield port


def told(client):
    """The next text, pings answered."""
    return client.next()


@pytest.mark.parametrize("path", [ENGINE, SOCKET])
def test_handshake(brisk, path):
    for client in (Polling(brisk, **path), Socket(brisk, **path)):
        upgrades = ["websocket"] if isinstance(client, Polling) else []
        assert client.open == {
            "sid": client.open["sid"],
            "upgrades": upgrades,
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 1000000,
        }


def test_engineio_messages(port):
    polling = Polling(port, **ENGINE)
    polling.send("4hello", "4\u20ac", "bAQIDBA==", "b")
    assert [told(polling) for _ in range(4)] == ["4hello", "4\u20ac", "bAQIDBA==", "b"]
    socket = Socket(port, **ENGINE)
    socket.send("4hello")
    assert told(socket) == "4hello"
    socket.ws.send_frame(2, b"\1\2\3\4")
    kind, payload = socket.ws.recv()
    while payload == b"2":
        socket.send("3")
        kind, payload = socket.ws.recv()
    assert kind == 2 and payload == b"\1\2\3\4"
    refused_as(polling.request("POST", b"abc"), 3)


def test_engineio_upgrade_carries_what_waits(port):
    polling = Polling(port, **ENGINE)
    ws = polling.probe()
    ws.send_text("2probe")
    assert ws.recv()[1] == b"3probe"
    polling.send("4first", "bAQID", "4second")
    ws.send_text("5")
    assert [ws.recv()[1] for _ in range(3)] == [b"4first", b"\1\2\3", b"4second"]
    ws.send_text("4third")
    assert ws.recv()[1] == b"4third"
    polling.probe().closes_with(1008)


def test_heartbeat(brisk):
    polling = Polling(brisk, **ENGINE)
    for _ in range(4):
        assert polling.poll() == ["2"]
        polling.send("3")
    silent = Socket(brisk, **SOCKET)
    assert silent.ws.recv()[1] == b"2"
    with pytest.raises(Closed):
        silent.ws.recv()
    until(lambda: polling.request("GET").status == 400 or polling.poll() is None, "the silent poller is gone")


def connect(client, nsp="", payload=""):
    client.send(f"40{nsp}{payload}")
    answer = told(client)
    assert answer.startswith(f"40{nsp}") and set(json.loads(answer[2 + len(nsp) :])) == {"sid"}, answer
    return told(client)


@pytest.mark.parametrize("make", [Polling, Socket])
def test_socketio(port, make):
    client = make(port, **SOCKET)
    assert connect(client) == '42["auth",{}]'
    assert connect(client, "/custom,", '{"token":"abc"}') == '42/custom,["auth",{"token":"abc"}]'
    client.send("40/random")
    assert told(client) == '44/random,{"message":"Invalid namespace"}'
    client.send('42["message",1,"2",{"3":[true]}]', '42456["message-with-ack",1,"2",{"3":[false]}]')
    assert told(client) == '42["message-back",1,"2",{"3":[true]}]'
    assert told(client) == '43456[1,"2",{"3":[false]}]'
    client.send('42["message"]', '421["message-with-ack"]', '42["unheard of",1]', '42/custom,["message",7]')
    assert [told(client) for _ in range(3)] == ['42["message-back"]', "431[]", '42/custom,["message-back",7]']
    client.send("41/custom", '42["message","still here"]')
    assert told(client) == '42["message-back","still here"]'


def test_socketio_binary(port):
    client = Socket(port, **SOCKET)
    connect(client)
    both = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
    for sent, back in (
        (f'452-["message",{both}]', f'452-["message-back",{both}]'),
        (f'452-789["message-with-ack",{both}]', f"462-789[{both}]"),
    ):
        client.send(sent)
        client.ws.send_frame(2, b"\1\2\3")
        client.ws.send_frame(2, b"\4\5\6")
        assert told(client) == back
        assert client.ws.recv()[1] == b"\1\2\3" and client.ws.recv()[1] == b"\4\5\6"


@pytest.mark.parametrize("packet", ["4abc", "42{}", '42abc["message-with-ack",1]', '42/custom,["message"]', "451-[1]"])
def test_socketio_refuses(port, packet):
    client = Socket(port, **SOCKET)
    connect(client)
    client.send(packet)
    if packet == "451-[1]":
        client.send('42["message"]')  # where an attachment is due
    client.ws.closes_with(1002)
