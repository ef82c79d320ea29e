"""Decides which kinds the tasks in a message have, and finds their identifiers.

A message that names its `kind` uses it. Without one, the kinds of the service of the default kind come first, so a message about one of
them may have any other members. Of the other kinds, the one with the most identifiers in the message is meant. If several fit equally,
the message is invalid: nothing is guessed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.core.intake.kind_names import unknown_kind
from watcher.core.intake.replies import Pasted, pasted_replies
from watcher.core.intake.task_arns import by_arn, kinds_of_arns
from watcher.core.intake.task_objects import (
    as_the_api_spells,
    bare_values,
    has_all,
    objects_inside,
    own_id_in,
    spellings,
    value_of,
)
from watcher.errors import InvalidInput
from watcher.kinds.arn import TaskArn
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NamedTask:
    """A task that a message names."""

    kind: Kind
    task: Mapping[str, Any]
    """The task object of a reply, as the API spells it; else the whole message."""
    values: Sequence[Any]
    """The identifiers, as they were given. None for one that is missing."""
    arn: TaskArn | None = None
    """The ARN of the task, where the message has it."""


@functools.lru_cache(maxsize=16)
def first_kinds(catalog: Catalog) -> Sequence[Kind]:
    """The default kind, and the others of its service: those of a message without a kind, where it has the members of one."""
    others = [kind for kind in catalog if kind.service == catalog.default.service and kind is not catalog.default]
    return (catalog.default, *others)


def tasks_in(message: Message, catalog: Catalog) -> Sequence[Pasted | None]:
    """The places in a message, each with one task: replies that are part of it, or the message itself (None)."""
    pasted = pasted_replies(message, catalog)
    first = first_kinds(catalog)
    named = catalog.get(message["kind"]) if isinstance(message.get("kind"), str) else None
    if named is None or named in first:
        of_first = [each for each in pasted if any(kind in first for kind in each.kinds)]
        pasted = of_first or ([] if any(kind in first for kind in kinds_of_own_id(message, catalog)) else pasted)
    return [*pasted] or [None]


def read_task(message: Message, pasted: Pasted | None, catalog: Catalog) -> NamedTask:
    """Return the task at one place of a message. Raises InvalidInput: kind, shape, field."""
    named = named_kind(message, catalog)
    if pasted is None:
        task = bare_task(message, named or _kind_of_bare(message, catalog))
        if named is not None and not any(value is not None for value in task.values):
            _check_other_arns(message, named, catalog)
        return task
    if named is not None and named not in pasted.kinds:
        raise InvalidInput("kind", "the kind does not match the task in the message")
    kind = named or best_kind(pasted.kinds, lambda kind: task_of_reply(message, pasted, kind), catalog)
    return task_of_reply(message, pasted, kind)


def kind_of_bare(message: Message, catalog: Catalog) -> Kind | None:
    """The kind of the task in a message that is not a reply and names no kind; None where several kinds fit. Never raises."""
    try:
        return _kind_of_bare(message, catalog)
    except InvalidInput:
        return None


def _check_other_arns(message: Message, kind: Kind, catalog: Catalog) -> None:
    """Raise InvalidInput: field, if a message without the identifiers of the kind that it names has the ARN of a task of another kind."""
    others = [other.name for other in kinds_of_arns(message, catalog) if other is not kind]
    if others:
        raise InvalidInput("field", f"the message names the kind {kind.name}, and the ARN in it is that of a task of {' or '.join(others)}")


def named_kind(message: Message, catalog: Catalog) -> Kind | None:
    """The kind that a message names, None where it names none. Raises InvalidInput: kind."""
    named = message.get("kind")
    if named is None:
        return None
    kind = catalog.get(named) if isinstance(named, str) else None
    if kind is None:
        raise unknown_kind(named, catalog)
    return kind


def bare_task(message: Message, kind: Kind, *, of_aws: bool = False) -> NamedTask:
    """The task of a message that has its identifiers among its own members. Raises InvalidInput: field. `of_aws`: see `by_arn`."""
    task = as_the_api_spells(message, kind)
    *outer, own_id = bare_values(message, kind)
    values, arn = by_arn(kind, [*outer, own_id_in(task, kind) if own_id is None else own_id], [message], of_aws=of_aws)
    return NamedTask(kind, task, values, arn)


def task_of_reply(message: Message, pasted: Pasted, kind: Kind, *, of_aws: bool = False) -> NamedTask:
    """The task of a reply in a message. The identifiers may also be beside the reply. Raises InvalidInput: shape, field. `of_aws`: see
    `by_arn`."""
    task = pasted.task(kind)
    *outer, own = kind.params
    if isinstance(task, str):
        task = {own.field: task}
    if not isinstance(task, Mapping):
        raise InvalidInput("shape", "the task in the message is not an object")
    beside = _beside(message, pasted, kind)
    objects = [beside, task, *objects_inside(task)]
    own_id = value_of([task] if pasted.place else objects, spellings(own))
    if own_id is None:
        own_id = own_id_in(task, kind)
    given = [*(value_of(objects, spellings(param)) for param in outer), own_id]
    values, arn = by_arn(kind, given, [task] if pasted.place else [beside, task], of_aws=of_aws)
    return NamedTask(kind, task, values, arn)


def _beside(message: Message, pasted: Pasted, kind: Kind) -> Message:
    """The members of a message beside the reply in it. Of several tasks in the reply each is read for itself, and only the identifiers
    count: a copy of all members for each task would take quadratic time."""
    names = [name for param in kind.params for name in spellings(param)] if pasted.place else message
    return {name: message[name] for name in names if name in message and name != pasted.member}


def best_kind(kinds: Sequence[Kind], read: Callable[[Kind], NamedTask], catalog: Catalog) -> Kind:
    """The kind whose identifiers are all there; of several such kinds, the one with the most. Raises InvalidInput: kind, if several are
    left.

    If no kind has all of its identifiers, that is one of the first kinds, or the only kind.
    """
    best = _best([kind for kind in kinds if _is_complete(kind, read)] or kinds)
    return best[0] if len(best) == 1 else _preferred(best, catalog) or _fail(best)


def _is_complete(kind: Kind, read: Callable[[Kind], NamedTask]) -> bool:
    try:
        return None not in read(kind).values
    except InvalidInput as error:
        return error.reason == "field"  # it has an identifier twice


def _kind_of_bare(message: Message, catalog: Catalog) -> Kind:
    """The kind of the task in a message that is not a reply. An ARN under another name than that of an identifier counts only if the
    names fit no kind: a message about one task may also have the ARN of another one, such as the image that a backup makes."""
    first = first_kinds(catalog)
    kinds = kinds_of_own_id(message, catalog)
    if any(kind in first for kind in kinds):
        by_arns: Sequence[Kind] = ()
        shared = {name for kind in kinds if kind in first for name in spellings(kind.params[-1]) if message.get(name) is not None}
        kinds = [kind for kind in kinds if shared.intersection(spellings(kind.params[-1]))]
    else:
        by_arns = kinds_of_arns(message, catalog)
    flat = [kind for kind in kinds if has_all([message], kind)]
    named = flat or [kind for kind in kinds if has_all([message, *objects_inside(message)], kind)]
    named = [*dict.fromkeys([*named, *(kind for kind in by_arns if kind in kinds)])]
    valid = [kind for kind in named if kind in first or kind in by_arns or _has_valid_ids(message, kind)]
    best = _best(valid or by_arns or named or kinds)
    if len(best) <= 1:
        return best[0] if best else catalog.default
    return _preferred(best, catalog) or _explained_by_arn(message, best, by_arns) or _fail(best)


def _has_valid_ids(message: Message, kind: Kind) -> bool:
    """Whether the identifiers have the form of those of this kind: a `jobArn` that is no ARN of it names another kind of job."""
    try:
        values = bare_task(message, kind).values
    except InvalidInput:
        return False
    return all(isinstance(value, str) and param.pattern.fullmatch(value) for param, value in zip(kind.params, values, strict=True))


def _best(kinds: Sequence[Kind]) -> Sequence[Kind]:
    most = max((len(kind.params) for kind in kinds), default=0)
    return [kind for kind in kinds if len(kind.params) == most]


def _preferred(kinds: Sequence[Kind], catalog: Catalog) -> Kind | None:
    return next((kind for kind in first_kinds(catalog) if kind in kinds), None)


def _explained_by_arn(message: Message, kinds: Sequence[Kind], by_arns: Sequence[Kind]) -> Kind | None:
    """The only kind with an ARN in the message, if the ids of the other kinds are also ids of this one: `jobId` beside a `jobArn`."""
    if len(by_arns) != 1 or by_arns[0] not in kinds:
        return None
    names = set(spellings(by_arns[0].params[-1]))
    others = {name for kind in kinds for name in spellings(kind.params[-1]) if message.get(name) is not None}
    return by_arns[0] if others <= names else None


def _fail(kinds: Sequence[Kind]) -> Kind:
    raise InvalidInput("kind", f"several kinds fit the identifiers: {', '.join(kind.name for kind in kinds)}; add the kind to the message")


def kinds_of_own_id(message: Message, catalog: Catalog) -> Sequence[Kind]:
    """The kinds whose task's own id is a member of the message, in the order of the catalog."""
    index = _own_ids(catalog)
    found = {kind for name in index.keys() & message.keys() if message[name] is not None for kind in index[name]}
    return [kind for kind in catalog if kind in found] if found else ()


@functools.lru_cache(maxsize=16)
def _own_ids(catalog: Catalog) -> Mapping[str, Sequence[Kind]]:
    index: dict[str, list[Kind]] = {}
    for kind in catalog:
        for name in spellings(kind.params[-1]):
            index.setdefault(name, []).append(kind)
    return index


def names_task(message: Message, catalog: Catalog, *, only_first: bool = False) -> bool:
    """Whether a message has the own id of a task, its ARN, or a reply. `only_first`: of one of the first kinds, or of the kind it names."""
    found = {kind for pasted in pasted_replies(message, catalog) for kind in pasted.kinds}
    found.update(kinds_of_own_id(message, catalog), kinds_of_arns(message, catalog))
    if not only_first:
        return bool(found)
    return any(kind in first_kinds(catalog) or kind.name == message.get("kind") for kind in found)
