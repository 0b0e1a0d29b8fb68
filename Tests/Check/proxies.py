"""Byte proxies: they know nothing of the protocol and are bad networks. They run in a thread of their own."""

import asyncio
import random
import socket
import struct
import threading


class Proxy:
    """Listens on `port` and passes bytes on to `target`; `passage(source, sink, from_client)` says how."""

    def __init__(self, target_port, passage, receive_bytes=None):
        self.target_port, self.passage, self.receive_bytes = target_port, passage, receive_bytes
        self.connections = 0
        self.port = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _listen(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 16, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()

    async def _serve(self, reader, writer):
        try:
            await self._connect(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # asyncio of 3.11 complains of a cancelled callback, so it ends quietly

    async def _connect(self, reader, writer):
        self.connections += 1
        try:
            there_in, there_out = await asyncio.open_connection("127.0.0.1", self.target_port, limit=1 << 16)
        except OSError:
            writer.transport.abort()
            return
        for one in (writer, there_out):
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        both = [
            asyncio.create_task(self.passage(reader, there_out, True)),
            asyncio.create_task(self.passage(there_in, writer, False)),
        ]
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        ends = await asyncio.gather(*both, return_exceptions=True)
        reset = any(isinstance(end, Reset) for end in ends)
        for one in (writer, there_out):
            if reset:
                abort_by_reset(one)
            else:
                await close(one)


class Reset(Exception):
    """The passage wants both connections reset."""


def abort_by_reset(writer):
    """Close with a TCP reset."""
    try:
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass  # it is closed already
    writer.transport.abort()


async def close(writer):
    """Send what is left, then close."""
    try:
        writer.close()
        async with asyncio.timeout(2):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


async def _chunks(reader, size=1 << 16):
    while True:
        try:
            chunk = await reader.read(size)
        except OSError:
            return
        if not chunk:
            return
        yield chunk


async def slicer(reader, writer, _):
    """One byte a segment (K9): each byte is a write of its own, and the peer gets to run in between."""
    try:
        async for chunk in _chunks(reader):
            for i in range(len(chunk)):
                writer.write(chunk[i : i + 1])
                if i % 4 == 0:
                    await asyncio.sleep(0)
            await writer.drain()
    except OSError:
        return


def resetter(longest=200_000, seed=0):
    """Reset both connections at a random byte (K6)."""
    dice = random.Random(seed)

    async def passage(reader, writer, _):
        left = int(longest ** dice.random())  # often during login, sometimes much later
        left = left if dice.random() < 0.3 else dice.randrange(200, longest)
        try:
            async for chunk in _chunks(reader):
                writer.write(chunk[:left])
                left -= len(chunk)
                if left <= 0:
                    raise Reset
                await writer.drain()
        except OSError:
            return

    return passage


def staller(seed=0, longest_seconds=0.3, share=0.05):
    """Stop reading for a moment now and then, so that the writer before us fills up (K8)."""
    dice = random.Random(seed)

    async def passage(reader, writer, _):
        try:
            async for chunk in _chunks(reader, 4096):
                if dice.random() < share:
                    await asyncio.sleep(dice.random() * longest_seconds)
                writer.write(chunk)
                await writer.drain()
        except OSError:
            return

    return passage
