"""psql and pgbench as people run them."""

import os
import re
import subprocess

import pytest

from machine import postgres_program


def run(program, pooler, *arguments, user="trusty", database="app", check=True, seconds=60):
    """Run one of PostgreSQL's programs against the pooler."""
    environment = {**os.environ, "PGUSER": user, "PGHOST": "127.0.0.1", "PGPORT": str(pooler.port), "PGDATABASE": database}
    done = subprocess.run(
        [postgres_program(program), *arguments], env=environment, text=True, check=False,
        capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def bench(make_pooler, database):
    """Factory: a pooler over a database with pgbench's tables, and a function that runs pgbench."""
    if not database.rows("select to_regclass('pgbench_accounts') is not null")[0][0]:
        direct = {**os.environ, "PGHOST": str(database.cluster.folder), "PGPORT": str(database.port), "PGUSER": "postgres"}
        fill = [postgres_program("pgbench"), "-i", "-q", "-s", "1", database.name]
        subprocess.run(fill, env=direct, check=True, capture_output=True)
        database.execute("grant all on all tables in schema public to public")

    def make(mode):
        pooler = make_pooler(pool_mode=mode, default_pool_size=4, max_prepared_statements=None)

        def bench(*arguments):
            done = run("pgbench", pooler, "-n", *arguments)
            assert "number of failed transactions: 0 " in done.stdout, done.stdout
            return int(re.search(r"actually processed: (\d+)", done.stdout)[1])

        return pooler, bench

    return make


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_psql(make_pooler, mode):
    """Several statements, an error in between, meta commands and backslash-timing survive."""
    pooler = make_pooler(pool_mode=mode)
    script = "select 'first'; select 1/0; begin; select 'second'; commit; \\conninfo"
    done = run("psql", pooler, "-AtX", *sum((["-c", s.strip()] for s in script.split(";") if s.strip()), []))
    assert "first" in done.stdout and "second" in done.stdout
    assert "division by zero" in done.stderr
    pooler.settle()


def test_psql_lists_tables(pooler, database):
    """psql's catalogue queries work."""
    database.execute("create table if not exists listed (i int)")
    assert "listed" in run("psql", pooler, "-AtXc", r"\d").stdout


def test_psql_console(pooler):
    """The console in psql, the way the README says."""
    shown = run("psql", pooler, "-AtXc", "show version", user="admin", database="pgbouncer")
    assert shown.stdout.strip()
    assert "pool_mode" in run("psql", pooler, "-Xc", "SHOW POOLS;", user="admin", database="pgbouncer").stdout


PROTOCOLS = [
    ("session", "simple"), ("session", "extended"), ("session", "prepared"),
    ("transaction", "simple"), ("transaction", "extended"),
    pytest.param("transaction", "prepared", marks=pytest.mark.recent),
]


@pytest.mark.parametrize("mode, protocol", PROTOCOLS)
def test_pgbench(bench, mode, protocol):
    """TPC-B in every protocol, more clients than servers in transaction mode.

    Not with `prepared`: there pgbench waits for each Parse with its only thread, so that a client in line for a
    server would keep the one who holds it from going on.
    """
    pooler, run_bench = bench(mode)
    clients = 12 if mode == "transaction" and protocol != "prepared" else 4
    assert run_bench("-M", protocol, "-c", str(clients), "-t", "20") == clients * 20
    pooler.settle()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_pgbench_reconnecting(bench, mode):
    """A connection for each transaction."""
    pooler, run_bench = bench(mode)
    assert run_bench("-S", "-C", "-c", "4", "-t", "25") == 100
    pooler.settle()


def test_pgbench_statement_mode_select(make_pooler, bench):
    """Single statements work in statement mode."""
    pooler, run_bench = bench("statement")
    assert run_bench("-S", "-c", "8", "-t", "20") == 160
    pooler.settle()


@pytest.mark.parametrize("protocol", ["simple", "extended", pytest.param("prepared", marks=pytest.mark.recent)])
def test_pgbench_many_clients(bench, protocol):
    """A hundred clients over four servers."""
    pooler, run_bench = bench("transaction")
    assert run_bench("-S", "-M", protocol, "-c", "100", "-j", "2", "-t", "5") == 500
    assert pooler.settle()["sv_idle"] + pooler.pool()["sv_used"] <= 4


def test_the_minimal_file_of_the_runbook(make_pooler, backend):
    """The short file readers are told to write works as it is."""
    pooler = make_pooler(
        start=False, auth_type="trust", max_client_conn=1000, default_pool_size=20,
        server_idle_timeout=600, log_connections=0, log_disconnections=0, log_pooler_errors=1,
    )
    keep = ("listen_addr", "listen_port", "auth_type", "auth_file", "admin_users", "pool_mode", "max_client_conn",
            "default_pool_size", "server_idle_timeout", "log_connections", "log_disconnections", "log_pooler_errors")
    pooler.settings = {k: v for k, v in pooler.settings.items() if k in keep} | {"unix_socket_dir": ""}
    pooler.start()
    assert "one" in run("psql", pooler, "-AtXc", "select 'one'").stdout
