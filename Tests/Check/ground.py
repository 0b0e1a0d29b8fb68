"""What a chaos run stands on: a room, a PostgreSQL of its own, poolers, and the check."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [p for p in (str(HERE), str(HERE.parent / "Integration")) if p not in sys.path]

from cluster import Cluster, Database  # noqa: E402
from machine import PORTS, give_to_owner, pooler_binary  # noqa: E402
from pooler import Pooler  # noqa: E402
from waiting import eventually  # noqa: E402

CLIENTS, POOL = 64, 8
PORTS._next = random.SystemRandom().randrange(1500)  # several runs may stand on one machine


class Check:
    """A pgcheck that runs beside us."""

    def __init__(self, port, direct_port, dbname, seconds, *more, clients=CLIENTS):
        self.seconds = seconds
        self.process = subprocess.Popen(
            [sys.executable, HERE / "pgcheck.py", "--port", str(port), "--user", "trusty", "--dbname", dbname,
             "--direct-port", str(direct_port), "--direct-user", "postgres", "--direct-dbname", "app", "--seconds", str(seconds),
             "--clients", str(clients), "--json", *map(str, more)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    @property
    def running(self):
        """Whether it still runs."""
        return self.process.poll() is None

    def report(self):
        """Wait for the report."""
        out, err = self.process.communicate(timeout=self.seconds + 180)
        assert out.strip(), f"pgcheck ended with {self.process.returncode}: {err[-2000:]}"
        return json.loads(out)

    def clean(self):
        """Wait, and demand that there is no finding."""
        report = self.report()
        assert not report["findings"], "\n".join([f"{report['findings']} findings", *report["lines"]])
        return report


class Ground:
    """One PostgreSQL and its poolers in a folder that is removed afterwards."""

    def __init__(self, mode="transaction"):
        self.mode = mode
        self.room = Path(tempfile.mkdtemp(prefix="pglido-check-", dir="/tmp"))
        self.room.chmod(0o755)
        give_to_owner(self.room)
        source = pooler_binary()
        assert os.access(source, os.X_OK), f"no pooler at {source}: build it, or name one with PGLIDO=/path/to/binary"
        self.binary = self.room / "pglido"
        shutil.copy(source, self.binary)
        self.binary.chmod(0o755)
        self.poolers = []
        self.cluster = Cluster(self.room / "postgres", PORTS.free())
        try:
            self.cluster.create()
        except BaseException:
            shutil.rmtree(self.room, ignore_errors=True)
            raise
        self.cluster.execute("postgres", "alter system set synchronous_commit = on")
        self.cluster.execute("postgres", "select pg_reload_conf()")
        self.database = Database(self.cluster, "app")

    def close(self):
        """Take everything down."""
        for pooler in self.poolers:
            try:
                pooler.stop()
            except AssertionError as problem:
                print(f"while stopping: {problem}", file=sys.stderr)
        self.cluster.destroy()
        if not os.environ.get("PGLIDO_KEEP"):
            shutil.rmtree(self.room, ignore_errors=True)

    def pooler(self, server_port=None, start=True, **settings):
        """A pooler in this ground's mode before the database (or before a proxy at `server_port`).

        Its database `calm` always goes to PostgreSQL itself.
        """
        settings = {"pool_mode": self.mode, "default_pool_size": POOL, "max_client_conn": 500, "max_prepared_statements": 200, **settings}
        made = Pooler(
            self.room / f"pooler-{len(self.poolers)}", self.binary, settings=settings,
            databases={
                "app": f"host=127.0.0.1 port={server_port or self.cluster.port} dbname=app",
                "calm": f"host=127.0.0.1 port={self.cluster.port} dbname=app",
            },
        )
        self.poolers.append(made)
        return made.start() if start else made

    def check(self, port, seconds, *more, dbname="app", **options):
        """Start a pgcheck against a port."""
        mix = {"session": ("--with", "state"), "statement": ("--without", "transaction")}.get(self.mode, ())
        return Check(port, self.cluster.port, dbname, seconds, *mix, *more, **options)

    def calm(self, pooler, seconds=2.0):
        """Within this time SHOW POOLS says what PostgreSQL says, and nobody waits or is served."""

        def agree():
            pools = [row for row in pooler.admin("SHOW POOLS") if row["database"] != "pgbouncer"]
            count = lambda *names: sum(int(row[name]) for row in pools for name in names)  # noqa: E731
            servers = count("sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login")
            backends = self.database.backends()
            busy = {k: count(k) for k in ("cl_active", "cl_waiting", "sv_active") if count(k)}
            self.last = f"SHOW POOLS counts {servers} servers, PostgreSQL {backends}; busy: {busy}"
            return servers == backends and not busy

        try:
            eventually(agree, "SHOW POOLS agrees with pg_stat_activity", seconds, every=0.1)
        except AssertionError:
            raise AssertionError(f"{self.last} (log: {pooler.log[-1500:]})") from None

    def verdict(self, pooler, check):
        """What every run demands at its end; returns the report."""
        return self.verdict_of(pooler, check.clean())

    def verdict_of(self, pooler, report):
        """The same for a report that is there already."""
        assert pooler.is_running(), f"the pooler ended: {pooler.stderr[-2000:]}"
        self.calm(pooler)
        return report
