"""Long streams: readers that are slow, disconnected, or idle, a store that is unavailable, and a shutdown of the watcher."""

from __future__ import annotations

import gc
import random
from collections import Counter
from collections.abc import Sequence

import anyio
import pytest

from tests.api.events_in_memory import RETENTION_S, Log, Reader, commit_at_random, following
from tests.api.test_event_stream import SETTLED_S, identities, until_read
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.api.cursors import Cursors
from watcher.api.event_stream import HEARTBEAT_S
from watcher.api.problems import Problem
from watcher.errors import StoreUnavailable
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Event
from watcher.observe.metrics import Metrics
from watcher.query import EventQuery
from watcher.runtime import event_tail
from watcher.runtime.clock import Clock
from watcher.runtime.event_tail import EventTail, ReaderTooSlowError
from watcher.runtime.health import Health
from watcher.runtime.instruments import Instruments
from watcher.runtime.retrying_store import RetryingStore

pytestmark = pytest.mark.looptime


async def test_a_reader_that_was_sent_nothing_keeps_its_cursor() -> None:
    """A reader that disconnects before it was sent an event keeps its cursor, which gets 410 when it is older than the retention."""
    log = Log()
    reader = Reader(log, pieces=1)
    async with following(log):
        await log.positions("start")
        await log.commit("t1")
        await log.commit("t1")
        reader.blocks = [(log.cursors.after((await log.stored())[0], {0: 1}), None)]
        cursor = reader.last_id
        await anyio.sleep(RETENTION_S - 60)
        await reader.read(cursor)
        assert reader.last_id == cursor
        await anyio.sleep(120)
        with pytest.raises(Problem):
            await reader.read(reader.last_id)


class AbsentStore(MemoryStore):
    """A store that can be unavailable."""

    away = False

    async def events(self, query: EventQuery) -> Sequence[Event]:
        if self.away:
            raise StoreUnavailable("connection lost")
        return await super().events(query)


async def test_a_reader_waits_for_an_unavailable_store() -> None:
    """While the store is unavailable, a stream stays open and later continues, so that readers do not reconnect each second."""
    log = Log()
    log.store = store = AbsentStore(MemoryStoreSettings(), shards=4)
    instruments = Instruments(Clock(log.wall), Health(log.wall), Metrics(builtin_catalog()))
    log.tail = EventTail(RetryingStore(store, instruments), log.feed, log.cursors.frame)
    log.cursors = Cursors(store, RETENTION_S, log.wall)
    reader = Reader(log)
    async with following(log) as tasks:
        await log.commit("t1")
        store.away = True
        tasks.start_soon(reader.read)
        await anyio.sleep(300)
        store.away = False
        await until_read(reader, 1)


async def test_idle_readers_need_no_more_memory() -> None:
    """While no event is committed, the memory for readers does not grow with the number of heartbeats."""
    log = Log()
    async with following(log) as tasks:
        for _ in range(3):
            tasks.start_soon(Reader(log).read)
        await anyio.sleep(SETTLED_S)
        before = sum(isinstance(each, anyio.Event) for each in gc.get_objects())
        await anyio.sleep(100 * HEARTBEAT_S)
        assert sum(isinstance(each, anyio.Event) for each in gc.get_objects()) < before + 100


async def test_a_slow_reader_is_disconnected_and_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that falls behind the kept events is disconnected, and gets the rest from its cursor. Another reader is not affected."""
    monkeypatch.setattr(event_tail, "MAX_EVENTS", 50)
    log = Log()
    slow, fast = Reader(log, pause_s=30.0), Reader(log)
    cut_off = anyio.Event()

    async def read_slowly() -> None:
        with pytest.raises(ReaderTooSlowError):
            await slow.read()
        cut_off.set()

    async with following(log) as tasks:
        tasks.start_soon(fast.read)
        tasks.start_soon(read_slowly)
        await anyio.sleep(2 * 30)
        for n in range(400):
            await log.commit(f"t{n % 20}")
            await anyio.sleep(0.1)
        with anyio.fail_after(600):
            await cut_off.wait()
        await until_read(fast, 400)
        slow.pause_s = 0.0
        with anyio.move_on_after(SETTLED_S):
            await slow.read(slow.last_id)
        stored = await log.stored()
    assert Counter(slow.bodies) == Counter(fast.bodies) == identities(stored)


async def test_readers_end_when_the_watcher_shuts_down() -> None:
    """Closing the tail ends every stream, so that readers connect to another replica."""
    log = Log()
    reader = Reader(log)
    ended = anyio.Event()

    async def read() -> None:
        await reader.read()
        ended.set()

    async with following(log) as tasks:
        tasks.start_soon(read)
        await log.commit("t1")
        await until_read(reader, 1)
        await log.tail.close()
        with anyio.fail_after(60):
            await ended.wait()


async def test_without_readers_the_store_is_not_read() -> None:
    """The tail reads the store only while there are readers, and reads again when a reader connects."""
    log = Log()
    async with following(log):
        await log.commit("t1")
        await anyio.sleep(60)
        assert (log.tail.end, log.tail.readers) == (0, 0)
        for count in (1, 2):
            reader = Reader(log)
            with anyio.move_on_after(SETTLED_S):
                await reader.read()
            assert len(reader.bodies) == count
            await anyio.sleep(60)
            await log.commit("t1")


async def test_a_shutdown_skips_no_event() -> None:
    """A reader that still catches up when the watcher shuts down continues from its cursor at the next process, and misses no event."""
    log = Log()
    reader = Reader(log, pause_s=5.0)
    async with following(log) as tasks:
        for _ in range(15):
            await log.commit(*(f"t{n}" for n in range(40)))
        tasks.start_soon(reader.read)
        await until_read(reader, 1)
        await log.tail.close()
        await anyio.sleep(60)
        log.tail = EventTail(log.store, log.feed, log.cursors.frame)
        tasks.start_soon(log.tail.run)
        reader.pause_s = 0.0
        with anyio.move_on_after(SETTLED_S):
            await reader.read(reader.last_id)
        stored = await log.stored()
    assert Counter(reader.bodies) == identities(stored)


@pytest.mark.parametrize("seed", range(8))
async def test_each_piece_of_a_stream_may_be_the_last_one(seed: int) -> None:
    """A reader that is disconnected after any piece of its stream, while events are committed, misses no event after its cursor."""
    rng = random.Random(seed)
    for pieces in range(2, 7):
        log = Log()
        reader = Reader(log, pause_s=rng.choice([0.1, 0.3]), pieces=pieces)
        async with following(log) as tasks:
            tasks.start_soon(commit_at_random, log, rng, 60)
            await reader.read()
            reader.pieces, reader.pause_s = None, 0.0
            with anyio.move_on_after(60):
                await reader.read(reader.last_id)
            stored = await log.stored()
        assert Counter(reader.bodies) == identities(stored)
