"""Chaos around the pooler itself: no file descriptors (K11), bad log targets (K13), reloads (K14, K15)."""

import os
import resource
import shutil
import signal
import time

from chaos_servers import summary
from machine import give_to_owner
from pooler import ConsoleError
from waiting import eventually
from wire import Closed, Refused, Wire, startup

FILES = 160


def processor_seconds(pooler):
    """Processor time the pooler has used."""
    fields = open(f"/proc/{pooler.process.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def out_of_files(ground, seconds):
    """K11: more connections than descriptors; who is inside notices nothing, nothing spins, and it heals."""
    if ground.mode == "session":
        return "not in session mode, where clients that stay keep all servers"
    pooler = ground.pooler(start=False, listen_backlog=1000)
    pooler.write_files()
    pooler.launch("-q", pooler.ini, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)))
    pooler.wait_ready()
    check = ground.check(
        pooler.port, seconds, "--session-requests", "1000000", "--without", "once,cancel", "--patience", "60"
    )
    eventually(lambda: _clients(pooler) >= 64, "all clients are in", 20)
    crowd = []
    for _ in range(2 * FILES):
        try:
            wire = Wire(pooler.port, seconds=2)
            wire.send(startup("trusty", "app"))
            crowd.append(wire)
        except OSError:
            continue
    report = check.clean()
    time.sleep(0.3)
    before = processor_seconds(pooler)
    time.sleep(2)
    spent = (processor_seconds(pooler) - before) / 2
    for wire in crowd:
        wire.close()
    began = time.monotonic()
    eventually(lambda: _served(pooler), "a new client is served", 3)
    healed = time.monotonic() - began
    ground.verdict_of(pooler, report)
    told = summary(report, crowd=len(crowd), processor=f"{spent:.0%}", healed=f"{healed:.2f} s")
    assert spent < 0.2, f"spins while out of descriptors: {told}"
    assert healed < 1.2, f"heals too late: {told}"
    return told



def _clients(pooler):
    row = pooler.pool()
    return row["cl_active"] + row["cl_waiting"] if row else 0


def _served(pooler):
    try:
        with Wire(pooler.port, seconds=2) as wire:
            wire.login()
            return wire.value("select 1") == "1"
    except (Closed, Refused, OSError):
        return False


def log_targets(ground, seconds):
    """K13: the log's disk is full, its file read-only, deleted, a FIFO nobody reads; clients notice nothing."""
    pooler = ground.pooler(start=False, log_connections=1, log_disconnections=1)
    folder = pooler.folder / "logs"
    folder.mkdir()
    give_to_owner(folder)
    log = folder / "pooler.log"
    pooler.settings["logfile"] = log
    pooler.start()
    told = []
    for place in (_full, _read_only, _deleted, _fifo, _slow_fifo):
        closing = place(folder, log)
        pooler.signal(signal.SIGHUP)
        time.sleep(0.2)
        report = ground.verdict(pooler, ground.check(pooler.port, max(2, seconds / 6)))
        told.append(f"{place.__name__[1:]} {report['requests']}")
        if closing is not None:
            os.close(closing)
    shutil.rmtree(folder)
    folder.mkdir()
    give_to_owner(folder)
    pooler.signal(signal.SIGHUP)
    eventually(lambda: log.exists(), "the log is opened again when there is a place for it", 5)
    told += [_at_start(ground, target) for target in ("full", "fifo")]
    return ", ".join(told)


def _full(folder, log):
    log.unlink()
    log.symlink_to("/dev/full")


def _read_only(folder, log):
    log.unlink()
    log.write_text("")
    os.chown(log, 0, 0)
    log.chmod(0o444)


def _deleted(folder, log):
    shutil.rmtree(folder)


def _fifo(folder, log):
    folder.mkdir()
    give_to_owner(folder)
    os.mkfifo(log)
    give_to_owner(log)


def _slow_fifo(folder, log):
    return os.open(log, os.O_RDONLY | os.O_NONBLOCK)  # there is a reader, but it never reads


def _at_start(ground, target):
    """What the pooler does when the log is bad from the beginning: it runs, or ends with a word; it never hangs."""
    pooler = ground.pooler(start=False)
    log = pooler.folder / "bad.log"
    if target == "full":
        log.symlink_to("/dev/full")
    else:
        os.mkfifo(log)
        give_to_owner(log)
    pooler.settings["logfile"] = log
    pooler.write_files()
    pooler.launch("-q", pooler.ini)
    pooler.may_end = True
    eventually(lambda: not pooler.is_running() or _served(pooler), f"starts or ends with a log that is {target}", 5)
    return f"start with {target}: " + ("runs" if pooler.is_running() else f"ends: {pooler.stderr.strip()[-100:]}")


