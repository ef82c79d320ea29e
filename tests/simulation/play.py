"""Plays a story: runs the real watcher, one process after the other, in the world of the story, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import anyio

from tests.simulation.fuse import Fuse
from tests.simulation.peers import message
from tests.simulation.record import Record
from tests.simulation.story import Story
from tests.simulation.virtual_time import VirtualTimeLoop
from tests.simulation.world import World
from watcher.model import DEFAULT_TARGET, TaskRef
from watcher.runtime.assembly import assemble
from watcher.runtime.service import Watcher

IDLE_WITHIN_S = 1800.0
"""Virtual seconds after the last trouble within which all work must be done."""
FRESH = TaskRef("speaker-search", ("vc1", "fresh"))
"""The task that is submitted after all faults, to see how fast the watcher is again."""


def replay(seed: int) -> str:
    """How to play the story of this seed again."""
    return f"seed {seed}: python -m tests.simulation --first {seed} --seeds 1 --logs"


def play(story: Story, make: Callable[..., Watcher] = assemble, fuse: Fuse | None = None) -> Record:
    """Play the story on a loop of its own. `make` assembles the watcher; `fuse` acts at one of its calls."""
    loop = VirtualTimeLoop()
    random.seed(story.seed)  # the runtime draws its backoffs from it
    try:
        return loop.run_until_complete(_play(story, make, fuse, loop))
    except Exception as error:
        error.add_note(replay(story.seed))
        raise
    finally:
        loop.close()


async def _play(story: Story, make: Callable[..., Watcher], fuse: Fuse | None, loop: VirtualTimeLoop) -> Record:
    before = len(asyncio.all_tasks())
    record = await _Play(World(story, make, fuse, loop), fuse).play()
    await asyncio.sleep(0)
    record.tasks_left = len(asyncio.all_tasks()) - before
    return record


class _Play:
    """The processes of the watcher in one world."""

    def __init__(self, world: World, fuse: Fuse | None) -> None:
        self._world = world
        self._story = world.story
        self._record = world.record
        self._fuse = fuse
        self._watcher: Watcher | None = None
        """Of the current process; None while it opens its adapters."""
        self._stopped_at: float | None = None
        """When the current process was requested to stop."""

    async def play(self) -> Record:
        disk = self._world.disk
        with disk if isinstance(disk, AbstractContextManager) else nullcontext():
            self._world.add_pending()
            async with anyio.create_task_group() as incidents:
                for incident in self._world.incidents():
                    incidents.start_soon(incident)
                await self._run_processes()
                incidents.cancel_scope.cancel()
            self._record.left = disk.read_content()
        return self._record

    async def _run_processes(self) -> None:
        for at, how in self._story.ends:
            await self._run_until(at, how)
        if self._fuse is not None:
            with anyio.CancelScope() as self._fuse.process:
                await self._run_to_the_end()
            self._fuse.process = None
        if self._record.fresh_lag is None:  # also when the fuse killed that process
            await self._run_to_the_end()

    async def _run_until(self, at: float, how: str) -> None:
        """Run a process until it is killed, or until it has stopped."""
        self._stopped_at = None
        with anyio.CancelScope() as process:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._end, at, how, process)
                async with self._new_watcher() as watcher:
                    self._watcher = watcher
                    await watcher.run()
                tasks.cancel_scope.cancel()
        self._record.seen[how] += 1
        self._keep_metrics()
        if self._stopped_at is not None:
            self._record.stops.append(self._world.awake() - self._stopped_at)

    async def _end(self, at: float, how: str, process: anyio.CancelScope) -> None:
        await anyio.sleep(max(0.0, at - anyio.current_time()))
        if how == "kill":
            process.cancel()
            return
        while self._watcher is None:  # noqa: ASYNC110 - it may be killed while it opens, and signals nothing then
            await anyio.sleep(0.01)
        self._stopped_at = self._world.awake()
        self._world.disk.killed = False
        self._watcher.stop()
        await anyio.sleep_forever()

    async def _run_to_the_end(self) -> None:
        """Run the last process until all work is done, then see how long one more task takes."""
        record = self._record
        async with self._new_watcher() as watcher, anyio.create_task_group() as tasks:
            self._watcher = watcher
            tasks.start_soon(watcher.run)
            await anyio.sleep(max(0.0, self._story.calm_at - anyio.current_time()))
            calm = anyio.current_time()
            within = IDLE_WITHIN_S - min(0.0, self._world.skew)  # a wall clock that was set back delays the deadlines of watches
            while anyio.current_time() - calm < within and not record.idle:
                await anyio.sleep(5)
                record.idle = not len(self._world.queue) and self._world.disk.read_content().done
            if record.idle:
                await self._submit_fresh_task()
            self._keep_metrics()
            watcher.stop()

    async def _submit_fresh_task(self) -> None:
        world, began = self._world, anyio.current_time()
        world.end_all_faults()
        self._record.submitted.add(FRESH.key)
        world.queue.put(message(world.rng, *FRESH.params))
        with anyio.move_on_after(IDLE_WITHIN_S):
            while not self._fresh_task_delivered():  # noqa: ASYNC110 - no event marks the last of several deliveries
                await anyio.sleep(0.1)
            truth = world.service.tasks.truth(TaskRef.of(FRESH.key, DEFAULT_TARGET))
            self._record.fresh_lag = anyio.current_time() - began - (truth[-1][1] - truth[0][1])

    def _fresh_task_delivered(self) -> bool:
        inboxes = self._world.inboxes
        return all(any(event.key == FRESH.key and event.terminal for event in inbox.events) for inbox in inboxes)

    def _new_watcher(self) -> Watcher:
        self._watcher = None
        return self._world.new_watcher()

    def _keep_metrics(self) -> None:
        if self._watcher is not None:
            self._record.metrics.append(self._watcher.metrics.render())
