"""One pooler process under test: its files, its life, its console."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from machine import PORTS, as_owner, give_to_owner, make_folder
from waiting import eventually
from wire import Wire, cancel_request, errors, rows

SECRETS = {
    "admin": "",
    "stats": "",
    "boss": "",
    "trusty": "",
    "other": "",
    "capped": "",
    "plainy": "plain-secret",
    "hashy": "md5-secret",
    "salty": "scram-secret",
}


class ConsoleError(Exception):
    """An error the console answered."""

    def __init__(self, fields):
        super().__init__(fields.get("M"))
        self.fields = fields


class Pooler:
    """Writes the files, starts the binary as a user that is not root, and asks it questions.

    `settings` go into [pgbouncer]; `databases` maps names to connection strings; `users` likewise for [users].
    """

    def __init__(self, folder, binary, *, databases, settings=None, users=None, secrets=None):
        self.folder = make_folder(folder)
        self.binary = binary
        self.port = PORTS.free()
        self.databases, self.users = dict(databases), dict(users or {})
        self.secrets = dict(SECRETS if secrets is None else secrets)
        self.settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": self.folder,
            "auth_type": "trust",
            "auth_file": self.folder / "userlist.txt",
            "admin_users": "admin",
            "stats_users": "stats",
            "pool_mode": "transaction",
            "default_pool_size": 5,
            "logfile": self.folder / "pooler.log",
            "pidfile": self.folder / "pooler.pid",
            # So that every test can be run with several threads, too.
            "workers": os.environ.get("PGLIDO_WORKERS"),
            # And with a supervisor.
            "supervisor": os.environ.get("PGLIDO_SUPERVISED"),
            # And with or without io_uring.
            "io_uring": os.environ.get("PGLIDO_IO_URING"),
            "ignore_startup_parameters": "extra_float_digits",
            "server_login_retry": 1,
            **(settings or {}),
        }
        self.process = None
        self.may_end = False
        self._opened = []

    @property
    def ini(self):
        """The configuration file."""
        return self.folder / "pooler.ini"

    @property
    def userlist(self):
        """The auth_file."""
        return self.folder / "userlist.txt"

    @property
    def log(self):
        """Everything the pooler has logged so far."""
        path = self.folder / "pooler.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def stderr(self):
        """What went to standard error."""
        return (self.folder / "stderr").read_text(errors="replace")

    def write_files(self):
        """Write ini and userlist as the fields say; takes effect at start or reload."""
        lines = ["[databases]", *(f"{k} = {v}" for k, v in self.databases.items())]
        lines += ["[users]", *(f"{k} = {v}" for k, v in self.users.items())]
        lines += ["[pgbouncer]", *(f"{k} = {v}" for k, v in self.settings.items() if v is not None)]
        self.write(self.ini, "\n".join(lines) + "\n")
        quoted = ([text.replace('"', '""') for text in pair] for pair in self.secrets.items())
        self.write(self.userlist, "".join(f'"{user}" "{secret}"\n' for user, secret in quoted))

    def write(self, path, text):
        """Write a file that the pooler may read."""
        path = Path(path)
        path.write_text(text)
        path.chmod(0o640)
        give_to_owner(path)

    def start(self, *arguments, wait=True):
        """Start, and wait until it listens."""
        self.write_files()
        self.launch("-q", *arguments, self.ini)
        if wait:
            self.wait_ready()
        return self

    def launch(self, *arguments, **options):
        """Start the binary with exactly these arguments."""
        stderr = open(self.folder / "stderr", "ab")
        with stderr:
            self.process = subprocess.Popen(
                [self.binary, *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, cwd=self.folder,
                start_new_session=True, **{**as_owner(), **options},
            )
        return self.process

    def take_over(self, *arguments):
        """Start a new process with -R, and wait until the old one has ended and the new one answers."""
        self.write_files()
        old, before = self.process, self.log.count("process up")
        self.launch("-q", "-R", *arguments, self.ini)
        assert old.wait(30) == 0, f"the old process failed: {self.stderr} {self.log}"
        eventually(lambda: self.log.count("process up") > before, "the new process is up")
        self.wait_ready()

    def wait_ready(self):
        """Wait for the listener; fail with the log when the process ends first."""

        def listening():
            assert self.process.poll() is None, f"the pooler ended: {self.stderr} {self.log}"
            try:
                Wire(self.port).close()
                return True
            except OSError:
                return False

        eventually(listening, "the pooler listens")

    def signal(self, number):
        """Send a signal."""
        self.process.send_signal(number)

    def wait_end(self, seconds=15.0):
        """Wait for the process to end and return its exit status."""
        self.may_end = True
        return self.process.wait(seconds)

    def is_running(self):
        """Whether the process still lives."""
        return self.process.poll() is None

    def stop(self):
        """End the process; complain when it had ended by itself or was killed by a trap."""
        for item in self._opened:
            item.close()
        if self.process is None:
            return
        early = self.process.poll()
        if early is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
                raise AssertionError("SIGQUIT did not end the pooler") from None
        assert early is None or self.may_end, f"the pooler ended by itself ({early}): {self.stderr[-2000:]}"
        assert early not in {-n for n in (signal.SIGILL, signal.SIGTRAP, signal.SIGSEGV, signal.SIGABRT)}, self.stderr
        assert "Fatal error" not in self.stderr, self.stderr[-2000:]

    def remove(self):
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # Connections

    def wire(self, user="trusty", database="app", password=None, **parameters):
        """A logged-in raw connection; closed with the pooler."""
        wire = self.bare_wire()
        wire.login(user, database, password, **parameters)
        return wire

    def bare_wire(self, host="127.0.0.1", **options):
        """A raw connection that has said nothing yet."""
        wire = Wire(self.port, host, **options)
        self._opened.append(wire)
        return wire

    def dsn(self, database="app", user="trusty", password=None, host="127.0.0.1", **more):
        """A libpq connection string."""
        parts = {"host": host, "port": self.port, "dbname": database, "user": user, "connect_timeout": 20, **more}
        if password:
            parts["password"] = password
        return " ".join(f"{k}='{v}'" for k, v in parts.items())

    def connect(self, database="app", user="trusty", password=None, autocommit=True, host="127.0.0.1", **more):
        """A psycopg connection; closed with the pooler."""
        connection = psycopg.connect(
            host=host, port=self.port, dbname=database, user=user, password=password,
            autocommit=autocommit, connect_timeout=20, **more,
        )
        self._opened.append(connection)
        return connection

    def cancel(self, key):
        """Send a CancelRequest and wait until the pooler closes that connection."""
        with Wire(self.port) as wire:
            wire.send(cancel_request(key))
            assert wire.is_closed()

    # Console

    def console(self, user="admin"):
        """A raw connection to the console."""
        return self.wire(user, "pgbouncer")

    def admin(self, command, user="admin"):
        """Run one console command and return its rows as dictionaries of text; errors raise ConsoleError."""
        with Wire(self.port) as wire:
            wire.login(user, "pgbouncer")
            return ask(wire, command)

    def pool(self, database="app", user=None):
        """The row of SHOW POOLS for a database (and user), numbers as int."""
        for row in self.admin("SHOW POOLS"):
            if row["database"] == database and user in (None, row["user"]):
                return {k: int(v) if v is not None and v.lstrip("-").isdigit() else v for k, v in row.items()}
        return None

    def settle(self, database="app", servers=None, seconds=15.0):
        """Wait until no client waits, no server is held and no cancel is on its way; optionally count servers."""

        def calm():
            row = self.pool(database)
            if row is None:
                return servers in (None, 0) and {"sv_idle": 0}
            busy = ("cl_waiting", "sv_active", "sv_tested", "sv_login")
            busy += tuple(k for k in row if "cancel" in k)
            held = {k: row[k] for k in busy if row[k]}
            total = row["sv_idle"] + row["sv_used"]
            return row if not held and (servers is None or total == servers) else None

        return eventually(calm, f"pool {database} is calm again", seconds, every=0.1)

    def resident_bytes(self):
        """Resident memory of the process and its children."""
        total = 0
        for pid in family(self.process.pid):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
        return total


def family(pid):
    """A process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def ask(wire, command):
    """Run one console command on an open console connection."""
    answer = wire.query(command)
    failed = errors(answer)
    if failed:
        raise ConsoleError(failed[0])
    described = [m for m in answer if m.kind == "T"]
    if not described:
        return []
    names = [name for name, _ in described[0].columns]
    return [dict(zip(names, row)) for row in rows(answer)]

