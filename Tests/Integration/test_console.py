"""The console: what people type, what exporters read, and who may do what."""

import asyncio

import asyncpg
import pytest

from console_columns import COLUMNS
from pooler import ConsoleError, ask
from waiting import eventually
from wire import SYNC, Closed, Refused, Wire, bind, describe, errors, execute, kinds, parse, query, rows

SAME_SINCE_1_18 = {"SHOW VERSION", "SHOW TOTALS", "SHOW MEM", "SHOW DNS_HOSTS", "SHOW DNS_ZONES"}


@pytest.mark.parametrize(
    "command", [pytest.param(c, marks=() if c in SAME_SINCE_1_18 else pytest.mark.recent) for c in COLUMNS if c != "SHOW FDS"]
)
def test_columns(pooler, command):
    """Names, types and order of the columns."""
    pooler.wire().query("select 1")
    answer = pooler.console().query(command)
    assert not errors(answer)
    assert [f"{name}:{oid}" for name, oid in answer[0].columns] == list(COLUMNS[command])
    assert [m.body for m in answer if m.kind == "C"] == [b"SHOW\0"]


@pytest.mark.parametrize("text", ["show pools", "SHOW POOLS;", "  Show\tPools ; ", "show pools;\n"])
def test_spelling(pooler, text):
    """Case, white space and one semicolon do not matter."""
    assert not errors(pooler.console().query(text))


@pytest.mark.parametrize("text", ["show nonsense", "bogus", "show", "show pools; show pools", "pause a b", "'"])
def test_unknown_commands(pooler, text):
    """An error with PgBouncer's code, and the console goes on."""
    console = pooler.console()
    assert errors(console.query(text))[0]["C"] == "08P01"
    assert ask(console, "SHOW VERSION")


def test_help(pooler):
    """SHOW HELP is a notice with the commands."""
    answer = pooler.console().query("SHOW HELP")
    (notice,) = [m.fields for m in answer if m.kind == "N"]
    assert notice["M"] == "Console usage" and "SHOW" in notice["D"] and "PAUSE" in notice["D"]


def test_pools_count_what_is_there(pooler):
    """SHOW POOLS, CLIENTS, SERVERS and LISTS agree with each other and with the truth."""
    clients = [pooler.wire() for _ in range(3)]
    clients[0].query("begin")
    clients[1].query("select 1")
    row = pooler.pool()
    assert (row["cl_active"], row["sv_active"], row["cl_waiting"]) == (3, 1, 0)
    shown = [r for r in pooler.admin("SHOW CLIENTS") if r["database"] == "app"]
    assert len(shown) == 3
    servers = pooler.admin("SHOW SERVERS")
    assert [s["state"] for s in servers].count("active") == 1
    assert int(clients[0].value("select pg_backend_pid()")) in [int(s["remote_pid"]) for s in servers]
    lists = {r["list"]: int(r["items"]) for r in pooler.admin("SHOW LISTS")}
    assert lists["used_servers"] == len(servers) and lists["used_clients"] >= 4


def test_stats_count_queries(pooler):
    """SHOW STATS counts transactions, queries and bytes."""
    wire = pooler.wire()
    for _ in range(5):
        wire.query("select 1")
    wire.query("begin"), wire.query("select 1"), wire.query("commit")
    (row,) = [r for r in pooler.admin("SHOW STATS") if r["database"] == "app"]
    assert int(row["total_xact_count"]) == 6 and int(row["total_query_count"]) == 8
    assert int(row["total_received"]) > 0 and int(row["total_sent"]) > 0


def test_config_shows_what_was_set(pooler):
    """SHOW CONFIG has the file's values."""
    config = {r["key"]: r["value"] for r in pooler.admin("SHOW CONFIG")}
    assert config["default_pool_size"] == "5" and config["pool_mode"] == "transaction"
    assert config["listen_port"] == str(pooler.port)


def test_set(pooler):
    """SET changes a value at once; nonsense is refused and changes nothing."""
    pooler.admin("SET default_pool_size = 7")
    assert {r["key"]: r["value"] for r in pooler.admin("SHOW CONFIG")}["default_pool_size"] == "7"
    pooler.admin("SET pool_mode TO 'session'")
    for bad in ("SET no_such_thing = 1", "SET pool_mode = 'sometimes'"):
        with pytest.raises(ConsoleError):
            pooler.admin(bad)
    assert {r["key"]: r["value"] for r in pooler.admin("SHOW CONFIG")}["pool_mode"] == "session"


