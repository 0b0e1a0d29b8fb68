"""Logins by PAM, against its own test library: services in a folder of the test, and modules made for tests."""

import functools
import glob
import os
import threading
import time

import pytest

from logins import gets_in, is_refused_by
from wire import message, startup

LIBRARY = (glob.glob("/usr/lib/*/libpam_wrapper.so") or [None])[0]
MODULES = os.path.dirname((glob.glob("/usr/lib/*/pam_wrapper/pam_matrix.so") or [""])[0])
pytestmark = [pytest.mark.recent, pytest.mark.skipif(LIBRARY is None, reason="libpam-wrapper is not installed")]

PEOPLE = "ann:ann's password:pgbouncer\nplainy:plain-secret:pgbouncer\nbob:bob's:other\neve:eve's:elsewhere\n"


@pytest.fixture
def make(make_pooler, backend):
    """Factory: a pooler whose PAM knows the services pgbouncer, other and slow."""

    def start(hba=None, **settings):
        pooler = make_pooler(
            start=False, secrets={"admin": "", "trusty": ""},
            databases={"app": backend + " user=trusty", "own": backend},
            **{"auth_type": "hba" if hba else "pam", **settings})
        folder = pooler.folder / "services"
        folder.mkdir()
        folder.chmod(0o755)
        people = pooler.folder / "people"
        pooler.write(people, PEOPLE)
        rule = f"{MODULES}/pam_matrix.so passdb={people} verbose"
        for name in ("pgbouncer", "other"):
            pooler.write(folder / name, f"auth required {rule}\naccount required {rule}\n")
        pooler.write(folder / "slow", "auth required pam_exec.so quiet /bin/sleep 5\nauth required pam_permit.so\n"
                     "account required pam_permit.so\n")
        if hba:
            pooler.settings["auth_hba_file"] = pooler.folder / "hba"
            pooler.write(pooler.folder / "hba", "host pgbouncer all all trust\n" + hba)
        pooler.write_files()
        pooler.launch("-q", pooler.ini, env={
            **os.environ, "LD_PRELOAD": LIBRARY, "PAM_WRAPPER": "1", "PAM_WRAPPER_SERVICE_DIR": str(folder),
            "TMPDIR": str(pooler.folder)})
        pooler.wait_ready()
        return pooler

    return start


is_refused = functools.partial(is_refused_by, "PAM")


@pytest.mark.parametrize("hba", [None, "host all all all pam\n"])
def test_the_service_of_pgbouncer(make, hba):
    """Its file goes on to count; the log says why somebody was not let in, and no password."""
    pooler = make(hba)
    assert gets_in(pooler)
    assert is_refused(pooler) and is_refused(pooler, "nobody", "x")
    # right, but not for this service: what PAM calls the account
    assert is_refused(pooler, "bob", "bob's")
    log = pooler.log
    assert "pam_authenticate() failed: Authentication failure" in log and "pam_acct_mgmt() failed: " in log
    assert (f"(hba line 2 of {pooler.folder}/hba, method pam)" if hba else "(auth_type pam)") in log
    assert "ann's" not in log and "bob's" not in log


def test_another_service(make):
    """pamservice= names it."""
    pooler = make("host all bob all pam pamservice=other\nhost all all all pam\n")
    assert gets_in(pooler, "bob", "bob's") and gets_in(pooler) and is_refused(pooler, "eve", "eve's")


def test_the_typed_password_reaches_the_server(make):
    """PostgreSQL may ask for it as well; no stored password is needed."""
    assert gets_in(make(), "plainy", "plain-secret", "own")


def test_an_empty_password(make):
    """PAM is not even asked."""
    pooler = make()
    wire = pooler.bare_wire()
    wire.send(startup("ann", "app"))
    assert wire.read().body[3:4] == b"\x03"
    wire.send(message("p", b"\0"))
    assert wire.read().fields["M"] == "empty password returned by client"


def test_a_slow_module_delays_only_its_own(make):
    """Others get in while it sleeps, by other methods and at the console."""
    pooler = make("host all trusty all trust\nhost all all all pam pamservice=slow\n")
    slow = [pooler.bare_wire() for _ in range(6)]
    for wire in slow:
        wire.send(startup("bob", "app"))
        assert wire.read().body[3:4] == b"\x03"
        wire.send(message("p", b"x\0"))
    begin = time.monotonic()
    assert gets_in(pooler, "trusty", None) and pooler.admin("SHOW VERSION")
    assert time.monotonic() - begin < 3
    for wire in slow[1:]:
        wire.close()
    assert slow[0].read().kind == "R", "it gets in when the module is through"


def test_many_at_once(make):
    """Every login gets its own answer."""
    pooler = make(max_client_conn=200)
    problems = []

    def run(number):
        try:
            assert gets_in(pooler) if number % 2 else is_refused(pooler, "ann", f"wrong {number}")
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[:3]
