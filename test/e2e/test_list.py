"""Reading back: lists with their cursors, one event, stats, health."""

import datetime
import json
import time
import urllib.parse

import pytest

from harness import NOWHERE, STAMP, Server, check_event, problem, until

LISTS = ["/events", "/api/events", "/api/v1/events"]


@pytest.fixture(scope="module")
def server():
    with Server("--buffer-size", "2000") as s:
        yield s


@pytest.fixture(scope="module")
def thirty(server):
    """A tenant with thirty events of three types, and the events, oldest first."""
    tenant = server.tenant("thirty")
    kinds = ("red", "green", "blue")
    return tenant, [server.publish(tenant, f"m{i}", type=kinds[i % 3], metadata={"i": i}) for i in range(30)]


def page(server, tenant, query="", path="/api/v1/events"):
    r = server.get(path + (f"?{query}" if query else ""), tenant)
    assert r.status == 200, r
    assert r.header("Content-Type").split(";")[0] == "application/json"
    p = r.json()
    assert set(p) == {"events", "has_more", "next"}, p
    assert type(p["has_more"]) is bool
    if p["has_more"]:
        assert isinstance(p["next"], str) and p["next"].isdigit(), p
    else:
        assert p["next"] is None, p
    for e in p["events"]:
        check_event(e, tenant)
    return p


def walk(server, tenant, cursor, query, first=""):
    """All pages from the first on; each event, in the order in which it came."""
    out, at, pages = [], first, 0
    while True:
        p = page(server, tenant, "&".join(x for x in (query, at) if x))
        out += p["events"]
        pages += 1
        assert pages < 1000
        if not p["has_more"]:
            return out, pages
        assert p["events"], p
        at = f"{cursor}={p['next']}"


@pytest.mark.parametrize("path", LISTS)
def test_newest_first_on_each_path(server, thirty, path):
    tenant, events = thirty
    assert page(server, tenant, path=path)["events"] == events[::-1]


def test_nothing_yet(server, tenant):
    assert page(server, tenant) == {"events": [], "has_more": False, "next": None}
    assert page(server, tenant, "since=0") == {"events": [], "has_more": False, "next": None}
    assert page(server, tenant, "before=1") == {"events": [], "has_more": False, "next": None}


def test_default_limit_is_fifty(server, tenant):
    events = server.flood(tenant, (f"m{i}" for i in range(51)))
    p = page(server, tenant)
    assert p["events"] == events[:0:-1] and p["has_more"]
    p = page(server, tenant, f"before={p['next']}")
    assert p["events"] == events[:1] and not p["has_more"]


