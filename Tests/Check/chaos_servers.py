"""Chaos among the servers: killed backends (K1), restarts (K2), servers that break the protocol (K27)."""

import os
import random
import signal
import subprocess
import threading
import time

from fakeserver import READY, FakeServer, error, result
from machine import as_owner, postgres_program
from pooler import ConsoleError
from wire import Closed, Refused, Wire, errors, message, raw, rows

SERVER_GONE = "57P01,57P02,57P03,57014,08,58,lost"


def summary(report, **more):
    """One line about a run that passed."""
    told = {k: report[k] for k in ("requests", "requests_per_second", "logins", "disconnections") if k in report}
    return ", ".join(f"{k} {v}" for k, v in {**told, **more, "errors": report["messages"]}.items())


def backends_of(ground):
    """Process ids of the pooler's sessions, straight from the children of the postmaster (no query needed)."""
    postmaster = int((ground.cluster.data / "postmaster.pid").read_text().split()[0])
    found = []
    for child in open(f"/proc/{postmaster}/task/{postmaster}/children", encoding="ascii").read().split():
        try:
            with open(f"/proc/{child}/cmdline", encoding="utf-8", errors="replace") as line:
                if "trusty app" in line.read():
                    found.append(int(child))
        except OSError:
            continue
    return found


def kill_backends(ground, seconds):
    """K1: a backend killed every 100 ms: SIGTERM in the first half, SIGKILL (all backends go down) in the second."""
    pooler, told = ground.pooler(query_wait_timeout=20), []
    for number in (signal.SIGTERM, signal.SIGKILL):
        check = ground.check(pooler.port, seconds / 2, "--expect-errors", SERVER_GONE)
        killed = kill_every(ground, 0.1, number, seconds / 2)
        report = check.clean()
        heals(pooler)
        harmed = sum(report["errors"].values()) + report.get("disconnections", 0)
        if number == signal.SIGTERM:
            assert harmed <= killed, f"{killed} backends were terminated, {harmed} clients harmed: {report['messages']}"
        told.append(f"{number.name} {killed}, {harmed} harmed, {summary(ground.verdict_of(pooler, report))}")
    return "; ".join(told)


def kill_every(ground, pause, number, seconds):
    """Kill a backend of the pooler at a time; returns how many."""
    dice, killed, end = random.Random(1), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(pause)
        victims = backends_of(ground)
        if victims:
            try:
                os.kill(dice.choice(victims), number)
                killed += 1
            except ProcessLookupError:
                continue
    return killed


def heals(pooler, seconds=4.0):
    """A new client is served again soon: within server_login_retry and a second, plus PostgreSQL's recovery."""
    end = time.monotonic() + seconds
    while True:
        try:
            with Wire(pooler.port) as wire:
                wire.login()
                assert wire.value("select 1") == "1"
                return
        except (Refused, Closed, OSError, AssertionError) as problem:
            assert time.monotonic() < end, f"new clients are not served: {problem!r}"
            time.sleep(0.1)


def restart(ground, seconds):
    """K2: PostgreSQL stopped at once and started, over and over; each time new logins work soon."""
    pooler, times = ground.pooler(query_wait_timeout=20), 0
    check = ground.check(pooler.port, seconds, "--expect-errors", SERVER_GONE)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(2.0, seconds / 8))
        control(ground, "-m", "immediate", "stop")
        time.sleep(0.2)
        control(ground, "-l", ground.cluster.log, "-o", f"-p {ground.cluster.port}", "start")
        heals(pooler, 3.0)
        times += 1
    return summary(ground.verdict_of(pooler, check.clean()), restarts=times)


def control(ground, *arguments):
    """pg_ctl on our own cluster."""
    subprocess.run(
        [postgres_program("pg_ctl"), "-D", ground.cluster.data, "-w", *map(str, arguments)],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/", **as_owner(),
    )


NOTICE = message("N", b"SNOTICE\0C00000\0Mpsst\0\0")


def misdeeds(token, dice):
    """An answer with one thing wrong; about half of the time nothing is."""
    good = result(token) + READY
    return dice.choice([
        *[good] * 12,
        good + READY, good + result("FOREIGN") + READY, good + error("XX000", "FOREIGN late"),
        good + error("57P01", "FOREIGN late fatal", "FATAL"), good + message("N", b"SNOTICE\0C00000\0MFOREIGN\0\0"),
        good + b"T\0\0\0", good + message("!"), good + message("R", b"\0\0\0\3"), good + message("K", b"12345678"),
        good + raw(b"T", 3), result(token) + message("Z", b"X"), result(token) + raw(b"Z", 8, b"IIII"), READY,
        message("G", b"\0\0\0") + good, message("W", b"\0\0\0") + good, (result(token)[:-9], "close"), (b"", "close"),
        NOTICE + good, (good, "close"), (good + result("FOREIGN")[:20], "close"),
    ])


def hostile(ground, seconds):
    """K27: a server that breaks the protocol every other time; clients hear their own answer or an end.

    Clients of another database notice nothing.
    """
    dice, counts, problems = random.Random(27), {"answers": 0, "ends": 0}, []
    with FakeServer(lambda sql, _: misdeeds(sql.split("'")[1], dice)) as server:
        pooler = ground.pooler(server.port, query_wait_timeout=10, server_lifetime=3600)
        beside = ground.check(pooler.port, seconds, dbname="calm", clients=16)
        stop = time.monotonic() + seconds

        def work(number):
            sequence = 0
            while time.monotonic() < stop:
                try:
                    with Wire(pooler.port, seconds=15) as wire:
                        wire.login()
                        while time.monotonic() < stop:
                            sequence += 1
                            token = f"t{number}.{sequence}"
                            answer = wire.query(f"tell '{token}'")
                            heard = rows(answer)
                            said = "FOREIGN" in str(errors(answer)) or any(r != [token] for r in heard)
                            if said and not errors(answer):
                                problems.append(f"{token} heard {answer}")
                            counts["answers"] += 1
                except TimeoutError:
                    problems.append(f"client {number}: no answer")
                except (Closed, Refused, ConnectionError):
                    counts["ends"] += 1
                except Exception as problem:  # whatever it is, the run must report it
                    problems.append(f"client {number}: {problem!r}")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 40)
        calm = beside.clean()
        assert not any(t.is_alive() for t in threads), "a client hangs"
        assert not problems, f"{len(problems)}: {problems[:5]}"
        assert pooler.is_running(), pooler.stderr
        try:
            pooler.settle(seconds=5)
        except ConsoleError as failed:
            raise AssertionError(str(failed)) from failed
    return (
        f"{counts['answers']} answers, {counts['ends']} ends, {server.connections} server connections, "
        f"{calm['requests']} requests beside"
    )
