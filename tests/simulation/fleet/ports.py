"""The ports of one process: the shared peers, behind what can happen between the process and each of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from tests.simulation.fleet.audit import Audit
from tests.simulation.fleet.link import Link
from tests.simulation.fleet.loop import FreezingLoop
from tests.simulation.fleet.server import Server
from tests.simulation.peers import RecordingProbe
from watcher.errors import RemoteError
from watcher.model import Event, Message, Observation, TaskRef, shard_of
from watcher.ports import Outcome, Sink, Source
from watcher.simulator.service import VoiceService


class Port:
    """A shared peer as one process has it. Calls nothing when the process was killed."""

    def __init__(self, peer: Any, link: Link) -> None:
        self._peer = peer
        self._link = link

    def __getattr__(self, name: str) -> Any:
        return getattr(self._peer, name)

    async def _alive(self) -> None:
        if self._link.dead:
            await anyio.sleep_forever()


class QueuePort(Port):
    """The shared queue, and what this process has received from it."""

    _peer: Source

    async def receive(self) -> Sequence[Message] | None:
        await self._alive()
        return await self._peer.receive()

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        await self._alive()
        return await self._peer.ack(messages)


class SinkPort(Port):
    """A shared sink."""

    _peer: Sink

    def __init__(self, peer: Any, link: Link, began: Callable[[Sequence[int]], None]) -> None:
        super().__init__(peer, link)
        self._began = began

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        await self._alive()
        self._began([event.shard for event in events])
        return await self._peer.send(events)


class Probes:
    """The probes of all processes, with what is common to them, and the calls under way of all of them."""

    def __init__(self, service: VoiceService, loop: FreezingLoop, audit: Audit, server: Server, shards: int) -> None:
        self._server = server
        self._shards = shards
        self.service = service
        self.loop = loop
        self.audit = audit
        self.all: list[ProcessProbe] = []
        self.on_refresh: Callable[[], None] | None = None
        self.misdirection: RemoteError | None = None
        self.under_way: defaultdict[str, Counter[int]] = defaultdict(Counter)
        """By key, how many calls each process makes."""
        self.sharers: Callable[[str], frozenset[int]] = lambda kind: frozenset()
        """The processes that have watches of a kind."""
        self.shared: list[tuple[float, str, frozenset[int]]] = []
        """For each call of any process: its time, its kind, and the processes that had watches of this kind."""
        self.first_call: dict[str, float] = {}
        """By key, the time of the first call."""
        self.seen: Counter[str] = Counter()
        self.broken: list[str] = []

    @property
    def calls(self) -> list[defaultdict[str, list[float]]]:
        """When each process made calls, by kind."""
        return [calls for probe in self.all for calls in probe.calls]

    @property
    def needless_refreshes(self) -> int:
        return sum(probe.needless_refreshes for probe in self.all)

    @property
    def misdirected(self) -> int:
        return sum(probe.misdirected for probe in self.all)

    def begin(self, key: str, process: int) -> None:
        """A process begins a call about a task. Only a frozen process may have one under way already."""
        calls = self.under_way[key]
        self.first_call.setdefault(key, self.loop.time())
        kind = key.partition("/")[0]
        self.shared.append((self.loop.time(), kind, self.sharers(kind)))
        self.audit.began(process, "a call", [shard_of(key, self._shards)], self._server.owners())
        for other in calls:
            if other != process and self.loop.is_frozen(other):
                self.audit.seen["call beside a frozen one"] += 1
            else:
                self.audit.broken.append(f"calls about {key} by {process} and {other} at once, at {self.loop.time():.3f}")
        calls[process] += 1

    def end(self, key: str, process: int) -> None:
        """A call has ended."""
        calls = self.under_way[key]
        calls[process] -= 1
        if not calls[process]:
            del calls[process]


class ProcessProbe(RecordingProbe):
    """The probe of one process."""

    def __init__(self, process: int, probes: Probes, link: Link, wall: Callable[[], float]) -> None:
        self._probes = probes
        super().__init__(probes.service, wall)
        self._process = process
        self._link = link
        probes.all.append(self)
        self.begin()

    @property
    def on_refresh(self) -> Callable[[], None] | None:  # type: ignore[override]
        return self._probes.on_refresh

    @on_refresh.setter
    def on_refresh(self, value: Callable[[], None] | None) -> None: ...

    @property
    def misdirection(self) -> RemoteError | None:  # type: ignore[override]
        return self._probes.misdirection

    @misdirection.setter
    def misdirection(self, value: RemoteError | None) -> None: ...

    async def observe_one(self, ref: TaskRef) -> Observation:
        if self._link.dead:
            await anyio.sleep_forever()
        self._probes.begin(ref.key, self._process)
        try:
            return await super().observe_one(ref)
        finally:
            self._probes.end(ref.key, self._process)
