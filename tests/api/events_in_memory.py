"""Events of many tasks in a store of several shards, and readers of their stream, on the virtual time of the loop."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio

from tests.contracts.store_exam.facts import a_watch, moved
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.api.cursors import Cursors
from watcher.api.event_stream import EventStream
from watcher.model import Change, Event, Watch
from watcher.queries.event_pages import EventFilter, Positions
from watcher.query import EventQuery
from watcher.runtime.event_tail import EventTail
from watcher.runtime.feed import Feed

EPOCH = 1_800_000_000.0
RETENTION_S = 7 * 86_400.0


class Log:
    """A store whose events a test commits. `announced`: this process commits them itself, so its feed announces them."""

    def __init__(self, shards: int = 4, *, announced: bool = True) -> None:
        self.store = MemoryStore(MemoryStoreSettings(), shards=shards)
        if not announced:
            self.store.renew_s = 5.0  # other replicas commit to it
        self.feed = Feed()
        self.announced = announced
        self.cursors = Cursors(self.store, RETENTION_S, self.wall)
        self.tail = EventTail(self.store, self.feed, self.cursors.frame)
        self.watches: dict[str, Watch] = {}
        self.padding = 0
        """Bytes that make each event larger."""

    @staticmethod
    def wall() -> float:
        return EPOCH + anyio.current_time()

    async def commit(self, *tasks: str, end: bool = False) -> None:
        """Commit one event for each of these tasks, in one transaction."""
        new = [a_watch(task) for task in tasks if task not in self.watches]
        if new:
            self.watches |= {watch.ref.params[1]: watch for watch in await self.store.admit(new)}
        changes = [_distinct(moved(self.watches[task], at=self.wall(), end=end), self.padding) for task in tasks]
        leases = {lease.shard: lease for lease in (await self.store.claim()).leases}
        await self.store.commit(changes, leases)
        for task, change in zip(tasks, changes, strict=True):
            self.watches[task] = change.watch
            if self.announced:
                self.feed.events(0, change.events)

    async def positions(self, after: str) -> Positions:
        return await self.cursors.positions(after)

    def stream(self, wanted: EventFilter = EventFilter()) -> EventStream:  # noqa: B008 - frozen
        return EventStream(self.tail.store, self.tail, self.cursors, wanted)

    async def stored(self) -> list[Event]:
        return list(await self.store.events(EventQuery(limit=100_000)))


@dataclass
class Reader:
    """A client of a stream: what it has received, and its last id."""

    log: Log
    wanted: EventFilter = field(default_factory=EventFilter)
    blocks: list[tuple[str, str | None]] = field(default_factory=list)
    """The id and the data of each block; None for a block without an event."""
    pause_s: float = 0.0
    """The time that it takes to read each piece of the stream, in seconds."""
    pieces: int | None = None
    """The number of pieces of the stream after which it disconnects."""

    @property
    def bodies(self) -> list[str]:
        return [data for _, data in self.blocks if data is not None]

    @property
    def last_id(self) -> str:
        return self.blocks[-1][0] if self.blocks else "start"

    async def read(self, after: str = "start") -> None:
        """Read until the stream ends, until `pieces`, or until cancelled."""
        positions = await self.log.positions(after)
        blocks = self.log.stream(self.wanted).follow(positions, self.log.cursors.first(after, positions))
        number = 0
        with self.log.tail.reader():
            async with aclosing(blocks) as stream:  # type: ignore[type-var]
                async for chunk in stream:
                    self.blocks += parsed(chunk)
                    await anyio.sleep(self.pause_s)
                    if (number := number + 1) == self.pieces:
                        return


def parsed(chunk: bytes) -> list[tuple[str, str | None]]:
    """The id and the data of each block of a piece of a stream."""
    blocks = []
    for block in chunk.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "id" in fields:
            blocks.append((fields["id"], fields.get("data")))
    return blocks


@asynccontextmanager
async def following(log: Log) -> AsyncIterator[anyio.abc.TaskGroup]:
    """The tail runs. Yields a group for readers, which end with the block."""
    await log.store.open(["bus"])
    await log.store.claim()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(log.tail.run)
        yield tasks
        tasks.cancel_scope.cancel()


def _distinct(change: Change, padding: int) -> Change:
    """The same change, with an event whose body no other event has, and so many bytes more."""
    bodies_ = [json.dumps({"id": event.id, "padding": "x" * padding}).encode() for event in change.events]
    return replace(change, events=tuple(replace(event, body=body) for event, body in zip(change.events, bodies_, strict=True)))


def bodies(events: Sequence[Event]) -> list[str]:
    return [event.body.decode() for event in events]


async def commit_at_random(log: Log, rng: random.Random, events: int, tasks: int = 20) -> None:
    """Commit this many events of these tasks, a few at once, within some seconds."""
    while events > 0:
        count = min(events, rng.choice([1, 1, 2, 5]))
        await log.commit(*rng.sample([f"t{n}" for n in range(tasks)], count))
        events -= count
        await anyio.sleep(rng.choice([0.0, 0.0, 0.01, 0.1, 0.4]))
