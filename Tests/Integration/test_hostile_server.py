"""Servers that break the protocol (the H cases that need more than bytes; the rest are rows of hostile_cases.py).

Clients A and B share one server slot. A asks; the fake server answers and misbehaves on its first connection only;
then B asks and must get B's answer, whatever A went through.
"""

import struct

import pytest

from fakeserver import READY, WELCOME, FakeServer, error, result
from machine import PORTS
from wire import Closed, Refused, Wire, message, query, raw, rows, startup

NOTICE = message("N", b"SNOTICE\0C00000\0Mpsst\0\0")
GOOD = result("for A") + READY
OURS = pytest.mark.ours

def misbehaving(first):
    """An answer function that says `first` on the first connection and the truth afterwards."""
    return lambda sql, number: first if number == 1 else result(sql.split("'")[1]) + READY


@pytest.fixture
def before(make_pooler):
    """Factory: a pooler with one slot before a fake server."""

    def make(server, **settings):
        return make_pooler(
            databases={"app": f"host=127.0.0.1 port={server.port}"}, default_pool_size=1, query_wait_timeout=8, **settings
        )

    return make


@pytest.mark.parametrize(
    "part", [
        pytest.param(b"D" + struct.pack("!IHi", 1000, 1, 990) + b"half a row", id="H17 inside a row", marks=OURS),
        pytest.param(b"C" + struct.pack("!I", 13) + b"SEL", id="H18 inside the tag", marks=OURS),
        pytest.param(b"", id="between messages"),
        pytest.param(b"T\0", id="inside a header", marks=OURS),
    ],
)
def test_server_dies_while_it_answers(before, part):
    """The client never gets pooler text inside a message of the server; others are served (H17, H18)."""
    with FakeServer(misbehaving((result("first")[:-14] + part, "close"))) as server:
        pooler = before(server)
        a, b = pooler.wire(), pooler.wire()
        a.send(query("tell 'x'"))
        heard = b""
        try:
            while chunk := a.socket.recv(65536):
                heard += chunk
        except ConnectionError:
            pass
        # What of a message has reached the client is followed by nothing; what has not may be replaced by our text.
        if len(part) > 5 and part in heard:
            assert heard.endswith(part)
        assert rows(b.query("tell 'for B'")) == [["for B"]]
        pooler.settle()


def test_row_that_never_comes(before):
    """A row that claims two gigabytes takes no memory; query_timeout frees the slot (H19)."""
    huge = b"D" + struct.pack("!IHi", 0x7FFFFFF0, 1, 0x7FFFFFE0) + b"start"
    with FakeServer(misbehaving(result("x")[:30] + huge)) as server:
        pooler = before(server, query_timeout=2)
        a, b = pooler.wire(), pooler.wire()
        before_bytes = pooler.resident_bytes()
        a.send(query("tell 'x'"))
        a.read_all()
        assert rows(b.query("tell 'for B'")) == [["for B"]]
        assert pooler.resident_bytes() - before_bytes < 8_000_000
        pooler.settle()


def test_very_many_notices(before):
    """A hundred thousand notices inside one answer are streamed (H22)."""
    with FakeServer(misbehaving(NOTICE * 100_000 + GOOD)) as server:
        pooler = before(server)
        a = pooler.wire()
        base = pooler.resident_bytes()
        answer = a.query("tell 'x'")
        assert len(answer) == 100_004 and rows(answer) == [["for A"]]
        assert pooler.resident_bytes() - base < 8_000_000
        pooler.settle()


LOGIN = [
    pytest.param(message("E", b"SFATAL\0Mno code\0\0"), id="H23 error without code"),
    pytest.param(message("R", b"\0\0\0\x0aSCRAM-SHA-1\0\0"), id="H24 unknown mechanism"),
    pytest.param(message("R", b"\0\0\0\x0b" + b"r=" + b"n" * 10_000), id="H24 continue without start"),
    pytest.param(message("R", b"\0\0\0\x63"), id="unknown request"),
    pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="H30 not PostgreSQL"),
    pytest.param(raw(b"R", 3), id="length 3"),
    pytest.param(raw(b"R", 0x7FFFFFFF), id="length 2 GiB"),
    pytest.param(error("53300", "sorry, too many clients already", "FATAL"), id="H33 too many clients"),
    pytest.param(error("3D000", "no such database", "FATAL"), id="H33 no such database"),
]


@pytest.mark.parametrize("welcome", LOGIN)
def test_strange_logins(before, welcome):
    """A login that goes wrong is an error or an end for those who wait, within the timeouts; the pooler stays."""
    with FakeServer(misbehaving(GOOD), welcome) as server:
        pooler = before(server, server_connect_timeout=2, server_login_retry=1)
        with Wire(pooler.port) as wire, pytest.raises((Refused, Closed)):
            wire.login()
        assert server.connections < 20
        pooler.settle(servers=0)
        assert pooler.admin("SHOW VERSION")


def test_login_without_key(before):
    """A server that sends no BackendKeyData is usable; a cancel does nothing (H27)."""
    at = WELCOME.index(b"K\0\0\0\x0c")
    with FakeServer(misbehaving(GOOD), WELCOME[:at] + WELCOME[at + 13 :]) as server:
        pooler = before(server)
        wire = pooler.wire()
        assert rows(wire.query("tell 'x'")) == [["for A"]]
        pooler.cancel(wire.key)
        assert rows(wire.query("tell 'x'")) == [["for A"]]


@pytest.mark.recent
def test_server_starting_up_keeps_the_waiters(make_pooler):
    """57P03 is a reason to wait, not to fail (H32)."""
    welcomes = [error("57P03", "the database system is starting up", "FATAL"), WELCOME]
    with FakeServer(lambda sql, number: result("up") + READY, welcomes[0]) as server:
        pooler = make_pooler(
            databases={"app": f"host=127.0.0.1 port={server.port}"}, server_login_retry=1, query_wait_timeout=20
        )
        wire = pooler.bare_wire()
        wire.send(startup("trusty", "app"))
        wire.silent_for(1.5)
        server.welcome = welcomes[1]
        try:
            wire.finish_login("trusty")
        except (Refused, Closed):
            pytest.fail("a waiter was dropped while the server was starting up")
        assert rows(wire.query("tell 'x'")) == [["up"]]


def test_nobody_listens_then_somebody_does(make_pooler):
    """After an outage new logins work within the retry time."""
    port = PORTS.free()
    pooler = make_pooler(databases={"app": f"host=127.0.0.1 port={port}"}, server_login_retry=1, query_wait_timeout=3)
    with Wire(pooler.port) as wire, pytest.raises((Refused, Closed)):
        wire.login()
    pooler.settle(servers=0)
