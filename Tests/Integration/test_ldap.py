"""Logins by LDAP: simple bind, search and bind, TLS, odd names, dead servers."""

import functools
import itertools
import os
import socket
import threading
import time

import psycopg
import pytest

from directory import MANAGER, MANAGER_PASSWORD, SUFFIX, Directory, slapd_program
from logins import gets_in, is_refused_by
from machine import PORTS
from waiting import eventually
from wire import message, startup

pytestmark = [
    pytest.mark.recent, pytest.mark.skipif(slapd_program() is None, reason="slapd is not installed"),
]

ODD = ["comma, name", 'quote"d', "(paren)*", "back\\slash", "plus+equals=", " edges ", "#hash", "café;<x>", "a/b"]
PEOPLE = [
    ("ann", "ann's password", "", {"mail": "ann@example.net"}),
    ("plainy", "plain-secret", "", {}),
    ("twin", "one", "", {}),
    ("twin", "two", "ou=hidden", {}),
    ("shy", "hidden password", "ou=hidden", {}),
    *((name, "odd password", "", {}) for name in ODD),
]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def directory(room):
    """A running slapd."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
    with Directory(room / f"{worker}-ldap-{next(_numbers)}", PEOPLE) as server:
        yield server


@pytest.fixture
def library(directory, monkeypatch):
    """The configuration of libldap in the poolers that are started from here on."""
    path = directory.folder / f"ldap-{next(_numbers)}.conf"
    path.write_text(f"TLS_CACERT {directory.authority.certificate}\nTLS_REQCERT demand\n")
    path.chmod(0o644)
    monkeypatch.setenv("LDAPCONF", str(path))
    return path


@pytest.fixture
def make(make_pooler, backend, library):
    """Factory: a pooler with this HBA line for everybody but the console. It trusts the server's authority."""

    def start(options=None, **settings):
        pooler = make_pooler(
            start=False, secrets={"admin": "", "trusty": ""},
            databases={"app": backend + " user=trusty", "own": backend},
            **{"auth_type": "hba", **settings})
        hba = pooler.folder / "hba"
        pooler.settings["auth_hba_file"] = hba
        pooler.write(hba, "host pgbouncer all all trust\nhost all trusty all trust\n" + (
            f"host all all all ldap {options}\n" if options else ""))
        return pooler.start()

    return start


def simple(directory, **more):
    """Options of a simple bind."""
    extra = "".join(f" {k}={v}" for k, v in more.items())
    return f'ldapserver=127.0.0.1 ldapport={directory.port} ldapprefix="uid=" ldapsuffix=",{SUFFIX}"{extra}'


def search(directory, **more):
    """Options of a search."""
    extra = "".join(f' {k}="{v}"' for k, v in more.items())
    return f'ldapserver=127.0.0.1 ldapport={directory.port} ldapbasedn="{SUFFIX}"{extra}'


is_refused = functools.partial(is_refused_by, "LDAP")


def test_simple_bind(make, directory):
    """The right password, a wrong one, and a name that is not there; the log says which line and why."""
    pooler = make(simple(directory))
    assert gets_in(pooler)
    assert is_refused(pooler) and is_refused(pooler, "nobody", "x")
    (line, other) = [l for l in pooler.log.splitlines() if "LDAP login failed" in l]
    assert f"LDAP login failed for user uid=ann,{SUFFIX} on server ldap://127.0.0.1:{directory.port}" in line
    assert "Invalid credentials" in line and f"(hba line 3 of {pooler.folder}/hba, method ldap)" in line
    assert f"user uid=nobody,{SUFFIX}" in other
    assert "password" not in pooler.log.replace("wrong password", "")


def test_an_empty_password(make, directory):
    """It is refused here: for the server it would be a bind that succeeds for any name."""
    pooler = make(simple(directory))
    wire = pooler.bare_wire()
    wire.send(startup("ann", "app"))
    assert wire.read().body[3:4] == b"\x03"
    wire.send(message("p", b"\0"))
    assert wire.read().fields["M"] == "empty password returned by client"


