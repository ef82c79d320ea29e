"""Circuit breakers: stop polling on trouble with our credentials or with a service, never on trouble with one task.

Each circuit belongs to what it protects. `credentials` belongs to a target, because all calls to a target use the same
credentials. `outage` and `unreadable` belong to a target and a service: another service that answers says nothing about
this one. An open circuit lets one call through at a time, at growing intervals (a probe), and the first answer that
shows that the trouble is over closes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from watcher.errors import CredentialsRejected, Denied, RemoteError, Throttled, Unavailable, Unreadable
from watcher.model import DEFAULT_TARGET

OUTAGE_S = 60.0
"""For how long a service must answer nothing but `Unavailable` before `outage` opens, in seconds."""
OUTAGE_CALLS = 5
"""The least number of such calls."""
DISTINCT = 3
"""The number of groups that must be denied, or of tasks that must be unreadable, for the cause to be the credentials or the service."""
DENIED_S = 30.0
"""For how long all answers must be denials of three tasks or more before `credentials` opens, in seconds.
Less than the tries of one task take (`poll_errors.DENIED_TRIES`), so that no watch ends because of bad credentials."""
PROBE_FIRST_S, PROBE_MAX_S = 5.0, 60.0
"""The interval before the first probe, and the longest one; each is twice as long as the one before. In seconds."""
BETWEEN_PROBES_S = 0.25
"""While a probe is in flight, the caller asks again after this time, in seconds."""

NAMES = ("credentials", "outage", "unreadable")


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit that opened or closed. `code` is the error code that opened it."""

    name: str
    target: str
    service: str | None
    """None for `credentials`, which all services of the target share."""
    opened: bool
    code: str

    @property
    def component(self) -> str:
        """The name in health reports: `circuit:credentials`, `circuit:outage:SERVICE`; `:TARGET` follows unless it is the default one."""
        parts = ["circuit", self.name, self.service, None if self.target == DEFAULT_TARGET else self.target]
        return ":".join(part for part in parts if part is not None)


class _Circuit:
    """One circuit, closed or open. Times are monotonic seconds."""

    def __init__(self, name: str, target: str, service: str | None = None) -> None:
        self.name = name
        self.is_open = False
        self.probe_at = 0.0
        """Open: when the next probe may go."""
        self._target, self._service = target, service
        self._code = ""
        self._interval = PROBE_FIRST_S

    def open(self, code: str, now: float) -> list[CircuitChange]:
        if self.is_open:
            return []
        self.is_open, self._code, self._interval, self.probe_at = True, code, PROBE_FIRST_S, now + PROBE_FIRST_S
        return [CircuitChange(self.name, self._target, self._service, True, code)]

    def close(self) -> list[CircuitChange]:
        if not self.is_open:
            return []
        self.is_open = False
        return [CircuitChange(self.name, self._target, self._service, False, self._code)]

    def probed(self, now: float) -> None:
        """Put off the next probe: a call just ended that did not close this circuit."""
        if self.is_open and now >= self.probe_at:  # an earlier call was no probe, only in flight when the circuit opened
            self._interval = min(PROBE_MAX_S, self._interval * 2)
            self.probe_at = now + self._interval


class _Credentials:
    """What all calls to one target say about its credentials."""

    def __init__(self, target: str) -> None:
        self.circuit = _Circuit("credentials", target)
        self.refreshed_at = -math.inf
        """When the last forced refresh ended. A call that began earlier used the old credentials."""
        self.refresh_tried = False
        """A refresh was tried since the last answer that did not reject the credentials."""
        self._opened_by_denials = False
        self._denied: dict[frozenset[str], set[str]] = {}
        """Keys of denied tasks by the groups of their call, since the last other answer."""
        self._denied_since = 0.0

    def reject(self, code: str, now: float) -> list[CircuitChange]:
        changes = self.circuit.open(code, now)
        if changes:
            self._opened_by_denials = False
        return changes

    def deny(self, tasks: Sequence[tuple[str, str]], code: str, now: float) -> list[CircuitChange]:
        """A denial shows that the credentials are accepted. So it closes a circuit that rejected credentials opened."""
        changes = [] if self._opened_by_denials else self.circuit.close()
        if self._denied_everywhere(tasks, now) and (opened := self.circuit.open(code, now)):
            self._opened_by_denials = True
            changes += opened
        return changes

    def allow(self) -> list[CircuitChange]:
        self._denied.clear()
        return self.circuit.close()

    def _denied_everywhere(self, tasks: Sequence[tuple[str, str]], now: float) -> bool:
        """Three groups, or three tasks while nothing was allowed for a while. A call about several groups counts as one."""
        if not self._denied:
            self._denied_since = now
        self._denied.setdefault(frozenset(group for _, group in tasks), set()).update(key for key, _ in tasks)
        denied_tasks = sum(len(keys) for keys in self._denied.values())
        return len(self._denied) >= DISTINCT or (denied_tasks >= DISTINCT and now - self._denied_since >= DENIED_S)


