"""A scripted PostgreSQL that may say anything: for poolers that must survive their servers."""

import socket
import struct
import threading
import time

from machine import PORTS
from wire import message

READY = message("Z", b"I")
PARAMETERS = b"".join(
    message("S", k + b"\0" + v + b"\0")
    for k, v in [
        (b"server_version", b"15.0"), (b"server_encoding", b"UTF8"), (b"client_encoding", b"UTF8"),
        (b"DateStyle", b"ISO, MDY"), (b"TimeZone", b"UTC"), (b"standard_conforming_strings", b"on"),
        (b"integer_datetimes", b"on"), (b"application_name", b""),
    ]
)
WELCOME = message("R", b"\0\0\0\0") + PARAMETERS + message("K", struct.pack("!II", 4242, 4711)) + READY


def result(text):
    """An answer of one row with one text column, without ReadyForQuery."""
    data = text.encode() if isinstance(text, str) else text
    described = struct.pack("!H", 1) + b"v\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0)
    return (
        message("T", described)
        + message("D", struct.pack("!Hi", 1, len(data)) + data)
        + message("C", b"SELECT 1\0")
    )


def error(code, text, severity="ERROR"):
    """An ErrorResponse."""
    parts = {"S": severity, "V": severity, "C": code, "M": text}
    return message("E", b"".join(k.encode() + v.encode() + b"\0" for k, v in parts.items() if v is not None) + b"\0")


class FakeServer:
    """Accepts connections, says `welcome` to a startup, and answers each simple query by `answer(sql, number)`.

    `answer` returns bytes, or a list of pieces and pauses in seconds; and the word "close" behind either. Queries the pooler makes by itself are answered plainly.
    """

    def __init__(self, answer, welcome=WELCOME):
        self.answer, self.welcome = answer, welcome
        self.listener = socket.create_server(("127.0.0.1", PORTS.free()))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.messages = 0
        self.queries = []
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection, number):
        try:
            stream = connection.makefile("rb")
            self._greet(connection, stream)
            while kind := stream.read(1):
                (length,) = struct.unpack("!I", stream.read(4))
                body = stream.read(length - 4)
                self.messages += 1
                if kind != b"Q":
                    continue
                sql = body[:-1].decode()
                self.queries.append(sql)
                said = self._reply(sql, number)
                data, closing = said if isinstance(said, tuple) else (said, None)
                for piece in data if isinstance(data, list) else [data]:
                    if isinstance(piece, float):
                        time.sleep(piece)
                    else:
                        connection.sendall(piece)
                if closing:
                    connection.shutdown(socket.SHUT_RDWR)
                    connection.close()
                    return
        except (OSError, struct.error, ValueError):
            return

    def _greet(self, connection, stream):
        while True:
            length, code = struct.unpack("!II", stream.read(8))
            stream.read(length - 8)
            if code >> 16 == 3:
                break
            connection.sendall(b"N")
        connection.sendall(self.welcome)

    def _reply(self, sql, number):
        if "tell" in sql:
            return self.answer(sql, number)
        return (message("I") if not sql.strip() else message("C", sql.split()[0].upper().encode() + b"\0")) + READY
