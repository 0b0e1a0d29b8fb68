"""Online restart: SHOW FDS, and -R, with clients that are idle, busy, in the middle of something."""

import array
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from console_columns import COLUMNS
from machine import being_owner, postgres_program
from pooler import ConsoleError, ask
from waiting import eventually
from wire import (
    COPY_DONE, FLUSH, SYNC, Message, Wire, bind, copy_data, describe, errors, execute, kinds, message, parse, query, rows,
    run, startup, text_of,
)


@pytest.fixture
def pooler(make_pooler):
    """Transaction mode; files where -R looks for the process before."""
    return make_pooler(workers=None)


@pytest.fixture
def in_sessions(make_pooler):
    """Session mode."""
    return make_pooler(workers=None, pool_mode="session")


class NextProcess:
    """What the next process does, from outside: logs in as `pgbouncer` and reads rows with their sockets."""

    def __init__(self, pooler):
        with being_owner():
            self.console = Wire(pooler.port, str(pooler.folder)).socket
        self.console.sendall(startup("pgbouncer", "pgbouncer"))
        self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.console.close()

    def ask(self, command):
        """Columns of the answer, and its rows with what kind of socket came with each."""
        self.console.sendall(query(command))
        return self._answer()

    def _answer(self):
        columns, table, sockets, data = [], [], [], b""
        while True:
            chunk, control, _, _ = self.console.recvmsg(65536, socket.CMSG_SPACE(64))
            assert chunk, "the console closed the connection"
            for level, kind, body in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    sockets += array.array("i", body[: len(body) - len(body) % 4])
            data += chunk
            while len(data) >= 5 and len(data) > (length := struct.unpack_from("!I", data, 1)[0]):
                said = Message(chr(data[0]), data[5 : 1 + length])
                data = data[1 + length :]
                assert said.kind != "E", said.fields
                if said.kind == "T":
                    columns = said.columns
                elif said.kind == "D":
                    row = [None if value is None else value.decode() for value in said.row]
                    named = dict(zip((name for name, _ in columns), row))
                    table.append((named, _listens(sockets.pop(0)) if sockets else None))
                elif said.kind == "Z":
                    return columns, table


def _listens(descriptor):
    """Whether it is a listening socket, or a connected one."""
    with socket.socket(fileno=descriptor) as one:
        return "listening" if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) else "connected"


# SHOW FDS


def test_rows_come_with_sockets(pooler):
    """Listeners first, then clients, then servers; each with its socket, and pairs know each other."""
    idle, busy = pooler.wire(), pooler.wire()
    idle.query("select 1")
    busy.query("begin")
    idle.query("select 1")
    with NextProcess(pooler) as following:
        following.ask("SUSPEND")
        columns, shown = following.ask("SHOW FDS")
        assert [f"{name}:{oid}" for name, oid in columns] == list(COLUMNS["SHOW FDS"])
        table = [row for row, _ in shown]
        assert [row["task"] for row in table] == ["pooler"] * 2 + ["client"] * 2 + ["server"] * 2
        assert [what for _, what in shown] == ["listening"] * 2 + ["connected"] * 4
        assert {row["addr"] for row in table[:2]} == {"127.0.0.1", "unix"}
        assert {(row["user"], row["database"]) for row in table[2:]} == {("trusty", "app")}
        assert {row["client_encoding"] for row in table[2:]} == {"UTF8"}
        keys = {row["cancel"] for row in table[2:4]}
        assert keys == {str(int.from_bytes(wire.key)) for wire in (idle, busy)}
        by_number = {row["fd"]: row for row in table}
        assert len(by_number) == len(table)
        pairs = [(row["task"], by_number[row["link"]]["task"]) for row in table if row["link"] != "0"]
        assert pairs == [("client", "server"), ("server", "client")]
    # The next process has gone away without a word: everything goes on here.
    eventually(lambda: "admin disappeared when suspended, doing RESUME" in pooler.log, "the log says so")
    assert busy.value("select 2") == "2" and idle.value("select 3") == "3"
    pooler.wire()


