"""Drivers of other languages: each walks through logins, queries, transactions, errors, COPY and cancel requests.

The programs in drivers/ read a login a line and answer each with one line. bin/test installs their languages.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from certificates import Authority

PROGRAMS = Path(__file__).parent / "drivers"
SECRETS = {"trusty": "", "plainy": "plain-secret", "hashy": "md5-secret", "salty": "scram-secret", "admin": ""}
RULES = """\
host all trusty,admin 127.0.0.1/32 trust
host all plainy 127.0.0.1/32 password
host all hashy 127.0.0.1/32 md5
host all salty 127.0.0.1/32 scram-sha-256
"""
JDBC = "/usr/share/java/postgresql.jar"
LANGUAGES = ["perl", "ruby", "jdbc"]
#: Those that ask for channel binding when they are told to.
BINDING = {"perl", "ruby"}


def command(language, room):
    """The program of a language, ready to run; a skip when the language is not installed."""
    match language:
        case "perl":
            found = shutil.which("perl") and not subprocess.run(["perl", "-MDBD::Pg", "-e1"], capture_output=True).returncode
            run = ["perl", PROGRAMS / "walk.pl"]
        case "ruby":
            found = shutil.which("ruby") and not subprocess.run(["ruby", "-rpg", "-e1"], capture_output=True).returncode
            run = ["ruby", PROGRAMS / "walk.rb"]
        case "jdbc":
            found = shutil.which("java") and shutil.which("ecj") and Path(JDBC).exists()
            run = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JDBC}:{room}", "Walk"]
            if found and not (room / "Walk.class").exists():
                compiler = ["ecj", "-11", "-proc:none", "-cp", JDBC, "-d", room, PROGRAMS / "Walk.java"]
                subprocess.run(compiler, check=True, capture_output=True, timeout=120)
    if not found:
        pytest.skip(f"{language} is not installed")
    return [str(word) for word in run]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Whom clients trust."""
    return Authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def site(authority):
    """The pooler's key and certificate."""
    return authority.issue("localhost", "DNS:localhost,IP:127.0.0.1", for_daemons=True)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Where compiled programs go."""
    return tmp_path_factory.mktemp("programs")


def logins(language, pooler, authority):
    """Every user, in the clear and by TLS, with channel binding where the driver has it."""
    for user, password in SECRETS.items():
        if user == "admin":
            continue
        for tls in ({"sslmode": "disable"}, {"sslmode": "verify-full", "sslrootcert": authority.certificate}):
            login = {"host": "127.0.0.1", "port": pooler.port, "dbname": "app", "user": user,
                     "password": password or "unused", "table": f"walked_by_{user}", **tls}
            yield login
            if user == "salty" and tls["sslmode"] != "disable" and language in BINDING:
                yield {**login, "channel_binding": "require"}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_walk(make_pooler, database, authority, site, programs, language, mode):
    """Everything works, by every way to log in, and nothing is left behind on the servers."""
    run = command(language, programs)
    database.execute("".join(f"drop table if exists walked_by_{user};" for user in SECRETS))
    pooler = make_pooler(
        start=False, pool_mode=mode, auth_type="hba", secrets=SECRETS, default_pool_size=2,
        client_tls_sslmode="prefer", client_tls_key_file=site.key, client_tls_cert_file=site.certificate,
        ignore_startup_parameters="extra_float_digits", max_prepared_statements=50,
    )
    rules = pooler.folder / "hba.conf"
    pooler.write(rules, RULES)
    pooler.settings["auth_hba_file"] = rules
    pooler.start()
    wanted = list(logins(language, pooler, authority))
    lines = "".join(" ".join(f"{name}={value}" for name, value in login.items()) + "\n" for login in wanted)
    done = subprocess.run(run, input=lines, text=True, capture_output=True, timeout=150, check=False)
    assert done.stdout.splitlines() == [f"{login['user']}: done" for login in wanted], done.stderr + done.stdout
    for user in SECRETS:
        row = pooler.pool("app", user)
        assert row is None or (row["cl_active"], row["cl_waiting"], row["sv_active"]) == (0, 0, 0), row
