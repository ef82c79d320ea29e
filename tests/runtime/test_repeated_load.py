"""A load of a shard that breaks off and starts again brings watches that are polled already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import anyio
import pytest

from tests.runtime.conftest import MakeWorld
from tests.runtime.shared_store import new_watch
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import StoreUnavailable
from watcher.model import Lease, Watch

pytestmark = pytest.mark.looptime(noop_cycles=0)


class Breaking(MemoryStore):
    """Reads the watches of a shard as they were at first, and breaks off after `broken_s` seconds, a few times."""

    def __init__(self, broken_s: float, times: int) -> None:
        super().__init__(MemoryStoreSettings())
        self.broken_s, self.times = broken_s, times
        self.loaded = 0

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        async for watches in super().load(lease):
            self.loaded += 1
            yield watches
        if self.times:
            self.times -= 1
            await anyio.sleep(self.broken_s)
            raise StoreUnavailable("connection lost")


@pytest.mark.parametrize("broken_s", [0.5, 3.5, 6.0])
async def test_a_watch_that_is_loaded_again_is_polled_as_before(world: MakeWorld, broken_s: float) -> None:
    """Waiting or in the middle of a call, the watch that is polled stays: no call more, and each change is reported one time."""
    calls = []
    for times in (0, 3):
        store = Breaking(broken_s, times)
        w = world(store=store, finite=False, durations="queue=fixed(1),run=fixed(400)", latency="fixed(2)")
        await store.open(["inbox"])
        watches = await store.admit([new_watch(f"task-{n}") for n in range(3)])
        async with w.running() as watcher:
            await anyio.sleep(60)
            assert (store.loaded, len(watcher.loops.pollers)) == (times + 1, 3)
            calls.append(w.service.stats.requests)
            await anyio.sleep(600)
        for watch in watches:
            events = w.inbox.of(watch.key)
            assert [int(event["sequence"]) for event in events] == list(range(1, len(events) + 1))
            assert events[-1]["data"]["terminal"]
    assert calls[0] == calls[1]
