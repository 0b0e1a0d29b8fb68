"""Names of servers: where they are looked up, how long answers are kept, and what a changed answer does."""

import os
import time

import pytest

from nameserver import SOA, NameServer
from pooler import ask
from waiting import eventually
from wire import Refused, kinds, startup

pytestmark = [
    pytest.mark.recent, pytest.mark.skipif(os.geteuid() != 0, reason="only root may listen on port 53"),
]


@pytest.fixture
def names():
    """A name server that knows db.pool.test."""
    with NameServer() as server:
        server.hosts["db.pool.test"] = ["127.0.0.1"]
        yield server


@pytest.fixture
def make(make_pooler, names, database, room):
    """A pooler that asks this name server."""

    def start(host="db.pool.test", **settings):
        pooler = make_pooler(
            start=False, databases={"app": f"host={host} port={database.port} dbname={database.name}"}, **settings)
        path = pooler.folder / "resolv.conf"
        pooler.settings["resolv_conf"] = path
        pooler.write_files()
        pooler.write(path, f"nameserver {names.address}\noptions timeout:1 attempts:2\n")
        return pooler.start()

    return start


def hosts(pooler):
    """SHOW DNS_HOSTS by name."""
    return {r["hostname"]: r for r in pooler.admin("SHOW DNS_HOSTS")}


def test_a_name_is_looked_up_once(make, names):
    """The answer is shown, kept, and used for every server."""
    pooler = make()
    assert hosts(pooler) == {}
    clients = [pooler.wire() for _ in range(3)]
    for client in clients:
        client.query("begin")
    row = hosts(pooler)["db.pool.test"]
    assert row["addrs"] == "127.0.0.1:0" and 10 <= int(row["ttl"]) <= 15
    assert names.count("db.pool.test") == 1
    lists = {r["list"]: int(r["items"]) for r in pooler.admin("SHOW LISTS")}
    assert (lists["dns_names"], lists["dns_zones"], lists["dns_queries"]) == (1, 0, 0)


def test_several_addresses(make, names):
    """The next one is tried when one does not answer."""
    names.hosts["db.pool.test"] = ["127.0.0.9", "127.0.0.1"]
    pooler = make(server_login_retry=0.1)
    for _ in range(4):
        with pooler.bare_wire() as wire:
            wire.login()
            assert wire.value("select 1") == "1"
        pooler.admin("RECONNECT")
    assert set(hosts(pooler)["db.pool.test"]["addrs"].split(",")) == {"127.0.0.9:0", "127.0.0.1:0"}


def test_hosts_file(make, names):
    """/etc/hosts comes before the network."""
    pooler = make("localhost")
    assert pooler.wire().value("select 1") == "1"
    assert names.asked == [] and "127.0.0.1:0" in hosts(pooler)["localhost"]["addrs"]


def test_a_missing_name(make, names):
    """It is told in the log, kept for dns_nxdomain_ttl, and found when it is there."""
    del names.hosts["db.pool.test"]
    pooler = make(dns_nxdomain_ttl=1, server_login_retry=0.2)
    wire = pooler.bare_wire()
    wire.send(startup("trusty", "app"))
    eventually(lambda: "DNS lookup failed: db.pool.test: result=" in pooler.log, "it is logged")
    assert hosts(pooler)["db.pool.test"]["addrs"] == ""
    assert wire.silent_for(1.2) and names.count("db.pool.test") <= 4
    names.hosts["db.pool.test"] = ["127.0.0.1"]
    assert kinds(wire.read_until()).endswith("Z")


def test_an_answer_grows_old(make, names):
    """After dns_max_ttl the next connection asks again."""
    pooler = make(dns_max_ttl="200ms")
    pooler.wire().query("select 1")
    assert names.count("db.pool.test") == 1

    def asked_again():
        pooler.admin("RECONNECT")
        with pooler.bare_wire() as wire:
            wire.login()
            wire.query("select 1")
        return names.count("db.pool.test") >= 2

    eventually(asked_again, "it is asked again")


