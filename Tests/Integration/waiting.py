"""Waiting for facts instead of sleeping for luck."""

import time

DEADLINE_SECONDS = 15.0


def eventually(question, what="the awaited fact", seconds=DEADLINE_SECONDS, every=0.02):
    """Ask until the answer is truthy and return it; fail naming `what` and the last answer."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s, last answer {answer!r}")
        time.sleep(every)


def holds_for(question, what, seconds=0.7, every=0.05):
    """Check that a fact stays true for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert question(), f"{what}: stopped being true"
        time.sleep(every)
