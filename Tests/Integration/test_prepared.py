"""Prepared statements over servers that come and go."""

import pytest

from waiting import eventually
from wire import (
    FLUSH, SYNC, Wire, bind, close, describe, errors, execute, kinds, parse, query, rows, run, text_of,
)

pytestmark = pytest.mark.recent


def prepare(wire, name, sql):
    """Parse a named statement and wait."""
    wire.send(parse(sql, name), SYNC)
    assert kinds(wire.read_until()) == "1Z"


def use(wire, name, *values):
    """Bind and execute a named statement; the text of its only value."""
    wire.send(bind(values, name), execute(), SYNC)
    return text_of(wire.read_until())


@pytest.fixture
def other_server(make_pooler):
    """A pooler with two servers, and a function that makes the next user of the pool get the other one."""
    pooler = make_pooler(default_pool_size=2)
    holder = pooler.wire()
    held = []

    def switch():
        if held:
            holder.query("commit")
            held.clear()
        else:
            holder.query("begin")
            held.append(True)

    return pooler, switch


def test_named_statement_on_every_server(other_server):
    """A statement parsed on one server is there on the next."""
    pooler, switch = other_server
    wire = pooler.wire()
    prepare(wire, "sum", "select $1::int + 1")
    seen = set()
    for i in range(6):
        assert use(wire, "sum", i) == str(i + 1)
        seen.add(wire.value("select pg_backend_pid()"))
        switch()
    assert len(seen) == 2


@pytest.mark.ours
def test_unnamed_statement_across_sync(other_server):
    """The unnamed statement may be bound again after Sync, on whatever server."""
    pooler, switch = other_server
    wire, stranger = pooler.wire(), pooler.wire()
    wire.send(parse("select 'mine ' || $1::text"), SYNC)
    assert kinds(wire.read_until()) == "1Z"
    for i in range(4):
        stranger.send(run("select 'stranger'") + SYNC)
        stranger.read_until()
        switch()
        wire.send(bind([i]), execute(), SYNC)
        assert text_of(wire.read_until()) == f"mine {i}"


@pytest.mark.ours
def test_unnamed_statement_dies_with_a_simple_query(lone):
    """A simple Query destroys the unnamed statement, as in PostgreSQL: Bind then says 26000."""
    wire = lone.wire()
    wire.send(parse("select 1"), SYNC)
    wire.read_until()
    wire.query("select 2")
    wire.send(bind(), execute(), SYNC)
    assert errors(wire.read_until())[0]["C"] == "26000"


def test_same_name_different_sql(lone):
    """Twenty clients, one server, one name, twenty statements: each its own (X22)."""
    wires = [lone.wire() for _ in range(20)]
    for number, wire in enumerate(wires):
        prepare(wire, "shared", f"select {number} * 1000 + $1::int")
    for i in range(5):
        for number, wire in enumerate(wires):
            assert use(wire, "shared", i) == str(number * 1000 + i)


def test_same_sql_is_prepared_once(lone, database):
    """Statements of equal text and types are one on the server."""
    for number in range(10):
        wire = lone.wire()
        prepare(wire, f"name{number}", "select $1::int * 3")
        assert use(wire, f"name{number}", 2) == "6"
    assert lone.wire().value("select count(*) from pg_prepared_statements") == "1"


def test_same_text_with_other_types_is_another(lone):
    """Parameter types are part of what a statement is."""
    first, second = lone.wire(), lone.wire()
    first.send(parse("select pg_typeof($1)::text", "s", [23]), SYNC)
    second.send(parse("select pg_typeof($1)::text", "s", [25]), SYNC)
    first.read_until(), second.read_until()
    assert use(first, "s", 1) == "integer"
    assert use(second, "s", 1) == "text"


