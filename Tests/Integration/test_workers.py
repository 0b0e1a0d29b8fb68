"""Several workers are one pooler: one pool, one console, one line, whatever worker a client is on."""

import threading
import time

import pytest

from pooler import ask
from waiting import eventually
from wire import Wire, errors, query, rows, startup

SLEEP = "select pg_sleep(30)"


@pytest.fixture(params=[2, 4])
def many(make_pooler, request):
    """A pooler with several workers."""
    return make_pooler(workers=request.param)


def spread(pooler):
    """Clients of each worker, the console's own left out."""
    return [int(row["clients"]) for row in pooler.admin("SHOW WORKERS")]


def test_clients_are_handed_round(many):
    """Every worker gets its share, and SHOW CLIENTS shows all of them once."""
    wires = [many.wire() for _ in range(16)]
    workers = many.admin("SHOW WORKERS")
    counts = [int(row["clients"]) for row in workers]
    assert sum(counts) - 1 == 16 and min(counts) >= 16 // len(counts) - 1
    assert [row["worker"] for row in workers] == [str(n) for n in range(len(workers))]
    clients = [row for row in many.admin("SHOW CLIENTS") if row["database"] == "app"]
    assert len(clients) == 16 and len({row["id"] for row in clients}) == 16 and len({row["ptr"] for row in clients}) == 16
    assert {int(wire.value("select 1")) for wire in wires} == {1}


def test_show_adds_up(many, database):
    """One answer over all workers, with the columns of one."""
    wires = [many.wire() for _ in range(8)]
    for wire in wires:
        for _ in range(5):
            wire.query("select 1")
    row = many.pool()
    assert row["cl_active"] == 8 and row["cl_waiting"] == 0 and 1 <= row["sv_idle"] + row["sv_active"] <= 5
    # One may still be on its way.
    eventually(lambda: many.pool()["sv_login"] == 0, "every server is logged in")
    servers = [row for row in many.admin("SHOW SERVERS") if row["database"] == "app"]
    assert len(servers) == database.backends() and len({row["id"] for row in servers}) == len(servers)
    stats = next(row for row in many.admin("SHOW STATS") if row["database"] == "app")
    assert int(stats["total_query_count"]) == 40 and int(stats["total_client_login_count"]) == 8
    totals = {row["name"]: int(row["value"]) for row in many.admin("SHOW TOTALS")}
    assert totals["total_query_count"] >= 40
    lists = {row["list"]: int(row["items"]) for row in many.admin("SHOW LISTS")}
    assert lists["used_clients"] == 9 and lists["used_servers"] == len(servers)
    entry = next(row for row in many.admin("SHOW DATABASES") if row["name"] == "app")
    assert entry["current_connections"] == str(len(servers)) and entry["current_client_connections"] == "8"


@pytest.mark.parametrize("setting", ["default_pool_size", "max_db_connections", "max_user_connections"])
def test_limits_are_for_all_workers(make_pooler, database, setting):
    """However the clients are spread, PostgreSQL never sees more than the limit."""
    pooler = make_pooler(workers=4, **{setting: 3})
    wires = [pooler.wire() for _ in range(12)]
    most = 0
    for wire in wires:
        wire.send(query("select pg_sleep(0.1)"))
    for _ in range(20):
        most = max(most, database.backends())
        time.sleep(0.02)
    for wire in wires:
        assert not errors(wire.read_until())
    assert most == 3


def test_max_client_conn_is_for_all_workers(make_pooler):
    """The eleventh client is refused, and there is room again when one has left."""
    pooler = make_pooler(workers=2, max_client_conn=10)
    wires = [pooler.wire() for _ in range(10)]
    with pytest.raises(Exception, match="no more connections allowed"):
        pooler.connect()
    wires[3].close()
    eventually(lambda: sum(spread(pooler)) == 10, "one has left")
    assert pooler.wire().value("select 1") == "1"


def test_an_idle_server_goes_where_it_is_needed(make_pooler, database):
    """One server for clients on all workers, and their prepared statements and settings with it."""
    pooler = make_pooler(workers=4, default_pool_size=1)
    connections = [pooler.connect() for _ in range(8)]
    for number, connection in enumerate(connections):
        connection.execute(f"set application_name = 'client {number}'")
    for turn in range(20):
        for number, connection in enumerate(connections):
            found = connection.execute(
                "select %s::int, current_setting('application_name')", [turn], prepare=True
            ).fetchone()
            assert found == (turn, f"client {number}")
    assert database.backends() == 1


@pytest.mark.parametrize("turn", range(4))
def test_cancel_finds_its_worker(many, database, turn):
    """A cancel request arrives at whichever worker, and hits the right query."""
    wires = [many.wire() for _ in range(turn + 1)]
    wires[-1].send(query(SLEEP))
    eventually(lambda: database.backends("state = 'active' and query like '%pg_sleep(30)%'") > 0, "it runs", every=0.02)
    many.cancel(wires[-1].key)
    assert errors(wires[-1].read_until())[0]["C"] == "57014"
    assert [wire.value("select 1") for wire in wires] == ["1"] * len(wires)


def test_pause_waits_for_all_workers(many, database):
    """PAUSE is answered when nobody's transaction is open any more; RESUME goes on everywhere."""
    wires = [many.wire() for _ in range(4)]
    for wire in wires:
        wire.query("begin")
    done = threading.Event()

    def pause():
        many.admin("PAUSE")
        done.set()

    thread = threading.Thread(target=pause)
    thread.start()
    for wire in wires[:-1]:
        wire.query("commit")
    time.sleep(0.2)
    assert not done.is_set()
    wires[-1].query("commit")
    assert done.wait(5)
    thread.join()
    assert database.backends() == 0
    for wire in wires:
        wire.send(query("select 1"))
    eventually(lambda: many.pool()["cl_waiting"] == 4, "all of them wait")
    many.admin("RESUME")
    assert [rows(wire.read_until())[0][0] for wire in wires] == ["1"] * 4


