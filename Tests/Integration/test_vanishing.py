"""Servers that die, clients that vanish, readers that are slow: bounded memory, and every slot comes back."""

import pytest

from waiting import eventually
from wire import Closed, Wire, errors, kinds, query, rows

BIG = "select repeat('x', 1000) from generate_series(1, 200000)"


def test_backend_dies_while_it_answers(lone, database):
    """Its client hears of it and is closed; the next client is served by a new backend."""
    wire = lone.wire()
    wire.send(query("select pg_sleep(30)"))
    eventually(lambda: database.backends("state = 'active' and query like '%sleep(30)%'"), "the query runs")
    database.kill_backends()
    heard = errors(wire.read_all())
    assert heard and heard[0]["C"] in ("57P01", "08P01", "08006")
    assert lone.wire().value("select 1") == "1"
    lone.settle()


def test_backend_dies_inside_a_transaction(lone, database):
    """An open transaction whose server is gone ends its client, and nobody else."""
    owner, other = lone.wire(), lone.wire()
    owner.query("begin")
    database.kill_backends()
    assert owner.read_all() is not None
    assert other.value("select 1") == "1"
    lone.settle()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_vanishes_in_the_middle_of_an_answer(lone, database, how):
    """The server is closed or drained, the next client gets its own answer only."""
    for _ in range(5):
        wire = Wire(lone.port)
        wire.login()
        wire.send(query(BIG))
        wire.read()
        wire.close() if how == "close" else wire.reset()
        assert lone.wire().value("select 'mine'") == "mine"
    lone.settle()
    eventually(lambda: database.backends() <= 1, "no backend is left behind")


def test_client_vanishes_while_it_waits(lone):
    """A waiter who is gone does not keep the others waiting."""
    holder = lone.wire()
    holder.query("begin")
    gone = [Wire(lone.port) for _ in range(5)]
    for wire in gone:
        wire.login()
        wire.send(query("select pg_sleep(0.05)"))
    eventually(lambda: lone.pool()["cl_waiting"] == 5, "five wait")
    for wire in gone:
        wire.close()
    holder.query("commit")
    assert lone.wire().value("select 1") == "1"
    lone.settle()


@pytest.mark.ours
def test_client_that_vanished_in_line_is_noticed(lone, database):
    """It does not consume a server when its turn comes."""
    holder = lone.wire()
    holder.query("begin")
    wire = Wire(lone.port)
    wire.login()
    wire.send(query("select pg_sleep(1)"))
    eventually(lambda: lone.pool()["cl_waiting"] == 1, "it waits")
    wire.close()
    eventually(lambda: lone.pool()["cl_waiting"] == 0, "its place is free", seconds=5)


def test_slow_reader(lone):
    """A client that does not read 200 MB: memory stays bounded, and the whole answer arrives when it reads."""
    wire = lone.wire()
    wire.query("select 1")
    base = lone.resident_bytes()
    wire.send(query(BIG))
    wire.read()
    for _ in range(8):
        wire.silent_for(0.05)
        assert lone.resident_bytes() - base < 16_000_000
    count = size = 0
    while (message := wire.read()).kind != "Z":
        if message.kind == "D":
            count += 1
            size += len(message.body)
    assert count == 200_000 and size == 200_000 * 1006
    assert lone.resident_bytes() - base < 16_000_000
    lone.settle(servers=1)


def test_many_slow_readers_do_not_stop_the_others(make_pooler):
    """Eight stuck readers, and a ninth client that works."""
    pooler = make_pooler(default_pool_size=9)
    base = pooler.resident_bytes()
    stuck = [pooler.wire() for _ in range(8)]
    for wire in stuck:
        wire.send(query(BIG))
        wire.read()
    worker = pooler.wire()
    for i in range(50):
        assert worker.value(f"select {i}") == str(i)
    assert pooler.resident_bytes() - base < 32_000_000
    for wire in stuck:
        wire.reset()
    pooler.settle()


def test_slow_server(lone):
    """A server that reads slowly (it is busy) bounds what the pooler keeps of a fast sender."""
    wire = lone.wire()
    wire.query("select 1")
    base = lone.resident_bytes()
    wire.send(query("select pg_sleep(1)"))
    wire.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < 200_000_000:
            sent += wire.socket.send(query("select 1") * 1000)
    except TimeoutError:
        pass
    assert lone.resident_bytes() - base < 24_000_000
    wire.close()
    assert lone.wire().value("select 1") == "1"
    lone.settle()


def test_memory_returns(make_pooler):
    """Three hundred clients with a query each come and go three times; memory does not grow with the rounds."""
    pooler = make_pooler(max_client_conn=500)
    sizes = []
    for _ in range(3):
        wires = [Wire(pooler.port) for _ in range(300)]
        for wire in wires:
            wire.login()
            wire.query("select repeat('x', 3000)")
        for wire in wires:
            wire.close()
        pooler.settle()
        sizes.append(pooler.resident_bytes())
    assert sizes[2] - sizes[0] < 2_000_000


def test_errors_do_not_leak_into_the_next_answer(lone):
    """An error, then a right answer, by different clients on one server, a hundred times."""
    wrong, right = lone.wire(), lone.wire()
    for i in range(100):
        assert errors(wrong.query("select 1/0"))[0]["C"] == "22012"
        assert rows(right.query(f"select {i}")) == [[str(i)]]
    assert kinds(right.query("select 1")) == "TDCZ"


def test_closed_means_closed(pooler):
    """After Terminate nothing more comes."""
    wire = pooler.wire()
    wire.send(b"X\0\0\0\4")
    with pytest.raises(Closed):
        wire.read()
