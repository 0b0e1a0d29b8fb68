"""The two ways to wait and to move bytes: both are there, a kernel that forbids one is lived with, nothing is left open."""

import ctypes
import os
from pathlib import Path

import pytest

from machine import give_to_owner
from waiting import eventually
from wire import Wire, query, rows

pytestmark = pytest.mark.ours

WAYS = ("auto", "no")
# A program that forbids itself io_uring_setup, as containers do, and becomes the pooler.
CONFINED = """#!/usr/bin/python3 -I
import ctypes, os, struct, sys
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(rules), ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, header, 0, 0) == 0, ctypes.get_errno()
os.execv({binary!r}, sys.argv)
"""


def kernel_has_it():
    """Whether this kernel gives an io_uring as the pooler wants it."""
    parameters = ctypes.create_string_buffer(120)
    ctypes.c_uint32.from_buffer(parameters, 8).value = 1 << 12 | 1 << 13  # one issuer, deferred work
    descriptor = ctypes.CDLL(None).syscall(425, 8, parameters)
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor >= 0


def confined(pooler):
    """Make the pooler start where io_uring is forbidden."""
    program = pooler.folder / "confined"
    program.write_text(CONFINED.format(binary=str(pooler.binary)))
    program.chmod(0o755)
    give_to_owner(program)
    pooler.binary = program
    return pooler


def way(pooler):
    """How it waits, as its log says."""
    eventually(lambda: "process up" in pooler.log, "it is up")
    return "io_uring" if "), io_uring, adns" in pooler.log else "epoll" if "), epoll, adns" in pooler.log else None


def descriptors(pooler):
    """How many descriptors the process has open."""
    return len(list(Path(f"/proc/{pooler.process.pid}/fd").iterdir()))


def test_auto_takes_what_the_kernel_gives(make_pooler):
    """The log says which way it is, and queries are answered."""
    pooler = make_pooler(io_uring="auto", workers=1)
    assert way(pooler) == ("io_uring" if kernel_has_it() else "epoll")
    assert pooler.wire().value("select 1") == "1"


def test_no_means_epoll(make_pooler):
    """And queries are answered."""
    pooler = make_pooler(io_uring="no")
    assert way(pooler) == "epoll"
    assert pooler.wire().value("select 1") == "1"


def test_auto_lives_with_a_kernel_that_forbids_it(make_pooler):
    """One line for those who look for it, and epoll."""
    pooler = confined(make_pooler(start=False, io_uring="auto", workers=1, verbose=1)).start()
    assert way(pooler) == "epoll"
    assert "no io_uring, epoll is used: Operation not permitted" in pooler.log
    assert pooler.wire().value("select 1") == "1"


def test_yes_does_not_start_where_it_is_forbidden(make_pooler):
    """The text names the setting, the reason and what to do."""
    pooler = confined(make_pooler(start=False, io_uring="yes", workers=1)).start(wait=False)
    assert pooler.wait_end() == 1
    assert "FATAL io_uring = yes, but the kernel gives none: Operation not permitted" in pooler.log


@pytest.mark.parametrize("setting", WAYS)
def test_nothing_is_left_open(make_pooler, setting):
    """Clients that leave, vanish or are closed in the middle of something give every descriptor back."""
    pooler = make_pooler(io_uring=setting)
    pooler.wire().query("select 1")
    before = descriptors(pooler)
    for number in range(120):
        wire = Wire(pooler.port)
        wire.login()
        if number % 4 == 1:
            wire.query("select 1")
        elif number % 4 == 2:
            wire.send(query("select repeat('x', 1000) from generate_series(1, 3000)"))
            wire.read()
        wire.reset() if number % 3 == 0 else wire.close()
    pooler.settle()
    # Servers that were in the middle of an answer have been replaced, or not yet.
    eventually(lambda: descriptors(pooler) <= before + 5, "the descriptors are closed")


@pytest.mark.parametrize("setting", WAYS)
def test_bulk_and_small_talk_take_turns(make_pooler, setting):
    """A link that is read one way while much comes from it, and the other way otherwise, loses nothing."""
    wire = make_pooler(io_uring=setting, default_pool_size=1).wire()
    for turn in range(8):
        assert wire.value(f"select length(repeat('x', 3000000)) + {turn}") == str(3_000_000 + turn)
        assert len(wire.value("select repeat('y', 3000000)")) == 3_000_000
        for number in range(turn * 2):
            assert wire.value(f"select {number}") == str(number)
        size = 1_000_000 + turn
        assert wire.value(f"select length('{'z' * size}')") == str(size)


@pytest.mark.parametrize("setting", WAYS)
def test_a_client_that_talks_on_while_it_waits_is_served_in_order(make_pooler, setting):
    """Pipelined queries arrive while the link is paused, in pieces of every size."""
    pooler = make_pooler(io_uring=setting, default_pool_size=1)
    holder, waiter = pooler.wire(), pooler.wire()
    holder.query("begin")
    sizes = (1, 100, 3_000, 5_000, 20_000, 70_000)
    for size in sizes:
        waiter.send(query(f"select length('{'x' * size}')"))
        pooler.admin("SHOW CLIENTS")  # so that the pieces arrive one by one
    holder.query("commit")
    assert [rows(waiter.read_until())[0][0] for _ in sizes] == [str(size) for size in sizes]
