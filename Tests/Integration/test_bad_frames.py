"""Broken frames after login (the E cases that need more than bytes; the rest are rows of hostile_cases.py)."""

import socket
import threading

import pytest

from wire import SYNC, Wire, bind, describe, errors, execute, kinds, parse, query, raw, rows


@pytest.fixture
def attacked(lone):
    """A pooler with one server and a bystander; afterwards both bystander and newcomer must be served."""
    bystander = lone.wire()
    bystander.query("select 1")
    yield lone
    assert bystander.value("select 'unharmed'") == "unharmed"
    assert lone.wire().value("select 1") == "1"
    lone.settle()


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


def test_message_above_max_packet_size(make_pooler):
    """A message above max_packet_size ends its sender on the header; below it goes through (E19)."""
    pooler = make_pooler(max_packet_size=100_000)
    wire = pooler.wire()
    assert wire.value(f"select length('{'x' * 90_000}')") == "90000"
    wire.send(raw(b"Q", 100_001))
    heard = errors(wire.read_all())
    assert heard[-1]["S"] == "FATAL" and "bad packet header" in heard[-1]["M"]
    assert pooler.wire().value("select 1") == "1"
