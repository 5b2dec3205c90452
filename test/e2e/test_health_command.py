"""`carillon health`: asks a running server, and exits with 0 or 1, in bounded time and with one line, whatever is there."""

import contextlib
import json
import socket
import threading

import pytest

from harness import Disk, Server, run, until
from harness.secure import server_flags


def health(*words, env=None):
    """Exit code and the one line; which stream it is on goes with the code."""
    code, out, err = run("health", *words, env=env)
    said, silent = (out, err) if code == 0 else (err, out)
    assert silent == "" and len(said.splitlines()) == 1 and said.endswith("\n"), (code, out, err)
    return code, said.strip()


def flags(server):
    """What it was started with, as far as its health is asked for by that."""
    return "--port", str(server.port), *(server_flags() if server.tls else ())


@contextlib.contextmanager
def listener(answer, family=socket.AF_INET, host="127.0.0.1"):
    """The port of a server that does to each connection what `answer` does."""
    with socket.create_server((host, 0), family=family) as server:
        held = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    threading.Thread(target=answer, args=(held[-1],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for conn in held:
                conn.close()


def says(raw):
    def answer(conn):
        with contextlib.suppress(OSError):
            conn.recv(4096)
            conn.sendall(raw)
            conn.shutdown(socket.SHUT_WR)

    return answer


def test_over_tls():
    """As the server's own flags say, or the URL; whose certificate it is does not matter."""
    with Server(tls=True) as s, Server(tls=False) as plain:
        assert health(*flags(s)) == (0, f"https://127.0.0.1:{s.port}/readyz: 200")
        assert health("--live", "--url", f"https://localhost:{s.port}") == (0, f"https://localhost:{s.port}/livez: 200")
        code, line = health("--url", f"http://127.0.0.1:{s.port}")
        assert code == 1 and "400" in line
        code, line = health("--url", f"https://127.0.0.1:{plain.port}")
        assert code == 1 and line.endswith("the answer is no TLS")
    with listener(lambda conn: None) as port:
        code, line = health("--url", f"https://127.0.0.1:{port}")
        assert code == 1 and line.endswith("no answer in time")


def test_ready_and_alive():
    with Server() as s:
        here = s.address()
        assert health(*flags(s)) == (0, f"{here}/readyz: 200")
        assert health("--live", *flags(s)) == (0, f"{here}/livez: 200")
        for url in (here, here.replace("127.0.0.1", "localhost") + "/"):
            assert health("--url", url)[0] == 0
        assert health(f"--url={here}/health") == (0, f"{here}/health: 200")
        code, line = health("--url", f"{here}/nowhere")
        assert code == 1 and "404" in line


def test_the_same_settings_from_environment_and_file(tmp_path):
    with Server() as s:
        tls = {flag[2:]: value for flag, value in zip(flags(s)[2::2], flags(s)[3::2])}
        env = {f"CARILLON_{name.upper().replace('-', '_')}": value for name, value in tls.items()}
        assert health(env={"CARILLON_PORT": str(s.port), **env})[0] == 0
        assert health(env={"PORT": str(s.port), **env})[0] == 0
        file = tmp_path / "carillon.yaml"
        settings = {"port": s.port, "admin-key": "never-shown-to-anybody", **tls}
        file.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()), encoding="utf-8")
        assert health("--config", file)[0] == 0
        code, line = health("--config", file, "--host", "127.0.0.9")
        assert code == 1 and "never-shown" not in line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "localhost"])
def test_whatever_it_listens_on(host):
    with Server("--host", host) as s:
        assert health("--host", host, *flags(s))[0] == 0


def test_every_address_where_only_ipv4_is_left():
    """"::" is asked at ::1 first: where nobody answers there, 127.0.0.1 is asked."""
    with Server("--host", "0.0.0.0") as s:
        assert health("--host", "::", *flags(s)) == (0, f"{s.address()}/readyz: 200")


def test_behind_the_proxy_protocol():
    """A connection from a trusted address has to begin with a header: the question has one."""
    proxy = ("--proxy-protocol", "--trusted-proxy", "127.0.0.0/8")
    with Server(*proxy) as s:
        assert health(*flags(s), *proxy)[0] == 0
        assert health(*flags(s))[0] == 1
    with Server("--proxy-protocol", "--trusted-proxy", "192.0.2.0/24") as s:
        assert health(*flags(s), "--proxy-protocol", "--trusted-proxy", "192.0.2.0/24")[0] == 0


def test_draining():
    with Server(drain="20s") as s:
        busy = s.http()
        busy.send(b"POST /events HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: t\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 15\r\n\r\n")
        assert s.get("/livez").status == 200
        s.process.signal(15)
        until(lambda: health(*flags(s))[0] == 1, "it is not ready any more")
        busy.send(b'{"message":"x"}')


