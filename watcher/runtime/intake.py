"""From a source into the store: receive, read, admit durably, acknowledge, always in that order.

Nothing is dropped: an input that names no task becomes a dead letter with its reason. At a limit nothing is received.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import anyio
import structlog

from watcher.core.intake import submissions
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.model import DeadLetter, Ignored, Message, Scope, Submission
from watcher.ports import Source, Store
from watcher.runtime.acks import Acknowledger
from watcher.runtime.admission import Admission, Admitted
from watcher.runtime.instruments import Instruments
from watcher.runtime.intake_report import IntakeReport
from watcher.runtime.retrying import call_source
from watcher.runtime.wakeup import IntakeGate

log = structlog.get_logger("watcher.intake")


@dataclass(frozen=True, slots=True)
class Reading:
    """A message and what was found in it."""

    message: Message
    dead_letter_id: str
    """The id of the dead letter that it becomes if something in it is invalid."""
    invalid: Sequence[InvalidInput]
    submitted: Sequence[Submission]
    notified: Sequence[Submission]
    """Notifications by AWS about tasks. They start a watch only if they are also `submitted`."""
    ignored: Sequence[str]
    """The names of what requires no action."""

    def traced(self, context: str) -> Reading:
        """The same reading, whose tasks have this trace context if they have none."""
        return replace(self, submitted=[submissions.with_trace(each, context) for each in self.submitted])

    def as_dead_letter(self, origin: str, now: float) -> DeadLetter:
        """The whole message, with the first reason and the number of further ones."""
        first, more = self.invalid[0], len(self.invalid) - 1
        detail = f"{first.detail} (and {more} more in this message)" if more else first.detail
        return DeadLetter(self.dead_letter_id, "input", origin, first.reason, detail, self.message.body, now)


@dataclass(frozen=True, slots=True)
class MessageReader:
    """Reads messages by the kinds of a catalog. `scopes` has the configured targets, by name."""

    catalog: Catalog
    scopes: Mapping[str, Scope]

    def read(self, message: Message, dead_letter_id: str, *, now: float, plain: bool, watch_notified: bool) -> Reading:
        """What the message contains. Never raises."""
        found = submissions.read(message.body, self.catalog, now=now, scopes=self.scopes, plain=plain, watch_notified=watch_notified)
        tasks = [submissions.with_trace(each, message.trace) for each in found if isinstance(each, Submission)]
        return Reading(
            message,
            dead_letter_id,
            invalid=[each for each in found if isinstance(each, InvalidInput)],
            submitted=[each for each in tasks if watch_notified or not each.poll_now],
            notified=[each for each in tasks if each.poll_now],
            ignored=[each.name for each in found if isinstance(each, Ignored)],
        )

    def steering_members(self, body: bytes) -> Sequence[str]:
        """Members of the message that would choose where calls go. They are ignored."""
        return submissions.steering_members(body, self.catalog)


class Intake:
    """Receives from all sources while the gate is open."""

    def __init__(
        self,
        sources: Sequence[Source],
        reader: MessageReader,
        admission: Admission,
        acks: Acknowledger,
        store: Store,
        gate: IntakeGate,
        instruments: Instruments,
    ) -> None:
        self.exhausted = not sources
        """Every source has reported that nothing more will come."""
        self._sources = {source.name: source for source in sources}
        self._reader = reader
        self._admission = admission
        self._acks = acks
        self._store = store
        self._gate = gate
        self._clock = instruments.clock
        self._health = instruments.health
        self._tracer = instruments.tracer
        self._report = IntakeReport(instruments.metrics)
        self._receiving: set[anyio.CancelScope] = set()
        self._stopping = False

    async def run(self) -> None:
        """Receive until every source is exhausted, or until `stop`."""
        async with anyio.create_task_group() as receivers:
            for source in self._sources.values():
                for n in range(source.receivers):
                    receivers.start_soon(self._receive, source, name=f"receive {source.name} {n}")
        self.exhausted = not self._stopping

    def stop(self) -> None:
        """Receive nothing more. Messages already received are still admitted and acknowledged."""
        self._stopping = True
        for scope in self._receiving:
            scope.cancel()

    async def retry(self, dead_letter: DeadLetter) -> None:
        """Read a dead letter again, at an operator's request. It stays one if it is still invalid."""
        source = self._sources.get(dead_letter.origin)
        reading = self._read(dead_letter.origin, Message(dead_letter.id, dead_letter.body), dead_letter.id, source)
        await self._admit(dead_letter.origin, [reading])
        if not reading.invalid:
            await self._store.purge([dead_letter.id])

    async def _receive(self, source: Source) -> None:
        while not self._stopping:
            messages: Sequence[Message] | None = ()
            with anyio.CancelScope() as scope:
                self._receiving.add(scope)
                await self._gate.wait()
                messages = await call_source(source.name, self._health, source.receive)
            self._receiving.discard(scope)
            if messages is None:
                log.info("source_exhausted", source=source.name)
                return
            await self._take_in(source, messages)

    async def _take_in(self, source: Source, messages: Sequence[Message]) -> None:
        """Admit the tasks of these messages, then acknowledge the messages."""
        name = source.name
        readings = [self._read(name, message, dead_letter_id(name, message), source) for message in messages]
        with self._tracer.intake(name, readings) as span:
            if span.contexts:
                readings = [reading.traced(context) for reading, context in zip(readings, span.contexts, strict=True)]
            deferring = await self._admit(name, readings)
            await self._acks.accept(name, [(r.message, deferring & {s.ref.key for s in r.submitted}) for r in readings])

    def _read(self, origin: str, message: Message, letter_id: str, source: Source | None) -> Reading:
        """`source` is None for a dead letter whose source is not configured any more."""
        plain, watch_notified = (True, False) if source is None else (source.plain, source.watch_notified)
        reading = self._reader.read(message, letter_id, now=self._clock.wall(), plain=plain, watch_notified=watch_notified)
        self._report.ignored(origin, reading.ignored)
        self._report.steering(origin, self._reader.steering_members(message.body))
        return reading

    async def _admit(self, origin: str, readings: Sequence[Reading]) -> set[str]:
        """Make durable what was read. Returns the keys whose messages must wait for the end of their tasks.

        Notifications come last: of several messages about a new task the first one counts, and they have no context.
        """
        await self._add_dead_letters(origin, [reading for reading in readings if reading.invalid])
        submitted = sorted((each for reading in readings for each in reading.submitted), key=lambda each: each.poll_now)
        outcomes = list(zip(submitted, await self._admission.submit(submitted, origin), strict=True))
        self._report.admitted(origin, [each for submission, each in outcomes if each.outcome == "admitted" or not submission.poll_now])
        reduced = [each.watch for submission, each in outcomes if submission.deadline_reduced and each.outcome == "admitted"]
        self._report.deadlines_reduced(origin, reduced)
        notified: list[tuple[str, Admitted | None]] = [(s.ref.key, each) for s, each in outcomes if s.poll_now]
        notified = notified or [(each.ref.key, None) for reading in readings for each in reading.notified]
        polled = await self._admission.notify([key for key, _ in notified])
        for key, watch in notified:
            self._report.notified(origin, polled=key in polled, watch=watch)
        return {each.watch.key for _, each in outcomes if self._acks.defers(each.watch)}

    async def _add_dead_letters(self, origin: str, readings: Sequence[Reading]) -> None:
        """One dead letter for a message, however much of it is invalid: its valid parts are admitted, and found on a retry."""
        dead_letters = [reading.as_dead_letter(origin, self._clock.wall()) for reading in readings]
        if dead_letters:
            await self._store.add_dead_letters(dead_letters)
        for reading, letter in zip(readings, dead_letters, strict=True):
            self._report.rejected(origin, [error.reason for error in reading.invalid], letter, reading.message.trace)


def dead_letter_id(origin: str, message: Message) -> str:
    """16 hex digits, the same for the same message each time."""
    return hashlib.sha256(f"{origin}\n{message.id}\n".encode() + message.body).hexdigest()[:16]
