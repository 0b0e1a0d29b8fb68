"""Arguments, files, signals, sockets: what init scripts and operators rely on."""

import os
import signal
import socket
import subprocess

import pytest

from machine import as_owner, owner_name
from waiting import eventually
from wire import Closed, Wire, errors, query, rows


def run(pooler, *arguments, **options):
    """Run the binary to its end."""
    return subprocess.run(
        [pooler.binary, *map(str, arguments)], capture_output=True, text=True, timeout=20, cwd=pooler.folder,
        stdin=subprocess.DEVNULL, check=False, **{**as_owner(), **options},
    )


@pytest.fixture
def prepared(make_pooler):
    """Files without a process."""
    pooler = make_pooler(start=False)
    pooler.write_files()
    return pooler


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(prepared, flag):
    """A version and success."""
    done = run(prepared, flag)
    assert done.returncode == 0 and done.stdout.strip()


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(prepared, flag):
    """Usage and success."""
    done = run(prepared, flag)
    assert done.returncode == 0 and "--daemon" in done.stdout and "--version" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["--nonsense"], ["a.ini", "b.ini"], ["/nowhere/at.all"]])
def test_wrong_arguments(prepared, arguments):
    """Words on stderr and failure."""
    done = run(prepared, *arguments)
    assert done.returncode == 1 and (done.stderr + done.stdout).strip()


@pytest.mark.parametrize(
    "broken", ["[pgbouncer]\nno_such_setting = 1\n", "[pgbouncer]\npool_mode = sometimes\n", "garbage\n", "[weird]\nx = y\n"]
)
def test_typo_in_the_file(prepared, broken):
    """A typo is a clear error that names the file, and failure."""
    prepared.write(prepared.ini, prepared.ini.read_text() + broken)
    done = run(prepared, prepared.ini)
    assert done.returncode == 1
    assert "pooler.ini" in done.stderr + prepared.log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try to be root")
def test_root_is_refused(prepared):
    """Root is not accepted; -u drops it."""
    done = run(prepared, prepared.ini, user=0, group=0)
    assert done.returncode == 1 and "root" in done.stderr + prepared.log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop root")
def test_user_option(make_pooler):
    """-u makes the process another user's."""
    pooler = make_pooler(start=False)
    pooler.write_files()
    pooler.launch("-q", "-u", owner_name(), pooler.ini, user=0, group=0)
    pooler.wait_ready()
    assert os.stat(f"/proc/{pooler.process.pid}").st_uid != 0
    assert pooler.wire().value("select 1") == "1"


def test_pidfile(pooler):
    """It holds the pid while the process lives, and is gone afterwards."""
    path = pooler.folder / "pooler.pid"
    assert int(path.read_text()) == pooler.process.pid
    pooler.signal(signal.SIGINT)
    pooler.wait_end()
    assert not path.exists()


def test_second_instance_is_refused(pooler):
    """A second process on the same files says why not and leaves the first alone (J12)."""
    assert run(pooler, pooler.ini).returncode == 1
    assert pooler.wire().value("select 1") == "1"


def test_daemon(make_pooler):
    """-d detaches; the pidfile says who it is."""
    pooler = make_pooler(start=False)
    pooler.write_files()
    assert run(pooler, "-d", pooler.ini).returncode == 0
    path = pooler.folder / "pooler.pid"
    eventually(lambda: path.exists() and path.read_text().strip(), "a pidfile")
    pid = int(path.read_text())
    try:
        with Wire(pooler.port) as wire:
            wire.login()
            assert wire.value("select 1") == "1"
    finally:
        os.kill(pid, signal.SIGINT)
    eventually(lambda: not path.exists(), "the pidfile is gone")


def test_daemon_needs_a_pidfile(prepared):
    """-d without pidfile is refused."""
    del prepared.settings["pidfile"]
    prepared.write_files()
    assert run(prepared, "-d", prepared.ini).returncode == 1


def test_unix_socket(pooler, make_pooler):
    """Clients come over the unix socket too; the file is gone afterwards."""
    with Wire(pooler.port, host=str(pooler.folder)) as wire:
        wire.login()
        assert wire.value("select 1") == "1"
    path = pooler.folder / f".s.PGSQL.{pooler.port}"
    assert path.exists()
    pooler.signal(signal.SIGINT)
    pooler.wait_end()
    assert not path.exists()


