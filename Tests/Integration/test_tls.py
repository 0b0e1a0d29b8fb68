"""TLS on both sides: who is encrypted, who is refused, and what is verified."""

import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from certificates import Authority, self_signed
from cluster import Cluster
from machine import PORTS
from waiting import eventually
from wire import cancel_request, errors, packet, query, startup

SSL_REQUEST = 80877103
MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


@pytest.fixture(scope="module")
def authority(room, tmp_path_factory):
    """Whom both sides trust."""
    return Authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Whom nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def site(authority):
    """The pooler's own key and certificate."""
    return authority.issue("localhost", "DNS:localhost,IP:127.0.0.1", for_daemons=True)


@pytest.fixture
def encrypted(make_pooler, site, authority):
    """Factory: a pooler with keys for clients."""

    def make(mode="require", **more):
        return make_pooler(
            client_tls_sslmode=mode, client_tls_key_file=site.key, client_tls_cert_file=site.certificate,
            **{"client_tls_ca_file": authority.certificate, **more},
        )

    return make


def ask(pooler, command):
    """Rows of a console command, by way of the unix socket, which needs no TLS."""
    with pooler.connect("pgbouncer", "admin", host=str(pooler.folder)) as console:
        cursor = console.execute(command)
        names = [column.name for column in cursor.description or []]
        return [dict(zip(names, row)) for row in cursor] if names else []


# Clients


@pytest.mark.parametrize("client", ["disable", "prefer", "require", "verify-ca", "verify-full"])
@pytest.mark.parametrize("mode", MODES)
def test_sslmode_matrix(encrypted, authority, mode, client):
    """Every mode of libpq against every mode of the pooler ends as libpq and PgBouncer promise."""
    pooler = encrypted(mode)
    certificate = authority.issue("trusty", "DNS:trusty")
    wants = client != "disable"
    offers = mode != "disable"
    works = (offers or client in ("disable", "prefer")) and (wants or mode in ("disable", "allow", "prefer"))
    more = {"sslcert": certificate.certificate, "sslkey": certificate.key} if "verify" in mode else {}
    options = dict(
        sslmode=client, sslrootcert=authority.certificate, host="localhost", hostaddr="127.0.0.1",
        **{k: str(v) for k, v in more.items()},
    )
    if not works:
        with pytest.raises(psycopg.OperationalError):
            pooler.connect(**options)
        return
    with pooler.connect(**options) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        assert bool(connection.pgconn.ssl_in_use) == (wants and offers)
        (row,) = [r for r in ask(pooler, "show clients") if r["user"] == "trusty"]
        assert bool(re.match(r"TLSv1\.3/TLS_", row["tls"])) == (wants and offers)


def test_plain_clients_are_refused(encrypted):
    """With require a startup in the clear hears PgBouncer's words."""
    wire = encrypted().bare_wire()
    wire.send(startup("trusty", "app"))
    assert wire.read_all()[0].fields["M"] == "SSL required"


def test_unix_sockets_stay_plain(encrypted):
    """TLS is never offered, and never demanded, over a unix socket."""
    pooler = encrypted("verify-full")
    with pooler.connect(host=str(pooler.folder)) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("behind", [startup("trusty", "app"), b"\x16", packet(SSL_REQUEST)])
def test_stuffed_bytes(encrypted, behind):
    """Bytes behind SSLRequest end the connection; none of them is used."""
    wire = encrypted("prefer").bare_wire()
    wire.send(packet(SSL_REQUEST) + behind)
    assert wire.read_all()[0].fields["M"] == "received unencrypted data after SSL request"


def test_plain_text_after_the_answer(encrypted):
    """A startup in the clear where a handshake should come gets no login."""
    pooler = encrypted("prefer")
    wire = pooler.bare_wire()
    wire.send(packet(SSL_REQUEST))
    assert wire.read_bytes(1) == b"S"
    wire.send(startup("trusty", "app"))
    eventually(lambda: "TLS handshake error: " in pooler.log, "the failure is logged")
    assert "login attempt: db=app" not in pooler.log


