"""What a failed poll means for a watch. Trouble in asking is never trouble of the task.

Only three answers are about the task itself: it is not found, it is denied, the request is invalid.
"""

from __future__ import annotations

from watcher.core.polling.transitions import WatchSettings, end
from watcher.errors import Busy, Denied, Invalid, NotFound, RemoteError, Unavailable, Unreadable
from watcher.kinds import Kind
from watcher.model import Step, Watch

MAX_BACKOFF_S = 60.0
DENIED_TRIES = 3
UNREADABLE_TRIES = 5
PARKED_S = (600.0, 660.0)
"""A task whose replies make no sense costs a call each ten minutes, until its deadline."""


def on_poll_error(
    kind: Kind, watch: Watch, error: RemoteError, now: float, settings: WatchSettings, *, mono: float, suspect: bool = False
) -> Step:
    """The watch after a poll that gave `error`, and how long to leave it alone.

    `wait_s` is a range to draw from evenly: full jitter where it begins at 0 (Brooker, AWS Architecture Blog, 2015).
    `now` is wall seconds, for facts; `mono` monotonic seconds, for how long something lasts: a step of the clock ends no grace.
    `suspect` says that a circuit is open: then a denial or a reply without sense speaks of us or of the way, not of the task.
    Reasons are those of the errors, or `expired` and `deadline` where the watch ends.
    """
    asked = watch._replace(polls=watch.polls + 1)
    match error:
        case Busy():
            return Step(asked, "busy", wait_s=(0.5, 2.0))
        case Unavailable():
            return _unavailable(asked, mono)
        case NotFound():
            return _not_found(kind, asked, now, mono, settings)
        case Denied() if suspect:
            return Step(asked, "denied", wait_s=(20.0, 30.0))
        case Denied():
            failed = _failed(asked, mono)
            return end(failed, "denied", now) if failed.failures >= DENIED_TRIES else Step(failed, "denied", wait_s=(20.0, 30.0))
        case Invalid():
            return end(asked, "invalid", now)
        case Unreadable():
            return end(asked, "deadline", now) if now >= asked.deadline_at and not suspect else _unreadable(asked, mono)
    return Step(asked, error.reason)


def _failed(watch: Watch, mono: float) -> Watch:
    """One more answer that speaks against the task. Outages before the first of them count for nothing."""
    if watch.failing_since is None:
        return watch._replace(failures=1, failing_since=mono)
    return watch._replace(failures=watch.failures + 1)


def _unavailable(watch: Watch, mono: float) -> Step:
    """Counted for the backoff, and never towards the tries of a task in trouble of its own: for that one its age stands in."""
    if watch.failing_since is None:
        return Step(watch._replace(failures=watch.failures + 1), "unavailable", wait_s=_backoff(watch.failures))
    return Step(watch, "unavailable", wait_s=(0.0, min(MAX_BACKOFF_S, max(2.0, mono - watch.failing_since))))


def _backoff(failures: int) -> tuple[float, float]:
    return 0.0, min(MAX_BACKOFF_S, 2.0 ** min(failures, 10))


def _not_found(kind: Kind, watch: Watch, now: float, mono: float, settings: WatchSettings) -> Step:
    """Read after create may miss it for a while; the service itself forgets it after its retention."""
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
