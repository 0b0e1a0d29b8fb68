"""Broken frames after login (the E and X cases): an error or the end for the sender, nobody else hurt."""

import socket
import struct
import threading

import pytest

from wire import (
    SYNC, Wire, bind, close, describe, errors, execute, kinds, message, parse, query, raw, rows, startup, cancel_request,
)


@pytest.fixture
def attacked(lone):
    """A pooler with one server and a bystander; afterwards both bystander and newcomer must be served."""
    bystander = lone.wire()
    bystander.query("select 1")
    yield lone
    assert bystander.value("select 'unharmed'") == "unharmed"
    assert lone.wire().value("select 1") == "1"
    lone.settle()


FATAL = [
    ("E1 unknown type", message("!")),
    ("E2 type zero", raw(b"\0", 4) + b"\0\0\0\0"),
    ("E3 server's type", message("T", b"\0\0")),
    ("E4 length 3", raw(b"Q", 3)),
    ("E5 length 0", raw(b"Q", 0)),
    ("E6 length -1", raw(b"Q", -1)),
    ("E7 length 2 GiB - 1", raw(b"Q", 0x7FFFFFFF)),
    ("E8 length 2 GiB", raw(b"Q", 0x80000000)),
    ("E16 startup", startup("trusty", "app")),
    ("E16 cancel", cancel_request(b"12345678")),
    ("C20 password", message("p", b"x\0")),
]


@pytest.mark.parametrize("data", [pytest.param(d, id=i) for i, d in FATAL])
def test_fatal(attacked, data):
    """FATAL and the end."""
    with Wire(attacked.port) as wire:
        wire.login()
        wire.send(data)
        heard = errors(wire.read_all())
    assert heard and heard[-1]["S"] == "FATAL"


ERRORS = [
    ("E10 query without NUL", message("Q", b"select 1"), "08P01"),
    ("E11 NUL inside", message("Q", b"select\x001\0"), "08P01"),
    ("E12 empty body", message("Q"), "08P01"),
    ("E14 sync with payload", message("S", b"payload"), "08P01"),
    ("E17 function call", message("F", struct.pack("!IHHH", 1, 0, 0, 0)), "42883"),
    ("X5 unknown portal", execute("never") + SYNC, "34000"),
    (
        "X8 parameter length -2",
        parse("select $1::text") + message("B", b"\0\0\0\0\0\1" + struct.pack("!i", -2) + b"\0\0") + SYNC,
        "08P01",
    ),
    ("X9 65535 parameters", parse("select $1::text") + message("B", b"\0\0\0\0\xff\xff\0\0") + SYNC, "08P01"),
]


@pytest.mark.parametrize("data, code", [pytest.param(d, c, id=i) for i, d, c in ERRORS])
def test_error_of_the_server(attacked, data, code):
    """PostgreSQL's own error and ReadyForQuery; the connection goes on."""
    wire = attacked.wire()
    wire.send(data)
    assert errors(wire.read_until())[0]["C"] == code
    assert wire.value("select 'on'") == "on"


def test_empty_query(attacked):
    """The empty string is a query (E13)."""
    wire = attacked.wire()
    wire.send(query(""))
    assert kinds(wire.read_until()) == "IZ"


def test_describe_of_an_unknown_kind(attacked):
    """Describe and Close of a kind that does not exist: an error, not a crash (X7)."""
    for odd in (describe("Z"), close("Z")):
        with Wire(attacked.port) as wire:
            wire.login()
            wire.send(odd, SYNC)
            assert errors(wire.read_until("ZE"))


@pytest.mark.recent
@pytest.mark.parametrize(
    "data", [message("P"), message("P", b"no nul"), message("B"), message("D"), message("C"), message("P", b"n\0sql\0\xff")],
    ids=["P-empty", "P-nul", "B-empty", "D-empty", "C-empty", "P-types"],
)
def test_unreadable_extended_messages(attacked, data):
    """Parse, Bind, Describe, Close that cannot be read: an error for the sender (X1)."""
    with Wire(attacked.port) as wire:
        wire.login()
        wire.send(data, SYNC)
        assert errors(wire.read_until("ZE"))


@pytest.mark.recent
@pytest.mark.parametrize("data", [bind(name="never") + execute(), describe("S", "never")], ids=["bind", "describe"])
def test_unknown_statement(attacked, data):
    """A statement that never was: PgBouncer ends the connection, PostgreSQL says 26000 (X2, X3)."""
    with Wire(attacked.port) as wire:
        wire.login()
        wire.send(data, SYNC)
        assert errors(wire.read_until("ZE"))[0]["C"] in ("08P01", "26000")