@pytest.mark.parametrize("fresh", [False, True])
def test_describe_statement(other_server, fresh):
    """Describe of a statement, on its own server and on one that lacks it."""
    pooler, switch = other_server
    wire = pooler.wire()
    prepare(wire, "d", "select $1::int as a, $2::text as b")
    if fresh:
        switch()
    wire.send(describe("S", "d"), SYNC)
    answer = wire.read_until()
    assert kinds(answer) == "tTZ"
    assert answer[1].columns == [("a", 23), ("b", 25)]


def test_describe_portal(lone):
    """Describe of a portal."""
    wire = lone.wire()
    prepare(wire, "d", "select $1::int as a")
    wire.send(bind([5], "d", "portal"), describe("P", "portal"), execute("portal"), SYNC)
    assert kinds(wire.read_until()) == "2TDCZ"


def test_everything_in_one_segment(lone):
    """Parse, Bind, Describe, Execute, Close, Sync of two statements at once, answers in order."""
    wire = lone.wire()
    for _ in range(3):
        wire.send(
            parse("select 1", "x"), bind(name="x"), describe("P"), execute(),
            parse("select 2", "y"), bind(name="y"), execute(), close("S", "x"), close("S", "y"), SYNC,
        )
        answer = wire.read_until()
        assert kinds(answer) == "12TDC12DC33Z"
        assert rows(answer) == [["1"], ["2"]]


def test_close_then_bind_fails(lone):
    """A closed statement does not exist; the refusal names it. PgBouncer ends the connection, PostgreSQL says 26000."""
    wire = lone.wire()
    prepare(wire, "gone", "select 1")
    wire.send(close("S", "gone"), SYNC)
    assert kinds(wire.read_until()) == "3Z"
    wire.send(bind(name="gone"), execute(), SYNC)
    refused = wire.read()
    assert refused.kind == "E" and refused.fields["C"] in ("08P01", "26000")


def test_close_of_unknown_names(lone):
    """Close of what never was is answered CloseComplete (X4)."""
    wire = lone.wire()
    wire.send(close("S", "never"), close("P", "never"), SYNC)
    assert kinds(wire.read_until()) == "33Z"


def test_close_lets_the_name_be_used_again(lone):
    """After Close the name may mean something else."""
    wire = lone.wire()
    for i in range(4):
        prepare(wire, "again", f"select {i}")
        assert use(wire, "again") == str(i)
        wire.send(close("S", "again"), SYNC)
        wire.read_until()


def test_close_of_a_portal_keeps_the_statement(lone):
    """Portal and statement of one name are two things (X18)."""
    wire = lone.wire()
    prepare(wire, "a", "select 'still here'")
    wire.send(bind(name="a", portal="a"), close("P", "a"), SYNC)
    assert kinds(wire.read_until()) == "23Z"
    assert use(wire, "a") == "still here"


@pytest.mark.parametrize("command", ["deallocate all", "discard all"])
def test_forgetting_everything(lone, command):
    """DEALLOCATE ALL and DISCARD ALL forget this client's names and nobody else's."""
    wire, other = lone.wire(), lone.wire()
    prepare(wire, "mine", "select 1")
    prepare(other, "theirs", "select 'theirs'")
    assert use(other, "theirs") == "theirs"
    assert not errors(wire.query(command))
    prepare(wire, "mine", "select 2")
    assert use(wire, "mine") == "2"
    assert use(other, "theirs") == "theirs"


@pytest.mark.ours
def test_deallocate_one(lone):
    """DEALLOCATE name is understood: the name is free, other clients keep theirs (X21)."""
    wire, other = lone.wire(), lone.wire()
    for w, n in ((wire, 1), (other, 2)):
        prepare(w, "shared", f"select {n}")
    assert kinds(wire.query("deallocate shared")) == "CZ"
    prepare(wire, "shared", "select 3")
    assert use(wire, "shared") == "3"
    assert use(other, "shared") == "2"


def test_sql_prepare_is_left_alone(make_pooler):
    """PREPARE and EXECUTE in SQL go through as they are."""
    wire = make_pooler(pool_mode="session").wire()
    wire.query("prepare p as select 'sql'")
    assert wire.value("execute p") == "sql"


