"""What the tests need from the machine: a user that is not root, free ports, folders, PostgreSQL's programs."""

import contextlib
import glob
import os
import pwd
import shutil
import socket
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def owner_name():
    """The user PostgreSQL and the pooler run as: us, or `postgres` when we are root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    for name in (os.environ.get("PGLIDO_TEST_USER"), "postgres", "nobody"):
        if name:
            try:
                return pwd.getpwnam(name).pw_name
            except KeyError:
                continue
    raise RuntimeError("no user to run PostgreSQL as")


def as_owner():
    """Arguments for subprocess that drop root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(owner_name())
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def being_owner():
    """What is done meanwhile (a connect to a Unix socket, say) is done as the user of the daemons."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam(owner_name()).pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def give_to_owner(path):
    """Hand a file or folder to the user of the daemons."""
    if os.geteuid() == 0:
        entry = pwd.getpwnam(owner_name())
        os.chown(path, entry.pw_uid, entry.pw_gid)


def make_folder(path):
    """A folder which the daemons may write and everybody may enter."""
    path = Path(path)
    path.mkdir()
    path.chmod(0o755)
    give_to_owner(path)
    return path


def postgres_program(name):
    """The newest installed PostgreSQL's `name`."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda p: int(p.split("/")[4]))
    program = found[-1] if found else shutil.which(name)
    if not program:
        raise RuntimeError(f"{name} is not installed")
    return program


def pooler_binary():
    """The pooler under test: $PGLIDO, or our release build."""
    return Path(os.environ.get("PGLIDO", REPOSITORY / ".build/release/pglido")).resolve()


def listen_addresses():
    """For listen_addr: this machine by IPv4, and by IPv6 if it has that."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return "127.0.0.1"
    return "127.0.0.1,::1"


class Ports:
    """Free ports below the ephemeral range; each xdist worker has a range of its own."""

    def __init__(self):
        number = os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw")
        self._first = 12000 + 1500 * (int(number) % 12)
        self._next = 0

    def free(self):
        """A port nobody listens on, not handed out lately."""
        while True:
            port = self._first + self._next % 1500
            self._next += 1
            try:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


PORTS = Ports()
