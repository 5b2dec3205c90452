"""Pages of other origins: a handshake over WebSocket and Socket.IO is held to --cors-origin; a stream is the browser's to
refuse, which is told by the headers."""

import pytest

from harness import Polling, Refused, Server, WebSocket, join, problem, refused_as

SIO = "/socket.io/?EIO=4&tenant=t&transport="
PAGE = "https://page.example"


def websocket(server, headers):
    """The status that a WebSocket gets; 101 where it was let in."""
    try:
        server.keep(WebSocket(server.port, "/ws?tenant=t", headers=headers))
    except Refused as refused:
        if refused.response.status == 403:
            problem(refused.response, 403, "forbidden")
        return refused.response.status
    return 101


def socketio(server, headers):
    try:
        server.keep(WebSocket(server.port, SIO + "websocket", headers=headers))
    except Refused as refused:
        refused_as(refused.response, 4)
        return refused.response.status
    return 101


def polling(server, headers):
    http = server.http()
    r = http.request("GET", SIO + "polling", headers)
    http.close()
    if r.status == 403:
        refused_as(r, 4)
    return 101 if r.status == 200 else r.status


def own(server):
    return f"http://127.0.0.1:{server.port}"


def verdicts(server):
    """Origins, and whether a server that lists PAGE lets them in."""
    return [
        ({}, True),
        ({"Origin": own(server)}, True),
        ({"Origin": own(server).upper()}, True),
        ({"Origin": PAGE}, True),
        ({"Origin": PAGE + ":8443"}, False),
        ({"Origin": PAGE.replace("https", "http")}, False),
        ({"Origin": PAGE + ".evil.example"}, False),
        ({"Origin": "https://evil-page.example"}, False),
        ({"Origin": f"http://127.0.0.1:{server.port + 1}"}, False),
        ({"Origin": "http://127.0.0.1"}, False),
        ({"Origin": f"http://evil.example:{server.port}"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "*"}, False),
    ]


@pytest.mark.parametrize("door", [websocket, socketio, polling])
def test_handshakes(door):
    with Server("--threads", "2", "--cors-origin", PAGE) as s:
        for headers, let_in in verdicts(s):
            assert door(s, headers) == (101 if let_in else 403), headers


@pytest.mark.parametrize("door", [websocket, socketio, polling])
def test_with_no_list_and_with_all(door):
    with Server("--threads", "2") as s:
        assert door(s, {}) == door(s, {"Origin": own(s)}) == 101
        assert door(s, {"Origin": PAGE}) == 403
    with Server("--threads", "2", "--cors-origin", "*") as s:
        for origin in (PAGE, "null", own(s)):
            assert door(s, {"Origin": origin}) == 101


def test_every_request_of_a_session():
    """Who knows its id is asked all the same."""
    with Server("--threads", "2", "--cors-origin", PAGE) as s:
        session = Polling(s.port, "tenant=t", headers={"Origin": PAGE})
        assert join(session)[0] == "0"
        foreign = {"Origin": "https://evil.example"}
        http = s.http()
        refused_as(http.request("GET", session.target(), foreign), 4)
        refused_as(http.request("GET", session.target(), [("Origin", PAGE), ("Origin", PAGE)]), 4)  # which of the two?
        http.close()
        http = s.http()
        refused_as(http.request("POST", session.target(), foreign, b'42["post_event",{"message":"forged"}]'), 4)
        http.close()
        with pytest.raises(Refused) as refused:
            session.probe(headers=foreign)
        refused_as(refused.value.response, 4)
        assert session.post("41").status == 200  # it lives on
        assert s.get("/events", "t").json()["events"] == []


def test_streams_are_told_by_headers():
    with Server("--threads", "2", "--cors-origin", PAGE) as s:
        for origin, told in ((PAGE, PAGE), ("https://evil.example", None)):
            sse = s.sse("t", headers={"Origin": origin})
            assert sse.response.header("Access-Control-Allow-Origin") == told
