"""What the status in a message means for its new watch: a first observation that cost no call."""

from __future__ import annotations

from dataclasses import replace

from watcher.core.polling.transitions import WatchSettings, advance
from watcher.kinds.kind import Kind
from watcher.model import Observation, Step, Watch


def advance_by_submission(kind: Kind, watch: Watch, seen: Observation, settings: WatchSettings) -> Step:
    """The new watch after what its message says, and the transitions to emit, which name the message as their origin.

    No poll is counted. The watch was last seen when the service said this, not when the message arrived: the next gap
    begins there.
    """
    step = advance(kind, watch, seen, settings)
    after = step.watch._replace(polls=watch.polls, seen_at=as_of(seen))
    return replace(step, watch=after, transitions=tuple(replace(each, observed_from="submission") for each in step.transitions))


def as_of(seen: Observation) -> float:
    """When the service said this, in seconds since the epoch: its newest timestamp, at the latest when we learned of it."""
    times = [at for at in (seen.created_at, seen.started_at, seen.updated_at) if at is not None]
    return min(max(times, default=seen.observed_at), seen.observed_at)


def rest_of_gap(gap_s: float, since_s: float) -> float:
    """Seconds until the first poll, when the observation is `since_s` old. One that has used up half of its gap saves no call."""
    left = gap_s - max(0.0, since_s)
    return left if left >= gap_s / 2 else 0.0
