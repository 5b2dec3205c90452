"""What the public suites leave out: the edges of the echo server's Socket.IO, and what its flags do."""

import contextlib
import subprocess

import pytest

from harness import Http, Polling, Process, Socket, program, refused_as
from harness.echo import connect as plain

PATH = {"path": "/socket.io/", "standing": False}
BOTH = '{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]'
CALM = ("--ping-interval", "20000", "--ping-timeout", "20000")


@contextlib.contextmanager
def serving(*flags):
    process = Process([program("ECHO_SERVER_BIN"), "--port", "0", *flags])
    try:
        yield process.listening()
    finally:
        process.kill()


@pytest.fixture(scope="module")
def port():
    with serving("--socketio", "--threads", "2", *CALM) as port:
        yield port


def join(client):
    client.send("40")
    assert client.next().startswith('40{"sid":"')
    assert client.next() == '42["auth",{}]'
    return client


def test_binary_in_payloads(port):
    client = join(Polling(port, **PATH))
    client.send(f'452-["message",{BOTH}]', "bAQID", "bBAUG", f'452-7["message-with-ack",{BOTH}]', "b", "b/w==")
    back = [client.next() for _ in range(6)]
    assert back == [f'452-["message-back",{BOTH}]', "bAQID", "bBAUG", f"462-7[{BOTH}]", "b", "b/w=="]


def test_a_packet_may_come_in_several_payloads_and_over_both_transports(port):
    client = join(Polling(port, **PATH))
    client.send(f'452-["message",{BOTH}]')
    client.send("bAQID")
    ws = client.probe()
    ws.send_text("2probe")
    assert ws.recv()[1] == b"3probe"
    ws.send_text("5")
    ws.send_frame(2, b"\4\5\6")
    assert [ws.recv()[1] for _ in range(3)] == [f'452-["message-back",{BOTH}]'.encode(), b"\1\2\3", b"\4\5\6"]


@pytest.mark.parametrize(
    "packets",
    [
        ['42["message",1]'],
        ["40", "41", '42["message",1]'],
        ["40/custom,", '42["message",1]'],
        ["40/random,", '42/random,["message",1]'],
        ["40", '44{"message":"no"}'],
        ["40", '450-["connect"]'],
        ["40", '4599-["message",{"_placeholder":true,"num":99}]'],
        ["40", '45101-["message"]'],
        ["40[]"],
        ["47"],
        ["4"],
    ],
)
@pytest.mark.parametrize("make", [Polling, Socket])
def test_refused(port, make, packets):
    client = make(port, **PATH)
    if make is Socket:
        client.send(*packets)
        client.ws.closes_with(1002)
    else:
        refused_as(client.post(*packets), 3)
        refused_as(client.request("GET"), 1)


def test_binary_that_nothing_announced(port):
    client = join(Socket(port, **PATH))
    client.ws.send_frame(2, b"\1")
    client.ws.closes_with(1002)


def test_nobody_stays_without_a_namespace():
    with serving("--engineio", "--socketio", "--connect-timeout", "1000", *CALM) as port:
        other = Socket(port, path="/engine.io/", standing=False)
        here = join(Socket(port, **PATH))
        refused = Socket(port, **PATH)
        refused.send("40/random,")
        assert refused.next() == '44/random,{"message":"Invalid namespace"}'
        Socket(port, **PATH).ws.closes_with(1008)
        refused.ws.closes_with(1008)
        here.send('42["message"]')
        other.send("4hello")
        assert here.next() == '42["message-back"]' and other.next() == "4hello"


def test_without_the_flags_the_paths_are_like_any_other():
    with serving() as port:
        for path in ("/engine.io/", "/socket.io/"):
            http = Http(port, standing=False)
            r = http.request("POST", f"{path}?EIO=4&transport=polling", None, b"40")
            assert r.status == 200 and r.body == b"40"
            http.close()
            ws = plain(port, f"{path}?EIO=4&transport=websocket")
            ws.send_text("40")
            assert ws.recv()[1] == b"40"


@pytest.mark.parametrize("flags", [["--ping-interval"], ["--max-payload", "-1"], ["--connect-timeout", "1s"]])
def test_flags_are_checked(flags):
    done = subprocess.run([program("ECHO_SERVER_BIN"), *flags], capture_output=True, timeout=60, check=False)
    assert done.returncode == 2 and b"usage: echo-server" in done.stderr
