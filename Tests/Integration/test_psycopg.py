"""psycopg 3 in the ways applications use it."""

import psycopg
import pytest

MODES = ["session", "transaction"]
PREPARED = ["session", pytest.param("transaction", marks=pytest.mark.recent)]


@pytest.fixture
def in_mode(make_pooler):
    """Factory of poolers in a pool mode with two servers."""
    return lambda mode: make_pooler(pool_mode=mode, default_pool_size=2)


@pytest.mark.parametrize("mode", MODES)
def test_parameters_and_types(in_mode, mode):
    """Values go there and back through the extended protocol."""
    connection = in_mode(mode).connect(prepare_threshold=None)
    given = (7, "text", None, 2.5, [1, 2, 3], b"\x00\xff")
    row = connection.execute("select %s::int, %s::text, %s::int, %s::float8, %s::int[], %s::bytea", given).fetchone()
    assert row == given


@pytest.mark.parametrize("mode", MODES)
def test_transactions(in_mode, mode, database):
    """Commit, rollback and savepoints."""
    database.execute("create table if not exists booked (i int); truncate booked; grant all on booked to public")
    connection = in_mode(mode).connect(autocommit=False, prepare_threshold=None)
    with connection.transaction():
        connection.execute("insert into booked values (1)")
        with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
            connection.execute("insert into booked values (2)")
            connection.execute("select 1/0")
        connection.execute("insert into booked values (3)")
    with pytest.raises(RuntimeError), connection.transaction():
        connection.execute("insert into booked values (4)")
        raise RuntimeError
    assert database.rows("select array_agg(i order by i) from booked") == [([1, 3],)]


@pytest.mark.parametrize("mode", PREPARED)
def test_prepared_automatically(in_mode, mode):
    """The driver's own prepared statements, over two servers used in turns."""
    pooler = in_mode(mode)
    holder, user = pooler.connect(prepare_threshold=None), pooler.connect(prepare_threshold=0)
    for i in range(6):
        if mode == "transaction" and i == 3:
            holder.execute("begin")
        assert user.execute("select %s::int * 2", (i,)).fetchone() == (2 * i,)


@pytest.mark.parametrize("mode", MODES)
def test_pipeline(in_mode, mode):
    """Pipeline mode: many queries before one wait, answers in order."""
    connection = in_mode(mode).connect(prepare_threshold=None)
    with connection.pipeline():
        cursors = [connection.execute("select %s::int", (i,)) for i in range(200)]
    assert [c.fetchone()[0] for c in cursors] == list(range(200))


@pytest.mark.parametrize("mode", PREPARED)
def test_pipeline_with_prepared(in_mode, mode):
    """Pipelines of statements the driver prepares."""
    connection = in_mode(mode).connect(prepare_threshold=0)
    for _ in range(3):
        with connection.pipeline():
            cursors = [connection.execute(f"select %s::int + {i % 7}", (i,)) for i in range(100)]
        assert [c.fetchone()[0] for c in cursors] == [i + i % 7 for i in range(100)]


@pytest.mark.parametrize("mode", MODES)
def test_pipeline_with_an_error(in_mode, mode):
    """An error aborts its batch and no more; the connection goes on."""
    pooler = in_mode(mode)
    connection = pooler.connect(prepare_threshold=None)
    with pytest.raises(psycopg.errors.DivisionByZero), connection.pipeline() as pipeline:
        connection.execute("select 1")
        pipeline.sync()
        connection.execute("select 1/0")
        connection.execute("select 2")
    assert connection.execute("select 3").fetchone() == (3,)
    connection.close()
    pooler.settle()


@pytest.mark.parametrize("mode", MODES)
def test_copy(in_mode, mode, database):
    """COPY both ways with more than one buffer of data."""
    database.execute("create table if not exists copied (i int, t text); truncate copied; grant all on copied to public")
    connection = in_mode(mode).connect(prepare_threshold=None)
    with connection.cursor().copy("copy copied from stdin") as copy:
        for i in range(5000):
            copy.write_row((i, "x" * 50))
    with connection.cursor().copy("copy (select i, t from copied order by i) to stdout") as copy:
        copy.set_types(["int4", "text"])
        assert [row[0] for row in copy.rows()] == list(range(5000))


@pytest.mark.parametrize("mode", MODES)
def test_named_cursor(in_mode, mode):
    """A server-side cursor inside a transaction."""
    connection = in_mode(mode).connect(autocommit=False, prepare_threshold=None)
    with connection.transaction(), connection.cursor("walker") as cursor:
        cursor.itersize = 100
        cursor.execute("select generate_series(1, 1000)")
        assert sum(row[0] for row in cursor) == 500500


@pytest.mark.parametrize("mode", MODES)
def test_binary_results(in_mode, mode):
    """Binary result format."""
    connection = in_mode(mode).connect(prepare_threshold=None)
    assert connection.cursor(binary=True).execute("select 12345678901::int8, 'b'::text").fetchone() == (12345678901, "b")


@pytest.mark.parametrize("mode", MODES)
def test_large_values(in_mode, mode):
    """Parameters and rows much larger than any buffer, byte for byte."""
    connection = in_mode(mode).connect(prepare_threshold=None)
    for size in (2040, 4096, 16 * 1024 + 1, 3_000_000):
        value = bytes(range(256)) * (size // 256 + 1)
        assert connection.execute("select %s::bytea", (value,)).fetchone() == (value,)


def test_notices_reach_their_client(pooler):
    """A notice goes to the client whose statement raised it."""
    heard = []
    connection = pooler.connect(prepare_threshold=None)
    connection.add_notice_handler(lambda diagnostic: heard.append(diagnostic.message_primary))
    connection.execute("do $$ begin raise notice 'psst'; end $$")
    assert heard == ["psst"]


def test_many_connections_in_threads(pooler):
    """Fifty clients over five servers, each gets its own answers."""
    from concurrent.futures import ThreadPoolExecutor

    def work(number):
        connection = pooler.connect(prepare_threshold=None)
        for i in range(10):
            assert connection.execute("select %s::int", (number * 1000 + i,)).fetchone() == (number * 1000 + i,)
        return True

    with ThreadPoolExecutor(50) as threads:
        assert all(threads.map(work, range(50)))
    assert pooler.settle()["sv_idle"] + pooler.pool()["sv_used"] <= 5
