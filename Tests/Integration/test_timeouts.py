"""Every timeout fires, not before its time, with its own words, and leaves a calm pool."""

import socket
import time

import pytest

from machine import PORTS
from waiting import eventually, holds_for
from wire import Refused, Wire, errors, query, rows, startup

SLACK = 6.0


class Watch:
    """Seconds since it was made."""

    def __init__(self):
        self.began = time.monotonic()

    @property
    def seconds(self):
        """How long ago that was."""
        return time.monotonic() - self.began


def last_error(wire):
    """The last error before the end of the connection."""
    return errors(wire.read_all())[-1]


def test_query_wait_timeout(make_pooler):
    """A client that waits too long is told so; the one who holds the server is not."""
    pooler = make_pooler(default_pool_size=1, query_wait_timeout=1)
    holder, waiter = pooler.wire(), pooler.wire()
    holder.query("begin")
    watch = Watch()
    waiter.send(query("select 1"))
    refused = last_error(waiter)
    assert refused["M"] == "query_wait_timeout" and refused["S"] == "FATAL"
    assert 0.9 <= watch.seconds < 1 + SLACK
    holder.query("commit")
    pooler.settle(servers=1)


def test_query_wait_timeout_not_reached(make_pooler):
    """A shorter wait succeeds."""
    pooler = make_pooler(default_pool_size=1, query_wait_timeout=5)
    holder, waiter = pooler.wire(), pooler.wire()
    holder.query("begin")
    waiter.send(query("select 'in time'"))
    assert waiter.silent_for(0.7)
    holder.query("commit")
    assert rows(waiter.read_until()) == [["in time"]]


def test_query_timeout(make_pooler, database):
    """A query that runs too long ends its client and its server, also on PostgreSQL's side."""
    pooler = make_pooler(query_timeout=1)
    client = pooler.wire()
    watch = Watch()
    client.send(query("select pg_sleep(60)"))
    assert last_error(client)["M"] == "query timeout"
    assert 0.9 <= watch.seconds < 1 + SLACK
    pooler.settle(servers=0)
    assert pooler.wire().value("select 1") == "1"


@pytest.mark.recent
def test_query_timeout_does_not_count_idle_time(make_pooler):
    """Thinking inside a transaction is not running a query."""
    pooler = make_pooler(query_timeout=1)
    client = pooler.wire()
    client.query("begin")
    assert client.silent_for(2)
    assert client.value("select 1") == "1"


def test_idle_transaction_timeout(make_pooler):
    """A client that thinks too long inside a transaction loses it; the server is closed."""
    pooler = make_pooler(idle_transaction_timeout=1)
    client, idle = pooler.wire(), pooler.wire()
    idle.query("select 1")
    client.query("begin")
    watch = Watch()
    assert last_error(client)["M"] == "idle transaction timeout"
    assert 0.9 <= watch.seconds < 1 + SLACK
    assert idle.value("select 1") == "1"
    pooler.settle()


def test_idle_transaction_timeout_does_not_count_busy_time(make_pooler):
    """A long query inside a transaction is not idle."""
    pooler = make_pooler(idle_transaction_timeout=1)
    client = pooler.wire()
    client.query("begin")
    assert rows(client.query("select 'busy' from pg_sleep(1.6)")) == [["busy"]]
    assert client.value("select 1") == "1"


def test_client_idle_timeout(make_pooler):
    """An idle client is closed; one that works now and then is not."""
    pooler = make_pooler(client_idle_timeout=1)
    idle, busy = pooler.wire(), pooler.wire()
    for _ in range(8):
        busy.query("select 1")
        time.sleep(0.25)
    assert last_error(idle)["M"] == "client_idle_timeout"
    assert busy.value("select 1") == "1"


def test_client_login_timeout(make_pooler):
    """A connection that does not finish its login is closed (A2, C28)."""
    pooler = make_pooler(client_login_timeout=1)
    with Wire(pooler.port) as wire:
        wire.send(b"\0")
        watch = Watch()
        assert last_error(wire)["M"] == "client_login_timeout"
        assert 0.9 <= watch.seconds < 1 + SLACK
    assert pooler.wire().value("select 1") == "1"


def test_server_idle_timeout(make_pooler, database):
    """An idle server is closed after its time."""
    pooler = make_pooler(server_idle_timeout=1)
    pooler.wire().query("select 1")
    assert database.backends() == 1
    eventually(lambda: database.backends() == 0, "the idle server is closed", every=0.1)
    assert "server idle timeout" in pooler.log


def test_server_lifetime(make_pooler, database):
    """A server older than its lifetime is closed when it is free, not before."""
    pooler = make_pooler(server_lifetime=1, default_pool_size=1)
    client = pooler.wire()
    client.query("begin")
    pid = client.value("select pg_backend_pid()")
    time.sleep(1.6)
    assert client.value("select pg_backend_pid()") == pid
    client.query("commit")
    eventually(lambda: database.backends() == 0, "the old server is closed", every=0.1)
    assert client.value("select pg_backend_pid()") != pid
    assert "server lifetime over" in pooler.log


def test_server_connect_timeout(make_pooler):
    """A server that accepts and is silent is given up."""
    with socket.create_server(("127.0.0.1", PORTS.free())) as mute:
        pooler = make_pooler(
            databases={"app": f"host=127.0.0.1 port={mute.getsockname()[1]}"},
            server_connect_timeout=1, query_wait_timeout=4,
        )
        with Wire(pooler.port) as wire, pytest.raises(Refused):
            wire.login()
        eventually(lambda: "connect timeout" in pooler.log or "connect failed" in pooler.log, "the log says so")
        pooler.settle(servers=0)


def test_no_server_there(make_pooler):
    """Nobody listens: a clear error within query_wait_timeout, and no slot stays taken."""
    pooler = make_pooler(databases={"app": f"host=127.0.0.1 port={PORTS.free()}"}, query_wait_timeout=2)
    with Wire(pooler.port) as wire, pytest.raises(Refused):
        wire.login()
    pooler.settle(servers=0)


def test_server_login_retry(make_pooler):
    """A server that was away is tried again after server_login_retry; those who wait get it."""
    port = PORTS.free()
    pooler = make_pooler(databases={"app": f"host=127.0.0.1 port={port}"}, server_login_retry=1, query_wait_timeout=20)
    waiter = pooler.bare_wire()
    waiter.send(startup("trusty", "app"))
    eventually(lambda: "connect failed" in pooler.log, "a first failure")
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(10)
        connection, _ = server.accept()
        connection.close()


def test_server_check_query(make_pooler, database):
    """A server that died while idle is noticed by the check, the client sees nothing."""
    pooler = make_pooler(default_pool_size=1, server_check_delay=0, server_check_query="select 'check'")
    client = pooler.wire()
    for _ in range(3):
        client.query("select 1")
        database.kill_backends()
        assert client.value("select 'fine'") == "fine"


def test_dead_idle_server_is_noticed(pooler, database):
    """A backend that goes away while idle is not given to a client."""
    client = pooler.wire()
    client.query("select 1")
    database.kill_backends()
    eventually(lambda: pooler.pool()["sv_idle"] + pooler.pool()["sv_used"] == 0, "the dead server is noticed")
    assert client.value("select 1") == "1"


def test_timeouts_of_zero_never_fire(make_pooler):
    """Zero means off."""
    pooler = make_pooler(query_timeout=0, query_wait_timeout=0, idle_transaction_timeout=0, client_idle_timeout=0)
    client = pooler.wire()
    client.query("begin")
    holds_for(lambda: client.value("select 1") == "1", "the client lives", 1.2, 0.4)
