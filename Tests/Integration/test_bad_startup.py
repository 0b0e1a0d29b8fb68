"""Garbage, lies and half sentences before login (the A cases that need more than bytes).

A clear end for the one concerned, nobody else hurt; the rest of the A cases are rows of hostile_cases.py.
"""

import os
import time

import pytest

from waiting import eventually
from wire import GSS_REQUEST, PROTOCOL_3_0, SSL_REQUEST, Closed, Wire, errors, packet, startup


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