def test_rows_without_sockets(pooler):
    """An admin over TCP sees the same rows; nothing is handed over."""
    pooler.wire().query("select 1")
    table = pooler.admin("SHOW FDS")
    assert [row["task"] for row in table] == ["pooler"] * 2 + ["client", "server"]
    assert pooler.wire().value("select 1") == "1"


def test_only_admins(pooler):
    """Users who may only look may not see keys and passwords."""
    with pytest.raises(ConsoleError, match="admin access needed"):
        pooler.admin("SHOW FDS", user="stats")


# Taking over


def test_idle_clients_keep_what_they_set(pooler, database):
    """Settings, names of prepared statements and cancel keys of idle clients in transaction mode survive."""
    one = pooler.wire(application_name="first", TimeZone="Asia/Tokyo")
    two = pooler.wire(application_name="second")
    two.query("set timezone to 'America/Lima'")
    for wire in (one, two):
        wire.send(parse("select current_setting('application_name') || $1", "named"), SYNC)
        wire.read_until()
    old = pooler.process.pid
    for _ in range(2):
        pooler.take_over()
    assert pooler.process.pid != old
    for wire, name, zone in ((one, "first", "Asia/Tokyo"), (two, "second", "America/Lima")):
        assert wire.value("show timezone") == zone
        wire.send(bind(["!"], "named"), execute(), SYNC)
        assert text_of(wire.read_until()) == name + "!"
    one.send(query("select pg_sleep(30)"))
    eventually(lambda: database.runs("select pg_sleep"), "the query runs")
    pooler.cancel(one.key)
    assert errors(one.read_until())[0]["C"] == "57014"
    pooler.settle()


def test_new_clients_are_greeted_at_once(make_pooler, database):
    """The full pool of the process before is enough to greet with: no further server is opened."""
    pooler = make_pooler(workers=None, default_pool_size=1)
    held = pooler.wire()
    held.query("begin")
    held.query("create temp table gone (i int) on commit drop")
    process = held.value("select pg_backend_pid()")
    pooler.take_over()
    fresh = pooler.wire()
    assert fresh.parameters["server_version"] == held.parameters["server_version"]
    fresh.send(query("select pg_backend_pid()"))
    assert fresh.silent_for(0.3)
    assert held.value("select count(*) from gone") == "0"
    held.query("commit")
    assert text_of(fresh.read_until()) == process
    assert database.backends() == 1


def test_sessions_keep_their_servers(in_sessions):
    """Session mode: temporary tables, settings, SQL-level statements and an open transaction go on."""
    wire = in_sessions.wire()
    process = wire.value("select pg_backend_pid()")
    wire.query("create temp table kept (i int); set work_mem to '7MB'; prepare p as select 5")
    other = in_sessions.wire()
    other.query("begin")
    other.query("insert into pg_temp.x select 1")  # fails: the transaction is broken
    in_sessions.take_over()
    assert wire.value("select pg_backend_pid()") == process
    assert wire.value("show work_mem") == "7MB"
    assert wire.value("execute p") == "5"
    assert errors(other.query("select 1"))[0]["C"] == "25P02"
    other.query("rollback")
    wire.close()
    other.close()
    in_sessions.settle(servers=2)
    assert in_sessions.wire().value("show work_mem") != "7MB"


def test_a_running_query_is_answered(pooler):
    """What runs while the processes change is answered by the new one, to the right client."""
    wires = [pooler.wire() for _ in range(3)]
    for number, wire in enumerate(wires):
        wire.send(query(f"select {number}, pg_sleep(2)"))
    eventually(lambda: pooler.pool()["sv_active"] == 3, "they run")
    pooler.take_over()
    for number, wire in enumerate(wires):
        assert text_of(wire.read_until()) == str(number)
    pooler.settle()