def wrap(pooler, context, name="localhost", requested=True):
    """A TLS socket to the pooler, as Python makes it."""
    plain = socket.create_connection(("127.0.0.1", pooler.port), timeout=10)
    if requested:
        plain.sendall(packet(SSL_REQUEST))
        assert plain.recv(1) == b"S"
    return context.wrap_socket(plain, server_hostname=name)


@pytest.fixture
def context(authority):
    """A client's settings that trust the authority."""
    return ssl.create_default_context(cafile=str(authority.certificate))


def login(stream, user="trusty", database="app"):
    """Log in by trust over any stream, and read up to ReadyForQuery."""
    stream.sendall(startup(user, database))
    return read_until_ready(stream)


def read_until_ready(stream):
    """Everything up to ReadyForQuery."""
    got = b""
    while not got.endswith(b"Z\0\0\0\5I"):
        more = stream.recv(65536)
        assert more, got
        got += more
    return got


@pytest.mark.parametrize("protocols, works", [(["postgresql"], True), (["http/1.1", "postgresql"], True), (["h2"], False), ([], False)])
def test_direct_tls(encrypted, context, protocols, works):
    """Without SSLRequest the handshake must name PostgreSQL's protocol."""
    pooler = encrypted()
    if protocols:
        context.set_alpn_protocols(protocols)
    if works:
        with wrap(pooler, context, requested=False) as stream:
            assert stream.selected_alpn_protocol() == "postgresql"
            assert b"server_version" in login(stream)
    else:
        with pytest.raises(ssl.SSLError, match="NO_APPLICATION_PROTOCOL|no application protocol"):
            wrap(pooler, context, requested=False)


def test_direct_tls_where_it_is_off(make_pooler):
    """A handshake where TLS is disabled is closed at once."""
    wire = make_pooler().bare_wire()
    wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert wire.is_closed()


def test_ssl_request_inside_tls(encrypted, context):
    """Nothing is encrypted twice."""
    with wrap(encrypted(), context) as stream:
        stream.sendall(packet(SSL_REQUEST))
        assert stream.recv(1) != b"S"


def test_handshake_that_stops(encrypted):
    """client_login_timeout covers the handshake."""
    wire = encrypted(client_login_timeout=1).bare_wire()
    wire.send(packet(SSL_REQUEST))
    assert wire.read_bytes(1) == b"S"
    wire.send(b"\x16\x03\x01\x02\x00")
    started = time.monotonic()
    assert wire.is_closed()
    assert time.monotonic() - started < 5


def test_handshake_byte_by_byte(encrypted, context):
    """A handshake in single bytes works, and stops nobody else."""
    pooler = encrypted()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    stream = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", pooler.port), timeout=10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.sendall(packet(SSL_REQUEST))
        assert plain.recv(1) == b"S"

        def drip():
            for byte in outgoing.read():
                plain.sendall(bytes([byte]))

        while True:
            try:
                stream.do_handshake()
                break
            except ssl.SSLWantReadError:
                drip()
                incoming.write(plain.recv(65536))
        drip()
        stream.write(startup("trusty", "app"))
        drip()
        got = b""
        while not got.endswith(b"Z\0\0\0\5I"):
            try:
                got += stream.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(plain.recv(65536))
        assert b"server_version" in got


@pytest.mark.parametrize("size", [8192 + d for d in (-64, -1, 0, 1, 64)] + [16384 + d for d in (-64, -29, -1, 0, 1, 64)] + [32768, 65536, 5_000_000])
def test_answers_of_awkward_sizes(encrypted, authority, size):
    """No answer gets stuck at the edge of a record or a buffer, on the way in or out."""
    pooler = encrypted()
    with pooler.connect(sslmode="verify-full", sslrootcert=str(authority.certificate), host="localhost") as connection:
        sent = "x" * size
        assert connection.execute("select repeat('y', %s), length(%s)", (size, sent)).fetchone() == ("y" * size, size)


