"""What a failed poll means for a watch. A failure of polling is not a failure of the task.

Only three errors concern the task itself: it is not found, access to it is denied, or the request is invalid. A task that
is busy whenever it is polled ends at its deadline only.
"""

from __future__ import annotations

from dataclasses import replace

from watcher.core.polling.transitions import WatchSettings, end
from watcher.errors import Busy, CredentialsRejected, Denied, Invalid, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.kinds.kind import Kind
from watcher.model import Observation, Step, Watch

MAX_BACKOFF_S = 60.0
"""The longest wait after the service was unavailable, in seconds."""
BUSY_S, BUSY_MAX_S = (0.5, 2.0), (30.0, 60.0)
"""The first and the longest wait while another client makes a call about the same task, in seconds. Each conflict doubles the wait."""
BUSY_TRIES, BUSY_LASTS_S = 6, 60.0
"""A watch past its deadline ends when it was busy this often in a row; or for this long in seconds, if its task failed otherwise too."""
DENIED_TRIES = 3
"""The denial that ends the watch."""
DENIED_S = (20.0, 30.0)
"""The wait after a denial, in seconds."""
UNREADABLE_TRIES = 5
"""From this unreadable reply on, the task is polled rarely."""
PARKED_S = (600.0, 660.0)
"""The wait then, in seconds: one call every ten minutes until the deadline."""
SUSPECT_S = (0.0, 1.0)
"""The wait while a circuit is open, in seconds: the circuit itself decides when the next call goes."""


def on_poll_error(
    kind: Kind,
    watch: Watch,
    error: RemoteError,
    now: float,
    settings: WatchSettings,
    *,
    mono: float,
    suspect: bool = False,
    repeated: bool = False,
) -> Step:
    """The watch after a poll that failed with `error`, and how long to wait before the next poll.

    `Step.wait_s` is a range in seconds, from which the wait is drawn evenly. A range that starts at 0 is full jitter (Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    `now` is wall-clock seconds and dates facts. `mono` is monotonic seconds and measures durations, so that a step of the
    clock ends no grace period. `suspect` means that a circuit is open: a denial, a miss, or an unreadable reply then concerns
    our setup or the network path, not the task. `repeated` means that the poll before failed for the same reason. The reason
    is that of the error, or `expired` or `deadline` where the watch ends.
    """
    polled = watch._replace(polls=watch.polls + 1)
    match error:
        case Busy():
            return _busy(polled, now, mono, repeated=repeated)
        case Unavailable():
            step = _unavailable(polled, mono)
            return replace(step, wait_s=SUSPECT_S) if suspect else step
        case NotFound() if suspect:
            return end(polled, "deadline", now) if now >= polled.deadline_at else _missed(polled, mono, settings)
        case NotFound():
            return _not_found(kind, polled, now, mono, settings)
        case Denied():
            return _denied(polled, now, mono, suspect=suspect)
        case Invalid():
            return end(polled, "invalid", now)
        case Unreadable():
            return Step(polled, "unreadable", wait_s=SUSPECT_S) if suspect else _unreadable(polled, error, now, mono)
    return Step(polled, error.reason)


def polled_alone(outcome: Observation | RemoteError, before: bool) -> bool:
    """Whether the next call about a task after this outcome is about no other task. `before`: whether the last one had to be.

    It is as long as the task may be the one that makes a call about several tasks fail. An error that says nothing about the
    task changes nothing.
    """
    match outcome:
        case RemoteError(alone=True):
            return True
        case Throttled() | Unavailable() | CredentialsRejected() | Busy() | Unreadable(foreign=True):
            return before
    return False


def wait_range(reason: str, settings: WatchSettings, *, failures: int | None = None) -> tuple[float, float] | None:
    """The shortest and the longest wait after a poll that failed with this reason, in seconds, while no circuit is open.

    `failures` is the largest number of failures in a row that is possible; None: it is not known. None is returned for a
    reason that makes the task due again at once.
    """
    most = 10 if failures is None else max(1, failures)
    match reason:
        case Busy.reason:
            return BUSY_S[0], BUSY_MAX_S[1]
        case Unavailable.reason:
            return 0.0, MAX_BACKOFF_S
        case NotFound.reason:
            return _missed_s(settings)
        case Denied.reason:
            return DENIED_S
        case Unreadable.reason:
            return 0.0, PARKED_S[1] if most >= UNREADABLE_TRIES else _backoff(most - 1)[1]
    return None


def overdue_since(kind: Kind, watch: Watch, now: float, settings: WatchSettings, *, mono: float) -> float | None:
    """Since when the task of a watch has not been found, in monotonic seconds, if one more miss ends the watch; else None."""
    since = mono if watch.failing_since is None else watch.failing_since
    return since if mono - since >= settings.not_found_grace or _expired(kind, watch, now) else None


def _failed(watch: Watch, mono: float) -> Watch:
    """Count one more failure of the task itself. Outages before its first failure do not count."""
    if watch.failing_since is None:
        return watch._replace(failures=1, failing_since=mono)
    return watch._replace(failures=watch.failures + 1)


def _busy(watch: Watch, now: float, mono: float, *, repeated: bool) -> Step:
    """Back off from conflicts. They count neither as failures of the task nor towards the end of a grace period.

    After its deadline the watch ends once conflicts are all that it gets: any other answer would have ended it too.
    """
    if watch.failing_since is None:
        watch = watch._replace(failures=watch.failures + 1 if repeated else 1)
        lasting, doublings = watch.failures >= BUSY_TRIES, watch.failures - 1
    else:
        lasting, doublings = mono - watch.failing_since >= BUSY_LASTS_S, 5
    if lasting and now >= watch.deadline_at:
        return end(watch, "busy", now)
    factor = 2.0 ** min(doublings, 10)
    low, high = (min(first * factor, last) for first, last in zip(BUSY_S, BUSY_MAX_S, strict=True))
    return Step(watch, "busy", wait_s=(low, high))


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
    if overdue_since(kind, watch, now, settings, mono=mono) is not None:
        return end(watch, "expired" if _expired(kind, watch, now) else "not_found", now)
    return _missed(watch, mono, settings)


def _missed(watch: Watch, mono: float, settings: WatchSettings) -> Step:
    missed = watch if watch.failing_since is not None else watch._replace(failures=0, failing_since=mono)
    return Step(missed, "not_found", wait_s=_missed_s(settings))


def _missed_s(settings: WatchSettings) -> tuple[float, float]:
    return 2.0, max(2.0, min(10.0, settings.not_found_grace / 4))


def _denied(watch: Watch, now: float, mono: float, *, suspect: bool) -> Step:
    failed = watch if suspect else _failed(watch, mono)
    if not suspect and failed.failures >= DENIED_TRIES:
        return end(failed, "denied", now)
    return Step(failed, "denied", wait_s=DENIED_S)


def _expired(kind: Kind, watch: Watch, now: float) -> bool:
    """Whether the service no longer keeps a task of this age."""
    began = watch.admitted_at if watch.created_at is None else watch.created_at
    return now - began > kind.retention_s


def _unreadable(watch: Watch, error: Unreadable, now: float, mono: float) -> Step:
    """Poll the task rarely after some tries. An answer of something other than the service ends no watch before that."""
    failed = _failed(watch, mono)
    parked = failed.failures >= UNREADABLE_TRIES
    if now >= watch.deadline_at and (parked or not error.foreign):
        return end(watch, "deadline", now)
    return Step(failed, "unreadable", wait_s=PARKED_S if parked else _backoff(failed.failures - 1))
