"""A restart over a store with more watches than can be polled within half an hour."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from tests.runtime.conftest import EPOCH, MakeWorld, key
from tests.simulation.turns import in_turns
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.adapters.stores.sqlite.watch_rows import LOAD_BATCH
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.schedule import state_name
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef, Watch
from watcher.runtime.settings import Limits, ServiceSettings
from watcher.simulator.probe import SimulatedProbe

RATE = 50.0
MANY = 100_000
READ_S = 0.01
"""The virtual time of one read or write of the store."""


class RecordingProbe(SimulatedProbe):
    """Records the time and the task of each call."""

    def __init__(self, like: SimulatedProbe) -> None:
        super().__init__(like.service)
        self.calls: list[tuple[float, str]] = []

    async def observe_one(self, ref: TaskRef) -> Observation:
        self.calls.append((anyio.current_time(), ref.params[1]))
        return await super().observe_one(ref)


def old_watch(n: int) -> Watch:
    """A watch that an earlier process last observed ten minutes ago, as running."""
    at = EPOCH - 600
    ref = TaskRef("speaker-search", ("abc123", f"old-{n}"))
    return Watch(ref, f"{n:032x}", at, at + 86_400, None, "IN_PROGRESS", at + 2, at + 3, at, at + 2, at + 2, None, 2, 2)


async def write_store(path: Path, count: int) -> SqliteStoreSettings:
    """A file as an earlier process leaves it: with this many open watches, and the rate that it learned."""
    settings = SqliteStoreSettings(path=str(path))
    store = SqliteStore(settings)
    await store.open(["inbox"])
    for first in range(0, count, 10_000):
        await store.admit([old_watch(n) for n in range(first, min(count, first + 10_000))])
    await store.save_state(state_name("pace", builtin_catalog()["speaker-search"].quota), repr(RATE))
    await store.close()
    return settings


def largest_burst(times: Sequence[float], rate: float) -> float:
    """The largest number of calls, over all windows, beyond the rate times the length of the window."""
    worst = level = 0.0
    for before, at in pairwise([times[0], *times]):
        level = max(0.0, level - (at - before) * rate) + 1
        worst = max(worst, level)
    return worst


@pytest.mark.parametrize(
    ("count", "minutes"), [pytest.param(MANY, 2, id="one round", marks=pytest.mark.slow), pytest.param(6_000, 3, id="several rounds")]
)
@pytest.mark.looptime(noop_cycles=0)  # threads take turns with the loop, so it need not wait for them
async def test_a_restart_with_many_watches_is_spread_over_the_pace(world: MakeWorld, tmp_path: Path, count: int, minutes: int) -> None:
    """The first call goes at once, none exceeds the pace, all are polled before one is polled twice, and a new task is polled at once."""
    settings = ServiceSettings(pace=PaceSettings(rate=RATE), limits=Limits(max_watches=2 * MANY))
    store = SqliteStore(await write_store(tmp_path / "watcher.db", count))
    w = world(settings=settings, store=store, finite=False, durations="run=never", quota=1e6, max_tasks=2 * MANY)
    w.probe = RecordingProbe(w.probe)
    with in_turns(asyncio.get_running_loop(), lambda: READ_S / 2):
        async with w.running() as watcher:
            began = anyio.current_time()
            w.submit("fresh")
            loaded, loaded_at = [0], began
            while loaded[-1] < count:
                await anyio.sleep(READ_S / 2)
                loaded.append(len(watcher.loops.pollers))
                loaded_at = anyio.current_time()
            await anyio.sleep(1)
            assert watcher.loops.pollers.watched(key("fresh"))
            await anyio.sleep(60 * minutes - (anyio.current_time() - began))
            assert len(watcher.loops.pollers) == count + 1
            ended = anyio.current_time()
    times = [at for at, _ in w.probe.calls]
    polled = [task for _, task in w.probe.calls if task != "fresh"]
    assert times[0] - began <= 10 * READ_S
    assert sum(at < loaded_at for at in times) >= RATE * (loaded_at - began) / 2, "tasks are polled while others are loaded"
    assert max(after - before for before, after in pairwise(loaded)) <= LOAD_BATCH, "other tasks of the loop run after each piece"
    assert largest_burst(times, RATE) <= 1.01
    assert len(times) >= 0.99 * RATE * (ended - began)
    assert polled[:count] == [f"old-{n}" for n in range(min(count, len(polled)))]
    assert next(at for at, task in w.probe.calls if task == "fresh") - loaded_at < 1, "it is admitted while the others are loaded"
    assert w.queue.acked == ["queue-1"]