def test_abrupt_end(encrypted, context):
    """A client that drops the connection without a word of TLS makes no noise."""
    pooler = encrypted()
    stream = wrap(pooler, context)
    login(stream)
    stream.close()
    eventually(lambda: "closing because: client unexpected eof" in pooler.log, "the end is seen")
    assert "TLS error" not in pooler.log


def test_cancel_over_tls(encrypted, context):
    """A cancel request arrives, encrypted or not, for a session that is encrypted."""
    pooler = encrypted("prefer")
    for is_encrypted in (True, False):
        with wrap(pooler, context) as stream:
            welcome = login(stream)
            place = welcome.index(b"K\0\0\0\x0c") + 5
            stream.sendall(query("select pg_sleep(30)"))
            time.sleep(0.3)
            request = cancel_request(welcome[place:place + 8])
            if is_encrypted:
                with wrap(pooler, context) as other:
                    other.sendall(request)
                    assert other.recv(1) == b""
            else:
                with socket.create_connection(("127.0.0.1", pooler.port), timeout=10) as other:
                    other.sendall(request)
                    assert other.recv(1) == b""
            assert b"57014" in read_until_ready(stream)


# Certificates of clients


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_client_certificates(encrypted, authority, stranger, mode):
    """With verify-… only certificates of the authority get in, and only while they are valid."""
    pooler = encrypted(mode)
    options = dict(sslmode="require", host="localhost")
    with pytest.raises(psycopg.OperationalError):
        pooler.connect(**options)
    for bad in (stranger.issue("trusty", ""), authority.issue("trusty", "", days=-1), self_signed(authority, "trusty")):
        with pytest.raises(psycopg.OperationalError):
            pooler.connect(sslcert=str(bad.certificate), sslkey=str(bad.key), **options)
    good = authority.issue("somebody", "")
    with pooler.connect(sslcert=str(good.certificate), sslkey=str(good.key), **options) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_auth_type_cert(encrypted, authority):
    """With auth_type cert the name of the certificate is the role."""
    pooler = encrypted("verify-full", auth_type="cert")
    for name, works in (("trusty", True), ("other", False)):
        shown = authority.issue(name, "")
        options = dict(sslmode="require", sslcert=str(shown.certificate), sslkey=str(shown.key))
        if works:
            pooler.connect(**options).close()
        else:
            with pytest.raises(psycopg.OperationalError, match="certificate authentication failed"):
                pooler.connect(**options)
    assert "TLS certificate name mismatch: other" in pooler.log


def test_hba_sees_the_encryption(encrypted, authority):
    """hostssl, hostnossl and cert with a map decide by what the connection really is."""
    pooler = encrypted(
        "prefer", auth_type="hba", auth_hba_file="hba.conf", auth_ident_file="ident.conf", start=False)
    pooler.write(pooler.folder / "hba.conf", """\
local all all trust
hostssl all boss all cert map=staff
hostssl all other all reject
hostnossl all other all trust
host all all all trust
""")
    pooler.write(pooler.folder / "ident.conf", "staff anna boss\n")
    pooler.start()
    anna = authority.issue("anna", "")
    pooler.connect(user="boss", sslmode="require", sslcert=str(anna.certificate), sslkey=str(anna.key)).close()
    with pytest.raises(psycopg.OperationalError, match="certificate authentication failed"):
        pooler.connect(user="boss", sslmode="require", sslcert="/nowhere")
    pooler.connect(user="other", sslmode="disable").close()
    with pytest.raises(psycopg.OperationalError, match="login rejected"):
        pooler.connect(user="other", sslmode="require")


# Reload


