"""The settings of the loops: limits, the settings of the decisions, and what a test replaces to make a run repeatable."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import Field

from watcher.core.delivery.events import EventSettings
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.model import DEFAULT_TARGET, Scope
from watcher.runtime.clock import Clock
from watcher.section import Seconds, Section


class Limits(Section):
    """Upper bounds. At a limit, intake pauses; nothing is dropped."""

    max_watches: int = Field(default=100_000, ge=1)
    """The maximum number of open watches. At this number, intake pauses until some watches end."""
    max_outbox: int = Field(default=100_000, ge=1)
    """The maximum number of events that may wait for the slowest sink. At this number, intake pauses until the sink catches up."""
    max_dead_letters: int = Field(default=100_000, ge=1)
    """The maximum number of dead letters of inputs, and of those of events. At this number of inputs, intake pauses. At this
    number of events, a refused event stays in the outbox and is sent again."""
    max_in_flight: int = Field(default=50, ge=1, le=1000)
    """The maximum number of simultaneous calls to the watched service, for each of its quotas."""
    call_deadline: Seconds = Field(default=15, ge=0.1, le=300)
    """The longest duration of one call to the watched service, from the first byte sent to the last byte received."""
    retry_refused: Seconds = Field(default=600, ge=0, le=604_800)
    """How long a refused event is sent again while no event of another task shows whether the sink works."""
    stop_deadline: Seconds = Field(default=25, ge=1, le=600)
    """The time from the signal to the end of the process. Keep it below what the container platform allows (often 30 s)."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The settings and the kinds that the loops use."""

    watch: WatchSettings = field(default_factory=WatchSettings)
    pace: PaceSettings = field(default_factory=PaceSettings)
    cadence: CadenceSettings = field(default_factory=CadenceSettings)
    events: EventSettings = field(default_factory=EventSettings)
    limits: Limits = field(default_factory=Limits)
    region: str | None = None
    catalog: Catalog = field(default_factory=builtin_catalog)
    drop_sinks: frozenset[str] = frozenset()
    """Names of sinks that are no longer configured, and whose events the store may erase."""
    targets: Mapping[str, Scope] = field(default_factory=dict)
    """By name, the targets besides the default one, which is in `region`."""

    @property
    def scopes(self) -> Mapping[str, Scope]:
        """By name, where the tasks of all targets are."""
        return {DEFAULT_TARGET: Scope(self.region), **self.targets}


@dataclass(frozen=True, slots=True)
class Determinism:
    """What a test replaces to make a run repeatable."""

    clock: Clock = field(default_factory=Clock)
    rng: random.Random = field(default_factory=random.Random)
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex
