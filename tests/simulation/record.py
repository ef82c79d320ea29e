"""What a played story leaves to be judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.disk import Content
from tests.simulation.peers import UnreliableInbox, UnreliableQueue, WatchedProbe
from tests.simulation.story import Story
from watcher.simulator.service import VoiceService


@dataclass
class Record:
    """What the oracle may look at after a run."""

    story: Story
    service: VoiceService
    probe: WatchedProbe
    queue: UnreliableQueue
    inboxes: list[UnreliableInbox]
    left: Content = field(default_factory=lambda: Content((), {}, ()))
    """What the store held at the end."""
    submitted: set[str] = field(default_factory=set)
    poison: int = 0
    forgotten: dict[str, float] = field(default_factory=dict)
    """Keys erased, and when; a later submission takes one out again."""
    resubmitted: set[str] = field(default_factory=set)
    stops: list[float] = field(default_factory=list)
    """How long each graceful stop took, in seconds."""
    seen: Counter[str] = field(default_factory=Counter)
    """What happened, so that a run of nothing is not taken for a proof."""
    quiet: bool = False
    """Everything was done within `PATIENCE_S` of calm."""
    pages: list[bytes] = field(default_factory=list)
    """The metrics at the end of each life."""
    fresh_lag: float | None = None
    """After all faults: seconds that the watcher added to the life of one more task, from its message to the last sink."""
    tasks_left: int = 0
    """Tasks of the event loop beyond those there were before."""
