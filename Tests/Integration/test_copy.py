"""COPY in every form, and everything that can go wrong inside it."""

import pytest

from waiting import eventually
from wire import (
    COPY_DONE, FLUSH, SYNC, Wire, bind, copy_data, copy_fail, errors, execute, kinds, parse, query, rows,
)


@pytest.fixture(autouse=True)
def table(database):
    """An empty table for each test."""
    database.execute(
        "drop table if exists box; create table box (i int check (i < 1000000), t text); grant all on box to public"
    )


def begin_copy(wire, sql="copy box from stdin"):
    """Start a COPY IN by the simple protocol."""
    wire.send(query(sql))
    assert wire.read().kind == "G"


def line(i, text="text"):
    """One CopyData with one row."""
    return copy_data(f"{i}\t{text}\n".encode())


@pytest.mark.parametrize("form", ["simple", "extended"])
def test_copy_in_and_out(lone, form):
    """Ten thousand rows in and out."""
    wire = lone.wire()
    if form == "simple":
        begin_copy(wire)
    else:
        wire.send(parse("copy box from stdin"), bind(), execute(), FLUSH)
        assert kinds(wire.read_until("G")) == "12G"
    wire.send(*(line(i) for i in range(10_000)), COPY_DONE, b"" if form == "simple" else SYNC)
    assert kinds(wire.read_until()) == "CZ"
    wire.send(query("copy box to stdout"))
    answer = wire.read_until()
    assert kinds(answer[:1]) == "H" and kinds(answer[-3:]) == "cCZ"
    assert sum(m.kind == "d" for m in answer) == 10_000
    lone.settle(servers=1)


@pytest.mark.recent
def test_everything_sent_at_once(lone):
    """Query, data and CopyDone in one write, before CopyInResponse was read."""
    wire = lone.wire()
    wire.send(query("copy box from stdin"), line(1), line(2), COPY_DONE, query("select count(*) from box"))
    assert kinds(wire.read_until()) == "GCZ"
    assert rows(wire.read_until()) == [["2"]]


@pytest.mark.parametrize("at_once", [False, pytest.param(True, marks=pytest.mark.ours)])
def test_sync_before_copy_done(lone, at_once):
    """Sync inside COPY IN is not answered: one ReadyForQuery, and the server is released (Y3)."""
    wire, other = lone.wire(), lone.wire()
    for _ in range(20):
        begin, rest = parse("copy box from stdin") + bind() + execute() + SYNC, line(1) + COPY_DONE + SYNC
        if at_once:
            wire.send(begin, rest)
        else:
            wire.send(begin)
            assert kinds(wire.read_until("G")) == "12G"
            wire.send(rest)
        assert kinds(wire.read_until()) == ("12GCZ" if at_once else "CZ")
        assert other.value("select 1") == "1"
    lone.settle(servers=1)


def test_copy_fail(lone):
    """CopyFail: one error, one ReadyForQuery, nothing stored (Y4)."""
    wire = lone.wire()
    begin_copy(wire)
    wire.send(line(1), copy_fail("changed my mind"))
    answer = wire.read_until()
    assert kinds(answer) == "EZ" and "changed my mind" in errors(answer)[0]["M"]
    assert wire.value("select count(*) from box") == "0"


@pytest.mark.parametrize("pieces", [0, 5, 3000])
def test_error_while_data_is_on_its_way(lone, pieces):
    """The first row is refused, much more is already on its way: one error, one ReadyForQuery, then all is well (Y2)."""
    wire, other = lone.wire(), lone.wire()
    begin_copy(wire)
    wire.send(copy_data(b"not a number\tx\n"), *(line(i, "x" * 1000) for i in range(pieces)), COPY_DONE)
    answer = wire.read_until()
    assert kinds(answer) == "EZ" and errors(answer)[0]["C"] == "22P02"
    assert wire.value("select count(*) from box") == "0"
    assert other.value("select 1") == "1"
    lone.settle()


@pytest.mark.ours
def test_late_copy_done_does_not_hold_the_server(lone):
    """After CopyDone that comes long after the error the server is free for others."""
    wire, other = lone.wire(), lone.wire()
    begin_copy(wire)
    wire.send(copy_data(b"not a number\tx\n"), line(1, "x" * 100_000))
    assert kinds(wire.read_until()) == "EZ"
    wire.send(line(2), COPY_DONE)
    assert other.value("select 2") == "2"
    assert wire.value("select 3") == "3"
    lone.settle()


def test_constraint_error_after_copy_done(lone):
    """An error that comes only at the end."""
    wire = lone.wire()
    begin_copy(wire)
    wire.send(line(1), line(2_000_000), COPY_DONE)
    assert kinds(wire.read_until()) == "EZ"
    assert wire.value("select count(*) from box") == "0"


