"""Queue, sinks and service as they are on a bad day."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import anyio

from watcher.errors import Unavailable
from watcher.model import Event, Message, Observation, TaskRef
from watcher.ports import Outcome
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.queue import SimulatedQueue


class UnreliableQueue(SimulatedQueue):
    """Acknowledgements get lost, on the way there or on the way back."""

    def __init__(self, rng: Random, *, hold_s: float, ack_fails: float) -> None:
        super().__init__(hold_s=hold_s, finite=False)
        self.lost_acks = 0
        self._rng = rng
        self._ack_fails = ack_fails

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Some fail, each for itself; some take effect and are reported as failed."""
        await anyio.sleep(self._rng.uniform(0, 0.05))
        unlucky = [m for m in messages if self._rng.random() < self._ack_fails]
        self.lost_acks += len(unlucky)
        done_all_the_same = [m for m in unlucky if self._rng.random() < 0.5]
        failed = await super().ack([m for m in messages if m not in unlucky] + done_all_the_same)
        return [*(m for m in failed if m not in unlucky), *unlucky]


class UnreliableInbox(SimulatedInbox):
    """Sometimes takes a batch and dies before it says so. Remembers everything it was ever handed, repeats included."""

    def __init__(self, rng: Random, *, name: str, dies: float, latency_s: float, when: Callable[[], float]) -> None:
        super().__init__(name=name, max_batch=rng.choice([1, 5, 10]), concurrency=rng.choice([1, 4]), latency_s=latency_s)
        self.deaths = 0
        self.times: list[float] = []
        """When each of `events` came."""
        self._rng = rng
        self._dies = dies
        self._when = when

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Takes all, or does as it was told, or takes all and dies."""
        outcomes = await super().send(events)
        self.times += [self._when()] * (len(self.events) - len(self.times))
        if self._rng.random() < self._dies:
            self.deaths += 1
            raise Unavailable("connection lost")
        await anyio.sleep(self.latency_s)
        return outcomes


class SteppingProbe(SimulatedProbe):
    """Observes by the watcher's wall clock, which the simulation may step; the service keeps its own."""

    def __init__(self, service: Any, wall: Callable[[], float]) -> None:
        super().__init__(service)
        self._wall = wall

    async def observe(self, ref: TaskRef) -> Observation:
        """The same task, seen at whatever our clock says."""
        return replace(await super().observe(ref), observed_at=self._wall())


def message(rng: Random, connector: str, task: str) -> str:
    """A task in one of the forms a message may have."""
    own = {"voice_connector_id": connector, "speaker_search_task_id": task, "context": {"t": task}}
    pascal = {"VoiceConnectorId": connector, "SpeakerSearchTaskId": task}
    return json.dumps(rng.choice([own, pascal, [pascal], {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": own}]))
