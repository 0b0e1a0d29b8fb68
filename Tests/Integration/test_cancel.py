"""A cancel request hits the query it was meant for, or nothing."""

import random
import threading
import time

import pytest

from waiting import eventually
from wire import SYNC, Closed, Wire, cancel_request, copy_data, errors, kinds, query, rows, run

SLEEP = "select pg_sleep(30)"


def running(database, pattern="%pg_sleep(30)%"):
    """Wait until PostgreSQL runs the sleeper."""
    eventually(
        lambda: database.backends(f"state = 'active' and query like '{pattern}'") > 0, "the query runs", every=0.02
    )


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_running_query(make_pooler, database, mode):
    """The owner hears 57014 and goes on with the same connection."""
    pooler = make_pooler(pool_mode=mode)
    wire = pooler.wire()
    wire.send(query(SLEEP))
    running(database)
    pooler.cancel(wire.key)
    assert errors(wire.read_until())[0]["C"] == "57014"
    assert wire.value("select 1") == "1"


def test_inside_a_transaction(lone, database):
    """The transaction fails, stays the owner's, and can be rolled back."""
    wire = lone.wire()
    wire.query("begin")
    wire.send(query(SLEEP))
    running(database)
    lone.cancel(wire.key)
    answer = wire.read_until()
    assert errors(answer)[0]["C"] == "57014" and answer[-1].body == b"E"
    wire.query("rollback")
    assert wire.value("select 1") == "1"


def test_idle_owner(lone):
    """A cancel for an idle client does nothing."""
    wire = lone.wire()
    wire.query("select 1")
    lone.cancel(wire.key)
    assert wire.value("select 1") == "1"
    lone.settle()


def test_idle_owner_does_not_hit_who_has_the_server(lone, database):
    """The server the owner had last now works for somebody else, who must not notice."""
    idle, busy = lone.wire(), lone.wire()
    idle.query("select 1")
    busy.send(query("select 'unharmed' from pg_sleep(1)"))
    running(database, "%unharmed%")
    for _ in range(5):
        lone.cancel(idle.key)
    assert rows(busy.read_until()) == [["unharmed"]]
    lone.settle(servers=1)


@pytest.mark.parametrize("size", [0, 4, 8, 100, 256])
def test_unknown_keys(lone, size):
    """Keys nobody has, of any length, are dropped without an answer (D1 to D3)."""
    wire = lone.wire()
    wire.query("begin")
    with Wire(lone.port) as stranger:
        stranger.send(cancel_request(b"\x5a" * size))
        try:
            heard = stranger.read_all()
        except TimeoutError:
            heard = ["silence"]
        assert all(m.kind == "E" for m in heard)
    assert wire.value("select 1") == "1"


@pytest.mark.parametrize("rest", [b"X", b"X" * 70_000])
def test_bytes_behind_the_key(lone, rest):
    """What follows a cancel request is ignored (D11)."""
    with Wire(lone.port) as stranger:
        stranger.send(cancel_request(b"12345678"))
        try:
            stranger.send(rest)
        except ConnectionError:
            pass
    assert lone.wire().value("select 1") == "1"


@pytest.mark.ours
def test_waiting_client(lone):
    """A query that still waits in line is cancelled there; the holder of the server is not hit."""
    holder, waiter = lone.wire(), lone.wire()
    holder.query("begin")
    waiter.send(query("select 'waited'"))
    eventually(lambda: lone.pool()["cl_waiting"] == 1, "the client waits")
    lone.cancel(waiter.key)
    answer = waiter.read_until()
    assert errors(answer)[0]["C"] == "57014"
    assert holder.value("select 1") == "1"
    holder.query("commit")
    assert waiter.value("select 1") == "1"
    lone.settle(servers=1)


def test_waiting_client_is_never_a_danger(lone):
    """Cancelling a waiting client does not cancel the one who holds the server."""
    holder, waiter = lone.wire(), lone.wire()
    holder.query("begin")
    waiter.send(query("select 'waited'"))
    eventually(lambda: lone.pool()["cl_waiting"] == 1, "the client waits")
    with Wire(lone.port) as canceller:
        canceller.send(cancel_request(waiter.key))
        assert rows(holder.query("select 'unharmed' from pg_sleep(0.5)")) == [["unharmed"]]
        holder.query("commit")
        waiter.read_until()
    lone.settle()


