"""From the outbox to the sinks: one worker for each sink, so that a sink that is down delays only itself.

Delivered before recorded: a crash between the two repeats an event under the same id, and loses none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import anyio

from watcher.core.delivery.events import event_of
from watcher.core.delivery.refusals import DeadEvent, Refusal, Refusals, Verdict
from watcher.core.delivery.sink_queue import SinkQueue
from watcher.errors import Invalid, PeerGone, RemoteError, Unavailable
from watcher.model import DeadLetter, Event
from watcher.ports import Delivered, Outcome, Rejected, Retry, Sink, Store, TokenSink
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.delivery_report import DeliveryReport
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases
from watcher.runtime.retrying import backoff, until_accepted
from watcher.runtime.settlements import Settlements
from watcher.runtime.sink_calls import SinkCalls
from watcher.runtime.sink_condition import SinkCondition
from watcher.runtime.token_calls import TokenCalls
from watcher.runtime.wakeup import Wakeup

RENEWAL_CHECK_S = 0.2
"""Seconds between two looks, of an attempt that must wait, at whether the leases were renewed."""


class SinkWorker:
    """Delivers the events of the owned shards to one sink, each task's events in order.

    `retry_refused` is in seconds: see `core.delivery.refusals`.
    """

    def __init__(
        self, sink: Sink, store: Store, leases: Leases, backlog: BacklogCounter, instruments: Instruments, retry_refused: float
    ) -> None:
        self.sink = sink
        self.settlements = Settlements(sink.name, store, leases, backlog, instruments)
        self.dead_letters_full: Callable[[], bool] = lambda: False
        """Whether no further event may become a dead letter."""
        self._store = store
        self._leases = leases
        self._backlog = backlog
        self._clock = instruments.clock
        self._health = instruments.health
        self._metrics = instruments.metrics
        self._calls = TokenCalls(sink, store, instruments) if isinstance(sink, TokenSink) else SinkCalls(sink, instruments)
        self._queue = SinkQueue()
        self._refusals = Refusals(retry_refused)
        self._condition = SinkCondition(sink.name, instruments)
        self._report = DeliveryReport(sink.name, instruments)
        self._unread: set[int] = set()
        """Shards whose outbox may hold events that the queue has not seen."""
        self._busy: Counter[int] = Counter()
        """By shard, the batches that are being sent or recorded."""
        self._wakeup = Wakeup()
        self._slots = anyio.CapacityLimiter(sink.concurrency)
        backlog.track(sink.name, lambda: self._queue.oldest_at)

    def adopt(self, shard: int) -> None:
        """Start to deliver the events of a shard."""
        self._queue.adopt(shard)
        self._calls.adopt(shard)
        self.wake(shard, ())

    def release(self, shard: int) -> None:
        """Stop delivering the events of a shard. A batch in flight finishes."""
        self._queue.release(shard)
        self._refusals.discard(lambda event: event.shard == shard)
        self._unread.discard(shard)
        self.settlements.release(shard)

    def busy(self, shard: int) -> bool:
        """Whether events of this shard are being sent, or recorded. One that waits for another attempt is not."""
        return self._busy[shard] > 0

    def look_again(self) -> None:
        """Look for work again: the leases were renewed after they had nearly ended."""
        self._wakeup.set()

    def wake(self, shard: int, events: Sequence[Event]) -> None:
        """Read the outbox of this shard: it has new events."""
        if shard in self._queue.shards:
            self._unread.add(shard)
            self._wakeup.set()

    def retry(self, dead_letter: DeadLetter, *, stored: bool = True) -> bool:
        """Send the event of a dead letter again, at an operator's request. False where it is under way already, or has no room.

        `stored=False`: it would be added if the event is refused. Where the store has one with its id, that stays.
        """
        event = event_of(dead_letter.body, dead_letter.position, dead_letter.shard)
        if self.settlements.is_retried(event) or self._queue.room <= 0 or not self._queue.requeue(event):
            return False
        self.settlements.retry(event, dead_letter, stored=stored)
        self._wakeup.set()
        return True

    def position(self, shard: int) -> int:
        """How far the outbox of a shard has been read; 0 before the shard is adopted."""
        return self._queue.position(shard) if shard in self._queue.shards else 0

    def forget(self, key: str, up_to: int, kept: Collection[str]) -> None:
        """Send no more events of this task up to a position, and none of its dead letters, except the events `kept`, by id."""
        erased = self.settlements.forget(key, kept)

        def unwanted(event: Event) -> bool:
            return event.id in erased or (event.key == key and event.position <= up_to and event.id not in kept)

        self._queue.drop(key, unwanted)
        self._refusals.discard(unwanted)

    async def run(self) -> None:
        """Deliver until cancelled. What is in flight then is sent again by the next owner."""
        async with anyio.create_task_group() as sends:
            while True:
                await self._fill()
                if batch := self._take():
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
            if not self._slots.borrowed_tokens:
                self._condition.idle()

    def _take(self) -> Sequence[Event]:
        """The next batch, empty while none may be sent."""
        now = self._clock.mono()
        if not self._has_slot() or now < self._condition.resume_at or not self._leases.may_start(now):
            return ()
        while now >= self._condition.probe_at and self._queue.wait(now) != 0 and (event := self._refusals.probe()):
            self._resume(event)
        return self._queue.take(now, self.sink.max_batch)

    def _has_slot(self) -> bool:
        """Whether another batch may be in flight: while the sink refuses everything, or very much, only one may be."""
        return self._slots.available_tokens >= 1 and not (self._refusals.one_at_a_time and self._slots.borrowed_tokens)

    async def _rest(self) -> None:
        """Wait until there is something to send and a free slot. A slot that becomes free wakes this worker."""
        wait = math.inf
        now = self._clock.mono()
        if self._has_slot() and self._leases.may_start(now):
            waits = [self._queue.wait(now), self._condition.probe_at - now if self._refusals.waiting else None]
            soonest = min((each for each in waits if each is not None), default=math.inf)
            wait = max(soonest, self._condition.resume_at - now, 0.001)
        await self._wakeup.wait(wait)

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
        wanted = {event.key for event in sent}  # no two events of a batch are of the same task
        self._queue.settle([event for event in batch if event.key not in wanted])
        if sent:
            with self._work_on(sent):
                await self._settle(sent, outcomes)

    async def _attempt(self, batch: Sequence[Event]) -> tuple[Sequence[Event], Sequence[Outcome]]:
        """Send what is still wanted of the batch: a task may be erased, or a shard released, between two attempts."""
        while not self._leases.may_start(self._clock.mono()):  # noqa: ASYNC110 - a renewal, or the loss of the shard, ends it
            await anyio.sleep(RENEWAL_CHECK_S)
        wanted = [event for event in batch if not self._queue.is_dropped(event)]
        if not wanted:
            return (), ()
        try:
            with self._work_on(wanted):
                return wanted, await self._calls.send(wanted)
        except Invalid:
            raise
        except (RemoteError, PeerGone):
            self._refusals.put_off(wanted)
            raise

    @contextmanager
    def _work_on(self, events: Sequence[Event]) -> Iterator[None]:
        shards = {event.shard for event in events}
        self._busy.update(shards)
        try:
            yield
        finally:
            self._busy.subtract(shards)

    async def _settle(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        """Record what the sink accepted and what is a dead letter. What it may accept later is postponed or held."""
        pairs = list(zip(batch, outcomes, strict=True))
        delivered = [event for event, outcome in pairs if isinstance(outcome, Delivered)]
        refused = [self._refusal(event, outcome) for event, outcome in pairs if isinstance(outcome, Rejected)]
        verdict = self._refusals.judge(delivered, refused, self._clock.mono())
        decided = [each for each in verdict.dead if each.refusal.event in batch or self._queue.claim(each.refusal.event)]
        dead = self._within_limit(decided)
        self._hold(verdict, {refusal.event.id: refusal for refusal in refused})
        self._condition.note(outcomes, verdict, everything=self._refusals.refuses_everything)
        for event, outcome in pairs:
            if isinstance(outcome, Retry):
                self._refusals.put_off([event])
                self._postpone(event, outcome)
        recorded = await self.settlements.record(delivered, [each.refusal for each in dead])
        await self._calls.settled(recorded)
        self._report.settled(len(delivered), dead)
        self._queue.settle([*delivered, *(each.refusal.event for each in dead)])

    def _within_limit(self, dead: Sequence[DeadEvent]) -> Sequence[DeadEvent]:
        """While there is no room for dead letters, keep their events in the outbox, and try them again. A retried one has its room."""
        if not self.dead_letters_full():
            return dead
        kept_back = [each.refusal.event for each in dead if not self.settlements.is_retried(each.refusal.event)]
        for event in kept_back:
            self._postpone(event, Retry(Unavailable("max_dead_letters", "read the dead letters, then retry or purge them")))
        return [each for each in dead if each.refusal.event not in kept_back]

    def _refusal(self, event: Event, outcome: Rejected) -> Refusal:
        """A dead letter that an operator retries is one again at once when it is refused: nothing new is given up."""
        return Refusal(event, outcome.reason, "event" if self.settlements.is_retried(event) else outcome.cause)

    def _hold(self, verdict: Verdict, refusals: Mapping[str, Refusal]) -> None:
        """Hold what was refused, and send again what can now be compared. Neither is settled, so a restart loses nothing."""
        for event in verdict.held:
            self._report.held(refusals[event.id])
            if not self._queue.hold(event):
                self._refusals.discard(partial(_is_same, event))
        for event in verdict.released:
            self._resume(event)

    def _resume(self, event: Event) -> None:
        if self._queue.resume(event):
            self._wakeup.set()
        else:
            self._refusals.discard(partial(_is_same, event))

    def _postpone(self, event: Event, outcome: Retry) -> None:
        wait = backoff(self._queue.attempts(event.key) + 1, outcome.error)
        self._queue.postpone(event, self._clock.mono() + wait)
        self._report.retried(event, outcome.error, wait)


def _is_same(event: Event, other: Event) -> bool:
    return event.id == other.id
