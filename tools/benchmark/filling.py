"""A database with many events, made quickly: over the batch resource where the server has it, or else row by row, in
the likeness of one that the server has written."""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from asking import TENANT, message
from servers import KINDS, ServerError, Start, serving

OTHERS = 1000  # tenants that share the last tenth of the events
BATCH = 1000
WAIT = 60.0  # seconds that an answer may take


def share(events: int) -> tuple[int, list[tuple[str, int]]]:
    """How many events TENANT has, and each of the others."""
    most = events * 9 // 10
    each = (events - most) // OTHERS
    return most, [(f"t{number}", each) for number in range(1, OTHERS + 1)]


def fill(start: Start, database: Path, events: int) -> str:
    """Stores that many, with a server that ends; returns the way that was gone."""
    with serving(KINDS["carillon"], start) as server, closing(connection(server.port)) as to:
        if publish(to, "/api/v1/events/batch", TENANT, [message(1)]):
            publish_all(to, events)
            return "POST /api/v1/events/batch"
        if not publish(to, "/api/v1/events", TENANT, message(1)):
            raise ServerError("an event was refused")
    insert_all(database, events)
    return "rows in the likeness of one of the server's"


def connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)


def publish(to: http.client.HTTPConnection, path: str, tenant: str, messages: str | list[str]) -> bool:
    texts = [messages] if isinstance(messages, str) else messages
    events = [{"message": text} for text in texts]
    body = json.dumps(events[0] if isinstance(messages, str) else events)
    to.request("POST", path, body, {"X-Tenant-ID": tenant, "Content-Type": "application/json"})
    answer = to.getresponse()
    answer.read()
    return answer.status == 201


def publish_all(to: http.client.HTTPConnection, events: int) -> None:
    most, others = share(events)
    for tenant, first, last in [(TENANT, 2, most), *((name, 1, count) for name, count in others)]:
        for begin in range(first, last + 1, BATCH):
            texts = [message(seq) for seq in range(begin, min(begin + BATCH, last + 1))]
            if not publish(to, "/api/v1/events/batch", tenant, texts):
                raise ServerError(f"a batch was refused, at {tenant}'s {begin}")


# Row by row

Row = dict[str, object]
NOT_SUMMED = -1  # what the server takes for a row without a sum


def rows_of(db: sqlite3.Connection, table: str) -> list[Row]:
    columns = [column[1] for column in db.execute(f"PRAGMA table_info({table})")]
    return [dict(zip(columns, row)) for row in db.execute(f"SELECT * FROM {table}")] if columns else []


def put(db: sqlite3.Connection, table: str, rows: Iterable[Row], columns: Iterable[str]) -> None:
    names = list(columns)
    sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    db.executemany(sql, (tuple(row[name] for name in names) for row in rows))


def insert_all(database: Path, events: int) -> None:
    """The database holds TENANT's first event and nothing else. What this does not know of its tables is as there."""
    most, others = share(events)
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        event, tenant, types = rows_of(db, "events"), rows_of(db, "tenants"), rows_of(db, "types")
        for row in event + tenant:
            row |= {"sum": NOT_SUMMED} if "sum" in row else {}
        mine = [row for row in tenant if row.get("id") == TENANT]
        if len(event) != 1 or len(mine) != 1:
            raise ServerError("the database is not the one of a server that has stored one event")
        number = mine[0]["n"]
        assert isinstance(number, int)
        taken = max(int(str(row["n"])) for row in tenant)
        numbered = [(taken + place, name, count) for place, (name, count) in enumerate(others, 1) if count]
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE tenants SET newest = ? WHERE n = ?", (most, number))
        put(db, "tenants", (mine[0] | {"n": n, "id": name, "newest": count} for n, name, count in numbered), mine[0])
        put(db, "events", events_like(event[0], number, 2, most), event[0])
        for n, _, count in numbered:
            put(db, "events", events_like(event[0], n, 1, count), event[0])
        for row in types:
            db.execute("UPDATE types SET count = ? WHERE tenant = ?", (most, number))
            put(db, "types", (row | {"tenant": n, "count": count} for n, _, count in numbered), row)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def events_like(event: Row, tenant: int, first: int, last: int) -> Iterator[Row]:
    content = str(event["content"])
    before, found, behind = content.partition(message(1))
    if not found:
        raise ServerError("the database keeps events in another way than is known here")
    for seq in range(first, last + 1):
        yield event | {"tenant": tenant, "seq": seq, "id": random_id(), "content": before + message(seq) + behind}


def random_id() -> bytes:
    """A UUID of version 4."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)
