"""Chaos on the way to and from clients: resets (K6), full buffers (K8), single bytes (K9), huge values (K10),
cancels (K22), clients without patience (K24)."""

import asyncio
import hashlib
import random
import struct
import threading
import time

from chaos_servers import SERVER_GONE, summary
from link import Address, Garbled, Link, Lost, Refused
from proxies import Proxy, resetter, slicer, staller
from wire import COPY_DONE, SYNC, bind, execute, parse, query, run

MIB = 1 << 20
RSS_GROWTH_BYTES = 16 * MIB


def address(port, dbname="app"):
    """A client's address."""
    return Address("127.0.0.1", port, "trusty", dbname)


def resets(ground, seconds):
    """K6: RST from the server and from the client at random bytes; clients beside notice nothing."""
    with Proxy(ground.cluster.port, resetter(seed=1)) as servers:
        pooler = ground.pooler(servers.port, query_wait_timeout=20)
        with Proxy(pooler.port, resetter(seed=2)) as clients:
            beside = ground.check(pooler.port, seconds, dbname="calm", clients=16)
            check = ground.check(clients.port, seconds, "--expect-errors", SERVER_GONE)
            report, calm = check.clean(), beside.clean()
            assert report["disconnections"] > 10, report
        ground.verdict_of(pooler, report)
    return summary(report, resets=servers.connections + clients.connections, beside=calm["requests"])


def byte_at_a_time(ground, seconds):
    """K9: every byte by itself, to the server, to the client, and back; no error."""
    with Proxy(ground.cluster.port, slicer) as servers:
        pooler = ground.pooler(servers.port)
        with Proxy(pooler.port, slicer) as clients:
            check = ground.check(clients.port, seconds, "--widest", "300", "--patience", "90")
            report = check.clean()
        ground.verdict_of(pooler, report)
    return summary(report)


def cancel_storm(ground, seconds):
    """K22: cancels at any time by everybody; only their owners are hit."""
    pooler = ground.pooler()
    check = ground.check(pooler.port, seconds, "--mix", "cancel,cancel,cancel,cancel,simple,extended,transaction")
    report = ground.verdict(pooler, check)
    assert report["cancelled"] > 20, report
    return summary(report, cancelled=report["cancelled"], too_late=report.get("cancels_too_late", 0))