@pytest.mark.parametrize("limit", [1, 2, 7, 10, 29, 30, 31, 1000])
def test_limits_and_paging_both_ways(server, thirty, limit):
    tenant, events = thirty
    down, pages = walk(server, tenant, "before", f"limit={limit}")
    assert down == events[::-1] and pages == max(1, -(-30 // limit))
    up, pages = walk(server, tenant, "since", f"limit={limit}", "since=0")
    assert up == events and pages == max(1, -(-30 // limit))
    ascending, _ = walk(server, tenant, "since", f"limit={limit}&order=asc")
    assert ascending == events
    descending, _ = walk(server, tenant, "before", f"limit={limit}&order=desc")
    assert descending == events[::-1]


def test_limit_of_a_thousand(server, tenant):
    events = server.flood(tenant, (f"m{i}" for i in range(1001)))
    p = page(server, tenant, "limit=1000")
    assert p["events"] == events[:0:-1] and p["has_more"]
    p = page(server, tenant, "limit=1000&since=1")
    assert p["events"] == events[1:] and not p["has_more"]


def test_since_and_before_are_exclusive(server, thirty):
    tenant, events = thirty
    assert page(server, tenant, "since=10")["events"] == events[10:]
    assert page(server, tenant, "before=10")["events"] == events[8::-1]
    assert page(server, tenant, "since=29")["events"] == events[29:]
    assert page(server, tenant, "since=30") == {"events": [], "has_more": False, "next": None}
    assert page(server, tenant, "since=0")["events"] == events
    assert page(server, tenant, "before=1") == {"events": [], "has_more": False, "next": None}
    assert page(server, tenant, "before=31")["events"] == events[::-1]
    assert page(server, tenant, "before=99999")["events"] == events[::-1]


def test_since_id(server, thirty):
    tenant, events = thirty
    for i in (0, 13, 28):
        assert page(server, tenant, f"sinceId={events[i]['id']}")["events"] == events[i + 1 :]
    assert page(server, tenant, f"sinceId={events[29]['id']}")["events"] == []
    p = page(server, tenant, f"sinceId={events[4]['id']}&limit=5")
    assert p["events"] == events[5:10] and p["has_more"] and p["next"] == "10"
    assert page(server, tenant, f"since={p['next']}&limit=5")["events"] == events[10:15]


def test_types(server, thirty):
    tenant, events = thirty
    red = [e for e in events if e["type"] == "red"]
    assert page(server, tenant, "type=red")["events"] == red[::-1]
    assert page(server, tenant, "type=red&since=0")["events"] == red
    assert page(server, tenant, "type=mauve")["events"] == []
    both = [e for e in events if e["type"] != "green"]
    assert page(server, tenant, "type=red&type=blue")["events"] == both[::-1]
    for limit in (1, 3, 4, 10):
        down, _ = walk(server, tenant, "before", f"type=red&limit={limit}")
        assert down == red[::-1]
        up, _ = walk(server, tenant, "since", f"type=red&type=blue&limit={limit}", "since=0")
        assert up == both
    # A page that takes all there are of the type has no more, whatever others come after it.
    last = red[-1]["seq"]
    p = page(server, tenant, f"type=red&since={red[-3]['seq']}&limit=2")
    assert [e["seq"] for e in p["events"]] == [red[-2]["seq"], last] and not p["has_more"]


def test_from_and_to(server, tenant):
    def later():
        """Past the millisecond of what has been stored, by the server's own clock."""
        now = server.get("/api/health").json()["timestamp"]
        return until(lambda: (t := server.get("/api/health").json()["timestamp"]) > now and t, "the clock moving on")

    first = [server.publish(tenant, "a") for _ in range(3)]
    cut = later()
    later()
    second = [server.publish(tenant, "b") for _ in range(3)]
    end = later()

    def got(**parameters):
        return page(server, tenant, urllib.parse.urlencode(parameters))["events"]

    assert got(**{"from": cut}) == second[::-1]
    assert got(to=cut) == first[::-1]
    assert got(**{"from": cut, "to": end}) == second[::-1]
    assert got(**{"from": end}) == []
    assert got(to="2001-01-01T00:00:00Z") == []
    assert got(**{"from": "2001-01-01T00:00:00Z", "to": "2999-12-31T23:59:59.999999Z"}) == (first + second)[::-1]
    assert got(**{"from": "2001-01-01T00:00:00Z", "since": 0}) == first + second
    # The same instant, written with another offset.
    moment = datetime.datetime.fromisoformat(cut.replace("Z", "+00:00"))
    there = moment.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30))).isoformat(
        timespec="milliseconds"
    )
    assert got(**{"from": there}) == second[::-1]
    # An event's own time is inside both ways.
    stamp = first[0]["timestamp"]
    assert first[0] in got(**{"from": stamp, "to": stamp})


def test_search(server, tenant):
    events = [
        server.publish(tenant, "a Needle in the hay"),
        server.publish(tenant, "only hay"),
        server.publish(tenant, "hay", metadata={"where": ["here", {"what": "needle"}]}),
        server.publish(tenant, metadata={"what": "Gr\u00fc\u00dfe <&>"}),
    ]

    def found(query):
        return [e["seq"] for e in walk(server, tenant, "since", query, "since=0")[0]]

    assert found("q=needle") == [1, 3] and found("q=needle&limit=1") == [1, 3]
    assert found("q=NEEDLE") == [1, 3] and found("q=hay") == [1, 2, 3]
    assert found("q=hay+needle") == [1, 3] and found("q=hay%20only") == [2]
    assert found("q=nothing") == [] and found("q=Gr%C3%BC%C3%9Fe") == [4]
    assert page(server, tenant, "q=needle")["events"] == [events[2], events[0]]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=abc",
        "limit=",
        "limit=1.5",
        "limit=1e2",
        "limit=99999999999999999999",
        "limit=+5",
        "limit=0x10",
        "limit=5%20",
        "since=abc",
        "since=-1",
        "since=1.5",
        "since=",
        "since=99999999999999999999999",
        "since=1x",
        "before=abc",
        "before=-1",
        "before=",
        "before=1.5",
        "before=99999999999999999999999",
        "sinceId=",
        "sinceId=abc",
        f"sinceId={NOWHERE}",
        f"sinceId={NOWHERE}&since=0",
        "order=up",
        "order=",
        "from=yesterday",
        "from=",
        "to=2026-13-01T00:00:00Z",
        "to=1",
        "from=2026-11-20",
        "from=2026-11-20T25:00:00Z",
        "since=%zz",
        "since=%",
        "type=%ff",
        "limit=5%00",
    ],
)
def test_bad_parameters(server, thirty, query):
    tenant, _ = thirty
    for path in LISTS:
        problem(server.get(f"{path}?{query}", tenant), 400, "bad_request")


