"""Every row of hostile_cases.py against the real binary, in four deliveries, with six checks behind each.

The checks: (g1) the process is the same; (g2) a bystander in the same pool, who asks for tokens all the time, saw no
error and no foreign byte; (g3) within a second the pool's accounts are what they were; (g4) the resident size is
within 64 KiB of what it was; (g5) at most two log lines a delivery besides those about logins, none with a control
byte or a password; (g6) nothing reached a server when the case was over before the login.
"""

import os
import random
import re
import socket
import ssl
import struct
import threading
import time
from pathlib import Path

import pytest

import scram
from certificates import Authority
from direct import FENCE, FENCE_ANSWER, permitted
from fakeserver import READY, FakeServer, result
from hostile_cases import (
    CANARY, CASES, CLOSES, DIRECT, ELSEWHERE, GOOD, KNOWN, LEFT_OUT, RECENT, SERVER_CASES, Case,
)
from machine import pooler_binary
from pooler import Pooler, ask
from waiting import eventually
from wire import (
    SSL_REQUEST, SYNC, Closed, Wire, bind, cancel_request, close, errors, execute, kinds, packet, parse, query, rows,
    startup,
)

# Against PgBouncer only the reactions are compared, in one piece: it holds few of the checks.
IS_PGBOUNCER = "pgbouncer" in pooler_binary().name

ROUNDS = 6
SPARE_BYTES = 64 << 10
QUIET_SECONDS = 0.05
ACCOUNTS = (
    "cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active", "sv_active_cancel",
    "sv_being_canceled", "sv_tested", "sv_login",
)
NOT_COUNTED = ("login attempt", "new connection to server", "closing because", "stats:", "no such user")


class Bystander(threading.Thread):
    """A client that asks for tokens all the time and keeps what went wrong; `rest` lets others look at a calm pool."""

    def __init__(self, pooler, **login):
        super().__init__(daemon=True)
        self.wire = pooler.wire(**login)
        self.rest, self.ending = threading.Lock(), False
        self.trouble, self.answers = None, 0

    def run(self):
        """Ask until the end or the first trouble."""
        dice = random.Random(7)
        while not self.ending and not self.trouble:
            token = f"t{dice.getrandbits(64):x}"
            try:
                with self.rest:
                    answer = self.wire.query(f"select '{token}'")
                if [m.kind for m in answer] != list("TDCZ") or rows(answer) != [[token]]:
                    self.trouble = answer
                self.answers += 1
            except Exception as problem:  # whatever it is, the test must report it
                self.trouble = problem
            time.sleep(0.004)


class Venue:
    """A pooler that many cases share, with its bystander, its console, and a server that only records."""

    def __init__(self, pooler, record, **bystander):
        self.pooler, self.record = pooler, record
        self.console = pooler.wire("admin", "pgbouncer", password=CANARY)
        self.bystander = Bystander(pooler, **bystander)
        self.bystander.start()
        eventually(lambda: self.bystander.answers > 3 or self.bystander.trouble, "the bystander works")

    def end(self):
        """Stop everything."""
        self.bystander.ending = True
        self.bystander.join(10)
        self.pooler.stop()
        self.pooler.remove()

    def accounts(self):
        """Clients and servers at work, pool by pool, the bystander at rest."""
        with self.bystander.rest:
            return {
                (row["database"], row["user"]): {k: row[k] for k in ACCOUNTS if k in row}
                for row in ask(self.console, "SHOW POOLS")
            }

    def recorded(self):
        """How much has reached the recording server: connections and messages."""
        return self.record.connections, self.record.messages

    def log_since(self, start):
        """The bytes logged since there."""
        with open(self.pooler.folder / "pooler.log", "rb") as log:
            log.seek(start)
            return log.read()

    def log_size(self):
        """Where the log ends now."""
        return (self.pooler.folder / "pooler.log").stat().st_size


def told(sql, _):
    """What a good server says to a query that wants to be told something."""
    return result(sql.split("'")[1]) + READY


