"""Under a service manager: what it is told, the sockets it passes, and the files in conf/."""

import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from machine import REPOSITORY, give_to_owner
from waiting import eventually
from wire import Wire

CONF = REPOSITORY / "conf"


@pytest.fixture
def manager(make_pooler):
    """A pooler that has a NOTIFY_SOCKET, and what arrives there."""
    pooler = make_pooler(start=False, stats_period=1, log_stats=0)
    pooler.write_files()
    path = pooler.folder / "notify"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))
    give_to_owner(path)
    listener.settimeout(10)
    pooler.launch("-q", pooler.ini, env={**os.environ, "NOTIFY_SOCKET": str(path)})
    yield pooler, lambda: listener.recv(4096).decode()
    listener.close()


def told(hear, wanted):
    """The next state that is no status."""
    while True:
        state = hear()
        if not state.startswith("STATUS="):
            assert re.fullmatch(wanted, state), state
            return state


def test_states(manager):
    """Ready, reloading and ready again, stopping."""
    pooler, hear = manager
    told(hear, "READY=1\n?")
    Wire(pooler.port).close()
    pooler.signal(signal.SIGHUP)
    told(hear, r"RELOADING=1\nMONOTONIC_USEC=\d+\n?")
    told(hear, "READY=1\n?")
    pooler.write(pooler.ini, pooler.ini.read_text() + "pool_mode = sometimes\n")
    pooler.signal(signal.SIGHUP)
    told(hear, r"RELOADING=1\nMONOTONIC_USEC=\d+\n?")
    told(hear, "READY=1\n?")
    pooler.signal(signal.SIGTERM)
    told(hear, "STOPPING=1\n?")
    assert pooler.wait_end() == 0


@pytest.mark.recent
def test_status(manager):
    """The line of statistics, with or without log_stats."""
    _, hear = manager
    state = hear()
    while not state.startswith("STATUS="):
        state = hear()
    assert re.match(r"STATUS=stats: \d+ xacts/s, .*, xact \d+ μs, query \d+ μs, wait \d+ μs", state)


@pytest.mark.parametrize("supervisor", [None, 1])
def test_passed_sockets(make_pooler, supervisor):
    """Sockets of the manager are used instead of those of the file."""
    pooler = make_pooler(start=False, supervisor=supervisor)
    pooler.write_files()
    tcp = socket.create_server(("127.0.0.1", 0))
    local = socket.socket(socket.AF_UNIX)
    path = pooler.folder / ".s.PGSQL.7777"
    local.bind(str(path))
    give_to_owner(path)
    path.chmod(0o777)
    local.listen(8)
    # The descriptors have to be 3 and 4, and LISTEN_PID the process's own number.
    program, pooler.binary = str(pooler.binary), "/usr/bin/python3"
    line = (
        f"import fcntl, os; a, b = (fcntl.fcntl(n, fcntl.F_DUPFD, 300) for n in ({tcp.fileno()}, {local.fileno()})); "
        "os.dup2(a, 3); os.dup2(b, 4); "
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2'); "
        f"os.execv({program!r}, ['pglido', '-q', {str(pooler.ini)!r}])")
    pooler.launch("-c", line, pass_fds=[tcp.fileno(), local.fileno()])
    eventually(lambda: "process up" in pooler.log, "it is up")
    if supervisor:
        (pid,) = Path(f"/proc/{pooler.process.pid}/task/{pooler.process.pid}/children").read_text().split()
        with Wire(tcp.getsockname()[1]) as wire:
            wire.login()
        os.kill(int(pid), signal.SIGKILL)
    for port, host in ((tcp.getsockname()[1], "127.0.0.1"), (7777, str(pooler.folder))):
        with Wire(port, host) as wire:
            wire.login()
            assert wire.value("select 1") == "1"
    assert "socket passed from service manager (fd 3)" in pooler.log and "(fd 4)" in pooler.log
    assert "sockets passed from service manager, cf_listen_addr ignored" in pooler.log
    with pytest.raises(OSError):
        Wire(pooler.port)
    tcp.close(), local.close()


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd is not installed")
def test_socket_activation(make_pooler):
    """The first client starts it, and is served."""
    pooler = make_pooler(start=False)
    pooler.write_files()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pooler.binary, program = "systemd-socket-activate", pooler.binary
    pooler.launch("-l", f"127.0.0.1:{port}", program, "-q", pooler.ini)

    def connected():
        try:
            return Wire(port)
        except OSError:
            return None

    with eventually(connected, "systemd listens") as wire:
        wire.login()
        assert wire.value("select 1") == "1"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_unit_files(binary, tmp_path):
    """systemd understands them, and finds little to take away from the service."""
    for name in ("pglido.service", "pglido.socket"):
        (tmp_path / name).write_text((CONF / name).read_text().replace("/usr/local/bin/pglido", str(binary)))
    paths = [tmp_path / "pglido.service", tmp_path / "pglido.socket"]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, timeout=30, check=False)
    # Releases before 253 do not know notify-reload and stay with notify.
    said = [line for line in done.stderr.splitlines() if "notify-reload" not in line]
    assert (done.returncode, said) == (0, [])
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", paths[0]],
        capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout[-200:]


def test_sample_files_are_good(binary, tmp_path):
    """The check finds nothing wrong with what we tell people to start from."""
    for name in ("pglido.ini", "minimal.ini"):
        done = subprocess.run(
            [binary, "--check", CONF / name], capture_output=True, text=True, timeout=20, cwd=REPOSITORY, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not shutil.which("logrotate"), reason="logrotate is not installed")
def test_logrotate_file(tmp_path):
    """logrotate understands it."""
    text = (CONF / "pglido.logrotate").read_text().replace("pglido pglido", "root root")
    path = tmp_path / "pglido"
    path.write_text(text)
    path.chmod(0o644)
    done = subprocess.run(
        ["logrotate", "-d", "-s", tmp_path / "state", path], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0 and "error:" not in done.stderr
