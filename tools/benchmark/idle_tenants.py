"""Tenants that are there and do nothing: made over HTTP, and what they cost in memory."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable

BATCH = 500  # requests that are sent at a time: few enough that the server's answers wait in its buffers


def resident(pid: int) -> int:
    """Bytes that the process has in memory."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        found = re.search(r"VmRSS:\s*(\d+) kB", file.read())
    return int(found[1]) * 1024 if found else 0


def request_each(connection: socket.socket, names: Iterable[str]) -> None:
    """One request for each name. An answer to HEAD ends with its headers."""
    sent = b"".join(
        f"HEAD /api/v1/events?limit=1 HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: {name}\r\n\r\n".encode()
        for name in names
    )
    expected = sent.count(b"\r\n\r\n")
    connection.sendall(sent)
    answers = bytearray()
    while answers.count(b"\r\n\r\n") < expected:
        part = connection.recv(1 << 20)
        if not part:
            raise OSError("the server hung up")
        answers += part
    if answers.count(b"HTTP/1.1 200 ") != expected:
        raise OSError("the server refused a tenant")


def register(port: int, pid: int, count: int) -> dict[str, float]:
    """Makes that many tenants by a request each; returns what memory grew by."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        request_each(connection, ["first"] * BATCH)
        before = resident(pid)
        for start in range(0, count, BATCH):
            request_each(connection, (f"idle-{number}" for number in range(start, min(start + BATCH, count))))
        after = resident(pid)
    return {"tenants": count, "rss_before": before, "rss_after": after, "bytes_per_tenant": (after - before) / count}