@pytest.mark.parametrize("options", [
    {}, {"ldapsearchattribute": "uid"}, {"ldapsearchfilter": "(|(uid=$username)(mail=$username))"},
    {"ldapsearchfilter": "uid=$username"}, {"ldapbinddn": MANAGER, "ldapbindpasswd": MANAGER_PASSWORD},
])
def test_search_and_bind(make, directory, options):
    """The entry is looked for, by nobody or by the user that the options name."""
    pooler = make(search(directory, **options))
    assert gets_in(pooler) and is_refused(pooler) and is_refused(pooler, "nobody", "x")
    assert 'LDAP user "nobody" does not exist' in pooler.log
    if "mail" in str(options):
        assert gets_in(pooler, "ann@example.net")
    if "ldapbinddn" in options:
        assert gets_in(pooler, "shy", "hidden password") and is_refused(pooler, "twin", "one")
        assert 'LDAP user "twin" is not unique' in pooler.log
        assert MANAGER_PASSWORD not in pooler.log
    else:
        assert is_refused(pooler, "shy", "hidden password") and gets_in(pooler, "twin", "one")


def test_the_searcher_must_be_right(make, directory):
    """Otherwise nobody gets in, and the log says so."""
    pooler = make(search(directory, ldapbinddn=MANAGER, ldapbindpasswd="not it"))
    assert is_refused(pooler, "ann", "ann's password")
    assert f'could not perform initial LDAP bind for ldapbinddn "{MANAGER}"' in pooler.log
    assert "not it" not in pooler.log


@pytest.mark.parametrize("part", ["?uid?sub", "?uid?one", "??sub?(|(uid=$username)(mail=$username))", "?uid", "?cn?sub"])
def test_urls(make, directory, part):
    """All in one, with the base alone as the default scope."""
    pooler = make(f'ldapurl="ldap://127.0.0.1:{directory.port}/{SUFFIX}{part}"')
    assert gets_in(pooler) if part.count("?") > 1 and "cn" not in part else is_refused(pooler, "ann", "ann's password")


@pytest.mark.parametrize("mode", ["simple", "search"])
@pytest.mark.parametrize("name", ODD)
def test_odd_names(make, directory, name, mode):
    """Names are escaped, in names of entries and in filters; so they are themselves and nobody else."""
    pooler = make(simple(directory) if mode == "simple" else search(directory))
    assert gets_in(pooler, name, "odd password")


@pytest.mark.parametrize("name", ["a*", "*", "ann)(uid=*", "ann,dc=example", "uid=ann", "ann\\2a", "ann)"])
def test_no_name_is_somebody_else(make, directory, name):
    """A name with wildcards or with another entry in it finds nobody."""
    for options in (simple(directory), search(directory)):
        assert is_refused(make(options), name, "ann's password")


@pytest.mark.parametrize("way", ["ldaptls=1", "ldapscheme=ldaps", "ldapurl"])
def test_tls(make, directory, way, library):
    """The password goes over TLS, to a server whose certificate is good, or not at all."""
    if way == "ldaptls=1":
        options = simple(directory, ldaptls=1)
    elif way == "ldapurl":
        options = f'ldapurl="ldaps://127.0.0.1:{directory.tls_port}/{SUFFIX}?uid?sub"'
    else:
        options = simple(directory, ldapscheme="ldaps").replace(str(directory.port), str(directory.tls_port))
    assert gets_in(make(options))
    library.write_text("TLS_REQCERT demand\n")
    pooler = make(options)
    assert is_refused(pooler, "ann", "ann's password")
    assert "is the certificate good" in pooler.log or "Can't contact LDAP server" in pooler.log


def test_tls_to_the_wrong_port(make, directory):
    """ldaps on the port for clear text, StartTLS on the port for TLS, both together."""
    for options in (
        simple(directory, ldapscheme="ldaps"),
        simple(directory, ldaptls=1).replace(str(directory.port), str(directory.tls_port)),
        simple(directory, ldapscheme="ldaps", ldaptls=1).replace(str(directory.port), str(directory.tls_port)),
    ):
        assert is_refused(make(options), "ann", "ann's password")


