"""From a source into the store: receive, read, admit durably, acknowledge. In that order, always.

Nothing is dropped: what is no task becomes a dead letter with its reason, and at a limit nothing is received.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio
import structlog

from watcher.core.intake import submissions
from watcher.core.intake.unacked_messages import UnackedMessages
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import InvalidInput
from watcher.model import DeadLetter, Message, Submission, Watch
from watcher.ports import OwnedStore, Source
from watcher.runtime.instruments import Instruments
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.retrying import until_stored, until_taken
from watcher.runtime.wakeup import IntakeGate

log = structlog.get_logger("watcher.intake")

T = TypeVar("T")


class Intake:
    """Takes tasks in from all sources, as long as `gate` is open."""

    def __init__(
        self,
        sources: Sequence[Source],
        store: OwnedStore,
        poller_set: PollerSet,
        receipts: UnackedMessages | None,
        *,
        gate: IntakeGate,
        max_watches: int,
        settings: WatchSettings,
        region: str | None,
        new_id: Callable[[], str],
        instruments: Instruments,
    ) -> None:
        self.exhausted = not sources
        """Every source has said that nothing will ever come again."""
        self._sources = {source.name: source for source in sources}
        self._store = store
        self._poller_set = poller_set
        self._unacked = receipts
        self._gate = gate
        self._max_watches = max_watches
        self._settings = settings
        self._region = region
        self._new_id = new_id
        self._clock = instruments.clock
        self._health = instruments.health
        self._metrics = instruments.metrics
        self._receiving: set[anyio.CancelScope] = set()
        self._stopping = False

    async def run(self) -> None:
        """Until every source is exhausted, or `stop`."""
        async with anyio.create_task_group() as receivers:
            for source in self._sources.values():
                for n in range(source.receivers):
                    receivers.start_soon(self._receive, source, name=f"receive {source.name} {n}")
        self.exhausted = not self._stopping

    def stop(self) -> None:
        """Receive nothing more. What was received is still admitted and acknowledged."""
        self._stopping = True
        for scope in self._receiving:
            scope.cancel()

    async def again(self, letter: DeadLetter) -> None:
        """Read a dead letter once more, because an operator asked; it stays one if nothing has changed."""
        source = self._sources.get(letter.origin)
        plain = source is None or source.plain
        reading = self._read(letter.origin, Message(letter.id, letter.body), plain=plain, letter=letter.id)
        await self._admit(letter.origin, [reading])
        if not reading.rejected:
            await until_stored(self._health, lambda: self._store.purge([letter.id]))

    async def acknowledge(self, source_name: str, messages: Sequence[Message]) -> None:
        """Take these off their source. One that cannot be taken off comes again, and meets its own watch."""
        source = self._sources.get(source_name)
        if source is None or not messages:
            return
        failed = await self._until_taken(source_name, lambda: source.ack(messages))
        self._metrics.acks.labels(source_name, "acked").inc(len(messages) - len(failed))
        self._metrics.acks.labels(source_name, "failed").inc(len(failed))

    async def extend(self, source_name: str) -> None:
        """Keep ours what is held unacknowledged from this source."""
        source = self._sources[source_name]
        held = self._unacked.held(source_name) if self._unacked is not None else []
        if self._unacked is None or not held:
            return
        lost = await self._until_taken(source_name, lambda: source.extend(held))
        for message in lost:
            self._unacked.lost(source_name, message)
        self._metrics.acks.labels(source_name, "extended").inc(len(held) - len(lost))

    async def _receive(self, source: Source) -> None:
        while not self._stopping:
            messages: Sequence[Message] | None = ()
            with anyio.CancelScope() as scope:
                self._receiving.add(scope)
                await self._gate.wait()
                messages = await self._until_taken(source.name, source.receive)
            self._receiving.discard(scope)
            if messages is None:
                log.info("source_exhausted", source=source.name)
                return
            await self._take_in(source, messages)

    async def _until_taken(self, source: str, call: Callable[[], Awaitable[T]]) -> T:
        result = await until_taken(f"source:{source}", self._health, call)
        self._health.good(f"source:{source}")
        return result

    async def _take_in(self, source: Source, messages: Sequence[Message]) -> None:
        """Admit what these messages name, then acknowledge them: at once, or when all of it is done where the store forgets."""
        readings = [self._read(source.name, message, plain=source.plain) for message in messages]
        unfinished = await self._admit(source.name, readings)
        free = []
        for reading in readings:
            waits_for = unfinished & {submission.ref.key for submission in reading.submitted}
            if self._unacked is not None and waits_for:
                self._unacked.hold(source.name, reading.message, waits_for)
            else:
                free.append(reading.message)
        await self.acknowledge(source.name, free)

    def _read(self, origin: str, message: Message, *, plain: bool, letter: str = "") -> Reading:
        outcomes = submissions.read(message.body, now=self._clock.wall(), region=self._region, plain=plain)
        if not outcomes:
            self._metrics.inputs.labels(origin, "ignored").inc()
        if ignored := submissions.steering_members(message.body):
            self._metrics.inputs.labels(origin, "steering_ignored").inc()
            log.warning("members_ignored", source=origin, members=sorted(ignored), hint="a message never chooses where calls go")
        return Reading(
            message,
            letter or letter_id(origin, message),
            rejected=[o for o in outcomes if isinstance(o, InvalidInput)],
            submitted=[o for o in outcomes if isinstance(o, Submission) and not o.hint],
            hints=[o for o in outcomes if isinstance(o, Submission) and o.hint],
        )

    async def _admit(self, origin: str, readings: Sequence[Reading]) -> set[str]:
        """Make durable what was read, all of it in one piece. The keys of the tasks that are not done yet."""
        await self._bury(origin, [reading for reading in readings if reading.rejected])
        unfinished = await self._watch(origin, [submission for reading in readings for submission in reading.submitted])
        for reading in readings:
            self._hint(origin, reading.hints)
        return unfinished

    async def _watch(self, origin: str, submitted: Sequence[Submission]) -> set[str]:
        now = self._clock.wall()
        watches: dict[str, Watch] = {}
        for submission in submitted:
            watches.setdefault(submission.ref.key, self._new_watch(submission, now))  # of the same task twice, the first counts
        standing = await until_stored(self._health, lambda: self._store.admit(list(watches.values()))) if watches else ()
        unfinished = set()
        for watch in standing:
            new = watch.id == watches[watch.key].id
            if new:
                self._poller_set.watch(watch)
            self._metrics.inputs.labels(origin, "admitted" if new else "known" if watch.open else "ended").inc()
            if watch.open or (self._unacked is not None and self._unacked.waits_for(watch.key)):
                unfinished.add(watch.key)
        self._metrics.inputs.labels(origin, "known").inc(len(submitted) - len(watches))
        full = len(self._poller_set) >= self._max_watches
        self._gate.hold("max_watches", full, "it resumes as watches end; raise limits.max_watches or the pace")
        return unfinished

    def _new_watch(self, submission: Submission, now: float) -> Watch:
        deadline = submission.deadline_s if submission.deadline_s is not None else self._settings.deadline
        return Watch(submission.ref, self._new_id(), now, now + deadline, context=submission.context)

    def _hint(self, origin: str, hints: Sequence[Submission]) -> None:
        """AWS's own notification about a task: for a watched one a reason to ask now, for any other nothing."""
        for hint in hints:
            known = self._poller_set.hint(hint.ref.key)
            self._metrics.inputs.labels(origin, "hint" if known else "ignored").inc()

    async def _bury(self, origin: str, readings: Sequence[Reading]) -> None:
        """One letter for a message, however much of it is wrong: its good parts are admitted, and read again they are known."""
        letters = [reading.as_letter(origin, self._clock.wall()) for reading in readings]
        if letters:
            await until_stored(self._health, lambda: self._store.add_dead_letters(letters))
        for reading, letter in zip(readings, letters, strict=True):
            for error in reading.rejected:
                self._metrics.inputs.labels(origin, f"rejected_{error.reason}").inc()
            self._metrics.dead_letters.labels("input", origin, letter.reason).inc()
            hint = f"watcher dead-letters show {letter.id}"
            log.warning("input_rejected", source=origin, reason=letter.reason, detail=letter.detail, letter=letter.id, hint=hint)


@dataclass(frozen=True, slots=True)
class Reading:
    """A message and what it was found to say."""

    message: Message
    letter: str
    """The id of the dead letter it would be."""
    rejected: Sequence[InvalidInput]
    submitted: Sequence[Submission]
    hints: Sequence[Submission]

    def as_letter(self, origin: str, now: float) -> DeadLetter:
        """The whole message, with the first reason and how many more there are."""
        first, more = self.rejected[0], len(self.rejected) - 1
        detail = f"{first.detail} (and {more} more in this message)" if more else first.detail
        return DeadLetter(self.letter, "input", origin, first.reason, detail, self.message.body, now)


def letter_id(origin: str, message: Message) -> str:
    """16 hex, the same for the same message again."""
    return hashlib.sha256(f"{origin}\n{message.id}\n".encode() + message.body).hexdigest()[:16]