def test_set_takes_effect(make_pooler):
    """A larger pool lets the waiter in."""
    pooler = make_pooler(default_pool_size=1)
    holder, waiter = pooler.wire(), pooler.wire()
    holder.query("begin")
    waiter.send(query("select 'in'"))
    assert waiter.silent_for(0.3)
    pooler.admin("SET default_pool_size = 2")
    assert rows(waiter.read_until()) == [["in"]]


@pytest.mark.parametrize("scope", ["", " app"])
def test_pause_and_resume(lone, scope):
    """PAUSE waits for transactions, then closes servers; clients wait and go on after RESUME."""
    owner, other = lone.wire(), lone.wire()
    owner.query("begin")
    console = lone.console()
    console.send(query("PAUSE" + scope))
    assert console.silent_for(0.4)
    assert owner.value("select 'still'") == "still"
    owner.query("commit")
    assert kinds(console.read_until()) == "CZ"
    other.send(query("select 'later'"))
    assert other.silent_for(0.4)
    ask(console, "RESUME" + scope)
    assert rows(other.read_until()) == [["later"]]


def test_pause_and_resume_of_what_is_not(pooler):
    """Errors for what does not exist or is not paused."""
    for command in ("PAUSE nowhere", "RESUME", "RESUME nowhere", "KILL nowhere", "RECONNECT nowhere", "DISABLE nowhere"):
        with pytest.raises(ConsoleError) as refused:
            pooler.admin(command)
        assert refused.value.fields["C"] == "08P01"


def test_kill_and_resume(pooler, database):
    """KILL drops clients and servers at once; after RESUME db all is well."""
    wire = pooler.wire()
    wire.query("begin")
    pooler.admin("KILL app")
    assert errors(wire.read_all())[-1]["S"] == "FATAL"
    eventually(lambda: database.backends() == 0, "the servers are gone")
    pooler.admin("RESUME app")
    assert pooler.wire().value("select 1") == "1"


def test_reconnect(lone):
    """RECONNECT replaces servers when they are free."""
    wire = lone.wire()
    wire.query("begin")
    pid = wire.value("select pg_backend_pid()")
    lone.admin("RECONNECT")
    assert wire.value("select pg_backend_pid()") == pid
    wire.query("commit")
    eventually(lambda: wire.value("select pg_backend_pid()") != pid, "a new server", every=0.1)


def test_disable_and_enable(pooler):
    """A disabled database refuses new logins by name and keeps the old ones."""
    old = pooler.wire()
    pooler.admin("DISABLE app")
    with Wire(pooler.port) as wire, pytest.raises(Refused, match="is disabled|does not allow connections"):
        wire.login()
    assert old.value("select 1") == "1"
    pooler.admin("ENABLE app")
    pooler.wire()


@pytest.mark.recent
def test_kill_client(pooler):
    """KILL_CLIENT ends one client by its id; unknown ids are refused."""
    first, second = pooler.wire(application_name="first"), pooler.wire(application_name="second")
    (shown,) = [r for r in pooler.admin("SHOW CLIENTS") if r["application_name"] == "first"]
    pooler.admin(f"KILL_CLIENT {shown['id']}")
    assert errors(first.read_all())[-1]["M"] == "admin forced disconnect"
    assert second.value("select 1") == "1"
    for bad in ("KILL_CLIENT 999999", "KILL_CLIENT nonsense"):
        with pytest.raises(ConsoleError):
            pooler.admin(bad)


@pytest.mark.parametrize("command", ["PAUSE", "RESUME", "KILL app", "RELOAD", "SHUTDOWN", "SET pool_mode = 'session'", "SUSPEND"])
def test_stats_user_may_only_look(pooler, command):
    """A stats user reads and changes nothing (J10)."""
    assert pooler.admin("SHOW POOLS", user="stats")
    with pytest.raises(ConsoleError, match="admin access needed"):
        pooler.admin(command, user="stats")
    assert pooler.wire().value("select 1") == "1"