def test_copy_messages_outside_copy(lone):
    """CopyData, CopyDone and CopyFail with no COPY are ignored (Y1)."""
    wire = lone.wire()
    wire.send(line(1), COPY_DONE, copy_fail(), query("select 'fine'"))
    answer = wire.read_until()
    assert rows(answer) == [["fine"]] and not errors(answer)
    lone.settle()


def test_vanish_inside_copy_in(lone, database):
    """Nothing is stored, the server is closed, the slot is free (Y5)."""
    with Wire(lone.port) as wire:
        wire.login()
        begin_copy(wire)
        wire.send(*(line(i) for i in range(1000)))
    assert lone.wire().value("select count(*) from box") == "0"
    lone.settle(servers=1)


def test_vanish_inside_copy_out(lone):
    """The slot is free again soon (Y6)."""
    with Wire(lone.port) as wire:
        wire.login()
        wire.send(query("copy (select i, repeat('x', 1000) from generate_series(1, 1000000) i) to stdout"))
        assert wire.read().kind == "H"
        wire.read()
    assert lone.wire().value("select 1") == "1"
    lone.settle()


def test_extra_sync_after_copy_out(lone):
    """Two ReadyForQuery for two Syncs (Y7)."""
    wire = lone.wire()
    wire.send(parse("copy (select 1) to stdout"), bind(), execute(), SYNC, SYNC)
    assert kinds(wire.read_until()) == "12HdcCZ"
    assert kinds(wire.read_until()) == "Z"
    lone.settle(servers=1)


def test_flush_and_sync_between_rows(lone):
    """Flush and Sync between CopyData are ignored (Y8)."""
    wire = lone.wire()
    begin_copy(wire)
    wire.send(line(1), FLUSH, line(2), SYNC, line(3), COPY_DONE)
    assert kinds(wire.read_until()) == "CZ"
    assert wire.value("select count(*) from box") == "3"


def test_query_during_copy_in(lone):
    """PostgreSQL calls it a lost synchronisation and ends the session; others are unhurt (Y9)."""
    wire = lone.wire()
    begin_copy(wire)
    wire.send(line(1), query("select 'inside'"))
    heard = wire.read_all()
    assert errors(heard)[0]["C"] == "08P01" and not rows(heard)
    assert lone.wire().value("select count(*) from box") == "0"
    lone.settle()


@pytest.mark.parametrize("direction", ["in", "out"])
def test_server_dies_inside_copy(lone, database, direction):
    """The client hears of it or is closed, never gets half a message; the next one is served (Y10)."""
    wire = lone.wire()
    if direction == "in":
        begin_copy(wire)
        wire.send(line(1))
    else:
        wire.send(query("copy (select pg_sleep(0.01), repeat('x', 500) from generate_series(1, 1000)) to stdout"))
        wire.read()
    eventually(lambda: database.backends("query like 'copy%'") == 1, "the COPY runs")
    database.kill_backends()
    heard = wire.read_all()
    assert all(m.kind in "dENZ" for m in heard)
    assert lone.wire().value("select 1") == "1"
    lone.settle()


def test_lines_of_any_size(lone):
    """A million one-byte CopyData, an empty one, and a line of 20 MB."""
    wire = lone.wire()
    begin_copy(wire)
    wire.send(copy_data(b""), copy_data(b"1\t") + copy_data(b"a") * 300_000 + copy_data(b"\n"))
    wire.send(copy_data(b"2\t" + b"b" * 20_000_000 + b"\n"), COPY_DONE)
    assert kinds(wire.read_until()) == "CZ"
    assert wire.value("select string_agg(length(t)::text, ',' order by i) from box") == "300000,20000000"


def test_prepared_copy(lone):
    """COPY by a named statement, in and out, in order."""
    wire = lone.wire()
    wire.send(parse("copy box from stdin", "in"), bind(name="in"), execute(), FLUSH)
    assert kinds(wire.read_until("G")) == "12G"
    wire.send(line(5), COPY_DONE, SYNC)
    assert kinds(wire.read_until()) == "CZ"
    wire.send(parse("copy box to stdout", "out"), bind(name="out"), execute(), SYNC)
    answer = wire.read_until()
    assert kinds(answer) == "12HdcCZ"


@pytest.mark.recent
def test_two_copies_in_a_pipeline(lone):
    """Two COPY OUT and a SELECT in one write."""
    wire = lone.wire()
    wire.send(query("copy (select 1) to stdout"), query("copy (select 2) to stdout"), query("select 3"))
    assert [kinds(wire.read_until()) for _ in range(3)] == ["HdcCZ", "HdcCZ", "TDCZ"]
