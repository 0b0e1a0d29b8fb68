"""What nobody may see or hear: secrets in outputs, files that others may read, and time that tells who exists."""

import base64
import hashlib
import hmac
import os
import re
import statistics
import subprocess
import time

import psycopg
import pytest

from certificates import Authority
from machine import as_owner
from pooler import ConsoleError
from wire import Refused, message, startup

USERS = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'canary_lookup') then
    create role canary_lookup login password 'looked-up-canary-5f1c';
    create role canary_owner superuser login password 'auth-user-canary-77aa';
  end if;
end $$
"""


def scram(password, salt=b"0123456789abcdef", iterations=4096):
    """A verifier, and everything in it that must not be seen."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    b64 = [base64.b64encode(part).decode() for part in (client, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{base64.b64encode(salt).decode()}${b64[1]}:{b64[2]}", b64


@pytest.fixture
def canary(make_pooler, backend, cluster):
    """A pooler full of secrets, and all the forms in which they must not come out."""
    cluster.execute("template1", "select pg_advisory_xact_lock(78);" + USERS)
    verifier, keys = scram("scram-canary-91be")
    md5 = "md5" + hashlib.md5(b"md5-canary-03dchashy").hexdigest()
    plain = ["plain-canary-4d2e", "entry-canary-8c07", "program-canary-19fa", "file-canary-6b3d", "ldap-canary-e5e5",
             "looked-up-canary-5f1c", "auth-user-canary-77aa", "wrong-canary-b00b", "scram-canary-91be", "md5-canary-03dc"]
    pooler = make_pooler(
        start=False, auth_type="hba", auth_user="canary_owner", admin_users="admin", stats_users="stats",
        verbose=2, log_stats=1, stats_period=1,
        secrets={"admin": "", "stats": "", "trusty": "", "plainy": "plain-canary-4d2e", "hashy": md5, "salty": verifier,
                 "canary_owner": "auth-user-canary-77aa"},
        databases={
            "app": backend + " user=trusty", "entry": backend + " user=plainy password=entry-canary-8c07",
            "program": backend + " user=plainy password_command='echo program-canary-19fa'",
            "file": backend, "*": backend + " user=plainy password='entry-canary-8c07'",
        })
    secret = pooler.folder / "password"
    pooler.write(secret, "file-canary-6b3d\n")
    pooler.databases["file"] += f" user=plainy password_file={secret}"
    pooler.settings["auth_hba_file"] = pooler.folder / "hba"
    pooler.settings["auth_ldap_options"] = 'ldapserver=127.0.0.1 ldapport=1 ldapbasedn="dc=x" ldapbindpasswd=ldap-canary-e5e5'
    pooler.write(pooler.folder / "hba", """\
host pgbouncer all all trust
host all plainy all password
host all hashy all md5
host all canary_lookup all scram-sha-256
host all dir all ldap ldapserver=127.0.0.1 ldapport=1 ldapbasedn="dc=x" ldapbinddn="cn=m" ldapbindpasswd=ldap-canary-e5e5
host all salty all scram-sha-256
host all trusty all trust
""")
    pooler.start()
    return pooler, [*plain, md5, md5[3:], verifier, *keys]


def outputs(pooler):
    """Everything that a console, a command line or a log says."""
    found = {}
    for user in ("admin", "stats"):
        with pooler.connect("pgbouncer", user=user) as console:
            commands = [
                "ACTIVE_SOCKETS", "SOCKETS", "CLIENTS", "CONFIG", "DATABASES", "DNS_HOSTS", "DNS_ZONES", "FDS", "HELP", "LISTS",
                "MEM", "PEERS", "PEER_POOLS", "POOLS", "SERVERS", "STATE", "STATS", "STATS_AVERAGES", "STATS_TOTALS",
                "TOTALS", "USERS", "VERSION"]
            for command in [*(f"SHOW {name}" for name in commands), "CONFIG DIFF"]:
                try:
                    cursor = console.execute(command)
                    found[user, command] = str(cursor.fetchall() if cursor.description else cursor.statusmessage)
                except psycopg.Error as failure:
                    found[user, command] = f"{failure} {failure.diag.message_detail} {failure.diag.message_hint}"
    for option in ("--check", "--explain"):
        done = subprocess.run([pooler.binary, option, str(pooler.ini)], check=False, capture_output=True,
                              cwd=pooler.folder, **as_owner())
        found[option] = (done.stdout + done.stderr).decode(errors="replace")
    found["log"], found["stderr"] = pooler.log, pooler.stderr
    return found


