"""Notifications of AWS earn trust: safety polls become rare while they come, and come back when they stop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from statistics import mean

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, World
from tests.runtime.test_notifications import notification
from watcher.core.polling.cadence import CadenceSettings
from watcher.model import Message
from watcher.runtime.settings import ServiceSettings
from watcher.simulator.queue import SimulatedQueue
from watcher.simulator.simulated_kinds import SIMULATED_KINDS

pytestmark = pytest.mark.looptime(noop_cycles=0)

PRICE_S = 2.0
"""The price of a call, which is fixed here: the quota never binds."""
MEAN_S = 20.0
"""The mean time from the start of a task to its end."""
DELAY_S = 0.3


class QuickQueue(SimulatedQueue):
    """A queue that looks for messages ten times a second, so that a notification is received soon after it was sent."""

    async def receive(self) -> Sequence[Message] | None:
        with anyio.move_on_after(0.1):
            return await super().receive()
        return ()


class Tasks:
    """Speaker searches, two of which begin in each second, and whose ends AWS announces or not."""

    def __init__(self, world: World) -> None:
        self.world, self.announced = world, True
        self.unrelated = 0
        """Notifications about something else for each task."""
        self._ids = count()

    async def run(self) -> None:
        """Submit tasks until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                name = f"t-{next(self._ids)}"
                self.world.submit(name)
                group.start_soon(self._notify, name)
                await anyio.sleep(0.5)

    async def _notify(self, name: str) -> None:
        now = self.world.wall()
        task = self.world.service.tasks.find(SIMULATED_KINDS["speaker-search"], "abc123", name, now)
        assert task is not None
        left = task.truth()[-1][1] - now
        for _ in range(self.unrelated):
            await anyio.sleep(left / (self.unrelated + 1))
            self.world.queue.put(notification(name))
        await anyio.sleep(task.truth()[-1][1] + DELAY_S - self.world.wall())
        if self.announced:
            self.world.queue.put(notification(name))


@pytest.fixture
def tasks(world: MakeWorld) -> Tasks:
    settings = ServiceSettings(cadence=CadenceSettings(price_floor=PRICE_S))
    w = world(finite=False, settings=settings, quota=1000.0, durations=f"queue=fixed(0),run=exponential({MEAN_S:g})")
    w.queue = QuickQueue(finite=False)
    return Tasks(w)


async def measured(tasks: Tasks, seconds: float) -> tuple[float, float]:
    """The mean number of polls and the mean lag of the tasks whose end is detected within this time."""
    known = len(tasks.world.inbox.events)
    await anyio.sleep(seconds)
    ends = [json.loads(event.body)["data"] for event in tasks.world.inbox.events[known:] if event.terminal]
    assert len(ends) > 50
    return mean(each["polls"] for each in ends), mean(each["detection_lag_s"] for each in ends)


async def test_trust_is_earned_and_lost(tasks: Tasks) -> None:
    """While ends are announced, few polls but the first and the last are made; when they stop, polls and lag are soon those without."""
    async with tasks.world.running() as watcher, anyio.create_task_group() as group:
        group.start_soon(tasks.run)
        tasks.announced = False
        await anyio.sleep(200)
        blind_polls, blind_lag = await measured(tasks, 100)
        tasks.announced = True
        await anyio.sleep(200)
        polls, lag = await measured(tasks, 100)
        share = watcher.metrics.registry.get_sample_value("watcher_announced_share", {"kind": "speaker-search", "status": "IN_PROGRESS"})
        tasks.announced = False
        _, stopped_lag = await measured(tasks, 60)
        later_polls, later_lag = await measured(tasks, 60)
        group.cancel_scope.cancel()
    assert share is not None
    assert 0.9 < share < 1
    assert polls < 2.6 < 3 < blind_polls
    assert lag < 1 < 2 < blind_lag
    assert stopped_lag < 1.25 * blind_lag
    assert later_polls > 0.85 * blind_polls
    assert later_lag < 1.25 * blind_lag


async def test_notifications_about_something_else_earn_no_trust(tasks: Tasks) -> None:
    """Each one is polled once, and no more often; the ends of the tasks are found as without it."""
    tasks.announced, tasks.unrelated = False, 1
    async with tasks.world.running() as watcher, anyio.create_task_group() as group:
        group.start_soon(tasks.run)
        await anyio.sleep(200)
        polls, _ = await measured(tasks, 100)
        share = watcher.metrics.registry.get_sample_value("watcher_announced_share", {"kind": "speaker-search", "status": "IN_PROGRESS"})
        group.cancel_scope.cancel()
    assert (share or 0.0) < 0.2
    assert polls < 5
