"""What a played story leaves for the oracle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.disk import Content
from tests.simulation.executions import Executions
from tests.simulation.peers import RecordingProbe, UnreliableInbox, UnreliableQueue
from tests.simulation.story import Story
from watcher.simulator.service import VoiceService


@dataclass
class Record:
    """The peers of the watcher with all that they recorded, and what else was seen from outside."""

    story: Story
    service: VoiceService
    probe: RecordingProbe
    queue: UnreliableQueue
    inboxes: list[UnreliableInbox]
    executions: Executions | None = None
    """What waits for task tokens, if any are submitted."""
    left: Content = field(default_factory=lambda: Content((), {}, ()))
    """What the store held at the end."""
    submitted: set[str] = field(default_factory=set)
    """Keys."""
    tokens: dict[str, str] = field(default_factory=dict)
    """The key of the task of each submitted task token."""
    invalid: int = 0
    """Messages in which something was invalid."""
    erased: dict[str, float] = field(default_factory=dict)
    """When each key was erased; a later submission removes it."""
    resubmitted: set[str] = field(default_factory=set)
    """Keys that were erased and submitted again, so that they may have had two watches."""
    cancelled: set[str] = field(default_factory=set)
    """Keys of which a cancellation was requested."""
    stops: list[float] = field(default_factory=list)
    """How long each graceful stop took, in seconds."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often each trouble, kill, stop, erasure, and cancellation occurred."""
    idle: bool = False
    """All work was done within `IDLE_WITHIN_S` after the last trouble."""
    metrics: list[bytes] = field(default_factory=list)
    """As each process had them at its end."""
    fresh_lag: float | None = None
    """Of one more task after all faults: seconds from its message to its last event at the last sink, without its own duration."""
    tasks_left: int = 0
    """Tasks of the event loop that were left behind."""
