"""How long a task was in the statuses that it left: by the service's timestamps, never by the times of polls."""

from __future__ import annotations

import math
from collections.abc import Iterator

from watcher.kinds.kind import Kind, Phase
from watcher.model import Observation, Step, Watch


def durations(kind: Kind, before: Watch, seen: Observation, step: Step) -> Iterator[tuple[str, float]]:
    """Yield the statuses that a task has left, each with its duration in seconds by the service's timestamps.

    A provisional status also counts as left when its result changes, because its polls wait for that too. If it settles with
    nothing changed, its duration is infinite.
    """
    if not step.transitions:
        return
    if seen.created_at is not None and seen.started_at is not None and before.started_at is None and _follows(kind):
        yield kind.first_status, seen.started_at - seen.created_at
    if before.status is not None and kind.phase(before.status) is Phase.PROVISIONAL:
        duration_s = _provisional(before, seen, step)
        if duration_s is not None:
            yield before.status, duration_s
        return
    ended = kind.phase(seen.status) is not Phase.OPEN
    if ended and kind.running_status is not None and seen.started_at is not None and seen.updated_at is not None:
        yield kind.running_status, seen.updated_at - seen.started_at


def _follows(kind: Kind) -> bool:
    """Whether the running status follows the first one. With others between them, the timestamps do not say how long each of them lasts."""
    return kind.running_status is not None and not kind.skipped(kind.first_status, kind.running_status)


def _provisional(before: Watch, seen: Observation, step: Step) -> float | None:
    """How long a provisional status lasted; infinity if it settled with nothing changed, None if it continues or a time is missing."""
    if step.watch.status == before.status and step.watch.result_digest == before.result_digest:
        return math.inf if step.watch.end_reason == "settled" else None
    if before.status_since is None or before.updated_at is None or seen.updated_at is None or seen.updated_at <= before.updated_at:
        return None
    return seen.updated_at - before.status_since
