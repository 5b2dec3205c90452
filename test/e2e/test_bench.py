"""The benchmark: carillon-load against the real server, and what the report makes of it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import Server, program, secure

BENCHMARK = str(Path(__file__).resolve().parents[2] / "tools" / "benchmark")
sys.path.insert(0, BENCHMARK)

import charts  # noqa: E402
import keys  # noqa: E402
import loadgen  # noqa: E402
import main  # noqa: E402
import running  # noqa: E402
import servers  # noqa: E402
from figures import FIGURES, refusal, summarise  # noqa: E402
from running import servers_for  # noqa: E402
from scenarios import SCENARIOS, groups  # noqa: E402
from table import Report, aligned, number  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with Server() as s:
        yield s


def ask(mode, *flags):
    """carillon-load's exit code and document."""
    command = [program("CARILLON_LOAD_BIN"), mode, *map(str, flags)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.stdout, done.stderr.decode()
    answer = json.loads(done.stdout)
    assert (done.returncode == 0) == answer["ok"] == (not answer["faults"]), answer
    return done.returncode, answer


def tls(port):
    """Flags for a server that speaks it."""
    return ("--tls", "yes") if port in secure.ports else ()


def run_load(
    port,
    *flags,
    dialect="carillon",
    subscribe="ws",
    publish="http",
    tenants=2,
    sockets=6,
    publishers=2,
    depth=4,
):
    return ask(
        "run",
        "--target",
        f"127.0.0.1:{port}",
        "--dialect",
        dialect,
        "--subscribe",
        subscribe,
        "--publish",
        publish,
        "--tenants",
        tenants,
        "--sockets",
        sockets,
        "--publishers",
        publishers,
        "--events",
        200,
        "--warmup",
        20,
        "--timeout",
        20,
        *(("--depth", depth) if depth else ()),
        *tls(port),
        *flags,
    )


# Against the real server

over_each = pytest.mark.parametrize(
    "subscribe, dialect",
    [("ws", "carillon"), ("sse", "carillon"), ("ws", "socketio")],
    ids=["ws", "sse", "socketio"],
)


@pytest.mark.parametrize("publish", ["http", "ws"])
@over_each
@pytest.mark.parametrize("depth", [1, 16])
def test_closed_loop(server, subscribe, dialect, publish, depth):
    code, answer = run_load(
        server.port, "--pids", server.process.pid, dialect=dialect, subscribe=subscribe, publish=publish, depth=depth
    )
    assert code == 0, answer["faults"]
    assert answer["events"] == 200
    assert answer["deliveries"] == 200 * (3 if publish == "http" else 4)
    assert answer["server_cpu_us_per_delivery"] > 0 and answer["frame_bytes"] > 100
    assert answer["memory"]["rss_start"] > 0


@over_each
def test_open_loop(server, subscribe, dialect):
    code, answer = run_load(server.port, "--rate", 1000, dialect=dialect, subscribe=subscribe, depth=None)
    assert code == 0, answer["faults"]
    assert answer["deliver_us"]["count"] == 600 and answer["ack_us"]["count"] == 200


def test_threads_and_sources(server):
    code, answer = run_load(server.port, "--threads", 2, "--sources", 3)
    assert code == 0, answer["faults"]


@pytest.mark.parametrize("publish", ["http", "ws"])
def test_without_subscribers(server, publish):
    code, answer = run_load(server.port, publish=publish, sockets=0)
    assert code == 0, answer["faults"]
    assert answer["events"] == 200 and answer["deliveries"] == (0 if publish == "http" else 200)


# By API key

ADMIN_KEY = "the-administrators-own-key-of-this-test"


@pytest.fixture(scope="module")
def guarded():
    """A server that lets in by API key, and the keys of the tenants that the load publishes to. What makes these speaks no
    TLS."""
    with Server("--admin-key", ADMIN_KEY, auth="key", tenants=False, tls=False) as s:
        yield s, keys.make(s.port, ADMIN_KEY, 2)


def key_file(folder, *lines):
    file = folder / "keys"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


@pytest.mark.parametrize("publishers", [1, 2, 4])
def test_publishing_by_key(guarded, publishers, tmp_path):
    server, texts = guarded
    flags = ("--keys", key_file(tmp_path, *texts))
    code, answer = run_load(server.port, *flags, sockets=0, publishers=publishers)
    assert code == 0, answer["faults"]
    assert answer["events"] == 200


def test_publishing_needs_the_keys(guarded, tmp_path):
    server, texts = guarded
    code, answer = run_load(server.port, sockets=0)
    assert code == 1 and "was answered with 401" in answer["faults"][0]
    code, answer = run_load(server.port, "--keys", key_file(tmp_path, texts[0], texts[1][:-1] + "~"), sockets=0)
    assert code == 1 and "was answered with 401" in answer["faults"][0]
    code, answer = run_load(server.port, "--keys", key_file(tmp_path, *reversed(texts)), sockets=0)
    assert code == 1 and "was acknowledged with what is not its event" in answer["faults"][0]


@pytest.mark.parametrize(
    "text",
    ["", "secret-a\n", "secret-a\nsecret-b", "secret-a\n\n", "secret-a\nsecret-b\nsecret-c\n", "secret a\nsecret-b\n"]
    + ["secret-a\r\nsecret-b\n", "secret-a\nsecret\0b\n", "secret-ä\nsecret-b\n", None],
)
def test_a_file_without_a_key_for_each_tenant(text, tmp_path):
    file = tmp_path / "keys"
    if text is not None:
        file.write_text(text)
    command = [program("CARILLON_LOAD_BIN"), "run", "--target", "127.0.0.1:1", "--tenants", "2", "--sockets", "0"]
    command += ["--depth", "1", "--keys", str(file)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"carillon-load: {file}: ") and "secret" not in done.stderr.replace(str(file), "")


@pytest.mark.parametrize("more", ["--sockets 1", "--stalled 1", "--publish ws", "--dialect socketio"])
def test_only_publishers_over_http_show_keys(more, tmp_path):
    command = [program("CARILLON_LOAD_BIN"), "run", "--target", "127.0.0.1:1", "--sockets", "0", "--depth", "1"]
    command += ["--keys", str(key_file(tmp_path, "a")), *more.split()]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, text=True)
    assert done.returncode == 2 and "--keys wants" in done.stderr


