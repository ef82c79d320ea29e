"""A start over a store that holds many watches already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import anyio
import pytest

from tests.runtime.conftest import EPOCH, MakeWorld, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.app import assemble
from watcher.errors import StoreUnavailable
from watcher.model import Lease, TaskRef, Watch
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters
from watcher.runtime.settings import Determinism

PIECE_S = 30.0


class SlowStore(MemoryStore):
    """Reads one watch each half minute, and fails after the first when it is told to."""

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


@pytest.mark.looptime
async def test_the_first_polls_do_not_wait_for_the_last_watch(world: MakeWorld) -> None:
    """What has been read is asked about while the rest is still read; sources begin when all of it is there."""
    w = world(store=await slow_store("a", "b", "c"), durations="queue=0,run=1000")
    w.submit("d")
    async with w.running() as watcher:
        await anyio.sleep(PIECE_S - 1)
        assert w.service.stats.actions["Get"] > 0
        assert len(watcher.loops.pollers) == 1
        await anyio.sleep(3 * PIECE_S)
        assert len(watcher.loops.pollers) == 4
        assert watcher.loops.pollers.watched(key("d"))


@pytest.mark.looptime
async def test_a_store_that_fails_while_it_is_read_is_read_again(world: MakeWorld) -> None:
    """Nothing is watched twice, nothing forgotten, and each task is told of to its end."""
    store = await slow_store("a", "b", "c")
    store.failures = 2
    w = world(store=store, durations="queue=0,run=1", failed=0, stopped=0, partial=0)
    async with w.watcher() as watcher:
        await watcher.run()
    for name in "abc":
        assert [event["data"]["to"] for event in w.inbox.of(key(name))][-1] == "SUCCEEDED"
        assert [int(event["sequence"]) for event in w.inbox.of(key(name))] == list(range(1, len(w.inbox.of(key(name))) + 1))


@pytest.mark.looptime
async def test_a_stop_does_not_wait_for_the_rest(world: MakeWorld) -> None:
    """What was not read yet stays in the store for the next life."""
    w = world(store=await slow_store(*(f"t{n}" for n in range(100))), durations="never")
    async with w.running():
        await anyio.sleep(PIECE_S + 1)
    assert anyio.current_time() < 3 * PIECE_S


@pytest.mark.looptime
async def test_without_a_source_the_watches_of_an_earlier_life_are_followed_to_their_end(world: MakeWorld) -> None:
    """Nothing to take in is not the end while the store has not told all it holds."""
    w = world(store=await slow_store("a", "b"), durations="queue=0,run=1", failed=0, stopped=0, partial=0)
    async with assemble(Adapters([], w.probe, w.store, w.sinks), w.settings, determinism=Determinism(Clock(w.wall))) as watcher:
        await watcher.run()
    assert [w.inbox.of(key(name))[-1]["data"]["to"] for name in "ab"] == ["SUCCEEDED", "SUCCEEDED"]


@pytest.mark.looptime
async def test_a_watch_of_a_kind_of_another_version_stays_where_it_is(world: MakeWorld) -> None:
    """After a step back to an older version the rest is watched, and what only the newer one knows waits in the store."""
    store = await slow_store("a")
    strange = Watch(TaskRef("dream-search", ("abc123", "x")), "f" * 32, EPOCH, EPOCH + 86_400)
    await store.admit([strange])
    w = world(store=store, finite=False)
    async with w.running():
        await anyio.sleep(3 * PIECE_S)
        assert w.inbox.of(key("a"))
    assert await store.task(strange.key) == strange