def test_reload_of_certificates(encrypted, authority, stranger):
    """New certificates count for new connections; those that stand go on; broken files change nothing."""
    pooler = encrypted("require")
    trusting = dict(sslmode="verify-full", host="localhost")
    with pooler.connect(sslrootcert=str(authority.certificate), **trusting) as old:
        fresh = stranger.issue("localhost", "DNS:localhost", for_daemons=True)
        pooler.settings |= {"client_tls_key_file": fresh.key, "client_tls_cert_file": fresh.certificate}
        pooler.write_files()
        ask(pooler, "reload")
        assert old.execute("select 1").fetchone() == (1,)
        pooler.connect(sslrootcert=str(stranger.certificate), **trusting).close()
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            pooler.connect(sslrootcert=str(authority.certificate), **trusting)
        pooler.settings["client_tls_cert_file"] = pooler.folder / "missing.crt"
        pooler.write_files()
        with pytest.raises(Exception, match="RELOAD failed"):
            ask(pooler, "reload")
        assert re.search(
            r"ERROR TLS setup failed: client_tls_cert_file \".*missing.crt\": No such file or directory", pooler.log
        )
        pooler.connect(sslrootcert=str(stranger.certificate), **trusting).close()
        assert old.execute("select 2").fetchone() == (2,)


