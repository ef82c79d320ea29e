"""Accounts for each call once: to the pace, the circuits, the batch sizes, the metrics, and the health of the quota."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from watcher.core.hints import hint, in_words
from watcher.core.polling.batch_sizes import LimitChange
from watcher.core.polling.call_failures import CallFailures
from watcher.core.polling.circuit import CircuitChange
from watcher.core.polling.pace import Permit
from watcher.core.polling.target_quota import TargetQuota
from watcher.errors import BatchFailed, CredentialsRejected, RemoteError, Throttled, Unavailable, Unreadable
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET, TaskRef
from watcher.runtime.instruments import Instruments
from watcher.runtime.poll_policy import PollPolicy

log = structlog.get_logger("watcher.polling")


class CallAccounting:
    """Accounts for the calls under one quota. Times are monotonic seconds."""

    def __init__(self, of: TargetQuota, policy: PollPolicy, instruments: Instruments) -> None:
        self._quota, self._target = of
        self._pace = policy.pace
        self._circuits = policy.circuits
        self._batch_sizes = policy.batch_sizes
        self._clock = instruments.clock
        self._health = instruments.health
        self._metrics = instruments.metrics
        self._component = of.component
        self._warned = False
        """Whether the log says that no task was found since the start."""
        self._failures = CallFailures()

    def record(self, kind: Kind, refs: Sequence[TaskRef], error: RemoteError | None, permit: Permit, began: float) -> None:
        """One call about these tasks has ended; `error` is set when the call as a whole failed."""
        now = self._clock.mono()
        self._metrics.poll_seconds.labels(self._target, kind.name).observe(now - began)
        if isinstance(error, Throttled):
            self._pace.throttled(permit, now)
            self._metrics.pace_throttles.labels(self._target, self._quota.name).inc()
            self._report_refusals(now)
        elif _is_of_the_service(error):
            self._pace.success(permit, now)
            if not self._health.is_good(self._component):
                self._health.good(self._component)
            if not isinstance(error, CredentialsRejected):
                self._circuits.accepted(began)
        for change in self._circuits.note(error, [(ref.key, kind.group(ref)) for ref in refs], now):
            self._report_circuit(change, error, kind)
        self._report_failure(kind, error, now)
        if (limit := self._batch_sizes.learn(kind, len(refs), error)) is not None:
            self._report_limit(kind, len(refs), limit, error)

    def overdue(self, since: float, error: RemoteError) -> None:
        """The watch of a task that has not been found since then (monotonic seconds) ends now, unless no task is found at all."""
        for change in self._circuits.overdue(since, error.code, self._clock.mono()):
            self._report_circuit(change, error)
        if self._circuits.nothing_found and not self._circuits.open and not self._warned:
            self._warned = True
            advice = f"no task was found since the start: {hint(error)}"
            log.warning("nothing_found", target=self._target, quota=self._quota.name, hint=advice)

    def idle(self) -> None:
        """No task is left under this quota: neither it nor a circuit that only its calls could close keeps the watcher unready."""
        if not self._health.is_good(self._component):
            self._health.good(self._component, "no task to poll")
        for change in self._circuits.idle():
            self._report_circuit(change, None)

    def _report_circuit(self, change: CircuitChange, error: RemoteError | None, kind: Kind | None = None) -> None:
        self._metrics.show_circuit(change.name, change.target, change.service, change.opened)
        if not change.opened:
            self._health.good(change.component, "closed")
            return
        advice = "" if error is None else f"{hint(error, kind=_own_name(kind))}. "
        self._health.bad(
            change.component, f"open: {in_words(change.code)}", f"{advice}Watches are kept, and polling resumes without a restart"
        )

    def _report_limit(self, kind: Kind, tasks: int, change: LimitChange, error: RemoteError | None) -> None:
        """Show the limit. Its trials are not logged: there may be many of them."""
        self._metrics.batch_limit.labels(self._target, kind.name).set(change.limit)
        if change.reason == "lowered" and error is not None:
            facts = {"target": self._target, "kind": kind.name, "tasks": tasks, "limit": change.limit, "reason": str(error)}
            log.info("batch_limit_lowered", **facts)
        elif change.reason == "restored":
            log.info("batch_limit_restored", target=self._target, kind=kind.name, limit=change.limit)

    def _report_failure(self, kind: Kind, error: RemoteError | None, now: float) -> None:
        """Log calls that fail until a circuit reports it, which takes up to a minute. Rejected credentials open theirs at once."""
        error = error.cause if isinstance(error, BatchFailed) and not error.oversized else error
        if not isinstance(error, Unavailable | Unreadable):
            self._failures.answered()
        elif not self._circuits.holding and self._failures.failed(now):
            facts = {
                "target": self._target,
                "service": kind.service,
                "quota": self._quota.name,
                "code": error.code,
                "failures": self._failures.in_a_row,
            }
            log.warning("calls_failed", **facts, hint=hint(error, kind=_own_name(kind)))

    def _report_refusals(self, now: float) -> None:
        where = "this account and Region" if self._target == DEFAULT_TARGET else f"the account and the Region of the target {self._target}"
        advice = f'raise the quota "{self._quota.title}" for {where}'
        if self._pace.refused_from_the_start:
            self._health.bad(self._component, "every call since the start was throttled: the quota may be 0", advice)
        elif self._pace.refused_for_long(now):
            reason = "every call for a minute or longer was throttled: other clients may use the whole quota, or it was reduced"
            self._health.bad(self._component, reason, f"find the other clients that make such calls, or {advice}")


def _own_name(kind: Kind | None) -> str | None:
    """The name of a kind that the configuration declares: a mistake in it can be the cause of an error."""
    return kind.name if kind is not None and kind.own else None


def _is_of_the_service(error: RemoteError | None) -> bool:
    """Whether the service answered the call: something else may have, or nothing was sent."""
    match error:
        case Unavailable():
            return False
        case CredentialsRejected():
            return not error.unsent
        case Unreadable():
            return not error.foreign
    return True
