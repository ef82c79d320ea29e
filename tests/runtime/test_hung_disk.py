"""A write that does not return: after ten seconds its component is not ready, and it is ready again when the write has returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from tests.contracts.store_exam.facts import a_watch, moved
from tests.runtime.conftest import MakeWorld
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import Fenced, Unavailable
from watcher.model import Event
from watcher.ports import Outcome
from watcher.runtime.health import Health
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)


class HungStore(MemoryStore):
    """A store whose next calls with this name take `for_s` seconds."""

    name, for_s = "", 0.0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name != super().__getattribute__("name"):
            return found

        async def slowed(*args: Any, **options: Any) -> Any:
            await anyio.sleep(self.for_s)
            return await found(*args, **options)

        return slowed


class FileInbox(SimulatedInbox):
    """A sink that writes here, and takes `for_s` seconds for each batch."""

    writes_here = True
    for_s = 0.0

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        await anyio.sleep(self.for_s)
        return await super().send(events)


def bad(health: Health) -> dict[str, str]:
    """The components that are not ready, with their reasons."""
    return {name: condition.reason for name, condition in health.ready()[1].items() if not condition.ok}


@pytest.mark.parametrize("call", ["admit", "commit", "settle", "save_state"])
async def test_a_store_that_hangs_is_not_ready(world: MakeWorld, call: str) -> None:
    """Whichever write hangs, the component `store` names it after 10 s and not before, and reads that still work do not hide it."""
    store = HungStore(MemoryStoreSettings())
    w = world(store=store, finite=False, durations="run=fixed(1)")
    async with w.running() as watcher:
        await anyio.sleep(29)
        store.name, store.for_s = call, 37.0
        w.submit("task-1")
        await anyio.sleep(9)
        assert bad(watcher.health) == {}
        await anyio.sleep(16)
        assert bad(watcher.health) == {"store": "a write has not returned for 10 s"}
        await store.task("speaker-search/abc123/none")
        await anyio.sleep(5)
        assert set(bad(watcher.health)) == {"store"}
        store.name = ""
        await anyio.sleep(60)
        assert bad(watcher.health) == {}


async def test_a_file_sink_that_hangs_is_not_ready(world: MakeWorld) -> None:
    """The component of the sink names the write that has not returned; other sinks are not affected."""
    slow, other = FileInbox(name="slow"), SimulatedInbox(name="other")
    slow.for_s = 50.0
    w = world(sinks=[slow, other], finite=False)
    w.submit("task-1")
    async with w.running() as watcher:
        await anyio.sleep(25)
        assert bad(watcher.health) == {"sink:slow": "a write has not returned for 10 s"}
        slow.for_s = 0.0
        await anyio.sleep(60)
        assert bad(watcher.health) == {}


async def test_slow_writes_within_the_limit_are_well(world: MakeWorld) -> None:
    """A disk that needs nine seconds for everything is slow, and not unwell."""
    inbox = FileInbox()
    inbox.for_s = 9.0
    w = world(sinks=[inbox], finite=False)
    w.submit("task-1", "task-2")
    async with w.running() as watcher:
        for _ in range(100):
            await anyio.sleep(1)
            assert bad(watcher.health) == {}
    assert inbox.events


async def test_a_sink_elsewhere_has_its_own_deadline(world: MakeWorld) -> None:
    """A receiver that takes long to answer is not a disk that hangs."""
    inbox = SimulatedInbox(latency_s=30)
    w = world(sinks=[inbox], finite=False)
    w.submit("task-1")
    async with w.running() as watcher:
        await anyio.sleep(25)
        assert bad(watcher.health) == {}


async def test_an_error_says_more_than_the_time(world: MakeWorld) -> None:
    """A sink that already reports why it fails keeps that reason while its next attempt hangs."""
    inbox = FileInbox()
    inbox.failure = Unavailable("ENOSPC")
    w = world(sinks=[inbox], finite=False)
    w.submit("task-1")
    async with w.running() as watcher:
        await anyio.sleep(60)
        inbox.for_s = 200.0
        await anyio.sleep(100)
        assert bad(watcher.health) == {"sink:inbox": "unavailable: ENOSPC"}


async def test_a_write_that_was_given_up_is_not_pending(world: MakeWorld) -> None:
    """A call that was cancelled, or refused, is over: it makes nothing unhealthy later."""
    store = HungStore(MemoryStoreSettings())
    w = world(store=store, finite=False)
    async with w.running() as watcher:
        await anyio.sleep(1)
        store.name, store.for_s = "purge", 5.0
        with anyio.move_on_after(1):
            await watcher.adapters.store.purge(["none"])
        with pytest.raises(Fenced):
            await watcher.adapters.store.commit([moved(a_watch())], {})
        await anyio.sleep(60)
        assert bad(watcher.health) == {}


async def test_a_write_that_is_fenced_late_shows_that_the_disk_works(world: MakeWorld) -> None:
    """The store did answer: that another process owns the shard is no trouble of the disk."""
    store = HungStore(MemoryStoreSettings())
    w = world(store=store, finite=False)
    async with w.running() as watcher:
        await anyio.sleep(1)
        store.name, store.for_s = "commit", 30.0
        with pytest.raises(Fenced):
            await watcher.adapters.store.commit([moved(a_watch())], {})
        await anyio.sleep(60)
        assert bad(watcher.health) == {}
