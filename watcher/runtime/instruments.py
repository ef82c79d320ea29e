"""What every loop receives: the time, and where it reports its progress."""

from __future__ import annotations

from dataclasses import dataclass, field

from watcher.observe.metrics import Metrics
from watcher.observe.tracing import NO_TRACER, Tracer
from watcher.runtime.clock import Clock
from watcher.runtime.health import Health
from watcher.runtime.pending_writes import PendingWrites


@dataclass(frozen=True, slots=True)
class Instruments:
    """One set for each watcher."""

    clock: Clock
    health: Health
    metrics: Metrics
    writes: PendingWrites = field(default_factory=PendingWrites)
    tracer: Tracer = NO_TRACER
