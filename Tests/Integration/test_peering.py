"""Processes that share a port pass cancel requests on to the one they are for."""

import pytest

from waiting import eventually
from wire import Wire, cancel_request, errors, query


@pytest.fixture
def fleet(make_pooler, backend):
    """Three poolers, numbers 1, 300 and 3, that know each other; each listens on its own port too."""
    numbers = (1, 300, 3)
    poolers = {number: make_pooler(start=False, peer_id=number) for number in numbers}
    for number, pooler in poolers.items():
        lines = [f"{other} = host=127.0.0.1 port={peer.port}" for other, peer in poolers.items() if other != number]
        pooler.databases = {"app": backend + "\n[peers]\n" + "\n".join(lines)}
        pooler.start()
    return poolers


@pytest.mark.parametrize("way", [1, 300, 3])
def test_a_cancel_finds_its_process(fleet, way, database):
    """A request that reaches another process is passed on, and closed when it has been dealt with."""
    with fleet[300].bare_wire() as wire:
        wire.login("trusty", "app")
        wire.send(query("select pg_sleep(30)"))
        eventually(lambda: database.runs("select pg_sleep"), "the query runs")
        with Wire(fleet[way].port) as asker:
            asker.send(cancel_request(wire.key))
            assert asker.is_closed()
        assert errors(wire.read_until("Z"))[0]["C"] == "57014"
    if way != 300:
        rows = fleet[way].admin("show peer_pools")
        assert [row["peer_id"] for row in rows] == ["300"]


def test_hops_run_out(fleet):
    """A request whose number of hops is used up goes nowhere."""
    with fleet[300].bare_wire() as wire:
        wire.login("trusty", "app")
        key = bytearray(wire.key)
        key[7] &= 0xFC
        with Wire(fleet[1].port) as asker:
            asker.send(cancel_request(bytes(key)))
            assert asker.is_closed()
    assert "its TTL was exhausted" in fleet[1].log
