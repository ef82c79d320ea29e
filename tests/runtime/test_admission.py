"""Submissions become durable watches, each with an outcome; the owner of a shard polls its new watches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import anyio
import pytest

from tests.contracts.store_exam.facts import commit, moved
from tests.runtime.conftest import EPOCH, MakeWorld, key
from tests.runtime.shared_store import RENEW_S, SHARDS, SharedStore, names_in
from watcher.core.polling.transitions import WatchSettings
from watcher.model import Lease, Submission, TaskRef, Watch
from watcher.runtime.admission import Admission
from watcher.runtime.clock import Clock
from watcher.runtime.feed import Feed
from watcher.runtime.leases import Leases
from watcher.runtime.open_reads import OpenReads

pytestmark = pytest.mark.looptime(noop_cycles=0)


class Desk:
    """An admission over a store of four shards, and what it announced."""

    def __init__(self) -> None:
        self.store = SharedStore()
        self.announced: list[Sequence[Watch]] = []
        feed, ids = Feed(), count(1)
        feed.on_admitted(lambda watches, observed, source: self.announced.append(watches))
        leases = Leases(SHARDS)
        leases.update([Lease(shard, 1) for shard in range(SHARDS)], 0.0)
        new_id, clock = (lambda: f"{next(ids):032x}"), Clock(lambda: EPOCH)
        self.admission = Admission(self.store, feed, WatchSettings(deadline=100), new_id, clock, OpenReads(leases))

    async def submit(self, *names: str, context: str | None = None, deadline_s: float | None = None) -> list[str]:
        """The outcomes, in order."""
        refs = [TaskRef("speaker-search", ("abc123", name)) for name in names]
        return [each.outcome for each in await self.admission.submit([Submission(ref, context, deadline_s) for ref in refs])]


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.store.open(["inbox"])
    return desk


async def test_each_submission_has_an_outcome_in_order(desk: Desk) -> None:
    """`admitted` for a new task, `known` for one that is watched, `ended` for one that was watched to its end."""
    await desk.submit("open", "over")
    over = await desk.store.task(key("over"))
    assert over is not None
    await commit(desk.store, moved(over, "SUCCEEDED", end=True))
    assert await desk.submit("over", "new", "open", "newer") == ["ended", "admitted", "known", "admitted"]


async def test_the_outcome_has_the_watch_that_exists(desk: Desk) -> None:
    """A task that is known keeps its id, its context, and its deadline."""
    ref = TaskRef("speaker-search", ("abc123", "task-1"))
    (first,) = await desk.admission.submit([Submission(ref, '"first"', 50.0)])
    (second,) = await desk.admission.submit([Submission(ref, '"second"')])
    assert (first.watch.context, first.watch.admitted_at, first.watch.deadline_at) == ('"first"', EPOCH, EPOCH + 50)
    assert second.watch == first.watch == await desk.store.task(ref.key)


async def test_of_the_same_task_twice_in_a_batch_the_first_counts(desk: Desk) -> None:
    """The first submission is admitted, each further one finds it, and the store gets one watch."""
    assert await desk.submit("a", "b", "a", "a") == ["admitted", "admitted", "known", "known"]
    assert len(await desk.store.admit([])) == 0
    assert await desk.store.count_open() == 2


async def test_only_new_watches_are_announced(desk: Desk) -> None:
    """Each once, also when it was submitted twice; nothing at all where nothing is new."""
    await desk.submit("a", "b", "a")
    await desk.submit("a", "c")
    await desk.submit("b")
    await desk.submit()
    assert [[watch.key for watch in watches] for watches in desk.announced] == [[key("a"), key("b")], [key("c")]]


async def test_a_watch_is_durable_before_it_is_announced(desk: Desk) -> None:
    """A subscriber can read each new watch from the store."""
    desk.admission._feed.on_admitted(
        lambda watches, observed, source: found.extend(desk.store.content.watches[watch.key] for watch in watches)
    )
    found: list[Watch] = []
    await desk.submit("a", "b")
    assert [watch.key for watch in found] == [key("a"), key("b")]


async def test_tasks_of_shards_that_are_not_owned_are_admitted_and_polled_by_their_owner(world: MakeWorld) -> None:
    """They are durable at once, not polled here, and loaded when this process becomes the owner of their shard."""
    store = SharedStore(mine=[0])
    w = world(store=store, finite=False, durations="run=fixed(5)", partial=0)
    names = [names_in(shard, 1)[0] for shard in range(SHARDS)]
    w.submit(*names)
    async with w.running() as watcher:
        await anyio.sleep(60)
        assert len(w.queue.acked) == SHARDS
        assert {event.key for event in w.inbox.events} == {key(names[0])}
        assert await store.count_open() == SHARDS - 1
        assert len(watcher.loops.pollers) == 0
        store.mine.add(1)
        await anyio.sleep(RENEW_S + 60)
        assert {event.key for event in w.inbox.events if event.terminal} == {key(names[0]), key(names[1])}
    assert await store.count_open() == SHARDS - 2
