"""When a server is taken, when it is given back, and to whom."""

import itertools
import struct
import threading
import time
from datetime import datetime, timedelta

import pytest

from waiting import eventually
from wire import (
    FLUSH, SYNC, TERMINATE, Closed, Wire, bind, describe, errors, execute, kinds, message, parse, query, rows, run,
)

PID = "select pg_backend_pid()"


def test_transaction_mode_shares_one_server(lone):
    """Many clients, one server, one backend pid."""
    clients = [lone.wire() for _ in range(10)]
    assert len({c.value(PID) for c in clients for _ in range(3)}) == 1


def test_transaction_holds_its_server(lone):
    """Inside a transaction nobody else gets the server; at COMMIT the next one does."""
    owner, other = lone.wire(), lone.wire()
    owner.query("begin")
    other.send(query("select 'later'"))
    assert other.silent_for(0.3)
    owner.query("select 1")
    assert other.silent_for(0.2)
    owner.query("commit")
    assert rows(other.read_until()) == [["later"]]


def test_failed_transaction_holds_its_server(lone):
    """A failed transaction is still one until ROLLBACK."""
    owner, other = lone.wire(), lone.wire()
    owner.query("begin")
    assert errors(owner.query("select 1/0"))[0]["C"] == "22012"
    other.send(query("select 'later'"))
    assert other.silent_for(0.3)
    owner.query("rollback")
    assert rows(other.read_until()) == [["later"]]


def test_session_mode_keeps_the_server(make_pooler):
    """In session mode a client keeps its server until it leaves."""
    pooler = make_pooler(pool_mode="session", default_pool_size=1)
    owner, other = pooler.wire(), pooler.bare_wire()
    pid = owner.value(PID)
    other.login()
    other.send(query(PID))
    assert other.silent_for(0.4)
    assert owner.value(PID) == pid
    owner.close()
    assert rows(other.read_until()) == [[pid]]


def test_session_mode_resets_between_clients(make_pooler):
    """server_reset_query runs before the next client: no prepared statement, setting or temporary table survives."""
    pooler = make_pooler(pool_mode="session", default_pool_size=1)
    with Wire(pooler.port) as first:
        first.login()
        pid = first.value(PID)
        first.query("set work_mem = '3MB'; create temp table left_over (i int); prepare p as select 1; listen c")
    second = pooler.wire()
    assert second.value(PID) == pid
    assert second.value("show work_mem") != "3MB"
    assert second.value("select to_regclass('left_over') is null") == "t"
    assert second.value("select count(*) from pg_prepared_statements") == "0"


@pytest.mark.parametrize("always", [0, 1])
def test_reset_query_in_transaction_mode(make_pooler, always):
    """In transaction mode the reset query runs only with server_reset_query_always."""
    pooler = make_pooler(default_pool_size=1, server_reset_query="discard all", server_reset_query_always=always)
    first, second = pooler.wire(), pooler.wire()
    first.query("create temp table mine (i int)")
    assert second.value("select to_regclass('mine') is null") == ("t" if always else "f")


def test_statement_mode_refuses_transactions(make_pooler):
    """BEGIN ends the connection with PgBouncer's words; the server is not reused inside a transaction."""
    pooler = make_pooler(pool_mode="statement", default_pool_size=1)
    assert pooler.wire().value("select 1") == "1"
    bold = pooler.wire()
    bold.send(query("begin"))
    refused = errors(bold.read_all())[-1]
    assert refused["M"] == "transaction blocks not allowed in statement pooling mode" and refused["S"] == "FATAL"
    assert pooler.wire().value("select txid_current_if_assigned() is null") == "t"
    pooler.settle()


