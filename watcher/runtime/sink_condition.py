"""Whether a sink works, and when one that accepts nothing is tried again. Reports to readiness; sends nothing."""

from __future__ import annotations

from collections.abc import Sequence

from watcher.core.delivery.refusals import Ground, Verdict
from watcher.errors import RemoteError
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.runtime.instruments import Instruments
from watcher.runtime.retrying import backoff, report_failure

MAX_FAILED_BATCHES = 3
"""Consecutive batches in which no event was accepted, before the sink counts as unhealthy."""


class SinkCondition:
    """The condition of one sink, from the answers to its batches."""

    def __init__(self, sink: str, instruments: Instruments) -> None:
        self.resume_at = 0.0
        """Nothing is sent before this time: a sink that accepts nothing gets fewer and fewer attempts, however many tasks wait."""
        self.probe_at = 0.0
        """A refused event is not sent again before this time, unless another event is accepted."""
        self._component = f"sink:{sink}"
        self._clock = instruments.clock
        self._health = instruments.health
        self._failed_batches = 0
        """Consecutive batches in which no event was accepted."""
        self._failed_probes = 0

    def note(self, outcomes: Sequence[Outcome], verdict: Verdict, *, everything: bool) -> None:
        """Take the answer to a batch, and what was decided about it. `everything`: the sink refuses all events at the moment.

        One event that is not accepted concerns that event; several whole batches, or `everything`, concern the sink.
        """
        errors = [outcome.error for outcome in outcomes if isinstance(outcome, Retry)]
        if any(isinstance(outcome, Delivered) for outcome in outcomes):
            self._works()
        elif errors or verdict.held:
            self._failed_batches += 1
            if verdict.held:
                self._refused(next(outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)), everything)
            elif self._failed_batches >= MAX_FAILED_BATCHES:
                self._failed(errors[0])
        elif not everything and any(each.ground == Ground.NOTHING_TO_COMPARE for each in verdict.dead):
            self._works()  # nothing shows that it does not

    def idle(self) -> None:
        """Nothing is left to send: what failed was erased, or another replica sends it. So nothing would report that the sink works."""
        if not self._health.is_good(self._component):
            self._health.good(self._component, "no event to deliver")

    def _works(self) -> None:
        self.resume_at = self.probe_at = 0.0
        self._failed_batches = self._failed_probes = 0
        self._health.good(self._component)

    def _failed(self, error: RemoteError) -> None:
        self.resume_at = self._clock.mono() + backoff(self._failed_batches - MAX_FAILED_BATCHES + 1, error)
        report_failure(self._component, self._health, error)

    def _refused(self, reason: str, everything: bool) -> None:
        now = self._clock.mono()
        if now >= self.probe_at:  # else the answer to a batch that was sent before the last probe
            self._failed_probes += 1
            self.probe_at = now + backoff(self._failed_probes)
        if everything:
            self.resume_at = max(self.resume_at, self.probe_at)
        if everything or self._failed_batches >= MAX_FAILED_BATCHES:
            hint = "it refuses every event: check its address, its credentials, and what it accepts; the events are kept and sent again"
            self._health.bad(self._component, f"refused: {reason}", hint, repeated=True)
