"""Fixtures of the checks: one PostgreSQL a worker."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "Integration")]

from ground import Ground  # noqa: E402


@pytest.fixture(scope="session")
def whole_ground():
    """The ground of this worker."""
    made = Ground()
    yield made
    made.close()


@pytest.fixture
def ground(whole_ground):
    """The ground without sessions and poolers of the test before."""
    whole_ground.database.clear()
    yield whole_ground
    for pooler in whole_ground.poolers:
        pooler.stop()
        pooler.remove()
    whole_ground.poolers.clear()