def test_check_names_the_file(encrypted, site):
    """--check says what is wrong with keys and certificates."""
    pooler = encrypted("require")
    pooler.settings["client_tls_key_file"] = site.certificate
    pooler.write_files()
    done = subprocess.run([pooler.binary, "--check", pooler.ini], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TLS setup failed: client_tls_key_file" in done.stdout + done.stderr


# Servers


class TLSCluster(Cluster):
    """A PostgreSQL with ssl = on."""

    def secure(self, shown, authority, hba=None):
        """Show this certificate; trust that authority for clients."""
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(
                f"ssl = on\nssl_cert_file = '{shown.certificate}'\nssl_key_file = '{shown.key}'\n"
                f"ssl_ca_file = '{authority.certificate}'\n"
            )
        if hba:
            (self.data / "pg_hba.conf").write_text(hba)
        self.execute("postgres", "select pg_reload_conf()")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def postgres(room, authority, site):
    """An encrypted PostgreSQL for this module."""
    cluster = TLSCluster(room / f"tls-{PORTS.free()}", PORTS.free())
    cluster.create()
    cluster.secure(site, authority, """\
local all all trust
hostssl all salty all scram-sha-256
hostssl all trusty all trust
hostssl all other all cert
hostnossl all boss all trust
""")
    yield cluster
    cluster.destroy()


@pytest.fixture
def towards(make_pooler, postgres):
    """Factory: a pooler whose servers are reached with one mode, by one name, trusting one authority."""

    def make(mode, trusted, host="localhost", **more):
        return make_pooler(
            databases={"app": f"host={host} port={postgres.port} dbname=postgres"},
            server_tls_sslmode=mode, server_tls_ca_file=trusted.certificate, query_wait_timeout=2, **more)

    return make


def encryption_of_server(pooler):
    """What PostgreSQL says of the connection, or why there is none."""
    try:
        with pooler.connect() as connection:
            sql = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"
            row = connection.execute(sql).fetchone()
            (server,) = ask(pooler, "show servers")
            assert bool(server["tls"]) == row[0]
            assert (f"SSL established: {server['tls']}" in pooler.log) == row[0]
            return row
    except psycopg.OperationalError as problem:
        assert "SSL established" not in pooler.log
        return str(problem)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("mode", MODES)
def test_server_modes(towards, authority, mode, host):
    """Every server_tls_sslmode against a server that is who it says."""
    answer = encryption_of_server(towards(mode, authority, host))
    if mode == "disable":
        assert "no pg_hba.conf entry" in answer and "no encryption" in answer
    else:
        assert answer == (True, "TLSv1.3")


@pytest.mark.parametrize("mode", MODES[1:])
def test_server_of_a_strange_authority(towards, stranger, mode):
    """Only verify-… looks at who has signed; there is no way back to plain text."""
    pooler = towards(mode, stranger)
    answer = encryption_of_server(pooler)
    if mode.startswith("verify"):
        assert isinstance(answer, str)
        assert "TLS handshake error: certificate verify failed" in pooler.log
    else:
        assert answer == (True, "TLSv1.3")


@pytest.mark.parametrize("kind", ["elsewhere", "expired", "self-signed"])
def test_wrong_server_certificates(towards, postgres, authority, site, kind):
    """Another host's certificate fails verify-full, an expired or self-signed one verify-ca as well."""
    shown = {
        "elsewhere": lambda: authority.issue("elsewhere", "DNS:elsewhere", for_daemons=True),
        "expired": lambda: authority.issue("localhost", "DNS:localhost", days=-1, for_daemons=True),
        "self-signed": lambda: self_signed(authority, "localhost", for_daemons=True),
    }[kind]()
    reason = {"elsewhere": "hostname mismatch", "expired": "certificate has expired", "self-signed": "self-signed"}
    postgres.secure(shown, authority)
    try:
        for mode in MODES[3:]:
            pooler = towards(mode, authority)
            answer = encryption_of_server(pooler)
            if mode == "verify-full" or mode == "verify-ca" and kind != "elsewhere":
                assert isinstance(answer, str), (mode, answer)
                assert f"certificate verify failed: {reason[kind]}" in pooler.log
            else:
                assert answer == (True, "TLSv1.3"), mode
    finally:
        postgres.secure(site, authority)


def test_verification_of_host_lists(towards, postgres, authority, site):
    """The name is that of the member that is connected to."""
    postgres.secure(authority.issue("localhost", "DNS:localhost", for_daemons=True), authority)
    try:
        pooler = towards("verify-full", authority, "127.0.0.1,localhost", server_login_retry="0.2")
        assert encryption_of_server_in_list(pooler) == (True, "TLSv1.3")
        assert "IP address mismatch" in pooler.log
    finally:
        postgres.secure(site, authority)


def encryption_of_server_in_list(pooler):
    """As above, where some members fail."""
    with pooler.connect() as connection:
        return connection.execute("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()").fetchone()


def test_no_plain_text_where_the_server_refuses(make_pooler, backend):
    """A server without TLS is used with prefer, and never with require."""
    with make_pooler(server_tls_sslmode="prefer").connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    pooler = make_pooler(server_tls_sslmode="require", query_wait_timeout=2)
    with pytest.raises(psycopg.OperationalError):
        pooler.connect()
    assert "closing because: server refused SSL" in pooler.log


def test_certificate_towards_the_server(make_pooler, postgres, authority):
    """PostgreSQL's cert method takes our certificate."""
    ours = authority.issue("other", "", for_daemons=True)
    pooler = make_pooler(
        databases={"app": f"host=127.0.0.1 port={postgres.port} dbname=postgres"}, server_tls_sslmode="require",
        server_tls_cert_file=ours.certificate, server_tls_key_file=ours.key,
    )
    with pooler.connect(user="other") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_cancel_to_an_encrypted_server(make_pooler, postgres):
    """The cancel request goes through TLS as its session does."""
    pooler = make_pooler(
        databases={"app": f"host=127.0.0.1 port={postgres.port} dbname=postgres"}, server_tls_sslmode="require")
    with pooler.connect() as connection, ThreadPoolExecutor() as pool:
        running = pool.submit(connection.execute, "select pg_sleep(30)")
        time.sleep(0.5)
        connection.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            running.result(timeout=10)
        assert connection.execute("select 1").fetchone() == (1,)


def test_both_sides_at_once(encrypted, postgres, authority):
    """Big results, COPY and pipelines with TLS on both sides come through whole."""
    pooler = encrypted(
        databases={"app": f"host=127.0.0.1 port={postgres.port} dbname=postgres"}, server_tls_sslmode="verify-full",
        server_tls_ca_file=authority.certificate)
    with pooler.connect(sslmode="verify-full", sslrootcert=str(authority.certificate), host="localhost") as connection:
        rows = connection.execute("select g, md5(g::text) from generate_series(1, 50000) g").fetchall()
        assert len(rows) == 50000 and rows[-1][0] == 50000
        with connection.cursor() as cursor, cursor.copy("copy (select g from generate_series(1, 300000) g) to stdout") as copy:
            assert sum(1 for _ in copy.rows()) == 300000
        with connection.pipeline():
            cursors = [connection.execute("select %s::int", (n,)) for n in range(500)]
        assert [c.fetchone()[0] for c in cursors] == list(range(500))


@pytest.mark.parametrize("answer, reason", [
    (b"S" + b"E", "received unencrypted data after SSL response"), (b"E", "bad sslreq answer"), (b"X", "bad sslreq answer"),
])
@pytest.mark.parametrize("mode", ["prefer", "require"])
def test_bad_answers_of_servers(make_pooler, answer, reason, mode):
    """A server that answers SSLRequest with anything but one S or N is closed, and clients keep their places."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:

        def answer_once():
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(8) == struct.pack("!II", 8, SSL_REQUEST)
                connection.sendall(answer)
                return connection.recv(1000)

        heard = pool.submit(answer_once)
        pooler = make_pooler(
            databases={"app": f"host=127.0.0.1 port={listener.getsockname()[1]}"}, server_tls_sslmode=mode,
            server_login_retry=60,
        )
        wire = pooler.bare_wire()
        wire.send(startup("trusty", "app"))
        assert heard.result(timeout=10) == b""
        eventually(lambda: f"closing because: {reason}" in pooler.log, "the reason is logged")
        wire.silent_for(0.3)


@pytest.mark.parametrize("binding", ["disable", "prefer", "require"])
@pytest.mark.parametrize("kind", ["plain", "verifier"])
def test_channel_binding(encrypted, postgres, authority, binding, kind):
    """SCRAM with and without channel binding on both sides, also with the keys of the client's own login."""
    secret = "scram-secret"
    if kind == "verifier":
        secret = postgres.rows("postgres", "select rolpassword from pg_authid where rolname = 'salty'")[0][0]
    pooler = encrypted(
        auth_type="scram-sha-256", databases={"app": f"host=127.0.0.1 port={postgres.port} dbname=postgres"},
        secrets={"salty": secret, "admin": ""}, server_tls_sslmode="require")
    with pooler.connect(
        user="salty", password="scram-secret", sslmode="verify-full", sslrootcert=str(authority.certificate),
        host="localhost", channel_binding=binding,
    ) as connection:
        assert connection.execute("select current_user").fetchone() == ("salty",)
    with pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
        pooler.connect(user="salty", password="nonsense", sslmode="require", channel_binding=binding)


def test_channel_binding_needs_tls(make_pooler):
    """Without TLS there is nothing to bind to, and libpq says so."""
    pooler = make_pooler(auth_type="scram-sha-256")
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        pooler.connect(user="salty", password="scram-secret", channel_binding="require")


def test_two_roads_to_psql(encrypted, authority):
    """psql itself, and openssl's own client."""
    pooler = encrypted()
    done = subprocess.run(
        ["psql", "-XAtq", f"host=localhost port={pooler.port} user=trusty dbname=app sslmode=verify-full "
         f"sslrootcert={authority.certificate}", "-c", "select 41 + 1"],
        capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{pooler.port}", "-starttls", "postgres", "-CAfile",
         str(authority.certificate), "-verify_return_error", "-brief"],
        input="", capture_output=True, text=True, check=True)
    assert "Verification: OK" in shown.stderr