class CallCircuits:
    """The circuits that hold the calls to one service of one target. Times are monotonic seconds."""

    def __init__(self, target: str, service: str, credentials: _Credentials) -> None:
        self._credentials = credentials
        self._outage = _Circuit("outage", target, service)
        self._unreadable = _Circuit("unreadable", target, service)
        self._circuits = (credentials.circuit, self._outage, self._unreadable)
        self._down_since: float | None = None
        """Since when the service has answered nothing but `Unavailable`."""
        self._down_calls = 0
        self._unreadable_tasks: set[str] = set()
        """Tasks with an unreadable reply since the last good answer."""

    @property
    def open(self) -> tuple[str, ...]:
        """The names of the open circuits that hold these calls."""
        return tuple(circuit.name for circuit in self._circuits if circuit.is_open)

    def wait(self, now: float, in_flight: int) -> float:
        """Seconds until a call may go. While a circuit is open: one call at a time for each caller, once the next probe is due."""
        if not (self._credentials.circuit.is_open or self._outage.is_open or self._unreadable.is_open):
            return 0.0  # the usual case, on the path of every call
        wait = max(0.0, max(circuit.probe_at for circuit in self._circuits if circuit.is_open) - now)
        return max(wait, BETWEEN_PROBES_S) if in_flight else wait

    def note(self, error: RemoteError | None, tasks: Sequence[tuple[str, str]], now: float) -> list[CircuitChange]:
        """Learn from the result of one call. Returns the circuits that it opened or closed.

        `tasks` are the tasks that the call was about: the key of each and its group (`Kind.group`), on which its
        permission depends. One call is one piece of evidence, however many tasks it is about.
        """
        changes = self._judge(error, tasks, now)
        for circuit in self._circuits:
            circuit.probed(now)
        return changes

    def may_refresh(self, began: float) -> bool:
        """Whether to refresh the credentials after a call that began then and found them expired: once for each expiry."""
        credentials = self._credentials
        if credentials.refresh_tried or began < credentials.refreshed_at:
            return False
        credentials.refresh_tried = True
        return True

    def refreshed(self, now: float) -> None:
        """Record that a refresh has ended, successful or not."""
        self._credentials.refreshed_at = now

    def accepted(self, began: float) -> None:
        """Record that a call that began then was answered, and its credentials were not rejected."""
        if began >= self._credentials.refreshed_at:
            self._credentials.refresh_tried = False

    def _judge(self, error: RemoteError | None, tasks: Sequence[tuple[str, str]], now: float) -> list[CircuitChange]:
        if isinstance(error, Unavailable):
            return self._unavailable(error, now)
        self._down_since, self._down_calls = None, 0
        match error:
            case CredentialsRejected():
                return self._credentials.reject(error.code, now)
            case Denied():
                return self._outage.close() + self._credentials.deny(tasks, error.code, now)
            case Unreadable():
                self._unreadable_tasks.add(tasks[0][0])
                return self._unreadable.open(error.code, now) if len(self._unreadable_tasks) >= DISTINCT else []
            case Throttled():
                return self._outage.close()
        self._unreadable_tasks.clear()
        return self._credentials.allow() + self._outage.close() + self._unreadable.close()

    def _unavailable(self, error: RemoteError, now: float) -> list[CircuitChange]:
        self._down_calls += 1
        self._down_since = now if self._down_since is None else self._down_since
        if now - self._down_since >= OUTAGE_S and self._down_calls >= OUTAGE_CALLS:
            return self._outage.open(error.code, now)
        return []


class Circuits:
    """All circuits of one process."""

    def __init__(self) -> None:
        self._credentials: dict[str, _Credentials] = {}
        self._calls: dict[tuple[str, str], CallCircuits] = {}

    def of(self, target: str, service: str) -> CallCircuits:
        """The circuits that hold the calls to this service of this target: the same object each time."""
        if target not in self._credentials:
            self._credentials[target] = _Credentials(target)
        if (target, service) not in self._calls:
            self._calls[target, service] = CallCircuits(target, service, self._credentials[target])
        return self._calls[target, service]