def test_clients_in_line_stay_in_line(make_pooler):
    """Whoever waited is served, first come first, with what it has asked."""
    pooler = make_pooler(workers=None, default_pool_size=1)
    first = pooler.wire()
    first.query("begin")
    line = []
    for number in range(3):
        line.append(pooler.wire())
        line[-1].send(query(f"select {number}, clock_timestamp()::text"))
        eventually(lambda: pooler.pool()["cl_waiting"] == number + 1, "it waits")
    pooler.take_over()
    assert pooler.pool()["cl_waiting"] == 3
    first.query("commit")
    answers = [rows(wire.read_until())[0] for wire in line]
    assert [answer[0] for answer in answers] == ["0", "1", "2"]
    assert [answer[1] for answer in answers] == sorted(answer[1] for answer in answers)
    pooler.settle()


def test_in_the_middle_of_a_batch(pooler):
    """A batch whose Sync comes after the takeover, with a statement prepared in it."""
    wire = pooler.wire()
    wire.send(parse("select $1::int * 2", "double"), bind([21], "double"), describe("P"), execute(), FLUSH)
    assert kinds(wire.read_until("C")) == "12TDC"
    pooler.take_over()
    wire.send(bind([4], "double"), execute(), SYNC)
    answer = wire.read_until()
    assert kinds(answer) == "2DCZ" and text_of(answer) == "8"
    wire.send(parse("select 1", "double"), SYNC)
    assert errors(wire.read_until())[0]["C"] == "42P05"
    pooler.settle()


def test_with_a_pipeline_under_way(pooler):
    """Many batches sent at once, half of them to be answered by the new process."""
    wire = pooler.wire()
    wire.send(*(run(f"select {number}, pg_sleep(0.05)", name=f"s{number}") + SYNC for number in range(40)))
    assert text_of(wire.read_until()) == "0"
    pooler.take_over()
    for number in range(1, 40):
        assert text_of(wire.read_until()) == str(number)
    assert wire.value("select 'done'") == "done"
    pooler.settle()


