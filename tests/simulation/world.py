"""The world of one story: the peers of the watcher, its disk, and what comes in from outside."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import anyio

from tests.simulation.batch_kind import CLUSTERS, batch_ref, catalog
from tests.simulation.batch_probe import BatchProbe
from tests.simulation.disk import Disk, NoDisk, SimulatedDisk
from tests.simulation.executions import Executions
from tests.simulation.fuse import Fuse
from tests.simulation.peers import RecordingProbe, TasksWithEndless, UnreliableInbox, UnreliableQueue, message, reply_message, with_token
from tests.simulation.record import Record
from tests.simulation.sqlite_disk import SqliteDisk
from tests.simulation.story import DENIED, MISSING, Story, key_of
from tests.simulation.trouble import cause
from tests.simulation.virtual_time import VirtualTimeLoop
from watcher.core.polling.pace import PaceSettings
from watcher.model import DEFAULT_TARGET, TaskRef, Watch
from watcher.ports import Sink, Store
from watcher.query import Selection
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import VoiceService
from watcher.simulator.simulated_kinds import SIMULATED_KINDS

EPOCH = 1_800_000_000.0
MARK = "CANARY"
"""A part of each identifier of a person and each score that the service returns. It may appear in events only."""

Incident = Callable[[], Awaitable[None]]


class World:
    """Everything around the watcher. `loop` must run it; `make` assembles a watcher from adapters and settings."""

    def __init__(self, story: Story, make: Callable[..., Watcher], fuse: Fuse | None, loop: VirtualTimeLoop) -> None:
        self.story = story
        self.loop = loop
        self.rng = Random(story.seed + 1)
        self.skew = 0.0
        """Seconds by which the wall clock of the watcher is ahead of the service's."""
        self._make = make
        self._fuse = fuse
        self._submissions: Counter[str] = Counter()
        self._replies: dict[str, str] = {}
        """By key, the reply of the call that started the task. Later submissions repeat it, when it is long out of date."""
        self._store: Store | None = None
        """Of the current process, or of the last one."""
        scenario = Scenario(
            seed=story.seed, quota=story.quota, durations=story.durations, faults=story.faults, mark=MARK, latency="uniform(0.02,0.5)"
        )
        self.service = VoiceService(scenario, clock=lambda: EPOCH + anyio.current_time())
        self.service.tasks = TasksWithEndless(scenario)
        self.probe = BatchProbe(story, self.service, self.wall) if story.batch_size else RecordingProbe(self.service, self.wall)
        self.queue = UnreliableQueue(Random(story.seed + 2), hold_s=story.hold_s, lost_acks=story.lost_acks)
        self.inboxes = [
            UnreliableInbox(
                Random(story.seed + 10 + n), name=f"sink{n}", lost_replies=story.lost_replies, latency_s=story.latency_s, when=self.awake
            )
            for n in range(story.sinks)
        ]
        self.disk = self._new_disk()
        self.record = Record(story, self.service, self.probe, self.queue, self.inboxes)
        self.sinks: list[Sink] = [*self.inboxes]
        if story.tokens:
            rng = Random(story.seed + 20)
            executions = Executions(rng, story.token_faults, story.timeouts, story.latency_s, self._waits_for_open_watch)
            self.record.executions = executions
            self.sinks.append(executions.sink(story.heartbeat_s))
        if fuse is not None:
            for port, adapter in (("probe", self.probe), ("queue", self.queue), *(("sink", sink) for sink in self.sinks)):
                fuse.wire(port, adapter)

    def wall(self) -> float:
        """The wall clock of the watcher."""
        return EPOCH + anyio.current_time() + self.skew

    def awake(self) -> float:
        """The time of the loop without that for which the process was suspended."""
        return anyio.current_time() - self.loop.suspended_s

    def add_pending(self) -> None:
        """Put watches into the store that an earlier process left."""
        if self.story.pending:
            refs = [TaskRef("speaker-search", ("vc1", f"old-{n}")) for n in range(self.story.pending)]
            self.disk.put([Watch(ref, f"{n:032x}", EPOCH, EPOCH + 86_400) for n, ref in enumerate(refs)])
            self.record.submitted.update(ref.key for ref in refs)
        if self.story.pending_batch:
            refs = [batch_ref(CLUSTERS[0], f"old-{n}") for n in range(self.story.pending_batch)]
            self.disk.put([Watch(ref, f"{n:032x}", EPOCH, EPOCH + 86_400) for n, ref in enumerate(refs, self.story.pending)])
            self.record.submitted.update(ref.key for ref in refs)

    def new_watcher(self) -> Watcher:
        """The watcher of a new process, on the adapters of this world."""
        self.disk.killed = True
        store = self.disk.store()
        if self._fuse is not None and store is not self._store:
            self._fuse.wire("store", store)
        self._store = store
        self.probe.begin()
        self.queue.begin()
        return self._make(
            Adapters([self.queue], self.probe, store, self.sinks),
            self._settings(),
            determinism=Determinism(Clock(self.wall), self.rng, lambda: f"{self.rng.getrandbits(128):032x}"),
        )

    def _settings(self) -> ServiceSettings:
        story = self.story
        kinds = {"catalog": catalog(story.batch_size)} if story.batch_size else {}
        return ServiceSettings(region="us-east-1", pace=PaceSettings(rate=story.rate), limits=story.limits, **kinds)

    def incidents(self) -> list[Incident]:
        """What happens beside the watcher, each to be started as a task."""
        return [self._submit, self._submit_invalid, self._erase, self._cancel, *(cause(self, trouble) for trouble in self.story.troubles)]

    def end_all_faults(self) -> None:
        """Let every call succeed from now on."""
        self.service.change(faults={})
        self.queue.lost_acks = 0.0
        for inbox in self.inboxes:
            inbox.lost_replies = 0.0
        if self.record.executions is not None:
            self.record.executions.shares = {}
        if isinstance(self.probe, BatchProbe):
            self.probe.single.shares = {}

    def _new_disk(self) -> Disk:
        story = self.story
        if not story.durable:
            return NoDisk(story.shards)
        rng = Random(story.seed + 3)
        return SqliteDisk(rng, story.disk_s) if story.sqlite else SimulatedDisk(rng, story.disk_s, story.shards)

    async def _submit(self) -> None:
        for at, connector, task, token in self.story.submissions:
            await anyio.sleep(max(0.0, at - anyio.current_time()))
            key = key_of(connector, task)
            self.record.submitted.add(key)
            self._submissions[key] += 1
            if self.record.erased.pop(key, None) is not None:
                self.record.resubmitted.add(key)
            if token is not None:
                self.record.tokens[token] = key
            if self.rng.random() < self.story.list_share:
                self.record.invalid += 1
                valid = json.loads(self._message(connector, task, token))
                self.queue.put(json.dumps([*(valid if isinstance(valid, list) else [valid]), {"VoiceConnectorId": connector}]))
            else:
                self.queue.put(self._message(connector, task, token))

    def _waits_for_open_watch(self, token: str) -> bool:
        """Whether the task of this token has not ended, as far as the store says."""
        return self.record.tokens[token] in self.disk.read_content().open

    def _message(self, connector: str, task: str, token: str | None) -> str:
        """A message about a task: the reply of the call that started it, one of a state that waits for it, or one that only names it."""
        if token is not None:
            return with_token(self.rng, message(self.rng, connector, task), token)
        is_reply = self.story.replies > 0 and self.rng.random() < self.story.replies
        if not is_reply or task.startswith(MISSING) or connector.startswith(DENIED) or connector in CLUSTERS:
            return message(self.rng, connector, task)
        key = key_of(connector, task)
        if key not in self._replies:
            now = self.service.clock()
            started = self.service.tasks.find(SIMULATED_KINDS[key.partition("/")[0]], connector, task, now)
            self._replies[key] = message(self.rng, connector, task) if started is None else reply_message(self.rng, started, now)
        return self._replies[key]

    async def _submit_invalid(self) -> None:
        for at in sorted(self.story.invalid):
            await anyio.sleep(max(0.0, at - anyio.current_time()))
            self.record.invalid += 1
            self.queue.put(f"not JSON {at}")

    async def _erase(self) -> None:
        for at, key in sorted(self.story.erasures):
            await anyio.sleep(max(0.0, at - anyio.current_time()))
            name, submissions = f'"{TaskRef.of(key, DEFAULT_TARGET).params[-1]}"', self._submissions[key]
            held = self.queue.holds(name)
            await _until_done(lambda key=key: self.disk.forget(Selection(key=key)))
            if held or self.queue.holds(name) or self._submissions[key] > submissions:
                self.record.resubmitted.add(key)  # its message comes again, which counts as a submission
            else:
                self.record.erased[key] = self.awake()
            self.record.seen["erasure"] += 1

    async def _cancel(self) -> None:
        for at, key in sorted(self.story.cancellations):
            await anyio.sleep(max(0.0, at - anyio.current_time()))
            self.record.cancelled.add(key)  # before the call, which may take effect and fail
            self.record.seen["cancellation"] += await _until_done(lambda key=key: self.disk.cancel([key]))


async def _until_done(call: Callable[[], Awaitable[Any]]) -> Any:
    """Repeat the call, as an operator does, until it succeeds."""
    while True:
        with suppress(Exception):
            return await call()
        await anyio.sleep(1)