def test_console_by_unix_socket_needs_no_password(make_pooler):
    """The user who runs the pooler enters the console as pgbouncer, whatever auth_type."""
    pooler = make_pooler(auth_type="scram-sha-256", secrets={"admin": "adm"})
    done = subprocess.run(
        ["psql", "-AtXw", "-h", str(pooler.folder), "-p", str(pooler.port), "-U", "pgbouncer", "-c", "SHOW VERSION", "pgbouncer"],
        capture_output=True, text=True, check=False, timeout=20, cwd="/", **as_owner(),
    )
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def test_ipv6(make_pooler):
    """IPv4 and IPv6 listeners at once."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    pooler = make_pooler(listen_addr="127.0.0.1, ::1")
    for host in ("127.0.0.1", "::1"):
        with Wire(pooler.port, host=host) as wire:
            wire.login()
            assert wire.value("select 1") == "1"


def test_server_by_unix_socket(make_pooler, database):
    """A host that is a folder is a unix socket."""
    pooler = make_pooler(databases={"app": f"host={database.cluster.folder} port={database.port} dbname={database.name}"})
    assert pooler.wire().value("select inet_server_addr() is null") == "t"


def test_host_list(make_pooler, database):
    """Several hosts are used in turns."""
    pooler = make_pooler(databases={"app": f"host=127.0.0.1,127.0.0.1 port={database.port} dbname={database.name}"})
    wires = [pooler.wire() for _ in range(4)]
    for wire in wires:
        assert not errors(wire.query("begin"))


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.recent)])
def test_signals_end_an_idle_pooler(pooler, number):
    """Nobody there: it ends with status 0."""
    pooler.signal(number)
    assert pooler.wait_end() == 0


@pytest.mark.recent
def test_sigterm_waits_for_clients(pooler):
    """Existing clients go on, new ones are refused, the last one turns off the light."""
    wire = pooler.wire()
    pooler.signal(signal.SIGTERM)
    eventually(lambda: refused(pooler), "new clients are refused")
    assert wire.value("select 'on'") == "on"
    wire.close()
    assert pooler.wait_end() == 0


def test_sigint_waits_for_transactions(pooler):
    """An open transaction may finish."""
    wire = pooler.wire()
    wire.query("begin")
    pooler.signal(signal.SIGINT)
    assert wire.value("select 'on'") == "on"
    wire.query("commit")
    assert pooler.wait_end() == 0


@pytest.mark.recent
def test_second_signal_ends_at_once(pooler):
    """SIGTERM twice does not wait."""
    wire = pooler.wire()
    wire.query("begin")
    pooler.signal(signal.SIGTERM)
    eventually(lambda: refused(pooler), "new clients are refused")
    pooler.signal(signal.SIGTERM)
    assert pooler.wait_end() == 0
    assert not errors(wire.read_all())


def refused(pooler):
    """Whether a connection is refused."""
    try:
        Wire(pooler.port).close()
        return False
    except OSError:
        return True


@pytest.mark.recent
def test_pause_by_signal(pooler):
    """SIGUSR1 pauses, SIGUSR2 resumes."""
    wire = pooler.wire()
    wire.query("select 1")
    pooler.signal(signal.SIGUSR1)
    eventually(lambda: ("paused", "yes") in [tuple(r.values()) for r in pooler.admin("SHOW STATE")], "it is paused")
    wire.send(query("select 'later'"))
    assert wire.silent_for(0.3)
    pooler.signal(signal.SIGUSR2)
    assert rows(wire.read_until()) == [["later"]]


@pytest.mark.recent
@pytest.mark.parametrize("form", ["SHUTDOWN", "SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN WAIT_FOR_CLIENTS"])
def test_shutdown(pooler, form):
    """All three forms end an idle pooler."""
    with Wire(pooler.port) as console:
        console.login("admin", "pgbouncer")
        console.send(query(form))
        try:
            console.read_until()
        except Closed:
            assert form == "SHUTDOWN"
    assert pooler.wait_end() == 0


def test_log_lines(pooler):
    """A login, a new server and a leave are each one line in PgBouncer's form."""
    with Wire(pooler.port) as wire:
        wire.login()
        wire.query("select 1")
    for text in ("login attempt: db=app user=trusty", "new connection to server", "closing because: "):
        eventually(lambda t=text: t in pooler.log, text)


def test_unwritable_log_is_told(prepared):
    """A log that cannot be opened is said at start or survived; never a hang."""
    prepared.settings["logfile"] = "/nowhere/at/all.log"
    prepared.write_files()
    prepared.launch("-q", prepared.ini)
    prepared.may_end = True
    try:
        assert prepared.process.wait(2) != 0
    except subprocess.TimeoutExpired:
        prepared.wait_ready()
