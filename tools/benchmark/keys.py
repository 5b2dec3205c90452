"""Tenants that let publishers in by API key: made over the interface, as an administrator makes them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator

from servers import ServerError, fresh_folder

PATIENCE = 30.0  # seconds that an answer may take


def make(port: int, admin_key: str, count: int) -> list[str]:
    """Makes the tenants that carillon-load publishes to, t0, t1, …; returns a key of each."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        return [make_one(connection, admin_key, f"t{number}") for number in range(count)]
    except (http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise ServerError(f"it made no tenant: {type(error).__name__}") from None
    finally:
        connection.close()


def make_one(connection: http.client.HTTPConnection, admin_key: str, name: str) -> str:
    headers = {"Authorization": f"Bearer {admin_key}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/tenants", json.dumps({"id": name}), headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 201:
        raise ServerError(f"it made no tenant {name}: {answer.status}")
    return str(json.loads(body)["api_key"])


@contextlib.contextmanager
def shown(port: int, admin_key: str | None, count: int) -> Iterator[list[str]]:
    """Makes so many tenants, and tells the flags by which carillon-load shows their keys, for the length of a `with`
    block; none without an administrator's key. They name a file, which nobody else can read, as they could a command
    line."""
    if admin_key is None:
        yield []
        return
    keys = make(port, admin_key, count)
    with fresh_folder() as folder:
        path = folder / "keys"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.writelines(f"{key}\n" for key in keys)
        yield ["--keys", str(path)]
