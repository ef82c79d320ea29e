"""What a message says about the state of its task: the reply of the call that started it is an observation, without a call.

It is used only if it says that the task has not ended, and if its times are plausible. Any other status is no observation,
and a new task is then polled at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from watcher.kinds.kind import Kind, Phase
from watcher.kinds.paths import Expression
from watcher.model import Observation

MAX_AHEAD_S = 60.0
"""Seconds by which a timestamp may be ahead of our clock. The clocks of senders and of the service differ from ours."""
MS, MIN_MS = 0.001, 100_000_000_000
"""A millisecond, and the first number that is a time in milliseconds, of 1973: some APIs in lower camel case have such times."""
MAX_AGE_S = 600.0
"""Seconds. What is older saves no call, because the task is due at once, and it may be the replay of an old message."""


def observation_of(kind: Kind, task: Mapping[str, Any], now: float) -> Observation | None:
    """Return what a task object says, as the API spells it; None if it cannot be used. `now` is seconds since the epoch. Never raises.

    The observation is dated `now`, when the watcher learned of it. Its timestamps say how old it is.
    """
    paths = kind.reply
    numbers = 1.0 if paths.status.text[:1].isupper() else MS
    try:
        status = paths.status.find(task)
        times = [_seconds(path, task, numbers) for path in (paths.created, paths.started, paths.updated)]
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(status, str) or status not in kind.statuses or kind.phase(status) is not Phase.OPEN:
        return None
    known = [at for at in times if at is not None]
    if not known or known != sorted(known) or known[-1] > now + MAX_AHEAD_S or known[-1] < now - MAX_AGE_S:
        return None
    created, started, updated = times
    return Observation(status, now, created_at=created, started_at=started, updated_at=updated)


def has_status(kind: Kind, task: Mapping[str, Any]) -> bool:
    """Whether a task object names any status. Never raises."""
    try:
        return kind.reply.status.find(task) is not None
    except ValueError:
        return True


def _seconds(path: Expression | None, task: Mapping[str, Any], large_unit: float) -> float | None:
    """A timestamp as RFC 3339 or as seconds since the epoch. Raises ValueError or OverflowError for anything else.

    `large_unit` is the unit, in seconds, of a number that is too large for a time in seconds.
    """
    value = None if path is None else path.find(task)
    if value is None:
        return None
    if isinstance(value, str):
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError("a time without a time zone")
        return at.astimezone(UTC).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("not a time")
    return float(value) * (large_unit if value >= MIN_MS else 1.0)
