"""From the outbox to the sinks: one worker for each sink, so that a sink that is down delays only itself.

Delivered before recorded: a crash between the two repeats an event under the same id, and loses none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import anyio
import structlog

from watcher.core.delivery.events import event_of
from watcher.core.delivery.sink_queue import SinkQueue
from watcher.errors import Fenced, Invalid, PeerGone, RemoteError, Unavailable, Unreadable
from watcher.model import DeadLetter, Event
from watcher.ports import Delivered, LocalSink, Outcome, Rejected, Retry, Sink, Store
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases
from watcher.runtime.retrying import backoff, report_failure, until_accepted
from watcher.runtime.wakeup import Wakeup

log = structlog.get_logger("watcher.delivery")

MAX_FAILED_BATCHES = 3
"""Consecutive batches in which every event must be retried, before the sink counts as unhealthy."""


class SinkWorker:
    """Delivers the events of the owned shards to one sink, each task's events in order."""

    def __init__(self, sink: Sink, store: Store, leases: Leases, backlog: BacklogCounter, instruments: Instruments) -> None:
        self.sink = sink
        self.on_settled: Callable[[str, Sequence[Event]], None] = lambda sink, events: None
        """Called with the name of the sink and events that it has settled."""
        self.on_fenced: Callable[[Collection[int]], None] = lambda shards: None
        """Called with shards that turn out to be owned by another replica."""
        self.dead_letters_full: Callable[[], bool] = lambda: False
        """Whether no further event may become a dead letter."""
        self._store = store
        self._leases = leases
        self._backlog = backlog
        self._clock = instruments.clock
        self._health = instruments.health
        self._metrics = instruments.metrics
        self._writes = instruments.writes
        self._queue = SinkQueue()
        self._unread: set[int] = set()
        """Shards whose outbox may hold events that the queue has not seen."""
        self._wakeup = Wakeup()
        self._dead_letters: dict[str, DeadLetter] = {}
        """Dead letters that are being retried, by event id."""
        self._slots = anyio.CapacityLimiter(sink.concurrency)
        self._failed_batches = 0
        """Consecutive batches in which every event must be retried."""
        self._resume_at = 0.0
        """Nothing is sent before this time: a sink that accepts nothing gets fewer and fewer attempts, however many tasks wait."""
        backlog.track(sink.name, lambda: self._queue.oldest_at)

    def adopt(self, shard: int) -> None:
        """Start to deliver the events of a shard."""
        self._queue.adopt(shard)
        self.wake(shard, ())

    def release(self, shard: int) -> None:
        """Stop delivering the events of a shard. A batch in flight finishes."""
        self._queue.release(shard)
        self._unread.discard(shard)
        self._dead_letters = {id_: letter for id_, letter in self._dead_letters.items() if letter.shard != shard}

    def wake(self, shard: int, events: Sequence[Event]) -> None:
        """Read the outbox of this shard: it has new events."""
        if shard in self._queue.shards:
            self._unread.add(shard)
            self._wakeup.set()

    def retry(self, dead_letter: DeadLetter) -> bool:
        """Send the event of a dead letter again, at an operator's request. False where it is under way already, or has no room."""
        event = event_of(dead_letter.body, dead_letter.position, dead_letter.shard)
        if event.id in self._dead_letters or self._queue.room <= 0 or not self._queue.requeue(event):
            return False
        self._dead_letters[event.id] = dead_letter
        self._wakeup.set()
        return True

    def position(self, shard: int) -> int:
        """How far the outbox of a shard has been read; 0 before the shard is adopted."""
        return self._queue.position(shard) if shard in self._queue.shards else 0

    def forget(self, key: str, up_to: int, kept: Collection[str]) -> None:
        """Send no more events of this task up to a position, except the events `kept`, by id."""
        self._queue.drop(key, lambda event: event.position <= up_to and event.id not in kept)

    async def run(self) -> None:
        """Deliver until cancelled. What is in flight then is sent again by the next owner."""
        async with anyio.create_task_group() as sends:
            while True:
                await self._fill()
                batch = self._queue.take(self._clock.mono(), self.sink.max_batch) if self._may_send() else []
                if batch:
                    slot = object()
                    await self._slots.acquire_on_behalf_of(slot)
                    sends.start_soon(self._deliver, batch, slot, name=f"send {self.sink.name}")
                else:
                    await self._rest()

    async def _fill(self) -> None:
        """Read the outbox of each shard that has more, as far as the queue has room."""
        while self._unread and self._queue.room > 0:
            shard = self._unread.pop()
            room, after = self._queue.room, self._queue.position(shard)
            events = await self._store.read_outbox(self.sink.name, shard, after, room)
            self._queue.add(shard, events, after=after)  # ignored if the shard was released during the read
            if len(events) == room:
                self.wake(shard, events)
        if not self._unread and not len(self._queue):
            self._backlog.drained(self.sink.name)

    def _may_send(self) -> bool:
        return self._slots.available_tokens >= 1 and self._clock.mono() >= self._resume_at

    async def _rest(self) -> None:
        """Wait until there is something to send and a free slot. A slot that becomes free wakes this worker."""
        now = self._clock.mono()
        wait = self._queue.wait(now) if self._slots.available_tokens >= 1 else None
        await self._wakeup.wait(math.inf if wait is None else max(wait, self._resume_at - now, 0.001))

    async def _deliver(self, batch: Sequence[Event], slot: object) -> None:
        try:
            await self._send(batch)
        finally:
            self._slots.release_on_behalf_of(slot)
            self._wakeup.set()

    async def _send(self, batch: Sequence[Event]) -> None:
        began = self._clock.mono()
        component = f"sink:{self.sink.name}"
        try:
            sent, outcomes = await until_accepted(component, self._health, lambda: self._attempt(batch), unless=(Invalid,))
        except Invalid as error:
            if len(batch) > 1:  # one event makes the whole batch invalid: send each one alone to find it
                for event in batch:
                    await self._send([event])
                return
            sent, outcomes = batch, [Rejected(error.reason)]
        self._metrics.delivery_seconds.labels(self.sink.name).observe(self._clock.mono() - began)
        self._queue.settle([event for event in batch if event not in sent])
        if sent:
            await self._settle(sent, outcomes)

    async def _attempt(self, batch: Sequence[Event]) -> tuple[Sequence[Event], Sequence[Outcome]]:
        """Send what is still wanted of the batch: a task may be erased, or a shard released, between two attempts."""
        wanted = [event for event in batch if not self._queue.is_dropped(event)]
        if not wanted:
            return (), ()
        try:
            return wanted, await (self._send_here(wanted) if isinstance(self.sink, LocalSink) else self.sink.send(wanted))
        except (RemoteError, PeerGone):
            raise
        except Exception as error:
            hint = "this is a bug in the sink: please report it"
            log.exception("sink_raised_unexpectedly", sink=self.sink.name, error=type(error).__name__, hint=hint)
            raise Unreadable(type(error).__name__) from error

    async def _send_here(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send to a sink whose disk may hang."""
        began = self._writes.begin(f"sink:{self.sink.name}", self._clock.mono())
        try:
            return await self.sink.send(events)
        finally:
            self._writes.end(began)

    async def _settle(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        """Record what the sink accepted and what it rejected. What it may accept later is postponed."""
        pairs = list(zip(batch, self._hold(batch, outcomes), strict=True))
        outcomes = [outcome for _, outcome in pairs]
        delivered = [event for event, outcome in pairs if isinstance(outcome, Delivered)]
        rejected = [(event, outcome) for event, outcome in pairs if isinstance(outcome, Rejected)]
        done = delivered + [event for event, _ in rejected]
        retried = {event.id for event in done if event.id in self._dead_letters}
        await self._record(delivered, [self._dead_letter(event, outcome) for event, outcome in rejected])
        if revived := [self._dead_letters.pop(event.id).id for event in delivered if event.id in self._dead_letters]:
            await self._store.purge(revived)
        self._judge(outcomes)
        self._count(delivered, rejected)
        for event, outcome in pairs:
            if isinstance(outcome, Retry):
                self._postpone(event, outcome)
        self._queue.settle(done)
        self._backlog.settled(self.sink.name, [event for event in done if event.id not in retried])
        self.on_settled(self.sink.name, done)

    def _hold(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Keep rejected events in the outbox while there is no room for dead letters. One that is retried has its room."""
        if not self.dead_letters_full():
            return outcomes
        held = Retry(Unavailable("max_dead_letters", "purge or retry dead letters"))
        return [
            held if isinstance(outcome, Rejected) and event.id not in self._dead_letters else outcome
            for event, outcome in zip(batch, outcomes, strict=True)
        ]

    async def _record(self, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter]) -> None:
        """Settle under the current leases. Events of a shard that another replica owns now are that replica's to settle."""
        while delivered or dead_letters:
            try:
                await self._store.settle(self.sink.name, delivered, dead_letters, self._leases.held)
            except Fenced as error:
                self.on_fenced(error.shards)
                delivered = [event for event in delivered if event.shard not in error.shards]
                dead_letters = [letter for letter in dead_letters if letter.shard not in error.shards]
            else:
                return

    def _judge(self, outcomes: Sequence[Outcome]) -> None:
        """Report whether the sink works. One event that is not accepted concerns that event; several whole batches concern the sink."""
        errors = [outcome.error for outcome in outcomes if isinstance(outcome, Retry)]
        if len(errors) < len(outcomes):
            self._failed_batches, self._resume_at = 0, 0.0
            self._health.good(f"sink:{self.sink.name}")
            return
        self._failed_batches += 1
        if self._failed_batches >= MAX_FAILED_BATCHES:
            self._resume_at = self._clock.mono() + backoff(self._failed_batches - MAX_FAILED_BATCHES + 1, errors[0])
            report_failure(f"sink:{self.sink.name}", self._health, errors[0])

    def _postpone(self, event: Event, outcome: Retry) -> None:
        wait = backoff(self._queue.attempts(event.key) + 1, outcome.error)
        self._queue.postpone(event, self._clock.mono() + wait)
        self._metrics.deliveries.labels(self.sink.name, "retried").inc()
        log.warning("delivery_failed", sink=self.sink.name, event_id=event.id, code=outcome.error.code, retry_in_s=round(wait, 1))

    def _dead_letter(self, event: Event, outcome: Rejected) -> DeadLetter:
        retried = self._dead_letters.pop(event.id, None)
        return DeadLetter(
            id=f"{event.id[:12]}-{self.sink.name}" if retried is None else retried.id,
            what="event",
            origin=self.sink.name,
            reason=outcome.reason,
            detail=f"{event.type} {event.id}",
            body=event.body,
            at=self._clock.wall(),
            key=event.key,
            position=event.position,
            shard=event.shard,
        )

    def _count(self, delivered: Sequence[Event], rejected: Sequence[tuple[Event, Rejected]]) -> None:
        name = self.sink.name
        self._metrics.deliveries.labels(name, "delivered").inc(len(delivered))
        self._metrics.deliveries.labels(name, "refused").inc(len(rejected))
        for event, outcome in rejected:
            self._metrics.dead_letters.labels("event", name, self._metrics.reason_label(outcome.reason)).inc()
            hint = "see watcher dead-letters list; retry when the sink can accept it"
            log.error("event_rejected", sink=name, event_id=event.id, reason=outcome.reason, hint=hint)
