"""Replication through the pooler, with PostgreSQL's own programs."""

import contextlib
import os
import signal
import subprocess

import psycopg
import pytest

from machine import as_owner, give_to_owner, postgres_program
from waiting import eventually


@pytest.fixture(params=[1, 2], ids=["alone", "two workers"])
def pooler(request, make_pooler, backend, database):
    """A transaction pool over the worker's database; older programs name the database `replication`."""
    return make_pooler(
        databases={
            "app": backend, "replication": backend, "tight": backend + " pool_size=1",
            "*": f"host=127.0.0.1 port={database.port}",
        },
        pool_mode="transaction", workers=request.param,
    )


def environment(pooler, user="boss"):
    """Where libpq finds the pooler."""
    return {**os.environ, "PGUSER": user, "PGHOST": "127.0.0.1", "PGPORT": str(pooler.port), "PGCONNECT_TIMEOUT": "20"}


def psql(pooler, kind, command, user="boss", database="app", **options):
    """One command on a replication connection."""
    more = "".join(f" {key}='{value}'" for key, value in options.items())
    return subprocess.run(
        [postgres_program("psql"), "-AtX", "-c", command, f"dbname={database} replication={kind}{more}"],
        env=environment(pooler, user), text=True, capture_output=True, check=False, timeout=30,
    )


def walsenders(database):
    """Replication connections that PostgreSQL has now."""
    return database.rows("select count(*) from pg_stat_activity where backend_type = 'walsender'")[0][0]


@pytest.fixture
def make_slot(database):
    """Factory of replication slots that do not outlive the test."""
    made = []

    def make(name, plugin=None):
        if plugin:
            database.rows("select pg_create_logical_replication_slot(%s, %s)", name, plugin)
        else:
            database.rows("select pg_create_physical_replication_slot(%s, true)", name)
        made.append(name)
        return name

    yield make
    for name in made:
        is_free = "select not active from pg_replication_slots where slot_name = %s"
        eventually(lambda name=name: database.rows(is_free, name)[0][0], "the slot is free")
        database.rows("select pg_drop_replication_slot(%s)", name)


def test_logical_takes_sql_and_commands(pooler, database):
    """SQL and replication commands, with settings that only a server of its own can have."""
    options = {"application_name": "watcher", "options": "-c enable_seqscan=off"}
    assert psql(pooler, "database", "show enable_seqscan", **options).stdout == "off\n"
    assert psql(pooler, "database", "show application_name", **options).stdout == "watcher\n"
    identity = psql(pooler, "database", "IDENTIFY_SYSTEM").stdout.strip().split("|")
    assert identity[3] == database.name
    with pooler.connect() as normal:
        assert normal.execute("show enable_seqscan").fetchone() == ("on",)
    eventually(lambda: walsenders(database) == 0, "nothing is kept")


@pytest.mark.parametrize("kind", ["true", "on", "yes", "1"])
def test_physical_takes_commands_only(pooler, kind):
    """A physical connection: its commands work, and SQL is refused by the server."""
    assert psql(pooler, kind, "IDENTIFY_SYSTEM").stdout.count("|") == 3
    done = psql(pooler, kind, "select 1")
    assert "cannot execute SQL commands in WAL sender for physical replication" in done.stderr


def test_refused_by_the_server(pooler):
    """Who may not replicate hears `login failed`; the server's words are in the log, and the pool works on."""
    done = psql(pooler, "database", "IDENTIFY_SYSTEM", user="other")
    assert done.returncode == 2 and "login failed" in done.stderr
    assert "permission denied to start WAL sender" in pooler.log or "replication role" in pooler.log
    with pooler.connect(user="other") as normal:
        assert normal.execute("select 1").fetchone() == (1,)


def test_bad_value(pooler):
    """A value that is none is named."""
    done = psql(pooler, "perhaps", "IDENTIFY_SYSTEM")
    assert "invalid value for startup parameter replication: perhaps" in done.stderr


def test_basebackup(pooler, tmp_path):
    """A whole backup, with its log streamed on a second connection beside it."""
    subprocess.run(
        [postgres_program("pg_basebackup"), "-d", "dbname=app", "-D", tmp_path / "copy", "-c", "fast", "-X", "stream"],
        env=environment(pooler), check=True, capture_output=True, timeout=120,
    )
    assert (tmp_path / "copy" / "PG_VERSION").exists()
    assert (tmp_path / "copy" / "backup_manifest").exists()
    (tmp_path / "copy").chmod(0o700)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        give_to_owner(path)
    for folder in list(tmp_path.parents)[:-2]:
        with contextlib.suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o055)
    subprocess.run(
        [postgres_program("pg_verifybackup"), "-n", str(tmp_path / "copy")], check=True, capture_output=True,
        timeout=120, cwd="/", **as_owner(),
    )


