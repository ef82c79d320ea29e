"""How often expired credentials are fetched again."""

from __future__ import annotations

import anyio
import pytest

from tests.runtime.conftest import MakeWorld

pytestmark = pytest.mark.looptime(noop_cycles=0)


async def test_credentials_that_stay_expired_are_not_refreshed_without_end(world: MakeWorld) -> None:
    """In a quarter of an hour of expired credentials one refresh is made; after they were accepted, the next expiry causes one more."""
    w = world(finite=False, durations="run=never")
    w.submit("task-1", "task-2", "task-3")
    async with w.running():
        await anyio.sleep(60)
        for expiry in (1, 2):
            w.service.change(faults={"expired": 1.0})
            await anyio.sleep(900)
            assert w.probe.refreshes == expiry
            requests = w.service.stats.requests
            w.service.change(faults={})
            await anyio.sleep(120)
            assert w.service.stats.requests > requests