def test_parse_error_does_not_poison(lone, database):
    """A statement that failed to parse is really parsed by the next one who tries, under another name."""
    database.execute("drop table if exists not_yet")
    wire = lone.wire()
    wire.send(parse("select count(*) from not_yet", "n1"), SYNC)
    assert errors(wire.read_until())[0]["C"] == "42P01"
    database.execute("create table not_yet (i int); grant all on not_yet to public")
    prepare(wire, "n2", "select count(*) from not_yet")
    assert use(wire, "n2") == "0"
    assert use_fresh(lone, "select count(*) from not_yet") == "0"


def use_fresh(pooler, sql):
    """Prepare and use as a new client."""
    with Wire(pooler.port) as wire:
        wire.login()
        prepare(wire, "f", sql)
        return use(wire, "f")


@pytest.mark.ours
def test_failed_name_may_be_used_again(lone):
    """After a failed Parse the same name may be parsed again (X20)."""
    wire = lone.wire()
    wire.send(parse("selec 1", "n"), SYNC)
    assert errors(wire.read_until())[0]["C"] == "42601"
    prepare(wire, "n", "select 1")
    assert use(wire, "n") == "1"


def test_error_in_a_pipeline(lone):
    """The batch with the error is skipped to its Sync, the others are not (X12)."""
    wire = lone.wire()
    prepare(wire, "div", "select 100 / $1::int")
    for value in (1, 0, 2, 0, 4):
        wire.send(bind([value], "div"), execute(), SYNC)
    answers = [wire.read_until() for _ in range(5)]
    assert [rows(a) for a in answers] == [[["100"]], [], [["50"]], [], [["25"]]]
    assert [bool(errors(a)) for a in answers] == [False, True, False, True, False]


def test_parse_behind_an_error_is_not_taken_as_done(other_server):
    """A Parse that PostgreSQL skipped after an error is not believed to be on the server."""
    pooler, switch = other_server
    wire = pooler.wire()
    wire.send(run("select 1/0"), parse("select 'skipped'", "late"), bind(name="late"), execute(), SYNC)
    assert errors(wire.read_until())[0]["C"] == "22012"
    helper = pooler.wire()
    prepare(helper, "h", "select 'skipped'")
    assert use(helper, "h") == "skipped"
    switch()
    assert use(helper, "h") == "skipped"


def test_error_then_query_in_one_write(lone):
    """Syntax error, Sync, Query in one segment (X13)."""
    wire = lone.wire()
    wire.send(parse("selec", "bad"), SYNC, query("select 'next'"))
    assert errors(wire.read_until())[0]["C"] == "42601"
    assert rows(wire.read_until()) == [["next"]]


def test_least_recently_used(make_pooler):
    """With room for two, twenty statements in turns still work; the server keeps at most two."""
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=2)
    wire = pooler.wire()
    for i in range(20):
        prepare(wire, f"s{i}", f"select {i}")
    for i in [0, 1, 2, 0, 5, 19, 5, 3, 4, 3]:
        assert use(wire, f"s{i}") == str(i)
        assert int(wire.value("select count(*) from pg_prepared_statements")) <= 2


def test_eviction_inside_a_pipeline(make_pooler):
    """Room for one; a batch that uses two and goes back to the first (X19)."""
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=1)
    wire = pooler.wire()
    prepare(wire, "a", "select 'a'")
    wire.send(
        bind(name="a"), execute(), parse("select 'c'", "c"), bind(name="c"), execute(), bind(name="a"), execute(), SYNC
    )
    assert rows(wire.read_until()) == [["a"], ["c"], ["a"]]
    assert use(wire, "c") == "c"


