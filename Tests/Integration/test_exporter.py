"""What prometheus-community/pgbouncer_exporter asks, as Go's lib/pq asks it, and what it does with the answers."""

import pytest

from wire import SYNC, bind, describe, errors, execute, kinds, message, parse, query, rows

TEXT, INT4, INT8, NUMERIC = 25, 23, 20, 1700

# Per table: labels, and columns that become numbers.
MAPPED = {
    "databases": (
        {"name", "host", "port", "database", "force_user", "pool_mode"},
        {"pool_size", "max_connections", "current_connections", "paused", "disabled"},
    ),
    "stats_totals": (
        {"database"},
        {
            "query_count", "query_time", "bytes_received", "bytes_sent", "wait_time", "xact_count", "xact_time",
            "client_parse_count", "server_parse_count", "bind_count",
        },
    ),
    "pools": (
        {"database", "user"},
        {
            "cl_active", "cl_active_cancel_req", "cl_waiting", "cl_waiting_cancel_req", "sv_active", "sv_active_cancel",
            "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait",
        },
    ),
}
LISTS = {
    "databases", "users", "pools", "free_clients", "used_clients", "login_clients", "free_servers", "used_servers",
    "dns_names", "dns_zones", "dns_queries",
}
FLUSH = message("H")


def simple(wire, text):
    """One Query; columns and rows."""
    answer = wire.query(text)
    assert not errors(answer)
    return answer[0].columns, rows(answer)


def prepared(wire, text):
    """As database/sql does it with prepared statements: prepare and describe, then bind and execute."""
    wire.send(parse(text, "1") + describe("S", "1") + SYNC)
    described = wire.read_until()
    assert kinds(described) == "1tTZ"
    wire.send(bind((), "1") + execute() + SYNC)
    answer = wire.read_until()
    assert not errors(answer) and kinds(answer).startswith("2")
    wire.send(message("C", b"S1\0") + SYNC)
    wire.read_until()
    return described[2].columns, rows(answer)


@pytest.fixture(params=[simple, pytest.param(prepared, marks=pytest.mark.ours)])
def scrape(request, pooler):
    """A console connection as the exporter's, with some traffic behind the pooler."""
    busy = pooler.wire()
    for _ in range(3):
        busy.query("select pg_sleep(0.01)")
    wire = pooler.bare_wire()
    wire.login("stats", "pgbouncer", extra_float_digits="2", client_encoding="UTF8", datestyle="ISO, MDY")
    return lambda text: request.param(wire, text)


@pytest.mark.parametrize("table", MAPPED)
def test_tables(scrape, table):
    """Labels are texts or whole numbers, everything else is a number that can be parsed."""
    labels, numbers = MAPPED[table]
    columns, found = scrape(f"SHOW {table};")
    types = dict(columns)
    assert labels | numbers <= set(types) and len(types) == len(columns)
    assert {types[name] for name in labels} <= {TEXT, INT4, INT8}
    assert {types[name] for name in numbers} <= {INT4, INT8, NUMERIC}
    assert found
    for row in found:
        for (name, _), value in zip(columns, row):
            if name in numbers:
                assert float(value) >= 0


def test_counters_grow(scrape):
    """The numbers are of the traffic."""
    columns, found = scrape("SHOW stats_totals;")
    (app,) = [dict(zip(dict(columns), row)) for row in found if row[0] == "app"]
    assert int(app["query_count"]) >= 3 and int(app["query_time"]) >= 30_000 and int(app["bytes_sent"]) > 0


def test_lists(scrape):
    """Two columns, and every list it knows."""
    columns, found = scrape("SHOW LISTS;")
    assert len(columns) == 2
    items = {name: float(value) for name, value in found}
    assert LISTS <= set(items)
    assert items["databases"] >= 2 and items["used_servers"] >= 1


def test_config(scrape):
    """Four columns; the two settings it exports are numbers."""
    columns, found = scrape("SHOW CONFIG;")
    assert len(columns) == 4
    config = {row[0]: row[1] for row in found}
    assert float(config["max_client_conn"]) == 100 and float(config["max_user_connections"]) == 0


def test_version_and_ping(scrape):
    """One text that says PgBouncer; SHOW STATS is its ping."""
    columns, found = scrape("SHOW VERSION;")
    assert columns == [("version", TEXT)] and found[0][0].startswith("PgBouncer ")
    assert scrape("SHOW STATS")[1]
