"""When to stop asking: a circuit opens on trouble that is ours or the service's, never on trouble of one task.

Open, it lets one call through at a time, at growing intervals; the first answer that shows the trouble gone closes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from watcher.errors import CredentialsRejected, Denied, RemoteError, Throttled, Unavailable, Unreadable

OUTAGE_S = 60.0
OUTAGE_CALLS = 5
DISTINCT = 3
DENIED_S = 30.0
"""For how long nothing but denials may come, about three tasks or more: less than one task's tries take, so that none ends of it."""
PROBE_FIRST_S, PROBE_MAX_S = 5.0, 60.0

NAMES = ("credentials", "outage", "unreadable")


@dataclass(slots=True)
class Trip:
    """An open circuit: since when (monotonic seconds), by which code, and when the next probe may go."""

    since: float
    code: str
    probe_at: float
    known: bool = False
    """We are known, and not allowed: another denial tells nothing new. Otherwise it shows that our credentials are taken again."""
    pause: float = PROBE_FIRST_S


class Circuits:
    """The circuits of one target: `credentials`, `outage`, `unreadable`."""

    def __init__(self) -> None:
        self.open: dict[str, Trip] = {}
        self.refreshed_at = -math.inf
        """When the last forced refresh of expired credentials was done: what began before it was asked with the old ones."""
        self._refreshed = False
        """It has been tried since the last answer that did not reject them."""
        self._down_since: float | None = None
        self._down_calls = 0
        self._denied: dict[str, set[str]] = {}
        """Denied tasks by what their permission hangs on, since the last answer that was none."""
        self._denied_since = 0.0
        self._unreadable: set[str] = set()

    def may_refresh(self, began: float) -> bool:
        """Whether a call that began then and was refused for expired credentials is reason to fetch others: once for each expiry."""
        if self._refreshed or began < self.refreshed_at:
            return False
        self._refreshed = True
        return True

    def accepted(self, began: float) -> None:
        """A call that began then was answered without a word against its credentials."""
        if began >= self.refreshed_at:
            self._refreshed = False

    def wait(self, now: float, in_flight: int) -> float:
        """Seconds until a call may go. With a circuit open: one at a time for each who asks here, when its probe is due."""
        if not self.open:
            return 0.0
        pause = max(0.0, max(trip.probe_at for trip in self.open.values()) - now)
        return max(pause, 0.25) if in_flight else pause

    def note(self, error: RemoteError | None, key: str, group: str, now: float) -> list[tuple[str, bool]]:
        """Learn from one call about task `key`. `group` is what a permission hangs on (the voice connector).

        Returns (circuit, opened) for each that changed.
        """
        changes = self._judge(error, key, group, now)
        for trip in self.open.values():
            if now >= trip.probe_at:  # a probe that did not close it, whatever its own trouble
                trip.pause = min(PROBE_MAX_S, trip.pause * 2)
                trip.probe_at = now + trip.pause
        return changes

    def _judge(self, error: RemoteError | None, key: str, group: str, now: float) -> list[tuple[str, bool]]:
        match error:
            case CredentialsRejected():
                self._answered()
                return self._trip("credentials", error.code, now)
            case Denied():
                self._answered()
                everywhere = self._denied_everywhere(key, group, now)
                taken_again = "credentials" in self.open and not self.open["credentials"].known
                changes = self._close("outage", *(["credentials"] if taken_again else []))
                return changes + (self._trip("credentials", error.code, now, known=True) if everywhere else [])
            case Unavailable():
                return self._unavailable(error, now)
            case Unreadable():
                self._answered()
                self._unreadable.add(key)
                return self._trip("unreadable", error.code, now) if len(self._unreadable) >= DISTINCT else []
            case Throttled():
                self._answered()
                return self._close("outage")
        self._answered()
        self._denied.clear()
        self._unreadable.clear()
        return self._close("credentials", "outage", "unreadable")

    def _answered(self) -> None:
        self._down_since, self._down_calls = None, 0

    def _denied_everywhere(self, key: str, group: str, now: float) -> bool:
        """Three connectors, or on one the whole of what was asked lately, and more than a task or two."""
        if not self._denied:
            self._denied_since = now
        self._denied.setdefault(group, set()).add(key)
        tasks = sum(len(keys) for keys in self._denied.values())
        return len(self._denied) >= DISTINCT or (tasks >= DISTINCT and now - self._denied_since >= DENIED_S)

    def _unavailable(self, error: RemoteError, now: float) -> list[tuple[str, bool]]:
        self._down_calls += 1
        self._down_since = now if self._down_since is None else self._down_since
        long = now - self._down_since >= OUTAGE_S and self._down_calls >= OUTAGE_CALLS
        return self._trip("outage", error.code, now) if long else []

    def _trip(self, name: str, code: str, now: float, *, known: bool = False) -> list[tuple[str, bool]]:
        if name in self.open:
            return []
        self.open[name] = Trip(now, code, now + PROBE_FIRST_S, known)
        return [(name, True)]

    def _close(self, *names: str) -> list[tuple[str, bool]]:
        return [(name, False) for name in names if self.open.pop(name, None) is not None]
