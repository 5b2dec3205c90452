"""How it starts: flags, environment, file, port; and how it says what is wrong with them."""

import json
import re
import signal
import subprocess

import pytest

from harness import Http, Process, Server, WAIT, clean_environment, problem, program, run, until

JSON = {"Content-Type": "application/json"}
EVENT = b'{"message":"x"}'


# Starting


def one_line(text):
    lines = text.strip().splitlines()
    assert len(lines) == 1 and lines[0].strip(), text
    return lines[0]


COMMON = ("--port", "0", "--store", "memory:", "--auth", "open")


def test_port_in_use():
    with Server() as s:
        code, out, err = run("--port", str(s.port), "--store", "memory:", "--auth", "open")
        assert code == 1 and out == ""
        assert str(s.port) in one_line(err)
        assert s.get("/livez").status == 200


def test_address_that_is_not_ours():
    code, _, err = run("--host", "192.0.2.1", "--port", "0", "--store", "memory:", "--auth", "open")
    assert code == 1
    one_line(err)


@pytest.mark.parametrize(
    "flags",
    [
        ("--nonsense",),
        ("--nonsense=1",),
        ("-z",),
        ("--por", "0"),
        ("nonsense",),
        ("serve", "more"),
        ("--threads",),
        ("---",),
    ],
)
def test_unknown_flags(flags):
    code, out, err = run(*COMMON, *flags)
    assert code == 2 and out == "", (code, out, err)
    one_line(err)


@pytest.mark.parametrize(
    "flag,value",
    [
        ("--port", "-1"),
        ("--port", "65536"),
        ("--port", "abc"),
        ("--port", ""),
        ("--port", "1.5"),
        ("--threads", "-1"),
        ("--threads", "x"),
        ("--threads", "100000"),
        ("--auth", "nonsense"),
        ("--store", "nonsense:"),
        ("--buffer-size", "-5"),
        ("--buffer-size", "many"),
        ("--buffer-size", "99999999999999999999"),
        ("--ping-interval", "abc"),
        ("--ping-interval", "-1s"),
        ("--ping-interval", "5 parsecs"),
        ("--request-timeout", ""),
        ("--request-timeout", "1x"),
        ("--drain-timeout", "s"),
        ("--max-body-bytes", "-1"),
        ("--max-body-bytes", "big"),
        ("--max-connections", "x"),
        ("--max-message-chars", "-1"),
        ("--max-tenants", "none"),
        ("--tenants", "a,b c"),
        ("--tenants", "-x"),
        ("--log-level", "loud"),
        ("--log-format", "xml"),
        ("--cors-origin", "not an origin"),
        ("--tenants", "x" * 65),
    ],
)
def test_bad_values(flag, value):
    flags = [f for pair in zip(COMMON[::2], COMMON[1::2]) if pair[0] != flag for f in pair]
    for given in ((flag, value), (f"{flag}={value}",)):
        code, out, err = run(*flags, *given)
        assert code == (1 if flag == "--store" else 2) and out == "", (code, out, err)
        assert flag.lstrip("-") in one_line(err)


def test_bad_values_from_the_environment():
    for name, value in (
        ("CARILLON_THREADS", "x"),
        ("CARILLON_PING_INTERVAL", "soon"),
        ("PORT", "99999"),
        ("CARILLON_PORT", "x"),
    ):
        flags = COMMON[2:] if "PORT" in name else COMMON
        code, _, err = run(*flags, env={name: value})
        assert code == 2
        one_line(err)


def test_the_environment_and_what_beats_it():
    with Server(
        "--max-message-chars",
        "10",
        env={"CARILLON_MAX_MESSAGE_CHARS": "5", "CARILLON_TENANTS": "from_env", "CARILLON_BUFFER_SIZE": "3"},
        tenants=False,
    ) as s:
        assert s.publish("from_env", "x" * 10)["seq"] == 1
        problem(s.post("from_env", json.dumps({"message": "x" * 11}).encode()), 413, "too_large")
        for _ in range(5):
            s.publish("from_env", "x")
        assert s.get("/events/stats", "from_env").json()["total"] == 3