@pytest.mark.ours
def test_no_secret_comes_out(canary):
    """Good and bad logins of every kind, every table, a preview of other secrets, broken files: not one of them shows."""
    pooler, secrets = canary
    heard = []

    def login(user, password, database="app"):
        try:
            with pooler.connect(database, user=user, password=password) as connection:
                connection.execute("select 1")
        except psycopg.Error as failure:
            heard.append(str(failure))

    for user, password in [
        ("plainy", "plain-canary-4d2e"), ("hashy", "md5-canary-03dc"), ("salty", "scram-canary-91be"),
        ("canary_lookup", "looked-up-canary-5f1c"), ("dir", "wrong-canary-b00b"), ("trusty", None),
        *((user, "wrong-canary-b00b") for user in ("plainy", "hashy", "salty", "canary_lookup", "nobody")),
    ]:
        login(user, password)
    for database in ("entry", "program", "file", "some_other"):
        login("trusty", None, database)
    pooler.secrets["plainy"] = "plain-canary-4d2e" + "-two"
    pooler.databases["entry"] = pooler.databases["entry"].replace("canary-8c07", "canary-8c07-two")
    pooler.write_files()
    found = outputs(pooler)
    # Files with mistakes on the lines of secrets.
    pooler.databases["entry"] += " password=entry-canary-8c07 nonsense=1"
    pooler.databases["bad"] = "password='entry-canary-8c07"
    pooler.settings["auth_ldap_options"] = "ldapbindpasswd=ldap-canary-e5e5 ldapport=0"
    pooler.write_files()
    pooler.write(pooler.userlist, '"plainy" "plain-canary-4d2e\n"admin" ""\n')
    pooler.write(pooler.folder / "hba", "host all all all ldap ldapserver=a ldapbasedn=b ldapbindpasswd=x ldap-canary-e5e5\n")
    with pytest.raises(ConsoleError) as failure:
        pooler.admin("RELOAD")
    heard.append(str(failure.value.fields))
    found.update({("broken", key): text for key, text in outputs(pooler).items()})
    found["heard"] = "\n".join(heard)
    assert "RELOAD" in pooler.log and len(found) > 90 and all(v is not None for v in found.values())
    for where, text in found.items():
        for secret in secrets:
            assert secret not in text, (where, secret, text[max(0, text.find(secret) - 200):][:400])
    command = pooler.process.args
    environment = open(f"/proc/{pooler.process.pid}/cmdline", "rb").read() if os.geteuid() == 0 else b""
    assert not any(secret in str(command) + str(environment) for secret in secrets)


@pytest.mark.ours
def test_the_canary_is_seen_where_it_sits(canary):
    """The search finds what is there: without this, the test above could not fail."""
    pooler, secrets = canary
    text = pooler.ini.read_text() + pooler.userlist.read_text()
    assert sum(secret in text for secret in secrets) >= 5
    assert pooler.pool("app") is None or pooler.admin("SHOW POOLS")


