"""How many stories are played: `--stories N`, in batches, all but the first of which are slow tests."""

from __future__ import annotations

import pytest

from tests.postgres import postgres_server  # noqa: F401  the fixture

BATCH = 20
"""Stories in one test: enough for most faults to occur in each batch."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `first_seed` the first seed of each batch. Of stories with several replicas, half as many: each costs twice as much."""
    if "first_seed" in metafunc.fixturenames:
        firsts = range(0, metafunc.config.getoption("--stories") // (2 if "fleets" in metafunc.module.__name__ else 1), BATCH)
        metafunc.parametrize("first_seed", [pytest.param(first, marks=[pytest.mark.slow] if first else []) for first in firsts])


@pytest.fixture
def seeds(first_seed: int, request: pytest.FixtureRequest) -> range:
    """The seeds of one batch."""
    return range(first_seed, min(first_seed + BATCH, request.config.getoption("--stories")))