class Beside:
    """A coroutine in a thread of its own, beside the waiting run; its error is raised by `join`."""

    def __init__(self, work):
        self.error, self.value = None, None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work):
        try:
            self.value = asyncio.run(work)
        except BaseException as error:  # whatever it is, it is raised where the run waits
            self.error = error

    def join(self, seconds):
        """Wait for its end and its value."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "it hangs"
        if self.error:
            raise self.error
        return self.value


def impatient(ground, seconds):
    """K24: clients that wait 50 ms for queries of 500 ms, disconnect and try again; no answer reaches the next one."""
    pooler = ground.pooler()
    before = logins(ground)
    check = ground.check(pooler.port, seconds, "--patience", "60", clients=16)
    crowd = Beside(hurry(pooler.port, seconds))
    most, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.25)
        most = max(most, ground.database.backends())
    tries, problems = crowd.join(60)
    assert not problems, problems[:5]
    report = ground.verdict(pooler, check)
    rate = (logins(ground) - before) / seconds
    return summary(report, tries=tries, most_backends=most, server_logins_per_second=round(rate, 1))


def logins(ground):
    """How many sessions of the pooler PostgreSQL has seen."""
    return ground.cluster.log.read_text(errors="replace").count("authorized: user=trusty")


async def hurry(port, seconds):
    """48 clients without patience; returns the number of tries and what was wrong."""
    stop, tries, problems = time.monotonic() + seconds, [0], []

    async def one(number):
        while time.monotonic() < stop:
            tries[0] += 1
            token, link = f"h{number}.{tries[0]}", None
            try:
                link = await Link.open(address(port))
                async with asyncio.timeout(0.05):
                    link.send(query(f"select '{token}' from pg_sleep(0.5)"))
                    while (m := await link.read()).kind != "Z":
                        if m.kind in "DE":
                            problems.append(f"{token} heard {m} after less than 50 ms")
            except TimeoutError:
                pass
            except (Lost, Refused, Garbled) as problem:
                problems.append(f"{token}: {problem!r}")
            finally:
                if link:
                    link.drop()

    await asyncio.gather(*(one(n) for n in range(48)))
    return tries[0], problems


def both_full(ground, seconds):
    """K8: nobody reads, everybody writes, until all buffers are full; then it flows again, and memory stayed bounded."""
    with Proxy(ground.cluster.port, staller(seed=8)) as servers:
        pooler = ground.pooler(servers.port)
        with Proxy(pooler.port, staller(seed=9)) as clients:
            check = ground.check(clients.port, seconds, "--patience", "60", clients=48)
            flood = Beside(duplex(pooler.port, seconds))
            most, end = pooler.resident_bytes(), time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(0.1)
                most = max(most, pooler.resident_bytes())
            echoed = flood.join(120)
            report = check.clean()
        ground.verdict_of(pooler, report)
    assert most < 128 * MIB, f"{most / MIB:.0f} MiB resident"
    return summary(report, echoed_mib=echoed >> 20, resident_mib=most >> 20)


async def duplex(port, seconds, clients=4):
    """Pipelines of 100 KiB echoes; the reader starts late and reads in fits. Returns the bytes echoed."""
    stop = time.monotonic() + seconds

    async def one(number):
        dice, done = random.Random(number), 0
        while time.monotonic() < stop:
            link = await Link.open(address(port))
            batches = [f"{number}.{i}." + "x" * dice.randrange(100_000, 200_000) for i in range(40)]

            async def write(link=link, batches=batches):
                for text in batches:
                    link.send(run("select $1::text", [text]), SYNC)
                    await link.drain()

            writing = asyncio.create_task(write())
            await asyncio.sleep(dice.uniform(0.3, 1.5))
            for text in batches:
                heard = []
                async with asyncio.timeout(60):
                    while not heard or heard[-1].kind != "Z":
                        heard.append(await link.read())
                rows = [m.row for m in heard if m.kind == "D"]
                assert rows == [[text.encode()]], f"{text[:20]} heard {str(heard)[:300]}"
                done += len(text)
                if dice.random() < 0.2:
                    await asyncio.sleep(dice.random() / 5)
            await writing
            link.leave()
        return done

    return sum(await asyncio.gather(*(one(n) for n in range(clients))))


def huge(ground, seconds):
    """K10: a parameter, a row and a COPY line of 64 MiB (from 60 s on: 1 GiB less 1 KiB) pass through; memory is bounded."""
    size = (1 << 30) - 1024 if seconds >= 60 else 64 * MIB
    pooler = ground.pooler()
    ground.database.execute("create table if not exists huge (line text); truncate huge; grant all on huge to public")
    check = ground.check(pooler.port, seconds, "--patience", "60", clients=32)
    time.sleep(min(3, seconds / 3))
    before = most = pooler.resident_bytes()
    stream = Beside(giants(pooler.port, size))
    while stream._thread.is_alive():
        most = max(most, pooler.resident_bytes())
        time.sleep(0.05)
    stream.join(1)
    report = ground.verdict(pooler, check)
    assert most - before < RSS_GROWTH_BYTES, f"resident memory grew by {(most - before) / MIB:.1f} MiB"
    return summary(report, mib=size >> 20, grown_mib=round((most - before) / MIB, 1))


async def giants(port, size):
    """Send and fetch values of `size` bytes without ever holding one."""
    chunk, told = b"x" * MIB, hashlib.md5()
    for at in range(0, size, MIB):
        told.update(chunk[: size - at])
    told = told.hexdigest().encode()

    async def pour(writer, left):
        while left:
            writer.write(chunk[:left])
            left -= min(left, MIB)
            await writer.drain()

    link = await Link.open(address(port))
    reader, writer = link._reader, link._writer
    link.send(parse("select length($1::text), md5($1::text)", types=(25,)))
    body = b"\0\0" + struct.pack("!HHi", 0, 1, size)
    writer.write(b"B" + struct.pack("!I", 4 + len(body) + size + 2) + body)
    await pour(writer, size)
    link.send(b"\0\0", execute(), SYNC)
    heard = await until_ready(link)
    assert [m.row for m in heard if m.kind == "D"] == [[str(size).encode(), told]], heard

    link.send(query("copy huge from stdin"))
    while (await link.read()).kind != "G":
        pass
    writer.write(b"d" + struct.pack("!I", 4 + size + 1))
    await pour(writer, size)
    link.send(b"\n", COPY_DONE)
    assert [m.body for m in await until_ready(link) if m.kind == "C"] == [b"COPY 1\0"]
    link.send(query("select length(line), md5(line) from huge"))
    heard = await until_ready(link)
    assert [m.row for m in heard if m.kind == "D"] == [[str(size).encode(), told]], heard

    link.send(parse("select repeat('x', $1::int)"), bind([size]), execute(), SYNC)
    assert await reader.readexactly(10) == b"1\0\0\0\4" + b"2\0\0\0\4"
    kind, length, columns, value = struct.unpack("!cIHi", await reader.readexactly(11))
    assert (kind, length, columns, value) == (b"D", size + 10, 1, size), (kind, length)
    got, left = hashlib.md5(), size
    while left:
        part = await reader.read(min(left, MIB))
        assert part, "the row was cut"
        got.update(part)
        left -= len(part)
    assert got.hexdigest().encode() == told
    await until_ready(link)
    link.leave()


async def until_ready(link):
    """Messages up to ReadyForQuery."""
    heard = []
    while not heard or heard[-1].kind != "Z":
        heard.append(await link.read())
    return heard