@pytest.mark.ours
def test_half_a_message_holds_no_server(lone):
    """A client that announces a hundred bytes and sends three does not take the only server (E9)."""
    slow, other = lone.wire(), lone.wire()
    other.query("select 1")
    slow.send(raw(b"Q", 104, b"sel"))
    assert other.value("select 'served'") == "served"


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_split_anywhere(lone, step):
    """A batch cut into tiny pieces is the same batch."""
    wire = lone.wire()
    batch = parse("select $1::text", "") + bind(["cut"]) + describe("P") + execute() + SYNC + query("select 'two'")
    for at in range(0, len(batch), step):
        wire.send(batch[at : at + step])
    answer = wire.read_until()
    assert kinds(answer) == "12TDCZ" and rows(answer) == [["cut"]]
    assert rows(wire.read_until()) == [["two"]]


def test_vanish_at_every_offset(lone, database):
    """A batch broken off after each of its bytes: executed at most once, the server never left dirty (E26)."""
    database.execute("drop table if exists once; create table once (i int unique); grant all on once to public")
    for at in range(0, 120, 5):
        batch = parse(f"insert into once values ({at})") + bind() + execute() + SYNC
        with Wire(lone.port) as wire:
            wire.login()
            wire.send(batch[:at])
    assert lone.wire().value("select count(*) = count(distinct i) from once") == "t"
    lone.settle()


def test_vanish_without_sync(lone):
    """Gone after Parse, Bind, Execute without Sync: the next one gets a clean server (E25)."""
    for part in (parse("select 1"), parse("select 1") + bind(), parse("select 1") + bind() + execute()):
        with Wire(lone.port) as wire:
            wire.login()
            wire.send(part)
        other = lone.wire()
        assert other.value("select 'clean'") == "clean"
        assert other.query("select 1")[-1].body == b"I"
    lone.settle()


def test_end_right_after_a_query(lone):
    """A client that shuts down its side right behind a query (E24)."""
    for _ in range(10):
        with Wire(lone.port) as wire:
            wire.login()
            wire.send(query("select pg_sleep(0.01)"))
            wire.socket.shutdown(socket.SHUT_WR)
    assert lone.wire().value("select 1") == "1"
    lone.settle()


FAKES = {
    "Z": b"Z" * 2_000_000,
    "E": b"E" * 2_000_000,
    "frames": b"Z\0\0\0\5I" * 300_000,
}


@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("payload", FAKES)
def test_payload_that_looks_like_protocol(lone, payload, shift):
    """Two megabytes of what looks like ReadyForQuery are only data (E29)."""
    wire, other = lone.wire(), lone.wire()
    data = b"x" * shift + FAKES[payload]
    echo = parse("select $1::text::bytea") + bind([b"\\x" + data.hex().encode()], binary=True) + execute() + SYNC
    sender = threading.Thread(target=wire.send, args=(echo,))
    sender.start()
    answer = wire.read_until()
    sender.join()
    assert kinds(answer) == "12DCZ" and answer[2].row == [data]
    assert other.value("select 1") == "1"


def test_answers_around_buffer_sizes(lone):
    """Answers just below, at and above multiples of usual buffer sizes (E30)."""
    wire = lone.wire()
    for base in (2048, 4096, 8192, 16384, 32768, 65536):
        for size in range(base - 40, base + 9, 3):
            assert wire.value(f"select repeat('x', {size})") == "x" * size


def test_queries_around_buffer_sizes(lone):
    """Queries likewise."""
    wire = lone.wire()
    for base in (2048, 4096, 8192, 16384, 65536):
        for size in range(base - 24, base + 9, 2):
            filler = "y" * (size - 24)
            assert wire.value(f"select length('{filler}')") == str(len(filler))


def test_a_query_of_thirty_megabytes(lone):
    """A huge query goes through without the pooler keeping it."""
    wire = lone.wire()
    wire.query("select 1")
    before = lone.resident_bytes()
    text = "z" * 30_000_000
    sender = threading.Thread(target=wire.send, args=(query(f"select length('{text}')"),))
    sender.start()
    assert rows(wire.read_until()) == [["30000000"]]
    sender.join()
    assert lone.resident_bytes() - before < 8_000_000
