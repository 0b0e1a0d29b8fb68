"""`supervisor = 1`: a crash of the process that works is over within a second, and no connect is refused."""

import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from machine import as_owner, give_to_owner
from waiting import eventually
from wire import Wire


def children(pid):
    """Processes that this one has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(autouse=True)
def no_backtraces(monkeypatch):
    """A debug build would look at its own crash for a long time."""
    monkeypatch.setenv("SWIFT_BACKTRACE", "enable=no")


def worker(pooler):
    """The process that works; it is up."""
    with Wire(pooler.port) as wire:
        wire.login("trusty", "app")
    (pid,) = eventually(lambda: children(pooler.process.pid), "there is a process that works")
    return pid


def kilobytes(pid, what):
    """A line of a process's memory."""
    return int(re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def supervised(make_pooler, request):
    """A pooler with a supervisor."""
    return make_pooler(supervisor=1, workers=request.param)


class Knocking(threading.Thread):
    """Connects and asks, over and over, by TCP and by the Unix socket; counts, and keeps what went wrong."""

    def __init__(self, pooler, host):
        super().__init__(daemon=True)
        self.pooler, self.host = pooler, host
        self.answers, self.refused, self.longest = 0, [], 0.0
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            begin = time.monotonic()
            try:
                wire = Wire(self.pooler.port, self.host)
            except OSError as problem:
                self.refused.append(repr(problem))
                time.sleep(0.01)
                continue
            try:
                with wire:
                    wire.login("trusty", "app")
                    assert wire.value("select 1") == "1"
                    self.answers += 1
                    self.longest = max(self.longest, time.monotonic() - begin)
            except Exception:  # the crash took it
                time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGILL, signal.SIGSEGV])
def test_a_crash_under_load(supervised, database, number):
    """The next process serves within a second; whoever connects meanwhile waits and is served."""
    load = subprocess.Popen(
        ["pgbench", "-n", "-S", "-c", "8", "-T", "60", "-h", "127.0.0.1", "-p", str(supervised.port), "-U", "trusty",
         "-f", "/dev/stdin", "app"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    load.stdin.write(b"select 1;\n")
    load.stdin.close()
    callers = [Knocking(supervised, host) for host in ("127.0.0.1", str(supervised.folder))]
    for caller in callers:
        caller.start()
    eventually(lambda: all(caller.answers > 10 for caller in callers), "the load is on")
    before = worker(supervised)
    os.kill(before, number)
    moment = time.monotonic()
    counts = [caller.answers for caller in callers]
    eventually(lambda: children(supervised.process.pid) not in ([], [before]), "there is another", every=0.005)
    eventually(lambda: all(c.answers > n + 1 for c, n in zip(callers, counts)), "it serves", every=0.005)
    span = time.monotonic() - moment
    for caller in callers:
        caller.stop.set()
    for caller in callers:
        caller.join(10)
    load.kill(), load.wait()
    assert [caller.refused for caller in callers] == [[], []]
    assert span < 1.0 or os.getloadavg()[0] > 8, span
    name = signal.Signals(number).name
    assert re.search(
        rf"ERROR supervisor: process {before} was ended by {name} after \d+ s; the next one is started at once",
        supervised.log)
    assert re.search(r"LOG supervisor: process \d+ is up after \d+ ms", supervised.log)
    assert int((supervised.folder / "pooler.pid").read_text()) == supervised.process.pid
    eventually(lambda: database.backends() <= 5, "servers of the old process are gone")


def test_crash_after_crash(make_pooler):
    """Pauses grow, nothing spins, and the next crash after quiet times is answered at once."""
    pooler = make_pooler(supervisor=1)
    moments = []
    for _ in range(4):
        pid = worker(pooler)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: children(pooler.process.pid) not in ([], [pid]), "there is another", every=0.01)
        moments.append(time.monotonic())
    assert [pause for pause in re.findall(r"is started (at once|in \d+ ms)", pooler.log)] == [
        "at once", "in 100 ms", "in 200 ms", "in 400 ms"]
    assert moments[3] - moments[0] > 0.7
    eventually(lambda: pooler.admin("SHOW VERSION"), "it serves")


def test_a_broken_file_meanwhile(make_pooler):
    """The sockets stay; the log says why; clients that came are served when the file is good again."""
    pooler = make_pooler(supervisor=1)
    good = pooler.ini.read_text()
    pid = worker(pooler)
    pooler.write(pooler.ini, good + "pool_mode = sometimes\n")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: "ended with status 1 before it was up; the next one is started in" in pooler.log, "it is told of")
    assert "pool_mode" in pooler.log and "sometimes" in pooler.log and "FATAL cannot load config file" in pooler.log
    with Wire(pooler.port) as waiting:
        time.sleep(1)
        ticks = sum(int(n) for n in Path(f"/proc/{pooler.process.pid}/stat").read_text().rsplit(") ")[1].split()[11:13])
        assert ticks < 20
        pooler.write(pooler.ini, good)
        pooler.signal(signal.SIGHUP)  # now, not after the pause
        waiting.login("trusty", "app")
        assert waiting.value("select 1") == "1"