@pytest.mark.parametrize("name", ["publish-key", "ingest-key"])
def test_a_run_by_key(name, tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "BUILD", Path(program("CARILLON_BIN")).parent)
    monkeypatch.setattr(running, "LOAD", Path(program("CARILLON_LOAD_BIN")))
    monkeypatch.setattr(servers.tempfile, "tempdir", str(tmp_path))
    commands, started = [], subprocess.Popen

    def start(command, *arguments, **more):
        commands.append(command)
        return started(command, *arguments, **more)

    monkeypatch.setattr(subprocess, "Popen", start)
    scenario = SCENARIOS[name]
    scenario = dataclasses.replace(scenario, options=scenario.options | {"events": 400, "warmup": 100})
    run = running.run_once(scenario, "carillon", quick=False)
    assert not run["faults"] and run["load"]["ok"], run
    assert summarise(FIGURES["cpu_event"], [run]).median > 0
    server, load = commands
    assert server[server.index("--auth") + 1] == "key" and "--auto-tenants" not in server and "--keys" in load
    assert "car_" not in str(commands + [run]) and "--admin-key" not in server
    assert list(tmp_path.iterdir()) == []


def test_beside_a_tenant_that_posts_batches(monkeypatch):
    monkeypatch.setattr(servers, "BUILD", Path(program("CARILLON_BIN")).parent)
    monkeypatch.setattr(running, "LOAD", Path(program("CARILLON_LOAD_BIN")))
    monkeypatch.setattr(loadgen, "LOAD", Path(program("CARILLON_LOAD_BIN")))
    scenario = SCENARIOS["fair-batches"]
    scenario = dataclasses.replace(scenario, options=scenario.options | {"events": 200, "warmup": 10})
    run = running.run_once(scenario, "carillon", quick=False)
    assert not run["faults"] and run["load"]["ok"], run
    assert run["press"]["created"] > 0 and run["press"]["limited"] == run["press"]["unavailable"] == 0, run["press"]


def test_stalled_readers_are_not_waited_for(server):
    code, answer = run_load(server.port, "--stalled", 3)
    assert code == 0, answer["faults"]


