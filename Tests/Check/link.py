"""One connection of the checking client: asyncio, whole messages, no driver."""

import asyncio
import socket
import struct
from dataclasses import dataclass

import scram
from wire import TERMINATE, Message, cancel_request, md5_secret, message, startup

LONGEST_MESSAGE_BYTES = 256 << 20
KNOWN_KINDS = frozenset(b"123CDEGHIKNRSTZcdnstAvW")


class Lost(Exception):
    """The connection ended where a message was expected."""


class Garbled(Exception):
    """Bytes that are no message of PostgreSQL's: the stream is out of step."""


class Refused(Exception):
    """A FATAL error, or an error during login; the connection is of no more use."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('C')} {fields.get('M')}")
        self.fields = fields


@dataclass(frozen=True)
class Address:
    """Where to connect, and as whom."""

    host: str
    port: int
    user: str
    dbname: str
    password: str = ""

    async def streams(self):
        """Open a socket."""
        try:
            if self.host.startswith("/"):
                opening = asyncio.open_unix_connection(f"{self.host}/.s.PGSQL.{self.port}", limit=1 << 20)
            else:
                opening = asyncio.open_connection(self.host, self.port, limit=1 << 20)
            return await opening
        except OSError as error:
            raise Lost(f"connect: {error}") from error


class Link:
    """A logged-in connection; `key` is its BackendKeyData."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self._buffer, self._at = bytearray(), 0
        self.key = None

    @classmethod
    async def open(cls, address, **parameters):
        """Connect and log in by whatever way the server asks for."""
        link = cls(*await address.streams())
        try:
            link.send(startup(address.user, address.dbname, **parameters))
            await link._login(address)
            return link
        except BaseException:
            link.drop()
            raise

    async def _login(self, address):
        while True:
            kind, body = heard = await self.read()
            if kind == "E":
                raise Refused(heard.fields)
            if kind == "K":
                self.key = body
            elif kind == "Z":
                return
            elif kind == "R":
                await self._authenticate(struct.unpack("!I", body[:4])[0], body[4:], address)

    async def _authenticate(self, asked, rest, address):
        if asked == 3:
            self.send(message("p", address.password.encode() + b"\0"))
        elif asked == 5:
            self.send(message("p", md5_secret(address.user, address.password, rest[:4])))
        elif asked == 10:
            self.send(scram.initial(scram.client_first()))
            heard = await self.read()
            if heard.kind == "E":
                raise Refused(heard.fields)
            final = scram.client_final(address.password, *scram.challenge(heard))
            self.send(scram.response(final))
        elif asked not in (0, 12):
            raise Garbled(f"authentication request {asked}")

    def send(self, *parts):
        """Queue bytes for the peer."""
        self._writer.write(b"".join(parts))

    async def drain(self):
        """Wait until what was queued is mostly gone."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise Lost(str(error)) from error

    async def read(self):
        """The next message."""
        while (taken := self._take()) is None:
            await self._fill()
        return taken

    def pending(self):
        """A message that has already arrived, or None."""
        return self._take()

    async def idle_message(self, seconds):
        """A message that arrives within so many seconds although nobody asked, or None."""
        try:
            async with asyncio.timeout(seconds):
                return await self.read()
        except TimeoutError:
            return None

    @property
    def has_part(self):
        """Whether the beginning of a message lies in the buffer."""
        return self._at < len(self._buffer)

    def _take(self):
        at = self._at
        if len(self._buffer) - at < 5:
            return None
        kind, length = struct.unpack_from("!BI", self._buffer, at)
        if kind not in KNOWN_KINDS or not 4 <= length <= LONGEST_MESSAGE_BYTES:
            raise Garbled(f"no message: {bytes(self._buffer[at : at + 40])!r}")
        end = at + 1 + length
        if len(self._buffer) < end:
            return None
        self._at = end
        return Message(chr(kind), bytes(self._buffer[at + 5 : end]))

    async def _fill(self):
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        try:
            chunk = await self._reader.read(1 << 18)
        except OSError as error:
            raise Lost(str(error)) from error
        if not chunk:
            raise Lost("end of the stream" + (" inside a message" if self._buffer else ""))
        self._buffer += chunk

    def leave(self):
        """Say Terminate and close."""
        self.send(TERMINATE)
        self._writer.close()

    def drop(self):
        """Close without a word; what was not sent yet is thrown away."""
        self._writer.transport.abort()

    def reset(self):
        """Close with a TCP reset."""
        raw = self._writer.get_extra_info("socket")
        try:
            if raw.family != socket.AF_UNIX:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # the peer was faster
        self.drop()


async def cancel(address, key):
    """Send a CancelRequest and wait until the peer has closed that connection."""
    try:
        reader, writer = await address.streams()
    except Lost:
        return
    try:
        writer.write(cancel_request(key))
        await reader.read()
    except OSError:
        pass
    finally:
        writer.transport.abort()
