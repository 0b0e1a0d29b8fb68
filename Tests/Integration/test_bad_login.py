"""Lies during authentication (the C cases)."""

import base64
import struct

import pytest

import scram
from wire import Wire, errors, message, query, raw, startup

PASSWORD = "open sesame"


@pytest.fixture
def guarded(make_pooler, backend):
    """A pooler that wants SCRAM; afterwards the right password must still open it."""
    pooler = make_pooler(
        auth_type="scram-sha-256", client_login_timeout=4, databases={"app": backend + " user=trusty"},
        secrets={"visitor": scram.verifier(PASSWORD), "admin": "adm", "trusty": ""},
    )
    yield pooler
    assert pooler.connect(user="visitor", password=PASSWORD).execute("select 1").fetchone() == (1,)


def first_words(pooler, *words):
    """Start, hear the SASL request, say something, read to the end."""
    with Wire(pooler.port) as wire:
        wire.send(startup("visitor", "app"))
        assert wire.read().kind == "R"
        wire.send(*words)
        return errors(wire.read_all())


def full_login(pooler, bend=lambda final: final, **first):
    """A whole exchange whose last message may be bent: everything heard after it."""
    wire = pooler.bare_wire()
    wire.send(startup("visitor", "app"))
    wire.read()
    wire.send(scram.initial(scram.client_first(**first)))
    nonce, salt, iterations = scram.challenge(wire.read())
    wire.send(scram.response(bend(scram.client_final(PASSWORD, nonce, salt, iterations))))
    return wire


def test_the_bending_client_can_be_straight(guarded):
    """The hand-made client logs in when nothing is bent."""
    wire = full_login(guarded)
    wire.finish_login("visitor")
    assert wire.value("select 1") == "1"


FIRST = [
    ("C4 other mechanism", scram.initial(scram.client_first(), "SCRAM-SHA-1")),
    ("C5 channel binding in clear", scram.initial(scram.client_first(header="p=tls-unique,,"), "SCRAM-SHA-256-PLUS")),
    ("C12 unprintable nonce", scram.initial(scram.client_first(nonce="\x01\x02"))),
    ("C14 gs2 p without PLUS", scram.initial(scram.client_first(header="p=tls-unique,,"))),
    ("C15 authzid", scram.initial(scram.client_first(header="n,a=bob,"))),
    ("C16 extension", scram.initial("n,,m=x,n=,r=abc")),
    ("C21 length 3", raw(b"p", 3)),
    ("C21 length 0", raw(b"p", 0)),
    ("C21 length -1", raw(b"p", -1)),
    ("empty first", scram.initial("")),
    ("commas", scram.initial(",,,,,,,,")),
    ("no attributes", scram.initial("n,,")),
    ("second startup", startup("visitor", "app")),
    ("C20 query instead", query("select 1")),
]


@pytest.mark.parametrize("words", [pytest.param(w, id=i) for i, w in FIRST])
def test_bad_first_message(guarded, words):
    """Refused with FATAL, or closed."""
    assert all(e["S"] == "FATAL" for e in first_words(guarded, words))


HANGS_IN_PGBOUNCER = [
    ("C6 inner length -1", scram.initial(scram.client_first(), length=-1)),
    ("C7 inner length 2 GiB", scram.initial(scram.client_first(), length=0x7FFFFFFF)),
    ("C8 inner length wraps", scram.initial(scram.client_first(), length=0xFFFFFFF0)),
    ("C9 inner length too short", scram.initial(scram.client_first(), length=3)),
    ("C10 no NUL", message("p", b"SCRAM-SHA-256")),
    ("C18 final as first", scram.response("c=biws,r=x,p=eA==")),
    ("C22 claims 100 MB", raw(b"p", 100_000_000)),
    ("C22 claims 1 GiB", raw(b"p", 1 << 30)),
]


