"""Lies during authentication (the C cases that need a whole exchange; the rest are rows of hostile_cases.py)."""

import base64

import pytest

import scram
from wire import errors, startup

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


