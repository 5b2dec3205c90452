"""Fixtures of several files. Each file has its own `server`, with the flags it wants."""

import signal

import pytest

from harness import Process, WebSocket, program


@pytest.fixture
def tenant(server):
    return server.tenant()


@pytest.fixture
def ten(server, tenant):
    """A tenant with ten events."""
    return tenant, server.flood(tenant, (f"m{i}" for i in range(10)))


@pytest.fixture(scope="module")
def port():
    process = Process([program("ECHO_SERVER_BIN"), "--port", "0"])
    try:
        number = process.listening()
        yield number
        process.signal(signal.SIGTERM)
        code = process.wait()
        process.check(code if code in (0, -signal.SIGTERM) else 0)
    finally:
        process.kill()


@pytest.fixture
def ws(port):
    client = WebSocket(port, "/", standing=False)
    yield client
    client.close()
