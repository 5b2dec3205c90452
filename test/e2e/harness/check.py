"""What an event and a greeting have to look like."""

import re

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NOWHERE = "00000000-0000-4000-8000-000000000000"  # a well-formed id that no event has


def check_event(e, tenant):
    """The shape of an event in open mode, where it has no author."""
    assert set(e) <= {"id", "tenant_id", "seq", "type", "message", "metadata", "timestamp"}, e
    assert UUID4.fullmatch(e["id"]), e
    assert e["tenant_id"] == tenant, e
    assert type(e["seq"]) is int and e["seq"] >= 1, e
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", e["type"]), e
    assert "message" in e or "metadata" in e, e
    assert STAMP.fullmatch(e["timestamp"]), e
    return e


def check_hello(obj, tenant, kind=True):
    if kind:
        assert obj["type"] == "connection_established", obj
    assert obj["tenant_id"] == tenant, obj
    assert isinstance(obj["session_id"], str) and obj["session_id"], obj
    assert type(obj["seq"]) is int and obj["seq"] >= 0, obj
    assert isinstance(obj["epoch"], (str, int)) and obj["epoch"] != "", obj
    assert STAMP.fullmatch(obj["server_time"]), obj
    return obj
