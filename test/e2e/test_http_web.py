"""What browsers ask for: files, conditions, origins."""

import gzip
import re
from html.parser import HTMLParser

import pytest

from harness import NOWHERE, RESOURCES, Server, WebSocket, check_event, problem, refused

EVENT = b'{"message":"x"}'


@pytest.fixture(scope="module")
def server():
    with Server() as s:
        yield s


# Static files


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.inline = [], []

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag == "script":
            if a.get("src"):
                self.found.append(a["src"])
            else:
                self.inline.append(tag)
        if tag == "link" and a.get("href"):
            self.found.append(a["href"])
        if tag == "img" and a.get("src"):
            self.found.append(a["src"])
        self.inline += [k for k in a if k.startswith("on") or k == "style"]


def static_files(server):
    page = server.get("/")
    assert page.status == 200 and page.header("Content-Type").lower().replace(" ", "") == "text/html;charset=utf-8"
    links = Links()
    links.feed(page.body.decode("utf-8"))
    assert not links.inline, f"inline script or style: {links.inline}"
    assert links.found
    return ["/"] + ["/" + link.lstrip("./") for link in links.found]


def test_the_page_and_its_files(server):
    kinds = {
        "js": r"(text|application)/javascript",
        "mjs": r"(text|application)/javascript",
        "css": "text/css",
        "svg": r"image/svg\+xml",
        "ico": "image/",
        "png": "image/png",
        "json": "application/",
        "webmanifest": "application/",
    }
    seen = set()
    for path in static_files(server)[1:]:
        assert "//" not in path, f"a foreign origin: {path}"
        r = server.get(path)
        assert r.status == 200 and r.body, (path, r)
        ending = path.split("?")[0].rpartition(".")[2]
        assert re.match(kinds[ending], r.header("Content-Type")), r
        seen.add(ending)
    assert seen & {"js", "mjs"} and "css" in seen


def test_etags_and_conditions(server):
    for path in static_files(server):
        r = server.request("OPTIONS", path)
        assert r.status in (200, 204) and {"get", "head", "options"} <= r.tokens("Allow")
        problem(server.request("POST", path, None, b"x"), 405, "method_not_allowed")
        r = server.get(path)
        etag = r.header("ETag")
        assert re.fullmatch(r'(W/)?"[\x21\x23-\x7e]+"', etag or ""), r
        weak = etag if etag.startswith("W/") else "W/" + etag
        for condition in (etag, weak, "*", f'"other", {etag}', f'"a","b" , {weak}'):
            cond = server.get(path, headers={"If-None-Match": condition})
            assert cond.status == 304 and cond.body == b"" and cond.header("ETag") == etag, (condition, cond)
        for condition in ('"other"', etag.replace('"', '"x', 1), ""):
            again = server.get(path, headers={"If-None-Match": condition})
            assert again.status == 200 and again.body == r.body
        head = server.request("HEAD", path)
        assert head.status == 200 and head.header("ETag") == etag and head.header("Content-Length") == str(len(r.body))
        assert server.request("HEAD", path, {"If-None-Match": etag}).status == 304


def test_gzip(server):
    squeezed = 0
    for path in static_files(server):
        plain = server.get(path)
        assert plain.header("Content-Encoding") is None
        for accept in (
            "gzip",
            "gzip, deflate, br",
            "br;q=1.0, gzip;q=0.8, *;q=0.1",
            "*",
            "GZIP",
            "deflate, gzip ; q=0.5",
        ):
            r = server.get(path, headers={"Accept-Encoding": accept})
            assert r.status == 200
            if r.header("Content-Encoding") is None:
                assert r.body == plain.body  # too small to be worth it
                continue
            assert r.header("Content-Encoding") == "gzip" and gzip.decompress(r.body) == plain.body
            assert "accept-encoding" in r.tokens("Vary") and "accept-encoding" in plain.tokens("Vary")
            if not plain.header("ETag").startswith("W/"):
                assert r.header("ETag") != plain.header("ETag"), "two representations, one strong ETag"
            assert (
                server.get(path, headers={"Accept-Encoding": accept, "If-None-Match": r.header("ETag")}).status == 304
            )
            squeezed += 1
        for accept in ("", "identity", "gzip;q=0", "gzip;q=0.0, *;q=0.5", "gzip;q=0.000", "br", "*;q=0", "xgzip"):
            r = server.get(path, headers={"Accept-Encoding": accept})
            assert r.status in (200, 406)
            if r.status == 200:
                assert r.header("Content-Encoding") is None and r.body == plain.body, (accept, r)
    assert squeezed, "nothing is ever compressed"


def test_csp_allows_the_page_to_connect(server):
    policy = server.get("/").header("Content-Security-Policy")
    directives = {d.split()[0]: d.split()[1:] for d in policy.split(";") if d.strip()}
    connect = directives.get("connect-src", directives.get("default-src"))
    assert "'self'" in connect
    assert "'self'" in directives.get("script-src", directives.get("default-src"))
    assert "*" not in policy


