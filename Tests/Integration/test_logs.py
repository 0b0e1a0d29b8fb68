"""What the log says, in both forms, and where it goes."""

import json
import os
import re
import shutil
import signal
import socket

import pytest

from machine import PORTS, give_to_owner, owner_name
from pooler import ConsoleError
from waiting import eventually
from wire import Refused, Wire, errors, query, startup

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[(\d+)\] (FATAL|ERROR|WARNING|LOG|DEBUG|NOISE) (.+)")
LINK = re.compile(r"[CS]-0x[0-9a-f]+: [^/]+/[^@]+@\S+ .+")
STATS = re.compile(
    r"stats: \d+ xacts/s, \d+ queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s, "
    r"\d+ client logins/s, in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us$", re.M)


def traffic(pooler):
    """A bit of everything: logins, a refusal, a console command, a closed client."""
    with Wire(pooler.port) as wire:
        wire.login()
        wire.query("select 1")
    with Wire(pooler.port) as wire, pytest.raises(Refused):
        wire.login("trusty", 'no "such" db')
    pooler.admin("PAUSE")
    pooler.admin("RESUME")
    with pytest.raises(ConsoleError):
        pooler.admin("NONSENSE")


def objects(pooler):
    """The log, line by line, as objects."""
    return [json.loads(line) for line in pooler.log.splitlines()]


def test_every_line_has_the_form(pooler):
    """Time, zone, process, level, and for connections the link, database, user and address."""
    traffic(pooler)
    for line in pooler.log.splitlines():
        found = LINE.fullmatch(line)
        assert found and int(found[1]) == pooler.process.pid, line
        if "closing because: " in line or "login attempt" in line:
            assert LINK.fullmatch(found[3]), line


@pytest.mark.recent
@pytest.mark.parametrize(
    "text",
    [
        r"LOG kernel file descriptor limit: \d+ \(hard: \d+\); max_client_conn: 100, max expected fd use: \d+",
        r"LOG listening on 127\.0\.0\.1:\d+", r"LOG listening on unix:/.*/\.s\.PGSQL\.\d+", r"LOG process up: PgBouncer 1\.25",
        r"LOG C-0x\w+: app/trusty@127\.0\.0\.1:\d+ login attempt: db=app user=trusty tls=no replication=no",
        r"LOG S-0x\w+: app/trusty@127\.0\.0\.1:\d+ new connection to server \(from 127\.0\.0\.1:\d+\)",
        r"LOG C-0x\w+: app/trusty@127\.0\.0\.1:\d+ closing because: client unexpected eof \(age=\d+s\)",
        r"WARNING C-0x\w+: \S+ pooler error: no such database: no \"such\" db",
        r"LOG C-0x\w+: pgbouncer/admin@127\.0\.0\.1:\d+ PAUSE command issued",
        r"LOG S-0x\w+: app/trusty@127\.0\.0\.1:\d+ closing because: pause mode \(age=\d+s\)",
        r"ERROR C-0x\w+: pgbouncer/admin@127\.0\.0\.1:\d+ invalid command 'NONSENSE', use SHOW HELP;",
        r"WARNING C-0x\w+: pgbouncer/admin@127\.0\.0\.1:\d+ pooler error: invalid command 'NONSENSE', use SHOW HELP;",
        r"LOG got SIGHUP, re-reading config", r"LOG got SIGUSR1, pausing all activity", r"LOG got SIGUSR2, continuing from PAUSE",
    ],
)
def test_texts(pooler, text):
    """The lines people search for."""
    traffic(pooler)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        pooler.signal(number)
        eventually(lambda n=number: f"got {n.name}" in pooler.log, "the signal is logged")
    eventually(lambda: re.search(r"\] " + text + "$", pooler.log, re.M) or re.search(r"\] " + text, pooler.log), text)


def test_quieter(make_pooler):
    """log_connections, log_disconnections and log_pooler_errors each take their lines away."""
    pooler = make_pooler(log_connections=0, log_disconnections=0, log_pooler_errors=0)
    traffic(pooler)
    for text in ("login attempt", "new connection to server", "closing because", "pooler error"):
        assert text not in pooler.log


