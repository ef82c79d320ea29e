"""Everything that the store contains about one task: its state and history, when it is polled next and why, its dead letters.

An explanation holds results, messages and contexts as far as the events do. It is for operators, not for logs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from watcher.core.polling.open_circuits import STATE, holding, restore
from watcher.core.polling.schedule import state_name
from watcher.core.polling.target_quota import TargetQuota
from watcher.kinds.catalog import Catalog
from watcher.model import Watch
from watcher.ports import Queries
from watcher.queries.dead_letters import DeadLetterSummary, all_dead_letters
from watcher.queries.events import TaskEvent, task_history
from watcher.queries.poll_plan import LearnedState, PollPlan, PollSettings, plan_polls
from watcher.queries.tasks import TaskSummary, load_progress, task_summary

END_REASONS: Mapping[str, str] = {
    "terminal": "the service reported a terminal status",
    "settled": "a provisional status had a complete result, or did not change for watch.partial_settle",
    "deadline": "the task did not end before the deadline (watch.deadline, or the deadline in the message)",
    "expired": "the service does not find the task, and the task is older than the service keeps tasks",
    "not_found": "the service did not find the task for longer than watch.not_found_grace",
    "busy": "the deadline passed, and the service answered every call about the task with a conflict",
    "denied": "the service denied access to the task, three times",
    "invalid": "the service rejected the request as invalid",
    "cancelled": "an operator cancelled the watch",
}
"""What ended a watch, by the reason in its last event."""
NEVER_FOUND = "; it was never found: check its ids, and the account and the Region of the watcher"
"""Follows `not_found` of a task that no poll has seen."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known about one task, as of `at` (seconds since the epoch)."""

    key: str
    task: TaskSummary | None
    """None: the task is not in the store."""
    context: str | None
    """Canonical JSON, from the message that submitted the task."""
    next: PollPlan | None
    """None: the task is no longer polled."""
    events: Sequence[TaskEvent]
    undelivered: Mapping[str, int]
    """By sink, the events of the task that it has not settled."""
    dead_letters: Sequence[DeadLetterSummary]
    at: float

    @property
    def end(self) -> str | None:
        """Why the watch ended, in words. None: it has not ended."""
        reason = None if self.task is None else self.task.end_reason
        if self.task is None or reason is None:
            return None
        never_found = reason == "not_found" and self.task.status is None
        return END_REASONS.get(reason, "a reason that this version does not know") + (NEVER_FOUND if never_found else "")

    def as_json(self) -> dict[str, Any]:
        """The JSON form."""
        context = None if self.context is None else json.loads(self.context)
        return {
            "key": self.key,
            "task": None if self.task is None else {**self.task.as_json(), "context": context},
            "next": None if self.next is None else self.next.as_json(),
            "end": self.end,
            "events": [event.body for event in self.events],
            "not_yet_taken": dict(self.undelivered),
            "dead_letters": [letter.as_json() for letter in self.dead_letters],
        }


async def explain_task(store: Queries, catalog: Catalog, key: str, settings: PollSettings, now: float) -> Explanation:
    """Return what the store contains about a task. `now` is seconds since the epoch."""
    watch = await store.task(key)
    progress = await load_progress(store, catalog, [] if watch is None else [watch])
    plan = None
    if watch is not None and watch.open:
        learned = replace(await _learned_state(store, catalog, watch), last_call=progress.get(watch.id))
        plan = plan_polls(watch, catalog.get(watch.ref.kind), learned, settings, now)
    return Explanation(
        key=key,
        task=None if watch is None else task_summary(watch, catalog, progress),
        context=None if watch is None else watch.context,
        next=plan,
        events=await task_history(store, key),
        undelivered=await store.undelivered(key),
        dead_letters=await all_dead_letters(store, key=key),
        at=now,
    )


async def _learned_state(store: Queries, catalog: Catalog, watch: Watch) -> LearnedState:
    """What was saved about the quota that the calls about this task count against."""
    kind = catalog.get(watch.ref.kind)
    if kind is None:
        return LearnedState(None, None, 0)
    of = TargetQuota(kind.quota, watch.ref.target)
    sharing = [other.name for other in catalog if other.quota == kind.quota]
    circuits = [circuit for text in await store.load_states(STATE) for circuit in restore(text)]
    return LearnedState(
        cadence=await store.load_state(state_name("cadence", *of)),
        pace=await _pace(store, of),
        open_tasks=await store.count_open(sharing, [of.target]),
        circuits=holding(circuits, of.target, kind.service),
    )


async def _pace(store: Queries, of: TargetQuota) -> str | None:
    """The rate of all replicas together, or the last one that was saved."""
    reports = [replica.report.quotas[of.name] for replica in await store.replicas() if of.name in replica.report.quotas]
    rates = [use.rate for use in reports if use.watches > 0]
    return repr(sum(rates)) if rates else await store.load_state(state_name("pace", *of))