def test_csp_allows_what_is_no_page_nothing(server):
    for path in ("/js/main.js", "/health", "/nowhere"):
        assert server.get(path).header("Content-Security-Policy") == "default-src 'none'; frame-ancestors 'none'"


# Cross-origin


ORIGIN, OTHER = "https://app.example", "https://evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-tenant-id"}


def cors_headers(r):
    return [(k, v) for k, v in r.headers if k.lower().startswith("access-control-")]


def test_no_cors_by_default(server):
    for method, path in (
        ("GET", "/api/v1/events"),
        ("GET", "/livez"),
        ("OPTIONS", "/api/v1/events"),
        ("GET", "/nowhere"),
        ("GET", "/"),
    ):
        r = server.request(method, path, {"Origin": ORIGIN, "X-Tenant-ID": "tenant_a", **PREFLIGHT})
        assert cors_headers(r) == [], r


def test_cors_for_listed_origins():
    with Server("--cors-origin", ORIGIN, "--cors-origin", "http://localhost:3000") as s:
        for origin in (ORIGIN, "http://localhost:3000"):
            for method, path, status in (
                ("GET", "/api/v1/events", 200),
                ("GET", "/nowhere", 404),
                ("POST", "/events", 415),
                ("GET", "/events?limit=0", 400),
            ):
                r = s.request(
                    method, path, {"Origin": origin, "X-Tenant-ID": "tenant_a"}, b"x" if method == "POST" else None
                )
                assert r.status == status
                assert r.header("Access-Control-Allow-Origin") == origin, r
                assert "origin" in r.tokens("Vary"), r
            r = s.request("GET", "/api/v1/events", {"Origin": origin})
            assert r.status == 401 and r.header("Access-Control-Allow-Origin") == origin
            for path in ("/events", "/api/v1/events", "/api/v1/events/stats", f"/api/v1/events/{NOWHERE}"):
                r = s.request("OPTIONS", path, {"Origin": origin, **PREFLIGHT})
                assert r.status in (200, 204) and r.header("Access-Control-Allow-Origin") == origin, r
                assert "get" in r.tokens("Access-Control-Allow-Methods"), r
                if RESOURCES.get(path, {"POST"}) >= {"POST"}:
                    assert "post" in r.tokens("Access-Control-Allow-Methods"), r
                allowed = r.tokens("Access-Control-Allow-Headers")
                assert {"content-type", "traceparent", "x-tenant-id"} <= allowed, r
                assert "origin" in r.tokens("Vary"), r
        sse = s.sse("tenant_a", headers={"Origin": ORIGIN})
        assert sse.response.header("Access-Control-Allow-Origin") == ORIGIN
        for origin in (
            OTHER,
            "null",
            ORIGIN + ".evil.example",
            ORIGIN + ":444",
            "http://app.example",
            "https://APP",
            ORIGIN + "/",
            "",
        ):
            for method in ("GET", "OPTIONS"):
                r = s.request(method, "/api/v1/events", {"Origin": origin, "X-Tenant-ID": "tenant_a", **PREFLIGHT})
                assert r.header("Access-Control-Allow-Origin") is None, (origin, r)
        assert s.get("/api/v1/events", "tenant_a").header("Access-Control-Allow-Origin") is None


def test_cors_for_everybody():
    with Server("--cors-origin", "*") as s:
        for origin in (ORIGIN, OTHER):
            r = s.request("GET", "/api/v1/events", {"Origin": origin, "X-Tenant-ID": "tenant_a"})
            assert r.header("Access-Control-Allow-Origin") in ("*", origin)
            assert r.header("Access-Control-Allow-Credentials") is None, "credentials for everybody"
            r = s.request("OPTIONS", "/api/v1/events", {"Origin": origin, **PREFLIGHT})
            assert r.header("Access-Control-Allow-Origin") in ("*", origin)


def test_header_injection(server):
    """Nothing that a client sends can break a header line of the answer (the client here would notice)."""
    for value in ("/nowhere%0d%0aX-Evil:%201", "/events/%0d%0aSet-Cookie:a=b", "/events?since=%0d%0a%0d%0a<html>"):
        r = server.get(value, "tenant_a")
        assert r.status >= 400 and r.header("X-Evil") is None and r.header("Set-Cookie") is None


def test_websocket_handshake_after_other_requests(server):
    """An upgrade on a connection that has been used, and one with a pipelined request before it."""
    tenant = server.tenant()
    e = check_event(server.post(tenant, EVENT).json(), tenant)
    c = server.http()
    key = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    c.send(c.build("GET", f"/events/{e['id']}", {"X-Tenant-ID": tenant}) + c.build("GET", f"/ws?tenant={tenant}", key))
    assert c.response().json() == e
    r = c.head()
    assert r.status == 101 and r.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert refused(WebSocket, server.port, "/ws?tenant=-").status == 401
