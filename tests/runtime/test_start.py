"""A start over a store that already has watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import anyio
import pytest

from tests.runtime.conftest import EPOCH, MakeWorld, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import StoreUnavailable
from watcher.model import Lease, TaskRef, Watch

pytestmark = pytest.mark.looptime(noop_cycles=0)

PIECE_S = 30.0


class SlowStore(MemoryStore):
    """Loads one watch each half minute, and fails after the first one while `failures` are left."""

    failures = 0

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        async for watches in super().load(lease):
            for watch in watches:
                yield [watch]
                if self.failures:
                    self.failures -= 1
                    raise StoreUnavailable("locked")
                await anyio.sleep(PIECE_S)


async def slow_store(*names: str) -> SlowStore:
    store = SlowStore(MemoryStoreSettings())
    await store.admit(
        [Watch(TaskRef("speaker-search", ("abc123", name)), f"{n:032x}", EPOCH, EPOCH + 86_400) for n, name in enumerate(names)]
    )
    return store


async def test_the_first_polls_do_not_wait_for_the_last_watch(world: MakeWorld) -> None:
    """Watches are polled while others are still loaded; intake starts when all of them are loaded."""
    w = world(store=await slow_store("a", "b", "c"), durations="queue=0,run=1000")
    w.submit("d")
    async with w.running() as watcher:
        await anyio.sleep(PIECE_S - 1)
        assert w.service.stats.actions["Get"] > 0
        assert len(watcher.loops.pollers) == 1
        await anyio.sleep(3 * PIECE_S)
        assert len(watcher.loops.pollers) == 4
        assert watcher.loops.pollers.watched(key("d"))


async def test_a_load_that_fails_starts_again(world: MakeWorld) -> None:
    """No task is watched twice or left out, and each is reported to its end."""
    store = await slow_store("a", "b", "c")
    store.failures = 2
    w = world(store=store, durations="queue=0,run=1", failed=0, stopped=0, partial=0)
    async with w.watcher() as watcher:
        await watcher.run()
    for name in "abc":
        assert [event["data"]["to"] for event in w.inbox.of(key(name))][-1] == "SUCCEEDED"
        assert [int(event["sequence"]) for event in w.inbox.of(key(name))] == list(range(1, len(w.inbox.of(key(name))) + 1))


async def test_a_stop_does_not_wait_for_the_end_of_a_load(world: MakeWorld) -> None:
    """Watches that are not loaded yet stay in the store for the next process."""
    w = world(store=await slow_store(*(f"t{n}" for n in range(100))), durations="never")
    async with w.running():
        await anyio.sleep(PIECE_S + 1)
    assert anyio.current_time() < 3 * PIECE_S


async def test_without_a_source_stored_watches_are_polled_to_their_end(world: MakeWorld) -> None:
    """A watcher without sources is not done before all watches are loaded and have ended."""
    w = world(store=await slow_store("a", "b"), durations="queue=0,run=1", failed=0, stopped=0, partial=0)
    w.sources.clear()
    async with w.watcher() as watcher:
        await watcher.run()
    assert [w.inbox.of(key(name))[-1]["data"]["to"] for name in "ab"] == ["SUCCEEDED", "SUCCEEDED"]


async def test_a_watch_of_an_unknown_kind_stays_in_the_store(world: MakeWorld) -> None:
    """After a downgrade, watches of a kind that only the newer version has stay as they are, and the others are polled."""
    store = await slow_store("a")
    unknown = Watch(TaskRef("dream-search", ("abc123", "x")), "f" * 32, EPOCH, EPOCH + 86_400)
    await store.admit([unknown])
    w = world(store=store, finite=False)
    async with w.running():
        await anyio.sleep(3 * PIECE_S)
        assert w.inbox.of(key("a"))
    assert await store.task(unknown.key) == unknown