@over_each
def test_idle(server, subscribe, dialect):
    code, answer = ask(
        "idle",
        "--target",
        f"127.0.0.1:{server.port}",
        "--dialect",
        dialect,
        "--subscribe",
        subscribe,
        "--tenants",
        3,
        "--sockets",
        30,
        "--hold",
        0.1,
        "--pids",
        server.process.pid,
        *tls(server.port),
    )
    assert code == 0, answer["faults"]
    assert answer["connects"]["count"] == 30 and "user_bytes_per_connection" in answer["memory"]
    assert bool(answer["load"]["why"]) == answer["load"]["limited"]


def test_a_load_that_was_stopped_was_the_limit(server):
    command = [program("CARILLON_LOAD_BIN"), "run", "--target", f"127.0.0.1:{server.port}", "--dialect", "carillon"]
    command += "--subscribe ws --publish http --tenants 1 --sockets 1 --publishers 1 --depth 1".split()
    command += ["--warmup", "20", "--events", "30000", "--timeout", "50", *tls(server.port)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as load:
        time.sleep(0.7)
        load.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        load.send_signal(signal.SIGCONT)
        answer = json.loads(load.communicate(timeout=60)[0])
    assert answer["ok"], answer["faults"]
    assert answer["load"]["limited"] and "not given a processor" in answer["load"]["why"], answer["load"]
    assert answer["load"]["longest_stall_us"] > 400000


def test_floor():
    code, answer = ask("floor", "--sockets", 10, "--rounds", 5, "--batch", "1,4")
    assert code == 0, answer["faults"]
    assert set(answer["send_us"]) == set(answer["event_us"]) == {"1", "4"}


def test_only_this_machine_is_a_target():
    command = [program("CARILLON_LOAD_BIN"), "run", "--target", "192.0.2.1:80", "--dialect", "carillon"]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20).returncode == 2


# What the report makes of it


def good_run(cost=4.0, rate=0, **changes):
    load = {
        "mode": "run",
        "ok": True,
        "faults": [],
        "config": {"rate": rate},
        "server_cpu_us_per_delivery": cost,
        "deliveries_per_second": 1000.0,
        "deliver_us": {"p50": 100.0, "p99": 200.0, "p999": 300.0},
        "load": {"limited": False, "why": ""},
        "frame_bytes": 330,
    }
    return {"faults": [], "load": load | changes, "floor": {"ok": True, "event_us": {"1": 4.0}}}


LIMITED = {"load": {"limited": True, "why": "thread 0 had no rest"}}
FAILED = {"ok": False, "faults": ["socket 3 misses an event"]}


def results(**servers):
    entries = [{"scenario": "fan-out", "server": name, "workers": 1, "runs": runs} for name, runs in servers.items()]
    return {"machine": {"cores": "2"}, "settings": {"runs": 3, "quick": False}, "results": entries}


def cells(document, figure):
    rows = {tuple(row[:3]): row[3:] for row in Report(document).rows()}
    return rows["fan-out", "1", figure]


def test_median_and_spread():
    summary = summarise(FIGURES["cpu_delivery"], [good_run(5.0), good_run(3.0), good_run(4.2)])
    assert (summary.median, summary.least, summary.most, summary.refused) == (4.2, 3.0, 5.0, None)
    assert summarise(FIGURES["cpu_floors"], [good_run(6.0)]).median == 1.5


def test_a_failed_run_takes_every_figure_with_it():
    runs = [good_run(), good_run(**FAILED), good_run()]
    for key in SCENARIOS["fan-out"].figures:
        assert "misses an event" in summarise(FIGURES[key], runs).refused
    document = results(carillon=runs)
    assert cells(document, "server CPU per delivery, µs")[0] == "— (1)"
    assert "1. fan-out, carillon: run 2: a check failed: socket 3 misses an event" in Report(document).text()


def test_a_limited_run_keeps_the_cost_in_a_closed_loop_only():
    cost, rate = FIGURES["cpu_delivery"], FIGURES["deliveries_s"]
    assert refusal(cost, good_run(**LIMITED)) is None
    assert "no rest" in refusal(rate, good_run(**LIMITED))
    assert "no rest" in refusal(cost, good_run(rate=200, **LIMITED))
    assert "no rest" in refusal(FIGURES["deliver_p50"], good_run(rate=200, **LIMITED))
    assert refusal(cost, good_run(rate=200)) is None