def test_memory(make_pooler):
    """It is small: what is its own is next to nothing."""
    pooler = make_pooler(supervisor=1)
    worker(pooler)
    assert kilobytes(pooler.process.pid, "Rss") < 20000
    own = sum(kilobytes(pooler.process.pid, f"Private_{kind}") for kind in ("Clean", "Dirty"))
    assert own < 4000
    assert len(list(Path(f"/proc/{pooler.process.pid}/task").iterdir())) == 1


@pytest.mark.parametrize("number, line", [
    (signal.SIGHUP, "got SIGHUP"), (signal.SIGUSR1, "got SIGUSR1, pausing"), (signal.SIGUSR2, "got SIGUSR2"),
])
def test_signals_arrive(make_pooler, number, line):
    """What is sent to the process of the pidfile is done, once."""
    pooler = make_pooler(supervisor=1)
    pooler.signal(number)
    eventually(lambda: line in pooler.log, "it is done")
    time.sleep(0.2)
    assert pooler.log.count(line) == 1 and pooler.is_running()


def gone(pooler):
    """Nothing is left."""
    assert not (pooler.folder / "pooler.pid").exists()
    assert not list(pooler.folder.glob(".s.PGSQL.*"))
    with pytest.raises(OSError):
        Wire(pooler.port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_orderly_ends(supervised, number):
    """It ends with its process, whose status is its own."""
    pid = worker(supervised)
    supervised.signal(number)
    assert supervised.wait_end() == 0
    assert not Path(f"/proc/{pid}").exists()
    gone(supervised)
    assert "supervisor: process" not in supervised.log


def test_console_shutdown(supervised):
    """SHUTDOWN on the console is the end of both."""
    with pytest.raises(Exception):
        supervised.admin("SHUTDOWN")
    assert supervised.wait_end() == 0
    gone(supervised)


def test_sigterm_twice(supervised):
    """The first waits for the clients and takes no new ones; the second ends at once."""
    wire = supervised.wire()
    supervised.signal(signal.SIGTERM)
    eventually(lambda: "got SIGTERM, shutting down" in supervised.log, "it is heard")

    def refused():
        try:
            Wire(supervised.port).close()
        except OSError:
            return True

    eventually(refused, "no client is taken")
    assert wire.value("select 1") == "1" and supervised.is_running()
    supervised.signal(signal.SIGTERM)
    assert supervised.wait_end() == 0
    assert "got SIGTERM while shutting down, fast exit" in supervised.log
    gone(supervised)


def test_no_new_process_while_it_ends(supervised):
    """A crash on the way out is the end."""
    supervised.wire()
    (pid,) = children(supervised.process.pid)
    supervised.signal(signal.SIGTERM)
    eventually(lambda: "got SIGTERM, shutting down" in supervised.log, "it is heard")
    os.kill(pid, signal.SIGKILL)
    assert supervised.wait_end() == 128 + signal.SIGKILL
    gone(supervised)


def test_ctrl_c(make_pooler):
    """From a terminal it comes once, not to both."""
    pooler = make_pooler(start=False, supervisor=1)
    pooler.write_files()
    pooler.write(pooler.folder / "stderr", "")
    master, slave = pty.openpty()
    os.fchmod(slave, 0o666)
    pooler.process = subprocess.Popen(
        ["setsid", "--ctty", str(pooler.binary), str(pooler.ini)], stdin=slave, stdout=slave, stderr=slave,
        cwd=pooler.folder, **as_owner())
    os.close(slave)
    pooler.wait_ready()
    wire = pooler.wire()
    wire.query("begin")
    os.write(master, b"\x03")
    eventually(lambda: "got SIGINT, shutting down" in pooler.log, "it is heard")
    time.sleep(0.3)
    assert "fast exit" not in pooler.log and pooler.is_running()
    wire.query("commit")
    assert pooler.wait_end() == 0
    os.close(master)


def test_end_of_the_supervisor(make_pooler):
    """Killed itself, it leaves nobody behind who holds the port."""
    pooler = make_pooler(supervisor=1)
    pid = worker(pooler)
    pooler.process.kill()
    pooler.wait_end()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the other one has ended, too")
    with pytest.raises(OSError):
        Wire(pooler.port)


def test_no_start(make_pooler):
    """What is wrong at the start is the end of it, as without a supervisor."""
    pooler = make_pooler(start=False, supervisor=1)
    pooler.write_files()
    pooler.write(pooler.ini, pooler.ini.read_text() + "pool_mode = sometimes\n")
    assert pooler.launch("-q", pooler.ini).wait(10) == 1
    pooler.may_end = True
    pooler.write_files()
    assert pooler.launch("-R", pooler.ini).wait(10) == 1
    assert "supervisor = 1 and an online restart (-R) do not go together" in pooler.log + pooler.stderr


def test_in_the_background(make_pooler):
    """-d: the pidfile has the supervisor, and its child works."""
    pooler = make_pooler(start=False, supervisor=1)
    pooler.write_files()
    assert pooler.launch("-d", pooler.ini).wait(10) == 0
    pooler.may_end = True
    pid = int(eventually(lambda: (f := pooler.folder / "pooler.pid").exists() and f.read_text(), "there is a pidfile"))
    eventually(lambda: children(pid), "it works")
    with Wire(pooler.port) as wire:
        wire.login("trusty", "app")
        assert wire.value("select 1") == "1"
    os.kill(pid, signal.SIGQUIT)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "it has ended")
    gone(pooler)


def test_the_service_manager_hears_the_supervisor(make_pooler):
    """Whoever systemd has started says everything: it does not listen to others."""
    pooler = make_pooler(start=False, supervisor=1)
    pooler.write_files()
    path = pooler.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        give_to_owner(path)
        manager.settimeout(10)
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

        def hear(wanted):
            while True:
                text, ancillary, _, _ = manager.recvmsg(4096, 100)
                sender = int.from_bytes(ancillary[0][2][:4], "little")
                assert sender == pooler.process.pid and b"PGLIDO" not in text
                if not text.startswith(b"STATUS="):
                    return re.fullmatch(wanted, text.decode()) or pytest.fail(text.decode())

        pooler.launch("-q", pooler.ini, env={**os.environ, "NOTIFY_SOCKET": str(path)})
        hear("READY=1\n?")
        pooler.signal(signal.SIGHUP)
        hear(r"RELOADING=1\nMONOTONIC_USEC=\d+\n?")
        hear("READY=1\n?")
        os.kill(worker(pooler), signal.SIGKILL)
        hear("READY=1\n?")
        pooler.signal(signal.SIGTERM)
        hear("STOPPING=1\n?")
        assert pooler.wait_end() == 0