def test_auth_type(make, directory):
    """Without an HBA file, by auth_ldap_options; the console shows them without the password."""
    pooler = make(auth_type="ldap", auth_ldap_options=search(
        directory, ldapbinddn=MANAGER, ldapbindpasswd=MANAGER_PASSWORD), admin_users="admin,shy")
    assert gets_in(pooler) and is_refused(pooler)
    assert "(auth_type ldap)" in pooler.log
    with pooler.connect("pgbouncer", user="shy", password="hidden password") as console:
        shown = {row[0]: row[1] for row in console.execute("show config").fetchall()}
        assert "ldapbindpasswd=***" in shown["auth_ldap_options"] and MANAGER_PASSWORD not in str(shown)
        with pytest.raises(psycopg.Error) as failure:
            console.execute("set auth_ldap_options = 'ldapserver=a ldapbindpasswd=hush ldapport=x'")
        assert "invalid ldapport" in str(failure.value) + str(failure.value.diag.message_detail)
        assert "hush" not in str(failure.value) + str(failure.value.diag.message_detail)
        console.execute("set auth_ldap_options = ''")
    with pytest.raises(psycopg.OperationalError, match="auth_ldap_options is null"):
        pooler.connect(user="ann", password="ann's password")


def test_the_typed_password_reaches_the_server(make, directory):
    """PostgreSQL may ask for it as well; no stored password is needed."""
    pooler = make(simple(directory))
    assert gets_in(pooler, "plainy", "plain-secret", "own")
    assert "plain-secret" not in pooler.log


def test_a_broken_line_refuses_the_file(make, directory):
    """And the error says what is wrong, without the password."""
    pooler = make(simple(directory))
    pooler.write(pooler.folder / "hba", "host all all all ldap ldapserver=a ldapbasedn=b ldapbindpasswd=s3cr et\n")
    with pytest.raises(Exception, match="RELOAD failed"):
        pooler.admin("RELOAD")
    assert "expected name=value" in pooler.log and "s3cr" not in pooler.log
    assert gets_in(pooler)


@pytest.fixture
def tarpit():
    """A port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(200)
        yield server.getsockname()[1]


def test_several_servers(make, directory, tarpit):
    """A dead one costs its time once; from then on the others are asked first."""
    closed = PORTS.free()
    pooler = make(simple(directory).replace(
        f"ldapserver=127.0.0.1 ldapport={directory.port}",
        f'ldapserver="127.0.0.1:{closed} 127.0.0.1:{tarpit} 127.0.0.1:{directory.port}"'))
    begin = time.monotonic()
    assert gets_in(pooler)
    assert 1 < time.monotonic() - begin < 12
    begin = time.monotonic()
    assert gets_in(pooler) and is_refused(pooler)
    assert time.monotonic() - begin < 1.5


def test_a_dead_server(make, directory, tarpit):
    """Its logins fail after a while; others get in meanwhile, and who goes away leaves nothing behind."""
    pooler = make(simple(directory).replace(f"ldapport={directory.port}", f"ldapport={tarpit}"))
    waiting = [pooler.bare_wire() for _ in range(40)]
    for wire in waiting:
        wire.send(startup("ann", "app"))
        assert wire.read().body[3:4] == b"\x03"
        wire.send(message("p", b"x\0"))
    begin = time.monotonic()
    for _ in range(5):
        assert pooler.wire().value("select 1") == "1"
    assert time.monotonic() - begin < 2, "the dead server delays only those who need it"
    for wire in waiting[1:]:
        wire.close()
    assert waiting[0].read().fields["M"] == "LDAP authentication failed"
    assert time.monotonic() - begin < 30
    # Those who went away are not asked about any more: whoever comes now does not wait for them all.
    begin = time.monotonic()
    assert is_refused(pooler)
    assert time.monotonic() - begin < 12
    pooler.write(pooler.folder / "hba", f"host pgbouncer all all trust\nhost all all all ldap {simple(directory)}\n")
    pooler.admin("RELOAD")
    assert gets_in(pooler)


def test_a_login_that_is_given_up(make, directory, tarpit):
    """client_login_timeout ends a login whatever the server does."""
    pooler = make(
        simple(directory).replace(f"ldapport={directory.port}", f"ldapport={tarpit}"), client_login_timeout=1)
    begin = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="client_login_timeout"):
        pooler.connect(user="ann", password="x")
    assert time.monotonic() - begin < 4


def test_many_at_once(make, directory):
    """Every login gets its own answer."""
    pooler = make(simple(directory), max_client_conn=200)
    problems = []

    def run(number):
        try:
            if number % 3:
                assert gets_in(pooler)
            else:
                assert is_refused(pooler, "ann", f"wrong {number}")
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[:3]
    eventually(lambda: pooler.pool()["cl_active"] == 0, "all are gone")