def test_the_store_takes_nothing(tmp_path):
    disk = Disk(tmp_path)
    with Server(store=disk.store, env=disk.env) as s:
        assert health(*flags(s))[0] == 0
        disk.fail(3)
        until(lambda: s.post("t", b'{"message":"x"}').status == 503, "the disk fails")
        code, line = health(*flags(s))
        assert code == 1 and "503, the store takes nothing" in line
        assert health("--live", *flags(s))[0] == 0
        disk.well()
        until(lambda: health(*flags(s))[0] == 0, "it is ready again")


def test_nobody_is_there():
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
        code, line = health("--port", port)
        assert code == 1 and "refused" in line


def test_what_hangs_is_given_up():
    """run() bounds it: it would wait no longer than that."""
    with listener(lambda conn: None) as port:
        code, line = health("--port", port)
        assert code == 1 and "in time" in line
    with listener(lambda conn: conn.sendall(b"HTTP/1.1 200 OK\r\n")) as port:
        assert health("--port", port)[0] == 1

    def drip(conn):
        with contextlib.suppress(OSError):
            while True:
                conn.sendall(b"H")
                threading.Event().wait(0.05)

    with listener(drip) as port:
        code, line = health("--port", port)
        assert code == 1 and "in time" in line


def test_a_host_that_does_not_answer():
    """A listener whose backlog is full answers no more connections."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            waiting.append(one)
        code, line = health("--port", port)
        assert code == 1 and "in time" in line
        for one in waiting:
            one.close()


OTHER_ANSWERS = [
    b"",
    b"\0" * 100,
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 999 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/2 200\r\n\r\n        ",
    b"HTTP/1.1 503 No\r\n\r\n",
    b"HTTP/1.1 503 No\r\n\r\n{\"detail\":7}",
    b"HTTP/1.1 503 No\r\n\r\n{\"detail\":\"\"}",
    b"HTTP/1.1 204 No\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: /readyz\r\n\r\n",
    b"HTTP/1.1 503 No\r\n\r\n" + b"[" * 9000,
    b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000,
]


@pytest.mark.parametrize("raw", OTHER_ANSWERS, ids=range(len(OTHER_ANSWERS)))
def test_other_answers(raw):
    with listener(says(raw)) as port:
        assert health("--port", port)[0] == 1


def test_a_reason_is_cut_and_controls_nothing():
    reason = "\x1b[31m" + "no\n" * 1000
    raw = b"HTTP/1.1 503 No\r\n\r\n" + json.dumps({"detail": reason}).encode()
    with listener(says(raw)) as port:
        code, line = health("--port", port)
        assert code == 1 and len(line) < 400 and line.isprintable(), line


WRONG = [
    ("--nonsense",),
    ("--url",),
    ("--url", ""),
    ("--url", "127.0.0.1:8080"),
    ("--url", "ftp://127.0.0.1/"),
    ("--url", "http://"),
    ("--url", "http://:80/"),
    ("--url", "http://127.0.0.1:0/"),
    ("--url", "http://127.0.0.1:65536/"),
    ("--url", "http://127.0.0.1:x/"),
    ("--url", "http://[::1/"),
    ("--url", "http://[::1]x/"),
    ("--url", "http://me@127.0.0.1/"),
    ("--url", "http://127.0.0.1/a b"),
    ("--url", "http://127.0.0.1/a\r\nX: y"),
    ("--url", "http://127.0.0.1/" + "a" * 2000),
    ("--url", "http://" + "a" * 3000),
    ("--url", "http://127.0.0.1/", "--port", "1"),
    ("--port", "0"),
    ("--port", "x"),
    ("more",),
]


@pytest.mark.parametrize("words", WRONG, ids=range(len(WRONG)))
def test_wrong_command_lines(words):
    """1, not 2: that one is the container engines' own."""
    assert health(*words)[0] == 1


def test_a_flag_of_health_is_none_of_the_server():
    assert run("--live")[0] == 2
    assert run("serve", "health")[0] == 2


def test_a_server_that_is_full_is_not_dead():
    """At --max-connections newcomers are refused, who asks for its health among them: that is no reason to end it, and
    with it everybody who is connected."""
    with Server("--max-connections", 2) as s:
        for _ in range(2):
            s.ws("t")
        assert s.http().request("GET", "/events", {"X-Tenant-ID": "t"}).status == 503
        for live in ((), ("--live",)):
            code, line = health(*live, *flags(s))
            assert code == 0 and line.endswith(": 503, too many connections, or too little memory"), line
        assert s.http().request("GET", "/livez").status == 503


@pytest.mark.parametrize("port", ["99999", "0", "x", ""])
def test_a_port_that_is_none(port):
    code, out, err = run("health", "--url", f"http://127.0.0.1:{port}/livez")
    assert (code, out) == (1, "") and err == "carillon: health: --url: the port has to be a number from 1 to 65535\n"