@pytest.mark.ours
def test_eviction_inside_a_failing_pipeline(make_pooler):
    """An error in the middle leaves what is believed and what is true the same."""
    pooler = make_pooler(default_pool_size=1, max_prepared_statements=2)
    wire = pooler.wire()
    names = [f"n{i}" for i in range(6)]
    for i, name in enumerate(names):
        prepare(wire, name, f"select {i} / $1::int")
    for poison in range(6):
        wire.send(*(bind([0 if i == poison else 1], name) + execute() for i, name in enumerate(names)), SYNC)
        answer = wire.read_until()
        assert len(rows(answer)) == poison and errors(answer)[0]["C"] == "22012"
        for i, name in enumerate(names):
            assert use(wire, name, 1) == str(i)


def test_ddl_changes_the_result(lone, database):
    """After DDL PostgreSQL says 0A000 once; prepared again it works (X23)."""
    database.execute("drop table if exists shape; create table shape (a int); insert into shape values (1)")
    database.execute("grant all on shape to public")
    wire = lone.wire()
    prepare(wire, "s", "select * from shape")
    assert use(wire, "s") == "1"
    database.execute("alter table shape add column b text default 'b'")
    wire.send(bind(name="s"), execute(), SYNC)
    failed = errors(wire.read_until())
    assert failed and failed[0]["C"] == "0A000"
    wire.send(close("S", "s"), SYNC)
    wire.read_until()
    prepare(wire, "t", "select a, b from shape")
    assert use(wire, "t") == "1"


def test_long_names_and_texts(lone):
    """Names and texts longer than any buffer (X10)."""
    wire = lone.wire()
    for size in (100, 2048, 4096, 70_000):
        name, text = "n" * size, "t" * (size * 3)
        prepare(wire, name, f"select '{text}' || $1::text")
        assert use(wire, name, "!") == text + "!"


def test_statement_in_a_failed_transaction(lone):
    """Inside a failed transaction a Parse fails and is not believed; after ROLLBACK the statement works."""
    wire = lone.wire()
    wire.query("begin")
    wire.query("select 1/0")
    wire.send(parse("select 'after'", "a"), bind(name="a"), execute(), SYNC)
    assert errors(wire.read_until())[0]["C"] == "25P02"
    wire.query("rollback")
    prepare(wire, "b", "select 'after'")
    assert use(wire, "b") == "after"


def test_server_dies_statement_survives(lone, database):
    """The statements of a client outlive its server."""
    wire = lone.wire()
    prepare(wire, "s", "select 'survivor'")
    assert use(wire, "s") == "survivor"
    database.kill_backends()
    eventually(lambda: lone.pool()["sv_idle"] + lone.pool()["sv_used"] == 0, "the dead server is noticed")
    assert use(wire, "s") == "survivor"


def test_flush_between_parse_and_bind(lone):
    """Drivers that Flush after Describe and Sync later."""
    wire = lone.wire()
    wire.send(parse("select $1::int", "f"), describe("S", "f"), FLUSH)
    assert kinds(wire.read_until("T")) == "1tT"
    wire.send(bind([9], "f"), execute(), SYNC)
    assert text_of(wire.read_until()) == "9"


def test_transaction_with_prepared_statements(lone):
    """BEGIN, uses, COMMIT, all by extended protocol, clients interleaved."""
    wires = [lone.wire() for _ in range(3)]
    for wire in wires:
        prepare(wire, "b", "begin")
        prepare(wire, "v", "select $1::text")
        prepare(wire, "c", "commit")
    for i in range(5):
        for number, wire in enumerate(wires):
            wire.send(bind(name="b"), execute(), SYNC)
            assert wire.read_until()[-1].body == b"T"
            assert use(wire, "v", f"{number}.{i}") == f"{number}.{i}"
            wire.send(bind(name="c"), execute(), SYNC)
            assert wire.read_until()[-1].body == b"I"


def test_counts_in_show_clients(lone):
    """SHOW CLIENTS counts the names a client holds."""
    wire = lone.wire()
    for i in range(3):
        prepare(wire, f"n{i}", f"select {i}")
    rows_now = [r for r in lone.admin("SHOW CLIENTS") if r["user"] == "trusty"]
    assert rows_now[0]["prepared_statements"] == "3"
