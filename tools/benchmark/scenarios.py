"""The scenarios: which load, on which server, and what is read off it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

QUICK = 10  # a quick run has a tenth of the events


@dataclass(frozen=True)
class Keeping:
    """Where Carillon keeps the events of a scenario, and what is measured beside it; in a fresh folder on the disk."""

    store: str  # sqlite or postgres
    durability: str  # commit or relaxed
    ceiling: bool = False  # the same rows are inserted by a bare loop afterwards
    stored: int = 0  # events that are there before it begins, and are read while the load writes


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str
    figures: tuple[str, ...]  # keys of figures.FIGURES, in the order of the table
    options: dict[str, int | str] = field(default_factory=dict)  # flags of carillon-load
    mode: str = "run"  # what carillon-load is to do: run or idle
    workers: int | None = 1  # Carillon's; None is its default, one a processor. Peers have one thread of their own.
    by_key: bool = False  # publishers show API keys, of tenants that are made before the load begins
    tls: bool = False  # over TLS, for Carillon only
    registered: int = 0  # idle tenants to be made before the load begins
    base: str | None = None  # the scenario that this one's goals compare it with; they are run in turns
    alone: bool = False  # for Carillon only
    dialect: str | None = None  # for the servers that speak it; None is each one's own
    keeping: Keeping | None = None  # None: in memory
    press: dict[str, int | str] | None = None  # what another tenant does meanwhile: flags of carillon-load press
    server: tuple[str, ...] = ()  # Carillon's further flags
    peers_part: int = 1  # peers are given the n-th part of the events, where all would take them minutes

    def flags(self, part: int = 1) -> list[str]:
        """The options as carillon-load takes them, with the n-th part of the events."""
        flags = ["--dialect", self.dialect] if self.dialect else []
        flags += ["--tls", "yes"] if self.tls else []
        for key, value in self.options.items():
            if key in ("events", "warmup"):
                value = max(1, int(value) // part)
            flags += [f"--{key}", str(value)]
        return flags

    def threads(self) -> str:
        """Which threads serve it."""
        count = "one a processor" if self.workers is None else str(self.workers)
        return f"server threads: {count}" + ("" if self.alone else "; a peer has one")

    def store(self) -> str:
        """Where events are kept."""
        if self.keeping is None:
            return "store: memory"
        before = f", with {self.keeping.stored:,} events in it" if self.keeping.stored else ""
        return f"store: {self.keeping.store}, {self.keeping.durability}{before}"

    def needs(self) -> tuple[str, str, str | None]:
        """How it subscribes, how it publishes, and in which dialect: what a server must be able to do."""
        return str(self.options.get("subscribe", "ws")), str(self.options.get("publish", "http")), self.dialect


COST = ("cpu_delivery", "cpu_floors")
RATE = ("deliveries_s",)
LATENCY = ("deliver_p50", "deliver_p99", "deliver_p999", "ack_p50", "ack_p99", "ack_p999")
CONNECTIONS = ("memory", "kernel_memory", "connects_s", "connect_cpu")


def load(
    tenants: int, sockets: int, publishers: int, events: int, warmup: int, **more: int | str
) -> dict[str, int | str]:
    flags: dict[str, int | str] = {"subscribe": "ws", "publish": "http"}
    flags |= {"tenants": tenants, "sockets": sockets, "publishers": publishers, "events": events, "warmup": warmup}
    return flags | more


def over_sse(scenario: Scenario) -> Scenario:
    """The same over Server-Sent Events, to be held against it."""
    return dataclasses.replace(
        scenario,
        name=scenario.name + "-sse",
        about=scenario.about.replace("WebSocket", "SSE stream"),
        options=scenario.options | {"subscribe": "sse"},
        base=scenario.name,
    )


def over_socketio(scenario: Scenario) -> Scenario:
    """The same over Socket.IO, on its WebSocket transport, side by side with the stock server."""
    return dataclasses.replace(
        scenario,
        name=scenario.name + "-sio",
        about=scenario.about.replace("WebSocket", "Socket.IO client"),
        dialect="socketio",
    )


def over_tls(scenario: Scenario) -> Scenario:
    """The same over TLS 1.3, to be held against it."""
    return dataclasses.replace(
        scenario,
        name=scenario.name + "-tls",
        about=f"as {scenario.name}, over TLS 1.3 (AES-256-GCM, a key on P-256)",
        base=scenario.name,
        tls=True,
        alone=True,
    )


# The warm-up fills the history of 500 events a tenant, so that forgetting is paid for in what is measured; but not in
# `latency`, where that would take minutes.
FAN_OUT = Scenario(
    "fan-out",
    "1 tenant, 1,000 WebSockets, one event in flight",
    COST + RATE,
    load(1, 1000, 1, events=600, warmup=500, depth=1),
)
FAN_OUT_64 = Scenario(
    "fan-out-64",
    "1 tenant, 1,000 WebSockets, 64 events in flight",
    COST + RATE,
    load(1, 1000, 1, events=8000, warmup=800, depth=64),
    peers_part=8,
)
MANY = Scenario(
    "many",
    "1,000 tenants of 1 WebSocket, 16 publishers with one event in flight each",
    COST + RATE,
    load(1000, 1000, 16, events=80000, warmup=512000, depth=1),
    peers_part=8,
)
MANY_16 = Scenario(
    "many-16",
    "1,000 tenants of 1 WebSocket, 16 publishers with 16 events in flight each",
    COST + RATE,
    load(1000, 1000, 16, events=160000, warmup=512000, depth=16),
    peers_part=8,
)
PUBLISH = Scenario(
    "publish",
    "4 tenants without subscribers, 4 connections with 32 requests in flight each",
    ("cpu_event", "cpu_event_floors", "events_s"),
    load(4, 0, 4, events=400000, warmup=20000, depth=32),
)
PUBLISH_WS = dataclasses.replace(
    PUBLISH,
    name="publish-ws",
    about="4 tenants, 4 WebSockets with 32 events in flight each, which get them too",
    options=PUBLISH.options | {"publish": "ws"},
)
PUBLISH_KEY = dataclasses.replace(
    PUBLISH,
    name="publish-key",
    about="as publish, each request let in by an API key",
    figures=("cpu_event", "events_s"),
    by_key=True,
    base="publish",
    alone=True,
)
LATENCY_10K = Scenario(
    "latency",
    "100 tenants of 100 WebSockets, 200 events/s whatever happens",
    LATENCY + COST,
    load(100, 10000, 4, events=1000, warmup=200, rate=200, sources=4),
    workers=None,
)
ONE_TO_ONE = Scenario(
    "one-to-one",
    "1 publisher, 1 WebSocket, one event in flight",
    LATENCY,
    load(1, 1, 1, events=20000, warmup=2000, depth=1),
    workers=None,
)
IDLE = Scenario(
    "idle",
    "100 tenants of 100 WebSockets that connect, 64 at a time, and stay idle",
    CONNECTIONS,
    {"subscribe": "ws", "tenants": 100, "sockets": 10000, "sources": 4, "hold": 1},
    mode="idle",
)
IDLE_TENANTS = dataclasses.replace(
    PUBLISH,
    name="idle-tenants",
    about="as publish, with 100,000 more tenants that have neither events nor subscribers",
    figures=("tenant_memory", "cpu_event", "events_s"),
    registered=100000,
    base="publish",
    alone=True,
)
PACED = Scenario(
    "paced",
    "1 tenant, 1,000 WebSockets, 50 events/s whatever happens",
    COST + ("deliver_p50", "deliver_p99"),
    load(1, 1000, 1, events=200, warmup=50, rate=50),
    alone=True,
)
PACED_2 = dataclasses.replace(PACED, name="paced-2", about="as paced, two workers", workers=2, base="paced")
FAN_OUT_64_2 = dataclasses.replace(
    FAN_OUT_64, name="fan-out-64-2", about="as fan-out-64, two workers", workers=2, base="fan-out-64", alone=True
)
READERS = Scenario(
    "readers",
    "1 tenant, 500 WebSockets, 64 events in flight",
    ("deliver_p50", "deliver_p99", "growth"),
    load(1, 500, 1, events=50000, warmup=500, depth=64),
    alone=True,
)
STALLED = dataclasses.replace(
    READERS,
    name="stalled",
    about="as readers, and 200 WebSockets more that never read",
    options=READERS.options | {"stalled": 200},
    base="readers",
)

# 64 publishers that wait for each answer, with as much of the machine as there is for the server: the load runs ahead
# of it, for otherwise the server's threads would keep it waiting.
INGEST = Scenario(
    "ingest-memory",
    "16 tenants, 64 keep-alive HTTP connections with one event in flight each, kept in memory",
    ("events_s", "cpu_event", "ack_p50", "ack_p99"),
    load(16, 0, 64, events=200000, warmup=16000, depth=1, ahead="yes"),
    workers=None,
    alone=True,
)
INGEST_KEY = dataclasses.replace(
    INGEST,
    name="ingest-key",
    about="as ingest-memory, each request let in by an API key",
    by_key=True,
    base="ingest-memory",
)


def kept(scenario: Scenario, name: str, about: str, keeping: Keeping, *figures: str, **options: int | str) -> Scenario:
    """The same with a database."""
    return dataclasses.replace(
        scenario,
        name=name,
        about=f"as {scenario.name}, {about}",
        figures=scenario.figures + figures,
        options=scenario.options | options,
        keeping=keeping,
    )


INGEST_COMMIT = kept(
    INGEST,
    "ingest-commit",
    "each answered when SQLite has committed it; the plain ceiling is a bare loop that inserts the same rows in "
    "transactions of the same size",
    Keeping("sqlite", "commit", ceiling=True),
    *("batch", "ceiling_s", "of_ceiling", "sync", "others"),
    events=160000,
)
INGEST_RELAXED = kept(
    INGEST,
    "ingest-relaxed",
    "in SQLite within 100 ms; the plain ceiling as in ingest-commit",
    Keeping("sqlite", "relaxed", ceiling=True),
    *("batch", "ceiling_s", "of_ceiling", "sync", "others"),
)
INGEST_POSTGRES = kept(
    INGEST,
    "ingest-postgres",
    "each answered when PostgreSQL, on the same machine, has committed it",
    Keeping("postgres", "commit"),
    *("sync", "others"),
    events=80000,
)
INGEST_POSTGRES_RELAXED = kept(
    INGEST,
    "ingest-postgres-relaxed",
    "in PostgreSQL, on the same machine, within 100 ms",
    Keeping("postgres", "relaxed"),
    *("sync", "others"),
    events=80000,
)
DELIVER_COMMIT = Scenario(
    "deliver-commit",
    "16 tenants of 1 WebSocket, 1,000 events/s whatever happens, each delivered when SQLite has committed it",
    ("deliver_p50", "deliver_p99", "sync", "sync_p99", "deliver_syncs", "ack_p50", "ack_p99", "others"),
    load(16, 16, 16, events=20000, warmup=2000, rate=1000),
    workers=None,
    alone=True,
    keeping=Keeping("sqlite", "commit"),
)
HISTORY = Scenario(
    "history",
    "1,000,000 events in SQLite, 900,000 of them one tenant's, 1,000 events/s more to 16 tenants whatever happens; the "
    "one tenant's newest 50, pages of 1,000 far back, and words looked for (one event of 997 has it, or one of all), "
    "300 times each, 20 a second; GET /livez every 10 ms tells the loop's own latency",
    tuple(f"{kind}_{rank}" for kind in ("list", "page", "query", "rare") for rank in ("p50", "p99", "max"))
    + ("loop_alone_p50", "loop_p50", "loop_alone_p99", "loop_p99", "loop_moved", "deliver_p99", "others"),
    load(16, 16, 16, events=23000, warmup=1000, rate=1000),
    alone=True,
    keeping=Keeping("sqlite", "commit", stored=1000000),
)

# A quiet tenant alone, and while another one takes all that it can get. Its limit is 500 events a second of each tenant,
# of which the quiet one uses 200, and a thousand handshakes a second of all.
FAIR = Scenario(
    "fair",
    "1 tenant of 1 WebSocket, 200 events/s whatever happens, --rate-limit-tenant 500/1s --handshake-rate 1000/1s",
    ("deliver_p50", "deliver_p99"),
    load(1, 1, 1, events=2000, warmup=100, rate=200),
    alone=True,
    server=("--rate-limit-tenant", "500/1s", "--handshake-rate", "1000/1s"),
)


def beside(name: str, about: str, **press: int | str) -> Scenario:
    """The same while another tenant does that."""
    return dataclasses.replace(
        FAIR,
        name=f"fair-{name}",
        about=f"as fair, while another tenant {about}",
        figures=("deliver_p50", "deliver_p99", "press_s", "press_refused"),
        base="fair",
        press=press,
    )


FAIR_FLOOD = beside("flood", "publishes 50,000 events/s, a hundred times its limit", what="flood", publishers=64, rate=50000)
FAIR_STALLED = beside(
    "stalled", "has 1,000 readers that stall, and publishes 2,000/s", what="stalled", publishers=16, sockets=1000, rate=2000
)
FAIR_HANDSHAKES = beside(
    "handshakes", "opens 5,000 WebSockets a second", what="handshakes", publishers=64, rate=5000
)
# With the limit of the others every batch would be refused; with this one, none is.
FAIR_BATCHES = dataclasses.replace(
    beside(
        "batches",
        "posts batches of 1,000 events, 0.9 MB each, on 4 connections as fast as they are answered; --rate-limit-tenant "
        "10000000/1s",
        what="batches",
        publishers=4,
    ),
    server=("--rate-limit-tenant", "10000000/1s", "--handshake-rate", "1000/1s"),
)

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        FAN_OUT,
        over_sse(FAN_OUT),
        over_tls(FAN_OUT),
        over_socketio(FAN_OUT),
        FAN_OUT_64,
        over_sse(FAN_OUT_64),
        over_tls(FAN_OUT_64),
        over_socketio(FAN_OUT_64),
        FAN_OUT_64_2,
        MANY,
        over_sse(MANY),
        MANY_16,
        over_sse(MANY_16),
        PUBLISH,
        IDLE_TENANTS,
        PUBLISH_KEY,
        PUBLISH_WS,
        LATENCY_10K,
        over_sse(LATENCY_10K),
        ONE_TO_ONE,
        IDLE,
        over_sse(IDLE),
        over_tls(IDLE),
        over_socketio(IDLE),
        PACED,
        PACED_2,
        READERS,
        STALLED,
        INGEST,
        INGEST_KEY,
        INGEST_COMMIT,
        INGEST_RELAXED,
        INGEST_POSTGRES,
        INGEST_POSTGRES_RELAXED,
        DELIVER_COMMIT,
        HISTORY,
        FAIR,
        FAIR_FLOOD,
        FAIR_STALLED,
        FAIR_HANDSHAKES,
        FAIR_BATCHES,
    )
}


def groups(names: list[str]) -> list[list[Scenario]]:
    """The scenarios of these names, and those that they are compared with, in groups that are run in turns."""
    wanted = set(names) | {SCENARIOS[name].base for name in names}
    found: dict[str, list[Scenario]] = {}
    for name, scenario in SCENARIOS.items():
        if name in wanted:
            found.setdefault(scenario.base or name, []).append(scenario)
    return list(found.values())