def test_config_files(tmp_path):
    missing = tmp_path / "missing.yaml"
    code, _, err = run(*COMMON, "--config", str(missing))
    assert code in (1, 2) and str(missing) in one_line(err)
    code, _, err = run(*COMMON, "--config", str(tmp_path))
    assert code in (1, 2)
    one_line(err)
    bad = tmp_path / "bad.yaml"
    for text in ("threads: [", "nonsense: 1\n", "threads: many\n", "- a\n- b\n", "\x00\x01", "port: {a: b}\n"):
        bad.write_text(text)
        code, _, err = run(*COMMON, "--config", str(bad))
        assert code in (1, 2), (text, code, err)
        one_line(err)
    good = tmp_path / "good.yaml"
    good.write_text("# a comment\nbuffer-size: 4\ntenants: one,two\nmax-message-chars: 7\n")
    with Server("--config", good, "--max-message-chars", "9", env={"CARILLON_BUFFER_SIZE": "2"}, tenants=False) as s:
        for _ in range(6):
            s.publish("two", "x" * 9)
        problem(s.post("one", json.dumps({"message": "x" * 10}).encode()), 413, "too_large")
        assert s.get("/events/stats", "two").json()["total"] == 2


def test_version_help_and_check_config(tmp_path):
    code, out, err = run("--version")
    assert code == 0 and re.search(r"\d+\.\d+", out) and err == ""
    code, out, err = run("--help")
    assert code == 0 and err == ""
    for flag in (
        "--port",
        "--host",
        "--threads",
        "--auth",
        "--store",
        "--buffer-size",
        "--max-connections",
        "--drain-timeout",
        "--cors-origin",
        "--ping-interval",
        "--ping-timeout",
    ):
        assert flag in out, flag
    code, _, err = run(*COMMON, "--check-config")
    assert code == 0, err
    code, _, err = run(*COMMON, "--check-config", "--threads", "x")
    assert code == 2
    bad = tmp_path / "bad.yaml"
    bad.write_text("threads: many\n")
    code, _, err = run(*COMMON, "--check-config", "--config", str(bad))
    assert code in (1, 2)


def test_events_are_kept_where_nothing_else_is_said(tmp_path):
    """In carillon.db, in the folder that the server was started in."""
    head = {"Content-Type": "application/json", "X-Tenant-ID": "tenant_a"}
    for seq in (1, 2):
        child = subprocess.Popen(
            [program("CARILLON_BIN"), "--port", "0"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        with child:
            try:
                port = int(re.search(r"listening on \S*:(\d+)", child.stderr.readline())[1])
                r = Http(port).request("POST", "/events", head, b'{"message":"kept"}')
                assert r.status == 201 and r.json()["seq"] == seq
            finally:
                child.terminate()
                child.stderr.read()
                assert child.wait(WAIT) == 0
        assert (tmp_path / "carillon.db").stat().st_size > 0


def test_where_it_listens_and_what_it_logs():
    with Server() as s:
        (line,) = [text for text in s.process.lines if "listening on" in text]
        assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} UTC listening on \S*:%d( .*)?" % s.port, line), line
        e = s.publish("tenant_a", "the content")
        until(
            lambda: any(
                re.search(rf"UTC tenant tenant_a: event posted: {e['id']} \(took ", text) for text in s.process.lines
            ),
            "the event's line",
        )
        assert "the content" not in s.process.output()


def test_json_log():
    with Server("--log-format", "json") as s:
        s.publish("tenant_a", "x")
        assert [json.loads(line) for line in s.process.lines]


def test_serve_may_be_said():
    process = Process([program("CARILLON_BIN"), "serve", *COMMON])
    try:
        port = process.listening()
        assert Http(port).request("GET", "/livez").status == 200
        process.signal(signal.SIGINT)
        process.wait()
        process.check(0)
    finally:
        process.kill()


def test_sizes_are_readable():
    """What is allowed is said in units that are taken."""
    for flag in ("--tenant-memory", "--max-memory"):
        code, _, err = run(*COMMON, flag, "9000TiB")
        assert code == 2 and "TiB, written like" in one_line(err), err
        assert run(*COMMON, flag, "1TiB", "--check-config")[0] == 0
        assert run(*COMMON, flag, "1t", "--check-config")[0] == 0
