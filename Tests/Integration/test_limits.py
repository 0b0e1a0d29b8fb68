"""Sizes and limits: never one more than allowed, and waiting instead of failing where that is the promise."""

import pytest

from waiting import eventually, holds_for
from wire import Refused, Wire, query, rows, startup


def begin_all(pooler, count, **login):
    """Open clients and let each hold a server."""
    clients = [pooler.wire(**login) for _ in range(count)]
    for client in clients:
        client.query("begin")
    return clients


@pytest.mark.parametrize("place", ["global", "database", pytest.param("user", marks=pytest.mark.recent)])
def test_pool_size(make_pooler, backend, database, place):
    """pool_size of the user beats that of the database beats the default."""
    pooler = make_pooler(
        default_pool_size=2 if place == "global" else 9,
        databases={"app": backend + {"global": "", "database": " pool_size=2", "user": " pool_size=9"}[place]},
        users={"trusty": "pool_size=2"} if place == "user" else None,
    )
    holders = begin_all(pooler, 2)
    third = pooler.wire()
    third.send(query("select 'third'"))
    assert third.silent_for(0.4)
    assert database.backends() == 2
    holders[0].query("commit")
    assert rows(third.read_until()) == [["third"]]


def test_min_pool_size(make_pooler, database):
    """With a client there, idle servers are opened up to the minimum."""
    pooler = make_pooler(min_pool_size=3, default_pool_size=5)
    pooler.wire().query("select 1")
    eventually(lambda: database.backends() == 3, "three servers", every=0.1)
    holds_for(lambda: database.backends() == 3, "no more than the minimum")


@pytest.mark.recent
def test_min_pool_size_with_forced_user_needs_no_client(make_pooler, backend, database):
    """An entry with a user of its own is filled before anybody comes; refilled when servers die."""
    pooler = make_pooler(databases={"app": backend + " user=trusty min_pool_size=2"})
    eventually(lambda: database.backends() == 2, "two servers", every=0.1)
    database.kill_backends()
    eventually(lambda: database.backends() == 2, "two servers again", every=0.1)
    assert pooler.wire().value("select 1") == "1"


def test_min_pool_size_stays_within_pool_size(make_pooler, database):
    """The minimum never exceeds the size."""
    pooler = make_pooler(min_pool_size=9, default_pool_size=2)
    pooler.wire().query("select 1")
    eventually(lambda: database.backends() == 2, "two servers", every=0.1)
    holds_for(lambda: database.backends() == 2, "the size is the limit")


def test_reserve_pool(make_pooler, database):
    """After reserve_pool_timeout a waiter gets a server of the reserve, and the log says so."""
    pooler = make_pooler(default_pool_size=1, reserve_pool_size=1, reserve_pool_timeout=1)
    begin_all(pooler, 1)
    second, third = pooler.wire(), pooler.wire()
    second.send(query("begin"))
    assert second.silent_for(0.3)
    second.read_until()
    third.send(query("select 1"))
    assert third.silent_for(1.5)
    assert database.backends() == 2
    assert "taking connection from reserve_pool" in pooler.log


def test_max_client_conn(make_pooler):
    """The limit itself is usable; one more is refused by name; the console is exempt; a leaver makes room."""
    pooler = make_pooler(max_client_conn=3, default_pool_size=1)
    clients = [pooler.wire() for _ in range(3)]
    with Wire(pooler.port) as fourth, pytest.raises(Refused, match="no more connections allowed"):
        fourth.login()
    assert pooler.admin("SHOW VERSION")
    clients.pop().close()

    def let_in():
        try:
            return pooler.wire()
        except Refused:
            return None

    assert eventually(let_in, "room for a new client").value("select 1") == "1"


def test_max_db_connections(make_pooler, backend, database):
    """The limit holds over the pools of several users; an idle server of another pool gives way."""
    pooler = make_pooler(databases={"app": backend + " max_db_connections=2"}, default_pool_size=2)
    first = begin_all(pooler, 2, user="trusty")
    stranger = pooler.bare_wire()
    stranger.send(startup("boss", "app"))
    assert stranger.silent_for(0.5)
    assert database.backends() == 2
    first[0].query("commit")
    stranger.finish_login("boss")
    assert stranger.value("select current_user") == "boss"
    assert database.backends() <= 2


@pytest.mark.parametrize("where", ["global", "user"])
def test_max_user_connections(make_pooler, backend, database, where):
    """The limit holds over the databases of one user."""
    pooler = make_pooler(
        databases={"app": backend, "same": backend}, default_pool_size=2,
        max_user_connections=2 if where == "global" else 0,
        users={"trusty": "max_user_connections=2"} if where == "user" else None,
    )
    first = begin_all(pooler, 2)
    other = pooler.bare_wire()
    other.send(startup("trusty", "same"))
    assert other.silent_for(0.5)
    assert database.backends() == 2
    first[0].query("commit")
    other.finish_login("trusty")
    other.query("select 1")
    assert database.backends() <= 2


@pytest.mark.recent
@pytest.mark.parametrize(
    "name, place", [("max_db_client_connections", "database"), ("max_user_client_connections", "user")]
)
def test_client_limits_of_database_and_user(make_pooler, backend, name, place):
    """More clients than the database or user allows are refused by name; a failed login does not count."""
    pooler = make_pooler(
        databases={"app": backend + (f" {name}=2" if place == "database" else "")},
        users={"trusty": f"{name}=2"} if place == "user" else None,
    )
    clients = [pooler.wire(), pooler.wire()]
    for _ in range(3):
        with Wire(pooler.port) as third, pytest.raises(Refused, match=rf"client connections exceeded \({name}\)"):
            third.login()
    clients.pop().close()
    eventually(lambda: any(r["name"] == "app" and r["current_client_connections"] == "1"
                           for r in pooler.admin("SHOW DATABASES")), "one client is counted")
    pooler.wire()


@pytest.mark.recent
def test_pool_size_zero_means_no_limit(make_pooler, database):
    """Zero is unlimited."""
    pooler = make_pooler(default_pool_size=0)
    begin_all(pooler, 8)
    assert database.backends() == 8


def test_slots_after_many_failures(make_pooler, backend, database):
    """Clients that vanish, queries that fail and backends that die leave every slot usable."""
    pooler = make_pooler(default_pool_size=2)
    for round_number in range(6):
        with Wire(pooler.port) as wire:
            wire.login()
            wire.query("begin")
            if round_number % 3 == 1:
                wire.send(query("select pg_sleep(30)"))
            if round_number % 3 == 2:
                database.kill_backends()
    pooler.settle()
    holders = begin_all(pooler, 2)
    assert pooler.pool()["sv_active"] == 2
    for holder in holders:
        holder.query("rollback")
    pooler.settle(servers=2)