@pytest.fixture(scope="module")
def venues(room, binary, database, tmp_path_factory):
    """Poolers by the place a case goes to, made when first needed."""
    database.execute("create table if not exists hostile (i int)")
    database.execute("grant all on hostile to public")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
    passwords = {"trusty": "", "visitor": CANARY, "admin": CANARY}
    made, record = {}, FakeServer(told)
    app = f"host=127.0.0.1 port={database.port} dbname={database.name}"
    verifiers = {"trusty": "", "visitor": scram.verifier(CANARY), "admin": scram.verifier(CANARY)}

    def make(kind, tls):
        more = {
            "trust": {},
            "server": {},
            "sasl": {"settings": {"auth_type": "scram-sha-256"}, "secrets": verifiers},
            "password": {"settings": {"auth_type": "plain"}, "secrets": passwords},
        }[kind]
        own = {} if kind in ("trust", "server") else {"user": "visitor", "password": CANARY}
        recorded = f"host=127.0.0.1 port={record.port}" + (" pool_size=1" if kind == "server" else "")
        databases = {"app": app + ("" if kind in ("trust", "server") else " user=trusty"), "recorded": recorded}
        settings = {"default_pool_size": 3, "client_login_timeout": 4, **more.pop("settings", {})}
        if tls:
            authority = Authority(tmp_path_factory.mktemp("hostile"))
            site = authority.issue("localhost", "DNS:localhost", for_daemons=True)
            settings |= {"client_tls_sslmode": "prefer", "client_tls_key_file": site.key}
            settings |= {"client_tls_cert_file": site.certificate, "workers": 1}
        pooler = Pooler(room / f"{worker}-hostile-{kind}{'-tls' * tls}", binary, databases=databases, settings=settings, **more)
        return pooler.start(), own

    def venue(place, tls=False):
        kind = place if place in ("sasl", "password", "server") else "trust"
        if (kind, tls) not in made:
            pooler, own = make(kind, tls)
            made[kind, tls] = ScramVenue(pooler, record) if kind == "sasl" else Venue(pooler, record, **own)
        return made[kind, tls]

    yield venue
    for each in made.values():
        each.end()
    record.listener.close()