# Several workers


@pytest.fixture(params=[2, 4])
def crew(request, encrypted, postgres, authority):
    """Factory: a pooler with several workers, encrypted on both sides."""

    def make(**more):
        return encrypted(
            databases={"app": f"host=127.0.0.1 port={postgres.port} dbname=postgres"}, workers=request.param,
            **{"server_tls_sslmode": "verify-full",
               "server_tls_ca_file": authority.certificate, **more})

    return make


def test_encrypted_servers_move(crew, postgres):
    """One server for clients of all workers: its encryption, statements and settings go with it."""
    pooler = crew(default_pool_size=1)
    connections = [pooler.connect() for _ in range(8)]
    for number, connection in enumerate(connections):
        connection.execute(f"set application_name = 'client {number}'")
    seen = set()
    for turn in range(25):
        for number, connection in enumerate(connections):
            *found, encrypted, server = connection.execute(
                "select %s::int, current_setting('application_name'), ssl, pid from pg_stat_ssl "
                "where pid = pg_backend_pid()", [turn], prepare=True).fetchone()
            assert found == [turn, f"client {number}"] and encrypted
            seen.add(server)
        # More than one record, and answers that the kernel does not take at once.
        assert len(connections[turn % 8].execute("select repeat('x', 3000000)").fetchone()[0]) == 3000000
    assert len(seen) == 1
    (server,) = ask(pooler, "show servers")
    assert server["tls"].startswith("TLS")
    assert sum(int(row["letters_sent"]) for row in ask(pooler, "show workers")) > 25
    for connection in connections:
        with ThreadPoolExecutor() as threads:
            running = threads.submit(connection.execute, "select pg_sleep(30)")
            eventually(lambda: postgres.rows(
                "postgres", "select 1 from pg_stat_activity where state = 'active' and query like '%pg_sleep(30)'"), "it runs")
            connection.cancel()
            with pytest.raises(psycopg.errors.QueryCanceled):
                running.result(timeout=20)
        assert connection.execute("select 1").fetchone() == (1,)


