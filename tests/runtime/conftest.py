"""A watcher between simulated peers, all on the virtual time of the loop."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.observe.tracing import NO_TRACER, Tracer
from watcher.ports import Source, Store
from watcher.runtime.assembly import assemble
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.queue import SimulatedQueue
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import VoiceService

EPOCH = 1_800_000_000.0
"""The wall-clock time at the start of the loop."""


class World:
    """The adapters of a watcher: a queue, a service, a store, and sinks. A test may replace or add some before it starts a watcher."""

    def __init__(self, scenario: Scenario, settings: ServiceSettings, sinks: Sequence[SimulatedInbox], store: Store, finite: bool) -> None:
        self.service = VoiceService(scenario, clock=self.wall)
        self.probe = SimulatedProbe(self.service)
        self.sources: list[Source] = [SimulatedQueue(finite=finite)]
        self.sinks = list(sinks)
        self.store = store
        self.settings = settings
        self.tracer: Tracer = NO_TRACER
        self._ids = random.Random(7)

    @property
    def queue(self) -> SimulatedQueue:
        """The first source."""
        queue = self.sources[0]
        assert isinstance(queue, SimulatedQueue)
        return queue

    @queue.setter
    def queue(self, queue: SimulatedQueue) -> None:
        self.sources[0] = queue

    @property
    def inbox(self) -> SimulatedInbox:
        """The first sink."""
        return self.sinks[0]

    @staticmethod
    def wall() -> float:
        return EPOCH + anyio.current_time()

    def watcher(self) -> Watcher:
        """A watcher that is not started."""
        determinism = Determinism(Clock(self.wall), random.Random(3), lambda: f"{self._ids.getrandbits(128):032x}")
        adapters = Adapters(self.sources, self.probe, self.store, self.sinks)
        return assemble(adapters, self.settings, determinism=determinism, tracer=self.tracer)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Watcher]:
        """A running watcher. The end of the block stops it and waits until it has stopped."""
        async with self.watcher() as watcher, anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.run)
            yield watcher
            watcher.stop()

    def submit(self, *ids: str, **members: Any) -> None:
        """Put a message for each task into the queue."""
        for id_ in ids:
            self.queue.put(json.dumps({"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": id_, **members}))


MakeWorld = Callable[..., World]


@pytest.fixture
def world() -> MakeWorld:
    """Make a world; further keyword arguments are those of the simulated service's `Scenario`."""

    def make(
        *,
        settings: ServiceSettings | None = None,
        sinks: Sequence[SimulatedInbox] = (),
        store: Store | None = None,
        finite: bool = True,
        **scenario: Any,
    ) -> World:
        return World(
            Scenario(**{"seed": 1, **scenario}),
            settings or ServiceSettings(),
            sinks or [SimulatedInbox()],
            store or MemoryStore(MemoryStoreSettings()),
            finite,
        )

    return make


def key(id_: str) -> str:
    """The key of a submitted task."""
    return f"speaker-search/abc123/{id_}"
