"""A storm in which every client knows the only answer it may get: no foreign token, ever."""

import random
import threading
import time

import pytest
from waiting import eventually

from wire import (
    SYNC, Closed, Refused, Wire, bind, errors, execute, kinds, parse, query, rows, run,
)

SECONDS = 8
CLIENTS = 40


class Client:
    """A client that puts its own token into everything it asks, and complains about any other."""

    def __init__(self, pooler, number, problems, stop, named):
        self.pooler, self.number, self.problems, self.stop, self.named = pooler, number, problems, stop, named
        self.dice = random.Random(number)
        self.sequence = 0
        self.answers = 0
        self.losses = 0

    def token(self):
        """A token nobody else has."""
        self.sequence += 1
        return f"c{self.number}.{self.sequence}.{self.dice.getrandbits(64):x}"

    def work(self):
        """Ask until it is time to stop; a lost connection is counted and opened again."""
        while time.monotonic() < self.stop:
            try:
                with Wire(self.pooler.port) as wire:
                    wire.login()
                    self._prepare(wire)
                    while time.monotonic() < self.stop:
                        self.dice.choice(self._menu())(wire)
                        self.answers += 1
            except (Closed, Refused, ConnectionError):
                self.losses += 1
            except Exception as problem:  # whatever it is, the test must report it
                self.problems.append(f"client {self.number}: {problem!r}")
                return

    def _menu(self):
        menu = [self.simple, self.many_rows, self.error, self.transaction, self.pipeline, self.copy_out, self.cancelled]
        return menu + [self.leave] + ([self.prepared] if self.named else [])

    def _prepare(self, wire):
        if self.named:
            wire.send(parse(f"select 'p{self.number}', $1::text", "same_name"), SYNC)
            self._check(kinds(wire.read_until()) == "1Z", "Parse")

    def _check(self, right, what):
        if not right:
            raise AssertionError(what)

    def _check_rows(self, answer, expected):
        failed = errors(answer)
        if failed and failed[0]["C"] in ("57P01", "57014", "08P01", "25P02"):
            raise Closed("killed")
        self._check(not failed and rows(answer) == expected, f"expected {expected[:2]}, got {answer[:6]}")

    def simple(self, wire):
        """One row."""
        token = self.token()
        self._check_rows(wire.query(f"select '{token}'"), [[token]])

    def many_rows(self, wire):
        """Many rows of odd sizes."""
        token, count = self.token(), self.dice.randrange(1, 400)
        self._check_rows(
            wire.query(f"select '{token}', i from generate_series(1, {count}) i"),
            [[token, str(i)] for i in range(1, count + 1)],
        )

    def error(self, wire):
        """An error that carries the token."""
        token = self.token()
        answer = wire.query(f"do $$begin raise notice '{token}'; raise exception '{token}' using errcode = 'P0001'; end$$")
        heard = [m.fields["M"] for m in answer if m.kind in "EN"]
        if errors(answer)[0]["C"] != "P0001":
            raise Closed("killed")
        self._check(heard == [token, token], f"expected {token}, heard {heard}")

    def transaction(self, wire):
        """The same backend and the same local setting inside."""
        token = self.token()
        begun = wire.query(f"begin; set local application_name = '{token}'; select pg_backend_pid()")
        if errors(begun):
            raise Closed("killed")
        self._check_rows(wire.query("select pg_backend_pid(), current_setting('application_name')"), [[rows(begun)[0][0], token]])
        wire.query(self.dice.choice(["commit", "rollback"]))

    def pipeline(self, wire):
        """Several batches at once, one of them wrong."""
        tokens, wrong = [self.token() for _ in range(5)], self.dice.randrange(5)
        wire.send(*(run("select $1::text, 1 / $2::int", [t, int(i != wrong)]) + SYNC for i, t in enumerate(tokens)))
        answers = [wire.read_until() for _ in tokens]
        for i, (token, answer) in enumerate(zip(tokens, answers)):
            if i == wrong:
                self._check(errors(answer) and not rows(answer), "the wrong batch succeeded")
            else:
                self._check_rows(answer, [[token, "1"]])

    def prepared(self, wire):
        """A statement whose name all clients use for something else."""
        token = self.token()
        wire.send(bind([token], "same_name"), execute(), SYNC)
        self._check_rows(wire.read_until(), [[f"p{self.number}", token]])

    def copy_out(self, wire):
        """Rows by COPY."""
        token = self.token()
        answer = wire.query(f"copy (select '{token}' from generate_series(1, 50)) to stdout")
        if errors(answer):
            raise Closed("killed")
        self._check({m.body for m in answer if m.kind == "d"} == {token.encode() + b"\n"}, "foreign COPY data")

    def cancelled(self, wire):
        """A query that is cancelled, or not in time; either way the next one is right."""
        token = self.token()
        wire.send(query(f"select '{token}' from pg_sleep({self.dice.random() / 100})"))
        time.sleep(self.dice.random() / 100)
        self.pooler.cancel(wire.key)
        answer = wire.read_until()
        self._check(rows(answer) == [[token]] or errors(answer)[0]["C"] in ("57014", "57P01"), f"got {answer}")

    def leave(self, wire):
        """Go away in the middle of an answer, now and then."""
        if self.dice.random() < 0.5:
            wire.send(query(f"select '{self.token()}' from generate_series(1, 5000)"))
            if self.dice.random() < 0.5:
                wire.read()
            raise Closed("left by itself")