def test_console_over_tls_on_every_worker(crew):
    """Whatever worker such a login arrives at, the console has it, encrypted."""
    pooler = crew()
    consoles = [pooler.connect("pgbouncer", "admin") for _ in range(9)]
    for console in consoles:
        found = console.execute("show clients").fetchall()
        assert len([row for row in found if any("TLSv1" in str(field) for field in row)]) == 9


def test_reload_of_certificates_reaches_every_worker(crew, authority, stranger):
    """What RELOAD was answered for holds for the next connection, wherever it goes; and so does SET."""
    pooler = crew()
    old = [pooler.connect(sslmode="verify-full", host="localhost", sslrootcert=str(authority.certificate)) for _ in range(6)]
    for issuer in (stranger, authority):
        fresh = issuer.issue("localhost", "DNS:localhost", for_daemons=True)
        pooler.settings |= {"client_tls_key_file": fresh.key, "client_tls_cert_file": fresh.certificate}
        pooler.write_files()
        ask(pooler, "reload")
        for _ in range(12):
            pooler.connect(sslmode="verify-full", host="localhost", sslrootcert=str(issuer.certificate)).close()
    ask(pooler, "set client_tls_sslmode = 'disable'")
    for _ in range(8):
        pooler.connect(sslmode="disable").close()
        with pytest.raises(psycopg.OperationalError, match="does not support SSL"):
            pooler.connect(sslmode="require")
    assert [c.execute("select 1").fetchone() for c in old] == [(1,)] * 6


# Direct TLS towards servers. PostgreSQL understands it since version 17; a pooler understands it from clients.


class Relay(threading.Thread):
    """Passes connections on to a port, and keeps the first bytes of each."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.target, self.first = port, []
        self.listener = socket.create_server(("0.0.0.0", 0))  # so that 127.0.0.2 is here, too
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        """Accept until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source, target, keeps):
        try:
            while data := source.recv(65536):
                if keeps:
                    self.first.append(data[:8])
                    keeps = False
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            target.close()


