"""What really happened to a task of a story, and why its watch may end before the task does."""

from __future__ import annotations

from tests.simulation.batch_kind import BROKEN, NAME, STUCK
from tests.simulation.record import Record
from tests.simulation.story import DENIED, ENDLESS, MISSING
from watcher.model import DEFAULT_TARGET, TaskRef
from watcher.simulator.simulated_task import Truth


def truth_of(record: Record, key: str) -> Truth:
    """The statuses that a task really had, in order, each with the time at which it began."""
    ref = TaskRef.of(key, DEFAULT_TARGET)
    if ref.kind == NAME and record.probe.declared is not None:
        return record.probe.declared.tasks.truth(ref)
    return record.service.tasks.truth(ref)


def own_reason(key: str) -> str | None:
    """The reason for which the watch of this task may end before the task does."""
    connector, id_ = TaskRef.of(key, DEFAULT_TARGET).params
    task = id_.rpartition("/")[2]
    if connector.startswith(DENIED) or task.startswith(DENIED):
        return "denied"
    return "not_found" if task.startswith(MISSING) else "deadline" if task.startswith((ENDLESS, STUCK, BROKEN)) else None