@pytest.mark.ours
@pytest.mark.parametrize("mode, is_good", [(0o600, True), (0o400, True), (0o640, False), (0o604, False), (0o666, False)])
def test_a_private_key_that_others_may_read(make_pooler, tmp_path, mode, is_good):
    """Is refused, at the start and by RELOAD, with the setting, the file and what to do."""
    issued = Authority(tmp_path).issue("pooler", "DNS:localhost", for_daemons=True)
    pooler = make_pooler(start=False, client_tls_sslmode="allow", client_tls_cert_file=issued.certificate,
                         client_tls_key_file=issued.key)
    issued.key.chmod(mode)
    pooler.write_files()
    done = subprocess.run([pooler.binary, "--check", str(pooler.ini)], check=False, capture_output=True, text=True,
                          cwd=pooler.folder, **as_owner())
    words = f'client_tls_key_file "{issued.key}" has group or world access (mode 0{mode:o})'
    if is_good:
        assert done.returncode == 0, done.stdout
        pooler.start()
        issued.key.chmod(0o644)
        with pytest.raises(ConsoleError, match="RELOAD failed"):
            pooler.admin("RELOAD")
        assert "has group or world access (mode 0644): chmod 0600, or 0640 if it is root's" in pooler.log
        assert pooler.wire().value("select 1") == "1"
    else:
        assert done.returncode == 1 and words in done.stdout
        pooler.launch(pooler.ini)
        assert pooler.wait_end() == 1
        assert words in pooler.log + pooler.stderr


@pytest.mark.ours
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of root's")
@pytest.mark.parametrize("mode, is_good", [(0o640, True), (0o600, True), (0o660, False), (0o644, False)])
def test_a_private_key_of_root(make_pooler, tmp_path, mode, is_good):
    """Its group may read it, as with PostgreSQL."""
    issued = Authority(tmp_path).issue("pooler", "DNS:localhost")
    pooler = make_pooler(start=False, client_tls_sslmode="allow", client_tls_cert_file=issued.certificate,
                         client_tls_key_file=issued.key)
    issued.key.chmod(mode)
    pooler.write_files()
    done = subprocess.run([pooler.binary, "--check", str(pooler.ini)], check=False, capture_output=True, text=True)
    assert ("has group or world access" not in done.stdout) == is_good, done.stdout


@pytest.mark.ours
def test_files_that_others_may_read_or_write(make_pooler, backend):
    """Are warned of, where there is something to read or to gain; a list without secrets may be read."""
    pooler = make_pooler(start=False, secrets={"trusty": "", "admin": ""}, databases={"app": backend})
    pooler.write_files()

    def warnings():
        done = subprocess.run([pooler.binary, "--check", str(pooler.ini)], check=False, capture_output=True, text=True,
                              cwd=pooler.folder, **as_owner())
        return [line for line in done.stdout.splitlines() if "everybody may" in line]

    pooler.userlist.chmod(0o644)
    assert warnings() == []
    pooler.userlist.chmod(0o646)
    assert warnings() == [f'WARNING everybody may write auth_file "{pooler.userlist}" (mode 0646): chmod o= it']
    pooler.secrets["plainy"] = "x"
    token = pooler.folder / "token"
    pooler.write(token, "x")
    token.chmod(0o604)
    pooler.databases["app"] += f" user=plainy password_file={token}"
    pooler.settings.update(auth_type="hba", auth_hba_file=pooler.folder / "hba")
    pooler.write(pooler.folder / "hba", "host all all all trust\n")
    (pooler.folder / "hba").chmod(0o642)
    pooler.write_files()
    pooler.userlist.chmod(0o644)
    assert warnings() == [
        f'WARNING everybody may read auth_file "{pooler.userlist}" (mode 0644): chmod o= it',
        f'WARNING everybody may write auth_hba_file "{pooler.folder}/hba" (mode 0642): chmod o= it',
        f'WARNING everybody may read password_file "{token}" (mode 0604): chmod o= it',
    ]
    for path in (pooler.userlist, pooler.folder / "hba", token):
        path.chmod(0o640)
    assert warnings() == []
    pooler.userlist.chmod(0o644)
    pooler.launch("-q", pooler.ini)
    pooler.wait_ready()
    assert f'WARNING everybody may read auth_file "{pooler.userlist}"' in pooler.log