@pytest.fixture
def direct(make_pooler, encrypted, authority):
    """Factory: a pooler that reaches another one, which has TLS, by direct TLS through a relay."""

    def make(host="localhost", **more):
        inner = encrypted("require", auth_type="scram-sha-256", pool_mode="session")
        relay = Relay(inner.port)
        outer = make_pooler(
            databases={"app": f"host={host} port={relay.port} dbname=app user=salty password=scram-secret"},
            **{"server_tls_sslmode": "verify-full", "server_tls_negotiation": "direct",
               "server_tls_ca_file": authority.certificate, "workers": 1, **more})
        return outer, inner, relay

    return make


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_direct_tls_to_a_server(direct, mode, database):
    """No request comes before TLS, and everything works inside, cancel requests too."""
    outer, inner, relay = direct(server_tls_sslmode=mode)
    with outer.wire() as wire:
        assert wire.value("select current_user") == "salty"
        wire.send(query("select pg_sleep(30)"))
        eventually(lambda: database.runs("select pg_sleep"), "the query runs")
        outer.cancel(wire.key)
        assert errors(wire.read_until())[0]["C"] == "57014"
        (row,) = [r for r in ask(outer, "show servers") if r["database"] == "app"]
        assert row["tls"].startswith("TLSv1.3")
    assert len(relay.first) >= 2
    assert all(first[0] == 0x16 for first in relay.first), relay.first
    assert "login attempt: db=app user=salty tls=TLSv1.3" in inner.log


def test_direct_tls_verifies(direct):
    """A certificate for another name is refused, as after a request."""
    outer, _, relay = direct(host="127.0.0.1")
    with outer.connect() as connection:  # its certificate is for this address, too
        assert connection.execute("select 1").fetchone() == (1,)
    other, _, _ = direct(host="127.0.0.2", query_wait_timeout=2)
    with pytest.raises(psycopg.OperationalError):
        other.connect()
    assert "TLS handshake error: certificate verify failed" in other.log


def test_direct_tls_to_a_server_that_does_not_know_it(make_pooler, backend):
    """PostgreSQL before 17 hangs up; the log says so, and nothing goes out in the clear."""
    pooler = make_pooler(
        databases={"app": backend}, server_tls_sslmode="require", server_tls_negotiation="direct", query_wait_timeout=2,
        workers=1)
    with pytest.raises(psycopg.OperationalError):
        pooler.connect()
    assert re.search("closing because: server conn(ection)? crashed|TLS handshake error|server closed", pooler.log), pooler.log


def test_direct_tls_demands_the_protocol(make_pooler, site, authority):
    """A server that does not name PostgreSQL's protocol may be any other one: it gets no login."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(site.certificate, site.key)
    listener = socket.create_server(("127.0.0.1", 0))
    heard = []

    def serve():
        while True:
            try:
                client, _ = listener.accept()
                with context.wrap_socket(client, server_side=True) as stream:
                    stream.settimeout(5)
                    heard.append(stream.recv(100))
            except OSError as error:
                if listener.fileno() < 0:
                    return
                heard.append(error)

    threading.Thread(target=serve, daemon=True).start()
    pooler = make_pooler(
        databases={"app": f"host=localhost port={listener.getsockname()[1]} user=salty password=x"},
        server_tls_sslmode="verify-full", server_tls_negotiation="direct", server_tls_ca_file=authority.certificate,
        query_wait_timeout=2, workers=1)
    with pytest.raises(psycopg.OperationalError):
        pooler.connect()
    eventually(lambda: heard, "a connection has come")
    listener.close()
    assert "the server has not agreed to PostgreSQL's protocol (ALPN), which direct TLS needs" in pooler.log
    assert not any(isinstance(word, bytes) and word for word in heard), heard


def test_direct_needs_a_mode_that_demands_tls(make_pooler, backend):
    """As in libpq: there is no falling back from it."""
    pooler = make_pooler(
        start=False, databases={"app": backend}, server_tls_sslmode="prefer", server_tls_negotiation="direct", workers=1)
    pooler.write_files()
    pooler.launch(pooler.ini)
    assert pooler.wait_end() == 1
    assert "direct needs server_tls_sslmode require, verify-ca or verify-full" in pooler.stderr
