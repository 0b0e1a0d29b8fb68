"""Cancels with bystanders, and writes whose fate is looked up afterwards."""

import asyncio

from client import Setback
from link import cancel as send_cancel
from wire import SYNC, bind, execute, parse, query, run


async def cancel(c):
    """Half of the time a victim, half of the time a bystander that must not be hit."""
    await (victim if c.dice.random() < 0.5 else bystander)(c)


async def bystander(c):
    """A query that takes a moment and that nobody cancels."""
    token = c.token()
    sql = f"select '{token}' from pg_sleep({c.dice.random() / 50})"
    answer = c.clean(await c.ask(token, *([query(sql)] if c.dice.random() < 0.5 else [run(sql), SYNC])))
    c.must(answer.rows == [[token]], "the row", answer)


async def victim(c):
    """A query and its cancel request at any time; the answer is the row or 57014, and nothing else is hit."""
    token, long = c.token(), c.dice.random() < 0.3
    seconds = 5 if long else c.dice.random() / 100
    c.link.send(query(f"select '{token}' from pg_sleep({seconds})"))
    waiting = asyncio.ensure_future(c.answer(token))
    try:
        await asyncio.sleep(c.dice.random() / 100)
        await send_cancel(c.run.address, c.link.key)
        while long and not (await asyncio.wait([waiting], timeout=0.3))[0]:
            await send_cancel(c.run.address, c.link.key)  # the first came before the query was there
        answer = await waiting
    finally:
        waiting.cancel()
    if answer.errors and answer.errors[0].get("C") == "57014":
        c.findings.tally["cancelled"] += 1
        # PostgreSQL looks for a cancel behind the row, too, before it says that the query is complete.
        hit = answer.rows in ([], [[token]]) and answer.kinds.endswith("EZ") and answer.status == "I"
        c.must(hit, "one error, behind the row at most", answer)
    else:
        c.clean(answer)
        c.must(answer.rows == [[token]], "the row", answer)
        c.findings.tally["cancels_too_late"] += 1


async def once(c):
    """A write: acknowledged, refused, or left in doubt."""
    await c.dice.choice((written, written, written, refused, vanished, halved))(c)


async def written(c):
    """An INSERT by either protocol, acknowledged by its tag and ReadyForQuery."""
    token = c.token()
    c.run.writes.sent(token)
    table = c.run.write_table
    if c.dice.random() < 0.5:
        answer = await c.ask(token, query(f"insert into {table} values ('{token}')"))
    else:
        answer = await c.ask(token, parse(f"insert into {table} values ($1::text)"), bind([token]), execute(), SYNC)
    c.clean(answer)
    c.must(answer.tags == ["INSERT 0 1"], "the tag", answer)
    c.run.writes.acknowledged(token)


async def refused(c):
    """An INSERT that its own statement list undoes."""
    token = c.token()
    c.run.writes.sent(token)
    answer = await c.ask(token, query(f"insert into {c.run.write_table} values ('{token}'); select '{token}'::int"))
    c.own_error(answer, "22P02", token)
    c.run.writes.refused(token)


async def vanished(c):
    """An INSERT whose client does not wait for the answer: in doubt, but never twice."""
    token = c.token()
    c.run.writes.sent(token)
    c.link.send(query(f"insert into {c.run.write_table} select '{token}' from pg_sleep(0.001)"))
    await c.link.drain()
    await asyncio.sleep(c.dice.choice((0, 0.0005, 0.002)))
    await leave(c)


async def halved(c):
    """An INSERT of which only a part was sent: never run."""
    token = c.token()
    c.run.writes.sent(token)
    whole = query(f"insert into {c.run.write_table} values ('{token}')")
    c.link.send(whole[: c.dice.randrange(1, len(whole))])
    await c.link.drain()
    await asyncio.sleep(c.dice.choice((0, 0.001, 0.01)))
    c.run.writes.refused(token)
    await leave(c)


async def leave(c):
    """End the connection, politely or by a reset."""
    c.findings.tally["vanished"] += 1
    if c.dice.random() < 0.5:
        c.link.reset()
    raise Setback