@pytest.mark.parametrize("place", ["database", "user"])
def test_pool_mode_of_entry(make_pooler, backend, place):
    """pool_mode of a database or a user beats the global one."""
    pooler = make_pooler(
        pool_mode="transaction", default_pool_size=1,
        databases={"app": backend + (" pool_mode=session" if place == "database" else "")},
        users={"trusty": "pool_mode=session"} if place == "user" else None,
    )
    keeper, other = pooler.wire(), pooler.wire()
    keeper.query("select 1")
    other.send(query("select 1"))
    assert other.silent_for(0.4)
    keeper.close()
    assert kinds(other.read_until()) == "TDCZ"


def test_first_come_first_served(lone):
    """Waiters are served in the order they came; PostgreSQL's clock is the witness."""
    owner = lone.wire()
    owner.query("begin")
    waiters = [lone.wire() for _ in range(8)]
    for number, waiter in enumerate(waiters, start=1):
        waiter.send(query("select clock_timestamp()"))
        eventually(lambda n=number: lone.pool()["cl_waiting"] == n, "the client stands in line", every=0.05)
        time.sleep(0.02)
    owner.query("commit")
    moments = [datetime.fromisoformat(rows(waiter.read_until())[0][0]) for waiter in waiters]
    # Over several workers whoever came first may be overtaken for a few milliseconds, and for as long as threads wait
    # for a processor.
    slack = timedelta(milliseconds=0 if lone.settings["workers"] in (None, "1") else 40)
    assert all(first <= second + slack for first, second in itertools.combinations(moments, 2))


def test_newcomer_does_not_overtake(lone):
    """The owner of a server, asking again at once, goes behind those who wait."""
    owner, waiter = lone.wire(), lone.wire()
    owner.query("begin")
    waiter.send(query("select clock_timestamp()"))
    eventually(lambda: lone.pool()["cl_waiting"] == 1, "the waiter stands in line")
    # Over several workers the order is exact to a few milliseconds.
    time.sleep(0.02)
    owner.query("commit")
    mine = owner.value("select clock_timestamp()")
    assert rows(waiter.read_until())[0][0] < mine


def test_pipeline_over_several_syncs_keeps_order(lone):
    """Ten batches in one segment: ten ReadyForQuery, answers in order."""
    client = lone.wire()
    client.send(*(run("select $1::int", [i]) + SYNC for i in range(10)))
    answers = [client.read_until() for _ in range(10)]
    assert [rows(a) for a in answers] == [[[str(i)]] for i in range(10)]
    lone.settle(servers=1)


def test_two_queries_in_one_segment(lone):
    """Two simple queries sent together are both answered."""
    client = lone.wire()
    client.send(query("select 1"), query("select 2"))
    assert [rows(client.read_until()), rows(client.read_until())] == [[["1"]], [["2"]]]


def test_flush_keeps_the_server(lone):
    """Parse, Describe, Flush and a pause: the same server answers the rest (X14)."""
    client, other = lone.wire(), lone.wire()
    client.send(parse("select $1::text"), describe("S"), FLUSH)
    assert kinds(client.read_until("T")) == "1tT"
    other.send(query("select 'other'"))
    assert other.silent_for(0.3)
    client.send(bind(["mine"]), execute(), SYNC)
    assert rows(client.read_until()) == [["mine"]]
    assert rows(other.read_until()) == [["other"]]


def test_portal_suspended_keeps_the_server(lone):
    """Execute with a limit and Flush: the portal lives on until Sync (X16)."""
    client, other = lone.wire(), lone.wire()
    client.send(parse("select generate_series(1, 3)"), bind(), execute(limit=1), FLUSH)
    assert kinds(client.read_until("s")) == "12Ds"
    other.send(query("select 'other'"))
    assert other.silent_for(0.3)
    client.send(execute(), SYNC)
    assert rows(client.read_until()) == [["2"], ["3"]]
    assert rows(other.read_until()) == [["other"]]


def test_sync_alone_and_flush_alone(lone):
    """Sync alone is answered, Flush alone is not (E21)."""
    client = lone.wire()
    client.send(FLUSH)
    assert client.silent_for(0.3)
    client.send(SYNC)
    assert kinds(client.read_until()) == "Z"


