"""GET /api/v1/settings: what a client has to know before it shows a credential."""

import json

from harness import Server


def test_as_it_is_by_default():
    with Server() as s:
        assert s.get("/api/v1/settings").json() == {"auth": "open", "max_message_chars": 2048, "max_body_bytes": 1 << 20}


def test_as_it_was_started(tmp_path):
    users = tmp_path / "users.json"
    users.write_text(json.dumps({"users": [{"tenant": "a", "name": "ann", "token": "token-of-ann"}]}))
    for mode, flags in ("token", ("--users", str(users))), ("key", ()):
        with Server("--max-message-chars", "7", "--max-body-bytes", "4096", *flags, auth=mode) as s:
            r = s.get("/api/v1/settings")  # by one who shows nothing
            assert r.status == 200 and r.json() == {"auth": mode, "max_message_chars": 7, "max_body_bytes": 4096}
            assert s.http().request("HEAD", "/api/v1/settings").status == 200
            r = s.http().request("POST", "/api/v1/settings")
            assert r.status == 405 and r.tokens("Allow") == {"get", "head", "options"}
