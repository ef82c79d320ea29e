from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.app import assemble
from watcher.ports import Store
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.queue import SimulatedQueue
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import VoiceService

EPOCH = 1_800_000_000.0
"""The wall clock of the simulated world when its loop begins."""


class World:
    """A watcher among fakes, all on the virtual time of the loop."""

    def __init__(self, scenario: Scenario, settings: ServiceSettings, sinks: Sequence[SimulatedInbox], store: Store, finite: bool) -> None:
        self.service = VoiceService(scenario, clock=self.wall)
        self.probe = SimulatedProbe(self.service)
        self.queue = SimulatedQueue(finite=finite)
        self.sinks = list(sinks)
        self.store = store
        self.settings = settings
        self._ids = random.Random(7)

    @property
    def inbox(self) -> SimulatedInbox:
        return self.sinks[0]

    @staticmethod
    def wall() -> float:
        return EPOCH + anyio.current_time()

    def watcher(self) -> Watcher:
        determinism = Determinism(Clock(self.wall), random.Random(3), lambda: f"{self._ids.getrandbits(128):032x}")
        return assemble(Adapters([self.queue], self.probe, self.store, self.sinks), self.settings, determinism=determinism)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Watcher]:
        """A watcher at work; stopped at the end, and awaited."""
        async with self.watcher() as watcher, anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.run)
            yield watcher
            watcher.stop()

    def submit(self, *ids: str, **members: Any) -> None:
        for id_ in ids:
            self.queue.put(json.dumps({"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": id_, **members}))


MakeWorld = Callable[..., World]


@pytest.fixture
def world() -> MakeWorld:
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
    return f"speaker-search/abc123/{id_}"


Running = AbstractAsyncContextManager[Watcher]
