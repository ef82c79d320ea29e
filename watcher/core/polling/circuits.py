"""Circuit breakers: stop polling when our credentials or a service fail, never because of one task.

Each circuit belongs to what it protects. `credentials` belongs to a target, because all calls to a target use the same
credentials. `outage`, `unreadable`, and `not_found` belong to a target and a service: the answers of another service
say nothing about this one. An open circuit lets one call through at a time, at growing intervals (a probe), and the first
answer that shows that the problem is gone closes it. `not_found` holds only the calls about tasks that were not found
last: a new task is polled as usual, and shows whether anything is found here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from watcher.core.polling.circuit import Circuit, CircuitChange
from watcher.errors import BatchFailed, Busy, CredentialsRejected, Denied, NotFound, RemoteError, Throttled, Unavailable, Unreadable

OUTAGE_S = 60.0
"""For how long a service must answer nothing but `Unavailable` before `outage` opens, in seconds."""
OUTAGE_CALLS = 5
"""The least number of such calls."""
DISTINCT = 3
"""The number of groups that must be denied, or of tasks that must be unreadable, for the cause to be the credentials or the service."""
DENIED_S = 30.0
"""For how long all answers must be denials of three tasks or more before `credentials` opens, in seconds.
Less than the tries of one task take (`poll_errors.DENIED_TRIES`), so that no watch ends because of bad credentials."""
FOREIGN_CALLS = 3
"""The number of answers in a row that are not the service's own, whatever their tasks, for the cause to be the path to the service."""
NOTHING_FOUND_S = 60.0
"""For how long at least no task must be found before `not_found` opens, in seconds."""
TURN_S = 0.5
"""The caller that made the last probe about missing tasks waits for this much longer than others, in seconds, so that each has its turn."""
BETWEEN_PROBES_S = 0.25
"""While a probe is in flight, the caller asks again after this time, in seconds."""

NAMES = ("credentials", "outage", "unreadable", "not_found")


class _Credentials:
    """What all calls to one target say about its credentials."""

    def __init__(self, target: str) -> None:
        self.circuit = Circuit("credentials", target)
        self.callers: list[Callable[[], bool]] = []
        """Of each caller, whether it has tasks."""
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


class _Missing:
    """What the calls to one service of one target say about whether its tasks are there at all."""

    def __init__(self, target: str, service: str) -> None:
        self.circuit = Circuit("not_found", target, service)
        self.found_at = -math.inf
        """When a task was last found; minus infinity: never."""
        self.prober: object = None
        """The caller that made the last probe."""
        self._tasks: set[str] = set()
        """Some of the tasks that were not found since then."""

    def found(self, now: float) -> list[CircuitChange]:
        self.found_at = now
        self._tasks.clear()
        return self.circuit.close()

    def missed(self, tasks: Sequence[tuple[str, str]]) -> None:
        if len(self._tasks) < DISTINCT:
            self._tasks.update(key for key, _ in tasks)

    def overdue(self, since: float, code: str, now: float) -> list[CircuitChange]:
        """A task that has not been found since then would end now: open if several are missing and none was found meanwhile."""
        if len(self._tasks) >= DISTINCT and self.found_at < min(since, now - NOTHING_FOUND_S):
            return self.circuit.open(code, now)
        return []