@pytest.mark.ours
def test_one_more_address(make, names):
    """It is known when the answer has grown old; servers at the old one stay, it is still an address of the name."""
    pooler = make(dns_max_ttl="100ms", default_pool_size=3, listen_backlog=64)
    busy, idle = pooler.wire(), pooler.wire()
    busy.query("begin")
    idle.query("select 1")
    old = {r["id"] for r in pooler.admin("SHOW SERVERS")}
    assert len(old) == 2
    names.hosts["db.pool.test"] = ["127.0.0.1", "127.0.0.77"]
    time.sleep(0.2)  # the answer grows old
    third = pooler.wire()
    idle.query("begin")
    third.query("begin")
    eventually(lambda: "127.0.0.77" in hosts(pooler)["db.pool.test"]["addrs"], "the new answer is known")
    assert old <= {r["id"] for r in pooler.admin("SHOW SERVERS")}, "the old address is still one of them"
    assert "host 'db.pool.test' has other addresses: was 127.0.0.1 now 127.0.0.1,127.0.0.77" in pooler.log
    idle.query("commit"), third.query("commit")


@pytest.mark.ours
def test_servers_at_an_address_that_is_gone(make, names):
    """With the zone's serial number the names are looked up again; old servers are closed when they are free."""
    pooler = make(dns_zone_check_period="300ms", default_pool_size=2, dns_max_ttl=3600)
    busy, idle = pooler.wire(), pooler.wire()
    busy.query("begin")
    idle.query("select 1")
    (zone,) = eventually(
        lambda: [r for r in pooler.admin("SHOW DNS_ZONES") if r["serial"] == "1"], "the zone is known")
    assert (zone["zonename"], zone["count"]) == ("pool.test", "1")
    assert eventually(lambda: names.count("pool.test", SOA) >= 3, "the zone is looked at again and again")
    assert names.count("db.pool.test") == 1
    names.hosts["db.pool.test"] = ["127.0.0.77"]
    names.serial = 2
    eventually(lambda: "zone 'pool.test' serial changed: old=1 new=2" in pooler.log, "the new number is seen")
    eventually(lambda: "127.0.0.77:0" == hosts(pooler)["db.pool.test"]["addrs"], "the new address is known")
    eventually(lambda: "closing because: obsolete connection" in pooler.log, "the idle server is closed")
    assert busy.value("select 'still'") == "still"
    (row,) = [r for r in pooler.admin("SHOW SERVERS") if r["state"] == "active"]
    assert row["close_needed"] == "1"
    busy.query("commit")
    eventually(lambda: pooler.admin("SHOW SERVERS") == [], "the other one as well")
    names.hosts["db.pool.test"] = ["127.0.0.1"]
    names.serial = 3
    assert idle.value("select 'back'") == "back"


@pytest.mark.ours
def test_a_name_server_that_does_not_answer(make, names):
    """Nobody else waits for it; servers that are there go on."""
    pooler = make(dns_max_ttl="100ms", server_connect_timeout=2)
    pooler.databases["direct"] = pooler.databases["app"].replace("db.pool.test", "127.0.0.1")
    pooler.write_files()
    pooler.admin("RELOAD")
    first = pooler.wire()
    first.query("select 1")
    names.silent = True
    console = pooler.console()
    ask(console, "SET dns_zone_check_period = '100ms'")
    second = pooler.wire()
    first.query("begin")
    second.send(b"Q\0\0\0\x0dselect 1\0")
    assert pooler.wire(database="direct").value("select 1") == "1"
    assert first.value("select 2") == "2" and ask(console, "SHOW DNS_HOSTS")
    first.query("commit")


@pytest.mark.ours
def test_zone_checks_at_run_time(make, names):
    """SET starts and ends them."""
    pooler = make()
    pooler.wire().query("select 1")
    assert pooler.admin("SHOW DNS_ZONES") == []
    pooler.admin("SET dns_zone_check_period = '100ms'")
    eventually(lambda: names.count("pool.test", SOA) >= 3, "the zone is looked at")
    pooler.admin("SET dns_zone_check_period = 0")
    pooler.admin("SHOW VERSION")
    count = names.count("pool.test", SOA)
    with pytest.raises(AssertionError):
        eventually(lambda: names.count("pool.test", SOA) > count + 1, "no further look", 1)
    assert pooler.admin("SHOW DNS_ZONES") == []


# Hosts in an HBA file


