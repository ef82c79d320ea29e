"""Plays a fleet story: runs the processes of all replicas in one world, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import anyio

from tests.simulation.fleet.loop import PROCESS, FreezingLoop
from tests.simulation.fleet.oracle import FleetRecord
from tests.simulation.fleet.server import MemoryServer, Server
from tests.simulation.fleet.story import FleetStory, Life
from tests.simulation.fleet.world import FleetWorld, Process
from tests.simulation.peers import message
from tests.simulation.play import FRESH, IDLE_WITHIN_S
from tests.simulation.world import EPOCH
from watcher.model import DEFAULT_TARGET, TaskRef
from watcher.runtime.assembly import assemble
from watcher.runtime.service import Watcher

LOOK_S = 0.1
"""Seconds between two looks for what no event marks."""


def replay(seed: int) -> str:
    """How to play the fleet story of this seed again."""
    return f"seed {seed}: python -m tests.simulation --replicas --first {seed} --seeds 1 --logs"


def in_memory(fleet: FleetStory, loop: FreezingLoop) -> MemoryServer:
    """A shared store in memory."""
    return MemoryServer(fleet.story.shards, lambda: EPOCH + loop.time())


def play_fleet(
    fleet: FleetStory,
    make: Callable[..., Watcher] = assemble,
    break_server: Callable[[Any], None] = lambda server: None,
    serve: Callable[[FleetStory, FreezingLoop], Server] = in_memory,
) -> FleetRecord:
    """Play the story on a loop of its own. `make` assembles each watcher, and `serve` the shared store."""
    loop = FreezingLoop()
    random.seed(fleet.story.seed)  # the runtime draws its backoffs from it
    try:
        server = serve(fleet, loop)
        break_server(server)
        return loop.run_until_complete(_play(FleetWorld(fleet, make, loop, server)))
    except Exception as error:
        error.add_note(replay(fleet.story.seed))
        raise
    finally:
        loop.close()


async def _play(world: FleetWorld) -> FleetRecord:
    before = len(asyncio.all_tasks())
    record = await _Play(world).play()
    await asyncio.sleep(0)
    record.played.tasks_left = len(asyncio.all_tasks()) - before
    return record


class _Play:
    """The processes in one world."""

    def __init__(self, world: FleetWorld) -> None:
        self._world = world
        self._fleet = world.fleet
        self._record = FleetRecord(world.fleet, world.record, world.audit)

    async def play(self) -> FleetRecord:
        world = self._world
        async with anyio.create_task_group() as incidents:
            for incident in world.incidents():
                incidents.start_soon(incident)
            async with anyio.create_task_group() as processes:
                for life in self._fleet.lives:
                    processes.start_soon(self._live, life)
                await self._until_idle()
                for process in world.processes:
                    self._stop(process)
            incidents.cancel_scope.cancel()
        self._record.calls = world.probes.shared
        world.record.left = world.disk.read_content()
        for process in world.processes:
            for call in list(process.link.under_way):
                call.cancel()
        await world.server.close()
        return self._record

    async def _live(self, life: Life) -> None:
        """Run one process of a replica from its start to its end."""
        await anyio.sleep(max(0.0, life.start - anyio.current_time()))
        process = self._world.new_process(life)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run, process, tasks.cancel_scope)
            if life.how:
                await anyio.sleep(max(0.0, life.end - anyio.current_time()))
                await self._end(process, life.how)

    async def _end(self, process: Process, how: str) -> None:
        self._world.audit.seen[how] += 1
        if how == "kill":
            self._world.kill(process)
            return
        while not process.opened:  # noqa: ASYNC110 - it may be killed while it opens, and signals nothing then
            await anyio.sleep(LOOK_S)
        self._stop(process)

    def _stop(self, process: Process) -> None:
        if process.ended or process.stopped_at is not None or process.watcher is None:
            return
        process.stopped_at = self._awake(process)
        process.watcher.stop()

    def _awake(self, process: Process) -> float:
        """The time of the loop without that for which this process, or everything, did not run."""
        return anyio.current_time() - process.frozen_s - self._world.loop.suspended_s

    async def _run(self, process: Process, life: anyio.CancelScope) -> None:
        PROCESS.set(process.number)
        process.scope = life
        async with self._world.watcher_of(process) as watcher:
            process.opened = True
            await watcher.run()
        self._world.end(process)
        if process.stopped_at is not None:
            self._world.record.stops.append(self._awake(process) - process.stopped_at)
        self._world.record.metrics.append(watcher.metrics.render())

    async def _until_idle(self) -> None:
        """Wait until all work is done, then see how long one more task takes."""
        world, record = self._world, self._world.record
        await anyio.sleep(max(0.0, self._fleet.calm_at - anyio.current_time()))
        calm = anyio.current_time()
        world.note_owners()
        within = IDLE_WITHIN_S - min([0.0, world.skew, *(world.skew + skew for skew in self._fleet.skews)])
        while anyio.current_time() - calm < within and not (record.idle and world.audit.owned_since is not None):
            await anyio.sleep(1)
            world.note_owners()
            running = [process.watcher for process in world.processes if process.watcher and not process.ended]
            started = all(watcher.loops.ownership.adoption.done.is_set() for watcher in running)
            record.idle = started and not len(world.queue) and world.disk.read_content().done
        owned = world.audit.owned_since
        self._record.unowned_s = None if owned is None else max(0.0, owned - calm)
        if record.idle:
            await self._submit_fresh_task()

    async def _submit_fresh_task(self) -> None:
        world, began = self._world, anyio.current_time()
        world.end_all_faults()
        paces = [
            poller.policy.pace
            for process in world.processes
            if process.watcher and not process.ended
            for poller in process.watcher.loops.pollers
        ]
        self._record.permit_s = max(1 / pace.rate for pace in paces)
        world.record.submitted.add(FRESH.key)
        world.queue.put(message(world.rng, *FRESH.params))
        with anyio.move_on_after(IDLE_WITHIN_S):
            while not all(any(event.key == FRESH.key and event.terminal for event in inbox.events) for inbox in world.inboxes):  # noqa: ASYNC110 - no event marks the last of several deliveries
                await anyio.sleep(LOOK_S)
            truth = world.service.tasks.truth(TaskRef.of(FRESH.key, DEFAULT_TARGET))
            self._record.first_call_s = world.probes.first_call[FRESH.key] - began
            world.record.fresh_lag = anyio.current_time() - began - (truth[-1][1] - truth[0][1])