def storm(pooler, database, named):
    """Run the clients, kill a backend now and then, and return them."""
    problems, stop = [], time.monotonic() + SECONDS
    clients = [Client(pooler, n, problems, stop, named) for n in range(CLIENTS)]
    threads = [threading.Thread(target=c.work) for c in clients]
    for thread in threads:
        thread.start()
    killed = []
    while time.monotonic() < stop:
        time.sleep(0.4)
        killed = database.rows(
            "select pid, pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
            "and usename <> 'postgres' and backend_type = 'client backend' order by random() limit 1"
        )
    for thread in threads:
        thread.join(40)
    assert not any(t.is_alive() for t in threads), "a client hangs"
    # The last one killed may not have noticed yet; whoever came then would meet its end.
    for pid, _ in killed:
        eventually(lambda: not database.backends(f"pid = {pid}"), "the end of the backend killed last")
    assert not problems, problems[:5]
    assert sum(c.answers for c in clients) > CLIENTS * 5
    return clients


@pytest.mark.recent
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_no_foreign_token(make_pooler, database, named):
    """Forty clients over five servers, with kills, cancels, leavers and errors."""
    pooler = make_pooler(default_pool_size=5, max_client_conn=500)
    storm(pooler, database, named)
    row = pooler.settle()
    assert row["sv_idle"] + row["sv_used"] <= 5
    assert pooler.wire().value("select 1") == "1"


def test_acknowledged_once(make_pooler, database):
    """Every acknowledged INSERT is there once, every other at most once, while backends die (I17)."""
    database.execute("drop table if exists ops; create table ops (token text); grant all on ops to public")
    pooler = make_pooler(default_pool_size=3)
    stop, acknowledged, lock = time.monotonic() + 5, [], threading.Lock()

    def work(number):
        sequence = 0
        while time.monotonic() < stop:
            try:
                with Wire(pooler.port) as wire:
                    wire.login()
                    while time.monotonic() < stop:
                        sequence += 1
                        token = f"{number}.{sequence}"
                        if not errors(wire.query(f"insert into ops values ('{token}')")):
                            with lock:
                                acknowledged.append(token)
            except (Closed, Refused, ConnectionError):
                continue

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    while time.monotonic() < stop:
        time.sleep(0.3)
        database.kill_backends("random() < 0.5")
    for thread in threads:
        thread.join(30)
    assert database.rows("select count(*) - count(distinct token) from ops") == [(0,)]
    stored = {token for (token,) in database.rows("select token from ops")}
    assert acknowledged and set(acknowledged) <= stored
    pooler.settle()