@pytest.mark.ours
def test_stats_line(make_pooler):
    """Every stats_period a line with all its fields; both settings count from when they are set."""
    pooler = make_pooler()
    assert not STATS.search(pooler.log)
    pooler.admin("SET stats_period = 1")
    pooler.wire().query("select pg_sleep(0.05)")
    eventually(lambda: len(STATS.findall(pooler.log)) >= 2, "two lines of statistics", 8)
    assert any(int(re.search(r"query (\d+) us", line)[1]) >= 20_000 for line in STATS.findall(pooler.log))
    pooler.admin("SET log_stats = 0")
    count = len(STATS.findall(pooler.log))
    start = len(pooler.admin("SHOW STATS"))
    eventually(lambda: pooler.admin("SHOW STATS") and start, "time passes")
    with pytest.raises(AssertionError):
        eventually(lambda: len(STATS.findall(pooler.log)) > count, "no further line", 2.5)


@pytest.mark.ours
def test_json(make_pooler):
    """One object a line with stable names; names from the network stay in their fields."""
    pooler = make_pooler(log_format="json", stats_period=1)
    traffic(pooler)
    eventually(lambda: any(o["event"] == "stats" for o in objects(pooler)), "a line of statistics", 5)
    found = objects(pooler)
    events = {o["event"] for o in found}
    assert {
        "process_up", "listening", "file_limit", "login_attempt", "server_opened", "closed", "client_error",
        "console_command", "stats",
    } <= events
    for entry in found:
        assert {"time", "level", "pid", "event", "message"} <= set(entry)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"]) and entry["pid"] == pooler.process.pid
    (login,) = [o for o in found if o["event"] == "login_attempt" and o["database"] == "app"]
    assert (login["side"], login["user"], login["level"]) == ("client", "trusty", "LOG")
    (closed,) = [o for o in found if o["event"] == "closed" and o["link"] == login["link"]]
    assert closed["reason"] == "client unexpected eof" and closed["age_seconds"] == 0 and closed["address"] == login["address"]
    assert any(o["event"] == "client_error" and 'no "such" db' in o["message"] for o in found)
    (stats, *_) = [o for o in found if o["event"] == "stats"]
    assert {"xacts_per_second", "wait_microseconds", "in_bytes_per_second"} <= set(stats)


@pytest.mark.ours
def test_json_and_hostile_names(make_pooler):
    """A user's name cannot end its field."""
    name = 'x"},\\ {"event":"forged'
    pooler = make_pooler(log_format="json", secrets={"admin": "", name: ""})
    with Wire(pooler.port) as wire, pytest.raises(Refused):
        wire.login(name, "app")  # PostgreSQL knows no such role
    with Wire(pooler.port) as wire, pytest.raises(Refused):
        wire.login("forged\n\x1b[31m", "app")
    eventually(lambda: any(o["event"] == "closed" for o in objects(pooler)), "the client is gone")
    assert not any("forged" in o["event"] for o in objects(pooler))
    assert any("forged" in o.get("user", "") for o in objects(pooler))


@pytest.mark.ours
def test_format_at_run_time(pooler):
    """SET changes the form of the next line; RELOAD changes it back."""
    pooler.admin("SET log_format = json")
    seen = len(pooler.log)
    pooler.wire().query("select 1")
    assert all(json.loads(line) for line in pooler.log[seen:].splitlines()[1:])
    pooler.admin("RELOAD")
    seen = len(pooler.log)
    pooler.wire().query("select 1")
    assert all(LINE.fullmatch(line) for line in pooler.log[seen:].splitlines()[1:])


