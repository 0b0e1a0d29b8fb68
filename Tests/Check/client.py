"""One checking client: asks, and believes nothing."""

import asyncio
import json
import random
import struct

from link import Garbled, Link, Lost, Refused
from tokens import Tokens

ASYNCHRONOUS = "NSA"
LULL_SECONDS = 0.005
QUEUED = b"client being queued"  # query_wait_notify: the pooler's own word to a client that waits long


class Setback(Exception):
    """The request came to nothing for a reason that is already noted; the connection is given up."""


class Answer(list):
    """The messages of one answer up to ReadyForQuery."""

    @property
    def kinds(self):
        """Kinds without asynchronous messages, as one word."""
        return "".join(m.kind for m in self if m.kind not in ASYNCHRONOUS)

    @property
    def rows(self):
        """Rows as lists of text."""
        return [[None if v is None else v.decode("utf-8", "replace") for v in m.row] for m in self if m.kind == "D"]

    @property
    def errors(self):
        """Fields of the errors."""
        return [m.fields for m in self if m.kind == "E"]

    @property
    def notices(self):
        """Texts of the notices."""
        return [m.fields.get("M", "") for m in self if m.kind == "N"]

    @property
    def tags(self):
        """Command tags."""
        return [m.body[:-1].decode() for m in self if m.kind == "C"]

    @property
    def status(self):
        """The transaction status."""
        return self[-1].body.decode()


