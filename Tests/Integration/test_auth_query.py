"""Users that are known to PostgreSQL only: auth_query against a real server, and against one that lies."""

import re
import socket
import struct
import threading
import time

import psycopg
import pytest

from fakeserver import READY, FakeServer, error
from pooler import ask
from wire import Wire, message, raw, startup

# A user of each kind of secret, made in each test's cluster once.
USERS = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'lookup_scram') then
    set password_encryption = 'scram-sha-256';
    create role lookup_scram login password 'pass';
    create role lookup_rotating login password 'first';
    create role lookup_other login password 'pass';
    create role lookup_expired login password 'pass' valid until '1999-01-01';
    create role lookup_group nologin password 'pass';
    set password_encryption = 'md5';
    create role lookup_md5 login password 'pass';
  end if;
end $$
"""


@pytest.fixture
def asking(make_pooler, backend, cluster):
    """Factory: a pooler whose users are looked up as boss; only admin and boss are in its auth_file."""
    cluster.execute("template1", "select pg_advisory_xact_lock(77);" + USERS)

    def make(auth_type="scram-sha-256", databases=None, **settings):
        return make_pooler(
            databases={"app": backend} if databases is None else databases,
            secrets={"admin": "adm", "boss": "chief"}, auth_type=auth_type,
            **{"auth_user": "boss", **settings},
        )

    return make


@pytest.mark.parametrize("auth_type, user", [
    ("scram-sha-256", "lookup_scram"), ("md5", "lookup_scram"), ("md5", "lookup_md5"),
    ("plain", "lookup_scram"), ("plain", "lookup_md5"),
])
def test_users_of_the_server_log_in(asking, auth_type, user):
    """Whoever PostgreSQL knows gets in with the right password and not with another, and is himself there."""
    pooler = asking(auth_type)
    with pooler.connect(user=user, password="pass") as connection:
        assert connection.execute("select session_user").fetchone() == (user,)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        pooler.connect(user=user, password="wrong")
    pooler.connect(user=user, password="pass")


@pytest.mark.parametrize("auth_type", ["scram-sha-256", "md5", "plain"])
@pytest.mark.parametrize("user", ["lookup_nobody", "lookup_expired", "lookup_group", "x' or 'a'='a", "%s", "$1"])
def test_nobody_else_does_and_nobody_hears_why(asking, auth_type, user):
    """Unknown, expired and loginless roles hear what a wrong password hears; names are no SQL."""
    pooler = asking(auth_type)
    heard = []
    for name in (user, "lookup_scram" if auth_type != "md5" else "lookup_md5"):
        with pytest.raises(psycopg.OperationalError) as failure:
            pooler.connect(user=name, password="wrong")
        heard.append(str(failure.value).split("FATAL:")[1])
    assert heard[0] == heard[1]
    assert "lookup" not in heard[0]


def test_a_forced_user_and_the_console(asking, backend):
    """auth_query decides who may in where the server's user is another one, and at the console."""
    pooler = asking(
        databases={"app": backend + " user=trusty", "auth": backend}, auth_dbname="auth",
        stats_users="lookup_scram",
    )
    with pooler.connect(user="lookup_scram", password="pass") as connection:
        assert connection.execute("select session_user").fetchone() == ("trusty",)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        pooler.connect("pgbouncer", "lookup_scram", "wrong")
    pooler.connect("pgbouncer", "lookup_scram", "pass")
    with pytest.raises(psycopg.OperationalError, match="not allowed"):
        pooler.connect("pgbouncer", "lookup_other", "pass")


@pytest.mark.parametrize("auth_type, kind", [("plain", "scram-sha-256"), ("plain", "md5"), ("md5", "md5")])
def test_a_new_password_counts_at_once(asking, cluster, auth_type, kind):
    """A login that fails against a remembered secret is held against a new one before it is refused."""
    pooler = asking(auth_type)

    def change(password):
        cluster.execute("template1", f"set password_encryption = '{kind}'; "
                        f"alter role lookup_rotating password '{password}'")

    change("first")
    pooler.connect(user="lookup_rotating", password="first").close()
    for number in range(5):
        change(f"next {number}")
        pooler.connect(user="lookup_rotating", password=f"next {number}").close()
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            pooler.connect(user="lookup_rotating", password="first")


