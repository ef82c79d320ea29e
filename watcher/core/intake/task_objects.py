"""Finds a task and its identifiers in the objects that people have: our own members, a reply of the API, or a part of one.

A reply comes as the API spells it (`SpeakerSearchTask`), or in lower camel case (`speakerSearchTask`), as CloudTrail and
some SDKs write it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from watcher.errors import InvalidInput
from watcher.kinds.kind import Kind, Param

Objects = Sequence[Mapping[str, Any]]


def lower_camel(name: str) -> str:
    """`SpeakerSearchTaskId` as `speakerSearchTaskId`."""
    return name[:1].lower() + name[1:]


@functools.lru_cache(maxsize=1024)
def spellings(param: Param) -> tuple[str, ...]:
    """The names of a parameter in the API, in our own messages, and in lower camel case; and its further names."""
    names = (param.name, param.field, lower_camel(param.name), *param.other_names, *map(lower_camel, param.other_names))
    return tuple(dict.fromkeys(names))


def as_the_api_spells(value: Any, kind: Kind) -> Any:
    """A copy of a JSON value in which members in lower camel case also have names that begin as those of the kind's replies do."""
    return _upper_camel(value) if kind.reply.status.text[:1].isupper() else value


def objects_inside(members: Mapping[str, Any]) -> Objects:
    """The objects directly inside this one: a task holds some of its identifiers one level down, as in `CallDetails`."""
    return [inner for name, inner in members.items() if isinstance(inner, Mapping) and name != "context"]


def own_id_in(task: Mapping[str, Any], kind: Kind) -> Any:
    """The task's own id as a reply has it, where that is not the name of a parameter; None where there is none. Never raises."""
    for path in (kind.reply.id, None if kind.batch is None else kind.batch.id):
        try:
            found = None if path is None else path.find(task)
        except ValueError:
            continue
        if isinstance(found, str):
            return found
    return None


def bare_values(message: Mapping[str, Any], kind: Kind) -> Sequence[Any]:
    """The identifiers of a task in a message without a reply, None for one that is missing. Raises InvalidInput: field.

    All but the task's own id may also be one level down: the message may be the task object of a reply.
    """
    *outer, own = kind.params
    own_id = value_of([message], spellings(own))
    values = [value_of([message], spellings(param)) for param in outer]
    if own_id is not None and None in values:
        inside = objects_inside(message)
        found = [value_of(inside, spellings(param)) for param in outer]
        values = [value if value is not None else inner for value, inner in zip(values, found, strict=True)]
    return [*values, own_id]


def has_all(objects: Objects, kind: Kind) -> bool:
    """Whether each identifier of a task of this kind is in these objects, whatever its value is."""
    return all(is_present(objects, spellings(param)) for param in kind.params)


def is_present(objects: Objects, names: Sequence[str]) -> bool:
    """Whether there is a value under any of these names."""
    return any(members.get(name) is not None for members in objects for name in names)


def name_in(objects: Objects, param: Param) -> str | None:
    """The name under which these objects have an identifier; None where they do not have it."""
    return next((name for members in objects for name in spellings(param) if members.get(name) is not None), None)


def value_of(objects: Objects, names: Sequence[str]) -> Any:
    """The one value under any of these names, None where there is none. Raises InvalidInput: field."""
    found = [(name, members[name]) for members in objects for name in names if members.get(name) is not None]
    if not found:
        return None
    first, value = found[0]
    if other := next((name for name, another in found[1:] if another != value), None):
        given = f"{first} is given more than once, with" if other == first else f"{first} and {other} have"
        raise InvalidInput("field", f"{given} different values; keep one")
    return value


def _upper_camel(value: Any) -> Any:
    """Each member under its own name too: it may be one of ours, such as `voice_connector_id`."""
    if isinstance(value, list):
        return [_upper_camel(element) for element in value]
    if not isinstance(value, Mapping):
        return value
    exact = {name: _upper_camel(inner) for name, inner in value.items()}
    return {name[:1].upper() + name[1:]: inner for name, inner in exact.items()} | exact