def test_since_and_since_id_together(server, thirty):
    tenant, events = thirty
    problem(server.get(f"/events?since=1&sinceId={events[0]['id']}", tenant), 400, "bad_request")


def test_percent_encoding_is_decoded(server, thirty):
    tenant, events = thirty
    assert page(server, tenant, "%6cimit=%32")["events"] == events[:-3:-1]
    assert page(server, tenant, "type=%72ed&limit=1")["events"] == [events[27]]
    r = server.get(f"/%65vents?limit=1&tenant=%{ord(tenant[0]):02x}{tenant[1:]}")
    assert r.status == 200 and r.json()["events"] == [events[29]]


def test_head_of_a_list(server, thirty):
    tenant, _ = thirty
    for path in LISTS:
        get = server.get(path, tenant)
        head = server.request("HEAD", path, {"X-Tenant-ID": tenant})
        assert head.status == 200 and head.body == b""
        assert head.header("Content-Length") == str(len(get.body))
        assert head.header("Content-Type") == get.header("Content-Type")


@pytest.mark.parametrize("path", LISTS)
def test_one_event(server, thirty, path):
    tenant, events = thirty
    for e in (events[0], events[17], events[29]):
        r = server.get(f"{path}/{e['id']}", tenant)
        assert r.status == 200 and r.json() == e
        head = server.request("HEAD", f"{path}/{e['id']}", {"X-Tenant-ID": tenant})
        assert head.status == 200 and head.header("Content-Length") == str(len(r.body))
    for missing in (NOWHERE, "abc", "1", events[0]["id"][:-1], events[0]["id"] + "0", events[0]["id"] + "/x"):
        problem(server.get(f"{path}/{missing}", tenant), 404, "not_found")
    problem(server.get(f"{path}/{events[0]['id']}"), 401, "unauthorized")


def check_stats(server, tenant, path="/api/v1/events/stats"):
    r = server.get(path, tenant)
    assert r.status == 200, r
    s = r.json()
    need = {"tenant_id", "total", "by_type", "last_seq", "first_seq", "last_event_at", "connections", "rate_1m"}
    assert need <= set(s), s
    assert s["tenant_id"] == tenant and type(s["total"]) is int
    assert s["total"] == sum(s["by_type"].values())
    assert type(s["connections"]) is int and s["connections"] >= 0
    assert isinstance(s["rate_1m"], (int, float)) and s["rate_1m"] >= 0
    return s


@pytest.mark.parametrize("path", [f"{p}/stats" for p in LISTS])
def test_stats(server, thirty, path):
    tenant, events = thirty
    s = check_stats(server, tenant, path)
    assert s["total"] == 30 and s["by_type"] == {"red": 10, "green": 10, "blue": 10}
    assert s["first_seq"] == 1 and s["last_seq"] == 30 and s["last_event_at"] == events[-1]["timestamp"]
    assert (
        s["rate_1m"] > 0
        or time.time() - datetime.datetime.fromisoformat(events[-1]["timestamp"][:-1] + "+00:00").timestamp() > 50
    )
    problem(server.get(path), 401, "unauthorized")