def test_receivewal(pooler, database, make_slot, tmp_path):
    """The log streams for a while, and ends in order."""
    slot = make_slot("receivewal_" + database.name)
    with subprocess.Popen(
        [postgres_program("pg_receivewal"), "-d", "dbname=app", "--slot", slot, "-D", tmp_path, "-s", "1"],
        env=environment(pooler), stderr=subprocess.PIPE, text=True,
    ) as process:
        try:
            eventually(lambda: any(tmp_path.iterdir()), "a file of the log")
            kinds = {(row["replication"], row["state"]) for row in pooler.admin("show clients")}
            assert ("physical", "active") in kinds
            servers = [row for row in pooler.admin("show servers") if row["replication"] == "physical"]
            assert len(servers) == 1 and servers[0]["state"] == "active"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
        assert process.returncode == 0, process.stderr.read()


def test_recvlogical(pooler, database, make_slot):
    """Changes arrive as they are made, many of them at once too, while other clients use the pool."""
    database.execute("drop table if exists changes; create table changes (i int, t text)")
    slot = make_slot("recvlogical_" + database.name, "test_decoding")
    with subprocess.Popen(
        [postgres_program("pg_recvlogical"), "-d", "app", "--slot", slot, "-f", "-", "--no-loop", "--start"],
        env=environment(pooler), stdout=subprocess.PIPE, text=True,
    ) as process:
        try:
            with pooler.connect(user="boss") as writer:
                writer.execute("insert into changes values (1, 'x')")
                assert process.stdout.readline().startswith("BEGIN ")
                assert "INSERT: i[integer]:1" in process.stdout.readline()
                assert process.stdout.readline().startswith("COMMIT ")
                writer.execute("insert into changes select i, repeat('y', 1000) from generate_series(1, 20000) i")
            lines = [process.stdout.readline() for _ in range(20002)]
            assert lines[0].startswith("BEGIN ") and lines[-1].startswith("COMMIT ")
            assert sum("INSERT" in line for line in lines) == 20000
        finally:
            process.kill()


def test_subscription(pooler, database, cluster):
    """CREATE SUBSCRIPTION through the pooler: the first copy and what follows."""
    target = database.name + "_target"
    cluster.execute("postgres", f'drop database if exists "{target}" with (force)')
    cluster.execute("postgres", f'create database "{target}"')
    database.execute("drop table if exists shared; create table shared (i int primary key); insert into shared values (1)")
    cluster.execute(target, "create table shared (i int primary key)")
    slot = "subscription_" + database.name
    database.execute(f"drop publication if exists news; create publication news for table shared")
    database.rows("select pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
    where = f"host=127.0.0.1 port={pooler.port} user=boss dbname=app"
    try:
        cluster.execute(
            target, f"create subscription news connection '{where}' publication news with (slot_name = {slot}, create_slot = false)"
        )
        count = "select count(*) from shared"
        eventually(lambda: cluster.rows(target, count) == [(1,)], "the first copy", seconds=30)
        database.execute("insert into shared values (2)")
        eventually(lambda: cluster.rows(target, count) == [(2,)], "what follows", seconds=30)
    finally:
        with contextlib.suppress(psycopg.Error):
            cluster.execute(target, "alter subscription news disable")
            cluster.execute(target, "alter subscription news set (slot_name = none)")
            cluster.execute(target, "drop subscription news")
        is_free = "select count(*) from pg_replication_slots where slot_name = %s and active"
        eventually(lambda: database.rows(is_free, slot) == [(0,)], "the slot is free", seconds=30)
        database.rows("select pg_drop_replication_slot(%s)", slot)
        cluster.execute("postgres", f'drop database if exists "{target}" with (force)')


def test_it_counts_in_the_pool(pooler):
    """A full pool gives up an idle server for it, and normal clients wait while it is there."""
    with pooler.connect("tight", user="boss") as normal:
        normal.execute("select 1")
        assert psql(pooler, "database", "IDENTIFY_SYSTEM", database="tight").returncode == 0
        assert pooler.log.count("closing because: evicted") == 1
        assert normal.execute("select 2").fetchone() == (2,)


def test_hba_line_of_its_own(make_pooler, backend):
    """Physical replication is let in by the word `replication` only."""
    pooler = make_pooler(start=False, auth_type="hba", databases={"app": backend})
    hba = pooler.folder / "hba.conf"
    pooler.settings["auth_hba_file"] = hba
    pooler.write(hba, "host all all all trust\n")
    pooler.start()
    assert "no authentication method is found" in psql(pooler, "true", "IDENTIFY_SYSTEM").stderr
    assert psql(pooler, "database", "IDENTIFY_SYSTEM").returncode == 0
    pooler.write(hba, "host replication,all all all trust\n")
    pooler.admin("reload")
    assert psql(pooler, "true", "IDENTIFY_SYSTEM").returncode == 0
