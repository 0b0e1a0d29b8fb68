"""A small client of PostgreSQL's protocol 3 for tests that care about single bytes.

It hides nothing: messages go out as given and come back as (kind, body) pairs.
"""

import hashlib
import socket
import struct
from typing import NamedTuple

PROTOCOL_3_0 = 196608
PROTOCOL_3_2 = 196610
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102


class Closed(Exception):
    """The peer closed the connection where a message was expected."""


class Message(NamedTuple):
    """One message: its kind byte and its body without the length."""

    kind: str
    body: bytes

    @property
    def fields(self):
        """Fields of an ErrorResponse or NoticeResponse, by their letter."""
        return {part[:1].decode(): part[1:].decode(errors="replace") for part in self.body.split(b"\0") if part}

    @property
    def row(self):
        """Values of a DataRow."""
        (count,), at, values = struct.unpack_from("!H", self.body), 2, []
        for _ in range(count):
            (size,) = struct.unpack_from("!i", self.body, at)
            at += 4
            values.append(None if size < 0 else self.body[at : at + size])
            at += max(size, 0)
        return values

    @property
    def columns(self):
        """(name, type oid) pairs of a RowDescription."""
        (count,), at, columns = struct.unpack_from("!H", self.body), 2, []
        for _ in range(count):
            end = self.body.index(b"\0", at)
            name = self.body[at:end].decode()
            (oid,) = struct.unpack_from("!I", self.body, end + 7)
            columns.append((name, oid))
            at = end + 19
        return columns


def message(kind, body=b""):
    """A typed message with a right length."""
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def raw(kind, length, body=b""):
    """A typed message with the length field as given, right or wrong."""
    return kind + struct.pack("!I", length & 0xFFFFFFFF) + body


def startup(user=None, database=None, protocol=PROTOCOL_3_0, **parameters):
    """A StartupMessage; `None` leaves user or database out."""
    pairs = {**({"user": user} if user is not None else {}), **({"database": database} if database else {}), **parameters}
    body = b"".join(_text(k) + _text(v) for k, v in pairs.items()) + b"\0"
    return packet(protocol, body)


def packet(code, body=b""):
    """An untyped first packet: length, code, body."""
    return struct.pack("!II", len(body) + 8, code) + body


def cancel_request(key):
    """A CancelRequest for a BackendKeyData body."""
    return packet(CANCEL_REQUEST, key)


def query(sql):
    """A simple Query."""
    return message("Q", _text(sql))


