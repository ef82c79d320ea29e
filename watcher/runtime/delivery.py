"""From the outbox to the sinks: one sink_worker for each, so that a sink that is down delays only itself.

Delivered before recorded: a crash between the two repeats an event, under the same id, and loses none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial

import anyio
import structlog

from watcher.core.delivery.events import event_of
from watcher.core.delivery.sink_queue import SinkQueue
from watcher.errors import Invalid, PeerGone, RemoteError, Unreadable
from watcher.model import DeadLetter, Event
from watcher.ports import Delivered, Outcome, OwnedStore, Rejected, Retry, Sink
from watcher.runtime.instruments import Instruments
from watcher.runtime.retrying import backoff, until_stored, until_taken, unwell
from watcher.runtime.wakeup import Wakeup

log = structlog.get_logger("watcher.delivery")

MAX_FAILED_BATCHES = 3
"""Batches in a row of which a sink takes nothing, before it counts as unwell."""


class SinkWorker:
    """Takes the events of the outbox to one sink, each task's in order."""

    def __init__(
        self,
        sink: Sink,
        store: OwnedStore,
        *,
        instruments: Instruments,
        settled: Callable[[str, Sequence[Event]], None],
    ) -> None:
        self.sink = sink
        self._store = store
        self._clock = instruments.clock
        self._health = instruments.health
        self._metrics = instruments.metrics
        self._settled = settled
        """Told, with the sink's name, of events this sink is done with."""
        self._queue = SinkQueue()
        self._wakeup = Wakeup()
        self._more = True
        """The outbox may hold events that the lane has not seen."""
        self._letters: dict[str, str] = {}
        """Dead letters under way again, by event id."""
        self._slots = anyio.CapacityLimiter(sink.concurrency)
        self._failed_batches = 0
        """Batches in a row of which nothing was taken."""
        self._resume_at = 0.0
        """Before then nothing is sent: a sink that takes nothing is asked ever more seldom, however many tasks wait."""

    def ring(self) -> None:
        """There are new events in the outbox."""
        self._more = True
        self._wakeup.ring()

    def again(self, letter: DeadLetter) -> None:
        """Send a dead letter once more, because an operator asked."""
        event = event_of(letter.body, letter.position)
        if event.id not in self._letters:
            self._letters[event.id] = letter.id
            self._queue.retry(event)
            self._wakeup.ring()

    @property
    def position(self) -> int:
        """How far into the outbox it has looked."""
        return self._queue.position

    def forget(self, key: str, up_to: int, kept: Collection[str]) -> None:
        """Send nothing more of what was told of this task up to a position, but for the events `kept`, by id."""
        self._queue.drop(key, lambda event: event.position <= up_to and event.id not in kept)

    async def run(self) -> None:
        """For ever. Cancelled, it leaves what it had under way to the next life."""
        async with anyio.create_task_group() as sends:
            while True:
                await self._fill()
                batch = self._queue.take(self._clock.mono(), self.sink.max_batch) if self._ready() else []
                if batch:
                    slot = object()
                    await self._slots.acquire_on_behalf_of(slot)
                    sends.start_soon(self._carry, batch, slot, name=f"send {self.sink.name}")
                else:
                    await self._rest()

    async def _fill(self) -> None:
        """Widen the window over the outbox, where there is more and room for it."""
        while self._more and self._queue.room > 0:
            self._more = False
            room = self._queue.room
            read = partial(self._store.outbox, self.sink.name, self._queue.position, room)
            events = await until_stored(self._health, read)
            self._queue.add(events)
            self._more = self._more or len(events) == room

    def _ready(self) -> bool:
        return self._slots.available_tokens >= 1 and self._clock.mono() >= self._resume_at

    async def _rest(self) -> None:
        """Until there is something to send and leave to send it; a slot that becomes free rings."""
        now = self._clock.mono()
        wait = self._queue.wait(now) if self._slots.available_tokens >= 1 else None
        await self._wakeup.wait(math.inf if wait is None else max(wait, self._resume_at - now, 0.001))

    async def _carry(self, batch: Sequence[Event], slot: object) -> None:
        try:
            await self._send(batch)
        finally:
            self._slots.release_on_behalf_of(slot)
            self._wakeup.ring()

    async def _send(self, batch: Sequence[Event]) -> None:
        began = self._clock.mono()
        try:
            sent, outcomes = await until_taken(f"sink:{self.sink.name}", self._health, lambda: self._attempt(batch), unless=(Invalid,))
        except Invalid as error:
            if len(batch) > 1:  # one of them spoils it for all: send each alone, and the one shows itself
                for event in batch:
                    await self._send([event])
                return
            sent, outcomes = batch, [Rejected(error.reason)]
        self._metrics.delivery_seconds.labels(self.sink.name).observe(self._clock.mono() - began)
        self._queue.settle([event for event in batch if event not in sent])
        if sent:
            await self._settle(sent, outcomes)

    async def _attempt(self, batch: Sequence[Event]) -> tuple[Sequence[Event], Sequence[Outcome]]:
        """What of the batch is still to be sent (an operator may erase a task between two attempts), and what the sink said to it."""
        sent = [event for event in batch if not self._queue.is_dropped(event)]
        if not sent:
            return (), ()
        try:
            return sent, await self.sink.send(sent)
        except (RemoteError, PeerGone):
            raise
        except Exception as error:
            log.exception(
                "sink_broke_its_promise", sink=self.sink.name, error=type(error).__name__, hint="a bug in the sink: please report it"
            )
            raise Unreadable(type(error).__name__) from error

    async def _settle(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        """Record what the sink took and what it will never take; what it may take later rests."""
        delivered = [event for event, outcome in zip(batch, outcomes, strict=True) if isinstance(outcome, Delivered)]
        refused = [(event, outcome) for event, outcome in zip(batch, outcomes, strict=True) if isinstance(outcome, Rejected)]
        letters = [self._letter(event, outcome) for event, outcome in refused]
        done = delivered + [event for event, _ in refused]
        if done:
            await until_stored(self._health, lambda: self._store.settle(self.sink.name, delivered, letters))
        if revived := [self._letters.pop(event.id) for event in delivered if event.id in self._letters]:
            await until_stored(self._health, lambda: self._store.purge(revived))
        self._judge(outcomes)
        self._count(delivered, refused)
        for event, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Retry):
                self._rest_for(event, outcome)
        self._queue.settle(done)
        self._settled(self.sink.name, done)

    def _judge(self, outcomes: Sequence[Outcome]) -> None:
        """Whether the sink is well. One event that is not taken is that event's trouble; several batches in a row are the sink's."""
        errors = [outcome.error for outcome in outcomes if isinstance(outcome, Retry)]
        if len(errors) < len(outcomes):
            self._failed_batches, self._resume_at = 0, 0.0
            self._health.good(f"sink:{self.sink.name}")
            return
        self._failed_batches += 1
        if self._failed_batches >= MAX_FAILED_BATCHES:
            self._resume_at = self._clock.mono() + backoff(self._failed_batches - MAX_FAILED_BATCHES + 1, errors[0])
            unwell(f"sink:{self.sink.name}", self._health, errors[0])

    def _rest_for(self, event: Event, outcome: Retry) -> None:
        wait = backoff(self._queue.tries(event.key) + 1, outcome.error)
        self._queue.rest(event, self._clock.mono() + wait)
        self._metrics.deliveries.labels(self.sink.name, "retried").inc()
        log.warning("event_not_taken", sink=self.sink.name, event_id=event.id, code=outcome.error.code, again_in_s=round(wait, 1))

    def _letter(self, event: Event, outcome: Rejected) -> DeadLetter:
        return DeadLetter(
            id=self._letters.pop(event.id, f"{event.id[:12]}-{self.sink.name}"),
            what="event",
            origin=self.sink.name,
            reason=outcome.reason,
            detail=f"{event.type} {event.id}",
            body=event.body,
            at=self._clock.wall(),
            key=event.key,
            position=event.position,
        )

    def _count(self, delivered: Sequence[Event], refused: Sequence[tuple[Event, Rejected]]) -> None:
        name = self.sink.name
        self._metrics.deliveries.labels(name, "delivered").inc(len(delivered))
        self._metrics.deliveries.labels(name, "refused").inc(len(refused))
        for event, outcome in refused:
            self._metrics.dead_letters.labels("event", name, self._metrics.reason_label(outcome.reason)).inc()
            hint = "see watcher dead-letters list; retry once the sink would take it"
            log.error("event_refused", sink=name, event_id=event.id, reason=outcome.reason, hint=hint)
