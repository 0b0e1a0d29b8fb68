"""The PROXY protocol: headers made by hand, and a real HAProxy in front."""

import os
import re
import shutil
import socket
import struct
import subprocess

import psycopg
import pytest

from certificates import Authority
from machine import PORTS, listen_addresses
from waiting import eventually
from wire import cancel_request, errors, query, startup

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT = "203.0.113.7"


def line(source=CLIENT, port=50000, kind="TCP4", destination="10.0.0.1"):
    """A header of version 1."""
    return f"PROXY {kind} {source} {destination} {port} 6432\r\n".encode()


def binary(source=CLIENT, port=50000, extra=b"", command=1):
    """A header of version 2."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    other = "::1" if family == socket.AF_INET6 else "10.0.0.1"
    body = socket.inet_pton(family, source) + socket.inet_pton(family, other) + struct.pack("!HH", port, 6432) + extra
    kind = 0x21 if family == socket.AF_INET6 else 0x11
    return SIGNATURE + bytes([0x20 | command, kind]) + struct.pack("!H", len(body)) + body


HEADERS = {
    "v1": (line(), CLIENT, "50000"),
    "v1 IPv6": (line("2001:db8::9", kind="TCP6", destination="::1"), "2001:db8::9", "50000"),
    "v2": (binary(), CLIENT, "50000"),
    "v2 IPv6": (binary("2001:db8::9"), "2001:db8::9", "50000"),
    "v2 with more": (binary(extra=b"\xea\0\x17\x01vpce-08d2bf15fac5001c9" + b"\x04\x02\0" + b"\0" * 512), CLIENT, "50000"),
    "local": (SIGNATURE + b"\x20\x00\x00\x00", "127.0.0.1", None),
    "unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1", None),
}


@pytest.fixture
def behind(make_pooler):
    """Factory: a pooler that believes proxies on 127.0.0.1; everybody else comes over ::1 or the unix socket."""

    def make(**more):
        return make_pooler(
            **{"listen_addr": listen_addresses(), "proxy_protocol": "on", "proxy_protocol_trusted": "127.0.0.1",
               "workers": 1, **more})

    return make


def ask(pooler, command):
    """Rows of a console command over the unix socket, which no proxy speaks on."""
    with pooler.connect("pgbouncer", "admin", host=str(pooler.folder)) as console:
        cursor = console.execute(command)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor]


def enter(pooler, header, user="trusty", **parameters):
    """Log in by trust behind a header."""
    wire = pooler.bare_wire()
    wire.send(header)
    wire.login(user, "app", None, **parameters)
    return wire


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", HEADERS)
def test_the_address_is_the_clients(behind, name, workers):
    """SHOW CLIENTS, the log and application_name have the address the proxy tells."""
    header, address, port = HEADERS[name]
    pooler = behind(application_name_add_host=1, workers=workers)
    wire = enter(pooler, header, application_name="app")
    (row,) = [r for r in ask(pooler, "show clients") if r["user"] == "trusty"]
    assert row["addr"] == address
    assert port is None or str(row["port"]) == port
    shown = f"[{address}]" if ":" in address else address
    assert wire.value("show application_name").startswith(f"app - {shown}:")
    assert re.search(rf"@{re.escape(shown)}:{port or '[0-9]+'} login attempt: db=app user=trusty", pooler.log)


@pytest.mark.parametrize("header", [line(), binary()], ids=["v1", "v2"])
def test_byte_by_byte(behind, header):
    """However the header and what follows it are cut, the login works."""
    pooler = behind()
    for cut in range(1, len(header) + 12, 5):
        wire = pooler.bare_wire()
        everything = header + startup("trusty", "app")
        wire.send(everything[:cut])
        assert wire.silent_for(0.01)
        wire.send(everything[cut:])
        wire.finish_login("trusty")
        wire.close()
    wire = pooler.bare_wire()
    for byte in header + startup("trusty", "app"):
        wire.send(bytes([byte]))
    wire.finish_login("trusty")
    assert wire.value("select 1") == "1"


def test_rules_of_the_hba_file_see_the_real_address(behind):
    """The proxy's own address lets nobody in, and the client's does."""
    pooler = behind(start=False, auth_type="hba")
    rules = pooler.folder / "hba.conf"
    pooler.write(rules, "local all all trust\nhost all all 203.0.113.0/24 trust\nhost all all 127.0.0.1/32 reject\n")
    pooler.settings["auth_hba_file"] = rules
    pooler.start()
    assert enter(pooler, line()).value("select 1") == "1"
    for header in (line("198.51.100.1"), SIGNATURE + b"\x20\0\0\0"):
        wire = pooler.bare_wire()
        wire.send(header + startup("trusty", "app"))
        assert wire.read_all()[0].fields["S"] == "FATAL"


@pytest.mark.skipif("::1" not in listen_addresses(), reason="no IPv6 here")
def test_only_the_trusted_are_believed(behind):
    """A header from elsewhere ends the connection with a line in the log, and changes nothing."""
    pooler = behind()
    wire = pooler.bare_wire("::1")
    wire.send(line() + startup("trusty", "app"))
    assert wire.is_closed()
    assert "pooler error: PROXY protocol header from an address that is not in proxy_protocol_trusted" in pooler.log
    assert "login attempt: db=app" not in pooler.log
    with pooler.connect(host="::1") as direct:
        assert direct.execute("select 1").fetchone() == (1,)


def test_off_by_default(make_pooler):
    """Without the setting nobody is believed, and the log says what to do."""
    pooler = make_pooler()
    for header in (line(), binary()):
        wire = pooler.bare_wire()
        wire.send(header + startup("trusty", "app"))
        assert wire.is_closed()
    assert pooler.log.count("PROXY protocol header, but proxy_protocol is off") == 2


def test_a_proxy_without_header_hears_why(behind):
    """The operator of the proxy sees the reason at both ends."""
    pooler = behind()
    with pytest.raises(psycopg.OperationalError, match="PROXY protocol header expected"):
        pooler.connect(sslmode="disable")
    assert "pooler error: PROXY protocol header expected (proxy_protocol)" in pooler.log


BROKEN = [
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n", b"PROXY " + b"x" * 200 + b"\r\n",
    SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x31\x11\0\x0c" + b"\0" * 12, SIGNATURE + b"\x21\x12\0\x0c" + b"\0" * 12,
    SIGNATURE + b"\x21\x11\0\x04" + b"\0" * 4,
]


@pytest.mark.parametrize("header", BROKEN)
def test_broken_headers(behind, header):
    """They end the connection, and nothing behind them is read."""
    pooler = behind()
    wire = pooler.bare_wire()
    wire.send(header + startup("trusty", "app"))
    assert wire.is_closed()
    assert "broken PROXY protocol header: " in pooler.log
    assert "login attempt: db=app" not in pooler.log


def test_a_stalled_header(behind):
    """client_login_timeout counts from the first moment."""
    pooler = behind(client_login_timeout=1)
    wire = pooler.bare_wire()
    wire.send(binary()[:20])
    assert wire.read_all()[0].fields["M"] == "client_login_timeout"


def test_cancel_requests(behind):
    """They come through proxies like everything else."""
    pooler = behind()
    wire = enter(pooler, line())
    wire.send(query("select pg_sleep(30)"))
    eventually(lambda: pooler_is_busy(pooler), "the query runs")
    other = pooler.bare_wire()
    other.send(binary("198.51.100.77") + cancel_request(wire.key))
    assert errors(wire.read_until())[0]["C"] == "57014"


def pooler_is_busy(pooler):
    """Whether a server is at work."""
    return any(r["state"] == "active" for r in ask(pooler, "show servers"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Whom clients trust."""
    return Authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture
