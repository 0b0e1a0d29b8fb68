"""Every way libpq can ask for a connection, through the pooler and to PostgreSQL itself: the same answer.

PostgreSQL before 17 has no direct TLS. A cell with sslnegotiation=direct is therefore held against the same cell
without it, which is what a newer PostgreSQL answers; libpq itself refuses it for weaker modes than require.
"""

import itertools
import re

import psycopg
import pytest
from psycopg.pq import ConnStatus, PGconn

from certificates import Authority
from cluster import Cluster
from machine import PORTS, give_to_owner

MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
NEGOTIATIONS = ["postgres", "direct"]
BINDINGS = ["disable", "prefer", "require"]
METHODS = {"trust": "trusty", "password": "plainy", "md5": "hashy", "scram-sha-256": "salty"}
SECRETS = {"trusty": "", "plainy": "plain-secret", "hashy": "md5-secret", "salty": "scram-secret", "admin": ""}
RULES = "".join(f"host all {user} 127.0.0.1/32 {method}\n" for method, user in METHODS.items())

pytestmark = pytest.mark.skipif(psycopg.pq.version() < 170000, reason="sslnegotiation needs libpq 17")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Whom clients trust."""
    return Authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def site(authority):
    """The key and certificate of the pooler, and of PostgreSQL."""
    return authority.issue("localhost", "DNS:localhost,IP:127.0.0.1", for_daemons=True)


@pytest.fixture(scope="module")
def model(room, site):
    """A PostgreSQL with TLS."""
    cluster = Cluster(room / f"matrix-{PORTS.free()}", PORTS.free())
    cluster.create()
    cluster.execute("postgres", f"alter system set ssl_cert_file = '{site.certificate}'")
    cluster.execute("postgres", f"alter system set ssl_key_file = '{site.key}'")
    cluster.execute("postgres", "alter system set ssl = on")
    (cluster.data / "pg_hba.conf").write_text("local all all trust\n" + RULES)
    give_to_owner(cluster.data / "pg_hba.conf")
    cluster.rows("postgres", "select pg_reload_conf()")
    yield cluster
    cluster.destroy()


def attempt(authority, port, database, user, mode, negotiation, binding, password):
    """What libpq comes to: `in` or `in, encrypted`, or its own words of the last try."""
    wanted = dict(
        host="127.0.0.1", port=port, dbname=database, user=user, password=password or "unused", sslmode=mode,
        sslnegotiation=negotiation, channel_binding=binding, sslrootcert=authority.certificate, connect_timeout=20)
    connection = PGconn.connect(" ".join(f"{k}='{v}'" for k, v in wanted.items()).encode())
    try:
        if connection.status == ConnStatus.OK:
            answer = connection.exec_(b"select 1")
            assert answer.get_value(0, 0) == b"1"
            return "in, encrypted" if connection.ssl_in_use else "in"
        said = connection.error_message.decode().strip().splitlines()[-1]
        return re.sub(r'^connection to server at .* failed: ', "", said)
    finally:
        connection.finish()


def cells(passwords=("right",)):
    """Every way to ask."""
    return itertools.product(MODES, NEGOTIATIONS, BINDINGS, METHODS, passwords)


def expected(authority, port, mode, negotiation, binding, method, password, known):
    """What PostgreSQL answers; each question is asked once."""
    user = METHODS[method]
    if negotiation == "direct" and mode in ("disable", "allow", "prefer"):
        return f'weak sslmode "{mode}" may not be used with sslnegotiation=direct (use "require", "verify-ca", or "verify-full")'
    key = (port, mode, binding, method, password)
    if key not in known:
        secret = SECRETS[user] if password == "right" else "wrong"
        known[key] = attempt(authority, port, "postgres", user, mode, "postgres", binding, secret)
    return known[key]


def pooler_of(make_pooler, model, **settings):
    """A pooler with PostgreSQL's own rules, and one database for each way to log in to a server."""
    databases = {
        f"by_{user}": f"host=127.0.0.1 port={model.port} dbname=postgres user={user} password={SECRETS[user] or 'none'}"
        for user in METHODS.values()
    }
    pooler = make_pooler(
        start=False, databases=databases, auth_type="hba", secrets=SECRETS, server_tls_sslmode="prefer",
        max_client_conn=300, **settings)
    rules = pooler.folder / "hba.conf"
    pooler.write(rules, RULES + "host all admin 127.0.0.1/32 trust\n")
    pooler.settings["auth_hba_file"] = rules
    return pooler.start()


@pytest.mark.timeout(240)
def test_every_cell(make_pooler, model, authority, site):
    """TLS is on offer."""
    pooler = pooler_of(
        make_pooler, model, client_tls_sslmode="prefer", client_tls_key_file=site.key,
        client_tls_cert_file=site.certificate)
    wrong, known, count = [], {}, 0
    for cell in cells():
        mode, negotiation, binding, method, password = cell
        wanted = expected(authority, model.port, *cell, known)
        for server in METHODS.values():
            user = METHODS[method]
            got = attempt(authority, pooler.port, f"by_{server}", user, mode, negotiation, binding, SECRETS[user])
            count += 1
            if got != wanted:
                wrong.append((*cell, server, "PostgreSQL: " + wanted, "pooler: " + got))
    assert not wrong, wrong[:10]
    assert count == 6 * 2 * 3 * 4 * 4
    assert len(set(known.values())) >= 4, "the cells differ"


@pytest.mark.timeout(240)
def test_without_tls(make_pooler, cluster, model, authority):
    """TLS is not on offer, by PostgreSQL neither."""
    pooler = pooler_of(make_pooler, model)
    wrong, known = [], {}
    for cell in cells():
        mode, negotiation, binding, method, password = cell
        if negotiation == "direct":
            continue
        wanted = expected(authority, cluster.port, *cell, known)
        user = METHODS[method]
        got = attempt(authority, pooler.port, "by_trusty", user, mode, negotiation, binding, SECRETS[user])
        if got != wanted:
            wrong.append((*cell, "PostgreSQL: " + wanted, "pooler: " + got))
    assert not wrong, wrong[:10]


@pytest.mark.timeout(240)
def test_wrong_passwords(make_pooler, model, authority, site):
    """Who is not let in by PostgreSQL is not by the pooler; only the sentence is PgBouncer's."""
    pooler = pooler_of(
        make_pooler, model, client_tls_sslmode="prefer", client_tls_key_file=site.key,
        client_tls_cert_file=site.certificate)
    known = {}
    for cell in cells(["wrong"]):
        mode, negotiation, binding, method, password = cell
        if method == "trust" or binding == "disable":
            continue
        wanted = expected(authority, model.port, *cell, known)
        got = attempt(authority, pooler.port, "by_trusty", METHODS[method], mode, negotiation, binding, "wrong")
        if wanted.startswith("FATAL:"):
            assert re.match("FATAL:  (SASL|password) authentication failed", got), (cell, wanted, got)
        else:
            assert got == wanted, cell