def test_in_the_middle_of_copies(pooler, database):
    """Rows in both directions, cut anywhere, arrive as they were sent."""
    database.execute("drop table if exists moved; create table moved (i int, t text)")
    database.execute("grant all on moved to public")
    taking, giving = pooler.wire(), pooler.wire()
    taking.send(query("copy (select i, repeat('x', 1000) from generate_series(1, 20000) i) to stdout"))
    giving.send(query("copy moved from stdin"))
    assert giving.read_until("G")[-1].kind == "G"
    row = b"1\t" + b"y" * 50_000 + b"\n"
    half = message("d", row * 4)
    giving.send(copy_data(row), half[: len(half) // 3])
    received = taking.read_bytes(100_003)
    pooler_change = threading.Thread(target=pooler.take_over)
    pooler_change.start()
    # What the kernel's buffers do not hold has to be read before the old process can let go.
    taking.unread(received)
    assert sum(said.kind == "d" for said in taking.read_until()) == 20000
    pooler_change.join(60)
    giving.send(half[len(half) // 3 :], copy_data(row), COPY_DONE)
    assert giving.read_until()[-1].kind == "Z"
    assert database.rows("select count(*), sum(length(t)) from moved") == [(6, 300_000)]
    pooler.settle()


def test_scram_keys_go_along(make_pooler, database):
    """A server opened after the takeover logs in with the keys of a client's login before it."""
    pooler = make_pooler(workers=None, auth_type="scram-sha-256", secrets=None)
    verifier = _verifier(database)
    pooler.secrets = {**pooler.secrets, "salty": verifier}
    pooler.write_files()
    pooler.signal(signal.SIGHUP)
    eventually(lambda: "got SIGHUP" in pooler.log, "the user list is read again")
    connection = pooler.connect(user="salty", password="scram-secret")
    assert connection.execute("select 1").fetchone() == (1,)
    pooler.take_over()
    database.kill_backends()
    # A server whose death nobody has noticed yet may still be lent, here as everywhere.
    eventually(lambda: "closing because: server conn crashed?" in pooler.log, "the dead server is noticed")
    assert connection.execute("select 3").fetchone() == (3,)


def _verifier(database):
    """PostgreSQL's own verifier of the user `salty`."""
    query = "select rolpassword from pg_authid where rolname = 'salty'"
    return database.rows(query)[0][0]


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_pgbench_notices_nothing(make_pooler, database, mode, protocol):
    """Transactions of eight clients over four servers go on through two takeovers, none of them fails."""
    servers = 8 if mode == "session" or protocol == "prepared" else 4
    pooler = make_pooler(workers=None, pool_mode=mode, default_pool_size=servers)
    script = pooler.folder / "script.sql"
    pooler.write(script, "begin;\nselect :client_id, pg_sleep(0.002);\nselect 1;\ncommit;\n")
    bench = subprocess.Popen(
        [postgres_program("pgbench"), "-n", "-c", "8", "-T", "5", "-M", protocol, "-f", script,
         "-h", "127.0.0.1", "-p", str(pooler.port), "-U", "trusty", "app"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    time.sleep(1)
    pooler.take_over()
    time.sleep(1)
    pooler.take_over()
    out, err = bench.communicate(timeout=60)
    assert bench.returncode == 0 and "error" not in err, err
    assert "number of failed transactions: 0 " in out, out
    pooler.settle()


# When it cannot be


def test_without_a_process_before(make_pooler):
    """Nobody listens there: it is a start like any other."""
    pooler = make_pooler(start=False, workers=None)
    pooler.start("-R")
    assert "old process not found, try to continue normally" in pooler.log
    assert pooler.wire().value("select 1") == "1"


def test_several_workers_refuse(make_pooler, pooler):
    """Neither is a process with several workers taken over, nor can one take over; who is there goes on."""
    crew = make_pooler(workers=2)
    wire = crew.wire()
    crew.settings["workers"] = None
    _fails(crew, "takeover: the old process refuses SHOW FDS: SHOW FDS is not available with several workers")
    assert wire.value("select 1") == "1"
    other = pooler.wire()
    pooler.settings["workers"] = 2
    _fails(pooler, "online restart (-R) is not available with several workers, use so_reuseport instead")
    assert other.value("select 1") == "1"


def test_without_a_unix_socket(pooler):
    """There is no way to the process before."""
    pooler.settings["unix_socket_dir"] = ""
    _fails(pooler, "cannot reboot if unix dir not configured")


def _fails(pooler, text):
    """A takeover that ends with this sentence and leaves the old process as it was."""
    old = pooler.process
    pooler.write_files()
    new = pooler.launch("-q", "-R", pooler.ini)
    pooler.process = old
    assert new.wait(30) == 1
    assert text in pooler.log + pooler.stderr
    assert pooler.is_running()
    assert Path(pooler.settings["pidfile"]).read_text().strip() == str(old.pid)


def test_a_next_process_that_dies(pooler):
    """Killed with all sockets in its hands: the old process goes on, and the next attempt works."""
    wire = pooler.wire()
    wire.query("begin")
    with NextProcess(pooler) as following:
        following.ask("SUSPEND")
        following.ask("SHOW FDS")
        wire.send(query("select 1"))
        assert wire.silent_for(0.3)
    assert text_of(wire.read_until()) == "1"
    pooler.take_over()
    assert wire.value("select 2") == "2"
    wire.query("commit")
    pooler.settle()


def test_a_login_that_does_not_end_is_told(make_pooler):
    """What cannot be handed over is told before the end: here a client in the middle of its login."""
    pooler = make_pooler(workers=None, auth_type="md5")
    stuck = pooler.bare_wire()
    stuck.send(startup("hashy", "app"))
    assert stuck.read().kind == "R"
    pooler.take_over()
    assert errors(stuck.read_all())[0]["M"] == "server shutting down"


def test_its_files(pooler):
    """Pidfile and Unix socket are the new process's, and go with it."""
    pooler.take_over()
    assert Path(pooler.settings["pidfile"]).read_text().strip() == str(pooler.process.pid)
    path = pooler.folder / f".s.PGSQL.{pooler.port}"
    assert path.is_socket()
    assert pooler.wire().value("select 1") == "1"
    ask(pooler.console(), "SUSPEND")
    pooler.signal(signal.SIGINT)
    assert pooler.wait_end() == 0
    assert not path.exists() and not Path(pooler.settings["pidfile"]).exists()