def parse(sql, name="", types=()):
    """A Parse."""
    return message("P", _text(name) + _text(sql) + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(values=(), name="", portal="", binary=False):
    """A Bind with text parameters; results in text unless `binary`."""
    body = _text(portal) + _text(name) + struct.pack("!HH", 0, len(values))
    for value in values:
        data = None if value is None else value if isinstance(value, bytes) else str(value).encode()
        body += struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data
    return message("B", body + (struct.pack("!HH", 1, 1) if binary else struct.pack("!H", 0)))


def describe(kind, name=""):
    """A Describe of a statement (`S`) or a portal (`P`)."""
    return message("D", kind.encode() + _text(name))


def execute(portal="", limit=0):
    """An Execute."""
    return message("E", _text(portal) + struct.pack("!I", limit))


def close(kind, name=""):
    """A Close of a statement (`S`) or a portal (`P`)."""
    return message("C", kind.encode() + _text(name))


SYNC = message("S")
FLUSH = message("H")
TERMINATE = message("X")
COPY_DONE = message("c")


def copy_data(data):
    """A CopyData."""
    return message("d", data)


def copy_fail(reason="no more"):
    """A CopyFail."""
    return message("f", _text(reason))


def run(sql, values=(), name=None, limit=0):
    """Parse, Bind, Execute of one statement, without Sync; a named statement when `name` is given."""
    return parse(sql, name or "") + bind(values, name or "") + execute(limit=limit)


def md5_secret(user, password, salt):
    """The answer to an md5 request."""
    inner = hashlib.md5(password.encode() + user.encode()).hexdigest().encode()
    return b"md5" + hashlib.md5(inner + salt).hexdigest().encode() + b"\0"


class Wire:
    """A blocking socket that reads whole messages."""

    def __init__(self, port, host="127.0.0.1", seconds=20.0, source=None):
        if host.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(seconds)
            self.socket.connect(f"{host}/.s.PGSQL.{port}")
        else:
            self.socket = socket.create_connection(
                (host, port), timeout=seconds, source_address=(source, 0) if source else None)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = bytearray()
        self.key = None
        self.parameters = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close without a word."""
        self.socket.close()

    def reset(self):
        """Close with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, *parts):
        """Send all parts in one go."""
        self.socket.sendall(b"".join(parts))

    def read_bytes(self, count):
        """Exactly `count` bytes, or Closed."""
        while len(self._pending) < count:
            try:
                chunk = self.socket.recv(65536)
            except ConnectionError as error:
                raise Closed(str(error)) from error
            if not chunk:
                raise Closed(f"closed with {len(self._pending)} of {count} bytes read")
            self._pending += chunk
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        return taken

    def unread(self, data):
        """Put bytes back in front of what comes next."""
        self._pending[:0] = data

    def read(self):
        """The next message."""
        kind, length = struct.unpack("!cI", self.read_bytes(5))
        return Message(kind.decode("latin-1"), self.read_bytes(length - 4))

    def read_until(self, kinds="Z"):
        """Messages up to and including the first of `kinds`."""
        messages = [self.read()]
        while messages[-1].kind not in kinds:
            messages.append(self.read())
        return messages

    def read_all(self):
        """Messages up to the end of the connection."""
        messages = []
        try:
            while True:
                messages.append(self.read())
        except Closed:
            return messages

    def silent_for(self, seconds=0.4):
        """Whether nothing, not even an end, arrives for a while."""
        if self._pending:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self._pending += self.socket.recv(65536)
            return False
        except TimeoutError:
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(before)

    def is_closed(self):
        """Whether the peer closed; waits for it. Anything else that arrives is an answer of no."""
        try:
            return not self._pending and not self.socket.recv(1)
        except ConnectionError:
            return True

    def login(self, user="trusty", database="app", password=None, **more):
        """Log in (trust, plain or md5) and return the messages up to ReadyForQuery."""
        self.send(startup(user, database, **more))
        return self.finish_login(user, password)

    def finish_login(self, user, password=None):
        """Answer password requests until ReadyForQuery; an error raises Refused."""
        messages = []
        while True:
            messages.append(self.read())
            kind, body = messages[-1]
            if kind == "R" and body[3:4] == b"\x03":
                self.send(message("p", _text(password)))
            elif kind == "R" and body[3:4] == b"\x05":
                self.send(message("p", md5_secret(user, password, body[4:8])))
            elif kind == "E":
                raise Refused(messages[-1])
            elif kind == "K":
                self.key = body
            elif kind == "S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif kind == "Z":
                return messages

    def query(self, sql):
        """A simple query's answer up to ReadyForQuery."""
        self.send(query(sql))
        return self.read_until()

    def value(self, sql):
        """The first column of the first row, as text."""
        return text_of(self.query(sql))


class Refused(Exception):
    """An ErrorResponse during login."""

    def __init__(self, error):
        super().__init__(error.fields.get("M"))
        self.error = error


def kinds(messages):
    """The kinds of messages as one word, rows and asynchronous chatter left as they are."""
    return "".join(m.kind for m in messages)


def rows(messages):
    """All rows as lists of text."""
    return [[None if v is None else v.decode(errors="replace") for v in m.row] for m in messages if m.kind == "D"]


def text_of(messages):
    """First column of the first row; raises with the server's error otherwise."""
    errors = [m for m in messages if m.kind == "E"]
    if errors:
        raise AssertionError(errors[0].fields)
    return rows(messages)[0][0]


def errors(messages):
    """Fields of every error."""
    return [m.fields for m in messages if m.kind == "E"]


def _text(value):
    return (value if isinstance(value, bytes) else str(value).encode()) + b"\0"