def test_a_new_password_counts_at_the_next_scram_login_but_one(asking, cluster):
    """A SCRAM login cannot be repeated: it fails, and the next one is held against the new secret."""
    pooler = asking()
    cluster.execute("template1", "set password_encryption = 'scram-sha-256'; "
                    "alter role lookup_rotating password 'first'")
    pooler.connect(user="lookup_rotating", password="first").close()
    cluster.execute("template1", "alter role lookup_rotating password 'second'")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        pooler.connect(user="lookup_rotating", password="second")
    pooler.connect(user="lookup_rotating", password="second").close()
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        pooler.connect(user="lookup_rotating", password="first")


def test_many_logins_keep_the_limits(asking, backend):
    """A storm of logins uses one server of the auth pool per lookup and no more than its size."""
    pooler = asking(
        auth_type="plain", auth_dbname="auth", max_client_conn=200,
        databases={"app": backend + " user=trusty", "auth": backend + " pool_size=2"},
    )
    failures = []

    def login(user):
        try:
            with psycopg.connect(pooler.dsn(user=user, password="pass")) as connection:
                connection.execute("select 1")
        except psycopg.Error as failure:
            failures.append(failure)

    threads = [threading.Thread(target=login, args=(f"lookup_{kind}",)) for kind in ["scram", "scram"] * 20]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    row = {row["database"]: row for row in ask(pooler.wire("admin", "pgbouncer", "adm"), "SHOW POOLS")}["auth"]
    assert int(row["sv_idle"]) + int(row["sv_active"]) + int(row["sv_tested"]) <= 2


def test_client_settings_never_reach_the_lookup(asking, database, backend):
    """What a client asks for at its start, and what auth_user's own sessions have set, does not change the query."""
    database.execute("create schema evil; create table evil.pg_authid as select * from pg_authid with no data")
    database.execute("insert into evil.pg_authid select * from pg_authid where rolname = 'lookup_scram'")
    database.execute("update evil.pg_authid set rolpassword = 'evil', rolname = 'lookup_evil'")
    pooler = asking(
        auth_type="plain", track_extra_parameters="search_path", databases={"app": backend + " pool_size=1"},
        auth_query="select rolname, rolpassword from pg_authid where rolname = $1",
    )
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        pooler.connect(user="lookup_evil", password="evil", options="-c search_path=evil,pg_catalog")
    # auth_user's own session: its server is not asked afterwards, although the pool has room for one only
    pooler.wire("boss", password="chief").query("set search_path to evil, pg_catalog")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        pooler.connect(user="lookup_evil", password="evil")
    assert "making room for auth_query" in pooler.log
    with pooler.connect(user="lookup_scram", password="pass") as connection:
        assert connection.execute("select session_user").fetchone() == ("lookup_scram",)


def test_a_slow_auth_server_delays_only_those_who_need_it(asking, backend):
    """While one server never answers, others log in and work; who needs it hears client_login_timeout."""
    with FakeServer(lambda sql, number: b"") as slow:
        pooler = asking(
            auth_type="plain",
            databases={"app": backend, "slow": f"host=127.0.0.1 port={slow.port} dbname=x"}, client_login_timeout=3,
        )
        waiting = Wire(pooler.port)
        waiting.send(startup(user="lookup_nobody", database="slow"))
        begin = time.monotonic()
        with pooler.connect(user="lookup_scram", password="pass") as connection:
            connection.execute("select 1")
        assert time.monotonic() - begin < 2
        assert waiting.read().fields["M"] == "client_login_timeout"
        waiting.close()


class LyingServer(FakeServer):
    """Lets everybody in and answers each Sync with the same bytes; None closes the connection instead."""

    def __init__(self, said):
        self.said = said
        super().__init__(None)

    def _serve(self, connection, number):
        stream = connection.makefile("rb")
        try:
            self._greet(connection, stream)
            while kind := stream.read(1):
                (length,) = struct.unpack("!I", stream.read(4))
                stream.read(length - 4)
                if kind == b"S" and self.said is not None:
                    connection.sendall(self.said)
                elif kind == b"S":
                    connection.shutdown(socket.SHUT_RDWR)
                    return
        except (OSError, struct.error):
            return


