"""pgmix: a faulty proxy, to test the checking client. It stands between clients and PostgreSQL and does one wrong.

    swap        two answers of different clients change places
    duplicate   a simple INSERT is sent twice, the second answer is kept back
    repeat      an answer is given twice
    cancel      a cancel request is sent on only after its connection has been closed
    drop        a row is left out
    notice      a notice of one client is told another as well
    inject      an ErrorResponse stands in the middle of another message
    stall       an answer is never given
"""

import argparse
import asyncio
import random
import struct
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "Integration")]

from wire import CANCEL_REQUEST, message  # noqa: E402

FAULTS = ("swap", "duplicate", "repeat", "cancel", "drop", "notice", "inject", "stall")
SWAP_PATIENCE_SECONDS = 0.5
QUIET_SECONDS = 0.02
INJECTED = message("E", b"SERROR\0VERROR\0CXX000\0Mnot from PostgreSQL\0\0")


class Mix:
    """The proxy: one fault with probability `share` at each occasion; 0 is an honest proxy."""

    def __init__(self, target, fault=None, share=0.01, seed=0):
        self.target, self.fault, self.share = target, fault, share
        self.dice = random.Random(seed)
        self.held = None
        self.notice = None
        self.done = 0
        self.server = None

    async def listen(self, port=0):
        """Start; returns the port."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return self.server.sockets[0].getsockname()[1]

    def occasion(self, fault):
        """Whether to do this wrong now."""
        happens = self.fault == fault and self.dice.random() < self.share
        self.done += happens
        return happens

    async def _serve(self, reader, writer):
        try:
            head = await reader.readexactly(8)
            length, code = struct.unpack("!II", head)
            rest = await reader.readexactly(length - 8)
            if code == CANCEL_REQUEST:
                await self._cancel(head + rest, writer)
                return
            upstream = await asyncio.open_connection(*self.target)
            upstream[1].write(head + rest)
            await Pair(self, (reader, writer), upstream).relay()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _cancel(self, request, writer):
        if self.occasion("cancel"):
            writer.close()
            await asyncio.sleep(self.dice.uniform(0.005, 0.1))
        reader, upstream = await asyncio.open_connection(*self.target)
        upstream.write(request)
        await reader.read()
        upstream.close()


class Pair:
    """A client and its server, and the answer that is under way between them."""

    def __init__(self, mix, client, server):
        self.mix = mix
        self.client_in, self.client_out = client
        self.server_in, self.server_out = server
        self.answer = []
        self.kept_back = []
        self.asked = 0
        self.answered = 0
        self.logged_in = False

    async def relay(self):
        """Until either side ends."""
        tasks = [asyncio.create_task(self._requests()), asyncio.create_task(self._replies())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.flush()
            self.server_out.transport.abort()
            if not self.client_out.is_closing():
                self.client_out.close()

    async def _requests(self):
        while True:
            head = await self.client_in.readexactly(5)
            sent = head + await self.client_in.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            self.server_out.write(sent)
            if head[:1] in b"QS":
                self.asked += 1
            if head[:1] == b"Q" and sent[5:].startswith(b"insert") and self.mix.occasion("duplicate"):
                self.server_out.write(sent)
                self.kept_back.append(self.asked)
            await self.server_out.drain()

    async def _replies(self):
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS if self.answer else None):
                    head = await self.server_in.readexactly(5)
            except TimeoutError:
                self.flush()
                continue
            heard = head + await self.server_in.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            self.answer.append(heard)
            if head[:1] == b"N" and self.logged_in:
                self.mix.notice = (self, heard)
            if head[:1] == b"Z":
                self._complete()
            elif not self.logged_in or head[:1] in b"GH" or len(self.answer) > 5000:
                self.flush()
            await self.client_out.drain()

    def _complete(self):
        """A whole answer is there: time for a fault."""
        first, self.logged_in = not self.logged_in, True
        mix = self.mix
        self.answered += not first
        if not first and self.kept_back and self._is_second():
            self.answer.clear()
            return
        if first or len(self.answer) < 2:
            self.flush()
        elif mix.fault == "swap":
            self._swap()
        else:
            self._spoil()
            self.flush()

    def _is_second(self):
        if self.answered == self.kept_back[0] + 1:
            self.kept_back.pop(0)
            self.answered -= 1
            return True
        return False

    def _spoil(self):
        mix = self.mix
        rows = [i for i, m in enumerate(self.answer) if m[:1] == b"D"]
        if rows and mix.occasion("drop"):
            del self.answer[mix.dice.choice(rows)]
        if rows and mix.occasion("inject"):
            at = mix.dice.choice(rows)
            cut = len(self.answer[at]) // 2
            self.answer[at] = self.answer[at][:cut] + INJECTED + self.answer[at][cut:]
        if mix.occasion("repeat"):
            self.answer += self.answer
        if mix.occasion("stall"):
            self.answer.clear()
        if mix.notice and mix.notice[0] is not self and mix.occasion("notice"):
            self.answer.insert(0, mix.notice[1])

    def _swap(self):
        mix = self.mix
        if mix.held and mix.held is not self:
            mix.held.answer, self.answer = self.answer, mix.held.answer
            mix.held.flush()
            mix.held = None
            self.flush()
        elif mix.held is None and mix.occasion("swap"):
            mix.held = self
            asyncio.get_running_loop().call_later(SWAP_PATIENCE_SECONDS, self._let_go)
        else:
            self.flush()

    def _let_go(self):
        if self.mix.held is self:
            self.mix.held = None
            self.flush()

    def flush(self):
        """Give the client what there is."""
        if self.mix.held is self:
            return
        if not self.client_out.is_closing():
            self.client_out.write(b"".join(self.answer))
        self.answer.clear()


async def main():
    """The proxy as a program."""
    parser = argparse.ArgumentParser(prog="pgmix", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--target-host", default="127.0.0.1")
    parser.add_argument("--target-port", type=int, required=True)
    parser.add_argument("--fault", choices=FAULTS)
    parser.add_argument("--share", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    mix = Mix((options.target_host, options.target_port), options.fault, options.share, options.seed)
    print(await mix.listen(options.port), flush=True)
    await mix.server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
