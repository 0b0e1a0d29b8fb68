"""Servers that break the protocol (the H cases): the client hears its own answer or an end, the next one is served.

Clients A and B share one server slot. A asks; the fake server answers and misbehaves on its first connection only;
then B asks and must get B's answer, whatever A went through.
"""

import struct

import pytest

from fakeserver import READY, WELCOME, FakeServer, error, result
from machine import PORTS
from wire import Closed, Refused, Wire, errors, message, query, raw, rows, startup

NOTICE = message("N", b"SNOTICE\0C00000\0Mpsst\0\0")
STATUS = message("S", b"TimeZone\0Mars\0")
NOTIFICATION = message("A", struct.pack("!I", 1) + b"channel\0payload\0")
GOOD = result("for A") + READY
OURS = pytest.mark.ours

# name, what the server says to A on its first connection, what A may hear: "answer", "end" or both
BEHIND = [
    pytest.param(GOOD + READY, "answer", id="H1 extra ready", marks=OURS),
    pytest.param(GOOD + result("FOREIGN") + READY, "answer", id="H2 extra result", marks=OURS),
    pytest.param(GOOD + error("XX000", "late"), "answer", id="H3 late error", marks=OURS),
    pytest.param(GOOD + error("57P01", "going down", "FATAL"), "answer", id="H4 late fatal", marks=OURS),
    pytest.param(GOOD + NOTICE, "answer", id="H5 notice", marks=OURS),
    pytest.param(GOOD + STATUS, "answer", id="H6 parameter status", marks=OURS),
    pytest.param(GOOD + NOTIFICATION, "answer", id="H7 notification"),
    pytest.param(GOOD + b"T\0\0\0", "answer", id="H8 four bytes more", marks=OURS),
    pytest.param(GOOD + message("!"), "answer", id="H9 unknown type", marks=OURS),
    pytest.param(GOOD + message("R", b"\0\0\0\3"), "answer", id="H10 authentication request", marks=OURS),
    pytest.param(GOOD + message("K", b"12345678"), "answer", id="H11 key data", marks=OURS),
    pytest.param(GOOD + raw(b"T", 3), "answer", id="H12 length 3", marks=OURS),
    pytest.param(message("E", b"SERROR\0Mno code\0\0") + READY, "error", id="H13 error without code"),
    pytest.param(result("for A") + message("Z", b"X"), "end", id="H14 status X", marks=OURS),
    pytest.param(result("for A") + raw(b"Z", 8, b"IIII"), "end", id="H15 long ready", marks=OURS),
    pytest.param(READY, "end", id="H16 bare ready", marks=OURS),
    pytest.param(message("G", b"\0\0\0") + GOOD, "end", id="H20 copy in without copy", marks=OURS),
    pytest.param(message("W", b"\0\0\0") + GOOD, "end", id="H21 copy both", marks=OURS),
]


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


@pytest.mark.parametrize("said, heard", BEHIND)
def test_something_is_wrong_with_the_answer(before, said, heard):
    """A gets exactly its answer, an error or an end; B gets B's answer soon; the pool is calm."""
    with FakeServer(misbehaving(said)) as server:
        pooler = before(server)
        a, b = pooler.wire(), pooler.wire()
        a.send(query("tell 'for A'"))
        try:
            answer = a.read_until()
        except Closed:
            answer = None
        if heard == "answer":
            assert answer is not None and rows(answer) == [["for A"]] and not errors(answer)
        elif heard == "error":
            assert errors(answer)[0]["M"] == "no code"
        else:
            assert answer is None or errors(answer)
        b.send(query("tell 'for B'"))
        expected = [["for A"]] if server.connections == 1 and heard == "answer" else [["for B"]]
        got = rows(b.read_until())
        assert got in ([["for B"]], expected) or (heard == "error" and server.connections == 1)
        assert [["FOREIGN"]] != got
        if heard == "answer":
            a.send(query("tell 'again'"))
            assert "FOREIGN" not in str(rows(a.read_until()))
        pooler.settle()


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