def reverse(address):
    """The name under which the DNS has the name of an address."""
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


@pytest.fixture
def ruled(make, names):
    """Factory: a pooler with this HBA file. 127.0.8.1 is good.pool.test, 127.0.8.2 claims to be, 127.0.8.3 has no name."""
    names.hosts["good.pool.test"] = ["127.0.8.9", "127.0.8.1"]
    names.pointers[reverse("127.0.8.1")] = "Good.Pool.test"
    names.pointers[reverse("127.0.8.2")] = "good.pool.test"
    names.pointers[reverse("127.0.8.4")] = "lost.pool.test"

    def start(hba, **settings):
        pooler = make("127.0.0.1", auth_type="trust", **settings)
        pooler.write(pooler.folder / "hba", "host pgbouncer all 127.0.0.1/32 trust\nlocal all all trust\n" + hba)
        pooler.settings.update(auth_type="hba", auth_hba_file=pooler.folder / "hba", listen_addr="127.0.0.1")
        pooler.write_files()
        pooler.admin("RELOAD")
        return pooler

    return start


def comes_in(pooler, source, user="trusty"):
    """Whether a login from this address gets in; the error otherwise."""
    wire = pooler.bare_wire(source=source)
    try:
        wire.login(user)
        return wire.value("select 1") == "1"
    except Refused as refusal:
        return str(refusal)


@pytest.mark.ours
@pytest.mark.parametrize("wanted", ["good.pool.test", "GOOD.pool.TEST", ".pool.test", ".test"])
def test_a_host_by_name(ruled, names, wanted):
    """The name of the address counts if that name has the address; what others claim does not."""
    pooler = ruled(f"host app all {wanted} trust\n", dns_max_ttl=60, dns_nxdomain_ttl=60, workers=1)
    assert comes_in(pooler, "127.0.8.1") is True
    for source in ("127.0.8.2", "127.0.8.3", "127.0.8.4"):
        assert comes_in(pooler, source) == "no authentication method is found"
    assert "the address has no name, or the name has other addresses" in pooler.log
    asked = len(names.asked)
    assert comes_in(pooler, "127.0.8.1") is True and comes_in(pooler, "127.0.8.2") is not True
    assert len(names.asked) == asked, "answers are kept for a while"
    assert hosts(pooler) == {}, "names of clients are no names of servers"


@pytest.mark.ours
def test_other_names_do_not_fit(ruled):
    """A host of another name, a domain that only ends alike, the domain itself."""
    pooler = ruled("host app all ood.pool.test trust\nhost app all .ol.test trust\nhost app all .good.pool.test trust\n")
    assert comes_in(pooler, "127.0.8.1") == "no authentication method is found"
    assert "host=Good.Pool.test" in pooler.log or "host=good.pool.test" in pooler.log


@pytest.mark.ours
def test_only_those_who_need_the_dns_wait_for_it(ruled, names):
    """While the name server is silent, others come in by lines above and below; the console answers."""
    pooler = ruled(
        "host app boss all trust\nhost app trusty good.pool.test reject\nhost app trusty,other all trust\n",
        client_login_timeout=30)
    names.silent = True
    waiting = pooler.bare_wire(source="127.0.8.1")
    waiting.send(startup("trusty", "app"))
    begin = time.monotonic()
    assert comes_in(pooler, "127.0.8.1", "boss") is True and comes_in(pooler, "127.0.8.1", "other") is True
    assert pooler.admin("SHOW VERSION") and time.monotonic() - begin < 2
    # As PostgreSQL has it: without a name the line does not fit, and the next one decides.
    assert kinds(waiting.read_until()).endswith("Z")
    assert time.monotonic() - begin < 20 and "DNS lookup failed: 127.0.8.1: no answer in time" in pooler.log


@pytest.mark.ours
def test_a_login_that_gives_up_waiting_for_the_dns(ruled, names):
    """client_login_timeout counts; the answer that comes later finds nobody."""
    pooler = ruled("host app trusty good.pool.test trust\n", client_login_timeout=0.5)
    names.silent = True
    assert comes_in(pooler, "127.0.8.1") == "client_login_timeout"
    time.sleep(3)  # until the resolver gives up
    assert pooler.admin("SHOW VERSION")
