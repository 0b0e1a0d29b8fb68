"""COPY out of tokened rows; COPY in that is counted over a direct connection, failed and aborted ones included."""

from client import Answer
from mix_plain import digest
from wire import COPY_DONE, FLUSH, SYNC, bind, copy_data, copy_fail, execute, parse, query


async def copy(c):
    """One COPY of a kind."""
    await c.dice.choice((copy_out, copy_in, copy_in, copy_failed, copy_broken))(c)


async def copy_out(c):
    """Lines come whole, in order, none missing."""
    token, count = c.token(), c.dice.choice((0, 1, 7, 300))
    answer = c.clean(await c.ask(token, query(
        f"copy (select '{token}', i, md5('{token}'||i) from generate_series(1, {count}) i) to stdout"
    )))
    c.must(answer.kinds == "H" + "d" * count + "cCZ", "order of the messages", answer)
    told = [f"{token}\t{i}\t{digest(token, i)}\n".encode() for i in range(1, count + 1)]
    c.must([m.body for m in answer if m.kind == "d"] == told, "the lines", answer)


def lines(c, token, count):
    """Lines for the table, cut into CopyData at any place."""
    text = "".join(f"{token}\t{i}\t{digest(token, i)}\n" for i in range(1, count + 1)).encode()
    cuts = sorted(c.dice.randrange(0, len(text) + 1) for _ in range(c.dice.randrange(0, 6)))
    return [copy_data(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)]) if b > a]


async def begin_copy(c, token):
    """Start a COPY in by either protocol and return what ends it."""
    text = f"copy {c.run.copy_table} from stdin"
    ahead = c.dice.random() < 0.5
    if c.dice.random() < 0.3:
        start, end, told = [parse(text), bind(), execute()], [SYNC], "12G"
        if not ahead:
            start.append(FLUSH)
    else:
        start, end, told = [query(text)], [], "G"
    if ahead:
        return start, end, told, None
    c.link.send(*start)
    head = await c.answer(token, until="GE")
    if head.errors:
        c.clean(Answer([*head, *await c.ask(token, *end)]))
    return [], end, told, head


async def copy_in(c):
    """Rows that must be there afterwards, all of them and once."""
    token, count = c.token(), c.dice.choice((0, 1, 5, 60))
    start, end, told, head = await begin_copy(c, token)
    c.run.copies.sent(token)
    answer = await c.ask(token, *start, *lines(c, token, count), COPY_DONE, *end)
    answer = c.clean(Answer([*(head or []), *answer]))
    c.must(answer.kinds == told + "CZ", "order of the messages", answer)
    c.must(answer.tags == [f"COPY {count}"], f"tag COPY {count}", answer)
    c.run.copies.acknowledged(token, count)


async def copy_failed(c):
    """A CopyFail: 57014 with the reason, and nothing stored."""
    token = c.token()
    start, end, _, _ = await begin_copy(c, token)
    c.run.copies.sent(token)
    answer = await c.ask(token, *start, *lines(c, token, c.dice.randrange(0, 4)), copy_fail(token), *end)
    c.own_error(answer, "57014", token)
    c.run.copies.refused(token)


async def copy_broken(c):
    """A line that is no line of the table, everything behind it sent regardless."""
    token = c.token()
    start, end, _, _ = await begin_copy(c, token)
    c.run.copies.sent(token)
    bad = copy_data(f"{token}\tno number\tx\n".encode())
    answer = await c.ask(token, *start, *lines(c, token, 3), bad, *lines(c, token, 2), COPY_DONE, *end)
    others = [e for e in answer.errors if e.get("C") != "22P02"]
    c.must(others or "no number" in answer.errors[0].get("M", ""), "the reason", answer)
    if others:
        c.clean(answer)
    c.must(len(answer.errors) == 1 and answer.status == "I", "one error", answer)
    c.run.copies.refused(token)
