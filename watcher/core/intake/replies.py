"""Finds replies of the API among the members of a message: that of the call that reads a task, or that of the call that starts one.

A reply has its task in a member such as `SpeakerSearchTask`, or its tasks in a list such as `jobs`. A kind with such a list also
knows the singular, `job`: calls that start one task reply with that.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.core.intake.task_objects import as_the_api_spells, is_present, lower_camel, own_id_in, spellings
from watcher.kinds.kind import Kind

_LIST = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[(?:0|\*)?\])?")
_LISTED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\[0\]")
_WORDS = re.compile(r"[A-Za-z][A-Z]*[a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+")
"""A name of two words or more. A name of a single word, such as `Job`, is common, so there the content must show that it is a reply."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """One task in a reply that is part of a message."""

    kinds: tuple[Kind, ...]
    """The kinds with such a reply, in the order of the catalog."""
    member: str
    """The member of the message with the reply."""
    content: Any
    """The value of the member, or one element of it."""
    place: str = ""
    """Where in a list the task is, as a prefix for error texts."""

    def task(self, kind: Kind) -> Any:
        """The task, as the API spells it; None where the reply has none."""
        found = self.content
        for name in (kind.reply.task.members or ())[1:]:
            found = found.get(name, found.get(lower_camel(name))) if isinstance(found, Mapping) else None
        return as_the_api_spells(found, kind)


def reply_members(kind: Kind) -> Mapping[str, bool]:
    """The members that replies about tasks of this kind have, in each spelling, and whether each one is a list of tasks."""
    found: dict[str, bool] = {}
    if kind.reply.member is not None:
        found[kind.reply.member] = False
    lists = [_LISTED.fullmatch(kind.reply.task.text), None if kind.batch is None else _LIST.fullmatch(kind.batch.items.text)]
    for name in (match[1] for match in lists if match is not None):
        found[name] = True
        found.setdefault(name.removesuffix("s"), False)
    return {spelled: listed for name, listed in found.items() for spelled in (name, lower_camel(name))}


def pasted_replies(message: Mapping[str, Any], kinds: Iterable[Kind]) -> Sequence[Pasted]:
    """The tasks in all replies that are part of the message, in the order of their kinds in the catalog."""
    kinds = tuple(kinds)
    index = _index(kinds)
    names = index.keys() & message.keys()
    if not names:
        return ()
    found: dict[str, list[tuple[Kind, str, bool]]] = {}
    for name in names:
        for kind, listed in index[name]:
            found.setdefault(lower_camel(name), []).append((kind, name, listed))
    order = {kind.name: number for number, kind in enumerate(kinds)}
    groups = [sorted(group, key=lambda each: (order[each[0].name], each[1])) for group in found.values()]
    named = message.get("kind")
    return [task for group in sorted(groups, key=lambda group: order[group[0][0].name]) for task in _tasks(message, group, named)]


def started_nothing(reply: Mapping[str, Any], kinds: Iterable[Kind]) -> bool:
    """Whether the reply of a start call has an empty list of tasks, as the reply of `RunTask` has if there is no capacity."""
    return any(listed and reply.get(name) == [] for kind in kinds for name, listed in reply_members(kind).items())


@functools.lru_cache(maxsize=16)
def _index(kinds: tuple[Kind, ...]) -> Mapping[str, Sequence[tuple[Kind, bool]]]:
    index: dict[str, list[tuple[Kind, bool]]] = {}
    for kind in kinds:
        for name, listed in reply_members(kind).items():
            index.setdefault(name, []).append((kind, listed))
    return index


def _tasks(message: Mapping[str, Any], group: Sequence[tuple[Kind, str, bool]], named: Any) -> Iterator[Pasted]:
    """The tasks in one member. A name that two kinds share is a list for one of them and an object for another at most once."""
    member = group[0][1]
    content = message[member]
    is_list = isinstance(content, list) and any(listed for _, _, listed in group)
    kinds = tuple(dict.fromkeys(kind for kind, name, listed in group if listed == is_list or not is_list))
    if not _WORDS.fullmatch(member) and named not in [kind.name for kind in kinds]:
        kinds = tuple(kind for kind in kinds if _shows_tasks(content, kind))
        if not kinds:
            return
    if not is_list or not content:
        yield Pasted(kinds, member, None if is_list else content)
        return
    for number, element in enumerate(content, start=1):
        yield Pasted(kinds, member, element, f"task {number} of {member}: " if len(content) > 1 else "")


def _shows_tasks(content: Any, kind: Kind) -> bool:
    """Whether each object in the reply has the id of a task of this kind."""
    elements = content if isinstance(content, list) else [content]
    return bool(elements) and all(_shows_task(element, kind) for element in elements)


def _shows_task(element: Any, kind: Kind) -> bool:
    if not isinstance(element, Mapping):
        return False
    task = as_the_api_spells(element, kind)
    return is_present([task], spellings(kind.params[-1])) or own_id_in(task, kind) is not None or _has_arn(task, kind)


def _has_arn(task: Mapping[str, Any], kind: Kind) -> bool:
    return kind.arn is not None and any(isinstance(value, str) and kind.arn.match(value) is not None for value in task.values())
