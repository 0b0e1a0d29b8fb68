"""Short forms of the chaos runs; bin/chaos has them at any length."""

import pytest

import chaos

SECONDS = 10


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["K6", "K9", "K14", "K22", "K24"])
def test_run(ground, name):
    """Nothing mixed up, doubled or lost, and the pooler calm afterwards."""
    chaos.RUNS[name](ground, SECONDS)
