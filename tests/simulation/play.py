"""Makes a story happen: the real watcher, life after life, on virtual time; and keeps a record for the oracle."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import anyio
import looptime

from tests.simulation.database import Database
from tests.simulation.disk import Ground, Nothing, SimulatedDisk
from tests.simulation.fuse import Fuse
from tests.simulation.peers import StagedTasks, UnreliableInbox, UnreliableQueue, WatchedProbe, message
from tests.simulation.record import Record
from tests.simulation.story import Story, key_of
from tests.simulation.trouble import scene
from watcher.app import assemble
from watcher.core.polling.pace import PaceSettings
from watcher.model import DEFAULT_TARGET, TaskRef, Watch
from watcher.ports import Store
from watcher.query import Selection
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import VoiceService

EPOCH = 1_800_000_000.0
PATIENCE_S = 1800.0
"""Within so many virtual seconds of calm everything must have been told."""
MARK = "CANARY"


class World:
    """The stage of one story."""

    def __init__(self, story: Story, make: Callable[..., Watcher], fuse: Fuse | None, pause: Pause) -> None:
        self.story = story
        self._fuse = fuse
        self.rng = Random(story.seed + 1)
        self.skew = 0.0
        self.pause = pause
        self.watcher: Watcher | None = None
        self._submissions: Counter[str] = Counter()
        self._make = make
        scenario = Scenario(
            seed=story.seed, quota=story.quota, durations=story.durations, faults=story.faults, mark=MARK, latency="uniform(0.02,0.5)"
        )
        self.service = VoiceService(scenario, clock=lambda: EPOCH + anyio.current_time())
        self.service.tasks = StagedTasks(scenario)
        self.probe = WatchedProbe(self.service, self.wall)
        self.queue = UnreliableQueue(Random(story.seed + 2), hold_s=story.hold_s, ack_fails=story.ack_fails)
        self.inboxes = [
            UnreliableInbox(Random(story.seed + 10 + n), name=f"sink{n}", dies=story.sink_dies, latency_s=story.latency_s, when=self.awake)
            for n in range(story.sinks)
        ]
        self.ground = self._ground()
        self.store: Store | None = None
        """That of the life that runs, or of the last one."""
        if fuse is not None:
            for what, part in (("probe", self.probe), ("queue", self.queue), *(("sink", inbox) for inbox in self.inboxes)):
                fuse.wire(what, part)
        self.record = Record(story, self.service, self.probe, self.queue, self.inboxes)

    def wall(self) -> float:
        return EPOCH + anyio.current_time() + self.skew

    def awake(self) -> float:
        """The loop's time without what the process was stopped for."""
        return anyio.current_time() - self.pause.seconds

    async def play(self) -> Record:
        with self.ground if isinstance(self.ground, AbstractContextManager) else nullcontext():
            self._have_pending()
            await self._play()
            self.record.left = self.ground.content()
        return self.record

    def _have_pending(self) -> None:
        if self.story.pending:
            refs = [TaskRef("speaker-search", ("vc1", f"old-{n}")) for n in range(self.story.pending)]
            self.ground.put([Watch(ref, f"{n:032x}", EPOCH, EPOCH + 86_400) for n, ref in enumerate(refs)])
            self.record.submitted.update(ref.key for ref in refs)

    async def _play(self) -> None:
        async with anyio.create_task_group() as stage:
            for each in (self._submit, self._poison, self._forget, *(scene(self, trouble) for trouble in self.story.troubles)):
                stage.start_soon(each)
            for at, how in self.story.ends:
                await self._life(at, how)
            if self._fuse is not None:
                with anyio.CancelScope() as self._fuse.life:
                    await self._last_life()
                self._fuse.life = None
            if self.record.fresh_lag is None:  # also where the fuse killed that life
                await self._last_life()
            stage.cancel_scope.cancel()

    async def _life(self, until: float, how: str) -> None:
        """One life of the watcher: until it is killed, or told to stop."""
        self.stop_began: float | None = None
        with anyio.CancelScope() as life:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._end_at, until, how, life)
                async with self._new_watcher() as watcher:
                    self.watcher = watcher
                    await watcher.run()
                tasks.cancel_scope.cancel()
        self.record.seen[how] += 1
        self._keep_page()
        if self.stop_began is not None:
            self.record.stops.append(self.awake() - self.stop_began)

    async def _end_at(self, until: float, how: str, life: anyio.CancelScope) -> None:
        await anyio.sleep(max(0.0, until - anyio.current_time()))
        if how == "kill":
            life.cancel()
            return
        while self.watcher is None:  # noqa: ASYNC110 - it may be killed while it opens, and then rings nothing
            await anyio.sleep(0.01)
        self.stop_began = self.awake()
        self.ground.killed = False
        self.watcher.stop()
        await anyio.sleep_forever()

    async def _last_life(self) -> None:
        async with self._new_watcher() as watcher, anyio.create_task_group() as tasks:
            self.watcher = watcher
            tasks.start_soon(watcher.run)
            await anyio.sleep(max(0.0, self.story.calm_at - anyio.current_time()))
            calm = anyio.current_time()
            patience = PATIENCE_S - min(0.0, self.skew)  # deadlines are facts of the wall clock, and come later where that was set back
            while anyio.current_time() - calm < patience and not self.record.quiet:
                await anyio.sleep(5)
                self.record.quiet = self._quiet()
            if self.record.quiet:
                await self._one_more()
            self._keep_page()
            watcher.stop()

    async def _one_more(self) -> None:
        """Nothing goes wrong any more, and a task comes: how long it takes."""
        self.service.change(faults={})
        self.queue.ack_fails = 0.0
        for inbox in self.inboxes:
            inbox.dies = 0.0
        began, key = anyio.current_time(), "speaker-search/vc1/fresh"
        self.record.submitted.add(key)
        self.queue.put(message(self.rng, "vc1", "fresh"))
        with anyio.move_on_after(PATIENCE_S):
            while not all(any(event.key == key and event.terminal for event in inbox.events) for inbox in self.inboxes):  # noqa: ASYNC110
                await anyio.sleep(0.1)
            truth = self.service.tasks.truth(TaskRef.of(key, DEFAULT_TARGET))
            self.record.fresh_lag = anyio.current_time() - began - (truth[-1][1] - truth[0][1])

    def _keep_page(self) -> None:
        if self.watcher is not None:
            self.record.pages.append(self.watcher.metrics.render())

    def _quiet(self) -> bool:
        return not len(self.queue) and self.ground.content().done

    def _ground(self) -> Ground:
        if not self.story.durable:
            return Nothing()
        rng = Random(self.story.seed + 3)
        return Database(rng, self.story.disk_s) if self.story.sqlite else SimulatedDisk(rng, self.story.disk_s)

    def _new_watcher(self) -> Watcher:
        self.watcher, self.ground.killed = None, True
        store = self.ground.store()
        if self._fuse is not None and store is not self.store:
            self._fuse.wire("store", store)
        self.store = store
        self.probe.begin()
        self.queue.begin()
        return self._make(
            Adapters([self.queue], self.probe, store, self.inboxes),
            ServiceSettings(region="us-east-1", pace=PaceSettings(rate=self.story.rate), limits=self.story.limits),
            determinism=Determinism(Clock(self.wall), self.rng, lambda: f"{self.rng.getrandbits(128):032x}"),
        )

    async def _submit(self) -> None:
        for at, connector, task in self.story.tasks:
            await anyio.sleep(max(0.0, at - anyio.current_time()))
            key = key_of(connector, task)
            self.record.submitted.add(key)
            self._submissions[key] += 1
            if self.record.forgotten.pop(key, None) is not None:
                self.record.resubmitted.add(key)
            if self.rng.random() < self.story.lists:
                self.record.poison += 1
                good = json.loads(message(self.rng, connector, task))
                self.queue.put(json.dumps([*(good if isinstance(good, list) else [good]), {"VoiceConnectorId": connector}]))
            else:
                self.queue.put(message(self.rng, connector, task))

    async def _poison(self) -> None:
        for at in sorted(self.story.poison):
            await anyio.sleep(max(0.0, at - anyio.current_time()))
            self.record.poison += 1
            self.queue.put(f"poison {at}")

    async def _forget(self) -> None:
        for at, key in sorted(self.story.forget):
            await anyio.sleep(max(0.0, at - anyio.current_time()))
            name, submissions = f'"{key.rpartition("/")[2]}"', self._submissions[key]
            held = self.queue.holds(name)
            await self._stubbornly(lambda key=key: self.ground.forget(Selection(key=key)))
            if held or self.queue.holds(name) or self._submissions[key] > submissions:
                self.record.resubmitted.add(key)  # its message comes again, and is a submission like any other
            else:
                self.record.forgotten[key] = self.awake()
            self.record.seen["forget"] += 1

    async def _stubbornly(self, call: Callable[[], Awaitable[Any]]) -> None:
        while True:
            with suppress(Exception):
                await call()
                return
            await anyio.sleep(1)


@dataclass
class Pause:
    """How long the process was stopped, or its loop blocked, in all: for so long time went on and nothing ran."""

    seconds: float = 0.0


def replay(seed: int) -> str:
    """How to see it again."""
    return f"seed {seed}: python -m tests.simulation --first {seed} --seeds 1 --logs"


def play(story: Story, make: Callable[..., Watcher] = assemble, fuse: Fuse | None = None) -> Record:
    """Run the story on a loop of its own, in virtual time."""
    loop, pause = looptime.new_event_loop(noop_cycles=0), Pause()  # its rounds of patience are for threads, and ours take turns
    steady = loop.time
    random.seed(story.seed)  # backoffs are drawn from it
    loop.time = lambda: steady() + pause.seconds  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(_play(story, make, fuse, pause))
    except Exception as error:
        error.add_note(replay(story.seed))
        raise
    finally:
        loop.close()


async def _play(story: Story, make: Callable[..., Watcher], fuse: Fuse | None, pause: Pause) -> Record:
    before = len(asyncio.all_tasks())
    record = await World(story, make, fuse, pause).play()
    await asyncio.sleep(0)
    record.tasks_left = len(asyncio.all_tasks()) - before
    return record