def data_row(*values):
    """A DataRow of these columns, None for NULL."""
    columns = b"".join(struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
    return message("D", struct.pack("!H", len(values)) + columns)


def answered(*rows):
    """A whole answer to a lookup."""
    return message("1") + message("2") + b"".join(rows) + message("C", b"SELECT\0") + READY


GENERIC, CONFIGURATION = "password authentication failed", "bouncer config error"
CRASHED = "server conn crashed?"
LIES = {
    "no row": (answered(), GENERIC),
    "no password": (answered(data_row(b"x", None)), GENERIC),
    "no name": (answered(data_row(None, b"pass")), GENERIC),
    "another name": (answered(data_row(b"y", b"pass")), GENERIC),
    "one column": (answered(data_row(b"x")), CONFIGURATION),
    "three columns": (answered(data_row(b"x", b"pass", b"pass")), CONFIGURATION),
    "an error": (error("42P01", "no such relation") + READY, CONFIGURATION),
    "the connection ends": (None, CRASHED),
    "an answer to nothing": (message("C", b"SELECT\0") + READY, CRASHED),
    "a column longer than its row": (message("1") + message("2") + message("D", b"\0\2\0\0\0\x40xx") + READY, CRASHED),
    "a secret of 1 GiB": (message("1") + message("2") + raw(b"D", 1 << 30, b"\0\2" + b"x" * (8 << 20)), CRASHED),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_auth_server_may_say_anything(asking, backend, lie):
    """The login fails as it should, with bounded memory, and others are not concerned."""
    said, heard = LIES[lie]
    with LyingServer(said) as server:
        databases = {"app": backend, "lies": f"host=127.0.0.1 port={server.port} dbname=x"}
        pooler = asking("plain", databases)
        before = pooler.resident_bytes()
        with pytest.raises(psycopg.OperationalError, match=re.escape(heard)):
            pooler.connect("lies", user="x", password="pass")
        assert pooler.resident_bytes() < before + (4 << 20)
        with pooler.connect(user="lookup_scram", password="pass") as connection:
            assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("remark", [message("N", b"SNOTICE\0Mhello\0\0"), message("S", b"TimeZone\0Asia/Tokyo\0")])
def test_remarks_on_the_way(asking, backend, remark):
    """Notices and reports of parameters belong to no answer."""
    with LyingServer(remark + message("1") + remark + message("2") + remark + data_row(b"x", b"pass") + remark
                     + message("C", b"SELECT 1\0") + remark + READY) as server:
        pooler = asking(
            "plain", {"app": backend + " user=trusty", "auth": f"host=127.0.0.1 port={server.port}"}, auth_dbname="auth"
        )
        with pooler.connect(user="x", password="pass") as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_deriving_keys_stops_nobody(make_pooler, backend):
    """While the keys of many users are derived, a client that is logged in goes on as before."""
    users = {f"deriving{n}": f"secret {n}" for n in range(30)}
    pooler = make_pooler(
        databases={"app": backend + " user=trusty"}, secrets={"trusty": "", "admin": "", **users},
        auth_type="scram-sha-256", scram_iterations=100_000,
    )
    steady = psycopg.connect(pooler.dsn(user="deriving0", password="secret 0"), autocommit=True)
    steady.execute("select 1")
    asked = [Wire(pooler.port) for _ in range(1, 30)]
    for number, wire in enumerate(asked, 1):
        wire.send(startup(user=f"deriving{number}", database="app"))
        assert wire.read().kind == "R"
    first = b"n,,n=,r=0123456789abcdef"
    for wire in asked:
        wire.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first))
    longest = 0.0
    begin = time.monotonic()
    while time.monotonic() < begin + 0.3:
        sent = time.monotonic()
        steady.execute("select 1")
        longest = max(longest, time.monotonic() - sent)
    for wire in asked:
        assert wire.read().body.startswith(b"\0\0\0\x0br=0123456789abcdef")
        wire.close()
    steady.close()
    # one derivation takes longer than that, and all of them thirty times as long
    assert longest < 0.15
