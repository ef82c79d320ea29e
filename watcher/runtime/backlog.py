"""Counts, in memory, the events that each sink has not settled, and pauses intake when there are too many.

A count in the store reads the whole outbox, so it is made once for each adopted shard; from then on commits add and
settlements subtract. A count can become too high when an operator erases a task with undelivered events. A sink worker
that has nothing left to send corrects that: `drained`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import anyio

from watcher.model import Backlog, Event
from watcher.runtime.instruments import Instruments
from watcher.runtime.wakeup import IntakeGate

REPORT_S = 1.0
"""Seconds between two updates of the gauges and the gate."""


class BacklogCounter:
    """The unsettled events of each sink, by shard."""

    def __init__(self, sinks: Sequence[str], gate: IntakeGate, max_outbox: int, instruments: Instruments) -> None:
        self._counts: dict[str, Counter[int]] = {sink: Counter() for sink in sinks}
        self._oldest_at: dict[str, Callable[[], float | None]] = {}
        self._gate = gate
        self._max_outbox = max_outbox
        self._clock = instruments.clock
        self._metrics = instruments.metrics

    @property
    def total(self) -> int:
        """Unsettled events, summed over all sinks."""
        return sum(self.of(sink) for sink in self._counts)

    def of(self, sink: str) -> int:
        """Unsettled events of one sink."""
        return max(0, self._counts[sink].total())

    def track(self, sink: str, oldest_at: Callable[[], float | None]) -> None:
        """Report the age of the oldest unsettled event of this sink by this function, which returns when it was committed."""
        self._oldest_at[sink] = oldest_at

    def adopt(self, shard: int, backlog: Mapping[str, Backlog]) -> None:
        """Start with what the store counted for this shard."""
        for sink, counts in self._counts.items():
            counts[shard] = backlog[sink].events if sink in backlog else 0

    def release(self, shard: int) -> None:
        """Stop counting this shard."""
        for counts in self._counts.values():
            counts.pop(shard, None)

    def committed(self, shard: int, events: Sequence[Event]) -> None:
        """Add events that every sink must now deliver. Not counted for a shard that was released during the commit."""
        for counts in self._counts.values():
            if shard in counts:
                counts[shard] += len(events)

    def settled(self, sink: str, events: Sequence[Event]) -> None:
        """Subtract events that this sink has settled."""
        counts = self._counts[sink]
        for event in events:
            if event.shard in counts:  # else its shard was released while it was in flight
                counts[event.shard] -= 1

    def drained(self, sink: str) -> None:
        """This sink has read its whole outbox and settled all of it."""
        self._counts[sink] = Counter(dict.fromkeys(self._counts[sink], 0))

    async def run(self) -> None:
        """Update the gauges and the gate every second, until cancelled."""
        while True:
            self.report()
            await anyio.sleep(REPORT_S)

    def report(self) -> None:
        """Set the gauges, and pause or resume intake by the sink that is furthest behind."""
        now = self._clock.wall()
        for sink in self._counts:
            oldest = self._oldest_at[sink]() if sink in self._oldest_at and self.of(sink) else None
            self._metrics.outbox_events.labels(sink).set(self.of(sink))
            self._metrics.outbox_age.labels(sink).set(0.0 if oldest is None else max(0.0, now - oldest))
        if max((self.of(sink) for sink in self._counts), default=0) >= self._max_outbox:
            self._gate.pause("max_outbox", "a sink is behind: see /readyz for its error, or raise limits.max_outbox")
        else:
            self._gate.resume("max_outbox")
