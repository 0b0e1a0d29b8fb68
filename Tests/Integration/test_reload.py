"""RELOAD and SIGHUP: a new file takes effect whole, a bad one not at all."""

import signal

import pytest

from pooler import ConsoleError
from waiting import eventually
from wire import Refused, Wire, errors


def value_of(pooler, key):
    """A setting as the console shows it."""
    return {r["key"]: r["value"] for r in pooler.admin("SHOW CONFIG")}[key]


@pytest.mark.parametrize("by", ["console", "signal"])
def test_new_values(pooler, by):
    """Changed settings, databases and users are there; sessions go on."""
    wire = pooler.wire()
    wire.query("select 1")
    pooler.settings["default_pool_size"] = 3
    pooler.databases["more"] = pooler.databases["app"]
    pooler.secrets["newcomer"] = ""
    pooler.databases["more"] += " user=trusty"
    pooler.write_files()
    if by == "console":
        pooler.admin("RELOAD")
    else:
        pooler.signal(signal.SIGHUP)
    eventually(lambda: value_of(pooler, "default_pool_size") == "3", "the new size")
    assert pooler.wire("newcomer", "more").value("select 1") == "1"
    assert wire.value("select 'still here'") == "still here"


BROKEN = [
    "[pgbouncer]\nno_such_setting = 1\n",
    "[pgbouncer]\npool_mode = sometimes\n",
    "[nonsense]\na = b\n",
    "[databases\n",
    "[databases]\nbroken = host=x nonsense_key=1\n",
]


@pytest.mark.recent
@pytest.mark.parametrize("broken", BROKEN)
def test_broken_file_is_refused(pooler, broken):
    """RELOAD of a bad file says F0000 and the process lives on."""
    pooler.write(pooler.ini, pooler.ini.read_text() + broken)
    with pytest.raises(ConsoleError) as refused:
        pooler.admin("RELOAD")
    assert refused.value.fields["C"] == "F0000"
    assert pooler.is_running()


@pytest.mark.ours
@pytest.mark.parametrize("broken", BROKEN)
def test_broken_file_changes_nothing(pooler, broken):
    """Not one setting of a bad file takes effect; the log names file and line."""
    pooler.settings["default_pool_size"] = 3
    pooler.write_files()
    pooler.write(pooler.ini, pooler.ini.read_text() + broken)
    with pytest.raises(ConsoleError) as refused:
        pooler.admin("RELOAD")
    assert refused.value.fields["C"] == "F0000"
    pooler.signal(signal.SIGHUP)
    assert value_of(pooler, "default_pool_size") == "5"
    assert pooler.wire().value("select 1") == "1"
    assert "pooler.ini:" in pooler.log


@pytest.mark.ours
def test_broken_userlist_keeps_the_old_users(pooler):
    """A userlist cut in the middle is refused whole (J4)."""
    pooler.write(pooler.userlist, '"trusty" ""\n"oth')
    with pytest.raises(ConsoleError):
        pooler.admin("RELOAD")
    assert pooler.wire("other").value("select 1") == "1"


@pytest.mark.recent
def test_vanished_file(pooler):
    """A file that is gone is an error; the pooler stays."""
    pooler.ini.unlink()
    with pytest.raises(ConsoleError):
        pooler.admin("RELOAD")
    assert pooler.wire().value("select 1") == "1"


def test_changed_target_replaces_servers(pooler, backend):
    """When an entry points elsewhere its servers are replaced after their work."""
    wire = pooler.wire()
    pid = wire.value("select pg_backend_pid()")
    pooler.databases["app"] = backend.replace("127.0.0.1", "localhost")
    pooler.write_files()
    pooler.admin("RELOAD")
    eventually(lambda: wire.value("select pg_backend_pid()") != pid, "a new server", every=0.1)


def test_unchanged_reload_keeps_servers(pooler):
    """Nothing changed, nothing happens."""
    wire = pooler.wire()
    pid = wire.value("select pg_backend_pid()")
    for _ in range(5):
        pooler.admin("RELOAD")
    assert wire.value("select pg_backend_pid()") == pid


def test_removed_database(make_pooler, backend):
    """Clients of a removed entry are told so; others stay; new ones are refused by name."""
    pooler = make_pooler(databases={"app": backend, "doomed": backend})
    stays, goes = pooler.wire(), pooler.wire(database="doomed")
    goes.query("select 1")
    del pooler.databases["doomed"]
    pooler.write_files()
    pooler.admin("RELOAD")
    assert errors(goes.read_all())[-1]["M"] == "database removed"
    assert stays.value("select 1") == "1"
    with Wire(pooler.port) as wire, pytest.raises(Refused, match="doomed"):
        wire.login(database="doomed")


def test_logfile_is_opened_again(pooler):
    """After the log was moved away SIGHUP opens a new one."""
    (pooler.folder / "pooler.log").rename(pooler.folder / "old.log")
    pooler.signal(signal.SIGHUP)
    eventually(lambda: pooler.wire() and pooler.log, "a new log file")


def test_include(pooler):
    """%include brings in another file."""
    extra = pooler.folder / "extra.ini"
    pooler.write(extra, "default_pool_size = 4\n")
    pooler.write(pooler.ini, pooler.ini.read_text() + f"%include {extra}\n")
    pooler.admin("RELOAD")
    assert value_of(pooler, "default_pool_size") == "4"


def test_many_reloads_under_load(pooler):
    """Reloads do not disturb those who work (K14, small)."""
    wires = [pooler.wire() for _ in range(8)]
    for i in range(60):
        pooler.signal(signal.SIGHUP)
        for number, wire in enumerate(wires):
            assert wire.value(f"select {number + i}") == str(number + i)


@pytest.mark.ours
def test_vanished_user_list_is_an_error(pooler):
    """RELOAD says so, and nothing of the new file takes effect."""
    before = value_of(pooler, "default_pool_size")
    pooler.settings["default_pool_size"] = 3
    pooler.write_files()
    pooler.userlist.unlink()
    with pytest.raises(ConsoleError) as refused:
        pooler.admin("RELOAD")
    assert refused.value.fields["C"] == "F0000"
    assert value_of(pooler, "default_pool_size") == before
    assert pooler.wire().value("select 'still here'") == "still here"