class CallCircuits:
    """The circuits that hold the calls to one service of one target. Times are monotonic seconds."""

    def __init__(self, target: str, service: str, credentials: _Credentials) -> None:
        self._credentials = credentials
        self._outage = Circuit("outage", target, service)
        self._unreadable = Circuit("unreadable", target, service)
        self._missing = _Missing(target, service)
        self._circuits = (credentials.circuit, self._outage, self._unreadable)
        """Those that hold all calls."""
        self._down_since: float | None = None
        """Since when the service has answered nothing but `Unavailable`."""
        self._down_calls = 0
        self._unreadable_tasks: set[str] = set()
        """Tasks with an unreadable reply since the last good answer."""
        self._foreign_calls = 0
        """Answers since then that were not the service's own."""
        self._callers: list[Callable[[], bool]] = []
        """Of each caller, whether it has tasks."""

    def add_caller(self, has_tasks: Callable[[], bool]) -> None:
        """Add what makes such calls. `has_tasks` says whether it has a task to call about."""
        self._callers.append(has_tasks)
        self._credentials.callers.append(has_tasks)

    @property
    def open(self) -> tuple[str, ...]:
        """The names of the open circuits that hold these calls, or some of them."""
        return tuple(circuit.name for circuit in (*self._circuits, self._missing.circuit) if circuit.is_open)

    @property
    def holding(self) -> bool:
        """Whether a circuit is open that holds all calls."""
        return self._credentials.circuit.is_open or self._outage.is_open or self._unreadable.is_open

    @property
    def nothing_found(self) -> bool:
        """Whether no task was found since the start."""
        return self._missing.found_at == -math.inf

    def wait(self, now: float, in_flight: int) -> float:
        """Seconds until a call may go. While a circuit is open: one call at a time for each caller, once the next probe is due."""
        if not self.holding:
            return 0.0  # the usual case, on the path of every call
        wait = max(0.0, max(circuit.probe_at for circuit in self._circuits if circuit.is_open) - now)
        return max(wait, BETWEEN_PROBES_S) if in_flight else wait

    def wait_for_missing(self, now: float, caller: object = None) -> float:
        """Seconds until a call about a task that was not found last may go. Of several callers, each has its turn."""
        circuit = self._missing.circuit
        if not circuit.is_open:
            return 0.0
        turn = TURN_S if caller is not None and caller is self._missing.prober else 0.0
        return max(0.0, circuit.probe_at + turn - now)

    def probe_missing(self, now: float, caller: object = None) -> None:
        """Record that a call about a task that was not found last goes now."""
        self._missing.prober = caller
        self._missing.circuit.probed(now)

    def idle(self) -> list[CircuitChange]:
        """Close `not_found`: its caller has no task left. The next miss that would end a watch opens it again if nothing is found.

        Close each other circuit too where no caller has a task left whose call could close it. The next calls open it again.
        """
        changes = self._missing.circuit.close()
        if not any(has_tasks() for has_tasks in self._callers):
            changes += self._outage.close() + self._unreadable.close()
        if not any(has_tasks() for has_tasks in self._credentials.callers):
            changes += self._credentials.circuit.close()
        return changes

    def overdue(self, since: float, code: str, now: float) -> list[CircuitChange]:
        """Learn that the watch of a task that was not found since then would end now. Returns the circuit that this opened.

        While no task is found here, the Region, the account, or the endpoint is wrong, and no watch may end for it.
        """
        return self._missing.overdue(since, code, now)

    def note(self, error: RemoteError | None, tasks: Sequence[tuple[str, str]], now: float) -> list[CircuitChange]:
        """Learn from the result of one call. Returns the circuits that it opened or closed.

        `tasks` are the tasks that the call was about: the key of each and its group (`Kind.group`), on which its
        permission depends. One call is one piece of evidence, however many tasks it is about.
        """
        if isinstance(error, Unreadable) and error.unsent:
            return []  # a mistake in one kind, which says nothing about the calls of the others
        changes = self._judge(error, tasks, now)
        free = isinstance(error, CredentialsRejected) and error.unsent
        for circuit in self._circuits:
            circuit.probed(now, free=free)
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
            case BatchFailed(cause=Denied() | Unreadable(), oversized=False):
                return self._judge(error.cause, tasks, now)
            case CredentialsRejected():
                return self._credentials.reject(error.code, now)
            case Denied():
                return self._outage.close() + self._readable() + self._credentials.deny(tasks, error.code, now)
            case Unreadable():
                return self._unreadable_answer(error, tasks[0][0], now)
            case Throttled() | BatchFailed(oversized=True):
                return self._outage.close()  # an answer, and a smaller call will show whether it can be read
            case NotFound():
                self._missing.missed(tasks)
            case None | Busy():
                return self._missing.found(now) + self._answered()
        return self._answered()

    def _answered(self) -> list[CircuitChange]:
        """The service answered as it should, so that credentials, network, and path are good."""
        return self._credentials.allow() + self._outage.close() + self._readable()

    def _readable(self) -> list[CircuitChange]:
        self._unreadable_tasks.clear()
        self._foreign_calls = 0
        return self._unreadable.close()

    def _unreadable_answer(self, error: Unreadable, task: str, now: float) -> list[CircuitChange]:
        """Open for several tasks, because one task may be damaged; and for a series of answers of something else."""
        self._unreadable_tasks.add(task)
        self._foreign_calls = self._foreign_calls + 1 if error.foreign else 0
        if len(self._unreadable_tasks) >= DISTINCT or self._foreign_calls >= FOREIGN_CALLS:
            return self._unreadable.open(error.code, now)
        return []

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
