"""Acknowledges messages at their sources: at once with a durable store, and deferred with a store that is not durable.

Deferred means: a message stays unacknowledged, extended every third of its `hold_s`, until the last event of each of
its tasks is settled at every sink. The queue then holds the pending work in place of a disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import anyio

from watcher.core.intake.unacked_messages import UnackedMessages
from watcher.model import Event, Message, Watch
from watcher.ports import Source
from watcher.runtime.instruments import Instruments
from watcher.runtime.retrying import call_source
from watcher.runtime.wakeup import Wakeup


class Acknowledger:
    """The acknowledgements of one watcher. `unacked` is None with a durable store: nothing is deferred."""

    def __init__(self, sources: Sequence[Source], unacked: UnackedMessages | None, instruments: Instruments) -> None:
        self._sources = {source.name: source for source in sources}
        self._unacked = unacked
        self._health = instruments.health
        self._metrics = instruments.metrics
        self._free: defaultdict[str, list[Message]] = defaultdict(list)
        """Deferred messages that can now be acknowledged, by source."""
        self._wakeups: defaultdict[str, Wakeup] = defaultdict(Wakeup)

    @property
    def waiting(self) -> bool:
        """Whether messages of finished tasks are not acknowledged yet."""
        return any(self._free.values())

    def defers(self, watch: Watch) -> bool:
        """Whether a message about this watch must wait for the end of the watch."""
        return self._unacked is not None and (watch.open or self._unacked.waits_for(watch.key))

    async def accept(self, source: str, messages: Sequence[tuple[Message, Collection[str]]]) -> None:
        """Acknowledge messages that are admitted, each with the keys that it must wait for."""
        free = []
        for message, keys in messages:
            if self._unacked is not None and keys:
                self._unacked.hold(source, message, keys)
            else:
                free.append(message)
        await self._acknowledge(source, free)

    def settled(self, sink: str, events: Sequence[Event]) -> None:
        """A sink has settled these events. The last event of a task can free messages."""
        if self._unacked is None:
            return
        for event in events:
            if event.terminal:
                self._release(self._unacked.settled(event.key, sink))

    def erased(self, key: str) -> None:
        """An operator erased this task: no message waits for it."""
        if self._unacked is not None:
            self._release(self._unacked.done(key))

    def drop_where(self, predicate: Callable[[str], bool]) -> None:
        """Forget the messages of tasks that another process polls now. They come again when their `hold_s` ends."""
        if self._unacked is not None:
            self._unacked.drop_where(predicate)

    async def run(self) -> None:
        """Acknowledge deferred messages and extend the others, until cancelled."""
        if self._unacked is None:
            return
        async with anyio.create_task_group() as tasks:
            for source in self._sources.values():
                tasks.start_soon(self._acknowledge_free, source.name, name=f"acknowledge {source.name}")
                tasks.start_soon(self._extend_held, source, self._unacked, name=f"extend {source.name}")

    async def _acknowledge_free(self, source: str) -> None:
        free, wakeup = self._free[source], self._wakeups[source]
        while True:
            await wakeup.wait()
            messages = list(free)
            await self._acknowledge(source, messages)
            del free[: len(messages)]

    async def _extend_held(self, source: Source, unacked: UnackedMessages) -> None:
        while source.hold_s is not None:
            await anyio.sleep(source.hold_s / 3)
            await self._extend(source, unacked)

    async def _extend(self, source: Source, unacked: UnackedMessages) -> None:
        held = unacked.held(source.name)
        if not held:
            return
        lost = await call_source(source.name, self._health, lambda: source.extend(held))
        for message in lost:
            unacked.lost(source.name, message)
        self._metrics.acks.labels(source.name, "extended").inc(len(held) - len(lost))

    async def _acknowledge(self, source_name: str, messages: Sequence[Message]) -> None:
        """A message that cannot be acknowledged comes again, and finds its watch."""
        source = self._sources.get(source_name)
        if source is None or not messages:
            return
        failed = await call_source(source_name, self._health, lambda: source.ack(messages))
        self._metrics.acks.labels(source_name, "acked").inc(len(messages) - len(failed))
        self._metrics.acks.labels(source_name, "failed").inc(len(failed))

    def _release(self, messages: Sequence[tuple[str, Message]]) -> None:
        for source, message in messages:
            self._free[source].append(message)
            self._wakeups[source].set()
