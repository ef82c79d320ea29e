"""Queue, sinks and service as they are on a bad day."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import anyio

from tests.simulation.story import ENDLESS, ENDLESS_S, TONE
from watcher.errors import CredentialsRejected, RemoteError, Throttled, Unavailable
from watcher.model import Event, Message, Observation, TaskRef
from watcher.ports import Delivered, Outcome, Retry
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.queue import SimulatedQueue
from watcher.simulator.service import VoiceService
from watcher.simulator.simulated_kinds import TERMINAL, SimulatedKind
from watcher.simulator.simulated_task import CallDetails, SimulatedTask
from watcher.simulator.task_table import TaskTable


class UnreliableQueue(SimulatedQueue):
    """Acknowledgements get lost, on the way there or on the way back."""

    def __init__(self, rng: Random, *, hold_s: float, ack_fails: float) -> None:
        super().__init__(hold_s=hold_s, finite=False)
        self.lost_acks = 0
        self.ack_fails = ack_fails
        """The share of acknowledgements that do."""
        self._rng = rng
        self._in_hand: list[Message] = []

    def begin(self) -> None:
        """Another life of the watcher: what the last one had in its hands is gone."""
        self._in_hand.clear()

    def holds(self, words: str) -> bool:
        """Whether a message with these words is yet to be taken in: it waits here, or a copy of it is in the watcher's hands."""
        bodies = [queued.body for queued in self._queued.values()] + [message.body for message in self._in_hand]
        return any(words in body.decode() for body in bodies)

    async def receive(self) -> Sequence[Message] | None:
        """As ever; noted until acknowledged."""
        messages = await super().receive()
        self._in_hand += messages or ()
        return messages

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Some fail, each for itself; some take effect and are reported as failed."""
        self._in_hand = [held for held in self._in_hand if held not in messages]
        await anyio.sleep(self._rng.uniform(0, 0.05))
        unlucky = [m for m in messages if self._rng.random() < self.ack_fails]
        self.lost_acks += len(unlucky)
        done_all_the_same = [m for m in unlucky if self._rng.random() < 0.5]
        failed = await super().ack([m for m in messages if m not in unlucky] + done_all_the_same)
        return [*(m for m in failed if m not in unlucky), *unlucky]


@dataclass(frozen=True, slots=True)
class Handed:
    """An event that a sink was handed and answered for, when, and whether it took it (or will never take it)."""

    event: Event
    at: float
    taken: bool


class UnreliableInbox(SimulatedInbox):
    """Sometimes takes a batch and dies before it says so. Remembers everything it was ever handed, repeats included."""

    def __init__(self, rng: Random, *, name: str, dies: float, latency_s: float, when: Callable[[], float]) -> None:
        super().__init__(name=name, max_batch=rng.choice([1, 5, 10]), concurrency=rng.choice([1, 4]), latency_s=latency_s)
        self.deaths = 0
        self.handed: list[Handed] = []
        """What it took or refused for good, in order, repeats included."""
        self.dies = dies
        """The share of batches after which it does."""
        self._rng = rng
        self._when = when

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Takes all, or does as it was told, or takes all and dies."""
        outcomes = await super().send(events)
        for event, outcome in zip(events, outcomes, strict=True):
            if not isinstance(outcome, Retry):
                self.handed.append(Handed(event, self._when(), isinstance(outcome, Delivered)))
        if self._rng.random() < self.dies:
            self.deaths += 1
            raise Unavailable("connection lost")
        await anyio.sleep(self.latency_s)
        return outcomes


class StagedTasks(TaskTable):
    """In which some tasks never end."""

    def _create(self, kind: SimulatedKind, connector: str, task_id: str, call: CallDetails | None, now: float) -> SimulatedTask:
        created = super()._create(kind, connector, task_id, call, now)
        if task_id.startswith(ENDLESS):
            created.periods = tuple(period for period in created.periods if period.status not in TERMINAL)
        return created


class WatchedProbe(SimulatedProbe):
    """Observes by the watcher's wall clock, which the simulation may step; the service keeps its own. Notes when it was asked."""

    def __init__(self, service: VoiceService, wall: Callable[[], float]) -> None:
        super().__init__(service)
        self.calls: list[defaultdict[str, list[float]]] = []
        """When, for each life of the watcher, by kind of task."""
        self.idle_refreshes = 0
        """Times fresh credentials were asked for though nothing had been answered with the last ones."""
        self.heals: Callable[[], None] | None = None
        """What fresh credentials do, where they are what is missing."""
        self._wall = wall
        self._answered = True

    def begin(self) -> None:
        """Another life of the watcher."""
        self.calls.append(defaultdict(list))
        self._answered = True

    async def refresh(self) -> None:
        """Makes it good where that is the trouble."""
        await super().refresh()
        self.idle_refreshes += not self._answered
        self._answered = False
        if self.heals is not None:
            self.heals()

    async def observe_one(self, ref: TaskRef) -> Observation:
        """The same task, seen at whatever our clock says."""
        self.calls[-1][ref.kind].append(anyio.current_time())
        try:
            seen = await super().observe_one(ref)
        except RemoteError as error:
            self._answered = self._answered or not isinstance(error, CredentialsRejected | Unavailable | Throttled)
            raise
        self._answered = True
        return replace(seen, observed_at=self._wall())


def message(rng: Random, connector: str, task: str) -> str:
    """A task in one of the forms a message may have."""
    if task.startswith(TONE):
        return json.dumps({"kind": "voice-tone", "voice_connector_id": connector, "voice_tone_analysis_task_id": task})
    own: dict[str, Any] = {"voice_connector_id": connector, "speaker_search_task_id": task, "context": {"t": task}}
    if task.startswith(ENDLESS):
        return json.dumps(own | {"deadline_s": ENDLESS_S})
    pascal = {"VoiceConnectorId": connector, "SpeakerSearchTaskId": task}
    return json.dumps(rng.choice([own, pascal, [pascal], {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": own}]))