def haproxy(tmp_path):
    """Factory: a HAProxy before a port; the port to connect to. A skip where it is not installed."""
    program = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if not program:
        pytest.skip("haproxy is not installed")
    running = []

    def make(port, how, more=""):
        front = PORTS.free()
        text = f"""
global
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    retries 0
listen pg
    bind 127.0.0.1:{front}
    {more}
    server pooler 127.0.0.1:{port} {how}
"""
        file = tmp_path / f"{front}.cfg"
        file.write_text(text)
        process = subprocess.Popen([program, "-db", "-q", "-f", str(file)], stderr=subprocess.PIPE)
        running.append(process)

        def listening():
            assert process.poll() is None, process.stderr.read()
            try:
                socket.create_connection(("127.0.0.1", front)).close()
                return True
            except OSError:
                return False

        eventually(listening, "HAProxy listens")
        return front

    yield make
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,ssl"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_haproxy(behind, haproxy, authority, how, tls):
    """HAProxy's own headers, with and without TLS between the client and the pooler, and a cancel request."""
    site = authority.issue("localhost", "DNS:localhost,IP:127.0.0.1", for_daemons=True)
    pooler = behind(
        client_tls_sslmode="prefer", client_tls_key_file=site.key, client_tls_cert_file=site.certificate)
    front = haproxy(pooler.port, how)
    options = dict(sslmode="verify-full", sslrootcert=str(authority.certificate)) if tls else dict(sslmode="disable")
    dsn = dict(host="127.0.0.1", port=front, user="trusty", dbname="app", connect_timeout=20, **options)
    with psycopg.connect(**dsn, autocommit=True) as connection:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as view:
            mine = view.getsockname()
        (row,) = [r for r in ask(pooler, "show clients") if r["user"] == "trusty"]
        assert (row["addr"], int(row["port"])) == mine
        assert connection.execute("select 1").fetchone() == (1,)
        connection.cancel_safe(timeout=10)


def test_haproxy_health_checks(behind, haproxy):
    """HAProxy's checks come with a LOCAL header, and find the pooler healthy."""
    pooler = behind(auth_type="plain")
    front = haproxy(pooler.port, "send-proxy-v2 check check-send-proxy inter 200ms", "option pgsql-check user trusty")
    eventually(lambda: "login attempt: db=trusty user=trusty" in pooler.log, "a check has come")
    with psycopg.connect(host="127.0.0.1", port=front, user="plainy", password="plain-secret", dbname="app", sslmode="disable") as connection:
        assert connection.execute("select 1").fetchone() == (1,)
