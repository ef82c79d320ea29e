"""The SQLite store in virtual time: exact, so that a seed can be replayed, with the real errors of a disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import anyio
import pytest

from tests.contracts.store_exam.facts import a_watch, all_tasks, leases, moved
from tests.simulation.drawing import draw
from tests.simulation.play import play
from tests.simulation.record import Record
from tests.simulation.sqlite_disk import RestartedStore, SqliteDisk
from tests.simulation.story import Story
from tests.simulation.virtual_time import VirtualTimeLoop
from watcher.errors import StoreUnavailable
from watcher.model import Watch
from watcher.query import Selection

SLOW_S = 0.1


def on_virtual_time(act: Callable[[SqliteDisk], Awaitable[Any]], slowest_s: float = SLOW_S) -> Any:
    """Run `act` on a disk in virtual time, and return its result."""

    async def run() -> Any:
        with SqliteDisk(Random(1), slowest_s) as disk:
            try:
                return await act(disk)
            finally:
                for store in [*disk._stores]:
                    await store.close()

    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


def trace(record: Record) -> list[object]:
    """All events that the sinks got and all calls of the service, with their times."""
    sent = [(inbox.name, each.at, each.accepted, each.event) for inbox in record.inboxes for each in inbox.sent]
    return [record.probe.calls, record.left, *sent]


def eventful_story() -> Story:
    """A story over a SQLite file with a full disk, a kill and an erasure."""

    def is_eventful(story: Story) -> bool:
        troubles, ends = {trouble.name for trouble in story.troubles}, {how for _, how in story.ends}
        return story.sqlite and bool(story.erasures) and "disk" in troubles and "kill" in ends

    return next(story for story in map(draw, range(200)) if is_eventful(story))


def test_a_story_over_sqlite_replays_exactly() -> None:
    """The same seed makes the same calls at the same times and gives the same events to the sinks."""
    story = eventful_story()
    first, again = play(story), play(story)
    assert len(first.inboxes[0].sent) > 10
    assert trace(first) == trace(again)


def test_calls_at_one_instant_are_one_transaction() -> None:
    """Calls that wait for the same turn share it; each caller gets its own answer, at the same instant."""

    async def act(disk: SqliteDisk) -> tuple[int, set[float]]:
        store, done = await opened(disk), set[float]()
        groups, commit = [], store._file._writer._commit  # type: ignore[union-attr]
        store._file._writer._commit = lambda calls: (groups.append(len(calls)), commit(calls))  # type: ignore[union-attr, method-assign, assignment]

        async def admit(n: int) -> None:
            await store.admit([a_watch(f"t{n}")])
            done.add(anyio.current_time())

        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(admit, n)
        return groups[0], done

    assert on_virtual_time(act, slowest_s=0.0) == (20, {0.0})


@pytest.mark.parametrize("full", ["pages", "bytes"])
def test_a_full_disk_refuses_as_sqlite_does(full: str) -> None:
    """Without a free page or byte, a write fails as a whole and reads work; with space again the write succeeds."""

    async def act(disk: SqliteDisk) -> None:
        store = await opened(disk)
        many = [a_watch(f"{n}-{'x' * 100}") for n in range(500)]
        disk.full = full
        with pytest.raises(StoreUnavailable, match="SQLITE_FULL" if full == "pages" else "SQLITE_IOERR_WRITE"):
            await store.admit(many)
        assert await all_tasks(store) == []
        disk.full = ""
        await store.admit(many)
        assert len(disk.read_content().open) == 500

    on_virtual_time(act)


def test_an_erasure_is_reported_on_a_full_disk() -> None:
    """When the record of an earlier erasure cannot be removed, the next one is reported all the same, and no call fails."""

    async def act(disk: SqliteDisk) -> list[Sequence[str]]:
        store = await opened(disk)
        first, second = await store.admit([a_watch("first"), a_watch("second")])
        await disk.forget(Selection(key=first.key))
        reported = [(await store.requests()).forgotten]
        await disk.forget(Selection(key=second.key))
        disk.full = "bytes"
        return [*reported, (await store.requests()).forgotten, (await store.requests()).forgotten]

    assert on_virtual_time(act) == [[a_watch("first").key], [a_watch("second").key], []]


def test_a_start_on_a_full_disk_waits_for_room() -> None:
    """A process that ends because the disk is full is started again until it can open its store."""

    async def act(disk: SqliteDisk) -> float:
        disk.full = "bytes"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(opened, disk)
            await anyio.sleep(30)
            disk.full = ""
        return anyio.current_time()

    assert 30 < on_virtual_time(act) < 40


def test_a_kill_leaves_the_log_and_the_next_process_reads_it() -> None:
    """A committed write is there although the file was not closed; a write that waited for its turn is not."""

    async def act(disk: SqliteDisk) -> tuple[bool, list[Watch]]:
        store = await opened(disk)
        watch = (await store.admit([a_watch()]))[0]
        owned = await leases(store)
        async with anyio.create_task_group() as process:
            process.start_soon(store.commit, [moved(watch, "SUCCEEDED")], owned)
            await anyio.wait_all_tasks_blocked()
            process.cancel_scope.cancel()
        await store.close()
        log = disk._beside("-wal").stat().st_size
        return log > 0, await all_tasks(await opened(disk))

    killed, watches = on_virtual_time(act)
    assert killed
    assert watches == [a_watch()]


async def opened(disk: SqliteDisk) -> RestartedStore:
    store = disk.store()
    await store.open(["bus"])
    return store
