"""What must happen now and then beside the flow: steer the price, read the gauges, hold the gate, do what operators asked,
keep held messages ours, take notes for the next life, erase what has been kept long enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import anyio
import structlog

from watcher.core.intake.unacked_messages import UnackedMessages
from watcher.core.polling.cadence import STEER_S
from watcher.core.polling.schedule import noted
from watcher.model import DEFAULT_TARGET, DeadLetter, Event, Message
from watcher.ports import OwnedStore, Source
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.instruments import Instruments
from watcher.runtime.intake import Intake
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.retrying import until_stored
from watcher.runtime.settings import Limits
from watcher.runtime.wakeup import IntakeGate, Wakeup

log = structlog.get_logger("watcher.upkeep")

HOUSE_S, NOTES_S, PRUNE_S = 1.0, 30.0, 600.0
HOUSE_MAX_S = 10.0
"""However long a count took: perhaps the process was stopped in it, and the gate and what operators asked for must not wait for that."""


class Upkeep:
    """The loops beside the flow."""

    def __init__(
        self,
        store: OwnedStore,
        poller_set: PollerSet,
        sink_workers: Sequence[SinkWorker],
        receipts: UnackedMessages | None,
        gate: IntakeGate,
        *,
        limits: Limits,
        retention: float,
        instruments: Instruments,
    ) -> None:
        self.backlog = 0
        """Events not yet settled, over all sinks, when last counted."""
        self._store = store
        self._poller_set = poller_set
        self._sink_workers = {sink_worker.sink.name: sink_worker for sink_worker in sink_workers}
        self._unacked = receipts
        self._gate = gate
        self._limits = limits
        self._retention = retention
        self._clock = instruments.clock
        self._health = instruments.health
        self._metrics = instruments.metrics
        self._free: defaultdict[str, list[Message]] = defaultdict(list)
        """Messages to be taken off their source, by its name."""
        self._wakeups: defaultdict[str, Wakeup] = defaultdict(Wakeup)

    def settled(self, sink: str, events: Sequence[Event]) -> None:
        """A sink is done with these: perhaps a held message is now free."""
        if self._unacked is None:
            return
        for event in events:
            if event.terminal:
                self._release(self._unacked.told(event.key, sink))

    @property
    def unacknowledged(self) -> bool:
        """Whether messages whose tasks are done are still to be taken off their sources."""
        return any(self._free.values())

    async def steer(self) -> None:
        """Every half second: the price of a call, so that the calls wanted meet the pace."""
        while True:
            await anyio.sleep(STEER_S)
            self._metrics.in_flight.set(self._poller_set.in_flight)
            for poller in self._poller_set:
                self._metrics.due_lateness.labels(poller.quota.name).set(poller.schedule.steer(self._clock.mono()))
                self._metrics.price.labels(poller.quota.name).set(poller.rules.cadence.price)
                self._metrics.pace_rate.labels(DEFAULT_TARGET, poller.quota.name).set(poller.rules.pace.rate)

    async def house(self, intake: Intake) -> None:
        """Every second: what waits, whether there is room for more, and what operators asked for."""
        while True:
            began = self._clock.mono()
            await self.count()
            took = self._clock.mono() - began
            forgotten, letters = await until_stored(self._health, self._store.requests)
            for key in forgotten:
                await self._forget(key)
            for letter in letters:
                await self._again(letter, intake)
            # a large backlog takes a while to count: not all the time for that
            await anyio.sleep(min(HOUSE_MAX_S, max(HOUSE_S, 10 * took)))

    async def count(self) -> int:
        """Events not yet settled, over all sinks; sets the gauges and the gate by it."""
        backlog = await until_stored(self._health, self._store.backlog)
        now = self._clock.wall()
        for sink, waiting in backlog.items():
            self._metrics.outbox_events.labels(sink).set(waiting.events)
            self._metrics.outbox_age.labels(sink).set(0.0 if waiting.oldest_at is None else max(0.0, now - waiting.oldest_at))
        self._metrics.show_watches(self._poller_set.counts)
        self.backlog = sum(waiting.events for waiting in backlog.values())
        worst = max((waiting.events for waiting in backlog.values()), default=0)
        self._gate.hold("max_watches", len(self._poller_set) >= self._limits.max_watches)
        self._gate.hold("max_outbox", worst >= self._limits.max_outbox, "a sink is behind: mend it or raise limits.max_outbox")
        return self.backlog

    async def acknowledge(self, intake: Intake, source: Source) -> None:
        """When it rings: take off this source the messages whose tasks are done."""
        free, bell = self._free[source.name], self._wakeups[source.name]
        while True:
            await bell.wait()
            messages = list(free)
            await intake.acknowledge(source.name, messages)
            del free[: len(messages)]

    async def extend(self, intake: Intake, source: Source) -> None:
        """Keep held messages of a source ours, well before they are lost."""
        while source.hold_s is not None:
            await anyio.sleep(source.hold_s / 3)
            await intake.extend(source.name)

    async def notes(self) -> None:
        """Twice a minute: what the next life should know."""
        while True:
            await anyio.sleep(NOTES_S)
            await self.take_notes()

    async def take_notes(self) -> None:
        """Write down the pace and what the cadence has learned."""
        for poller in self._poller_set:
            await self._note(noted("pace", poller.quota), repr(poller.rules.pace.rate))
            await self._note(noted("cadence", poller.quota), poller.rules.cadence.note())

    async def _note(self, name: str, text: str) -> None:
        await until_stored(self._health, lambda: self._store.save_state(name, text))

    async def prune(self) -> None:
        """Every ten minutes: erase what ended longer ago than the retention."""
        while True:
            erased = await until_stored(self._health, lambda: self._store.prune(self._clock.wall() - self._retention))
            if erased:
                log.info("pruned", watches=erased)
            await anyio.sleep(PRUNE_S)

    async def _forget(self, key: str) -> None:
        """An operator erased this task: nobody asks about it, sends of it, or waits for it.

        It may have been submitted again since. So what we had is noted before the store is asked what stands, and only that is
        dropped: what came later belongs to another watch.
        """
        had, positions = self._poller_set.watched(key), {name: sink_worker.position for name, sink_worker in self._sink_workers.items()}
        standing = await until_stored(self._health, lambda: self._store.find(key))
        told = {event.id for event in await until_stored(self._health, lambda: self._store.history(key))}
        if had is not None and (standing is None or standing.id != had):
            self._poller_set.forget(key, had)
        for name, sink_worker in self._sink_workers.items():
            sink_worker.forget(key, positions[name], told)
        if self._unacked is not None and standing is None:
            self._release(self._unacked.done(key))

    def _release(self, messages: Sequence[tuple[str, Message]]) -> None:
        """Nothing waits for these any more, each with its source."""
        for source, message in messages:
            self._free[source].append(message)
            self._wakeups[source].ring()

    async def _again(self, letter: DeadLetter, intake: Intake) -> None:
        if letter.what == "input":
            await intake.again(letter)
        elif letter.origin in self._sink_workers:
            self._sink_workers[letter.origin].again(letter)
        else:
            await until_stored(
                self._health, lambda: self._store.add_dead_letters([letter])
            )  # else it would be asked for again, every second
            log.warning("no_such_sink", sink=letter.origin, letter=letter.id, hint="configure the sink again, or purge the letter")