def test_drivers_connect_settings(pooler):
    """What drivers ask by themselves is answered."""
    console = pooler.console()
    for name in ("client_encoding", "standard_conforming_strings", "datestyle", "timezone"):
        assert ask(console, f"SHOW {name}")


def test_psycopg_on_the_console(pooler):
    """psycopg without parameters uses the simple protocol."""
    with pooler.connect("pgbouncer", "admin") as connection:
        assert connection.execute("SHOW VERSION").fetchone()
        assert any(row[0] == "app" for row in connection.execute("SHOW DATABASES").fetchall())


@pytest.mark.ours
def test_extended_protocol_on_the_console(pooler):
    """Parse, Bind, Describe, Execute work, errors skip to Sync, the console goes on (J9)."""
    console = pooler.console()
    console.send(parse("SHOW VERSION"), bind(), describe("P"), execute(), SYNC)
    assert kinds(console.read_until()) == "12TDCZ"
    console.send(parse("SHOW POOLS", "named"), describe("S", "named"), SYNC)
    assert kinds(console.read_until()) == "1tTZ"
    console.send(bind(name="named"), execute(), SYNC)
    assert kinds(console.read_until()).startswith("2D")
    console.send(parse("nonsense"), bind(), execute(), SYNC)
    assert kinds(console.read_until()) == "EZ"
    assert ask(console, "SHOW VERSION")


@pytest.mark.ours
def test_drivers_prepare_on_the_console(pooler):
    """asyncpg prepares everything; psycopg when told to."""

    pooler.wire().query("select 1")

    async def work():
        connection = await asyncpg.connect(host="127.0.0.1", port=pooler.port, user="admin", database="pgbouncer")
        assert any(r["database"] == "app" for r in await connection.fetch("SHOW POOLS"))
        await connection.close()

    asyncio.run(work())
    with pooler.connect("pgbouncer", "admin", prepare_threshold=0) as connection:
        for _ in range(3):
            assert connection.execute("SHOW VERSION", prepare=True).fetchone()


def test_the_console_hurts_nobody_with_garbage(pooler):
    """A megabyte, a NUL, binary: errors or an end, the pooler stays (J8)."""
    for text in ("x" * 1_000_000, "show \x01\x02", "show 'pools", "-- comment", ""):
        with Wire(pooler.port) as wire:
            wire.login("admin", "pgbouncer")
            try:
                wire.send(query(text))
                wire.read_until("ZE")
            except (Closed, ConnectionError):
                continue
    assert pooler.admin("SHOW VERSION")


@pytest.mark.ours
def test_commands_that_wait_have_a_time_limit(pooler):
    """PAUSE TIMEOUT says who is in the way and is lifted; other consoles are served meanwhile."""
    busy = pooler.wire()
    busy.query("begin")
    console = pooler.console()
    console.send(query("PAUSE app TIMEOUT '700ms'"))
    assert console.silent_for(0.3) and pooler.admin("SHOW POOLS")
    (error,) = errors(console.read_until())
    pid = busy.value("select pg_backend_pid()")
    assert error["C"] == "57014" and "PAUSE has waited for 0.7s" in error["M"]
    assert f"server app/trusty with process {pid} works for client " in error["D"] and "trusty@127.0.0.1:" in error["D"]
    number = error["D"].split("works for client ")[1].split(",")[0]
    assert pooler.wire().value("select 1") == "1", "nothing is paused"
    ask(console, f"KILL_CLIENT {number}")
    assert kinds(console.query("PAUSE app TIMEOUT 5")) == "CZ"
    ask(console, "RESUME app")


@pytest.mark.ours
def test_a_shutdown_tells_what_it_waits_for(pooler):
    """The time limit is of the command, not of the shutdown."""
    busy, console = pooler.wire(), pooler.console()
    busy.query("begin")
    (error,) = errors(console.query("SHUTDOWN WAIT_FOR_CLIENTS TIMEOUT 0.2"))
    assert error["C"] == "57014" and "trusty@" in error["D"] and "admin@" not in error["D"]
    assert busy.value("select 'still'") == "still"
    console.send(query("SHUTDOWN WAIT_FOR_CLIENTS TIMEOUT 60"))
    busy.query("commit")
    busy.close()
    assert pooler.wait_end() == 0