def test_ten_thousand_syncs(lone):
    """Ten thousand Syncs in one write give ten thousand ReadyForQuery (E22)."""
    client = lone.wire()
    sender = threading.Thread(target=client.send, args=(SYNC * 10_000,))
    sender.start()
    assert all(client.read() == ("Z", b"I") for _ in range(10_000))
    sender.join()
    lone.settle()


def test_client_that_leaves_inside_a_transaction(lone, database):
    """Its server is closed, the transaction is gone, the next client gets a clean one."""
    database.execute("create table if not exists unfinished (i int); truncate unfinished; grant all on unfinished to public")
    with Wire(lone.port) as client:
        client.login()
        pid = client.value(PID)
        client.query("begin; insert into unfinished values (1)")
    other = lone.wire()
    assert other.value(PID) != pid
    assert other.value("select count(*) from unfinished") == "0"


def test_client_that_leaves_while_idle_does_not_cost_a_server(lone):
    """Leaving between transactions leaves the server in the pool."""
    with Wire(lone.port) as client:
        client.login()
        pid = client.value(PID)
    assert lone.wire().value(PID) == pid


def test_servers_open_as_needed(make_pooler, database):
    """No more servers than clients at once need, never more than the size."""
    pooler = make_pooler(default_pool_size=3)
    clients = [pooler.wire() for _ in range(6)]
    for client in clients:
        client.query("select 1")
        # A server that has just worked for one worker is not taken away for another.
        time.sleep(0.005)
    assert database.backends() == 1
    for client in clients[:3]:
        client.query("begin")
    assert database.backends() == 3
    clients[3].send(query("select 1"))
    eventually(lambda: pooler.pool()["cl_waiting"] == 1, "the fourth waits")
    assert database.backends() == 3


@pytest.mark.ours
def test_servers_open_in_parallel(make_pooler, backend):
    """Ten waiting clients get ten servers at once, not one after the other."""
    pooler = make_pooler(default_pool_size=10, databases={"app": backend + " connect_query='select pg_sleep(0.4)'"})
    clients = [pooler.bare_wire() for _ in range(10)]
    began = time.monotonic()
    for client in clients:
        client.login()
    for client in clients:
        client.send(query("begin"))
    for client in clients:
        client.read_until()
    assert time.monotonic() - began < 3


def test_user_of_the_entry_makes_one_pool(make_pooler, backend):
    """With a forced user all clients share one pool."""
    pooler = make_pooler(databases={"app": backend + " user=trusty"}, default_pool_size=1)
    pids = {pooler.wire(user).value(PID) for user in ("other", "trusty", "capped")}
    assert len(pids) == 1
    assert pooler.wire("other").value("select current_user") == "trusty"


def test_a_pool_for_each_user(make_pooler, database):
    """Without one each user has servers of its own."""
    pooler = make_pooler(default_pool_size=1)
    assert pooler.wire("other").value("select current_user") == "other"
    assert pooler.wire("trusty").value("select current_user") == "trusty"
    assert database.backends() == 2


def test_terminate(pooler):
    """Terminate closes the connection without a word."""
    client = pooler.wire()
    client.query("select 1")
    client.send(TERMINATE)
    with pytest.raises(Closed):
        client.read()
    pooler.settle(servers=1)


def test_function_call_takes_a_server(pooler):
    """FunctionCall as the first request gets a server and its answer (E18); a wrong oid gets PostgreSQL's error (E17)."""
    client = pooler.wire()
    call = struct.pack("!IHHi", 1317, 0, 1, 3) + b"ABC" + struct.pack("!H", 0)
    client.send(message("F", call))
    answer = client.read_until()
    assert kinds(answer) == "VZ" and answer[0].body[4:] == b"3"
    client.send(message("F", struct.pack("!IHHH", 4294967295, 0, 0, 0)))
    assert errors(client.read_until())[0]["C"] == "42883"
    assert client.value("select 1") == "1"
    pooler.settle()
