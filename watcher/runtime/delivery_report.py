"""Counts and logs what became of the events of a sink. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from prometheus_client import Counter

from watcher.core.delivery.events import trace_of
from watcher.core.delivery.log_limit import LogLimit
from watcher.core.delivery.refusals import DeadEvent, Ground, Refusal
from watcher.errors import RemoteError
from watcher.model import Event
from watcher.observe.logs import traced
from watcher.runtime.instruments import Instruments

log = structlog.get_logger("watcher.delivery")

_HINT = "see watcher dead-letters list; retry when the sink can accept it"
_ALONE_HINT = f"no event was accepted for limits.retry_refused, so the sink itself may be at fault: check the sink, then {_HINT}"


class DeliveryReport:
    """The metrics and log lines of one sink. Each log event is limited to ten lines a minute; `suppressed` counts the others."""

    def __init__(self, sink: str, instruments: Instruments) -> None:
        self._sink = sink
        self._clock = instruments.clock
        self._metrics = instruments.metrics
        self._limits = {name: LogLimit() for name in ("delivery_failed", "delivery_refused", "event_rejected")}

    def settled(self, delivered: int, dead: Sequence[DeadEvent]) -> None:
        """So many events were delivered, and these became dead letters."""
        self._metrics.deliveries.labels(self._sink, "delivered").inc(delivered)
        self._metrics.deliveries.labels(self._sink, "refused").inc(len(dead))
        for each in dead:
            reason = each.refusal.reason
            self._dead_letters(reason).inc()
            hint = _ALONE_HINT if each.ground == Ground.NOTHING_TO_COMPARE else _HINT
            self._log("event_rejected", each.refusal.event, reason=reason, ground=str(each.ground), hint=hint)

    def held(self, refusal: Refusal) -> None:
        """The event was refused, and is held until other events show whether the sink works."""
        self._dead_letters(refusal.reason)  # starts at 0: `increase` does not see a counter that begins at 1
        self._metrics.deliveries.labels(self._sink, "retried").inc()
        self._log("delivery_refused", refusal.event, reason=refusal.reason)

    def retried(self, event: Event, error: RemoteError, wait_s: float) -> None:
        """The event is sent again after this wait."""
        self._metrics.deliveries.labels(self._sink, "retried").inc()
        self._log("delivery_failed", event, code=error.code, retry_in_s=round(wait_s, 1))

    def _dead_letters(self, reason: str) -> Counter:
        return self._metrics.dead_letters.labels("event", self._sink, self._metrics.reason_label(reason))

    def _log(self, name: str, event: Event, **facts: Any) -> None:
        suppressed = self._limits[name].admit(self._clock.mono())
        if suppressed is None:
            return
        more = {"suppressed": suppressed} if suppressed else {}
        write = log.error if name == "event_rejected" else log.warning
        write(name, sink=self._sink, event_id=event.id, **traced(trace_of(event)), **facts, **more)
