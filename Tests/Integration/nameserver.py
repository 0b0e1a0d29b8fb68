"""A name server of one zone whose answers a test changes while it runs."""

import random
import socket
import struct
import threading

A, SOA, PTR, AAAA = 1, 6, 12, 28


class NameServer:
    """Answers A, AAAA, PTR and SOA; `hosts` maps names to lists of addresses, `pointers` names of addresses to names.

    The resolver asks port 53 and no other, so it listens there, on a loopback address of its own.
    """

    def __init__(self, zone="pool.test"):
        self.zone, self.serial, self.hosts, self.asked, self.pointers = zone, 1, {}, [], {}
        self.silent = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = f"127.53.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.socket.bind((self.address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def count(self, name, kind=A):
        """How often this was asked."""
        return self.asked.count((name, kind))

    def _serve(self):
        while True:
            try:
                packet, peer = self.socket.recvfrom(2048)
            except OSError:
                return
            name, kind, question = self._question(packet)
            self.asked.append((name, kind))
            if not self.silent:
                self.socket.sendto(self._answer(packet[:2], name, kind, question), peer)

    @staticmethod
    def _question(packet):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
            at += packet[at] + 1
        (kind,) = struct.unpack_from("!H", packet, at + 1)
        return ".".join(labels).lower(), kind, packet[12 : at + 5]

    @staticmethod
    def _name(name):
        return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"

    def _answer(self, number, name, kind, question):
        records = []
        if kind == SOA and name == self.zone:
            numbers = struct.pack("!5I", self.serial, 60, 60, 60, 60)
            records.append(self._name("ns." + self.zone) + self._name("admin." + self.zone) + numbers)
        known = name in self.hosts or name == self.zone or name in self.pointers
        if kind == PTR and name in self.pointers:
            records.append(self._name(self.pointers[name]))
        for address in self.hosts.get(name, []):
            family, wanted = (socket.AF_INET6, AAAA) if ":" in address else (socket.AF_INET, A)
            if kind == wanted:
                records.append(socket.inet_pton(family, address))
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(data)) + data for data in records)
        flags = 0x8580 | (0 if known else 3)
        return number + struct.pack("!5H", flags, 1, len(records), 0, 0) + question + body
