"""SUSPEND and RESUME under load."""

import threading
import time

from pooler import ask
from waiting import eventually, holds_for
from wire import query


def test_nothing_is_lost(pooler):
    """Queries stand still while suspended, and all of them are answered in the end."""
    done = []

    def work():
        with pooler.connect() as connection:
            for number in range(200):
                done.append(connection.execute(f"select {number}, pg_sleep(0.005)").fetchone()[0])

    workers = [threading.Thread(target=work) for _ in range(4)]
    console = pooler.console()
    for worker in workers:
        worker.start()
    eventually(lambda: len(done) > 20, "the work is under way")
    for _ in range(3):
        ask(console, "SUSPEND")
        time.sleep(0.1)
        count = len(done)
        holds_for(lambda count=count: len(done) == count, "nothing moves")
        ask(console, "RESUME")
        eventually(lambda count=count: len(done) > count or len(done) == 800, "it goes on")
    for worker in workers:
        worker.join(60)
    assert len(done) == 800
    pooler.settle()


def test_the_last_console_lifts_it(pooler):
    """A console that goes away leaves nothing suspended."""
    wire = pooler.wire()
    console = pooler.console()
    ask(console, "SUSPEND")
    wire.send(query("select 1"))
    console.close()
    assert wire.read_until("Z")[-1].kind == "Z"
    eventually(lambda: "admin disappeared when suspended, doing RESUME" in pooler.log, "the log says so")