class EncryptedWire(Wire):
    """A wire inside TLS."""

    def __init__(self, port):
        super().__init__(port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket.sendall(packet(SSL_REQUEST))
        assert self.socket.recv(1) == b"S"
        self.socket = context.wrap_socket(self.socket)

    def send(self, *parts):
        try:
            super().send(*parts)
        except ssl.SSLError as error:
            raise ConnectionResetError(str(error)) from error

    def read_bytes(self, count):
        try:
            return super().read_bytes(count)
        except ssl.SSLError as error:
            raise Closed(str(error)) from error


class ScramWire(Wire):
    """A wire that can log in with SCRAM."""

    def login(self, user="visitor", database="app", password=CANARY, **more):
        self.send(startup(user, database, **more))
        self.read()
        self.send(scram.initial(scram.client_first()))
        self.send(scram.response(scram.client_final(CANARY, *scram.challenge(self.read()))))
        return self.finish_login(user)


class ScramVenue(Venue):
    """A venue whose logins speak SCRAM."""

    def __init__(self, pooler, record):
        def wire(user="visitor", database="app", password=CANARY):
            made = ScramWire(pooler.port)
            made.login(user, database)
            pooler._opened.append(made)
            return made

        pooler.wire = wire
        super().__init__(pooler, record)


def boundaries(case):
    """Where the messages of a case begin and where their headers end."""
    found, at, typed = {1}, 0, case.place != "first"
    while at < len(case.data) and len(found) < 40:
        header = 5 if typed else 4
        if at + header > len(case.data):
            break
        (length,) = struct.unpack_from("!I", case.data, at + header - 4)
        found |= {at + header, at + header + 4}
        at += max(length, 4) + header - 4
        found.add(at)
    return sorted({b + d for b in found for d in (-1, 0, 1) if 0 < b + d < len(case.data)})


def deliveries(case):
    """(name, pieces, glued) for each way the bytes are sent."""
    yield "whole", [case.data], False
    if case.bulk or not case.data:
        return
    step = 1 if len(case.data) <= 400 else len(case.data) // 97
    yield "byte by byte", [case.data[at : at + step] for at in range(0, len(case.data), step)], False
    cuts = boundaries(case)
    for cut in random.Random(case.id).sample(cuts, min(len(cuts), 5)):
        yield f"cut at {cut}", [case.data[:cut], case.data[cut:]], False
    if case.place != "first":  # nothing that is valid comes before a first packet
        yield "glued", [case.data], True


GLUE = {
    "sasl": startup("visitor", "recorded"), "password": startup("visitor", "recorded"),
    "inside": query("select 'glue'"), "console": query("SHOW VERSION"),
}


# The message that ends what is heard, by what is expected; otherwise it is the end of the connection.
STOPS = {"asked": "R", "asked or fatal": "R", "enters": "Z", "fails later": "Z", "error": "Z", "error or end": "Z"}


def open_wire(case, port, glued, database="app", make=Wire):
    """A connection at the place where the case begins; the glue is left to be sent."""
    wire = make(port)
    if case.place == "inside":
        wire.login(database=database)
    elif case.place == "console":
        wire.login("admin", "pgbouncer")
    elif case.place != "first" and not glued:
        wire.send(GLUE[case.place])
        wire.read()
    return wire


def send(wire, pieces):
    """Send piece by piece; the peer may be gone before the last."""
    try:
        for number, piece in enumerate(pieces):
            if 0 < number and len(pieces) < 4:
                time.sleep(0.002)
            wire.send(piece)
    except ConnectionError:
        pass


def hear(case, wire, glued):
    """All that comes back, ending in "end" where the connection ended."""
    what, heard = case.expect.what, []
    if what == "waits":
        return [] if wire.silent_for(QUIET_SECONDS) else ["something"]
    stops = STOPS.get(what, "")
    wanted = 1 + (glued and case.place in ("inside", "console", "sasl", "password"))
    tail = ""
    try:
        while True:
            heard.append(wire.read())
            tail += heard[-1].kind
            if what == "direct" and tail.endswith(FENCE_ANSWER):
                return heard
            if stops and tail.count(stops) >= wanted:
                return heard
    except (Closed, ConnectionError):
        return [*heard, "end"]


def play(case, port, pieces, glued, database="app", make=Wire):
    """One delivery: what was heard, and the wire for one more question."""
    wire = open_wire(case, port, glued, database, make)
    if glued:
        pieces = [GLUE[case.place] + pieces[0], *pieces[1:]]
    if case.expect.what == "direct":
        pieces = [*pieces, FENCE] if len(pieces) > 1 else [pieces[0] + FENCE]
    sender = threading.Thread(target=send, args=(wire, pieces)) if case.bulk else None
    sender.start() if sender else send(wire, pieces)
    heard = hear(case, wire, glued)
    if sender:
        sender.join(20)
    return heard, wire


def judge(case, heard, wire, direct):
    """Whether the reaction is the expected one."""
    expect, failed = case.expect, errors([m for m in heard if m != "end"])
    ended = heard[-1:] == ["end"]
    if expect.what == "fatal":
        assert ended and failed and failed[-1]["S"] == "FATAL", heard
        assert expect.text in failed[-1]["M"] and expect.code in ("", failed[-1]["C"]), failed[-1]
    elif expect.what == "closes":
        assert ended and all(e["S"] == "FATAL" for e in failed), heard
        assert not any(m != "end" and m.kind == "Z" for m in heard) or case.place == "inside", heard
    elif expect.what == "silent close":
        assert ended and not failed, heard
    elif expect.what == "waits":
        assert heard == []
    elif expect.what == "asked":
        assert heard[-1] != "end" and heard[-1].kind == "R" and heard[-1].body[3] in (10, 11), heard
    elif expect.what == "asked or fatal":
        assert (ended and failed) or heard[-1].kind == "R", heard
    elif expect.what == "enters":
        assert not ended and wire.value("tell 'in'") == "in", heard
    elif expect.what == "fails later":
        assert ended or _fails(wire), heard
    elif expect.what == "error":
        assert not ended and failed and failed[-1]["S"] == "ERROR" and expect.code in ("", failed[-1]["C"]), heard
    elif expect.what == "error or end":
        assert failed or ended, heard
    else:
        one, other = permitted(direct, heard)
        assert one == other, f"directly {one}\npooled {other}"


def _marks(case):
    return [pytest.mark.ours] * case.ours + [pytest.mark.recent] * (case.number in RECENT)


def _fails(wire):
    try:
        return bool(errors(wire.query("select 1")))
    except Closed:
        return True


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.id, marks=_marks(c)) for c in CASES]
)
def test_case(case, venues, database, request):
    """The expected reaction in every delivery, and the six checks."""
    if (reason := KNOWN.get(case.id)) is not None and not IS_PGBOUNCER:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    venue = venues(case.place)
    direct = {}
    for name, pieces, glued in deliveries(case):
        if case.expect.what == "direct" and glued not in direct:
            direct[glued], wire = play(case, database.port, pieces, glued, database.name)
            wire.close()
    if IS_PGBOUNCER:
        _deliver(case, venue, ("whole", [case.data], False), direct)
        return
    before = Before(venue)
    for delivery in deliveries(case):
        _deliver(case, venue, delivery, direct)
    before.check(case, sum(1 for _ in deliveries(case)))
    if case.bulk:
        return
    for _ in range(ROUNDS):  # the first rounds warm caches; growth that does not stop is a leak
        size = venue.pooler.resident_bytes()
        for delivery in deliveries(case):
            _deliver(case, venue, delivery, direct)
        grown = venue.pooler.resident_bytes() - size
        if grown <= SPARE_BYTES:
            return
    pytest.fail(f"g4: still {grown} bytes more after {ROUNDS} rounds")


