"""Direct against pooled: one script of raw protocol messages, played to PostgreSQL and through the pooler.

A script is text, one step a line:

    a: parse("select 1") + bind() + execute() + SYNC -> Z

`a` names a client (it logs in at its first step), the expression is Python over the messages of wire.py and is
sent in one write, and behind `->` stands what to wait for: the kinds of messages that must be read in this order
(`ZZ` reads two ReadyForQuery, `C` one CommandComplete), `end` for the end of the connection, `mark` for the answer
of a fence the runner sends behind the step, or nothing at all. `a: -> Z` only waits; `a: close` hangs up.
Every client that is still there at the end answers one more fence, so nothing that came unasked stays unseen.

Answers are compared byte for byte, client by client, save what `permitted` names.
"""

import argparse
import ast
import itertools
import os
import random
import re
import shutil
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

import psycopg

import wire as wire_module
from waiting import eventually
from wire import COPY_DONE, SYNC, Closed, Message, Wire, close, message

WAIT_SECONDS = 5.0

# A fence is answered alike in every state: CopyDone ends a COPY or is ignored, Sync ends the batch, and five Close
# of portals that never were give five CloseComplete, which nothing else in a script does.
FENCE = COPY_DONE + SYNC + close("P", "no such portal") * 5 + SYNC
FENCE_ANSWER = "33333Z"

SCHEMA = """
drop schema if exists direct cascade;
create schema direct;
grant all on schema direct to public;
create table direct.things (id int primary key, name text not null);
create table direct.copied (id int, name text);
create function direct.say(what text) returns text language plpgsql as
  $$ begin raise notice 'said %', what; return what; end $$;
create function direct.fail(what text) returns text language plpgsql as $$ begin raise exception '%', what; end $$;
grant all on all tables in schema direct to public;
"""

RESET = """
truncate direct.things, direct.copied;
insert into direct.things select i, 'thing ' || i from generate_series(1, 5) i;
"""


