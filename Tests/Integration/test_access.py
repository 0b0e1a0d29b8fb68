"""Who gets in by which line of the HBA file, by peer, and servers whose password a program tells."""

import os
import pwd
import time

import psycopg
import pytest


from waiting import eventually
from wire import startup



@pytest.fixture
def ruled(make_pooler, backend):
    """Factory: a pooler with these HBA and ident files; servers are reached as `trusty`."""

    def make(hba, ident="", **settings):
        pooler = make_pooler(
            start=False, databases={"app": backend + " user=trusty"}, auth_type="hba",
            secrets={"admin": "adm", "trusty": "", "visitor": "pass"}, **settings,
        )
        pooler.settings["auth_hba_file"] = pooler.folder / "hba"
        pooler.settings["auth_ident_file"] = pooler.folder / "ident"
        pooler.write(pooler.folder / "hba", hba)
        pooler.write(pooler.folder / "ident", ident)
        return pooler.start()

    return make


@pytest.mark.parametrize("method", ["password", "md5", "scram-sha-256"])
def test_a_line_says_how(ruled, method):
    """Passwords are asked for as the line says; a wrong one is logged with its line."""
    pooler = ruled(f"local all all reject\nhost app visitor 127.0.0.0/8 {method}\n")
    with pooler.connect(user="visitor", password="pass") as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        pooler.connect(user="visitor", password="wrong")
    assert f"(hba line 2 of {pooler.folder}/hba, method {method})" in pooler.log
    with pytest.raises(psycopg.OperationalError, match="login rejected"):
        pooler.connect(user="visitor", password="pass", host=str(pooler.folder))
    with pytest.raises(psycopg.OperationalError, match="no authentication method is found"):
        pooler.connect(user="trusty")


def test_a_broken_line_keeps_the_old_file(ruled):
    """A reload of a broken file changes nothing and says where; the pooler does not start with one."""
    pooler = ruled("host app visitor 127.0.0.1/32 trust\nhost pgbouncer all 127.0.0.1/32 trust\n")
    pooler.connect(user="visitor")
    pooler.write(pooler.folder / "hba", "host app visitor 127.0.0.1/32 rejct\nhost all all all trust\n")
    with pytest.raises(Exception, match="RELOAD failed"):
        pooler.admin("RELOAD")
    assert f"could not parse hba config line ({pooler.folder}/hba:1): unsupported method rejct" in pooler.log
    pooler.connect(user="visitor")
    with pytest.raises(psycopg.OperationalError, match="no authentication method is found"):
        pooler.connect(user="trusty")
    pooler.write(pooler.folder / "hba", "host app visitor all reject\nhost all all samehost trust\n")
    pooler.admin("RELOAD")
    with pytest.raises(psycopg.OperationalError, match="login rejected"):
        pooler.connect(user="visitor")
    pooler.connect(user="trusty")


def test_peer(ruled):
    """A unix socket's peer may be the role of its own name, or whom the map says."""
    mine = pwd.getpwuid(os.getuid()).pw_name
    pooler = ruled("local all all peer map=m\n", f"m {mine} visitor\nm /^(.*)t$ trus\\1y\n")
    socket = str(pooler.folder)
    with pooler.connect(user="visitor", host=socket) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="unix socket login rejected"):
        pooler.connect(user="trusty", host=socket)
    assert f"ident map m cannot be matched: system user {mine} may not be trusty" in pooler.log
    pooler.write(pooler.folder / "hba", "local all all peer\n")
    pooler.signal(1)
    eventually(lambda: pooler.log.count("got SIGHUP") == 1, "the signal is seen")

    def refused():
        try:
            pooler.connect(user="visitor", host=socket).close()
        except psycopg.OperationalError as failure:
            return "unix socket login rejected" in str(failure)
        return False

    eventually(refused, "the new file counts")


def test_a_program_tells_the_password(make_pooler, backend):
    """password_command is run once for many servers, and again when PostgreSQL does not take its word."""
    pooler = make_pooler(start=False, databases={"app": backend}, secrets={"salty": "", "admin": ""})
    counter, token = pooler.folder / "calls", pooler.folder / "token"
    pooler.write(counter, "")
    pooler.write(token, "stale\n")
    pooler.users["salty"] = f"password_command='echo call >> {counter}; cat {token}'"
    pooler.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        pooler.connect(user="salty")
    pooler.write(token, "scram-secret\n")

    def works():
        try:
            return pooler.connect(user="salty")
        except psycopg.OperationalError:
            return None

    first = eventually(works, "the new token counts", every=0.3)
    others = [pooler.connect(user="salty") for _ in range(3)]
    for connection in [first, *others]:
        connection.autocommit = False
        assert connection.execute("select session_user").fetchone() == ("salty",)
    assert counter.read_text().count("call") == 2


def test_a_program_that_hangs_or_fails(make_pooler, backend):
    """Others work on while a program hangs; what it prints is in no log."""
    pooler = make_pooler(
        databases={
            "app": backend, "hung": backend + " user=salty password_command='echo s3cr3t; sleep 60'",
            "bad": backend + " user=salty password_command='echo s3cr3t; exit 3'",
            "file": backend + " user=plainy password_file=/nonexistent/token",
        },
    )
    waiting = pooler.bare_wire()

    waiting.send(startup(user="trusty", database="hung"))
    begin = time.monotonic()
    assert pooler.wire().value("select 1") == "1"
    assert time.monotonic() - begin < 2
    for name in ("bad", "file"):
        with pytest.raises(psycopg.OperationalError, match="server login failed: no password"):
            pooler.connect(name)
    assert "password_command gave no password: the program ended with exit status 3" in pooler.log
    assert "password_file gave no password: No such file or directory" in pooler.log
    assert waiting.read_all()[-1].fields["M"] == "server login failed: no password"
    assert "the program took too long" in pooler.log
    assert "s3cr3t" not in pooler.log
