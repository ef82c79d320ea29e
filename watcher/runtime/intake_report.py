"""Reports what became of each input: in the metrics, and in the log if a person may have to act. Decides nothing."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence

import structlog

from watcher.core.intake.members import MAX_DEADLINE_S
from watcher.model import DeadLetter, Watch
from watcher.observe.logs import traced
from watcher.observe.metrics import Metrics
from watcher.runtime.admission import Admitted

log = structlog.get_logger("watcher.intake")

MAX_NAMES = 100
"""Names of ignored messages that are logged in one process: a part of a name comes from outside."""

UNWATCHED = "notification about a task that is not watched"
"""The name of a notification that is ignored because of its task."""


class IntakeReport:
    """Counts and logs the outcomes of inputs, by source."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._logged: set[tuple[str, str]] = set()
        """Sources and names of ignored messages that were logged. A rule may match thousands of them: each name is logged once."""

    def ignored(self, origin: str, names: Sequence[str]) -> None:
        """These are known by name and require no action."""
        for name in names:
            self._metrics.inputs.labels(origin, "ignored").inc()
            self._log_ignored(origin, name, "nothing")

    def admitted(self, origin: str, outcomes: Sequence[Admitted]) -> None:
        """Submissions have these outcomes. The log says of one receive how many tasks were submitted before."""
        counts = Counter(each.outcome for each in outcomes)
        for outcome, count in counts.items():
            self._metrics.inputs.labels(origin, outcome).inc(count)
        if before := [each.watch for each in outcomes if each.outcome != "admitted"]:
            example = next((watch for watch in before if not watch.open), before[0])
            again = f"a task is watched once; to watch one that has ended again, submit it after: watcher forget {shlex.quote(example.key)}"
            hint = "nothing: these tasks are watched" if example.open else again
            facts = {"known": counts["known"], "ended": counts["ended"], "example": example.key, "end_reason": example.end_reason}
            log.info("submitted_again", source=origin, **facts, **traced(example.trace), hint=hint)

    def deadlines_reduced(self, origin: str, watches: Sequence[Watch]) -> None:
        """New watches of one receive whose inputs requested more than the longest deadline."""
        if watches:
            hint = "nothing, if this is long enough: a watch cannot last longer"
            facts = {"tasks": len(watches), "example": watches[0].key, **traced(watches[0].trace), "deadline_s": MAX_DEADLINE_S}
            log.info("deadline_reduced", source=origin, **facts, hint=hint)

    def notified(self, origin: str, *, polled: bool, watch: Admitted | None) -> None:
        """AWS sent a notification. `watch` is the outcome where it is also a submission; a new watch is counted as admitted."""
        if watch is None or watch.outcome != "admitted":
            outcome = "hint" if polled else "ignored" if watch is None else watch.outcome
            self._metrics.inputs.labels(origin, outcome).inc()
            if outcome == "ignored":
                advice = "nothing, if the task has ended; to watch tasks that only AWS announces, set watch_notified: true at this source"
                self._log_ignored(origin, UNWATCHED, advice)

    def steering(self, origin: str, members: Sequence[str]) -> None:
        """A message has members that would choose where calls go. They have no effect."""
        if members:
            self._metrics.inputs.labels(origin, "steering_ignored").inc()
            log.warning("members_ignored", source=origin, members=sorted(members), hint="a message cannot choose where calls go")

    def rejected(self, origin: str, reasons: Sequence[str], letter: DeadLetter, trace: str | None = None) -> None:
        """Something in a message is invalid, and the message is now a dead letter. `trace` is the context beside its body."""
        for reason in reasons:
            self._metrics.inputs.labels(origin, f"rejected_{reason}").inc()
        self._metrics.dead_letters.labels("input", origin, letter.reason).inc()
        hint = f"watcher dead-letters show {letter.id}"
        facts = {"reason": letter.reason, "detail": letter.detail, "dead_letter": letter.id, **traced(trace)}
        log.warning("input_rejected", source=origin, **facts, hint=hint)

    def _log_ignored(self, origin: str, name: str, advice: str) -> None:
        if (origin, name) not in self._logged and len(self._logged) < MAX_NAMES:
            self._logged.add((origin, name))
            hint = f"{advice}; further ones are counted in watcher_inputs_total and not logged"
            log.info("input_ignored", source=origin, what=name, hint=hint)