class Client:
    """Runs requests of the mix on one connection after the other until `stop` is set."""

    def __init__(self, run, number):
        self.run, self.number = run, number
        self.findings = run.findings
        self.dice = random.Random(f"{run.seed}/client/{number}")
        self.tokens = Tokens(number, run.seed)
        self.name = f"pgcheck-{number}"
        self.link = None
        self.statements = {}
        self.asked = None
        self.before = None
        self._log = open(run.log / f"client-{number}.jsonl", "w", encoding="utf-8") if run.log else None

    # Life

    async def work(self):
        """Sessions until the end of the run."""
        while not self.run.stop.is_set():
            try:
                async with asyncio.timeout(self.run.patience):
                    self.link = await Link.open(self.run.address, application_name=self.name)
                self.findings.tally["logins"] += 1
                await self._session()
                self.link.leave()
            except Setback:
                self._give_up()
            except Refused as refused:
                self._give_up()
                self.findings.setback(refused.fields.get("C", "?"), f"{self._who()}: {refused}")
                await asyncio.sleep(self.dice.random() / 20)
            except Lost as lost:
                self._give_up()
                self.findings.disconnection(f"{self._who()}: {lost}")
                await asyncio.sleep(self.dice.random() / 20)
            except Garbled as garbled:
                self._give_up()
                self.findings.add("wrong", f"{self._who()}: {garbled}")
            except TimeoutError:
                self._give_up()
                self.findings.add("hangs", f"{self._who()}: no answer within {self.run.patience} s")
            except (ValueError, IndexError, struct.error, KeyError) as error:
                self._give_up()
                self.findings.add("wrong", f"{self._who()}: cannot be read: {error!r}")

    def _give_up(self):
        if self.link:
            self.link.drop()
            self.link = None

    def _who(self):
        kind, token = self.asked or ("login", None)
        return f"client {self.number} {kind} {token or ''}".rstrip()

    async def _session(self):
        self.statements = {}
        for _ in range(self.dice.randint(1, self.run.session_requests)):
            if self.run.stop.is_set():
                return
            kind = self.dice.choice(self.run.kinds)
            self.asked = (kind.__name__, None)
            async with asyncio.timeout(self.run.patience):
                await kind(self)
                self.findings.tally["requests"] += 1
                await self._lull()
                self.asked = None

    async def _lull(self):
        """After ReadyForQuery nothing may come but notices, parameters and notifications."""
        wait = self.dice.random() * LULL_SECONDS if self.dice.random() < self.run.lull_share else 0
        while (m := await self.link.idle_message(wait) if wait else self.link.pending()) is not None:
            self.note(m, self.before)
            if m.kind == "E" and m.fields.get("S") in ("FATAL", "PANIC"):
                raise Refused(m.fields)
            if m.kind not in ASYNCHRONOUS:
                repeated = self.before and self.before.encode() in m.body
                self._wrong("duplicates" if repeated else "foreign", f"after ReadyForQuery: {m}")
            wait = 0
        if self.link.has_part and not wait:
            m = await self.link.idle_message(1)
            if m is None or m.kind not in ASYNCHRONOUS:
                self._wrong("foreign", f"after ReadyForQuery: {m}")

    # Asking

    def token(self):
        """A new token, which the findings of this request are noted under."""
        made = self.tokens.new()
        self.asked = (self.asked[0] if self.asked else "?", made)
        return made

    async def ask(self, token, *parts):
        """Send, and return the answer up to ReadyForQuery."""
        self.link.send(*parts)
        return await self.answer(token)

    async def answer(self, token, until="Z"):
        """Messages up to ReadyForQuery (or one of `until`); every token in them must be this one."""
        heard = Answer()
        while True:
            m = await self.link.read()
            self.note(m, token)
            if m.kind == "N" and QUEUED in m.body:
                self.findings.tally["told_to_queue"] += 1
                continue
            heard.append(m)
            if m.kind == "E" and m.fields.get("S") in ("FATAL", "PANIC"):
                raise Refused(m.fields)
            if m.kind in until or m.kind == "Z":
                break
        self.before = token
        if self._log:
            self._write(token, heard)
        return heard

    def note(self, m, token):
        """Look for tokens that are not ours."""
        foreign = self.tokens.foreign(m.body, token, own_client_suffices=m.kind == "S")
        if foreign:
            kind = "mixups" if foreign.of_another_client else "foreign"
            self._wrong(kind, f"heard {foreign.token} in {m.kind}")

    def _write(self, token, heard):
        line = {
            "kind": self.asked and self.asked[0], "token": token, "answer": heard.kinds,
            "heard": sorted({t.group().decode() for m in heard if m.kind != "S" for t in self.run.pattern.finditer(m.body)}),
        }
        self._log.write(json.dumps(line) + "\n")

    # Judging

    def _wrong(self, kind, text):
        self.findings.add(kind, f"{self._who()}: {text}"[:600])
        raise Setback

    def must(self, right, what, heard=None, kind="wrong"):
        """A finding, and the end of this connection, unless `right`."""
        if not right:
            self._wrong(kind, f"{what}; heard {heard[:6] if heard else heard}")

    def clean(self, answer, status="I"):
        """No error in this answer, no notice, and the right transaction status."""
        for fields in answer.errors:
            self.findings.setback(fields.get("C", "?"), f"{self._who()}: {fields.get('M')}")
            raise Setback
        for m in answer:
            if m.kind == "N":
                self._stray_notice(m.fields)
        self.must(answer.status == status, f"status {answer.status}, not {status}", answer)
        return answer

    def _stray_notice(self, fields):
        code = fields.get("C", "?")
        if not self.findings.allows(code):
            self._wrong("foreign", f"notice nobody asked for: {fields}")

    def own_error(self, answer, code, token, status="I"):
        """Exactly one error, ours: this SQLSTATE and this token."""
        others = [e for e in answer.errors if e.get("C") != code]
        if others:
            self.findings.setback(others[0].get("C", "?"), f"{self._who()}: {others[0].get('M')}")
            raise Setback
        self.must(len(answer.errors) == 1, f"one error {code}", answer)
        self.must(token in answer.errors[0].get("M", ""), "the token in the error", answer)
        self.must(answer.status == status, f"status {answer.status}, not {status}", answer)
        self.findings.tally["own_errors"] += 1
