"""The stream of events: stored events, then new ones, without a gap or an overlap, from any cursor on."""

from __future__ import annotations

import random
from collections import Counter

import anyio
import pytest

from tests.api.events_in_memory import Log, Reader, bodies, commit_at_random, following
from tests.contracts.store_exam.facts import a_watch
from watcher.api.event_stream import HEARTBEAT_S
from watcher.model import Event
from watcher.queries.event_pages import EventFilter
from watcher.query import Selection

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
