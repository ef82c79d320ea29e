"""Parses the JSON of the HTTP API into the objects that this package returns.

A missing member, or one with another type, raises KeyError, TypeError, or ValueError. Unknown members are ignored, because the
watcher can be newer than this command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from watcher.model import QuotaUse, Replica, Report
from watcher.queries.dead_letters import DeadLetterDetails, DeadLetterSummary
from watcher.queries.events import parse_body
from watcher.queries.explain import Explanation
from watcher.queries.poll_plan import PollPlan
from watcher.queries.replicas import ReplicaList
from watcher.queries.tasks import TaskSummary


def task_from_json(value: Mapping[str, Any]) -> TaskSummary:
    """Return the task of `TaskSummary.as_json`."""
    times = {name: _seconds(value[name]) for name in ("status_since", "admitted_at", "deadline_at", "changed_at", "ended_at")}
    texts = {name: value[name] for name in ("key", "kind", "target", "params", "status", "events", "polls", "end_reason")}
    return TaskSummary(**texts, **times, last_error=value.get("last_error"))  # type: ignore[arg-type]  # two of the times are never None


def explanation_from_json(value: Mapping[str, Any], at: float) -> Explanation:
    """Return the explanation of `Explanation.as_json`. `at` is when it was received, in seconds since the epoch."""
    task, plan = value["task"], value["next"]
    context = None if task is None else task.get("context")
    return Explanation(
        key=value["key"],
        task=None if task is None else task_from_json(task),
        context=None if context is None else json.dumps(context, separators=(",", ":"), ensure_ascii=False),
        next=None if plan is None else _plan(plan),
        events=[parse_body(body) for body in value["events"]],
        undelivered=value["not_yet_taken"],
        dead_letters=[dead_letter_from_json(letter) for letter in value["dead_letters"]],
        at=at,
    )


def dead_letter_from_json(value: Mapping[str, Any]) -> DeadLetterSummary:
    """Return the dead letter of `DeadLetterSummary.as_json`."""
    same = {name: value[name] for name in ("id", "what", "origin", "reason", "detail", "key", "tries", "retry")}
    return DeadLetterSummary(**same, at=_seconds(value["at"]) or 0.0, size=value["bytes"])


def dead_letter_details_from_json(value: Mapping[str, Any]) -> DeadLetterDetails:
    """Return the dead letter of `DeadLetterDetails.as_json`. Bytes that are not UTF-8 stay escaped."""
    return DeadLetterDetails(dead_letter_from_json(value), value["body"].encode())


@dataclass(frozen=True, slots=True)
class ReportedReplicas(ReplicaList):
    """A list of replicas with the problems that the watcher reported. Only the watcher knows the interval of renewals."""

    reported: Sequence[str] = ()

    @property
    def trouble(self) -> list[str]:
        """What is wrong, as reported."""
        return list(self.reported)


def replicas_from_json(value: Mapping[str, Any]) -> ReplicaList:
    """Return the list of `ReplicaList.as_json`."""
    replicas = [_replica(each) for each in value["replicas"]]
    return ReportedReplicas(replicas, value["shards"], 0.0, reported=value["trouble"])


def _replica(value: Mapping[str, Any]) -> Replica:
    quotas = {name: QuotaUse(use["rate"], use["watches"], use["lateness_s"], use["sharers"]) for name, use in value["quotas"].items()}
    return Replica(
        name=value["name"],
        started_at=_seconds(value["started_at"]) or 0.0,
        renewed_s_ago=value["renewed_s_ago"],
        expires_in_s=value["expires_in_s"],
        shards=_shards(value["shard_ranges"]),
        report=Report(value["version"], value["adopted"], quotas),
    )


def _shards(ranges: Sequence[str]) -> list[int]:
    """The shards of `["0-20", "42"]`."""
    found: list[int] = []
    for text in ranges:
        first, _, last = text.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _plan(value: Mapping[str, Any]) -> PollPlan:
    known = {field.name: value[field.name] for field in fields(PollPlan) if field.name in value}
    return PollPlan(**known)


def _seconds(text: str | None) -> float | None:
    """Seconds since the epoch, from RFC 3339."""
    return None if text is None else datetime.fromisoformat(text).timestamp()
