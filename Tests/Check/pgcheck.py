"""pgcheck: clients that know the only answer they may get. See --help and bin/pgcheck."""

import argparse
import asyncio
import json
import random
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "Integration")]

import mix_batches  # noqa: E402
import mix_copy  # noqa: E402
import mix_events  # noqa: E402
import mix_plain  # noqa: E402
import mix_state  # noqa: E402
import tokens  # noqa: E402
from client import Answer, Client  # noqa: E402
from findings import Findings, show  # noqa: E402
from link import Address, Garbled, Link, Lost, Refused  # noqa: E402
from mix_plain import digest  # noqa: E402
from wire import query  # noqa: E402
from writes import Writes  # noqa: E402

MIX = {
    "simple": mix_plain.simple, "extended": mix_plain.extended, "prepared": mix_plain.prepared,
    "notice": mix_plain.notice, "error": mix_plain.error, "copy": mix_copy.copy,
    "pipeline": mix_batches.pipeline, "transaction": mix_batches.transaction,
    "cancel": mix_events.cancel, "once": mix_events.once,
    "state": mix_state.state,
}
USUAL = [name for name in MIX if name != "state"]
DIRECT_PATIENCE_SECONDS = 60


class Run:
    """What the clients of one run share."""

    pattern = tokens.PATTERN
    lull_share = 0.3

    def __init__(self, options):
        self.seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
        self.address = Address(options.host, options.port, options.user, options.dbname, options.password)
        self.direct = replace(
            self.address, port=options.direct_port or options.port, user=options.direct_user or options.user,
            dbname=options.direct_dbname or options.dbname,
        )
        self.kinds = [MIX[name] for name in options.mix]
        self.patience, self.session_requests = options.patience, options.session_requests
        self.widest = options.widest
        self.log = Path(options.log) if options.log else None
        if self.log:
            self.log.mkdir(parents=True, exist_ok=True)
        self.findings = Findings(options.expect_errors)
        self.stop = asyncio.Event()
        self.writes, self.copies = Writes(), Writes()
        name = f"{random.SystemRandom().getrandbits(40):x}"
        self.write_table, self.copy_table = f"pgcheck_ops_{name}", f"pgcheck_chk_{name}"

    async def prepare(self):
        """Make the tables."""
        await self.ask_directly(
            f"create table {self.write_table} (token text);"
            f"create table {self.copy_table} (token text, i int, hash text);"
            f"grant all on {self.write_table}, {self.copy_table} to public"
        )

    async def ask_directly(self, sql):
        """Rows of a query that does not go through the pooler; waits for a PostgreSQL that is being started."""
        end = time.monotonic() + DIRECT_PATIENCE_SECONDS
        while True:
            try:
                link = await Link.open(self.direct)
                link.send(query(sql))
                answer = Answer()
                while not answer or answer[-1].kind != "Z":
                    answer.append(await link.read())
                link.leave()
                break
            except (Refused, Lost):
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.2)
        if answer.errors:
            raise RuntimeError(f"direct connection: {answer.errors[0]}")
        return answer.rows

    async def storm(self, clients, seconds):
        """Let the clients work; none may outlive its patience by much."""
        working = [asyncio.create_task(Client(self, n).work()) for n in range(clients)]
        await asyncio.wait(working, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        self.stop.set()
        done, hanging = await asyncio.wait(working, timeout=self.patience + 10)
        for task in done:
            if task.exception():
                self.findings.add("checker", repr(task.exception()))
                if "--traceback" in sys.argv:
                    raise task.exception()
        for task in hanging:
            self.findings.add("hangs", f"a client did not end: {task.get_stack()}")
            task.cancel()

    async def compare(self):
        """Look up the fate of every write, when nothing of ours runs any more."""
        tables = f"'%{self.write_table[8:]}%', '%{self.copy_table[8:]}%'"
        for _ in range(50):
            busy = await self.ask_directly(
                "select 1 from pg_stat_activity where pid <> pg_backend_pid() and "
                f"state not like 'idle' and query like any (array[{tables}])"
            )
            if not busy:
                break
            await asyncio.sleep(0.1)
        stored = await self.ask_directly(f"select token, count(*) from {self.write_table} group by 1")
        self.writes.compare({t: int(n) for t, n in stored}, self.findings, "insert")
        copied = await self.ask_directly(
            f"select token, count(distinct i), count(*) from {self.copy_table} where hash = md5(token||i) group by 1"
        )
        self.copies.compare({t: int(n) for t, n, _ in copied}, self.findings, "copy")
        for token, some, every in copied:
            if some != every:
                self.findings.add("duplicates", f"copy {token}: {every} rows, {some} different ones")
        bad = await self.ask_directly(f"select token, i, hash from {self.copy_table} where hash <> md5(token||i) limit 5")
        for row in bad:
            self.findings.add("wrong", f"copied row {row}")
        await self.ask_directly(f"drop table {self.write_table}, {self.copy_table}")


async def check(options):
    """The whole run; returns its report."""
    run = Run(options)
    await run.prepare()
    began = time.monotonic()
    await run.storm(options.clients, options.seconds)
    seconds = time.monotonic() - began
    if not run.findings.tally["requests"]:
        run.findings.add("hangs", "not a single request was answered")
    await run.compare()
    return {"seed": run.seed, "clients": options.clients, **run.findings.report(seconds)}


def options_of(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="pgcheck", description="Checks that a pooler (or PostgreSQL) answers each "
                                     "client with its own answers and nothing else. Exit status 1 on any finding.")
    words = lambda text: [w for w in text.split(",") if w]  # noqa: E731
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6432)
    parser.add_argument("--user", default="postgres")
    parser.add_argument("--dbname", default="postgres")
    parser.add_argument("--password", default="")
    parser.add_argument("--direct-port", type=int, help="PostgreSQL itself, for the books (default: --port)")
    parser.add_argument("--direct-user", help="user there (default: --user)")
    parser.add_argument("--direct-dbname", help="database there (default: --dbname)")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--mix", type=words, default=USUAL,
                        help=f"of {','.join(MIX)}; default all but `state`, which is for session mode")
    parser.add_argument("--with", dest="more", type=words, default=[], help="kinds to add to the mix")
    parser.add_argument("--without", type=words, default=[], help="kinds to leave out of the mix")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--log", metavar="DIR", help="what each client heard, for recheck.py")
    parser.add_argument("--json", action="store_true", help="the report as one line of JSON")
    parser.add_argument("--expect-errors", type=words, default=[], metavar="CODES",
                        help="SQLSTATEs or their beginnings that are no findings, and `lost` for lost connections")
    parser.add_argument("--patience", type=float, default=30, help="seconds before a request counts as hanging")
    parser.add_argument("--session-requests", type=int, default=60, help="most requests of one connection")
    parser.add_argument("--widest", type=int, help="widest row in bytes, for slow networks (default: 64 KiB and more)")
    parser.add_argument("--traceback", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.mix = [name for name in options.mix + options.more if name not in options.without]
    if not options.mix or set(options.mix) - MIX.keys():
        parser.error(f"--mix takes {','.join(MIX)}")
    return options


def main():
    """Run, report, exit."""
    options = options_of(sys.argv[1:])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * options.clients + 100)), hard))
    try:
        report = asyncio.run(check(options))
    except (Refused, Lost, Garbled, RuntimeError, OSError) as error:
        print(f"pgcheck: {error}", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(report) if options.json else show(report), flush=True)
    sys.exit(1 if report["findings"] else 0)


if __name__ == "__main__":
    main()
