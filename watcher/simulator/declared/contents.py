"""What a reply about tasks of a kind contains, under the names of the API model: the kind says where each fact is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from watcher.kinds.kind import Kind, Phase, StatusClass
from watcher.kinds.paths import Expression
from watcher.model import Observation
from watcher.simulator.declared.examples import completed, example
from watcher.simulator.declared.life import DeclaredTask, Period
from watcher.simulator.declared.models import Operation
from watcher.simulator.declared.places import Place, list_place_of, place_of, places_read, put, remove, shape_at, wrapped
from watcher.simulator.declared.status_members import StatusMembers
from watcher.simulator.simulated_task import iso

MESSAGE = "The task failed, because the simulator decided so."

_ENDS = re.compile("(?:^|[a-z])(?:End|Complet|Finish|Stopp)|^(?:end|complet|finish|stopp)")
"""In the name of a member with the time of the end, which a task has only after its end."""

_ERRORS = re.compile("error|fail|exception", re.IGNORECASE)
"""In the name of a member of a result that only a failed task has."""


class Contents:
    """Fills replies of one operation with tasks of one kind. `batched`: the operation is the one of `Kind.batch`.

    Raises ValueError where the kind reads a fact in a way that cannot be reversed, or from no place of the API model.
    """

    def __init__(self, kind: Kind, operation: Operation, *, batched: bool, mark: str = "") -> None:
        self.kind = kind
        self.operation = operation
        self.mark = mark
        batch = kind.batch if batched else None
        root = place_of(kind.reply.task) if batch is None else list_place_of(batch.items)
        if root is None or operation.output_shape is None:
            raise ValueError(f"{kind.name}: cannot write a reply of {operation.name} that the path of its tasks finds")
        self.lists_tasks = batch is not None or (root != () and root[-1] == 0)
        """Whether a reply has room for several tasks."""
        self._root = root[:-1] if batch is None and self.lists_tasks else root
        item = (*self._root, 0) if self.lists_tasks else self._root
        self._shape = shape_at(operation.output_shape, item)
        if self._shape is None or self._shape.type_name != "structure":
            raise ValueError(f"{kind.name}: the reply of {operation.name} has no such place: {kind.reply.task.text}")
        ids = [kind.reply.id, None if batch is None else batch.id]
        self._ids = [self._required(path) for path in ids if path is not None]
        self._status = StatusMembers(kind.reply.status, self._shape)
        for status in kind.statuses:
            self._status.of(status)  # to report a kind that cannot be served before its first task
        self._message = self._optional(kind.reply.message)
        self._created, self._started, self._updated = map(self._optional, (kind.reply.created, kind.reply.started, kind.reply.updated))
        results = [place for place in places_read(kind.results.expression) if place not in self._status.places]
        self._results = [place for place in results if shape_at(self._shape, place) is not None]

    def can_show(self, status: str) -> bool:
        """Whether there is a reply in which the kind reads this status."""
        try:
            self._status.of(status)
        except ValueError:
            return False
        return True

    def task(self, task: DeclaredTask, now: float) -> dict[str, Any]:
        """Return the task as the API shows it at `now`, in wall seconds."""
        period, contents = task.period(now), dict[str, Any]()
        class_ = self.kind.statuses.get(period.status)
        for place in self._results if class_ not in (None, StatusClass.OPEN) else ():
            if bool(_ERRORS.search(str(place[-1]))) == (class_ is StatusClass.FAILED):
                put(contents, place, example(shape_at(self._shape, place), str(place[-1]), period.at, self.mark))
        for param, value in zip(self.kind.params[:-1], task.params, strict=False):
            member = self._shape.members.get(param.name)
            if member is not None and member.type_name == "string":
                contents[param.name] = value
        times = self._times(task, now)
        for place, at in times.items():
            put(contents, place, self._time(place, at))
        if self._message is not None and class_ is StatusClass.FAILED:
            put(contents, self._message, f"{self.mark}{MESSAGE}")
        for place in self._ids:
            put(contents, place, task.params[-1])
        for place, value in self._status.of(period.status).items():
            put(contents, place, value)
        return self._whole(contents, period, times)

    def _whole(self, contents: Mapping[str, Any], period: Period, times: Mapping[Place, float]) -> dict[str, Any]:
        """Return a task with all members that the API requires, but without a time or a text that it cannot have yet."""
        whole = completed(self._shape, contents, period.at, self.mark)
        for absent in (self._created, self._started, self._updated):
            if absent is not None and absent not in times:
                remove(whole, absent)  # AWS Batch requires the time of a start that has not come
        message = self.kind.reply.message
        failed = self.kind.statuses.get(period.status) is StatusClass.FAILED
        if message is not None and self._message is not None and not failed and message.find(whole) is not None:
            put(whole, self._message, "")
        return whole

    def reply(self, tasks: Sequence[DeclaredTask], failures: Iterable[tuple[str, str]], now: float) -> dict[str, Any]:
        """Return the whole reply. `failures` are ids that could not be described, with error codes; not all kinds have them."""
        items = [self.task(task, now) for task in tasks]
        whole: dict[str, Any] = {}
        if self.lists_tasks or items:
            whole = wrapped(self._root, items if self.lists_tasks else items[0])
        self._add_failures(whole, list(failures))
        shape = self.operation.output_shape
        for name in shape.required_members if self._root else ():  # the tasks are complete
            whole.setdefault(name, example(shape.members[name], name, now, self.mark))
        return whole

    def observation(self, task: DeclaredTask, as_of: float, observed_at: float) -> Observation:
        """Return what a probe reads from the task as it was at `as_of`."""
        contents, paths = self.task(task, as_of), self.kind.reply
        return Observation(
            status=task.period(as_of).status,
            observed_at=observed_at,
            result=self.kind.results.read(contents),
            created_at=_seconds(paths.created, contents),
            started_at=_seconds(paths.started, contents),
            updated_at=_seconds(paths.updated, contents),
            message=None if paths.message is None else paths.message.find(contents),
        )

    def _times(self, task: DeclaredTask, now: float) -> dict[Place, float]:
        """The times in a reply by their places. Where a kind reads two of them from one place, the first one counts."""
        period = task.period(now)
        ended = self.kind.phase(period.status) is Phase.TERMINAL
        times: dict[Place, float] = {}
        for place, at in ((self._created, task.created_at), (self._started, task.started_at(now)), (self._updated, period.at)):
            if place is not None and at is not None and place not in times and (ended or not _ENDS.search(str(place[-1]))):
                times[place] = at
        return times

    def _time(self, place: Place, at: float) -> Any:
        """Return a time in the type of its member: some services have numbers, which are milliseconds, or texts."""
        kind = shape_at(self._shape, place).type_name
        if kind == "timestamp":
            return datetime.fromtimestamp(at, UTC)
        return iso(at) if kind == "string" else round(at * 1000)

    def _add_failures(self, whole: dict[str, Any], failures: Sequence[tuple[str, str]]) -> None:
        batch = self.kind.batch
        place = None if batch is None else place_of(batch.failures)
        if batch is None or place is None or not failures:
            return
        id_place, code_place = place_of(batch.failure_id), place_of(batch.failure_code)
        items: list[Any] = []
        for id_, code in failures:
            item: Any = {} if id_place else id_  # a list of ids has no objects
            for at, value in ((id_place, id_), (code_place, code)):
                if at:
                    put(item, at, value)
            items.append(item)
        put(whole, place, items)

    def _required(self, path: Expression) -> Place:
        place = self._optional(path)
        if not place:
            raise ValueError(f"{self.kind.name}: cannot write a reply of {self.operation.name} in which {path.text} finds a given value")
        return place

    def _optional(self, path: Expression | None) -> Place | None:
        """Return the place of a path, None where there is no such place in the API model."""
        place = place_of(path)
        return None if place is None or shape_at(self._shape, place) is None else place


def _seconds(path: Expression | None, contents: Mapping[str, Any]) -> float | None:
    at = None if path is None else path.find(contents)
    if isinstance(at, datetime):
        return at.timestamp()
    return at / 1000 if isinstance(at, int) else None