def inside_tls(case):
    """The case as it is inside TLS: there channel binding is on offer, and who says that it is not was lied to."""
    return case._replace(expect=CLOSES) if case.number == "C13" else case


def _few_deliveries(case):
    """Whole, each byte a record of its own, cut once, glued."""
    kinds_seen = set()
    for delivery in deliveries(case):
        kind = delivery[0].split(" at ")[0]
        if kind not in kinds_seen:
            kinds_seen.add(kind)
            yield delivery


@pytest.mark.ours
@pytest.mark.parametrize("case", [pytest.param(inside_tls(c), id=c.id) for c in CASES])
def test_case_inside_tls(case, venues, database, request):
    """The same reactions and checks for bytes that come through TLS."""
    if (reason := KNOWN.get(case.id)) is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    venue = venues(case.place, tls=True)
    direct = {}
    before = Before(venue)
    for delivery in _few_deliveries(case):
        name, pieces, glued = delivery
        if case.expect.what == "direct" and glued not in direct:
            direct[glued], wire = play(case, database.port, pieces, glued, database.name)
            wire.close()
        _deliver(case, venue, delivery, direct, EncryptedWire)
    before.check(case, sum(1 for _ in _few_deliveries(case)))


def _deliver(case, venue, delivery, direct, make=Wire):
    name, pieces, glued = delivery
    heard, wire = play(case, venue.pooler.port, pieces, glued, make=make)
    with wire:
        try:
            judge(case, heard, wire, direct.get(glued))
        except AssertionError as problem:
            raise AssertionError(f"delivery {name}: {problem}") from None