def test_a_limited_run_of_idle_sockets_has_no_rate():
    connects = {"per_second": 1000.0, "server_cpu_us": 20.0}
    memory = {"user_bytes_per_connection": 500.0, "kernel_bytes_per_connection": 4000.0}
    idle = good_run(mode="idle", connects=connects, memory=memory, **LIMITED)
    document = results(carillon=[idle])
    document["results"][0]["scenario"] = "idle"
    goals = {row[2]: row[-1] for row in Report(document).rows()}
    assert goals["connects, per s"] == "≥ 25,000: unknown"
    assert goals["server CPU per connect, µs"] == "≤ 25: met"
    assert goals["server memory per connection, bytes"] == "≤ 768: met"
    assert "no rest" in refusal(FIGURES["connects_s"], idle)
    del idle["load"]["load"]  # of a load generator that did not say
    assert refusal(FIGURES["connects_s"], idle) is None
    text = Report(document).text()
    assert text.index("where the load generator was the limit, rates and latencies are refused") < text.index("| scen")


def test_what_was_not_reported_is_no_figure():
    broken = good_run()
    broken["floor"] = {"ok": False, "faults": ["no memory"]}
    assert refusal(FIGURES["cpu_floors"], broken) and refusal(FIGURES["cpu_delivery"], broken) is None
    assert refusal(FIGURES["ack_p50"], good_run()) == "not reported"
    assert refusal(FIGURES["cpu_delivery"], {"faults": ["carillon: it does not listen"]})
    assert refusal(FIGURES["cpu_delivery"], {"faults": []})
    assert summarise(FIGURES["cpu_delivery"], []).refused


@pytest.mark.parametrize(
    "floor",
    [
        None,
        {"ok": False, "faults": ["a send() failed"], "event_us": {"1": 4.0}},
        {"ok": True, "faults": ["a send() failed"], "event_us": {"1": 4.0}},
        {"ok": True, "event_us": {"1": 0}},
        {"ok": True, "event_us": {"1": None}},
        {"ok": True, "event_us": {}},
    ],
)
def test_without_a_floor_nothing_is_told_in_floors(floor, tmp_path):
    good = good_run(server_cpu_us_per_event=1.0)
    broken = good | {"floor": floor}
    for key in ("cpu_floors", "cpu_event_floors"):
        reason = summarise(FIGURES[key], [good, broken]).refused
        assert reason.startswith("run 2: the floor is not known")
        assert "send()" in reason or not (floor or {}).get("faults")
    assert not summarise(FIGURES["cpu_delivery"], [broken]).refused
    assert cells(results(carillon=[broken]), "server CPU per delivery, floors")[-1] == "≤ 1.1: unknown"
    (picture,) = charts.write(results(carillon=[broken]), tmp_path)
    assert "one send()" not in picture.read_text()


def test_memory_grows_to_its_peak():
    memory = {"rss_connected": 8 << 20, "rss_peak": 40 << 20, "rss_end": 10 << 20}
    assert summarise(FIGURES["growth"], [good_run(memory=memory)]).median == 32


def test_goals():
    assert cells(results(carillon=[good_run(4.2)]), "server CPU per delivery, floors")[-1] == "≤ 1.1: met"
    assert cells(results(carillon=[good_run(5.0)]), "server CPU per delivery, floors")[-1] == "≤ 1.1: missed"
    assert cells(results(carillon=[good_run(**FAILED)]), "server CPU per delivery, floors")[-1] == "≤ 1.1: unknown"
    latency = results(carillon=[good_run()], ws=[good_run(deliver_us={"p50": 200.0})])
    for entry in latency["results"]:
        entry["scenario"] = "latency"
    row = next(row for row in Report(latency).rows() if row[2] == "publish to deliver, p50, µs")
    assert row[3:] == ["100", "200", "≤ 0.65 × ws: met, 0.50"]


