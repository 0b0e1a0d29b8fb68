"""SCRAM-SHA-256 by hand: verifiers for userlists, and a client whose every word can be bent."""

import base64
import hashlib
import hmac
import struct

from wire import Wire, message, startup

NONCE = "fixed-client-nonce"


def verifier(password, salt=b"sixteen byte salt", iterations=4096):
    """The form pg_authid and a userlist store."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = base64.b64encode(hashlib.sha256(client_key).digest()).decode()
    server = base64.b64encode(hmac.digest(salted, b"Server Key", "sha256")).decode()
    return f"SCRAM-SHA-256${iterations}:{base64.b64encode(salt).decode()}${stored}:{server}"


def initial(first, mechanism="SCRAM-SHA-256", length=None):
    """A SASLInitialResponse; `length` overrides the inner length."""
    data = first.encode() if isinstance(first, str) else first
    inner = len(data) if length is None else length
    return message("p", mechanism.encode() + b"\0" + struct.pack("!I", inner & 0xFFFFFFFF) + data)


def response(text):
    """A SASLResponse."""
    return message("p", text.encode() if isinstance(text, str) else text)


def client_first(user="", nonce=NONCE, header="n,,"):
    """The client-first message."""
    return f"{header}n={user},r={nonce}"


def server_first(port, user, database="app"):
    """Ask for a challenge: (nonce, salt, iterations)."""
    with Wire(port) as wire:
        wire.send(startup(user, database))
        assert wire.read().body[:4] == b"\0\0\0\x0a"
        wire.send(initial(client_first()))
        return challenge(wire.read())


def challenge(answer):
    """Take a SASLContinue apart: (nonce, salt, iterations)."""
    assert answer.kind == "R" and answer.body[:4] == b"\0\0\0\x0b", answer
    parts = dict(part.split("=", 1) for part in answer.body[4:].decode().split(","))
    return parts["r"], parts["s"], parts["i"]


def client_final(password, nonce, salt, iterations, channel="biws", first=None):
    """The right client-final for a challenge."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client_key).digest()
    bare = f"n=,r={NONCE}" if first is None else first
    without = f"c={channel},r={nonce}"
    signed = f"{bare},r={nonce},s={salt},i={iterations},{without}".encode()
    proof = bytes(a ^ b for a, b in zip(client_key, hmac.digest(stored, signed, "sha256")))
    return f"{without},p={base64.b64encode(proof).decode()}"