def fcall(oid, *values):
    """A FunctionCall with text arguments and a text result."""
    body = struct.pack("!IHH", oid, 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value.encode()
    return message("F", body + struct.pack("!H", 0))


WORDS = {
    name: getattr(wire_module, name)
    for name in (
        "SYNC FLUSH TERMINATE COPY_DONE message raw query parse bind describe execute close copy_data copy_fail "
        "startup packet cancel_request"
    ).split()
} | {"fcall": fcall}


class Step:
    """One line: who sends which terms, and what is waited for."""

    def __init__(self, client, terms, wait=""):
        self.client, self.terms, self.wait = client, list(terms), wait

    def __str__(self):
        said = " + ".join(self.terms)
        return f"{self.client}: {said}{' -> ' + self.wait if self.wait else ''}".replace("  ", " ")

    @property
    def bytes(self):
        """What is sent."""
        return b"".join(eval(term, {"__builtins__": {}}, WORDS) for term in self.terms)  # our own files only


def read_script(lines):
    """Steps of a script's lines; empty ones and comments are skipped."""
    steps = []
    for line in lines:
        line = line.strip()
        if line and not line.startswith("#"):
            client, said = line.split(":", 1)
            said, arrow, wait = said.rpartition("->") if "->" in said else (said, "", "")
            steps.append(Step(client.strip(), _terms(said.strip()), wait.strip()))
    return steps


def _terms(said):
    """The terms of a sum, as they are written."""
    if not said:
        return []
    if said == "close":
        return ["close"]
    terms, node = [], ast.parse(said, mode="eval").body
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        terms.append(ast.get_source_segment(said, node.right))
        node = node.left
    return [ast.get_source_segment(said, node), *reversed(terms)]


def read_scripts(folder):
    """(file:name, steps) of every script in a folder; a script begins with `== name`."""
    found = []
    for path in sorted(Path(folder).glob("*.txt")):
        name, lines = None, []
        for line in [*path.read_text().splitlines(), "== "]:
            if line.startswith("== "):
                if name:
                    found.append((f"{path.stem}:{name}", read_script(lines)))
                name, lines = line[3:].strip(), []
            else:
                lines.append(line)
    return found


class Hang(Exception):
    """An awaited answer did not come."""


class Player:
    """Plays scripts to one port. `chop` is a source of random cuts; without it steps go out in one write."""

    def __init__(self, port, user="trusty", database="app", chop=None):
        self.port, self.user, self.database, self.chop = port, user, database, chop

    def play(self, steps):
        """What every client heard after its login: messages, and "end" where the connection ended."""
        wires, heard = {}, {}
        try:
            for step in steps:
                if step.client not in wires:
                    wires[step.client] = wire = Wire(self.port, seconds=WAIT_SECONDS)
                    wire.login(self.user, self.database)
                    heard[step.client] = []
                self._step(wires[step.client], step, heard[step.client])
            for name, wire in wires.items():
                if wire.socket.fileno() >= 0 and heard[name][-1:] != ["end"]:
                    self._send(wire, FENCE)
                    self._hear(wire, "mark", heard[name])
        except (TimeoutError, Hang) as problem:
            heard["hang"] = [f"client {step.client} {problem}"]
        finally:
            for wire in wires.values():
                wire.close()
        return heard

    def _step(self, wire, step, heard):
        if step.terms == ["close"]:
            wire.close()
            return
        self._send(wire, step.bytes + (FENCE if step.wait == "mark" else b""))
        if heard[-1:] != ["end"]:
            self._hear(wire, step.wait, heard)

    def _send(self, wire, data):
        cuts = [0, len(data)]
        if self.chop and len(data) > 1:
            cuts[1:1] = sorted(self.chop.randrange(1, len(data)) for _ in range(self.chop.randrange(4)))
        try:
            for start, end in itertools.pairwise(cuts):
                wire.send(data[start:end])
                if end < len(data):
                    time.sleep(0.001)
        except ConnectionError:
            pass  # the end is seen by whoever reads

    def _hear(self, wire, wait, heard):
        from_here = len(heard)
        try:
            if wait == "end":
                while True:
                    heard.append(wire.read())
            if wait == "mark":
                tail = ""
                while not tail.endswith(FENCE_ANSWER):
                    heard.append(wire.read())
                    tail = (tail + heard[-1].kind)[-len(FENCE_ANSWER) :]
                return
            for kind in wait:
                heard.append(wire.read())
                while heard[-1].kind != kind:
                    heard.append(wire.read())
        except Closed:
            heard.append("end")
        except TimeoutError:
            said = "".join(m if isinstance(m, str) else m.kind for m in heard[from_here:])
            raise Hang(f"waited for {wait!r}, heard {said!r} and no more") from None


def permitted(direct, pooled):
    """Both answers without what may differ. The whole list:

    - what is said up to the first ReadyForQuery (parameters, key) is not compared at all;
    - the process id inside a NotificationResponse;
    - an error the pooler says by itself carries severity, SQLSTATE and text only: no V, no place in the source;
    - an error about a named statement may name it as the pooler does (PGBOUNCER_1), in transaction mode;
    - a Parse of a name that is taken: 42P05 comes before what else may be wrong with it;
    - the type of the message that has no place inside COPY: the pooler may have put one in front, or kept one back;
    - the place in the source of 25P02 (in a failed transaction): the pooler may have put a Parse in front of a Bind;
    - where PostgreSQL ends the connection (with a FATAL or without a word), the pooler may say another FATAL 08P01;
    - scripts marked [may end]: the pooler may end the connection with FATAL 08P01 where PostgreSQL refuses a message
      with ERROR 08P01; what it said before must be what PostgreSQL said before (`ended_early`).
    """
    direct, pooled = [_plain(m) for m in direct], [_plain(m) for m in pooled]
    for at, (one, other) in enumerate(zip(direct, pooled)):
        if one != other and _kind(one) == _kind(other) == "E" and _is_same_error(one.fields, other.fields):
            pooled[at] = one
    return _without_end(direct), _without_end(pooled)


def _is_same_error(one, other):
    said = re.sub(r'"PGBOUNCER_[0-9a-f]+"', '"…"', other["M"])
    if said != other["M"]:
        return other | {"M": said} == one | {"M": re.sub(r'statement "[^"]*"', 'statement "…"', one["M"])}
    if other["C"] == "42P05":
        return one["C"] in ("42P05", "42601", "42P01", "42703", "22P02")
    if one["C"] == other["C"] == "25P02":
        return one["M"] == other["M"]
    if other["M"].startswith("unexpected message type 0x"):
        return one["M"].startswith("unexpected message type 0x")
    return "F" not in other and all(one.get(k) == other.get(k) for k in "SCM")


def _plain(heard):
    return Message("A", bytes(4) + heard.body[4:]) if _kind(heard) == "A" else heard


def _kind(heard):
    return heard if isinstance(heard, str) else heard.kind


def _without_end(heard):
    if heard[-1:] == ["end"] and len(heard) > 1 and _kind(heard[-2]) == "E":
        fields = heard[-2].fields
        if fields.get("S") == "FATAL" and fields.get("C") == "08P01":
            return [*heard[:-2], "end"]
    return heard


def ended_early(direct, pooled):
    """Whether the pooler said nothing but the beginning of what PostgreSQL said, then FATAL 08P01, then the end."""
    short = _without_end(pooled)
    refused = any(_kind(m) == "E" and m.fields.get("C") == "08P01" for m in direct)
    return refused and len(short) < len(pooled) and direct[: len(short) - 1] == short[:-1]


def difference(direct, pooled, may_end=False):
    """The first difference in words, or None."""
    if "hang" in pooled:
        return f"hang: pooled {pooled['hang'][0]}"
    for name in dict.fromkeys([*direct, *pooled]):
        one, other = permitted(direct.get(name, []), pooled.get(name, []))
        if may_end and ended_early(direct[name], pooled[name]):
            continue
        for at, (expected, got) in enumerate(itertools.zip_longest(one, other)):
            if expected != got:
                return (
                    f"client {name}, answer {at}: directly {show(expected)}, pooled {show(got)}\n"
                    f"  directly: {_word(one)}\n  pooled:   {_word(other)}"
                )
    return None


def _word(heard):
    return "".join("." if m == "end" else m.kind for m in heard)


def show(heard):
    """A message for people."""
    if heard is None or isinstance(heard, str):
        return heard or "nothing"
    if heard.kind in "EN":
        return f"{heard.kind} {heard.fields}"
    return f"{heard.kind} {heard.body[:120]!r}{'…' if len(heard.body) > 120 else ''}"


class Generator:
    """Random scripts: sensible enough to reach deep states, careless enough to make errors at every position.

    Nothing that transaction pooling changes by its nature is generated: settings that are not tracked, SQL-level
    PREPARE, temporary tables, LISTEN, advisory locks.
    """

    SQL = [
        "select 1", "select id, name from direct.things order by id", "select $1::text", "select $1::int + 1",
        "select generate_series(1, 7)", "insert into direct.things values ($1::int, 'new')",
        "update direct.things set name = 'changed' where id = 1", "select direct.say('hello')",
        "select 1/0", "selec", "", "begin", "commit", "rollback", "savepoint s", "rollback to s",
        "select repeat('x', 9000)", "copy direct.things to stdout", "copy direct.copied from stdin",
        "delete from direct.things where id = 2", "select null::text", "select 'bad'::int",
    ]
    QUERIES = [
        "select 1; select 2", "begin; select 1", "select 1; select 1/0; select 2", "commit", "rollback", "begin",
        "set application_name = 'gen'", "show application_name", "set local datestyle = 'german'", "show datestyle",
        "set timezone = 'Asia/Tokyo'", "reset timezone", "copy direct.things to stdout",
        "copy direct.copied from stdin", "deallocate all", "discard all", 'deallocate "s1"', "select direct.fail('no')",
        "select count(*) from direct.copied", "declare c cursor for select generate_series(1, 9)", "fetch 3 from c",
        "insert into direct.things values (1, 'x')",
    ]
    NAMES = ["", "", "s1", "s2"]
    PORTALS = ["", "", "p1"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def script(self):
        """A script of one or two clients."""
        clients = "ab" if self.random.random() < 0.3 else "a"
        steps = []
        for _ in range(self.random.randint(2, 6)):
            terms = []
            for _ in range(self.random.randint(1, 4)):
                terms += self._piece()
            if len(clients) > 1:
                terms += ["COPY_DONE", "SYNC", 'query("rollback")']
            loose = len(clients) == 1 and self.random.random() < 0.2
            steps.append(Step(self.random.choice(clients), terms, "" if loose else "mark"))
        return steps

    def _piece(self):
        pick, some = self.random.random(), self.random.choice
        if pick < 0.25:
            return [f"query({some(self.SQL + self.QUERIES * 2)!r})"]
        if pick < 0.35:
            return [some([
                'copy_data(b"7\\tseven\\n")', 'copy_data(b"bad\\n")', "COPY_DONE", 'copy_fail("given up")',
                "FLUSH", "SYNC",
                'fcall(871, "X")', 'fcall(871)', "fcall(1)", 'query("")',
            ])]
        terms, name, portal = [], some(self.NAMES), some(self.PORTALS)
        sql = some(self.SQL)
        values = "['5']" if "$1" in sql else "[]"
        if self.random.random() < 0.7:
            terms.append(f"parse({sql!r}, {name!r})")
        if self.random.random() < 0.2:
            terms.append(f"describe('S', {name!r})")
        if self.random.random() < 0.85:
            terms.append(f"bind({values}, {name!r}, {portal!r})")
        if self.random.random() < 0.3:
            terms.append(f"describe('P', {portal!r})")
        for _ in range(some([0, 1, 1, 1, 2])):
            terms.append(f"execute({portal!r}, {some([0, 0, 1, 3])})")
        if self.random.random() < 0.15:
            terms.append(some([f"close('S', {name!r})", f"close('P', {portal!r})"]))
        if self.random.random() < 0.15:
            terms.append("FLUSH")
        if self.random.random() < 0.6:
            terms.append("SYNC")
        if self.random.random() < 0.1:
            self.random.shuffle(terms)
        return terms or ["SYNC"]


class Comparison:
    """PostgreSQL and one pooler before the same database, whose tables are put back before every play.

    `connect` opens a connection of our own, past the pooler; again when a script has brought PostgreSQL down.
    """

    def __init__(self, direct_port, pooled_port, connect, database, pooled_database="app"):
        self.direct_port, self.pooled_port, self.connect = direct_port, pooled_port, connect
        self.database, self.pooled_database = database, pooled_database
        self._own = connect()
        self._own.execute(SCHEMA)

    def _reset(self):
        try:
            self._own.execute(RESET)
        except psycopg.OperationalError as problem:
            self._own = eventually(self._again, "PostgreSQL is back", every=0.2)
            raise Hang("PostgreSQL itself has crashed") from problem

    def _again(self):
        try:
            return self.connect()
        except psycopg.OperationalError:
            return None

    def end(self):
        """Close our own connection."""
        self._own.close()

    def difference(self, steps, chop=None, may_end=False):
        """Play both ways; the difference in words, or None. A script that hangs PostgreSQL itself is an error."""
        self._reset()
        direct = Player(self.direct_port, database=self.database).play(steps)
        if "hang" in direct:
            raise Hang(f"PostgreSQL itself: {direct['hang']}")
        self._reset()
        cuts = random.Random(chop) if chop is not None else None
        pooled = Player(self.pooled_port, database=self.pooled_database, chop=cuts).play(steps)
        return difference(direct, pooled, may_end)

    def generated(self, seed):
        """The script of a seed and its difference; every second seed is sent in pieces."""
        steps = Generator(seed).script()
        return steps, self.difference(steps, chop=seed if seed % 2 else None)

    def shrink(self, steps, chop=None, seconds=20.0):
        """A shorter script that still differs."""
        end, found = time.monotonic() + seconds, True
        wanted = _signature(self.difference(steps, chop))
        while found and time.monotonic() < end:
            found = False
            for shorter in _shorter(steps):
                if time.monotonic() > end:
                    break
                try:
                    still = self.difference(shorter, chop)
                except (Hang, OSError, Closed):
                    continue
                if still and _signature(still) == wanted:
                    steps, found = shorter, True
                    break
        return steps


def _signature(found):
    """What a difference is about, so that shrinking does not wander off to another one."""
    if found and found.startswith("hang"):
        return "hang"
    return re.sub(r"client \w+, answer \d+|\d+", "", found.splitlines()[0]) if found else None


def _shorter(steps):
    for at in range(len(steps)):
        yield steps[:at] + steps[at + 1 :]
    for at, step in enumerate(steps):
        for term in range(len(step.terms)):
            left = Step(step.client, step.terms[:term] + step.terms[term + 1 :], step.wait)
            yield [*steps[:at], left, *steps[at + 1 :]]


def main():
    """Long runs and replays, with a PostgreSQL and a pooler of our own."""
    options = argparse.ArgumentParser(description="Plays scripts to PostgreSQL directly and through pglido; compares.")
    options.add_argument("--seed", type=int, default=1, help="first seed")
    options.add_argument("--count", type=int, default=1000, help="how many seeds")
    options.add_argument("--mode", default="transaction", choices=["transaction", "session"])
    options.add_argument("--script", help="play one script from this file instead")
    options.add_argument("--keep-going", action="store_true", help="do not stop at the first difference")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that an ended run takes its servers with it
    room = Path(tempfile.mkdtemp(prefix="pglido-direct-", dir="/tmp"))
    try:
        sys.exit(_compare(room, chosen))
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _compare(room, chosen):
    os.environ.setdefault("PYTEST_XDIST_WORKER", "gw11")  # ports of our own beside a run of the tests
    from cluster import Cluster, Database
    from machine import PORTS, give_to_owner, pooler_binary
    from pooler import Pooler

    room.chmod(0o755)
    give_to_owner(room)
    shutil.copy(pooler_binary(), room / "pglido")
    (room / "pglido").chmod(0o755)
    cluster = Cluster(room / "postgres", PORTS.free())
    cluster.create()
    pooler = None
    try:
        database = Database(cluster, "direct")
        pooler = Pooler(
            room / "pooler", room / "pglido", databases={"app": f"host=127.0.0.1 port={cluster.port} dbname=direct"},
            settings={"pool_mode": chosen.mode, "default_pool_size": 1 if chosen.mode == "transaction" else 5},
        ).start()
        comparison = Comparison(cluster.port, pooler.port, lambda: cluster.connect("direct"), "direct")
        if chosen.script:
            found = comparison.difference(read_script(Path(chosen.script).read_text().splitlines()))
            print(found or "no difference")
            return 1 if found else 0
        return _run_seeds(comparison, chosen)
    finally:
        if pooler:
            pooler.may_end = True
            pooler.stop()
        cluster.destroy()


def _run_seeds(comparison, chosen):
    began, found = time.monotonic(), 0
    for seed in range(chosen.seed, chosen.seed + chosen.count):
        try:
            steps, differs = comparison.generated(seed)
        except Hang as problem:
            print(f"seed {seed} left out: {problem}", flush=True)
            continue
        if differs:
            found += 1
            print(f"DIFFERENCE  replay: bin/direct --mode {chosen.mode} --seed {seed} --count 1\n{differs}")
            print("shrunk to:", *comparison.shrink(steps, seed if seed % 2 else None), sep="\n  ", flush=True)
            if not chosen.keep_going:
                return 1
    print(f"{chosen.count} scripts in {time.monotonic() - began:.0f} s, {found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    main()
