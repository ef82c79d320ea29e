"""Reads the reply of a call about several tasks: an outcome for each of them. Pure.

A mistake in one task concerns that task alone. A reply without the lists that the kind declares is `Unreadable` as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from watcher.adapters.aws.failed_tasks import UnknownFailure, failed_task
from watcher.adapters.aws.reply import find, read_task
from watcher.errors import BatchFailed, NotFound, RemoteError, Unreadable
from watcher.kinds.kind import Batch, Kind
from watcher.kinds.paths import Expression
from watcher.model import Observation, TaskRef

Outcome = Observation | RemoteError


def read_batch_reply(kind: Kind, batch: Batch, refs: Sequence[TaskRef], reply: object, observed_at: float) -> list[Outcome]:
    """Return the outcome of each task, in order. Raises `Unreadable` for a reply without the lists that the kind declares.

    Tasks that were not requested are ignored. A task in neither list is not found. `BatchFailed` for a task means that the reply
    lists it as failed and does not say why in a known way: a call about this task alone may.
    """
    failures = _Listed() if batch.failures is None or batch.failure_id is None else _listed(batch.failures, batch.failure_id, reply)
    items = _listed(batch.items, batch.id, reply)
    if not items.present and not failures.by_id:
        raise Unreadable("no_tasks", f"{batch.items.text} is not a list")
    named = items.named and failures.named
    outcomes = [_outcome(kind, batch, items.of(ref), failures.of(ref), observed_at, named=named) for ref in refs]
    return [_alone_next(each, len(refs)) if isinstance(each, UnknownFailure) else each for each in outcomes]


def _alone_next(error: UnknownFailure, tasks: int) -> RemoteError:
    """The outcome of a task whose next call is about no other one. If this call was not either, the error is the task's own."""
    error.alone = True
    return BatchFailed(error) if tasks > 1 else error


@dataclass(slots=True)
class _Listed:
    """The elements of a list of the reply, by the id in each."""

    present: bool = False
    named: bool = True
    """Whether each element has an id."""
    by_id: dict[str, list[Any]] = field(default_factory=dict)

    def of(self, ref: TaskRef) -> list[Any]:
        """The different elements about a task."""
        return self.by_id.get(ref.params[-1], [])

    def add(self, key: Any, element: Any) -> None:
        if not isinstance(key, str) or not key:
            self.named = False
        elif element not in (known := self.by_id.setdefault(key, [])):
            known.append(element)


def _listed(path: Expression, id_path: Expression, reply: object) -> _Listed:
    elements = find(path, reply, "no_tasks")
    if elements is None:
        return _Listed()
    if not isinstance(elements, list):
        raise Unreadable("no_tasks", f"{path.text} is not a list")
    found = _Listed(present=True)
    for element in elements:
        found.add(_id(id_path, element), element)
    return found


def _id(path: Expression, element: object) -> Any:
    try:
        return path.find(element)
    except ValueError:
        return None  # tasks that seem to be missing are then unreadable, because this element may be one of them


def _outcome(kind: Kind, batch: Batch, items: Sequence[Any], failures: Sequence[Any], observed_at: float, *, named: bool) -> Outcome:
    if len(items) + len(failures) > 1:
        return Unreadable("two_answers", "the reply has different answers about the same task")
    if failures:
        return _failure(kind, batch, failures[0])
    if items:
        return _task(kind, items[0], observed_at)
    if not named:
        return Unreadable("unnamed_task", "the reply has an element without an id, which may be this task")
    return NotFound("no_task", "the task is not in the reply")


def _task(kind: Kind, item: object, observed_at: float) -> Outcome:
    if not isinstance(item, dict):
        return Unreadable("no_task", "the element of the reply is not an object")
    try:
        return read_task(kind, item, observed_at)
    except Unreadable as error:
        return error


def _failure(kind: Kind, batch: Batch, failure: object) -> RemoteError:
    if batch.failure_code is None:
        return NotFound("no_task", "the reply names the task as one that could not be described")
    try:
        code = batch.failure_code.find(failure)
    except ValueError:
        code = None
    if not isinstance(code, str):
        return UnknownFailure("failure", f"{batch.failure_code.text} is not a string")
    return failed_task(code, kind.not_found)


def request_ids(refs: Iterable[TaskRef]) -> list[str]:
    """The ids of the tasks in a request, each once."""
    return list(dict.fromkeys(ref.params[-1] for ref in refs))