@pytest.mark.ours
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop its privileges")
def test_root_is_dropped_for_good(make_pooler, room):
    """`user`: no id of root's is left, no group of its, no capability; nothing to gain, nothing to dump."""
    import pwd

    pooler = make_pooler(start=False, user="nobody", pidfile=None, logfile=None, unix_socket_dir=None)
    pooler.write_files()
    pooler.ini.chmod(0o644), pooler.userlist.chmod(0o644)
    pooler.launch("-q", pooler.ini, user=0, group=0, extra_groups=[0, 4])
    pooler.wait_ready()
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{pooler.process.pid}/status").read().splitlines()
                  if ":\t" in line)
    entry = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(entry.pw_uid)] * 4 and status["Gid"].split() == [str(entry.pw_gid)] * 4
    assert set(status["Groups"].split()) <= {str(entry.pw_gid)}
    assert all(int(status[key], 16) == 0 for key in ("CapPrm", "CapEff", "CapInh", "CapAmb"))
    assert status["NoNewPrivs"].strip() == "1"
    # Not dumpable: what /proc has of the process belongs to root.
    assert os.stat(f"/proc/{pooler.process.pid}/environ").st_uid == 0


def exchange(pooler, user, method):
    """Messages, and the time from the first byte to the refusal."""
    wire = pooler.bare_wire()
    begin = time.perf_counter()
    wire.send(startup(user, "app"))
    seen = [wire.read()]
    if method == "scram-sha-256":
        first = b"n,,n=,r=abcdefghijklmnop"
        wire.send(message("p", b"SCRAM-SHA-256\0" + len(first).to_bytes(4, "big") + first))
        seen.append(wire.read())
        nonce = re.search(rb"r=([^,]+)", seen[-1].body)[1]
        wire.send(message("p", b"c=biws,r=" + nonce + b",p=" + base64.b64encode(bytes(32))))
    elif method == "md5":
        wire.send(message("p", b"md5" + b"0" * 32 + b"\0"))
    else:
        wire.send(message("p", b"wrong\0"))
    seen.append(wire.read())
    took = time.perf_counter() - begin
    assert wire.is_closed()
    pooler._opened.remove(wire)
    shape = [(m.kind, m.fields if m.kind == "E" else len(m.body)) for m in seen]
    return shape, took


@pytest.mark.ours
@pytest.mark.parametrize("method, known", [
    ("plain", "plainy"), ("plain", "hashy"), ("md5", "hashy"), ("scram-sha-256", "plainy"), ("scram-sha-256", "salty"),
])
def test_unknown_users_cannot_be_told_by_answers_or_time(make_pooler, backend, method, known):
    """The same messages of the same lengths, and medians that differ by less than a tenth in one run of five."""
    pooler = make_pooler(
        databases={"app": backend}, auth_type=method, log_connections=0, log_disconnections=0, log_pooler_errors=0,
        secrets={"admin": "a", "plainy": "plain-secret", "hashy": "md5" + "0" * 32, "salty": scram("x")[0]})
    stranger = "x" * len(known)
    for user in (known, stranger):
        exchange(pooler, user, method)  # keys are derived once
    assert exchange(pooler, known, method)[0] == exchange(pooler, stranger, method)[0]
    differences = []
    for _ in range(5):
        times = {known: [], stranger: []}
        for _ in range(150):
            for user in times:
                times[user].append(exchange(pooler, user, method)[1])
        a, b = (statistics.median(values) for values in times.values())
        differences.append(abs(a - b) / max(a, b))
        if differences[-1] < 0.1:
            return
    raise AssertionError(f"time tells who exists: {differences}")


def test_a_refused_login_says_why_in_the_log(make_pooler, backend):
    """Which method, which line or setting, and the reason; the client hears none of it."""
    pooler = make_pooler(auth_type="md5", databases={"app": backend}, secrets={"admin": "a", "hashy": "x"})
    for user in ("hashy", "nobody"):
        wire = pooler.bare_wire()
        with pytest.raises(Refused, match="^password authentication failed$"):
            wire.login(user, password="wrong")
    assert "password authentication failed (auth_type md5)" in pooler.log and "no such user (auth_type md5)" in pooler.log
