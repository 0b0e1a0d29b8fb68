"""Requests of one answer: simple and extended queries, prepared statements, notices, errors."""

from hashlib import md5

from client import Answer
from wire import FLUSH, SYNC, bind, close, describe, execute, parse, query

WIDTHS = (0, 1, 32, 100, 1000, 4070, 4080, 4096, 8160, 8192, 16384, 65500, 65536)
NAMES = ("s1", "s2", "s3", "a statement", "S_1")


def digest(token, i):
    """What md5(token || i) says in PostgreSQL."""
    return md5(f"{token}{i}".encode()).hexdigest()


def shape(dice, widest=None):
    """A number of rows and a width, mostly small, sometimes at the edge of a buffer; never wider than `widest`."""
    if widest is not None:
        return dice.randrange(0, 6), dice.randrange(0, widest + 1)
    if dice.random() < 0.8:
        return dice.randrange(0, 12), dice.choice(WIDTHS[:4])
    width = dice.choice(WIDTHS) + dice.randrange(-12, 13)
    return (dice.randrange(0, 1500), 32) if dice.random() < 0.4 else (dice.randrange(1, 6), max(width, 0))


def padded(text, width):
    """What left(repeat(text, …), width) says in PostgreSQL."""
    return (text * (width // 32 + 1))[:width]


def check_rows(c, answer, token, count, width):
    """Every row, in order, none missing, none twice."""
    rows = answer.rows
    c.must(len(rows) == count, f"{count} rows, not {len(rows)}", answer)
    for i, row in enumerate(rows, 1):
        told = [token, str(i), padded(digest(token, i), width)]
        c.must(row == told, f"row {i} is {str(row)[:200]}, not {str(told)[:100]}", answer)
    c.must(answer.tags[-1:] == [f"SELECT {count}"], "tag", answer)


async def simple(c):
    """A simple query with generated rows."""
    token = c.token()
    count, width = shape(c.dice, c.run.widest)
    answer = c.clean(await c.ask(token, query(
        f"select '{token}', i, left(repeat(md5('{token}'||i), {width}/32+1), {width})"
        f" from generate_series(1, {count}) i"
    )))
    c.must(answer.kinds == "T" + "D" * count + "CZ", "order of the messages", answer)
    check_rows(c, answer, token, count, width)


async def extended(c):
    """Parse, Bind, Describe, Execute, perhaps in two steps, perhaps with Flush in between."""
    token = c.token()
    count, width = shape(c.dice, c.run.widest)
    limit = c.dice.randrange(1, count) if count > 1 and c.dice.random() < 0.4 else 0
    described = c.dice.random() < 0.5
    flushed = c.dice.random() < 0.2
    sql = "select $1::text, i, left(repeat(md5($1||i), $3::int/32+1), $3::int) from generate_series(1, $2::int) i"
    sent = [parse(sql), bind([token, count, width])]
    sent += [describe("P")] if described else []
    head = Answer()
    if flushed:
        c.link.send(*sent, FLUSH)
        head, sent = await c.answer(token, until="E" + ("T" if described else "2")), []
    sent += [execute(limit=limit)] + ([execute()] if limit else []) + [SYNC]
    answer = c.clean(Answer([*head, *await c.ask(token, *sent)]))
    rows = "D" * limit + "s" + "D" * (count - limit) if limit else "D" * count
    c.must(answer.kinds == "12" + "T" * described + rows + "CZ", "order of the messages", answer)
    rows_only = answer.rows
    c.must(len(rows_only) == count, f"{count} rows, not {len(rows_only)}", answer)
    for i, row in enumerate(rows_only, 1):
        c.must(row == [token, str(i), padded(digest(token, i), width)], f"row {i} is {str(row)[:200]}", answer)


async def prepared(c):
    """Statements whose names all clients use for different texts; now and then closed and made anew."""
    token, name = c.token(), c.dice.choice(NAMES)
    sent, told = [], ""
    if name in c.statements and c.dice.random() < 0.1:
        sent, told = [close("S", name)], "3"
        del c.statements[name]
    if name not in c.statements:
        c.made = getattr(c, "made", 0) + 1
        owner = f"owner {c.number} of {name} for the {c.made}. time"
        sent.append(parse(f"select '{owner}', $1::text", name))
        told += "1"
    else:
        owner = c.statements[name]
    if c.dice.random() < 0.2:
        sent, told = [*sent, describe("S", name)], told + "tT"
    c.statements.pop(name, None)
    answer = c.clean(await c.ask(token, *sent, bind([token], name), execute(), SYNC))
    c.must(answer.rows == [[owner, token]], f"a row of {owner}", answer,
           kind="mixups" if answer.rows and answer.rows[0][0] != owner else "wrong")
    c.must(answer.kinds == told + "2DCZ", "order of the messages", answer)
    c.statements[name] = owner


async def notice(c):
    """A notice that carries the token, before and behind a row."""
    token = c.token()
    times = c.dice.randrange(1, 4)
    answer = await c.ask(token, query(
        f"do $$begin for i in 1..{times} loop raise notice '{token}'; end loop; end$$; select '{token}'"
    ))
    heard = answer.notices
    answer[:] = [m for m in answer if m.kind != "N"]
    c.clean(answer)
    c.must(heard == [token] * times, f"{times} notices, heard {heard}", answer)
    c.must(answer.kinds == "CTDCZ" and answer.rows == [[token]], "the row behind the notices", answer)


async def error(c):
    """An error that carries the token, raised or caused, by either protocol."""
    token = c.token()
    if c.dice.random() < 0.5:
        text = f"do $$begin raise exception '{token}' using errcode = 'P0001'; end$$"
        answer = await c.ask(token, query(text)) if c.dice.random() < 0.5 else \
            await c.ask(token, parse(text), bind(), execute(), SYNC)
        c.own_error(answer, "P0001", token)
    else:
        answer = await c.ask(token, parse("select $1::text::int"), bind([token]), execute(), SYNC)
        c.own_error(answer, "22P02", token)
        c.must(not answer.rows, "no row beside the error", answer)
