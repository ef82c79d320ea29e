"""The stream of events: stored events, then new ones, without a gap or an overlap, from any cursor on."""

from __future__ import annotations

import gc
import random
from collections import Counter

import anyio
import pytest

from tests.api.events_in_memory import RETENTION_S, Log, Reader, bodies, commit_at_random, following
from tests.contracts.store_exam.facts import a_watch
from watcher.api.event_stream import HEARTBEAT_S
from watcher.api.problems import Problem
from watcher.model import Event
from watcher.queries.event_pages import EventFilter
from watcher.query import Selection
from watcher.runtime import event_tail
from watcher.runtime.event_tail import EventTail, ReaderTooSlowError

pytestmark = pytest.mark.looptime

SETTLED_S = 3.0
"""After this time without a commit, every reader has what there is."""


async def until_read(reader: Reader, count: int) -> None:
    with anyio.fail_after(600):
        while len(reader.bodies) < count:  # noqa: ASYNC110 - no event marks that a reader has read enough
            await anyio.sleep(0.1)


def identities(events: list[Event]) -> Counter[str]:
    return Counter(bodies(events))


@pytest.mark.parametrize("announced", [True, False], ids=["own commits", "commits of other replicas"])
@pytest.mark.parametrize("seed", range(8))
async def test_each_reader_gets_each_event_once(seed: int, announced: bool) -> None:
    """Readers that connect at any time, while events are committed to several shards, get each stored event, and none twice."""
    rng, log = random.Random(seed), Log(announced=announced)
    readers = [Reader(log, pause_s=rng.choice([0.0, 0.0, 0.05, 0.3])) for _ in range(6)]
    async with following(log) as tasks:
        await commit_at_random(log, rng, rng.randrange(60))
        for reader in readers:
            tasks.start_soon(reader.read)
            await commit_at_random(log, rng, rng.randrange(40))
        stored = await log.stored()
        for reader in readers:
            await until_read(reader, len(stored))
        await anyio.sleep(SETTLED_S)
    for reader in readers:
        assert Counter(reader.bodies) == identities(stored)


@pytest.mark.parametrize("seed", range(8))
async def test_a_reader_continues_from_any_cursor(seed: int) -> None:
    """A reader that is disconnected repeatedly, and reconnects with its cursor, gets each event, and none twice."""
    rng, log = random.Random(seed), Log(announced=seed % 2 == 0)
    reader = Reader(log, EventFilter(terminal=rng.choice([None, None, False])))
    async with following(log) as tasks:
        tasks.start_soon(commit_at_random, log, rng, 200)
        for _ in range(25):
            with anyio.move_on_after(rng.choice([0.0, 0.06, 0.3, 2.0])):
                await reader.read(reader.last_id)
        with anyio.move_on_after(60):
            await reader.read(reader.last_id)
        stored = await log.stored()
    assert Counter(reader.bodies) == identities(stored)


async def test_every_id_continues_with_the_next_event() -> None:
    """From the cursor of each event, stored or new, a reader gets exactly the events that were not sent yet."""
    rng, log, first = random.Random(3), Log(), None
    async with following(log) as tasks:
        await commit_at_random(log, rng, 30)
        first = Reader(log)
        tasks.start_soon(first.read)
        await anyio.sleep(SETTLED_S)
        await commit_at_random(log, rng, 30)
        await until_read(first, 60)
        for number, (id_, _) in enumerate(blocks := [block for block in first.blocks if block[1] is not None], 1):
            again = Reader(log)
            with anyio.move_on_after(SETTLED_S):
                await again.read(id_)
            assert Counter(again.bodies) == Counter(data for _, data in blocks[number:])


async def test_the_events_of_a_task_come_in_order() -> None:
    """A reader gets the events of each task in the order of their commits, both stored and new events."""
    rng, log = random.Random(5), Log()
    reader = Reader(log)
    async with following(log) as tasks:
        await commit_at_random(log, rng, 50, tasks=5)
        tasks.start_soon(reader.read)
        await commit_at_random(log, rng, 50, tasks=5)
        stored = await log.stored()
        await until_read(reader, len(stored))
    place = {body: n for n, body in enumerate(reader.bodies)}
    for key in {event.key for event in stored}:
        places = [place[event.body.decode()] for event in stored if event.key == key]
        assert places == sorted(places)


@pytest.mark.parametrize(
    "wanted", [EventFilter(key=a_watch("t3").key), EventFilter(kind="voice-tone"), EventFilter(terminal=True), EventFilter(terminal=False)]
)
async def test_a_reader_gets_only_events_that_pass_its_filter(wanted: EventFilter) -> None:
    """With a filter for a task, a kind, or last events, a reader gets all such events, stored and new, and no others."""
    rng, log = random.Random(7), Log()
    reader = Reader(log, wanted)
    async with following(log) as tasks:
        await commit_at_random(log, rng, 40)
        await log.commit("t1", "t3", end=True)
        tasks.start_soon(reader.read)
        await anyio.sleep(SETTLED_S)
        await log.commit("t2", "t4", end=True)
        await log.commit("t3b", "t5")
        stored = await log.stored()
        await anyio.sleep(SETTLED_S)
    assert Counter(reader.bodies) == identities([event for event in stored if wanted.matches(event)])


async def test_a_reader_without_events_gets_newer_cursors() -> None:
    """A reader whose filter matches no event gets a new cursor from time to time, so that its cursor does not expire."""
    log = Log()
    reader = Reader(log, EventFilter(kind="voice-tone"))
    async with following(log) as tasks:
        tasks.start_soon(reader.read)
        for _ in range(40):
            await log.commit("t1")
            await anyio.sleep(1)
        heartbeats = len(reader.blocks)
        again = Reader(log)
        with anyio.move_on_after(HEARTBEAT_S / 2):
            await again.read(reader.last_id)
    assert heartbeats >= 3
    assert len(again.bodies) < HEARTBEAT_S + SETTLED_S


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


async def test_a_reader_that_begins_now_gets_later_events_only() -> None:
    """With after=now, a reader gets only events that are committed later."""
    log, reader = Log(), None
    async with following(log) as tasks:
        await log.commit("t1", "t2")
        reader = Reader(log)
        tasks.start_soon(reader.read, "now")
        await anyio.sleep(SETTLED_S)
        await log.commit("t3")
        await until_read(reader, 1)
        await anyio.sleep(SETTLED_S)
        later = (await log.stored())[-1]
    assert reader.bodies == [later.body.decode()]


async def test_an_erased_task_does_not_stop_its_readers() -> None:
    """When the newest events are erased, existing and new readers get all later events."""
    log = Log(shards=1)
    early, late = Reader(log), Reader(log)
    async with following(log) as tasks:
        tasks.start_soon(early.read)
        await log.commit("t1")
        await log.commit("t2")
        await until_read(early, 2)
        await log.store.forget(Selection(key=a_watch("t2").key))
        id_ = early.last_id
        tasks.start_soon(late.read, id_)
        await anyio.sleep(SETTLED_S)
        await log.commit("t3")
        await until_read(early, 3)
        await until_read(late, 1)
    assert late.bodies == early.bodies[-1:]


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
