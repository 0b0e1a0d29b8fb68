"""Fixtures: one PostgreSQL a run, one database a worker, one pooler a test."""

import itertools
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from cluster import Cluster, Database
from machine import PORTS, give_to_owner, pooler_binary
from pooler import Pooler

ROOM = "PGLIDO_TEST_ROOM"
PORT = "PGLIDO_TEST_POSTGRES_PORT"


def pytest_configure(config):
    """Start the shared PostgreSQL in the process that hands out the work; workers inherit where it is."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    binary = pooler_binary()
    if not os.access(binary, os.X_OK):
        pytest.exit(f"no pooler at {binary}: build it, or name one with PGLIDO=/path/to/binary", 2)
    room = Path(tempfile.mkdtemp(prefix="pglido-test-", dir="/tmp"))
    room.chmod(0o755)
    give_to_owner(room)
    os.environ[ROOM] = str(room)
    shutil.copy(binary, room / "pglido")
    (room / "pglido").chmod(0o755)
    signal.signal(signal.SIGTERM, _interrupted)  # so that an ended run takes its servers with it
    cluster = Cluster(room / "postgres", PORTS.free())
    os.environ[PORT] = str(cluster.port)
    config.add_cleanup(lambda: _take_down(cluster, room))
    cluster.create()


def _interrupted(*_):
    raise KeyboardInterrupt


def _take_down(cluster, room):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "exe").split(" ")[0] == str(room / "pglido"):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue
    cluster.destroy()
    if os.environ.get("PGLIDO_KEEP") is None:
        shutil.rmtree(room, ignore_errors=True)


@pytest.fixture(scope="session")
def room():
    """The folder everything of this run lives in."""
    return Path(os.environ[ROOM])


@pytest.fixture(scope="session")
def binary(room):
    """A copy of the pooler that every user may run."""
    return room / "pglido"


@pytest.fixture(scope="session")
def cluster(room):
    """The shared PostgreSQL."""
    return Cluster(room / "postgres", int(os.environ[PORT]))


@pytest.fixture(scope="session")
def database(cluster):
    """This worker's own database."""
    return Database(cluster, "w" + os.environ.get("PYTEST_XDIST_WORKER", "gw"))


@pytest.fixture
def backend(database):
    """Connection string of the worker's database for a [databases] entry."""
    return f"host=127.0.0.1 port={database.port} dbname={database.name}"


_numbers = itertools.count()


@pytest.fixture
def make_pooler(room, binary, backend, database, request):
    """Factory of poolers that are stopped, checked and removed after the test.

    Keyword arguments are [pgbouncer] settings; `databases`, `users`, `secrets` replace those sections and
    `start=False` only prepares the files.
    """
    made = []
    database.clear()

    def make(start=True, databases=None, users=None, secrets=None, arguments=(), **settings):
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
        pooler = Pooler(
            room / f"{worker}-{next(_numbers)}", binary,
            databases={"app": backend} if databases is None else databases,
            settings=settings, users=users, secrets=secrets,
        )
        made.append(pooler)
        return pooler.start(*arguments) if start else pooler

    yield make
    problems = []
    for pooler in made:
        try:
            pooler.stop()
        except AssertionError as problem:
            problems.append(problem)
    failed = getattr(request.node, "failed", False)
    for pooler in made:
        if failed:
            lines = [line for line in pooler.log.splitlines() if ": pgbouncer/" not in line]
            request.node.add_report_section("teardown", f"log of {pooler.folder.name}", "\n".join(lines[-40:]))
        if os.environ.get("PGLIDO_KEEP") is None:
            pooler.remove()
    assert not problems, problems


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Remember failures, so that the pooler's log is shown with them."""
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True
    return report


@pytest.fixture
def pooler(make_pooler):
    """A pooler in transaction mode with five servers and trust logins."""
    return make_pooler()


@pytest.fixture
def lone(make_pooler):
    """A pooler in transaction mode with a single server."""
    return make_pooler(default_pool_size=1)



