"""Garbage, lies and half sentences before login (the A cases): a clear end for the one concerned, nobody else hurt."""

import os
import struct
import time

import pytest

from waiting import eventually
from wire import (
    GSS_REQUEST, PROTOCOL_3_0, PROTOCOL_3_2, SSL_REQUEST, Closed, Wire, errors, kinds, packet, startup,
)


@pytest.fixture
def attacked(make_pooler):
    """A pooler with a bystander inside; afterwards the bystander and a newcomer must be served."""
    pooler = make_pooler(client_login_timeout=3)
    bystander = pooler.wire()
    yield pooler
    assert bystander.value("select 'unharmed'") == "unharmed"
    assert pooler.wire().value("select 'unharmed'") == "unharmed"
    pooler.settle()


def end_of(pooler, data):
    """Send first bytes, read until the end: errors heard."""
    with Wire(pooler.port) as wire:
        wire.send(data)
        return errors(wire.read_all())


USER = b"user\0trusty\0database\0app\0"

FATAL = [
    ("A3 length 0", struct.pack("!II", 0, PROTOCOL_3_0), "bad packet header"),
    ("A4 length 4", struct.pack("!II", 4, PROTOCOL_3_0), "bad packet header"),
    ("A5 version only", packet(PROTOCOL_3_0), ""),
    ("A6 no terminator", packet(PROTOCOL_3_0, USER), ""),
    ("A7 terminator early", packet(PROTOCOL_3_0, USER + b"\0junk"), ""),
    ("A8 key without value", packet(PROTOCOL_3_0, USER + b"options\0"), ""),
    ("A9 no user", packet(PROTOCOL_3_0, b"database\0app\0\0"), "no username supplied"),
    ("A10 empty user", packet(PROTOCOL_3_0, b"user\0\0database\0app\0\0"), "no username supplied"),
    ("A11 protocol 2", packet(131072, USER + b"\0"), "old V2 protocol not supported"),
    ("A12 protocol 4", packet(4 << 16, USER + b"\0"), "bad packet header"),
    ("A15 code 1234.9999", packet(1234 << 16 | 9999), "bad packet header"),
    ("A19 length 16 MiB", struct.pack("!II", 0x00FFFFFF, PROTOCOL_3_0), "bad packet header"),
    ("A19 length 2 GiB", struct.pack("!II", 0x7FFFFFFF, PROTOCOL_3_0), "bad packet header"),
    ("A19 length negative", struct.pack("!II", 0xFFFFFFFF, PROTOCOL_3_0), "bad packet header"),
    ("A37 long user", startup("u" * 200, "app"), "username too long"),
    ("C2 password first", b"p" + struct.pack("!I", 10) + b"secret", ""),
]


WAITED_FOR_MORE_IN_1_18 = ("A6", "A7", "A8")


def marks(name):
    """Cases that Debian's PgBouncer does not answer."""
    return [pytest.mark.recent] if name.split()[0] in WAITED_FOR_MORE_IN_1_18 else []


@pytest.mark.parametrize("data, text", [pytest.param(d, t, id=i, marks=marks(i)) for i, d, t in FATAL])
def test_refused(attacked, data, text):
    """Ends at once; where something is said it is PgBouncer's sentence."""
    heard = end_of(attacked, data)
    assert all(e["S"] == "FATAL" for e in heard)
    if text and heard:
        assert text in heard[-1]["M"]


