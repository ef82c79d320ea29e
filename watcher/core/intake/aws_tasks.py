"""Finds the tasks in what AWS itself sends: in the record of the call that started them, or in a notification about one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watcher.core.intake.recognition import NamedTask, bare_task, best_kind, first_kinds, task_of_reply
from watcher.core.intake.replies import Pasted, pasted_replies
from watcher.core.intake.task_arns import by_arn
from watcher.core.intake.task_objects import as_the_api_spells, objects_inside, spellings, value_of
from watcher.core.intake.unwrapped import Unwrapped
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import Ignored


def recorded_tasks(element: Unwrapped, reply: Mapping[str, Any]) -> Sequence[Pasted | None]:
    """The places in the reply of a recorded call, each with one task: members of it, or the reply itself (None)."""
    return [*pasted_replies(reply, element.started)] or [None]


def recorded_task(element: Unwrapped, reply: Mapping[str, Any], pasted: Pasted | None, catalog: Catalog) -> NamedTask:
    """The task at one place in the reply of a recorded call. Raises InvalidInput: shape, kind, field.

    Identifiers that the reply does not have come from the request.
    """

    def read(kind: Kind) -> NamedTask:
        message = _with_request(element.request, reply, kind)
        if pasted is not None:
            return task_of_reply(message, pasted, kind, of_aws=True)
        if kind in first_kinds(catalog):
            raise InvalidInput("shape", f"the responseElements have no {kind.reply.task.text}")
        return bare_task(message, kind, of_aws=True)

    return read(best_kind(element.started if pasted is None else pasted.kinds, read, catalog))


def _with_request(request: Mapping[str, Any], reply: Mapping[str, Any], kind: Kind) -> Mapping[str, Any]:
    *outer, own = kind.params
    found = {param.name: value for param in outer if (value := value_of([request], spellings(param))) is not None}
    own_id = value_of([request], spellings(own))
    message = {**found, **as_the_api_spells(reply, kind)}
    has_own = value_of([message, *objects_inside(message)], spellings(own)) is not None
    return message if has_own or own_id is None else {own.name: own_id, **message}


def notified_task(element: Unwrapped, detail: Mapping[str, Any], catalog: Catalog) -> NamedTask | Ignored:
    """The task that a notification is about. Raises InvalidInput: field.

    AWS also announces tasks that no call of these kinds can read: those of a media pipeline have no voice connector.
    """

    def read(kind: Kind) -> NamedTask:
        return _notified(element, detail, kind)

    kind = best_kind(element.notified, read, catalog)
    found = read(kind)
    return Ignored(f"notification without the identifiers of a {kind.name} task") if None in found.values else found


def _notified(element: Unwrapped, detail: Mapping[str, Any], kind: Kind) -> NamedTask:
    *outer, own = kind.params
    own_id = None if kind.notifications is None or kind.notifications.id is None else _at(detail, kind.notifications.id)
    ids = [{own.name: own_id}, detail]
    values = [*(value_of([detail], spellings(param)) for param in outer), value_of(ids, spellings(own))]
    resources = element.resources if isinstance(element.resources, list) else []
    listed = {str(number): arn for number, arn in enumerate(resources)}
    found, arn = by_arn(kind, values, [detail, listed], of_aws=True)
    return NamedTask(kind, detail, found, arn)


def _at(detail: Mapping[str, Any], path: str) -> Any:
    """The member at a dotted path. A member whose own name has dots comes first."""
    found: Any = detail
    for name in [path] if path in detail else path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
