"""The stage all measurements share: a PostgreSQL of their own, poolers before it, pgbench as the load."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "Tests" / "Integration"))

from machine import PORTS, as_owner, give_to_owner, pooler_binary, postgres_program  # noqa: E402

SECRET = "benchmark-secret"
DEFAULT_PGBOUNCER = "/usr/sbin/pgbouncer"


def add_binaries(parser):
    """The two options every measurement takes."""
    parser.add_argument("--pglido", type=Path, default=pooler_binary(), help="our binary (default: %(default)s)")
    parser.add_argument("--pgbouncer", type=Path, default=Path(DEFAULT_PGBOUNCER), help="the peer (default: %(default)s)")


def check_binaries(parser, options):
    """Refuse paths that are not programs, in words."""
    for name in ("pglido", "pgbouncer"):
        if not os.access(getattr(options, name), os.X_OK):
            parser.error(f"--{name}: {getattr(options, name)} is not a program (bin/run builds ours)")


class Stage:
    """A temporary folder with PostgreSQL in it, loaded for pgbench; everything is gone at the end."""

    def __init__(self, scale=10):
        self.folder = Path(tempfile.mkdtemp(prefix="pglido-bench-", dir="/tmp"))
        self.folder.chmod(0o755)
        give_to_owner(self.folder)
        self.port = PORTS.free()
        self._numbers = iter(range(1000))
        self._poolers = []
        data = self.folder / "data"
        self._data = data
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        options = (
            f"-p {self.port} -k {self.folder} -h 127.0.0.1 -c fsync=off -c synchronous_commit=off "
            "-c max_connections=300 -c shared_buffers=256MB -c autovacuum=off -c max_wal_size=4GB"
        )
        self._run("pg_ctl", "-D", data, "-l", self.folder / "postgres.log", "-o", options, "-w", "start")
        self.sql("create role bench superuser login password '%s'" % SECRET)
        self.sql("create database bench")
        subprocess.run(
            [postgres_program("pgbench"), "-i", "-q", "-s", str(scale), "bench"],
            env=self.environment(self.port), check=True, capture_output=True,
        )
        (self.folder / "result.sql").write_text("select repeat('x', 2000) from generate_series(1, 1000);\n")
        self.sql("checkpoint")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pooler in self._poolers:
            pooler.stop()
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, text, database="postgres"):
        """Run a statement directly."""
        return subprocess.run(
            [postgres_program("psql"), "-AtqX", "-U", "postgres", "-d", database, "-c", text],
            env={**self.environment(self.port), "PGHOST": str(self.folder)}, check=True, capture_output=True, text=True,
        ).stdout

    def environment(self, port):
        """Environment of a client program for a port."""
        return {
            **os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "bench", "PGPASSWORD": SECRET,
            "PGDATABASE": "bench", "LC_ALL": "C.UTF-8",
        }

    def pooler(self, binary, mode="transaction", wrapper=(), **settings):
        """Start a pooler before the database."""
        folder = self.folder / f"pooler-{next(self._numbers)}"
        pooler = PoolerProcess(folder, binary, self.port, mode, wrapper, settings)
        self._poolers.append(pooler)
        return pooler

    def relay(self):
        """Start the relay before the database."""
        relay = Relay(self.folder, self.port)
        self._poolers.append(relay)
        return relay

    def latencies(self, port, rate, clients, seconds):
        """Milliseconds of every transaction of pgbench -S at a fixed rate, from when it was due."""
        prefix = self.folder / "latency"
        for old in self.folder.glob("latency.*"):
            old.unlink()
        if self.pgbench(port, "-S", "-R", rate, "-c", clients, "-T", seconds, "-l", "--log-prefix", prefix) is None:
            return []
        lines = [line.split() for path in self.folder.glob("latency.*") for line in path.read_text().splitlines()]
        return [int(line[2]) / 1000 for line in lines]

    def pgbench(self, port, *arguments):
        """Run pgbench; returns (transactions, transactions a second) or None when the load cannot run there."""
        done = subprocess.run(
            [postgres_program("pgbench"), "-n", *map(str, arguments)],
            env=self.environment(port), capture_output=True, text=True, check=False,
        )
        count = re.search(r"actually processed: (\d+)", done.stdout)
        rate = re.search(r"tps = ([\d.]+)", done.stdout)
        if done.returncode or not count or int(count[1]) == 0:
            return None
        return int(count[1]), float(rate[1])

    def _run(self, program, *arguments):
        subprocess.run(
            [postgres_program(program), *map(str, arguments)], check=True, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **as_owner(),
        )


class Relay:
    """relay.c between pgbench and PostgreSQL: what a program costs that only copies bytes."""

    def __init__(self, folder, server_port):
        self.port = PORTS.free()
        program = folder / "relay"
        source = Path(__file__).resolve().parent / "relay.c"
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        self.process = subprocess.Popen([program, str(self.port), str(server_port)], start_new_session=True)
        wait_ready(self.process, self.port)

    def stop(self):
        """End the process."""
        self.process.kill()
        self.process.wait()

    def cpu_seconds(self):
        """User and system time."""
        return cpu_seconds(self.process.pid)


def cpu_seconds(pid):
    """User and system time of all threads of a process and its children."""
    nanoseconds = 0
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").iterdir():
            with contextlib.suppress(OSError):
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def wait_ready(process, port):
    """Until something listens on the port; False when the process ends before."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.02)
    return False


class PoolerProcess:
    """A pooler with the settings of a measurement, run as a user that is not root."""

    def __init__(self, folder, binary, server_port, mode, wrapper, settings):
        folder.mkdir()
        give_to_owner(folder)
        self.port = PORTS.free()
        program = folder / "program"
        shutil.copy(binary, program)
        program.chmod(0o755)
        lines = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "", "auth_type": "trust",
            "auth_file": folder / "users", "pool_mode": mode, "default_pool_size": 20, "max_client_conn": 5000,
            "logfile": folder / "log", "log_connections": 0, "log_disconnections": 0, "server_idle_timeout": 0,
            "ignore_startup_parameters": "extra_float_digits", **settings,
        }
        ini = folder / "pooler.ini"
        ini.write_text(
            f"[databases]\nbench = host=127.0.0.1 port={server_port} dbname=bench\n"
            f"* = host=127.0.0.1 port={server_port} dbname=bench\n[pgbouncer]\n"
            + "".join(f"{k} = {v}\n" for k, v in lines.items())
        )
        (folder / "users").write_text(f'"bench" "{SECRET}"\n')
        self.log = folder / "log"
        self.process = subprocess.Popen(
            [*map(str, wrapper), program, "-q", ini], cwd=folder, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_owner(),
        )
        self._wait_ready()

    def stop(self, number=signal.SIGQUIT):
        """End the process."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu_seconds(self):
        """User and system time of all its threads and children."""
        return cpu_seconds(self.process.pid)

    def resident_bytes(self):
        """Resident memory of the process and its children."""
        kilobytes = 0
        for pid in family(self.process.pid):
            kilobytes += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
        return kilobytes * 1024

    def _wait_ready(self):
        if wait_ready(self.process, self.port):
            return
        tail = self.log.read_text()[-500:] if self.log.exists() else ""
        raise SystemExit(f"{self.process.args} does not listen: {tail}")


def family(pid):
    """A process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found