@pytest.fixture
def syslog(make_pooler, tmp_path):
    """A pooler that has a /dev/log of its own, and the socket behind it."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a /dev of its own needs root")
    pooler = make_pooler(start=False, syslog=0, syslog_ident="bouncer", syslog_facility="local3", user=owner_name())
    path = pooler.folder / "log.socket"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))
    path.chmod(0o666)
    give_to_owner(path)
    listener.settimeout(5)
    devices = pooler.folder / "dev"
    devices.mkdir()
    script = pooler.folder / "with-dev"
    script.write_text(
        f"#!/bin/sh\nset -e\nmount -t tmpfs none {devices}\n"
        f"for f in null zero urandom random; do touch {devices}/$f; mount --bind /dev/$f {devices}/$f; done\n"
        f"ln -s {path} {devices}/log\nmount --rbind {devices} /dev\nexec {pooler.binary} \"$@\"\n")
    script.chmod(0o755)
    pooler.write_files()
    pooler.binary = "unshare"
    pooler.launch("-m", script, "-q", pooler.ini, user=0, group=0)
    pooler.wait_ready()
    yield pooler, listener
    listener.close()


@pytest.mark.ours
def test_syslog(syslog):
    """RFC 3164 packets with facility, level, ident and pid; on and off and renamed while it runs."""
    pooler, listener = syslog
    pooler.admin("SET syslog = 1")
    pooler.wire().query("select 1")
    found = [listener.recv(4096).decode() for _ in range(3)]
    head = r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d bouncer\[" + str(pooler.process.pid) + r"\]: (.+)"
    matches = [re.fullmatch(head, text) for text in found]
    assert all(matches), found
    assert {int(m[1]) for m in matches} == {19 * 8 + 6}
    assert any("login attempt: db=app user=trusty" in m[2] for m in matches)
    with pytest.raises(ConsoleError):
        pooler.admin("NONSENSE")
    levels = set()
    while levels != {3, 4}:
        match = re.match(r"<(\d+)>.*NONSENSE", listener.recv(4096).decode())
        if match:
            levels.add(int(match[1]) - 19 * 8)
    pooler.admin("SET syslog_facility = user")
    pooler.admin("SET syslog_ident = renamed")
    pooler.admin("SET log_format = json")
    pooler.wire().query("select 1")
    while True:
        text = listener.recv(4096).decode()
        if "login attempt: db=app" in text:
            break
    assert text.startswith("<14>") and " renamed[" in text and "C-0x" in text and "\0" not in text
    pooler.admin("RELOAD")
    listener.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            listener.recv(4096)
    pooler.wire().query("select 1")
    with pytest.raises(TimeoutError):
        listener.recv(4096)


def test_what_stands_in_the_way_of_a_server(make_pooler, backend):
    """Every address that cannot be reached is told with its reason."""
    closed = PORTS.free()
    pooler = make_pooler(databases={
        "app": backend, "tcp": f"host=127.0.0.1 port={closed}", "unix": f"host=/nowhere port={closed}",
    })
    for name in ("tcp", "unix"):
        wire = pooler.bare_wire()
        wire.send(startup("trusty", name))
    said = "WARNING sbuf_connect failed to connect to "
    eventually(lambda: f"{said}127.0.0.1:{closed}: Connection refused" in pooler.log, "TCP is told")
    eventually(lambda: f"{said}unix:{closed}: No such file or directory" in pooler.log, "the Unix socket is told")


@pytest.mark.parametrize(("requests", "reason"), [
    (["select pg_sleep(5)"], "client disconnected with query in progress"),
    (["select pg_sleep(5)", "select 1"], "client disconnected with queries in progress"),
])
def test_what_a_client_leaves_behind(pooler, requests, reason):
    """A server is closed with the reason: one query, or several."""
    wire = pooler.wire()
    wire.send(*map(query, requests))
    eventually(lambda: pooler.pool()["sv_active"] == 1, "it runs")
    wire.close()
    eventually(lambda: f"closing because: {reason} (age=" in pooler.log, "the reason is told")


def test_a_removed_database_is_told(make_pooler, backend):
    """A database that a RELOAD takes away."""
    pooler = make_pooler(databases={"app": backend, "gone": backend})
    wire = pooler.wire(database="gone")
    del pooler.databases["gone"]
    pooler.write_files()
    pooler.admin("RELOAD")
    text = "WARNING dropping database 'gone' as it does not exist anymore or inactive auto-database"
    eventually(lambda: text in pooler.log, "it is told")
    assert errors(wire.read_all())[0]["M"] == "database removed"
    pooler.admin("RELOAD")
    assert pooler.log.count(text) == 1


def test_a_port_that_postgresql_has_locked(make_pooler):
    """PostgreSQL's lock beside the socket means that the name is taken, even when nobody listens."""
    pooler = make_pooler(start=False)
    lock = pooler.folder / f".s.PGSQL.{pooler.port}.lock"
    pooler.write(lock, "1\n")
    pooler.start(wait=False)
    assert pooler.wait_end() == 1
    assert f"FATAL unix port {pooler.port} is in use" in pooler.log + pooler.stderr
