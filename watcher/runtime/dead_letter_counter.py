"""Counts the dead letters, and at their limit pauses intake, or keeps refused events in the outbox. None is dropped to make room."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from watcher.model import DeadLetter
from watcher.runtime.instruments import Instruments
from watcher.runtime.retrying_store import RetryingStore
from watcher.runtime.wakeup import IntakeGate

COUNT_S = 10.0
"""Seconds between two counts in the store. In between, each dead letter that is stored counts as a new one."""
KINDS = ("input", "event")
HINT = "read them with watcher dead-letters list, then retry or purge them; or raise limits.max_dead_letters"


class DeadLetterCounter:
    """The number of dead letters of inputs, and of those of events. Each has the same limit."""

    def __init__(self, store: RetryingStore, gate: IntakeGate, limit: int, instruments: Instruments) -> None:
        self._store = store
        self._gate = gate
        self._limit = limit
        self._metrics = instruments.metrics
        self._counts = dict.fromkeys(KINDS, 0)
        store.on_dead_letters = self._added
        self._report()  # a series that appears later looks like one that was 0 until then

    def full(self) -> bool:
        """Whether no further event may become a dead letter."""
        return self._counts["event"] >= self._limit

    async def run(self) -> None:
        """Count every ten seconds, until cancelled."""
        while True:
            counted = await self._store.count_dead_letters()
            self._counts = {kind: sum(n for (what, _), n in counted.items() if what == kind) for kind in KINDS}
            self._report()
            await anyio.sleep(COUNT_S)

    def _added(self, dead_letters: Sequence[DeadLetter]) -> None:
        for dead_letter in dead_letters:
            self._counts[dead_letter.what] += 1
        if dead_letters:
            self._report()

    def _report(self) -> None:
        for kind, count in self._counts.items():
            self._metrics.dead_letters_kept.labels(kind).set(count)
            self._metrics.dead_letters_limit.labels(kind).set(self._limit)
        if self._counts["input"] >= self._limit:
            self._gate.pause("max_dead_letters", HINT)
        else:
            self._gate.resume("max_dead_letters")
