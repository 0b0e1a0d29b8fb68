"""The console asked with SQL, by psql and by drivers."""

import asyncio
import subprocess

import asyncpg
import psycopg
import pytest

pytestmark = pytest.mark.ours


def psql(pooler, *commands, user="stats"):
    """Run psql on the console."""
    words = [word for command in commands for word in ("-c", command)]
    return subprocess.run(
        ["psql", "-XAt", pooler.dsn("pgbouncer", user), *words], capture_output=True, text=True, timeout=20, check=False)


def test_psql(pooler):
    """Conditions, order, groups, and an error with its place."""
    pooler.wire().query("select 1")
    done = psql(pooler, "select database, cl_active, sv_idle from pools where database <> 'pgbouncer'")
    assert (done.stdout, done.stderr) == ("app|1|1\n", "")
    done = psql(pooler, "select state, count(*) from servers group by 1 order by 2 desc limit 3")
    assert done.stdout == "idle|1\n"
    done = psql(pooler, "select nonsense from pools")
    assert 'column "nonsense" does not exist' in done.stderr and "^" in done.stderr
    done = psql(pooler, "select key from config where key like 'log\\_%' and value = '1' order by key")
    assert done.stdout.split() == ["log_connections", "log_disconnections", "log_pooler_errors", "log_stats"]


def test_watch(pooler):
    """psql's \\watch asks the same again and again."""
    done = subprocess.run(
        ["timeout", "2.5", "psql", "-XAt", pooler.dsn("pgbouncer", "stats")],
        input="select 'seen', cl_active from pools where database = 'pgbouncer' \\watch 0.5\n",
        capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.count("seen|1") >= 3


def test_psycopg(pooler):
    """Parameters, transactions, prepared statements, types."""
    with psycopg.connect(pooler.dsn("pgbouncer", "stats")) as connection:
        pooler.wire().query("select 1")
        for _ in range(8):
            found = connection.execute("select database, cl_active from pools where database = %s", ["app"]).fetchall()
            assert found == [("app", 1)]
        row = connection.execute(
            "select sum(cl_active), avg(cl_active), count(*), %s, true from pools", ["x"]).fetchone()
        assert (row[0], float(row[1]), row[2:]) == (2, 1.0, (2, "x", True))
        found = connection.execute(
            "select name from databases where port = %s and disabled in (%s, 3) limit %s", [pooler.port, 0, 5]).fetchall()
        assert found == [("pgbouncer",)]
        with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
            connection.execute("select oops from pools")
        assert caught.value.diag.statement_position == "8"
        connection.rollback()
        assert connection.execute("select 1").fetchone() == (1,)
        with connection.cursor(binary=True) as cursor:
            totals = cursor.execute("select database, total_xact_count + 0.5, 1.25, -3 from stats order by 1").fetchone()
        assert totals[0] == "app" and float(totals[1]) % 1 == 0.5 and float(totals[2]) == 1.25 and totals[3] == -3


def test_asyncpg(pooler):
    """Everything is prepared, and parameters travel in binary form."""

    async def work():
        connection = await asyncpg.connect(host="127.0.0.1", port=pooler.port, user="stats", database="pgbouncer")
        try:
            rows = await connection.fetch("select key, value from config where key = $1", "pool_mode")
            assert [tuple(r) for r in rows] == [("pool_mode", "transaction")]
            rows = await connection.fetch(
                "select name, port from databases where port = $1 and pool_size > $2 order by name limit $3",
                pooler.port, -1, 3)
            assert [tuple(r) for r in rows] == [("pgbouncer", pooler.port)]
            total = await connection.fetchval("select sum(total_query_count) from stats where total_query_count < $1", 1e9)
            assert total >= 1
            with pytest.raises(asyncpg.PostgresError):
                await connection.fetch("select * from nowhere")
            async with connection.transaction():
                assert await connection.fetchval("select count(*) from pools where user = $1", "nobody") == 0
        finally:
            await connection.close()

    asyncio.run(asyncio.wait_for(work(), 30))


def test_drivers_say_hello(pooler):
    """What drivers send when they connect."""
    done = psql(
        pooler, "BEGIN", "SET application_name = 'x'", "SET extra_float_digits = 3", "SHOW transaction_read_only",
        "select version()", "SELECT 1", "select current_user, current_database()", "COMMIT", "DISCARD ALL", ";")
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if line not in ("BEGIN", "SET", "COMMIT", "DISCARD ALL")]
    assert lines[0] == "off" and lines[1].startswith("PgBouncer 1.25") and lines[2:] == ["1", "stats|pgbouncer"]
