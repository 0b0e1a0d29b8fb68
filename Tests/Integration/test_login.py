"""Who may log in, with which secret, and what everybody else hears."""

import hashlib

import psycopg
import pytest

import scram
from wire import Refused, Wire, startup

PASSWORD = "open sesame"


def secret(kind, user="visitor"):
    """The userlist form of PASSWORD."""
    match kind:
        case "plain":
            return PASSWORD
        case "md5":
            return "md5" + hashlib.md5((PASSWORD + user).encode()).hexdigest()
        case "scram":
            return scram.verifier(PASSWORD)
    raise ValueError(kind)


@pytest.fixture
def guarded(make_pooler, backend):
    """Factory: a pooler with one auth_type and one kind of secret; servers are reached as `trusty`."""

    def make(auth_type, kind, **settings):
        return make_pooler(
            databases={"app": backend + " user=trusty"},
            secrets={"visitor": secret(kind), "admin": "adm", "trusty": ""},
            auth_type=auth_type, **settings,
        )

    return make


ACCEPTED = [
    ("plain", "plain"), ("plain", "md5"), ("plain", "scram"),
    ("md5", "plain"), ("md5", "md5"), ("md5", "scram"),
    ("scram-sha-256", "plain"), ("scram-sha-256", "scram"),
]


@pytest.mark.parametrize("auth_type, kind", ACCEPTED)
def test_right_password(guarded, auth_type, kind):
    """Every sensible pair of auth_type and stored secret lets the right password in."""
    with guarded(auth_type, kind).connect(user="visitor", password=PASSWORD) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("auth_type, kind", ACCEPTED)
def test_wrong_password(guarded, auth_type, kind):
    """The wrong password is refused with the text of PgBouncer, and the pooler stays."""
    pooler = guarded(auth_type, kind)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed|SASL authentication failed"):
        pooler.connect(user="visitor", password="nonsense")
    pooler.connect(user="visitor", password=PASSWORD)


def test_scram_login_with_md5_secret_fails(guarded):
    """An md5 secret cannot serve a SCRAM login."""
    with pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
        guarded("scram-sha-256", "md5").connect(user="visitor", password=PASSWORD)


@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
def test_unknown_user_looks_like_a_wrong_password(guarded, auth_type):
    """An unknown user sees the same messages as a known one with a wrong password."""
    pooler = guarded(auth_type, "plain")
    heard = []
    for user in ("visitor", "nobody-here"):
        with pytest.raises(psycopg.OperationalError) as refusal:
            pooler.connect(user=user, password="nonsense")
        heard.append(str(refusal.value).split("FATAL")[1])
    assert heard[0] == heard[1]


@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
def test_first_request_is_the_same_for_unknown_users(guarded, auth_type):
    """The authentication request does not tell whether a user exists; a mock salt is stable."""
    pooler = guarded(auth_type, "plain")
    asked = []
    for user in ("visitor", "nobody-here"):
        with Wire(pooler.port) as wire:
            wire.send(startup(user, "app"))
            asked.append(wire.read().body[:4])
    assert asked[0] == asked[1]


def test_mock_salt_is_stable(guarded):
    """Two SCRAM attempts of one unknown user get the same salt and iteration count."""
    pooler = guarded("scram-sha-256", "scram")
    seen = {scram.server_first(pooler.port, "nobody-here")[1:] for _ in range(2)}
    assert len(seen) == 1


def test_trust_needs_a_known_user(pooler):
    """trust means no password, not no userlist."""
    with pytest.raises(Refused, match='"trust" authentication failed'):
        Wire(pooler.port).login("nobody-here")


def test_any_ignores_the_name(make_pooler, backend):
    """auth_type any lets every name in, as the entry's user."""
    pooler = make_pooler(databases={"app": backend + " user=trusty"}, auth_type="any")
    assert pooler.wire("whoever").value("select current_user") == "trusty"


def test_unknown_database_after_login_only(guarded):
    """The name of an unknown database is refused after the password was right, not before."""
    pooler = guarded("md5", "plain")
    with pytest.raises(psycopg.OperationalError, match="no such database: nowhere"):
        pooler.connect("nowhere", user="visitor", password=PASSWORD)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        pooler.connect("nowhere", user="visitor", password="nonsense")


@pytest.mark.recent
def test_database_unknown_to_the_server(make_pooler, database):
    """The server's own words and code reach the client."""
    pooler = make_pooler(databases={"app": f"host=127.0.0.1 port={database.port} dbname=not_there"})
    with pytest.raises(Refused, match='database "not_there" does not exist') as refusal:
        Wire(pooler.port).login()
    assert refusal.value.error.fields["C"] == "3D000"