@pytest.mark.ours
@pytest.mark.parametrize("words", [pytest.param(w, id=i) for i, w in HANGS_IN_PGBOUNCER])
def test_bad_lengths_are_refused_at_once(guarded, words):
    """FATAL on sight instead of waiting for the login timeout."""
    heard = first_words(guarded, words)
    assert heard and heard[-1]["S"] == "FATAL" and "client_login_timeout" not in heard[-1]["M"]


def other_proof(final, size):
    """The final message with a proof of another size."""
    return final[: final.index(",p=")] + ",p=" + base64.b64encode(b"x" * size).decode()


FINAL = [
    ("C19 wrong nonce", lambda f: f.replace(",r=", ",r=x")),
    ("C19 wrong channel", lambda f: f.replace("c=biws", "c=cD0=")),
    ("C19 bad base64", lambda f: f[:-4] + "!!!!"),
    ("C19 short proof", lambda f: other_proof(f, 31)),
    ("C19 long proof", lambda f: other_proof(f, 33)),
    ("C19 wrong proof", lambda f: other_proof(f, 32)),
    ("C19 proof twice", lambda f: f + f[f.index(",p=") :]),
    ("C19 proof not last", lambda f: f + ",x=y"),
    ("no proof", lambda f: f[: f.index(",p=")]),
    ("empty", lambda f: ""),
]


@pytest.mark.parametrize("bend", [pytest.param(b, id=i) for i, b in FINAL])
def test_bad_final_message(guarded, bend):
    """SASL authentication failed, or closed; never in."""
    heard = full_login(guarded, bend).read_all()
    assert not any(m.kind == "Z" for m in heard)
    assert all(e["S"] == "FATAL" for e in errors(heard))


def test_replayed_final_message(guarded):
    """A recorded final message opens nothing (C32)."""
    said = []
    full_login(guarded, lambda f: said.append(f) or f).finish_login("visitor")
    assert not any(m.kind == "Z" for m in full_login(guarded, lambda f: said[0]).read_all())


def test_name_inside_scram_is_ignored(guarded):
    """The startup message alone says who one is (C17)."""
    wire = guarded.bare_wire()
    wire.send(startup("visitor", "app"))
    wire.read()
    wire.send(scram.initial(scram.client_first(user="admin")))
    nonce, salt, iterations = scram.challenge(wire.read())
    final = scram.client_final(PASSWORD, nonce, salt, iterations, first=f"n=admin,r={scram.NONCE}")
    wire.send(scram.response(final))
    wire.finish_login("visitor")
    assert wire.value("select 1") == "1"


def test_password_after_login(pooler):
    """A password message after login is an unknown packet (C20)."""
    wire = pooler.wire()
    wire.send(message("p", b"late\0"))
    assert errors(wire.read_all())[-1]["S"] == "FATAL"
    pooler.settle()


@pytest.mark.parametrize(
    "body",
    [b"", b"no NUL", b"in\0ner\0", b"x" * 3000 + b"\0", struct.pack("!I", 5)],
    ids=["empty", "no-nul", "inner", "long", "binary"],
)
def test_bad_plain_passwords(make_pooler, backend, body):
    """Odd password messages are refused, nobody is hurt (C25)."""
    pooler = make_pooler(
        auth_type="plain", databases={"app": backend + " user=trusty"}, client_login_timeout=2,
        secrets={"visitor": "in", "admin": "", "trusty": ""},
    )
    with Wire(pooler.port) as wire:
        wire.send(startup("visitor", "app"))
        wire.read()
        wire.send(message("p", body))
        if body == b"in\0ner\0":
            return
        assert not any(m.kind == "Z" for m in wire.read_all())
    assert pooler.wire("visitor", password="in").value("select 1") == "1"


@pytest.mark.ours
def test_query_before_authentication(guarded):
    """A Query before the password ends with a FATAL (C1)."""
    heard = first_words(guarded, query("select 1"))
    assert heard and heard[-1]["S"] == "FATAL"