def test_stats_of_nothing(server, tenant):
    s = check_stats(server, tenant)
    assert s["total"] == 0 and s["by_type"] == {} and s["last_event_at"] is None
    assert s["last_seq"] == 0 and s["first_seq"] in (0, None) and s["connections"] == 0 and s["rate_1m"] == 0


def test_stats_count_connections(server, tenant):
    clients = [server.ws(tenant), server.ws(tenant), server.sse(tenant)]
    other = server.tenant()
    until(lambda: check_stats(server, tenant)["connections"] == 3, "three connections counted")
    assert check_stats(server, other)["connections"] == 0
    clients[0].shut()
    clients[1].reset()
    clients[2].close()
    until(lambda: check_stats(server, tenant)["connections"] == 0, "no connection counted any more")


def test_what_is_no_longer_kept():
    with Server("--buffer-size", "10", store="memory:") as s:
        events = s.flood("t", (f"m{i}" for i in range(25)))
        assert [e["seq"] for e in events] == list(range(1, 26))
        kept = events[15:]
        assert page(s, "t")["events"] == kept[::-1]
        assert page(s, "t", "since=0")["events"] == kept
        assert page(s, "t", "since=3&limit=4")["events"] == kept[:4]
        assert page(s, "t", "before=16") == {"events": [], "has_more": False, "next": None}
        down, _ = walk(s, "t", "before", "limit=3")
        assert down == kept[::-1]
        stats = check_stats(s, "t")
        assert stats["total"] == 10 and stats["first_seq"] == 16 and stats["last_seq"] == 25
        problem(s.get(f"/api/v1/events/{events[0]['id']}", "t"), 404, "not_found")
        problem(s.get(f"/api/v1/events/{events[14]['id']}", "t"), 404, "not_found")
        assert s.get(f"/api/v1/events/{kept[0]['id']}", "t").json() == kept[0]
        other = s.publish("u", "x")
        assert other["seq"] == 1 and page(s, "u")["events"] == [other]


def test_cursors_hold_while_events_come(server, tenant):
    """Paging down is not disturbed by what is published above."""
    events = server.flood(tenant, (f"m{i}" for i in range(40)))
    p = page(server, tenant, "limit=10")
    out = p["events"]
    while p["has_more"]:
        server.publish(tenant, "new")
        p = page(server, tenant, f"limit=10&before={p['next']}")
        out += p["events"]
    assert out == events[::-1]


@pytest.mark.parametrize("path", ["/api/health", "/health"])
def test_health(server, thirty, path):
    tenant, _ = thirty
    r = server.get(path)
    assert r.status == 200, r
    h = r.json()
    assert (
        h["status"] == "healthy" and STAMP.fullmatch(h["timestamp"]) and isinstance(h["version"], str) and h["version"]
    )
    assert isinstance(h["uptime"], (int, float)) and h["uptime"] >= 0
    assert h["memory"]["rss"] > 1_000_000
    assert isinstance(h["connections"], int) and h["connections"] >= 1
    assert h["eventStats"]["totalEvents"] >= 30
    assert tenant in h["eventStats"]["tenantStats"], "tenantStats are shown in open mode"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes(server, path):
    assert server.get(path).status == 200
    assert server.request("HEAD", path).status == 200


def test_list_answers_are_not_cached(server, thirty):
    tenant, _ = thirty
    r = server.get("/api/v1/events", tenant)
    assert {"no-store", "no-cache", "private"} & r.tokens("Cache-Control"), r


def test_answers_are_valid_json_documents(server, thirty):
    tenant, _ = thirty
    for path in ("/api/v1/events", "/api/v1/events/stats", "/api/health", "/api/v1/tenants"):
        text = server.get(path, tenant).body.decode("utf-8")
        json.loads(
            text,
            object_pairs_hook=lambda pairs: dict(pairs)
            if len({k for k, _ in pairs}) == len(pairs)
            else pytest.fail(text),
        )
