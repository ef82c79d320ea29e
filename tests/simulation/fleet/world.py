"""The world of one fleet story: the peers that all replicas share, their processes, and the store with its network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio

from tests.simulation.disk import Content, Disk
from tests.simulation.fleet.link import Link, Network
from tests.simulation.fleet.loop import FreezingLoop
from tests.simulation.fleet.ports import Probes, ProcessProbe, QueuePort, SinkPort
from tests.simulation.fleet.remote_store import RemoteStore
from tests.simulation.fleet.server import Server
from tests.simulation.fleet.story import FleetStory, FleetTrouble, Life
from tests.simulation.world import Incident, World
from watcher.core.polling.pace import PaceSettings
from watcher.model import Watch
from watcher.query import Selection
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings


@dataclass
class Process:
    """One process of a replica."""

    number: int
    life: Life
    link: Link
    store: RemoteStore
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    watcher: Watcher | None = None
    opened: bool = False
    """It has opened its adapters, and runs."""
    stopped_at: float | None = None
    ended: bool = False
    frozen_s: float = 0.0
    """For how long it was frozen."""


class SharedDisk:
    """The shared store as the world around the watcher sees it. `content` cannot fail."""

    killed = False

    def __init__(self, server: Server, network: Network) -> None:
        self._server = server
        self._network = network

    @property
    def full(self) -> str:
        return self._network.full

    @full.setter
    def full(self, why: str) -> None:
        self._network.full = why

    def store(self) -> Any:
        raise NotImplementedError("each process has a store of its own")

    def read_content(self) -> Content:
        return self._server.content()

    def put(self, watches: Sequence[Watch]) -> None:
        raise NotImplementedError

    async def forget(self, selection: Selection) -> int:
        return await self._server.forget(selection)

    async def cancel(self, keys: Sequence[str]) -> int:
        return await self._server.cancel(keys)


class FleetWorld(World):
    """Everything around the replicas. `make` assembles a watcher from adapters and settings."""

    loop: FreezingLoop

    def __init__(self, fleet: FleetStory, make: Callable[..., Watcher], loop: FreezingLoop, server: Server) -> None:
        self.fleet = fleet
        self.server = server
        self.audit = server.audit(loop.time)
        self.network = Network(fleet.story.disk_s, fleet.lost_answers)
        self.processes: list[Process] = []
        self.lost_signals = fleet.lost_signals
        """The share of signals that are lost."""
        self._lasting: Counter[tuple[int, str]] = Counter()
        """How many troubles that set an attribute of an object have not ended."""
        super().__init__(fleet.story, make, None, loop)
        self.probes = Probes(self.service, loop, self.audit, self.server, fleet.story.shards)
        self.probes.sharers = self._sharers
        self.probe = self.record.probe = self.probes  # type: ignore[assignment]  # it has what troubles and the oracle use
        self.record.seen = self.audit.seen

    def _new_disk(self) -> Disk:
        return SharedDisk(self.server, self.network)

    def incidents(self) -> list[Incident]:
        return [*super().incidents(), self._retry_dead_letters, *(self._cause(trouble) for trouble in self.fleet.troubles)]

    def new_process(self, life: Life) -> Process:
        """Another process of a replica. `watcher_of` makes its watcher, in its own context."""
        number = len(self.processes)
        link = Link(self.network, Random(self.story.seed * 1000 + number + 300))
        rng = Random(self.story.seed * 1000 + number)
        store = RemoteStore(number, self.server, link, self.audit, lambda: rng.random() < self.lost_signals)
        self.processes.append(Process(number, life, link, store))
        return self.processes[-1]

    def watcher_of(self, process: Process) -> Watcher:
        """The watcher of this process."""
        story, link, rng = self.story, process.link, Random(self.story.seed * 1000 + process.number + 500)
        skew = self.fleet.skews[process.life.replica]

        def wall() -> float:
            return self.wall() + skew

        def began(shards: Sequence[int]) -> None:
            self.audit.began(process.number, "a delivery", shards, self.server.owners())

        process.watcher = watcher = self._make(
            Adapters(
                [QueuePort(self.queue, link)],  # type: ignore[list-item]  # it passes on what it does not have itself
                ProcessProbe(process.number, self.probes, link, wall),
                process.store,  # type: ignore[arg-type]
                [SinkPort(inbox, link, began) for inbox in self.inboxes],  # type: ignore[misc]
            ),
            ServiceSettings(region="us-east-1", pace=PaceSettings(rate=story.rate), limits=story.limits),
            determinism=Determinism(Clock(wall), rng, lambda: f"{rng.getrandbits(128):032x}"),
        )
        process.store.polls = watcher.loops.pollers.__contains__
        return watcher

    def end(self, process: Process) -> None:
        """This process has ended, or will run nothing any more."""
        process.ended = True
        self.note_owners()

    def _sharers(self, kind: str) -> frozenset[int]:
        running = [(process.number, process.watcher) for process in self.processes if process.watcher is not None and not process.ended]
        counts = ((number, sum(n for (name, _), n in watcher.loops.pollers.counts.items() if name == kind)) for number, watcher in running)
        return frozenset(number for number, count in counts if count)

    def end_all_faults(self) -> None:
        """Let every call succeed, and every signal arrive, from now on."""
        super().end_all_faults()
        self.network.lost_answers = self.lost_signals = 0.0

    def note_owners(self) -> None:
        """Tell the audit who lives."""
        living = [process.store.replica for process in self.processes if not process.ended]
        self.audit.note_owners(self.server.owners(), living)

    def kill(self, process: Process) -> None:
        """End this process at once: it makes no more calls, and what it waits for never comes."""
        process.link.dead = True
        self.server.kill(process.number)
        self.end(process)
        process.scope.cancel()
        self.loop.thaw(process.number)

    async def _retry_dead_letters(self) -> None:
        for at in sorted(self.fleet.retries):
            await anyio.sleep(max(0.0, at - anyio.current_time()))
            self.audit.seen["retry"] += await self.server.retry_all()

    def _cause(self, trouble: FleetTrouble) -> Incident:
        async def run() -> None:
            await anyio.sleep(trouble.at)
            undo = self._begin(trouble)
            try:
                await anyio.sleep(max(0.0, trouble.at + trouble.lasts_s - anyio.current_time()))
            finally:
                undo()

        return run

    def _begin(self, trouble: FleetTrouble) -> Callable[[], None]:
        """Cause the trouble. Returns what undoes it."""
        self.audit.seen[trouble.name] += 1
        if trouble.name == "store down":
            return self._set(self.network, "down", value=True)
        if trouble.name == "slow store":
            return self._set(self.network, "slow_s", value=4 * trouble.strength)
        process = next((each for each in self.processes if each.life.replica == trouble.replica and not each.ended), None)
        if process is None:
            return lambda: None
        if trouble.name == "frozen":
            return self._freeze(process)
        if trouble.name == "slow link":
            return self._set(process.link, "slow_s", value=9 * trouble.strength)
        return self._set(process.link, "cut" if trouble.name == "cut off" else "hanging", value=True)

    def _set(self, target: object, attribute: str, *, value: float) -> Callable[[], None]:
        """Set an attribute until the last trouble that sets it ends."""
        name = (id(target), attribute)
        self._lasting[name] += 1
        setattr(target, attribute, value)

        def undo() -> None:
            self._lasting[name] -= 1
            if not self._lasting[name]:
                setattr(target, attribute, type(value)())

        return undo

    def _freeze(self, process: Process) -> Callable[[], None]:
        if self.loop.is_frozen(process.number):
            return lambda: None
        self.loop.freeze(process.number)
        began = anyio.current_time()

        def thaw() -> None:
            process.frozen_s += anyio.current_time() - began
            self.loop.thaw(process.number)

        return thaw
