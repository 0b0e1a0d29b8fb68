"""Pipelines of batches with errors in the middle, and transactions."""

from wire import FLUSH, SYNC, bind, execute, parse, query, run


async def pipeline(c):
    """Several batches in one write; some fail in the middle, some store a row."""
    batches = [batch(c) for _ in range(c.dice.randrange(2, 9))]
    for token, _, _, stores in batches:
        if stores:
            c.run.writes.sent(token)
    c.link.send(*(part for _, sent, _, _ in batches for part in sent))
    for token, _, fails, stores in batches:
        c.asked = ("pipeline", token)
        answer = await c.answer(token)
        if fails:
            c.own_error(answer, "22P02", token)
            c.must(answer.rows == [[token, "before"]], "the row before the error and none behind", answer)
            if stores:
                c.run.writes.refused(token)
        else:
            c.clean(answer)
            c.must(answer.rows == [[token, "before"], [token, "behind"]], "both rows", answer)
            c.must(answer.kinds == "12DC" + "12C" * stores + "12DCZ", "order of the messages", answer)
            if stores:
                c.run.writes.acknowledged(token)


def batch(c):
    """(token, messages, whether it fails, whether it stores a row)"""
    token = c.token()
    fails, stores = c.dice.random() < 0.3, c.dice.random() < 0.3
    sent = [run("select $1::text, 'before'", [token])]
    if stores:
        sent.append(insert(c, token))
    if c.dice.random() < 0.1:
        sent.append(FLUSH)
    if fails:
        sent.append(run("select $1::text::int", [token]))
    return token, [*sent, run("select $1::text, 'behind'", [token]), SYNC], fails, stores


def insert(c, token):
    """Store a token, by the extended protocol."""
    return parse(f"insert into {c.run.write_table} values ($1::text)") + bind([token]) + execute()


async def transaction(c):
    """One backend and one transaction id inside; SET LOCAL is seen inside and by nobody afterwards."""
    token = c.token()
    look = "select pg_backend_pid(), txid_current(), current_setting('application_name'), current_setting('pgcheck.token', true)"
    c.clean(await c.ask(token, query("begin")), "T")
    c.clean(await c.ask(token, query(
        f"set local application_name = '{token}'; set local pgcheck.token = '{token}'"
    )), "T")
    first = c.clean(await c.ask(token, query(look)), "T").rows[0]
    c.must(first[2:] == [token, token], f"SET LOCAL inside: {first}", kind="leaks")
    c.run.writes.sent(token)
    if c.dice.random() < 0.5:
        c.clean(await c.ask(token, insert(c, token), SYNC), "T")
    else:
        c.clean(await c.ask(token, query(f"insert into {c.run.write_table} values ('{token}')")), "T")
    for _ in range(c.dice.randrange(0, 4)):
        sent = [query(look)] if c.dice.random() < 0.5 else [run(look), SYNC]
        row = c.clean(await c.ask(token, *sent), "T").rows[0]
        c.must(row == first, f"inside one transaction {first} became {row}", kind="leaks")
        if c.dice.random() < 0.2:
            await savepoint(c, token)
    await end(c, token)
    answer = c.clean(await c.ask(token, query(
        "select current_setting('application_name'), current_setting('pgcheck.token', true)"
    )))
    name, setting = answer.rows[0]
    c.must(name == c.name and setting in (None, ""), f"SET LOCAL behind the end: {name!r} {setting!r}", kind="leaks")


async def savepoint(c, token):
    """An error inside a savepoint."""
    c.clean(await c.ask(token, query("savepoint s")), "T")
    c.own_error(await c.ask(token, query(f"select '{token}'::int")), "22P02", token, "E")
    c.clean(await c.ask(token, query("rollback to s")), "T")


async def end(c, token):
    """COMMIT, ROLLBACK, or an error and then COMMIT, which is a ROLLBACK."""
    how = c.dice.choice(("commit", "commit", "rollback", "error"))
    if how == "error":
        c.own_error(await c.ask(token, query(f"select '{token}'::int")), "22P02", token, "E")
        c.own_error(await c.ask(token, parse(f"select '{token}'"), SYNC), "25P02", "", "E")
    answer = c.clean(await c.ask(token, query("rollback" if how == "rollback" else "commit")))
    c.must(answer.tags == ["COMMIT" if how == "commit" else "ROLLBACK"], "tag of the end", answer)
    if how == "commit":
        c.run.writes.acknowledged(token)
    else:
        c.run.writes.refused(token)
