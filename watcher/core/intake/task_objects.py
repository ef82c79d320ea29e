"""Finds a task and its identifiers in the objects that people have: our own members, a reply of the API, or a part of one.

A reply comes as the API spells it (`SpeakerSearchTask`), or in lower camel case (`speakerSearchTask`), as CloudTrail and
some SDKs write it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind, Param

Objects = Sequence[Mapping[str, Any]]


def lower_camel(name: str) -> str:
    """`SpeakerSearchTaskId` as `speakerSearchTaskId`."""
    return name[:1].lower() + name[1:]


def spellings(param: Param) -> tuple[str, ...]:
    """The names of a parameter in the API, in our own messages, and in lower camel case."""
    return (param.name, param.field, lower_camel(param.name))


def as_the_api_spells(value: Any, kind: Kind) -> Any:
    """A copy of a JSON value in which members in lower camel case also have names that begin as those of the kind's replies do."""
    member = kind.reply.member
    if member is None or not member[:1].isupper():
        return value
    return _upper_camel(value)


def pasted_task(message: Mapping[str, Any], kind: Kind) -> Any:
    """The task in a message that contains a reply of this kind, as the API spells it; None where the reply has none."""
    member = kind.reply.member or ""
    found = message.get(member) if member in message else message.get(lower_camel(member))
    return kind.reply.task.find({member: as_the_api_spells(found, kind)})


def pasted_kinds(message: Mapping[str, Any], catalog: Catalog) -> Sequence[Kind]:
    """The kinds whose reply is part of the message. Of kinds with the same reply: the one that the message names, or the first."""
    found: dict[str, Kind] = {}
    for kind in catalog:
        member = kind.reply.member
        present = member is not None and (member in message or lower_camel(member) in message)
        if member is not None and present and (member not in found or message.get("kind") == kind.name):
            found[member] = kind
    return list(found.values())


def names_task(message: Mapping[str, Any], catalog: Catalog) -> bool:
    """Whether a message has the own id of a task, or a reply, among its members."""
    own_ids = (name for kind in catalog for name in spellings(kind.params[-1]))
    return any(message.get(name) is not None for name in own_ids) or bool(pasted_kinds(message, catalog))


def objects_inside(members: Mapping[str, Any]) -> Objects:
    """The objects directly inside this one: a task holds some of its identifiers one level down, as in `CallDetails`."""
    return [inner for name, inner in members.items() if isinstance(inner, Mapping) and name != "context"]


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


def value_of(objects: Objects, names: Sequence[str]) -> Any:
    """The one value under any of these names, None where there is none. Raises InvalidInput: field."""
    found = [members[name] for members in objects for name in names if members.get(name) is not None]
    if any(value != found[0] for value in found[1:]):
        raise InvalidInput("field", f"{names[0]} is given more than once, with different values; keep one")
    return found[0] if found else None


def _upper_camel(value: Any) -> Any:
    """Each member under its own name too: it may be one of ours, such as `voice_connector_id`."""
    if isinstance(value, list):
        return [_upper_camel(element) for element in value]
    if not isinstance(value, Mapping):
        return value
    exact = {name: _upper_camel(inner) for name, inner in value.items()}
    return {name[:1].upper() + name[1:]: inner for name, inner in exact.items()} | exact
