"""asyncpg, which prepares every statement and asks for parameters other drivers do not."""

import asyncio

import asyncpg
import pytest

MODES = ["session", pytest.param("transaction", marks=pytest.mark.recent)]


async def connect(pooler, database="app", user="trusty", **more):
    """One connection; the statement cache stays on unless told otherwise."""
    return await asyncpg.connect(host="127.0.0.1", port=pooler.port, user=user, database=database, **more)


def run(coroutine):
    """Run with a deadline of its own."""

    async def limited():
        return await asyncio.wait_for(coroutine, 60)

    return asyncio.run(limited())


@pytest.mark.parametrize("mode", MODES)
def test_statement_cache(make_pooler, mode):
    """Cached statements of several connections over fewer servers."""
    pooler = make_pooler(pool_mode=mode, default_pool_size=2 if mode == "transaction" else 6)

    async def work():
        connections = [await connect(pooler) for _ in range(6)]
        for i in range(10):
            answers = await asyncio.gather(
                *(c.fetchval(f"select $1::int + {n % 3}", i) for n, c in enumerate(connections))
            )
            assert answers == [i + n % 3 for n in range(6)]
        for c in connections:
            await c.close()

    run(work())
    pooler.settle()


@pytest.mark.parametrize("mode", MODES)
def test_transactions_and_cursors(make_pooler, mode):
    """A transaction with a cursor, a savepoint and an error."""
    pooler = make_pooler(pool_mode=mode, default_pool_size=2)

    async def work():
        c = await connect(pooler)
        async with c.transaction():
            seen = [r[0] async for r in c.cursor("select generate_series(1, 300)", prefetch=50)]
            assert seen == list(range(1, 301))
            with pytest.raises(asyncpg.DivisionByZeroError):
                async with c.transaction():
                    await c.fetchval("select 1/0")
            assert await c.fetchval("select 5") == 5
        await c.close()

    run(work())
    pooler.settle()


@pytest.mark.parametrize("mode", MODES)
def test_types_that_need_introspection(make_pooler, mode, database):
    """Composite and enumeration types make asyncpg look into the catalogue."""
    database.execute("drop type if exists mood cascade; create type mood as enum ('calm', 'wild')")
    pooler = make_pooler(pool_mode=mode, default_pool_size=2)

    async def work():
        c = await connect(pooler)
        assert await c.fetchval("select $1::mood", "wild") == "wild"
        assert await c.fetchval("select $1::int[]", [1, 2]) == [1, 2]
        await c.close()

    run(work())


@pytest.mark.parametrize("mode", MODES)
def test_executemany_and_copy(make_pooler, mode, database):
    """executemany pipelines its Binds; COPY goes both ways."""
    database.execute("create table if not exists bulk (i int, t text); truncate bulk; grant all on bulk to public")
    pooler = make_pooler(pool_mode=mode, default_pool_size=2)

    async def work():
        c = await connect(pooler)
        await c.executemany("insert into bulk values ($1, $2)", [(i, str(i)) for i in range(500)])
        await c.copy_records_to_table("bulk", records=[(i, "copied") for i in range(500, 1000)])
        assert await c.fetchval("select count(*) from bulk") == 1000
        await c.close()

    run(work())
    assert database.rows("select sum(i)::int from bulk") == [(499500,)]


def test_without_statement_cache(make_pooler):
    """With the cache off only unnamed statements are used; any server will do."""
    pooler = make_pooler(pool_mode="transaction", default_pool_size=2)

    async def work():
        connections = [await connect(pooler, statement_cache_size=0) for _ in range(4)]
        async with connections[0].transaction():
            for i in range(10):
                answers = await asyncio.gather(*(c.fetchval(f"select {n + i}") for n, c in enumerate(connections)))
                assert answers == [n + i for n in range(4)]

    run(work())


@pytest.mark.parametrize("mode", MODES)
def test_timeout_cancels_only_its_own_query(make_pooler, mode):
    """asyncpg's command timeout sends a cancel; the neighbour is not hit."""
    pooler = make_pooler(pool_mode=mode, default_pool_size=2)

    async def work():
        hurried, calm = await connect(pooler), await connect(pooler)
        slow = asyncio.create_task(calm.fetchval("select 'done' from pg_sleep(1)"))
        with pytest.raises(asyncio.TimeoutError):
            await hurried.fetchval("select pg_sleep(30)", timeout=0.3)
        assert await slow == "done"
        assert await hurried.fetchval("select 1") == 1

    run(work())


def test_pool_of_asyncpg(make_pooler):
    """asyncpg's own pool resets connections with RESET ALL and friends when they come back."""
    pooler = make_pooler(pool_mode="session", default_pool_size=5)

    async def work():
        async with asyncpg.create_pool(
            host="127.0.0.1", port=pooler.port, user="trusty", database="app", min_size=2, max_size=4
        ) as pool:
            assert await asyncio.gather(*(pool.fetchval("select $1::int", i) for i in range(40))) == list(range(40))

    run(work())


@pytest.mark.ours
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_table_changes_under_cached_statements(make_pooler, mode, database):
    """The driver hears that its statement is stale, prepares it anew, and gets the new columns."""
    pooler = make_pooler(pool_mode=mode, default_pool_size=2)

    async def work():
        one, other = await connect(pooler), await connect(pooler)
        await one.execute("drop table if exists changing; create table changing as select 1 as a, 2 as b")
        try:
            for kind, value in (("text", "2"), ("bigint", 2), ("text", "2")):
                for connection in (one, other):
                    await connection.fetchrow("select * from changing")
                await one.execute(f"alter table changing alter b type {kind} using b::{kind}")
                for connection in (one, other, one):
                    assert tuple(await connection.fetchrow("select * from changing")) == (1, value)
        finally:
            await one.execute("drop table changing")
            for connection in (one, other):
                await connection.close()

    run(work())