def test_missing_database_means_user_name(make_pooler, backend):
    """Without a database the user's name is taken for it."""
    pooler = make_pooler(databases={"trusty": backend})
    assert pooler.wire(database=None).value("select 1") == "1"


def test_star_entry_serves_unknown_names(make_pooler, database):
    """`*` makes every name a database of that name."""
    pooler = make_pooler(databases={"*": f"host=127.0.0.1 port={database.port}"})
    assert pooler.wire(database=database.name).value("select current_database()") == database.name


def test_empty_password_is_refused(guarded):
    """A zero-length password is refused by name."""
    pooler = guarded("plain", "plain")
    with Wire(pooler.port) as wire, pytest.raises(Refused, match="empty password returned by client"):
        wire.login("visitor", password="")


def test_names_are_bytes(make_pooler, backend):
    """Two names that are equal only after Unicode normalisation are two users with two passwords."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    pooler = make_pooler(
        databases={"app": backend + " user=trusty"}, auth_type="plain",
        secrets={composed: "one", decomposed: "two", "trusty": ""},
    )
    pooler.wire(composed, password="one")
    pooler.wire(decomposed, password="two")
    for user, password in ((composed, "two"), (decomposed, "one")):
        with Wire(pooler.port) as wire, pytest.raises(Refused):
            wire.login(user, password=password)


def test_login_reply_order(pooler):
    """AuthenticationOk, parameters, key, ready."""
    with Wire(pooler.port) as wire:
        order = "".join(m.kind for m in wire.login())
    assert order[0] == "R" and order.endswith("KZ") and set(order[1:-2]) == {"S"}


def test_console_needs_rights(pooler):
    """A user who is neither admin nor stats user may not enter the console."""
    with Wire(pooler.port) as wire, pytest.raises(Refused, match="not allowed"):
        wire.login("trusty", "pgbouncer")


# Towards the server


@pytest.mark.parametrize(
    "user, password", [("trusty", ""), ("plainy", "plain-secret"), ("hashy", "md5-secret"), ("salty", "scram-secret")]
)
@pytest.mark.parametrize("where", ["entry", "userlist"])
def test_server_login(make_pooler, backend, user, password, where):
    """trust, password, md5 and SCRAM servers accept us, the secret being in the entry or in the userlist."""
    given = f" password='{password}'" if where == "entry" and password else ""
    entry = f"{backend} user={user}{given}"
    secrets = {"trusty": "", "admin": ""} | ({user: password} if where == "userlist" else {})
    pooler = make_pooler(databases={"app": entry}, secrets=secrets)
    assert pooler.wire().value("select session_user") == user


def test_server_md5_with_stored_md5(make_pooler, backend):
    """An md5 secret is enough for an md5 server."""
    stored = "md5" + hashlib.md5(b"md5-secrethashy").hexdigest()
    pooler = make_pooler(databases={"app": backend}, secrets={"hashy": stored})
    assert pooler.wire("hashy").value("select session_user") == "hashy"


@pytest.mark.parametrize("user", ["plainy", "hashy", "salty"])
def test_server_refuses_our_password(make_pooler, backend, user):
    """The server's refusal reaches the client, and the slot is free again."""
    pooler = make_pooler(databases={"app": f"{backend} user={user} password=wrong"})
    with Wire(pooler.port) as wire, pytest.raises(Refused, match="password authentication failed"):
        wire.login()
    pooler.settle(servers=0)


@pytest.mark.parametrize("user", ["plainy", "salty", "hashy"])
def test_server_password_missing(make_pooler, backend, user):
    """Without any secret the login fails with a clear text instead of hanging."""
    pooler = make_pooler(databases={"app": f"{backend} user={user}"}, secrets={"trusty": "", "admin": ""})
    with Wire(pooler.port) as wire, pytest.raises(Refused):
        wire.login()
    pooler.settle(servers=0)


def test_scram_keys_of_the_client_open_the_server(make_pooler, backend, database):
    """With the server's own SCRAM verifier in the userlist, the client's login yields the keys for the server."""
    (stored,) = database.rows("select rolpassword from pg_authid where rolname = 'salty'")[0]
    pooler = make_pooler(
        databases={"app": backend}, auth_type="scram-sha-256", secrets={"salty": stored, "admin": "adm"}
    )
    with pooler.connect(user="salty", password="scram-secret") as connection:
        assert connection.execute("select session_user").fetchone() == ("salty",)


@pytest.mark.parametrize("kind", ["plain", "scram"])
def test_many_scram_logins(guarded, kind):
    """Logins come one after the other without leaving anything."""
    pooler = guarded("scram-sha-256", kind)
    for _ in range(20):
        with pooler.connect(user="visitor", password=PASSWORD) as connection:
            connection.execute("select 1")
