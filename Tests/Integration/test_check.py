"""pglido --check and --explain: what is wrong with a file, and what it means, without a start."""

import subprocess

import pytest

from machine import as_owner

pytestmark = pytest.mark.ours


def run(pooler, *arguments):
    """Run the binary to its end."""
    return subprocess.run(
        [pooler.binary, *map(str, arguments)], capture_output=True, text=True, timeout=20, cwd=pooler.folder,
        stdin=subprocess.DEVNULL, check=False, **as_owner(),
    )


@pytest.fixture
def files(make_pooler):
    """Files without a process."""
    pooler = make_pooler(start=False)
    pooler.write_files()
    return pooler


def test_a_good_file(files):
    """No problems, status 0, and nothing is started or written."""
    done = run(files, "--check", files.ini)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no problems" in done.stdout
    assert not (files.folder / "pooler.pid").exists() and not (files.folder / "pooler.log").exists()


def test_a_running_pooler_is_not_disturbed(pooler):
    """The check of a file in use is no second instance."""
    assert run(pooler, "--check", pooler.ini).returncode == 0
    assert pooler.wire().value("select 1") == "1"


def test_every_problem_is_named(files):
    """Syntax, values, entries, the user list, and what the machine lacks, each with its line."""
    files.write(files.userlist, '"a" "b"\n"c\n"d" "e"\nnonsense\n')
    lines = [
        "[databases]",
        "app = host=127.0.0.1 pool_size=many password=hunter2",
        "= x",
        "[pgbouncer]",
        f"auth_file = {files.userlist}",
        "pool_mode = sometimes",
        "default_pool_sice = 5",
        "query_timeout = soon",
        "logfile = /nowhere/at/all.log",
        "unix_socket_dir = /nowhere",
        "user = no_such_user_here",
        "resolv_conf = /nowhere/resolv.conf",
        "[strange]",
    ]
    files.write(files.ini, "\n".join(lines) + "\n")
    done = run(files, "--check", files.ini)
    assert done.returncode == 1
    for line in (2, 3, 6, 7, 8, 9, 10, 11, 12, 13):
        assert f"({files.ini}:{line})" in done.stdout, (line, done.stdout)
    for line in (2, 4):
        assert f"({files.userlist}:{line})" in done.stdout
    assert "did you mean default_pool_size?" in done.stdout and "hunter2" not in done.stdout
    assert done.stdout.splitlines()[-1] == f"{files.ini}: 12 errors, 0 warnings"
    assert len([line for line in done.stdout.splitlines() if line.startswith("ERROR ")]) == 12


def test_a_missing_file(files):
    """A file that is not there is a problem, and so is a user list that is not."""
    done = run(files, "--check", files.folder / "gone.ini")
    assert done.returncode == 1 and "gone.ini" in done.stdout
    files.userlist.unlink()
    done = run(files, "--check", files.ini)
    assert done.returncode == 1 and "could not open auth_file" in done.stdout


def test_a_check_agrees_with_a_start(files):
    """What the check refuses, the start refuses with the same lines."""
    files.write(files.ini, files.ini.read_text() + "pool_mode = sometimes\nverbose = much\n")
    checked = run(files, "--check", files.ini)
    started = run(files, files.ini)
    assert checked.returncode == started.returncode == 1
    for line in checked.stdout.splitlines():
        if line.startswith("ERROR "):
            assert line in started.stderr


def test_explain(make_pooler):
    """Each value of each pool, and the line that says so."""
    pooler = make_pooler(
        start=False, databases={"app": "host=127.0.0.1 pool_size=7", "*": "host=10.0.0.1"},
        users={"joe": "pool_size=3"}, query_wait_timeout="30s")
    pooler.write_files()
    done = run(pooler, "--explain", pooler.ini)
    assert (done.returncode, done.stderr) == (0, "")
    pools = {part.split("\n", 1)[0]: part for part in done.stdout.split("\n\n")}
    rows = {name: {w[0]: (w[1], w[2]) for w in map(str.split, part.split("\n")[1:]) if len(w) > 2} for name, part in pools.items()}
    assert rows["database app, user joe"]["pool_size"] == ("3", f"{pooler.ini}:5")
    assert rows["database app, every other user"]["pool_size"] == ("7", f"{pooler.ini}:2")
    assert rows["every other database, every other user"]["pool_size"][0] == "5"
    assert rows["every other database, every other user"]["query_wait_timeout"][0] == "30"
    assert rows["every other database, every other user"]["server_lifetime"] == ("3600", "default")
    assert rows["[pgbouncer]"]["max_client_conn"] == ("100", "default")
    pooler.write(pooler.ini, pooler.ini.read_text() + "pool_mode = x\n")
    done = run(pooler, "--explain", pooler.ini)
    assert done.returncode == 1 and "pool_mode" in done.stderr and "database app" in done.stdout


def test_explain_is_what_happens(make_pooler):
    """The sizes it tells are those the console shows."""
    pooler = make_pooler(databases={"app": "host=127.0.0.1 pool_size=7 pool_mode=session"}, min_pool_size=2)
    shown = {r["name"]: r for r in pooler.admin("SHOW DATABASES")}["app"]
    told = run(pooler, "--explain", pooler.ini).stdout
    part = told.split("database app, every other user\n")[1]
    values = {w[0]: w[1] for w in map(str.split, part.splitlines()) if len(w) > 2}
    for key in ("pool_size", "min_pool_size", "reserve_pool_size", "server_lifetime", "pool_mode"):
        assert values[key] == shown[key]


def test_config_diff(pooler):
    """What a RELOAD would change, before and after it."""
    assert pooler.admin("CONFIG DIFF") == []
    pooler.settings["query_timeout"] = 77
    pooler.settings["listen_port"] = 1
    pooler.databases["fresh"] = "host=127.0.0.1"
    pooler.secrets["new"] = "x"
    pooler.write_files()
    found = [tuple(r.values()) for r in pooler.admin("CONFIG DIFF")]
    assert found == [
        ("pgbouncer", "listen_port", str(pooler.port), "1", "restart"),
        ("pgbouncer", "query_timeout", "0", "77", "now"),
        ("databases", "fresh", None, "host=127.0.0.1", "now"),
        ("auth_file", "new", None, None, "now"),
    ]
    pooler.admin("RELOAD")
    assert [r["name"] for r in pooler.admin("CONFIG DIFF")] == ["listen_port"]
    pooler.admin("SET query_timeout = 5")
    assert [r["current"] for r in pooler.admin("CONFIG DIFF") if r["name"] == "query_timeout"] == ["5"]