@pytest.mark.parametrize("entry", [0, 3])
def test_in_a_pipeline(lone, database, entry):
    """The batch that runs is cancelled, those before and behind it are not (D16)."""
    wire = lone.wire()
    for i in range(6):
        wire.send(run(SLEEP if i == entry else f"select {i}") + SYNC)
    running(database)
    lone.cancel(wire.key)
    answers = [wire.read_until() for _ in range(6)]
    for i, answer in enumerate(answers):
        if i == entry:
            assert errors(answer)[0]["C"] == "57014"
        else:
            assert rows(answer) == [[str(i)]]


def test_during_copy_in(lone, database):
    """A COPY IN that is cancelled ends with one error and one ReadyForQuery."""
    database.execute("create table if not exists half (t text); truncate half; grant all on half to public")
    wire = lone.wire()
    wire.send(query("copy half from stdin"))
    assert wire.read().kind == "G"
    wire.send(copy_data(b"row\n"))
    running(database, "copy half%")
    lone.cancel(wire.key)
    wire.send(copy_data(b"PostgreSQL notices a cancel at the next row\n"))
    assert errors(wire.read_until())[0]["C"] == "57014"
    assert wire.value("select count(*) from half") == "0"


def test_a_hundred_at_once(lone, database):
    """A hundred cancels for one query: one error, and calm afterwards (D10)."""
    wire = lone.wire()
    wire.send(query(SLEEP))
    running(database)
    threads = [threading.Thread(target=lone.cancel, args=(wire.key,)) for _ in range(100)]
    for thread in threads:
        thread.start()
    assert errors(wire.read_until())[0]["C"] == "57014"
    for thread in threads:
        thread.join(20)
    lone.settle()
    assert wire.value("select 1") == "1"


def test_next_query_of_the_owner_is_not_hit(lone, database):
    """The moment the cancel connection closes the owner's next query is safe (D9)."""
    wire = lone.wire()
    for _ in range(15):
        wire.send(query("select pg_sleep(30)"))
        running(database)
        lone.cancel(wire.key)
        assert errors(wire.read_until())[0]["C"] == "57014"
        assert rows(wire.query("select 'safe' from pg_sleep(0.02)")) == [["safe"]]


def test_full_pool(make_pooler, database):
    """Cancels get through although every server of the pool is busy."""
    pooler = make_pooler(default_pool_size=2)
    wires = [pooler.wire() for _ in range(2)]
    for wire in wires:
        wire.send(query(SLEEP))
    eventually(lambda: database.backends("query like '%pg_sleep(30)%' and state = 'active'") == 2, "both run")
    for wire in wires:
        pooler.cancel(wire.key)
        assert errors(wire.read_until())[0]["C"] == "57014"
    pooler.settle()


def test_bystanders_in_a_storm(make_pooler):
    """Half of the clients cancel at random times; the other half never hears 57014, nobody loses an answer."""
    pooler = make_pooler(default_pool_size=3)
    stop = time.monotonic() + 4
    problems = []

    def bystander(number):
        wire = pooler.wire()
        while time.monotonic() < stop:
            if rows(wire.query(f"select '{number}' from pg_sleep(0.002)")) != [[str(number)]]:
                problems.append(f"bystander {number} was hit")

    def victim(number):
        wire, dice = pooler.wire(), random.Random(number)
        while time.monotonic() < stop:
            wire.send(query(f"select 'v{number}' from pg_sleep({dice.random() / 100})"))
            time.sleep(dice.random() / 100)
            pooler.cancel(wire.key)
            answer = wire.read_until()
            if rows(answer) != [[f"v{number}"]] and errors(answer)[0]["C"] != "57014":
                problems.append(f"victim {number} got {kinds(answer)}")

    def guarded(work, number):
        try:
            work(number)
        except (OSError, Closed, IndexError) as problem:
            problems.append(repr(problem))

    threads = [threading.Thread(target=guarded, args=(w, n)) for n in range(6) for w in (bystander, victim)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not problems
    pooler.settle()