def test_reconnect_and_wait_close(many, database):
    """Every server is replaced, on whatever worker it is."""
    wires = [many.wire() for _ in range(4)]
    for wire in wires:
        wire.query("begin")
    old = {wire.value("select pg_backend_pid()") for wire in wires}
    many.admin("RECONNECT")
    for wire in wires:
        wire.query("commit")
    many.admin("WAIT_CLOSE")
    assert not old & {wire.value("select pg_backend_pid()") for wire in wires}


def test_kill_client_on_any_worker(many):
    """KILL_CLIENT finds the client wherever it is."""
    wires = [many.wire() for _ in range(4)]
    for row in many.admin("SHOW CLIENTS"):
        if row["database"] == "app":
            many.admin(f"KILL_CLIENT {row['id']}")
    for wire in wires:
        assert errors(wire.read_all())
    with pytest.raises(Exception, match="client not found"):
        many.admin("KILL_CLIENT 999999")


def test_disable_kill_and_reload(many):
    """DISABLE, KILL and a RELOAD hold on every worker."""
    wires = [many.wire() for _ in range(4)]
    many.admin("DISABLE app")
    for _ in range(4):
        with pytest.raises(Exception, match="is disabled"):
            many.connect()
    many.admin("ENABLE app")
    assert many.wire().value("select 1") == "1"
    many.admin("KILL app")
    for wire in wires:
        assert errors(wire.read_all())
    many.admin("RESUME app")
    many.settings["query_timeout"] = 1
    many.write_files()
    many.admin("RELOAD")
    for wire in [many.wire() for _ in range(4)]:
        wire.send(query(SLEEP))
        assert "query timeout" in errors(wire.read_all())[0]["M"]


@pytest.mark.parametrize("how", ["SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN WAIT_FOR_CLIENTS"])
def test_shutdown_waits_for_all_workers(many, how):
    """The process ends when the last server or client of the last worker is done."""
    wires = [many.wire() for _ in range(4)]
    for wire in wires:
        wire.query("begin")
    many.admin(how)
    for wire in wires[:-1]:
        wire.query("commit")
        wire.close()
    time.sleep(0.2)
    assert many.is_running()
    wires[-1].query("commit")
    wires[-1].close()
    assert many.wait_end() == 0


def test_auto_is_one_for_each_processor(make_pooler):
    """workers = auto starts; SHOW CONFIG says so."""
    pooler = make_pooler(workers="auto")
    assert pooler.wire().value("select 1") == "1"
    assert next(row["value"] for row in pooler.admin("SHOW CONFIG") if row["key"] == "workers") == "auto"


def test_one_worker_says_so(make_pooler):
    """One worker writes no letters."""
    pooler = make_pooler(workers=1)
    pooler.wire().query("select 1")
    only = pooler.admin("SHOW WORKERS")
    assert [(row["worker"], row["letters_sent"], row["letters_received"]) for row in only] == [("0", "0", "0")]


def test_suspend_holds_every_worker(many):
    """SUSPEND is answered when all stand still; RESUME loses nothing."""
    done, stop = [0] * 8, threading.Event()

    def work(place):
        with many.connect() as connection:
            while not stop.is_set():
                assert connection.execute(f"select {done[place]}").fetchone() == (done[place],)
                done[place] += 1

    threads = [threading.Thread(target=work, args=[place]) for place in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: min(done) > 5, "the work is under way")
    console = many.console()
    for _ in range(3):
        ask(console, "SUSPEND")
        time.sleep(0.1)  # what had been written is read by its client
        before = list(done)
        late = Wire(many.port)
        late.send(startup(user="trusty", database="app"))
        assert late.silent_for(0.4)
        assert done == before
        ask(console, "RESUME")
        late.read_until()
        late.close()
        eventually(lambda: all(now > then for now, then in zip(done, before)), "everybody goes on")
    stop.set()
    for thread in threads:
        thread.join(60)
    many.settle()


def test_databases_of_the_star_are_forgotten(make_pooler, database):
    """autodb_idle_timeout: what nobody uses on any worker is forgotten by all, and made again for whoever asks."""
    target = f"host=127.0.0.1 port={database.port}"
    pooler = make_pooler(workers=3, databases={"*": target}, autodb_idle_timeout=1, server_idle_timeout=1)
    wires = [pooler.wire(database=database.name) for _ in range(6)]
    for wire in wires:
        wire.query("select 1")
    names = lambda: [row["name"] for row in pooler.admin("SHOW DATABASES")]  # noqa: E731
    pools = lambda: [row["database"] for row in pooler.admin("SHOW POOLS")]  # noqa: E731
    time.sleep(3)
    assert database.name in names()
    for wire in wires:
        wire.close()
    eventually(lambda: database.name not in names() and database.name not in pools(), "it is forgotten")
    eventually(lambda: pooler.log.count("dropping database") == 1, "the log says so, once")
    with pooler.wire(database=database.name) as again:
        assert again.value("select 1") == "1"
    assert database.name in names()


def test_reserve_is_logged_wherever_the_line_is(make_pooler):
    """A connection from the reserve for a client of any worker is told of."""
    pooler = make_pooler(workers=3, default_pool_size=1, reserve_pool_size=2, reserve_pool_timeout=1)
    wires = [pooler.wire() for _ in range(3)]
    for wire in wires:
        wire.send(query("select pg_sleep(3)"))
    eventually(lambda: pooler.log.count("taking connection from reserve_pool") == 2, "both are told of")
    for wire in wires:
        assert not errors(wire.read_until())
