"""The checking client is itself checked: every fault of the faulty proxy is reported, and an honest one is not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECONDS = 6

# fault, share of occasions, findings of which at least one must be reported
FAULTS = [
    ("swap", 0.02, ("mixups",)),
    ("duplicate", 0.05, ("duplicates",)),
    ("repeat", 0.01, ("duplicates", "foreign")),
    ("cancel", 0.5, ("bystanders",)),
    ("drop", 0.02, ("wrong",)),
    ("notice", 0.02, ("mixups",)),
    ("inject", 0.02, ("wrong", "unexpected", "foreign")),
    ("stall", 0.002, ("hangs",)),
]


@pytest.fixture
def mix(ground):
    """Factory: the port of a proxy before PostgreSQL."""
    started = []

    def make(*arguments):
        process = subprocess.Popen(
            [sys.executable, HERE / "pgmix.py", "--target-port", str(ground.cluster.port), *arguments],
            stdout=subprocess.PIPE, text=True,
        )
        started.append(process)
        return int(process.stdout.readline())

    yield make
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("fault, share, kinds", FAULTS, ids=[f[0] for f in FAULTS])
def test_fault_is_reported(ground, mix, fault, share, kinds):
    """Within seconds, and by its name."""
    port = mix("--fault", fault, "--share", str(share))
    check = ground.check(port, SECONDS, "--patience", "4", clients=8)
    report = check.report()
    assert check.process.returncode == 1
    assert any(report[kind] for kind in kinds), report


def test_honest_proxy(ground, mix):
    """Nothing is reported where nothing is wrong, and the exit status says so."""
    check = ground.check(mix(), SECONDS, clients=8)
    check.clean()
    assert check.process.returncode == 0


def test_same_seed_same_tokens(ground):
    """A seed gives the same requests and tokens again."""
    reports = [ground.check(ground.cluster.port, 1, "--seed", "7", clients=1).clean() for _ in range(2)]
    assert [r["seed"] for r in reports] == [7, 7]


@pytest.mark.parametrize("user, password", [("plainy", "plain-secret"), ("hashy", "md5-secret"), ("salty", "scram-secret")])
def test_passwords(ground, user, password):
    """Every way to log in."""
    more = ("--user", user, "--password", password)
    ground.check(ground.cluster.port, 1, *more, clients=2).clean()


def test_log_is_checked_again(ground, tmp_path):
    """The logs of the clients pass the second program, and a forged line does not."""
    ground.check(ground.cluster.port, 2, "--log", tmp_path, clients=4).clean()
    again = [sys.executable, HERE / "recheck.py", tmp_path]
    assert subprocess.run(again, check=False).returncode == 0
    forged = {"kind": "simple", "token": "c0.1.0000000000000000", "answer": "TDCZ", "heard": ["c1.1.0000000000000000"]}
    with open(tmp_path / "client-0.jsonl", "a", encoding="utf-8") as log:
        log.write(json.dumps(forged) + "\n")
    assert subprocess.run(again, check=False).returncode == 1


@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_pooler(ground, mode):
    """Every kind of request by 64 clients over 8 servers: no finding."""
    pooler = ground.pooler(pool_mode=mode)
    mix = {"session": ("--with", "state,state"), "transaction": (), "statement": ("--without", "transaction")}[mode]
    ground.verdict(pooler, ground.check(pooler.port, 10, *mix))


def test_leaking_sessions_are_reported(ground):
    """A pool in transaction mode hands the state of a session to the next one, which pgcheck must notice."""
    pooler = ground.pooler()
    assert ground.check(pooler.port, 3, "--mix", "simple,state", clients=16).report()["leaks"]
