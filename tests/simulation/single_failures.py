"""What a reply about several tasks may say wrongly about one of them, while it is right about the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

Reply = dict[str, Any]

CODES = {
    "task throttled": "ThrottlingException",
    "task denied": "AccessDeniedException",
    "task failed": "InternalFailure",
    "unknown code": "SOMETHING_NEW",
}
"""Single failures that the reply lists, each with its code."""
SINGLE_FAILURES = (*CODES, "left out", "no status", "two answers", "no id")
"""`left out`: the task is not in the reply. `no id`: its place in the reply does not say which task it is."""


class SingleFailures:
    """Spoils replies of ECS, by the share of tasks with each failure.

    A task fails this way only if the last reply was right about it. A few denials in a row, or a task that is missing for a minute,
    rightly end its watch, and a story would not know.
    """

    def __init__(self, rng: Random, shares: Mapping[str, float]) -> None:
        self.shares = shares
        self.seen: Counter[str] = Counter()
        """How often each failure occurred in a call about several tasks."""
        self._rng = rng
        self._good: set[str] = set()
        """Tasks about which the last reply was right."""

    def spoil(self, reply: Reply, asked: int) -> Reply:
        """The reply of a call about so many tasks, with other parts for some of them."""
        tasks, spoiled = reply.get("tasks", []), Reply(reply, tasks=[], failures=list(reply.get("failures", [])))
        for task in tasks:
            failure = self._draw() if task.get("taskArn") in self._good else None
            if failure is None:
                spoiled["tasks"].append(task)
                self._good.add(task.get("taskArn"))
            else:
                self._good.discard(task["taskArn"])
                self.seen[failure] += asked > 1
                _SPOILED.get(failure, _listed(failure))(spoiled, task)
        self._rng.shuffle(spoiled["tasks"])
        return spoiled

    def _draw(self) -> str | None:
        chance = self._rng.random()
        for failure, share in self.shares.items():
            chance -= share
            if chance < 0:
                return failure
        return None


Spoil = Callable[[Reply, Reply], None]
"""Adds to a reply what it says about a task."""


def _listed(failure: str) -> Spoil:
    return lambda reply, task: reply["failures"].append({"arn": task["taskArn"], "reason": CODES[failure]})


def _twice(reply: Reply, task: Reply) -> None:
    reply["tasks"] += [task, {**task, "lastStatus": "DEPROVISIONING"}]


def _without(member: str) -> Spoil:
    return lambda reply, task: reply["tasks"].append({name: value for name, value in task.items() if name != member})


_SPOILED: Mapping[str, Spoil] = {
    "left out": lambda reply, task: None,
    "no status": _without("lastStatus"),
    "two answers": _twice,
    "no id": _without("taskArn"),
}