@pytest.mark.parametrize(
    "scenario, ours, verdict",
    [
        ("fan-out-sio", 8.0, "≤ 0.4 × socket.io: met, 0.40"),
        ("fan-out-sio", 8.4, "≤ 0.4 × socket.io: missed, 0.42"),
        ("fan-out-64-sio", 1.9, "≤ 0.1 × socket.io: met, 0.10"),
        ("fan-out-64-sio", 2.2, "≤ 0.1 × socket.io: missed, 0.11"),
    ],
)
def test_goals_beside_the_stock_server(scenario, ours, verdict):
    document = results(**{"carillon": [good_run(ours)], "socket.io": [good_run(20.0)]})
    for entry in document["results"]:
        entry["scenario"] = scenario
    assert [row[-1] for row in Report(document).rows() if row[2] == "server CPU per delivery, µs"] == [verdict]
    del document["results"][1]
    assert Report(document).rows()[0][-1].endswith(": unknown")


@pytest.mark.parametrize("bytes_each, verdict", [(3072.0, "≤ 3,072: met"), (3073.0, "≤ 3,072: missed")])
def test_goal_of_an_idle_socketio_client(bytes_each, verdict, tmp_path):
    run = good_run(mode="idle", memory={"user_bytes_per_connection": bytes_each})
    document = results(carillon=[run])
    document["results"][0]["scenario"] = "idle-sio"
    assert Report(document).rows()[0][-1] == verdict
    (picture,) = charts.write(document, tmp_path)
    assert picture.name == "memory.svg" and ">Socket.IO client, on its WebSocket transport<" in picture.read_text()


@pytest.mark.parametrize("scenario", ["publish-key", "ingest-key"])
@pytest.mark.parametrize(
    "rate, cost, verdicts",
    [
        (950.0, 21.0, {"≥ 0.95 × {}: met, 0.95", "≤ 1.05 × {}: met, 1.05"}),
        (940.0, 21.4, {"≥ 0.95 × {}: missed, 0.94", "≤ 1.05 × {}: missed, 1.07"}),
    ],
)
def test_goals_of_authentication(scenario, rate, cost, verdicts):
    base = SCENARIOS[scenario].base
    document = results(carillon=[])
    document["results"] = [
        {"scenario": name, "server": "carillon", "workers": 1, "runs": [good_run(**figures)]}
        for name, figures in (
            (base, {"events_per_second": 1000.0, "server_cpu_us_per_event": 20.0}),
            (scenario, {"events_per_second": rate, "server_cpu_us_per_event": cost}),
        )
    ]
    said = {row[-1] for row in Report(document).rows() if row[0] == scenario and row[-1]}
    assert said == {text.format(base) for text in verdicts}
    del document["results"][0]
    assert all(row[-1].endswith(": unknown") for row in Report(document).rows() if row[-1])


def test_a_quick_run_meets_no_goal(tmp_path):
    document = results(carillon=[good_run(3.0)])
    assert "A quick run" not in Report(document).text()
    document["settings"] = {"runs": 1, "quick": True}
    text = Report(document).text()
    assert cells(document, "server CPU per delivery, floors")[-1] == "≤ 1.1: quick"
    assert ": met" not in text and ": missed" not in text
    assert text.index("A quick run: it proves only that the benchmark works") < text.index("| scenario")
    (picture,) = charts.write(document, tmp_path)
    assert picture.read_text().count("Quick run, no measurement: ") >= 2
    assert Path(main.options(["--quick"]).json).name == "quick.json"
    assert Path(main.options([]).json).name == "results.json"
    assert main.options(["--quick", "--json", "mine.json"]).json == "mine.json"


def test_the_table_stands_straight():
    assert [number(value) for value in (12345.6, 123.4, 12.34, 1.234, 0.1234)] == [
        "12,346",
        "123",
        "12.3",
        "1.23",
        "0.123",
    ]
    lines = aligned(["a", "figure"], [["longer", "1 µs"]]).splitlines()
    assert lines == ["| a      | figure |", "| ------ | ------ |", "| longer | 1 µs   |"]


def test_scenarios_come_with_what_they_are_compared_with():
    for name, base in (("paced-2", "paced"), ("publish-key", "publish"), ("ingest-key", "ingest-memory")):
        assert [[scenario.name for scenario in group] for group in groups([name])] == [[base, name]]
    for scenario in SCENARIOS.values():
        assert set(scenario.figures) <= set(FIGURES) and (scenario.base is None or scenario.base in SCENARIOS)


