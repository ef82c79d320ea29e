"""The decisions that a polling loop asks for."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from watcher.core.polling.batch_sizes import BatchSizes
from watcher.core.polling.cadence import Cadence
from watcher.core.polling.circuits import CallCircuits
from watcher.core.polling.pace import Pace
from watcher.core.polling.transitions import WatchSettings


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """The decisions that the loop asks for: when, how fast, whether at all, and what an outcome means."""

    watch: WatchSettings
    cadence: Cadence
    pace: Pace
    circuits: CallCircuits
    max_in_flight: int
    rng: random.Random
    batch_sizes: BatchSizes = field(default_factory=BatchSizes)
