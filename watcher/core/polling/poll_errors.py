"""What a failed poll means for a watch. A failure of polling is not a failure of the task.

Only three errors concern the task itself: it is not found, access to it is denied, or the request is invalid.
"""

from __future__ import annotations

from watcher.core.polling.transitions import WatchSettings, end
from watcher.errors import Busy, Denied, Invalid, NotFound, RemoteError, Unavailable, Unreadable
from watcher.kinds.kind import Kind
from watcher.model import Step, Watch

MAX_BACKOFF_S = 60.0
"""The longest wait after the service was unavailable, in seconds."""
BUSY_S = (0.5, 2.0)
"""The wait while another client makes a call about the same task, in seconds."""
DENIED_TRIES = 3
"""The denial that ends the watch."""
DENIED_S = (20.0, 30.0)
"""The wait after a denial, in seconds."""
UNREADABLE_TRIES = 5
"""From this unreadable reply on, the task is polled rarely."""
PARKED_S = (600.0, 660.0)
"""The wait then, in seconds: one call every ten minutes until the deadline."""


def on_poll_error(
    kind: Kind, watch: Watch, error: RemoteError, now: float, settings: WatchSettings, *, mono: float, suspect: bool = False
) -> Step:
    """The watch after a poll that failed with `error`, and how long to wait before the next poll.

    `Step.wait_s` is a range in seconds, from which the wait is drawn evenly. A range that starts at 0 is full jitter (Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    `now` is wall-clock seconds and dates facts. `mono` is monotonic seconds and measures durations, so that a step of the
    clock ends no grace period. `suspect` means that a circuit is open: a denial or an unreadable reply then concerns our
    credentials or the network path, not the task. The reason is that of the error, or `expired` or `deadline` where the
    watch ends.
    """
    polled = watch._replace(polls=watch.polls + 1)
    match error:
        case Busy():
            return Step(polled, "busy", wait_s=BUSY_S)
        case Unavailable():
            return _unavailable(polled, mono)
        case NotFound():
            return _not_found(kind, polled, now, mono, settings)
        case Denied() if suspect:
            return Step(polled, "denied", wait_s=DENIED_S)
        case Denied():
            failed = _failed(polled, mono)
            return end(failed, "denied", now) if failed.failures >= DENIED_TRIES else Step(failed, "denied", wait_s=DENIED_S)
        case Invalid():
            return end(polled, "invalid", now)
        case Unreadable():
            return end(polled, "deadline", now) if now >= polled.deadline_at and not suspect else _unreadable(polled, mono)
    return Step(polled, error.reason)


def _failed(watch: Watch, mono: float) -> Watch:
    """Count one more failure of the task itself. Outages before its first failure do not count."""
    if watch.failing_since is None:
        return watch._replace(failures=1, failing_since=mono)
    return watch._replace(failures=watch.failures + 1)


def _unavailable(watch: Watch, mono: float) -> Step:
    """Back off from an outage.

    While the task itself is failing, `failures` counts its own tries, so the backoff follows the time since the first of them.
    """
    if watch.failing_since is None:
        return Step(watch._replace(failures=watch.failures + 1), "unavailable", wait_s=_backoff(watch.failures))
    return Step(watch, "unavailable", wait_s=(0.0, min(MAX_BACKOFF_S, max(2.0, mono - watch.failing_since))))


def _backoff(failures: int) -> tuple[float, float]:
    return 0.0, min(MAX_BACKOFF_S, 2.0 ** min(failures, 10))


def _not_found(kind: Kind, watch: Watch, now: float, mono: float, settings: WatchSettings) -> Step:
    """End the watch after its grace period, because a read may miss a task that was just created; or after the retention of
    the service, at once."""
    began = watch.admitted_at if watch.created_at is None else watch.created_at
    if now - began > kind.retention_s:
        return end(watch, "expired", now)
    since = mono if watch.failing_since is None else watch.failing_since
    if mono - since >= settings.not_found_grace:
        return end(watch, "not_found", now)
    missed = watch if watch.failing_since is not None else watch._replace(failures=0, failing_since=mono)
    return Step(missed, "not_found", wait_s=(2.0, max(2.0, min(10.0, settings.not_found_grace / 4))))


def _unreadable(watch: Watch, mono: float) -> Step:
    failed = _failed(watch, mono)
    return Step(failed, "unreadable", wait_s=_backoff(failed.failures - 1) if failed.failures < UNREADABLE_TRIES else PARKED_S)
