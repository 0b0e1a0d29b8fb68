"""Limits on connections and failed logins of one address, and on connections that do not log in."""

import psycopg
import pytest

from machine import listen_addresses
from waiting import eventually
from wire import Refused, Wire, errors, query, startup

FULL = "no more connections allowed from this address"


@pytest.mark.parametrize("workers", [1, 3])
def test_connections_of_an_address(make_pooler, workers):
    """Exactly as many as the limit says, over all workers, and as many again once some are gone."""
    pooler = make_pooler(max_client_conn_per_address=4, workers=workers, listen_addr=listen_addresses(), pool_mode="session")
    held = [pooler.wire() for _ in range(4)]
    for _ in range(3):
        with pytest.raises(Refused, match="no more connections allowed from this address") as refusal:
            pooler.wire()
        assert refusal.value.error.fields["C"] == "53300"
    assert FULL in pooler.log
    if "::1" in listen_addresses():
        assert pooler.connect(host="::1").execute("select 1").fetchone() == (1,)
    with pooler.connect(host=str(pooler.folder)) as local:
        assert local.execute("select 1").fetchone() == (1,)
    # The console is not among them.
    assert pooler.admin("show version")
    for wire in held[:2]:
        wire.close()

    def again():
        try:
            held.append(pooler.wire())
            return True
        except Refused:
            return False

    eventually(again, "a place is free")
    eventually(again, "another place is free")
    with pytest.raises(Refused, match=FULL):
        pooler.wire()


def test_a_full_address_can_still_cancel(make_pooler, database):
    """A cancel request is no application."""
    pooler = make_pooler(max_client_conn_per_address=1)
    wire = pooler.wire()
    wire.send(query("select pg_sleep(30)"))
    eventually(lambda: database.runs("select pg_sleep"), "the query runs")
    pooler.cancel(wire.key)
    assert errors(wire.read_until())[0]["C"] == "57014"


@pytest.mark.parametrize("workers", [1, 3])
def test_failed_logins(make_pooler, workers):
    """Whoever guesses is not listened to for a while, whichever worker it guesses at; others are."""
    pooler = make_pooler(
        auth_type="scram-sha-256", max_failed_logins_per_address=5, workers=workers, listen_addr=listen_addresses())
    for _ in range(5):
        with pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
            pooler.connect(user="salty", password="guessed")
    with pytest.raises(psycopg.OperationalError, match="too many failed logins from this address"):
        pooler.connect(user="salty", password="scram-secret")
    assert "too many failed logins from this address (max_failed_logins_per_address)" in pooler.log
    if "::1" in listen_addresses():
        pooler.connect(user="salty", password="scram-secret", host="::1")


def test_off_by_default(make_pooler):
    """Nobody who has set nothing is limited."""
    pooler = make_pooler(auth_type="plain", max_client_conn=300)
    for _ in range(30):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            pooler.connect(user="plainy", password="guessed")
    wires = [pooler.wire("plainy", password="plain-secret") for _ in range(60)]
    assert all(wire.value("select 1") == "1" for wire in wires)


def test_those_who_say_nothing_make_room(make_pooler):
    """A flood of silent connections neither keeps applications out nor holds more than its share of files."""
    pooler = make_pooler(max_login_conns=20, tcp_defer_accept=0, client_login_timeout=60)
    silent = [Wire(pooler.port) for _ in range(200)]
    for wire in silent[::2]:
        wire.send(startup("trusty", "app")[:9])
    for _ in range(5):
        assert pooler.wire().value("select 1") == "1"
    eventually(
        lambda: pooler.log.count("too many connections are logging in (max_login_conns)") >= 180, "the oldest are gone")
    assert silent[0].read_all()[0].fields["C"] == "53300"
    assert silent[-1].silent_for(0.2)
    for wire in silent:
        wire.close()
