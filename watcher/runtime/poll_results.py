"""What becomes of a watch after a poll: it is put back with the time of its next poll, or removed, and its outcome is learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from watcher.core.polling.call_progress import CallProgress
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.schedule import Schedule
from watcher.core.polling.submitted_status import rest_of_gap
from watcher.core.polling.transitions import decided_in
from watcher.errors import RemoteError
from watcher.kinds.kind import Kind
from watcher.model import EventType, Step
from watcher.runtime.instruments import Instruments
from watcher.runtime.outlet import Gone
from watcher.runtime.poll_policy import PollPolicy
from watcher.runtime.remote_calls import Outcome


class PollResults:
    """The results of one poller. `on_removed` is called when a watch has left the pending set."""

    def __init__(
        self, schedule: Schedule, progress: CallProgress, policy: PollPolicy, instruments: Instruments, on_removed: Callable[[], None]
    ) -> None:
        self.on_ended: Callable[[str], None] = lambda watch_id: None
        """Called with the id of a watch that has ended or was erased."""
        self._schedule = schedule
        self._pending = schedule.pending
        self._progress = progress
        self._policy = policy
        self._clock = instruments.clock
        self._metrics = instruments.metrics
        self._on_removed = on_removed

    def settle(self, kind: Kind, step: Step, *, gone: Gone | None) -> None:
        """Put the watch back into the pending set, or remove it: it has ended, or nothing of it was written."""
        watch = step.watch
        if gone or not watch.open:
            self._progress.drop(watch.id)
            self._pending.finish(watch)
            if gone != "lost":  # else it is still open in the store, and may be loaded at this moment under a new lease
                self.on_ended(watch.id)
            self._on_removed()
            if not gone:
                self._metrics.ended.labels(watch.ref.kind, watch.end_reason).inc()
                self._metrics.calls_per_task.labels(watch.ref.kind).observe(watch.polls)
            return
        self._progress.note(watch, step.reason)
        gap, reason = self._gap(kind, step)
        until_decided = decided_in(kind, watch, self._clock.wall(), self._policy.watch)
        if 0 < until_decided < gap:
            gap, reason = until_decided, "deadline"
        self._pending.put_back(watch, self._clock.mono(), gap, reason)

    def settle_submitted(self, kind: Kind, step: Step, *, gone: Gone | None) -> None:
        """As `settle`, for a status that came with a message: a part of the gap has passed already."""
        gap, reason = self._gap(kind, step)
        left = rest_of_gap(gap, self._clock.wall() - (step.watch.seen_at or 0.0))
        self.settle(kind, replace(step, reason=reason, wait_s=(left, left)), gone=gone)

    def learn(self, kind: Kind, entry: PendingEntry, outcome: Outcome, step: Step) -> None:
        """Update the metrics, and the cadence's model, with the outcome of one task."""
        if isinstance(outcome, RemoteError):
            self._metrics.polls.labels(entry.watch.ref.target, kind.name, outcome.reason).inc()
            return
        result = "changed" if step.changed else "stale" if step.reason == "stale" else "unchanged"
        self._metrics.polls.labels(entry.watch.ref.target, kind.name, result).inc()
        if entry.watch.status is None:
            self._schedule.learn_first_look(kind, entry.source, entry.watch, outcome)
        self._schedule.learn(kind, entry.watch, outcome, step, self._clock.mono())
        if any(each.type is EventType.TRANSITION for each in step.transitions) and outcome.updated_at is not None:
            self._metrics.detection_lag.labels(kind.name).observe(max(0.0, outcome.observed_at - outcome.updated_at))

    def _gap(self, kind: Kind, step: Step) -> tuple[float, str]:
        """Seconds until the next poll of this watch, and the reason."""
        if step.wait_s is not None:
            return self._policy.rng.uniform(*step.wait_s), step.reason
        if step.watch.seen_at is None or step.reason in ("throttled", "credentials", "batch"):
            return 0.0, step.reason
        return self._schedule.gap(kind, step.watch)