def server_deliveries(case):
    """Ways a server sends its bytes. What is behind ReadyForQuery is never cut off from its last byte: later it would
    be no different from the answer to whoever comes next; "late" waits until nobody has the server."""
    behind = len(GOOD) if case.data.startswith(GOOD) else len(case.data)
    yield "whole", [case.data]
    yield "byte by byte", [case.data[at : at + 1] for at in range(behind - 1)] + [case.data[behind - 1 :]]
    for cut in random.Random(case.id).sample(range(1, behind), 3 if behind > 6 else 1):
        yield f"cut at {cut}", [case.data[:cut], 0.002, case.data[cut:]]
    if behind < len(case.data):
        yield "late", [case.data[:behind], 0.03, case.data[behind:]]


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.id, marks=[pytest.mark.ours] * c.ours) for c in SERVER_CASES]
)
def test_server_case(case, venues):
    """A gets exactly its answer, an error or an end; B, who waited, gets B's answer; the six checks."""
    venue = venues("server")
    before = Before(venue)
    count = 0
    for name, pieces in server_deliveries(case):
        count += 1
        try:
            _serve_badly(case, venue, name, pieces)
        except AssertionError as problem:
            raise AssertionError(f"delivery {name}: {problem}") from None
    before.check(Case(case.number, case.name, "inside", b"", DIRECT), count)


def _serve_badly(case, venue, name, pieces):
    bad = [pieces]
    venue.record.answer = lambda sql, number: bad.pop() if "for A" in sql and bad else told(sql, number)
    port = venue.pooler.port
    with Wire(port) as a, Wire(port) as b:
        a.login(database="recorded")
        b.login(database="recorded")
        a.send(query("tell 'for A'"))
        if name != "late":
            b.send(query("tell 'for B'"))
        heard = []
        try:
            while not heard or heard[-1].kind != "Z":
                heard.append(a.read())
        except Closed:
            heard = errors(heard) and heard
        if case.heard == "answer":
            assert heard and rows(heard) == [["for A"]] and not errors(heard), heard
        elif case.heard == "error":
            assert errors(heard)[0]["M"] == "no code", heard
        else:
            assert not heard or errors(heard), heard
        if name == "late":
            time.sleep(0.06)
            b.send(query("tell 'for B'"))
        answer = b.read_until()
        assert rows(answer) == [["for B"]] and not errors(answer), answer
        if case.heard == "answer":
            again = a.query("tell 'again'")
            assert rows(again) == [["again"]] and not errors(again), again


GROUPS = {"A": 45, "B": 18, "C": 33, "D": 18, "E": 30, "X": 25, "Y": 12, "H": 37, "R": 12, "J": 16}


def test_every_number_has_its_place():
    """Each of the 246 cases is a row, or is played by a test that exists, or is left out for a written reason."""
    placed = {case.number for case in [*CASES, *SERVER_CASES]}
    for file, tests in ELSEWHERE.items():
        text = (Path(__file__).parent / file).read_text()
        for test, numbers in tests.items():
            assert re.search(rf"^def {test}\(", text, re.MULTILINE), f"{file} has no {test}"
            placed |= set(numbers.split())
    placed |= {number for numbers in LEFT_OUT for number in numbers.split()}
    wanted = {f"{group}{number}" for group, count in GROUPS.items() for number in range(1, count + 1)}
    assert placed == wanted, f"without a place: {sorted(wanted - placed)}; unknown: {sorted(placed - wanted)}"


@pytest.fixture
def watched(venues):
    """The trusting pooler, checked after a test that is more than bytes."""
    venue = venues("inside")
    if IS_PGBOUNCER:
        pytest.skip("the checks are ours")
    before = Before(venue)
    yield venue.pooler
    before.check(CASES[0]._replace(place="inside"), 1000)


def test_guessed_keys(watched):
    """The right first half and a guessed second: nobody is cancelled, no server is asked (D4)."""
    wire = watched.wire()
    wire.send(query("select pg_sleep(1)"))
    dice = random.Random(1)
    for _ in range(300):
        with Wire(watched.port) as other:
            other.send(cancel_request(wire.key[:4] + dice.randbytes(4)))
            assert other.is_closed()
    assert not errors(wire.read_until())
    wire.close()


def test_cancel_of_a_console_session(watched):
    """The key of a console session cancels nothing and hurts nobody (D14)."""
    console = watched.console()
    watched.cancel(console.key)
    assert not errors(console.query("SHOW VERSION"))
    console.close()