def test_socketio_is_measured_on_the_servers_that_speak_it():
    for name in ("fan-out-sio", "fan-out-64-sio", "idle-sio"):
        assert servers_for(SCENARIOS[name], peers=True) == ["carillon", "socket.io"]
        flags = SCENARIOS[name].flags()
        assert flags[flags.index("--dialect") + 1] == "socketio"


ENDING = """
import json, os, signal, sys, time
import main, servers

LISTENS = "import time; print('listening on x:1', flush=True); time.sleep(60)"
KIND = servers.Kind("", frozenset(), frozenset(), lambda start: ([sys.executable, "-c", LISTENS], 0))
finished = json.loads(sys.argv[3])

def run_group(*_):
    if finished:
        return [finished.pop()]
    with servers.running(KIND, 1):
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(20)

main.run_group = run_group
sys.exit(main.main(["--json", sys.argv[2], "fan-out", "many"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("groups_done", [0, 1])
def test_a_signal_ends_it_without_remains(number, groups_done, tmp_path):
    finished = results(carillon=[good_run()])["results"][:groups_done]
    command = [sys.executable, "-B", "-c", ENDING, str(int(number)), str(tmp_path / "kept.json"), json.dumps(finished)]
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": BENCHMARK}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, text=True)
    assert done.returncode == 128 + number and "Traceback" not in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"][:groups_done]
    assert ("| fan-out " in done.stdout) == bool(groups_done and number == signal.SIGINT)
    assert ("broken off" in done.stderr) == (number == signal.SIGINT)


def refused_with_a_line(capfd, *arguments):
    assert main.main([str(argument) for argument in arguments]) == 1
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("tools/bench: ") and err.count("\n") == 1
    return err


@pytest.fixture
def unwatched(monkeypatch):
    """main() in this process leaves signals and limits to pytest."""
    monkeypatch.setattr(main.ending, "watch", lambda: None)
    monkeypatch.setattr(main.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(main, "run_group", None)  # nothing is measured


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "\ufeff",
        "[]",
        "3",
        "{}",
        '{"machine": {}, "settings": {"runs": 3, "quick": false}, "results": [3]}',
        json.dumps(results(carillon=[3])),
        json.dumps(results(carillon=[{"load": []}])),
        json.dumps(results(carillon=[{"faults": [], "load": {"load": 3}}])),
        json.dumps(results(carillon=[{"faults": 3}])),
        json.dumps(results(carillon=[good_run() | {"floor": "none"}])),
    ],
)
def test_a_file_that_is_none_of_ours(text, tmp_path, capfd, unwatched):
    file = tmp_path / "other.json"
    file.write_text(text)
    assert "other.json: no " in refused_with_a_line(capfd, "report", file)
    assert "other.json: no " in refused_with_a_line(capfd, "charts", file, tmp_path / "charts")
    assert not (tmp_path / "charts").exists()


def test_a_file_that_is_ours(tmp_path, capfd, unwatched):
    file = tmp_path / "ours.json"
    file.write_text(json.dumps(results(carillon=[good_run(), {"faults": ["it ended"]}, good_run() | {"floor": None}])))
    assert main.main(["report", str(file)]) == 0 and "it ended" in capfd.readouterr().out


def test_where_nothing_can_be_written_nothing_is_measured(tmp_path, capfd, unwatched):
    file = tmp_path / "file"
    file.write_text("kept")
    for arguments in (["--json", file / "x.json"], ["--json", tmp_path], ["--json", "/proc/x/y.json"]):
        refused_with_a_line(capfd, *arguments)
    refused_with_a_line(capfd, "--json", file, "--charts", file)
    assert file.read_text() == "kept"
    refused_with_a_line(capfd, "report", tmp_path / "none.json")


def test_charts_show_good_figures_only(tmp_path):
    written = charts.write(results(carillon=[good_run()], ws=[good_run(**FAILED)]), tmp_path)
    assert [path.name for path in written] == ["cpu.svg"]
    picture = written[0].read_text()
    assert "carillon" in picture and ">ws<" not in picture
    assert "<title" in picture and "<desc" in picture and "prefers-color-scheme: dark" in picture