def replace_file(pooler, path, text):
    """Rewrite by rename, as editors and configuration tools do."""
    fresh = path.with_suffix(".new")
    pooler.write(fresh, text)
    os.replace(fresh, path)


def reload_storm(ground, seconds):
    """K14: fifty reloads a second with the files rewritten by rename in between; no client notices."""
    pooler = ground.pooler()
    text, users = pooler.ini.read_text(), pooler.userlist.read_text()
    check = ground.check(pooler.port, seconds)
    times, began = 0, time.monotonic()
    while time.monotonic() < began + seconds and check.running:
        replace_file(pooler, pooler.ini, text + f"query_wait_timeout = {100 + times % 20}\n;{times}\n")
        if times % 5 == 0:
            replace_file(pooler, pooler.userlist, users + f'"extra{times % 7}" "x"\n')
        pooler.signal(signal.SIGHUP)
        times += 1
        time.sleep(max(0.0, began + times / 50 - time.monotonic()))
    return summary(ground.verdict(pooler, check), reloads=times)


BROKEN = {
    "no section": lambda t: "nonsense\n" + t,
    "unknown section": lambda t: t + "[nonsense]\na = b\n",
    "bad number": lambda t: t + "default_pool_size = many\n",
    "bad mode": lambda t: t + "pool_mode = sometimes\n",
    "bad database": lambda t: t.replace("[databases]\n", "[databases]\nbad = host=\n=\n"),
    "no value": lambda t: t + "admin_users\n",
    "bytes": lambda t: t + "\0\1\2 = \x7f\n",
}


def _with_hba(ground):
    """A pooler with an HBA file and that file, or None for it where auth_type = hba is not known."""
    pooler = ground.pooler(start=False, auth_type="hba")
    hba = pooler.settings["auth_hba_file"] = pooler.folder / "hba.conf"
    pooler.write(hba, "host all all 127.0.0.1/32 trust\nlocal all all trust\n")
    try:
        return pooler.start(), hba
    except AssertionError:
        pooler.may_end = True
        return ground.pooler(), None


def broken_reloads(ground, seconds):
    """K15: reloads with broken, vanished and unreadable files: the old settings stay, RELOAD says why, nobody notices."""
    pooler, hba = _with_hba(ground)
    good = {path: path.read_text() for path in (pooler.ini, pooler.userlist, hba) if path}
    check = ground.check(pooler.port, seconds)
    problems, told, number = [], [], 0

    def attempt(name, must_fail=True):
        try:
            pooler.admin("RELOAD")
            if must_fail:
                problems.append(f"{name}: RELOAD said yes")
        except ConsoleError as failed:
            told.append(f"{name}: {failed}")
            if not must_fail:
                problems.append(f"{name}: RELOAD said {failed}")
        except (Closed, Refused, OSError) as failed:
            problems.append(f"{name}: no console: {failed!r}")
        now = {r["key"]: r["value"] for r in pooler.admin("SHOW CONFIG")}
        if now["query_wait_timeout"] != "77" and must_fail and number:
            problems.append(f"{name}: query_wait_timeout is {now['query_wait_timeout']}, not the old 77")

    def put_back():
        for path, text in good.items():
            if path.is_dir():
                path.rmdir()
            replace_file(pooler, path, text)

    good[pooler.ini] += "query_wait_timeout = 77\n"
    put_back()
    attempt("good", must_fail=False)
    number, end = 1, time.monotonic() + seconds
    while time.monotonic() < end and check.running:
        for name, spoil in BROKEN.items():
            changed = good[pooler.ini].replace("= 77", "= 55")
            replace_file(pooler, pooler.ini, spoil(changed))
            attempt(name)
        put_back()
        for path in good:
            path.unlink()
            attempt(f"{path.name} vanished")
            path.mkdir()
            attempt(f"{path.name} is a folder")
            put_back()
        for line in ("host all all 127.0.0.1/99 trust", "hsot all all 127.0.0.1/32 reject") if hba else ():
            replace_file(pooler, hba, line + "\n" + good[hba])
            attempt(f"hba says {line}")
        put_back()
        replace_file(pooler, pooler.userlist, '"trusty\n')
        attempt("open quote in userlist")
        put_back()
        attempt("good again", must_fail=False)
        time.sleep(0.2)
    report = ground.verdict(pooler, check)
    assert not problems, "; ".join(sorted(set(problems)))
    return summary(report, refusals=len(told))