def test_fifty_clients_one_name(watched):
    """The same statement name with another text each: everybody gets their own (X22)."""
    wires = [watched.wire() for _ in range(50)]
    for number, wire in enumerate(wires):
        wire.send(parse(f"select 'text {number}'", "same"), SYNC)
    for wire in wires:
        assert kinds(wire.read_until()) == "1Z"
    for _ in range(3):
        for wire in wires:
            wire.send(bind([], "same"), execute(), SYNC)
        for number, wire in enumerate(wires):
            assert rows(wire.read_until()) == [[f"text {number}"]]
    for wire in wires:
        wire.close()


def test_urgent_byte(watched):
    """TCP urgent data is data like any other, or ignored; a reset while we write is survived (E28)."""
    wire = watched.wire()
    wire.socket.send(b"Q", socket.MSG_OOB)
    wire.reset()
    wire = watched.wire()
    wire.send(query("select repeat('x', 5000000)"))
    wire.reset()


def test_very_many_names(watched):
    """Twenty thousand statement names of one client are served or refused with an error; closing gives back (X11)."""
    wire = watched.wire()
    for start in range(0, 20_000, 500):
        wire.send(b"".join(parse(f"select {n}", f"n{n}") for n in range(start, start + 500)), SYNC)
        answer = wire.read_until()
        assert set(kinds(answer)) <= set("1EZ")
        wire.send(b"".join(close("S", f"n{n}") for n in range(start, start + 500)), SYNC)
        wire.read_until()
    wire.close()


def test_vanish_in_a_pipeline(watched):
    """A client that is gone after any byte of a pipeline leaves nothing behind (E26)."""
    batch = parse("select 1", "s") + SYNC + query("begin") + bind([], "s") + execute() + SYNC
    for at in range(1, len(batch), 4):
        wire = watched.wire()
        wire.send(batch[:at])
        wire.reset() if at % 8 == 1 else wire.close()


class Before:
    """What was true before the case, and must be again."""

    def __init__(self, venue):
        self.venue = venue
        self.pid = venue.pooler.process.pid
        eventually(self._is_idle, "the pool is idle")
        self.log, self.accounts = venue.log_size(), venue.accounts()
        self.recorded, self.answers = venue.recorded(), venue.bystander.answers
        self.bytes = venue.pooler.resident_bytes()

    def _is_idle(self):
        return all(row[k] == "0" for row in self.venue.accounts().values() for k in row if k.startswith("sv_"))

    def check(self, case, count):
        """g1 to g6 after `count` deliveries."""
        venue = self.venue
        assert venue.pooler.is_running() and venue.pooler.process.pid == self.pid, "g1: the process ended"
        bystander = venue.bystander
        eventually(lambda: bystander.answers > self.answers or bystander.trouble, "g2: the bystander is served")
        assert bystander.trouble is None, f"g2: {bystander.trouble}"
        wanted = {**self.accounts}
        eventually(lambda: self._calm(wanted), f"g3: the accounts are {wanted}, last {venue.accounts()}", 1.0)
        if case.bulk:
            grown = venue.pooler.resident_bytes() - self.bytes
            assert grown <= max(self.bytes // 20, 2 << 20), f"g4: {grown} bytes more"
        written = venue.log_since(self.log)
        lines = [line for line in written.split(b"\n") if line and not any(w.encode() in line for w in NOT_COUNTED)]
        assert len(lines) <= 2 * count, f"g5: {len(lines)} lines for {count} deliveries: {lines[:6]}"
        assert not any(byte < 32 and byte != 10 or byte == 127 for byte in written), "g5: control bytes in the log"
        assert CANARY.encode() not in written, "g5: a password in the log"
        if case.place in ("first", "sasl", "password") and case.expect.what not in ("enters", "fails later"):
            assert venue.recorded() == self.recorded, "g6: a server heard of it"

    def _calm(self, wanted):
        now = self.venue.accounts()
        idle = {k: "0" for k in ACCOUNTS}
        return all({**idle, **row} == {**idle, **wanted.get(pool, {})} for pool, row in now.items())
