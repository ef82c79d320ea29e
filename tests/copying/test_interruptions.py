"""A copy that is interrupted at any call of the target is completed by the same copy again, without loss and without duplicates."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.contracts.store_exam.facts import a_dead_letter, a_watch, leases, moved
from tests.copying.places import PLACES, Place, SqlitePlace, copied, owned, seen
from tests.process import PYTHON, completed
from watcher.errors import SinksRemoved, StoreRefused, StoreUnavailable
from watcher.query import Selection
from watcher.runtime import store_reader

CALLS = ("open_target", "begin_copy", "restore", "end_copy")
"""The calls that change the target."""


class Interruption:
    """Interrupts the nth of these calls, before it takes effect or after it: the call fails, or its process is cancelled."""

    def __init__(self, nth: int, *, before: bool, killed: bool) -> None:
        self.calls = 0
        self.happened = False
        self._nth = nth
        self._before = before
        self._killed = killed

    def wire(self, store: Any) -> None:
        for name in CALLS:
            setattr(store, name, self._wired(getattr(store, name)))

    def _wired(self, call: Any) -> Any:
        async def wired(*arguments: Any) -> Any:
            self.calls += 1
            self.happened = self.calls == self._nth
            if self.happened and self._before:
                await self._act()
            result = await call(*arguments)
            if self.happened:
                await self._act()
            return result

        return wired

    async def _act(self) -> None:
        if not self._killed:
            raise StoreUnavailable("interrupted")
        self.scope.cancel()
        await anyio.sleep_forever()

    async def run(self, source: Place, target: Place) -> bool:
        """Copy. Returns whether the copy was interrupted."""
        with anyio.CancelScope() as self.scope:
            try:
                await copied(source, target, self.wire)
            except StoreUnavailable:
                return True
        return self.scope.cancelled_caught


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("WATCHES", "EVENTS", "DEAD_LETTERS", "OUTBOX"):
        monkeypatch.setattr(store_reader, limit, 3)


async def fill(source: Place) -> None:
    """Seven tasks with two or three events each, some delivered to one sink, one rejected, and two invalid inputs."""
    async with owned(source) as store:
        held = await leases(store)
        for n in range(7):
            (watch,) = await store.admit([a_watch(f"t{n}")])
            for status in "AB":
                change = moved(watch, status, at=1000.0 + n, end=status == "B" and n % 2 == 0)
                await store.commit([change], held)
                watch = change.watch
        events = await store.read_outbox("bus", 0, 0, 100)
        letter = a_dead_letter("rejected", event=events[0])
        await store.settle("bus", [event for event in events if event.position % 3], [replace(letter, origin="bus")], held)
        await store.add_dead_letters([a_dead_letter("i1"), a_dead_letter("i2")])
        await store.retry(["i2", "rejected"])
        await store.save_state("pace voice", "3.0")


def interruptions() -> Iterator[tuple[bool, bool]]:
    yield from ((before, killed) for before in (True, False) for killed in (True, False))


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize(("before", "killed"), list(interruptions()))
async def test_a_copy_is_completed_after_an_interruption_at_any_call(kind: str, before: bool, killed: bool, tmp_path: Path) -> None:
    """For n = 1, 2, and so on: after an interruption at call n of the target, the same copy completes, and all is there one time."""
    source = PLACES["sqlite"](tmp_path)
    await fill(source)
    expected = await seen(source)
    nth = 1
    while True:
        directory = tmp_path / str(nth)
        directory.mkdir()
        target = PLACES[kind](directory)
        interruption = Interruption(nth, before=before, killed=killed)
        if not await interruption.run(source, target):
            break
        await copied(source, target)
        assert await seen(target) == expected, nth
        nth += 1
    assert nth > 10


@pytest.mark.parametrize("kind", PLACES)
async def test_an_interruption_at_each_call_in_turn(kind: str, tmp_path: Path) -> None:
    """A copy of which each attempt gets one portion further is complete in the end."""
    source, target = PLACES["sqlite"](tmp_path), PLACES[kind](tmp_path / "target")
    (tmp_path / "target").mkdir()
    await fill(source)
    attempts = 0
    while await Interruption(4, before=False, killed=attempts % 2 == 0).run(source, target):
        attempts += 1
        assert attempts < 50
    assert attempts == 5
    assert await seen(target) == await seen(source)


@pytest.mark.parametrize("kind", PLACES)
async def test_no_watcher_starts_on_a_part_of_a_copy(kind: str, tmp_path: Path) -> None:
    """After an interruption a watcher is refused and changes nothing, until the copy is complete."""
    source, target = PLACES["sqlite"](tmp_path), PLACES[kind](tmp_path / "target")
    (tmp_path / "target").mkdir()
    await fill(source)
    assert await Interruption(6, before=False, killed=False).run(source, target)
    for sinks in (["bus", "log"], ["other"], []):
        with pytest.raises(StoreRefused, match="unfinished copy"):
            async with owned(target, sinks):
                pass
    await copied(source, target)
    with pytest.raises(SinksRemoved):
        async with owned(target, ["log"]):
            pass
    async with owned(target):
        pass
    assert await seen(target) == await seen(source)


async def test_a_source_that_changed_is_not_mixed_with_its_earlier_content(tmp_path: Path) -> None:
    """An interrupted copy is refused when the source has changed since, by a watcher or by an operator."""
    source, target = PLACES["sqlite"](tmp_path), PLACES["shared memory"](tmp_path)
    await fill(source)
    assert await Interruption(6, before=True, killed=True).run(source, target)
    async with owned(source) as store:
        await store.purge(["i1"])
    with pytest.raises(StoreRefused, match="the source has changed since"):
        await copied(source, target)


async def test_a_source_that_changes_during_the_copy_is_found(tmp_path: Path) -> None:
    """What an operator erases in the source while it is copied makes the copy fail, and no watcher starts on it."""
    source, target = PLACES["sqlite"](tmp_path), PLACES["shared memory"](tmp_path)
    await fill(source)

    def erase_later(store: Any) -> None:
        end = store.restore

        async def restore(portion: Any, progress: str) -> None:
            await end(portion, progress)
            if portion.states:
                operator = source.store()
                await operator.attach()
                await operator.forget(Selection(param=1, value="t1"))
                await operator.close()

        store.restore = restore

    with pytest.raises(StoreRefused, match=r"the source has changed during the copy \(tasks: 7 and 6"):
        await copied(source, target, erase_later)
    with pytest.raises(StoreRefused, match="unfinished copy"):
        async with owned(target):
            pass


LOSSES: dict[str, Any] = {
    "a task": lambda portion: replace(portion, watches=portion.watches[1:]),
    "a field": lambda portion: replace(portion, watches=[watch._replace(polls=0) for watch in portion.watches]),
    "order of tasks": lambda portion: replace(portion, watches=portion.watches[::-1]),
    "an event": lambda portion: replace(portion, events=portion.events[1:]),
    "a body": lambda portion: replace(
        portion, events=[replace(e, event=replace(e.event, body=e.event.body + b" ")) for e in portion.events]
    ),
    "order of events": lambda portion: replace(portion, events=portion.events[::-1]),
    "a delivery": lambda portion: replace(portion, events=[replace(e, unsettled=frozenset(["bus", "log"])) for e in portion.events]),
    "an undelivered event": lambda portion: replace(portion, events=[replace(e, unsettled=frozenset()) for e in portion.events]),
    "a dead letter": lambda portion: replace(portion, dead_letters=portion.dead_letters[1:]),
    "a mark": lambda portion: replace(portion, dead_letters=[replace(letter, retry=False) for letter in portion.dead_letters]),
    "tries": lambda portion: replace(portion, dead_letters=[replace(letter, tries=9) for letter in portion.dead_letters]),
    "the place of an event": lambda portion: replace(portion, dead_letters=[replace(each, position=0) for each in portion.dead_letters]),
    "a text": lambda portion: replace(portion, states={}),
}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_copy_that_differs_is_not_completed(loss: str, kind: str, tmp_path: Path) -> None:
    """Whatever a target loses or changes, the comparison at the end finds it, and no watcher starts on the target."""
    source, target = PLACES["sqlite"](tmp_path), PLACES[kind](tmp_path / "target")
    (tmp_path / "target").mkdir()
    await fill(source)

    def lose(store: Any) -> None:
        restore = store.restore
        store.restore = lambda portion, progress: restore(LOSSES[loss](portion), progress)

    with pytest.raises(StoreRefused, match=r"the copy differs from its source|has no watch there"):
        await copied(source, target, lose)
    with pytest.raises(StoreRefused, match="unfinished copy"):
        async with owned(target):
            pass


async def test_a_full_disk(tmp_path: Path) -> None:
    """When the disk of the target is full the copy fails with the reason, and continues when there is room."""
    source, target = PLACES["sqlite"](tmp_path), PLACES["sqlite"](tmp_path / "target")
    (tmp_path / "target").mkdir()
    await fill(source)
    async with owned(source) as store:
        await store.add_dead_letters([replace(a_dead_letter("large"), body=random.Random(1).randbytes(200_000))])

    def fill_up(store: Any) -> None:
        begin = store.begin_copy

        async def begin_copy(content: str, sinks: Sequence[str]) -> str:
            progress: str = await begin(content, sinks)
            (pages,) = store._file._connections[0].execute("PRAGMA page_count").fetchone()
            store._file._connections[0].execute(f"PRAGMA max_page_count = {pages}")
            return progress

        store.begin_copy = begin_copy

    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await copied(source, target, fill_up)
    await copied(source, target)
    assert await seen(target) == await seen(source)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.copying.places import SqlitePlace, copied
from watcher.runtime import store_reader

source, target, nth = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for limit in ("WATCHES", "EVENTS", "DEAD_LETTERS", "OUTBOX"):
    setattr(store_reader, limit, 3)

def wire(store):
    restore, calls = store.restore, []
    async def restore_or_die(portion, progress):
        calls.append(asyncio.ensure_future(restore(portion, progress)))
        if len(calls) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        await calls[-1]
    store.restore = restore_or_die

asyncio.run(copied(SqlitePlace(source), SqlitePlace(target), wire))
"""


@pytest.mark.process
@pytest.mark.parametrize("nth", [1, 4, 8])
async def test_a_killed_process(nth: int, tmp_path: Path) -> None:
    """After SIGKILL in the middle of a copy between two files, the same copy completes it."""
    source, target = SqlitePlace(tmp_path), SqlitePlace(tmp_path / "target")
    (tmp_path / "target").mkdir()
    await fill(source)
    command = [PYTHON, "-c", KILLED, str(tmp_path), str(tmp_path / "target"), str(nth)]
    killed = await anyio.to_thread.run_sync(lambda: completed(command, capture_output=True))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    await copied(source, target)
    assert await seen(target) == await seen(source)