GARBAGE = [
    ("A20 HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("A21 ClientHello", bytes.fromhex("16030100c8010000c40303") + bytes(200)),
    ("A22 SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("A22 SMTP", b"EHLO there\r\n"),
    ("A22 Redis", b"*1\r\n$4\r\nPING\r\n"),
    ("A22 MySQL", bytes.fromhex("4a0000000a382e30")),
    ("A22 random", bytes(range(255, -1, -1)) * 256),
    ("C3 query first", b"Q" + struct.pack("!I", 13) + b"select 1\0"),
]


@pytest.mark.parametrize("data", [pytest.param(d, id=i) for i, d in GARBAGE])
def test_garbage_is_closed(attacked, data):
    """What is not PostgreSQL is closed within the login timeout."""
    with Wire(attacked.port) as wire:
        try:
            wire.send(data)
            heard = wire.socket.recv(4096)
            while heard and wire.socket.recv(4096):
                pass
        except ConnectionError:
            pass


@pytest.mark.parametrize("size", [10_001, 65_000, 70_000])
@pytest.mark.ours
def test_startup_of_more_than_ten_thousand_bytes(attacked, size):
    """PostgreSQL's own limit holds: a FATAL the client can read (A16 to A18)."""
    body = USER + b"application_name\0" + b"x" * (size - len(USER) - 27) + b"\0\0"
    assert end_of(attacked, packet(PROTOCOL_3_0, body))[-1]["S"] == "FATAL"


@pytest.mark.recent
def test_startup_larger_than_a_buffer(pooler):
    """Nine thousand bytes are fine (A41)."""
    wire = pooler.wire(application_name="n" * 9000)
    assert wire.value("select 1") == "1"


@pytest.mark.recent
@pytest.mark.parametrize("protocol", [PROTOCOL_3_2, 3 << 16 | 9999])
def test_newer_protocols_are_negotiated(pooler, protocol):
    """3.2 and grease get NegotiateProtocolVersion or are simply spoken (A13, A14)."""
    wire = pooler.bare_wire()
    wire.send(startup("trusty", "app", protocol=protocol))
    order = kinds(wire.finish_login("trusty"))
    assert order.lstrip("v")[0] == "R"
    assert wire.value("select 1") == "1"


@pytest.mark.recent
def test_unknown_protocol_option_is_listed(pooler):
    """_pq_. options we do not know are named (A29)."""
    wire = pooler.bare_wire()
    wire.send(packet(PROTOCOL_3_0, USER + b"_pq_.unheard_of\0yes\0\0"))
    said = [m for m in wire.finish_login("trusty") if m.kind == "v"]
    assert said and b"_pq_.unheard_of" in said[0].body


@pytest.mark.parametrize("code", [SSL_REQUEST, pytest.param(GSS_REQUEST, marks=pytest.mark.recent)])
def test_encryption_requests_are_declined(pooler, code):
    """Without TLS both requests are answered N, and the login goes on (B1, B3)."""
    wire = pooler.bare_wire()
    wire.send(packet(code))
    assert wire.read_bytes(1) == b"N"
    wire.login()
    assert wire.value("select 1") == "1"


@pytest.mark.parametrize("code", [SSL_REQUEST, pytest.param(GSS_REQUEST, marks=pytest.mark.recent)])
def test_bytes_behind_an_encryption_request(attacked, code):
    """Anything sent before our answer ends the connection: it might have been injected (B2, B4)."""
    with Wire(attacked.port) as wire:
        wire.send(packet(code) + startup("trusty", "app"))
        rest = b""
        try:
            while chunk := wire.socket.recv(4096):
                rest += chunk
        except ConnectionError:
            pass
    assert b"received unencrypted data" in rest or not rest.strip(b"N")


@pytest.mark.ours
@pytest.mark.parametrize("code", [SSL_REQUEST, GSS_REQUEST])
def test_each_encryption_request_once(attacked, code):
    """The same request twice is refused (B6)."""
    with Wire(attacked.port) as wire:
        wire.send(packet(code))
        assert wire.read_bytes(1) == b"N"
        wire.send(packet(code))
        assert errors(wire.read_all())[-1]["S"] == "FATAL"


@pytest.mark.parametrize("kind", ["whole", pytest.param("bytes", marks=pytest.mark.recent)])
def test_slow_startup(pooler, kind):
    """A startup message that comes byte by byte is a startup message (A24)."""
    wire, message = pooler.bare_wire(), startup("trusty", "app")
    if kind == "whole":
        wire.send(message)
    else:
        for byte in message:
            wire.send(bytes([byte]))
            time.sleep(0.002)
    wire.finish_login("trusty")
    assert wire.value("select 1") == "1"


def test_startup_twice(make_pooler, backend):
    """A second startup during login ends it (A23)."""
    pooler = make_pooler(auth_type="plain", databases={"app": backend + " user=trusty"}, secrets={"trusty": "pw"})
    with Wire(pooler.port) as wire:
        wire.send(startup("trusty", "app"))
        assert wire.read().kind == "R"
        wire.send(startup("trusty", "app"))
        assert errors(wire.read_all())[-1]["S"] == "FATAL"


def test_many_half_open_logins(make_pooler):
    """Two hundred connections that say nothing do not keep a client out, and are gone after the timeout."""
    pooler = make_pooler(client_login_timeout=2, max_client_conn=500)
    silent = [Wire(pooler.port) for _ in range(200)]
    assert pooler.wire().value("select 1") == "1"
    for wire in silent[:100]:
        wire.send(b"\0\0")
    eventually(lambda: all(_ended(wire) for wire in silent[:100]), "half logins are closed", every=0.2)
    for wire in silent:
        wire.close()


def _ended(wire):
    """Whether the connection has ended by now."""
    wire.socket.setblocking(False)
    try:
        while wire.socket.recv(4096):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_reset_before_a_word(attacked):
    """Connections reset at once cost nothing (A45)."""
    for _ in range(50):
        Wire(attacked.port).reset()


def test_random_first_bytes(attacked):
    """Two hundred random greetings."""
    for size in range(1, 200):
        with Wire(attacked.port) as wire:
            try:
                wire.send(os.urandom(size))
            except (ConnectionError, Closed):
                pass


def test_log_holds_no_control_bytes(attacked):
    """A name cannot forge a line of the log (A40)."""
    end_of(attacked, packet(PROTOCOL_3_0, b"user\0a\n2030-01-01 FORGED\x1b[31m\rb\0database\0app\0\0"))
    assert not any(line.startswith("2030") for line in attacked.log.splitlines())


@pytest.mark.ours
def test_log_escapes_control_bytes(attacked):
    """Escape and carriage return do not reach the log raw."""
    end_of(attacked, packet(PROTOCOL_3_0, b"user\0a\x1b[31m\rb\0database\0app\0\0"))
    assert "\x1b" not in attacked.log and "\r" not in attacked.log
